//! Moving a run from the module that it is pinned to, to another one that repeats its history.
//!
//! The history holds no event of it: the next WorkflowTaskCompleted names the new module.

use crate::{RunState, Step};

/// A move that somebody has found possible, by replaying the run on the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The module that the run was pinned to then.
    pub from: String,
    pub to: String,
    /// The last workflow task that was replayed, as its start's event id; 0 where none had completed.
    pub verified_started_event_id: i64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    Moved,
    /// The run has closed: it stays what it is.
    Closed,
    /// It is pinned to another module than then, or a workflow task is under way or has completed since. What that did
    /// has to be replayed first.
    Changed,
}

impl RunState {
    /// The module that the run goes on with, as far as it is known: the one that it is pinned to, or else the one that its
    /// events name.
    pub fn module_or_build_id(&self) -> &str {
        self.module.as_deref().unwrap_or(&self.build_id)
    }
}

impl Step<'_> {
    /// Pins the run to another module, if nothing has come between that was not verified. Events that only wait for the
    /// workflow may have come: it will see them on the new module, and has done nothing about them.
    pub fn move_to_module(&mut self, wanted: &Move) -> Moved {
        if !self.state.is_running() {
            return Moved::Closed;
        }
        let unchanged = self.state.module.as_deref() == Some(wanted.from.as_str())
            && self.state.previous_started_event_id == wanted.verified_started_event_id
            && !self.state.has_started_workflow_task();
        if !unchanged {
            return Moved::Changed;
        }
        self.state.module = Some(wanted.to.clone());
        self.dirty = true;
        // A task that failed on the old module may well succeed on this one.
        self.retry_workflow_task_now();
        Moved::Moved
    }
}

#[cfg(test)]
mod tests {
    use mainspring_api::enums::WorkflowTaskFailedCause;

    use super::*;
    use crate::{Time, failure, signal::Signal, workflow::StartWorkflow, workflow_task::WorkflowTaskCompletion};

    const NOW: Time = Time(1_000_000_000);

    /// A run that has completed one workflow task on module "a".
    fn run() -> RunState {
        let mut state = RunState::new("run");
        let mut step = Step::new(&mut state, NOW);
        let start = StartWorkflow {
            workflow_id: "w".into(),
            workflow_type: "T".into(),
            task_queue: "q".into(),
            ..StartWorkflow::default()
        };
        step.begin(start);
        complete(&mut step);
        state.module = Some("a".into());
        state
    }

    fn complete(step: &mut Step<'_>) {
        let started_event_id = step.start_workflow_task("test", "request").unwrap();
        let completion = WorkflowTaskCompletion { started_event_id, attempt: 1, ..WorkflowTaskCompletion::default() };
        step.complete_workflow_task(completion, std::time::Duration::ZERO).unwrap();
    }

    fn signal(step: &mut Step<'_>) {
        step.signal(Signal { name: "s".into(), ..Signal::default() }).unwrap();
    }

    fn wanted(state: &RunState) -> Move {
        Move { from: "a".into(), to: "b".into(), verified_started_event_id: state.previous_started_event_id }
    }

    #[test]
    fn a_run_that_stands_where_it_was_verified_moves() {
        let mut state = run();
        let wanted = wanted(&state);
        let mut step = Step::new(&mut state, NOW);
        assert_eq!(step.move_to_module(&wanted), Moved::Moved);
        assert!(step.dirty && step.events.is_empty());
        assert_eq!((state.module_or_build_id(), state.row(None).module.as_str()), ("b", "b"));
    }

    #[test]
    fn what_waits_for_the_workflow_does_not_hold_it_back() {
        let mut state = run();
        let wanted = wanted(&state);
        let mut step = Step::new(&mut state, NOW);
        signal(&mut step);
        assert_eq!(step.move_to_module(&wanted), Moved::Moved);
    }

    #[test]
    fn what_the_workflow_has_done_since_must_be_verified_first() {
        let mut state = run();
        let before = wanted(&state);
        let mut step = Step::new(&mut state, NOW);
        signal(&mut step);
        step.start_workflow_task("test", "request").unwrap();
        assert_eq!(step.move_to_module(&before), Moved::Changed, "a task is under way");
        let mut state = run();
        let mut step = Step::new(&mut state, NOW);
        signal(&mut step);
        complete(&mut step);
        assert_eq!(step.move_to_module(&before), Moved::Changed, "a task has completed");
        let elsewhere = Move { from: "c".into(), ..wanted(step.state) };
        assert_eq!(step.move_to_module(&elsewhere), Moved::Changed, "it is pinned to another one");
        assert_eq!(state.module.as_deref(), Some("a"));
    }

    #[test]
    fn a_task_that_failed_is_tried_at_once_on_the_new_module() {
        let mut state = run();
        let wanted = wanted(&state);
        let mut step = Step::new(&mut state, NOW);
        signal(&mut step);
        let started = step.start_workflow_task("test", "request").unwrap();
        let (cause, pause) = (WorkflowTaskFailedCause::NonDeterministicError, std::time::Duration::from_secs(60));
        step.fail_workflow_task(started, 1, cause, failure::server("no"), "test", pause).unwrap();
        assert!(!step.state.has_ready_workflow_task(), "it waits for its next attempt");
        assert_eq!(step.move_to_module(&wanted), Moved::Moved);
        assert!(step.state.has_ready_workflow_task());
    }

    #[test]
    fn a_closed_run_stays() {
        let mut state = run();
        let wanted = wanted(&state);
        let mut step = Step::new(&mut state, NOW);
        step.terminate("enough", None, "test").unwrap();
        assert_eq!(step.move_to_module(&wanted), Moved::Closed);
    }
}
