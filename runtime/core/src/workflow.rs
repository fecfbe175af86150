//! A run's beginning and its ends, and which runs may share a workflow id.

use std::time::Duration;

use mainspring_api::{
    Duration as ProtoDuration,
    common::{Header, Memo, Payloads, Priority, RetryPolicy, SearchAttributes, WorkflowExecution, WorkflowType},
    enums::{
        RetryState, TaskQueueKind, WorkflowExecutionStatus, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
        WorkflowTaskFailedCause,
    },
    failure::Failure,
    history::{
        WorkflowExecutionStartedEventAttributes, WorkflowExecutionTerminatedEventAttributes,
        WorkflowExecutionTimedOutEventAttributes,
    },
    sdk::UserMetadata,
    taskqueue::TaskQueue,
};

use crate::{Rejection, RunState, Step, Time, failure, limits::temporal as limits, signal::Signal, time, validate};

/// What a client, or a parent, says to start a workflow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartWorkflow {
    pub workflow_id: String,
    pub workflow_type: String,
    pub task_queue: String,
    pub input: Option<Payloads>,
    pub execution_timeout: Option<ProtoDuration>,
    pub run_timeout: Option<ProtoDuration>,
    pub task_timeout: Option<ProtoDuration>,
    pub start_delay: Option<ProtoDuration>,
    pub identity: String,
    /// Repeated starts with the same id are the same start. Never empty here: the server makes one up.
    pub request_id: String,
    pub reuse_policy: WorkflowIdReusePolicy,
    pub conflict_policy: WorkflowIdConflictPolicy,
    pub retry_policy: Option<RetryPolicy>,
    pub memo: Option<Memo>,
    pub search_attributes: Option<SearchAttributes>,
    pub header: Option<Header>,
    pub user_metadata: Option<UserMetadata>,
    pub priority: Option<Priority>,
    /// The workflow that starts this one as its child.
    pub parent: Option<Parent>,
}

/// The run that has started another as its child, and that it reports to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parent {
    pub namespace: String,
    pub namespace_id: String,
    pub execution: WorkflowExecution,
    /// The event by which the parent knows the child.
    pub initiated_event_id: i64,
    /// The workflow at the top of the tree.
    pub root: WorkflowExecution,
}

/// The latest run of a workflow id, as far as another start must know it.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentRun {
    pub run_id: String,
    pub status: WorkflowExecutionStatus,
    pub start_request_id: String,
    /// The first run of the chain that this one goes on with.
    pub first_execution_run_id: String,
}

/// What a start comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum StartDecision {
    /// A new run.
    Begin,
    /// The running one is terminated first; both in one step.
    TerminateAndBegin { run_id: String },
    /// The running one is returned; nothing is started.
    UseExisting { run_id: String },
    /// This very start has been carried out before.
    Repeated { run_id: String, status: WorkflowExecutionStatus },
}

impl StartWorkflow {
    /// Refuses what can never be started, before anything is looked up.
    pub fn validate(&self) -> Result<(), Rejection> {
        validate::name("WorkflowId", &self.workflow_id)?;
        validate::name("WorkflowType", &self.workflow_type)?;
        validate::name("TaskQueue", &self.task_queue)?;
        validate::optional_name("RequestId", &self.request_id)?;
        validate::duration("WorkflowExecutionTimeoutSeconds", self.execution_timeout.as_ref())?;
        validate::duration("WorkflowRunTimeoutSeconds", self.run_timeout.as_ref())?;
        validate::duration("WorkflowTaskTimeoutSeconds", self.task_timeout.as_ref())?;
        validate::duration("WorkflowStartDelay", self.start_delay.as_ref())?;
        validate::retry_policy(self.retry_policy.as_ref())?;
        validate::payloads("Workflow input", self.input.as_ref())?;
        validate::memo("Memo", self.memo.as_ref())?;
        let terminates_both = self.reuse_policy == WorkflowIdReusePolicy::TerminateIfRunning
            && self.conflict_policy != WorkflowIdConflictPolicy::Unspecified;
        if terminates_both {
            return Err(Rejection::invalid(
                "WorkflowIDReusePolicy.TerminateIfRunning cannot be used together with a WorkflowIDConflictPolicy.",
            ));
        }
        let contradicts = self.reuse_policy == WorkflowIdReusePolicy::RejectDuplicate
            && self.conflict_policy == WorkflowIdConflictPolicy::TerminateExisting;
        if contradicts {
            return Err(Rejection::invalid(
                "WorkflowIDConflictPolicy.TerminateExisting cannot be used with WorkflowIDReusePolicy.RejectDuplicate.",
            ));
        }
        Ok(())
    }

    /// Applies the id reuse policy (to a closed run) or the id conflict policy (to a running one).
    pub fn decide(&self, current: Option<&CurrentRun>) -> Result<StartDecision, Rejection> {
        let Some(current) = current else {
            return Ok(StartDecision::Begin);
        };
        let run_id = current.run_id.clone();
        if current.start_request_id == self.request_id {
            return Ok(StartDecision::Repeated { run_id, status: current.status });
        }
        let already = |message: String| Rejection::AlreadyStarted {
            message,
            start_request_id: current.start_request_id.clone(),
            run_id: current.run_id.clone(),
            first_execution_run_id: current.first_execution_run_id.clone(),
        };
        if current.status == WorkflowExecutionStatus::Running {
            let terminates = self.reuse_policy == WorkflowIdReusePolicy::TerminateIfRunning
                || self.conflict_policy == WorkflowIdConflictPolicy::TerminateExisting;
            return match self.conflict_policy {
                _ if terminates => Ok(StartDecision::TerminateAndBegin { run_id }),
                WorkflowIdConflictPolicy::UseExisting => Ok(StartDecision::UseExisting { run_id }),
                _ => Err(already(format!(
                    "Workflow execution is already running. WorkflowId: {}, RunId: {run_id}.",
                    self.workflow_id
                ))),
            };
        }
        let failed = current.status != WorkflowExecutionStatus::Completed;
        match self.reuse_policy {
            WorkflowIdReusePolicy::RejectDuplicate => Err(already(format!(
                "Workflow execution already finished. WorkflowId: {}, RunId: {run_id}. Workflow Id reuse policy: reject duplicate workflow Id.",
                self.workflow_id
            ))),
            WorkflowIdReusePolicy::AllowDuplicateFailedOnly if !failed => Err(already(format!(
                "Workflow execution already finished successfully. WorkflowId: {}, RunId: {run_id}. Workflow Id reuse policy: allow duplicate workflow Id if last run failed.",
                self.workflow_id
            ))),
            _ => Ok(StartDecision::Begin),
        }
    }

    fn into_attributes(self, run_id: &str, now: Time) -> WorkflowExecutionStartedEventAttributes {
        let execution = time::positive(self.execution_timeout.as_ref());
        let run = match (time::positive(self.run_timeout.as_ref()), execution) {
            (Some(run), Some(execution)) => Some(run.min(execution)),
            (run, execution) => run.or(execution),
        };
        let task = time::positive(self.task_timeout.as_ref())
            .unwrap_or(limits::WORKFLOW_TASK_TIMEOUT)
            .min(limits::WORKFLOW_TASK_TIMEOUT_MAX)
            .min(run.unwrap_or(Duration::MAX));
        let delay = time::positive(self.start_delay.as_ref());
        let (parent, root) = self.parent.map(|mut parent| (parent.clone(), std::mem::take(&mut parent.root))).unzip();
        let parent = parent.unwrap_or_default();
        WorkflowExecutionStartedEventAttributes {
            parent_workflow_execution: root.is_some().then_some(parent.execution),
            parent_workflow_namespace: parent.namespace,
            parent_workflow_namespace_id: parent.namespace_id,
            parent_initiated_event_id: parent.initiated_event_id,
            root_workflow_execution: root,
            workflow_type: Some(WorkflowType { name: self.workflow_type }),
            task_queue: Some(TaskQueue {
                name: self.task_queue,
                kind: TaskQueueKind::Normal.into(),
                ..Default::default()
            }),
            input: self.input,
            // A zero that was given stays one: so it is in Temporal.
            workflow_execution_timeout: execution.map(time::to_proto).or(self.execution_timeout),
            workflow_run_timeout: run.map(time::to_proto).or(self.run_timeout),
            workflow_task_timeout: Some(time::to_proto(task)),
            original_execution_run_id: run_id.to_owned(),
            first_execution_run_id: run_id.to_owned(),
            identity: self.identity,
            retry_policy: self.retry_policy.as_ref().map(|policy| crate::retry::with_defaults(Some(policy))),
            attempt: 1,
            workflow_execution_expiration_time: execution
                .map(|execution| now.after(delay.unwrap_or_default()).after(execution).to_proto()),
            first_workflow_task_backoff: Some(time::to_proto(delay.unwrap_or_default())),
            memo: self.memo,
            search_attributes: self.search_attributes,
            header: self.header,
            workflow_id: self.workflow_id,
            priority: self.priority,
            ..Default::default()
        }
    }
}

impl RunState {
    /// A state for a run that is about to begin; [`Step::begin`] must follow.
    pub fn new(run_id: &str) -> RunState {
        RunState::empty(run_id)
    }

    /// When the workflow begins: the start, and the delay that was asked for.
    pub(crate) fn execution_time(&self) -> Time {
        let delay = time::duration(self.started.first_workflow_task_backoff.as_ref());
        if self.reset.is_some() { self.start_time } else { self.start_time.after(delay) }
    }

    /// When the run, or the whole chain that it belongs to, must have ended.
    pub(crate) fn run_expiration(&self) -> Option<Time> {
        let run = time::positive(self.started.workflow_run_timeout.as_ref())
            .map(|timeout| self.execution_time().after(timeout));
        [run, self.execution_expiration()].into_iter().flatten().min()
    }

    /// When the first workflow task is due, while that is still to come.
    pub(crate) fn start_delay_end(&self) -> Option<Time> {
        let delay = time::positive(self.started.first_workflow_task_backoff.as_ref())?;
        let waits = self.is_running()
            && self.reset.is_none()
            && self.previous_started_event_id == 0
            && self.workflow_task.is_none();
        waits.then(|| self.start_time.after(delay))
    }
}

impl Step<'_> {
    /// The first input of a run.
    pub fn begin(&mut self, start: StartWorkflow) {
        self.record_start(start);
        self.schedule_workflow_task();
    }

    /// The first input of a run that is started by a signal: the workflow has it at its first turn.
    pub fn begin_with_signal(&mut self, start: StartWorkflow, signal: Signal) -> Result<(), Rejection> {
        signal.validate()?;
        self.record_start(start);
        self.record_signal(signal);
        self.schedule_workflow_task();
        Ok(())
    }

    fn record_start(&mut self, start: StartWorkflow) {
        let (run_id, request_id) = (self.state.run_id.clone(), start.request_id.clone());
        let user_metadata = start.user_metadata.clone();
        let started = start.into_attributes(&run_id, self.now);
        self.record_with(started.into(), user_metadata);
        self.state.start_request_id = request_id;
    }

    /// Ends the run at once; the workflow is not asked.
    pub fn terminate(&mut self, reason: &str, details: Option<Payloads>, identity: &str) -> Result<(), Rejection> {
        validate::payloads("Details", details.as_ref())?;
        if !self.state.is_running() {
            return Err(Rejection::closed());
        }
        self.end_workflow_task();
        let terminated = WorkflowExecutionTerminatedEventAttributes {
            reason: reason.to_owned(),
            details,
            identity: identity.to_owned(),
        };
        self.record(terminated.into());
        Ok(())
    }

    pub(crate) fn time_out_run(&mut self) {
        self.end_workflow_task();
        if !self.state.is_running() {
            return;
        }
        let expired = self.state.execution_expiration().is_some_and(|at| at <= self.now);
        let (retry_state, successor) = match expired {
            true => (RetryState::Timeout, None),
            false => self.next_attempt(&failure::workflow_timeout()),
        };
        let new_execution_run_id = successor.as_ref().map_or(String::new(), |successor| successor.run_id.clone());
        let retry_state = retry_state.into();
        self.record(WorkflowExecutionTimedOutEventAttributes { retry_state, new_execution_run_id }.into());
        self.successor = successor;
    }

    /// A workflow task that is under way when the run ends is failed, and what it kept waiting is written.
    fn end_workflow_task(&mut self) {
        if self.state.has_started_workflow_task() {
            let cause = WorkflowTaskFailedCause::ForceCloseCommand;
            self.fail_started_workflow_task(cause, Failure::default(), "", Duration::ZERO);
        } else if !self.state.has_durable_workflow_task() {
            self.state.workflow_task = None;
        }
    }
}
