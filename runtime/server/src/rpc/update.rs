//! Updates: sent, and waited for.

use std::time::Duration;

use mainspring_api::{
    common::WorkflowExecution,
    enums::UpdateWorkflowExecutionLifecycleStage as Stage,
    update::{self, UpdateRef, WaitPolicy},
    workflowservice::*,
};
use mainspring_core::{limits::temporal, validate as core_validate};
use mainspring_engine::{EngineError, UpdateStage, UpdateStatus};
use tonic::Request;
use uuid::Uuid;

use super::Frontend;
use crate::{error::Fault, validate};

pub(super) async fn update(
    frontend: &Frontend,
    request: Request<UpdateWorkflowExecutionRequest>,
) -> Result<UpdateWorkflowExecutionResponse, Fault> {
    let wait = validate::hold(request.metadata(), temporal::HISTORY_LONG_POLL);
    let request = request.into_inner();
    let namespace = frontend.namespace(&request.namespace)?.name;
    let run = validate::run_of_chain(request.workflow_execution, request.first_execution_run_id)?;
    let (update, stage) = to_update(request.request, request.wait_policy)?;
    let workflow_id = run.workflow_id.clone();
    let update_id = id_of(&update);
    let sent = frontend.engine.update_workflow(&namespace, run, update, stage, wait);
    let status = frontend.held(sent).await.unwrap_or_else(stopping)?;
    Ok(answer(workflow_id, update_id, status))
}

pub(super) async fn poll(
    frontend: &Frontend,
    request: Request<PollWorkflowExecutionUpdateRequest>,
) -> Result<PollWorkflowExecutionUpdateResponse, Fault> {
    let longest = validate::hold(request.metadata(), temporal::HISTORY_LONG_POLL);
    let request = request.into_inner();
    let namespace = frontend.namespace(&request.namespace)?.name;
    let update_ref = request.update_ref.ok_or_else(|| Fault::invalid("UpdateRef is not set on request."))?;
    let run = validate::run(update_ref.workflow_execution)?;
    let wanted = request.wait_policy.map(|policy| policy.lifecycle_stage());
    // Without a stage, how far it is at this moment is all that is asked.
    let (stage, wait) = match wanted {
        None | Some(Stage::Unspecified) => (UpdateStage::Admitted, Duration::ZERO),
        Some(stage) => (to_stage(stage), longest),
    };
    let workflow_id = run.workflow_id.clone();
    let asked = frontend.engine.poll_update(&namespace, run, update_ref.update_id.clone(), stage, wait);
    let status = frontend.held(asked).await.unwrap_or_else(stopping)?;
    let answer = answer(workflow_id, update_ref.update_id, status);
    Ok(PollWorkflowExecutionUpdateResponse {
        outcome: answer.outcome,
        stage: answer.stage,
        update_ref: answer.update_ref,
    })
}

/// The update that a request is about, and how far it is to be before the answer.
pub(super) fn to_update(
    request: Option<update::Request>,
    wait_policy: Option<WaitPolicy>,
) -> Result<(update::Request, UpdateStage), Fault> {
    let mut request = request.ok_or_else(|| Fault::invalid("Update is not set on request."))?;
    let meta = request.meta.as_mut().ok_or_else(|| Fault::invalid("Update meta is not set on request."))?;
    if meta.update_id.is_empty() {
        meta.update_id = Uuid::new_v4().to_string();
    }
    core_validate::name("UpdateId", &meta.update_id)?;
    validate::identity(&meta.identity)?;
    let Some(input) = &request.input else { return Err(Fault::invalid("Update input is not set on request.")) };
    if input.name.is_empty() {
        return Err(Fault::invalid("Update name is not set on request."));
    }
    let stage = match wait_policy.map_or(0, |policy| policy.lifecycle_stage).try_into() {
        Ok(Stage::Admitted) => return Err(Fault::admitted_only()),
        Ok(Stage::Accepted) => UpdateStage::Accepted,
        // Whoever says nothing waits for the outcome.
        Ok(Stage::Unspecified | Stage::Completed) => UpdateStage::Completed,
        Err(_) => UpdateStage::Admitted,
    };
    Ok((request, stage))
}

pub(super) fn id_of(update: &update::Request) -> String {
    update.meta.as_ref().map(|meta| meta.update_id.clone()).unwrap_or_default()
}

fn to_stage(stage: Stage) -> UpdateStage {
    match stage {
        Stage::Unspecified | Stage::Admitted => UpdateStage::Admitted,
        Stage::Accepted => UpdateStage::Accepted,
        Stage::Completed => UpdateStage::Completed,
    }
}

pub(super) fn answer(workflow_id: String, update_id: String, status: UpdateStatus) -> UpdateWorkflowExecutionResponse {
    let stage = match status.stage {
        UpdateStage::Admitted => Stage::Admitted,
        UpdateStage::Accepted => Stage::Accepted,
        UpdateStage::Completed => Stage::Completed,
    };
    UpdateWorkflowExecutionResponse {
        update_ref: Some(UpdateRef {
            workflow_execution: Some(WorkflowExecution { workflow_id, run_id: status.run_id }),
            update_id,
        }),
        outcome: status.outcome,
        stage: stage.into(),
        ..Default::default()
    }
}

fn stopping<T>() -> Result<T, EngineError> {
    Err(EngineError::Unavailable("the server is stopping".into()))
}
