//! The contract of every backend: rows, batches, shards.

use std::fmt;

use crate::{StoreError, limits};

/// A row's key: any bytes, at most [`limits::KEY_BYTES_MAX`] of them. Rows are ordered by it, byte by byte.
pub type Key = Vec<u8>;

/// One of the parts that all runs are spread over. A shard has one writer at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes the row, whether or not it exists.
    Put { key: Key, value: Vec<u8> },
    /// Removes the row, if it exists.
    Delete { key: Key },
}

impl Op {
    /// The key that the change is at.
    pub fn key(&self) -> &[u8] {
        match self {
            Op::Put { key, .. } | Op::Delete { key } => key,
        }
    }

    /// Its key and value together, in bytes.
    pub(crate) fn byte_size(&self) -> usize {
        match self {
            Op::Put { key, value } => key.len() + value.len(),
            Op::Delete { key } => key.len(),
        }
    }
}

/// One atomic step of one shard: after a crash either all of its changes are there or none. Within a batch, a later
/// change of a key wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub shard: ShardId,
    /// What [`Store::acquire_shard`] returned to the shard's writer; 0 for a shard that was never acquired.
    pub epoch: u64,
    pub ops: Vec<Op>,
}

impl Batch {
    pub fn new(shard: ShardId, epoch: u64) -> Batch {
        Batch { shard, epoch, ops: Vec::new() }
    }

    pub fn put(&mut self, key: impl Into<Key>, value: impl Into<Vec<u8>>) {
        let (key, value) = (key.into(), value.into());
        self.ops.push(Op::Put { key, value });
    }

    pub fn delete(&mut self, key: impl Into<Key>) {
        self.ops.push(Op::Delete { key: key.into() });
    }

    /// Whether it changes nothing: the [`Committer`](crate::Committer) takes such a batch as a barrier.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Its keys and values together, in bytes.
    pub fn byte_size(&self) -> usize {
        self.ops.iter().map(Op::byte_size).sum()
    }

    /// Refuses a batch of a writer that does not own the shard. `current` is the shard's epoch, if it was ever acquired.
    pub(crate) fn check_fence(&self, current: Option<u64>) -> Result<(), StoreError> {
        let current = current.unwrap_or(0);
        if self.epoch == current {
            return Ok(());
        }
        Err(StoreError::Fenced { shard: self.shard, epoch: self.epoch, current })
    }

    /// Refuses what is above a limit, before anything is applied.
    pub(crate) fn check_limits(&self) -> Result<(), StoreError> {
        let check = |what, bytes, limit| {
            if bytes > limit { Err(StoreError::TooLarge { what, bytes, limit }) } else { Ok(()) }
        };
        for op in &self.ops {
            check("a key", op.key().len(), limits::KEY_BYTES_MAX)?;
            if let Op::Put { value, .. } = op {
                check("a value", value.len(), limits::VALUE_BYTES_MAX)?;
            }
        }
        check("a batch", self.byte_size(), limits::BATCH_BYTES_MAX)
    }
}

/// What became of each batch of a group, in the group's order: durable, or refused (see [`StoreError::is_refusal`]).
pub type CommitResults = Vec<Result<(), StoreError>>;

/// Ordered rows on durable storage. Calls block; any thread may make them.
///
/// A read sees a batch as soon as it is applied, a moment before it is durable, and never a part of one (a scan too
/// sees each batch whole or not at all). What must not outrun the disk waits for the commit, not for a read.
pub trait Store: Send + Sync + 'static {
    /// The row's value, or `None`. Fails with [`StoreError::Corrupt`] rather than return bytes that were not written.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The rows with `start <= key < end`, in order (from the end if `reverse`), at most `limit` of them.
    /// An `end` at or before `start` is an empty range.
    fn scan(&self, start: &[u8], end: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Key, Vec<u8>)>, StoreError>;

    /// As [`Self::scan`] from the start, but ends behind the row with which keys and values come to `bytes`: for
    /// whoever does not know how large the rows are. It is empty only where the range is.
    fn scan_some(
        &self,
        start: &[u8],
        end: &[u8],
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        let (mut rows, mut read, mut start) = (Vec::new(), 0, start.to_vec());
        while rows.len() < limit && read < bytes {
            let Some((key, value)) = self.scan(&start, end, false, 1)?.pop() else { break };
            read += key.len() + value.len();
            start = [&key[..], &[0]].concat();
            rows.push((key, value));
        }
        Ok(rows)
    }

    /// Applies the batches in order, all or none of each, and returns when they are durable.
    ///
    /// The answer has one result for each batch: a refused batch (fenced, too large) is left out and does not harm
    /// the others of its group. A batch's epoch must be the shard's current one: an older one is a writer that lost
    /// the shard, a newer one was never granted; both are [`StoreError::Fenced`].
    ///
    /// An error of the whole call means that no batch of the group may be taken as durable (some may turn out to be,
    /// after a restart). Unless it is [`StoreError::Full`], the store has then stopped: every later call fails with
    /// [`StoreError::Stopped`], because after a failed flush the page cache no longer tells the truth.
    fn commit(&self, batches: &[Batch]) -> Result<CommitResults, StoreError>;

    /// The first half of a commit: applies the batches and returns before they are durable. Its results hold only once
    /// a later [`Self::sync`] has returned. The [`Committer`](crate::Committer) uses the halves to prepare a group
    /// while the one before it is on its way to the disk.
    ///
    /// A backend that cannot tell the halves apart commits here.
    fn apply(&self, batches: &[Batch]) -> Result<CommitResults, StoreError> {
        self.commit(batches)
    }

    /// The second half of a commit: returns when everything that was applied before the call is durable.
    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes the shard over: raises its epoch and returns it, durable. It fences every earlier writer of the shard.
    fn acquire_shard(&self, shard: ShardId) -> Result<u64, StoreError>;
}
