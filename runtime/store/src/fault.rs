//! A store that fails on purpose: for tests of this crate and of everything built on it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use parking_lot::RwLock;

use crate::record::Record;
use crate::{Batch, CommitResults, Key, Op, ShardId, Store, StoreError, readable_key};

/// How a commit fails. Each of them is an error for the whole group, and stops the store until [`FaultStore::power_cut`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is applied: the device refused the write.
    Refuse,
    /// Only the first `ops` changes of the group reach the disk: what a backend without atomic batches would leave
    /// after a crash. Whoever reads on must notice; no correct backend does this.
    TornBatch { ops: usize },
    /// Everything is applied and readable, and the flush fails: it is gone after the power cut.
    LostFlush,
}

/// Wraps a store and breaks it as told. Without a fault it behaves as the store does, with one difference: values
/// carry a checksummed record of their own, so that a flipped bit is detected whatever the store beneath.
pub struct FaultStore<S> {
    inner: S,
    faults: RwLock<Faults>,
}

#[derive(Default)]
struct Faults {
    /// Commits so far.
    commits: u64,
    /// What happens at which commit.
    planned: BTreeMap<u64, Fault>,
    /// The bit to flip in what is read under a key.
    flipped: BTreeMap<Key, usize>,
    /// What is readable and not on the disk.
    unsynced: BTreeMap<Key, Option<Vec<u8>>>,
    stopped: Option<StoreError>,
}

impl<S: Store> FaultStore<S> {
    pub fn new(inner: S) -> FaultStore<S> {
        FaultStore { inner, faults: RwLock::default() }
    }

    /// The store beneath, with its records as this wrapper writes them.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Has the `n`th commit from now fail; 1 is the next one. `acquire_shard` does not count.
    pub fn fail_commit(&self, n: u64, fault: Fault) {
        let mut faults = self.faults.write();
        let commit = faults.commits + n;
        faults.planned.insert(commit, fault);
    }

    /// Flips a bit of the record under the key whenever it is read, until [`Self::power_cut`]; the bit is counted
    /// from the record's start and wraps at its end.
    pub fn flip_bit(&self, key: impl Into<Key>, bit: usize) {
        self.faults.write().flipped.insert(key.into(), bit);
    }

    /// The power goes and comes back: what was not durable is gone, and every fault with it.
    pub fn power_cut(&self) {
        *self.faults.write() = Faults::default();
    }

    fn read(&self, faults: &Faults, key: &[u8], mut record: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        if let Some(bit) = faults.flipped.get(key) {
            let bit = bit % (record.len() * 8);
            record[bit / 8] ^= 1 << (bit % 8);
        }
        match Record::decode(key, &record)? {
            Record::Inline(value) => Ok(value.to_vec()),
            _ => {
                Err(StoreError::Corrupt { key: readable_key(key), what: "the fault store wrote no such record".into() })
            }
        }
    }
}

impl Faults {
    fn check_running(&self) -> Result<(), StoreError> {
        match &self.stopped {
            None => Ok(()),
            Some(error) => Err(StoreError::Stopped { cause: error.to_string() }),
        }
    }
}

/// The batch as it goes to the store beneath.
fn with_records(batch: &Batch) -> Batch {
    let ops = batch.ops.iter().map(|op| match op {
        Op::Put { key, value } => Op::Put { key: key.clone(), value: Record::Inline(value).encode(key) },
        Op::Delete { key } => Op::Delete { key: key.clone() },
    });
    Batch { ops: ops.collect(), ..*batch }
}

impl<S: Store> Store for FaultStore<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let faults = self.faults.read();
        let record = match faults.unsynced.get(key) {
            Some(unsynced) => unsynced.clone(),
            None => self.inner.get(key)?,
        };
        record.map(|record| self.read(&faults, key, record)).transpose()
    }

    fn scan(&self, start: &[u8], end: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        let faults = self.faults.read();
        let rows = if faults.unsynced.is_empty() {
            self.inner.scan(start, end, reverse, limit)?
        } else {
            let mut rows: BTreeMap<Key, Vec<u8>> =
                self.inner.scan(start, end, false, usize::MAX)?.into_iter().collect();
            for (key, record) in &faults.unsynced {
                match record {
                    Some(record) if start <= &key[..] && &key[..] < end => {
                        rows.insert(key.clone(), record.clone());
                    }
                    _ => {
                        rows.remove(key);
                    }
                }
            }
            if reverse { rows.into_iter().rev().take(limit).collect() } else { rows.into_iter().take(limit).collect() }
        };
        rows.into_iter()
            .map(|(key, record)| {
                let value = self.read(&faults, &key, record)?;
                Ok((key, value))
            })
            .collect()
    }

    fn commit(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        let mut faults = self.faults.write();
        faults.check_running()?;
        faults.commits += 1;
        let commit = faults.commits;
        let encoded: Vec<Batch> = batches.iter().map(with_records).collect();
        let Some(fault) = faults.planned.remove(&commit) else {
            return self.inner.commit(&encoded);
        };
        match fault {
            Fault::Refuse => {}
            Fault::TornBatch { mut ops } => {
                let mut torn = encoded;
                for batch in &mut torn {
                    batch.ops.truncate(ops);
                    ops -= batch.ops.len();
                }
                self.inner.commit(&torn)?;
            }
            Fault::LostFlush => {
                for op in encoded.into_iter().flat_map(|batch| batch.ops) {
                    match op {
                        Op::Put { key, value } => faults.unsynced.insert(key, Some(value)),
                        Op::Delete { key } => faults.unsynced.insert(key, None),
                    };
                }
            }
        }
        let error = StoreError::io(
            "fdatasync (an injected fault)",
            Path::new("the store"),
            io::Error::other(format!("{fault:?}")),
        );
        faults.stopped = Some(error.clone());
        Err(error)
    }

    fn acquire_shard(&self, shard: ShardId) -> Result<u64, StoreError> {
        self.faults.read().check_running()?;
        self.inner.acquire_shard(shard)
    }
}
