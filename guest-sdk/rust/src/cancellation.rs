//! Cancellation: of the whole workflow by a request from outside, and of parts of it by itself.
//!
//! Every operation belongs to the scope in which it is awaited, and until then to the one in which it was started. When a
//! scope is canceled, its timers, signal waits, conditions and locks resolve as [`Canceled`] at once; its activities and
//! children are canceled as their [`CancellationType`](crate::CancellationType) says and resolve when the host says so, as
//! do signals to other workflows; and what is started in it later resolves as canceled without having been started. The
//! workflow itself runs in a scope that a cancel request cancels. [`shielded`] code runs in a scope of its own, which
//! nothing cancels, and so do the handlers of signals and updates.

use std::{
    cell::Cell,
    future::{Future, IntoFuture},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    error::Canceled,
    executor::WaiterId,
    runtime::{Runtime, with_current},
};

/// A part of the workflow that can be canceled on its own.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// let scope = CancellationScope::new();
/// let mut approvals = signals::<String>("approve");
/// let both = scope.run(async {
///     join!(
///         activity::<String>("first").start_to_close_timeout(Duration::from_secs(60)),
///         activity::<String>("second").start_to_close_timeout(Duration::from_secs(60)),
///     )
/// });
/// select! {
///     results = both => info!("done: {results:?}"),
///     _ = approvals.next() => scope.cancel(), // the activities are asked to stop
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct CancellationScope {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    canceled: Cell<bool>,
    /// A scope is canceled with its parent; a shield has none.
    parent: Option<CancellationScope>,
}

impl CancellationScope {
    /// A scope inside the current one, canceled with it.
    #[expect(clippy::new_without_default, reason = "it depends on where it is made")]
    pub fn new() -> Self {
        Self::with_parent(Some(Self::current()))
    }

    /// A scope that only its own `cancel` cancels, not even a request to cancel the workflow.
    pub fn shield() -> Self {
        Self::with_parent(None)
    }

    fn with_parent(parent: Option<CancellationScope>) -> Self {
        Self { inner: Rc::new(Inner { canceled: Cell::new(false), parent }) }
    }

    /// The scope of the code that is running.
    pub fn current() -> Self {
        Runtime::current().scope()
    }

    /// Whether this scope or one around it has been canceled.
    pub fn is_canceled(&self) -> bool {
        self.inner.canceled.get() || self.inner.parent.as_ref().is_some_and(Self::is_canceled)
    }

    /// Cancels what was started in this scope and in the scopes inside it. A second call does nothing.
    pub fn cancel(&self) {
        if !self.inner.canceled.replace(true) {
            let runtime = Runtime::current();
            runtime.changes("cancel a scope");
            runtime.scopes_changed();
        }
    }

    /// Runs the future inside this scope.
    #[track_caller]
    pub fn run<F: IntoFuture>(&self, future: F) -> Scoped<F::IntoFuture> {
        let runtime = Runtime::current();
        let _inside = runtime.enter_scope(self);
        Scoped { scope: self.clone(), future: Box::pin(future.into_future()) }
    }

    pub(crate) fn check(&self) -> Result<(), Canceled> {
        if self.is_canceled() { Err(Canceled::default()) } else { Ok(()) }
    }
}

/// A future that runs inside a [`CancellationScope`].
#[must_use = "futures do nothing unless awaited"]
pub struct Scoped<F> {
    scope: CancellationScope,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let runtime = Runtime::current();
        let _inside = runtime.enter_scope(&self.scope);
        self.future.as_mut().poll(cx)
    }
}

/// Runs the future where a cancel request does not reach it: for the cleanup after a cancellation.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<String> {
/// let booking = activity::<String>("book").start_to_close_timeout(Duration::from_secs(60)).await;
/// if let Err(error) = booking {
///     if error.is_canceled() {
///         shielded(activity::<()>("unbook").start_to_close_timeout(Duration::from_secs(60))).await?;
///     }
///     return Err(error.into()); // reported as canceled where the workflow was asked to
/// }
/// # Ok(booking?) }
/// ```
#[track_caller]
pub fn shielded<F: IntoFuture>(future: F) -> Scoped<F::IntoFuture> {
    CancellationScope::shield().run(future)
}

/// Resolves with the reason when somebody asks the workflow to cancel, whether or not the code is shielded.
pub fn canceled() -> CancelRequested {
    CancelRequested { id: Runtime::current().new_waiter() }
}

/// The reason given, once somebody has asked the workflow to cancel.
pub fn cancel_reason() -> Option<String> {
    Runtime::current().cancel_reason()
}

/// The future of [`canceled`].
#[must_use = "futures do nothing unless awaited"]
pub struct CancelRequested {
    id: WaiterId,
}

impl Future for CancelRequested {
    type Output = String;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<String> {
        let runtime = Runtime::current();
        match runtime.cancel_reason() {
            Some(reason) => Poll::Ready(reason),
            None => {
                runtime.wait(self.id, cx.waker(), || "a request to cancel".into());
                Poll::Pending
            }
        }
    }
}

impl Drop for CancelRequested {
    fn drop(&mut self) {
        with_current(|runtime| runtime.forget_wait(self.id));
    }
}
