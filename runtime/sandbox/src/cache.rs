//! The instances of runs between their activations.
//!
//! An instance is a run's state that replay can make again at any time, so dropping one costs time and nothing else.
//! While it runs it is out of the cache: two threads never share one, and eviction never meets a running guest.

use lru::LruCache;
use parking_lot::Mutex;

use crate::{RunKey, driver::Run};

pub struct InstanceCache {
    inner: Mutex<Inner>,
    bytes_max: usize,
    count_max: usize,
}

struct Inner {
    /// Least recently used last. Each with the bytes that it was counted with.
    runs: LruCache<RunKey, (Run, usize)>,
    bytes: usize,
    evicted: u64,
}

impl InstanceCache {
    pub fn new(bytes_max: usize, count_max: usize) -> InstanceCache {
        let inner = Inner { runs: LruCache::unbounded(), bytes: 0, evicted: 0 };
        InstanceCache { inner: Mutex::new(inner), bytes_max, count_max }
    }

    /// Takes a run out, to run it or to forget it.
    pub fn take(&self, key: &RunKey) -> Option<Run> {
        let mut inner = self.inner.lock();
        let (run, bytes) = inner.runs.pop(key)?;
        inner.bytes -= bytes;
        Some(run)
    }

    /// Keeps a run, and drops those that were not used for longest until there is room.
    pub fn put(&self, key: RunKey, run: Run) {
        let bytes = run.private_bytes();
        let mut dropped = Vec::new();
        {
            let mut inner = self.inner.lock();
            if let Some((_, (other, other_bytes))) = inner.runs.push(key, (run, bytes)) {
                // Another thread ran the same run, and put it back first.
                inner.bytes -= other_bytes;
                dropped.push(other);
            }
            inner.bytes += bytes;
            while inner.bytes > self.bytes_max || inner.runs.len() > self.count_max {
                let Some((_, (run, bytes))) = inner.runs.pop_lru() else { break };
                inner.bytes -= bytes;
                inner.evicted += 1;
                dropped.push(run);
            }
        }
        // Unmapping memory takes time: not under the lock.
        drop(dropped);
    }

    /// Runs, their bytes, and how many were evicted so far.
    pub fn stats(&self) -> (usize, usize, u64) {
        let inner = self.inner.lock();
        (inner.runs.len(), inner.bytes, inner.evicted)
    }
}
