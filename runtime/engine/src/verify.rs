//! Checks a whole store: every run's rows against the fold of its history, and every index against the runs.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::Arc,
};

use mainspring_core::{RunState, Time, activity::Phase, rows::RunRow};
use mainspring_sandbox::Digest;
use mainspring_store::{Store, prefix_end, readable_key};
use uuid::Uuid;

use crate::{
    EngineError, keys,
    keys::RunKey,
    rows::{CurrentRow, decode},
    run::{for_each_row, read_activities, read_history},
    visibility::{
        index,
        row::{self, Shown},
    },
};

/// What was found. Sound where `problems` is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerifyReport {
    pub runs: u64,
    pub open_runs: u64,
    pub events: u64,
    pub open_activities: u64,
    pub timers: u64,
    /// Each names its record. At most [`PROBLEMS_MAX`] are kept.
    pub problems: Vec<String>,
}

/// Problems that a report keeps: beyond these the reader has seen enough.
pub const PROBLEMS_MAX: usize = 1_000;

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "runs             {} ({} open)", self.runs, self.open_runs)?;
        writeln!(f, "events           {}", self.events)?;
        writeln!(f, "open activities  {}", self.open_activities)?;
        writeln!(f, "timers           {}", self.timers)?;
        for problem in &self.problems {
            writeln!(f, "DAMAGED          {problem}")?;
        }
        Ok(())
    }
}

/// Reads everything. The store must not be in use. `Err` only where reading itself fails beyond one record.
pub fn verify(store: &Arc<dyn Store>) -> Result<VerifyReport, EngineError> {
    let module_index = store.get(keys::MODULE_INDEX)?.is_some();
    let (report, expected) = (VerifyReport::default(), Expected::default());
    let mut check = Check { store: &**store, report, expected, module_index };
    check.runs()?;
    check.orphans(b'h', "history")?;
    check.orphans(b'a', "activity")?;
    check.index(b't', "timer")?;
    check.index(b'w', "workflow task")?;
    check.index(b'e', "effects")?;
    check.index(b'v', "visibility")?;
    check.index(b'x', "visibility index")?;
    check.currents()?;
    check.modules()?;
    Ok(check.report)
}

/// What the runs say must stand in the indexes.
#[derive(Default)]
pub struct Expected {
    runs: BTreeSet<(u16, RunKey)>,
    rows: BTreeSet<Vec<u8>>,
    /// Those that open runs are pinned to.
    pub modules: HashSet<(Uuid, Digest)>,
}

pub struct Check<'a> {
    pub store: &'a dyn Store,
    report: VerifyReport,
    pub expected: Expected,
    /// The store has rows by module.
    module_index: bool,
}

impl Check<'_> {
    pub fn problem(&mut self, problem: String) {
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(problem);
        }
    }

    pub fn rows(&self, kind: u8) -> Result<Vec<Vec<u8>>, EngineError> {
        let mut found = Vec::new();
        for_each_row(self.store, &[kind], &prefix_end(&[kind]), |key, _| {
            found.push(key.to_vec());
            Ok(())
        })?;
        Ok(found)
    }

    fn runs(&mut self) -> Result<(), EngineError> {
        for key in self.rows(b'r')? {
            match self.run(&key) {
                Ok(()) => {}
                Err(error) => self.problem(format!("run {}: {error}", readable_key(&key))),
            }
        }
        Ok(())
    }

    fn run(&mut self, row_key: &[u8]) -> Result<(), EngineError> {
        let damaged = |what: String| EngineError::Damaged(what);
        let Some((shard, key, [])) = keys::read_run(row_key) else { return Err(damaged("the key".into())) };
        let value = self.store.get(row_key)?.unwrap_or_default();
        let row: RunRow = decode("run", row_key, &value)?;
        let armed = Time(row.armed);
        let events = read_history(self.store, shard, &key, 1, i64::MAX)?;
        let folded = RunState::fold(&key.run.to_string(), &events).map_err(|error| damaged(error.to_string()))?;
        let activities = read_activities(self.store, shard, &key)?;
        let state = folded.with_rows(row, activities).map_err(|error| damaged(error.to_string()))?;
        if state.workflow_id() != key.workflow.workflow_id {
            return Err(damaged(format!("the history is of workflow {:?}", state.workflow_id())));
        }
        if state.next_deadline().is_some_and(|deadline| armed.0 == 0 || armed > deadline) {
            return Err(damaged("its timer row stands later than its next deadline".into()));
        }
        if armed.0 != 0 {
            self.expected.rows.insert(keys::timer(shard, armed, &key));
        }
        if state.workflow_task.is_some() {
            self.expected.rows.insert(keys::workflow_task(shard, &key));
        }
        if state.has_effects() {
            self.expected.rows.insert(keys::effects(shard, &key));
        }
        let mut shown = Shown::of(&state, key.run).keys(&key, &state);
        // A directory of before there were rows by module gets them when a server opens it.
        shown.retain(|row| self.module_index || !index::is_module_row(row));
        self.expected.rows.extend(shown);
        if state.is_running()
            && let Some(module) = state.module.as_ref().and_then(|module| module.parse().ok())
        {
            self.expected.modules.insert((key.workflow.namespace, module));
        }
        // One that is missing is reported with the index.
        if row::read(self.store, key.workflow.namespace, key.run)?.is_some_and(|shown| !row::agrees(&shown, &state)) {
            return Err(damaged("its visibility row says something else than its history".into()));
        }
        self.report.runs += 1;
        self.report.open_runs += u64::from(state.is_running());
        self.report.events += events.len() as u64;
        self.report.open_activities +=
            state.activities.values().filter(|activity| activity.phase != Phase::Ended).count() as u64;
        self.report.timers += state.timers.len() as u64;
        self.expected.runs.insert((shard.0, key));
        Ok(())
    }

    /// Rows of runs that are not there.
    fn orphans(&mut self, kind: u8, what: &str) -> Result<(), EngineError> {
        for key in self.rows(kind)? {
            let known =
                keys::read_run(&key).is_some_and(|(shard, run, _)| self.expected.runs.contains(&(shard.0, run)));
            if !known && !self.belongs_to_damaged_run(&key) {
                self.problem(format!("{what} {}: it belongs to no run", readable_key(&key)));
            }
        }
        Ok(())
    }

    /// A damaged run has been reported once; its other rows are not reported again.
    fn belongs_to_damaged_run(&self, key: &[u8]) -> bool {
        let Some((shard, run, _)) = keys::read_run(key) else { return false };
        matches!(self.store.get(&keys::run(shard, &run)), Ok(Some(_)) | Err(_))
    }

    /// Rows that must be exactly those that the runs ask for.
    fn index(&mut self, kind: u8, what: &str) -> Result<(), EngineError> {
        let found: BTreeSet<Vec<u8>> = self.rows(kind)?.into_iter().collect();
        let expected: BTreeSet<Vec<u8>> =
            self.expected.rows.iter().filter(|key| key.first() == Some(&kind)).cloned().collect();
        let any_damaged = !self.report.problems.is_empty();
        for key in found.difference(&expected).filter(|_| !any_damaged) {
            self.problem(format!("{what} {}: no run asks for it", readable_key(key)));
        }
        for key in expected.difference(&found) {
            self.problem(format!("{what} {}: it is missing", readable_key(key)));
        }
        Ok(())
    }

    fn currents(&mut self) -> Result<(), EngineError> {
        for key in self.rows(b'c')? {
            let value = self.store.get(&key)?.unwrap_or_default();
            let row: CurrentRow = decode("current run", &key, &value)?;
            let named = keys::read_current(&key).and_then(|(shard, workflow)| {
                let run = uuid::Uuid::from_slice(&row.run).ok()?;
                Some((shard, RunKey { workflow, run }))
            });
            let stored = named.map(|(shard, run)| self.store.get(&keys::run(shard, &run)));
            let status = match stored {
                Some(Ok(Some(value))) => decode::<RunRow>("run", &key, &value)?.status,
                _ => {
                    self.problem(format!("current run {}: the run is not there", readable_key(&key)));
                    continue;
                }
            };
            if status != row.status {
                self.problem(format!(
                    "current run {}: says status {}, the run {status}",
                    readable_key(&key),
                    row.status
                ));
            }
        }
        Ok(())
    }
}
