//! What each RPC needs. What is not here is refused; a test holds the table against the services' descriptors.

use super::roles::Role::{self, Admin, Read, Worker, Write};

/// What a caller must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Valid credentials, and no more.
    Known,
    /// A role in the namespace that the request names, or that its task token is of.
    Namespace(Role),
    /// A role in the namespace `temporal-system`.
    System(Role),
    /// Valid credentials; which namespaces it is about is seen only by the handler, which asks for each.
    InHandler,
}

/// The rule of a method, such as `/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution`.
pub(crate) fn rule(method: &str) -> Option<Rule> {
    let (service, name) = method.strip_prefix('/')?.split_once('/')?;
    let table = TABLES.iter().find(|(table_service, _)| *table_service == service)?.1;
    table.iter().find(|(_, names)| names.contains(&name)).map(|(rule, _)| *rule)
}

type Table = &'static [(Rule, &'static [&'static str])];

const TABLES: [(&str, Table); 7] = [
    ("temporal.api.workflowservice.v1.WorkflowService", WORKFLOW_SERVICE),
    ("temporal.api.operatorservice.v1.OperatorService", OPERATOR_SERVICE),
    ("mainspring.v1.ModuleService", MODULE_SERVICE),
    ("mainspring.v1.ActivityService", ACTIVITY_SERVICE),
    ("mainspring.v1.AccessService", ACCESS_SERVICE),
    ("mainspring.v1.OperationsService", OPERATIONS_SERVICE),
    ("mainspring.v1.QuotaService", QUOTA_SERVICE),
];

/// Those that the server does not offer have their rule, too: who asks must be known to be told even that.
const WORKFLOW_SERVICE: Table = &[
    (Rule::Known, &["GetClusterInfo", "GetSearchAttributes", "GetSystemInfo"]),
    // By name or by id; and all that the caller may see.
    (Rule::InHandler, &["DescribeNamespace", "ListNamespaces"]),
    (Rule::System(Admin), &["DeprecateNamespace", "RegisterNamespace"]),
    (
        Rule::Namespace(Read),
        &[
            "CountActivityExecutions",
            "CountNexusOperationExecutions",
            "CountSchedules",
            "CountWorkers",
            "CountWorkflowExecutions",
            "DescribeActivityExecution",
            "DescribeBatchOperation",
            "DescribeDeployment",
            "DescribeNexusOperationExecution",
            "DescribeSchedule",
            "DescribeTaskQueue",
            "DescribeWorker",
            "DescribeWorkerDeployment",
            "DescribeWorkerDeploymentVersion",
            "DescribeWorkflowExecution",
            "DescribeWorkflowRule",
            "GetCurrentDeployment",
            "GetDeploymentReachability",
            "GetWorkerBuildIdCompatibility",
            "GetWorkerTaskReachability",
            "GetWorkerVersioningRules",
            "GetWorkflowExecutionHistory",
            "GetWorkflowExecutionHistoryReverse",
            "ListActivityExecutions",
            "ListArchivedWorkflowExecutions",
            "ListBatchOperations",
            "ListClosedWorkflowExecutions",
            "ListDeployments",
            "ListNexusOperationExecutions",
            "ListOpenWorkflowExecutions",
            "ListScheduleMatchingTimes",
            "ListSchedules",
            "ListTaskQueuePartitions",
            "ListWorkerDeployments",
            "ListWorkers",
            "ListWorkflowExecutions",
            "ListWorkflowRules",
            "PollActivityExecution",
            "PollNexusOperationExecution",
            "PollWorkflowExecutionTimeSkipping",
            "PollWorkflowExecutionUpdate",
            "QueryWorkflow",
            "ScanWorkflowExecutions",
            "ValidateWorkerDeploymentVersionComputeConfig",
        ],
    ),
    (
        Rule::Namespace(Write),
        &[
            "CreateSchedule",
            "CreateWorkflowRule",
            "DeleteActivityExecution",
            "DeleteNexusOperationExecution",
            "DeleteSchedule",
            "DeleteWorkflowExecution",
            "DeleteWorkflowRule",
            "ExecuteMultiOperation",
            "PatchSchedule",
            "PauseActivity",
            "PauseActivityExecution",
            "PauseWorkflowExecution",
            "RequestCancelActivityExecution",
            "RequestCancelNexusOperationExecution",
            "RequestCancelWorkflowExecution",
            "ResetActivity",
            "ResetActivityExecution",
            "ResetStickyTaskQueue",
            "ResetWorkflowExecution",
            "SignalWithStartWorkflowExecution",
            "SignalWorkflowExecution",
            "StartActivityExecution",
            "StartBatchOperation",
            "StartNexusOperationExecution",
            "StartWorkflowExecution",
            "StopBatchOperation",
            "TerminateActivityExecution",
            "TerminateNexusOperationExecution",
            "TerminateWorkflowExecution",
            "TriggerWorkflowRule",
            "UnpauseActivity",
            "UnpauseActivityExecution",
            "UnpauseWorkflowExecution",
            "UpdateActivityExecutionOptions",
            "UpdateActivityOptions",
            "UpdateSchedule",
            "UpdateWorkflowExecution",
            "UpdateWorkflowExecutionOptions",
        ],
    ),
    (
        Rule::Namespace(Worker),
        &[
            "FetchWorkerConfig",
            "PollActivityTaskQueue",
            "PollNexusTaskQueue",
            "PollWorkflowTaskQueue",
            "RecordActivityTaskHeartbeat",
            "RecordActivityTaskHeartbeatById",
            "RecordWorkerHeartbeat",
            "RespondActivityTaskCanceled",
            "RespondActivityTaskCanceledById",
            "RespondActivityTaskCompleted",
            "RespondActivityTaskCompletedById",
            "RespondActivityTaskFailed",
            "RespondActivityTaskFailedById",
            "RespondNexusTaskCompleted",
            "RespondNexusTaskFailed",
            "RespondQueryTaskCompleted",
            "RespondWorkflowTaskCompleted",
            "RespondWorkflowTaskFailed",
            "ShutdownWorker",
        ],
    ),
    (
        Rule::Namespace(Admin),
        &[
            "CreateWorkerDeployment",
            "CreateWorkerDeploymentVersion",
            "DeleteWorkerDeployment",
            "DeleteWorkerDeploymentVersion",
            "SetCurrentDeployment",
            "SetWorkerDeploymentCurrentVersion",
            "SetWorkerDeploymentManager",
            "SetWorkerDeploymentRampingVersion",
            "UpdateNamespace",
            "UpdateTaskQueueConfig",
            "UpdateWorkerBuildIdCompatibility",
            "UpdateWorkerConfig",
            "UpdateWorkerDeploymentVersionComputeConfig",
            "UpdateWorkerDeploymentVersionMetadata",
            "UpdateWorkerVersioningRules",
        ],
    ),
];

const OPERATOR_SERVICE: Table = &[
    (Rule::Namespace(Read), &["ListSearchAttributes"]),
    (Rule::Namespace(Admin), &["AddSearchAttributes", "DeleteNamespace", "RemoveSearchAttributes"]),
    (Rule::System(Read), &["GetNexusEndpoint", "ListClusters", "ListNexusEndpoints"]),
    (
        Rule::System(Admin),
        &[
            "AddOrUpdateRemoteCluster",
            "CreateNexusEndpoint",
            "DeleteNexusEndpoint",
            "RemoveRemoteCluster",
            "UpdateNexusEndpoint",
        ],
    ),
];

const MODULE_SERVICE: Table = &[
    // It changes nothing, but runs the tenant's code on many runs.
    (Rule::Namespace(Write), &["VerifyModule"]),
    (
        Rule::Namespace(Read),
        &["DescribeDeployment", "DescribeModule", "DownloadModule", "ListDeployments", "ListModules"],
    ),
    (
        Rule::Namespace(Admin),
        &["ActivateVersion", "DeleteModule", "MigrateWorkflows", "RampVersion", "RollbackDeployment", "UndeployModule"],
    ),
    // The first message of the stream has the namespace; the handler asks for `Admin` in it.
    (Rule::InHandler, &["DeployModule", "UploadModule"]),
];

/// What is granted is how code of the tenant reaches the network from the server's machine.
const ACTIVITY_SERVICE: Table = &[
    (Rule::Namespace(Read), &["ListActivityDeployments"]),
    (Rule::Namespace(Admin), &["ChangeActivityGrants", "UndeployActivities"]),
];

/// No tenant raises its own quota.
const QUOTA_SERVICE: Table =
    &[(Rule::Namespace(Read), &["DescribeQuota", "DescribeUsage"]), (Rule::System(Admin), &["ResetQuota", "SetQuota"])];

/// A backup holds the data of all tenants.
const OPERATIONS_SERVICE: Table = &[(Rule::System(Admin), &["Backup"])];

const ACCESS_SERVICE: Table = &[
    (Rule::Known, &["WhoAmI"]),
    // `Admin` in every namespace that the key has a permission for.
    (Rule::InHandler, &["CreateApiKey", "ListApiKeys", "RevokeApiKey"]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mainspring_api::FILE_DESCRIPTOR_SET;
    use prost::Message as _;

    use super::*;

    /// Every method of every service that the server is described with.
    fn methods() -> BTreeSet<String> {
        let set = prost_types_plain::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let services =
            set.file.iter().flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
        services
            .flat_map(|(package, service)| {
                service.method.iter().map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
            })
            .collect()
    }

    #[test]
    fn every_rpc_has_a_rule_and_every_rule_an_rpc() {
        let methods = methods();
        assert!(methods.len() > 100, "{} methods", methods.len());
        let without: Vec<_> = methods.iter().filter(|method| rule(method).is_none()).collect();
        assert!(without.is_empty(), "no rule says who may call these: {without:#?}");
        for (service, table) in TABLES {
            for name in table.iter().flat_map(|(_, names)| names.iter()) {
                let method = format!("/{service}/{name}");
                assert!(methods.contains(&method), "{method} is not there any more");
            }
        }
    }

    #[test]
    fn a_rule_about_a_namespace_is_for_requests_that_name_one() {
        let set = prost_types_plain::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let named: BTreeSet<String> = set
            .file
            .iter()
            .flat_map(|file| file.message_type.iter().map(move |message| (file, message)))
            .filter(|(_, message)| message.field.iter().any(|field| field.name() == "namespace"))
            .map(|(file, message)| format!(".{}.{}", file.package(), message.name()))
            .collect();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    if matches!(rule(&path), Some(Rule::Namespace(_))) {
                        assert!(named.contains(method.input_type()) && !method.client_streaming(), "{path}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_rpc_has_two_rules() {
        for (service, table) in TABLES {
            let mut seen = BTreeSet::new();
            for name in table.iter().flat_map(|(_, names)| names.iter()) {
                assert!(seen.insert(name), "{service}/{name} has two rules");
            }
        }
    }

    #[test]
    fn what_is_not_in_the_table_has_no_rule() {
        for method in ["", "/", "StartWorkflowExecution", "/x/StartWorkflowExecution", "/mainspring.v1.ModuleService/X"]
        {
            assert_eq!(rule(method), None, "{method:?}");
        }
    }
}
