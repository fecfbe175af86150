//! A shard's timer rows: those of the near future in memory, the others on disk.

use std::collections::BTreeSet;

use mainspring_core::Time;
use mainspring_store::{ShardId, Store};

use crate::{EngineError, keys, keys::RunKey, limits};

pub struct Timers {
    shard: ShardId,
    near: BTreeSet<(Time, RunKey)>,
    /// Rows that are due before this are all in `near`.
    horizon: Time,
}

impl Timers {
    pub fn open(store: &dyn Store, shard: ShardId) -> Result<Timers, EngineError> {
        let mut timers = Timers { shard, near: BTreeSet::new(), horizon: Time(0) };
        timers.load(store)?;
        Ok(timers)
    }

    /// Reads on from the horizon.
    fn load(&mut self, store: &dyn Store) -> Result<(), EngineError> {
        let start = keys::timers_from(self.shard, self.horizon);
        let end = keys::timers_from(self.shard, Time::MAX);
        let rows = store.scan(&start, &end, false, limits::TIMERS_IN_MEMORY)?;
        let full = rows.len() == limits::TIMERS_IN_MEMORY;
        let mut last = self.horizon;
        for (key, _) in rows {
            let Some((_, due, run)) = keys::read_timer(&key) else {
                return Err(EngineError::Damaged(format!("timer {}", mainspring_store::readable_key(&key))));
            };
            last = due;
            self.near.insert((due, run));
        }
        // Rows due at the same instant as the last one may not have been read: begin there the next time.
        self.horizon = if full { last } else { Time::MAX };
        Ok(())
    }

    /// A run's timer row stands at `due`.
    pub fn add(&mut self, due: Time, run: &RunKey) {
        if due < self.horizon {
            self.near.insert((due, run.clone()));
            if self.near.len() > 2 * limits::TIMERS_IN_MEMORY {
                self.forget_far();
            }
        }
    }

    fn forget_far(&mut self) {
        while self.near.len() > limits::TIMERS_IN_MEMORY {
            if let Some((due, _)) = self.near.pop_last() {
                self.horizon = due;
            }
        }
        // Those that share the horizon's instant are read again with it.
        let horizon = self.horizon;
        self.near.retain(|(due, _)| *due < horizon);
    }

    /// When the shard must wake up, at the latest.
    pub fn next(&self) -> Option<Time> {
        match self.near.first() {
            Some((due, _)) => Some(*due),
            None if self.horizon < Time::MAX => Some(self.horizon),
            None => None,
        }
    }

    /// Takes what is due, a bounded number at a time. `written` waits until the store shows every row that stands: one
    /// beyond the horizon is not in memory, and may still be on its way when the horizon comes.
    pub fn due(
        &mut self,
        store: &dyn Store,
        now: Time,
        written: impl FnOnce(),
    ) -> Result<Vec<(Time, RunKey)>, EngineError> {
        if self.near.is_empty() && self.horizon <= now {
            written();
            self.load(store)?;
        }
        let mut due = Vec::new();
        while due.len() < limits::TIMERS_AT_ONCE && self.near.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.near.pop_first());
        }
        Ok(due)
    }
}

#[cfg(test)]
mod tests {
    use mainspring_store::{Batch, MemoryStore};
    use uuid::Uuid;

    use super::*;
    use crate::keys::WorkflowKey;

    const SHARD: ShardId = ShardId(1);

    fn run(number: u128) -> RunKey {
        let workflow = WorkflowKey { namespace: Uuid::nil(), workflow_id: "w".into() };
        RunKey { workflow, run: Uuid::from_u128(number) }
    }

    fn write(store: &MemoryStore, epoch: u64, rows: impl Iterator<Item = i64>) {
        let mut batch = Batch::new(SHARD, epoch);
        for due in rows {
            batch.put(keys::timer(SHARD, Time(due), &run(due.unsigned_abs().into())), Vec::new());
        }
        for result in store.commit(&[batch]).unwrap() {
            result.unwrap();
        }
    }

    #[test]
    fn a_timer_beyond_the_horizon_that_is_not_stored_yet_is_not_missed() {
        let store = MemoryStore::new();
        let epoch = store.acquire_shard(SHARD).unwrap();
        let many = i64::try_from(limits::TIMERS_IN_MEMORY).unwrap() + 10;
        write(&store, epoch, 1..=many);
        let mut timers = Timers::open(&store, SHARD).unwrap();
        // As far as this shard can know it is on its way to the disk.
        timers.add(Time(many + 5), &run(0));
        let late = Time(many + 5);
        let arrives = || {
            let mut batch = Batch::new(SHARD, epoch);
            batch.put(keys::timer(SHARD, late, &run(0)), Vec::new());
            store.commit(&[batch]).unwrap();
        };
        let mut fired = Vec::new();
        let mut arrives = Some(arrives);
        loop {
            let due = timers.due(&store, Time(many + 10), || {
                if let Some(arrives) = arrives.take() {
                    arrives();
                }
            });
            match due.unwrap() {
                due if due.is_empty() => break,
                due => fired.extend(due.into_iter().map(|(at, _)| at)),
            }
        }
        fired.dedup();
        let expected: Vec<Time> = (1..=many).map(Time).chain([late]).collect();
        assert_eq!(fired, expected);
    }
}
