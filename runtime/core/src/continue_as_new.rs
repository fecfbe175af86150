//! Going on in another run: because the workflow asks for it, or because its retry policy does.
//!
//! | the run | closes with | its successor |
//! | --- | --- | --- |
//! | asks to continue as new | WorkflowExecutionContinuedAsNew | the first attempt, with what the command says |
//! | fails, and may be tried again | WorkflowExecutionFailed | the next attempt, with what this one was started with |
//! | runs out of time, and may be tried again | WorkflowExecutionTimedOut | the same |
//!
//! The two runs share their workflow id, the id of the first run of the chain, their parent and the time when the whole
//! chain must have ended. Whoever calls writes them together: between them there is no moment without a running one.

use std::time::Duration;

use mainspring_api::{
    Duration as ProtoDuration,
    command::ContinueAsNewWorkflowExecutionCommandAttributes as Asked,
    common::WorkflowType,
    enums::{ContinueAsNewInitiator, RetryState, TaskQueueKind, WorkflowTaskFailedCause as Cause},
    failure::Failure,
    history::{
        HistoryEvent, WorkflowExecutionContinuedAsNewEventAttributes,
        WorkflowExecutionStartedEventAttributes as Started, history_event::Attributes,
    },
    taskqueue::TaskQueue,
};

use crate::{
    RunState, Step, Time,
    command::BadCommand,
    limits::temporal as limits,
    retry::{self, Verdict},
    time, trace, validate,
};

/// The run that goes on where another has closed.
#[derive(Clone, Debug, PartialEq)]
pub struct Successor {
    pub run_id: String,
    pub started: Started,
}

/// The run that a closed run went on in, as its last event has it.
pub fn successor_of(closed: &HistoryEvent) -> Option<&str> {
    let run_id = match closed.attributes.as_ref()? {
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(closed) => &closed.new_execution_run_id,
        Attributes::WorkflowExecutionCompletedEventAttributes(closed) => &closed.new_execution_run_id,
        Attributes::WorkflowExecutionFailedEventAttributes(closed) => &closed.new_execution_run_id,
        Attributes::WorkflowExecutionTimedOutEventAttributes(closed) => &closed.new_execution_run_id,
        _ => return None,
    };
    Some(run_id.as_str()).filter(|run_id| !run_id.is_empty())
}

pub(crate) fn check(asked: &Asked) -> Result<(), BadCommand> {
    let workflow_type = asked.workflow_type.as_ref().map_or("", |workflow_type| &workflow_type.name);
    let task_queue = asked.task_queue.as_ref().map_or("", |task_queue| &task_queue.name);
    let checks = [
        validate::optional_name("WorkflowType", workflow_type),
        validate::optional_name("TaskQueue", task_queue),
        validate::duration("WorkflowRunTimeout", asked.workflow_run_timeout.as_ref()),
        validate::duration("WorkflowTaskTimeout", asked.workflow_task_timeout.as_ref()),
        validate::duration("BackoffStartInterval", asked.backoff_start_interval.as_ref()),
        validate::retry_policy(asked.retry_policy.as_ref()),
        validate::payloads("ContinueAsNewWorkflowExecutionCommandAttributes. Input", asked.input.as_ref()),
        validate::memo("ContinueAsNewWorkflowExecutionCommandAttributes. Memo", asked.memo.as_ref()),
    ];
    for check in checks {
        check.map_err(|error| BadCommand {
            cause: Cause::BadContinueAsNewAttributes,
            message: format!(
                "{error} ContinueAsNewWorkflowExecutionCommand. WorkflowType={workflow_type} TaskQueue={task_queue}"
            ),
        })?;
    }
    Ok(())
}

/// The event of the command. What it leaves out is as it was; `new_execution_run_id` is for the caller to fill in.
pub(crate) fn written(
    asked: &Asked,
    started: &Started,
    workflow_task_completed_event_id: i64,
) -> WorkflowExecutionContinuedAsNewEventAttributes {
    let given = |workflow_type: &&WorkflowType| !workflow_type.name.is_empty();
    let task_queue = asked.task_queue.as_ref().filter(|task_queue| !task_queue.name.is_empty());
    let task_queue = task_queue.or(started.task_queue.as_ref()).map_or("", |task_queue| &task_queue.name);
    let execution_timeout = time::duration(started.workflow_execution_timeout.as_ref());
    let run_timeout = time::positive(asked.workflow_run_timeout.as_ref())
        .unwrap_or_else(|| time::duration(started.workflow_run_timeout.as_ref()));
    let run_timeout = within(run_timeout, execution_timeout);
    let task_timeout = time::positive(asked.workflow_task_timeout.as_ref())
        .unwrap_or_else(|| time::duration(started.workflow_task_timeout.as_ref()));
    WorkflowExecutionContinuedAsNewEventAttributes {
        new_execution_run_id: String::new(),
        workflow_type: asked.workflow_type.as_ref().filter(given).or(started.workflow_type.as_ref()).cloned(),
        task_queue: Some(TaskQueue {
            name: task_queue.to_owned(),
            kind: TaskQueueKind::Normal.into(),
            ..Default::default()
        }),
        input: asked.input.clone(),
        workflow_run_timeout: Some(time::to_proto(run_timeout)),
        workflow_task_timeout: Some(time::to_proto(task_timeout_within(task_timeout, run_timeout))),
        workflow_task_completed_event_id,
        backoff_start_interval: asked.backoff_start_interval,
        initiator: asked.initiator,
        failure: asked.failure.clone(),
        last_completion_result: asked.last_completion_result.clone(),
        header: asked.header.clone(),
        memo: asked.memo.clone(),
        search_attributes: asked.search_attributes.clone(),
        inherit_build_id: asked.inherit_build_id,
        initial_versioning_behavior: asked.initial_versioning_behavior,
    }
}

/// A run timeout within that of the whole chain; zero means that there is none.
pub(crate) fn within(run: Duration, execution: Duration) -> Duration {
    match (run.is_zero(), execution.is_zero()) {
        (true, _) => execution,
        (_, true) => run,
        _ => run.min(execution),
    }
}

/// A workflow task timeout with its default, its maximum, and within the run's.
pub(crate) fn task_timeout_within(task: Duration, run: Duration) -> Duration {
    let task = if task.is_zero() { limits::WORKFLOW_TASK_TIMEOUT } else { task };
    within(task.min(limits::WORKFLOW_TASK_TIMEOUT_MAX), run)
}

impl RunState {
    /// When the whole chain that the run belongs to must have ended.
    pub(crate) fn execution_expiration(&self) -> Option<Time> {
        match &self.reset {
            Some(reset) => time::positive(self.started.workflow_execution_timeout.as_ref())
                .map(|timeout| reset.time.after(timeout)),
            None => self.started.workflow_execution_expiration_time.as_ref().map(Time::from_proto),
        }
    }

    /// How long the successor waits for its first workflow task: what was asked for, and never so short that runs would
    /// chase each other.
    fn successor_backoff(&self, now: Time, asked: Option<ProtoDuration>) -> Option<ProtoDuration> {
        let lifetime = now.since(self.execution_time());
        let interval = lifetime.saturating_add(time::duration(asked.as_ref()));
        match limits::CONTINUE_AS_NEW_INTERVAL.checked_sub(lifetime) {
            Some(rest) if interval < limits::CONTINUE_AS_NEW_INTERVAL => Some(time::to_proto(rest)),
            _ => asked,
        }
    }

    /// What every successor starts with.
    fn successor(&self, run_id: &str, initiator: ContinueAsNewInitiator) -> Started {
        Started {
            continued_execution_run_id: self.run_id.clone(),
            initiator: initiator.into(),
            continued_failure: None,
            original_execution_run_id: run_id.to_owned(),
            identity: String::new(),
            attempt: 1,
            workflow_execution_expiration_time: self.execution_expiration().map(Time::to_proto),
            eager_execution_accepted: false,
            ..self.started.clone()
        }
    }
}

impl Step<'_> {
    /// The first input of a run that goes on where another has closed.
    pub fn begin_successor(&mut self, successor: Successor) {
        self.record(successor.started.into());
        // Nobody has asked for it, so no request can be taken for the one that did.
        self.state.start_request_id = successor.run_id;
        self.schedule_workflow_task();
    }

    pub(crate) fn continue_as_new(&mut self, asked: &Asked, workflow_task_completed_event_id: i64) {
        let run_id = self.setting.new_run_id.clone();
        let mut event = written(asked, &self.state.started, workflow_task_completed_event_id);
        event.new_execution_run_id.clone_from(&run_id);
        let state = &*self.state;
        // Left out in the event, but not in the successor's: so it is in Temporal.
        let initiator = match asked.initiator() {
            ContinueAsNewInitiator::Unspecified => ContinueAsNewInitiator::Workflow,
            given => given,
        };
        let policy = asked.retry_policy.as_ref().map(|policy| retry::with_defaults(Some(policy)));
        let started = Started {
            workflow_type: event.workflow_type.clone(),
            task_queue: event.task_queue.clone(),
            input: event.input.clone(),
            workflow_run_timeout: event.workflow_run_timeout,
            workflow_task_timeout: event.workflow_task_timeout,
            continued_failure: asked.failure.clone(),
            last_completion_result: asked.last_completion_result.clone(),
            retry_policy: policy.or_else(|| state.started.retry_policy.clone()),
            first_workflow_task_backoff: state.successor_backoff(self.now, asked.backoff_start_interval),
            memo: asked.memo.clone().or_else(|| state.memo.clone()),
            search_attributes: asked.search_attributes.clone().or_else(|| state.search_attributes.clone()),
            header: trace::carried(&state.started, asked.header.clone()),
            ..state.successor(&run_id, initiator)
        };
        self.record(event.into());
        self.successor = Some(Successor { run_id, started });
    }

    /// The next attempt of a run that fails with `failure`, if there is to be one, and what is written of it.
    pub(crate) fn next_attempt(&self, failure: &Failure) -> (RetryState, Option<Successor>) {
        let state = &*self.state;
        let Some(policy) = &state.started.retry_policy else {
            return (RetryState::RetryPolicyNotSet, None);
        };
        let run_id = self.setting.new_run_id.clone();
        if run_id.is_empty() {
            return (RetryState::InternalServerError, None);
        }
        let attempt = state.started.attempt.max(1);
        let at = match retry::decide(policy, attempt, failure, self.now, state.execution_expiration()) {
            Verdict::GiveUp(retry_state) => return (retry_state, None),
            Verdict::RetryAt(at) => at,
        };
        let backoff = state.successor_backoff(self.now, Some(time::to_proto(at.since(self.now))));
        let started = Started {
            continued_failure: Some(failure.clone()),
            attempt: attempt.saturating_add(1),
            first_workflow_task_backoff: backoff,
            ..state.successor(&run_id, ContinueAsNewInitiator::Retry)
        };
        (RetryState::InProgress, Some(Successor { run_id, started }))
    }
}
