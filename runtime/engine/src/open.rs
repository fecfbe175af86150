//! What is read, and set up, when an engine opens.

use std::time::Duration;

use mainspring_api::enums::WorkflowExecutionStatus;
use mainspring_core::{
    Time,
    activity::ActivityRef,
    rows::{ActivityRow, RunRow, STARTED},
};
use mainspring_store::{Batch, ShardId, Store, prefix_end};
use prost::Message;
use uuid::Uuid;

use crate::{
    EngineError, NamespaceLabel, RunRef,
    activities::run_ref,
    clock,
    engine::HOME,
    hosted_activities,
    inner::{Namespaces, Shared},
    keys::{self, WorkflowKey},
    matching::{QueueKey, ReadyTask},
    quota::Delta,
    rows::{NamespaceRow, decode},
    run::for_each_row,
};

/// The number of shards that the directory was made with; none where it is new.
pub fn stored_shards(store: &dyn Store) -> Result<Option<u16>, EngineError> {
    let Some(value) = store.get(keys::SHARDS)? else { return Ok(None) };
    let value: [u8; 2] =
        value.try_into().map_err(|_| EngineError::Damaged("the number of shards is not two bytes long".into()))?;
    Ok(Some(u16::from_be_bytes(value).max(1)))
}

/// The same, which cannot change later; a new directory gets the one that is wanted.
pub fn setup_shards(store: &dyn Store, wanted: u16) -> Result<u16, EngineError> {
    if let Some(shards) = stored_shards(store)? {
        return Ok(shards);
    }
    let epoch = store.acquire_shard(HOME)?;
    let mut batch = Batch::new(HOME, epoch);
    batch.put(keys::SHARDS, wanted.max(1).to_be_bytes().to_vec());
    commit_now(store, batch)?;
    Ok(wanted.max(1))
}

pub fn setup_namespaces(store: &dyn Store, wanted: &[String]) -> Result<Namespaces, EngineError> {
    /// Kept as long as Temporal's own dev server keeps closed runs by default: one day.
    const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
    let namespaces = Namespaces::default();
    for_each_row(store, b"n", &prefix_end(b"n"), |key, value| {
        let row: NamespaceRow = decode("namespace", key, value)?;
        let id = Uuid::from_slice(&row.id).map_err(|error| EngineError::Damaged(format!("namespace: {error}")))?;
        let name = String::from_utf8_lossy(&key[1..]).into_owned();
        namespaces.insert(id, &name, Time(row.created), Duration::from_secs(row.retention_seconds));
        Ok(())
    })?;
    for name in wanted {
        if namespaces.id(name).is_ok() {
            continue;
        }
        mainspring_core::validate::name("Namespace", name)?;
        let (id, created) = (Uuid::new_v4(), clock::now());
        let row =
            NamespaceRow { id: id.as_bytes().to_vec(), created: created.0, retention_seconds: RETENTION.as_secs() };
        let epoch = store.acquire_shard(HOME)?;
        let mut batch = Batch::new(HOME, epoch);
        batch.put(keys::namespace(name), row.encode_to_vec());
        commit_now(store, batch)?;
        namespaces.insert(id, name, created, RETENTION);
    }
    Ok(namespaces)
}

/// Commits before there is a committer.
pub fn commit_now(store: &dyn Store, batch: Batch) -> Result<(), EngineError> {
    for result in store.commit(&[batch])? {
        result?;
    }
    Ok(())
}

/// Counts the runs of a shard for the usage of their namespaces.
pub fn count_runs(shared: &Shared, shard: ShardId) -> Result<(), EngineError> {
    let prefix = keys::of_shard(b'r', shard);
    for_each_row(&*shared.store, &prefix, &prefix_end(&prefix), |key, value| {
        let row: RunRow = decode("run", key, value)?;
        let Some((_, run, _)) = keys::read_run(key) else {
            return Err(EngineError::Damaged(format!("run {}", mainspring_store::readable_key(key))));
        };
        shared.meter(run.workflow.namespace).apply(Delta {
            open_runs: i64::from(row.status == i32::from(WorkflowExecutionStatus::Running)),
            history_bytes: row.history_bytes,
            row_bytes: i64::try_from(value.len()).unwrap_or(i64::MAX),
            ..Delta::default()
        });
        Ok(())
    })
}

/// Tells the metrics how many of them are open.
pub fn tell_open_runs(shared: &Shared) {
    for namespace in shared.namespaces.ids() {
        let open = i64::try_from(shared.meter(namespace).open_runs()).unwrap_or(i64::MAX);
        let label = NamespaceLabel { namespace: shared.namespaces.name_of(namespace) };
        shared.metrics.open_runs.get_or_create(&label).set(open);
    }
}

/// Counts the modules of each namespace.
pub fn count_modules(shared: &Shared) -> Result<(), EngineError> {
    for namespace in shared.namespaces.ids() {
        let (count, bytes) = shared.modules.total(namespace)?;
        shared.meter(namespace).set_modules(count, bytes);
    }
    Ok(())
}

/// Fills the task queues from the activity rows, and counts them. Returns the attempts that this server's own worker ran
/// when it stopped.
pub fn queue_ready_activities(
    shared: &Shared,
    shard: ShardId,
) -> Result<Vec<(WorkflowKey, RunRef, ActivityRef)>, EngineError> {
    let prefix = keys::of_shard(b'a', shard);
    let (mut ready, mut interrupted) = (Vec::new(), Vec::new());
    for_each_row(&*shared.store, &prefix, &prefix_end(&prefix), |key, value| {
        let row: ActivityRow = decode("activity", key, value)?;
        let Some((_, run, rest)) = keys::read_run(key) else {
            return Err(EngineError::Damaged(format!("activity {}", mainspring_store::readable_key(key))));
        };
        shared.meter(run.workflow.namespace).apply(Delta {
            row_bytes: i64::try_from(value.len()).unwrap_or(i64::MAX),
            started_activities: i64::from(row.phase == STARTED),
            ..Delta::default()
        });
        if row.phase == 0 {
            let queue = QueueKey { namespace: run.workflow.namespace, name: row.task_queue };
            let task = ReadyTask {
                run,
                scheduled_event_id: keys::read_number(rest).unwrap_or_default(),
                attempt: row.attempt,
                ready_since: Time(row.attempt_scheduled_time),
            };
            ready.push((queue, task));
        } else if row.phase == STARTED && is_own_worker(&row.worker_identity) {
            let scheduled_event_id = keys::read_number(rest).unwrap_or_default();
            let activity = ActivityRef::Attempt { scheduled_event_id, attempt: row.attempt };
            interrupted.push((run.workflow.clone(), run_ref(&run), activity));
        }
        Ok(())
    })?;
    ready.sort_by_key(|(_, task)| task.ready_since);
    for (queue, task) in ready {
        shared.matching.offer(queue, task);
    }
    Ok(interrupted)
}

fn is_own_worker(identity: &str) -> bool {
    identity.strip_prefix(hosted_activities::IDENTITY).is_some_and(|rest| rest.starts_with('@'))
}
