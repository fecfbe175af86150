//! `mainspring dev` and `mainspring server`: the whole server in this process.

use std::{
    env,
    io::IsTerminal as _,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use mainspring_server::{LogFormat, LogOverrides, LogTap, Overrides, ServerConfig, serve_logged};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    compile,
    failure::{Failure, Outcome},
    logging, output,
    watch::{self, Watch, WatchArgs},
};

/// `mainspring dev`
#[derive(Debug, Args)]
#[command(after_help = "Settings that have no flag here can be given as MAINSPRING_* variables; `mainspring server \
                        --print-config` lists them all.")]
pub struct DevArgs {
    /// Where the journal is kept [default: MAINSPRING_DATA_DIR, or $XDG_DATA_HOME/mainspring, or
    /// ~/.local/share/mainspring]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A namespace to have besides "default". Can be given several times
    #[arg(short, long = "namespace", value_name = "NAME")]
    namespaces: Vec<String>,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// `mainspring server`
#[derive(Debug, Args)]
#[command(after_help = "Settings are taken from their defaults, then the file, then MAINSPRING_* variables (such as \
                        MAINSPRING_PORT, or MAINSPRING_SANDBOX__COMPILE_TIME for compile_time in [sandbox]), then \
                        flags. SIGTERM and SIGINT drain the server; a second one stops it at once.")]
pub struct ServerArgs {
    /// A TOML file with settings
    #[arg(long, value_name = "FILE", env = "MAINSPRING_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Print all settings, as they would be used, as TOML, and exit
    #[arg(long)]
    print_config: bool,
    /// Where the journal is kept
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A namespace to have, in place of those in the file. Can be given several times
    #[arg(short, long = "namespace", value_name = "NAME")]
    namespaces: Vec<String>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// What both take.
#[derive(Debug, Args)]
struct SettingsArgs {
    /// The address to listen on: loopback only, unless callers must say who they are (`[auth]`) over TLS (`[tls]`)
    /// [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// The port to listen on; 0 takes any free one [default: 7233]
    #[arg(short, long)]
    port: Option<u16>,
    /// Keep everything in memory, and nothing after the end
    #[arg(long)]
    ephemeral: bool,
    /// Which log lines to write: a level (error, warn, info, debug, trace) or a filter such as
    /// "warn,mainspring_engine=debug" [default: MAINSPRING_LOG, or info]
    #[arg(long, value_name = "FILTER", env = "MAINSPRING_LOG_LEVEL", hide_env = true)]
    log_level: Option<String>,
    /// How to write log lines, which go to stderr [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormatArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormatArg {
    Text,
    Json,
}

impl SettingsArgs {
    fn overrides(&self, data_dir: Option<PathBuf>, namespaces: Vec<String>) -> Overrides {
        let filter = self.log_level.clone().or_else(|| env::var(logging::FILTER_VARIABLE).ok());
        let format = self.log_format.map(|format| match format {
            LogFormatArg::Text => LogFormat::Text,
            LogFormatArg::Json => LogFormat::Json,
        });
        Overrides {
            ip: self.ip,
            port: self.port,
            data_dir,
            ephemeral: self.ephemeral.then_some(true),
            namespaces: (!namespaces.is_empty()).then_some(namespaces),
            log: (filter.is_some() || format.is_some()).then_some(LogOverrides { format, filter }),
        }
    }
}

pub fn dev(args: DevArgs) -> Outcome {
    let watch = args.watch.watch()?;
    let data_dir = match args.data_dir {
        Some(dir) => Some(dir),
        None if env::var_os("MAINSPRING_DATA_DIR").is_some() => None,
        None => Some(default_data_dir().map_err(Failure::Usage)?),
    };
    let mut namespaces = args.namespaces;
    let default = "default".to_owned();
    if !namespaces.is_empty() && !namespaces.contains(&default) {
        namespaces.insert(0, default);
    }
    namespaces.dedup();
    let overrides = args.settings.overrides(data_dir, namespaces);
    let config = ServerConfig::load(None, &overrides).map_err(Failure::Usage)?;
    if watch.is_some() && (config.auth.required || config.tls.certificate.is_some()) {
        let hint = "Deploy with `mainspring module deploy --api-key …` instead.";
        return Err(Failure::Usage(anyhow!("--watch works on a server without authentication and TLS only. {hint}")));
    }
    run(config, watch)
}

pub fn server(args: ServerArgs) -> Outcome {
    let overrides = args.settings.overrides(args.data_dir, args.namespaces);
    let config = ServerConfig::load(args.config.as_deref(), &overrides).map_err(Failure::Usage)?;
    if args.print_config {
        return Ok(output::print_text(&config.to_toml().map_err(Failure::Failed)?)?);
    }
    run(config, None)
}

fn run(mut config: ServerConfig, watch: Option<Watch>) -> Outcome {
    config.compiler_command = compile::command();
    let log = LogTap::default();
    logging::start(&config.log.filter, config.log.format == LogFormat::Json, &log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the threads of the server").map_err(Failure::Failed)?;
    let for_people = config.log.format == LogFormat::Text;
    let data = match config.ephemeral {
        true => "in memory, and gone when this process ends".to_owned(),
        false => config.data_dir.display().to_string(),
    };
    let namespaces = config.namespaces.join(", ");
    let served = runtime.block_on(async move {
        let stop = stop_signal()?;
        let ready = move |address: SocketAddr| {
            if let Some(watch) = watch {
                watch::start(watch, address);
            }
            if for_people {
                eprintln!("Mainspring {} listens on {address}", env!("CARGO_PKG_VERSION"));
                eprintln!("  data:       {data}");
                eprintln!("  namespaces: {namespaces}");
                if std::io::stderr().is_terminal() {
                    eprintln!("  Ctrl-C stops it.");
                }
            }
        };
        serve_logged(config, log, ready, stop).await
    });
    // Whatever still blocks must not hold up the end: what was acknowledged is durable.
    runtime.shutdown_background();
    served.map_err(Failure::Failed)
}

/// Resolves at the first SIGINT or SIGTERM; the second one ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        let mut next = async move || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        tokio::spawn(async move {
            next().await;
            eprintln!("error: stopped by a second signal, before everything was drained");
            std::process::exit(1);
        });
    })
}

fn default_data_dir() -> anyhow::Result<PathBuf> {
    data_home(env::var_os("XDG_DATA_HOME").map(PathBuf::from), env::var_os("HOME").map(PathBuf::from))
        .map(|data| data.join("mainspring"))
        .ok_or_else(|| anyhow!("neither XDG_DATA_HOME nor HOME says where data belongs: give --data-dir"))
}

/// By the XDG rules, a path that is not absolute counts as none.
fn data_home(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    xdg.filter(absolute).or_else(|| home.filter(absolute).map(|home| home.join(".local/share")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_lies_where_xdg_says() {
        let check = |xdg: Option<&str>, home: Option<&str>, expected: Option<&str>| {
            assert_eq!(data_home(xdg.map(PathBuf::from), home.map(PathBuf::from)), expected.map(PathBuf::from));
        };
        check(Some("/x"), Some("/h"), Some("/x"));
        check(None, Some("/h"), Some("/h/.local/share"));
        check(Some("relative"), Some("/h"), Some("/h/.local/share"));
        check(Some(""), None, None);
    }
}
