//! Activities that the server runs itself: where a component of activities is deployed on a task queue, the server is a
//! worker of that queue like any other.
//!
//! It takes tasks by the same matching, marks each as started before it runs, heartbeats and ends it by the same calls
//! that a worker's requests come to; so retries, timeouts and cancellation are the same. Workers elsewhere may poll the
//! same queue. Tasks are not matched by type: a task whose type the component lacks fails, retryably, with
//! `NotFoundError`, as on a worker that lacks it.
//!
//! An attempt that ran when the server stopped is failed when it starts again, at once instead of after its timeout
//! ([`interrupted`]): the attempt counts, so `maximum_attempts = 1` still means *at most once*.
//!
//! `deployments` holds what is deployed and granted, `attempt` runs one task, `grants` are what clients change,
//! `secrets` keeps their values.

mod account;
mod attempt;
mod deployments;
mod grants;
mod secrets;
mod turns;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use mainspring_core::{Rejection, limits::temporal};
use mainspring_sandbox::Digest;
use mainspring_store::Batch;
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

pub(crate) use self::{
    attempt::interrupted,
    deployments::{Deployments, Hosted},
};
use self::{deployments::delete_secrets, turns::Turns};
pub use self::{
    deployments::{ActivityDeployment, HostGrant, SecretName},
    grants::{GrantChange, NewSecret},
    secrets::SecretKey,
};
use crate::{
    Deployed, DeployedTo, Engine, EngineError, Module, clock,
    inner::Shared,
    limits,
    matching::{Lease, QueueKey},
    quota::{Meter, Place, Quotas},
};

/// How the server's own worker is known; after it comes the module's digest.
pub(crate) const IDENTITY: &str = "mainspring-activities";
/// How long attempts that are under way may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// The pause after a poll that was refused, and after a start that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How much of it may run at once, and the most that it may be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedLimits {
    /// Attempts, all deployments together.
    pub concurrent: usize,
    /// Attempts of one deployment.
    pub concurrent_per_deployment: usize,
    /// Largest scratch directory that may be granted, in bytes.
    pub scratch_bytes: u64,
}

impl Default for HostedLimits {
    fn default() -> HostedLimits {
        use mainspring_core::limits::activity;
        HostedLimits {
            concurrent: activity::CONCURRENT,
            concurrent_per_deployment: activity::CONCURRENT_PER_DEPLOYMENT,
            scratch_bytes: activity::SCRATCH_BYTES,
        }
    }
}

/// The server's own workers.
pub(crate) struct HostedActivities {
    pub deployments: Deployments,
    limits: HostedLimits,
    /// Places for attempts, all deployments together.
    places: Arc<Semaphore>,
    /// Of those that compute.
    turns: Arc<Turns>,
    /// Where they run, once they may.
    runtime: OnceLock<Handle>,
    pollers: Mutex<HashMap<QueueKey, AbortHandle>>,
    attempts: Mutex<JoinSet<()>>,
}

impl HostedActivities {
    pub fn new(
        deployments: Deployments,
        limits: HostedLimits,
        threads: usize,
        quotas: Arc<Quotas>,
    ) -> HostedActivities {
        HostedActivities {
            deployments,
            turns: Arc::new(Turns::new(threads, quotas)),
            places: Arc::new(Semaphore::new(limits.concurrent)),
            limits,
            runtime: OnceLock::new(),
            pollers: Mutex::default(),
            attempts: Mutex::default(),
        }
    }

    /// Stops polling, lets what runs go on for a moment, and then drops it.
    pub async fn stop(&self) {
        for (_, poller) in self.pollers.lock().drain() {
            poller.abort();
        }
        let mut attempts = std::mem::take(&mut *self.attempts.lock());
        let ended = async { while attempts.join_next().await.is_some() {} };
        if timeout(DRAIN, ended).await.is_err() {
            tracing::warn!(
                attempts = attempts.len(),
                "activities still run; they are tried again after the next start"
            );
            attempts.shutdown().await;
        }
    }
}

impl Engine {
    /// Lets the server work on the task queues on which components of activities are deployed, now and later. To be
    /// called once, in the runtime that serves.
    pub fn host_activities(&self) {
        let hosted = &self.shared().hosted;
        if hosted.runtime.set(Handle::current()).is_ok() {
            for queue in hosted.deployments.queues() {
                self.start_poller(queue);
            }
        }
    }

    fn start_poller(&self, queue: QueueKey) {
        let hosted = &self.shared().hosted;
        let Some(runtime) = hosted.runtime.get() else { return };
        let mut pollers = hosted.pollers.lock();
        if pollers.get(&queue).is_none_or(AbortHandle::is_finished) {
            let poller = poll(self.clone(), queue.clone());
            pollers.insert(queue, runtime.spawn(poller).abort_handle());
        }
    }

    /// Makes a module of activities that the namespace has the one of a task queue.
    pub(crate) async fn deploy_activities(
        &self,
        namespace: &str,
        task_queue: &str,
        module: Module,
    ) -> Result<Deployed, EngineError> {
        let (queue, digest) = (self.hosted_queue(namespace, task_queue)?, module.digest);
        let changed = self.change_hosted(queue.clone(), move |engine, queue, batch| {
            let shared = engine.shared();
            if !shared.modules.has(queue.namespace, &digest)? {
                return Err(EngineError::ModuleNotFound(digest.to_string()));
            }
            let mut hosted = shared.hosted.deployments.get(queue).unwrap_or_default();
            if let Some((_, deployed)) = hosted.module.filter(|(active, _)| *active == digest) {
                return Ok((None, (deployed, true)));
            }
            let deployed = clock::now();
            hosted.module = Some((digest, deployed));
            hosted.write(queue, batch);
            Ok((Some(hosted), (deployed, false)))
        });
        let (deployed, unchanged) = changed.await?;
        self.start_poller(queue);
        let (namespace, task_queue) = (namespace.to_owned(), task_queue.to_owned());
        Ok(Deployed { module, to: DeployedTo::Activities { namespace, task_queue, deployed }, unchanged })
    }

    /// Takes the activities off a task queue, with all grants; returns the module's digest. What runs goes on.
    pub async fn undeploy_activities(&self, namespace: &str, task_queue: &str) -> Result<Digest, EngineError> {
        let queue = self.hosted_queue(namespace, task_queue)?;
        let changed = self.change_hosted(queue, |engine, queue, batch| {
            let hosted = engine.shared().hosted.deployments.get(queue).unwrap_or_default();
            let Some(digest) = hosted.digest() else {
                let what = format!("of activities is deployed on task queue {:?}", queue.name);
                return Err(EngineError::ModuleNotFound(what));
            };
            hosted.delete(queue, batch);
            delete_secrets(&*engine.shared().store, queue, batch)?;
            Ok((Some(Hosted::default()), digest))
        });
        changed.await
    }

    /// Changes what the activities of a task queue may do; also before there are any.
    pub async fn change_grants(
        &self,
        namespace: &str,
        task_queue: &str,
        change: GrantChange,
    ) -> Result<ActivityDeployment, EngineError> {
        let queue = self.hosted_queue(namespace, task_queue)?;
        let changed = self.change_hosted(queue.clone(), move |engine, queue, batch| {
            let deployments = &engine.shared().hosted.deployments;
            let before = deployments.get(queue).unwrap_or_default();
            let grants = change.apply(&before.grants, engine.shared().hosted.limits.scratch_bytes)?;
            let after = Hosted { grants: Arc::new(grants), ..before.clone() };
            before.delete(queue, batch);
            after.write(queue, batch);
            deployments.write_secrets(queue, &after.grants, batch)?;
            Ok((Some(after.clone()), after))
        });
        let after = changed.await?;
        self.describe_hosted(namespace, &queue, &after)
    }

    /// Changes what a task queue has: what is decided is written, and in force when it is durable. As with versions, one
    /// change at a time, brought to its end whether or not anybody waits for it.
    async fn change_hosted<T: Send + 'static>(
        &self,
        queue: QueueKey,
        decide: impl FnOnce(&Engine, &QueueKey, &mut Batch) -> Result<(Option<Hosted>, T), EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let engine = self.clone();
        let change = tokio::spawn(async move {
            let shared = Arc::clone(engine.shared());
            let _changes = shared.modules.changes.lock().await;
            let mut batch = engine.home_batch();
            let (after, result) = decide(&engine, &queue, &mut batch)?;
            let Some(after) = after else { return Ok(result) };
            let deployments = &shared.hosted.deployments;
            if deployments.get(&queue).is_none() && deployments.count(queue.namespace) >= limits::DEPLOYMENTS {
                let most = limits::DEPLOYMENTS;
                let message = format!("the namespace has {most} deployments of activities, which is the most");
                return Err(EngineError::Overloaded(message));
            }
            engine.commit(batch).await?;
            let is_deployed = after.module.is_some();
            deployments.set(queue.clone(), after);
            if !is_deployed && let Some(poller) = shared.hosted.pollers.lock().remove(&queue) {
                poller.abort();
            }
            Ok(result)
        });
        change.await.map_err(|error| EngineError::Unavailable(error.to_string()))?
    }

    fn hosted_queue(&self, namespace: &str, task_queue: &str) -> Result<QueueKey, EngineError> {
        mainspring_core::validate::name("TaskQueue", task_queue)?;
        Ok(QueueKey { namespace: self.shared().namespaces.id(namespace)?, name: task_queue.to_owned() })
    }

    /// The deployments of activities of a namespace, and those task queues for which something was granted.
    pub fn list_activity_deployments(&self, namespace: &str) -> Result<Vec<ActivityDeployment>, EngineError> {
        let id = self.shared().namespaces.id(namespace)?;
        let deployments = self.shared().hosted.deployments.of(id).into_iter();
        let described = deployments
            .map(|(name, hosted)| self.describe_hosted(namespace, &QueueKey { namespace: id, name }, &hosted));
        described.collect()
    }

    fn describe_hosted(
        &self,
        namespace: &str,
        queue: &QueueKey,
        hosted: &Hosted,
    ) -> Result<ActivityDeployment, EngineError> {
        let module = match hosted.digest() {
            Some(digest) => self.shared().modules.module(queue.namespace, &digest)?,
            None => None,
        };
        Ok(hosted.describe(namespace, &queue.name, module))
    }
}

/// Takes tasks of a queue for as long as something is deployed there.
async fn poll(engine: Engine, queue: QueueKey) {
    let shared = Arc::clone(engine.shared());
    let own = Arc::new(Semaphore::new(shared.hosted.limits.concurrent_per_deployment));
    let meter = shared.meter(queue.namespace);
    loop {
        let Ok(own_place) = Arc::clone(&own).acquire_owned().await else { return };
        // As for workers elsewhere: what the namespace may not have yet waits in the queue.
        meter.activity_may_start().await;
        let Some(digest) = shared.hosted.deployments.get(&queue).and_then(|hosted| hosted.digest()) else { return };
        let identity = format!("{IDENTITY}@{digest}");
        let begun = Instant::now();
        let Some(lease) = shared.matching.poll(queue.clone(), &identity, temporal::LONG_POLL).await else {
            if shared.matching.is_closed() {
                return;
            }
            if begun.elapsed() < PAUSE {
                // Too many poll this queue.
                sleep(PAUSE).await;
            }
            continue;
        };
        let Some((lease, places)) = find_place(&shared, &meter, &queue, &identity, lease).await else { continue };
        // Others may have taken what there was room for; dropping the lease gives the task back.
        let Some(_starting) = meter.begin_activity() else { continue };
        let Some(ready) = lease.take() else { continue };
        match engine.start_activity(ready, &identity).await {
            // It may have been undeployed while the start was written; it was started for this module all the same.
            Ok(task) => {
                let grants = shared.hosted.deployments.get(&queue).map(|hosted| hosted.grants).unwrap_or_default();
                let attempt = attempt::Attempt::new(&engine, &queue, digest, identity, grants, task);
                let run = async move {
                    attempt.run().await;
                    drop((places, own_place));
                };
                let mut attempts = shared.hosted.attempts.lock();
                while attempts.try_join_next().is_some() {}
                attempts.spawn(run);
            }
            // It has been cancelled, timed out or deleted since it was queued.
            Err(EngineError::Rejected(Rejection::NotFound(_)) | EngineError::WorkflowNotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, task_queue = queue.name, "an activity could not be started");
                sleep(PAUSE).await;
            }
        }
    }
}

/// A place among the namespace's attempts and among all. Where none is free the task goes back to its queue meanwhile:
/// somebody else's worker may have it.
async fn find_place(
    shared: &Shared,
    meter: &Arc<Meter>,
    queue: &QueueKey,
    identity: &str,
    lease: Lease,
) -> Option<(Lease, (Place, OwnedSemaphorePermit))> {
    let all = || Arc::clone(&shared.hosted.places);
    if let Some(own) = meter.try_hosted_place()
        && let Ok(place) = all().try_acquire_owned()
    {
        return Some((lease, (own, place)));
    }
    drop(lease);
    let places = (meter.hosted_place().await, all().acquire_owned().await.ok()?);
    let lease = shared.matching.poll(queue.clone(), identity, Duration::ZERO).await?;
    Some((lease, places))
}
