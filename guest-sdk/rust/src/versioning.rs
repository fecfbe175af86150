//! Changing a workflow while runs of it are open, and facts that the journal shall hold.

use crate::{
    payload::ToPayload,
    runtime::{ReadOnly, Runtime},
};

/// Whether this run takes the new path of a change: true in runs that come here for the first time, which the journal
/// remembers; false in the replay of a run that was here before the change. The same in all of a run.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// if patched("refund by card") {
///     activity::<()>("refund_card").start_to_close_timeout(Duration::from_secs(30)).await?;
/// } else {
///     activity::<()>("refund").start_to_close_timeout(Duration::from_secs(30)).await?;
/// }
/// # Ok(()) }
/// ```
///
/// When no run is left that took the old path, [`deprecate_patch`] takes the place of the question; and when no run is
/// left that has the marker, that can go as well.
pub fn patched(id: &str) -> bool {
    let runtime = Runtime::current();
    // Where the run has ended nobody sees the path, and the new one is what the code is about to be.
    let mut patched = true;
    runtime.command("ask for a patch", |host| patched = host.patched(id));
    patched
}

/// The old path of a change is gone: see [`patched`].
pub fn deprecate_patch(id: &str) {
    Runtime::current().command("deprecate a patch", |host| host.deprecate_patch(id));
}

/// Computes a value at once, and keeps it in the history as a marker, for people who read it and for the check of
/// replays: what it gives must be the same each time, as everything in a workflow. It may draw random numbers and read
/// the clock, and start nothing.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// let coupon = side_effect(|| format!("C-{}", random().range(0..1_000_000)));
/// # let _ = coupon;
/// ```
///
/// # Panics
/// Where the value cannot be serialised.
pub fn side_effect<T: ToPayload>(effect: impl FnOnce() -> T) -> T {
    let runtime = Runtime::current();
    let value = runtime.read_only(ReadOnly::SideEffect, effect);
    let payload = value.to_payload().unwrap_or_else(|error| panic!("the value of a side effect: {error}"));
    let details = [("data".to_owned(), vec![payload])];
    runtime.command("have a side effect", |host| host.record_marker("SideEffect", &details, None));
    value
}
