//! For whom a run uses the machine, and how much of it they may use.

use std::sync::Arc;

use crate::GuestLimits;

/// Learns what the guests of one owner use. Called on the threads that run them, so it must not wait.
pub trait Account: Send + Sync {
    /// Guest code has used so much fuel: live or in replay, to ask for a result or to crash.
    fn used_fuel(&self, units: u64);

    /// Whether a line of so many bytes may be logged. One that may not is dropped: the guest does not notice, because it
    /// would in no replay.
    fn may_log(&self, bytes: usize) -> bool;
}

/// What holds for a run, beside what holds for all.
#[derive(Clone)]
pub struct Terms {
    /// What the guest may use. Deterministic limits that were lowered may break runs that need more.
    pub limits: Arc<GuestLimits>,
    /// Estimated private memory of all cached instances of the run's namespace together, in bytes.
    pub cached_bytes: usize,
    /// None where nobody counts.
    pub account: Option<Arc<dyn Account>>,
}
