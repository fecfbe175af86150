//! Group commit: batches of many writers become durable with one flush, and are answered in submission order.
//!
//! A writer queues its batch and goes on. One thread applies what is queued, a group at a time; a second one makes
//! what is applied durable and then calls each batch's `done`. While the disk works, the next group is prepared and
//! more gather behind it, so that the number of flushes stays the same however many writers there are.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::backup::{Journal, JournalSlot};
use crate::{Batch, CommitterMetrics, Op, Store, StoreError, limits};

/// What runs once a batch is durable, or has failed.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

type OnFailure = Box<dyn FnOnce(StoreError) + Send>;

/// The committer's threads and queue. Dropping it commits what is queued, runs the callbacks and joins the threads.
pub struct Committer {
    shared: Arc<Shared>,
    applier: Option<JoinHandle<()>>,
    /// "The committer's thread" of the documentation: it runs all callbacks.
    finisher: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the threads. There should be one committer for a store.
    ///
    /// # Panics
    /// If the operating system gives no thread.
    pub fn start(store: Arc<dyn Store>) -> Committer {
        let shared = Arc::new(Shared::default());
        let spawn = |name: &str, run: fn(&Shared, &dyn Store)| {
            let (shared, store) = (Arc::clone(&shared), Arc::clone(&store));
            let thread = thread::Builder::new().name(name.into());
            thread.spawn(move || run(&shared, &*store)).expect("a thread for the committer")
        };
        Committer {
            applier: Some(spawn("commit-apply", Shared::run_applier)),
            finisher: Some(spawn("commit-finish", Shared::run_finisher)),
            shared,
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
    ///
    /// A refusal ([`StoreError::is_refusal`]) leaves the committer as it was: [`StoreError::Fenced`] and
    /// [`StoreError::TooLarge`] concern the one batch, [`StoreError::Full`] everything that was grouped with it.
    pub fn submit(&self, batch: Batch, done: Done) {
        let job = Job { bytes: batch.byte_size(), batch, done };
        let may_wait = !self.is_own_thread();
        self.shared.push(job, may_wait);
    }

    /// What it counts.
    pub fn metrics(&self) -> &CommitterMetrics {
        &self.shared.metrics
    }

    /// Notes what becomes durable from now on, until the journal is dropped. A group that is being applied at this
    /// moment is not in it.
    pub(crate) fn keep_journal(&self) -> Result<Arc<Journal>, StoreError> {
        self.shared.journal.begin()
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
        self.finisher.as_ref().is_some_and(|handle| handle.thread().id() == thread::current().id())
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.queue.lock().stopping = true;
        self.shared.queued.notify_one();
        // The last handle may be dropped by a callback: the threads then drain the queue and end by themselves.
        if self.is_own_thread() {
            return;
        }
        for handle in [self.applier.take(), self.finisher.take()].into_iter().flatten() {
            if handle.join().is_err() {
                tracing::error!("a thread of the committer panicked");
            }
        }
    }
}

struct Job {
    bytes: usize,
    batch: Batch,
    done: Done,
}

/// A group that is applied (or has failed to be), on its way to the disk.
struct Group {
    bytes: usize,
    /// Whether there is anything to flush: barriers and refused batches change nothing.
    changed: bool,
    /// For the backup that is under way: its journal, and what of the group was applied.
    journal: Option<(Arc<Journal>, Vec<Op>)>,
    /// Why the whole group failed, if it did.
    failure: Option<StoreError>,
    answers: Vec<(Done, Result<(), StoreError>)>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signals the applier: there is something to do.
    queued: Condvar,
    /// Signals writers: there is room again.
    room: Condvar,
    flight: Mutex<Flight>,
    /// Signals the finisher: there is something to flush.
    landed: Condvar,
    /// Signals the applier: there is room for another group.
    cleared: Condvar,
    failure: Mutex<Failure>,
    journal: JournalSlot,
    metrics: CommitterMetrics,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    bytes: usize,
    stopping: bool,
    /// A group is applied that the finisher has not taken yet: there is no hurry to apply another.
    group_waits: bool,
}

/// What is applied and not yet durable.
#[derive(Default)]
struct Flight {
    groups: Vec<Group>,
    bytes: usize,
    batches: usize,
    /// Nothing more will come.
    ended: bool,
}

#[derive(Default)]
struct Failure {
    error: Option<StoreError>,
    callbacks: Vec<OnFailure>,
}

impl Queue {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.jobs.is_empty() || (self.jobs.len() < limits::QUEUE_BATCHES && self.bytes + bytes <= limits::QUEUE_BYTES)
    }

    /// Whether the applier should go on. While a group waits for the flush before it, few batches are left to gather:
    /// each apply and each flush costs much the same for one batch as for many.
    fn is_ready(&self) -> bool {
        self.stopping
            || (!self.jobs.is_empty() && (!self.group_waits || self.jobs.len() >= limits::GROUP_BATCHES_AHEAD))
    }

    /// Takes the next group off the queue: at least one job, and no further one past either bound.
    fn take_group(&mut self) -> Vec<Job> {
        let mut bytes = 0;
        let fits = |job: &&Job| {
            let first = bytes == 0;
            bytes += job.bytes;
            first || bytes <= limits::GROUP_BYTES
        };
        let count = self.jobs.iter().take(limits::GROUP_BATCHES).take_while(fits).count();
        let group: Vec<Job> = self.jobs.drain(..count).collect();
        self.bytes -= group.iter().map(|job| job.bytes).sum::<usize>();
        group
    }
}

impl Flight {
    fn has_room_for(&self, group: &Group) -> bool {
        self.groups.is_empty()
            || (self.batches + group.answers.len() <= limits::GROUP_BATCHES
                && self.bytes + group.bytes <= limits::GROUP_BYTES)
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
        let ready = queue.is_ready();
        drop(queue);
        if ready {
            self.queued.notify_one();
        }
    }

    /// The next group, or `None` when everything is done and nothing more can come.
    fn next_group(&self) -> Option<Vec<Job>> {
        let mut queue = self.queue.lock();
        while !queue.is_ready() {
            self.queued.wait(&mut queue);
        }
        if queue.jobs.is_empty() {
            return None;
        }
        let group = queue.take_group();
        queue.group_waits = true;
        drop(queue);
        self.room.notify_all();
        Some(group)
    }

    fn run_applier(&self, store: &dyn Store) {
        while let Some(jobs) = self.next_group() {
            let group = self.apply(store, jobs);
            let mut flight = self.flight.lock();
            while !flight.has_room_for(&group) {
                self.cleared.wait(&mut flight);
            }
            flight.bytes += group.bytes;
            flight.batches += group.answers.len();
            flight.groups.push(group);
            drop(flight);
            self.landed.notify_one();
        }
        self.flight.lock().ended = true;
        self.landed.notify_one();
    }

    fn run_finisher(&self, store: &dyn Store) {
        loop {
            let ready = {
                let mut flight = self.flight.lock();
                while flight.groups.is_empty() {
                    if flight.ended {
                        return;
                    }
                    self.landed.wait(&mut flight);
                }
                // The end is for the next turn to see.
                let ended = flight.ended;
                std::mem::replace(&mut *flight, Flight { ended, ..Flight::default() })
            };
            self.cleared.notify_one();
            self.let_applier_go_on();
            self.finish(store, ready.groups);
        }
    }

    fn let_applier_go_on(&self) {
        let mut queue = self.queue.lock();
        queue.group_waits = false;
        let ready = queue.is_ready();
        drop(queue);
        if ready {
            self.queued.notify_one();
        }
    }

    fn apply(&self, store: &dyn Store, jobs: Vec<Job>) -> Group {
        let bytes = jobs.iter().map(|job| job.bytes).sum();
        let (batches, callbacks): (Vec<Batch>, Vec<Done>) = jobs.into_iter().map(|job| (job.batch, job.done)).unzip();
        let is_barrier: Vec<bool> = batches.iter().map(Batch::is_empty).collect();
        let changes: Vec<Batch> = batches.into_iter().filter(|batch| !batch.is_empty()).collect();
        // Looked at before anything is applied: see `keep_journal`.
        let journal = self.journal.current();
        let outcome = match self.failure.lock().error.clone() {
            Some(error) => Err(stopped(&error)),
            None if changes.is_empty() => Ok(Vec::new()),
            None => guarded(|| store.apply(&changes)),
        };
        let changed = outcome.is_ok() && !changes.is_empty();
        let mut noted = None;
        let (results, failure) = match outcome {
            Ok(results) => {
                assert_eq!(results.len(), changes.len(), "one result for each batch");
                self.metrics.count(&changes, &results);
                noted = journal.map(|journal| {
                    let accepted = changes.into_iter().zip(&results).filter(|(_, result)| result.is_ok());
                    (journal, accepted.flat_map(|(batch, _)| batch.ops).collect())
                });
                let mut results = results.into_iter();
                let result_of = |barrier| match barrier {
                    true => Ok(()),
                    false => results.next().expect("counted above"),
                };
                (is_barrier.into_iter().map(result_of).collect(), None)
            }
            Err(error) => (vec![Err(error.clone()); callbacks.len()], Some(error)),
        };
        Group {
            bytes,
            changed,
            journal: noted,
            // A refusal of the whole group applied nothing, and the store goes on.
            failure: failure.filter(|error| !error.is_refusal()),
            answers: callbacks.into_iter().zip(results).collect::<Vec<(Done, Result<(), StoreError>)>>(),
        }
    }

    /// Makes the groups durable with one flush, and answers.
    fn finish(&self, store: &dyn Store, groups: Vec<Group>) {
        let flush = || self.metrics.time_flush(|| guarded(|| store.sync()));
        let mut outcome = if groups.iter().any(|group| group.changed) { flush() } else { Ok(()) };
        if let Err(error) = &outcome {
            self.fail(error);
        }
        for group in groups {
            if let Some(error) = &group.failure {
                self.fail(error);
                outcome = Err(stopped(error));
            }
            if let (Ok(()), Some((journal, ops))) = (&outcome, group.journal) {
                journal.note(ops);
            }
            for (done, result) in group.answers {
                let result = result.and(outcome.clone());
                // A callback is foreign code: its panic must not take every other writer down.
                if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
                    tracing::error!("a callback of the committer panicked");
                }
            }
        }
    }

    /// Notes the first failure and tells who asked.
    fn fail(&self, error: &StoreError) {
        let callbacks = {
            let mut failure = self.failure.lock();
            if failure.error.is_some() {
                return;
            }
            tracing::error!(%error, "a commit failed: the committer stops");
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

/// The error for what comes after a failure.
fn stopped(error: &StoreError) -> StoreError {
    let cause = match error {
        StoreError::Stopped { cause } => cause.clone(),
        other => other.to_string(),
    };
    StoreError::Stopped { cause }
}

fn guarded<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(StoreError::corrupt("the backend panicked in a commit")))
}
