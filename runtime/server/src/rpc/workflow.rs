//! Runs: started, told things, ended, described.

use mainspring_api::{enums::WorkflowIdConflictPolicy, enums::WorkflowIdReusePolicy, workflowservice::*};
use mainspring_core::{cancel::CancelRequest, signal::Signal, validate as core_validate, workflow::StartWorkflow};
use uuid::Uuid;

use super::Frontend;
use crate::{error::Fault, validate};

/// What Temporal gives as the reason of a termination for which the client gave none.
const NO_REASON: &str = "terminated by user via frontend";

pub(super) async fn start(
    frontend: &Frontend,
    request: StartWorkflowExecutionRequest,
) -> Result<StartWorkflowExecutionResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let start = to_start(request)?;
    let started = frontend.engine.start_workflow(&namespace, start).await?;
    Ok(StartWorkflowExecutionResponse {
        run_id: started.run_id,
        first_execution_run_id: started.first_execution_run_id,
        started: started.started,
        status: started.status.into(),
        ..Default::default()
    })
}

pub(super) fn to_start(request: StartWorkflowExecutionRequest) -> Result<StartWorkflow, Fault> {
    // In Temporal's order, so that the same mistake is named first.
    core_validate::name("WorkflowId", &request.workflow_id)?;
    let workflow_type = request.workflow_type.map(|workflow_type| workflow_type.name).unwrap_or_default();
    core_validate::name("WorkflowType", &workflow_type)?;
    let task_queue = validate::task_queue(request.task_queue)?;
    validate::identity(&request.identity)?;
    let unsupported = [
        (!request.cron_schedule.is_empty(), "cron_schedule"),
        (!request.completion_callbacks.is_empty(), "completion_callbacks"),
        (request.versioning_override.is_some(), "versioning_override"),
        (request.time_skipping_config.is_some(), "time_skipping_config"),
        (request.continued_failure.is_some(), "continued_failure"),
        (request.last_completion_result.is_some(), "last_completion_result"),
    ];
    if let Some((_, field)) = unsupported.iter().find(|(is_set, _)| *is_set) {
        return Err(Fault::unsupported(format!("Mainspring does not offer {field} of StartWorkflowExecution yet.")));
    }
    let reuse_policy = WorkflowIdReusePolicy::try_from(request.workflow_id_reuse_policy)
        .map_err(|_| Fault::invalid("Invalid WorkflowIDReusePolicy."))?;
    let conflict_policy = WorkflowIdConflictPolicy::try_from(request.workflow_id_conflict_policy)
        .map_err(|_| Fault::invalid("Invalid WorkflowIDConflictPolicy."))?;
    let request_id = if request.request_id.is_empty() { Uuid::new_v4().to_string() } else { request.request_id };
    Ok(StartWorkflow {
        workflow_id: request.workflow_id,
        workflow_type,
        task_queue,
        input: request.input,
        execution_timeout: request.workflow_execution_timeout,
        run_timeout: request.workflow_run_timeout,
        task_timeout: request.workflow_task_timeout,
        start_delay: request.workflow_start_delay,
        identity: request.identity,
        request_id,
        reuse_policy,
        conflict_policy,
        retry_policy: request.retry_policy,
        memo: request.memo,
        search_attributes: request.search_attributes,
        header: request.header,
        user_metadata: request.user_metadata,
        priority: request.priority,
        parent: None,
    })
}

pub(super) async fn signal(
    frontend: &Frontend,
    request: SignalWorkflowExecutionRequest,
) -> Result<SignalWorkflowExecutionResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let run = validate::run(request.workflow_execution)?;
    core_validate::name("SignalName", &request.signal_name)?;
    core_validate::optional_name("RequestId", &request.request_id)?;
    core_validate::payloads("Signal input", request.input.as_ref())?;
    validate::identity(&request.identity)?;
    let signal = Signal {
        name: request.signal_name,
        input: request.input,
        identity: request.identity,
        header: request.header,
        request_id: request.request_id,
        origin: None,
    };
    frontend.engine.signal_workflow(&namespace, run, signal).await?;
    Ok(SignalWorkflowExecutionResponse::default())
}

pub(super) async fn signal_with_start(
    frontend: &Frontend,
    request: SignalWithStartWorkflowExecutionRequest,
) -> Result<SignalWithStartWorkflowExecutionResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    core_validate::name("SignalName", &request.signal_name)?;
    core_validate::payloads("Signal input", request.signal_input.as_ref())?;
    if request.workflow_id_conflict_policy() == WorkflowIdConflictPolicy::Fail {
        return Err(Fault::invalid(
            "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported for this operation.",
        ));
    }
    let signal = Signal {
        name: request.signal_name,
        input: request.signal_input,
        identity: request.identity.clone(),
        header: request.header.clone(),
        request_id: request.request_id.clone(),
        origin: None,
    };
    let start = StartWorkflowExecutionRequest {
        namespace: request.namespace,
        workflow_id: request.workflow_id,
        workflow_type: request.workflow_type,
        task_queue: request.task_queue,
        input: request.input,
        workflow_execution_timeout: request.workflow_execution_timeout,
        workflow_run_timeout: request.workflow_run_timeout,
        workflow_task_timeout: request.workflow_task_timeout,
        identity: request.identity,
        request_id: request.request_id,
        workflow_id_reuse_policy: request.workflow_id_reuse_policy,
        // A running one is signaled, unless it is to be replaced.
        workflow_id_conflict_policy: match request.workflow_id_conflict_policy {
            0 => WorkflowIdConflictPolicy::UseExisting.into(),
            given => given,
        },
        retry_policy: request.retry_policy,
        cron_schedule: request.cron_schedule,
        memo: request.memo,
        search_attributes: request.search_attributes,
        header: request.header,
        workflow_start_delay: request.workflow_start_delay,
        user_metadata: request.user_metadata,
        versioning_override: request.versioning_override,
        priority: request.priority,
        ..Default::default()
    };
    let started = frontend.engine.signal_with_start(&namespace, to_start(start)?, signal).await?;
    Ok(SignalWithStartWorkflowExecutionResponse {
        run_id: started.run_id,
        started: started.started,
        ..Default::default()
    })
}

pub(super) async fn request_cancel(
    frontend: &Frontend,
    request: RequestCancelWorkflowExecutionRequest,
) -> Result<RequestCancelWorkflowExecutionResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let run = validate::run_of_chain(request.workflow_execution, request.first_execution_run_id)?;
    core_validate::optional_name("RequestId", &request.request_id)?;
    validate::identity(&request.identity)?;
    let cancel = CancelRequest {
        reason: request.reason,
        identity: request.identity,
        request_id: request.request_id,
        origin: None,
    };
    frontend.engine.request_cancel_workflow(&namespace, run, cancel).await?;
    Ok(RequestCancelWorkflowExecutionResponse::default())
}

pub(super) async fn terminate(
    frontend: &Frontend,
    request: TerminateWorkflowExecutionRequest,
) -> Result<TerminateWorkflowExecutionResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let run = validate::run_of_chain(request.workflow_execution, request.first_execution_run_id)?;
    validate::identity(&request.identity)?;
    core_validate::payloads("Details", request.details.as_ref())?;
    let reason = if request.reason.is_empty() { NO_REASON } else { &request.reason };
    frontend.engine.terminate_workflow(&namespace, run, reason, request.details, &request.identity).await?;
    Ok(TerminateWorkflowExecutionResponse::default())
}

pub(super) async fn delete(
    frontend: &Frontend,
    request: DeleteWorkflowExecutionRequest,
) -> Result<DeleteWorkflowExecutionResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let run = validate::run(request.workflow_execution)?;
    frontend.engine.delete_workflow(&namespace, run).await?;
    Ok(DeleteWorkflowExecutionResponse::default())
}

pub(super) async fn describe(
    frontend: &Frontend,
    request: DescribeWorkflowExecutionRequest,
) -> Result<DescribeWorkflowExecutionResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let run = validate::run(request.execution)?;
    let description = frontend.engine.describe_workflow(&namespace, run).await?;
    Ok(DescribeWorkflowExecutionResponse {
        execution_config: Some(description.config),
        workflow_execution_info: Some(description.info),
        pending_activities: description.pending_activities,
        pending_children: description.pending_children,
        pending_workflow_task: description.pending_workflow_task,
        workflow_extended_info: Some(description.extended),
        ..Default::default()
    })
}
