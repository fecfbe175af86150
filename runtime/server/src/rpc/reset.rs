//! Resets.

use mainspring_api::{
    enums::{ResetReapplyExcludeType, ResetReapplyType},
    workflowservice::*,
};
use mainspring_core::{
    reset::{Exclude, ResetRequest},
    validate as core_validate,
};

use super::Frontend;
use crate::{error::Fault, validate};

pub(super) async fn reset(
    frontend: &Frontend,
    request: ResetWorkflowExecutionRequest,
) -> Result<ResetWorkflowExecutionResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let run = validate::run(request.workflow_execution)?;
    core_validate::name("RequestId", &request.request_id)?;
    validate::identity(&request.identity)?;
    if !request.post_reset_operations.is_empty() {
        return Err(Fault::unsupported(
            "Mainspring does not offer post_reset_operations of ResetWorkflowExecution yet.",
        ));
    }
    #[expect(deprecated, reason = "older clients say so what is carried over")]
    let included = ResetReapplyType::try_from(request.reset_reapply_type)
        .map_err(|_| Fault::invalid("Invalid ResetReapplyType."))?;
    let excluded: Vec<ResetReapplyExcludeType> = request
        .reset_reapply_exclude_types
        .iter()
        .map(|excluded| ResetReapplyExcludeType::try_from(*excluded))
        .collect::<Result<_, _>>()
        .map_err(|_| Fault::invalid("Invalid ResetReapplyExcludeType."))?;
    let reset = ResetRequest {
        workflow_task_finish_event_id: request.workflow_task_finish_event_id,
        reason: request.reason,
        request_id: request.request_id,
        exclude: Exclude::of(included, &excluded),
    };
    let run_id = frontend.engine.reset_workflow(&namespace, run, reset).await?;
    Ok(ResetWorkflowExecutionResponse { run_id })
}
