//! How many open runs each module has on each task queue: counted in memory, from the steps that start, pin and close
//! runs. At start-up the counts are read from the index by module, whose rows those steps write.

use std::{collections::HashMap, sync::Arc};

use mainspring_core::rows::RunRow;
use mainspring_sandbox::Digest;
use mainspring_store::{Batch, Store, prefix_end};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::{
    EngineError,
    engine::HOME,
    keys,
    rows::decode,
    run::for_each_row,
    visibility::{index, row},
};

/// Open runs of one task queue, by what they are pinned to.
pub type Counts = HashMap<Option<Digest>, u64>;

/// The counts, and what is about to be pinned.
#[derive(Default)]
pub struct Pins {
    open: Mutex<HashMap<Uuid, HashMap<String, Counts>>>,
    turns: Arc<Mutex<Turns>>,
}

/// First turns of runs that are under way: each may pin its run to its module.
type Turns = HashMap<(Uuid, Digest), usize>;

/// Held from the choice of a run's module until the run is counted, so that the module is not deleted in between.
pub struct Turn {
    of: (Uuid, Digest),
    turns: Arc<Mutex<Turns>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.turns.lock();
        if let Some(count) = turns.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                turns.remove(&self.of);
            }
        }
    }
}

impl Pins {
    /// Counts what is stored.
    pub fn open(store: &dyn Store, namespaces: &[Uuid]) -> Result<Pins, EngineError> {
        let pins = Pins::default();
        for &namespace in namespaces {
            for (module, task_queue, prefix) in kinds(store, &index::modules(namespace))? {
                let (start, end) = index::open_runs(&prefix);
                let mut count = 0;
                for_each_row(store, &start, &end, |_, _| {
                    count += 1;
                    Ok(())
                })?;
                if count > 0 {
                    let mut open = pins.open.lock();
                    open.entry(namespace).or_default().entry(task_queue).or_default().insert(module, count);
                }
            }
        }
        Ok(pins)
    }

    /// A run has gone from one state to another: each is what it is pinned to, if it is open at all.
    pub fn moved(
        &self,
        namespace: Uuid,
        task_queue: &str,
        before: Option<Option<Digest>>,
        after: Option<Option<Digest>>,
    ) {
        if before == after {
            return;
        }
        let mut open = self.open.lock();
        let queues = open.entry(namespace).or_default();
        if !queues.contains_key(task_queue) {
            queues.insert(task_queue.to_owned(), Counts::new());
        }
        let Some(counts) = queues.get_mut(task_queue) else { return };
        if let Some(after) = after {
            *counts.entry(after).or_default() += 1;
        }
        if let Some(count) = before.and_then(|before| counts.get_mut(&before)) {
            *count = count.saturating_sub(1);
        }
        counts.retain(|_, count| *count > 0);
        if counts.is_empty() {
            queues.remove(task_queue);
        }
    }

    pub fn of_queue(&self, namespace: Uuid, task_queue: &str) -> Counts {
        let open = self.open.lock();
        open.get(&namespace).and_then(|queues| queues.get(task_queue)).cloned().unwrap_or_default()
    }

    /// Open runs by task queue that are pinned to the module.
    pub fn of_module(&self, namespace: Uuid, module: &Digest) -> HashMap<String, u64> {
        let open = self.open.lock();
        let queues = open.get(&namespace).into_iter().flatten();
        queues.filter_map(|(queue, counts)| counts.get(&Some(*module)).map(|count| (queue.clone(), *count))).collect()
    }

    /// A run has its first turn on this module.
    pub fn turn(&self, namespace: Uuid, module: Digest) -> Turn {
        let of = (namespace, module);
        *self.turns.lock().entry(of).or_default() += 1;
        Turn { of, turns: Arc::clone(&self.turns) }
    }

    /// First turns on the module that are under way.
    pub fn turns(&self, namespace: Uuid, module: &Digest) -> usize {
        self.turns.lock().get(&(namespace, *module)).copied().unwrap_or_default()
    }
}

/// A module (or none), a task queue, and the part of the index's keys that the runs of both have for themselves.
type Kind = (Option<Digest>, String, Vec<u8>);

/// Those that there are under a prefix of the index. Few reads, however many runs there are.
fn kinds(store: &dyn Store, prefix: &[u8]) -> Result<Vec<Kind>, EngineError> {
    let (mut start, end) = (prefix.to_vec(), prefix_end(prefix));
    let mut kinds = Vec::new();
    while let Some((key, _)) = store.scan(&start, &end, false, 1)?.into_iter().next() {
        let damaged = || EngineError::Damaged(format!("visibility index {}", mainspring_store::readable_key(&key)));
        let (module, task_queue, length) = index::read_module_row(&key).ok_or_else(damaged)?;
        let own = key[..length].to_vec();
        start = prefix_end(&own);
        kinds.push((module, task_queue, own));
    }
    Ok(kinds)
}

/// Whether a run that is pinned to the module has closed at this time or later.
pub fn has_closed_since(
    store: &dyn Store,
    namespace: Uuid,
    module: &Digest,
    since: mainspring_core::Time,
) -> Result<bool, EngineError> {
    for (_, _, prefix) in kinds(store, &index::of_module(namespace, Some(module)))? {
        for (start, end) in index::closed_since(&prefix, since) {
            if !store.scan(&start, &end, false, 1)?.is_empty() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Writes the index by module where it is not there yet: the directory is of before there was one.
pub fn setup_index(store: &dyn Store) -> Result<(), EngineError> {
    /// Runs in one batch.
    const AT_ONCE: usize = 1_000;
    if store.get(keys::MODULE_INDEX)?.is_some() {
        return Ok(());
    }
    let epoch = store.acquire_shard(HOME)?;
    let mut batch = Batch::new(HOME, epoch);
    for_each_row(store, b"r", &prefix_end(b"r"), |key, value| {
        let run: RunRow = decode("run", key, value)?;
        let Some((_, id, _)) = keys::read_run(key) else { return Ok(()) };
        let namespace = id.workflow.namespace;
        // One that lists do not show is damaged, which verification tells.
        if let Some(info) = row::read(store, namespace, id.run)? {
            batch.put(index::module_row(namespace, id.run, run.module.parse().ok().as_ref(), &info), Vec::new());
        }
        if batch.ops.len() >= AT_ONCE {
            crate::open::commit_now(store, std::mem::replace(&mut batch, Batch::new(HOME, epoch)))?;
        }
        Ok(())
    })?;
    batch.put(keys::MODULE_INDEX, Vec::new());
    crate::open::commit_now(store, batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: Uuid = Uuid::from_u128(3);

    fn module(number: u8) -> Digest {
        Digest::from_bytes([number; 32])
    }

    #[test]
    fn a_run_is_counted_where_it_is_and_nowhere_else() {
        let pins = Pins::default();
        pins.moved(NAMESPACE, "a", None, Some(None));
        pins.moved(NAMESPACE, "a", None, Some(Some(module(1))));
        pins.moved(NAMESPACE, "b", None, Some(Some(module(1))));
        assert_eq!(pins.of_queue(NAMESPACE, "a"), [(None, 1), (Some(module(1)), 1)].into());
        pins.moved(NAMESPACE, "a", Some(None), Some(Some(module(1))));
        assert_eq!(pins.of_module(NAMESPACE, &module(1)), [("a".into(), 2), ("b".into(), 1)].into());
        pins.moved(NAMESPACE, "a", Some(Some(module(1))), None);
        pins.moved(NAMESPACE, "a", Some(Some(module(1))), None);
        pins.moved(NAMESPACE, "b", Some(Some(module(1))), None);
        assert!(pins.open.lock()[&NAMESPACE].is_empty());
        assert!(pins.of_queue(Uuid::nil(), "a").is_empty());
    }

    #[test]
    fn a_turn_ends_when_it_is_let_go() {
        let pins = Pins::default();
        let first = pins.turn(NAMESPACE, module(1));
        let second = pins.turn(NAMESPACE, module(1));
        assert_eq!(pins.turns(NAMESPACE, &module(1)), 2);
        drop(first);
        assert_eq!((pins.turns(NAMESPACE, &module(1)), pins.turns(NAMESPACE, &module(2))), (1, 0));
        drop(second);
        assert_eq!(pins.turns(NAMESPACE, &module(1)), 0);
    }
}
