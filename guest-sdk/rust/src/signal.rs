//! Signals: messages to a running workflow.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    error::Canceled,
    executor::WaiterId,
    log::{Level, write},
    payload::{FromPayload, from_first},
    runtime::{Runtime, SignalChannel, with_current},
};

/// The signals of this name, as a stream in the order of their arrival. Those that arrived before anybody asked are
/// kept. Where several streams have the same name, each signal goes to one of them.
///
/// A signal carries its first argument. One whose argument cannot be read as `T` is logged as a warning and left out,
/// as in Temporal's SDKs: whoever sends rubbish must not be able to stop the workflow.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// let mut approvals = signals::<String>("approve");
/// for _ in 0..2 {
///     info!("approved by {}", approvals.next().await?);
/// }
/// # Ok(()) }
/// ```
pub fn signals<T: FromPayload>(name: impl Into<String>) -> Signals<T> {
    let (runtime, name) = (Runtime::current(), name.into());
    Signals { channel: runtime.signal_channel(&name), name, id: runtime.new_waiter(), item: PhantomData }
}

/// A stream of signals: see [`signals`].
pub struct Signals<T> {
    name: String,
    channel: Rc<SignalChannel>,
    id: WaiterId,
    item: PhantomData<fn() -> T>,
}

impl<T: FromPayload> Signals<T> {
    /// The next signal; [`Canceled`] once the scope is canceled and no signal is left. Dropping the future loses
    /// nothing.
    #[expect(clippy::should_implement_trait, reason = "the name that every async stream has")]
    pub fn next(&mut self) -> Next<'_, T> {
        Next { signals: self }
    }

    /// A signal that is there already.
    pub fn try_next(&mut self) -> Option<T> {
        loop {
            let payloads = self.channel.queue.borrow_mut().pop_front()?;
            match from_first(&payloads) {
                Ok(value) => return Some(value),
                Err(error) => {
                    let fields = [("signal".to_owned(), self.name.clone())];
                    write(Level::Warn, &format!("left out a signal that cannot be read: {error}"), &fields);
                }
            }
        }
    }

    fn forget(&self) {
        self.channel.waiters.forget(self.id);
        with_current(|runtime| runtime.scope_waiters.forget(self.id));
    }
}

/// The future of [`Signals::next`].
#[must_use = "futures do nothing unless awaited"]
pub struct Next<'a, T: FromPayload> {
    signals: &'a mut Signals<T>,
}

impl<T: FromPayload> Future for Next<'_, T> {
    type Output = Result<T, Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(value) = self.signals.try_next() {
            return Poll::Ready(Ok(value));
        }
        let runtime = Runtime::current();
        if let Err(canceled) = runtime.scope().check() {
            return Poll::Ready(Err(canceled));
        }
        self.signals.channel.waiters.register(self.signals.id, cx.waker());
        runtime.scope_waiters.register(self.signals.id, cx.waker());
        Poll::Pending
    }
}

impl<T: FromPayload> Drop for Next<'_, T> {
    fn drop(&mut self) {
        self.signals.forget();
    }
}
