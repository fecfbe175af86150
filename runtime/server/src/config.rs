//! What the server is told: defaults, then a TOML file, then the environment, then flags.

mod access;
mod activities;

use std::{
    ffi::OsString,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use mainspring_core::{limits::sandbox::COMPILER_MEMORY_BYTES, validate};
use mainspring_engine::{EngineConfig, Observed, Quota, SecretKey};
use mainspring_sandbox::{Compiler, GuestLimits, SandboxConfig};
use mainspring_store::SledOptions;
use serde::{Deserialize, Serialize};

pub use self::{
    access::{AuthConfig, CertificateConfig, JwtConfig, TlsConfig},
    activities::ActivitySettings,
};
use crate::{TelemetryConfig, auth, duration, limits};

/// Environment variables with this prefix are settings: `MAINSPRING_PORT`, and with two underscores between a section
/// and its key `MAINSPRING_SANDBOX__INSTANCE_CACHE_COUNT`.
pub const ENVIRONMENT_PREFIX: &str = "MAINSPRING_";

/// Variables with the prefix that belong to somebody else: the command line's client verbs and its `--config` flag.
const NOT_SETTINGS: [&str; 13] = [
    "address",
    "namespace",
    "config",
    "output",
    "log",
    "log_level",
    "api_key",
    "tls",
    "tls_ca_path",
    "tls_cert_path",
    "tls_key_path",
    "tls_server_name",
    // Has the tests of this repository write what they compare with.
    "write_goldens",
];

/// All settings of a server. Durations are text with a unit, such as "10s" or "1m 30s"; sizes are bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where the server listens. Only loopback addresses, unless `auth.required` is set and there is TLS.
    pub ip: IpAddr,
    /// 0 takes any free port.
    pub port: u16,
    /// The journal, and the compiled modules beside it.
    pub data_dir: PathBuf,
    /// Keeps everything in memory, and nothing after the process has ended.
    pub ephemeral: bool,
    /// The namespaces that exist.
    pub namespaces: Vec<String>,
    /// Parts that the runs are spread over. Fixed when a data directory is made; a directory keeps its own.
    pub shards: u16,
    /// Threads that run workflow code. 0 takes as many as the machine has processors.
    pub activation_threads: usize,
    /// Runs whose state each shard keeps in memory.
    pub runs_in_memory_per_shard: usize,
    /// Largest request, in bytes after decompression.
    pub grpc_message_bytes: usize,
    /// How long calls that are under way may take to finish when the server stops.
    #[serde(with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub drain_time: Duration,
    pub auth: AuthConfig,
    pub tls: TlsConfig,
    pub log: LogConfig,
    pub metrics: MetricsConfig,
    pub telemetry: TelemetryConfig,
    pub store: StoreConfig,
    pub sandbox: SandboxSettings,
    pub guest: GuestSettings,
    pub activities: ActivitySettings,
    /// What each namespace may use.
    pub quota: Quota,
    /// No setting: the command of a compiler's process, which the program that runs the server gives. It comes to
    /// [`mainspring_sandbox::compile_module`] in the same build. Empty, modules are compiled in the server's process.
    #[serde(skip)]
    pub compiler_command: Vec<OsString>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    pub format: LogFormat,
    /// Which lines are written, in the form of `RUST_LOG`, such as "info,mainspring_engine=debug".
    pub filter: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

/// `[metrics]`: what Prometheus is told at `/metrics`, and the server's health at `/health`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Whether they are served.
    pub enabled: bool,
    /// Where they are served. Nobody is asked for credentials there: whoever reaches it sees the namespaces' names and
    /// how much goes on in them.
    pub ip: IpAddr,
    /// 0 takes any free port, which the log tells.
    pub port: u16,
}

/// `[store]`: the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Memory for the page cache, in bytes.
    pub cache_bytes: u64,
    /// Whether every record is read and checked before the server starts.
    pub verify_on_open: bool,
    /// Writes are refused when they would leave less free space on the disk than this, in bytes.
    pub free_bytes_min: u64,
}

/// `[sandbox]`: what all guests share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SandboxSettings {
    /// Private memory of all cached instances, in bytes.
    pub instance_cache_bytes: usize,
    /// Cached instances.
    pub instance_cache_count: usize,
    /// Compiled modules kept in memory.
    pub loaded_modules: usize,
    /// Largest module that is taken, in bytes.
    pub module_bytes: usize,
    /// How long compiling a module may take.
    #[serde(with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub compile_time: Duration,
    /// Address space of the process that compiles a module, in bytes.
    pub compiler_memory_bytes: u64,
    /// Modules that are compiled at once.
    pub compiles_at_once: usize,
    /// Wasm stack of one activation, in bytes.
    pub stack_bytes: usize,
}

/// `[guest]`: what one guest may use. Lowering one of these may break runs that need more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct GuestSettings {
    /// Linear memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// Elements of all tables of one instance together.
    pub table_elements: usize,
    /// Fuel of one activation: about one unit for each WebAssembly instruction. The same on every machine.
    pub fuel_per_activation: u64,
    /// How long one activation may take, by the clock on the wall: for what fuel does not see.
    #[serde(with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub activation_time: Duration,
    /// Commands (activities, timers and the like) of one activation.
    pub commands_per_activation: usize,
    /// What these commands may have in bytes, together.
    pub command_bytes_per_activation: usize,
    /// Log lines of one activation, in bytes; what goes beyond is left out.
    pub log_bytes_per_activation: usize,
}

/// What flags say; each one that is given wins over the file and the environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Overrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogOverrides>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LogOverrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 7233,
            data_dir: PathBuf::from("mainspring-data"),
            ephemeral: false,
            namespaces: vec!["default".to_owned()],
            shards: limits::SHARDS,
            activation_threads: 0,
            runs_in_memory_per_shard: limits::RUNS_IN_MEMORY_PER_SHARD,
            grpc_message_bytes: limits::GRPC_MESSAGE_BYTES,
            drain_time: limits::DRAIN_TIME,
            auth: AuthConfig::default(),
            tls: TlsConfig::default(),
            log: LogConfig::default(),
            metrics: MetricsConfig::default(),
            telemetry: TelemetryConfig::default(),
            store: StoreConfig::default(),
            sandbox: SandboxSettings::default(),
            guest: GuestSettings::default(),
            activities: ActivitySettings::default(),
            compiler_command: Vec::new(),
            quota: Quota::default(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl Default for MetricsConfig {
    fn default() -> MetricsConfig {
        MetricsConfig { enabled: false, ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 7234 }
    }
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        let SledOptions { cache_bytes, verify_on_open, free_bytes_min } = SledOptions::default();
        StoreConfig { cache_bytes, verify_on_open, free_bytes_min }
    }
}

impl Default for SandboxSettings {
    fn default() -> SandboxSettings {
        let defaults = SandboxConfig::default();
        SandboxSettings {
            instance_cache_bytes: defaults.instance_cache_bytes,
            instance_cache_count: defaults.instance_cache_count,
            loaded_modules: defaults.loaded_modules,
            module_bytes: defaults.module_bytes,
            compile_time: defaults.compile_time,
            compiler_memory_bytes: COMPILER_MEMORY_BYTES,
            compiles_at_once: defaults.compiles_at_once,
            stack_bytes: defaults.stack_bytes,
        }
    }
}

impl Default for GuestSettings {
    fn default() -> GuestSettings {
        let defaults = GuestLimits::default();
        GuestSettings {
            memory_bytes: defaults.memory_bytes,
            table_elements: defaults.table_elements,
            fuel_per_activation: defaults.fuel_per_activation,
            activation_time: defaults.activation_time,
            commands_per_activation: defaults.commands_per_activation,
            command_bytes_per_activation: defaults.command_bytes_per_activation,
            log_bytes_per_activation: defaults.log_bytes_per_activation,
        }
    }
}

impl ServerConfig {
    /// Reads the settings: defaults, then `file`, then the environment, then `overrides`. An unknown key is an error.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> anyhow::Result<ServerConfig> {
        let mut figment = Figment::from(Serialized::defaults(ServerConfig::default()));
        if let Some(path) = file {
            // Figment would take a file that is not there for an empty one.
            let text = fs::read_to_string(path)
                .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
            // Checked by itself, so that what is wrong with it is said of the file and not of the whole.
            let _: ServerConfig = toml_only(&text)
                .extract()
                .with_context(|| format!("the configuration file {} is not right", path.display()))?;
            figment = figment.merge(Toml::string(&text));
        }
        let environment =
            Env::prefixed(ENVIRONMENT_PREFIX).filter(|key| !NOT_SETTINGS.iter().any(|other| key == *other)).split("__");
        let config: ServerConfig = figment
            .merge(environment)
            .merge(Serialized::defaults(overrides))
            .extract()
            .context("the settings are not right")?;
        config.check()?;
        Ok(config)
    }

    /// Refuses settings that can never work, or that would open the server to others.
    pub fn check(&self) -> anyhow::Result<()> {
        self.check_reach()?;
        self.tls.check()?;
        auth::check(&self.auth)?;
        self.telemetry.check()?;
        ensure!(
            self.auth.certificates.is_empty() || self.tls.client_ca.is_some(),
            "auth.certificates: give tls.client_ca, the authority of the certificates, too"
        );
        ensure!(!self.namespaces.is_empty(), "namespaces: there must be at least one");
        for (index, name) in self.namespaces.iter().enumerate() {
            validate::name("namespace", name).with_context(|| format!("namespaces[{index}]"))?;
            ensure!(!self.namespaces[..index].contains(name), "namespaces: {name:?} is there twice");
            ensure!(name != auth::SYSTEM, "namespaces: {name:?} stands for all namespaces in permissions");
        }
        ensure!(self.shards > 0, "shards: there must be at least one");
        ensure!(self.runs_in_memory_per_shard > 0, "runs_in_memory_per_shard: must be at least 1");
        ensure!(
            self.grpc_message_bytes >= limits::GRPC_MESSAGE_BYTES_MIN,
            "grpc_message_bytes: must be at least {}, or no payload of the allowed size fits in",
            limits::GRPC_MESSAGE_BYTES_MIN
        );
        ensure!(self.sandbox.compiles_at_once > 0, "sandbox.compiles_at_once: must be at least 1");
        if let Err(problem) = self.quota.check() {
            bail!("quota.{problem}");
        }
        ensure!(self.sandbox.loaded_modules > 0, "sandbox.loaded_modules: must be at least 1");
        ensure!(self.activities.concurrent > 0, "activities.concurrent: must be at least 1");
        ensure!(
            self.activities.concurrent_per_deployment > 0,
            "activities.concurrent_per_deployment: must be at least 1"
        );
        Ok(())
    }

    /// Beyond the machine, callers must say who they are, and nobody else may hear it.
    fn check_reach(&self) -> anyhow::Result<()> {
        if self.ip.is_loopback() {
            return Ok(());
        }
        ensure!(
            self.auth.required,
            "ip = {}: without authentication the server listens on loopback addresses only (127.0.0.1 or ::1). Set \
             auth.required, and say in [auth] who may do what",
            self.ip
        );
        ensure!(
            self.tls.certificate.is_some() || self.tls.ended_by_proxy,
            "ip = {}: without TLS the server listens on loopback addresses only, as credentials could be overheard. Give \
             tls.certificate and tls.key, or set tls.ended_by_proxy where a proxy in front of it speaks TLS",
            self.ip
        );
        Ok(())
    }

    /// The settings of a file alone.
    #[cfg(fuzzing)]
    pub(crate) fn from_toml(text: &str) -> anyhow::Result<ServerConfig> {
        Ok(toml_only(text).extract()?)
    }

    /// The settings as a TOML file would have them, every key with its present value.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        toml::to_string(self).context("the settings cannot be written as TOML")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    pub(crate) fn engine(&self, secret_key: SecretKey, observed: Observed) -> EngineConfig {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        EngineConfig {
            shards: self.shards,
            namespaces: self.namespaces.clone(),
            activation_threads: if self.activation_threads == 0 { processors() } else { self.activation_threads },
            runs_in_memory_per_shard: self.runs_in_memory_per_shard,
            hosted: self.activities.hosted(),
            secret_key,
            quota: self.quota.clone(),
            observed,
        }
    }

    pub(crate) fn sled(&self) -> SledOptions {
        let StoreConfig { cache_bytes, verify_on_open, free_bytes_min } = self.store;
        SledOptions { cache_bytes, verify_on_open, free_bytes_min }
    }

    /// The sandbox's settings. Compiled modules are kept beside the journal, or in memory only.
    pub(crate) fn sandbox(&self) -> SandboxConfig {
        let SandboxSettings {
            instance_cache_bytes,
            instance_cache_count,
            loaded_modules,
            module_bytes,
            compile_time,
            compiler_memory_bytes: memory_bytes,
            compiles_at_once,
            stack_bytes,
        } = self.sandbox;
        let compiler = match self.compiler_command.clone() {
            command if command.is_empty() => Compiler::InProcess,
            command => Compiler::Process { command, memory_bytes },
        };
        SandboxConfig {
            cache_dir: (!self.ephemeral).then(|| self.data_dir.join("modules-cache")),
            instance_cache_bytes,
            instance_cache_count,
            loaded_modules,
            module_bytes,
            compiler,
            compile_time,
            compiles_at_once,
            stack_bytes,
            limits: GuestLimits {
                memory_bytes: self.guest.memory_bytes,
                table_elements: self.guest.table_elements,
                fuel_per_activation: self.guest.fuel_per_activation,
                activation_time: self.guest.activation_time,
                commands_per_activation: self.guest.commands_per_activation,
                command_bytes_per_activation: self.guest.command_bytes_per_activation,
                log_bytes_per_activation: self.guest.log_bytes_per_activation,
            },
            activities: self.activities.limits(),
            trace_logs: self.telemetry.sends_logs(),
        }
    }
}

fn toml_only(text: &str) -> Figment {
    Figment::from(Serialized::defaults(ServerConfig::default())).merge(Toml::string(text))
}

#[cfg(test)]
// Figment's test harness wants its own, large error.
#[allow(clippy::result_large_err)]
mod tests {
    use figment::Jail;

    use super::*;

    /// What loading says, with a file of this text and this environment.
    fn load(file: &str, environment: &[(&str, &str)], overrides: &Overrides) -> Result<ServerConfig, String> {
        let mut loaded = Err("nothing was loaded".to_owned());
        Jail::expect_with(|jail| {
            jail.create_file("mainspring.toml", file)?;
            for (key, value) in environment {
                jail.set_env(key, value);
            }
            loaded =
                ServerConfig::load(Some(Path::new("mainspring.toml")), overrides).map_err(|error| format!("{error:#}"));
            Ok(())
        });
        loaded
    }

    fn refusal(file: &str, environment: &[(&str, &str)]) -> String {
        load(file, environment, &Overrides::default()).expect_err("the settings are refused")
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let config = load("", &[], &Overrides::default()).unwrap();
        assert_eq!(config, ServerConfig::default());
        assert_eq!(config.address().to_string(), "127.0.0.1:7233");
        assert_eq!(config.namespaces, ["default"]);
    }

    #[test]
    fn flags_win_over_the_environment_and_the_environment_over_the_file() {
        let file = "port = 1\nshards = 2\ndata_dir = \"file\"\n[sandbox]\ncompile_time = \"1m 30s\"\n";
        let environment =
            [("MAINSPRING_PORT", "10"), ("MAINSPRING_DATA_DIR", "env"), ("MAINSPRING_GUEST__ACTIVATION_TIME", "250ms")];
        let overrides = Overrides { port: Some(100), ..Default::default() };
        let config = load(file, &environment, &overrides).unwrap();
        assert_eq!((config.port, config.data_dir.to_str(), config.shards), (100, Some("env"), 2));
        assert_eq!(config.sandbox.compile_time, Duration::from_secs(90));
        assert_eq!(config.guest.activation_time, Duration::from_millis(250));
    }

    #[test]
    fn an_unknown_key_is_named_wherever_it_stands() {
        for (file, environment, key) in [
            ("prot = 1", vec![], "prot"),
            ("[sandbox]\nmemory = 1", vec![], "memory"),
            ("", vec![("MAINSPRING_PROT", "1")], "prot"),
            ("", vec![("MAINSPRING_STORE__CACHE", "1")], "cache"),
        ] {
            let message = refusal(file, &environment);
            assert!(message.contains(&format!("unknown field: found `{key}`")), "{message}");
        }
        assert!(refusal("prot = 1", &[]).contains("mainspring.toml"));
    }

    #[test]
    fn a_wrong_value_is_named_with_what_it_should_be() {
        let message = refusal("drain_time = 10", &[]);
        assert!(message.contains("a duration with its unit") && message.contains("drain_time"), "{message}");
        let message = refusal("port = \"http\"", &[]);
        assert!(message.contains("u16") && message.contains("port"), "{message}");
        let message = refusal("[log]\nformat = \"xml\"", &[]);
        assert!(message.contains("json") && message.contains("format"), "{message}");
    }

    #[test]
    fn the_variables_of_the_command_line_are_no_settings() {
        let environment = [("MAINSPRING_ADDRESS", "127.0.0.1:1"), ("MAINSPRING_NAMESPACE", "other")];
        assert_eq!(load("", &environment, &Overrides::default()), Ok(ServerConfig::default()));
    }

    #[test]
    fn a_file_that_is_not_there_is_no_empty_one() {
        let error = ServerConfig::load(Some(Path::new("/nowhere/mainspring.toml")), &Overrides::default());
        assert!(error.unwrap_err().to_string().contains("/nowhere/mainspring.toml"));
    }

    #[test]
    fn an_address_that_others_can_reach_is_refused() {
        for ip in ["0.0.0.0", "192.168.1.1", "::"] {
            let message = refusal(&format!("ip = \"{ip}\""), &[]);
            assert!(message.contains("auth.required") && message.contains(ip), "{message}");
            let auth =
                format!("ip = \"{ip}\"\n[auth]\nrequired = true\nadmin_key_hashes = [\"sha256:{}\"]\n", "0".repeat(64));
            let message = refusal(&auth, &[]);
            assert!(message.contains("tls.certificate") && message.contains(ip), "{message}");
            let open = format!("{auth}[tls]\nended_by_proxy = true\n");
            assert!(load(&open, &[], &Overrides::default()).is_ok());
        }
        assert!(load("ip = \"::1\"", &[], &Overrides::default()).is_ok());
    }

    #[test]
    fn settings_that_can_never_work_are_refused_by_name() {
        for (file, name) in [
            ("namespaces = []", "namespaces"),
            ("namespaces = [\"\"]", "namespaces[0]"),
            ("namespaces = [\"a\", \"a\"]", "\"a\" is there twice"),
            ("namespaces = [\"temporal-system\"]", "stands for all"),
            ("shards = 0", "shards"),
            ("grpc_message_bytes = 1000", "grpc_message_bytes"),
            ("[sandbox]\ncompiles_at_once = 0", "sandbox.compiles_at_once"),
            ("[auth]\nrequired = true", "nobody could get in"),
            ("[auth]\nadmin_key_hashes = [\"msk_x\"]", "auth.admin_key_hashes[0]"),
            ("[auth.jwt]\njwks = \"http://example.org/keys\"", "https://"),
            ("[[auth.certificates]]\nidentity = \"worker\"\npermissions = []", "auth.certificates[0].identity"),
            ("[[auth.certificates]]\nidentity = \"cn:a\"\npermissions = [\"a\"]", "auth.certificates[0].permissions"),
            ("[[auth.certificates]]\nidentity = \"cn:a\"\npermissions = [\"a:read\"]", "tls.client_ca"),
            ("[tls]\ncertificate = \"a.pem\"", "tls: give both"),
            ("[tls]\nclient_certificate_required = true", "tls.client_ca"),
            ("[telemetry]\notlp_endpoint = \"collector:4317\"", "telemetry.otlp_endpoint"),
            ("[quota]\nweight = 0", "quota.weight must be at least 1"),
        ] {
            let message = refusal(file, &[]);
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn a_secret_may_come_from_the_environment_and_is_quoted_in_no_error() {
        let variable = "MAINSPRING_TELEMETRY__HEADERS__AUTHORIZATION";
        let config = load("", &[(variable, "Bearer s3cret")], &Overrides::default()).unwrap();
        assert_eq!(config.telemetry.headers["authorization"], "Bearer s3cret".into());
        for number in ["0042", "-42", "4.2", "true"] {
            let message = refusal("", &[(variable, number)]);
            assert!(
                message.contains("put it into quotes") && message.to_lowercase().contains("authorization"),
                "{message}"
            );
            assert!(!message.contains(number.trim_start_matches('0')), "{message}");
        }
        let config = load("", &[(variable, "\"0042\"")], &Overrides::default()).unwrap();
        assert_eq!(config.telemetry.headers["authorization"], "0042".into());
    }

    #[test]
    fn what_is_printed_can_be_read_back() {
        let mut config = ServerConfig { port: 7, drain_time: Duration::from_millis(1_500), ..Default::default() };
        config.log.format = LogFormat::Json;
        let text = config.to_toml().unwrap();
        assert!(text.contains("drain_time = \"1s 500ms\""), "{text}");
        assert_eq!(load(&text, &[], &Overrides::default()), Ok(config));
    }
}
