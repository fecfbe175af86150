//! A run's state: the fold of its events, and what the rows add to it.

use std::collections::{BTreeMap, BTreeSet};

use mainspring_api::{
    common::{Memo, Payloads, SearchAttributes},
    enums::{WorkflowExecutionStatus, WorkflowTaskFailedCause},
    history::{
        HistoryEvent, WorkflowExecutionStartedEventAttributes, WorkflowTaskFailedEventAttributes,
        history_event::Attributes,
    },
};
use prost::Message as _;

use crate::{
    Time,
    activity::Activity,
    child::{self, Child},
    external::{self, External, Message},
    outbox::Effect,
    time,
    update::{Registry, Update},
    workflow_task::WorkflowTask,
};

/// Everything that deciding about a run needs to know.
///
/// Fields that the comment calls *row* are no part of the fold: they come from [`crate::rows`]. Those that it calls
/// *memory* are stored nowhere: see [`RunState::after_crash`].
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    pub run_id: String,
    pub started: WorkflowExecutionStartedEventAttributes,
    /// When the run started, or was made by a reset.
    pub start_time: Time,
    /// When the events say that it started.
    pub original_start_time: Time,
    pub user_metadata: Option<mainspring_api::sdk::UserMetadata>,
    pub status: WorkflowExecutionStatus,
    pub close_time: Option<Time>,
    /// The id that the next event gets; the history has one event less.
    pub next_event_id: i64,
    /// Encoded bytes of all events.
    pub history_bytes: i64,
    pub last_event_time: Time,
    /// The last workflow task that completed, as its start's event id; 0 before the first.
    pub previous_started_event_id: i64,
    /// Which module the last completed workflow task ran on: the lower-case hexadecimal digest, or a worker's build id.
    pub build_id: String,
    pub memo: Option<Memo>,
    pub search_attributes: Option<SearchAttributes>,
    pub cancel_requested: bool,
    pub signal_count: usize,
    /// Request ids of the signals taken, so that a repeated one is known.
    pub signal_request_ids: BTreeSet<String>,
    /// Open activities by scheduled event id.
    pub activities: BTreeMap<i64, Activity>,
    /// Open timers by timer id.
    pub timers: BTreeMap<String, Timer>,
    /// Children that have not closed, by initiated event id.
    pub children: BTreeMap<i64, Child>,
    /// Messages to other workflows that are on their way, by initiated event id.
    pub external: BTreeMap<i64, External>,
    /// What a run that has closed still has to do to others, by [`Effect::key`]; what is done of it is *row*.
    pub outbox: BTreeMap<i64, Effect>,
    /// The latest reset that this run comes from.
    pub reset: Option<Reset>,
    /// *Row.* The run that a reset of this one has made.
    pub reset_run_id: String,
    /// Updates by id, as far as events tell of them.
    pub updates: BTreeMap<String, Update>,
    /// *Memory.* Updates that no event tells of yet.
    pub registry: Registry,
    /// The workflow task that is scheduled or under way. Mostly *row*: see there; a speculative one is *memory*.
    pub workflow_task: Option<WorkflowTask>,
    /// *Row.* The module that the run is pinned to, from its first activation on; a lower-case hexadecimal digest.
    pub module: Option<String>,
    /// *Row.* The request that started the run.
    pub start_request_id: String,
    /// *Row.* Events that arrived while a workflow task ran; they have no ids yet.
    pub buffered: Vec<HistoryEvent>,
    /// *Row.* How many steps have changed the run.
    pub transitions: i64,
}

/// A run began as a copy of another one's first events.
#[derive(Clone, Debug, PartialEq)]
pub struct Reset {
    pub time: Time,
    /// The runs that it was made from, one reset after the other; the last is this reset's.
    pub base_run_ids: Vec<String>,
    pub run_id: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Timer {
    pub started_event_id: i64,
    pub fires_at: Time,
}

/// Why a history is no history. Whatever is read from disk or from a file is checked by folding it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("event {event_id}: {problem}")]
pub struct BadHistory {
    pub event_id: i64,
    pub problem: String,
}

impl RunState {
    /// The state of a run that has no event yet.
    pub(crate) fn empty(run_id: &str) -> RunState {
        RunState {
            run_id: run_id.to_owned(),
            started: WorkflowExecutionStartedEventAttributes::default(),
            start_time: Time::default(),
            original_start_time: Time::default(),
            user_metadata: None,
            status: WorkflowExecutionStatus::Running,
            close_time: None,
            next_event_id: 1,
            history_bytes: 0,
            last_event_time: Time::default(),
            previous_started_event_id: 0,
            build_id: String::new(),
            memo: None,
            search_attributes: None,
            cancel_requested: false,
            signal_count: 0,
            signal_request_ids: BTreeSet::new(),
            activities: BTreeMap::new(),
            timers: BTreeMap::new(),
            children: BTreeMap::new(),
            external: BTreeMap::new(),
            outbox: BTreeMap::new(),
            reset: None,
            reset_run_id: String::new(),
            updates: BTreeMap::new(),
            registry: Registry::default(),
            workflow_task: None,
            module: None,
            start_request_id: String::new(),
            buffered: Vec::new(),
            transitions: 0,
        }
    }

    /// Folds a whole history.
    pub fn fold<'a>(run_id: &str, events: impl IntoIterator<Item = &'a HistoryEvent>) -> Result<RunState, BadHistory> {
        let mut state = RunState::empty(run_id);
        for event in events {
            state.check_sequence(event)?;
            state.apply(event);
        }
        if state.next_event_id == 1 {
            return Err(BadHistory { event_id: 1, problem: "the history is empty".into() });
        }
        Ok(state)
    }

    fn check_sequence(&self, event: &HistoryEvent) -> Result<(), BadHistory> {
        let problem = |problem: String| Err(BadHistory { event_id: event.event_id, problem });
        if event.event_id != self.next_event_id {
            return problem(format!("out of sequence: event {} was expected here", self.next_event_id));
        }
        let begins = matches!(event.attributes, Some(Attributes::WorkflowExecutionStartedEventAttributes(_)));
        match &event.attributes {
            None => problem(format!("{} has no attributes", event.event_type().as_str_name())),
            Some(_) if begins != (event.event_id == 1) => {
                problem(format!("{} cannot stand here", event.event_type().as_str_name()))
            }
            Some(_) if !self.is_running() => problem("stands after the event that closed the run".into()),
            Some(_) => Ok(()),
        }
    }

    /// Folds one event in. Total: an event that makes no sense here changes only the counters, because what was
    /// committed must be readable for ever.
    pub fn apply(&mut self, event: &HistoryEvent) {
        let at = event.event_time.as_ref().map(Time::from_proto).unwrap_or_default();
        self.next_event_id = event.event_id + 1;
        self.history_bytes += i64::try_from(event.encoded_len()).unwrap_or(i64::MAX);
        self.last_event_time = at;
        let Some(attributes) = &event.attributes else {
            return;
        };
        match attributes {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => {
                self.started = started.clone();
                self.memo = started.memo.clone();
                self.search_attributes = started.search_attributes.clone();
                self.user_metadata = event.user_metadata.clone();
                self.start_time = at;
                self.original_start_time = at;
            }
            Attributes::WorkflowExecutionSignaledEventAttributes(signaled) => {
                self.signal_count += 1;
                if !signaled.request_id.is_empty() {
                    self.signal_request_ids.insert(signaled.request_id.clone());
                }
            }
            Attributes::WorkflowExecutionCancelRequestedEventAttributes(_) => self.cancel_requested = true,
            Attributes::WorkflowTaskScheduledEventAttributes(scheduled) => {
                self.apply_workflow_task_scheduled(event.event_id, at, scheduled);
            }
            Attributes::WorkflowTaskStartedEventAttributes(started) => {
                self.apply_workflow_task_started(event.event_id, at, started);
            }
            Attributes::WorkflowTaskCompletedEventAttributes(completed) => {
                self.previous_started_event_id = completed.started_event_id;
                if let Some(stamp) = &completed.worker_version {
                    self.build_id.clone_from(&stamp.build_id);
                }
                self.workflow_task = None;
            }
            Attributes::WorkflowTaskFailedEventAttributes(failed) => {
                self.workflow_task = None;
                self.apply_reset(at, failed);
            }
            Attributes::WorkflowTaskTimedOutEventAttributes(_) => self.workflow_task = None,
            Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
                let activity = Activity::scheduled(event.event_id, at, scheduled.clone());
                self.activities.insert(event.event_id, activity);
            }
            Attributes::ActivityTaskCancelRequestedEventAttributes(requested) => {
                if let Some(activity) = self.activities.get_mut(&requested.scheduled_event_id) {
                    activity.cancel_requested_event_id = Some(event.event_id);
                }
            }
            Attributes::ActivityTaskCompletedEventAttributes(closed) => {
                self.activities.remove(&closed.scheduled_event_id);
            }
            Attributes::ActivityTaskFailedEventAttributes(closed) => {
                self.activities.remove(&closed.scheduled_event_id);
            }
            Attributes::ActivityTaskTimedOutEventAttributes(closed) => {
                self.activities.remove(&closed.scheduled_event_id);
            }
            Attributes::ActivityTaskCanceledEventAttributes(closed) => {
                self.activities.remove(&closed.scheduled_event_id);
            }
            Attributes::TimerStartedEventAttributes(started) => {
                let fires_at = at.after(time::duration(started.start_to_fire_timeout.as_ref()));
                let timer = Timer { started_event_id: event.event_id, fires_at };
                self.timers.insert(started.timer_id.clone(), timer);
            }
            Attributes::TimerFiredEventAttributes(fired) => {
                self.timers.remove(&fired.timer_id);
            }
            Attributes::TimerCanceledEventAttributes(canceled) => {
                self.timers.remove(&canceled.timer_id);
            }
            Attributes::WorkflowExecutionCompletedEventAttributes(_) => {
                self.close(WorkflowExecutionStatus::Completed, at, attributes);
            }
            Attributes::WorkflowExecutionFailedEventAttributes(_) => {
                self.close(WorkflowExecutionStatus::Failed, at, attributes);
            }
            Attributes::WorkflowExecutionCanceledEventAttributes(_) => {
                self.close(WorkflowExecutionStatus::Canceled, at, attributes);
            }
            Attributes::WorkflowExecutionTerminatedEventAttributes(_) => {
                self.close(WorkflowExecutionStatus::Terminated, at, attributes);
            }
            Attributes::WorkflowExecutionTimedOutEventAttributes(_) => {
                self.close(WorkflowExecutionStatus::TimedOut, at, attributes);
            }
            Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_) => {
                self.close(WorkflowExecutionStatus::ContinuedAsNew, at, attributes);
            }
            Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(admitted) => {
                self.apply_update_admitted(event.event_id, admitted);
            }
            Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(accepted) => {
                self.apply_update_accepted(event.event_id, accepted);
            }
            Attributes::WorkflowExecutionUpdateCompletedEventAttributes(completed) => {
                self.apply_update_completed(event.event_id, completed);
            }
            Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(initiated) => {
                self.apply_child_initiated(event.event_id, initiated, event.user_metadata.as_ref());
            }
            Attributes::ChildWorkflowExecutionStartedEventAttributes(started) => {
                self.apply_child_started(event.event_id, started);
            }
            Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(initiated) => {
                self.apply_external_initiated(event.event_id, Message::Signal(initiated.clone()));
            }
            Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(initiated) => {
                self.apply_external_initiated(event.event_id, Message::Cancel(initiated.clone()));
            }
            Attributes::UpsertWorkflowSearchAttributesEventAttributes(upserted) => {
                self.apply_search_attributes(upserted);
            }
            Attributes::WorkflowPropertiesModifiedEventAttributes(modified) => self.apply_memo(modified),
            // The ends of children and of messages to others; the remaining types change nothing that this state holds.
            other => {
                child::ended(other).map(|initiated_event_id| self.children.remove(&initiated_event_id));
                external::answered(other).map(|initiated_event_id| self.external.remove(&initiated_event_id));
            }
        }
    }

    /// From here on this run goes its own way. What was under way begins anew; timers keep their time.
    fn apply_reset(&mut self, at: Time, failed: &WorkflowTaskFailedEventAttributes) {
        if failed.cause() != WorkflowTaskFailedCause::ResetWorkflow || failed.new_run_id.is_empty() {
            return;
        }
        self.start_time = at;
        for activity in self.activities.values_mut() {
            activity.scheduled_time = at;
            activity.attempt_scheduled_time = at;
        }
        let mut base_run_ids = self.reset.take().map_or(Vec::new(), |reset| reset.base_run_ids);
        base_run_ids.push(failed.base_run_id.clone());
        self.reset = Some(Reset { time: at, base_run_ids, run_id: failed.new_run_id.clone() });
    }

    /// A closed run has no open work: all of it is forgotten, but for what it still has to do to other runs.
    fn close(&mut self, status: WorkflowExecutionStatus, at: Time, closed: &Attributes) {
        self.outbox = self.effects_of_close(closed);
        self.status = status;
        self.close_time = Some(at);
        self.children.clear();
        self.external.clear();
        self.activities.clear();
        self.timers.clear();
        self.workflow_task = None;
        self.buffered.clear();
        self.registry = Registry::default();
    }

    /// What a crash leaves of the state: all that events and rows hold.
    #[must_use]
    pub fn after_crash(&self) -> RunState {
        let mut state = self.clone();
        state.registry = Registry::default();
        state.workflow_task = state.workflow_task.filter(|task| !task.speculative);
        state
    }

    pub fn is_running(&self) -> bool {
        self.status == WorkflowExecutionStatus::Running
    }

    pub fn workflow_id(&self) -> &str {
        &self.started.workflow_id
    }

    pub fn workflow_type(&self) -> &str {
        self.started.workflow_type.as_ref().map_or("", |workflow_type| &workflow_type.name)
    }

    pub fn task_queue(&self) -> &str {
        self.started.task_queue.as_ref().map_or("", |task_queue| &task_queue.name)
    }

    /// Events in the history.
    pub fn history_length(&self) -> i64 {
        self.next_event_id - 1
    }

    pub fn activity_by_id(&self, activity_id: &str) -> Option<&Activity> {
        self.activities.values().find(|activity| activity.scheduled.activity_id == activity_id)
    }

    /// When the run must be looked at next, if nothing happens before: the earliest timer, timeout, retry or delay.
    pub fn next_deadline(&self) -> Option<Time> {
        if !self.is_running() {
            return None;
        }
        let timers = self.timers.values().map(|timer| timer.fires_at);
        let activities = self.activities.values().filter_map(|activity| activity.next_deadline().map(|(at, _)| at));
        let others = [self.run_expiration(), self.workflow_task_deadline(), self.start_delay_end()];
        timers.chain(activities).chain(others.into_iter().flatten()).min()
    }

    /// What the last activity or workflow result of a set of payloads weighs, for the limits.
    pub fn payload_bytes(payloads: Option<&Payloads>) -> usize {
        payloads.map_or(0, Payloads::encoded_len)
    }
}
