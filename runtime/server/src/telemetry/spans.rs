//! What the engine tells of runs, as spans.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mainspring_api::enums::WorkflowExecutionStatus;
use mainspring_core::{
    Time,
    activity::{ActivityEnd, EndedActivity},
    trace,
};
use mainspring_engine::{Activated, ClosedRun, Fact, ObservedRun};
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};

use super::export::Sink;

pub(super) struct SpanSink {
    exporter: SpanExporter,
    scope: InstrumentationScope,
}

impl SpanSink {
    pub fn new(exporter: SpanExporter) -> SpanSink {
        SpanSink { exporter, scope: scope() }
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("mainspring").with_version(env!("CARGO_PKG_VERSION")).build()
}

impl Sink for SpanSink {
    type Item = (Arc<ObservedRun>, Fact);

    async fn send(&self, batch: Vec<Self::Item>) -> Result<(), String> {
        let spans = batch.into_iter().map(|(run, fact)| span(&run, fact, &self.scope)).collect();
        self.exporter.export(spans).await.map_err(|error| error.to_string())
    }
}

fn span(run: &ObservedRun, fact: Fact, scope: &InstrumentationScope) -> SpanData {
    let data = match fact {
        Fact::RunClosed(closed) => run_span(run, &closed),
        Fact::ActivityEnded(ended) => activity_span(run, &ended),
        Fact::Activated(activated) => activation_span(run, &activated),
    };
    SpanData { instrumentation_scope: scope.clone(), ..data }
}

fn run_span(run: &ObservedRun, closed: &ClosedRun) -> SpanData {
    let (status, is_failure) = status(closed.status);
    let mut span = below(run, run.trace.span_id, (closed.start_time, closed.close_time));
    span.name = format!("RunWorkflow:{}", run.workflow_type).into();
    span.span_kind = SpanKind::Server;
    span.parent_span_id = run.trace.parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.span_id));
    span.parent_span_is_remote = run.trace.parent.is_some_and(|parent| parent.is_remote);
    span.attributes.extend([
        KeyValue::new("temporalTaskQueue", run.task_queue.clone()),
        KeyValue::new("mainspring.status", status),
        KeyValue::new("mainspring.attempt", i64::from(closed.attempt)),
        KeyValue::new("mainspring.history_events", closed.history_events),
    ]);
    if !closed.module.is_empty() {
        span.attributes.push(KeyValue::new("mainspring.module", closed.module.clone()));
    }
    if let Some((trace_id, span_id)) = run.trace.link {
        let before = KeyValue::new("mainspring.link", "previous run");
        span.links.links.push(Link::new(context(trace_id, span_id), vec![before], 0));
    }
    if is_failure {
        let message = if closed.message.is_empty() { status } else { &closed.message };
        span.status = Status::error(message.to_owned());
    }
    span
}

fn activity_span(run: &ObservedRun, ended: &EndedActivity) -> SpanData {
    let EndedActivity { activity, ended, end } = ended;
    let scheduled = &activity.scheduled;
    let activity_type = scheduled.activity_type.as_ref().map_or("", |kind| kind.name.as_str());
    let span_id = trace::activity_span(&run.run_id, activity.scheduled_event_id);
    let mut span = below(run, span_id, (activity.scheduled_time, *ended));
    span.name = format!("Activity:{activity_type}").into();
    span.span_kind = SpanKind::Client;
    let (status, message) = match end {
        ActivityEnd::Completed => ("Completed", None),
        ActivityEnd::Failed(message) => ("Failed", Some(message)),
        ActivityEnd::TimedOut(message) => ("TimedOut", Some(message)),
        ActivityEnd::Canceled => ("Canceled", None),
        ActivityEnd::CutOff => ("CutOff", None),
    };
    span.attributes.extend([
        KeyValue::new("temporalActivityID", scheduled.activity_id.clone()),
        KeyValue::new("temporalActivityType", activity_type.to_owned()),
        KeyValue::new("temporalTaskQueue", activity.task_queue().to_owned()),
        KeyValue::new("mainspring.status", status),
        KeyValue::new("mainspring.attempt", i64::from(activity.attempt)),
    ]);
    if !activity.worker_identity.is_empty() {
        span.attributes.push(KeyValue::new("mainspring.worker", activity.worker_identity.clone()));
    }
    // What is stored of the attempts before is the last one's end.
    if let (Some(at), Some(failure)) = (activity.last_attempt_end, &activity.last_failure) {
        let message = KeyValue::new("exception.message", failure.message.clone());
        let attempt = KeyValue::new("mainspring.attempt", i64::from(activity.attempt) - 1);
        span.events.events.push(Event::new("attempt failed", system_time(at), vec![attempt, message], 0));
    }
    if let Some(at) = activity.started_time {
        let attempt = KeyValue::new("mainspring.attempt", i64::from(activity.attempt));
        span.events.events.push(Event::new("attempt started", system_time(at), vec![attempt], 0));
    }
    if let Some(message) = message {
        span.status = Status::error(message.clone());
    }
    span
}

fn activation_span(run: &ObservedRun, activated: &Activated) -> SpanData {
    let Activated { module, started_event_id, attempt, turn } = activated;
    let span_id = trace::activation_span(&run.run_id, *started_event_id, *attempt, turn.began);
    let mut span = below(run, span_id, (turn.began, turn.ended));
    span.name = "Activation".into();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    span.attributes.extend([
        KeyValue::new("mainspring.module", module.to_string()),
        KeyValue::new("mainspring.attempt", i64::from(*attempt)),
        KeyValue::new("mainspring.event_id", *started_event_id),
        KeyValue::new("mainspring.events", number(turn.events)),
        KeyValue::new("mainspring.replayed", turn.replayed_events > 0),
        KeyValue::new("mainspring.fuel", number(turn.fuel)),
        KeyValue::new("mainspring.commands", number(turn.commands as u64)),
    ]);
    if let Some(message) = &turn.failure {
        span.status = Status::error(message.clone());
    }
    span
}

/// A span of a run, below the run's own.
fn below(run: &ObservedRun, span_id: trace::SpanId, (start, end): (Time, Time)) -> SpanData {
    SpanData {
        span_context: context(run.trace.trace_id, span_id),
        parent_span_id: SpanId::from_bytes(run.trace.span_id),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "".into(),
        start_time: system_time(start),
        end_time: system_time(end.max(start)),
        attributes: vec![
            KeyValue::new("temporalNamespace", run.namespace.clone()),
            KeyValue::new("temporalWorkflowID", run.workflow_id.clone()),
            KeyValue::new("temporalRunID", run.run_id.clone()),
            KeyValue::new("temporalWorkflowType", run.workflow_type.clone()),
        ],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

fn context(trace_id: trace::TraceId, span_id: trace::SpanId) -> SpanContext {
    let (trace_id, span_id) = (TraceId::from_bytes(trace_id), SpanId::from_bytes(span_id));
    SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::default())
}

fn system_time(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(u64::try_from(time.0).unwrap_or(0))
}

/// As Temporal spells it, and whether it is a failure.
fn status(status: WorkflowExecutionStatus) -> (&'static str, bool) {
    match status {
        WorkflowExecutionStatus::Completed => ("Completed", false),
        WorkflowExecutionStatus::Failed => ("Failed", true),
        WorkflowExecutionStatus::Canceled => ("Canceled", false),
        WorkflowExecutionStatus::Terminated => ("Terminated", true),
        WorkflowExecutionStatus::ContinuedAsNew => ("ContinuedAsNew", false),
        WorkflowExecutionStatus::TimedOut => ("TimedOut", true),
        _ => ("Other", false),
    }
}

#[cfg(test)]
mod tests {
    use mainspring_api::history::WorkflowExecutionStartedEventAttributes as Started;
    use mainspring_core::trace::RunTrace;

    use super::*;

    fn observed(started: &Started) -> ObservedRun {
        ObservedRun {
            namespace: "default".into(),
            workflow_id: "order-1".into(),
            run_id: "run".into(),
            workflow_type: "OrderWorkflow".into(),
            task_queue: "orders".into(),
            trace: RunTrace::of("run", started),
        }
    }

    fn closed(status: WorkflowExecutionStatus, message: &str) -> Fact {
        Fact::RunClosed(ClosedRun {
            start_time: Time::from_millis(1_000),
            close_time: Time::from_millis(3_500),
            status,
            attempt: 1,
            message: message.into(),
            history_events: 11,
            module: String::new(),
        })
    }

    fn attribute(span: &SpanData, name: &str) -> String {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
        found.unwrap_or_else(|| panic!("{name} is missing")).value.to_string()
    }

    #[test]
    fn a_runs_span_lasts_as_long_as_the_run() {
        let run = observed(&Started::default());
        let span = span(&run, closed(WorkflowExecutionStatus::Completed, ""), &scope());
        assert_eq!(span.name, "RunWorkflow:OrderWorkflow");
        assert_eq!(span.start_time, UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(span.end_time, UNIX_EPOCH + Duration::from_millis(3_500));
        assert_eq!((span.parent_span_id, &span.status), (SpanId::INVALID, &Status::Unset));
        assert_eq!(attribute(&span, "temporalWorkflowID"), "order-1");
        assert_eq!(attribute(&span, "temporalTaskQueue"), "orders");
        assert_eq!(attribute(&span, "mainspring.status"), "Completed");
        assert!(span.links.links.is_empty());
    }

    #[test]
    fn a_failure_says_why() {
        let run = observed(&Started::default());
        let status = |status, message| span(&run, closed(status, message), &scope()).status;
        assert_eq!(status(WorkflowExecutionStatus::Failed, "no stock"), Status::error("no stock"));
        assert_eq!(status(WorkflowExecutionStatus::TimedOut, ""), Status::error("TimedOut"));
        assert_eq!(status(WorkflowExecutionStatus::Canceled, ""), Status::Unset);
    }

    #[test]
    fn a_run_that_goes_on_is_linked_with_the_one_before() {
        let run = observed(&Started { continued_execution_run_id: "before".into(), ..Started::default() });
        let span = span(&run, closed(WorkflowExecutionStatus::Completed, ""), &scope());
        let before = RunTrace::of("before", &Started::default());
        assert_eq!(span.links.links[0].span_context.span_id().to_bytes(), before.span_id);
        assert_eq!(span.links.links[0].span_context.trace_id().to_bytes(), before.trace_id);
    }
}
