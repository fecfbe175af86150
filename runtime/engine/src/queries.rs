//! Queries: questions to a run, answered by its module and written down nowhere.

use mainspring_api::{
    common::Payloads,
    enums::{QueryRejectCondition, WorkflowExecutionStatus},
};
use mainspring_sandbox::Question;
use tokio::sync::oneshot;

use crate::{
    Engine, EngineError, RunRef,
    engine::stopped,
    shard::{Query, Request},
};

/// A query, as a client asks it.
#[derive(Clone, Debug, Default)]
pub struct WorkflowQuery {
    pub question: Question,
    /// In which state the run is not to be asked.
    pub reject: QueryRejectCondition,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryReply {
    Answer(Option<Payloads>),
    /// The run is in a state in which it was not to be asked.
    Rejected(WorkflowExecutionStatus),
}

impl Engine {
    /// Asks a run, once it has seen everything that happened before.
    pub async fn query_workflow(
        &self,
        namespace: &str,
        run: RunRef,
        query: WorkflowQuery,
    ) -> Result<QueryReply, EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        self.check_payloads(namespace, "Query input", query.question.args.as_ref())?;
        let (reply, receiver) = oneshot::channel();
        let query = Box::new(Query { query, reply });
        self.shard_of(&workflow).request(Request::Query { workflow: workflow.clone(), run, query })?;
        receiver.await.map_err(|_| stopped())?
    }
}
