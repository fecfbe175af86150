//! A run in memory: its state, what is decided but not yet committed, and who waits for it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use mainspring_api::{
    enums::WorkflowExecutionStatus,
    history::{History, HistoryEvent},
};
use mainspring_core::{
    RunState, Step, Time,
    activity::{EndedActivity, Phase},
    continue_as_new::Successor,
    outbox::Effect,
    reset::ResetRun,
    rows::{ActivityRow, RunRow, STARTED},
    step::Setting,
    update::News,
};
use mainspring_store::{Batch, ShardId, Store, prefix_end};
use prost::Message;
use uuid::Uuid;

use crate::{
    EngineError, clock, keys,
    keys::RunKey,
    limits,
    matching::{QueueKey, ReadyTask},
    observer::{Activated, Fact, ObservedRun},
    pins::{Pins, Turn},
    quota::{Counted, Delta},
    rows::{CurrentRow, decode},
    shard::Waiting,
    visibility::row::{self, Shown},
};

/// What is told to whoever waits, once the step is durable (or has failed).
pub type Reply = Box<dyn FnOnce(Result<(), EngineError>) + Send>;

/// One request to a run: it gets a step, or the reason why there is none.
pub type Work = Box<dyn FnOnce(Result<&mut Step<'_>, EngineError>) -> Reply + Send>;

/// What was decided and is committed with the end of the step.
#[derive(Default)]
pub struct Pending {
    pub events: Vec<HistoryEvent>,
    pub touched_activities: BTreeSet<i64>,
    pub ready_activities: BTreeSet<i64>,
    /// Activities that have ended, for whoever observes the run.
    pub ended_activities: Vec<EndedActivity>,
    /// Activations that have ended, for the same.
    pub turns: Vec<Activated>,
    /// What is to be done to other runs.
    pub effects: Vec<Effect>,
    /// What those learn who wait for updates.
    pub update_news: Vec<News>,
    /// The memo or the search attributes have changed.
    pub attributes_changed: bool,
    /// The run has closed and goes on in this one, which belongs into the same batch.
    pub successor: Option<Successor>,
    pub dirty: bool,
    pub replies: Vec<Reply>,
}

/// What leaves a step once it is durable.
#[derive(Default)]
pub struct Outgoing {
    pub replies: Vec<Reply>,
    pub effects: Vec<Effect>,
    pub update_news: Vec<News>,
    /// The activities that the step has made ready, for their task queues.
    pub tasks: Vec<(QueueKey, ReadyTask)>,
    /// What the step has made true, for whoever observes the run.
    pub facts: Option<(Arc<ObservedRun>, Vec<Fact>)>,
}

pub struct LoadedRun {
    pub key: RunKey,
    /// The namespace's name.
    pub namespace: String,
    pub state: RunState,
    /// Events that the run's cached instance has not seen; those that are not durable yet are always among them.
    pub recent: Vec<HistoryEvent>,
    pub pending: Pending,
    /// An activation is under way: the run waits, and nobody else does.
    pub busy: bool,
    pub mailbox: VecDeque<Waiting>,
    /// When the run's timer row stands. It may be early, never late.
    pub armed: Option<Time>,
    /// The timer row's time has come: the next step replaces it.
    pub fired: bool,
    /// The `w` row stands.
    task_row: bool,
    /// The `e` row stands.
    effects_row: bool,
    /// The row of the workflow id, if this run has written it.
    current: Option<CurrentRow>,
    /// What stands in lists, if it does.
    visibility: Option<Shown>,
    /// The run's first turn is under way, or over and not written yet.
    pub turn: Option<Turn>,
    /// What the run counts for in its namespace's usage.
    pub counted: Counted,
}

impl LoadedRun {
    pub fn new(key: RunKey, namespace: &str) -> LoadedRun {
        let state = RunState::new(&key.run.to_string());
        LoadedRun {
            key,
            namespace: namespace.to_owned(),
            state,
            recent: Vec::new(),
            pending: Pending::default(),
            busy: false,
            mailbox: VecDeque::new(),
            armed: None,
            fired: false,
            task_row: false,
            effects_row: false,
            current: None,
            visibility: None,
            turn: None,
            counted: Counted::default(),
        }
    }

    /// A run that a reset has made: all of its events are to be written, and all of its work is to begin.
    pub fn made_by_reset(key: RunKey, namespace: &str, made: ResetRun) -> LoadedRun {
        let ResetRun { state, events } = made;
        let activities: BTreeSet<i64> = state.activities.keys().copied().collect();
        let pending = Pending {
            events: events.clone(),
            touched_activities: activities.clone(),
            ready_activities: activities,
            effects: state.effects(),
            dirty: true,
            ..Pending::default()
        };
        LoadedRun { state, recent: events, pending, ..LoadedRun::new(key, namespace) }
    }

    /// Reads a run: folds its history and lays the rows over it. None where there is no such run.
    pub fn load(
        store: &dyn Store,
        shard: ShardId,
        key: RunKey,
        namespace: &str,
    ) -> Result<Option<LoadedRun>, EngineError> {
        let row_key = keys::run(shard, &key);
        let Some(row) = store.get(&row_key)? else { return Ok(None) };
        let row_bytes = row.len();
        let row: RunRow = decode("run", &row_key, &row)?;
        let events = read_history(store, shard, &key, 1, i64::MAX)?;
        let armed = (row.armed != 0).then_some(Time(row.armed));
        let damaged = |error| EngineError::Damaged(format!("run {}: {error}", key.run));
        let folded = RunState::fold(&key.run.to_string(), &events).map_err(damaged)?;
        let activities = read_activities(store, shard, &key)?;
        let mut counted = Counted::default();
        for (id, row) in &activities {
            counted.activity(*id, Some((row.encoded_len(), row.phase == STARTED)));
        }
        let state = folded.with_rows(row, activities).map_err(damaged)?;
        counted.begin(state.is_running(), state.history_bytes, row_bytes);
        let visibility = Shown::of(&state, key.run);
        let (task_row, effects_row) = (state.has_durable_workflow_task(), state.has_effects());
        let run = LoadedRun::new(key, namespace);
        Ok(Some(LoadedRun { state, armed, task_row, effects_row, visibility: Some(visibility), counted, ..run }))
    }

    /// Runs a request on the state; what it decides becomes part of the pending step.
    pub fn apply(&mut self, work: Work) {
        let reply = self.step(|step| work(Ok(step)));
        self.pending.replies.push(reply);
    }

    pub fn step<T>(&mut self, decide: impl FnOnce(&mut Step<'_>) -> T) -> T {
        let setting = Setting {
            namespace: self.namespace.clone(),
            namespace_id: self.key.workflow.namespace.to_string(),
            new_run_id: Uuid::now_v7().to_string(),
        };
        let mut step = Step::within(&mut self.state, clock::now(), setting);
        let result = decide(&mut step);
        let Step { events, touched_activities, ready_activities, dirty, .. } = step;
        let Step { effects, update_news, attributes_changed, successor, ended_activities, .. } = step;
        self.pending.ended_activities.extend(ended_activities);
        self.pending.effects.extend(effects);
        self.pending.update_news.extend(update_news);
        self.pending.attributes_changed |= attributes_changed;
        self.pending.successor = self.pending.successor.take().or(successor);
        self.recent.extend(events.iter().cloned());
        self.pending.events.extend(events);
        self.pending.touched_activities.extend(touched_activities);
        self.pending.ready_activities.extend(ready_activities);
        self.pending.dirty |= dirty;
        result
    }

    /// Moves the pending step into a batch. `is_current`: no later run of the workflow id exists. Returns the time of a
    /// timer row that it writes, and what it changes of what its namespace stores.
    pub fn write(&mut self, shard: ShardId, is_current: bool, pins: &Pins, batch: &mut Batch) -> (Option<Time>, Delta) {
        if !std::mem::take(&mut self.pending.dirty) {
            return (None, Delta::default());
        }
        let events = std::mem::take(&mut self.pending.events);
        let touched_activities = std::mem::take(&mut self.pending.touched_activities);
        self.state.transitions += 1;
        let mut delta = Delta { events: events.len() as u64, ..Delta::default() };
        for events in in_rows(events) {
            let first = events.first().map_or(0, |event| event.event_id);
            batch.put(keys::history(shard, &self.key, first), History { events }.encode_to_vec());
        }
        for scheduled_event_id in touched_activities {
            let key = keys::activity(shard, &self.key, scheduled_event_id);
            match self.state.activities.get(&scheduled_event_id) {
                Some(activity) => {
                    let row = activity.row().encode_to_vec();
                    let is_started = activity.phase == Phase::Started;
                    delta += self.counted.activity(scheduled_event_id, Some((row.len(), is_started)));
                    batch.put(key, row)
                }
                None => {
                    delta += self.counted.activity(scheduled_event_id, None);
                    batch.delete(key)
                }
            }
        }
        let armed = self.write_timer(shard, batch);
        self.write_task_row(shard, batch);
        self.write_effects_row(shard, batch);
        self.write_visibility(pins, batch);
        let row = self.state.row(self.armed).encode_to_vec();
        delta += self.counted.run(&self.state, row.len());
        batch.put(keys::run(shard, &self.key), row);
        if is_current {
            self.write_current(shard, batch);
        }
        (armed, delta)
    }

    /// The timer row moves only to an earlier time: one that fires too early finds nothing due and moves it then.
    fn write_timer(&mut self, shard: ShardId, batch: &mut Batch) -> Option<Time> {
        let fired = std::mem::take(&mut self.fired);
        let deadline = self.state.next_deadline();
        let stands = match (self.armed, deadline) {
            _ if fired || !self.state.is_running() => false,
            (Some(armed), Some(deadline)) => armed <= deadline,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if stands {
            return None;
        }
        if let Some(armed) = self.armed {
            batch.delete(keys::timer(shard, armed, &self.key));
        }
        if let Some(deadline) = deadline {
            batch.put(keys::timer(shard, deadline, &self.key), Vec::new());
        }
        self.armed = deadline;
        deadline
    }

    fn write_task_row(&mut self, shard: ShardId, batch: &mut Batch) {
        let open = self.state.has_durable_workflow_task();
        if open != self.task_row {
            let key = keys::workflow_task(shard, &self.key);
            if open {
                batch.put(key, Vec::new())
            } else {
                batch.delete(key)
            }
            self.task_row = open;
        }
    }

    fn write_effects_row(&mut self, shard: ShardId, batch: &mut Batch) {
        let any = self.state.has_effects();
        if any != self.effects_row {
            let key = keys::effects(shard, &self.key);
            if any {
                batch.put(key, Vec::new())
            } else {
                batch.delete(key)
            }
            self.effects_row = any;
        }
    }

    /// The row of the workflow id is written when the run starts and when it closes.
    fn write_current(&mut self, shard: ShardId, batch: &mut Batch) {
        let row = self.current_row();
        if self.current.as_ref() != Some(&row) {
            batch.put(keys::current(shard, &self.key.workflow), row.encode_to_vec());
            self.current = Some(row);
        }
    }

    /// Whether lists show it as open; none where it has not been written yet.
    pub fn is_shown_open(&self) -> Option<bool> {
        self.visibility.as_ref().map(Shown::is_open)
    }

    fn write_visibility(&mut self, pins: &Pins, batch: &mut Batch) {
        let changed = std::mem::take(&mut self.pending.attributes_changed);
        let shown = row::write(&self.key, &self.state, self.visibility.as_ref(), changed, batch);
        let before = self.visibility.as_ref().and_then(Shown::open_on);
        pins.moved(self.key.workflow.namespace, self.state.task_queue(), before, shown.open_on());
        self.visibility = Some(shown);
    }

    pub fn current_row(&self) -> CurrentRow {
        CurrentRow {
            run: self.key.run.as_bytes().to_vec(),
            status: self.state.status.into(),
            start_request_id: self.state.start_request_id.clone(),
            first_execution_run_id: self.state.started.first_execution_run_id.clone(),
        }
    }

    /// Everything that is stored of the run, for deletion. Only of a run with nothing in flight.
    pub fn rows(&self, store: &dyn Store, shard: ShardId) -> Result<Vec<Vec<u8>>, EngineError> {
        let mut rows =
            vec![keys::run(shard, &self.key), keys::workflow_task(shard, &self.key), keys::effects(shard, &self.key)];
        rows.extend(self.armed.map(|armed| keys::timer(shard, armed, &self.key)));
        rows.extend(self.visibility.iter().flat_map(|shown| shown.keys(&self.key, &self.state)));
        for prefix in [keys::histories(shard, &self.key), keys::activities(shard, &self.key)] {
            for_each_row(store, &prefix, &prefix_end(&prefix), |key, _| {
                rows.push(key.to_vec());
                Ok(())
            })?;
        }
        Ok(rows)
    }

    /// What leaves the step with its commit.
    pub fn take_outgoing(&mut self) -> Outgoing {
        Outgoing {
            tasks: self.take_ready_tasks(),
            replies: std::mem::take(&mut self.pending.replies),
            effects: std::mem::take(&mut self.pending.effects),
            update_news: std::mem::take(&mut self.pending.update_news),
            facts: None,
        }
    }

    fn take_ready_tasks(&mut self) -> Vec<(QueueKey, ReadyTask)> {
        let ready = std::mem::take(&mut self.pending.ready_activities);
        let activities = ready.into_iter().filter_map(|id| self.state.activities.get(&id));
        activities
            .filter(|activity| activity.phase == Phase::Ready)
            .map(|activity| {
                let queue = QueueKey { namespace: self.key.workflow.namespace, name: activity.task_queue().to_owned() };
                let task = ReadyTask {
                    run: self.key.clone(),
                    scheduled_event_id: activity.scheduled_event_id,
                    attempt: activity.attempt,
                    ready_since: activity.attempt_scheduled_time,
                };
                (queue, task)
            })
            .collect()
    }

    /// Encoded bytes of the events that wait for the end of the step.
    pub fn pending_bytes(&self) -> usize {
        self.pending.events.iter().map(Message::encoded_len).sum()
    }

    /// What the run takes in memory, roughly: a state is never larger than the events that it is the fold of.
    pub fn weight(&self) -> usize {
        limits::RUN_BYTES + usize::try_from(self.state.history_bytes).unwrap_or(usize::MAX / 2)
    }

    /// Whether the store has the run, or the committer: not before the end of its first step.
    pub fn is_written(&self) -> bool {
        self.visibility.is_some()
    }

    pub fn is_closed(&self) -> bool {
        self.state.status != WorkflowExecutionStatus::Running
    }

    /// Keeps the events that the run's instance has not seen, within bounds.
    pub fn forget_seen(&mut self, seen_event_id: i64) {
        self.recent.retain(|event| event.event_id > seen_event_id);
    }

    pub fn bound_recent(&mut self, nothing_in_flight: bool) {
        if nothing_in_flight && self.recent.len() > limits::RECENT_EVENTS {
            self.recent.clear();
        }
        // An event is two kilobytes, and most runs in memory wait for their next one for long.
        self.recent.shrink_to_fit();
    }
}

/// Cuts events into rows of a size that can be read for the sake of one event.
fn in_rows(events: Vec<HistoryEvent>) -> Vec<Vec<HistoryEvent>> {
    let mut rows: Vec<Vec<HistoryEvent>> = Vec::new();
    let mut bytes = 0;
    for event in events {
        bytes += event.encoded_len();
        match rows.last_mut() {
            Some(row) if bytes <= limits::HISTORY_ROW_BYTES => row.push(event),
            _ => {
                bytes = event.encoded_len();
                rows.push(vec![event]);
            }
        }
    }
    rows
}

/// Reads the events from `first` to `last`, both included.
pub fn read_history(
    store: &dyn Store,
    shard: ShardId,
    run: &RunKey,
    first: i64,
    last: i64,
) -> Result<Vec<HistoryEvent>, EngineError> {
    let prefix = keys::histories(shard, run);
    // The step that holds the first event may begin before it.
    let before = store.scan(&prefix, &keys::history(shard, run, first.saturating_add(1)), true, 1)?;
    let start = before.into_iter().next().map_or(prefix.clone(), |(key, _)| key);
    let end = match last.checked_add(1) {
        Some(end) => keys::history(shard, run, end),
        None => prefix_end(&prefix),
    };
    let mut events = Vec::new();
    for_each_row(store, &start, &end, |key, value| {
        let batch: History = decode("history", key, value)?;
        events.extend(batch.events.into_iter().filter(|event| (first..=last).contains(&event.event_id)));
        Ok(())
    })?;
    Ok(events)
}

pub fn read_activities(
    store: &dyn Store,
    shard: ShardId,
    run: &RunKey,
) -> Result<Vec<(i64, ActivityRow)>, EngineError> {
    let prefix = keys::activities(shard, run);
    let mut activities = Vec::new();
    for_each_row(store, &prefix, &prefix_end(&prefix), |key, value| {
        let id = keys::read_run(key).and_then(|(_, _, rest)| keys::read_number(rest)).unwrap_or_default();
        activities.push((id, decode("activity", key, value)?));
        Ok(())
    })?;
    Ok(activities)
}

/// Visits rows in order, a bounded number of them in memory at a time.
pub fn for_each_row(
    store: &dyn Store,
    start: &[u8],
    end: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut start = start.to_vec();
    loop {
        let rows = store.scan(&start, end, false, limits::SCAN_ROWS)?;
        for (key, value) in &rows {
            visit(key, value)?;
        }
        match rows.last() {
            Some((key, _)) if rows.len() == limits::SCAN_ROWS => {
                start = key.clone();
                start.push(0);
            }
            _ => return Ok(()),
        }
    }
}
