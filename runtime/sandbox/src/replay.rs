//! Replaying a history, whole or bit by bit, to see whether a module repeats it.

use std::sync::Arc;

use mainspring_api::history::HistoryEvent;

use crate::{ReplayReport, RunKey, Sandbox, TaskFailure, driver::Run, module::Module};

/// A run that is replayed as its history comes in: see [`Sandbox::begin_replay`]. Nothing is logged, and the instance is
/// its own; it goes when this is dropped.
pub struct Replay {
    sandbox: Sandbox,
    run: Run,
    report: ReplayReport,
}

impl Replay {
    pub(crate) fn new(sandbox: Sandbox, module: Arc<Module>, key: &RunKey) -> Replay {
        let report = ReplayReport {
            events: 0,
            activations: 0,
            commands: 0,
            recorded_digest: None,
            module_digest: module.digest,
            fuel_used: 0,
        };
        let terms = sandbox.workshop().terms.clone();
        Replay { sandbox, run: Run::new(key.clone(), module, terms), report }
    }

    /// The last event that was taken; 0 before the first.
    pub fn position(&self) -> i64 {
        self.run.position()
    }

    /// Takes the events that follow, and compares. A workflow task that is under way at their end is left alone, and
    /// then nothing more can be taken: who wants to go on stops before its WorkflowTaskStarted.
    ///
    /// # Errors
    /// What differs first, or why the module could not be run. Nothing more can be taken afterwards.
    pub fn take(&mut self, events: &[HistoryEvent]) -> Result<&ReplayReport, TaskFailure> {
        let walk = self.run.walk(self.sandbox.workshop(), events, None)?;
        self.report.events += events.len() as u64;
        self.report.activations += walk.activations;
        self.report.commands += walk.matched_commands;
        self.report.fuel_used += walk.fuel_used;
        self.report.recorded_digest = self.run.recorded_digest().map(str::to_owned);
        Ok(&self.report)
    }

    /// What was compared so far.
    pub fn report(&self) -> &ReplayReport {
        &self.report
    }

    /// Refuses a module that holds no workflow of the run's type. In a run whose workflow has never had its turn nothing
    /// else would tell.
    pub fn check_workflow_type(&self) -> Result<(), TaskFailure> {
        self.run.check_type()
    }
}

/// Runs a history from its first event.
pub(crate) fn replay(mut replay: Replay, history: &[HistoryEvent]) -> Result<ReplayReport, TaskFailure> {
    if history.is_empty() {
        return Err(TaskFailure::history(0, "it has no events"));
    }
    replay.take(history)?;
    Ok(replay.report)
}
