//! Commands: what a workflow asks for at the end of a workflow task. Here they are checked, turned into events, and
//! (in replay) compared with the events that they once became.

use std::collections::{BTreeSet, HashSet};

use mainspring_api::{
    command::{Command, ScheduleActivityTaskCommandAttributes, command::Attributes as Asked},
    enums::{CommandType, RetryState, TaskQueueKind, WorkflowTaskFailedCause as Cause},
    history::{
        ActivityTaskCancelRequestedEventAttributes, ActivityTaskScheduledEventAttributes, HistoryEvent,
        TimerCanceledEventAttributes, TimerStartedEventAttributes, WorkflowExecutionCanceledEventAttributes,
        WorkflowExecutionCompletedEventAttributes, WorkflowExecutionFailedEventAttributes,
        WorkflowExecutionStartedEventAttributes, history_event::Attributes as Written,
    },
    taskqueue::TaskQueue,
};

use crate::{RunState, Step, limits::temporal as limits, retry, time, validate};

/// A command that cannot be carried out: the workflow task fails.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct BadCommand {
    pub cause: Cause,
    pub message: String,
}

fn bad<T>(cause: Cause, message: impl Into<String>) -> Result<T, BadCommand> {
    Err(BadCommand { cause, message: message.into() })
}

/// Whether the command ends the run.
pub fn closes(command: &Command) -> bool {
    matches!(
        command.command_type(),
        CommandType::CompleteWorkflowExecution
            | CommandType::FailWorkflowExecution
            | CommandType::CancelWorkflowExecution
            | CommandType::ContinueAsNewWorkflowExecution
    )
}

impl RunState {
    /// Checks all commands of a task before the first of them changes anything.
    pub(crate) fn check_commands(&self, commands: &[Command]) -> Result<(), BadCommand> {
        let mut pending = Pending::of(self);
        for (index, command) in commands.iter().enumerate() {
            if closes(command) && index + 1 != commands.len() {
                let message = format!("{} must be the last command", command.command_type().as_str_name());
                return bad(Cause::UnhandledCommand, message);
            }
            self.check_command(command, &mut pending)?;
        }
        Ok(())
    }

    fn check_command(&self, command: &Command, pending: &mut Pending) -> Result<(), BadCommand> {
        match &command.attributes {
            Some(Asked::ScheduleActivityTaskCommandAttributes(asked)) => {
                check_activity(asked)?;
                if pending.activity_ids.len() >= limits::PENDING_PER_KIND {
                    let message = format!("more than {} pending activities", limits::PENDING_PER_KIND);
                    return bad(Cause::PendingActivitiesLimitExceeded, message);
                }
                if !pending.activity_ids.insert(asked.activity_id.clone()) {
                    let message = format!("ScheduleActivityTaskCommand: activity id {:?} is in use", asked.activity_id);
                    return bad(Cause::ScheduleActivityDuplicateId, message);
                }
                Ok(())
            }
            Some(Asked::RequestCancelActivityTaskCommandAttributes(asked)) => {
                if self.activities.contains_key(&asked.scheduled_event_id) {
                    return Ok(());
                }
                let message = format!(
                    "RequestCancelActivityTaskCommand: no open activity was scheduled by event {}",
                    asked.scheduled_event_id
                );
                bad(Cause::BadRequestCancelActivityAttributes, message)
            }
            Some(Asked::StartTimerCommandAttributes(asked)) => {
                let cause = Cause::BadStartTimerAttributes;
                validate::name("TimerId", &asked.timer_id).or_else(|error| bad(cause, error.to_string()))?;
                validate::duration("StartToFireTimeout", asked.start_to_fire_timeout.as_ref())
                    .or_else(|error| bad(cause, error.to_string()))?;
                if time::positive(asked.start_to_fire_timeout.as_ref()).is_none() {
                    return bad(
                        cause,
                        format!(
                            "A valid StartToFireTimeout is not set on StartTimerCommand. TimerId={}",
                            asked.timer_id
                        ),
                    );
                }
                if pending.timer_ids.len() >= limits::PENDING_PER_KIND {
                    return bad(cause, format!("more than {} pending timers", limits::PENDING_PER_KIND));
                }
                if !pending.timer_ids.insert(asked.timer_id.clone()) {
                    return bad(
                        Cause::StartTimerDuplicateId,
                        format!("StartTimerCommand: timer id {:?} is in use", asked.timer_id),
                    );
                }
                Ok(())
            }
            Some(Asked::CancelTimerCommandAttributes(asked)) => {
                // One that has fired while the task ran is no longer open, and that is nobody's mistake.
                if pending.timer_ids.remove(&asked.timer_id) || self.has_buffered_timer(&asked.timer_id) {
                    return Ok(());
                }
                let message = format!("CancelTimerCommand: no timer with id {:?} is open", asked.timer_id);
                bad(Cause::BadCancelTimerAttributes, message)
            }
            Some(Asked::CompleteWorkflowExecutionCommandAttributes(asked)) => {
                validate::payloads("Workflow result", asked.result.as_ref())
                    .or_else(|error| bad(Cause::Unspecified, error.to_string()))
            }
            Some(Asked::FailWorkflowExecutionCommandAttributes(asked)) => match &asked.failure {
                Some(_) => Ok(()),
                None => bad(
                    Cause::BadFailWorkflowExecutionAttributes,
                    "Failure is not set on FailWorkflowExecutionCommand.",
                ),
            },
            Some(Asked::CancelWorkflowExecutionCommandAttributes(_)) => Ok(()),
            _ => {
                let message = format!("{} is not supported", command.command_type().as_str_name());
                bad(Cause::UnhandledCommand, message)
            }
        }
    }

    fn has_buffered_timer(&self, timer_id: &str) -> bool {
        self.buffered.iter().any(|event| {
            matches!(&event.attributes, Some(Written::TimerFiredEventAttributes(fired)) if fired.timer_id == timer_id)
        })
    }
}

/// Ids in use, while the commands of one task are checked.
struct Pending {
    activity_ids: HashSet<String>,
    timer_ids: BTreeSet<String>,
}

impl Pending {
    fn of(state: &RunState) -> Pending {
        Pending {
            activity_ids: state.activities.values().map(|activity| activity.scheduled.activity_id.clone()).collect(),
            timer_ids: state.timers.keys().cloned().collect(),
        }
    }
}

fn check_activity(asked: &ScheduleActivityTaskCommandAttributes) -> Result<(), BadCommand> {
    let cause = Cause::BadScheduleActivityAttributes;
    let activity_type = asked.activity_type.as_ref().map_or("", |activity_type| &activity_type.name);
    let task_queue = asked.task_queue.as_ref().map_or("", |task_queue| &task_queue.name);
    let checks = [
        validate::name("ActivityId", &asked.activity_id),
        validate::name("ActivityType", activity_type),
        validate::optional_name("TaskQueue", task_queue),
        validate::duration("ScheduleToCloseTimeout", asked.schedule_to_close_timeout.as_ref()),
        validate::duration("ScheduleToStartTimeout", asked.schedule_to_start_timeout.as_ref()),
        validate::duration("StartToCloseTimeout", asked.start_to_close_timeout.as_ref()),
        validate::duration("HeartbeatTimeout", asked.heartbeat_timeout.as_ref()),
        validate::retry_policy(asked.retry_policy.as_ref()),
        validate::payloads("Activity input", asked.input.as_ref()),
    ];
    for check in checks {
        if let Err(error) = check {
            return bad(cause, format!("{error} ActivityId={} ActivityType={activity_type}", asked.activity_id));
        }
    }
    let closes = time::positive(asked.schedule_to_close_timeout.as_ref())
        .or(time::positive(asked.start_to_close_timeout.as_ref()));
    if closes.is_none() {
        let message = format!(
            "A valid StartToClose or ScheduleToCloseTimeout is not set on ScheduleActivityTaskCommand. ActivityId={} ActivityType={activity_type}",
            asked.activity_id
        );
        return bad(cause, message);
    }
    Ok(())
}

impl Step<'_> {
    /// Carries out a command that has been checked. Returns whether the workflow has news to see because of it.
    pub(crate) fn carry_out(&mut self, command: Command, completed_event_id: i64, identity: &str) -> bool {
        let Some(written) = self.event_of(&command, completed_event_id, identity) else {
            return false;
        };
        let cancels = match &written {
            Written::ActivityTaskCancelRequestedEventAttributes(requested) => Some(requested.scheduled_event_id),
            _ => None,
        };
        let schedules = matches!(written, Written::ActivityTaskScheduledEventAttributes(_));
        let event_id = self.record_with(written, command.user_metadata);
        if schedules {
            self.touched_activities.insert(event_id);
            self.ready_activities.insert(event_id);
        }
        cancels.is_some_and(|scheduled_event_id| self.cancel_activity(scheduled_event_id, event_id, identity))
    }

    /// The event that a command becomes; none for one that has become pointless while the task ran.
    fn event_of(
        &mut self,
        command: &Command,
        workflow_task_completed_event_id: i64,
        identity: &str,
    ) -> Option<Written> {
        match command.attributes.as_ref()? {
            Asked::RequestCancelActivityTaskCommandAttributes(asked) => {
                let requested = ActivityTaskCancelRequestedEventAttributes {
                    scheduled_event_id: asked.scheduled_event_id,
                    workflow_task_completed_event_id,
                };
                Some(requested.into())
            }
            Asked::CancelTimerCommandAttributes(asked) => {
                self.state.buffered.retain(|event| {
                    !matches!(&event.attributes, Some(Written::TimerFiredEventAttributes(fired)) if fired.timer_id == asked.timer_id)
                });
                let started_event_id = self.state.timers.get(&asked.timer_id).map_or(0, |timer| timer.started_event_id);
                let canceled = TimerCanceledEventAttributes {
                    timer_id: asked.timer_id.clone(),
                    started_event_id,
                    workflow_task_completed_event_id,
                    identity: identity.to_owned(),
                };
                Some(canceled.into())
            }
            _ => written(command, &self.state.started, workflow_task_completed_event_id),
        }
    }
}

/// The event of a command that needs no knowledge of the run but how it was started.
fn written(
    command: &Command,
    started: &WorkflowExecutionStartedEventAttributes,
    workflow_task_completed_event_id: i64,
) -> Option<Written> {
    Some(match command.attributes.as_ref()? {
        Asked::ScheduleActivityTaskCommandAttributes(asked) => {
            scheduled_activity(asked, started, workflow_task_completed_event_id).into()
        }
        Asked::StartTimerCommandAttributes(asked) => TimerStartedEventAttributes {
            timer_id: asked.timer_id.clone(),
            start_to_fire_timeout: asked.start_to_fire_timeout,
            workflow_task_completed_event_id,
        }
        .into(),
        Asked::CompleteWorkflowExecutionCommandAttributes(asked) => WorkflowExecutionCompletedEventAttributes {
            result: asked.result.clone(),
            workflow_task_completed_event_id,
            ..Default::default()
        }
        .into(),
        Asked::FailWorkflowExecutionCommandAttributes(asked) => WorkflowExecutionFailedEventAttributes {
            failure: asked.failure.clone(),
            retry_state: RetryState::RetryPolicyNotSet.into(),
            workflow_task_completed_event_id,
            ..Default::default()
        }
        .into(),
        Asked::CancelWorkflowExecutionCommandAttributes(asked) => WorkflowExecutionCanceledEventAttributes {
            workflow_task_completed_event_id,
            details: asked.details.clone(),
        }
        .into(),
        _ => return None,
    })
}

/// Fills in the timeouts and the retry policy that were left out, as Temporal's server does.
fn scheduled_activity(
    asked: &ScheduleActivityTaskCommandAttributes,
    started: &WorkflowExecutionStartedEventAttributes,
    workflow_task_completed_event_id: i64,
) -> ActivityTaskScheduledEventAttributes {
    let run_timeout = time::duration(started.workflow_run_timeout.as_ref());
    let within_run = |timeout: std::time::Duration| {
        if run_timeout.is_zero() { timeout } else { timeout.min(run_timeout) }
    };
    let asked_to_start = time::positive(asked.schedule_to_start_timeout.as_ref());
    let asked_start_to_close = time::positive(asked.start_to_close_timeout.as_ref());
    let (to_close, to_start, start_to_close) = match time::positive(asked.schedule_to_close_timeout.as_ref()) {
        Some(to_close) => (
            to_close,
            asked_to_start.map_or(to_close, |timeout| timeout.min(to_close)),
            asked_start_to_close.map_or(to_close, |timeout| timeout.min(to_close)),
        ),
        None => (run_timeout, asked_to_start.unwrap_or(run_timeout), asked_start_to_close.unwrap_or_default()),
    };
    let start_to_close = within_run(start_to_close);
    let heartbeat = time::duration(asked.heartbeat_timeout.as_ref()).min(start_to_close);
    let task_queue = asked.task_queue.as_ref().filter(|task_queue| !task_queue.name.is_empty());
    let task_queue = task_queue.or(started.task_queue.as_ref()).map_or("", |task_queue| &task_queue.name);
    ActivityTaskScheduledEventAttributes {
        activity_id: asked.activity_id.clone(),
        activity_type: asked.activity_type.clone(),
        task_queue: Some(TaskQueue {
            name: task_queue.to_owned(),
            kind: TaskQueueKind::Normal.into(),
            ..Default::default()
        }),
        header: asked.header.clone(),
        input: asked.input.clone(),
        schedule_to_close_timeout: Some(time::to_proto(within_run(to_close))),
        schedule_to_start_timeout: Some(time::to_proto(within_run(to_start))),
        start_to_close_timeout: Some(time::to_proto(start_to_close)),
        heartbeat_timeout: Some(time::to_proto(heartbeat)),
        workflow_task_completed_event_id,
        retry_policy: Some(retry::with_defaults(asked.retry_policy.as_ref())),
        use_workflow_build_id: asked.use_workflow_build_id,
        priority: asked.priority.clone(),
    }
}

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
            | T::WorkflowExecutionCompleted
            | T::WorkflowExecutionFailed
            | T::WorkflowExecutionCanceled
            | T::WorkflowExecutionContinuedAsNew
    )
}

/// Compares what a workflow asks for in replay with what the journal says that it asked for: kind, ids, types,
/// options and values, all of it. `Err` says how they differ.
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
        (Some(_), Some(has)) => {
            let expected = written(command, started, completed_event_id(has));
            match expected {
                Some(expected) if expected == *has && command.user_metadata == event.user_metadata => Ok(()),
                Some(expected) if std::mem::discriminant(&expected) == std::mem::discriminant(has) => {
                    differ(" with other attributes")
                }
                _ => differ(""),
            }
        }
        _ => differ(""),
    }
}

fn completed_event_id(written: &Written) -> i64 {
    match written {
        Written::ActivityTaskScheduledEventAttributes(has) => has.workflow_task_completed_event_id,
        Written::TimerStartedEventAttributes(has) => has.workflow_task_completed_event_id,
        Written::WorkflowExecutionCompletedEventAttributes(has) => has.workflow_task_completed_event_id,
        Written::WorkflowExecutionFailedEventAttributes(has) => has.workflow_task_completed_event_id,
        Written::WorkflowExecutionCanceledEventAttributes(has) => has.workflow_task_completed_event_id,
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
        _ => event.event_type().as_str_name().trim_start_matches("EVENT_TYPE_").to_owned(),
    }
}
