//! Starting workflows: the policies of a workflow id, applied by its only writer.

use mainspring_api::enums::WorkflowExecutionStatus as Status;
use mainspring_core::workflow::{StartDecision, StartWorkflow};
use uuid::Uuid;

use super::{Request, Shard, StartReply, Workflow, answer, current_run};
use crate::{
    EngineError, RunRef, Started,
    keys::{RunKey, WorkflowKey},
    run::{LoadedRun, Reply, Work},
};

impl Shard {
    pub(super) fn take_start(&mut self, key: WorkflowKey, run: Uuid, start: Box<StartWorkflow>, reply: StartReply) {
        let decision = match self.current(&key).and_then(|current| Ok(start.decide(current.as_ref())?)) {
            Ok(decision) => decision,
            Err(error) => return self.reply_in_order(Box::new(move |durable| answer(reply, durable.and(Err(error))))),
        };
        match decision {
            StartDecision::Begin => self.begin(key, run, start, reply),
            StartDecision::UseExisting { run_id } => {
                self.reply_in_order(tell(reply, run_id, false, Status::Running));
            }
            StartDecision::Repeated { run_id, status } => self.reply_in_order(tell(reply, run_id, true, status)),
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
        loaded.pending.replies.push(tell(reply, run.to_string(), true, Status::Running));
        let entry = self.workflows.get_or_insert_mut(workflow, Workflow::default);
        entry.current = Some(current_run(&loaded.current_row()).ok());
        entry.runs.insert(run, loaded);
        self.with_run(&key, Shard::settle);
    }
}

/// Tells which run a start has come to, once that is durable.
fn tell(reply: StartReply, run_id: String, started: bool, status: Status) -> Reply {
    Box::new(move |durable| {
        let told = Started { run_id: run_id.clone(), first_execution_run_id: run_id, started, status };
        answer(reply, durable.map(|()| told));
    })
}
