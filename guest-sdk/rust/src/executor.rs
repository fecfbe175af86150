//! The single-threaded executor: tasks, and the queue of those that are awake, first in, first out.
//!
//! Nothing here depends on time, addresses or hash order, so the same events move the same tasks in the same order.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// What a task is known by, in the order of their beginnings: the main routine is 1.
pub(crate) type TaskId = u64;
type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
pub(crate) struct Executor {
    tasks: RefCell<BTreeMap<TaskId, Task>>,
    last_id: Cell<TaskId>,
    current: Cell<TaskId>,
    queue: Arc<Queue>,
}

struct Task {
    /// For people.
    name: String,
    /// Taken out while it is polled.
    future: Option<TaskFuture>,
    waker: Arc<TaskWaker>,
}

/// Wakers must be `Send + Sync`, which is the only reason for the mutex: a guest has one thread.
#[derive(Default)]
struct Queue {
    ready: Mutex<VecDeque<Arc<TaskWaker>>>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<TaskWaker>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    queue: Arc<Queue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.queue.lock().push_back(self.clone());
        }
    }
}

impl Executor {
    /// Adds a task, and wakes it.
    pub(crate) fn spawn(&self, name: String, future: TaskFuture) {
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        let waker = Arc::new(TaskWaker { id, queued: AtomicBool::new(false), queue: self.queue.clone() });
        self.tasks.borrow_mut().insert(id, Task { name, future: Some(future), waker: waker.clone() });
        waker.wake();
    }

    /// Polls the task that has been awake longest; false where none is.
    pub(crate) fn run_one(&self) -> bool {
        let Some(woken) = self.queue.lock().pop_front() else {
            return false;
        };
        // Before the poll, so that a wake during the poll queues the task again.
        woken.queued.store(false, Ordering::Relaxed);
        let Some((mut future, task_waker)) = self.take(woken.id) else {
            return true; // Woken after it had finished.
        };
        let waker = Waker::from(task_waker);
        self.current.set(woken.id);
        let finished = matches!(future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(()));
        self.current.set(0);
        if finished {
            self.tasks.borrow_mut().remove(&woken.id);
        } else if let Some(task) = self.tasks.borrow_mut().get_mut(&woken.id) {
            task.future = Some(future);
        }
        true
    }

    fn take(&self, id: TaskId) -> Option<(TaskFuture, Arc<TaskWaker>)> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(&id)?;
        Some((task.future.take()?, task.waker.clone()))
    }

    /// The task that is being polled; 0 where none is.
    pub(crate) fn current(&self) -> TaskId {
        self.current.get()
    }

    /// The tasks that have not finished, with their names, in the order of their beginnings.
    pub(crate) fn tasks(&self) -> Vec<(TaskId, String)> {
        self.tasks.borrow().iter().map(|(id, task)| (*id, task.name.clone())).collect()
    }

    /// Drops all tasks.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn clear(&self) {
        // Out of the cell first: what a task drops may come back here.
        let tasks = self.tasks.take();
        drop(tasks);
    }
}

/// Wakers of futures that wait for the same thing, woken in the order in which the futures began to wait.
#[derive(Default)]
pub(crate) struct Waiters {
    wakers: RefCell<BTreeMap<WaiterId, Waker>>,
}

pub(crate) type WaiterId = u64;

impl Waiters {
    pub(crate) fn register(&self, id: WaiterId, waker: &Waker) {
        self.wakers.borrow_mut().insert(id, waker.clone());
    }

    pub(crate) fn forget(&self, id: WaiterId) {
        self.wakers.borrow_mut().remove(&id);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.borrow().is_empty()
    }

    pub(crate) fn wake_all(&self) {
        // Cloned, because what is woken may come back here to register again.
        let wakers: Vec<_> = self.wakers.borrow().values().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}
