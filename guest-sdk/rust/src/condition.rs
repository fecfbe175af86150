//! Waiting until something that the workflow itself does has become true.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    error::Canceled,
    executor::WaiterId,
    runtime::{Runtime, with_current},
};

/// Waits until the predicate is true. It is asked again whenever anything moved in the workflow, so it should be
/// quick, and change nothing.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # use std::cell::Cell;
/// # async fn example() -> WorkflowResult<()> {
/// let approvals = Cell::new(0);
/// let count = async {
///     let mut signals = signals::<()>("approve");
///     while signals.next().await.is_ok() {
///         approvals.set(approvals.get() + 1);
///     }
/// };
/// select! {
///     enough = wait_condition(|| approvals.get() >= 3) => enough?,
///     _ = count => {}
/// }
/// # Ok(()) }
/// ```
#[track_caller]
pub fn wait_condition<F: FnMut() -> bool>(predicate: F) -> Condition<F> {
    Condition { predicate, id: Runtime::current().new_waiter(), at: Location::caller() }
}

/// The future of [`wait_condition`].
#[must_use = "futures do nothing unless awaited"]
pub struct Condition<F> {
    predicate: F,
    id: WaiterId,
    at: &'static Location<'static>,
}

impl<F> Unpin for Condition<F> {}

impl<F: FnMut() -> bool> Future for Condition<F> {
    type Output = Result<(), Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let runtime = Runtime::current();
        if (self.predicate)() {
            runtime.condition_met();
            return Poll::Ready(Ok(()));
        }
        if let Err(canceled) = runtime.scope().check() {
            return Poll::Ready(Err(canceled));
        }
        runtime.conditions.register(self.id, cx.waker());
        runtime.wait(self.id, cx.waker(), || format!("condition at {}", self.at));
        Poll::Pending
    }
}

impl<F> Drop for Condition<F> {
    fn drop(&mut self) {
        with_current(|runtime| {
            runtime.conditions.forget(self.id);
            runtime.forget_wait(self.id);
        });
    }
}
