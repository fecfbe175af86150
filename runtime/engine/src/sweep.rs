//! A sweep: something is done to many runs, on threads of its own, as long as somebody waits for the results.
//!
//! One thread chooses the runs, a few work on them, and the results go through a bounded queue to whoever asked: a
//! client that reads slowly slows its sweep, and one that has gone ends it. The threads give way to those of the shards
//! and of the activations; see `politeness.rs`.

use std::{collections::BinaryHeap, sync::Arc};

use mainspring_api::{enums::WorkflowExecutionStatus as Status, workflow::WorkflowExecutionInfo};
use mainspring_core::Rejection;
use mainspring_store::Store;
use tokio::sync::{SemaphorePermit, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::{
    EngineError,
    keys::{RunKey, WorkflowKey},
    limits, politeness,
    visibility::select::{RunFilter, Selector},
};

/// Which runs to look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunSelection {
    /// Empty for all task queues.
    pub task_queue: String,
    /// Empty for all types.
    pub workflow_type: String,
    /// A filter as lists take it, without an order. Empty for all runs.
    pub query: String,
    /// How many of the open runs that fit.
    pub open: Sample,
    /// How many closed ones, those that closed last.
    pub closed: usize,
}

/// A part of the open runs. Which ones depends on their run ids alone: the same sample is the same runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Sample {
    #[default]
    All,
    /// At most so many: 1 to [`limits::SAMPLE_RUNS`].
    Count(usize),
    /// Above 0, at most 100.
    Percent(f64),
}

impl RunSelection {
    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), Rejection> {
        match self.open {
            Sample::Count(count) if !(1..=limits::SAMPLE_RUNS).contains(&count) => {
                let max = limits::SAMPLE_RUNS;
                Err(Rejection::invalid(format!(
                    "A sample has 1 to {max} runs, not {count}; a larger one is a percentage."
                )))
            }
            Sample::Percent(percent) if !(percent > 0.0 && percent <= 100.0) => {
                Err(Rejection::invalid(format!("A sample is above 0 % and at most 100 %, not {percent} %.")))
            }
            _ => Ok(()),
        }
    }

    fn selector(&self, store: &Arc<dyn Store>, namespace: Uuid, open: bool) -> Result<Selector, EngineError> {
        let (task_queue, workflow_type) = (self.task_queue.as_str(), self.workflow_type.as_str());
        let filter = RunFilter { task_queue, workflow_type, query: &self.query, open };
        Selector::new(Arc::clone(store), namespace, &filter)
    }
}

/// A run that was chosen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Chosen {
    /// Of a sample by number, the least ones are kept.
    rank: u32,
    pub run: RunKey,
    pub workflow_type: String,
}

impl Chosen {
    fn of(namespace: Uuid, info: WorkflowExecutionInfo) -> Option<Chosen> {
        let execution = info.execution?;
        let workflow = WorkflowKey { namespace, workflow_id: execution.workflow_id };
        let run: Uuid = execution.run_id.parse().ok()?;
        // The end of a version 7 id is random.
        #[allow(clippy::cast_possible_truncation)]
        let rank = run.as_u128() as u32;
        let workflow_type = info.r#type.map(|workflow_type| workflow_type.name).unwrap_or_default();
        Some(Chosen { rank, run: RunKey { workflow, run }, workflow_type })
    }
}

/// Where runs are chosen from.
pub(crate) struct Source {
    pub store: Arc<dyn Store>,
    pub namespace: Uuid,
    pub selection: RunSelection,
}

impl Source {
    /// How many runs will be looked at, as far as it can be told before: runs start and close meanwhile, and there may
    /// be fewer closed ones than were asked for.
    fn expected(&self, dropped: &CancellationToken) -> Result<u64, EngineError> {
        let open = self.selection.selector(&self.store, self.namespace, true)?.count(dropped)?;
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let sampled = match self.selection.open {
            Sample::All => open,
            Sample::Count(count) => open.min(count as u64),
            Sample::Percent(percent) => (open as f64 * percent / 100.0).round() as u64,
        };
        if self.selection.closed == 0 {
            return Ok(sampled);
        }
        let closed = self.selection.selector(&self.store, self.namespace, false)?.count(dropped)?;
        Ok(sampled + closed.min(self.selection.closed as u64))
    }

    /// Visits the runs, until the visitor wants no more.
    fn visit(&self, dropped: &CancellationToken, mut visit: impl FnMut(Chosen) -> bool) -> Result<(), EngineError> {
        let mut kept = BinaryHeap::new();
        let mut open = self.selection.selector(&self.store, self.namespace, true)?;
        while let Some(page) = open.next_page(dropped)? {
            for chosen in page.into_iter().filter_map(|info| Chosen::of(self.namespace, info)) {
                let wanted = match self.selection.open {
                    Sample::All => true,
                    Sample::Percent(percent) => f64::from(chosen.rank) <= percent / 100.0 * f64::from(u32::MAX),
                    Sample::Count(count) => {
                        kept.push(chosen);
                        if kept.len() > count {
                            kept.pop();
                        }
                        continue;
                    }
                };
                if wanted && !visit(chosen) {
                    return Ok(());
                }
            }
        }
        for chosen in kept {
            if !visit(chosen) {
                return Ok(());
            }
        }
        let mut left = self.selection.closed;
        let mut closed = self.selection.selector(&self.store, self.namespace, false)?;
        while left > 0
            && let Some(page) = closed.next_page(dropped)?
        {
            for info in page.into_iter().take(left) {
                left -= 1;
                debug_assert!(info.status() != Status::Running);
                if Chosen::of(self.namespace, info).is_some_and(|chosen| !visit(chosen)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Results as they come. Dropping it ends the sweep, after the runs that are being worked on.
pub struct Sweep<T> {
    results: mpsc::Receiver<Result<T, EngineError>>,
    expected: u64,
    _dropped: DropGuard,
}

impl<T: Send + 'static> Sweep<T> {
    /// Begins. `work` gives none for a run that is of no interest after all. Blocks while the runs are counted.
    ///
    /// # Errors
    /// Where the filter is refused, the store cannot be read, or the operating system gives no thread.
    pub(crate) fn start(
        source: Source,
        threads: usize,
        permit: Option<SemaphorePermit<'static>>,
        work: impl Fn(&Chosen) -> Result<Option<T>, EngineError> + Send + Sync + 'static,
    ) -> Result<Sweep<T>, EngineError> {
        let dropped = CancellationToken::new();
        let guard = dropped.clone().drop_guard();
        let expected = source.expected(&dropped)?;
        let (sender, results) = mpsc::channel(limits::SWEEP_RESULTS);
        let (chosen, queue) = flume::bounded::<Chosen>(limits::SWEEP_RESULTS);
        // Shared by all threads: the last one to end lets the next sweep in.
        let shared = Arc::new((work, permit));
        for number in 0..threads.max(1) {
            let (shared, queue, sender, dropped) =
                (Arc::clone(&shared), queue.clone(), sender.clone(), dropped.clone());
            politeness::spawn(format!("sweep-{number}"), move || {
                for run in queue {
                    if dropped.is_cancelled() {
                        return;
                    }
                    let result = (shared.0)(&run).transpose();
                    let failed = matches!(result, Some(Err(_)));
                    if result.is_some_and(|result| sender.blocking_send(result).is_err()) || failed {
                        // Nobody reads any more, or the rest would fail as well.
                        return dropped.cancel();
                    }
                }
            })?;
        }
        politeness::spawn("sweep-select".into(), move || {
            let _shared = shared;
            // The workers are gone where the sweep has failed or was dropped.
            let visited = source.visit(&dropped, |run| !dropped.is_cancelled() && chosen.send(run).is_ok());
            if let Err(error) = visited
                && !dropped.is_cancelled()
            {
                let _ = sender.blocking_send(Err(error));
            }
        })?;
        Ok(Sweep { results, expected, _dropped: guard })
    }

    /// How many runs will be looked at, about.
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// Takes what is there, or waits for one; none at the end. After an error there is nothing more.
    pub async fn next_few(&mut self) -> Vec<Result<T, EngineError>> {
        let mut few = Vec::new();
        self.results.recv_many(&mut few, limits::SWEEP_RESULTS).await;
        few
    }

    /// The same for one result, where blocking is allowed.
    pub fn blocking_next(&mut self) -> Option<Result<T, EngineError>> {
        self.results.blocking_recv()
    }
}
