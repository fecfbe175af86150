//! Workflow tasks: the turns in which a workflow, wherever it runs, sees new events and answers with commands.
//!
//! | from | input | to | written |
//! | --- | --- | --- | --- |
//! | none | an event the workflow must see | scheduled, attempt 1 | WorkflowTaskScheduled |
//! | scheduled | start | started | WorkflowTaskStarted |
//! | started | completed | none | WorkflowTaskCompleted, the commands' events, what was buffered |
//! | started, attempt 1 | failed, timed out | scheduled, attempt 2 | WorkflowTaskFailed or WorkflowTaskTimedOut |
//! | started, attempt n | failed, timed out | scheduled, attempt n + 1 | nothing |
//!
//! From the second attempt on a task is *transient*: its Scheduled and Started are written only when it completes, so
//! a workflow that cannot make progress does not fill its history.
//!
//! A task that exists only to bring updates to the workflow is *speculative*. It is in memory alone:
//!
//! | from | input | to | written |
//! | --- | --- | --- | --- |
//! | none | an update | scheduled | nothing |
//! | scheduled | start | started | nothing |
//! | scheduled, started | an event of any kind | the same, and no longer speculative | WorkflowTaskScheduled, …Started; then the event |
//! | started | completed, all updates rejected | none | nothing |
//! | started | completed otherwise | none | WorkflowTaskScheduled, …Started, …Completed; what follows from it |
//! | started | failed, timed out | scheduled, attempt 2 | WorkflowTaskScheduled, …Started, …Failed or …TimedOut |
//! | scheduled | nobody takes it for 5 s | scheduled | WorkflowTaskScheduled, …TimedOut, …Scheduled |

use std::time::Duration;

use mainspring_api::{
    command::Command,
    common::WorkerVersionStamp,
    enums::{SuggestContinueAsNewReason, TimeoutType, WorkflowTaskFailedCause},
    failure::Failure,
    history::{
        HistoryEvent, WorkflowExecutionTerminatedEventAttributes, WorkflowTaskCompletedEventAttributes,
        WorkflowTaskFailedEventAttributes, WorkflowTaskScheduledEventAttributes, WorkflowTaskStartedEventAttributes,
        WorkflowTaskTimedOutEventAttributes,
    },
    protocol::Message,
    sdk::WorkflowTaskCompletedMetadata,
    taskqueue::TaskQueue,
};

use crate::{Rejection, RunState, Step, Time, command::BadCommand, limits::temporal as limits, protocol::Deed, time};

/// The task that is scheduled or under way.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkflowTask {
    /// 0 while a transient or speculative task has not been started.
    pub scheduled_event_id: i64,
    /// 0 while it has not been started. Of a transient or speculative task: the id that the event will get.
    pub started_event_id: i64,
    /// From 1.
    pub attempt: i32,
    pub scheduled_time: Time,
    pub started_time: Option<Time>,
    /// A task that failed is tried again no earlier.
    pub not_before: Option<Time>,
    pub request_id: String,
    pub identity: String,
    /// It exists only for updates, and neither an event nor a row tells of it.
    pub speculative: bool,
}

impl WorkflowTask {
    pub fn is_transient(&self) -> bool {
        self.attempt > 1
    }

    /// A task that no event tells of.
    fn unwritten(attempt: i32, now: Time) -> WorkflowTask {
        WorkflowTask {
            scheduled_event_id: 0,
            started_event_id: 0,
            attempt,
            scheduled_time: now,
            started_time: None,
            not_before: None,
            request_id: String::new(),
            identity: String::new(),
            speculative: false,
        }
    }
}

/// What a worker, or the sandbox, says at the end of a task.
#[derive(Clone, Debug, Default)]
pub struct WorkflowTaskCompletion {
    /// Which task it speaks of.
    pub started_event_id: i64,
    pub attempt: i32,
    pub commands: Vec<Command>,
    /// What the workflow says of updates; ProtocolMessage commands tell where.
    pub messages: Vec<Message>,
    pub identity: String,
    /// The module's digest, or a worker's build id.
    pub build_id: String,
    pub sdk_metadata: Option<WorkflowTaskCompletedMetadata>,
}

/// How a completion was taken.
#[derive(Clone, Debug, PartialEq)]
pub enum CompletionOutcome {
    Completed,
    /// The task was speculative and nothing came of it: there was none, and its events' ids go to others.
    Discarded,
    /// The commands could not be carried out: the task has failed instead, for this reason.
    Failed(BadCommand),
}

impl RunState {
    pub(crate) fn apply_workflow_task_scheduled(
        &mut self,
        event_id: i64,
        at: Time,
        scheduled: &WorkflowTaskScheduledEventAttributes,
    ) {
        let task = WorkflowTask::unwritten(scheduled.attempt.max(1), at);
        self.workflow_task = Some(WorkflowTask { scheduled_event_id: event_id, ..task });
    }

    pub(crate) fn apply_workflow_task_started(
        &mut self,
        event_id: i64,
        at: Time,
        started: &WorkflowTaskStartedEventAttributes,
    ) {
        if let Some(task) = &mut self.workflow_task {
            task.started_event_id = event_id;
            task.started_time = Some(at);
            task.request_id.clone_from(&started.request_id);
            task.identity.clone_from(&started.identity);
        }
    }

    pub fn has_started_workflow_task(&self) -> bool {
        self.workflow_task.as_ref().is_some_and(|task| task.started_time.is_some())
    }

    /// There is a task for whoever runs the workflow.
    pub fn has_ready_workflow_task(&self) -> bool {
        self.workflow_task.as_ref().is_some_and(|task| task.started_time.is_none() && task.not_before.is_none())
    }

    pub fn workflow_task_timeout(&self) -> Duration {
        time::positive(self.started.workflow_task_timeout.as_ref()).unwrap_or(limits::WORKFLOW_TASK_TIMEOUT)
    }

    pub(crate) fn workflow_task_deadline(&self) -> Option<Time> {
        let task = self.workflow_task.as_ref()?;
        match task.started_time {
            Some(started) => Some(started.after(self.workflow_task_timeout())),
            None if task.speculative => Some(task.scheduled_time.after(limits::SPECULATIVE_WORKFLOW_TASK_TIMEOUT)),
            None => task.not_before,
        }
    }

    /// Whether an event or a row tells of a workflow task.
    pub fn has_durable_workflow_task(&self) -> bool {
        self.workflow_task.as_ref().is_some_and(|task| !task.speculative)
    }

    /// The Scheduled and Started of a transient or speculative task under way: no part of the history yet, but the workflow must see
    /// them. Empty otherwise.
    pub fn transient_events(&self) -> Vec<HistoryEvent> {
        let Some(task) = self.workflow_task.as_ref().filter(|task| task.is_transient() || task.speculative) else {
            return Vec::new();
        };
        let Some(started_time) = task.started_time else {
            return Vec::new();
        };
        let scheduled = self.workflow_task_scheduled_attributes(task.attempt);
        let started = self.workflow_task_started_attributes(task);
        let event = |event_id, at: Time, event_type: mainspring_api::enums::EventType, attributes| HistoryEvent {
            event_id,
            event_time: Some(at.to_proto()),
            event_type: event_type.into(),
            attributes: Some(attributes),
            ..Default::default()
        };
        use mainspring_api::enums::EventType;
        let scheduled_time = if task.speculative { task.scheduled_time } else { started_time };
        vec![
            event(task.scheduled_event_id, scheduled_time, EventType::WorkflowTaskScheduled, scheduled.into()),
            event(task.started_event_id, started_time, EventType::WorkflowTaskStarted, started.into()),
        ]
    }

    fn workflow_task_scheduled_attributes(&self, attempt: i32) -> WorkflowTaskScheduledEventAttributes {
        WorkflowTaskScheduledEventAttributes {
            task_queue: Some(TaskQueue { kind: 1, ..self.started.task_queue.clone().unwrap_or_default() }),
            start_to_close_timeout: Some(time::to_proto(self.workflow_task_timeout())),
            attempt,
        }
    }

    fn workflow_task_started_attributes(&self, task: &WorkflowTask) -> WorkflowTaskStartedEventAttributes {
        let mut reasons: Vec<i32> = Vec::new();
        if self.history_length() >= limits::SUGGEST_CONTINUE_AS_NEW_EVENTS {
            reasons.push(SuggestContinueAsNewReason::TooManyHistoryEvents.into());
        }
        if self.history_bytes >= limits::SUGGEST_CONTINUE_AS_NEW_BYTES {
            reasons.push(SuggestContinueAsNewReason::HistorySizeTooLarge.into());
        }
        WorkflowTaskStartedEventAttributes {
            scheduled_event_id: task.scheduled_event_id,
            identity: task.identity.clone(),
            request_id: task.request_id.clone(),
            suggest_continue_as_new: !reasons.is_empty(),
            suggest_continue_as_new_reasons: reasons,
            history_size_bytes: self.history_bytes,
            ..Default::default()
        }
    }
}

impl Step<'_> {
    /// Makes sure that the workflow will see what has been recorded.
    pub(crate) fn schedule_workflow_task(&mut self) {
        let waits_for_start = self.state.start_delay_end().is_some();
        if self.state.is_running() && self.state.workflow_task.is_none() && !waits_for_start {
            self.schedule_first_attempt();
        }
    }

    /// The same for what does not wait until a delayed start: a request to cancel, as in Temporal, and not a signal.
    pub(crate) fn schedule_workflow_task_now(&mut self) {
        if self.state.is_running() && self.state.workflow_task.is_none() {
            self.schedule_first_attempt();
        }
    }

    /// Makes sure that the workflow will be brought its updates. A task for anything else brings them, too.
    pub(crate) fn schedule_speculative_workflow_task(&mut self) {
        let waits_for_start = self.state.start_delay_end().is_some();
        if self.state.is_running() && self.state.workflow_task.is_none() && !waits_for_start {
            let task = WorkflowTask::unwritten(1, self.now);
            self.state.workflow_task = Some(WorkflowTask { speculative: true, ..task });
        }
    }

    /// Something is recorded beside a speculative task: it becomes a part of the history, ahead of that.
    pub(crate) fn make_workflow_task_durable(&mut self) {
        let Some(task) = self.state.workflow_task.as_ref().filter(|task| task.speculative) else {
            return;
        };
        if task.started_time.is_some() {
            self.write_transient_events();
        } else {
            let (now, scheduled_time) = (self.now, task.scheduled_time);
            self.state.workflow_task = None;
            self.now = scheduled_time;
            self.schedule_first_attempt();
            self.now = now;
        }
    }

    pub(crate) fn schedule_first_attempt(&mut self) {
        let scheduled = self.state.workflow_task_scheduled_attributes(1);
        self.record(scheduled.into());
    }

    /// Hands the ready task to whoever runs the workflow. Returns its start's event id.
    pub fn start_workflow_task(&mut self, identity: &str, request_id: &str) -> Result<i64, Rejection> {
        if !self.state.has_ready_workflow_task() {
            return Err(Rejection::not_found("Workflow task not found."));
        }
        let (now, next_event_id) = (self.now, self.state.next_event_id);
        let Some(task) = &mut self.state.workflow_task else {
            return Err(Rejection::not_found("Workflow task not found."));
        };
        task.identity = identity.to_owned();
        task.request_id = request_id.to_owned();
        if task.is_transient() || task.speculative {
            task.scheduled_event_id = next_event_id;
            task.started_event_id = next_event_id + 1;
            task.started_time = Some(now);
            self.dirty |= task.is_transient();
            return Ok(next_event_id + 1);
        }
        let task = task.clone();
        let started = self.state.workflow_task_started_attributes(&task);
        Ok(self.record(started.into()))
    }

    /// Takes the commands of a finished task. Refused where the task is not the one under way; where the commands
    /// cannot be carried out, the task fails instead, and is tried again after `retry_after`.
    pub fn complete_workflow_task(
        &mut self,
        completion: WorkflowTaskCompletion,
        retry_after: Duration,
    ) -> Result<CompletionOutcome, Rejection> {
        self.check_workflow_task(completion.started_event_id, completion.attempt)?;
        let WorkflowTaskCompletion { commands, messages, identity, build_id, sdk_metadata, .. } = completion;
        crate::command::check_sequence(&commands)?;
        let deeds = match self.check_completion(commands, messages) {
            Ok(deeds) => deeds,
            Err(bad) => {
                self.abort_sent_updates();
                let failure = crate::failure::server(&bad.to_string());
                self.fail_started_workflow_task(bad.cause, failure, &identity, retry_after);
                return Ok(CompletionOutcome::Failed(bad));
            }
        };
        self.state.registry.close_attempted = false;
        let speculative = self.state.workflow_task.as_ref().is_some_and(|task| task.speculative);
        if speculative && deeds.iter().all(Deed::leaves_no_trace) {
            self.state.workflow_task = None;
            self.carry_out(deeds, 0, &identity);
            self.state.registry.has_unsent().then(|| self.schedule_speculative_workflow_task());
            return Ok(CompletionOutcome::Discarded);
        }
        self.write_transient_events();
        let Some(task) = self.state.workflow_task.clone() else {
            return Err(Rejection::closed());
        };
        let completed = WorkflowTaskCompletedEventAttributes {
            scheduled_event_id: task.scheduled_event_id,
            started_event_id: task.started_event_id,
            identity: identity.clone(),
            worker_version: (!build_id.is_empty()).then_some(WorkerVersionStamp { build_id, use_versioning: false }),
            sdk_metadata,
            ..Default::default()
        };
        let completed_event_id = self.record(completed.into());
        let mut needs_task = self.carry_out(deeds, completed_event_id, &identity);
        if self.state.is_running() {
            needs_task |= self.flush_buffered();
        } else {
            // The ends of activities that it canceled in the same breath: nobody is left to see them.
            self.state.buffered.clear();
        }
        self.enforce_history_limits();
        if needs_task {
            self.schedule_workflow_task();
        } else if self.state.registry.has_unsent() {
            self.schedule_speculative_workflow_task();
        }
        Ok(CompletionOutcome::Completed)
    }

    fn check_completion(&mut self, commands: Vec<Command>, messages: Vec<Message>) -> Result<Vec<Deed>, BadCommand> {
        self.check_commands(&commands)?;
        let closes = commands.iter().any(crate::command::closes);
        let deeds = self.state.plan(commands, messages)?;
        if closes && (!self.state.buffered.is_empty() || self.state.registry.has_unsent()) {
            self.state.registry.close_attempted = true;
            return Err(BadCommand { cause: WorkflowTaskFailedCause::UnhandledCommand, message: String::new() });
        }
        Ok(deeds)
    }

    /// Returns whether the workflow has news to see because of it.
    fn carry_out(&mut self, deeds: Vec<Deed>, completed_event_id: i64, identity: &str) -> bool {
        let closes = deeds.last().is_some_and(Deed::closes);
        let mut news = false;
        for deed in deeds {
            match deed {
                Deed::Answer(answer) => self.take_answer(answer),
                Deed::Command(command) => news |= self.carry_out_command(command, completed_event_id, identity),
            }
        }
        // A workflow that has ended need not say anything of its updates: they are aborted.
        if !closes {
            self.reject_unanswered_updates();
        }
        news
    }

    /// The task under way has failed; it is tried again after `retry_after`.
    pub fn fail_workflow_task(
        &mut self,
        started_event_id: i64,
        attempt: i32,
        cause: WorkflowTaskFailedCause,
        failure: Failure,
        identity: &str,
        retry_after: Duration,
    ) -> Result<(), Rejection> {
        self.check_workflow_task(started_event_id, attempt)?;
        self.fail_started_workflow_task(cause, failure, identity, retry_after);
        Ok(())
    }

    pub(crate) fn fail_started_workflow_task(
        &mut self,
        cause: WorkflowTaskFailedCause,
        failure: Failure,
        identity: &str,
        retry_after: Duration,
    ) {
        self.make_workflow_task_durable();
        let Some(task) = self.state.workflow_task.clone() else {
            return;
        };
        if !task.is_transient() {
            let failed = WorkflowTaskFailedEventAttributes {
                scheduled_event_id: task.scheduled_event_id,
                started_event_id: task.started_event_id,
                cause: cause.into(),
                failure: Some(failure),
                identity: identity.to_owned(),
                ..Default::default()
            };
            self.record(failed.into());
        }
        self.schedule_next_attempt(task.attempt, retry_after);
    }

    /// Nobody has taken a speculative task: a proper one takes its place.
    pub(crate) fn time_out_speculative_workflow_task(&mut self) {
        self.make_workflow_task_durable();
        let scheduled_event_id = self.state.workflow_task.as_ref().map_or(0, |task| task.scheduled_event_id);
        let timeout_type = TimeoutType::ScheduleToStart.into();
        self.record(
            WorkflowTaskTimedOutEventAttributes { scheduled_event_id, started_event_id: 0, timeout_type }.into(),
        );
        self.schedule_workflow_task();
    }

    pub(crate) fn time_out_workflow_task(&mut self) {
        self.make_workflow_task_durable();
        let Some(task) = self.state.workflow_task.clone() else {
            return;
        };
        if !task.is_transient() {
            let timed_out = WorkflowTaskTimedOutEventAttributes {
                scheduled_event_id: task.scheduled_event_id,
                started_event_id: task.started_event_id,
                timeout_type: TimeoutType::StartToClose.into(),
            };
            self.record(timed_out.into());
        }
        self.schedule_next_attempt(task.attempt, Duration::ZERO);
    }

    fn schedule_next_attempt(&mut self, failed_attempt: i32, retry_after: Duration) {
        self.dirty = true;
        self.state.workflow_task = None;
        self.flush_buffered();
        self.enforce_history_limits();
        if !self.state.is_running() {
            return;
        }
        let task = WorkflowTask::unwritten(failed_attempt.saturating_add(1), self.now);
        let not_before = (!retry_after.is_zero()).then(|| self.now.after(retry_after));
        self.state.workflow_task = Some(WorkflowTask { not_before, ..task });
    }

    /// Ends the pause before the next attempt, because what made the task fail may have been mended.
    pub fn retry_workflow_task_now(&mut self) {
        if let Some(task) = self.state.workflow_task.as_mut().filter(|task| task.not_before.is_some()) {
            task.not_before = None;
            self.dirty = true;
        }
    }

    fn check_workflow_task(&self, started_event_id: i64, attempt: i32) -> Result<(), Rejection> {
        match &self.state.workflow_task {
            Some(task)
                if task.started_time.is_some()
                    && task.started_event_id == started_event_id
                    && task.attempt == attempt =>
            {
                Ok(())
            }
            _ => Err(Rejection::not_found("Workflow task not found.")),
        }
    }

    fn write_transient_events(&mut self) {
        let now = self.now;
        let events = self.state.transient_events();
        if let Some(task) = &mut self.state.workflow_task {
            task.speculative = false;
        }
        for event in events {
            let Some(attributes) = event.attributes else {
                continue;
            };
            // Their time is when the workflow saw them: in replay it is the workflow's clock.
            self.now = event.event_time.as_ref().map_or(now, Time::from_proto);
            self.record(attributes);
        }
        self.now = now;
    }

    /// A run whose history has grown beyond its bounds is terminated, as Temporal does.
    fn enforce_history_limits(&mut self) {
        let reason = if self.state.history_length() > limits::HISTORY_EVENTS {
            "Workflow history count exceeds limit."
        } else if self.state.history_bytes > limits::HISTORY_BYTES {
            "Workflow history size exceeds limit."
        } else {
            return;
        };
        if self.state.is_running() {
            let terminated = WorkflowExecutionTerminatedEventAttributes {
                reason: reason.into(),
                identity: "history-service".into(),
                ..Default::default()
            };
            self.record(terminated.into());
        }
    }
}

/// The pause before a workflow task's next attempt, after `attempt` has failed.
pub fn retry_pause(attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(16);
    (limits::WORKFLOW_TASK_RETRY_FIRST * (1 << doublings)).min(limits::WORKFLOW_TASK_RETRY_MAX)
}
