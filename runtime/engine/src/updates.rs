//! Updates, and those who wait for them.

use std::{collections::HashMap, time::Duration};

use mainspring_api::{
    common::Payloads,
    update::{Outcome, Request as UpdateRequest, outcome::Value},
};
use mainspring_core::{
    Rejection, Step,
    update::{News, Progress, Stage, outcome},
    workflow::StartWorkflow,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    Engine, EngineError, RunRef, Started,
    engine::stopped,
    keys::{RunKey, WorkflowKey},
    run::{Reply, Work, read_history},
    shard::{Also, Request},
};

/// How far an update must be before its client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpdateStage {
    Admitted,
    Accepted,
    Completed,
}

/// How far an update is.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateStatus {
    pub run_id: String,
    pub stage: UpdateStage,
    /// There once it is completed; a rejection is one, too.
    pub outcome: Option<Outcome>,
}

fn input(request: &UpdateRequest) -> Option<&Payloads> {
    request.input.as_ref().and_then(|input| input.args.as_ref())
}

type Told = Result<(UpdateStage, Option<Outcome>), EngineError>;

struct Waiter {
    stage: UpdateStage,
    sender: oneshot::Sender<Told>,
}

/// Those who wait, by run and update id. As many as there are calls under way.
#[derive(Default)]
pub struct UpdateWaiters {
    waiting: Mutex<HashMap<(String, String), Vec<Waiter>>>,
}

impl UpdateWaiters {
    fn register(&self, run_id: &str, update_id: &str, stage: UpdateStage) -> oneshot::Receiver<Told> {
        let (sender, receiver) = oneshot::channel();
        let key = (run_id.to_owned(), update_id.to_owned());
        self.waiting.lock().entry(key).or_default().push(Waiter { stage, sender });
        receiver
    }

    /// Tells what has become durable.
    pub fn tell(&self, run_id: &str, news: News) {
        let key = (run_id.to_owned(), news.update_id);
        let mut waiting = self.waiting.lock();
        let Some(waiters) = waiting.remove(&key) else { return };
        let mut left = Vec::new();
        for waiter in waiters {
            let told = match &news.progress {
                Progress::Accepted if waiter.stage > UpdateStage::Accepted => {
                    left.push(waiter);
                    continue;
                }
                Progress::Accepted => Ok((UpdateStage::Accepted, None)),
                Progress::Completed(outcome) => Ok((UpdateStage::Completed, Some(outcome.clone()))),
                Progress::Rejected(failure) => Ok((UpdateStage::Completed, Some(failed(failure.clone())))),
                Progress::Aborted(rejection) => Err(EngineError::Rejected(rejection.clone())),
            };
            // One that has gone does not get its answer.
            let _ = waiter.sender.send(told);
        }
        if !left.is_empty() {
            waiting.insert(key, left);
        }
    }

    /// Forgets those who have gone.
    fn release(&self, run_id: &str, update_id: &str) {
        let key = (run_id.to_owned(), update_id.to_owned());
        let mut waiting = self.waiting.lock();
        if let Some(waiters) = waiting.get_mut(&key) {
            waiters.retain(|waiter| !waiter.sender.is_closed());
            if waiters.is_empty() {
                waiting.remove(&key);
            }
        }
    }
}

/// What a run has said of an update.
struct Looked {
    run_id: String,
    stage: Stage,
    /// Where it is not as far as is waited for.
    waiter: Option<oneshot::Receiver<Told>>,
}

fn failed(failure: mainspring_api::failure::Failure) -> Outcome {
    Outcome { value: Some(Value::Failure(failure)) }
}

impl Engine {
    /// Sends an update, and waits until it has come as far as asked for, or for so long.
    pub async fn update_workflow(
        &self,
        namespace: &str,
        run: RunRef,
        request: UpdateRequest,
        stage: UpdateStage,
        wait: Duration,
    ) -> Result<UpdateStatus, EngineError> {
        let update_id = request.meta.as_ref().map(|meta| meta.update_id.clone()).unwrap_or_default();
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        self.check_room(namespace)?;
        self.check_payloads(namespace, "Update input", input(&request))?;
        let (look, looked) = self.look(&update_id, stage, move |step| step.request_update(request));
        self.shard_of(&workflow).request(Request::Run { workflow: workflow.clone(), run, work: look })?;
        self.follow_update(workflow, update_id, looked, wait).await
    }

    /// Sends an update to the running workflow of this id, and starts one first where there is none.
    pub async fn update_with_start(
        &self,
        namespace: &str,
        start: StartWorkflow,
        request: UpdateRequest,
        stage: UpdateStage,
        wait: Duration,
    ) -> Result<(Started, Result<UpdateStatus, EngineError>), EngineError> {
        start.validate()?;
        self.admit_start(namespace, &start)?;
        self.check_payloads(namespace, "Update input", input(&request))?;
        let update_id = request.meta.as_ref().map(|meta| meta.update_id.clone()).unwrap_or_default();
        let workflow = self.workflow(namespace, &start.workflow_id)?;
        let (look, looked) = self.look(&update_id, stage, move |step| step.request_update(request));
        let started = self.start(workflow.clone(), start, Some(Also::Work(look))).await?;
        Ok((started, self.follow_update(workflow, update_id, looked, wait).await))
    }

    /// Waits for an update that was sent before.
    pub async fn poll_update(
        &self,
        namespace: &str,
        run: RunRef,
        update_id: String,
        stage: UpdateStage,
        wait: Duration,
    ) -> Result<UpdateStatus, EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        let id = update_id.clone();
        let (look, looked) = self.look(&update_id, stage, move |step| step.state.find_update(&id));
        self.shard_of(&workflow).request(Request::Run { workflow: workflow.clone(), run, work: look })?;
        self.follow_update(workflow, update_id, looked, wait).await
    }

    /// Has a run say how far an update is, and registers who waits for it.
    fn look(
        &self,
        update_id: &str,
        wanted: UpdateStage,
        look: impl FnOnce(&mut Step<'_>) -> Result<Stage, Rejection> + Send + 'static,
    ) -> (Work, oneshot::Receiver<Result<Looked, EngineError>>) {
        let (shared, id) = (self.shared().clone(), update_id.to_owned());
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |step| -> Reply {
            let looked = step.and_then(|step| {
                let stage = look(step)?;
                let run_id = step.state.run_id.clone();
                // On the shard's thread, so that no news can be missed.
                let waits = match stage {
                    Stage::Admitted => wanted > UpdateStage::Admitted,
                    Stage::Accepted => wanted > UpdateStage::Accepted,
                    Stage::Completed { .. } | Stage::Failed(_) => false,
                };
                let waiter = waits.then(|| shared.updates.register(&run_id, &id, wanted));
                Ok(Looked { run_id, stage, waiter })
            });
            Box::new(move |durable| {
                // A client that has gone does not get its answer.
                let _ = sender.send(durable.and(looked));
            })
        });
        (work, receiver)
    }

    async fn follow_update(
        &self,
        workflow: WorkflowKey,
        update_id: String,
        looked: oneshot::Receiver<Result<Looked, EngineError>>,
        wait: Duration,
    ) -> Result<UpdateStatus, EngineError> {
        let Looked { run_id, stage, waiter } = looked.await.map_err(|_| stopped())??;
        let known = match stage {
            Stage::Admitted => (UpdateStage::Admitted, None),
            Stage::Accepted => (UpdateStage::Accepted, None),
            Stage::Failed(failure) => (UpdateStage::Completed, Some(failed(failure))),
            Stage::Completed { event_id } => {
                (UpdateStage::Completed, self.outcome_of(&workflow, &run_id, event_id).await?)
            }
        };
        let told = match waiter {
            None => Some(Ok(known.clone())),
            Some(receiver) => tokio::time::timeout(wait, receiver).await.ok().and_then(Result::ok),
        };
        self.shared().updates.release(&run_id, &update_id);
        let (stage, outcome) = told.unwrap_or(Ok(known))?;
        Ok(UpdateStatus { run_id, stage, outcome })
    }

    async fn outcome_of(
        &self,
        workflow: &WorkflowKey,
        run_id: &str,
        event_id: i64,
    ) -> Result<Option<Outcome>, EngineError> {
        let run: Uuid = run_id.parse().map_err(|_| EngineError::Damaged(format!("run id {run_id:?}")))?;
        let (key, shard) = (RunKey { workflow: workflow.clone(), run }, self.shard_of(workflow).id);
        let store = std::sync::Arc::clone(&self.shared().store);
        let read = tokio::task::spawn_blocking(move || read_history(&*store, shard, &key, event_id, event_id));
        let events = read.await.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        Ok(events.first().and_then(outcome).cloned())
    }
}
