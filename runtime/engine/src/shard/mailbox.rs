//! What waits for a run while its activation is under way, and is taken when that has ended.

use mainspring_api::enums::WorkflowExecutionStatus as Status;
use mainspring_sandbox::Digest;
use uuid::Uuid;

use super::{Shard, starts::NewRun};
use crate::{
    EngineError, RunRef,
    activation::Outcome,
    keys::RunKey,
    limits,
    observer::Activated,
    run::{LoadedRun, Work},
};

/// A request that waits.
pub enum Waiting {
    /// For this run and no other.
    This(Work),
    /// For the latest run of the workflow id: this one, as long as it is open, and then perhaps the one it goes on in.
    Latest { run: RunRef, work: Work },
    /// A start that has come to this run and brings something for it. The policies of the workflow id are asked again
    /// where the run has closed meanwhile.
    Start { run: Uuid, started: bool, status: Status, new: NewRun },
}

impl LoadedRun {
    /// Has a request wait for the end of the activation; refused where too many do.
    pub fn wait(&mut self, waiting: Waiting) {
        if self.mailbox.len() < limits::REQUESTS_PER_RUN {
            return self.mailbox.push_back(waiting);
        }
        let error = EngineError::Overloaded("too many requests wait for this workflow; try again".into());
        match waiting {
            Waiting::This(work) | Waiting::Latest { work, .. } => work(Err(error))(Ok(())),
            Waiting::Start { new, .. } => (new.reply)(Err(error)),
        }
    }
}

impl Shard {
    pub(super) fn take_outcome(
        &mut self,
        key: RunKey,
        module: Digest,
        started_event_id: i64,
        attempt: i32,
        outcome: Outcome,
        turn: Option<Activated>,
    ) {
        self.busy -= 1;
        let mut left = Vec::new();
        self.with_run(&key, |shard, run| {
            run.busy = false;
            run.pending.turns.extend(turn);
            shard.end_workflow_task(run, module, started_event_id, attempt, outcome);
            left = shard.take_mailbox(run);
        });
        // In their order, and behind the commit that has closed the run and written its successor.
        for waiting in left {
            match waiting {
                Waiting::This(work) => {
                    let run_id = key.run.to_string();
                    let run = RunRef { workflow_id: key.workflow.workflow_id.clone(), run_id, ..RunRef::default() };
                    self.take_work(&key.workflow, &run, work);
                }
                Waiting::Latest { run, work } => self.take_work(&key.workflow, &run, work),
                Waiting::Start { run, new, .. } => self.take_start(key.workflow.clone(), run, new),
            }
        }
    }

    /// What has waited for a run goes into one step, as far as it fits: one commit, and one turn of the workflow.
    /// Returns what was not meant for a run that has closed.
    fn take_mailbox(&mut self, run: &mut LoadedRun) -> Vec<Waiting> {
        let mut left = Vec::new();
        loop {
            while run.pending_bytes() < limits::STEP_BYTES
                && let Some(waiting) = run.mailbox.pop_front()
            {
                match waiting {
                    Waiting::This(work) => run.apply(work),
                    waiting if run.is_closed() => left.push(waiting),
                    Waiting::Latest { work, .. } => run.apply(work),
                    Waiting::Start { started, status, new, .. } => run.take_start(started, status, new),
                }
            }
            self.settle(run);
            if run.busy || run.mailbox.is_empty() {
                return left;
            }
        }
    }
}
