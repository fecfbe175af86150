//! Why the engine did not do what it was asked.

use mainspring_api::failure::Failure;
use mainspring_core::Rejection;
use mainspring_sandbox::ModuleError;
use mainspring_store::StoreError;

use crate::QuotaExceeded;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The run's state machine refused the input, or the input is invalid.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("Namespace {0} is not found.")]
    NamespaceNotFound(String),
    /// No run fits the workflow id and run id.
    #[error("{}", no_such_workflow(workflow_id, run_id))]
    WorkflowNotFound { workflow_id: String, run_id: String },
    #[error("no module {0}")]
    ModuleNotFound(String),
    /// An uploaded module was refused.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The workflow could not answer a query, or did not want to.
    #[error("{}", .0.message)]
    QueryFailed(Box<Failure>),
    /// A list filter that cannot be read; says where and what was expected.
    #[error("invalid query: {0}")]
    InvalidQuery(String),
    /// The server stops, or has lost its store; another try may meet a healthy one.
    #[error("{0}")]
    Unavailable(String),
    /// Too much is waiting already.
    #[error("{0}")]
    Overloaded(String),
    /// The namespace has used what it may.
    #[error(transparent)]
    QuotaExceeded(#[from] QuotaExceeded),
    /// What is stored cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stored records contradict each other.
    #[error("the stored run is damaged: {0}")]
    Damaged(String),
}

impl EngineError {
    /// Whether the same may be granted at another time.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            EngineError::Module(error) => error.is_transient() || matches!(error, ModuleError::CompilersBusy(_)),
            EngineError::Store(error) => !error.is_refusal(),
            EngineError::Unavailable(_) | EngineError::Overloaded(_) => true,
            _ => false,
        }
    }
}

fn no_such_workflow(workflow_id: &str, run_id: &str) -> String {
    match run_id {
        "" => format!("workflow not found for ID: {workflow_id}"),
        run_id => format!("workflow execution not found for workflow ID {workflow_id:?} and run ID {run_id:?}"),
    }
}
