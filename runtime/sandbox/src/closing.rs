//! How a workflow that has come to its end says so.

use mainspring_api::{
    command::{
        CancelWorkflowExecutionCommandAttributes, Command, CompleteWorkflowExecutionCommandAttributes,
        ContinueAsNewWorkflowExecutionCommandAttributes, FailWorkflowExecutionCommandAttributes, command::Attributes,
    },
    common::WorkflowType,
    enums::{CommandType, TaskQueueKind},
    taskqueue::TaskQueue,
};

use crate::{
    bindings::activation::{Continuation, Status},
    convert::{
        failure::failure_to_proto,
        payload::{header_to_proto, memo_to_proto, payloads_to_proto, search_attributes_to_proto},
        retry_policy_to_proto,
        time::duration_to_proto,
    },
    host::{Fault, RunFacts},
    operations::command,
};

/// The command that closes the run; none where the workflow goes on.
pub fn closing_command(status: Status, facts: &RunFacts) -> Result<Option<Command>, Fault> {
    let (kind, attributes) = match status {
        Status::Blocked => return Ok(None),
        Status::Completed(result) => (
            CommandType::CompleteWorkflowExecution,
            Attributes::CompleteWorkflowExecutionCommandAttributes(CompleteWorkflowExecutionCommandAttributes {
                result: payloads_to_proto(result),
            }),
        ),
        Status::Failed(failure) => (
            CommandType::FailWorkflowExecution,
            Attributes::FailWorkflowExecutionCommandAttributes(FailWorkflowExecutionCommandAttributes {
                failure: Some(failure_to_proto(failure)?),
            }),
        ),
        Status::Canceled(details) => (
            CommandType::CancelWorkflowExecution,
            Attributes::CancelWorkflowExecutionCommandAttributes(CancelWorkflowExecutionCommandAttributes {
                details: payloads_to_proto(details),
            }),
        ),
        Status::ContinuedAsNew(continuation) => (
            CommandType::ContinueAsNewWorkflowExecution,
            Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(continued(continuation, facts)?),
        ),
    };
    Ok(Some(command(kind, attributes, None)))
}

/// What is left out stays as it was in this run.
fn continued(
    continuation: Continuation,
    facts: &RunFacts,
) -> Result<ContinueAsNewWorkflowExecutionCommandAttributes, Fault> {
    let started = &facts.started;
    let task_queue = continuation.task_queue.filter(|name| !name.is_empty());
    let task_queue =
        task_queue.unwrap_or_else(|| started.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default());
    let workflow_type = continuation.workflow_type.filter(|name| !name.is_empty());
    Ok(ContinueAsNewWorkflowExecutionCommandAttributes {
        workflow_type: Some(WorkflowType { name: workflow_type.unwrap_or_else(|| facts.workflow_type().to_owned()) }),
        task_queue: Some(TaskQueue {
            name: task_queue,
            kind: TaskQueueKind::Normal.into(),
            normal_name: String::new(),
        }),
        input: payloads_to_proto(continuation.input),
        workflow_run_timeout: continuation.run_timeout.map(duration_to_proto).transpose()?,
        workflow_task_timeout: continuation.task_timeout.map(duration_to_proto).transpose()?,
        retry_policy: match continuation.retry_policy {
            Some(policy) => Some(retry_policy_to_proto(policy)?),
            None => started.retry_policy.clone(),
        },
        header: header_to_proto(continuation.header),
        memo: match continuation.memo {
            Some(memo) => memo_to_proto(memo),
            None => started.memo.clone(),
        },
        search_attributes: match continuation.search_attributes {
            Some(attributes) => search_attributes_to_proto(attributes),
            None => started.search_attributes.clone(),
        },
        ..Default::default()
    })
}
