//! The rate of requests: what kind each call is, and whether its namespace may make one more.

use mainspring_engine::{Engine, RequestKind};

use crate::error::Fault;

/// Counts a call of a namespace, or refuses it. `method` is as its path has it: "/package.Service/Method".
pub(crate) fn admit(engine: &Engine, method: &str, namespace: &str) -> Result<(), Fault> {
    Ok(engine.admit(namespace, kind_of(method))?)
}

/// By the method's path or name. What nobody has thought of is administration, which has the lowest rate.
fn kind_of(method: &str) -> RequestKind {
    let (service, name) = method.trim_start_matches('/').rsplit_once('/').unwrap_or(("", method));
    if !service.is_empty() && service != "temporal.api.workflowservice.v1.WorkflowService" {
        return RequestKind::Admin;
    }
    match name {
        "PollActivityTaskQueue" | "PollWorkflowTaskQueue" | "PollNexusTaskQueue" => RequestKind::Poll,
        "ListWorkflowExecutions"
        | "ListOpenWorkflowExecutions"
        | "ListClosedWorkflowExecutions"
        | "ListArchivedWorkflowExecutions"
        | "ScanWorkflowExecutions"
        | "CountWorkflowExecutions" => RequestKind::Visibility,
        "ExecuteMultiOperation"
        | "QueryWorkflow"
        | "GetWorkflowExecutionHistory"
        | "GetWorkflowExecutionHistoryReverse"
        | "ShutdownWorker"
        | "RecordWorkerHeartbeat" => RequestKind::Execution,
        name if name.ends_with("WorkflowExecution") || name.ends_with("WorkflowExecutionUpdate") => {
            RequestKind::Execution
        }
        name if name.starts_with("Respond") || name.starts_with("RecordActivityTaskHeartbeat") => {
            RequestKind::Execution
        }
        _ => RequestKind::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_of_a_kind() {
        for (name, expected) in [
            ("StartWorkflowExecution", RequestKind::Execution),
            ("SignalWorkflowExecution", RequestKind::Execution),
            ("SignalWithStartWorkflowExecution", RequestKind::Execution),
            ("ExecuteMultiOperation", RequestKind::Execution),
            ("UpdateWorkflowExecution", RequestKind::Execution),
            ("PollWorkflowExecutionUpdate", RequestKind::Execution),
            ("QueryWorkflow", RequestKind::Execution),
            ("DescribeWorkflowExecution", RequestKind::Execution),
            ("ResetWorkflowExecution", RequestKind::Execution),
            ("DeleteWorkflowExecution", RequestKind::Execution),
            ("GetWorkflowExecutionHistory", RequestKind::Execution),
            ("RespondActivityTaskCompletedById", RequestKind::Execution),
            ("RecordActivityTaskHeartbeat", RequestKind::Execution),
            ("ListWorkflowExecutions", RequestKind::Visibility),
            ("CountWorkflowExecutions", RequestKind::Visibility),
            ("PollActivityTaskQueue", RequestKind::Poll),
            ("DescribeNamespace", RequestKind::Admin),
            ("DescribeTaskQueue", RequestKind::Admin),
        ] {
            assert_eq!(
                kind_of(&format!("/temporal.api.workflowservice.v1.WorkflowService/{name}")),
                expected,
                "{name}"
            );
        }
        for path in ["/mainspring.v1.ModuleService/ListModules", "/temporal.api.operatorservice.v1.OperatorService/X"] {
            assert_eq!(kind_of(path), RequestKind::Admin, "{path}");
        }
    }
}
