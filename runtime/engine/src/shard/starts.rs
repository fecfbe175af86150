//! Starting workflows: the policies of a workflow id, applied by its only writer.

use mainspring_api::enums::WorkflowExecutionStatus as Status;
use mainspring_core::{
    rows::RunRow,
    signal::Signal,
    workflow::{CurrentRun, StartDecision, StartWorkflow},
};
use uuid::Uuid;

use super::{Request, Shard, StartReply, Waiting, Workflow, current_run};
use crate::{
    EngineError, RunRef, Started, keys,
    keys::{RunKey, WorkflowKey},
    rows::decode,
    run::{LoadedRun, Reply, Work},
};

/// What the run that a start comes to, a new one or an existing one, is to take with it.
pub enum Also {
    /// In a new run it stands ahead of the first workflow task. With it goes who is told what became of it.
    Signal(Box<Signal>, Reply),
    Work(Work),
}

impl Also {
    fn into_work(self) -> Work {
        match self {
            Also::Work(work) => work,
            Also::Signal(signal, reply) => Box::new(move |step| {
                let signaled = step.and_then(|step| Ok(step.signal(*signal)?));
                Box::new(move |durable| reply(durable.and(signaled)))
            }),
        }
    }
}

/// What a start brings.
pub struct NewRun {
    pub start: Box<StartWorkflow>,
    /// What the run that the start comes to is to take with it.
    pub also: Option<Also>,
    pub reply: StartReply,
}

impl Shard {
    pub(super) fn take_start(&mut self, key: WorkflowKey, run: Uuid, new: NewRun) {
        let decision = match self.decide(&key, &new) {
            Ok(decision) => decision,
            Err(error) => return self.reply_in_order(Box::new(move |durable| (new.reply)(durable.and(Err(error))))),
        };
        match decision {
            StartDecision::Begin => self.begin(key, run, new),
            StartDecision::UseExisting { run_id } => self.go_on(&key, run, run_id, false, Status::Running, new),
            StartDecision::Repeated { run_id, status } => self.go_on(&key, run, run_id, true, status, new),
            StartDecision::TerminateAndBegin { run_id } => self.terminate_and_begin(key, run_id, run, new),
        }
    }

    fn decide(&mut self, key: &WorkflowKey, new: &NewRun) -> Result<StartDecision, EngineError> {
        let current = self.current(key)?;
        let decision = new.start.decide(current.as_ref());
        // The run that this very start has begun may have gone on in others meanwhile. A child must not begin a second
        // time because of that, nor its parent be told that a stranger has its id. (What a start brings, it brings to the
        // latest run, so that this one is decided as ever.)
        let repeated = matches!(decision, Ok(StartDecision::Repeated { .. }));
        if let Some(current) = current.filter(|_| !repeated && new.also.is_none())
            && self.has_begun(key, &current, &new.start.request_id)?
        {
            return Ok(StartDecision::Repeated { run_id: current.first_execution_run_id, status: current.status });
        }
        Ok(decision?)
    }

    /// Whether this request has begun the chain of runs that the latest one belongs to.
    fn has_begun(&self, key: &WorkflowKey, latest: &CurrentRun, request_id: &str) -> Result<bool, EngineError> {
        if request_id.is_empty() || latest.first_execution_run_id == latest.run_id {
            return Ok(false);
        }
        let Ok(run) = latest.first_execution_run_id.parse() else { return Ok(false) };
        let loaded = self.workflows.peek(key).and_then(|workflow| workflow.runs.get(&run));
        if let Some(first) = loaded {
            return Ok(first.state.start_request_id == request_id);
        }
        let row_key = keys::run(self.handle.id, &RunKey { workflow: key.clone(), run });
        let Some(row) = self.shared.store.get(&row_key)? else { return Ok(false) };
        let row: RunRow = decode("run", &row_key, &row)?;
        Ok(row.start_request_id == request_id)
    }

    /// The start comes to a run that is there.
    fn go_on(&mut self, key: &WorkflowKey, run: Uuid, existing: String, started: bool, status: Status, new: NewRun) {
        // One that has not come to the end of its first step would be told of before it is durable.
        let is_written = |run: &LoadedRun| !run.busy || run.is_written();
        let runs = self.workflows.peek(key).map(|workflow| &workflow.runs);
        let loaded = existing.parse().ok().and_then(|run| runs?.get(&run));
        if new.also.is_none() && loaded.is_none_or(|run| is_written(run)) {
            return self.reply_in_order(tell(new.reply, existing, started, status));
        }
        let found = RunRef { workflow_id: key.workflow_id.clone(), run_id: existing, ..RunRef::default() };
        match self.find(key, &found) {
            Ok(key) => self.with_run(&key, |shard, loaded| {
                if loaded.busy {
                    return loaded.wait(Waiting::Start { run, started, status, new });
                }
                loaded.take_start(started, status, new);
                shard.settle(loaded);
            }),
            Err(error) => self.reply_in_order(Box::new(move |durable| (new.reply)(durable.and(Err(error))))),
        }
    }

    /// Terminates the running one, then starts again. A crash between the two leaves a terminated run and a client
    /// without an answer, which asks again.
    fn terminate_and_begin(&mut self, key: WorkflowKey, running: String, run: Uuid, new: NewRun) {
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
                    let NewRun { start, also, reply } = new;
                    handle.notify(Request::Start { workflow, run, start, also, reply });
                    Box::new(|_| {})
                }
                Err(error) => Box::new(move |durable| (new.reply)(durable.and(Err(error)))),
            }
        });
        let run = RunRef { workflow_id: key.workflow_id.clone(), run_id: running, ..RunRef::default() };
        self.take_end(&key, &run, work);
    }

    fn begin(&mut self, workflow: WorkflowKey, run: Uuid, new: NewRun) {
        if let Err(exceeded) = self.shared.meter(workflow.namespace).begin_run() {
            let error = EngineError::QuotaExceeded(exceeded);
            return self.reply_in_order(Box::new(move |durable| (new.reply)(durable.and(Err(error)))));
        }
        let key = RunKey { workflow: workflow.clone(), run };
        let mut loaded = LoadedRun::new(key.clone(), &self.shared.namespaces.name_of(workflow.namespace));
        loaded.counted.begin(true, 0, 0);
        let told = tell(new.reply, run.to_string(), true, Status::Running);
        match new.also {
            Some(Also::Signal(signal, signaled)) => {
                let begun = loaded.step(|step| step.begin_with_signal(*new.start, *signal));
                loaded.pending.replies.push(Box::new(move |durable| signaled(durable.and(begun.map_err(Into::into)))));
                loaded.pending.replies.push(told);
            }
            also => {
                loaded.step(|step| step.begin(*new.start));
                loaded.pending.replies.push(told);
                if let Some(also) = also {
                    loaded.apply(also.into_work());
                }
            }
        }
        let entry = self.workflows.get_or_insert_mut(workflow, Workflow::default);
        entry.current = Some(current_run(&loaded.current_row()).ok());
        entry.runs.insert(run, Box::new(loaded));
        self.with_run(&key, Shard::settle);
    }
}

impl LoadedRun {
    /// Takes what a start brings that has come to this run.
    pub(super) fn take_start(&mut self, started: bool, status: Status, new: NewRun) {
        if let Some(also) = new.also {
            self.apply(also.into_work());
        }
        self.pending.replies.push(tell(new.reply, self.key.run.to_string(), started, status));
    }
}

/// Tells which run a start has come to, once that is durable.
fn tell(reply: StartReply, run_id: String, started: bool, status: Status) -> Reply {
    Box::new(move |durable| {
        let told = Started { run_id: run_id.clone(), first_execution_run_id: run_id, started, status };
        reply(durable.map(|()| told));
    })
}
