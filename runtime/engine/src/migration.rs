//! Migration: open runs move from the module that they are pinned to, to another one, each only where it is known that
//! the module repeats its history.
//!
//! A run is verified away from its shard, and moved by a step of its shard, if no workflow task has completed in between;
//! otherwise what has come is verified as well, and it is tried again. The step is one commit: a crash finds the run on
//! the one module or on the other. The instance of the old module goes with it; the next workflow task, query or update
//! replays the run on the new one.

use std::sync::Arc;

use mainspring_core::migration::{Move, Moved};
use tokio::sync::oneshot;

use crate::{
    Engine, EngineError, Module, RunRef,
    inner::Shared,
    keys::RunKey,
    limits,
    run::{Reply, Work},
    shard::Request,
    sweep::{Chosen, RunSelection, Sweep},
    verification::{Checked, VerifiedRun, Verifier},
};

/// Which runs are to move, and where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MigrationRequest {
    /// The module, as the beginning of its digest; the active one of the task queue where it is none.
    pub to: Option<String>,
    /// Only runs that are pinned to the module whose digest begins like this.
    pub from: Option<String>,
    /// Closed runs do not move, however many are selected.
    pub runs: RunSelection,
}

/// An open run, and what became of it. Where it stays, it is as if nothing had been asked.
#[derive(Clone, Debug, PartialEq)]
pub struct MigratedRun {
    /// Its module is the one that it was pinned to before.
    pub run: VerifiedRun,
    pub outcome: MigrationOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationOutcome {
    Moved,
    /// It was pinned to the module already.
    Already,
    /// It is pinned to no module yet: its first workflow task will run on the one that is active then.
    Unpinned,
    /// It has closed meanwhile.
    Closed,
    /// The module does not repeat it: see the verdict.
    Differs,
    /// It came further whenever it had been verified. Another try may find it at rest.
    Busy,
}

impl MigrationOutcome {
    /// Whether the run is left on a module that it was to leave.
    pub fn stays(self) -> bool {
        matches!(self, MigrationOutcome::Differs | MigrationOutcome::Busy)
    }
}

/// How many runs there were of each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MigrationSummary {
    pub moved: u64,
    pub already: u64,
    pub unpinned: u64,
    pub closed: u64,
    pub differ: u64,
    pub busy: u64,
}

impl MigrationSummary {
    pub fn add(&mut self, outcome: MigrationOutcome) {
        *match outcome {
            MigrationOutcome::Moved => &mut self.moved,
            MigrationOutcome::Already => &mut self.already,
            MigrationOutcome::Unpinned => &mut self.unpinned,
            MigrationOutcome::Closed => &mut self.closed,
            MigrationOutcome::Differs => &mut self.differ,
            MigrationOutcome::Busy => &mut self.busy,
        } += 1;
    }

    pub fn runs(&self) -> u64 {
        self.moved + self.already + self.unpinned + self.closed + self.stay()
    }

    /// Runs that are left on a module that they were to leave.
    pub fn stay(&self) -> u64 {
        self.differ + self.busy
    }
}

impl Engine {
    /// Moves open runs of a task queue to a module that was uploaded. What is reported as moved is durable. Where the
    /// results are read no longer, the runs that have not had their turn stay.
    pub async fn migrate_workflows(
        &self,
        namespace: &str,
        request: MigrationRequest,
    ) -> Result<(Module, Sweep<MigratedRun>), EngineError> {
        let MigrationRequest { to, from, mut runs } = request;
        runs.closed = 0;
        let digest = self.module_of(namespace, to.as_deref(), &runs.task_queue)?;
        let module = self.uploaded(namespace, &digest)?;
        // So that it is not deleted before the first run is pinned to it.
        let turn = self.shared().modules.hold(self.shared().namespaces.id(namespace)?, digest);
        let (shared, modules) = (Arc::clone(self.shared()), Arc::clone(&self.shared().modules));
        let sweep = self.sweep(namespace, digest, modules, runs, move |verifier, run| {
            let _ = &turn;
            Migration { shared: &shared, verifier, from: from.as_deref() }.migrate(run)
        });
        Ok((module, sweep.await?))
    }
}

struct Migration<'a> {
    shared: &'a Arc<Shared>,
    verifier: &'a Verifier,
    from: Option<&'a str>,
}

impl Migration<'_> {
    /// Nothing where the run has been deleted, or is pinned to a module that was not asked for.
    fn migrate(&self, chosen: &Chosen) -> Result<Option<MigratedRun>, EngineError> {
        let Some(row) = self.verifier.row(&chosen.run)? else { return Ok(None) };
        if self.from.is_some_and(|from| !row.module.starts_with(from)) {
            return Ok(None);
        }
        let to = self.verifier.digest.to_string();
        if let Some(outcome) = self.settled(&Checked::unread(row.clone()), &to) {
            return Ok(Some(MigratedRun { run: Checked::unread(row).run(chosen), outcome }));
        }
        let Some(mut checked) = self.verifier.check(&chosen.run)? else { return Ok(None) };
        for _ in 0..limits::MIGRATION_TRIES {
            if let Some(outcome) = self.settled(&checked, &to) {
                return Ok(Some(MigratedRun { run: checked.run(chosen), outcome }));
            }
            if !checked.verdict.is_exact() {
                return Ok(Some(MigratedRun { run: checked.run(chosen), outcome: MigrationOutcome::Differs }));
            }
            let wanted = Move {
                from: checked.row.module.clone(),
                to: to.clone(),
                verified_started_event_id: checked.verified_started_event_id,
            };
            let outcome = match self.ask(&chosen.run, wanted)? {
                Some(Moved::Moved) => Some(MigrationOutcome::Moved),
                Some(Moved::Closed) => Some(MigrationOutcome::Closed),
                Some(Moved::Changed) => None,
                None => return Ok(None),
            };
            if let Some(outcome) = outcome {
                return Ok(Some(MigratedRun { run: checked.run(chosen), outcome }));
            }
            if !self.verifier.check_rest(&chosen.run, &mut checked)? {
                return Ok(None);
            }
        }
        Ok(Some(MigratedRun { run: checked.run(chosen), outcome: MigrationOutcome::Busy }))
    }

    /// What can be said of a run without replaying it.
    fn settled(&self, checked: &Checked, to: &str) -> Option<MigrationOutcome> {
        match checked.row.module.as_str() {
            _ if !checked.is_open() => Some(MigrationOutcome::Closed),
            "" => Some(MigrationOutcome::Unpinned),
            pinned if pinned == to => Some(MigrationOutcome::Already),
            _ => None,
        }
    }

    /// Asks the run's shard to move it, and waits until that is durable. Nothing where the run has been deleted. After
    /// the answer the store shows everything that the shard knew.
    fn ask(&self, run: &RunKey, wanted: Move) -> Result<Option<Moved>, EngineError> {
        let (sender, receiver) = oneshot::channel();
        let (shared, sandbox_run) = (Arc::clone(self.shared), self.verifier.sandbox_run(run));
        let work: Work = Box::new(move |step| -> Reply {
            let moved = step.map(|step| step.move_to_module(&wanted));
            if matches!(moved, Ok(Moved::Moved)) {
                shared.sandbox.evict(&sandbox_run);
            }
            Box::new(move |durable| {
                // The sweep waits for it; where the server stops, nobody does.
                let _ = sender.send(durable.and(moved));
            })
        });
        let target =
            RunRef { workflow_id: run.workflow.workflow_id.clone(), run_id: run.run.to_string(), ..RunRef::default() };
        // Not refused where requests queue up: a sweep has no more of them under way than it has threads.
        let request = Request::Run { workflow: run.workflow.clone(), run: target, work };
        self.shared.shard_of(&run.workflow).notify(request);
        match receiver.blocking_recv() {
            Ok(Ok(moved)) => Ok(Some(moved)),
            Ok(Err(EngineError::WorkflowNotFound { .. })) => Ok(None),
            // Too much waits for this one run already.
            Ok(Err(EngineError::Overloaded(_))) => Ok(Some(Moved::Changed)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(crate::engine::stopped()),
        }
    }
}
