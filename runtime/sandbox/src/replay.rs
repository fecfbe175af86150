//! Replaying a whole history, to see whether a module repeats it.

use std::sync::Arc;

use mainspring_api::history::HistoryEvent;

use crate::{
    ReplayReport, RunKey, TaskFailure,
    driver::{Run, Workshop},
    module::Module,
};

/// Runs a history from its first event. Nothing is logged and nothing is kept.
pub fn replay(
    workshop: &Workshop,
    module: Arc<Module>,
    key: &RunKey,
    history: &[HistoryEvent],
) -> Result<ReplayReport, TaskFailure> {
    if history.is_empty() {
        return Err(TaskFailure::history(0, "it has no events"));
    }
    let module_digest = module.digest;
    let mut run = Run::new(key.clone(), module, workshop.terms.clone());
    let walk = run.walk(workshop, history, None)?;
    Ok(ReplayReport {
        events: history.len() as u64,
        activations: walk.activations,
        commands: walk.matched_commands,
        recorded_digest: run.recorded_digest().map(str::to_owned),
        module_digest,
        fuel_used: walk.fuel_used,
    })
}
