//! `[telemetry]`, checked.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail, ensure};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};
use tonic::{
    codegen::http::Uri,
    metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig},
};

use crate::{duration, limits};

/// What stands for a secret wherever settings are printed.
const REDACTED: &str = "[redacted]";

/// `[telemetry]`: traces and logs for an OpenTelemetry collector. A collector that is slow or gone delays nothing: what
/// it does not take is dropped, and counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Where the collector takes OTLP over gRPC, such as "http://127.0.0.1:4317". Empty sends nothing.
    pub otlp_endpoint: String,
    /// The authority of the collector's certificate, in PEM. Without it, those that browsers trust are good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_ca: Option<PathBuf>,
    /// What the server is called there: `service.name`.
    pub service_name: String,
    /// Whether spans of runs, activities and activations are sent.
    pub traces: bool,
    /// Whether the lines of the log are sent, those of guests among them. `log.filter` holds for them, too.
    pub logs: bool,
    /// The share of traces that is kept, from 0 to 1. It is decided by the trace id, so a trace is kept as a whole.
    pub sample_ratio: f64,
    /// Spans that may wait to be sent, and log lines that may. What comes when so many wait is dropped.
    pub queue: usize,
    /// How long sending a batch may take, with all attempts.
    #[serde(with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub timeout: Duration,
    /// Sent with each request, such as `authorization = "Bearer …"`. The values are secrets: they are printed nowhere.
    #[cfg_attr(test, schemars(with = "BTreeMap<String, String>"))]
    pub headers: BTreeMap<String, SecretText>,
}

/// A setting that is printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl From<&str> for SecretText {
    fn from(text: &str) -> SecretText {
        SecretText(text.to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        deserializer.deserialize_any(TextOnly)
    }
}

/// Refuses what is no text without quoting it. A variable of digits alone is read as a number, which may have lost some.
struct TextOnly;

impl TextOnly {
    fn refusal<E: de::Error>(self) -> Result<SecretText, E> {
        Err(E::custom("a secret must be text: put it into quotes"))
    }
}

impl Visitor<'_> for TextOnly {
    type Value = SecretText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretText, E> {
        Ok(text.into())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretText, E> {
        self.refusal()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretText, E> {
        self.refusal()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretText, E> {
        self.refusal()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretText, E> {
        self.refusal()
    }
}

impl Default for TelemetryConfig {
    fn default() -> TelemetryConfig {
        TelemetryConfig {
            otlp_endpoint: String::new(),
            otlp_ca: None,
            service_name: "mainspring".to_owned(),
            traces: true,
            logs: true,
            sample_ratio: 1.0,
            queue: limits::TELEMETRY_QUEUE,
            timeout: limits::TELEMETRY_TIMEOUT,
            headers: BTreeMap::new(),
        }
    }
}

impl TelemetryConfig {
    /// Whether spans are sent.
    pub fn sends_traces(&self) -> bool {
        self.traces && !self.otlp_endpoint.is_empty()
    }

    /// Whether log lines are sent.
    pub fn sends_logs(&self) -> bool {
        self.logs && !self.otlp_endpoint.is_empty()
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let ratio = self.sample_ratio;
        ensure!((0.0..=1.0).contains(&ratio), "telemetry.sample_ratio: must be from 0 to 1, and is {ratio}");
        ensure!(
            (1..=limits::TELEMETRY_QUEUE_MAX).contains(&self.queue),
            "telemetry.queue: must be from 1 to {}",
            limits::TELEMETRY_QUEUE_MAX
        );
        ensure!(!self.timeout.is_zero(), "telemetry.timeout: must be more than nothing");
        ensure!(!self.service_name.is_empty(), "telemetry.service_name: must not be empty");
        self.metadata()?;
        if self.otlp_endpoint.is_empty() {
            return Ok(());
        }
        let uri = self.uri()?;
        let is_https = uri.scheme_str() == Some("https");
        ensure!(
            is_https || self.otlp_ca.is_none(),
            "telemetry.otlp_ca: an authority is of use only where telemetry.otlp_endpoint begins with https://"
        );
        Ok(())
    }

    fn uri(&self) -> anyhow::Result<Uri> {
        let given = &self.otlp_endpoint;
        let wanted = "must be an address of OTLP over gRPC, such as http://127.0.0.1:4317";
        // A wrong one is not quoted: it may hold a password.
        let uri: Uri = given.parse().map_err(|error| anyhow::anyhow!("telemetry.otlp_endpoint: {wanted}: {error}"))?;
        ensure!(
            matches!(uri.scheme_str(), Some("http" | "https")),
            "telemetry.otlp_endpoint: {wanted}, and begins with neither http:// nor https://"
        );
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        ensure!(!authority.contains('@'), "telemetry.otlp_endpoint: credentials belong into telemetry.headers");
        ensure!(
            matches!(uri.path(), "" | "/") && uri.query().is_none(),
            "telemetry.otlp_endpoint: {wanted}, without a path"
        );
        Ok(uri)
    }

    /// The headers, as requests have them.
    pub(super) fn metadata(&self) -> anyhow::Result<MetadataMap> {
        let mut metadata = MetadataMap::new();
        for (name, SecretText(value)) in &self.headers {
            if value == REDACTED {
                bail!("telemetry.headers: {name:?} is {REDACTED:?}, as settings are printed; give the value itself");
            }
            let key: MetadataKey<Ascii> = name
                .to_lowercase()
                .parse()
                .ok()
                .filter(|key: &MetadataKey<Ascii>| !key.as_str().starts_with("grpc-"))
                .with_context(|| format!("telemetry.headers: {name:?} is not the name of a header"))?;
            // What is wrong with it is not said: it is a secret.
            let value: MetadataValue<Ascii> = value.parse().ok().with_context(|| {
                format!("telemetry.headers: the value of {name:?} has characters that no header may have")
            })?;
            metadata.insert(key, value);
        }
        Ok(metadata)
    }

    /// The way to the collector, which is taken when there is something to send.
    pub(super) fn channel(&self) -> anyhow::Result<Channel> {
        let uri = self.uri()?;
        let is_https = uri.scheme_str() == Some("https");
        let mut endpoint = Channel::builder(uri).timeout(self.timeout).connect_timeout(self.timeout);
        if is_https {
            let tls = match &self.otlp_ca {
                Some(path) => {
                    let pem = std::fs::read(path)
                        .with_context(|| format!("telemetry.otlp_ca: {} cannot be read", path.display()))?;
                    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
                }
                None => ClientTlsConfig::new().with_enabled_roots(),
            };
            endpoint = endpoint.tls_config(tls).context("telemetry.otlp_ca: the authority is not right")?;
        }
        Ok(endpoint.connect_lazy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServerConfig;

    fn collector(endpoint: &str) -> TelemetryConfig {
        TelemetryConfig { otlp_endpoint: endpoint.into(), ..TelemetryConfig::default() }
    }

    fn with_header(name: &str, value: &str) -> TelemetryConfig {
        TelemetryConfig { headers: [(name.into(), value.into())].into(), ..collector("http://localhost:4317") }
    }

    #[test]
    fn without_a_collector_nothing_is_sent() {
        let config = TelemetryConfig::default();
        config.check().unwrap();
        assert!(!config.sends_traces() && !config.sends_logs());
        let config = TelemetryConfig { logs: false, ..collector("https://otel.example.com") };
        config.check().unwrap();
        assert!(config.sends_traces() && !config.sends_logs());
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let defaults = TelemetryConfig::default;
        for (config, name) in [
            (collector("localhost:4317"), "telemetry.otlp_endpoint"),
            (collector("grpc://localhost:4317"), "neither http:// nor https://"),
            (collector("http://localhost:4317/v1/traces"), "without a path"),
            (collector("http://user:password@localhost:4317"), "telemetry.headers"),
            (collector("not an address"), "telemetry.otlp_endpoint"),
            (TelemetryConfig { otlp_ca: Some("a.pem".into()), ..collector("http://a:1") }, "telemetry.otlp_ca"),
            (TelemetryConfig { sample_ratio: 1.5, ..defaults() }, "telemetry.sample_ratio"),
            (TelemetryConfig { sample_ratio: f64::NAN, ..defaults() }, "telemetry.sample_ratio"),
            (TelemetryConfig { queue: 0, ..defaults() }, "telemetry.queue"),
            (TelemetryConfig { queue: usize::MAX, ..defaults() }, "telemetry.queue"),
            (TelemetryConfig { timeout: Duration::ZERO, ..defaults() }, "telemetry.timeout"),
            (TelemetryConfig { service_name: String::new(), ..defaults() }, "telemetry.service_name"),
            (with_header("two words", "x"), "telemetry.headers: \"two words\""),
            (with_header("grpc-timeout", "x"), "telemetry.headers"),
            (with_header("authorization", REDACTED), "give the value itself"),
        ] {
            let refused = config.check().expect_err(name).to_string();
            assert!(refused.contains(name), "{refused}");
        }
    }

    #[test]
    fn secrets_are_neither_printed_nor_told_in_errors() {
        let config = with_header("authorization", "Bearer s3cret");
        config.check().unwrap();
        let server = ServerConfig { telemetry: config, ..ServerConfig::default() };
        let printed = server.to_toml().unwrap();
        assert!(printed.contains("authorization = \"[redacted]\""), "{printed}");
        assert!(!printed.contains("s3cret") && !format!("{server:?}").contains("s3cret"));
        let refused = format!("{:#}", with_header("authorization", "s3cret\n").check().unwrap_err());
        assert!(refused.contains("\"authorization\"") && !refused.contains("s3cret"), "{refused}");
        let refused = format!("{:#}", collector("http://user:s3cret@localhost").check().unwrap_err());
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}
