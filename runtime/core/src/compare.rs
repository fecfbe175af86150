//! Replay: what a workflow asks for now, compared with the events that it once became.

use mainspring_api::{
    command::{Command, command::Attributes as Asked},
    history::{HistoryEvent, WorkflowExecutionStartedEventAttributes, history_event::Attributes as Written},
};

use crate::{command::written, protocol, time};

/// Whether events of this kind are the mark of a command.
pub fn is_command_event(event: &HistoryEvent) -> bool {
    use mainspring_api::enums::EventType as T;
    matches!(
        event.event_type(),
        T::ActivityTaskScheduled
            | T::ActivityTaskCancelRequested
            | T::TimerStarted
            | T::TimerCanceled
            | T::MarkerRecorded
            | T::StartChildWorkflowExecutionInitiated
            | T::RequestCancelExternalWorkflowExecutionInitiated
            | T::SignalExternalWorkflowExecutionInitiated
            | T::UpsertWorkflowSearchAttributes
            | T::WorkflowPropertiesModified
            | T::WorkflowExecutionUpdateAccepted
            | T::WorkflowExecutionUpdateCompleted
            | T::WorkflowExecutionCompleted
            | T::WorkflowExecutionFailed
            | T::WorkflowExecutionCanceled
            | T::WorkflowExecutionContinuedAsNew
    )
}

/// Compares what a workflow asks for in replay with what the journal says that it asked for: kind, ids, types,
/// options and values, all of it. `Err` says how they differ.
///
/// Of a ProtocolMessage command only the id of its message is known here; [`protocol::check`] compares the message.
pub fn check(
    command: &Command,
    event: &HistoryEvent,
    started: &WorkflowExecutionStartedEventAttributes,
) -> Result<(), String> {
    let differ = |what: &str| {
        Err(format!("the journal has {}, the module asked for {}{what}", describe_event(event), describe(command)))
    };
    match (&command.attributes, &event.attributes) {
        (
            Some(Asked::RequestCancelActivityTaskCommandAttributes(asked)),
            Some(Written::ActivityTaskCancelRequestedEventAttributes(has)),
        ) => match asked.scheduled_event_id == has.scheduled_event_id {
            true => Ok(()),
            false => differ(" of another activity"),
        },
        (Some(Asked::CancelTimerCommandAttributes(asked)), Some(Written::TimerCanceledEventAttributes(has))) => {
            match asked.timer_id == has.timer_id {
                true => Ok(()),
                false => differ(" of another timer"),
            }
        }
        (
            Some(Asked::ProtocolMessageCommandAttributes(asked)),
            Some(
                has @ (Written::WorkflowExecutionUpdateAcceptedEventAttributes(_)
                | Written::WorkflowExecutionUpdateCompletedEventAttributes(_)),
            ),
        ) => match protocol::is_about(&asked.message_id, has) {
            true => Ok(()),
            false => differ(""),
        },
        (Some(_), Some(has)) => {
            let Some(mut expected) = written(command, started, completed_event_id(has)) else {
                return differ("");
            };
            if std::mem::discriminant(&expected) != std::mem::discriminant(has) {
                return differ("");
            }
            take_over_decisions(&mut expected, has);
            let difference = match first_difference(&expected, has) {
                None if command.user_metadata != event.user_metadata => Some("user_metadata"),
                // Every field is named below; should one ever not be, the two still must not pass for the same.
                None if expected != *has => Some("attributes"),
                found => found,
            };
            match difference {
                None => Ok(()),
                Some(field) => differ(&format!(" with another {field}")),
            }
        }
        _ => differ(""),
    }
}

/// What the server has decided, and the command does not say.
fn take_over_decisions(expected: &mut Written, has: &Written) {
    use Written as W;
    match (expected, has) {
        (W::WorkflowExecutionCompletedEventAttributes(expected), W::WorkflowExecutionCompletedEventAttributes(has)) => {
            expected.new_execution_run_id.clone_from(&has.new_execution_run_id);
        }
        (W::WorkflowExecutionFailedEventAttributes(expected), W::WorkflowExecutionFailedEventAttributes(has)) => {
            expected.new_execution_run_id.clone_from(&has.new_execution_run_id);
            expected.retry_state = has.retry_state;
        }
        (
            W::WorkflowExecutionContinuedAsNewEventAttributes(expected),
            W::WorkflowExecutionContinuedAsNewEventAttributes(has),
        ) => expected.new_execution_run_id.clone_from(&has.new_execution_run_id),
        (
            W::StartChildWorkflowExecutionInitiatedEventAttributes(expected),
            W::StartChildWorkflowExecutionInitiatedEventAttributes(has),
        ) => {
            own_namespace(&mut expected.namespace, &has.namespace);
            expected.namespace_id.clone_from(&has.namespace_id);
        }
        (
            W::SignalExternalWorkflowExecutionInitiatedEventAttributes(expected),
            W::SignalExternalWorkflowExecutionInitiatedEventAttributes(has),
        ) => {
            own_namespace(&mut expected.namespace, &has.namespace);
            expected.namespace_id.clone_from(&has.namespace_id);
        }
        (
            W::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(expected),
            W::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(has),
        ) => {
            own_namespace(&mut expected.namespace, &has.namespace);
            expected.namespace_id.clone_from(&has.namespace_id);
        }
        _ => {}
    }
}

fn own_namespace(expected: &mut String, has: &str) {
    if expected.is_empty() {
        has.clone_into(expected);
    }
}

/// The first of these fields in which two messages differ.
macro_rules! differing {
    ($expected:expr, $has:expr; $($field:ident)*) => {
        None$(.or(if $expected.$field == $has.$field { None } else { Some(stringify!($field)) }))*
    };
}

/// The name of the first field in which the two events of a kind differ.
fn first_difference(expected: &Written, has: &Written) -> Option<&'static str> {
    use Written as W;
    match (expected, has) {
        (W::ActivityTaskScheduledEventAttributes(a), W::ActivityTaskScheduledEventAttributes(b)) => {
            differing!(a, b; activity_id activity_type task_queue header input schedule_to_close_timeout
                schedule_to_start_timeout start_to_close_timeout heartbeat_timeout retry_policy use_workflow_build_id
                priority)
        }
        (W::TimerStartedEventAttributes(a), W::TimerStartedEventAttributes(b)) => {
            differing!(a, b; timer_id start_to_fire_timeout)
        }
        (W::MarkerRecordedEventAttributes(a), W::MarkerRecordedEventAttributes(b)) => {
            differing!(a, b; marker_name details header failure)
        }
        (
            W::StartChildWorkflowExecutionInitiatedEventAttributes(a),
            W::StartChildWorkflowExecutionInitiatedEventAttributes(b),
        ) => {
            differing!(a, b; workflow_id workflow_type namespace task_queue input workflow_execution_timeout
                workflow_run_timeout workflow_task_timeout parent_close_policy control workflow_id_reuse_policy
                retry_policy cron_schedule header memo search_attributes inherit_build_id priority)
        }
        (
            W::SignalExternalWorkflowExecutionInitiatedEventAttributes(a),
            W::SignalExternalWorkflowExecutionInitiatedEventAttributes(b),
        ) => {
            differing!(a, b; workflow_execution namespace signal_name input control child_workflow_only header)
        }
        (
            W::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(a),
            W::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(b),
        ) => differing!(a, b; workflow_execution namespace control child_workflow_only reason),
        (W::UpsertWorkflowSearchAttributesEventAttributes(a), W::UpsertWorkflowSearchAttributesEventAttributes(b)) => {
            differing!(a, b; search_attributes)
        }
        (W::WorkflowPropertiesModifiedEventAttributes(a), W::WorkflowPropertiesModifiedEventAttributes(b)) => {
            differing!(a, b; upserted_memo)
        }
        (W::WorkflowExecutionCompletedEventAttributes(a), W::WorkflowExecutionCompletedEventAttributes(b)) => {
            differing!(a, b; result)
        }
        (W::WorkflowExecutionFailedEventAttributes(a), W::WorkflowExecutionFailedEventAttributes(b)) => {
            differing!(a, b; failure)
        }
        (W::WorkflowExecutionCanceledEventAttributes(a), W::WorkflowExecutionCanceledEventAttributes(b)) => {
            differing!(a, b; details)
        }
        (
            W::WorkflowExecutionContinuedAsNewEventAttributes(a),
            W::WorkflowExecutionContinuedAsNewEventAttributes(b),
        ) => {
            differing!(a, b; workflow_type task_queue input workflow_run_timeout workflow_task_timeout
                backoff_start_interval initiator failure last_completion_result header memo search_attributes
                inherit_build_id initial_versioning_behavior)
        }
        _ => None,
    }
}

/// The WorkflowTaskCompleted that the event of a command names; 0 where its kind names none.
pub fn completed_event_id(written: &Written) -> i64 {
    use Written as W;
    match written {
        W::ActivityTaskScheduledEventAttributes(has) => has.workflow_task_completed_event_id,
        W::ActivityTaskCancelRequestedEventAttributes(has) => has.workflow_task_completed_event_id,
        W::TimerStartedEventAttributes(has) => has.workflow_task_completed_event_id,
        W::TimerCanceledEventAttributes(has) => has.workflow_task_completed_event_id,
        W::MarkerRecordedEventAttributes(has) => has.workflow_task_completed_event_id,
        W::StartChildWorkflowExecutionInitiatedEventAttributes(has) => has.workflow_task_completed_event_id,
        W::SignalExternalWorkflowExecutionInitiatedEventAttributes(has) => has.workflow_task_completed_event_id,
        W::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(has) => has.workflow_task_completed_event_id,
        W::UpsertWorkflowSearchAttributesEventAttributes(has) => has.workflow_task_completed_event_id,
        W::WorkflowPropertiesModifiedEventAttributes(has) => has.workflow_task_completed_event_id,
        W::WorkflowExecutionCompletedEventAttributes(has) => has.workflow_task_completed_event_id,
        W::WorkflowExecutionFailedEventAttributes(has) => has.workflow_task_completed_event_id,
        W::WorkflowExecutionCanceledEventAttributes(has) => has.workflow_task_completed_event_id,
        W::WorkflowExecutionContinuedAsNewEventAttributes(has) => has.workflow_task_completed_event_id,
        _ => 0,
    }
}

/// A command in a few words, for people.
pub fn describe(command: &Command) -> String {
    match &command.attributes {
        Some(Asked::ScheduleActivityTaskCommandAttributes(asked)) => {
            let name = asked.activity_type.as_ref().map_or("", |activity_type| &activity_type.name);
            format!("activity {name:?} (id {:?})", asked.activity_id)
        }
        Some(Asked::StartTimerCommandAttributes(asked)) => {
            format!("a timer of {:?} (id {:?})", time::duration(asked.start_to_fire_timeout.as_ref()), asked.timer_id)
        }
        Some(Asked::CancelTimerCommandAttributes(asked)) => {
            format!("the cancellation of timer {:?}", asked.timer_id)
        }
        Some(Asked::RequestCancelActivityTaskCommandAttributes(asked)) => {
            format!("the cancellation of the activity that event {} scheduled", asked.scheduled_event_id)
        }
        Some(Asked::StartChildWorkflowExecutionCommandAttributes(asked)) => {
            let name = asked.workflow_type.as_ref().map_or("", |workflow_type| &workflow_type.name);
            format!("child workflow {name:?} (id {:?})", asked.workflow_id)
        }
        Some(Asked::SignalExternalWorkflowExecutionCommandAttributes(asked)) => {
            let target = asked.execution.as_ref().map_or("", |execution| &execution.workflow_id);
            format!("signal {:?} to workflow {target:?}", asked.signal_name)
        }
        Some(Asked::RequestCancelExternalWorkflowExecutionCommandAttributes(asked)) => {
            format!("the cancellation of workflow {:?}", asked.workflow_id)
        }
        Some(Asked::RecordMarkerCommandAttributes(asked)) => format!("marker {:?}", asked.marker_name),
        Some(Asked::ProtocolMessageCommandAttributes(asked)) => format!("message {:?}", asked.message_id),
        _ => command.command_type().as_str_name().trim_start_matches("COMMAND_TYPE_").to_owned(),
    }
}

/// An event in a few words, for people.
pub fn describe_event(event: &HistoryEvent) -> String {
    match &event.attributes {
        Some(Written::ActivityTaskScheduledEventAttributes(has)) => {
            let name = has.activity_type.as_ref().map_or("", |activity_type| &activity_type.name);
            format!("activity {name:?} (id {:?})", has.activity_id)
        }
        Some(Written::TimerStartedEventAttributes(has)) => {
            format!("a timer of {:?} (id {:?})", time::duration(has.start_to_fire_timeout.as_ref()), has.timer_id)
        }
        Some(Written::TimerCanceledEventAttributes(has)) => format!("the cancellation of timer {:?}", has.timer_id),
        Some(Written::ActivityTaskCancelRequestedEventAttributes(has)) => {
            format!("the cancellation of the activity that event {} scheduled", has.scheduled_event_id)
        }
        Some(Written::StartChildWorkflowExecutionInitiatedEventAttributes(has)) => {
            let name = has.workflow_type.as_ref().map_or("", |workflow_type| &workflow_type.name);
            format!("child workflow {name:?} (id {:?})", has.workflow_id)
        }
        Some(Written::SignalExternalWorkflowExecutionInitiatedEventAttributes(has)) => {
            let target = has.workflow_execution.as_ref().map_or("", |execution| &execution.workflow_id);
            format!("signal {:?} to workflow {target:?}", has.signal_name)
        }
        Some(Written::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(has)) => {
            let target = has.workflow_execution.as_ref().map_or("", |execution| &execution.workflow_id);
            format!("the cancellation of workflow {target:?}")
        }
        Some(Written::MarkerRecordedEventAttributes(has)) => format!("marker {:?}", has.marker_name),
        Some(Written::WorkflowExecutionUpdateAcceptedEventAttributes(has)) => {
            format!("the acceptance of update {:?}", has.protocol_instance_id)
        }
        Some(Written::WorkflowExecutionUpdateCompletedEventAttributes(has)) => {
            format!("the outcome of update {:?}", has.meta.as_ref().map_or("", |meta| &meta.update_id))
        }
        _ => event.event_type().as_str_name().trim_start_matches("EVENT_TYPE_").to_owned(),
    }
}
