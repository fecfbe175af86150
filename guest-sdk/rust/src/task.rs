//! Routines beside the main one.

use std::{
    cell::RefCell,
    future::{Future, IntoFuture},
    panic::Location,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::runtime::Runtime;

/// Runs the future as a routine of its own, in the current scope. It begins when the code that calls this next waits,
/// and ends with the workflow: what is to be finished must be awaited, through the handle.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # use std::{cell::Cell, rc::Rc};
/// # async fn example() -> WorkflowResult<()> {
/// let paused = Rc::new(Cell::new(false));
/// spawn({
///     let paused = paused.clone();
///     async move {
///         let mut pauses = signals::<bool>("pause");
///         while let Ok(pause) = pauses.next().await {
///             paused.set(pause);
///         }
///     }
/// });
/// wait_condition(|| !paused.get()).await?;
/// # Ok(()) }
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: IntoFuture<IntoFuture: 'static, Output: 'static>,
{
    let runtime = Runtime::current();
    runtime.changes("spawn a routine");
    let shared = Rc::new(RefCell::new(Shared { output: None, waker: None }));
    let future = runtime.scope().run(future);
    let routine = {
        let shared = shared.clone();
        async move {
            let output = future.await;
            let waker = {
                let mut shared = shared.borrow_mut();
                shared.output = Some(output);
                shared.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    };
    runtime.spawn(format!("routine spawned at {}", Location::caller()), Box::pin(routine));
    JoinHandle { shared }
}

/// A future of what a [spawned](spawn) routine gives. Dropping it leaves the routine running.
pub struct JoinHandle<T> {
    shared: Rc<RefCell<Shared<T>>>,
}

struct Shared<T> {
    output: Option<T>,
    waker: Option<Waker>,
}

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut shared = self.shared.borrow_mut();
        match shared.output.take() {
            Some(output) => Poll::Ready(output),
            None => {
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
