//! What is told of runs to whoever watches them, such as a tracing system: plain facts, each once it is durable.
//!
//! Each is told once by the server that made it so. One whose commit was the last thing before a crash is not told again:
//! nothing is stored for it.

use std::sync::Arc;

use mainspring_api::{
    enums::WorkflowExecutionStatus,
    history::{HistoryEvent, history_event::Attributes},
};
use mainspring_core::{
    RunState, Time,
    activity::EndedActivity,
    trace::{self, RunTrace},
};
use mainspring_sandbox::Digest;

use crate::run::LoadedRun;

/// It is called on the committer's thread, so it must not wait for anything.
pub trait Observer: Send + Sync {
    fn observe(&self, run: &Arc<ObservedRun>, fact: Fact);
}

/// What an engine is given to tell; clones tell the same one.
#[derive(Clone, Default)]
pub struct Observed(pub Option<Arc<dyn Observer>>);

impl std::fmt::Debug for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "observed" } else { "not observed" })
    }
}

/// The run that a fact is of.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedRun {
    pub namespace: String,
    pub workflow_id: String,
    pub run_id: String,
    pub workflow_type: String,
    pub task_queue: String,
    pub trace: RunTrace,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    RunClosed(ClosedRun),
    ActivityEnded(EndedActivity),
    Activated(Activated),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ClosedRun {
    /// Of a run that was made by a reset: when that was.
    pub start_time: Time,
    pub close_time: Time,
    pub status: WorkflowExecutionStatus,
    /// From 1; more where the workflow's retry policy has made the run.
    pub attempt: i32,
    /// Why, where it did not complete; empty where nothing is said.
    pub message: String,
    pub history_events: i64,
    /// The module that it is pinned to, as a lower-case hexadecimal digest; empty where no activation has completed.
    pub module: String,
}

/// One activation that has run, as part of a workflow task.
#[derive(Clone, Debug, PartialEq)]
pub struct Activated {
    pub module: Digest,
    /// The event id of the task's start.
    pub started_event_id: i64,
    pub attempt: i32,
    pub turn: TurnTaken,
}

/// What the sandbox did.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnTaken {
    pub began: Time,
    pub ended: Time,
    /// Events of the history that were taken for it, those of a replay among them.
    pub events: u64,
    /// Events that had to be replayed: 0 where the cached instance went on.
    pub replayed_events: u64,
    /// Replay included.
    pub fuel: u64,
    pub commands: usize,
    /// Why the workflow task failed.
    pub failure: Option<String>,
}

/// What a step has made true of a run, before it is written. `was_open` is none where the run did not exist before.
pub(crate) fn facts(
    run: &mut LoadedRun,
    was_open: Option<bool>,
    is_observed: bool,
) -> Option<(Arc<ObservedRun>, Vec<Fact>)> {
    let turns = std::mem::take(&mut run.pending.turns);
    let ended = std::mem::take(&mut run.pending.ended_activities);
    if !is_observed {
        return None;
    }
    let mut facts: Vec<Fact> = turns.into_iter().map(Fact::Activated).collect();
    facts.extend(ended.into_iter().map(Fact::ActivityEnded));
    if was_open != Some(false) && run.is_closed() {
        facts.push(Fact::RunClosed(closed(&run.state, &run.pending.events)));
    }
    if facts.is_empty() {
        return None;
    }
    let state = &run.state;
    let observed = ObservedRun {
        namespace: run.namespace.clone(),
        workflow_id: state.workflow_id().to_owned(),
        run_id: state.run_id.clone(),
        workflow_type: state.workflow_type().to_owned(),
        task_queue: state.task_queue().to_owned(),
        trace: RunTrace::of(&state.run_id, &state.started),
    };
    Some((Arc::new(observed), facts))
}

fn closed(state: &RunState, events: &[HistoryEvent]) -> ClosedRun {
    ClosedRun {
        start_time: state.start_time,
        close_time: state.close_time.unwrap_or(state.last_event_time),
        status: state.status,
        attempt: state.started.attempt.max(1),
        message: events.last().and_then(|event| event.attributes.as_ref()).map_or(String::new(), message),
        history_events: state.history_length(),
        module: state.module.clone().unwrap_or_default(),
    }
}

fn message(closed: &Attributes) -> String {
    match closed {
        Attributes::WorkflowExecutionFailedEventAttributes(failed) => {
            failed.failure.as_ref().map_or(String::new(), |failure| trace::shortened(&failure.message))
        }
        Attributes::WorkflowExecutionTerminatedEventAttributes(terminated) => trace::shortened(&terminated.reason),
        _ => String::new(),
    }
}
