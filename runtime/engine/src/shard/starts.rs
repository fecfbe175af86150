//! Starting workflows: the policies of a workflow id, applied by its only writer.

use mainspring_api::enums::WorkflowExecutionStatus as Status;
use mainspring_core::{
    signal::Signal,
    workflow::{StartDecision, StartWorkflow},
};
use uuid::Uuid;

use super::{Request, Shard, StartReply, Workflow, current_run};
use crate::{
    EngineError, RunRef, Started,
    keys::{RunKey, WorkflowKey},
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
pub(super) struct NewRun {
    pub start: Box<StartWorkflow>,
    /// What the run that the start comes to is to take with it.
    pub also: Option<Also>,
    pub reply: StartReply,
}

impl Shard {
    pub(super) fn take_start(&mut self, key: WorkflowKey, run: Uuid, new: NewRun) {
        let decision = match self.current(&key).and_then(|current| Ok(new.start.decide(current.as_ref())?)) {
            Ok(decision) => decision,
            Err(error) => return self.reply_in_order(Box::new(move |durable| (new.reply)(durable.and(Err(error))))),
        };
        match decision {
            StartDecision::Begin => self.begin(key, run, new),
            StartDecision::UseExisting { run_id } => self.go_on(&key, run_id, false, Status::Running, new),
            StartDecision::Repeated { run_id, status } => self.go_on(&key, run_id, true, status, new),
            StartDecision::TerminateAndBegin { run_id } => self.terminate_and_begin(key, run_id, run, new),
        }
    }

    /// The start comes to a run that is there.
    fn go_on(&mut self, key: &WorkflowKey, run_id: String, started: bool, status: Status, new: NewRun) {
        let told = tell(new.reply, run_id.clone(), started, status);
        match new.also {
            None => self.reply_in_order(told),
            Some(also) => {
                let run = RunRef { workflow_id: key.workflow_id.clone(), run_id, ..RunRef::default() };
                self.take_work(key, &run, both(also.into_work(), told));
            }
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
        self.take_work(&key, &run, work);
    }

    fn begin(&mut self, workflow: WorkflowKey, run: Uuid, new: NewRun) {
        let key = RunKey { workflow: workflow.clone(), run };
        let mut loaded = LoadedRun::new(key.clone(), &self.shared.namespaces.name_of(workflow.namespace));
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
        entry.runs.insert(run, loaded);
        self.with_run(&key, Shard::settle);
    }
}

/// One answer behind another.
fn both(work: Work, told: Reply) -> Work {
    Box::new(move |step| {
        let first = work(step);
        Box::new(move |durable| {
            let again = durable.as_ref().map_err(|error| EngineError::Unavailable(error.to_string())).copied();
            first(durable);
            told(again);
        })
    })
}

/// Tells which run a start has come to, once that is durable.
fn tell(reply: StartReply, run_id: String, started: bool, status: Status) -> Reply {
    Box::new(move |durable| {
        let told = Started { run_id: run_id.clone(), first_execution_run_id: run_id, started, status };
        reply(durable.map(|()| told));
    })
}
