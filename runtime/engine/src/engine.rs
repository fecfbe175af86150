//! The engine's front: asynchronous calls that become requests to shards.

use std::{sync::Arc, thread::JoinHandle};

use mainspring_core::{Rejection, Step, Time};
use mainspring_sandbox::Sandbox;
use mainspring_store::{Backup, Batch, Committer, CommitterMetrics, ShardId, Store};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::{
    EngineConfig, EngineError, EngineMetrics, EngineStats, Namespace, RunRef,
    activation::Activations,
    api_keys::ApiKeys,
    clock,
    hosted_activities::{self, Deployments, HostedActivities},
    inner::{Notifier, Shared},
    keys::WorkflowKey,
    matching::{Matching, QueueKey},
    modules::Modules,
    open, pins,
    quota::Quotas,
    run::{Reply, Work},
    shard::{Request, Shard, ShardHandle, channel},
    updates::UpdateWaiters,
};

/// All runs of a server. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    failure: watch::Receiver<Option<String>>,
}

/// Writes of the engine itself (namespaces, modules) go through the first shard's fence.
pub(crate) const HOME: ShardId = ShardId(0);

impl Engine {
    /// Opens what the store holds, takes its shards over, queues what was ready, and starts the threads. Blocks.
    pub fn open(store: Arc<dyn Store>, sandbox: Sandbox, config: EngineConfig) -> Result<Engine, EngineError> {
        let shards = open::setup_shards(&*store, config.shards)?;
        let namespaces = open::setup_namespaces(&*store, &config.namespaces)?;
        pins::setup_index(&*store)?;
        let modules = Arc::new(Modules::open(Arc::clone(&store), &namespaces.ids())?);
        let deployments = Deployments::open(&*store, &namespaces.ids(), config.secret_key)?;
        let api_keys = ApiKeys::open(&*store)?;
        let guest = sandbox.config().limits.clone();
        let cached_bytes = sandbox.config().instance_cache_bytes;
        let quotas = Arc::new(Quotas::open(&*store, &namespaces, config.quota, guest, cached_bytes)?);
        let threads = sandbox.activity_threads();
        let hosted = HostedActivities::new(deployments, config.hosted, threads, Arc::clone(&quotas));
        let committer = Arc::new(Committer::start(Arc::clone(&store)));
        let (failure, failed) = watch::channel(None);
        let metrics = EngineMetrics::default();
        let activations = Activations::start(
            config.activation_threads,
            metrics.clone(),
            sandbox.clone(),
            Arc::clone(&modules),
            Arc::clone(&store),
            Arc::clone(&committer),
            Arc::clone(&quotas),
        )
        .map_err(no_thread)?;
        let (handles, queues): (Vec<_>, Vec<_>) = (0..shards).map(|number| channel(ShardId(number))).unzip();
        let shared = Arc::new(Shared {
            store,
            committer,
            sandbox,
            modules,
            api_keys,
            matching: Matching::default(),
            hosted,
            notifier: Notifier::default(),
            namespaces,
            activations,
            metrics,
            observer: config.observed.0,
            quotas,
            updates: UpdateWaiters::default(),
            sweep_threads: config.activation_threads.max(1),
            shards: handles,
            failure,
        });
        let (mut opened, mut interrupted) = (Vec::new(), Vec::new());
        for (handle, requests) in shared.shards.iter().zip(queues) {
            let capacity = config.runs_in_memory_per_shard;
            opened.push(Shard::open(handle.clone(), requests, Arc::clone(&shared), capacity)?);
            open::count_runs(&shared, handle.id)?;
            interrupted.extend(open::queue_ready_activities(&shared, handle.id)?);
        }
        open::tell_open_runs(&shared);
        open::count_modules(&shared)?;
        let mut threads = Vec::new();
        for (number, shard) in opened.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("shard-{number}")).spawn(move || shard.run());
            threads.push(thread.map_err(no_thread)?);
        }
        let inner = Inner { shared, threads: Mutex::new(threads), failure: failed };
        let engine = Engine { inner: Arc::new(inner) };
        engine.resume();
        for (workflow, run, activity) in interrupted {
            let request = hosted_activities::interrupted(workflow.clone(), run, activity);
            engine.shard_of(&workflow).notify(request);
        }
        Ok(engine)
    }

    /// Workflow tasks that were ready when the server stopped.
    fn resume(&self) {
        for namespace in self.inner.shared.namespaces.ids() {
            for shard in &self.inner.shared.shards {
                shard.notify(Request::Resume { namespace });
            }
        }
    }

    pub(crate) fn announce(&self, queue: QueueKey) {
        for shard in &self.inner.shared.shards {
            shard.notify(Request::Deployed { queue: queue.clone() });
        }
    }

    /// Resolves when the engine can go on no longer, with the reason. The process should stop then: what is on the
    /// disk is known only after a restart.
    pub async fn failed(&self) -> String {
        let mut failure = self.inner.failure.clone();
        let message = failure.wait_for(Option::is_some).await.map(|message| message.clone().unwrap_or_default());
        match message {
            Ok(message) => message,
            // The sender lives as long as the engine.
            Err(_) => std::future::pending().await,
        }
    }

    /// Lets go of the polls, finishes the steps under way, and stops the shards. What was acknowledged is durable.
    pub async fn shutdown(&self) {
        self.inner.shared.hosted.stop().await;
        self.inner.shared.matching.close();
        for shard in &self.inner.shared.shards {
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

    /// Begins a backup of all that is stored (see [`Backup`]). It blocks, now and at each step.
    pub fn backup(&self) -> Result<Backup, EngineError> {
        let shared = &self.inner.shared;
        Ok(Backup::start(Arc::clone(&shared.store), Arc::clone(&shared.committer))?)
    }

    /// What has happened since the engine was opened.
    pub fn metrics(&self) -> &EngineMetrics {
        &self.inner.shared.metrics
    }

    /// What its committer counts.
    pub fn commit_metrics(&self) -> &CommitterMetrics {
        self.inner.shared.committer.metrics()
    }

    /// What it holds at this moment.
    pub fn stats(&self) -> EngineStats {
        let shared = &self.inner.shared;
        let totals = shared.matching.totals();
        let tasks = |namespace| totals.tasks.get(&namespace).copied().unwrap_or(0);
        let namespaces = shared.namespaces.ids().into_iter();
        EngineStats {
            sandbox: shared.sandbox.stats(),
            waiting_tasks: namespaces.map(|id| (shared.namespaces.name_of(id), tasks(id))).collect(),
            waiting_polls: totals.polls,
            task_queues: totals.queues,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn shard_of(&self, workflow: &WorkflowKey) -> &ShardHandle {
        self.inner.shared.shard_of(workflow)
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
        self.ask_run(workflow, decide, |workflow, work| Request::Run { workflow, run, work }).await
    }

    /// The same where it ends the run.
    pub(crate) async fn end_run<T: Send + 'static>(
        &self,
        workflow: WorkflowKey,
        run: RunRef,
        decide: impl FnOnce(&mut Step<'_>) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.ask_run(workflow, decide, |workflow, work| Request::End { workflow, run, work }).await
    }

    async fn ask_run<T: Send + 'static>(
        &self,
        workflow: WorkflowKey,
        decide: impl FnOnce(&mut Step<'_>) -> Result<T, Rejection> + Send + 'static,
        to_request: impl FnOnce(WorkflowKey, Work) -> Request,
    ) -> Result<T, EngineError> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |step| -> Reply {
            let result = step.and_then(|step| Ok(decide(step)?));
            Box::new(move |durable| {
                // A client that has gone does not get its answer.
                let _ = sender.send(durable.and(result));
            })
        });
        self.shard_of(&workflow).request(to_request(workflow, work))?;
        receiver.await.map_err(|_| stopped())?
    }

    /// The time that the engine goes by.
    pub fn now(&self) -> Time {
        clock::now()
    }

    // Namespaces.

    pub fn namespaces(&self) -> Vec<Namespace> {
        self.inner.shared.namespaces.all()
    }

    pub fn namespace(&self, name: &str) -> Result<Namespace, EngineError> {
        self.inner.shared.namespaces.get(name)
    }

    pub(crate) fn home_batch(&self) -> Batch {
        Batch::new(HOME, self.inner.shared.shards[0].epoch())
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), EngineError> {
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.inner.shared);
        let done = Box::new(move |durable: Result<(), _>| {
            let _ = sender.send(durable.map_err(|error| shared.lost(&error)));
        });
        self.inner.shared.committer.submit(batch, done);
        receiver.await.map_err(|_| stopped())?
    }
}

pub(crate) fn stopped() -> EngineError {
    EngineError::Unavailable("the server is stopping".into())
}

fn no_thread(error: std::io::Error) -> EngineError {
    EngineError::Unavailable(format!("the operating system gives no thread: {error}"))
}
