//! Why a child workflow gave no result.

use std::{error::Error, fmt};

use crate::{
    error::Canceled,
    failure::{ApplicationFailureInfo, ChildWorkflowFailureInfo, Failure, FailureKind, RetryState},
    payload::PayloadError,
};

/// The type of the cause where a workflow with the child's id was in the way.
const ALREADY_STARTED: &str = "WorkflowExecutionAlreadyStarted";

/// Why a child workflow gave no result, or could not begin.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// match child_workflow::<String>("Ship").workflow_id("ship-7").await {
///     Ok(tracking) => info!("shipped as {tracking}"),
///     Err(error) if error.is_already_started() => info!("somebody else ships it"),
///     Err(error) if error.is_application("OutOfStock") => info!("not now: {error}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ChildWorkflowError {
    pub(crate) failure: Box<Failure>,
}

impl ChildWorkflowError {
    pub(crate) fn new(failure: Failure) -> Self {
        Self { failure: Box::new(failure) }
    }

    /// The error of a child that was not started, because its scope was canceled before.
    pub(crate) fn not_started(workflow_type: &str) -> Self {
        let info = ChildWorkflowFailureInfo {
            namespace: String::new(),
            workflow_id: String::new(),
            run_id: String::new(),
            workflow_type: workflow_type.to_owned(),
            initiated_event_id: 0,
            started_event_id: 0,
            retry_state: RetryState::CancelRequested,
        };
        let message = format!("child workflow {workflow_type} was canceled before it was started");
        Self::new(Failure::new(message, FailureKind::ChildWorkflow(info)).caused_by(Canceled::default().into()))
    }

    /// The whole failure, which says which child it was; its cause says what happened.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// What happened to the child: an application failure, a timeout, a cancellation, a termination.
    pub fn cause(&self) -> &Failure {
        self.failure.cause.as_deref().unwrap_or(&self.failure)
    }

    /// The application failure that the child ended with, where it is one.
    pub fn application(&self) -> Option<&ApplicationFailureInfo> {
        match &self.cause().kind {
            FailureKind::Application(info) => Some(info),
            _ => None,
        }
    }

    /// Whether the child ended with an application failure of this type.
    pub fn is_application(&self, error_type: &str) -> bool {
        self.application().is_some_and(|info| info.error_type == error_type)
    }

    /// Whether the child could not begin because its id was taken.
    pub fn is_already_started(&self) -> bool {
        self.is_application(ALREADY_STARTED)
    }

    /// Whether the child timed out.
    pub fn is_timeout(&self) -> bool {
        matches!(self.cause().kind, FailureKind::Timeout(_))
    }

    /// Whether the child was terminated.
    pub fn is_terminated(&self) -> bool {
        matches!(self.cause().kind, FailureKind::Terminated)
    }

    /// Whether the child was canceled.
    pub fn is_canceled(&self) -> bool {
        self.failure.is_canceled()
    }
}

impl fmt::Display for ChildWorkflowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl Error for ChildWorkflowError {}

impl From<PayloadError> for ChildWorkflowError {
    fn from(error: PayloadError) -> Self {
        Self::new(error.into())
    }
}
