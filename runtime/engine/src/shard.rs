//! A shard: the single writer of its runs.
//!
//! One thread takes requests in order. For each it loads the run, lets the core decide, and either hands the step to
//! the committer or, where a workflow task is ready and a module hosts it, first to an activation: the activation's
//! commands become part of the same step, so a step of a hosted workflow is one commit. While its activation runs, a
//! run takes no requests (they wait in its mailbox); the shard goes on with the others.
//!
//! The shard decides on top of steps that are not durable yet. Nobody outside learns of a step before it is: replies,
//! tasks and notifications all leave in the commit's callback.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use lru::LruCache;
use mainspring_core::{
    Rejection, Time,
    workflow::{CurrentRun, StartDecision, StartWorkflow},
    workflow_task::{CompletionOutcome, WorkflowTaskCompletion, retry_pause},
};
use mainspring_sandbox::{Digest, RunKey as SandboxRun};
use mainspring_store::{Batch, ShardId, prefix_end};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    EngineError, RunRef, Started,
    activation::{Job, Outcome},
    clock,
    inner::{Head, Shared},
    keys,
    keys::{RunKey, WorkflowKey},
    limits,
    matching::QueueKey,
    rows::{CurrentRow, decode},
    run::{LoadedRun, Reply, Work, for_each_row},
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
    Start {
        workflow: WorkflowKey,
        run: Uuid,
        start: Box<StartWorkflow>,
        reply: StartReply,
    },
    /// An activation has come to its end.
    Activated {
        run: RunKey,
        module: Digest,
        started_event_id: i64,
        attempt: i32,
        outcome: Outcome,
    },
    /// A module was deployed on a task queue: what waited for one is tried.
    Deployed {
        queue: QueueKey,
    },
    /// Removes a run that has closed, with everything that is stored of it.
    Purge {
        run: RunKey,
        done: oneshot::Sender<Result<(), EngineError>>,
    },
    Stop,
}

pub type StartReply = oneshot::Sender<Result<Started, EngineError>>;

/// The way to a shard.
#[derive(Clone)]
pub struct ShardHandle {
    pub id: ShardId,
    sender: Sender<Request>,
    /// Requests from outside that wait. The shard's own messages are bounded by its runs.
    waiting: Arc<AtomicUsize>,
    /// The shard's epoch, once it has been taken over.
    epoch: Arc<AtomicU64>,
}

impl ShardHandle {
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// A request from outside; refused where too many wait.
    pub fn request(&self, request: Request) -> Result<(), EngineError> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= limits::REQUESTS_PER_SHARD {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(EngineError::Overloaded("too many requests wait for this shard; try again".into()));
        }
        self.sender.send(request).map_err(|_| stopping())
    }

    /// A message of the engine's own. One to a shard that has stopped has nothing to tell any more.
    pub fn notify(&self, request: Request) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.sender.send(request);
    }
}

fn stopping() -> EngineError {
    EngineError::Unavailable("the server is stopping".into())
}

pub fn channel(id: ShardId) -> (ShardHandle, Receiver<Request>) {
    let (sender, receiver) = crossbeam_channel::unbounded();
    (ShardHandle { id, sender, waiting: Arc::default(), epoch: Arc::default() }, receiver)
}

/// A workflow id's runs in memory.
#[derive(Default)]
struct Workflow {
    /// None until it is read; then whether there is a latest run.
    current: Option<Option<CurrentRun>>,
    runs: HashMap<Uuid, LoadedRun>,
    /// Batches that are not durable yet. While there are any, the store does not know what the memory knows.
    in_flight: Arc<AtomicUsize>,
}

impl Workflow {
    fn can_be_forgotten(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0 && self.runs.values().all(|run| !run.busy)
    }
}

pub struct Shard {
    handle: ShardHandle,
    requests: Receiver<Request>,
    epoch: u64,
    shared: Arc<Shared>,
    workflows: LruCache<WorkflowKey, Workflow>,
    timers: Timers,
    /// Workflows to keep in memory.
    capacity: usize,
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
            epoch,
            shared,
            workflows: LruCache::unbounded(),
            timers,
            capacity,
            busy: 0,
            stopping: false,
        })
    }

    /// The shard's thread.
    pub fn run(mut self) {
        loop {
            let wait = match self.timers.next() {
                Some(next) => next.since(clock::now()).min(limits::IDLE),
                None => limits::IDLE,
            };
            match self.requests.recv_timeout(wait) {
                Ok(request) => {
                    self.handle.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.take(request);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.stopping && self.busy == 0 {
                break;
            }
            if !self.stopping {
                self.fire_timers();
            }
            self.forget_idle();
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Run { workflow, run, work } => self.take_work(&workflow, &run, work),
            Request::Start { workflow, run, start, reply } => self.take_start(workflow, run, start, reply),
            Request::Activated { run, module, started_event_id, attempt, outcome } => {
                self.take_outcome(run, module, started_event_id, attempt, outcome);
            }
            Request::Deployed { queue } => self.retry_waiting(&queue),
            Request::Purge { run, done } => self.purge(run, done),
            Request::Stop => self.stopping = true,
        }
    }

    // Requests to a run.

    fn take_work(&mut self, workflow: &WorkflowKey, run: &RunRef, work: Work) {
        match self.find(workflow, run) {
            Ok(key) => self.with_run(&key, |shard, run| {
                if !run.busy {
                    run.apply(work);
                    shard.settle(run);
                } else if run.mailbox.len() < limits::REQUESTS_PER_RUN {
                    run.mailbox.push_back(work);
                } else {
                    let error = EngineError::Overloaded("too many requests wait for this workflow; try again".into());
                    work(Err(error))(Ok(()));
                }
            }),
            Err(error) => self.reply_in_order(work(Err(error))),
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
        if !workflow.runs.contains_key(&key.run) {
            let Some(run) = LoadedRun::load(&*self.shared.store, id, key.clone())? else { return Ok(false) };
            workflow.runs.insert(key.run, run);
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
    }

    // Steps.

    /// Ends the step, or has the workflow's turn first.
    fn settle(&mut self, run: &mut LoadedRun) {
        match self.module_for(run) {
            Some(module) if !self.stopping => self.activate(run, module),
            _ => self.commit(run),
        }
    }

    /// The module that must run now: the run has a ready workflow task, and a module to run it on.
    fn module_for(&self, run: &LoadedRun) -> Option<Digest> {
        if !run.state.has_ready_workflow_task() {
            return None;
        }
        if let Some(pinned) = &run.state.module {
            return pinned.parse().ok();
        }
        let name = run.state.task_queue().to_owned();
        self.shared.modules.active(&QueueKey { namespace: run.key.workflow.namespace, name })
    }

    fn activate(&mut self, run: &mut LoadedRun, module: Digest) {
        let request_id = Uuid::now_v7().to_string();
        let started = run.step(|step| step.start_workflow_task(IDENTITY, &request_id));
        let (Ok(started_event_id), Some(task)) = (started, &run.state.workflow_task) else {
            return self.commit(run);
        };
        let attempt = task.attempt;
        let mut tail = run.recent.clone();
        tail.extend(run.state.transient_events());
        run.busy = true;
        self.busy += 1;
        let (handle, key) = (self.handle.clone(), run.key.clone());
        self.shared.activations.submit(Job {
            shard: self.handle.id,
            run: run.key.clone(),
            sandbox_run: self.sandbox_run(&run.key),
            module,
            attempt,
            started_event_id,
            tail,
            done: Box::new(move |outcome| {
                handle.notify(Request::Activated { run: key, module, started_event_id, attempt, outcome });
            }),
        });
    }

    fn take_outcome(&mut self, key: RunKey, module: Digest, started: i64, attempt: i32, outcome: Outcome) {
        self.busy -= 1;
        self.with_run(&key, |shard, run| {
            run.busy = false;
            shard.end_workflow_task(run, module, started, attempt, outcome);
            // All that has waited goes into the same step: one commit, and one turn of the workflow.
            while let Some(work) = run.mailbox.pop_front() {
                run.apply(work);
            }
            shard.settle(run);
        });
    }

    fn end_workflow_task(&self, run: &mut LoadedRun, module: Digest, started: i64, attempt: i32, outcome: Outcome) {
        let retry_after = retry_pause(attempt);
        let failed = match outcome {
            Outcome::Commands(commands) => {
                let completion = WorkflowTaskCompletion {
                    started_event_id: started,
                    attempt,
                    commands,
                    identity: IDENTITY.into(),
                    build_id: module.to_string(),
                    sdk_metadata: None,
                };
                match run.step(|step| step.complete_workflow_task(completion, retry_after)) {
                    Ok(CompletionOutcome::Completed) => {
                        run.state.module = Some(module.to_string());
                        run.forget_seen(started);
                        None
                    }
                    Ok(CompletionOutcome::Failed(bad)) => Some(bad.to_string()),
                    Err(rejection) => Some(rejection.to_string()),
                }
            }
            Outcome::Failed { cause, failure } => {
                let message = failure.message.clone();
                let refused = run
                    .step(|step| step.fail_workflow_task(started, attempt, cause, failure, IDENTITY, retry_after))
                    .err();
                Some(refused.map_or(message, |refused| refused.to_string()))
            }
        };
        if let Some(message) = failed {
            tracing::warn!(
                workflow_id = run.key.workflow.workflow_id, run_id = %run.key.run, attempt, %message,
                "workflow task failed"
            );
            self.shared.sandbox.evict(&self.sandbox_run(&run.key));
        }
    }

    /// Hands the pending step to the committer. Everything that outsiders see of it happens in the callback.
    fn commit(&mut self, run: &mut LoadedRun) {
        let is_current = match self.current(&run.key.workflow) {
            Ok(current) => current.is_some_and(|current| current.run_id == run.key.run.to_string()),
            Err(error) => return self.shared.fail(&error.to_string()),
        };
        let mut batch = Batch::new(self.handle.id, self.epoch);
        if let Some(due) = run.write(self.handle.id, is_current, &mut batch) {
            self.timers.add(due, &run.key);
        }
        if run.is_closed() {
            self.shared.sandbox.evict(&self.sandbox_run(&run.key));
        }
        let workflow = self.workflows.get_or_insert_mut(run.key.workflow.clone(), Workflow::default);
        if is_current {
            workflow.current = Some(current_run(&run.current_row()).ok());
        }
        let in_flight = Arc::clone(&workflow.in_flight);
        run.bound_recent(in_flight.load(Ordering::Acquire) == 0);
        let replies: Vec<Reply> = std::mem::take(&mut run.pending.replies);
        let ready = run.take_ready_tasks();
        let shared = Arc::clone(&self.shared);
        let changed = (!batch.is_empty()).then(|| (run.key.run, Head::of(&run.state)));
        in_flight.fetch_add(1, Ordering::AcqRel);
        self.shared.committer.submit(
            batch,
            Box::new(move |durable| {
                in_flight.fetch_sub(1, Ordering::AcqRel);
                let durable = durable.map_err(|error| shared.lost(&error));
                if durable.is_ok() {
                    for (queue, task) in ready {
                        shared.matching.offer(queue, task);
                    }
                    if let Some((run, head)) = changed {
                        shared.notifier.notify(run, head);
                    }
                }
                for reply in replies {
                    reply(durable.as_ref().map(|()| ()).map_err(|error| EngineError::Unavailable(error.to_string())));
                }
            }),
        );
    }

    /// A reply that tells nothing new still must not overtake the commits that it may rest on.
    fn reply_in_order(&self, reply: Reply) {
        let shared = Arc::clone(&self.shared);
        self.shared.committer.submit(
            Batch::new(self.handle.id, self.epoch),
            Box::new(move |durable| reply(durable.map_err(|error| shared.lost(&error)))),
        );
    }

    // Starts.

    fn take_start(&mut self, key: WorkflowKey, run: Uuid, start: Box<StartWorkflow>, reply: StartReply) {
        let decision = match self.current(&key).and_then(|current| Ok(start.decide(current.as_ref())?)) {
            Ok(decision) => decision,
            Err(error) => return self.reply_in_order(Box::new(move |durable| answer(reply, durable.and(Err(error))))),
        };
        let existing = |run_id: String, status, reply: StartReply| -> Reply {
            Box::new(move |durable| {
                let started =
                    Started { run_id: run_id.clone(), first_execution_run_id: run_id, started: false, status };
                answer(reply, durable.map(|()| started));
            })
        };
        use mainspring_api::enums::WorkflowExecutionStatus as Status;
        match decision {
            StartDecision::Begin => self.begin(key, run, start, reply),
            StartDecision::UseExisting { run_id } => {
                self.reply_in_order(existing(run_id, Status::Running, reply));
            }
            StartDecision::Repeated { run_id, status } => {
                let answered = Box::new(move |durable: Result<(), EngineError>| {
                    let started =
                        Started { run_id: run_id.clone(), first_execution_run_id: run_id, started: true, status };
                    answer(reply, durable.map(|()| started));
                });
                self.reply_in_order(answered);
            }
            StartDecision::TerminateAndBegin { run_id } => {
                self.terminate_and_begin(key, run_id, run, start, reply);
            }
        }
    }

    /// Terminates the running one, then starts again. A crash between the two leaves a terminated run and a client
    /// without an answer, which asks again.
    fn terminate_and_begin(
        &mut self,
        key: WorkflowKey,
        running: String,
        run: Uuid,
        start: Box<StartWorkflow>,
        reply: StartReply,
    ) {
        let (handle, workflow) = (self.handle.clone(), key.clone());
        let work: Work = Box::new(move |step| {
            let outcome = match step {
                // One that has closed meanwhile is as good as terminated.
                Ok(step) if !step.state.is_running() => Ok(()),
                Ok(step) => {
                    let reason = "TerminateIfRunning WorkflowIdReusePolicy Policy";
                    step.terminate(reason, None, "history-service").map_err(EngineError::from)
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => {
                    // Behind whatever the shard has waiting; the policies are asked again there.
                    handle.notify(Request::Start { workflow, run, start, reply });
                    Box::new(|_| {})
                }
                Err(error) => Box::new(move |durable| answer(reply, durable.and(Err(error)))),
            }
        });
        let run = RunRef { workflow_id: key.workflow_id.clone(), run_id: running, ..RunRef::default() };
        self.take_work(&key, &run, work);
    }

    fn begin(&mut self, workflow: WorkflowKey, run: Uuid, start: Box<StartWorkflow>, reply: StartReply) {
        let key = RunKey { workflow: workflow.clone(), run };
        let mut loaded = LoadedRun::new(key.clone());
        loaded.step(|step| step.begin(*start));
        loaded.pending.replies.push(Box::new(move |durable| {
            let run_id = run.to_string();
            let status = mainspring_api::enums::WorkflowExecutionStatus::Running;
            let started = Started { run_id: run_id.clone(), first_execution_run_id: run_id, started: true, status };
            answer(reply, durable.map(|()| started));
        }));
        let entry = self.workflows.get_or_insert_mut(workflow, Workflow::default);
        entry.current = Some(current_run(&loaded.current_row()).ok());
        entry.runs.insert(run, loaded);
        self.with_run(&key, Shard::settle);
    }

    // Timers.

    fn fire_timers(&mut self) {
        let due = match self.timers.due(&*self.shared.store, clock::now()) {
            Ok(due) => due,
            Err(error) => return self.shared.fail(&error.to_string()),
        };
        for (at, key) in due {
            match self.load(&key) {
                Ok(true) => self.with_run(&key, |shard, run| shard.fire_timer(run, at)),
                Ok(false) => {}
                Err(error) => tracing::error!(run_id = %key.run, %error, "a run whose timer is due cannot be read"),
            }
        }
    }

    fn fire_timer(&mut self, run: &mut LoadedRun, at: Time) {
        // A row that has been replaced meanwhile.
        if run.armed != Some(at) || run.fired {
            return;
        }
        run.fired = true;
        run.pending.dirty = true;
        if run.busy {
            run.mailbox.push_back(Box::new(|step| {
                if let Ok(step) = step {
                    step.advance();
                }
                Box::new(|_| {})
            }));
        } else {
            run.step(|step| step.advance());
            self.settle(run);
        }
    }

    // Deployments.

    /// Tries every workflow task of a task queue that waits, for a module or for its next attempt.
    fn retry_waiting(&mut self, queue: &QueueKey) {
        let prefix = keys::of_shard_namespace(b'w', self.handle.id, queue.namespace);
        let mut waiting = Vec::new();
        let read = for_each_row(&*self.shared.store, &prefix, &prefix_end(&prefix), |key, _| {
            waiting.extend(keys::read_run(key).map(|(_, run, _)| run));
            Ok(())
        });
        // Those whose rows are still on their way to the store.
        let loaded = self.workflows.iter().flat_map(|(_, workflow)| workflow.runs.values());
        waiting.extend(loaded.filter(|run| run.state.workflow_task.is_some()).map(|run| run.key.clone()));
        waiting.sort();
        waiting.dedup();
        if let Err(error) = read {
            tracing::error!(%error, "the waiting workflow tasks cannot be read");
        }
        for key in waiting {
            if !matches!(self.load(&key), Ok(true)) {
                continue;
            }
            self.with_run(&key, |shard, run| {
                if !run.busy && run.state.task_queue() == queue.name {
                    run.step(|step| step.retry_workflow_task_now());
                    shard.settle(run);
                }
            });
        }
    }

    // Deletion.

    fn purge(&mut self, key: RunKey, done: oneshot::Sender<Result<(), EngineError>>) {
        match self.purge_rows(&key) {
            Ok(Some(batch)) => {
                let shared = Arc::clone(&self.shared);
                self.shared.committer.submit(
                    batch,
                    Box::new(move |durable| {
                        shared.notifier.notify(key.run, Head::Deleted);
                        answer(done, durable.map_err(|error| shared.lost(&error)));
                    }),
                );
            }
            // Steps of the run are on their way to the disk: come back behind them.
            Ok(None) => {
                let handle = self.handle.clone();
                self.reply_in_order(Box::new(move |_| handle.notify(Request::Purge { run: key, done })));
            }
            Err(error) => answer(done, Err(error)),
        }
    }

    fn purge_rows(&mut self, key: &RunKey) -> Result<Option<Batch>, EngineError> {
        if !self.load(key)? {
            return Ok(Some(Batch::new(self.handle.id, self.epoch)));
        }
        let current = self.current(&key.workflow)?;
        let Some(workflow) = self.workflows.get_mut(&key.workflow) else { return Ok(None) };
        if !workflow.can_be_forgotten() {
            return Ok(None);
        }
        let Some(run) = workflow.runs.remove(&key.run) else { return Ok(None) };
        let mut batch = Batch::new(self.handle.id, self.epoch);
        for row in run.rows(&*self.shared.store, self.handle.id)? {
            batch.delete(row);
        }
        if current.is_some_and(|current| current.run_id == key.run.to_string()) {
            batch.delete(keys::current(self.handle.id, &key.workflow));
            workflow.current = Some(None);
        }
        Ok(Some(batch))
    }

    /// Keeps the number of workflows in memory within bounds; the least recently used go first.
    fn forget_idle(&mut self) {
        let mut tries = self.workflows.len().saturating_sub(self.capacity).min(64);
        while tries > 0 {
            tries -= 1;
            let Some((key, workflow)) = self.workflows.pop_lru() else { return };
            if !workflow.can_be_forgotten() {
                self.workflows.put(key, workflow);
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
    Ok(CurrentRun { run_id: run.to_string(), status, start_request_id: row.start_request_id.clone() })
}
