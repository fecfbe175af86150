//! The engine's own bounds. Those that guests and clients meet are in `mainspring_core::limits`.

use std::time::Duration;

/// Requests that may wait for one shard; more are refused, so that a slow disk shows at the client and not in memory.
pub const REQUESTS_PER_SHARD: usize = 10_000;
/// Requests of one namespace that are taken all the same: a flood of another one fills the queue of nobody else.
pub const REQUESTS_OF_EVERY_NAMESPACE: usize = 500;
/// Requests that a shard takes out of its channel at once, to have the namespaces take turns.
pub const REQUESTS_AT_ONCE: usize = 1_000;
/// The largest weight: with more, those of the least would wait for ever.
pub const WEIGHT_MAX: u64 = 10_000;
/// The longest burst: what was not used yesterday is no reason to take everything today.
pub const BURST_SECONDS_MAX: u64 = 60;
/// A workflow's turn that is further away than this is not waited for by what led to it: far above what a commit takes.
pub const TURN_IS_LATE: Duration = Duration::from_millis(100);
/// How often the log says of a namespace that one of its quotas refuses calls, or drops log lines: a line for each would be
/// another way to fill the disk.
pub const QUOTA_TOLD: Duration = Duration::from_secs(10);
/// Requests that may wait for one run while its activation runs.
pub const REQUESTS_PER_RUN: usize = 2_000;
/// Events of one step, in bytes: what has waited for a run is taken in portions of about this size.
pub const STEP_BYTES: usize = 8 * 1024 * 1024;
/// Events of one history row, in bytes, unless a single one is larger: a step of this size is read to see one event.
pub const HISTORY_ROW_BYTES: usize = 1024 * 1024;
/// Events of later runs that one reset looks through for signals and updates to carry over: two full histories.
pub const RESET_EVENTS: usize = 102_400;
/// What a run takes in memory beside what its events account for, in bytes.
pub const RUN_BYTES: usize = 4 * 1024;
/// Runs that a shard keeps in memory, in bytes; those in use do not count against it.
pub const SHARD_BYTES: usize = 64 * 1024 * 1024;
/// Runs whose timers are fired before the shard looks at its requests again.
pub const TIMERS_AT_ONCE: usize = 256;
/// Timer rows of the near future that a shard keeps in memory.
pub const TIMERS_IN_MEMORY: usize = 20_000;
/// API keys that are there at the same time: all are in memory.
pub const API_KEYS: usize = 10_000;
/// Rows that one read of the store asks for.
pub const SCAN_ROWS: usize = 512;
/// Events that a run keeps in memory for its next activation; older ones are read from the store.
pub const RECENT_EVENTS: usize = 1_024;
/// How long a shard sleeps at most when nothing is due, so that a clock that was set is noticed.
pub const IDLE: Duration = Duration::from_secs(1);
/// How long a poller is shown after its last poll, as in Temporal.
pub const POLLER_SHOWN: Duration = Duration::from_secs(5 * 60);
/// Pollers shown of one task queue.
pub const POLLERS_SHOWN: usize = 100;
/// Polls that may wait on one task queue.
pub const POLLS_PER_QUEUE: usize = 10_000;
/// Hosts, values and secrets, each, that a deployment of activities is granted.
pub const GRANTS: usize = 100;
/// Longest name of a value or a secret, in bytes.
pub const GRANT_NAME_BYTES: usize = 255;
/// Values of a deployment of activities, names included, in bytes.
pub const ENVIRONMENT_BYTES: usize = 32 * 1024;
/// Longest secret, in bytes: it goes into a header, and servers refuse longer ones.
pub const SECRET_BYTES: usize = 8 * 1024;
/// Task queues that are known at the same time.
pub const TASK_QUEUES: usize = 100_000;
/// Longest filter of a list, in bytes: some thousand ids fit into it.
pub const FILTER_BYTES: usize = 128 * 1024;
/// How deep parentheses in a filter may be nested: the reader recurses.
pub const FILTER_DEPTH: usize = 50;
/// Values of one attribute, or parts of one OR, for which the index is asked one by one; for more it is gone through.
pub const LIST_PARTS: usize = 256;
/// Runs that are read and sorted for a page, where an index has so few; more are read in the order of lists, among
/// which they are then frequent enough. It bounds what choosing an index costs.
pub const LIST_CANDIDATES: usize = 1_000;
/// Rows that do not fit which a page looks at before it is handed out as it is: about a tenth of a second.
pub const LIST_ROWS: usize = 50_000;
/// Runs that are gone through for an order that no index has: about a second.
pub const SORT_ROWS: usize = 250_000;
/// Lists and counts that are read at the same time.
pub const LISTS_AT_ONCE: usize = 16;
/// Sweeps (verifications, migrations) under way; more wait. Each has a few threads, and on each a history in memory.
pub const SWEEPS_AT_ONCE: usize = 4;
/// Results of a sweep that wait for whoever asked, and runs that wait for its threads.
pub const SWEEP_RESULTS: usize = 256;
/// Runs of a sample that is asked for by number: all of them are kept in memory until the last one is chosen.
pub const SAMPLE_RUNS: usize = 100_000;
/// Runs that are not exact which a deployment reports; the numbers tell of the others.
pub const REPORTED_RUNS: usize = 100;
/// How often a run is verified up to where it stands before its migration is given up. Each time only what has come since
/// is replayed, so it takes a run that never rests to reach this.
pub const MIGRATION_TRIES: usize = 20;
/// How long a list waits at most for the steps that are being decided when it begins: far above what one takes.
pub const STEP_SETTLES: Duration = Duration::from_millis(5);
/// Versions that a task queue's list keeps, and steps back that rollbacks can go: somebody who deploys at every save of a
/// file must not make the row grow for ever. Those that are active, ramping or next to be rolled back to always stay.
pub const VERSIONS_KEPT: usize = 100;
/// Task queues of one namespace that have versions: all of them are kept in memory.
pub const DEPLOYMENTS: usize = 10_000;
/// How long an activity that computes has its turn at most. It gives it back at each tick of the sandbox's clock, so one
/// that has not for several of them waits for something.
pub const TURN_OF_ACTIVITY: Duration = Duration::from_millis(150);
/// A part of an upload that is written at once, in bytes. An upload that breaks off loses at most this much.
pub const UPLOAD_PART_BYTES: usize = 4 * 1024 * 1024;
/// Uploads of one namespace that have broken off and can be resumed; the oldest go first.
pub const PARTIAL_UPLOADS: usize = 4;
/// How long an upload that has broken off can be resumed after its last part.
pub const PARTIAL_UPLOAD_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
