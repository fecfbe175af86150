//! The instances of runs between their activations.
//!
//! An instance is a run's state that replay can make again at any time, so dropping one costs time and nothing else.
//! While it runs it is out of the cache: two threads never share one, and eviction never meets a running guest.
//!
//! Each namespace has its own list. Where room is wanted, the namespace that holds most gives some back, so that one
//! with a thousand busy runs does not push out the ten of its neighbour.

use std::{collections::HashMap, time::Instant};

use lru::LruCache;
use parking_lot::Mutex;

use crate::{CacheUsage, RunKey, driver::Run};

/// `V` is [`Run`], but in tests.
pub struct InstanceCache<V = Run> {
    inner: Mutex<Inner<V>>,
    bytes_max: usize,
    count_max: usize,
}

struct Inner<V> {
    /// By namespace. One that has left is kept for what it used.
    owners: HashMap<String, Owner<V>>,
    bytes: usize,
    count: usize,
    evicted: u64,
}

struct Owner<V> {
    /// Least recently used last. Each with the bytes that it was counted with.
    runs: LruCache<RunKey, (V, usize)>,
    bytes: usize,
    evicted: u64,
    /// Up to `since`; from there on it grows by `bytes` each second.
    byte_seconds: f64,
    since: Instant,
}

impl<V> Owner<V> {
    fn new() -> Owner<V> {
        Owner { runs: LruCache::unbounded(), bytes: 0, evicted: 0, byte_seconds: 0.0, since: Instant::now() }
    }

    /// Brings the time integral up to now. Before every change of `bytes`.
    fn settle(&mut self) {
        let now = Instant::now();
        self.byte_seconds += self.bytes as f64 * now.duration_since(self.since).as_secs_f64();
        self.since = now;
    }
}

impl<V> Inner<V> {
    fn take(&mut self, key: &RunKey) -> Option<V> {
        let owner = self.owners.get_mut(&key.namespace)?;
        let (run, bytes) = owner.runs.pop(key)?;
        owner.settle();
        owner.bytes -= bytes;
        self.bytes -= bytes;
        self.count -= 1;
        Some(run)
    }

    fn evict(&mut self, namespace: &str) -> Option<V> {
        let owner = self.owners.get_mut(namespace)?;
        let (_, (run, bytes)) = owner.runs.pop_lru()?;
        owner.settle();
        owner.bytes -= bytes;
        owner.evicted += 1;
        self.bytes -= bytes;
        self.count -= 1;
        self.evicted += 1;
        Some(run)
    }

    fn heaviest(&self, weight: impl Fn(&Owner<V>) -> usize) -> Option<String> {
        let busy = self.owners.iter().filter(|(_, owner)| !owner.runs.is_empty());
        busy.max_by_key(|(_, owner)| weight(owner)).map(|(namespace, _)| namespace.clone())
    }
}

impl<V> InstanceCache<V> {
    pub fn new(bytes_max: usize, count_max: usize) -> InstanceCache<V> {
        let inner = Inner { owners: HashMap::new(), bytes: 0, count: 0, evicted: 0 };
        InstanceCache { inner: Mutex::new(inner), bytes_max, count_max }
    }

    /// Takes a run out, to run it or to forget it.
    pub fn take(&self, key: &RunKey) -> Option<V> {
        self.inner.lock().take(key)
    }

    /// Keeps a run of so many bytes, and drops others until there is room: of its own namespace, where that has more
    /// than `owner_bytes_max` now, and then of whichever has most.
    pub fn put(&self, key: RunKey, run: V, bytes: usize, owner_bytes_max: usize) {
        let mut dropped = Vec::new();
        {
            let mut inner = self.inner.lock();
            // Another thread may have run the same run, and put it back first.
            dropped.extend(inner.take(&key));
            let namespace = key.namespace.clone();
            let owner = inner.owners.entry(namespace.clone()).or_insert_with(Owner::new);
            owner.settle();
            owner.runs.put(key, (run, bytes));
            owner.bytes += bytes;
            inner.bytes += bytes;
            inner.count += 1;
            while inner.owners.get(&namespace).is_some_and(|owner| owner.bytes > owner_bytes_max) {
                let Some(run) = inner.evict(&namespace) else { break };
                dropped.push(run);
            }
            while inner.bytes > self.bytes_max || inner.count > self.count_max {
                let heaviest = match inner.bytes > self.bytes_max {
                    true => inner.heaviest(|owner| owner.bytes),
                    false => inner.heaviest(|owner| owner.runs.len()),
                };
                let Some(run) = heaviest.and_then(|namespace| inner.evict(&namespace)) else { break };
                dropped.push(run);
            }
        }
        // Unmapping memory takes time: not under the lock.
        drop(dropped);
    }

    /// Runs, their bytes, and how many were evicted so far.
    pub fn stats(&self) -> (usize, usize, u64) {
        let inner = self.inner.lock();
        (inner.count, inner.bytes, inner.evicted)
    }

    /// What a namespace holds and has held.
    pub fn usage(&self, namespace: &str) -> CacheUsage {
        let mut inner = self.inner.lock();
        let Some(owner) = inner.owners.get_mut(namespace) else { return CacheUsage::default() };
        owner.settle();
        CacheUsage {
            instances: owner.runs.len(),
            bytes: owner.bytes,
            byte_seconds: owner.byte_seconds,
            evicted: owner.evicted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, number: usize) -> RunKey {
        RunKey { namespace: namespace.into(), workflow_id: number.to_string(), run_id: number.to_string() }
    }

    fn fill(cache: &InstanceCache<()>, namespace: &str, runs: std::ops::Range<usize>) {
        for number in runs {
            cache.put(key(namespace, number), (), 10, usize::MAX);
        }
    }

    fn held(cache: &InstanceCache<()>, namespace: &str) -> (usize, u64) {
        let usage = cache.usage(namespace);
        assert_eq!(usage.bytes, usage.instances * 10);
        (usage.instances, usage.evicted)
    }

    #[test]
    fn one_namespace_alone_may_have_everything_and_loses_its_oldest() {
        let cache = InstanceCache::new(100, 1_000);
        fill(&cache, "a", 0..12);
        assert_eq!(held(&cache, "a"), (10, 2));
        assert!(cache.take(&key("a", 1)).is_none());
        assert!(cache.take(&key("a", 2)).is_some());
        assert_eq!(cache.stats(), (9, 90, 2));
    }

    #[test]
    fn room_is_made_by_the_namespace_that_holds_most() {
        for (bytes_max, count_max) in [(100, 1_000), (1_000, 10)] {
            let cache = InstanceCache::new(bytes_max, count_max);
            fill(&cache, "quiet", 0..3);
            fill(&cache, "busy", 0..500);
            assert_eq!((held(&cache, "quiet"), held(&cache, "busy")), ((3, 0), (7, 493)));
            // Up to its half, the quiet one gets what it asks for.
            fill(&cache, "quiet", 3..5);
            assert_eq!((held(&cache, "quiet"), held(&cache, "busy")), ((5, 0), (5, 495)));
        }
    }

    #[test]
    fn a_namespace_has_a_bound_of_its_own() {
        let cache = InstanceCache::new(1_000, 1_000);
        for number in 0..5 {
            cache.put(key("small", number), (), 10, 25);
        }
        fill(&cache, "other", 0..5);
        assert_eq!((held(&cache, "small"), held(&cache, "other")), ((2, 3), (5, 0)));
    }

    #[test]
    fn a_run_that_is_put_back_twice_counts_once() {
        let cache = InstanceCache::new(1_000, 1_000);
        fill(&cache, "a", 0..1);
        fill(&cache, "a", 0..1);
        assert_eq!(cache.stats(), (1, 10, 0));
    }
}
