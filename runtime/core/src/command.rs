//! Commands: what a workflow asks for at the end of a workflow task. Here they are checked and turned into events; in
//! replay they are compared with the events that they once became ([`check`]).

use std::collections::{BTreeSet, HashSet};

use mainspring_api::{
    command::{Command, ScheduleActivityTaskCommandAttributes, command::Attributes as Asked},
    enums::{CommandType, RetryState, TaskQueueKind, WorkflowTaskFailedCause as Cause},
    failure::Failure,
    history::{
        ActivityTaskCancelRequestedEventAttributes, ActivityTaskScheduledEventAttributes, TimerCanceledEventAttributes,
        TimerStartedEventAttributes, UpsertWorkflowSearchAttributesEventAttributes,
        WorkflowExecutionCanceledEventAttributes, WorkflowExecutionCompletedEventAttributes,
        WorkflowExecutionFailedEventAttributes, WorkflowExecutionStartedEventAttributes,
        WorkflowPropertiesModifiedEventAttributes, history_event::Attributes as Written,
    },
    taskqueue::TaskQueue,
};

use crate::{
    Rejection, RunState, Step, attributes, child, continue_as_new, external, external::Message,
    limits::temporal as limits, retry, step::Setting, time, validate,
};

pub use crate::compare::{check, completed_event_id, describe, describe_event, is_command_event};

/// A command that cannot be carried out: the workflow task fails. It reads as Temporal has it: cause, then message.
#[derive(Clone, Debug, PartialEq)]
pub struct BadCommand {
    pub cause: Cause,
    /// May be empty, where the cause says it all.
    pub message: String,
}

impl std::error::Error for BadCommand {}

impl std::fmt::Display for BadCommand {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&in_camel_case(self.cause.as_str_name(), "WORKFLOW_TASK_FAILED_CAUSE_"))?;
        match self.message.as_str() {
            "" => Ok(()),
            message => write!(formatter, ": {message}"),
        }
    }
}

/// The name of a protobuf enum's value as Go prints it.
fn in_camel_case(name: &str, prefix: &str) -> String {
    let words = name.strip_prefix(prefix).unwrap_or(name).split('_');
    words
        .map(|word| word.get(..1).unwrap_or_default().to_owned() + &word.get(1..).unwrap_or_default().to_lowercase())
        .collect()
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

/// What closes the run comes last: a completion that has it otherwise is refused as a whole.
pub(crate) fn check_sequence(commands: &[Command]) -> Result<(), Rejection> {
    let last = commands.len().saturating_sub(1);
    let Some((_, early)) = commands.iter().enumerate().find(|(at, command)| closes(command) && *at != last) else {
        return Ok(());
    };
    let name = |command: &Command| in_camel_case(command.command_type().as_str_name(), "COMMAND_TYPE_");
    Err(Rejection::invalid(format!(
        "invalid command sequence: [{}], command {} must be the last command.",
        commands.iter().map(name).collect::<Vec<_>>().join(", "),
        name(early)
    )))
}

/// What Temporal says of a command that its state does not allow.
fn invalid_state(action: &str, details: &str) -> String {
    format!("invalid history builder state for action: {action}, {details}")
}

impl Step<'_> {
    /// Checks all commands of a task before the first of them changes anything.
    pub(crate) fn check_commands(&self, commands: &[Command]) -> Result<(), BadCommand> {
        let mut pending = Pending::of(self.state);
        for command in commands {
            self.state.check_command(command, &self.setting, &mut pending)?;
        }
        Ok(())
    }
}

impl RunState {
    fn check_command(&self, command: &Command, setting: &Setting, pending: &mut Pending) -> Result<(), BadCommand> {
        match &command.attributes {
            Some(Asked::ScheduleActivityTaskCommandAttributes(asked)) => {
                check_activity(asked)?;
                let cause = Cause::PendingActivitiesLimitExceeded;
                check_pending(pending.activity_ids.len(), "activities", cause)?;
                if !pending.activity_ids.insert(asked.activity_id.clone()) {
                    let details = format!("ActivityID: {}", asked.activity_id);
                    let message = invalid_state("add-activitytask-scheduled-event", &details);
                    return bad(Cause::ScheduleActivityDuplicateId, message);
                }
                Ok(())
            }
            Some(Asked::RequestCancelActivityTaskCommandAttributes(asked)) => {
                if self.activities.contains_key(&asked.scheduled_event_id) {
                    return Ok(());
                }
                let details = format!("ScheduledEventID: {}", asked.scheduled_event_id);
                let message = invalid_state("add-activitytask-cancel-requested-event", &details);
                bad(Cause::BadRequestCancelActivityAttributes, message)
            }
            Some(Asked::StartTimerCommandAttributes(asked)) => {
                let cause = Cause::BadStartTimerAttributes;
                validate::name("TimerId", &asked.timer_id).or_else(|error| bad(cause, error.to_string()))?;
                validate::duration("StartToFireTimeout", asked.start_to_fire_timeout.as_ref())
                    .or_else(|error| bad(cause, error.to_string()))?;
                if pending.timer_ids.len() >= limits::PENDING_PER_KIND {
                    return bad(cause, format!("more than {} pending timers", limits::PENDING_PER_KIND));
                }
                if !pending.timer_ids.insert(asked.timer_id.clone()) {
                    let details = format!("TimerID: {}", asked.timer_id);
                    let message = invalid_state("add-timer-started-event", &details);
                    return bad(Cause::StartTimerDuplicateId, message);
                }
                Ok(())
            }
            Some(Asked::CancelTimerCommandAttributes(asked)) => {
                // One that has fired while the task ran is no longer open, and that is nobody's mistake.
                if pending.timer_ids.remove(&asked.timer_id) || self.has_buffered_timer(&asked.timer_id) {
                    return Ok(());
                }
                let details = format!("TimerID: {}", asked.timer_id);
                let message = invalid_state("add-timer-canceled-event", &details);
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
            Some(
                Asked::CancelWorkflowExecutionCommandAttributes(_)
                // What it refers to is checked where messages are: see `crate::protocol`.
                | Asked::ProtocolMessageCommandAttributes(_),
            ) => Ok(()),
            Some(Asked::ContinueAsNewWorkflowExecutionCommandAttributes(asked)) => {
                if setting.new_run_id.is_empty() {
                    return bad(Cause::Unspecified, "the server has no run id for the run that is to go on");
                }
                continue_as_new::check(asked)
            }
            Some(Asked::StartChildWorkflowExecutionCommandAttributes(asked)) => {
                child::check(asked, &setting.namespace)?;
                let cause = Cause::PendingChildWorkflowsLimitExceeded;
                check_pending(pending.children, "child workflow executions", cause)?;
                pending.children += 1;
                pending.new_children.insert(asked.workflow_id.clone());
                Ok(())
            }
            Some(Asked::SignalExternalWorkflowExecutionCommandAttributes(asked)) => {
                external::check_signal(asked, &setting.namespace)?;
                let cause = Cause::PendingSignalsLimitExceeded;
                check_pending(pending.signals, "signals to external workflows", cause)?;
                pending.signals += 1;
                Ok(())
            }
            Some(Asked::RequestCancelExternalWorkflowExecutionCommandAttributes(asked)) => {
                external::check_cancel(asked, &setting.namespace)?;
                if pending.new_children.contains(&asked.workflow_id) {
                    let message = format!(
                        "Start and RequestCancel for child workflow is not allowed in same workflow task. WorkflowId={} RunId={} Namespace={}",
                        asked.workflow_id, asked.run_id, asked.namespace
                    );
                    return bad(Cause::BadRequestCancelExternalWorkflowExecutionAttributes, message);
                }
                let cause = Cause::PendingRequestCancelLimitExceeded;
                check_pending(pending.cancels, "requests to cancel external workflows", cause)?;
                pending.cancels += 1;
                Ok(())
            }
            Some(Asked::RecordMarkerCommandAttributes(asked)) => attributes::check_marker(asked),
            Some(Asked::UpsertWorkflowSearchAttributesCommandAttributes(asked)) => {
                attributes::check_search_attributes(asked)
            }
            Some(Asked::ModifyWorkflowPropertiesCommandAttributes(asked)) => attributes::check_memo(asked),
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
    children: usize,
    /// Workflow ids of the children that this very task starts.
    new_children: HashSet<String>,
    signals: usize,
    cancels: usize,
}

impl Pending {
    fn of(state: &RunState) -> Pending {
        Pending {
            activity_ids: state.activities.values().map(|activity| activity.scheduled.activity_id.clone()).collect(),
            timer_ids: state.timers.keys().cloned().collect(),
            children: state.children.len(),
            new_children: HashSet::new(),
            signals: state.external.values().filter(|it| matches!(it.message, Message::Signal(_))).count(),
            cancels: state.external.values().filter(|it| matches!(it.message, Message::Cancel(_))).count(),
        }
    }
}

fn check_pending(count: usize, what: &str, cause: Cause) -> Result<(), BadCommand> {
    let limit = limits::PENDING_PER_KIND;
    match count < limit {
        true => Ok(()),
        false => {
            bad(cause, format!("the number of pending {what}, {count}, has reached the per-workflow limit of {limit}"))
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
    pub(crate) fn carry_out_command(&mut self, command: Command, completed_event_id: i64, identity: &str) -> bool {
        match &command.attributes {
            Some(Asked::ContinueAsNewWorkflowExecutionCommandAttributes(asked)) => {
                self.continue_as_new(asked, completed_event_id);
                return false;
            }
            Some(Asked::FailWorkflowExecutionCommandAttributes(asked)) => {
                self.fail_run(asked.failure.clone().unwrap_or_default(), completed_event_id);
                return false;
            }
            _ => {}
        }
        let Some(written) = self.event_of(&command, completed_event_id, identity) else {
            return false;
        };
        let cancels = match &written {
            Written::ActivityTaskCancelRequestedEventAttributes(requested) => Some(requested.scheduled_event_id),
            _ => None,
        };
        let effect = effect(&written);
        let event_id = self.record_with(written, command.user_metadata);
        match effect {
            Effect::Activity => {
                self.touched_activities.insert(event_id);
                self.ready_activities.insert(event_id);
            }
            Effect::OtherRun => self.initiate(event_id),
            Effect::Attributes => self.attributes_changed = true,
            Effect::None => {}
        }
        cancels.is_some_and(|scheduled_event_id| self.cancel_activity(scheduled_event_id, event_id, identity))
    }

    /// The workflow has failed: for good, or its retry policy starts it again.
    fn fail_run(&mut self, failure: Failure, workflow_task_completed_event_id: i64) {
        let (retry_state, successor) = self.next_attempt(&failure);
        let failed = WorkflowExecutionFailedEventAttributes {
            failure: Some(failure),
            retry_state: retry_state.into(),
            workflow_task_completed_event_id,
            new_execution_run_id: successor.as_ref().map_or(String::new(), |successor| successor.run_id.clone()),
        };
        self.record(failed.into());
        self.successor = successor;
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
            _ => {
                let mut written = written(command, &self.state.started, workflow_task_completed_event_id)?;
                self.set_namespace(&mut written);
                Some(written)
            }
        }
    }

    /// Other runs are named with their namespace, which a command may leave out: it is the run's own then.
    fn set_namespace(&self, written: &mut Written) {
        let (namespace, namespace_id) = match written {
            Written::StartChildWorkflowExecutionInitiatedEventAttributes(it) => {
                (&mut it.namespace, &mut it.namespace_id)
            }
            Written::SignalExternalWorkflowExecutionInitiatedEventAttributes(it) => {
                (&mut it.namespace, &mut it.namespace_id)
            }
            Written::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(it) => {
                (&mut it.namespace, &mut it.namespace_id)
            }
            _ => return,
        };
        namespace.clone_from(&self.setting.namespace);
        namespace_id.clone_from(&self.setting.namespace_id);
    }
}

/// What the event of a command changes beside the history.
enum Effect {
    Activity,
    OtherRun,
    Attributes,
    None,
}

fn effect(written: &Written) -> Effect {
    match written {
        Written::ActivityTaskScheduledEventAttributes(_) => Effect::Activity,
        Written::StartChildWorkflowExecutionInitiatedEventAttributes(_)
        | Written::SignalExternalWorkflowExecutionInitiatedEventAttributes(_)
        | Written::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(_) => Effect::OtherRun,
        Written::UpsertWorkflowSearchAttributesEventAttributes(_)
        | Written::WorkflowPropertiesModifiedEventAttributes(_) => Effect::Attributes,
        _ => Effect::None,
    }
}

/// The event of a command that needs no knowledge of the run but how it was started.
pub(crate) fn written(
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
        Asked::ContinueAsNewWorkflowExecutionCommandAttributes(asked) => {
            continue_as_new::written(asked, started, workflow_task_completed_event_id).into()
        }
        Asked::StartChildWorkflowExecutionCommandAttributes(asked) => {
            child::written(asked, started, workflow_task_completed_event_id).into()
        }
        Asked::SignalExternalWorkflowExecutionCommandAttributes(asked) => {
            external::written_signal(asked, workflow_task_completed_event_id).into()
        }
        Asked::RequestCancelExternalWorkflowExecutionCommandAttributes(asked) => {
            external::written_cancel(asked, workflow_task_completed_event_id).into()
        }
        Asked::RecordMarkerCommandAttributes(asked) => {
            attributes::marker(asked, workflow_task_completed_event_id).into()
        }
        Asked::UpsertWorkflowSearchAttributesCommandAttributes(asked) => {
            UpsertWorkflowSearchAttributesEventAttributes {
                workflow_task_completed_event_id,
                search_attributes: asked.search_attributes.clone(),
            }
            .into()
        }
        Asked::ModifyWorkflowPropertiesCommandAttributes(asked) => WorkflowPropertiesModifiedEventAttributes {
            workflow_task_completed_event_id,
            upserted_memo: asked.upserted_memo.clone(),
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
