//! What goes into the engine and comes out of it, beside the core's inputs and Temporal's messages.

use std::time::Duration;

use mainspring_api::{
    Timestamp,
    common::{Header, Payloads, RetryPolicy},
    enums::WorkflowExecutionStatus,
    history::HistoryEvent,
    workflow::{
        PendingActivityInfo, PendingChildExecutionInfo, PendingWorkflowTaskInfo, WorkflowExecutionConfig,
        WorkflowExecutionExtendedInfo, WorkflowExecutionInfo,
    },
};
use mainspring_core::{
    Rejection, Time,
    activity::ActivityRef,
    trace::{RunTrace, SpanId},
};
use mainspring_sandbox::Digest;

use crate::{HostedLimits, Observed, Quota, SecretKey, versions::Versions};

#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Fixed when a data directory is made; a directory keeps its own.
    pub shards: u16,
    /// Namespaces that are there from the start.
    pub namespaces: Vec<String>,
    /// Threads that run activations.
    pub activation_threads: usize,
    /// Runs whose state each shard keeps in memory.
    pub runs_in_memory_per_shard: usize,
    /// How many activities the server runs itself at once.
    pub hosted: HostedLimits,
    /// What the secrets of deployments are sealed with.
    pub secret_key: SecretKey,
    /// What each namespace may use that has no quota of its own.
    pub quota: Quota,
    /// Who is told what becomes of runs, if anybody.
    pub observed: Observed,
}

/// A namespace, as `DescribeNamespace` tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    pub name: String,
    pub id: String,
    pub created: Time,
    /// How long closed runs are kept. (Nothing is deleted by it yet.)
    pub retention: Duration,
}

/// A run, or (with an empty run id) the latest run of a workflow id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunRef {
    pub workflow_id: String,
    pub run_id: String,
    /// Where it is not empty: the chain that the run must belong to.
    pub first_execution_run_id: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    pub run_id: String,
    pub first_execution_run_id: String,
    /// False where an existing run was returned.
    pub started: bool,
    pub status: WorkflowExecutionStatus,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RunDescription {
    pub config: WorkflowExecutionConfig,
    pub info: WorkflowExecutionInfo,
    pub extended: WorkflowExecutionExtendedInfo,
    pub pending_children: Vec<PendingChildExecutionInfo>,
    pub pending_activities: Vec<PendingActivityInfo>,
    pub pending_workflow_task: Option<PendingWorkflowTaskInfo>,
}

#[derive(Clone, Debug)]
pub struct HistoryQuery {
    pub run: RunRef,
    /// The first event wanted; 1 for the beginning. In reverse order: the last one, or 0 for the end.
    pub from_event_id: i64,
    /// 1 to `limits::temporal::HISTORY_PAGE`.
    pub page_size: usize,
    pub reverse: bool,
    /// Wait, at most this long, while there is nothing from `from_event_id` on (or, with `close_event_only`, while the
    /// run is open).
    pub wait: Option<Duration>,
    /// Only the event that closed the run; none while it is open.
    pub close_event_only: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    pub run_id: String,
    pub events: Vec<HistoryEvent>,
    /// Where the next page begins, if there can be one: there are more events, or the run is open and `wait` was given.
    pub next_event_id: Option<i64>,
    pub is_running: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListPage {
    pub executions: Vec<WorkflowExecutionInfo>,
    /// Empty on the last page.
    pub next_page_token: Vec<u8>,
}

/// An activity of a run, as a worker names it.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityTarget {
    /// The run id may be empty where the activity is named by its id.
    pub run: RunRef,
    pub activity: ActivityRef,
}

/// One attempt of an activity, for a worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActivityTask {
    pub workflow_id: String,
    pub run_id: String,
    pub workflow_type: String,
    pub scheduled_event_id: i64,
    pub attempt: i32,
    pub activity_id: String,
    pub activity_type: String,
    pub header: Option<Header>,
    pub input: Option<Payloads>,
    pub heartbeat_details: Option<Payloads>,
    pub scheduled_time: Timestamp,
    pub attempt_scheduled_time: Timestamp,
    pub started_time: Timestamp,
    /// Zero where there is none.
    pub schedule_to_close_timeout: Duration,
    pub start_to_close_timeout: Duration,
    pub heartbeat_timeout: Duration,
    pub retry_policy: Option<RetryPolicy>,
    /// Where there is somebody who observes runs.
    pub trace: Option<ActivityTrace>,
}

/// An activity's place in its run's trace.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityTrace {
    pub run: RunTrace,
    pub span_id: SpanId,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Poller {
    pub identity: String,
    pub last_access: Time,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backlog {
    pub tasks: usize,
    /// How old the oldest waiting task is.
    pub age: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskQueueDescription {
    /// Polls of the last five minutes.
    pub pollers: Vec<Poller>,
    pub backlog: Backlog,
}

/// A module that a namespace has.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    pub digest: Digest,
    pub size_bytes: u64,
    pub workflow_types: Vec<String>,
    /// A module holds either workflows or activities.
    pub activity_types: Vec<String>,
    pub imports: Vec<String>,
    /// What it was written in, as far as the file tells; empty where it does not.
    pub language: String,
    pub uploaded: Time,
    pub uploaded_by: String,
}

/// A task queue's versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    pub namespace: String,
    pub task_queue: String,
    pub versions: Versions,
}

impl Module {
    pub fn holds_activities(&self) -> bool {
        !self.activity_types.is_empty()
    }

    /// Activities have no versions and no runs.
    pub(crate) fn must_hold_workflows(&self) -> Result<(), Rejection> {
        match self.holds_activities() {
            true => Err(holds_activities(&self.digest)),
            false => Ok(()),
        }
    }
}

/// What has come of the deployment of a module.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    pub module: Module,
    pub to: DeployedTo,
    /// It was active already.
    pub unchanged: bool,
}

/// Why a module of activities is refused where one of workflows is wanted.
pub(crate) fn holds_activities(digest: &Digest) -> Rejection {
    Rejection::InvalidArgument(format!(
        "Module {digest} holds activities: they have no versions, and no runs to verify or to migrate. Deploy it as it is."
    ))
}

#[derive(Clone, Debug, PartialEq)]
pub enum DeployedTo {
    /// It is a version of the task queue.
    Versions(Deployment),
    /// The server runs the activities of the task queue on it. There are no versions of them.
    Activities { namespace: String, task_queue: String, deployed: Time },
}
