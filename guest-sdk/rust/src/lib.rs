//! Durable workflows in Rust, as WebAssembly components that the Mainspring server runs.
mod activity;
pub mod bindings;
mod cancellation;
mod condition;
mod error;
mod executor;
mod failure;
mod guest;
mod host;
mod info;
mod join;
mod log;
mod payload;
pub mod prelude;
mod random;
mod runtime;
mod select;
mod signal;
mod task;
mod time;
mod timer;
mod workflow;

pub use mainspring_workflow_macros::{activity, workflow};

pub use crate::{
    activity::{Activity, ActivityHandle, ActivityOptions, CancellationType, RetryPolicy, activity},
    cancellation::{CancelRequested, CancellationScope, Scoped, cancel_reason, canceled, shielded},
    condition::{Condition, wait_condition},
    error::{ActivityError, Canceled, Elapsed, OrFail, WorkflowError, WorkflowResult},
    failure::{
        ActivityFailureInfo, ApplicationFailure, ApplicationFailureInfo, Failure, FailureKind, RetryState,
        TimeoutFailureInfo, TimeoutType,
    },
    info::{HistoryInfo, WorkflowInfo, history, info},
    join::{JoinAll, join_all, try_join_all},
    log::{Level, write as write_log},
    payload::{Bytes, FromPayload, Payload, PayloadError, ToPayload},
    random::{Random, random, uuid4},
    signal::{Next, Signals, signals},
    task::{JoinHandle, spawn},
    time::now,
    timer::{Sleep, Timeout, TimeoutExt, Timer, sleep, timeout},
    workflow::Workflow,
};

#[doc(hidden)]
pub mod __private {
    pub use crate::{
        guest::{describe, resume, start},
        join::{Join, TryJoin},
        select::{Race, Winner},
        workflow::{Arguments, Entry, WorkflowFuture, WorkflowOutput, assert_names_differ},
    };
}
