//! A shard: the single writer of its runs.
//!
//! One thread takes requests in order. For each it loads the run, lets the core decide, and either hands the step to
//! the committer or, where a workflow task is ready and a module hosts it, first to an activation: the activation's
//! commands become part of the same step, so a step of a hosted workflow is one commit. While its activation runs, a
//! run takes no requests (they wait in its mailbox); the shard goes on with the others.
//!
//! The shard decides on top of steps that are not durable yet. Nobody outside learns of a step before it is: replies,
//! tasks and notifications all leave in the commit's callback.

mod mailbox;
mod queries;
mod reset;
mod starts;
mod turns;
mod upkeep;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use flume::{Receiver, RecvTimeoutError, Sender};
use lru::LruCache;
use mainspring_core::{
    Rejection,
    continue_as_new::Successor,
    reset::ResetRequest,
    update::{News, Progress},
    workflow::{CurrentRun, StartWorkflow},
};
use mainspring_sandbox::{Digest, RunKey as SandboxRun};
use mainspring_store::{Batch, ShardId};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::starts::NewRun;
pub use self::{mailbox::Waiting, queries::Query, starts::Also};
use crate::{
    EngineError, RunRef, Started,
    activation::Outcome,
    clock, effects,
    inner::{Head, Shared},
    keys,
    keys::{RunKey, WorkflowKey},
    limits,
    matching::QueueKey,
    observer::{self, Activated, TurnTaken},
    quota::{Delta, TurnQueue},
    rows::{CurrentRow, decode},
    run::{LoadedRun, Outgoing, Reply, Work},
    timers::Timers,
};

/// What a shard can be asked.
pub enum Request {
    /// Something for a run.
    Run {
        workflow: WorkflowKey,
        run: RunRef,
        work: Work,
    },
    /// The same where it ends the run: for that it needs not have the turn that it may be waiting for.
    End {
        workflow: WorkflowKey,
        run: RunRef,
        work: Work,
    },
    Start {
        workflow: WorkflowKey,
        run: Uuid,
        start: Box<StartWorkflow>,
        /// What the run that the start comes to, a new one or an existing one, is to take with it.
        also: Option<Also>,
        reply: StartReply,
    },
    Query {
        workflow: WorkflowKey,
        run: RunRef,
        query: Box<Query>,
    },
    /// Makes a new run of the first events of this one; the latest run, if it is open, ends with it.
    Reset {
        workflow: WorkflowKey,
        run: RunRef,
        reset: Box<ResetRequest>,
        /// Learns the new run's id.
        reply: oneshot::Sender<Result<String, EngineError>>,
    },
    /// An activation has come to its end.
    Activated {
        run: RunKey,
        module: Digest,
        started_event_id: i64,
        attempt: i32,
        outcome: Outcome,
        /// None where the sandbox was not asked.
        turn: Option<TurnTaken>,
    },
    /// A module was deployed on a task queue: what waited for one is tried.
    Deployed {
        queue: QueueKey,
    },
    /// The server has started: workflow tasks that were ready when it stopped are tried.
    Resume {
        namespace: Uuid,
    },
    /// Removes a run that has closed, with everything that is stored of it.
    Purge {
        run: RunKey,
        done: oneshot::Sender<Result<(), EngineError>>,
    },
    /// Tells when all steps that were being decided have been handed to the committer.
    Settle {
        namespace: Uuid,
        done: oneshot::Sender<()>,
    },
    Stop,
}

impl Request {
    /// Whose turn it takes; none where it is about all.
    fn namespace(&self) -> Option<Uuid> {
        match self {
            Request::Run { workflow, .. }
            | Request::End { workflow, .. }
            | Request::Start { workflow, .. }
            | Request::Query { workflow, .. }
            | Request::Reset { workflow, .. } => Some(workflow.namespace),
            Request::Activated { run, .. } | Request::Purge { run, .. } => Some(run.workflow.namespace),
            Request::Deployed { queue } => Some(queue.namespace),
            Request::Resume { namespace } | Request::Settle { namespace, .. } => Some(*namespace),
            Request::Stop => None,
        }
    }
}

/// Requests on their way to a shard.
#[derive(Default)]
struct InQueue {
    total: usize,
    by_namespace: HashMap<Uuid, usize>,
}

impl InQueue {
    /// Counts one more, unless there are `most` already, and more than a few of this namespace.
    fn add(&mut self, namespace: Option<Uuid>, most: usize) -> bool {
        let own = self.by_namespace.entry(namespace.unwrap_or_default()).or_default();
        let fits = self.total < most || *own < limits::REQUESTS_OF_EVERY_NAMESPACE;
        if fits {
            self.total += 1;
            *own += 1;
        }
        fits
    }

    fn remove(&mut self, namespace: Option<Uuid>) {
        let namespace = namespace.unwrap_or_default();
        self.total = self.total.saturating_sub(1);
        if let Some(own) = self.by_namespace.get_mut(&namespace) {
            *own -= 1;
            if *own == 0 {
                self.by_namespace.remove(&namespace);
            }
        }
    }
}

pub type StartReply = Box<dyn FnOnce(Result<Started, EngineError>) + Send>;

/// The way to a shard.
#[derive(Clone)]
pub struct ShardHandle {
    pub id: ShardId,
    sender: Sender<Request>,
    /// Requests that wait. The shard's own messages among them are bounded by its runs.
    waiting: Arc<Mutex<InQueue>>,
    /// The shard's epoch, once it has been taken over.
    epoch: Arc<AtomicU64>,
}

impl ShardHandle {
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A request from outside; refused where too many wait. A few of each namespace are always taken.
    pub fn request(&self, request: Request) -> Result<(), EngineError> {
        if !self.waiting.lock().add(request.namespace(), limits::REQUESTS_PER_SHARD) {
            return Err(EngineError::Overloaded("too many requests wait for this shard; try again".into()));
        }
        self.sender.send(request).map_err(|_| stopping())
    }

    /// A message of the engine's own. One to a shard that has stopped has nothing to tell any more.
    pub fn notify(&self, request: Request) {
        self.waiting.lock().add(request.namespace(), usize::MAX);
        let _ = self.sender.send(request);
    }
}

fn stopping() -> EngineError {
    EngineError::Unavailable("the server is stopping".into())
}

pub fn channel(id: ShardId) -> (ShardHandle, Receiver<Request>) {
    let (sender, receiver) = flume::unbounded();
    (ShardHandle { id, sender, waiting: Arc::default(), epoch: Arc::default() }, receiver)
}

/// A workflow id's runs in memory.
#[derive(Default)]
struct Workflow {
    /// None until it is read; then whether there is a latest run.
    current: Option<Option<CurrentRun>>,
    /// In boxes, because a map has room for four where it holds one.
    runs: HashMap<Uuid, Box<LoadedRun>>,
    /// Runs that were deleted. The store may still show them while the batch that deletes them is in flight.
    deleted: HashSet<Uuid>,
    /// What the runs take in memory, roughly, in bytes.
    weight: usize,
    /// Batches that are not durable yet. While there are any, the store does not know what the memory knows.
    in_flight: Arc<AtomicUsize>,
}

impl Workflow {
    /// Brings the weight up to date, and the sum of all workflows' weights with it.
    fn weigh(&mut self, sum: &mut usize) {
        let weight = self.runs.values().map(|run| run.weight()).sum();
        *sum = *sum + weight - std::mem::replace(&mut self.weight, weight);
    }

    fn can_be_forgotten(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0 && self.runs.values().all(|run| !run.busy)
    }
}

pub struct Shard {
    handle: ShardHandle,
    requests: Receiver<Request>,
    /// Those that were received, by whose they are.
    queue: TurnQueue<Request>,
    /// Nothing is received any more before the queue is empty; then the shard stops.
    stop_asked: bool,
    epoch: u64,
    shared: Arc<Shared>,
    workflows: LruCache<WorkflowKey, Workflow>,
    timers: Timers,
    /// Workflows to keep in memory, by number.
    capacity: usize,
    /// What they take, roughly, in bytes.
    weight: usize,
    /// Runs whose activation is under way.
    busy: usize,
    stopping: bool,
}

impl Shard {
    /// Takes the shard over. Fails where its rows cannot be read.
    pub fn open(
        handle: ShardHandle,
        requests: Receiver<Request>,
        shared: Arc<Shared>,
        capacity: usize,
    ) -> Result<Shard, EngineError> {
        let epoch = shared.store.acquire_shard(handle.id)?;
        handle.epoch.store(epoch, Ordering::Release);
        let timers = Timers::open(&*shared.store, handle.id)?;
        Ok(Shard {
            handle,
            requests,
            queue: TurnQueue::default(),
            stop_asked: false,
            epoch,
            shared,
            workflows: LruCache::unbounded(),
            timers,
            capacity,
            weight: 0,
            busy: 0,
            stopping: false,
        })
    }

    /// The shard's thread.
    pub fn run(mut self) {
        loop {
            if self.queue.is_empty() {
                let wait = match self.timers.next() {
                    Some(next) => next.since(clock::now()).min(limits::IDLE),
                    None => limits::IDLE,
                };
                self.stopping |= self.stop_asked;
                match self.requests.recv_timeout(wait) {
                    Ok(request) => self.receive(request),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            for _ in 0..limits::REQUESTS_AT_ONCE {
                // What comes behind the request to stop is taken when everything before it is done.
                if self.stop_asked && !self.stopping {
                    break;
                }
                let Ok(request) = self.requests.try_recv() else { break };
                self.receive(request);
            }
            if let Some(request) = self.queue.pop() {
                self.handle.waiting.lock().remove(request.namespace());
                self.take(request);
            }
            self.stopping |= self.stop_asked && self.queue.is_empty();
            if self.stopping && self.busy == 0 {
                break;
            }
            if !self.stopping {
                self.fire_timers();
            }
            self.forget_idle();
        }
    }

    fn receive(&mut self, request: Request) {
        match request.namespace() {
            Some(namespace) => self.queue.push(namespace, request),
            None => {
                self.handle.waiting.lock().remove(None);
                self.stop_asked = true;
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Run { workflow, run, work } => self.take_work(&workflow, &run, work),
            Request::End { workflow, run, work } => self.take_end(&workflow, &run, work),
            Request::Start { workflow, run, start, also, reply } => {
                self.take_start(workflow, run, NewRun { start, also, reply });
            }
            Request::Query { workflow, run, query } => self.take_query(workflow, run, query),
            Request::Reset { workflow, run, reset, reply } => self.take_reset(workflow, run, reset, reply),
            Request::Activated { run, module, started_event_id, attempt, outcome, turn } => {
                let turn = turn.map(|turn| Activated { module, started_event_id, attempt, turn });
                self.take_outcome(run, module, started_event_id, attempt, outcome, turn);
            }
            Request::Deployed { queue } => self.retry_waiting(queue.namespace, Some(&queue.name)),
            Request::Resume { namespace } => {
                self.retry_waiting(namespace, None);
                self.deliver_waiting(namespace);
            }
            Request::Purge { run, done } => self.purge(run, done),
            Request::Settle { done, .. } => {
                // A list that nobody waits for any more does not need to know.
                let _ = done.send(());
            }
            Request::Stop => self.stop_asked = true,
        }
    }

    // Requests to a run.

    fn take_work(&mut self, workflow: &WorkflowKey, run: &RunRef, work: Work) {
        match self.find(workflow, run) {
            Ok(key) => self.with_run(&key, |shard, loaded| {
                if !loaded.busy {
                    loaded.apply(work);
                    shard.settle(loaded);
                } else if run.run_id.is_empty() {
                    loaded.wait(Waiting::Latest { run: run.clone(), work });
                } else {
                    loaded.wait(Waiting::This(work));
                }
            }),
            Err(error) => self.reply_in_order(work(Err(error))),
        }
    }

    /// Takes what ends a run.
    fn take_end(&mut self, workflow: &WorkflowKey, run: &RunRef, work: Work) {
        let found = self.find(workflow, run);
        self.take_work(workflow, run, work);
        if let Ok(key) = found {
            self.shared.activations.withdraw(&key);
        }
    }

    /// The run that a request means; it is in memory afterwards.
    fn find(&mut self, workflow: &WorkflowKey, run: &RunRef) -> Result<RunKey, EngineError> {
        let missing =
            || EngineError::WorkflowNotFound { workflow_id: workflow.workflow_id.clone(), run_id: run.run_id.clone() };
        let id = match run.run_id.as_str() {
            "" => self.current(workflow)?.map(|current| current.run_id).ok_or_else(missing)?,
            given => given.to_owned(),
        };
        let id: Uuid = id.parse().map_err(|_| Rejection::invalid("Invalid RunId."))?;
        let key = RunKey { workflow: workflow.clone(), run: id };
        if !self.load(&key)? {
            return Err(missing());
        }
        let chain = self.workflows.peek(workflow).and_then(|workflow| workflow.runs.get(&id));
        let chain = chain.map_or("", |run| run.state.started.first_execution_run_id.as_str());
        if !run.first_execution_run_id.is_empty() && run.first_execution_run_id != chain {
            return Err(missing());
        }
        Ok(key)
    }

    fn load(&mut self, key: &RunKey) -> Result<bool, EngineError> {
        let id = self.handle.id;
        let workflow = self.workflows.get_or_insert_mut(key.workflow.clone(), Workflow::default);
        if workflow.deleted.contains(&key.run) {
            return Ok(false);
        }
        if let Entry::Vacant(place) = workflow.runs.entry(key.run) {
            let namespace = self.shared.namespaces.name_of(key.workflow.namespace);
            let run = LoadedRun::load(&*self.shared.store, id, key.clone(), &namespace)?;
            let Some(run) = run else { return Ok(false) };
            place.insert(Box::new(run));
        }
        Ok(true)
    }

    fn current(&mut self, key: &WorkflowKey) -> Result<Option<CurrentRun>, EngineError> {
        let id = self.handle.id;
        let workflow = self.workflows.get_or_insert_mut(key.clone(), Workflow::default);
        if let Some(current) = &workflow.current {
            return Ok(current.clone());
        }
        let row_key = keys::current(id, key);
        let current = match self.shared.store.get(&row_key)? {
            Some(value) => Some(current_run(&decode("current run", &row_key, &value)?)?),
            None => None,
        };
        workflow.current = Some(current.clone());
        Ok(current)
    }

    /// Works on a run that is in memory, taken out of the map meanwhile.
    fn with_run(&mut self, key: &RunKey, work: impl FnOnce(&mut Shard, &mut LoadedRun)) {
        let taken = self.workflows.get_mut(&key.workflow).and_then(|workflow| workflow.runs.remove(&key.run));
        let Some(mut run) = taken else { return };
        work(self, &mut run);
        let workflow = self.workflows.get_or_insert_mut(key.workflow.clone(), Workflow::default);
        workflow.runs.insert(key.run, run);
        workflow.weigh(&mut self.weight);
    }

    // Steps.

    /// Ends the step, or has the workflow's turn first.
    fn settle(&mut self, run: &mut LoadedRun) {
        match self.module_for(run) {
            Some((module, turn)) if !self.stopping => {
                run.turn = turn.or(run.turn.take());
                if self.shared.activations.are_late(run.key.workflow.namespace) {
                    self.commit(run);
                }
                self.activate(run, module);
            }
            _ => self.commit(run),
        }
    }

    /// Hands the pending step to the committer, together with the beginning of the run that this one goes on in.
    fn commit(&mut self, run: &mut LoadedRun) {
        let mut successor = run.pending.successor.take().map(|successor| self.begin_successor(run, successor));
        let is_latest = match self.current(&run.key.workflow) {
            Ok(current) => current.is_some_and(|current| current.run_id == run.key.run.to_string()),
            Err(error) => return self.shared.fail(&error.to_string()),
        };
        let latest = is_latest.then(|| successor.as_ref().map_or(run.key.run, |successor| successor.key.run));
        let workflow = run.key.workflow.clone();
        self.commit_together(&workflow, std::iter::once(run).chain(successor.as_mut()), latest);
        if let Some(successor) = successor {
            self.take_in(successor);
        }
    }

    /// Hands the pending steps of runs of one workflow id to the committer, as one batch. `latest` is the run that the
    /// workflow id stands for from now on, where it is one of them. Everything that outsiders see happens in the callback.
    fn commit_together<'r>(
        &mut self,
        workflow: &WorkflowKey,
        runs: impl Iterator<Item = &'r mut LoadedRun>,
        latest: Option<Uuid>,
    ) {
        let mut batch = Batch::new(self.handle.id, self.epoch);
        let in_flight = Arc::clone(&self.workflows.get_or_insert_mut(workflow.clone(), Workflow::default).in_flight);
        let mut outgoing = Vec::new();
        let mut delta = Delta::default();
        for run in runs {
            let is_latest = latest == Some(run.key.run);
            let was_open = run.is_shown_open();
            let facts = observer::facts(run, was_open, self.shared.observer.is_some());
            let (due, changed) = run.write(self.handle.id, is_latest, &self.shared.modules.pins, &mut batch);
            delta += changed;
            if let Some(due) = due {
                self.timers.add(due, &run.key);
            }
            self.shared.metrics.note_run(&run.namespace, was_open, &run.state);
            // What the run is pinned to has been counted.
            run.turn = None;
            if run.is_closed() {
                self.shared.sandbox.evict(&self.sandbox_run(&run.key));
            }
            if is_latest {
                let workflow = self.workflows.get_or_insert_mut(workflow.clone(), Workflow::default);
                workflow.current = Some(current_run(&run.current_row()).ok());
            }
            run.bound_recent(in_flight.load(Ordering::Acquire) == 0);
            outgoing.push((run.key.clone(), Head::of(&run.state), Outgoing { facts, ..run.take_outgoing() }));
        }
        let shared = Arc::clone(&self.shared);
        let meter = shared.meter(workflow.namespace);
        meter.apply(delta);
        let namespace = (delta.open_runs < 0 && meter.has_parked()).then_some(workflow.namespace);
        let changed = !batch.is_empty();
        in_flight.fetch_add(1, Ordering::AcqRel);
        self.shared.committer.submit(
            batch,
            Box::new(move |durable| {
                in_flight.fetch_sub(1, Ordering::AcqRel);
                // The memory is ahead of the store now, and cannot go back: a refusal is as bad as a failed disk.
                let durable = durable.map_err(|error| {
                    shared.fail(&error.to_string());
                    shared.lost(&error)
                });
                for (run, head, outgoing) in outgoing {
                    leave(&shared, &run, changed.then_some(head), outgoing, &durable);
                }
                if let Some(namespace) = namespace.filter(|_| durable.is_ok()) {
                    shared.room_was_made(namespace);
                }
            }),
        );
    }

    /// A run that has just been written begins.
    fn take_in(&mut self, run: LoadedRun) {
        let key = run.key.clone();
        let workflow = self.workflows.get_or_insert_mut(key.workflow.clone(), Workflow::default);
        workflow.runs.insert(key.run, Box::new(run));
        self.with_run(&key, Shard::settle);
    }

    /// The run that another goes on in. It is written with the end of that one, so that there is always a running one.
    fn begin_successor(&self, run: &LoadedRun, successor: Successor) -> LoadedRun {
        let id = successor.run_id.parse().unwrap_or_else(|_| Uuid::now_v7());
        let key = RunKey { workflow: run.key.workflow.clone(), run: id };
        let mut next = LoadedRun::new(key, &self.shared.namespaces.name_of(run.key.workflow.namespace));
        next.step(|step| step.begin_successor(successor));
        next
    }

    /// A reply that tells nothing new still must not overtake the commits that it may rest on.
    fn reply_in_order(&self, reply: Reply) {
        let shared = Arc::clone(&self.shared);
        self.shared.committer.submit(
            Batch::new(self.handle.id, self.epoch),
            Box::new(move |durable| reply(durable.map_err(|error| shared.lost(&error)))),
        );
    }

    /// Keeps the workflows in memory within bounds; the least recently used go first.
    fn forget_idle(&mut self) {
        for _ in 0..64 {
            if self.workflows.len() <= self.capacity && self.weight <= limits::SHARD_BYTES {
                return;
            }
            let Some((key, workflow)) = self.workflows.pop_lru() else { return };
            if workflow.can_be_forgotten() {
                self.weight -= workflow.weight;
                self.forget_updates(&workflow);
            } else {
                self.workflows.put(key, workflow);
            }
        }
    }

    /// Updates that are in memory alone go with it, as in a crash. Their clients are told, and ask again.
    fn forget_updates(&self, workflow: &Workflow) {
        for run in workflow.runs.values() {
            for update_id in run.state.updates_in_memory() {
                let message = "the update was given up to make room in memory; try again".into();
                let progress = Progress::Aborted(Rejection::Unavailable(message));
                self.shared.updates.tell(&run.state.run_id, News { update_id: update_id.to_owned(), progress });
            }
        }
    }

    fn sandbox_run(&self, key: &RunKey) -> SandboxRun {
        SandboxRun {
            namespace: self.shared.namespaces.name_of(key.workflow.namespace),
            workflow_id: key.workflow.workflow_id.clone(),
            run_id: key.run.to_string(),
        }
    }
}

/// What is to leave a step leaves it: the step is durable, or never will be. `head`: how far the run has come by it.
fn leave(
    shared: &Arc<Shared>,
    from: &RunKey,
    head: Option<Head>,
    outgoing: Outgoing,
    durable: &Result<(), EngineError>,
) {
    let Outgoing { replies, effects, update_news, tasks, facts } = outgoing;
    if durable.is_ok() {
        if let (Some(observer), Some((run, facts))) = (&shared.observer, facts) {
            facts.into_iter().for_each(|fact| observer.observe(&run, fact));
        }
        for (queue, task) in tasks {
            shared.matching.offer(queue, task);
        }
        if let Some(head) = head {
            shared.notifier.notify(from.run, head);
        }
        for news in update_news {
            shared.updates.tell(&from.run.to_string(), news);
        }
    }
    for reply in replies {
        reply(durable.as_ref().map_err(|error| EngineError::Unavailable(error.to_string())).copied());
    }
    // Behind the replies: a parent hears that its child was asked to cancel before it hears that it was canceled.
    if durable.is_ok() {
        for effect in effects {
            effects::deliver(shared, from, effect);
        }
    }
}

/// Who executes workflow tasks here, as histories name it.
pub const IDENTITY: &str = "mainspring";

/// A client that has gone does not get its answer.
fn answer<T>(reply: oneshot::Sender<Result<T, EngineError>>, result: Result<T, EngineError>) {
    let _ = reply.send(result);
}

fn current_run(row: &CurrentRow) -> Result<CurrentRun, EngineError> {
    let run = Uuid::from_slice(&row.run).map_err(|error| EngineError::Damaged(format!("current run: {error}")))?;
    let status = mainspring_api::enums::WorkflowExecutionStatus::try_from(row.status)
        .map_err(|error| EngineError::Damaged(format!("current run {run}: {error}")))?;
    Ok(CurrentRun {
        run_id: run.to_string(),
        status,
        start_request_id: row.start_request_id.clone(),
        first_execution_run_id: row.first_execution_run_id.clone(),
    })
}
