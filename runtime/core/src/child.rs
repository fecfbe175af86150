//! Child workflows: runs that this one has started, and that report to it.
//!
//! | phase | input | next phase | written |
//! | --- | --- | --- | --- |
//! | — | command | initiated | StartChildWorkflowExecutionInitiated |
//! | initiated | it has begun | started | ChildWorkflowExecutionStarted |
//! | initiated | it could not begin | — | StartChildWorkflowExecutionFailed |
//! | initiated | it has closed | — | ChildWorkflowExecutionStarted, …Completed or another end |
//! | started | it has closed | — | ChildWorkflowExecutionCompleted, …Failed, …Canceled, …TimedOut or …Terminated |
//! | any | this run closes | — | nothing: what becomes of it is an effect (see [`crate::outbox`]) |

use mainspring_api::{
    command::StartChildWorkflowExecutionCommandAttributes as Asked,
    common::{Payloads, WorkflowExecution, WorkflowType},
    enums::{
        ParentClosePolicy, RetryState, StartChildWorkflowExecutionFailedCause, TaskQueueKind, WorkflowIdReusePolicy,
        WorkflowTaskFailedCause as Cause,
    },
    failure::Failure,
    history::{
        ChildWorkflowExecutionCanceledEventAttributes, ChildWorkflowExecutionCompletedEventAttributes,
        ChildWorkflowExecutionFailedEventAttributes, ChildWorkflowExecutionStartedEventAttributes,
        ChildWorkflowExecutionTerminatedEventAttributes, ChildWorkflowExecutionTimedOutEventAttributes,
        StartChildWorkflowExecutionFailedEventAttributes,
        StartChildWorkflowExecutionInitiatedEventAttributes as Initiated, WorkflowExecutionStartedEventAttributes,
        history_event::Attributes,
    },
    sdk::UserMetadata,
    taskqueue::TaskQueue,
};

use crate::{
    RunState, Step,
    command::BadCommand,
    continue_as_new::{task_timeout_within, within},
    outbox, retry, time, validate,
    workflow::Parent,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Initiated,
    Started,
    /// It has closed, but the event is buffered behind a workflow task.
    Ended,
}

/// A child that has not closed. Phase and run id may be ahead of the events: buffered ones count.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    pub initiated_event_id: i64,
    pub initiated: Initiated,
    pub user_metadata: Option<UserMetadata>,
    /// What makes its start the same start, however often it is asked for.
    pub request_id: String,
    /// 0 before the event is there.
    pub started_event_id: i64,
    /// Empty before it has begun.
    pub run_id: String,
    pub phase: Phase,
}

/// How a child has closed.
#[derive(Clone, Debug, PartialEq)]
pub enum ChildOutcome {
    Completed(Option<Payloads>),
    Failed { failure: Option<Failure>, retry_state: RetryState },
    Canceled(Option<Payloads>),
    TimedOut(RetryState),
    Terminated,
}

impl Child {
    pub fn parent_close_policy(&self) -> ParentClosePolicy {
        self.initiated.parent_close_policy()
    }

    fn execution(&self, run_id: &str) -> Option<WorkflowExecution> {
        Some(WorkflowExecution { workflow_id: self.initiated.workflow_id.clone(), run_id: run_id.to_owned() })
    }
}

pub(crate) fn check(asked: &Asked, namespace: &str) -> Result<(), BadCommand> {
    let workflow_type = asked.workflow_type.as_ref().map_or("", |workflow_type| &workflow_type.name);
    let task_queue = asked.task_queue.as_ref().map_or("", |task_queue| &task_queue.name);
    let (id, given) = (&asked.workflow_id, namespace);
    let bad = |message: String| Err(BadCommand { cause: Cause::BadStartChildExecutionAttributes, message });
    check_namespace(&asked.namespace, namespace).or_else(bad)?;
    let command = "StartChildWorkflowExecutionCommand";
    if id.is_empty() {
        return bad(format!(
            "Required field WorkflowId is not set on {command}. WorkflowType={workflow_type} Namespace={given}"
        ));
    }
    if workflow_type.is_empty() {
        return bad(format!("Required field WorkflowType is not set on {command}. WorkflowId={id} Namespace={given}"));
    }
    let checks = [
        validate::optional_name("WorkflowId", id),
        validate::optional_name("WorkflowType", workflow_type),
        validate::optional_name("TaskQueue", task_queue),
        validate::duration("WorkflowExecutionTimeout", asked.workflow_execution_timeout.as_ref()),
        validate::duration("WorkflowRunTimeout", asked.workflow_run_timeout.as_ref()),
        validate::duration("WorkflowTaskTimeout", asked.workflow_task_timeout.as_ref()),
        validate::retry_policy(asked.retry_policy.as_ref()),
        validate::payloads("StartChildWorkflowExecutionCommandAttributes. Input", asked.input.as_ref()),
        validate::memo("StartChildWorkflowExecutionCommandAttributes.Memo", asked.memo.as_ref()),
    ];
    for check in checks {
        if let Err(error) = check {
            return bad(format!("{error} {command}. WorkflowId={id} WorkflowType={workflow_type} Namespace={given}"));
        }
    }
    match asked.cron_schedule.as_str() {
        "" => Ok(()),
        _ => bad(format!("CronSchedule on {command} is not supported. WorkflowId={id} WorkflowType={workflow_type}")),
    }
}

/// Commands stay in their namespace, as Temporal has it by default.
pub(crate) fn check_namespace(given: &str, own: &str) -> Result<(), String> {
    match given.is_empty() || given == own {
        true => Ok(()),
        false => Err("cross namespace commands are not allowed".into()),
    }
}

/// The event of the command, but for the namespace.
pub(crate) fn written(
    asked: &Asked,
    started: &WorkflowExecutionStartedEventAttributes,
    workflow_task_completed_event_id: i64,
) -> Initiated {
    let task_queue = asked.task_queue.as_ref().filter(|task_queue| !task_queue.name.is_empty());
    let task_queue = task_queue.or(started.task_queue.as_ref()).map_or("", |task_queue| &task_queue.name);
    let execution_timeout = time::duration(asked.workflow_execution_timeout.as_ref());
    let run_timeout = within(time::duration(asked.workflow_run_timeout.as_ref()), execution_timeout);
    let task_timeout = task_timeout_within(time::duration(asked.workflow_task_timeout.as_ref()), run_timeout);
    let close_policy = match asked.parent_close_policy() {
        ParentClosePolicy::Unspecified => ParentClosePolicy::Terminate,
        given => given,
    };
    let reuse_policy = match asked.workflow_id_reuse_policy() {
        WorkflowIdReusePolicy::Unspecified => WorkflowIdReusePolicy::AllowDuplicate,
        given => given,
    };
    Initiated {
        namespace: asked.namespace.clone(),
        workflow_id: asked.workflow_id.clone(),
        workflow_type: asked.workflow_type.clone(),
        task_queue: Some(TaskQueue {
            name: task_queue.to_owned(),
            kind: TaskQueueKind::Normal.into(),
            ..Default::default()
        }),
        input: asked.input.clone(),
        workflow_execution_timeout: asked.workflow_execution_timeout,
        workflow_run_timeout: Some(time::to_proto(run_timeout)),
        workflow_task_timeout: Some(time::to_proto(task_timeout)),
        parent_close_policy: close_policy.into(),
        control: asked.control.clone(),
        workflow_task_completed_event_id,
        workflow_id_reuse_policy: reuse_policy.into(),
        retry_policy: asked.retry_policy.as_ref().map(|policy| retry::with_defaults(Some(policy))),
        header: asked.header.clone(),
        memo: asked.memo.clone(),
        search_attributes: asked.search_attributes.clone(),
        inherit_build_id: asked.inherit_build_id,
        priority: asked.priority.clone(),
        ..Default::default()
    }
}

/// The initiated event that the end of a child names.
pub(crate) fn ended(attributes: &Attributes) -> Option<i64> {
    Some(match attributes {
        Attributes::StartChildWorkflowExecutionFailedEventAttributes(end) => end.initiated_event_id,
        Attributes::ChildWorkflowExecutionCompletedEventAttributes(end) => end.initiated_event_id,
        Attributes::ChildWorkflowExecutionFailedEventAttributes(end) => end.initiated_event_id,
        Attributes::ChildWorkflowExecutionCanceledEventAttributes(end) => end.initiated_event_id,
        Attributes::ChildWorkflowExecutionTimedOutEventAttributes(end) => end.initiated_event_id,
        Attributes::ChildWorkflowExecutionTerminatedEventAttributes(end) => end.initiated_event_id,
        _ => return None,
    })
}

/// Where the end of a child names its start.
fn started_event_id(attributes: &mut Attributes) -> Option<&mut i64> {
    Some(match attributes {
        Attributes::ChildWorkflowExecutionCompletedEventAttributes(end) => &mut end.started_event_id,
        Attributes::ChildWorkflowExecutionFailedEventAttributes(end) => &mut end.started_event_id,
        Attributes::ChildWorkflowExecutionCanceledEventAttributes(end) => &mut end.started_event_id,
        Attributes::ChildWorkflowExecutionTimedOutEventAttributes(end) => &mut end.started_event_id,
        Attributes::ChildWorkflowExecutionTerminatedEventAttributes(end) => &mut end.started_event_id,
        _ => return None,
    })
}

impl RunState {
    pub(crate) fn apply_child_initiated(
        &mut self,
        event_id: i64,
        initiated: &Initiated,
        user_metadata: Option<&UserMetadata>,
    ) {
        let child = Child {
            initiated_event_id: event_id,
            initiated: initiated.clone(),
            user_metadata: user_metadata.cloned(),
            request_id: self.request_id(event_id),
            started_event_id: 0,
            run_id: String::new(),
            phase: Phase::Initiated,
        };
        self.children.insert(event_id, child);
    }

    pub(crate) fn apply_child_started(
        &mut self,
        event_id: i64,
        started: &ChildWorkflowExecutionStartedEventAttributes,
    ) {
        self.note_child_started(started);
        if let Some(child) = self.children.get_mut(&started.initiated_event_id) {
            child.started_event_id = event_id;
        }
    }

    /// Gives the end of a child that was buffered the id of its start, which has got one only now.
    pub(crate) fn set_child_started_event_id(&self, end: &mut Attributes) {
        let child = ended(end).and_then(|initiated_event_id| self.children.get(&initiated_event_id));
        if let (Some(child), Some(field)) = (child, started_event_id(end)) {
            *field = child.started_event_id;
        }
    }

    /// The event may be buffered.
    pub(crate) fn note_child_started(&mut self, started: &ChildWorkflowExecutionStartedEventAttributes) {
        let Some(child) = self.children.get_mut(&started.initiated_event_id) else { return };
        if child.phase == Phase::Initiated {
            child.phase = Phase::Started;
        }
        child.run_id = started.workflow_execution.as_ref().map_or(String::new(), |execution| execution.run_id.clone());
    }
}

impl Step<'_> {
    /// A child has begun, as this run. Told again, it changes nothing.
    pub fn child_started(&mut self, initiated_event_id: i64, run_id: &str) {
        self.delivered(initiated_event_id);
        let Some(child) = self.open_child(initiated_event_id, Phase::Initiated) else { return };
        self.make_room_in_buffer();
        self.record_child_started(&child, run_id);
        self.schedule_workflow_task();
    }

    fn record_child_started(&mut self, child: &Child, run_id: &str) {
        let started = ChildWorkflowExecutionStartedEventAttributes {
            namespace: child.initiated.namespace.clone(),
            namespace_id: child.initiated.namespace_id.clone(),
            initiated_event_id: child.initiated_event_id,
            workflow_execution: child.execution(run_id),
            workflow_type: child.initiated.workflow_type.clone(),
            header: child.initiated.header.clone(),
        };
        self.record_or_buffer(started.into());
    }

    /// A child could not begin.
    pub fn child_start_failed(&mut self, initiated_event_id: i64, cause: StartChildWorkflowExecutionFailedCause) {
        self.delivered(initiated_event_id);
        let Some(child) = self.open_child(initiated_event_id, Phase::Initiated) else { return };
        self.make_room_in_buffer();
        let failed = StartChildWorkflowExecutionFailedEventAttributes {
            namespace: child.initiated.namespace.clone(),
            namespace_id: child.initiated.namespace_id.clone(),
            workflow_id: child.initiated.workflow_id.clone(),
            workflow_type: child.initiated.workflow_type.clone(),
            cause: cause.into(),
            control: child.initiated.control.clone(),
            initiated_event_id,
            workflow_task_completed_event_id: 0,
        };
        self.record_or_buffer(failed.into());
        self.schedule_workflow_task();
    }

    /// A child tells what became of it. It was started by the run `parent`, which is this one, or one that this run was
    /// reset from. Where this run was reset, the news is for the run that took its place, which is returned.
    pub fn take_report(&mut self, parent: &Parent, run_id: &str, outcome: ChildOutcome) -> Option<String> {
        if !self.state.reset_run_id.is_empty() {
            return Some(self.state.reset_run_id.clone());
        }
        // What this run has initiated since the reset may have the same event id as a child of the run before.
        let request_id = outbox::request_id(&parent.execution.run_id, parent.initiated_event_id);
        let child = self.state.children.get(&parent.initiated_event_id);
        if child.is_some_and(|child| child.request_id == request_id) {
            self.child_closed(parent.initiated_event_id, run_id, outcome);
        }
        None
    }

    /// A child has closed, with this run as the last of its chain. News that overtake its start stand for it, too.
    pub fn child_closed(&mut self, initiated_event_id: i64, run_id: &str, outcome: ChildOutcome) {
        self.delivered(initiated_event_id);
        let Some(mut child) = self.state.children.get(&initiated_event_id).cloned() else { return };
        if child.phase == Phase::Ended {
            return;
        }
        self.make_room_in_buffer();
        if child.phase == Phase::Initiated {
            self.record_child_started(&child, run_id);
        }
        // What the start's event id is, a buffered end learns when both get theirs.
        child.started_event_id = self.state.children.get(&initiated_event_id).map_or(0, |child| child.started_event_id);
        self.record_or_buffer(child.end(run_id, outcome));
        self.schedule_workflow_task();
    }

    fn open_child(&self, initiated_event_id: i64, phase: Phase) -> Option<Child> {
        self.state.children.get(&initiated_event_id).filter(|child| child.phase == phase).cloned()
    }
}

impl Child {
    fn end(&self, run_id: &str, outcome: ChildOutcome) -> Attributes {
        let Initiated { namespace, namespace_id, workflow_type, .. } = self.initiated.clone();
        let workflow_execution = self.execution(run_id);
        let (initiated_event_id, started_event_id) = (self.initiated_event_id, self.started_event_id);
        match outcome {
            ChildOutcome::Completed(result) => ChildWorkflowExecutionCompletedEventAttributes {
                result,
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            }
            .into(),
            ChildOutcome::Failed { failure, retry_state } => ChildWorkflowExecutionFailedEventAttributes {
                failure,
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
                retry_state: retry_state.into(),
            }
            .into(),
            ChildOutcome::Canceled(details) => ChildWorkflowExecutionCanceledEventAttributes {
                details,
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            }
            .into(),
            ChildOutcome::TimedOut(retry_state) => ChildWorkflowExecutionTimedOutEventAttributes {
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
                retry_state: retry_state.into(),
            }
            .into(),
            ChildOutcome::Terminated => ChildWorkflowExecutionTerminatedEventAttributes {
                namespace,
                namespace_id,
                workflow_execution,
                workflow_type,
                initiated_event_id,
                started_event_id,
            }
            .into(),
        }
    }
}

/// How a run that has closed tells its parent so; none where it goes on in another run.
pub(crate) fn outcome_of(closed: &Attributes) -> Option<ChildOutcome> {
    Some(match closed {
        Attributes::WorkflowExecutionCompletedEventAttributes(closed) if closed.new_execution_run_id.is_empty() => {
            ChildOutcome::Completed(closed.result.clone())
        }
        Attributes::WorkflowExecutionFailedEventAttributes(closed) if closed.new_execution_run_id.is_empty() => {
            ChildOutcome::Failed { failure: closed.failure.clone(), retry_state: closed.retry_state() }
        }
        Attributes::WorkflowExecutionTimedOutEventAttributes(closed) if closed.new_execution_run_id.is_empty() => {
            ChildOutcome::TimedOut(closed.retry_state())
        }
        Attributes::WorkflowExecutionCanceledEventAttributes(closed) => ChildOutcome::Canceled(closed.details.clone()),
        Attributes::WorkflowExecutionTerminatedEventAttributes(_) => ChildOutcome::Terminated,
        _ => return None,
    })
}

/// A child's start is asked for by name alone.
pub(crate) fn type_name(workflow_type: Option<&WorkflowType>) -> String {
    workflow_type.map_or(String::new(), |workflow_type| workflow_type.name.clone())
}
