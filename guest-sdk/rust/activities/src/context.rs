//! What an attempt knows of itself, and how it says that it lives.

use std::time::{Duration, SystemTime};

use mainspring_workflow::{Args, Canceled, Level, Payload, PayloadError, RetryPolicy, ToPayload};

/// The attempt that runs. In unit tests on the host all of it is empty.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ActivityInfo {
    /// The namespace of the workflow.
    pub namespace: String,
    /// Where the workflow scheduled it.
    pub task_queue: String,
    /// The workflow that it belongs to.
    pub workflow_id: String,
    /// The run that it belongs to.
    pub run_id: String,
    /// The type of the workflow.
    pub workflow_type: String,
    /// Unique among the run's open activities.
    pub activity_id: String,
    /// What the workflow called it by.
    pub activity_type: String,
    /// From 1.
    pub attempt: u32,
    /// What the last heartbeat of an earlier attempt left.
    pub heartbeat_details: Args,
    /// What came with it beside the arguments.
    pub header: Vec<(String, Payload)>,
    /// When the workflow scheduled it.
    pub scheduled_time: SystemTime,
    /// When this attempt was ready to be started.
    pub attempt_scheduled_time: SystemTime,
    /// When this attempt was started.
    pub started_time: SystemTime,
    /// For all attempts together.
    pub schedule_to_close_timeout: Option<Duration>,
    /// For one attempt.
    pub start_to_close_timeout: Option<Duration>,
    /// The longest time between two heartbeats.
    pub heartbeat_timeout: Option<Duration>,
    /// How it is tried again.
    pub retry_policy: Option<RetryPolicy>,
    /// When the host stops this attempt, wherever it is then.
    pub deadline: SystemTime,
}

/// The attempt that runs.
pub fn info() -> ActivityInfo {
    #[cfg(target_arch = "wasm32")]
    return from_wit(crate::bindings::mainspring::activity::context::info());
    #[cfg(not(target_arch = "wasm32"))]
    ActivityInfo {
        namespace: String::new(),
        task_queue: String::new(),
        workflow_id: String::new(),
        run_id: String::new(),
        workflow_type: String::new(),
        activity_id: String::new(),
        activity_type: String::new(),
        attempt: 1,
        heartbeat_details: Args::default(),
        header: Vec::new(),
        scheduled_time: SystemTime::UNIX_EPOCH,
        attempt_scheduled_time: SystemTime::UNIX_EPOCH,
        started_time: SystemTime::UNIX_EPOCH,
        schedule_to_close_timeout: None,
        start_to_close_timeout: None,
        heartbeat_timeout: None,
        retry_policy: None,
        deadline: SystemTime::UNIX_EPOCH,
    }
}

/// Says that the attempt goes on, and leaves details for the next one. An error says that the workflow has asked for the
/// activity to be canceled: `heartbeat(done)?` ends it as canceled, after whatever is dropped on the way.
///
/// May be called as often as one likes. Where the attempt counts no longer (it has timed out, or its workflow has ended)
/// it does not return. On the host, in unit tests, it does nothing.
///
/// # Errors
/// [`Canceled`]; details that cannot be sent are left out.
pub fn heartbeat(details: impl ToPayload) -> Result<(), Canceled> {
    let details: Result<Payload, PayloadError> = details.to_payload();
    let details: Vec<Payload> = details.into_iter().collect();
    #[cfg(target_arch = "wasm32")]
    if crate::bindings::mainspring::activity::context::heartbeat(&details) {
        return Err(Canceled::default());
    }
    drop(details);
    Ok(())
}

/// Writes a line to the activity's log. The macro [`log!`](crate::log!) is shorter.
pub fn log(level: Level, message: &str, fields: &[(String, String)]) {
    #[cfg(target_arch = "wasm32")]
    mainspring_workflow::bindings::mainspring::workflow::log::write(level, message, fields);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message} {fields:?}");
}

#[cfg(target_arch = "wasm32")]
fn from_wit(info: crate::bindings::mainspring::activity::context::ActivityInfo) -> ActivityInfo {
    use mainspring_workflow::__private::{args, datetime_from_wit, duration_from_wit, retry_policy_from_wit};

    ActivityInfo {
        namespace: info.namespace,
        task_queue: info.task_queue,
        workflow_id: info.workflow_id,
        run_id: info.run_id,
        workflow_type: info.workflow_type,
        activity_id: info.activity_id,
        activity_type: info.activity_type,
        attempt: info.attempt,
        heartbeat_details: args(info.heartbeat_details),
        header: info.header,
        scheduled_time: datetime_from_wit(info.scheduled_time),
        attempt_scheduled_time: datetime_from_wit(info.attempt_scheduled_time),
        started_time: datetime_from_wit(info.started_time),
        schedule_to_close_timeout: info.schedule_to_close_timeout.map(duration_from_wit),
        start_to_close_timeout: info.start_to_close_timeout.map(duration_from_wit),
        heartbeat_timeout: info.heartbeat_timeout.map(duration_from_wit),
        retry_policy: info.retry_policy.map(retry_policy_from_wit),
        deadline: datetime_from_wit(info.deadline),
    }
}
