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

    /// Takes what is due, a bounded number at a time.
    pub fn due(&mut self, store: &dyn Store, now: Time) -> Result<Vec<(Time, RunKey)>, EngineError> {
        if self.near.is_empty() && self.horizon <= now {
            self.load(store)?;
        }
        let mut due = Vec::new();
        while due.len() < limits::TIMERS_AT_ONCE && self.near.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.near.pop_first());
        }
        Ok(due)
    }
}
