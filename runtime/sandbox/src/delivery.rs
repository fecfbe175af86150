//! What an event of the journal is to the guest.

use std::collections::HashMap;

use mainspring_api::{
    enums::{SignalExternalWorkflowExecutionFailedCause, StartChildWorkflowExecutionFailedCause},
    history::{
        ActivityTaskStartedEventAttributes, HistoryEvent, WorkflowExecutionSignaledEventAttributes,
        history_event::Attributes,
    },
};
use mainspring_core::command::describe_event;

use crate::{
    TaskFailure,
    bindings::{
        activation::{Event, Signal},
        types::{
            ActivityFailure, ChildWorkflowFailure, FailureKind, FailureLink, Payload, RetryState, TimeoutFailure,
            TimeoutType,
        },
    },
    convert::{
        failure::{
            ActivityEnd, ChildEnd, activity_failure, canceled_activity, child_failure, failure_to_guest, refusal,
            retry_state, single, undelivered,
        },
        payload::{header_to_guest, payloads_to_guest},
    },
    operations::{Delivered, EndedActivity, EndedChild, Operations},
};

/// The type of a failure to reach another workflow, as Temporal's SDKs have it.
const NO_SUCH_WORKFLOW: &str = "ExternalWorkflowExecutionNotFound";

/// Activities that have begun and not ended, as far as the journal has told: scheduled event to started event.
pub type BegunActivities = HashMap<i64, i64>;

/// The guest's word for an event that is not the mark of a command; none where the guest is not told of it.
///
/// Fails where the event is about an operation that the module did not start, or that has ended.
pub fn deliver(
    event: &HistoryEvent,
    operations: &mut Operations,
    begun: &mut BegunActivities,
) -> Result<Option<Event>, TaskFailure> {
    let id = event.event_id;
    let Some(attributes) = &event.attributes else {
        return Err(TaskFailure::history(id, "it has no attributes"));
    };
    match attributes {
        Attributes::ActivityTaskStartedEventAttributes(started) => {
            activity_started(id, started, operations, begun).map(|()| None)
        }
        Attributes::ActivityTaskCompletedEventAttributes(end) => {
            let ended = end_activity(event, end.scheduled_event_id, end.started_event_id, operations, begun)?;
            Ok(resolution(ended, |_| Ok(payloads_to_guest(end.result.as_ref()))))
        }
        Attributes::ActivityTaskFailedEventAttributes(end) => {
            let ended = end_activity(event, end.scheduled_event_id, end.started_event_id, operations, begun)?;
            Ok(resolution(ended, |ended| {
                let ids = (end.scheduled_event_id, end.started_event_id);
                let info = failure_info(ended, ids, &end.identity, retry_state(end.retry_state));
                Err(activity_failure(ActivityEnd::Failed, info, end.failure.as_ref()))
            }))
        }
        Attributes::ActivityTaskTimedOutEventAttributes(end) => {
            let ended = end_activity(event, end.scheduled_event_id, end.started_event_id, operations, begun)?;
            Ok(resolution(ended, |ended| {
                let ids = (end.scheduled_event_id, end.started_event_id);
                let info = failure_info(ended, ids, "", retry_state(end.retry_state));
                Err(activity_failure(ActivityEnd::TimedOut, info, end.failure.as_ref()))
            }))
        }
        Attributes::ActivityTaskCanceledEventAttributes(end) => {
            let ended = end_activity(event, end.scheduled_event_id, end.started_event_id, operations, begun)?;
            Ok(resolution(ended, |ended| {
                let ids = (end.scheduled_event_id, end.started_event_id);
                let info = failure_info(ended, ids, &end.identity, RetryState::CancelRequested);
                Err(canceled_activity(info, end.details.as_ref()))
            }))
        }
        Attributes::TimerFiredEventAttributes(fired) => {
            let Some(operation) = operations.timer_fired(&fired.timer_id, fired.started_event_id) else {
                let expected = format!("timer {:?} of event {} firing", fired.timer_id, fired.started_event_id);
                return Err(TaskFailure::nondeterminism(id, expected, "has no such timer running"));
            };
            Ok(Some(Event::TimerFired(operation)))
        }
        Attributes::WorkflowExecutionSignaledEventAttributes(signal) => Ok(Some(signaled(signal))),
        Attributes::WorkflowExecutionCancelRequestedEventAttributes(request) => {
            Ok(Some(Event::CancelRequested(request.cause.clone())))
        }
        Attributes::StartChildWorkflowExecutionFailedEventAttributes(failed) => {
            let ended = operations.child_ended(failed.initiated_event_id, false);
            let ended = ended.ok_or_else(|| no_such_child(id, failed.initiated_event_id))?;
            let (message, failure_type) = match failed.cause() {
                StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists => {
                    ("Workflow execution already started", "WorkflowExecutionAlreadyStarted")
                }
                StartChildWorkflowExecutionFailedCause::NamespaceNotFound => {
                    ("Namespace not found", "NamespaceNotFound")
                }
                _ => ("it could not be started", "ServerFailure"),
            };
            let cause = refusal(message, failure_type);
            let info = child_info(&ended, failed.initiated_event_id, RetryState::NonRetryableFailure);
            let failure = child_failure(ChildEnd::NotStarted, info, cause);
            Ok(ended.for_guest.then_some(Event::ChildStarted((ended.operation, Err(failure)))))
        }
        Attributes::ChildWorkflowExecutionStartedEventAttributes(started) => {
            let run_id = started.workflow_execution.as_ref().map_or("", |execution| execution.run_id.as_str());
            let begun = operations.child_started(started.initiated_event_id, run_id, id);
            let (operation, for_guest) = begun.ok_or_else(|| no_such_child(id, started.initiated_event_id))?;
            Ok(for_guest.then(|| Event::ChildStarted((operation, Ok(run_id.to_owned())))))
        }
        Attributes::ChildWorkflowExecutionCompletedEventAttributes(end) => {
            let ended = end_child(id, end.initiated_event_id, operations)?;
            let result = Ok(payloads_to_guest(end.result.as_ref()));
            Ok(ended.for_guest.then_some(Event::ChildResolved((ended.operation, result))))
        }
        Attributes::ChildWorkflowExecutionFailedEventAttributes(end) => {
            let ended = end_child(id, end.initiated_event_id, operations)?;
            let cause = end.failure.as_ref().map(failure_to_guest).unwrap_or_default();
            let initiated = (end.initiated_event_id, retry_state(end.retry_state));
            Ok(child_resolution(&ended, ChildEnd::Failed, initiated, cause))
        }
        Attributes::ChildWorkflowExecutionCanceledEventAttributes(end) => {
            let ended = end_child(id, end.initiated_event_id, operations)?;
            let details = FailureKind::Canceled(payloads_to_guest(end.details.as_ref()));
            let cause = single("Child Workflow execution cancelled", details);
            Ok(child_resolution(&ended, ChildEnd::Canceled, (end.initiated_event_id, RetryState::Unspecified), cause))
        }
        Attributes::ChildWorkflowExecutionTimedOutEventAttributes(end) => {
            let ended = end_child(id, end.initiated_event_id, operations)?;
            let timeout =
                TimeoutFailure { timeout_type: TimeoutType::StartToClose, last_heartbeat_details: Vec::new() };
            let cause = single("Child Workflow execution timed out", FailureKind::Timeout(timeout));
            let initiated = (end.initiated_event_id, retry_state(end.retry_state));
            Ok(child_resolution(&ended, ChildEnd::TimedOut, initiated, cause))
        }
        Attributes::ChildWorkflowExecutionTerminatedEventAttributes(end) => {
            let ended = end_child(id, end.initiated_event_id, operations)?;
            let cause = single("Child Workflow execution terminated", FailureKind::Terminated);
            Ok(child_resolution(&ended, ChildEnd::Terminated, (end.initiated_event_id, RetryState::Unspecified), cause))
        }
        Attributes::ExternalWorkflowExecutionSignaledEventAttributes(end) => {
            Ok(end_external(id, end.initiated_event_id, operations, None)?)
        }
        Attributes::SignalExternalWorkflowExecutionFailedEventAttributes(end) => {
            let (message, failure_type) = match end.cause() {
                SignalExternalWorkflowExecutionFailedCause::SignalCountLimitExceeded => {
                    ("Unable to signal external workflow because it has too many signals", "SignalCountLimitExceeded")
                }
                _ => ("Unable to signal external workflow because it was not found", NO_SUCH_WORKFLOW),
            };
            let failure = undelivered(message, failure_type);
            Ok(end_external(id, end.initiated_event_id, operations, Some(failure))?)
        }
        Attributes::ExternalWorkflowExecutionCancelRequestedEventAttributes(end) => {
            Ok(end_external(id, end.initiated_event_id, operations, None)?)
        }
        Attributes::RequestCancelExternalWorkflowExecutionFailedEventAttributes(end) => {
            let failure = undelivered("Unable to cancel external workflow because not found", NO_SUCH_WORKFLOW);
            Ok(end_external(id, end.initiated_event_id, operations, Some(failure))?)
        }
        // The run ended from outside: nothing that the module did or could do.
        Attributes::WorkflowExecutionTerminatedEventAttributes(_)
        | Attributes::WorkflowExecutionTimedOutEventAttributes(_)
        // What people do to a run from outside, and the module cannot see.
        | Attributes::WorkflowPropertiesModifiedExternallyEventAttributes(_)
        | Attributes::ActivityPropertiesModifiedExternallyEventAttributes(_)
        | Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(_)
        | Attributes::WorkflowExecutionPausedEventAttributes(_)
        | Attributes::WorkflowExecutionUnpausedEventAttributes(_) => Ok(None),
        // It comes with the updates of the next workflow task.
        Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(_) => Ok(None),
        // Nexus operations: this version's modules have none of them.
        _ if event.worker_may_ignore => Ok(None),
        _ => Err(TaskFailure::nondeterminism(id, describe_event(event), "cannot have caused or handled it")),
    }
}

fn signaled(signal: &WorkflowExecutionSignaledEventAttributes) -> Event {
    Event::SignalReceived(Signal {
        name: signal.signal_name.clone(),
        input: payloads_to_guest(signal.input.as_ref()),
        identity: signal.identity.clone(),
        header: header_to_guest(signal.header.as_ref()),
    })
}

fn no_such_child(id: i64, initiated_event_id: i64) -> TaskFailure {
    TaskFailure::nondeterminism(
        id,
        format!("news of the child workflow that event {initiated_event_id} initiated"),
        "has no such child open",
    )
}

fn end_child(id: i64, initiated_event_id: i64, operations: &mut Operations) -> Result<EndedChild, TaskFailure> {
    operations.child_ended(initiated_event_id, true).ok_or_else(|| no_such_child(id, initiated_event_id))
}

fn child_info(ended: &EndedChild, initiated_event_id: i64, retry_state: RetryState) -> ChildWorkflowFailure {
    ChildWorkflowFailure {
        namespace: ended.name.namespace.clone(),
        workflow_id: ended.name.workflow_id.clone(),
        run_id: ended.run_id.clone(),
        workflow_type: ended.name.workflow_type.clone(),
        initiated_event_id: u64::try_from(initiated_event_id).unwrap_or(0),
        started_event_id: u64::try_from(ended.started_event_id).unwrap_or(0),
        retry_state,
    }
}

fn child_resolution(
    ended: &EndedChild,
    end: ChildEnd,
    (initiated_event_id, retry_state): (i64, RetryState),
    cause: Vec<FailureLink>,
) -> Option<Event> {
    let failure = child_failure(end, child_info(ended, initiated_event_id, retry_state), cause);
    ended.for_guest.then_some(Event::ChildResolved((ended.operation, Err(failure))))
}

fn end_external(
    id: i64,
    initiated_event_id: i64,
    operations: &mut Operations,
    failure: Option<Vec<FailureLink>>,
) -> Result<Option<Event>, TaskFailure> {
    match operations.external_ended(initiated_event_id) {
        Some(Delivered::Message(operation)) => Ok(Some(Event::ExternalResolved((operation, failure)))),
        Some(Delivered::CancelOfChild(event)) => Ok(event),
        None => Err(TaskFailure::nondeterminism(
            id,
            format!("the answer to the message of event {initiated_event_id}"),
            "has sent no such message",
        )),
    }
}

fn activity_started(
    id: i64,
    started: &ActivityTaskStartedEventAttributes,
    operations: &Operations,
    begun: &mut BegunActivities,
) -> Result<(), TaskFailure> {
    let scheduled = started.scheduled_event_id;
    if !operations.is_open_activity(scheduled) {
        return Err(no_such_activity(id, scheduled));
    }
    match begun.insert(scheduled, id) {
        None => Ok(()),
        Some(before) => {
            Err(TaskFailure::history(id, format!("the activity of event {scheduled} has started before, at {before}")))
        }
    }
}

fn no_such_activity(id: i64, scheduled_event_id: i64) -> TaskFailure {
    TaskFailure::nondeterminism(
        id,
        format!("news of the activity that event {scheduled_event_id} scheduled"),
        "has no such activity open",
    )
}

fn end_activity(
    event: &HistoryEvent,
    scheduled_event_id: i64,
    started_event_id: i64,
    operations: &mut Operations,
    begun: &mut BegunActivities,
) -> Result<EndedActivity, TaskFailure> {
    let id = event.event_id;
    let Some(ended) = operations.activity_ended(scheduled_event_id) else {
        return Err(no_such_activity(id, scheduled_event_id));
    };
    let begun = begun.remove(&scheduled_event_id).unwrap_or(0);
    if begun != started_event_id {
        return Err(TaskFailure::history(
            id,
            format!("it names ActivityTaskStarted {started_event_id}, where the history has {begun}"),
        ));
    }
    Ok(ended)
}

fn resolution(
    ended: EndedActivity,
    result: impl FnOnce(&EndedActivity) -> Result<Vec<Payload>, Vec<FailureLink>>,
) -> Option<Event> {
    ended.for_guest.then(|| Event::ActivityResolved((ended.operation, result(&ended))))
}

fn failure_info(
    ended: &EndedActivity,
    (scheduled_event_id, started_event_id): (i64, i64),
    identity: &str,
    retry_state: RetryState,
) -> ActivityFailure {
    ActivityFailure {
        scheduled_event_id: u64::try_from(scheduled_event_id).unwrap_or(0),
        started_event_id: u64::try_from(started_event_id).unwrap_or(0),
        identity: identity.to_owned(),
        activity_type: ended.name.activity_type.clone(),
        activity_id: ended.name.activity_id.clone(),
        retry_state,
    }
}
