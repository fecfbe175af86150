//! Where each kind of record lives. One tree of rows; the first byte of a key is the kind.
//!
//! | kind | key after it | value |
//! | --- | --- | --- |
//! | `m` | name | the directory's settings |
//! | `n` | namespace name | `NamespaceRow` |
//! | `c` | shard, namespace, workflow id | `CurrentRow`: the latest run of the id |
//! | `r` | shard, namespace, workflow id, run | `RunRow` |
//! | `h` | shard, namespace, workflow id, run, first event id | `History`: the events of one step |
//! | `a` | shard, namespace, workflow id, run, scheduled event id | `ActivityRow` of an open activity |
//! | `t` | shard, due time, namespace, workflow id, run | nothing: when the run must be looked at |
//! | `w` | shard, namespace, workflow id, run | nothing: a workflow task is open |
//! | `e` | shard, namespace, workflow id, run | nothing: something is to be done to other runs |
//! | `v` | namespace, run | `WorkflowExecutionInfo`: what lists show of the run |
//! | `x` | namespace, field, value, status, close time, start time, run (times inverted) | nothing: see `visibility/index.rs` |
//! | `d` | namespace, task queue | `DeploymentRow` |
//! | `i` | digest | `ModuleRow` |
//! | `b` | digest | the module's bytes |
//! | `u` | namespace, digest | `UploadRow`: the namespace has the module |
//! | `y` | namespace, digest | `PartialRow`: an upload has begun and has not ended |
//! | `z` | namespace, digest, offset | a part of such an upload |
//! | `k` | id | `ApiKeyRow` |
//! | `q` | namespace | `QuotaRow`: the quotas that were set for it |
//! | `g` | namespace, task queue | `HostedRow`: the activities that the server runs, and their grants |
//! | `f` | namespace, task queue, name | `SecretRow`, sealed |
//!
//! Numbers are big-endian, so that byte order is number order. Workflow ids carry their length first.

use mainspring_core::Time;
use mainspring_sandbox::Digest;
use mainspring_store::{Key, ShardId};
use uuid::Uuid;

pub const SHARDS: &[u8] = b"mshards";
/// All API keys.
pub const API_KEYS: &[u8] = b"k";
/// There where the index has rows by module of every run.
pub const MODULE_INDEX: &[u8] = b"mmodule-index";

/// A workflow id within its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkflowKey {
    pub namespace: Uuid,
    pub workflow_id: String,
}

/// A run, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    pub workflow: WorkflowKey,
    pub run: Uuid,
}

impl WorkflowKey {
    /// The shard that owns the workflow id. Part of the format of a data directory.
    pub fn shard(&self, shards: u16) -> ShardId {
        use sha2::{Digest as _, Sha256};
        let mut hash = Sha256::new();
        hash.update(self.namespace.as_bytes());
        hash.update(self.workflow_id.as_bytes());
        let hash = hash.finalize();
        let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        ShardId(u16::try_from(number % u32::from(shards.max(1))).unwrap_or(0))
    }

    fn write(&self, key: &mut Key) {
        key.extend_from_slice(self.namespace.as_bytes());
        let length = u16::try_from(self.workflow_id.len()).unwrap_or(u16::MAX);
        key.extend_from_slice(&length.to_be_bytes());
        key.extend_from_slice(self.workflow_id.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<(WorkflowKey, &[u8])> {
        let (namespace, rest) = bytes.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (workflow_id, rest) = rest.split_at_checked(length)?;
        let workflow_id = std::str::from_utf8(workflow_id).ok()?.to_owned();
        Some((WorkflowKey { namespace: Uuid::from_bytes(*namespace), workflow_id }, rest))
    }
}

impl RunKey {
    fn write(&self, key: &mut Key) {
        self.workflow.write(key);
        key.extend_from_slice(self.run.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<(RunKey, &[u8])> {
        let (workflow, rest) = WorkflowKey::read(bytes)?;
        let (run, rest) = rest.split_first_chunk::<16>()?;
        Some((RunKey { workflow, run: Uuid::from_bytes(*run) }, rest))
    }
}

fn start(kind: u8, shard: ShardId) -> Key {
    let mut key = vec![kind];
    key.extend_from_slice(&shard.0.to_be_bytes());
    key
}

/// All rows of a kind in a shard.
pub fn of_shard(kind: u8, shard: ShardId) -> Key {
    start(kind, shard)
}

/// All rows of a kind in a shard's part of a namespace.
pub fn of_shard_namespace(kind: u8, shard: ShardId, namespace: Uuid) -> Key {
    let mut key = start(kind, shard);
    key.extend_from_slice(namespace.as_bytes());
    key
}

fn of_run(kind: u8, shard: ShardId, run: &RunKey) -> Key {
    let mut key = start(kind, shard);
    run.write(&mut key);
    key
}

/// Reads the key of a row that belongs to a run; what follows the run is returned beside it.
pub fn read_run(key: &[u8]) -> Option<(ShardId, RunKey, &[u8])> {
    let (shard, rest) = key.get(1..)?.split_first_chunk::<2>()?;
    let (run, rest) = RunKey::read(rest)?;
    Some((ShardId(u16::from_be_bytes(*shard)), run, rest))
}

/// Reads the key of a `c` row.
pub fn read_current(key: &[u8]) -> Option<(ShardId, WorkflowKey)> {
    let (shard, rest) = key.get(1..)?.split_first_chunk::<2>()?;
    let (workflow, rest) = WorkflowKey::read(rest)?;
    rest.is_empty().then_some((ShardId(u16::from_be_bytes(*shard)), workflow))
}

pub fn current(shard: ShardId, workflow: &WorkflowKey) -> Key {
    let mut key = start(b'c', shard);
    workflow.write(&mut key);
    key
}

pub fn run(shard: ShardId, run: &RunKey) -> Key {
    of_run(b'r', shard, run)
}

/// All history rows of a run.
pub fn histories(shard: ShardId, run: &RunKey) -> Key {
    of_run(b'h', shard, run)
}

pub fn history(shard: ShardId, run: &RunKey, first_event_id: i64) -> Key {
    with_number(of_run(b'h', shard, run), first_event_id)
}

/// All rows of a run's open activities.
pub fn activities(shard: ShardId, run: &RunKey) -> Key {
    of_run(b'a', shard, run)
}

pub fn activity(shard: ShardId, run: &RunKey, scheduled_event_id: i64) -> Key {
    with_number(of_run(b'a', shard, run), scheduled_event_id)
}

pub fn timer(shard: ShardId, due: Time, run: &RunKey) -> Key {
    let mut key = with_number(start(b't', shard), due.0);
    run.write(&mut key);
    key
}

/// The first key of a shard's timer rows that are due at this time or later.
pub fn timers_from(shard: ShardId, due: Time) -> Key {
    with_number(start(b't', shard), due.0)
}

/// Reads the key of a `t` row.
pub fn read_timer(key: &[u8]) -> Option<(ShardId, Time, RunKey)> {
    let (shard, rest) = key.get(1..)?.split_first_chunk::<2>()?;
    let (due, rest) = rest.split_first_chunk::<8>()?;
    let (run, rest) = RunKey::read(rest)?;
    let due = Time(i64::try_from(u64::from_be_bytes(*due)).ok()?);
    rest.is_empty().then_some((ShardId(u16::from_be_bytes(*shard)), due, run))
}

pub fn workflow_task(shard: ShardId, run: &RunKey) -> Key {
    of_run(b'w', shard, run)
}

pub fn effects(shard: ShardId, run: &RunKey) -> Key {
    of_run(b'e', shard, run)
}

/// All visibility rows of a namespace.
pub fn visibilities(namespace: Uuid) -> Key {
    let mut key = vec![b'v'];
    key.extend_from_slice(namespace.as_bytes());
    key
}

pub fn visibility(namespace: Uuid, run: Uuid) -> Key {
    let mut key = visibilities(namespace);
    key.extend_from_slice(run.as_bytes());
    key
}

/// All rows of an index of a namespace.
pub fn visibility_index(namespace: Uuid, field: u8) -> Key {
    let mut key = vec![b'x'];
    key.extend_from_slice(namespace.as_bytes());
    key.push(field);
    key
}

pub fn namespace(name: &str) -> Key {
    [b"n", name.as_bytes()].concat()
}

pub fn deployments(namespace: Uuid) -> Key {
    [b"d", namespace.as_bytes().as_slice()].concat()
}

pub fn deployment(namespace: Uuid, task_queue: &str) -> Key {
    [b"d", namespace.as_bytes().as_slice(), task_queue.as_bytes()].concat()
}

pub fn module(digest: &Digest) -> Key {
    [b"i", digest.as_bytes().as_slice()].concat()
}

pub fn module_bytes(digest: &Digest) -> Key {
    [b"b", digest.as_bytes().as_slice()].concat()
}

pub fn quota(namespace: Uuid) -> Key {
    [b"q", namespace.as_bytes().as_slice()].concat()
}

pub fn uploads(namespace: Uuid) -> Key {
    [b"u", namespace.as_bytes().as_slice()].concat()
}

pub fn upload(namespace: Uuid, digest: &Digest) -> Key {
    [b"u", namespace.as_bytes().as_slice(), digest.as_bytes().as_slice()].concat()
}

/// All rows of deployed activities of a namespace.
pub fn hosted_of(namespace: Uuid) -> Key {
    [b"g", namespace.as_bytes().as_slice()].concat()
}

pub fn hosted(namespace: Uuid, task_queue: &str) -> Key {
    [b"g", namespace.as_bytes().as_slice(), task_queue.as_bytes()].concat()
}

/// All secrets of a task queue.
pub fn secrets_of(namespace: Uuid, task_queue: &str) -> Key {
    let length = u16::try_from(task_queue.len()).unwrap_or(u16::MAX).to_be_bytes();
    [b"f", namespace.as_bytes().as_slice(), &length, task_queue.as_bytes()].concat()
}

pub fn secret(namespace: Uuid, task_queue: &str, name: &str) -> Key {
    [secrets_of(namespace, task_queue).as_slice(), name.as_bytes()].concat()
}

pub fn api_key(id: &str) -> Key {
    [API_KEYS, id.as_bytes()].concat()
}

/// The digest at the end of a `u` or `y` key.
pub fn read_digest(key: &[u8]) -> Option<Digest> {
    Some(Digest::from_bytes(key.get(17..)?.try_into().ok()?))
}

/// All uploads of a namespace that have not ended.
pub fn partials(namespace: Uuid) -> Key {
    [b"y", namespace.as_bytes().as_slice()].concat()
}

pub fn partial(namespace: Uuid, digest: &Digest) -> Key {
    [b"y", namespace.as_bytes().as_slice(), digest.as_bytes().as_slice()].concat()
}

/// All parts of an upload that has not ended.
pub fn parts(namespace: Uuid, digest: &Digest) -> Key {
    [b"z", namespace.as_bytes().as_slice(), digest.as_bytes().as_slice()].concat()
}

pub fn part(namespace: Uuid, digest: &Digest, offset: u64) -> Key {
    [parts(namespace, digest).as_slice(), &offset.to_be_bytes()].concat()
}

fn with_number(mut key: Key, number: i64) -> Key {
    key.extend_from_slice(&u64::try_from(number).unwrap_or(0).to_be_bytes());
    key
}

/// The number at the end of a `h` or `a` key.
pub fn read_number(rest: &[u8]) -> Option<i64> {
    i64::try_from(u64::from_be_bytes(rest.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunKey {
        let workflow = WorkflowKey { namespace: Uuid::from_u128(7), workflow_id: "주문-1001".into() };
        RunKey { workflow, run: Uuid::from_u128(9) }
    }

    #[test]
    fn keys_can_be_read_back() {
        let key = history(ShardId(3), &run(), 42);
        let (shard, read, rest) = read_run(&key).unwrap();
        assert_eq!((shard, read, read_number(rest)), (ShardId(3), run(), Some(42)));
        let key = timer(ShardId(3), Time(5), &run());
        assert_eq!(read_timer(&key), Some((ShardId(3), Time(5), run())));
        assert_eq!(read_current(&current(ShardId(1), &run().workflow)), Some((ShardId(1), run().workflow)));
    }

    #[test]
    fn no_workflow_id_is_a_prefix_of_another_ones_rows() {
        let short = WorkflowKey { namespace: Uuid::nil(), workflow_id: "a".into() };
        let long = WorkflowKey { namespace: Uuid::nil(), workflow_id: "ab".into() };
        assert!(!current(ShardId(0), &long).starts_with(&current(ShardId(0), &short)));
    }

    #[test]
    fn the_shard_of_a_workflow_id_never_changes() {
        // Part of the data format: a change would orphan every stored run.
        let shards: Vec<u16> = (0..6)
            .map(|number| WorkflowKey { namespace: Uuid::nil(), workflow_id: format!("order-{number}") }.shard(4).0)
            .collect();
        assert_eq!(shards, [0, 0, 2, 3, 2, 1]);
    }
}
