//! Reset: a new run that shares the first events of another one, and goes its own way from a workflow task on.
//!
//! | the base run has | the new run gets |
//! | --- | --- |
//! | events before the chosen one | the same |
//! | a workflow task open there | WorkflowTaskStarted if it had not started, then WorkflowTaskFailed with the cause *reset* |
//! | an activity that had begun there | ActivityTaskFailed |
//! | an activity that had not | the activity, with all of its time |
//! | a timer open there | the timer, with the time that is left of it |
//! | a child open there | the child: what became of it later, and what will become of it |
//! | signals after it | WorkflowExecutionSignaled, unless excluded |
//! | updates accepted after it | WorkflowExecutionUpdateAdmitted, unless excluded |
//! | anything else after it | nothing |
//!
//! A child that was started only after that point belongs to the base run; the new run may start it again.

use std::collections::BTreeMap;

use mainspring_api::{
    enums::{
        EventType, ResetReapplyExcludeType, ResetReapplyType, RetryState, UpdateAdmittedEventOrigin,
        WorkflowTaskFailedCause,
    },
    history::{
        ActivityTaskFailedEventAttributes, HistoryEvent, WorkflowExecutionUpdateAdmittedEventAttributes,
        WorkflowTaskFailedEventAttributes, history_event::Attributes,
    },
    update::Request,
};

use crate::{
    Rejection, RunState, Step, Time, child, command::is_command_event, failure, outbox::HISTORY_SERVICE,
    state::BadHistory,
};

/// What a reset is to do.
#[derive(Clone, Debug, Default)]
pub struct ResetRequest {
    /// The first event that the new run does not share: the WorkflowTaskCompleted, …Failed, …TimedOut or …Started of the
    /// task that is to be done again.
    pub workflow_task_finish_event_id: i64,
    pub reason: String,
    /// The same request is the same reset: it becomes the new run's start request id.
    pub request_id: String,
    pub exclude: Exclude,
}

/// What is not carried over from behind the reset point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exclude {
    pub signals: bool,
    pub updates: bool,
}

/// A run that a reset has made.
#[derive(Clone, Debug, PartialEq)]
pub struct ResetRun {
    pub state: RunState,
    /// All of its events, those that it shares included.
    pub events: Vec<HistoryEvent>,
}

impl Exclude {
    /// From a request: the deprecated field that says what is carried over, and the one that says what is not.
    pub fn of(included: ResetReapplyType, excluded: &[ResetReapplyExcludeType]) -> Exclude {
        Exclude {
            signals: included == ResetReapplyType::None || excluded.contains(&ResetReapplyExcludeType::Signal),
            updates: matches!(included, ResetReapplyType::None | ResetReapplyType::Signal)
                || excluded.contains(&ResetReapplyExcludeType::Update),
        }
    }
}

/// The event to reset to, so that the first workflow task that completed is done again. Where none has completed: the
/// one behind the first that was scheduled.
pub fn first_workflow_task(events: &[HistoryEvent]) -> Option<i64> {
    let completed = events.iter().find(|event| event.event_type() == EventType::WorkflowTaskCompleted);
    completed.map(|event| event.event_id).or_else(|| behind_first_scheduled(events))
}

/// The event to reset to, so that the last workflow task that completed is done again.
pub fn last_workflow_task(events: &[HistoryEvent]) -> Option<i64> {
    let completed = events.iter().rfind(|event| event.event_type() == EventType::WorkflowTaskCompleted);
    completed.map(|event| event.event_id).or_else(|| behind_first_scheduled(events))
}

fn behind_first_scheduled(events: &[HistoryEvent]) -> Option<i64> {
    let scheduled = events.iter().find(|event| event.event_type() == EventType::WorkflowTaskScheduled)?;
    Some(scheduled.event_id + 1)
}

/// Makes the new run. `base` is the whole history of the run that is reset; `later` are the events of the runs that it
/// went on in, oldest first. The latest of all of them, if it still runs, is to be terminated in the same batch, by
/// [`crate::outbox::HISTORY_RESETTER`].
pub fn reset(
    base_run_id: &str,
    base: &[HistoryEvent],
    later: &[HistoryEvent],
    new_run_id: &str,
    request: &ResetRequest,
    now: Time,
) -> Result<ResetRun, Rejection> {
    let finish = request.workflow_task_finish_event_id;
    let next_event_id = i64::try_from(base.len()).unwrap_or(i64::MAX).saturating_add(1);
    if finish <= 1 || finish >= next_event_id {
        let message = "Workflow task finish ID must be > 1 && <= workflow last event ID.";
        return Err(Rejection::invalid(message));
    }
    let (shared, rest) = base.split_at(usize::try_from(finish - 1).unwrap_or(usize::MAX).min(base.len()));
    if let (Some(last), Some(next)) = (shared.last(), rest.first())
        && are_of_one_step(last, next)
    {
        return Err(Rejection::invalid(format!(
            "StateRebuilder unable to Rebuild mutable state to event ID: {}, version: 0, this event must be at the boundary",
            last.event_id
        )));
    }
    let damaged = |error: BadHistory| Rejection::FailedPrecondition(format!("the history cannot be read: {error}"));
    let mut state = RunState::fold(new_run_id, shared).map_err(damaged)?;
    if state.workflow_task.is_none() {
        return Err(Rejection::invalid(format!(
            "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: {finish}"
        )));
    }
    state.start_request_id.clone_from(&request.request_id);
    let mut step = Step::new(&mut state, now);
    step.fail_reset_workflow_task(base_run_id, new_run_id, &request.reason)?;
    step.fail_begun_activities(shared, &request.reason);
    for event in rest {
        step.reapply(event, request.exclude);
        step.reapply_child(event);
    }
    for event in later {
        step.reapply(event, request.exclude);
    }
    step.schedule_workflow_task();
    let events = shared.iter().cloned().chain(step.events).collect();
    Ok(ResetRun { state, events })
}

/// Whether Temporal would have written the two events together, so that a reset cannot come between: what a workflow
/// asks for stands with the end of its turn, and a turn is scheduled with what it is for.
fn are_of_one_step(event: &HistoryEvent, next: &HistoryEvent) -> bool {
    let alone = event.event_type() == EventType::WorkflowTaskCompleted;
    is_command_event(next) || (next.event_type() == EventType::WorkflowTaskScheduled && !alone)
}

impl Step<'_> {
    fn fail_reset_workflow_task(&mut self, base_run_id: &str, new_run_id: &str, reason: &str) -> Result<(), Rejection> {
        if !self.state.has_started_workflow_task() {
            self.start_workflow_task(HISTORY_SERVICE, "")?;
        }
        let (scheduled_event_id, started_event_id) =
            self.state.workflow_task.as_ref().map_or((0, 0), |task| (task.scheduled_event_id, task.started_event_id));
        let failed = WorkflowTaskFailedEventAttributes {
            scheduled_event_id,
            started_event_id,
            cause: WorkflowTaskFailedCause::ResetWorkflow.into(),
            failure: Some(failure::reset(reason)),
            identity: HISTORY_SERVICE.into(),
            base_run_id: base_run_id.to_owned(),
            new_run_id: new_run_id.to_owned(),
            ..Default::default()
        };
        self.record(failed.into());
        Ok(())
    }

    /// An activity's start stands in the history right before its end: one that has only the start was cut in between.
    fn fail_begun_activities(&mut self, shared: &[HistoryEvent], reason: &str) {
        let mut begun = BTreeMap::new();
        for event in shared {
            if let Some(Attributes::ActivityTaskStartedEventAttributes(started)) = &event.attributes
                && self.state.activities.contains_key(&started.scheduled_event_id)
            {
                begun.insert(started.scheduled_event_id, (event.event_id, started.identity.clone()));
            }
        }
        for (scheduled_event_id, (started_event_id, identity)) in begun {
            let failed = ActivityTaskFailedEventAttributes {
                failure: Some(failure::reset(reason)),
                scheduled_event_id,
                started_event_id,
                identity,
                retry_state: RetryState::NonRetryableFailure.into(),
                ..Default::default()
            };
            self.record(failed.into());
        }
    }

    /// Carries over what clients have sent to the run before.
    fn reapply(&mut self, event: &HistoryEvent, exclude: Exclude) {
        match &event.attributes {
            Some(signaled @ Attributes::WorkflowExecutionSignaledEventAttributes(_)) if !exclude.signals => {
                self.record(signaled.clone());
            }
            Some(Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(admitted)) if !exclude.updates => {
                self.readmit(admitted.request.as_ref());
            }
            // One without a request was admitted by an event, which has been carried over already.
            Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(accepted)) if !exclude.updates => {
                self.readmit(accepted.accepted_request.as_ref());
            }
            _ => {}
        }
    }

    fn readmit(&mut self, request: Option<&Request>) {
        let update_id = request.and_then(|request| request.meta.as_ref()).map_or("", |meta| &meta.update_id);
        if request.is_some() && !self.state.updates.contains_key(update_id) {
            let admitted = WorkflowExecutionUpdateAdmittedEventAttributes {
                request: request.cloned(),
                origin: UpdateAdmittedEventOrigin::Reapply.into(),
            };
            self.record(admitted.into());
        }
    }

    /// Carries over what became of the children that the two runs share.
    fn reapply_child(&mut self, event: &HistoryEvent) {
        let Some(attributes) = &event.attributes else { return };
        let about = match attributes {
            Attributes::ChildWorkflowExecutionStartedEventAttributes(started) => Some(started.initiated_event_id),
            other => child::ended(other),
        };
        if about.is_some_and(|initiated_event_id| self.state.children.contains_key(&initiated_event_id)) {
            let mut attributes = attributes.clone();
            self.state.set_child_started_event_id(&mut attributes);
            self.record(attributes);
        }
    }

    /// The run was reset: another one has taken its place, and news for this one go there.
    pub fn note_reset(&mut self, new_run_id: &str) {
        new_run_id.clone_into(&mut self.state.reset_run_id);
        self.dirty = true;
    }
}
