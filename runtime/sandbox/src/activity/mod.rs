//! Activities that are WebAssembly components: the world in `wit/activity/`.
//!
//! Unlike a workflow, an activity may block, sees the machine's clocks and random numbers, and reaches the outside by
//! HTTP where its deployment was granted it ([`Grants`]). So it runs apart from workflows: on a runtime of its own
//! ([`ActivityWorld`]), where one that computes gives way at each tick of the sandbox's clock and one that waits holds no
//! thread; in an instance of its own for each attempt; and until its deadline, at which it is dropped wherever it is.
//!
//! `state.rs` is what a guest can call, `run.rs` runs an attempt and says how it ended, `http.rs` sends what
//! `grants.rs` permits, `scratch/` is the files that it may have.

mod bindings;
mod grants;
mod http;
mod output;
mod run;
mod scratch;
mod state;
mod tls;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use mainspring_api::{
    Timestamp,
    common::{Header, Payloads, RetryPolicy},
};
use mainspring_core::{
    activity::ActivityOutcome,
    trace::{SpanId, TraceId},
};

pub use self::{
    grants::{Grants, HostRule, HostRuleError, SecretGrant, SecretValue},
    run::{ActivityModule, ActivityWorld},
};
use crate::Account;

/// One attempt of an activity, and all that it may know.
#[derive(Debug, Clone, Default)]
pub struct ActivityAttempt {
    pub namespace: String,
    pub task_queue: String,
    pub workflow_id: String,
    pub run_id: String,
    pub workflow_type: String,
    pub activity_id: String,
    pub activity_type: String,
    /// From 1.
    pub attempt: u32,
    pub header: Option<Header>,
    pub input: Option<Payloads>,
    pub heartbeat_details: Option<Payloads>,
    pub scheduled_time: Timestamp,
    pub attempt_scheduled_time: Timestamp,
    pub started_time: Timestamp,
    /// Zero where there is none; so are the next two.
    pub schedule_to_close_timeout: Duration,
    pub start_to_close_timeout: Duration,
    pub heartbeat_timeout: Duration,
    pub retry_policy: Option<RetryPolicy>,
    /// When the first of the timeouts ends the attempt.
    pub deadline: Timestamp,
    /// How long that is from now.
    pub time_left: Duration,
    /// Where log lines are to name the trace: it, and the activity's span.
    pub trace: Option<(TraceId, SpanId)>,
}

/// Where heartbeats go.
pub trait Heart: Send + Sync {
    fn beat(&self, details: Option<Payloads>) -> Pin<Box<dyn Future<Output = Pulse> + Send + '_>>;
}

/// Learns what the activities of one owner use, and says how much more they may.
pub trait ActivityAccount: Account {
    /// Whether one more request may leave. One that may not fails.
    fn may_request(&self) -> bool;

    /// Called at each tick of the sandbox's clock at which the guest computes. It goes on when this is done.
    fn turn(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// What holds for an attempt, beside the limits that hold for all.
#[derive(Clone)]
pub struct ActivityTerms {
    pub grants: Arc<Grants>,
    pub heart: Arc<dyn Heart>,
    /// Linear memory in bytes, where it is less than all others may have.
    pub memory_bytes: usize,
    /// None where nobody counts.
    pub account: Option<Arc<dyn ActivityAccount>>,
}

/// What a heartbeat is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulse {
    GoOn,
    /// The workflow has asked for the activity to be canceled.
    CancelRequested,
    /// The attempt counts no longer: it has timed out, or its workflow has ended.
    Over,
    /// The details cannot be taken, for this reason.
    Refused(String),
}

/// How an attempt has ended.
// Moving one is nothing beside running a guest.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum ActivityEnd {
    Outcome(ActivityOutcome),
    /// Nobody waits for an outcome: the attempt's time was up, or it counts no longer.
    Over,
}

/// What one attempt of an activity may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityLimits {
    /// Threads that run activities, all deployments together. 0 takes as many as the machine has processors.
    pub threads: usize,
    /// Linear memory of one attempt, in bytes.
    pub memory_bytes: usize,
    /// Fuel of one attempt: about one unit for an instruction.
    pub fuel: u64,
    /// Real time of one attempt, whatever its timeouts say.
    pub time: Duration,
    /// Bytes that one attempt writes to its log, to stdout and to stderr, together.
    pub log_bytes: usize,
    /// HTTP requests of one attempt.
    pub http_requests: usize,
    /// Those of them that are under way at once, until the response's body has been read or dropped.
    pub http_concurrent: usize,
    /// Body of one request, and of one response, in bytes.
    pub http_body_bytes: usize,
    /// Real time of one request, until its response's body has ended.
    pub http_time: Duration,
    /// Scratch directory of one attempt, in bytes, whatever its deployment was granted.
    pub scratch_bytes: u64,
    /// Those of all attempts together, in bytes. They are in memory.
    pub scratch_total_bytes: u64,
}

impl Default for ActivityLimits {
    fn default() -> ActivityLimits {
        use mainspring_core::limits::activity as defaults;
        ActivityLimits {
            threads: 0,
            memory_bytes: defaults::MEMORY_BYTES,
            fuel: defaults::FUEL,
            time: defaults::TIME,
            log_bytes: defaults::LOG_BYTES,
            http_requests: defaults::HTTP_REQUESTS,
            http_concurrent: defaults::HTTP_CONCURRENT,
            http_body_bytes: defaults::HTTP_BODY_BYTES,
            http_time: defaults::HTTP_TIME,
            scratch_bytes: defaults::SCRATCH_BYTES,
            scratch_total_bytes: defaults::SCRATCH_TOTAL_BYTES,
        }
    }
}
