//! One input to a run: what it decides, and what it has changed.

use std::collections::BTreeSet;

use mainspring_api::{
    enums::EventType,
    history::{HistoryEvent, history_event::Attributes},
    sdk::UserMetadata,
};

use crate::{RunState, Time, activity::EndedActivity, continue_as_new::Successor, outbox::Effect, update::News};

/// What a step has to know of the world around the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setting {
    /// The run's namespace, as events name it.
    pub namespace: String,
    pub namespace_id: String,
    /// The id that the run gets with which this one goes on, should the step come to that. Never empty where a workflow
    /// task completes or time passes.
    pub new_run_id: String,
}

/// A step in the making. Inputs are its methods, one file for each noun; each either refuses, having changed nothing,
/// or records events. Several inputs can share a step: they are committed together.
pub struct Step<'a> {
    pub state: &'a mut RunState,
    pub now: Time,
    /// The new events, in order; they are in `state` already.
    pub events: Vec<HistoryEvent>,
    /// Activities (by scheduled event id) whose row has changed, or that are open no longer.
    pub touched_activities: BTreeSet<i64>,
    /// Activities that are ready for a worker now and were not before.
    pub ready_activities: BTreeSet<i64>,
    /// Activities that have ended, or that their run's end has cut off: what is told of them elsewhere.
    pub ended_activities: Vec<EndedActivity>,
    /// What is to be done to other runs once the step is durable.
    pub effects: Vec<Effect>,
    /// The memo or the search attributes have changed: what lists show is out of date.
    pub attributes_changed: bool,
    /// What those learn who wait for updates, once the step is durable.
    pub update_news: Vec<News>,
    /// The run has closed, and goes on in this one: both are written together. See [`Step::begin_successor`].
    pub successor: Option<Successor>,
    /// Anything at all has changed that must be stored.
    pub dirty: bool,
    pub(crate) setting: Setting,
}

impl<'a> Step<'a> {
    /// Begins a step. Time does not run backwards within a run, whatever the clock does.
    pub fn new(state: &'a mut RunState, now: Time) -> Step<'a> {
        Step::within(state, now, Setting::default())
    }

    /// The same, for inputs that may touch other runs: the end of a workflow task, time, children.
    pub fn within(state: &'a mut RunState, now: Time, setting: Setting) -> Step<'a> {
        let now = now.max(state.last_event_time);
        Step {
            state,
            now,
            events: Vec::new(),
            touched_activities: BTreeSet::new(),
            ready_activities: BTreeSet::new(),
            ended_activities: Vec::new(),
            effects: Vec::new(),
            attributes_changed: false,
            update_news: Vec::new(),
            successor: None,
            dirty: false,
            setting,
        }
    }

    /// Records an event, and returns its id.
    pub(crate) fn record(&mut self, attributes: Attributes) -> i64 {
        self.record_with(attributes, None)
    }

    pub(crate) fn record_with(&mut self, attributes: Attributes, user_metadata: Option<UserMetadata>) -> i64 {
        self.make_workflow_task_durable();
        let mut event = self.event(attributes);
        event.user_metadata = user_metadata;
        self.append(event)
    }

    /// Records an event that something outside has caused: now, or, while a workflow task runs, once that has ended.
    pub(crate) fn record_or_buffer(&mut self, attributes: Attributes) {
        // Making room for it may have ended the run.
        if !self.state.is_running() {
            return;
        }
        self.make_workflow_task_durable();
        let event = self.event(attributes);
        if self.state.has_started_workflow_task() {
            self.dirty = true;
            self.state.note(&event);
            self.state.buffered.push(event);
        } else {
            self.append(event);
        }
    }

    /// Gives the buffered events their ids, in their order. Returns whether there were any.
    pub(crate) fn flush_buffered(&mut self) -> bool {
        let buffered = std::mem::take(&mut self.state.buffered);
        let any = !buffered.is_empty();
        // An activity's start and end are buffered one after the other, so the end can only now learn the start's id.
        let mut last_id = 0;
        for mut event in buffered {
            if let Some(end) = &mut event.attributes {
                crate::activity::set_started_event_id(end, last_id);
                self.state.set_child_started_event_id(end);
            }
            // Part of the history from now on: its time must not lie before that of the event ahead of it.
            event.event_time = Some(self.now.to_proto());
            last_id = self.append(event);
        }
        any
    }

    pub(crate) fn event(&self, attributes: Attributes) -> HistoryEvent {
        HistoryEvent {
            event_time: Some(self.now.to_proto()),
            event_type: event_type(&attributes).into(),
            attributes: Some(attributes),
            ..Default::default()
        }
    }

    fn append(&mut self, mut event: HistoryEvent) -> i64 {
        event.event_id = self.state.next_event_id;
        let event_id = event.event_id;
        if closes(&event) {
            self.touched_activities.extend(self.state.activities.keys().copied());
            let cut_off = std::mem::take(&mut self.state.activities).into_values();
            self.ended_activities.extend(cut_off.map(|activity| EndedActivity::cut_off(activity, self.now)));
            let admitted = std::mem::take(&mut self.state.registry);
            self.state.apply(&event);
            self.abort_updates(admitted, goes_on_as(&event).is_some());
            self.take_effects_of_close();
        } else {
            self.ended_activities.extend(self.state.take_ended_activity(&event, self.now));
            self.state.apply(&event);
        }
        if !self.state.is_running() {
            self.ready_activities.clear();
        }
        self.dirty = true;
        self.events.push(event);
        event_id
    }
}

fn closes(event: &HistoryEvent) -> bool {
    matches!(
        event.event_type(),
        EventType::WorkflowExecutionCompleted
            | EventType::WorkflowExecutionFailed
            | EventType::WorkflowExecutionCanceled
            | EventType::WorkflowExecutionTerminated
            | EventType::WorkflowExecutionTimedOut
            | EventType::WorkflowExecutionContinuedAsNew
    )
}

/// The run that the event of a closed one names as its successor.
pub fn goes_on_as(event: &HistoryEvent) -> Option<&str> {
    use Attributes as A;
    let run_id = match event.attributes.as_ref()? {
        A::WorkflowExecutionCompletedEventAttributes(closed) => &closed.new_execution_run_id,
        A::WorkflowExecutionFailedEventAttributes(closed) => &closed.new_execution_run_id,
        A::WorkflowExecutionTimedOutEventAttributes(closed) => &closed.new_execution_run_id,
        A::WorkflowExecutionContinuedAsNewEventAttributes(closed) => &closed.new_execution_run_id,
        _ => return None,
    };
    Some(run_id.as_str()).filter(|run_id| !run_id.is_empty())
}

/// The type that belongs to the attributes, of the events that this crate records.
fn event_type(attributes: &Attributes) -> EventType {
    use Attributes as A;
    match attributes {
        A::WorkflowExecutionStartedEventAttributes(_) => EventType::WorkflowExecutionStarted,
        A::WorkflowExecutionCompletedEventAttributes(_) => EventType::WorkflowExecutionCompleted,
        A::WorkflowExecutionFailedEventAttributes(_) => EventType::WorkflowExecutionFailed,
        A::WorkflowExecutionTimedOutEventAttributes(_) => EventType::WorkflowExecutionTimedOut,
        A::WorkflowExecutionTerminatedEventAttributes(_) => EventType::WorkflowExecutionTerminated,
        A::WorkflowExecutionCanceledEventAttributes(_) => EventType::WorkflowExecutionCanceled,
        A::WorkflowExecutionSignaledEventAttributes(_) => EventType::WorkflowExecutionSignaled,
        A::WorkflowExecutionCancelRequestedEventAttributes(_) => EventType::WorkflowExecutionCancelRequested,
        A::WorkflowTaskScheduledEventAttributes(_) => EventType::WorkflowTaskScheduled,
        A::WorkflowTaskStartedEventAttributes(_) => EventType::WorkflowTaskStarted,
        A::WorkflowTaskCompletedEventAttributes(_) => EventType::WorkflowTaskCompleted,
        A::WorkflowTaskFailedEventAttributes(_) => EventType::WorkflowTaskFailed,
        A::WorkflowTaskTimedOutEventAttributes(_) => EventType::WorkflowTaskTimedOut,
        A::ActivityTaskScheduledEventAttributes(_) => EventType::ActivityTaskScheduled,
        A::ActivityTaskStartedEventAttributes(_) => EventType::ActivityTaskStarted,
        A::ActivityTaskCompletedEventAttributes(_) => EventType::ActivityTaskCompleted,
        A::ActivityTaskFailedEventAttributes(_) => EventType::ActivityTaskFailed,
        A::ActivityTaskTimedOutEventAttributes(_) => EventType::ActivityTaskTimedOut,
        A::ActivityTaskCancelRequestedEventAttributes(_) => EventType::ActivityTaskCancelRequested,
        A::ActivityTaskCanceledEventAttributes(_) => EventType::ActivityTaskCanceled,
        A::TimerStartedEventAttributes(_) => EventType::TimerStarted,
        A::TimerFiredEventAttributes(_) => EventType::TimerFired,
        A::TimerCanceledEventAttributes(_) => EventType::TimerCanceled,
        A::WorkflowExecutionContinuedAsNewEventAttributes(_) => EventType::WorkflowExecutionContinuedAsNew,
        A::WorkflowExecutionUpdateAdmittedEventAttributes(_) => EventType::WorkflowExecutionUpdateAdmitted,
        A::WorkflowExecutionUpdateAcceptedEventAttributes(_) => EventType::WorkflowExecutionUpdateAccepted,
        A::WorkflowExecutionUpdateCompletedEventAttributes(_) => EventType::WorkflowExecutionUpdateCompleted,
        A::StartChildWorkflowExecutionInitiatedEventAttributes(_) => EventType::StartChildWorkflowExecutionInitiated,
        A::StartChildWorkflowExecutionFailedEventAttributes(_) => EventType::StartChildWorkflowExecutionFailed,
        A::ChildWorkflowExecutionStartedEventAttributes(_) => EventType::ChildWorkflowExecutionStarted,
        A::ChildWorkflowExecutionCompletedEventAttributes(_) => EventType::ChildWorkflowExecutionCompleted,
        A::ChildWorkflowExecutionFailedEventAttributes(_) => EventType::ChildWorkflowExecutionFailed,
        A::ChildWorkflowExecutionCanceledEventAttributes(_) => EventType::ChildWorkflowExecutionCanceled,
        A::ChildWorkflowExecutionTimedOutEventAttributes(_) => EventType::ChildWorkflowExecutionTimedOut,
        A::ChildWorkflowExecutionTerminatedEventAttributes(_) => EventType::ChildWorkflowExecutionTerminated,
        A::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(_) => {
            EventType::RequestCancelExternalWorkflowExecutionInitiated
        }
        A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(_) => {
            EventType::RequestCancelExternalWorkflowExecutionFailed
        }
        A::ExternalWorkflowExecutionCancelRequestedEventAttributes(_) => {
            EventType::ExternalWorkflowExecutionCancelRequested
        }
        A::SignalExternalWorkflowExecutionInitiatedEventAttributes(_) => {
            EventType::SignalExternalWorkflowExecutionInitiated
        }
        A::SignalExternalWorkflowExecutionFailedEventAttributes(_) => EventType::SignalExternalWorkflowExecutionFailed,
        A::ExternalWorkflowExecutionSignaledEventAttributes(_) => EventType::ExternalWorkflowExecutionSignaled,
        A::MarkerRecordedEventAttributes(_) => EventType::MarkerRecorded,
        A::UpsertWorkflowSearchAttributesEventAttributes(_) => EventType::UpsertWorkflowSearchAttributes,
        A::WorkflowPropertiesModifiedEventAttributes(_) => EventType::WorkflowPropertiesModified,
        _ => EventType::Unspecified,
    }
}
