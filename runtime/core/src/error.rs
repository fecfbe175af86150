//! Why an input is refused. A refused input has changed nothing.

use mainspring_api::enums::ResourceExhaustedCause;

/// One variant for each gRPC answer that a client can tell apart; the server maps them in one place.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// The request can never work as it stands.
    #[error("{0}")]
    InvalidArgument(String),
    /// The run, activity or task is not there, or no longer.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense in the present state.
    #[error("{0}")]
    FailedPrecondition(String),
    /// The workflow cannot do this just now, because its workflow tasks fail.
    #[error("{0}")]
    WorkflowNotReady(String),
    /// The request may be sent again as it is.
    #[error("{0}")]
    Unavailable(String),
    /// A workflow with this id is there, and the policies of the request do not allow for another.
    #[error("{message}")]
    AlreadyStarted { message: String, start_request_id: String, run_id: String, first_execution_run_id: String },
    /// A bound of the run was reached.
    #[error("{message}")]
    LimitExceeded { message: String, cause: ResourceExhaustedCause },
}

impl Rejection {
    pub fn invalid(message: impl Into<String>) -> Self {
        Rejection::InvalidArgument(message.into())
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Rejection::NotFound(message.into())
    }

    /// The run is about to close, or to go on in another one: the same request may find that one.
    pub fn closing() -> Self {
        Rejection::LimitExceeded {
            message: "workflow operation can not be applied because workflow is closing".into(),
            cause: ResourceExhaustedCause::BusyWorkflow,
        }
    }

    /// What Temporal says of a run that has closed, or a task that somebody else has ended.
    pub fn closed() -> Self {
        Rejection::NotFound("workflow execution already completed".into())
    }
}
