//! Messages to other workflows: signals, and requests to cancel.
//!
//! | state | input | next state | written |
//! | --- | --- | --- | --- |
//! | — | command | pending | SignalExternalWorkflowExecutionInitiated, RequestCancel… |
//! | pending | delivered | — | ExternalWorkflowExecutionSignaled, …CancelRequested |
//! | pending | could not be delivered | — | SignalExternalWorkflowExecutionFailed, RequestCancel…Failed |
//! | pending | this run closes | — | nothing: what becomes of it tells [`crate::outbox`] |

use mainspring_api::{
    command::{
        RequestCancelExternalWorkflowExecutionCommandAttributes as AskedCancel,
        SignalExternalWorkflowExecutionCommandAttributes as AskedSignal,
    },
    common::WorkflowExecution,
    enums::{
        CancelExternalWorkflowExecutionFailedCause, SignalExternalWorkflowExecutionFailedCause,
        WorkflowTaskFailedCause as Cause,
    },
    history::{
        ExternalWorkflowExecutionCancelRequestedEventAttributes, ExternalWorkflowExecutionSignaledEventAttributes,
        RequestCancelExternalWorkflowExecutionFailedEventAttributes,
        RequestCancelExternalWorkflowExecutionInitiatedEventAttributes as CancelInitiated,
        SignalExternalWorkflowExecutionFailedEventAttributes,
        SignalExternalWorkflowExecutionInitiatedEventAttributes as SignalInitiated, history_event::Attributes,
    },
};

use crate::{Rejection, RunState, Step, child::check_namespace, command::BadCommand, validate};

/// A message that is on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct External {
    pub initiated_event_id: i64,
    pub message: Message,
    /// What makes it the same message, however often it is delivered.
    pub request_id: String,
    /// Its fate is known, but the event is buffered behind a workflow task.
    pub answered: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Signal(SignalInitiated),
    Cancel(CancelInitiated),
}

impl External {
    /// The WorkflowTaskCompleted of the turn in which it was sent.
    pub(crate) fn turn(&self) -> i64 {
        match &self.message {
            Message::Signal(initiated) => initiated.workflow_task_completed_event_id,
            Message::Cancel(initiated) => initiated.workflow_task_completed_event_id,
        }
    }
}

/// Which run a message comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    pub execution: WorkflowExecution,
    /// The runs that it was reset from: what they have started is its own.
    pub former_run_ids: Vec<String>,
    pub initiated_event_id: i64,
    /// It is meant for a child of that workflow, and for nobody else.
    pub child_workflow_only: bool,
}

impl Origin {
    /// Whether it is that run, or has taken its place.
    fn stands_for(&self, run: &WorkflowExecution) -> bool {
        self.execution.workflow_id == run.workflow_id
            && (self.execution.run_id == run.run_id || self.former_run_ids.contains(&run.run_id))
    }
}

pub(crate) fn check_signal(asked: &AskedSignal, namespace: &str) -> Result<(), BadCommand> {
    let command = "SignalExternalWorkflowExecutionCommand";
    let bad = |message: String| Err(BadCommand { cause: Cause::BadSignalWorkflowExecutionAttributes, message });
    check_namespace(&asked.namespace, namespace).or_else(bad)?;
    let Some(WorkflowExecution { workflow_id, run_id }) = &asked.execution else {
        return bad(format!("Execution is not set on {command}."));
    };
    let given: &str = if asked.namespace.is_empty() { namespace } else { &asked.namespace };
    let name = &asked.signal_name;
    if workflow_id.is_empty() {
        return bad(format!("WorkflowId is not set on {command}. Namespace={given} RunId={run_id} SignalName={name}"));
    }
    if !is_run_id(run_id) {
        return bad(format!(
            "Invalid RunId set on {command}. WorkflowId={workflow_id} Namespace={given} RunId={run_id} SignalName={name}"
        ));
    }
    if name.is_empty() {
        return bad(format!(
            "SignalName is not set on {command}. WorkflowId={workflow_id} Namespace={given} RunId={run_id}"
        ));
    }
    validate::optional_name("WorkflowId", workflow_id)
        .and(validate::optional_name("SignalName", name))
        .and(validate::payloads("SignalExternalWorkflowExecutionCommandAttributes.Input", asked.input.as_ref()))
        .or_else(|error| bad(format!("{error} {command}. WorkflowId={workflow_id} SignalName={name}")))
}

pub(crate) fn check_cancel(asked: &AskedCancel, namespace: &str) -> Result<(), BadCommand> {
    let command = "RequestCancelExternalWorkflowExecutionCommand";
    let cause = Cause::BadRequestCancelExternalWorkflowExecutionAttributes;
    let bad = |message: String| Err(BadCommand { cause, message });
    check_namespace(&asked.namespace, namespace).or_else(bad)?;
    let given: &str = if asked.namespace.is_empty() { namespace } else { &asked.namespace };
    let AskedCancel { workflow_id, run_id, .. } = asked;
    if workflow_id.is_empty() {
        return bad(format!("WorkflowId is not set on {command}. Namespace={given} RunId={run_id}"));
    }
    if !is_run_id(run_id) {
        return bad(format!(
            "Invalid RunId set on {command}. WorkflowId={workflow_id} RunId={run_id} Namespace={given}"
        ));
    }
    validate::optional_name("WorkflowId", workflow_id)
        .or_else(|error| bad(format!("{error} {command}. WorkflowId={workflow_id}")))
}

/// Empty, or in the form of a UUID.
fn is_run_id(run_id: &str) -> bool {
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let uuid = |(at, byte): (usize, u8)| if dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    run_id.is_empty() || (run_id.len() == 36 && run_id.bytes().enumerate().all(uuid))
}

/// The event of the command, but for the namespace.
pub(crate) fn written_signal(asked: &AskedSignal, workflow_task_completed_event_id: i64) -> SignalInitiated {
    SignalInitiated {
        workflow_task_completed_event_id,
        namespace: asked.namespace.clone(),
        namespace_id: String::new(),
        workflow_execution: asked.execution.clone(),
        signal_name: asked.signal_name.clone(),
        input: asked.input.clone(),
        control: asked.control.clone(),
        child_workflow_only: asked.child_workflow_only,
        header: asked.header.clone(),
    }
}

/// The event of the command, but for the namespace.
pub(crate) fn written_cancel(asked: &AskedCancel, workflow_task_completed_event_id: i64) -> CancelInitiated {
    CancelInitiated {
        workflow_task_completed_event_id,
        namespace: asked.namespace.clone(),
        namespace_id: String::new(),
        workflow_execution: Some(WorkflowExecution {
            workflow_id: asked.workflow_id.clone(),
            run_id: asked.run_id.clone(),
        }),
        control: asked.control.clone(),
        child_workflow_only: asked.child_workflow_only,
        reason: asked.reason.clone(),
    }
}

/// Why a signal that was refused was not taken, as its sender is told.
pub fn signal_failed_cause(refused: &Rejection) -> SignalExternalWorkflowExecutionFailedCause {
    match refused {
        Rejection::InvalidArgument(_) => SignalExternalWorkflowExecutionFailedCause::SignalCountLimitExceeded,
        _ => SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound,
    }
}

/// The initiated event that the fate of a message names.
pub(crate) fn answered(attributes: &Attributes) -> Option<i64> {
    Some(match attributes {
        Attributes::ExternalWorkflowExecutionSignaledEventAttributes(fate) => fate.initiated_event_id,
        Attributes::SignalExternalWorkflowExecutionFailedEventAttributes(fate) => fate.initiated_event_id,
        Attributes::ExternalWorkflowExecutionCancelRequestedEventAttributes(fate) => fate.initiated_event_id,
        Attributes::RequestCancelExternalWorkflowExecutionFailedEventAttributes(fate) => fate.initiated_event_id,
        _ => return None,
    })
}

impl RunState {
    pub(crate) fn apply_external_initiated(&mut self, event_id: i64, message: Message) {
        let request_id = self.request_id(event_id);
        let external = External { initiated_event_id: event_id, message, request_id, answered: false };
        self.external.insert(event_id, external);
    }

    /// The child of `parent` that the message may be meant for.
    pub(crate) fn check_origin(&self, origin: Option<&Origin>) -> Result<(), Rejection> {
        let Some(origin) = origin.filter(|origin| origin.child_workflow_only) else {
            return Ok(());
        };
        let parent = self.started.parent_workflow_execution.as_ref();
        match parent.is_some_and(|parent| origin.stands_for(parent)) {
            true => Ok(()),
            false => Err(Rejection::not_found("workflow parent does not match")),
        }
    }
}

impl Step<'_> {
    /// A signal to another workflow was taken there, or could not be. Told again, it changes nothing.
    pub fn external_signaled(
        &mut self,
        initiated_event_id: i64,
        outcome: Result<(), SignalExternalWorkflowExecutionFailedCause>,
    ) {
        self.delivered(initiated_event_id);
        let Some(External { message: Message::Signal(initiated), .. }) = self.unanswered(initiated_event_id) else {
            return;
        };
        let SignalInitiated { namespace, namespace_id, workflow_execution, control, .. } = initiated;
        let fate: Attributes = match outcome {
            Ok(()) => ExternalWorkflowExecutionSignaledEventAttributes {
                initiated_event_id,
                namespace,
                namespace_id,
                workflow_execution,
                control,
            }
            .into(),
            Err(cause) => SignalExternalWorkflowExecutionFailedEventAttributes {
                cause: cause.into(),
                workflow_task_completed_event_id: 0,
                namespace,
                namespace_id,
                workflow_execution,
                initiated_event_id,
                control,
            }
            .into(),
        };
        self.record_fate(fate);
    }

    /// Another workflow was asked to cancel, or could not be. Told again, it changes nothing.
    pub fn external_cancel_requested(
        &mut self,
        initiated_event_id: i64,
        outcome: Result<(), CancelExternalWorkflowExecutionFailedCause>,
    ) {
        self.delivered(initiated_event_id);
        let Some(External { message: Message::Cancel(initiated), .. }) = self.unanswered(initiated_event_id) else {
            return;
        };
        let CancelInitiated { namespace, namespace_id, workflow_execution, control, .. } = initiated;
        let fate: Attributes = match outcome {
            Ok(()) => ExternalWorkflowExecutionCancelRequestedEventAttributes {
                initiated_event_id,
                namespace,
                namespace_id,
                workflow_execution,
            }
            .into(),
            Err(cause) => RequestCancelExternalWorkflowExecutionFailedEventAttributes {
                cause: cause.into(),
                workflow_task_completed_event_id: 0,
                namespace,
                namespace_id,
                workflow_execution,
                initiated_event_id,
                control,
            }
            .into(),
        };
        self.record_fate(fate);
    }

    fn unanswered(&self, initiated_event_id: i64) -> Option<External> {
        self.state.external.get(&initiated_event_id).filter(|external| !external.answered).cloned()
    }

    fn record_fate(&mut self, fate: Attributes) {
        self.make_room_in_buffer();
        self.record_or_buffer(fate);
        self.schedule_workflow_task();
    }
}
