//! Messages to other workflows of the namespace.

use std::{
    error::Error,
    fmt,
    future::{Future, IntoFuture},
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    error::Canceled,
    failure::Failure,
    host::Operation,
    operation::{Description, Kind, Resolution},
    payload::{Payload, PayloadError, ToPayload},
    runtime::{Runtime, with_current},
};

pub use crate::bindings::mainspring::workflow::external::Target;

/// Another workflow of the namespace, whoever started it, by its id: its latest run, unless one is
/// [named](ExternalWorkflow::run_id).
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// let warehouse = external_workflow("warehouse");
/// warehouse.signal("reserve").arg("sku-7").arg(2).await?;
/// warehouse.cancel().reason("closing down").await?;
/// # Ok(()) }
/// ```
pub fn external_workflow(workflow_id: impl Into<String>) -> ExternalWorkflow {
    ExternalWorkflow { workflow_id: workflow_id.into(), run_id: String::new() }
}

/// See [`external_workflow`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalWorkflow {
    workflow_id: String,
    run_id: String,
}

impl ExternalWorkflow {
    /// This very run of it.
    #[must_use]
    pub fn run_id(mut self, run_id: impl Into<String>) -> Self {
        self.run_id = run_id.into();
        self
    }

    /// A signal to it, to be awaited: that it was delivered, not that it was handled.
    pub fn signal(&self, name: impl Into<String>) -> SignalWorkflow {
        let target = Target::Execution((self.workflow_id.clone(), self.run_id.clone()));
        SignalWorkflow::new(target, name.into(), format!("workflow {}", self.workflow_id))
    }

    /// A request that it cancels, to be awaited: that it was asked, not that it has ended.
    pub fn cancel(&self) -> CancelWorkflow {
        CancelWorkflow { workflow: self.clone(), reason: String::new() }
    }
}

/// A signal to another workflow that has not been sent yet. It is, when it is awaited or [sent](SignalWorkflow::send).
#[must_use = "a signal is not sent unless it is awaited or sent"]
pub struct SignalWorkflow {
    target: Target,
    name: String,
    /// For people.
    receiver: String,
    input: Result<Vec<Payload>, PayloadError>,
    header: Vec<(String, Payload)>,
}

impl SignalWorkflow {
    pub(crate) fn new(target: Target, name: String, receiver: String) -> Self {
        Self { target, name, receiver, input: Ok(Vec::new()), header: Vec::new() }
    }

    /// Adds an argument.
    pub fn arg(mut self, value: impl ToPayload) -> Self {
        if let Ok(input) = &mut self.input {
            match value.to_payload() {
                Ok(payload) => input.push(payload),
                Err(error) => {
                    self.input = Err(error.of(format_args!("argument {} of signal {}", input.len() + 1, self.name)));
                }
            }
        }
        self
    }

    /// Adds a header for the receiver's interceptors.
    pub fn header(mut self, key: impl Into<String>, value: Payload) -> Self {
        self.header.push((key.into(), value));
        self
    }

    /// Sends it now. Awaiting this tells whether it was delivered. In a scope that is canceled, one that has not been
    /// delivered is taken back.
    #[track_caller]
    pub fn send(self) -> SentMessage {
        let input = match self.input {
            Ok(input) => input,
            Err(error) => return SentMessage::refused(error.into()),
        };
        let what = format!("signal {} to {}", self.name, self.receiver);
        SentMessage::send(Kind::Signal, Description::new(what, Location::caller()), |host| {
            host.signal_workflow(&self.target, &self.name, &input, &self.header)
        })
    }
}

impl IntoFuture for SignalWorkflow {
    type Output = Result<(), ExternalWorkflowError>;
    type IntoFuture = SentMessage;

    #[track_caller]
    fn into_future(self) -> SentMessage {
        self.send()
    }
}

/// A request to cancel another workflow that has not been sent yet. It is, when it is awaited or
/// [sent](CancelWorkflow::send).
#[must_use = "a request is not sent unless it is awaited or sent"]
pub struct CancelWorkflow {
    workflow: ExternalWorkflow,
    reason: String,
}

impl CancelWorkflow {
    /// What the other workflow is told.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Sends it now. Awaiting this tells whether it was delivered.
    #[track_caller]
    pub fn send(self) -> SentMessage {
        let ExternalWorkflow { workflow_id, run_id } = self.workflow;
        let what = format!("cancel request to workflow {workflow_id}");
        SentMessage::send(Kind::CancelRequest, Description::new(what, Location::caller()), |host| {
            host.request_cancel(&workflow_id, &run_id, &self.reason)
        })
    }
}

impl IntoFuture for CancelWorkflow {
    type Output = Result<(), ExternalWorkflowError>;
    type IntoFuture = SentMessage;

    #[track_caller]
    fn into_future(self) -> SentMessage {
        self.send()
    }
}

/// A message to another workflow that has been sent: a future of its delivery. Dropping it takes nothing back.
#[must_use = "nobody learns whether a message was delivered unless this is awaited"]
pub struct SentMessage {
    state: State,
}

enum State {
    Sent(Operation),
    /// It was not even sent, for this reason.
    Refused(Option<ExternalWorkflowError>),
}

impl SentMessage {
    fn refused(error: ExternalWorkflowError) -> Self {
        Self { state: State::Refused(Some(error)) }
    }

    fn send(kind: Kind, description: Description, send: impl FnOnce(&dyn crate::host::Host) -> Operation) -> Self {
        let runtime = Runtime::current();
        match runtime.scope().check() {
            Ok(()) => Self { state: State::Sent(runtime.start_operation(kind, description, send)) },
            Err(canceled) => Self::refused(ExternalWorkflowError { failure: Box::new(canceled.into()) }),
        }
    }
}

impl Future for SentMessage {
    type Output = Result<(), ExternalWorkflowError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let operation = match &mut self.state {
            State::Sent(operation) => *operation,
            State::Refused(error) => {
                return Poll::Ready(Err(error.take().expect("a future is not polled again after it is done")));
            }
        };
        Runtime::current().poll_operation(operation, cx).map(|resolution| match resolution {
            Resolution::Delivered(delivered) => delivered.map_err(|failure| ExternalWorkflowError { failure }),
            Resolution::Canceled => Err(ExternalWorkflowError { failure: Box::new(Canceled::default().into()) }),
            _ => unreachable!("a message is delivered, or is not"),
        })
    }
}

impl Drop for SentMessage {
    fn drop(&mut self) {
        if let State::Sent(operation) = self.state {
            with_current(|runtime| runtime.abandon(operation));
        }
    }
}

/// Why a message did not reach another workflow: there is none of that id that runs, say.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalWorkflowError {
    pub(crate) failure: Box<Failure>,
}

impl ExternalWorkflowError {
    /// The whole failure.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// Whether the message was taken back, or not sent at all, because its scope was canceled.
    pub fn is_canceled(&self) -> bool {
        self.failure.is_canceled()
    }
}

impl fmt::Display for ExternalWorkflowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl Error for ExternalWorkflowError {}

impl From<PayloadError> for ExternalWorkflowError {
    fn from(error: PayloadError) -> Self {
        Self { failure: Box::new(error.into()) }
    }
}
