//! What nearly every workflow needs: `use mainspring_workflow::prelude::*;`.

pub use std::time::Duration;

pub use serde::{Deserialize, Serialize};

pub use crate::{
    ActivityError, ActivityHandle, ActivityOptions, ApplicationFailure, Bytes, Canceled, CancellationScope,
    CancellationType, Elapsed, Failure, FailureKind, Level, OrFail, Payload, RetryPolicy, TimeoutExt, WorkflowError,
    WorkflowResult, activity, cancel_reason, canceled, debug, error, history, info, join, join_all, log, now, random,
    select, shielded, signals, sleep, spawn, timeout, trace, try_join, try_join_all, uuid4, wait_condition, warn,
    workflow,
};
