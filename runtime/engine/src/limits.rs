//! The engine's own bounds. Those that guests and clients meet are in `mainspring_core::limits`.

use std::time::Duration;

/// Requests that may wait for one shard; more are refused, so that a slow disk shows at the client and not in memory.
pub const REQUESTS_PER_SHARD: usize = 10_000;
/// Requests that may wait for one run while its activation runs.
pub const REQUESTS_PER_RUN: usize = 2_000;
/// Timer rows of the near future that a shard keeps in memory.
pub const TIMERS_IN_MEMORY: usize = 20_000;
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
/// Task queues that are known at the same time.
pub const TASK_QUEUES: usize = 100_000;
