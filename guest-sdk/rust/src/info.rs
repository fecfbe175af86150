//! What the run knows of itself.

use std::time::{Duration, SystemTime};

use crate::{
    attributes,
    bindings::mainspring::workflow::info as wit,
    failure::Failure,
    payload::{FromPayload, Payload, PayloadError, from_first},
    retry::RetryPolicy,
    runtime::Runtime,
    time::{datetime_from_wit, duration_from_wit},
};

pub use wit::{HistoryInfo, ParentInfo, WorkflowExecution};

/// What the run knows of itself: fixed from its start to its end, but for memo and search attributes, which it can
/// [change](crate::upsert_memo).
pub fn info() -> WorkflowInfo {
    let runtime = Runtime::current();
    let mut info = runtime.host().info();
    attributes::apply(&mut info.memo, &runtime.upserted.memo.borrow());
    attributes::apply(&mut info.search_attributes, &runtime.upserted.search_attributes.borrow());
    info
}

/// How long the history is by now: for deciding when to start afresh.
pub fn history() -> HistoryInfo {
    Runtime::current().host().history()
}

/// See [`info`].
#[derive(Clone, Debug, PartialEq)]
pub struct WorkflowInfo {
    /// Where it runs.
    pub namespace: String,
    /// Given by whoever started it.
    pub workflow_id: String,
    /// Given by the server; a new one for each run of a workflow id.
    pub run_id: String,
    /// The run that began this chain of retries and continuations.
    pub first_execution_run_id: String,
    /// The run before this one in that chain.
    pub continued_execution_run_id: Option<String>,
    /// The workflow that started this one as its child.
    pub parent: Option<ParentInfo>,
    /// The workflow at the top of the family: the parent's parent, and so on; none where this one has no parent.
    pub root: Option<WorkflowExecution>,
    /// As clients name it.
    pub workflow_type: String,
    /// Where it was started; its activities go there too unless they name another.
    pub task_queue: String,
    /// From 1.
    pub attempt: u32,
    /// When it began.
    pub start_time: SystemTime,
    /// How long the whole chain may take.
    pub execution_timeout: Option<Duration>,
    /// How long this run may take.
    pub run_timeout: Option<Duration>,
    /// How long one workflow task may take.
    pub task_timeout: Option<Duration>,
    /// When and how often it is tried again, should it fail; never where it is none.
    pub retry_policy: Option<RetryPolicy>,
    /// Notes for people; see [`WorkflowInfo::memo`] for reading one.
    pub memo: Vec<(String, Payload)>,
    /// What it can be found by.
    pub search_attributes: Vec<(String, Payload)>,
    /// Given by the caller's interceptors.
    pub header: Vec<(String, Payload)>,
    /// What the run before it completed with, in a schedule; see [`WorkflowInfo::last_result`] for reading it.
    pub last_completion_result: Vec<Payload>,
    /// Why the run before it failed.
    pub last_failure: Option<Failure>,
}

impl WorkflowInfo {
    /// A note of the memo; none where it has no such key.
    pub fn memo<T: FromPayload>(&self, key: &str) -> Result<Option<T>, PayloadError> {
        lookup(&self.memo, key)
    }

    /// A search attribute; none where it has no such key.
    pub fn search_attribute<T: FromPayload>(&self, key: &str) -> Result<Option<T>, PayloadError> {
        lookup(&self.search_attributes, key)
    }

    /// What the run before it completed with; none where there was none.
    pub fn last_result<T: FromPayload>(&self) -> Result<Option<T>, PayloadError> {
        if self.last_completion_result.is_empty() {
            Ok(None)
        } else {
            from_first(&self.last_completion_result).map(Some)
        }
    }

    pub(crate) fn from_wit(info: wit::WorkflowInfo) -> Self {
        Self {
            namespace: info.namespace,
            workflow_id: info.workflow_id,
            run_id: info.run_id,
            first_execution_run_id: info.first_execution_run_id,
            continued_execution_run_id: info.continued_execution_run_id,
            parent: info.parent,
            root: info.root,
            workflow_type: info.workflow_type,
            task_queue: info.task_queue,
            attempt: info.attempt,
            start_time: datetime_from_wit(info.start_time),
            execution_timeout: info.execution_timeout.map(duration_from_wit),
            run_timeout: info.run_timeout.map(duration_from_wit),
            task_timeout: info.task_timeout.map(duration_from_wit),
            retry_policy: info.retry_policy.map(RetryPolicy::from_wit),
            memo: info.memo,
            search_attributes: info.search_attributes,
            header: info.header,
            last_completion_result: info.last_completion_result,
            last_failure: info.last_failure.map(Failure::from_wit),
        }
    }
}

fn lookup<T: FromPayload>(entries: &[(String, Payload)], key: &str) -> Result<Option<T>, PayloadError> {
    let payload = entries.iter().find(|(name, _)| name == key).map(|(_, payload)| payload);
    payload.map(T::from_payload).transpose().map_err(|error| error.of(key))
}
