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

mod attempt;
mod deployments;
mod grants;
mod secrets;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use mainspring_core::{Rejection, limits::temporal};
use mainspring_sandbox::{Digest, ModuleDescription};
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
pub use self::{
    deployments::{ActivityDeployment, HostGrant, SecretName},
    grants::{GrantChange, NewSecret},
    secrets::SecretKey,
};
use crate::{
    Deployed, Engine, EngineError, clock,
    inner::Shared,
    matching::{Lease, QueueKey},
};

/// How the server's own worker is known; after it comes the module's digest.
pub(crate) const IDENTITY: &str = "mainspring-activities";
/// How long attempts that are under way may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// The pause after a poll that was refused, and after a start that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How much of it may run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedLimits {
    /// Attempts, all deployments together.
    pub concurrent: usize,
    /// Attempts of one deployment.
    pub concurrent_per_deployment: usize,
}

impl Default for HostedLimits {
    fn default() -> HostedLimits {
        use mainspring_core::limits::activity;
        HostedLimits {
            concurrent: activity::CONCURRENT,
            concurrent_per_deployment: activity::CONCURRENT_PER_DEPLOYMENT,
        }
    }
}

/// The server's own workers.
pub(crate) struct HostedActivities {
    pub deployments: Deployments,
    limits: HostedLimits,
    /// Places for attempts, all deployments together.
    places: Arc<Semaphore>,
    /// Where they run, once they may.
    runtime: OnceLock<Handle>,
    pollers: Mutex<HashMap<QueueKey, AbortHandle>>,
    attempts: Mutex<JoinSet<()>>,
    /// One change of deployments or grants at a time.
    changing: tokio::sync::Mutex<()>,
}

impl HostedActivities {
    pub fn new(deployments: Deployments, limits: HostedLimits) -> HostedActivities {
        HostedActivities {
            deployments,
            places: Arc::new(Semaphore::new(limits.concurrent)),
            limits,
            runtime: OnceLock::new(),
            pollers: Mutex::default(),
            attempts: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
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

    /// Takes a module of activities, and makes it the one of a task queue.
    pub(crate) async fn deploy_activities(
        &self,
        queue: QueueKey,
        description: &ModuleDescription,
        bytes: Vec<u8>,
    ) -> Result<Deployed, EngineError> {
        let shared = Arc::clone(self.shared());
        let _one_at_a_time = shared.hosted.changing.lock().await;
        let digest = description.digest;
        let before = shared.hosted.deployments.get(&queue);
        let unchanged = before.as_ref().is_some_and(|hosted| hosted.digest() == Some(digest));
        let deployed = clock::now();
        if !unchanged {
            let mut hosted = before.unwrap_or_default();
            hosted.module = Some((digest, deployed));
            let mut batch = self.home_batch();
            shared.modules.write_module(queue.namespace, description, bytes, &mut batch);
            hosted.write(&queue, &mut batch);
            self.commit(batch).await?;
            shared.hosted.deployments.set(queue.clone(), hosted);
        }
        self.start_poller(queue.clone());
        let deployment = self.shared().hosted.deployments.deployment(&self.namespace_name(&queue), &queue);
        let deployment = deployment.ok_or_else(|| EngineError::Unavailable("the deployment is gone".into()))?;
        Ok(Deployed { module: shared.modules.module(&digest)?, deployment, unchanged })
    }

    /// Takes the activities off a task queue, with all grants; returns the module's digest. What runs goes on.
    pub async fn undeploy_activities(&self, namespace: &str, task_queue: &str) -> Result<Digest, EngineError> {
        let shared = Arc::clone(self.shared());
        let queue = QueueKey { namespace: shared.namespaces.id(namespace)?, name: task_queue.to_owned() };
        let _one_at_a_time = shared.hosted.changing.lock().await;
        let Some((digest, hosted)) =
            shared.hosted.deployments.get(&queue).and_then(|hosted| Some((hosted.digest()?, hosted)))
        else {
            return Err(EngineError::ModuleNotFound(format!("of activities is deployed on task queue {task_queue:?}")));
        };
        let mut batch = self.home_batch();
        hosted.delete(&queue, &mut batch);
        self.commit(batch).await?;
        shared.hosted.deployments.remove(&queue);
        if let Some(poller) = shared.hosted.pollers.lock().remove(&queue) {
            poller.abort();
        }
        Ok(digest)
    }

    /// Changes what the activities of a task queue may do; also before there are any.
    pub async fn change_grants(
        &self,
        namespace: &str,
        task_queue: &str,
        change: GrantChange,
    ) -> Result<ActivityDeployment, EngineError> {
        mainspring_core::validate::name("TaskQueue", task_queue)?;
        let shared = Arc::clone(self.shared());
        let queue = QueueKey { namespace: shared.namespaces.id(namespace)?, name: task_queue.to_owned() };
        let _one_at_a_time = shared.hosted.changing.lock().await;
        let before = shared.hosted.deployments.get(&queue).unwrap_or_default();
        let after = Hosted { grants: Arc::new(change.apply(&before.grants)?), ..before.clone() };
        let mut batch = self.home_batch();
        before.delete(&queue, &mut batch);
        after.write(&queue, &mut batch);
        shared.hosted.deployments.write_secrets(&queue, &after.grants, &mut batch)?;
        self.commit(batch).await?;
        let description = self.describe_hosted(namespace, task_queue, &after)?;
        shared.hosted.deployments.set(queue, after);
        Ok(description)
    }

    /// The deployments of activities of a namespace, and those task queues for which something was granted.
    pub fn list_activity_deployments(&self, namespace: &str) -> Result<Vec<ActivityDeployment>, EngineError> {
        let id = self.shared().namespaces.id(namespace)?;
        let deployments = self.shared().hosted.deployments.of(id).into_iter();
        deployments.map(|(task_queue, hosted)| self.describe_hosted(namespace, &task_queue, &hosted)).collect()
    }

    fn describe_hosted(
        &self,
        namespace: &str,
        task_queue: &str,
        hosted: &Hosted,
    ) -> Result<ActivityDeployment, EngineError> {
        let module = hosted.digest().map(|digest| self.shared().modules.module(&digest)).transpose()?;
        Ok(hosted.describe(namespace, task_queue, module))
    }

    fn namespace_name(&self, queue: &QueueKey) -> String {
        self.shared().namespaces.name_of(queue.namespace)
    }
}

/// Takes tasks of a queue for as long as something is deployed there.
async fn poll(engine: Engine, queue: QueueKey) {
    let shared = Arc::clone(engine.shared());
    let own = Arc::new(Semaphore::new(shared.hosted.limits.concurrent_per_deployment));
    loop {
        let Ok(own_place) = Arc::clone(&own).acquire_owned().await else { return };
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
        let Some((lease, place)) = find_place(&shared, &queue, &identity, lease).await else { continue };
        let Some(ready) = lease.take() else { continue };
        match engine.start_activity(ready, &identity).await {
            // It may have been undeployed while the start was written; it was started for this module all the same.
            Ok(task) => {
                let grants = shared.hosted.deployments.get(&queue).map(|hosted| hosted.grants).unwrap_or_default();
                let attempt = attempt::Attempt::new(&engine, &queue, digest, identity, grants, task);
                let run = async move {
                    attempt.run().await;
                    drop((place, own_place));
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

/// A place among all attempts for a task. Where none is free the task goes back to its queue meanwhile: somebody else's
/// worker may have it.
async fn find_place(
    shared: &Shared,
    queue: &QueueKey,
    identity: &str,
    lease: Lease,
) -> Option<(Lease, OwnedSemaphorePermit)> {
    let places = Arc::clone(&shared.hosted.places);
    if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
        return Some((lease, place));
    }
    drop(lease);
    let place = places.acquire_owned().await.ok()?;
    let lease = shared.matching.poll(queue.clone(), identity, Duration::ZERO).await?;
    Some((lease, place))
}
