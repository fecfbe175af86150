//! Traces and logs for an OpenTelemetry collector, by OTLP over gRPC.
//!
//! The engine tells plain facts of runs once they are durable ([`mainspring_engine::Observer`]), and `tracing` tells the
//! lines of the log. Both go into queues of a fixed length, and a task for each sends what is in there. Whoever tells
//! something never waits: what finds the queue full is dropped and counted, as is what the collector does not take.
//!
//! `spans` makes spans of facts, `logs` records of lines, `export` sends them.

mod config;
mod export;
mod logs;
mod spans;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use mainspring_engine::{Fact, Observed, ObservedRun, Observer};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{Resource, logs::LogExporter as _, trace::SpanExporter as _};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

pub use self::{
    config::{SecretText, TelemetryConfig},
    logs::LogTap,
};
use self::{
    export::{Queue, queue},
    spans::SpanSink,
};
use crate::limits;

/// The target of what is said about telemetry itself, which is not sent.
const TARGET: &str = "mainspring_server::telemetry";

/// What was sent, and what was not.
#[derive(Clone, Debug, Default)]
pub(crate) struct TelemetryMetrics {
    pub sent: Family<SignalLabel, Counter>,
    pub dropped: Family<SignalLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SignalLabel {
    /// "spans" or "logs".
    pub signal: &'static str,
}

/// What is sent, while a server runs.
#[derive(Default)]
pub(crate) struct Telemetry {
    pub metrics: TelemetryMetrics,
    observed: Observed,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Telemetry {
    /// Begins to send what `config` wants; lines of the log come by `tap`. The collector need not be there.
    pub fn start(config: &TelemetryConfig, tap: &LogTap) -> anyhow::Result<Telemetry> {
        let mut telemetry = Telemetry::default();
        if !config.sends_traces() && !config.sends_logs() {
            return Ok(telemetry);
        }
        let channel = config.channel()?;
        let resource = Resource::builder_empty()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        if config.sends_traces() {
            let mut exporter = SpanExporter::builder()
                .with_tonic()
                .with_channel(channel.clone())
                .with_metadata(config.metadata()?)
                .with_timeout(config.timeout)
                .build()
                .context("telemetry: spans cannot be sent")?;
            exporter.set_resource(&resource);
            let queue = telemetry.send("spans", config, SpanSink::new(exporter));
            telemetry.observed = Observed(Some(Arc::new(Spans { queue, ratio: config.sample_ratio })));
        }
        if config.sends_logs() {
            let mut exporter = LogExporter::builder()
                .with_tonic()
                .with_channel(channel)
                .with_metadata(config.metadata()?)
                .with_timeout(config.timeout)
                .build()
                .context("telemetry: logs cannot be sent")?;
            exporter.set_resource(&resource);
            tap.connect(telemetry.send("logs", config, logs::LogSink(exporter)));
        }
        Ok(telemetry)
    }

    fn send<S: export::Sink>(&mut self, signal: &'static str, config: &TelemetryConfig, sink: S) -> Queue<S::Item> {
        let label = SignalLabel { signal };
        let sent = self.metrics.sent.get_or_create(&label).clone();
        let dropped = self.metrics.dropped.get_or_create(&label).clone();
        let (queue, receiver) = queue(config.queue, dropped.clone());
        let limit = config.timeout;
        let counts = export::Counts { signal, sent, dropped };
        self.tasks.push(tokio::spawn(export::run(sink, receiver, limit, counts, self.stop.clone())));
        queue
    }

    /// Who is to be told what becomes of runs.
    pub fn observed(&self) -> Observed {
        self.observed.clone()
    }

    /// Sends what is waiting, as far as the collector takes it in a short time.
    pub async fn shutdown(self) {
        let Telemetry { stop, tasks, .. } = self;
        stop.cancel();
        let until = tokio::time::Instant::now() + limits::TELEMETRY_FLUSH_TIME;
        for mut task in tasks {
            let left = until.saturating_duration_since(tokio::time::Instant::now()).max(Duration::from_millis(1));
            if timeout(left, &mut task).await.is_err() {
                tracing::warn!(target: TARGET, "the collector did not take all spans and log lines in time");
                task.abort();
            }
        }
    }
}

/// Puts facts of traces that are kept into the queue. What they look like as spans is found out by who sends them.
struct Spans {
    queue: Queue<(Arc<ObservedRun>, Fact)>,
    ratio: f64,
}

impl Observer for Spans {
    fn observe(&self, run: &Arc<ObservedRun>, fact: Fact) {
        if run.trace.is_kept(self.ratio) {
            self.queue.push((Arc::clone(run), fact));
        }
    }
}
