//! Several operations in one call: today, an update that starts its workflow where there is none.

use mainspring_api::workflowservice::{
    ExecuteMultiOperationRequest, ExecuteMultiOperationResponse, StartWorkflowExecutionRequest,
    StartWorkflowExecutionResponse, UpdateWorkflowExecutionRequest,
    execute_multi_operation_request::operation::Operation as Asked,
    execute_multi_operation_response::{Response, response::Response as Answered},
};
use mainspring_core::limits::temporal;
use mainspring_engine::UpdateStage;
use tonic::Request;

use super::{Frontend, update, workflow};
use crate::{error::Fault, validate};

/// The operations by their places.
const START: usize = 0;
const UPDATE: usize = 1;

pub(super) async fn execute(
    frontend: &Frontend,
    request: Request<ExecuteMultiOperationRequest>,
) -> Result<ExecuteMultiOperationResponse, Fault> {
    let wait = validate::hold(request.metadata(), temporal::HISTORY_LONG_POLL);
    let request = request.into_inner();
    let namespace = frontend.namespace(&request.namespace)?.name;
    let (start, asked) = operations(request)?;
    let workflow_id = start.workflow_id.clone();
    let start = workflow::to_start(start).map_err(|fault| fault.in_operation(START))?;
    let (update, stage) = to_update(asked, &workflow_id).map_err(|fault| fault.in_operation(UPDATE))?;
    let update_id = update::id_of(&update);
    let executed = frontend.engine.update_with_start(&namespace, start, update, stage, wait);
    let stopping = || Err(mainspring_engine::EngineError::Unavailable("the server is stopping".into()));
    let executed = frontend.held(executed).await.unwrap_or_else(stopping);
    let (started, status) = executed.map_err(|error| Fault::from(error).in_operation(START))?;
    let status = status.map_err(|error| Fault::from(error).in_operation(UPDATE))?;
    let updated = update::answer(workflow_id, update_id, status);
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
    Ok((start, update))
}

/// An update of the run that the start comes to, whichever that is.
fn to_update(
    asked: UpdateWorkflowExecutionRequest,
    workflow_id: &str,
) -> Result<(mainspring_api::update::Request, UpdateStage), Fault> {
    let execution = asked.workflow_execution.unwrap_or_default();
    if execution.workflow_id != workflow_id {
        return Err(Fault::invalid("WorkflowId is not consistent with previous operation(s)."));
    }
    if !execution.run_id.is_empty() {
        return Err(Fault::invalid("RunId is not allowed."));
    }
    if !asked.first_execution_run_id.is_empty() {
        return Err(Fault::invalid("FirstExecutionRunId is not allowed."));
    }
    update::to_update(asked.request, asked.wait_policy)
}
