//! What an event of the journal is to the guest.

use std::collections::HashMap;

use mainspring_api::history::{
    ActivityTaskStartedEventAttributes, HistoryEvent, WorkflowExecutionSignaledEventAttributes,
    history_event::Attributes,
};
use mainspring_core::command::describe_event;

use crate::{
    TaskFailure,
    bindings::{
        activation::{Event, Signal},
        types::{ActivityFailure, Payload, RetryState},
    },
    convert::{
        failure::{ActivityEnd, activity_failure, canceled_activity, retry_state},
        payload::{header_to_guest, payloads_to_guest},
    },
    operations::{EndedActivity, Operations},
};

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
        // The run ended from outside: nothing that the module did or could do.
        Attributes::WorkflowExecutionTerminatedEventAttributes(_)
        | Attributes::WorkflowExecutionTimedOutEventAttributes(_)
        // What people do to a run from outside, and the module cannot see.
        | Attributes::WorkflowPropertiesModifiedExternallyEventAttributes(_)
        | Attributes::ActivityPropertiesModifiedExternallyEventAttributes(_)
        | Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(_)
        | Attributes::WorkflowExecutionPausedEventAttributes(_)
        | Attributes::WorkflowExecutionUnpausedEventAttributes(_) => Ok(None),
        // Children, external workflows, updates and Nexus operations: this version's modules have none of them.
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
    result: impl FnOnce(&EndedActivity) -> Result<Vec<Payload>, Vec<crate::bindings::types::FailureLink>>,
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
