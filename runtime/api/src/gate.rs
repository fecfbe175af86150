//! What stands before every call. The generated `Gated…` services ask it; no handler runs without.

use tonic::{Extensions, Status, metadata::MetadataMap};

/// A call, before its handler sees it.
#[derive(Debug)]
pub struct Call<'a> {
    /// The full method, such as `/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution`.
    pub method: &'static str,
    /// What the request has in its field `namespace`. None where it has no such field, and where it is a stream: then
    /// the handler must ask.
    pub namespace: Option<&'a str>,
    /// What the request has in its field `task_token`.
    pub task_token: Option<&'a [u8]>,
    pub metadata: &'a MetadataMap,
    /// Handed on to the handler with the request.
    pub extensions: &'a mut Extensions,
}

/// Lets calls in, or refuses them.
pub trait Gate: Send + Sync + 'static {
    fn admit(&self, call: Call<'_>) -> Result<(), Status>;
}
