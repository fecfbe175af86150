//! Locks for routines that run beside each other. They are given in the order in which they were asked for, so a replay
//! gives them in the same order.

use std::{
    cell::{Cell, RefCell, RefMut},
    collections::{BTreeMap, VecDeque},
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    panic::Location,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::{
    error::Canceled,
    executor::WaiterId,
    runtime::{Runtime, with_current},
};

/// At most so many routines at once. Clones are the same semaphore.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example(orders: Vec<u64>) -> WorkflowResult<()> {
/// let at_most_ten = Semaphore::new(10);
/// try_join_all(orders.iter().map(async |order| {
///     let _permit = at_most_ten.acquire().await?;
///     activity::<()>("ship").arg(order).start_to_close_timeout(Duration::from_secs(60)).await?;
///     WorkflowResult::Ok(())
/// }))
/// .await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Semaphore {
    inner: Rc<Inner>,
}

struct Inner {
    available: Cell<usize>,
    /// First in, first out: a large wish is not overtaken by small ones.
    queue: RefCell<VecDeque<Waiting>>,
    /// Those whose turn has come, and how much they were given, until they take it.
    granted: RefCell<BTreeMap<WaiterId, usize>>,
}

struct Waiting {
    id: WaiterId,
    wanted: usize,
    waker: Waker,
}

impl Semaphore {
    /// With so many permits.
    pub fn new(permits: usize) -> Self {
        let available = Cell::new(permits);
        Self { inner: Rc::new(Inner { available, queue: RefCell::default(), granted: RefCell::default() }) }
    }

    /// Waits for a permit, which is given back when it is dropped.
    #[track_caller]
    pub fn acquire(&self) -> Acquire {
        self.acquire_many(1)
    }

    /// Waits for several permits at once.
    #[track_caller]
    pub fn acquire_many(&self, permits: usize) -> Acquire {
        let at = Location::caller();
        Acquire { inner: self.inner.clone(), wanted: permits, id: Runtime::current().new_waiter(), queued: false, at }
    }

    /// How many permits nobody has or waits for.
    pub fn available_permits(&self) -> usize {
        self.inner.available.get()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.inner.available.get()).finish_non_exhaustive()
    }
}

impl Inner {
    fn release(&self, permits: usize) {
        self.available.set(self.available.get() + permits);
        self.grant();
    }

    /// Gives permits to those who have waited longest.
    fn grant(&self) {
        let mut queue = self.queue.borrow_mut();
        while let Some(left) = queue.front().and_then(|first| self.available.get().checked_sub(first.wanted)) {
            let Some(first) = queue.pop_front() else {
                break;
            };
            self.available.set(left);
            self.granted.borrow_mut().insert(first.id, first.wanted);
            first.waker.wake();
        }
    }
}

/// The future of [`Semaphore::acquire`]. [`Canceled`] where its scope was canceled first.
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire {
    inner: Rc<Inner>,
    wanted: usize,
    id: WaiterId,
    queued: bool,
    at: &'static Location<'static>,
}

impl Future for Acquire {
    type Output = Result<SemaphorePermit, Canceled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let runtime = Runtime::current();
        if !self.queued {
            // A canceled scope begins nothing new.
            runtime.scope().check()?;
            self.queued = true;
            let waiting = Waiting { id: self.id, wanted: self.wanted, waker: cx.waker().clone() };
            self.inner.queue.borrow_mut().push_back(waiting);
            self.inner.grant();
        }
        if let Some(permits) = self.inner.granted.borrow_mut().remove(&self.id) {
            return Poll::Ready(Ok(SemaphorePermit { inner: self.inner.clone(), permits }));
        }
        runtime.scope().check()?;
        if let Some(waiting) = self.inner.queue.borrow_mut().iter_mut().find(|waiting| waiting.id == self.id) {
            waiting.waker.clone_from(cx.waker());
        }
        runtime.wait(self.id, cx.waker(), || format!("lock at {}", self.at));
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        with_current(|runtime| runtime.forget_wait(self.id));
        if !self.queued {
            return;
        }
        self.inner.queue.borrow_mut().retain(|waiting| waiting.id != self.id);
        let granted = self.inner.granted.borrow_mut().remove(&self.id);
        // Also where nothing was granted: who stood behind it may be content with less.
        self.inner.release(granted.unwrap_or(0));
    }
}

/// A permit of a [`Semaphore`], which is given back when this is dropped.
#[must_use = "the permit is given back when this is dropped"]
pub struct SemaphorePermit {
    inner: Rc<Inner>,
    permits: usize,
}

impl Drop for SemaphorePermit {
    fn drop(&mut self) {
        self.inner.release(self.permits);
    }
}

/// A value that one routine at a time may use, also across its awaits.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # use std::rc::Rc;
/// # async fn example() -> WorkflowResult<()> {
/// let balance = Rc::new(Mutex::new(0.0));
/// on_update("deposit", {
///     let balance = balance.clone();
///     async move |amount: f64| {
///         let mut balance = balance.lock().await?;
///         activity::<()>("book").arg(amount).start_to_close_timeout(Duration::from_secs(10)).await?;
///         *balance += amount;
///         WorkflowResult::Ok(*balance)
///     }
/// });
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Mutex<T> {
    semaphore: Semaphore,
    value: RefCell<T>,
}

impl<T> Mutex<T> {
    /// Around this value.
    pub fn new(value: T) -> Self {
        Self { semaphore: Semaphore::new(1), value: RefCell::new(value) }
    }

    /// Waits until nobody else uses the value; [`Canceled`] where the scope was canceled first.
    #[track_caller]
    pub fn lock(&self) -> impl Future<Output = Result<MutexGuard<'_, T>, Canceled>> {
        let acquire = self.semaphore.acquire();
        async move {
            let permit = acquire.await?;
            Ok(MutexGuard { value: self.value.borrow_mut(), _permit: permit })
        }
    }

    /// Uses the value at once, if nobody else does.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let inner = &self.semaphore.inner;
        if inner.available.get() == 0 {
            return None;
        }
        inner.available.set(0);
        let permit = SemaphorePermit { inner: inner.clone(), permits: 1 };
        Some(MutexGuard { value: self.value.borrow_mut(), _permit: permit })
    }

    /// The value, where nobody else can have it any more.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

/// The value of a [`Mutex`], until this is dropped.
#[must_use = "the mutex is free again when this is dropped"]
pub struct MutexGuard<'a, T> {
    // In this order: the value is let go before the next routine may have it.
    value: RefMut<'a, T>,
    _permit: SemaphorePermit,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
