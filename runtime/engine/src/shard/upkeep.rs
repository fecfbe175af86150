//! What a shard does beside requests to runs: timers that are due, deployments, deletion.

use std::sync::{Arc, atomic::Ordering};

use mainspring_core::{Step, Time};
use mainspring_store::{Batch, prefix_end};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Request, Shard, Waiting, Workflow, answer};
use crate::{
    EngineError, clock, effects,
    inner::Head,
    keys,
    keys::RunKey,
    run::{LoadedRun, for_each_row},
};

impl Shard {
    pub(super) fn fire_timers(&mut self) {
        let (shared, shard) = (&self.shared, self.handle.id);
        let due = match self.timers.due(&*shared.store, clock::now(), || shared.wait_for_commits(shard)) {
            Ok(due) => due,
            Err(error) => return self.shared.fail(&error.to_string()),
        };
        for (at, key) in due {
            match self.load(&key) {
                Ok(true) => self.with_run(&key, |shard, run| shard.fire_timer(run, at)),
                Ok(false) => {}
                Err(error) => tracing::error!(run_id = %key.run, %error, "a run whose timer is due cannot be read"),
            }
        }
    }

    fn fire_timer(&mut self, run: &mut LoadedRun, at: Time) {
        // A row that has been replaced meanwhile.
        if run.armed != Some(at) || run.fired {
            return;
        }
        run.fired = true;
        run.pending.dirty = true;
        self.soon(run, |step| step.advance());
    }

    /// Tries every workflow task that waits: for a module, or (on the task queue that has just got one) for the end of
    /// its pause.
    pub(super) fn retry_waiting(&mut self, namespace: Uuid, deployed_on: Option<&str>) {
        let prefix = keys::of_shard_namespace(b'w', self.handle.id, namespace);
        let mut waiting = Vec::new();
        let read = for_each_row(&*self.shared.store, &prefix, &prefix_end(&prefix), |key, _| {
            waiting.extend(keys::read_run(key).map(|(_, run, _)| run));
            Ok(())
        });
        // Those whose rows are still on their way to the store.
        let loaded = self.workflows.iter().flat_map(|(_, workflow)| workflow.runs.values());
        waiting.extend(loaded.filter(|run| run.state.workflow_task.is_some()).map(|run| run.key.clone()));
        waiting.sort();
        waiting.dedup();
        if let Err(error) = read {
            tracing::error!(%error, "the waiting workflow tasks cannot be read");
        }
        for key in waiting {
            if !matches!(self.load(&key), Ok(true)) {
                continue;
            }
            self.with_run(&key, |shard, run| {
                if deployed_on == Some(run.state.task_queue()) {
                    shard.soon(run, |step| step.retry_workflow_task_now());
                } else if !run.busy {
                    shard.settle(run);
                }
            });
        }
    }

    /// Sends everything on its way that was on its way when the server stopped.
    pub(super) fn deliver_waiting(&mut self, namespace: Uuid) {
        let prefix = keys::of_shard_namespace(b'e', self.handle.id, namespace);
        let mut waiting = Vec::new();
        let read = for_each_row(&*self.shared.store, &prefix, &prefix_end(&prefix), |key, _| {
            waiting.extend(keys::read_run(key).map(|(_, run, _)| run));
            Ok(())
        });
        if let Err(error) = read {
            tracing::error!(%error, "what runs have to do to others cannot be read");
        }
        for key in waiting {
            match self.load(&key) {
                Ok(true) => self.with_run(&key, |shard, run| {
                    for effect in run.state.effects() {
                        effects::deliver(&shard.shared, &run.key, effect);
                    }
                }),
                Ok(false) => {}
                Err(error) => tracing::error!(run_id = %key.run, %error, "a run with effects cannot be read"),
            }
        }
    }

    /// Does something of the engine's own to a run: at once, or when its activation has come to its end.
    fn soon(&mut self, run: &mut LoadedRun, decide: fn(&mut Step<'_>)) {
        if run.busy {
            // No bound: the engine's own are few, and must not be lost.
            run.mailbox.push_back(Waiting::This(Box::new(move |step| {
                if let Ok(step) = step {
                    decide(step);
                }
                Box::new(|_| {})
            })));
        } else {
            run.step(decide);
            self.settle(run);
        }
    }

    pub(super) fn purge(&mut self, key: RunKey, done: oneshot::Sender<Result<(), EngineError>>) {
        match self.purge_rows(&key) {
            Ok(Some(batch)) => {
                let shared = Arc::clone(&self.shared);
                let workflow = self.workflows.get_or_insert_mut(key.workflow.clone(), Workflow::default);
                let in_flight = Arc::clone(&workflow.in_flight);
                in_flight.fetch_add(1, Ordering::AcqRel);
                self.shared.committer.submit(
                    batch,
                    Box::new(move |durable| {
                        in_flight.fetch_sub(1, Ordering::AcqRel);
                        shared.room_was_made(key.workflow.namespace);
                        shared.notifier.notify(key.run, Head::Deleted);
                        answer(done, durable.map_err(|error| shared.lost(&error)));
                    }),
                );
            }
            // Steps of the run are on their way to the disk, or effects to others: come back behind them.
            Ok(None) => {
                let handle = self.handle.clone();
                self.reply_in_order(Box::new(move |_| handle.notify(Request::Purge { run: key, done })));
            }
            Err(error) => answer(done, Err(error)),
        }
    }

    fn purge_rows(&mut self, key: &RunKey) -> Result<Option<Batch>, EngineError> {
        if !self.load(key)? {
            return Ok(Some(Batch::new(self.handle.id, self.epoch)));
        }
        let current = self.current(&key.workflow)?;
        let Some(workflow) = self.workflows.get_mut(&key.workflow) else { return Ok(None) };
        if !workflow.can_be_forgotten() {
            return Ok(None);
        }
        // What it still has to do to others, such as to close its children, would be forgotten with it.
        if workflow.runs.get(&key.run).is_some_and(|run| run.state.has_effects()) {
            return Ok(None);
        }
        let Some(run) = workflow.runs.remove(&key.run) else { return Ok(None) };
        workflow.deleted.insert(key.run);
        let mut batch = Batch::new(self.handle.id, self.epoch);
        for row in run.rows(&*self.shared.store, self.handle.id)? {
            batch.delete(row);
        }
        self.shared.meter(key.workflow.namespace).apply(run.counted.end());
        if current.is_some_and(|current| current.run_id == key.run.to_string()) {
            batch.delete(keys::current(self.handle.id, &key.workflow));
            workflow.current = Some(None);
        }
        workflow.weigh(&mut self.weight);
        Ok(Some(batch))
    }
}
