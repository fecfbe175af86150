//! Awaiting several futures together.

use std::{
    collections::VecDeque,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Awaits all of them at the same time; gives a tuple of their outputs. Activities and timers among them start in
/// the order in which they stand.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// let hold = activity::<String>("hold").start_to_close_timeout(Duration::from_secs(10));
/// let price = activity::<f64>("price").start_to_close_timeout(Duration::from_secs(10));
/// let (hold, price) = join!(hold, price);
/// info!("{} at {}", hold?, price?);
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! join {
    ($($future:expr),+ $(,)?) => {
        $crate::__private::Join::join(($(::core::future::IntoFuture::into_future($future),)+)).await
    };
}

/// Like [`join!`] for futures of `Result`s; gives the tuple of what is in their `Ok`s, or the first error in time
/// (the first in order, where two come at once). With the error the other futures are dropped.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// let hold = activity::<String>("hold").start_to_close_timeout(Duration::from_secs(10));
/// let price = activity::<f64>("price").start_to_close_timeout(Duration::from_secs(10));
/// let (hold, price) = try_join!(hold, price)?;
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! try_join {
    ($($future:expr),+ $(,)?) => {
        $crate::__private::TryJoin::try_join(($(::core::future::IntoFuture::into_future($future),)+)).await
    };
}

/// A future on the heap, so that it can be kept beside its output without unsafe pinning.
enum Slot<F: Future> {
    Running(Pin<Box<F>>),
    Done(Option<F::Output>),
}

impl<F: Future> Unpin for Slot<F> {}

impl<F: Future> Slot<F> {
    fn new(future: F) -> Self {
        Slot::Running(Box::pin(future))
    }

    /// Whether the output is there.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Slot::Running(future) = self
            && let Poll::Ready(output) = future.as_mut().poll(cx)
        {
            *self = Slot::Done(Some(output));
        }
        matches!(self, Slot::Done(_))
    }

    fn take(&mut self) -> F::Output {
        match self {
            Slot::Done(output) => output.take().expect("a future is not polled again after it is done"),
            Slot::Running(_) => unreachable!("only what is done is taken"),
        }
    }
}

/// What [`join!`] calls.
pub trait Join {
    /// The tuple of the outputs.
    type Output;
    /// Polls each of them, in order.
    fn join(self) -> impl Future<Output = Self::Output>;
}

/// What [`try_join!`] calls.
pub trait TryJoin<E> {
    /// The tuple of what is in the `Ok`s.
    type Output;
    /// Polls each of them, in order, until one fails.
    fn try_join(self) -> impl Future<Output = Result<Self::Output, E>>;
}

macro_rules! join_tuples {
    ($($future:ident $ok:ident $slot:ident),+) => {
        impl<$($future: Future),+> Join for ($($future,)+) {
            type Output = ($($future::Output,)+);

            fn join(self) -> impl Future<Output = Self::Output> {
                let ($($slot,)+) = self;
                $(let mut $slot = Slot::new($slot);)+
                std::future::poll_fn(move |cx| {
                    let done = [$($slot.poll(cx)),+];
                    if done.contains(&false) { Poll::Pending } else { Poll::Ready(($($slot.take(),)+)) }
                })
            }
        }

        impl<Error, $($ok, $future: Future<Output = Result<$ok, Error>>),+> TryJoin<Error> for ($($future,)+) {
            type Output = ($($ok,)+);

            fn try_join(self) -> impl Future<Output = Result<Self::Output, Error>> {
                let ($($slot,)+) = self;
                $(let mut $slot = Slot::new($slot);)+
                std::future::poll_fn(move |cx| {
                    let mut all_done = true;
                    $(
                        all_done &= $slot.poll(cx);
                        if matches!(&$slot, Slot::Done(Some(Err(_)))) && let Err(error) = $slot.take() {
                            return Poll::Ready(Err(error));
                        }
                    )+
                    if !all_done {
                        return Poll::Pending;
                    }
                    match ($($slot.take(),)+) {
                        ($(Ok($slot),)+) => Poll::Ready(Ok(($($slot,)+))),
                        _ => unreachable!("an error has been returned above"),
                    }
                })
            }
        }
    };
}

join_tuples!(A OkA a);
join_tuples!(A OkA a, B OkB b);
join_tuples!(A OkA a, B OkB b, C OkC c);
join_tuples!(A OkA a, B OkB b, C OkC c, D OkD d);
join_tuples!(A OkA a, B OkB b, C OkC c, D OkD d, E OkE e);
join_tuples!(A OkA a, B OkB b, C OkC c, D OkD d, E OkE e, F OkF f);
join_tuples!(A OkA a, B OkB b, C OkC c, D OkD d, E OkE e, F OkF f, G OkG g);
join_tuples!(A OkA a, B OkB b, C OkC c, D OkD d, E OkE e, F OkF f, G OkG g, H OkH h);

/// Awaits any number of futures at the same time; gives their outputs in the order of the futures.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example(orders: Vec<u64>) -> WorkflowResult<()> {
/// let shipments = orders.iter().map(|order| {
///     activity::<String>("ship").arg(order).start_to_close_timeout(Duration::from_secs(60))
/// });
/// for shipment in join_all(shipments).await {
///     info!("{}", shipment?);
/// }
/// # Ok(()) }
/// ```
pub fn join_all<I>(futures: I) -> JoinAll<<I::Item as IntoFuture>::IntoFuture>
where
    I: IntoIterator<Item: IntoFuture>,
{
    let slots: Vec<_> = futures.into_iter().map(|future| Slot::new(future.into_future())).collect();
    let ready = Arc::new(ReadyList::default());
    let wakers = (0..slots.len())
        .map(|index| Arc::new(ChildWaker { index, queued: AtomicBool::new(false), ready: ready.clone() }))
        .inspect(|waker| waker.enqueue())
        .collect();
    JoinAll { unfinished: slots.len(), slots, wakers, ready }
}

/// Like [`join_all`] for futures of `Result`s: the first error in time ends it, and drops the other futures.
pub async fn try_join_all<I, T, E>(futures: I) -> Result<Vec<T>, E>
where
    I: IntoIterator<Item: IntoFuture<Output = Result<T, E>>>,
{
    let mut all = join_all(futures);
    let mut first_error = None;
    let outputs = std::future::poll_fn(|cx| {
        let done = all.poll_ready(cx, |output| {
            if first_error.is_none() && matches!(output, Some(Err(_))) {
                first_error = output.take().and_then(Result::err);
            }
            first_error.is_none()
        });
        if first_error.is_some() { Poll::Ready(None) } else { done.map(Some) }
    })
    .await;
    match (outputs, first_error) {
        (Some(outputs), None) => outputs.into_iter().collect(),
        (_, Some(error)) => Err(error),
        (None, None) => unreachable!("only an error ends it early"),
    }
}

/// The future of [`join_all`]. Polls only the futures that were woken, so that a thousand of them cost no more than
/// one by one.
#[must_use = "futures do nothing unless awaited"]
pub struct JoinAll<F: Future> {
    slots: Vec<Slot<F>>,
    wakers: Vec<Arc<ChildWaker>>,
    unfinished: usize,
    ready: Arc<ReadyList>,
}

/// The futures that were woken, in order, and the task to wake for them. (`Waker` wants `Send + Sync`, hence a mutex.)
#[derive(Default)]
struct ReadyList {
    state: Mutex<ReadyState>,
}

#[derive(Default)]
struct ReadyState {
    indexes: VecDeque<usize>,
    parent: Option<Waker>,
}

struct ChildWaker {
    index: usize,
    queued: AtomicBool,
    ready: Arc<ReadyList>,
}

impl ChildWaker {
    fn enqueue(&self) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().indexes.push_back(self.index);
        }
    }
}

impl Wake for ChildWaker {
    fn wake(self: Arc<Self>) {
        self.enqueue();
        let parent = self.ready.lock().parent.clone();
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

impl ReadyList {
    fn lock(&self) -> std::sync::MutexGuard<'_, ReadyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future> JoinAll<F> {
    /// Polls what was woken; shows each output as it comes, and stops where `go_on` says no.
    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        mut go_on: impl FnMut(&mut Option<F::Output>) -> bool,
    ) -> Poll<Vec<F::Output>> {
        self.ready.lock().parent = Some(cx.waker().clone());
        loop {
            let Some(index) = self.ready.lock().indexes.pop_front() else {
                break;
            };
            let child = self.wakers[index].clone();
            // Before the poll, so that a wake during the poll queues it again.
            child.queued.store(false, Ordering::Relaxed);
            if matches!(self.slots[index], Slot::Done(_)) {
                continue;
            }
            if self.slots[index].poll(&mut Context::from_waker(&Waker::from(child))) {
                self.unfinished -= 1;
                if let Slot::Done(output) = &mut self.slots[index]
                    && !go_on(output)
                {
                    return Poll::Pending;
                }
            }
        }
        if self.unfinished > 0 {
            return Poll::Pending;
        }
        Poll::Ready(self.slots.iter_mut().map(Slot::take).collect())
    }
}

impl<F: Future> Future for JoinAll<F> {
    type Output = Vec<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_ready(cx, |_| true)
    }
}
