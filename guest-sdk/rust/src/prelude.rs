//! What nearly every workflow needs: `use mainspring_workflow::prelude::*;`.

pub use std::time::Duration;

pub use serde::{Deserialize, Serialize};

pub use crate::{
    ActivityError, ActivityHandle, ActivityOptions, ApplicationFailure, Args, Bytes, Canceled, CancellationScope,
    CancellationType, ChildCancellationType, ChildHandle, ChildWorkflowError, ChildWorkflowOptions, ContinueAsNew,
    Elapsed, ExternalWorkflowError, Failure, FailureKind, Handlers, Level, Memo, Mutex, OrFail, ParentClosePolicy,
    Payload, RetryPolicy, SearchAttributes, Semaphore, Shared, TimeoutExt, UnfinishedPolicy, WorkflowError,
    WorkflowIdReusePolicy, WorkflowResult, activity, all_handlers_finished, cancel_reason, canceled, child_workflow,
    continue_as_new, current_update, debug, deprecate_patch, error, external_workflow, handlers, history, info, join,
    join_all, local_activity, log, now, on_dynamic_query, on_dynamic_signal, on_dynamic_update, on_query, on_signal,
    on_update, patched, random, select, set_current_details, shielded, side_effect, signals, sleep, spawn, timeout,
    trace, try_join, try_join_all, upsert_memo, upsert_search_attributes, uuid4, wait_condition, warn, workflow,
};
