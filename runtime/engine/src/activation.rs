//! Activations: the threads that let the sandbox run a workflow task or answer a query, away from the shards' own
//! threads.

use std::{
    cell::Cell,
    panic::AssertUnwindSafe,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use mainspring_api::{
    command::Command, enums::WorkflowTaskFailedCause, failure::Failure, history::HistoryEvent, protocol::Message,
    update::Request,
};
use mainspring_core::trace;
use mainspring_sandbox::{
    Digest, History, QueriedRun, QueryAnswer, Question, RunKey as SandboxRun, Sandbox, TaskFailure, WorkflowTask,
};
use mainspring_store::{Batch, Committer, ShardId, Store};
use parking_lot::{Condvar, Mutex};
use prost::Message as _;
use uuid::Uuid;

use crate::{
    EngineMetrics, clock,
    keys::RunKey,
    limits,
    metrics::ActivationLabels,
    modules::Modules,
    observer::TurnTaken,
    quota::{FairQueue, JobAccount, Meter, Next, Quotas, Ticket},
    run::read_history,
};

/// A run for the sandbox, and what to do with it.
pub struct Job {
    pub shard: ShardId,
    pub run: RunKey,
    pub sandbox_run: SandboxRun,
    pub module: Digest,
    /// The last event to be seen.
    pub last_event_id: i64,
    /// The newest events, up to that one; all that are not durable yet are among them.
    pub tail: Vec<HistoryEvent>,
    pub work: JobWork,
}

pub enum JobWork {
    /// The last event is the task's WorkflowTaskStarted.
    Task {
        attempt: i32,
        updates: Vec<Request>,
        done: TaskDone,
    },
    Query {
        question: Box<Question>,
        done: Box<dyn FnOnce(Result<QueryAnswer, Box<Failure>>) + Send>,
    },
}

/// Is told what a task came to, and what the sandbox did for it; none where it was not asked.
pub type TaskDone = Box<dyn FnOnce(Outcome, Option<TurnTaken>) + Send>;

/// What a workflow task came to.
pub enum Outcome {
    Completed { commands: Vec<Command>, messages: Vec<Message> },
    Failed { cause: WorkflowTaskFailedCause, failure: Failure },
}

impl Outcome {
    fn commands(&self) -> usize {
        match self {
            Outcome::Completed { commands, .. } => commands.len(),
            Outcome::Failed { .. } => 0,
        }
    }

    fn failure(&self) -> Option<String> {
        match self {
            Outcome::Completed { .. } => None,
            Outcome::Failed { failure, .. } => Some(trace::shortened(&failure.message)),
        }
    }
}

/// The threads, and the queue before them. It is bounded by the runs that can be busy.
///
/// Namespaces share the threads fairly: see [`FairQueue`]. There are twice as many threads as jobs of one namespace run
/// at once, so that a namespace whose jobs run long, and cannot be interrupted, leaves threads for others.
pub struct Activations {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue {
    waiting: Mutex<Waiting>,
    /// A job has come or ended, or the quotas have changed.
    changed: Condvar,
    quotas: Arc<Quotas>,
}

struct Waiting {
    jobs: FairQueue<Job>,
    closed: bool,
}

impl Queue {
    fn meter(&self, job: &Job) -> Arc<Meter> {
        self.quotas.meter(job.run.workflow.namespace, &job.sandbox_run.namespace)
    }

    fn push(&self, job: Job) {
        // Where there is none yet, it is made: the threads look at it under the lock.
        self.meter(&job);
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            drop(waiting);
            return give_back(job);
        }
        waiting.jobs.push(job.run.workflow.namespace, job);
        drop(waiting);
        self.changed.notify_one();
    }

    /// The next job, as soon as there is one that may begin; none when the queue was closed.
    fn next(&self) -> Option<(Ticket, Job)> {
        let mut waiting = self.waiting.lock();
        let mut watches = false;
        loop {
            if waiting.closed {
                return None;
            }
            // The name is only for a meter that is made, and that is done.
            match waiting.jobs.next(|namespace| self.quotas.meter(namespace, "").share()) {
                Next::Job(ticket, job) => {
                    if watches {
                        // For the end of a pause: another thread has to do that now.
                        self.changed.notify_one();
                    }
                    return Some((ticket, job));
                }
                Next::Wait(Some(wait)) => {
                    watches = true;
                    self.changed.wait_for(&mut waiting, wait.max(PAUSE_MIN));
                }
                Next::Wait(None) => self.changed.wait(&mut waiting),
            }
        }
    }

    fn done(&self, ticket: Ticket, took: Duration) {
        self.waiting.lock().jobs.done(ticket, took);
        // This thread looks for its next job by itself; what it does not take may be another one's now.
        self.changed.notify_one();
    }
}

/// A namespace that has used up its fuel is looked at again after no less than this.
const PAUSE_MIN: Duration = Duration::from_millis(5);

impl Activations {
    pub fn start(
        threads: usize,
        metrics: EngineMetrics,
        sandbox: Sandbox,
        modules: Arc<Modules>,
        store: Arc<dyn Store>,
        committer: Arc<Committer>,
        quotas: Arc<Quotas>,
    ) -> std::io::Result<Activations> {
        let slots = threads.max(1);
        let waiting = Mutex::new(Waiting { jobs: FairQueue::new(slots, slots), closed: false });
        let queue = Arc::new(Queue { waiting, changed: Condvar::new(), quotas });
        let tools = Tools { metrics, sandbox, modules, store, committer };
        let threads = (0..2 * slots)
            .map(|number| {
                let (queue, tools) = (Arc::clone(&queue), tools.clone());
                std::thread::Builder::new().name(format!("activation-{number}")).spawn(move || {
                    while let Some((ticket, job)) = queue.next() {
                        let began = clock::monotonic();
                        let meter = queue.meter(&job);
                        let is_query = matches!(job.work, JobWork::Query { .. });
                        let account = Arc::new(JobAccount::new(Arc::clone(&meter)));
                        let done = run(job, &meter, &account, &tools);
                        let took = clock::monotonic().saturating_sub(began);
                        meter.note_activation(is_query, took);
                        tracing::debug!(fuel = account.fuel(), ?took, is_query, "activated");
                        queue.done(ticket, took);
                        done();
                    }
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Activations { queue, threads })
    }

    pub fn submit(&self, job: Job) {
        self.queue.push(job);
    }

    /// Looks at what may begin once more: the quotas have changed.
    pub fn wake(&self) {
        // With the lock, so that no thread is between its look and its sleep.
        let _waiting = self.queue.waiting.lock();
        self.queue.changed.notify_all();
    }

    /// Whether a namespace's next job is not to begin soon: what led to it is then committed before, so that nobody waits
    /// for the one to hear of the other.
    pub fn are_late(&self, namespace: Uuid) -> bool {
        let delay = self.queue.waiting.lock().jobs.delay(namespace);
        delay > limits::TURN_IS_LATE || !self.queue.quotas.meter(namespace, "").share().pause.is_zero()
    }

    /// Gives up the turn of a run, if it still waits for it: what ends the run is in its mailbox, and needs no turn.
    pub fn withdraw(&self, run: &RunKey) {
        let of_run = |job: &Job| job.run == *run && matches!(job.work, JobWork::Task { .. });
        let withdrawn = self.queue.waiting.lock().jobs.withdraw(run.workflow.namespace, of_run);
        if let Some(Job { work: JobWork::Task { done, .. }, .. }) = withdrawn {
            done(failed("the workflow is to be ended before its turn has come"), None);
        }
    }

    /// Jobs of a namespace: those that wait, and those that run.
    pub fn count(&self, namespace: Uuid) -> (usize, usize) {
        self.queue.waiting.lock().jobs.count(namespace)
    }
}

fn give_back(job: Job) {
    match job.work {
        JobWork::Task { done, .. } => done(failed("the server is stopping"), None),
        JobWork::Query { done, .. } => done(Err(Box::new(server_failure("the server is stopping")))),
    }
}

impl Drop for Activations {
    fn drop(&mut self) {
        let left = {
            let mut waiting = self.queue.waiting.lock();
            waiting.closed = true;
            waiting.jobs.drain()
        };
        self.queue.changed.notify_all();
        left.into_iter().for_each(give_back);
        for thread in self.threads.drain(..) {
            // A panic in there has been turned into an outcome; nothing is left to tell.
            let _ = thread.join();
        }
    }
}

/// What every job needs.
#[derive(Clone)]
struct Tools {
    metrics: EngineMetrics,
    sandbox: Sandbox,
    modules: Arc<Modules>,
    store: Arc<dyn Store>,
    committer: Arc<Committer>,
}

/// Runs a job. What comes of it is told by the function that is returned.
fn run(mut job: Job, meter: &Meter, account: &Arc<JobAccount>, tools: &Tools) -> Box<dyn FnOnce()> {
    let Tools { metrics, sandbox, modules, store, committer } = tools;
    let terms = meter.terms(Arc::clone(account) as _);
    let nothing = JobWork::Query { question: Box::default(), done: Box::new(drop) };
    let work = std::mem::replace(&mut job.work, nothing);
    let journal = Journal { job: &job, store, committer, events: Cell::new(0) };
    match work {
        JobWork::Task { attempt, updates, done } => {
            let task = WorkflowTask {
                run: &job.sandbox_run,
                module: job.module,
                attempt,
                started_event_id: job.last_event_id,
                updates: &updates,
                history: &journal,
                modules: &**modules,
                terms: Some(&terms),
            };
            let (began, began_at) = (Instant::now(), clock::now());
            let activated = contained(|| sandbox.activate(&task));
            metrics.activation_seconds.observe(began.elapsed().as_secs_f64());
            metrics.activations.get_or_create(&ActivationLabels::of(&job.sandbox_run.namespace, &activated)).inc();
            let replayed_events = activated.as_ref().map_or(0, |activated| activated.replayed_events);
            let outcome = match activated {
                Ok(activated) => match too_large(&activated.commands, meter) {
                    Some(failure) => failure,
                    None => Outcome::Completed { commands: activated.commands, messages: activated.messages },
                },
                Err((cause, failure)) => Outcome::Failed { cause, failure },
            };
            let turn = TurnTaken {
                began: began_at,
                ended: began_at.after(began.elapsed()),
                events: journal.events.get(),
                replayed_events,
                fuel: account.fuel(),
                commands: outcome.commands(),
                failure: outcome.failure(),
            };
            Box::new(move || done(outcome, Some(turn)))
        }
        JobWork::Query { question, done } => {
            let queried = QueriedRun {
                run: &job.sandbox_run,
                module: job.module,
                history: &journal,
                modules: &**modules,
                terms: Some(&terms),
            };
            let answer = contained(|| sandbox.query(&queried, &question));
            metrics.queries.get_or_create(&ActivationLabels::of(&job.sandbox_run.namespace, &answer)).inc();
            Box::new(move || done(answer.map_err(|(_, failure)| Box::new(failure))))
        }
    }
}

/// The failure of a task with a command that is larger than its namespace allows. Where it allows what everybody may,
/// the run's own limit is met, which looks at each payload.
fn too_large(commands: &[Command], meter: &Meter) -> Option<Outcome> {
    let limit = usize::try_from(meter.quota().payload_bytes).unwrap_or(usize::MAX);
    if limit >= mainspring_core::limits::temporal::PAYLOAD_BYTES {
        return None;
    }
    let size = commands.iter().map(Command::encoded_len).find(|size| *size > limit)?;
    let message = format!("a command has {size} bytes; the quota payload_bytes of the namespace allows {limit}");
    let failure = mainspring_core::failure::application(&message, "PayloadLimitExceeded", false);
    Some(Outcome::Failed { cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure, failure })
}

/// The sandbox promises not to panic; a run that breaks the promise must not take the server along.
fn contained<T>(call: impl FnOnce() -> Result<T, TaskFailure>) -> Result<T, (WorkflowTaskFailedCause, Failure)> {
    match std::panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(task_failure)) => Err((task_failure.cause, task_failure.failure)),
        Err(_) => Err((
            WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
            server_failure("the sandbox panicked; this is a bug in Mainspring"),
        )),
    }
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed { cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure, failure: server_failure(message) }
}

fn server_failure(message: &str) -> Failure {
    mainspring_core::failure::application(message, "ServerFailure", false)
}

/// A run's events: the tail from memory, what is older from the store.
struct Journal<'a> {
    job: &'a Job,
    store: &'a Arc<dyn Store>,
    committer: &'a Arc<Committer>,
    /// How many the sandbox was given when it asked last.
    events: Cell<u64>,
}

impl History for Journal<'_> {
    fn events_after(&self, event_id: i64) -> Result<Vec<HistoryEvent>, String> {
        let tail = &self.job.tail;
        let tail_begins = tail.first().map_or(self.job.last_event_id + 1, |event| event.event_id);
        let mut events = Vec::new();
        if event_id + 1 < tail_begins {
            self.wait_for_commits();
            events = read_history(&**self.store, self.job.shard, &self.job.run, event_id + 1, tail_begins - 1)
                .map_err(|error| error.to_string())?;
        }
        events.extend(tail.iter().filter(|event| event.event_id > event_id).cloned());
        self.events.set(events.len() as u64);
        Ok(events)
    }
}

impl Journal<'_> {
    /// What the tail does not hold has been handed to the committer; wait until it can be read.
    fn wait_for_commits(&self) {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.committer.submit(
            Batch::new(self.job.shard, 0),
            Box::new(move |_| {
                // The receiver waits below; it cannot be gone.
                let _ = sender.send(());
            }),
        );
        let _ = receiver.recv();
    }
}
