//! What is stored of a run beside its events: the facts that the fold does not yield.
//!
//! The rows are protobuf messages of our own: new fields can be added and old rows stay readable. Tags are never
//! reused.

use mainspring_api::{common::Payloads, enums::WorkflowExecutionStatus, failure::Failure, history::HistoryEvent};

use crate::{
    RunState, Time,
    activity::{Activity, Phase},
    state::BadHistory,
    workflow_task::WorkflowTask,
};

/// One for each run.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RunRow {
    /// The next event's id: says how long the history must be.
    #[prost(int64, tag = "1")]
    pub next_event_id: i64,
    /// Encoded bytes of all events.
    #[prost(int64, tag = "2")]
    pub history_bytes: i64,
    /// As in `temporal.api.enums.v1.WorkflowExecutionStatus`.
    #[prost(int32, tag = "3")]
    pub status: i32,
    #[prost(message, optional, tag = "4")]
    pub workflow_task: Option<WorkflowTaskRow>,
    #[prost(string, tag = "5")]
    pub module: String,
    #[prost(string, tag = "6")]
    pub start_request_id: String,
    #[prost(message, repeated, tag = "7")]
    pub buffered: Vec<HistoryEvent>,
    #[prost(int64, tag = "8")]
    pub transitions: i64,
    /// When the run must be looked at next, in nanoseconds since 1970; 0 for never. There is a timer row for it.
    #[prost(int64, tag = "9")]
    pub armed: i64,
    /// Of a run that has closed: the keys of what it still has to do to other runs.
    #[prost(int64, repeated, tag = "10")]
    pub outbox: Vec<i64>,
    /// The run that a reset of this one has made.
    #[prost(string, tag = "11")]
    pub reset_run_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct WorkflowTaskRow {
    #[prost(int64, tag = "1")]
    pub scheduled_event_id: i64,
    #[prost(int64, tag = "2")]
    pub started_event_id: i64,
    #[prost(int32, tag = "3")]
    pub attempt: i32,
    #[prost(int64, tag = "4")]
    pub scheduled_time: i64,
    #[prost(int64, optional, tag = "5")]
    pub started_time: Option<i64>,
    #[prost(int64, optional, tag = "6")]
    pub not_before: Option<i64>,
    #[prost(string, tag = "7")]
    pub request_id: String,
    #[prost(string, tag = "8")]
    pub identity: String,
}

/// The phase of an [`ActivityRow`] whose activity a worker has.
pub const STARTED: u32 = 2;

/// One for each open activity.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ActivityRow {
    /// 0 ready, 1 backoff, 2 started, 3 ended but buffered.
    #[prost(uint32, tag = "1")]
    pub phase: u32,
    #[prost(int32, tag = "2")]
    pub attempt: i32,
    #[prost(int64, tag = "3")]
    pub attempt_scheduled_time: i64,
    #[prost(int64, optional, tag = "4")]
    pub started_time: Option<i64>,
    #[prost(string, tag = "5")]
    pub request_id: String,
    #[prost(string, tag = "6")]
    pub worker_identity: String,
    #[prost(int64, optional, tag = "7")]
    pub heartbeat_time: Option<i64>,
    #[prost(message, optional, tag = "8")]
    pub heartbeat_details: Option<Payloads>,
    #[prost(message, optional, tag = "9")]
    pub last_failure: Option<Failure>,
    #[prost(int64, optional, tag = "10")]
    pub last_attempt_end: Option<i64>,
    /// Where a ready one is to be dispatched, so that start-up need not read histories.
    #[prost(string, tag = "11")]
    pub task_queue: String,
}

impl RunState {
    /// The run's row; `armed` is when its timer row stands.
    pub fn row(&self, armed: Option<Time>) -> RunRow {
        RunRow {
            next_event_id: self.next_event_id,
            history_bytes: self.history_bytes,
            status: self.status.into(),
            workflow_task: self.workflow_task.as_ref().filter(|task| !task.speculative).map(|task| WorkflowTaskRow {
                scheduled_event_id: task.scheduled_event_id,
                started_event_id: task.started_event_id,
                attempt: task.attempt,
                scheduled_time: task.scheduled_time.0,
                started_time: task.started_time.map(|at| at.0),
                not_before: task.not_before.map(|at| at.0),
                request_id: task.request_id.clone(),
                identity: task.identity.clone(),
            }),
            module: self.module.clone().unwrap_or_default(),
            start_request_id: self.start_request_id.clone(),
            buffered: self.buffered.clone(),
            transitions: self.transitions,
            armed: armed.map_or(0, |at| at.0),
            outbox: self.outbox.keys().copied().collect(),
            reset_run_id: self.reset_run_id.clone(),
        }
    }

    /// Lays the rows over a folded history. Refused where the two contradict each other: then one of them is damaged.
    pub fn with_rows(mut self, row: RunRow, activities: Vec<(i64, ActivityRow)>) -> Result<RunState, BadHistory> {
        self.check_row(&row)?;
        self.workflow_task = row.workflow_task.map(|task| WorkflowTask {
            scheduled_event_id: task.scheduled_event_id,
            started_event_id: task.started_event_id,
            attempt: task.attempt,
            scheduled_time: Time(task.scheduled_time),
            started_time: task.started_time.map(Time),
            not_before: task.not_before.map(Time),
            request_id: task.request_id,
            identity: task.identity,
            speculative: false,
        });
        self.module = Some(row.module).filter(|module| !module.is_empty());
        self.start_request_id = row.start_request_id;
        for event in &row.buffered {
            self.note(event);
        }
        if let Some(unknown) = row.outbox.iter().find(|key| !self.outbox.contains_key(*key)) {
            return self.bad(format!("the row says that effect {unknown} is left, the events do not know it"));
        }
        self.outbox.retain(|key, _| row.outbox.contains(key));
        self.reset_run_id = row.reset_run_id;
        self.buffered = row.buffered;
        self.transitions = row.transitions;
        let folded = self.activities.len();
        let stored = activities.len();
        for (scheduled_event_id, row) in activities {
            let Some(activity) = self.activities.get_mut(&scheduled_event_id) else {
                return self.bad(format!("a row says that activity {scheduled_event_id} is open, the events do not"));
            };
            activity.lay_over(row);
        }
        if folded != stored {
            return self.bad(format!("{folded} activities are open by the events, {stored} by the rows"));
        }
        Ok(self)
    }

    fn check_row(&self, row: &RunRow) -> Result<(), BadHistory> {
        if row.next_event_id != self.next_event_id {
            return self.bad(format!("the row says that the next event is {}", row.next_event_id)).map(drop);
        }
        if row.history_bytes != self.history_bytes {
            let problem = format!("the events have {} bytes, the row says {}", self.history_bytes, row.history_bytes);
            return self.bad(problem).map(drop);
        }
        if WorkflowExecutionStatus::try_from(row.status) != Ok(self.status) {
            return self.bad(format!("the run is {:?}, the row says status {}", self.status, row.status)).map(drop);
        }
        // A task of the first attempt is an event's; one of a later attempt is the row's alone.
        let folded = self.workflow_task.as_ref().map(|task| (task.scheduled_event_id, task.started_event_id));
        let stored = row.workflow_task.as_ref().filter(|task| task.attempt <= 1);
        let stored = stored.map(|task| (task.scheduled_event_id, task.started_event_id));
        if folded != stored {
            let problem = format!("the workflow task is {folded:?} by the events, {stored:?} by the row");
            return self.bad(problem).map(drop);
        }
        Ok(())
    }

    fn bad(&self, problem: String) -> Result<RunState, BadHistory> {
        Err(BadHistory { event_id: self.next_event_id, problem })
    }
}

impl Activity {
    pub fn row(&self) -> ActivityRow {
        ActivityRow {
            phase: match self.phase {
                Phase::Ready => 0,
                Phase::Backoff => 1,
                Phase::Started => STARTED,
                Phase::Ended => 3,
            },
            attempt: self.attempt,
            attempt_scheduled_time: self.attempt_scheduled_time.0,
            started_time: self.started_time.map(|at| at.0),
            request_id: self.request_id.clone(),
            worker_identity: self.worker_identity.clone(),
            heartbeat_time: self.heartbeat_time.map(|at| at.0),
            heartbeat_details: self.heartbeat_details.clone(),
            last_failure: self.last_failure.clone(),
            last_attempt_end: self.last_attempt_end.map(|at| at.0),
            task_queue: self.task_queue().to_owned(),
        }
    }

    fn lay_over(&mut self, row: ActivityRow) {
        self.phase = match row.phase {
            0 => Phase::Ready,
            1 => Phase::Backoff,
            STARTED => Phase::Started,
            _ => Phase::Ended,
        };
        self.attempt = row.attempt;
        self.attempt_scheduled_time = Time(row.attempt_scheduled_time);
        self.started_time = row.started_time.map(Time);
        self.request_id = row.request_id;
        self.worker_identity = row.worker_identity;
        self.heartbeat_time = row.heartbeat_time.map(Time);
        self.heartbeat_details = row.heartbeat_details;
        self.last_failure = row.last_failure;
        self.last_attempt_end = row.last_attempt_end.map(Time);
    }
}
