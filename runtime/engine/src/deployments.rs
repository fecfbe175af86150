//! Deployments: which version new runs of a task queue get. Every change is one durable row, and at once in force.

use std::sync::Arc;

use mainspring_core::Rejection;
use mainspring_sandbox::Digest;

use crate::{
    Deployment, Engine, EngineError, clock, limits,
    matching::QueueKey,
    pins::Counts,
    versions::{Activation, Change, RolledBack, Share, Versions},
};

/// A version as somebody names it.
#[derive(Clone, Debug, PartialEq)]
pub enum VersionRef {
    Number(u32),
    /// A module's digest, or an unambiguous prefix of one. It becomes a version, if it is none yet.
    Digest(String),
}

/// A deployment, and the open runs of its task queue.
#[derive(Clone, Debug, PartialEq)]
pub struct DrainReport {
    pub deployment: Deployment,
    /// By what they are pinned to; those that are pinned to nothing yet under none.
    pub open_runs: Counts,
}

/// What a change of a deployment has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    pub deployment: Deployment,
    /// It was so already: nothing was written.
    pub unchanged: bool,
}

impl Engine {
    /// Makes a version the active one: new runs get it from now on. A ramp ends.
    pub async fn activate_version(
        &self,
        namespace: &str,
        task_queue: &str,
        version: VersionRef,
        identity: &str,
    ) -> Result<Changed, EngineError> {
        self.activate(namespace, task_queue, version, Activation::Activate, identity).await
    }

    pub(crate) async fn activate(
        &self,
        namespace: &str,
        task_queue: &str,
        version: VersionRef,
        by: Activation,
        identity: &str,
    ) -> Result<Changed, EngineError> {
        let engine = self.clone();
        let changed = self.change(namespace, task_queue, identity, move |queue, versions, change| {
            let number = engine.resolve(queue, versions, &version, change)?;
            versions.activate(number, by, change);
            Ok(())
        });
        changed.await.map(|((), changed)| changed)
    }

    /// Gives a part of new runs another version than the active one. 0 percent ends the ramp; 100 activates the version.
    pub async fn ramp_version(
        &self,
        namespace: &str,
        task_queue: &str,
        version: VersionRef,
        percentage: f64,
        identity: &str,
    ) -> Result<Changed, EngineError> {
        let share = Share::from_percentage(percentage)?;
        let engine = self.clone();
        let changed = self.change(namespace, task_queue, identity, move |queue, versions, change| {
            let number = engine.resolve(queue, versions, &version, change)?;
            Ok(versions.set_ramp(number, share, change)?)
        });
        changed.await.map(|((), changed)| changed)
    }

    /// Undoes the last step: see [`Versions::roll_back`].
    pub async fn roll_back(
        &self,
        namespace: &str,
        task_queue: &str,
        identity: &str,
    ) -> Result<(RolledBack, Deployment), EngineError> {
        let missing = no_deployment(task_queue);
        let changed = self.change(namespace, task_queue, identity, move |_, versions, change| {
            if versions.list().is_empty() {
                return Err(missing);
            }
            Ok(versions.roll_back(change)?)
        });
        changed.await.map(|(rolled_back, changed)| (rolled_back, changed.deployment))
    }

    /// Takes the active version off a task queue; returns its digest. Runs that it started keep it.
    pub async fn undeploy_module(&self, namespace: &str, task_queue: &str) -> Result<Digest, EngineError> {
        let missing = no_deployment(task_queue);
        let changed = self.change(namespace, task_queue, "", move |_, versions, change| {
            let digest = versions.active().map(|version| version.digest).ok_or(missing)?;
            versions.take_off(change.time);
            Ok(digest)
        });
        changed.await.map(|(digest, _)| digest)
    }

    /// A deployment, with how many open runs each version still has.
    pub async fn describe_deployment(&self, namespace: &str, task_queue: &str) -> Result<DrainReport, EngineError> {
        let modules = &self.shared().modules;
        let queue = self.queue(namespace, task_queue)?;
        let versions = modules.versions(&queue).ok_or_else(|| no_deployment(task_queue))?;
        let open_runs = modules.pins.of_queue(queue.namespace, task_queue);
        // The counts are as of what is decided: by now that is durable.
        self.barrier().await;
        Ok(DrainReport { deployment: deployment(namespace, queue, versions), open_runs })
    }

    /// The deployments of a namespace, by task queue: those after this one, at most so many.
    pub fn list_deployments(&self, namespace: &str, after: &str, count: usize) -> Result<Vec<Deployment>, EngineError> {
        let shared = self.shared();
        let queues = shared.modules.queues(shared.namespaces.id(namespace)?).into_iter();
        let rest = queues.filter(|(queue, _)| queue.name.as_str() > after).take(count);
        Ok(rest.map(|(queue, versions)| deployment(namespace, queue, versions)).collect())
    }

    /// The number of a version. A module that is none yet becomes one.
    fn resolve(
        &self,
        queue: &QueueKey,
        versions: &mut Versions,
        version: &VersionRef,
        change: &Change,
    ) -> Result<u32, EngineError> {
        let modules = &self.shared().modules;
        match version {
            VersionRef::Number(number) => match versions.version(*number) {
                Some(version) => Ok(version.number),
                None => {
                    let message = format!("no version {number} of task queue {:?}", queue.name);
                    Err(Rejection::NotFound(message).into())
                }
            },
            VersionRef::Digest(digest) => {
                let digest = modules.find(queue.namespace, digest)?;
                if let Some(module) = modules.module(queue.namespace, &digest)? {
                    module.must_hold_workflows()?;
                }
                Ok(versions.add(digest, change))
            }
        }
    }

    fn queue(&self, namespace: &str, task_queue: &str) -> Result<QueueKey, EngineError> {
        mainspring_core::validate::name("TaskQueue", task_queue)?;
        Ok(QueueKey { namespace: self.shared().namespaces.id(namespace)?, name: task_queue.to_owned() })
    }

    /// Changes the versions of a task queue: one change at a time, durable before anything goes by it. Once it has begun
    /// it is brought to its end, whether or not anybody waits for it.
    async fn change<T: Send + 'static>(
        &self,
        namespace: &str,
        task_queue: &str,
        identity: &str,
        decide: impl FnOnce(&QueueKey, &mut Versions, &Change) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<(T, Changed), EngineError> {
        let queue = self.queue(namespace, task_queue)?;
        let (engine, namespace, identity) = (self.clone(), namespace.to_owned(), identity.to_owned());
        let change = tokio::spawn(async move {
            let shared = Arc::clone(engine.shared());
            let _changes = shared.modules.changes.lock().await;
            let before = shared.modules.versions(&queue);
            let mut versions = before.clone().unwrap_or_default();
            let result = decide(&queue, &mut versions, &Change { time: clock::now(), identity })?;
            let unchanged = before.as_ref() == Some(&versions);
            if !unchanged {
                if before.is_none() && shared.modules.count_queues(queue.namespace) >= limits::DEPLOYMENTS {
                    let message = format!("the namespace has {} deployments, which is the most", limits::DEPLOYMENTS);
                    return Err(EngineError::Overloaded(message));
                }
                let mut batch = engine.home_batch();
                shared.modules.write_versions(&queue, &versions, &mut batch);
                engine.commit(batch).await?;
                shared.modules.put_versions(queue.clone(), versions.clone());
                engine.announce(queue.clone());
            }
            Ok((result, Changed { deployment: deployment(&namespace, queue, versions), unchanged }))
        });
        change.await.map_err(|error| EngineError::Unavailable(error.to_string()))?
    }
}

fn deployment(namespace: &str, queue: QueueKey, versions: Versions) -> Deployment {
    Deployment { namespace: namespace.to_owned(), task_queue: queue.name, versions }
}

fn no_deployment(task_queue: &str) -> EngineError {
    EngineError::ModuleNotFound(format!("is deployed on task queue {task_queue:?}"))
}
