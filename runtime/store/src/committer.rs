//! The one thread that commits: group commit, then callbacks in submission order.
//!
//! A writer queues its batch and goes on. The committer takes all that is queued (up to a bound), commits it as one
//! group, and calls each batch's `done`. While it waits for the disk the next group gathers, so that the number of
//! flushes stays the same however many writers there are.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::{Batch, CommitResults, Store, StoreError, limits};

/// What runs once a batch is durable, or has failed.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

type OnFailure = Box<dyn FnOnce(StoreError) + Send>;

/// The committer thread and its queue. Dropping it commits what is queued, runs the callbacks and joins the thread.
pub struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread. There should be one committer for a store.
    ///
    /// # Panics
    /// If the operating system gives no thread.
    pub fn start(store: Arc<dyn Store>) -> Committer {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new()
            .name("committer".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run(&*store)
            })
            .expect("a thread for the committer");
        Committer {
            shared,
            thread: Some(thread),
        }
    }

    /// Queues a batch. `done` runs on the committer's thread once the batch is durable or has failed, in submission
    /// order, so it must be quick and must not wait for another batch.
    ///
    /// An empty batch is a barrier: its `done` runs after everything before it, without a flush of its own. It is
    /// not fenced.
    ///
    /// Waits while the queue is full ([`limits::QUEUE_BATCHES`], [`limits::QUEUE_BYTES`]), except on the committer's
    /// own thread: a callback may submit without a deadlock.
    pub fn submit(&self, batch: Batch, done: Done) {
        let job = Job {
            bytes: batch.byte_size(),
            batch,
            done,
        };
        let may_wait = !self.is_own_thread();
        self.shared.push(job, may_wait);
    }

    /// Whether a commit has failed. From then on every batch fails: after a failed flush nobody knows what is on disk.
    pub fn failed(&self) -> bool {
        self.shared.failure.lock().error.is_some()
    }

    /// Has `callback` called with the first failure, on the committer's thread, before the failed batches' `done`;
    /// at once and on this thread if it has already failed.
    pub fn on_failure(&self, callback: impl FnOnce(StoreError) + Send + 'static) {
        let mut failure = self.shared.failure.lock();
        match failure.error.clone() {
            Some(error) => {
                drop(failure);
                callback(error);
            }
            None => failure.callbacks.push(Box::new(callback)),
        }
    }

    fn is_own_thread(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|handle| handle.thread().id() == thread::current().id())
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.queue.lock().stopping = true;
        self.shared.queued.notify_one();
        // The last handle may be dropped by a callback: the thread then drains its queue and ends by itself.
        if !self.is_own_thread()
            && let Some(handle) = self.thread.take()
            && handle.join().is_err()
        {
            tracing::error!("the committer's thread panicked");
        }
    }
}

struct Job {
    bytes: usize,
    batch: Batch,
    done: Done,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signals the committer: there is something to do.
    queued: Condvar,
    /// Signals writers: there is room again.
    room: Condvar,
    failure: Mutex<Failure>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    bytes: usize,
    stopping: bool,
}

#[derive(Default)]
struct Failure {
    error: Option<StoreError>,
    callbacks: Vec<OnFailure>,
}

impl Queue {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.jobs.is_empty()
            || (self.jobs.len() < limits::QUEUE_BATCHES
                && self.bytes + bytes <= limits::QUEUE_BYTES)
    }

    /// Takes the next group off the queue: at least one job, and no further one past either bound.
    fn take_group(&mut self) -> Vec<Job> {
        let mut bytes = 0;
        let fits = |job: &&Job| {
            let first = bytes == 0;
            bytes += job.bytes;
            first || bytes <= limits::GROUP_BYTES
        };
        let count = self
            .jobs
            .iter()
            .take(limits::GROUP_BATCHES)
            .take_while(fits)
            .count();
        let group: Vec<Job> = self.jobs.drain(..count).collect();
        self.bytes -= group.iter().map(|job| job.bytes).sum::<usize>();
        group
    }
}

impl Shared {
    fn push(&self, job: Job, may_wait: bool) {
        let mut queue = self.queue.lock();
        while may_wait && !queue.has_room_for(job.bytes) {
            self.room.wait(&mut queue);
        }
        queue.bytes += job.bytes;
        queue.jobs.push_back(job);
        drop(queue);
        self.queued.notify_one();
    }

    /// The next group, or `None` when everything is done and nothing more can come.
    fn next_group(&self) -> Option<Vec<Job>> {
        let mut queue = self.queue.lock();
        while queue.jobs.is_empty() {
            if queue.stopping {
                return None;
            }
            self.queued.wait(&mut queue);
        }
        let group = queue.take_group();
        drop(queue);
        self.room.notify_all();
        Some(group)
    }

    fn run(&self, store: &dyn Store) {
        while let Some(group) = self.next_group() {
            let (batches, callbacks): (Vec<Batch>, Vec<Done>) =
                group.into_iter().map(|job| (job.batch, job.done)).unzip();
            let results = self.commit(store, batches);
            for (done, result) in callbacks.into_iter().zip(results) {
                // A callback is foreign code: its panic must not take every other writer down.
                if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
                    tracing::error!("a callback of the committer panicked");
                }
            }
        }
    }

    /// One result for each batch, barriers included.
    fn commit(&self, store: &dyn Store, batches: Vec<Batch>) -> CommitResults {
        let count = batches.len();
        if let Some(error) = self.failure.lock().error.clone() {
            return stopped(&error, count);
        }
        let is_barrier: Vec<bool> = batches.iter().map(Batch::is_empty).collect();
        let changes: Vec<Batch> = batches
            .into_iter()
            .filter(|batch| !batch.is_empty())
            .collect();
        if changes.is_empty() {
            return vec![Ok(()); count];
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| store.commit(&changes)))
            .unwrap_or_else(|_| Err(StoreError::corrupt("the backend panicked in a commit")));
        match outcome {
            Ok(results) => {
                assert_eq!(results.len(), changes.len(), "one result for each batch");
                let mut results = results.into_iter();
                let result_of = |barrier| {
                    if barrier {
                        Ok(())
                    } else {
                        results.next().expect("counted above")
                    }
                };
                is_barrier.into_iter().map(result_of).collect()
            }
            // Nothing was applied and the store goes on.
            Err(error) if error.is_refusal() => vec![Err(error); count],
            Err(error) => {
                self.fail(&error);
                vec![Err(error); count]
            }
        }
    }

    fn fail(&self, error: &StoreError) {
        tracing::error!(%error, "a commit failed: the committer stops");
        let callbacks = {
            let mut failure = self.failure.lock();
            failure.error = Some(error.clone());
            std::mem::take(&mut failure.callbacks)
        };
        for callback in callbacks {
            if catch_unwind(AssertUnwindSafe(|| callback(error.clone()))).is_err() {
                tracing::error!("a failure callback of the committer panicked");
            }
        }
    }
}

fn stopped(error: &StoreError, count: usize) -> CommitResults {
    let cause = match error {
        StoreError::Stopped { cause } => cause.clone(),
        other => other.to_string(),
    };
    vec![Err(StoreError::Stopped { cause }); count]
}
