//! Durable timers: a workflow may sleep for years, and costs nothing meanwhile.

use std::{
    future::{Future, IntoFuture},
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    cancellation::{CancellationScope, Scoped},
    error::{Canceled, Elapsed},
    host::Operation,
    operation::{Description, Kind, Resolution},
    runtime::{Runtime, with_current},
};

/// A durable timer. It runs from when it is awaited, [started](Sleep::start), or handed to `join!` or `select!`.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// sleep(Duration::from_secs(30 * 24 * 3600)).summary("trial period").await?;
/// # Ok(()) }
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { duration, summary: None, at: None }
}

/// A timer that has not been started yet: see [`sleep`].
#[must_use = "a timer does not start unless it is awaited or started"]
pub struct Sleep {
    duration: Duration,
    summary: Option<String>,
    /// Where people look for it, unless it is where it is started.
    at: Option<&'static Location<'static>>,
}

impl Sleep {
    /// One line for people, shown by the CLI and the UI.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = Some(summary.into());
        self
    }

    /// Starts it now, to be awaited later. No time at all is over at once, without a timer.
    #[track_caller]
    pub fn start(self) -> Timer {
        let runtime = Runtime::current();
        let state = if runtime.scope().is_canceled() {
            State::Done(Err(Canceled::default()))
        } else if self.duration.is_zero() {
            State::Done(Ok(()))
        } else {
            let at = self.at.unwrap_or(Location::caller());
            let description = Description::new(format!("timer of {:?}", self.duration), at);
            State::Started(runtime.start_operation(Kind::Timer, description, |host| {
                host.start_timer(self.duration, self.summary.as_deref())
            }))
        };
        Timer { state }
    }
}

impl IntoFuture for Sleep {
    type Output = Result<(), Canceled>;
    type IntoFuture = Timer;

    #[track_caller]
    fn into_future(self) -> Timer {
        self.start()
    }
}

/// A timer that has been started. Dropping it cancels it.
#[must_use = "a timer that is dropped is canceled"]
pub struct Timer {
    state: State,
}

enum State {
    Started(Operation),
    Done(Result<(), Canceled>),
}

impl Future for Timer {
    type Output = Result<(), Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Started(operation) = self.state {
            let done = match Runtime::current().poll_operation(operation, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Resolution::Fired) => Ok(()),
                Poll::Ready(_) => Err(Canceled::default()),
            };
            // Kept, so that a loop around `select!` may poll a timer that has fired.
            self.state = State::Done(done);
        }
        match &self.state {
            State::Done(done) => Poll::Ready(done.clone()),
            State::Started(_) => Poll::Pending,
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let State::Started(operation) = self.state {
            with_current(|runtime| runtime.abandon(operation));
        }
    }
}

/// Runs the future for at most this long. When the time is up, whatever the future still waits for is canceled
/// (activities as their cancellation type says, without waiting for them), and [`Elapsed`] is the answer. The time runs
/// from when the future is first polled.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// let quote = activity::<u32>("quote").start_to_close_timeout(Duration::from_secs(60));
/// let price = match timeout(Duration::from_secs(5), quote).await {
///     Ok(price) => price?,
///     Err(_elapsed) => 100,
/// };
/// // The same, the other way round:
/// let approved = signals::<bool>("approve").next().timeout(Duration::from_secs(60)).await;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn timeout<F: IntoFuture>(after: Duration, future: F) -> Timeout<F::IntoFuture> {
    let scope = CancellationScope::new();
    Timeout { after, future: Some(scope.run(future)), scope, timer: None, at: Location::caller() }
}

/// `.timeout(…)` on every future.
pub trait TimeoutExt: IntoFuture + Sized {
    /// See [`timeout`].
    #[track_caller]
    fn timeout(self, after: Duration) -> Timeout<Self::IntoFuture> {
        timeout(after, self)
    }
}

impl<F: IntoFuture> TimeoutExt for F {}

/// The future of [`timeout`].
#[must_use = "futures do nothing unless awaited"]
pub struct Timeout<F> {
    after: Duration,
    scope: CancellationScope,
    future: Option<Scoped<F>>,
    timer: Option<Scoped<Timer>>,
    at: &'static Location<'static>,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let after = self.after;
        let future = self.future.as_mut().expect("a future is not polled again after it is done");
        if let Poll::Ready(output) = Pin::new(future).poll(cx) {
            self.future = None;
            self.timer = None;
            return Poll::Ready(Ok(output));
        }
        // Shielded: what is canceled finishes in its own way, and the time for that goes on running.
        let sleep = Sleep { at: Some(self.at), ..sleep(after) };
        let timer = self.timer.get_or_insert_with(|| crate::cancellation::shielded(sleep));
        if Pin::new(timer).poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.scope.cancel();
        self.future = None;
        Poll::Ready(Err(Elapsed { after }))
    }
}
