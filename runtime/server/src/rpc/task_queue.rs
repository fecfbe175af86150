//! Task queues, and the workers that poll them.

use mainspring_api::{
    enums::{DescribeTaskQueueMode, TaskQueueType},
    taskqueue::{
        PollerInfo, TaskQueuePartitionMetadata, TaskQueueStats, TaskQueueStatus, TaskQueueTypeInfo,
        TaskQueueVersionInfo, TaskQueueVersioningInfo,
    },
    workflowservice::*,
};
use mainspring_core::time;
use mainspring_engine::{Backlog, TaskQueueDescription};

use super::Frontend;
use crate::{error::Fault, validate};

/// What Temporal calls the version of workers that have none.
const UNVERSIONED: &str = "__unversioned__";

/// Workflows run in the server: a worker that brings workflows of its own is told so at its first poll.
pub(super) fn poll_workflow(
    frontend: &Frontend,
    request: &PollWorkflowTaskQueueRequest,
) -> Result<PollWorkflowTaskQueueResponse, Fault> {
    frontend.namespace(&request.namespace)?;
    Err(Fault::unsupported(
        "Mainspring runs workflows in the server: compile them to a WebAssembly component, deploy it with `mainspring \
         module deploy`, and register activities only with this worker.",
    ))
}

pub(super) fn describe(
    frontend: &Frontend,
    request: DescribeTaskQueueRequest,
) -> Result<DescribeTaskQueueResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let task_queue = validate::task_queue(request.task_queue.clone())?;
    let describe = |kind: TaskQueueType| -> Result<TaskQueueDescription, Fault> {
        match kind {
            TaskQueueType::Activity => Ok(frontend.engine.describe_activity_queue(&namespace, &task_queue)?),
            TaskQueueType::Nexus => Ok(TaskQueueDescription::default()),
            TaskQueueType::Workflow | TaskQueueType::Unspecified => {
                Ok(frontend.engine.describe_workflow_queue(&namespace, &task_queue)?)
            }
        }
    };
    match mode(&request) {
        DescribeTaskQueueMode::Enhanced => describe_versions(&request, describe),
        DescribeTaskQueueMode::Unspecified => {
            let kind = TaskQueueType::try_from(request.task_queue_type)
                .map_err(|_| Fault::invalid("Invalid TaskQueueType."))?;
            Ok(classic(&request, describe(kind)?))
        }
    }
}

fn classic(request: &DescribeTaskQueueRequest, description: TaskQueueDescription) -> DescribeTaskQueueResponse {
    let backlog = &description.backlog;
    #[allow(deprecated)] // The older clients read it.
    let include_status = request.include_task_queue_status;
    let status = include_status.then(|| TaskQueueStatus { backlog_count_hint: count(backlog), ..Default::default() });
    #[allow(deprecated)]
    DescribeTaskQueueResponse {
        stats: request.report_stats.then(|| stats(backlog)),
        pollers: pollers(description.pollers),
        task_queue_status: status,
        versioning_info: Some(TaskQueueVersioningInfo {
            current_version: UNVERSIONED.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What `temporal task-queue describe` asks for: every type of the queue at once, of every version. There is one
/// version, the empty one.
#[allow(deprecated)]
fn describe_versions(
    request: &DescribeTaskQueueRequest,
    describe: impl Fn(TaskQueueType) -> Result<TaskQueueDescription, Fault>,
) -> Result<DescribeTaskQueueResponse, Fault> {
    let mut kinds = vec![TaskQueueType::Workflow, TaskQueueType::Activity];
    if !request.task_queue_types.is_empty() {
        kinds = request.task_queue_types().collect();
    }
    let mut version = TaskQueueVersionInfo::default();
    for kind in kinds {
        let description = describe(kind)?;
        let info = TaskQueueTypeInfo {
            stats: request.report_stats.then(|| stats(&description.backlog)),
            pollers: if request.report_pollers { pollers(description.pollers) } else { Vec::new() },
        };
        version.types_info.insert(kind.into(), info);
    }
    let wants_unversioned = request
        .versions
        .as_ref()
        .is_none_or(|versions| versions.build_ids.is_empty() || versions.unversioned || versions.all_active);
    let versions_info = wants_unversioned.then(|| (String::new(), version)).into_iter().collect();
    Ok(DescribeTaskQueueResponse { versions_info, ..Default::default() })
}

#[allow(deprecated)]
fn mode(request: &DescribeTaskQueueRequest) -> DescribeTaskQueueMode {
    request.api_mode()
}

fn pollers(pollers: Vec<mainspring_engine::Poller>) -> Vec<PollerInfo> {
    let to_info = |poller: mainspring_engine::Poller| PollerInfo {
        last_access_time: Some(poller.last_access.to_proto()),
        identity: poller.identity,
        ..Default::default()
    };
    pollers.into_iter().map(to_info).collect()
}

fn stats(backlog: &Backlog) -> TaskQueueStats {
    TaskQueueStats {
        approximate_backlog_count: count(backlog),
        approximate_backlog_age: Some(time::to_proto(backlog.age)),
        ..Default::default()
    }
}

fn count(backlog: &Backlog) -> i64 {
    i64::try_from(backlog.tasks).unwrap_or(i64::MAX)
}

/// A queue is never split here: its one partition has its own name.
pub(super) fn partitions(
    frontend: &Frontend,
    request: ListTaskQueuePartitionsRequest,
) -> Result<ListTaskQueuePartitionsResponse, Fault> {
    frontend.namespace(&request.namespace)?;
    let key = validate::task_queue(request.task_queue)?;
    let partition = TaskQueuePartitionMetadata { key, owner_host_name: frontend.config.address().to_string() };
    Ok(ListTaskQueuePartitionsResponse {
        activity_task_queue_partitions: vec![partition.clone()],
        workflow_task_queue_partitions: vec![partition],
    })
}

/// A worker says good-bye. It has no sticky queue here that would have to be told.
pub(super) fn shutdown_worker(
    frontend: &Frontend,
    request: &ShutdownWorkerRequest,
) -> Result<ShutdownWorkerResponse, Fault> {
    frontend.namespace(&request.namespace)?;
    Ok(ShutdownWorkerResponse::default())
}
