//! Every bound of the system with its default and the reason for it. Nothing else in the code names a bare limit.

use std::time::Duration;

/// Temporal's own limits and defaults: clients rely on them.
pub mod temporal {
    use super::Duration;

    /// Longest workflow id, request id, activity id, timer id, task queue, signal name, type name or identity, in bytes.
    pub const ID_BYTES: usize = 1_000;
    /// Largest payload set of one call or command, in bytes.
    pub const PAYLOAD_BYTES: usize = 2 * 1024 * 1024;
    /// Largest memo, in bytes.
    pub const MEMO_BYTES: usize = 2 * 1024 * 1024;
    /// Most events in one history; a run that reaches it is terminated.
    pub const HISTORY_EVENTS: i64 = 51_200;
    /// Largest history, in encoded bytes; a run that reaches it is terminated.
    pub const HISTORY_BYTES: i64 = 50 * 1024 * 1024;
    /// A run with more events than this is advised to continue as new.
    pub const SUGGEST_CONTINUE_AS_NEW_EVENTS: i64 = 4_096;
    /// A run with a larger history than this is advised to continue as new.
    pub const SUGGEST_CONTINUE_AS_NEW_BYTES: i64 = 4 * 1024 * 1024;
    /// Most updates of one run that are admitted or accepted, and not completed.
    pub const UPDATES_IN_FLIGHT: usize = 10;
    /// Most updates that one run takes.
    pub const UPDATES_PER_RUN: usize = 2_000;
    /// Most open activities, timers, children, and messages to other workflows, each, of one run.
    pub const PENDING_PER_KIND: usize = 2_000;
    /// Most signals that one run takes.
    pub const SIGNALS_PER_RUN: usize = 10_000;
    /// Most events that wait while a workflow task runs.
    pub const BUFFERED_EVENTS: usize = 100;
    /// Largest failure that is stored whole; a longer one is cut.
    pub const FAILURE_BYTES: usize = 4 * 1024;

    /// How long a worker may take for a workflow task, unless the start request says otherwise.
    pub const WORKFLOW_TASK_TIMEOUT: Duration = Duration::from_secs(10);
    /// The longest workflow task timeout that a start request may ask for.
    pub const WORKFLOW_TASK_TIMEOUT_MAX: Duration = Duration::from_secs(120);
    /// First and longest pause before a failed workflow task is tried again.
    pub const WORKFLOW_TASK_RETRY_FIRST: Duration = Duration::from_secs(1);
    pub const WORKFLOW_TASK_RETRY_MAX: Duration = Duration::from_secs(10 * 60);

    /// How long a workflow task that exists only for updates may wait for a worker before it becomes part of the history.
    pub const SPECULATIVE_WORKFLOW_TASK_TIMEOUT: Duration = Duration::from_secs(5);
    /// From this attempt of a workflow task on, updates are refused: the workflow is broken, and no update can mend it.
    pub const UPDATES_REFUSED_FROM_ATTEMPT: i32 = 3;
    /// The least time from the start of a run to the first workflow task of its successor, so that a workflow that does
    /// nothing but continue as new does not spin.
    pub const CONTINUE_AS_NEW_INTERVAL: Duration = Duration::from_secs(1);

    /// The default activity retry policy.
    pub const RETRY_INITIAL_INTERVAL: Duration = Duration::from_secs(1);
    pub const RETRY_BACKOFF_COEFFICIENT: f64 = 2.0;
    /// The longest pause, as a multiple of the first one.
    pub const RETRY_MAXIMUM_INTERVAL_COEFFICIENT: i32 = 100;

    /// How long a poll for a task or for history is held, before it is answered empty.
    pub const LONG_POLL: Duration = Duration::from_secs(60);
    pub const HISTORY_LONG_POLL: Duration = Duration::from_secs(20);
    /// Most events on a page of history, and most rows on a page of a list.
    pub const HISTORY_PAGE: usize = 1_000;
    pub const LIST_PAGE: usize = 1_000;
}

/// What a guest may use. A guest that asks for more fails its workflow task with the limit's name.
pub mod sandbox {
    use super::Duration;

    /// Linear memory of one instance, all of its memories together, in bytes.
    pub const MEMORY_BYTES: usize = 64 * 1024 * 1024;
    /// Entries of one table.
    pub const TABLE_ELEMENTS: usize = 100_000;
    /// Wasm stack of one activation, in bytes.
    pub const STACK_BYTES: usize = 512 * 1024;
    /// Fuel of one activation: about one unit for an instruction. Deterministic, so that replay stops at the same place.
    pub const FUEL_PER_ACTIVATION: u64 = 1_000_000_000;
    /// Real time of one activation: the backstop for what fuel does not count. Far above what the fuel takes.
    pub const ACTIVATION_TIME: Duration = Duration::from_secs(10);
    /// Commands of one activation.
    pub const COMMANDS_PER_ACTIVATION: usize = 10_000;
    /// Bytes of commands of one activation, payloads included: one gRPC message of Temporal's, times four.
    pub const COMMAND_BYTES_PER_ACTIVATION: usize = 16 * 1024 * 1024;
    /// Log lines' bytes of one activation.
    pub const LOG_BYTES_PER_ACTIVATION: usize = 256 * 1024;
    /// Largest module that is taken, in bytes.
    pub const MODULE_BYTES: usize = 64 * 1024 * 1024;
    /// How long compiling a module may take, on one thread. CPython with a workflow, the largest that any of our SDKs
    /// makes, takes 12 s on an idle core, and was seen to take over a minute on a machine that did six other things.
    pub const COMPILE_TIME: Duration = Duration::from_secs(300);
    /// Address space of the process that compiles a module, in bytes. A Rust guest of ordinary
    /// size was seen to take 188 MiB of it; CPython with a workflow, the largest that any of our SDKs makes, fits in.
    pub const COMPILER_MEMORY_BYTES: u64 = 3 * 1024 * 1024 * 1024;
    /// Private memory of all cached instances, in bytes.
    pub const INSTANCE_CACHE_BYTES: usize = 512 * 1024 * 1024;
    /// Cached instances: about six memory mappings each, and Linux allows a process 65,530.
    pub const INSTANCE_CACHE_COUNT: usize = 8_000;
    /// Compiled modules kept in memory.
    pub const LOADED_MODULES: usize = 256;
}

/// What an activity that is a component may use. An attempt that asks for more fails with the limit's name.
pub mod activity {
    use super::Duration;

    /// Linear memory of one attempt, in bytes.
    pub const MEMORY_BYTES: usize = 64 * 1024 * 1024;
    /// Fuel of one attempt: some minutes of computing.
    pub const FUEL: u64 = 100_000_000_000;
    /// Real time of one attempt: what takes longer belongs into several, or to a worker.
    pub const TIME: Duration = Duration::from_secs(60 * 60);
    /// Bytes that one attempt logs.
    pub const LOG_BYTES: usize = 1024 * 1024;
    /// Attempts that run at once, all deployments together. Each may hold `MEMORY_BYTES`, and most hold a hundredth.
    pub const CONCURRENT: usize = 64;
    /// Attempts of one deployment that run at once, so that it leaves room for others.
    pub const CONCURRENT_PER_DEPLOYMENT: usize = 16;
    /// HTTP requests of one attempt, in all and under way at once.
    pub const HTTP_REQUESTS: usize = 1_000;
    pub const HTTP_CONCURRENT: usize = 16;
    /// Body of one request, and of one response, in bytes.
    pub const HTTP_BODY_BYTES: usize = 8 * 1024 * 1024;
    /// Real time of one request.
    pub const HTTP_TIME: Duration = Duration::from_secs(5 * 60);
    /// Scratch directory of one attempt, in bytes: the most that can be granted, unless the operator sets another value.
    pub const SCRATCH_BYTES: u64 = 256 * 1024 * 1024;
    /// The least that can be granted: with less hardly a file fits.
    pub const SCRATCH_BYTES_LEAST: u64 = 64 * 1024;
    /// Scratch directories of all attempts together, in bytes. They are in memory.
    pub const SCRATCH_TOTAL_BYTES: u64 = 1024 * 1024 * 1024;
    /// Files and directories in one attempt's scratch directory.
    pub const SCRATCH_FILES: usize = 4096;
}

/// What is told of a run to those who trace it.
pub mod trace {
    /// Longest message of a failure, in bytes; of a longer one the beginning is told.
    pub const MESSAGE_BYTES: usize = 1024;
    /// Longest header with a trace that is looked at, in bytes: baggage of the size that the W3C wants to be passed on,
    /// and the rest.
    pub const HEADER_BYTES: usize = 16 * 1024;
}
