//! Lines of the log, as OpenTelemetry's records.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, Key, SpanId, TraceId,
    logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity},
};
use opentelemetry_otlp::LogExporter;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    logs::{LogBatch, LogExporter as _, LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider},
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use super::{
    TARGET,
    export::{Queue, Sink},
};
use crate::limits;

/// Those that send telemetry, or speak of it: what they say while they send would be sent, and so on.
const NOT_SENT: [&str; 8] = ["opentelemetry", "tonic", "h2", "hyper", "hyper_util", "tower", "rustls", TARGET];

/// Where a server gets the lines of its log from, to send them. Clones are the same one.
///
/// The program that runs the server makes it a layer of its subscriber. Until a server begins to send lines, and where
/// none does, it is silent.
#[derive(Clone, Default)]
pub struct LogTap {
    logger: Arc<OnceLock<SdkLogger>>,
}

impl fmt::Debug for LogTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogTap").field("connected", &self.logger.get().is_some()).finish()
    }
}

impl LogTap {
    /// The layer that listens.
    pub fn layer<S: Subscriber>(&self) -> impl Layer<S> + Send + Sync + 'static {
        Tapped(self.clone())
    }

    pub(super) fn connect(&self, queue: Queue<LogItem>) {
        let provider = SdkLoggerProvider::builder().with_log_processor(Processor(queue)).build();
        // Once: a second server of the same process has its lines sent by the first.
        let _ = self.logger.set(provider.logger("mainspring"));
    }
}

/// Boxed, because a record is large and most places of a queue are empty.
pub(super) type LogItem = Box<(SdkLogRecord, InstrumentationScope)>;

/// Puts records into the queue.
struct Processor(Queue<LogItem>);

impl fmt::Debug for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Processor")
    }
}

impl LogProcessor for Processor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.push(Box::new((record.clone(), scope.clone())));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    // The queue is closed by who empties it.
    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

pub(super) struct LogSink(pub LogExporter);

impl Sink for LogSink {
    type Item = LogItem;

    async fn send(&self, batch: Vec<LogItem>) -> Result<(), String> {
        let records: Vec<_> = batch.iter().map(|item| (&item.0, &item.1)).collect();
        self.0.export(LogBatch::new(&records)).await.map_err(|error| error.to_string())
    }
}

struct Tapped(LogTap);

impl<S: Subscriber> Layer<S> for Tapped {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let target = metadata.target();
        if is_not_sent(target) {
            return;
        }
        let Some(logger) = self.0.logger.get() else { return };
        let mut line = Line { record: logger.create_log_record(), trace_id: None, span_id: None };
        let now = SystemTime::now();
        line.record.set_timestamp(now);
        line.record.set_observed_timestamp(now);
        line.record.set_target(target);
        line.record.set_severity_number(severity(*metadata.level()));
        line.record.set_severity_text(metadata.level().as_str());
        event.record(&mut line);
        let Line { mut record, trace_id, span_id } = line;
        if let (Some(trace_id), Some(span_id)) = (trace_id, span_id) {
            record.set_trace_context(trace_id, span_id, None);
        }
        logger.emit(record);
    }
}

fn is_not_sent(target: &str) -> bool {
    NOT_SENT.iter().any(|name| {
        target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with('_'))
    })
}

fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

/// A record in the making.
struct Line {
    record: SdkLogRecord,
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
}

impl Line {
    fn add(&mut self, field: &Field, value: impl Into<AnyValue>) {
        self.record.add_attribute(key(field.name()), value);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "trace_id" => self.trace_id = TraceId::from_hex(value).ok(),
            "span_id" => self.span_id = SpanId::from_hex(value).ok(),
            "message" => self.record.set_body(shortened(value).into()),
            _ => self.add(field, shortened(value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The run's fields are called what they are in spans.
fn key(field: &'static str) -> Key {
    Key::from_static_str(match field {
        "namespace" => "temporalNamespace",
        "workflow_id" => "temporalWorkflowID",
        "run_id" => "temporalRunID",
        "workflow_type" => "temporalWorkflowType",
        "activity_id" => "temporalActivityID",
        "activity_type" => "temporalActivityType",
        "attempt" => "mainspring.attempt",
        "module" => "mainspring.module",
        other => other,
    })
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(limits::TELEMETRY_TEXT_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::telemetry::export::queue;

    /// The records of what is logged meanwhile.
    fn records(log: impl FnOnce()) -> Vec<SdkLogRecord> {
        let (queue, mut receiver) = queue(100, Counter::default());
        let tap = LogTap::default();
        tap.connect(queue);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(tap.layer()), log);
        std::iter::from_fn(|| receiver.try_recv().ok()).map(|item| item.0).collect()
    }

    fn attribute(record: &SdkLogRecord, name: &str) -> Option<AnyValue> {
        record.attributes_iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn a_guests_line_names_its_run_and_stands_in_its_trace() {
        let trace_id = "0af7651916cd43dd8448eb211c80319c";
        let records = records(|| {
            tracing::warn!(
                target: "mainspring::workflow_log", namespace = "shop", workflow_id = "order-1", run_id = "r",
                module = Some("abc"), trace_id = Some(trace_id), span_id = Some("b7ad6b7169203331"), attempt = 2_i64,
                "low {}", "stock"
            );
        });
        let [record] = &records[..] else { panic!("{records:?}") };
        assert_eq!(record.body(), Some(&AnyValue::from("low stock")));
        assert_eq!(record.severity_number(), Some(Severity::Warn));
        assert_eq!(record.target().unwrap(), "mainspring::workflow_log");
        assert_eq!(attribute(record, "temporalNamespace"), Some("shop".into()));
        assert_eq!(attribute(record, "temporalWorkflowID"), Some("order-1".into()));
        assert_eq!(attribute(record, "mainspring.module"), Some("abc".into()));
        assert_eq!(attribute(record, "mainspring.attempt"), Some(2_i64.into()));
        assert_eq!(record.trace_context().unwrap().trace_id, TraceId::from_hex(trace_id).unwrap());
        assert_eq!(attribute(record, "trace_id"), None);
    }

    #[test]
    fn what_sending_says_is_not_sent() {
        let records = records(|| {
            tracing::error!(target: "h2::client", "frame");
            tracing::error!(target: "hyper_util::client", "connection");
            tracing::error!(target: TARGET, "the collector is gone");
            tracing::error!(target: "opentelemetry_otlp", "batch");
            tracing::error!(target: "mainspring_server::auth", "kept");
        });
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].body(), Some(&AnyValue::from("kept")));
    }

    #[test]
    fn a_long_line_is_cut() {
        let records =
            records(|| tracing::info!(target: "mainspring_engine", "{}", "ä".repeat(limits::TELEMETRY_TEXT_BYTES)));
        let Some(AnyValue::String(body)) = records[0].body() else { panic!("{records:?}") };
        assert_eq!(body.as_str().len(), limits::TELEMETRY_TEXT_BYTES);
    }

    #[test]
    fn without_a_server_nothing_is_made() {
        let tap = LogTap::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(tap.layer()), || {
            tracing::info!(target: "mainspring_engine", "hello");
        });
        assert!(tap.logger.get().is_none());
    }
}
