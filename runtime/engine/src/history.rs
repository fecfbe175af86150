//! Reading histories, and waiting for what is to come.

use mainspring_core::limits::temporal as limits;
use uuid::Uuid;

use crate::{
    Engine, EngineError, HistoryPage, HistoryQuery, RunRef,
    inner::Head,
    keys::{RunKey, WorkflowKey},
    run::read_history,
};

impl Engine {
    /// A page of a run's history. Only durable events are shown.
    pub async fn history(&self, namespace: &str, query: HistoryQuery) -> Result<HistoryPage, EngineError> {
        let workflow = self.workflow(namespace, &query.run.workflow_id)?;
        let given: Option<Uuid> = query.run.run_id.parse().ok();
        let waits = query.wait.map(|wait| tokio::time::Instant::now() + wait);
        // Subscribed before the first look, nothing can happen unseen in between.
        let early = given.filter(|_| waits.is_some()).map(|run| self.shared().notifier.subscribe(run));
        let (run, mut next_event_id, mut is_running) = self.head(&workflow, query.run.clone()).await?;
        if let Some(deadline) = waits {
            let mut heads = match early {
                Some(heads) => heads,
                None => {
                    let heads = self.shared().notifier.subscribe(run);
                    (_, next_event_id, is_running) = self.head(&workflow, run_ref(&workflow, run)).await?;
                    heads
                }
            };
            while is_running && (query.close_event_only || next_event_id <= query.from_event_id) {
                let Ok(Ok(())) = tokio::time::timeout_at(deadline, heads.changed()).await else { break };
                match heads.borrow_and_update().clone() {
                    Some(Head::At { next_event_id: next, is_running: running }) => {
                        (next_event_id, is_running) = (next, running);
                    }
                    Some(Head::Deleted) => break,
                    None => {}
                }
            }
            self.shared().notifier.release(run, heads);
        }
        let (first, last) = range(&query, next_event_id, is_running);
        let (key, shard) = (RunKey { workflow: workflow.clone(), run }, self.shard_of(&workflow).id);
        let store = std::sync::Arc::clone(&self.shared().store);
        let read = tokio::task::spawn_blocking(move || read_history(&*store, shard, &key, first, last));
        let mut events = read.await.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        let next = if query.reverse {
            events.reverse();
            (first > 1).then_some(first - 1)
        } else if query.close_event_only {
            is_running.then_some(next_event_id).filter(|_| query.wait.is_some())
        } else {
            let more = last + 1 < next_event_id || (is_running && query.wait.is_some());
            more.then_some(last + 1)
        };
        Ok(HistoryPage { run_id: run.to_string(), events, next_event_id: next, is_running })
    }

    async fn head(&self, workflow: &WorkflowKey, run: RunRef) -> Result<(Uuid, i64, bool), EngineError> {
        let (run_id, next_event_id, is_running) = self
            .on_run(workflow.clone(), run, |step| {
                Ok((step.state.run_id.clone(), step.state.next_event_id, step.state.is_running()))
            })
            .await?;
        let run = run_id.parse().map_err(|_| EngineError::Damaged(format!("run id {run_id:?}")))?;
        Ok((run, next_event_id, is_running))
    }
}

fn run_ref(workflow: &WorkflowKey, run: Uuid) -> RunRef {
    RunRef { workflow_id: workflow.workflow_id.clone(), run_id: run.to_string(), ..RunRef::default() }
}

/// The first and last event of the page; an empty range where the first is after the last.
fn range(query: &HistoryQuery, next_event_id: i64, is_running: bool) -> (i64, i64) {
    let page = i64::try_from(query.page_size.clamp(1, limits::HISTORY_PAGE)).unwrap_or(1);
    let end = next_event_id - 1;
    if query.reverse {
        let last = if query.from_event_id <= 0 { end } else { query.from_event_id.min(end) };
        return ((last - page + 1).max(1), last);
    }
    if query.close_event_only {
        return if is_running { (next_event_id, end) } else { (end, end) };
    }
    let first = query.from_event_id.max(1);
    (first, end.min(first.saturating_add(page - 1)))
}
