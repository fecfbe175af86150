//! The engine's front: asynchronous calls that become requests to shards.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use mainspring_api::common::Payloads;
use mainspring_core::{
    Rejection, Step, Time,
    activity::{ActivityOutcome, ActivityRef, HeartbeatAnswer},
    cancel::CancelRequest,
    signal::Signal,
    time,
    workflow::StartWorkflow,
};
use mainspring_sandbox::{Digest, Sandbox};
use mainspring_store::{Batch, Committer, ShardId, Store, prefix_end};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::{
    ActivityTarget, ActivityTask, Deployed, DeployedModule, Deployment, EngineConfig, EngineError, Module, Namespace,
    RunDescription, RunRef, Started, TaskQueueDescription,
    activation::Activations,
    clock,
    inner::{Namespaces, Notifier, Shared},
    keys,
    keys::{RunKey, WorkflowKey},
    matching::{Matching, QueueKey, ReadyTask},
    modules::Modules,
    rows::{NamespaceRow, decode},
    run::{Reply, Work, for_each_row},
    shard::{Request, Shard, ShardHandle, channel},
};

/// All runs of a server. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    failure: watch::Receiver<Option<String>>,
}

/// Writes of the engine itself (namespaces, modules) go through the first shard's fence.
const HOME: ShardId = ShardId(0);

impl Engine {
    /// Opens what the store holds, takes its shards over, queues what was ready, and starts the threads. Blocks.
    pub fn open(store: Arc<dyn Store>, sandbox: Sandbox, config: EngineConfig) -> Result<Engine, EngineError> {
        let shards = setup_shards(&*store, config.shards)?;
        let namespaces = setup_namespaces(&*store, &config.namespaces)?;
        let modules = Arc::new(Modules::open(Arc::clone(&store), &namespaces.ids())?);
        let committer = Arc::new(Committer::start(Arc::clone(&store)));
        let (failure, failed) = watch::channel(None);
        let activations = Activations::start(
            config.activation_threads,
            sandbox.clone(),
            Arc::clone(&modules),
            Arc::clone(&store),
            Arc::clone(&committer),
        )
        .map_err(no_thread)?;
        let shared = Arc::new(Shared {
            store,
            committer,
            sandbox,
            modules,
            matching: Matching::default(),
            notifier: Notifier::default(),
            namespaces,
            activations,
            failure,
        });
        let mut handles = Vec::new();
        let mut opened = Vec::new();
        for number in 0..shards {
            let (handle, requests) = channel(ShardId(number));
            let capacity = config.runs_in_memory_per_shard;
            opened.push(Shard::open(handle.clone(), requests, Arc::clone(&shared), capacity)?);
            queue_ready_activities(&shared, handle.id)?;
            handles.push(handle);
        }
        let mut threads = Vec::new();
        for (number, shard) in opened.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("shard-{number}")).spawn(move || shard.run());
            threads.push(thread.map_err(no_thread)?);
        }
        let inner = Inner { shared, shards: handles, threads: Mutex::new(threads), failure: failed };
        let engine = Engine { inner: Arc::new(inner) };
        engine.retry_all_waiting();
        Ok(engine)
    }

    /// Workflow tasks that were ready when the server stopped.
    fn retry_all_waiting(&self) {
        let shared = &self.inner.shared;
        for namespace in shared.namespaces.all() {
            let Ok(id) = shared.namespaces.id(&namespace.name) else { continue };
            for deployment in shared.modules.deployments(&namespace.name, id) {
                self.announce(QueueKey { namespace: id, name: deployment.task_queue });
            }
        }
    }

    fn announce(&self, queue: QueueKey) {
        for shard in &self.inner.shards {
            shard.notify(Request::Deployed { queue: queue.clone() });
        }
    }

    /// Resolves when the engine can go on no longer, with the reason. The process should stop then: what is on the
    /// disk is known only after a restart.
    pub async fn failed(&self) -> String {
        let mut failure = self.inner.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(message) => message.clone().unwrap_or_default(),
            // The sender lives as long as the engine.
            Err(_) => std::future::pending().await,
        }
    }

    /// Lets go of the polls, finishes the steps under way, and stops the shards. What was acknowledged is durable.
    pub async fn shutdown(&self) {
        self.inner.shared.matching.release_polls();
        for shard in &self.inner.shards {
            shard.notify(Request::Stop);
        }
        let threads = std::mem::take(&mut *self.inner.threads.lock());
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a shard's thread has panicked");
                }
            }
        });
        if joined.await.is_err() {
            tracing::error!("waiting for the shards has failed");
        }
        self.barrier().await;
    }

    /// Waits until all that was handed to the committer before is durable.
    pub(crate) async fn barrier(&self) {
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |_| {
            // Nobody waits any more where the request was dropped.
            let _ = sender.send(());
        });
        self.inner.shared.committer.submit(Batch::new(HOME, 0), done);
        let _ = receiver.await;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn shard_of(&self, workflow: &WorkflowKey) -> &ShardHandle {
        let count = u16::try_from(self.inner.shards.len()).unwrap_or(u16::MAX);
        &self.inner.shards[usize::from(workflow.shard(count).0)]
    }

    pub(crate) fn workflow(&self, namespace: &str, workflow_id: &str) -> Result<WorkflowKey, EngineError> {
        let namespace = self.inner.shared.namespaces.id(namespace)?;
        Ok(WorkflowKey { namespace, workflow_id: workflow_id.to_owned() })
    }

    /// Has a run decide something, and waits until that is durable.
    pub(crate) async fn on_run<T: Send + 'static>(
        &self,
        workflow: WorkflowKey,
        run: RunRef,
        decide: impl FnOnce(&mut Step<'_>) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |step| -> Reply {
            let result = step.and_then(|step| Ok(decide(step)?));
            Box::new(move |durable| {
                // A client that has gone does not get its answer.
                let _ = sender.send(durable.and(result));
            })
        });
        self.shard_of(&workflow).request(Request::Run { workflow, run, work })?;
        receiver.await.map_err(|_| stopped())?
    }

    // Namespaces.

    pub fn namespaces(&self) -> Vec<Namespace> {
        self.inner.shared.namespaces.all()
    }

    pub fn namespace(&self, name: &str) -> Result<Namespace, EngineError> {
        self.inner.shared.namespaces.get(name)
    }

    // Workflows.

    pub async fn start_workflow(&self, namespace: &str, start: StartWorkflow) -> Result<Started, EngineError> {
        start.validate()?;
        let workflow = self.workflow(namespace, &start.workflow_id)?;
        let (reply, receiver) = oneshot::channel();
        let request = Request::Start { workflow: workflow.clone(), run: Uuid::now_v7(), start: Box::new(start), reply };
        self.shard_of(&workflow).request(request)?;
        receiver.await.map_err(|_| stopped())?
    }

    pub async fn signal_workflow(&self, namespace: &str, run: RunRef, signal: Signal) -> Result<(), EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        self.on_run(workflow, run, move |step| step.signal(signal)).await
    }

    pub async fn request_cancel_workflow(
        &self,
        namespace: &str,
        run: RunRef,
        request: CancelRequest,
    ) -> Result<(), EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        self.on_run(workflow, run, move |step| step.request_cancel(request)).await
    }

    pub async fn terminate_workflow(
        &self,
        namespace: &str,
        run: RunRef,
        reason: &str,
        details: Option<Payloads>,
        identity: &str,
    ) -> Result<(), EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        let (reason, identity) = (reason.to_owned(), identity.to_owned());
        self.on_run(workflow, run, move |step| step.terminate(&reason, details, &identity)).await
    }

    /// Deletes a run with all that is stored of it; one that is open is terminated first.
    pub async fn delete_workflow(&self, namespace: &str, run: RunRef) -> Result<(), EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        let run_id = self
            .on_run(workflow.clone(), run, |step| {
                if step.state.is_running() {
                    step.terminate("Delete workflow execution", None, "history-service")?;
                }
                Ok(step.state.run_id.clone())
            })
            .await?;
        let run: Uuid = run_id.parse().map_err(|_| EngineError::Damaged(format!("run id {run_id:?}")))?;
        let (done, receiver) = oneshot::channel();
        let shard = self.shard_of(&workflow);
        shard.request(Request::Purge { run: RunKey { workflow: workflow.clone(), run }, done })?;
        receiver.await.map_err(|_| stopped())?
    }

    pub async fn describe_workflow(&self, namespace: &str, run: RunRef) -> Result<RunDescription, EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        self.on_run(workflow, run, |step| {
            let state = &*step.state;
            Ok(RunDescription {
                config: state.execution_config(),
                info: state.execution_info(),
                extended: state.extended_info(),
                pending_activities: state.pending_activities(),
                pending_workflow_task: state.pending_workflow_task(),
            })
        })
        .await
    }

    // Activities.

    /// The next activity task of a queue; none where there is none for this long. Dropping the future gives a task
    /// that has been found back to its queue.
    pub async fn poll_activity(
        &self,
        namespace: &str,
        task_queue: &str,
        identity: &str,
        wait: Duration,
    ) -> Result<Option<ActivityTask>, EngineError> {
        let queue = QueueKey { namespace: self.inner.shared.namespaces.id(namespace)?, name: task_queue.to_owned() };
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let Some(lease) = self.inner.shared.matching.poll(queue.clone(), identity, left).await else {
                return Ok(None);
            };
            let Some(task) = lease.take() else { continue };
            match self.start_activity(task, identity).await {
                Ok(task) => return Ok(Some(task)),
                // It has been cancelled, timed out or deleted since it was queued: the next one, then.
                Err(EngineError::Rejected(Rejection::NotFound(_)) | EngineError::WorkflowNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn start_activity(&self, ready: ReadyTask, identity: &str) -> Result<ActivityTask, EngineError> {
        let workflow = ready.run.workflow.clone();
        let run = run_ref(&ready.run);
        let (sender, receiver) = oneshot::channel();
        let shard = self.shard_of(&workflow).clone();
        let (handle, back_workflow, back_run) = (shard.clone(), workflow.clone(), run.clone());
        let (identity, request_id) = (identity.to_owned(), Uuid::now_v7().to_string());
        let work: Work = Box::new(move |step| -> Reply {
            let id = ready.scheduled_event_id;
            let result = step.and_then(|step| {
                step.start_activity(id, ready.attempt, &request_id, &identity)?;
                activity_task(step, id).ok_or_else(|| Rejection::closed().into())
            });
            Box::new(move |durable| {
                let started = durable.is_ok() && result.is_ok();
                if sender.send(durable.and(result)).is_err() && started {
                    // The poll has gone before it could be told: the attempt never left the server.
                    let work: Work = Box::new(move |step| {
                        if let Ok(step) = step {
                            step.return_activity(id, &request_id);
                        }
                        Box::new(|_| {})
                    });
                    handle.notify(Request::Run { workflow: back_workflow, run: back_run, work });
                }
            })
        });
        shard.request(Request::Run { workflow, run, work })?;
        receiver.await.map_err(|_| stopped())?
    }

    pub async fn end_activity(
        &self,
        namespace: &str,
        target: ActivityTarget,
        outcome: ActivityOutcome,
        identity: &str,
    ) -> Result<(), EngineError> {
        let workflow = self.workflow(namespace, &target.run.workflow_id)?;
        let identity = identity.to_owned();
        let activity = target.activity;
        let ended = self.on_run(workflow, target.run, move |step| step.end_activity(&activity, outcome, &identity));
        ended.await
    }

    pub async fn heartbeat_activity(
        &self,
        namespace: &str,
        target: ActivityTarget,
        details: Option<Payloads>,
        identity: &str,
    ) -> Result<HeartbeatAnswer, EngineError> {
        let workflow = self.workflow(namespace, &target.run.workflow_id)?;
        let identity = identity.to_owned();
        let activity: ActivityRef = target.activity;
        let beat = move |step: &mut Step<'_>| step.heartbeat_activity(&activity, details, &identity);
        self.on_run(workflow, target.run, beat).await
    }

    // Task queues.

    pub fn describe_activity_queue(
        &self,
        namespace: &str,
        task_queue: &str,
    ) -> Result<TaskQueueDescription, EngineError> {
        let namespace = self.inner.shared.namespaces.id(namespace)?;
        Ok(self.inner.shared.matching.describe(&QueueKey { namespace, name: task_queue.to_owned() }))
    }

    /// Workflow tasks of a queue are executed by the server itself: where a module is deployed, it is the poller.
    pub fn describe_workflow_queue(
        &self,
        namespace: &str,
        task_queue: &str,
    ) -> Result<TaskQueueDescription, EngineError> {
        let id = self.inner.shared.namespaces.id(namespace)?;
        let queue = QueueKey { namespace: id, name: task_queue.to_owned() };
        let poller = self.inner.shared.modules.deployment(namespace, &queue).map(|deployment| crate::Poller {
            identity: format!("{}@{}", crate::shard::IDENTITY, deployment.digest),
            last_access: clock::now(),
        });
        Ok(TaskQueueDescription { pollers: poller.into_iter().collect(), ..TaskQueueDescription::default() })
    }

    // Modules.

    pub async fn deploy_module(
        &self,
        namespace: &str,
        task_queue: &str,
        bytes: Vec<u8>,
    ) -> Result<Deployed, EngineError> {
        mainspring_core::validate::name("TaskQueue", task_queue)?;
        let shared = Arc::clone(&self.inner.shared);
        let queue = QueueKey { namespace: shared.namespaces.id(namespace)?, name: task_queue.to_owned() };
        if let Some(deployment) = shared.modules.deployment(namespace, &queue)
            && deployment.digest == Digest::of(&bytes)
        {
            return Ok(Deployed { module: shared.modules.module(&deployment.digest)?, deployment, unchanged: true });
        }
        let sandbox = shared.sandbox.clone();
        let loaded = tokio::task::spawn_blocking(move || sandbox.load(&bytes).map(|description| (description, bytes)));
        let (description, bytes) = loaded.await.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        let digest = description.digest;
        let mut batch = self.home_batch();
        shared.modules.write_deploy(&queue, &description, bytes, &mut batch);
        self.commit(batch).await?;
        shared.modules.activate(queue.clone(), digest);
        self.announce(queue.clone());
        let deployment = shared
            .modules
            .deployment(namespace, &queue)
            .ok_or_else(|| EngineError::Unavailable("the deployment was taken back meanwhile".into()))?;
        Ok(Deployed { module: shared.modules.module(&digest)?, deployment, unchanged: false })
    }

    /// Takes the module off a task queue; returns its digest. Runs that it started keep it.
    pub async fn undeploy_module(&self, namespace: &str, task_queue: &str) -> Result<Digest, EngineError> {
        let shared = &self.inner.shared;
        let queue = QueueKey { namespace: shared.namespaces.id(namespace)?, name: task_queue.to_owned() };
        let Some(digest) = shared.modules.active(&queue) else {
            return Err(EngineError::ModuleNotFound(format!("is deployed on task queue {task_queue:?}")));
        };
        let mut batch = self.home_batch();
        batch.delete(keys::deployment(queue.namespace, task_queue));
        self.commit(batch).await?;
        shared.modules.deactivate(&queue);
        Ok(digest)
    }

    pub async fn list_modules(&self, namespace: &str) -> Result<Vec<DeployedModule>, EngineError> {
        let shared = &self.inner.shared;
        let id = shared.namespaces.id(namespace)?;
        let deployments = shared.modules.deployments(namespace, id).into_iter();
        deployments
            .map(|deployment| Ok(DeployedModule { module: shared.modules.module(&deployment.digest)?, deployment }))
            .collect()
    }

    pub async fn describe_module(
        &self,
        namespace: &str,
        digest_prefix: &str,
    ) -> Result<(Module, Vec<Deployment>), EngineError> {
        let shared = &self.inner.shared;
        let id = shared.namespaces.id(namespace)?;
        let digest = shared.modules.find(id, digest_prefix)?;
        let mut deployments = shared.modules.deployments(namespace, id);
        deployments.retain(|deployment| deployment.digest == digest);
        Ok((shared.modules.module(&digest)?, deployments))
    }

    pub async fn download_module(
        &self,
        namespace: &str,
        digest_prefix: &str,
    ) -> Result<(Module, Vec<u8>), EngineError> {
        let shared = Arc::clone(&self.inner.shared);
        let digest = shared.modules.find(shared.namespaces.id(namespace)?, digest_prefix)?;
        let module = shared.modules.module(&digest)?;
        let read = tokio::task::spawn_blocking(move || shared.modules.bytes(&digest));
        let bytes = read.await.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        Ok((module, bytes))
    }

    fn home_batch(&self) -> Batch {
        Batch::new(HOME, self.inner.shards[0].epoch())
    }

    async fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.inner.shared);
        let done = Box::new(move |durable: Result<(), _>| {
            let _ = sender.send(durable.map_err(|error| shared.lost(&error)));
        });
        self.inner.shared.committer.submit(batch, done);
        receiver.await.map_err(|_| stopped())?
    }
}

fn stopped() -> EngineError {
    EngineError::Unavailable("the server is stopping".into())
}

fn no_thread(error: std::io::Error) -> EngineError {
    EngineError::Unavailable(format!("the operating system gives no thread: {error}"))
}

fn run_ref(run: &RunKey) -> RunRef {
    RunRef {
        workflow_id: run.workflow.workflow_id.clone(),
        run_id: run.run.to_string(),
        first_execution_run_id: String::new(),
    }
}

/// The task that a worker gets for an activity that has just been started.
fn activity_task(step: &Step<'_>, scheduled_event_id: i64) -> Option<ActivityTask> {
    let state = &*step.state;
    let activity = state.activities.get(&scheduled_event_id)?;
    let scheduled = &activity.scheduled;
    Some(ActivityTask {
        workflow_id: state.workflow_id().to_owned(),
        run_id: state.run_id.clone(),
        workflow_type: state.workflow_type().to_owned(),
        scheduled_event_id,
        attempt: activity.attempt,
        activity_id: scheduled.activity_id.clone(),
        activity_type: scheduled.activity_type.clone().unwrap_or_default().name,
        header: scheduled.header.clone(),
        input: scheduled.input.clone(),
        heartbeat_details: activity.heartbeat_details.clone(),
        scheduled_time: activity.scheduled_time.to_proto(),
        attempt_scheduled_time: activity.attempt_scheduled_time.to_proto(),
        started_time: activity.started_time.unwrap_or(step.now).to_proto(),
        schedule_to_close_timeout: time::duration(scheduled.schedule_to_close_timeout.as_ref()),
        start_to_close_timeout: time::duration(scheduled.start_to_close_timeout.as_ref()),
        heartbeat_timeout: time::duration(scheduled.heartbeat_timeout.as_ref()),
        retry_policy: scheduled.retry_policy.clone(),
    })
}

// Opening.

/// The number of shards that the directory was made with; it cannot change later.
fn setup_shards(store: &dyn Store, wanted: u16) -> Result<u16, EngineError> {
    if let Some(value) = store.get(keys::SHARDS)? {
        let value: [u8; 2] =
            value.try_into().map_err(|_| EngineError::Damaged("the number of shards is not two bytes long".into()))?;
        return Ok(u16::from_be_bytes(value).max(1));
    }
    let epoch = store.acquire_shard(HOME)?;
    let mut batch = Batch::new(HOME, epoch);
    batch.put(keys::SHARDS, wanted.max(1).to_be_bytes().to_vec());
    commit_now(store, batch)?;
    Ok(wanted.max(1))
}

fn setup_namespaces(store: &dyn Store, wanted: &[String]) -> Result<Namespaces, EngineError> {
    /// Kept as long as Temporal's own dev server keeps closed runs by default: one day.
    const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
    let namespaces = Namespaces::default();
    for_each_row(store, b"n", &prefix_end(b"n"), |key, value| {
        let row: NamespaceRow = decode("namespace", key, value)?;
        let id = Uuid::from_slice(&row.id).map_err(|error| EngineError::Damaged(format!("namespace: {error}")))?;
        let name = String::from_utf8_lossy(&key[1..]).into_owned();
        namespaces.insert(id, &name, Time(row.created), Duration::from_secs(row.retention_seconds));
        Ok(())
    })?;
    for name in wanted {
        if namespaces.id(name).is_ok() {
            continue;
        }
        mainspring_core::validate::name("Namespace", name)?;
        let (id, created) = (Uuid::new_v4(), clock::now());
        let row =
            NamespaceRow { id: id.as_bytes().to_vec(), created: created.0, retention_seconds: RETENTION.as_secs() };
        let epoch = store.acquire_shard(HOME)?;
        let mut batch = Batch::new(HOME, epoch);
        batch.put(keys::namespace(name), row.encode_to_vec());
        commit_now(store, batch)?;
        namespaces.insert(id, name, created, RETENTION);
    }
    Ok(namespaces)
}

fn commit_now(store: &dyn Store, batch: Batch) -> Result<(), EngineError> {
    for result in store.commit(&[batch])? {
        result?;
    }
    Ok(())
}

/// Fills the task queues from the activity rows.
fn queue_ready_activities(shared: &Shared, shard: ShardId) -> Result<(), EngineError> {
    let prefix = keys::of_shard(b'a', shard);
    let mut ready = Vec::new();
    for_each_row(&*shared.store, &prefix, &prefix_end(&prefix), |key, value| {
        let row: mainspring_core::rows::ActivityRow = decode("activity", key, value)?;
        let Some((_, run, rest)) = keys::read_run(key) else {
            return Err(EngineError::Damaged(format!("activity {}", mainspring_store::readable_key(key))));
        };
        if row.phase == 0 {
            let queue = QueueKey { namespace: run.workflow.namespace, name: row.task_queue };
            let task = ReadyTask {
                run,
                scheduled_event_id: keys::read_number(rest).unwrap_or_default(),
                attempt: row.attempt,
                ready_since: Time(row.attempt_scheduled_time),
            };
            ready.push((queue, task));
        }
        Ok(())
    })?;
    ready.sort_by_key(|(_, task)| task.ready_since);
    for (queue, task) in ready {
        shared.matching.offer(queue, task);
    }
    Ok(())
}
