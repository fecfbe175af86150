//! The backend for tests and for a server without a directory: the same semantics, gone with the process.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use parking_lot::RwLock;

use crate::{Batch, CommitResults, Key, Op, ShardId, Store, StoreError};

/// Rows in memory. "Durable" here means applied: nothing survives the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<Key, Vec<u8>>,
    epochs: HashMap<ShardId, u64>,
}

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.inner.read().rows.get(key).cloned())
    }

    fn scan(&self, start: &[u8], end: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        // BTreeMap panics on a range that ends before it starts.
        if end <= start {
            return Ok(Vec::new());
        }
        let inner = self.inner.read();
        let range = inner.rows.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end)));
        let owned = |(key, value): (&Key, &Vec<u8>)| (key.clone(), value.clone());
        Ok(if reverse { range.rev().take(limit).map(owned).collect() } else { range.take(limit).map(owned).collect() })
    }

    fn commit(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        let mut inner = self.inner.write();
        Ok(batches.iter().map(|batch| inner.apply(batch)).collect())
    }

    fn acquire_shard(&self, shard: ShardId) -> Result<u64, StoreError> {
        let mut inner = self.inner.write();
        let epoch = inner.epochs.entry(shard).or_default();
        *epoch += 1;
        Ok(*epoch)
    }
}

impl Inner {
    fn apply(&mut self, batch: &Batch) -> Result<(), StoreError> {
        batch.check_fence(self.epochs.get(&batch.shard).copied())?;
        batch.check_limits()?;
        for op in &batch.ops {
            match op {
                Op::Put { key, value } => self.rows.insert(key.clone(), value.clone()),
                Op::Delete { key } => self.rows.remove(key),
            };
        }
        Ok(())
    }
}
