//! Activities: work outside the workflow, tried until it succeeds or may not be tried again.
//!
//! | phase | input | next phase | written |
//! | --- | --- | --- | --- |
//! | — | command | ready | ActivityTaskScheduled |
//! | ready | start | started | nothing: the start is written with the end |
//! | started | completed, canceled | — | ActivityTaskStarted, …Completed or …Canceled |
//! | started | failed or timed out, to be retried | backoff | nothing |
//! | started | failed or timed out, for good | — | ActivityTaskStarted, …Failed or …TimedOut |
//! | backoff | its time has come | ready | nothing |
//! | ready, backoff | cancel command | — | ActivityTaskCancelRequested, …Canceled |
//! | started | cancel command | started | ActivityTaskCancelRequested |

use mainspring_api::{
    common::Payloads,
    enums::{RetryState, TimeoutType},
    failure::Failure,
    history::{
        ActivityTaskCanceledEventAttributes, ActivityTaskCompletedEventAttributes, ActivityTaskFailedEventAttributes,
        ActivityTaskScheduledEventAttributes, ActivityTaskStartedEventAttributes, ActivityTaskTimedOutEventAttributes,
        HistoryEvent, history_event::Attributes,
    },
};

use crate::{
    Rejection, RunState, Step, Time, failure,
    limits::temporal as limits,
    retry::{self, Verdict},
    time, trace, validate,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// A worker may have it.
    #[default]
    Ready,
    /// It waits for its next attempt.
    Backoff,
    /// A worker has it.
    Started,
    /// It has ended, but the event is buffered behind a workflow task.
    Ended,
}

/// An open activity. All after `cancel_requested_event_id` is no part of the fold.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    pub scheduled_event_id: i64,
    pub scheduled_time: Time,
    pub scheduled: ActivityTaskScheduledEventAttributes,
    pub cancel_requested_event_id: Option<i64>,
    pub phase: Phase,
    /// From 1.
    pub attempt: i32,
    /// When this attempt became, or becomes, ready.
    pub attempt_scheduled_time: Time,
    pub started_time: Option<Time>,
    /// The poll that got it.
    pub request_id: String,
    pub worker_identity: String,
    pub heartbeat_time: Option<Time>,
    pub heartbeat_details: Option<Payloads>,
    pub last_failure: Option<Failure>,
    pub last_attempt_end: Option<Time>,
}

/// Which activity a worker speaks of.
#[derive(Clone, Debug, PartialEq)]
pub enum ActivityRef {
    /// One attempt, as its task token has it.
    Attempt { scheduled_event_id: i64, attempt: i32 },
    /// Whatever attempt is under way.
    Id(String),
}

/// How a worker says that an attempt has ended.
#[derive(Clone, Debug)]
pub enum ActivityOutcome {
    Completed(Option<Payloads>),
    Failed { failure: Failure, last_heartbeat_details: Option<Payloads> },
    Canceled(Option<Payloads>),
}

/// What there is to tell of an activity that is over. What it was given and what it gave is not in it.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedActivity {
    pub activity: Activity,
    pub ended: Time,
    pub end: ActivityEnd,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ActivityEnd {
    Completed,
    /// With the failure's message; so is the next.
    Failed(String),
    TimedOut(String),
    Canceled,
    /// Its run has closed.
    CutOff,
}

impl EndedActivity {
    fn new(mut activity: Activity, ended: Time, end: ActivityEnd) -> EndedActivity {
        activity.scheduled.input = None;
        activity.scheduled.header = None;
        activity.heartbeat_details = None;
        activity.last_failure = activity
            .last_failure
            .map(|failure| Failure { message: trace::shortened(&failure.message), ..Failure::default() });
        EndedActivity { activity, ended, end }
    }

    pub(crate) fn cut_off(activity: Activity, ended: Time) -> EndedActivity {
        EndedActivity::new(activity, ended, ActivityEnd::CutOff)
    }
}

/// What a worker is told in answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    pub cancel_requested: bool,
}

impl Activity {
    pub(crate) fn scheduled(event_id: i64, at: Time, scheduled: ActivityTaskScheduledEventAttributes) -> Activity {
        Activity {
            scheduled_event_id: event_id,
            scheduled_time: at,
            scheduled,
            cancel_requested_event_id: None,
            phase: Phase::Ready,
            attempt: 1,
            attempt_scheduled_time: at,
            started_time: None,
            request_id: String::new(),
            worker_identity: String::new(),
            heartbeat_time: None,
            heartbeat_details: None,
            last_failure: None,
            last_attempt_end: None,
        }
    }

    pub fn task_queue(&self) -> &str {
        self.scheduled.task_queue.as_ref().map_or("", |task_queue| &task_queue.name)
    }

    /// After this nothing more is tried.
    pub fn expiration(&self) -> Option<Time> {
        let timeout = time::positive(self.scheduled.schedule_to_close_timeout.as_ref())?;
        Some(self.scheduled_time.after(timeout))
    }

    /// What happens to it next if nobody does anything: a timeout, or (none) the end of its pause.
    pub(crate) fn next_deadline(&self) -> Option<(Time, Option<TimeoutType>)> {
        let to_close = self.expiration().map(|at| (at, Some(TimeoutType::ScheduleToClose)));
        let own = match self.phase {
            Phase::Ready => time::positive(self.scheduled.schedule_to_start_timeout.as_ref())
                .map(|timeout| (self.attempt_scheduled_time.after(timeout), Some(TimeoutType::ScheduleToStart))),
            Phase::Backoff => Some((self.attempt_scheduled_time, None)),
            Phase::Started => self.running_deadline(),
            Phase::Ended => return None,
        };
        // Where two fall together, the narrower one is named, as in Temporal.
        [own, to_close].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn running_deadline(&self) -> Option<(Time, Option<TimeoutType>)> {
        let started = self.started_time?;
        let to_close = time::positive(self.scheduled.start_to_close_timeout.as_ref())
            .map(|timeout| (started.after(timeout), Some(TimeoutType::StartToClose)));
        let heartbeat = time::positive(self.scheduled.heartbeat_timeout.as_ref()).map(|timeout| {
            let last = self.heartbeat_time.unwrap_or(started).max(started);
            (last.after(timeout), Some(TimeoutType::Heartbeat))
        });
        [to_close, heartbeat].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// Gives a buffered end of an activity the event id of its buffered start.
pub(crate) fn set_started_event_id(end: &mut Attributes, started_event_id: i64) {
    if let Some(pending) = pending_start(end) {
        *pending = started_event_id;
    }
}

/// Where the end of an activity has to name a start that is recorded right before it.
fn pending_start(end: &mut Attributes) -> Option<&mut i64> {
    let field = match end {
        Attributes::ActivityTaskCompletedEventAttributes(ended) => &mut ended.started_event_id,
        Attributes::ActivityTaskFailedEventAttributes(ended) => &mut ended.started_event_id,
        Attributes::ActivityTaskTimedOutEventAttributes(ended) => &mut ended.started_event_id,
        Attributes::ActivityTaskCanceledEventAttributes(ended) => &mut ended.started_event_id,
        _ => return None,
    };
    (*field == STARTED_EVENT_PENDING).then_some(field)
}

/// Stands in for the id of a start that is recorded right before; no event has this id.
const STARTED_EVENT_PENDING: i64 = -1;

fn missing() -> Rejection {
    Rejection::not_found("invalid activityID or activity already timed out or invoking workflow is completed")
}

impl RunState {
    /// The activity that this event ends. The event, once it is applied, would drop it.
    pub(crate) fn take_ended_activity(&mut self, event: &HistoryEvent, now: Time) -> Option<EndedActivity> {
        let message = |failure: &Option<Failure>| failure.as_ref().map(|failure| trace::shortened(&failure.message));
        let (scheduled_event_id, end) = match event.attributes.as_ref()? {
            Attributes::ActivityTaskCompletedEventAttributes(end) => (end.scheduled_event_id, ActivityEnd::Completed),
            Attributes::ActivityTaskFailedEventAttributes(end) => {
                (end.scheduled_event_id, ActivityEnd::Failed(message(&end.failure).unwrap_or_default()))
            }
            Attributes::ActivityTaskTimedOutEventAttributes(end) => {
                (end.scheduled_event_id, ActivityEnd::TimedOut(message(&end.failure).unwrap_or_default()))
            }
            Attributes::ActivityTaskCanceledEventAttributes(end) => (end.scheduled_event_id, ActivityEnd::Canceled),
            _ => return None,
        };
        let activity = self.activities.remove(&scheduled_event_id)?;
        Some(EndedActivity::new(activity, now, end))
    }

    /// The open activity that a worker speaks of.
    fn find_activity(&self, reference: &ActivityRef) -> Result<&Activity, Rejection> {
        if !self.is_running() {
            return Err(Rejection::closed());
        }
        let found = match reference {
            ActivityRef::Attempt { scheduled_event_id, attempt } => self
                .activities
                .get(scheduled_event_id)
                .filter(|activity| activity.attempt == *attempt && activity.phase == Phase::Started),
            ActivityRef::Id(id) => self.activity_by_id(id).filter(|activity| activity.phase != Phase::Ended),
        };
        found.ok_or_else(|| match reference {
            ActivityRef::Attempt { .. } => missing(),
            ActivityRef::Id(id) => {
                let id = &id[..id.floor_char_boundary(limits::ID_BYTES)];
                Rejection::not_found(format!(
                    "cannot find pending activity with ActivityID {id}, check workflow execution history for more details"
                ))
            }
        })
    }
}

impl Step<'_> {
    /// Hands a ready attempt to a worker's poll. The same poll may ask again; it gets the same answer.
    pub fn start_activity(
        &mut self,
        scheduled_event_id: i64,
        attempt: i32,
        request_id: &str,
        identity: &str,
    ) -> Result<(), Rejection> {
        let now = self.now;
        let Some(activity) = self.state.activities.get_mut(&scheduled_event_id) else {
            return Err(missing());
        };
        if activity.attempt != attempt {
            return Err(missing());
        }
        match activity.phase {
            Phase::Started if activity.request_id == request_id => return Ok(()),
            Phase::Ready => {}
            _ => return Err(missing()),
        }
        activity.phase = Phase::Started;
        activity.started_time = Some(now);
        activity.request_id = request_id.to_owned();
        activity.worker_identity = identity.to_owned();
        activity.heartbeat_time = None;
        self.touch(scheduled_event_id);
        Ok(())
    }

    /// Takes back an attempt that never reached the worker whose poll it was started for.
    pub fn return_activity(&mut self, scheduled_event_id: i64, request_id: &str) {
        let Some(activity) = self.state.activities.get_mut(&scheduled_event_id) else {
            return;
        };
        let untouched = activity.phase == Phase::Started && activity.request_id == request_id;
        if untouched && activity.heartbeat_time.is_none() {
            activity.phase = Phase::Ready;
            activity.started_time = None;
            activity.request_id.clear();
            self.touch(scheduled_event_id);
            self.ready_activities.insert(scheduled_event_id);
        }
    }

    /// A worker lives, and may leave details for its next attempt.
    pub fn heartbeat_activity(
        &mut self,
        reference: &ActivityRef,
        details: Option<Payloads>,
        identity: &str,
    ) -> Result<HeartbeatAnswer, Rejection> {
        validate::payloads("Heartbeat details", details.as_ref())?;
        let found = self.state.find_activity(reference)?;
        if found.phase != Phase::Started {
            return Err(missing());
        }
        let scheduled_event_id = found.scheduled_event_id;
        let now = self.now;
        let Some(activity) = self.state.activities.get_mut(&scheduled_event_id) else {
            return Err(missing());
        };
        activity.heartbeat_time = Some(now);
        activity.heartbeat_details = details;
        if !identity.is_empty() {
            activity.worker_identity = identity.to_owned();
        }
        let answer = HeartbeatAnswer { cancel_requested: activity.cancel_requested_event_id.is_some() };
        self.touch(scheduled_event_id);
        Ok(answer)
    }

    /// An attempt has ended: the activity is over, or it is tried again.
    pub fn end_activity(
        &mut self,
        reference: &ActivityRef,
        outcome: ActivityOutcome,
        identity: &str,
    ) -> Result<(), Rejection> {
        let activity = self.state.find_activity(reference)?.clone();
        match outcome {
            ActivityOutcome::Completed(result) => {
                validate::payloads("Activity result", result.as_ref())?;
                let completed = ActivityTaskCompletedEventAttributes {
                    result,
                    scheduled_event_id: activity.scheduled_event_id,
                    started_event_id: STARTED_EVENT_PENDING,
                    identity: identity.to_owned(),
                    ..Default::default()
                };
                self.record_end(&activity, completed.into());
            }
            ActivityOutcome::Canceled(details) => {
                validate::payloads("Cancellation details", details.as_ref())?;
                let Some(latest_cancel_requested_event_id) = activity.cancel_requested_event_id else {
                    return Err(Rejection::invalid(
                        "unable to mark activity as canceled without activity being request canceled first",
                    ));
                };
                let canceled = ActivityTaskCanceledEventAttributes {
                    details,
                    latest_cancel_requested_event_id,
                    scheduled_event_id: activity.scheduled_event_id,
                    started_event_id: STARTED_EVENT_PENDING,
                    identity: identity.to_owned(),
                    ..Default::default()
                };
                self.record_end(&activity, canceled.into());
            }
            ActivityOutcome::Failed { failure, last_heartbeat_details } => {
                if last_heartbeat_details.is_some() {
                    validate::payloads("Heartbeat details", last_heartbeat_details.as_ref())?;
                    if let Some(open) = self.state.activities.get_mut(&activity.scheduled_event_id) {
                        open.heartbeat_details = last_heartbeat_details;
                    }
                }
                self.fail_activity(&activity, failure, identity);
            }
        }
        Ok(())
    }

    fn fail_activity(&mut self, activity: &Activity, failure: Failure, identity: &str) {
        if let Some(retry_state) = self.retry_or_give_up(activity, &failure) {
            let failed = ActivityTaskFailedEventAttributes {
                failure: Some(failure),
                scheduled_event_id: activity.scheduled_event_id,
                started_event_id: STARTED_EVENT_PENDING,
                identity: identity.to_owned(),
                retry_state: retry_state.into(),
                ..Default::default()
            };
            self.record_end(activity, failed.into());
        }
    }

    fn time_out_activity(&mut self, activity: &Activity, timeout_type: TimeoutType) {
        // What the last heartbeat brought is told by the timeout that follows from its absence, and by no other.
        let heartbeat_details = activity.heartbeat_details.clone().filter(|_| timeout_type == TimeoutType::Heartbeat);
        let failure = failure::timeout(timeout_type, heartbeat_details);
        let verdict = match timeout_type {
            // Neither can be mended by another attempt.
            TimeoutType::ScheduleToClose | TimeoutType::ScheduleToStart => Some(RetryState::Timeout),
            _ => self.retry_or_give_up(activity, &failure),
        };
        if let Some(retry_state) = verdict {
            let started = activity.phase == Phase::Started;
            let timed_out = ActivityTaskTimedOutEventAttributes {
                failure: Some(final_timeout(activity, timeout_type, failure, retry_state)),
                scheduled_event_id: activity.scheduled_event_id,
                started_event_id: if started { STARTED_EVENT_PENDING } else { 0 },
                retry_state: retry_state.into(),
            };
            self.record_end(activity, timed_out.into());
        }
    }

    /// Sends the activity into its pause before the next attempt, or says why there is none.
    fn retry_or_give_up(&mut self, activity: &Activity, failure: &Failure) -> Option<RetryState> {
        if activity.cancel_requested_event_id.is_some() {
            return Some(RetryState::CancelRequested);
        }
        let policy = retry::with_defaults(activity.scheduled.retry_policy.as_ref());
        let verdict = retry::decide(&policy, activity.attempt, failure, self.now, activity.expiration());
        let at = match verdict {
            Verdict::GiveUp(retry_state) => return Some(retry_state),
            Verdict::RetryAt(at) => at,
        };
        let now = self.now;
        if let Some(open) = self.state.activities.get_mut(&activity.scheduled_event_id) {
            open.phase = Phase::Backoff;
            open.attempt += 1;
            open.attempt_scheduled_time = at;
            open.started_time = None;
            open.request_id.clear();
            open.heartbeat_time = None;
            open.last_failure = Some(failure::truncated(failure.clone()));
            open.last_attempt_end = Some(now);
        }
        self.touch(activity.scheduled_event_id);
        None
    }

    /// Writes the start, where there was one, and the end, and wakes the workflow.
    fn record_end(&mut self, activity: &Activity, mut end: Attributes) {
        self.make_room_in_buffer();
        // It takes an event id of its own, ahead of the start's.
        self.make_workflow_task_durable();
        let buffers = self.state.has_started_workflow_task();
        if pending_start(&mut end).is_some() {
            let started = ActivityTaskStartedEventAttributes {
                scheduled_event_id: activity.scheduled_event_id,
                identity: activity.worker_identity.clone(),
                request_id: activity.request_id.clone(),
                attempt: activity.attempt,
                last_failure: activity.last_failure.clone(),
                ..Default::default()
            };
            let event_id = self.state.next_event_id;
            self.record_or_buffer(started.into());
            if !buffers {
                set_started_event_id(&mut end, event_id);
            }
        }
        if let Some(open) = self.state.activities.get_mut(&activity.scheduled_event_id) {
            open.phase = Phase::Ended;
        }
        self.record_or_buffer(end);
        self.touch(activity.scheduled_event_id);
        self.schedule_workflow_task();
    }

    /// The workflow asks for an activity to be cancelled. One that no worker has ends at once. Returns whether the
    /// workflow has news to see.
    pub(crate) fn cancel_activity(&mut self, scheduled_event_id: i64, cancel_event_id: i64, identity: &str) -> bool {
        let Some(activity) = self.state.activities.get(&scheduled_event_id) else {
            return false;
        };
        self.touched_activities.insert(scheduled_event_id);
        if !matches!(activity.phase, Phase::Ready | Phase::Backoff) {
            return false;
        }
        let canceled = ActivityTaskCanceledEventAttributes {
            details: Some(json_text("ACTIVITY_ID_NOT_STARTED")),
            latest_cancel_requested_event_id: cancel_event_id,
            scheduled_event_id,
            started_event_id: 0,
            identity: identity.to_owned(),
            ..Default::default()
        };
        if let Some(open) = self.state.activities.get_mut(&scheduled_event_id) {
            open.phase = Phase::Ended;
        }
        // It is no command's event: it stands behind those of all the commands of the task.
        let event = self.event(canceled.into());
        self.state.buffered.push(event);
        self.ready_activities.remove(&scheduled_event_id);
        true
    }

    /// Timeouts and ends of pauses that have come, and whatever is due because of them.
    pub(crate) fn advance_activities(&mut self) {
        while self.state.is_running() {
            let mut due: Vec<(Time, i64, Option<TimeoutType>)> = self
                .state
                .activities
                .values()
                .filter_map(|activity| {
                    activity.next_deadline().map(|(at, what)| (at, activity.scheduled_event_id, what))
                })
                .filter(|(at, _, _)| *at <= self.now)
                .collect();
            if due.is_empty() {
                return;
            }
            due.sort_by_key(|(at, scheduled_event_id, _)| (*at, *scheduled_event_id));
            for (_, scheduled_event_id, timeout_type) in due {
                self.advance_activity(scheduled_event_id, timeout_type);
            }
        }
    }

    fn advance_activity(&mut self, scheduled_event_id: i64, timeout_type: Option<TimeoutType>) {
        match timeout_type {
            Some(timeout_type) => {
                if let Some(activity) = self.state.activities.get(&scheduled_event_id).cloned() {
                    self.time_out_activity(&activity, timeout_type);
                }
            }
            None => {
                if let Some(activity) = self.state.activities.get_mut(&scheduled_event_id) {
                    activity.phase = Phase::Ready;
                }
                self.touch(scheduled_event_id);
                self.ready_activities.insert(scheduled_event_id);
            }
        }
    }

    fn touch(&mut self, scheduled_event_id: i64) {
        self.dirty = true;
        self.touched_activities.insert(scheduled_event_id);
    }
}

/// The failure of the timeout after which nothing more is tried, in Temporal's words. What the attempt before failed of
/// is its cause.
fn final_timeout(activity: &Activity, timeout_type: TimeoutType, timeout: Failure, retry_state: RetryState) -> Failure {
    let of_an_attempt = matches!(timeout_type, TimeoutType::StartToClose | TimeoutType::Heartbeat);
    let timeout = match retry_state {
        RetryState::Timeout if of_an_attempt => failure::no_time_for_retry(),
        _ => timeout,
    };
    Failure { cause: activity.last_failure.clone().map(Box::new), ..timeout }
}

/// A text as every SDK's JSON converter writes it.
fn json_text(text: &str) -> Payloads {
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into_iter().collect();
    let data = format!("\"{text}\"").into_bytes();
    Payloads { payloads: vec![mainspring_api::common::Payload { metadata, data, ..Default::default() }] }
}
