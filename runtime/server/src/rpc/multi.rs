//! Several operations in one call: today, an update that starts its workflow where there is none.

use mainspring_api::{
    enums::WorkflowIdConflictPolicy,
    workflowservice::{
        ExecuteMultiOperationRequest, ExecuteMultiOperationResponse, StartWorkflowExecutionRequest,
        StartWorkflowExecutionResponse, UpdateWorkflowExecutionRequest,
        execute_multi_operation_request::operation::Operation as Asked,
        execute_multi_operation_response::{Response, response::Response as Answered},
    },
};
use mainspring_core::limits::temporal;
use tonic::Request;

use super::{Frontend, update, workflow};
use crate::{error::Fault, validate};

pub(super) async fn execute(
    frontend: &Frontend,
    request: Request<ExecuteMultiOperationRequest>,
) -> Result<ExecuteMultiOperationResponse, Fault> {
    let wait = validate::hold(request.metadata(), temporal::HISTORY_LONG_POLL);
    let request = request.into_inner();
    let namespace = frontend.namespace(&request.namespace)?.name;
    let (start, asked) = operations(request)?;
    let workflow_id = start.workflow_id.clone();
    let start = workflow::to_start(start)?;
    let (update, stage) = update::to_update(asked.request, asked.wait_policy)?;
    let update_id = update::id_of(&update);
    let executed = frontend.engine.update_with_start(&namespace, start, update, stage, wait);
    let stopping = || Err(mainspring_engine::EngineError::Unavailable("the server is stopping".into()));
    let (started, status) = frontend.held(executed).await.unwrap_or_else(stopping)?;
    let updated = update::answer(workflow_id, update_id, status?);
    let started = StartWorkflowExecutionResponse {
        run_id: started.run_id,
        first_execution_run_id: started.first_execution_run_id,
        started: started.started,
        status: started.status.into(),
        ..Default::default()
    };
    let responses = [Answered::StartWorkflow(started), Answered::UpdateWorkflow(updated)];
    Ok(ExecuteMultiOperationResponse {
        responses: responses.into_iter().map(|response| Response { response: Some(response) }).collect(),
    })
}

/// A start and an update of the same workflow, in this order: nothing else is offered, as in Temporal.
fn operations(
    request: ExecuteMultiOperationRequest,
) -> Result<(StartWorkflowExecutionRequest, UpdateWorkflowExecutionRequest), Fault> {
    let refused = || Fault::invalid("Operations have to be exactly [Start, Update].");
    let [first, second] = <[_; 2]>::try_from(request.operations).map_err(|_| refused())?;
    let (Some(Asked::StartWorkflow(start)), Some(Asked::UpdateWorkflow(update))) = (first.operation, second.operation)
    else {
        return Err(refused());
    };
    let updated = update.workflow_execution.as_ref().map_or("", |execution| execution.workflow_id.as_str());
    if updated != start.workflow_id {
        return Err(Fault::invalid("WorkflowId is not consistent with previous operation(s)"));
    }
    if start.workflow_id_conflict_policy() == WorkflowIdConflictPolicy::Unspecified {
        return Err(Fault::invalid("WorkflowIdConflictPolicy is required for Update-with-Start."));
    }
    Ok((start, update))
}
