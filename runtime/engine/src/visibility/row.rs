//! A run's own rows in lists: what is written with its steps, and what is read of it.

use std::collections::BTreeSet;

use mainspring_api::{
    Timestamp,
    common::{Payload, SearchAttributes},
    workflow::WorkflowExecutionInfo,
};
use mainspring_core::{RunState, Time};
use mainspring_sandbox::Digest;
use mainspring_store::{Batch, Key, Store};
use prost::Message;
use uuid::Uuid;

use super::index::{self, Place, cut};
use crate::{EngineError, keys, keys::RunKey, rows::decode};

/// What of a run's rows depends on its state, the memo and the search attributes aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    place: Place,
    build_id: String,
    /// What the run is pinned to.
    module: Option<Digest>,
}

impl Shown {
    pub fn of(state: &RunState, run: Uuid) -> Shown {
        let module = state.module.as_ref().and_then(|module| module.parse().ok());
        Shown { place: Place::of(state, run), build_id: state.module_or_build_id().to_owned(), module }
    }

    /// What an open run is pinned to, if anything. None of a run that has closed.
    pub fn open_on(&self) -> Option<Option<Digest>> {
        index::OPEN.contains(&self.place.status).then_some(self.module)
    }

    pub fn is_open(&self) -> bool {
        index::OPEN.contains(&self.place.status)
    }

    /// All keys at which something stands in lists.
    pub fn keys(&self, run: &RunKey, state: &RunState) -> Vec<Key> {
        let namespace = run.workflow.namespace;
        let mut keys = index::rows(namespace, state, &self.place, self.module.as_ref());
        keys.push(keys::visibility(namespace, run.run));
        keys
    }
}

/// Writes what lists show of the run, if it has changed since `before`: when it starts, when it closes, when it is
/// pinned to a module or moved to another, when its attributes change.
pub fn write(
    run: &RunKey,
    state: &RunState,
    before: Option<&Shown>,
    attributes_changed: bool,
    batch: &mut Batch,
) -> Shown {
    let shown = Shown::of(state, run.run);
    if before == Some(&shown) && !attributes_changed {
        return shown;
    }
    let namespace = run.workflow.namespace;
    batch.put(keys::visibility(namespace, run.run), info(state).encode_to_vec());
    if before.is_none_or(|before| before.place != shown.place || before.module != shown.module) {
        let rows = |shown: &Shown| -> BTreeSet<Key> {
            index::rows(namespace, state, &shown.place, shown.module.as_ref()).into_iter().collect()
        };
        let (old, new) = (before.map(rows).unwrap_or_default(), rows(&shown));
        old.difference(&new).for_each(|key| batch.delete(key.clone()));
        new.difference(&old).for_each(|key| batch.put(key.clone(), Vec::new()));
    }
    shown
}

/// What lists show of a run, as it is stored: without what [`complete`] can add.
pub fn info(state: &RunState) -> WorkflowExecutionInfo {
    let mut info = state.execution_info();
    for time in [&mut info.start_time, &mut info.execution_time, &mut info.close_time] {
        *time = time.as_ref().map(|time: &Timestamp| cut(Time::from_proto(time)).to_proto());
    }
    if info.close_time.is_none() {
        // Lists know these of closed runs only: for the others they would be as old as the row.
        (info.history_length, info.history_size_bytes, info.state_transition_count) = (0, 0, 0);
    }
    if !state.module_or_build_id().is_empty() {
        let attributes = info.search_attributes.get_or_insert_with(SearchAttributes::default);
        attributes.indexed_fields.insert("BuildIds".into(), build_ids(state.module_or_build_id()));
    }
    if info.root_execution == info.execution {
        info.root_execution = None;
    }
    // Descriptions tell these; lists do not, in Temporal either.
    info.parent_namespace_id.clear();
    info.first_run_id.clear();
    info.priority = None;
    #[allow(deprecated)] // Current clients still show it.
    {
        info.most_recent_worker_version_stamp = None;
    }
    info
}

/// In Temporal's form for workers that do not version their task queue: those that a run has met can be found.
fn build_ids(build_id: &str) -> Payload {
    let data = serde_json::json!(["unversioned", format!("unversioned:{build_id}")]).to_string().into_bytes();
    let metadata = [("encoding", "json/plain"), ("type", "KeywordList")];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into();
    Payload { metadata, data, ..Payload::default() }
}

/// Reads what lists show of a run; none where the run has been deleted.
pub fn read(store: &dyn Store, namespace: Uuid, run: Uuid) -> Result<Option<WorkflowExecutionInfo>, EngineError> {
    let key = keys::visibility(namespace, run);
    store.get(&key)?.map(|value| decode("visibility", &key, &value)).transpose()
}

/// Fills in what a client is told and what the row leaves out.
pub fn complete(mut info: WorkflowExecutionInfo) -> WorkflowExecutionInfo {
    if info.root_execution.is_none() {
        info.root_execution.clone_from(&info.execution);
    }
    info.memo.get_or_insert_default();
    info.search_attributes.get_or_insert_default();
    info
}

/// Whether the stored row says what the run's state says.
pub fn agrees(stored: &WorkflowExecutionInfo, state: &RunState) -> bool {
    let mut expected = info(state);
    // What a run does after its close is counted, and no reason to write the row again.
    expected.state_transition_count = stored.state_transition_count;
    *stored == expected
}
