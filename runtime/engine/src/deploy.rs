//! Modules: taking them, reading what is there, and deleting them.

use std::sync::Arc;

use mainspring_core::{Rejection, Time};
use mainspring_sandbox::Digest;
use mainspring_store::prefix_end;

use crate::{
    Deployed, DeployedTo, Engine, EngineError, Module, clock,
    deployments::VersionRef,
    keys,
    matching::QueueKey,
    pins,
    run::for_each_row,
    versions::{Activation, Need, Versions},
};

/// A module of a namespace, and what needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleReport {
    pub module: Module,
    /// The task queues that know it as a version, or have open runs of it, by name.
    pub uses: Vec<ModuleUse>,
}

impl ModuleReport {
    pub fn open_runs(&self) -> u64 {
        self.uses.iter().map(|of| of.open_runs).sum()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ModuleUse {
    pub task_queue: String,
    /// 0 where it is no version any more, and for activities, which have none.
    pub version: u32,
    pub need: Option<Need>,
    pub open_runs: u64,
    /// The server runs its activities there.
    pub activities: bool,
}

impl Engine {
    /// Takes a module and makes it the active version of a task queue: an upload and an activation. One of activities is
    /// what the server runs them on from then on: see [`DeployedTo`].
    pub async fn deploy_module(
        &self,
        namespace: &str,
        task_queue: &str,
        bytes: Vec<u8>,
    ) -> Result<Deployed, EngineError> {
        self.deploy_module_as(namespace, task_queue, bytes, "").await
    }

    /// The same, on behalf of somebody.
    pub async fn deploy_module_as(
        &self,
        namespace: &str,
        task_queue: &str,
        bytes: Vec<u8>,
        identity: &str,
    ) -> Result<Deployed, EngineError> {
        mainspring_core::validate::name("TaskQueue", task_queue)?;
        let module = self.take_module(namespace, None, bytes, identity).await?;
        if module.holds_activities() {
            return self.deploy_activities(namespace, task_queue, module).await;
        }
        let version = VersionRef::Digest(module.digest.to_string());
        let changed = self.activate(namespace, task_queue, version, Activation::Deploy, identity).await?;
        Ok(Deployed { module, to: DeployedTo::Versions(changed.deployment), unchanged: changed.unchanged })
    }

    /// Takes a module, if the namespace does not have it yet: checks it, compiles it, and writes it. `expected` is the
    /// digest that it must have. What is left of a resumed upload goes with it.
    pub(crate) async fn take_module(
        &self,
        namespace: &str,
        expected: Option<Digest>,
        bytes: Vec<u8>,
        identity: &str,
    ) -> Result<Module, EngineError> {
        let id = self.shared().namespaces.id(namespace)?;
        let (engine, identity, name) = (self.clone(), identity.to_owned(), namespace.to_owned());
        // Brought to its end even where nobody waits any more: what was compiled is then there for the next try.
        let taken = tokio::spawn(async move {
            let shared = Arc::clone(engine.shared());
            let checked = tokio::task::spawn_blocking({
                let (shared, engine_for_check, name) = (Arc::clone(&shared), engine.clone(), name.clone());
                let runtime = tokio::runtime::Handle::current();
                move || {
                    let digest = Digest::of(&bytes);
                    if let Some(expected) = expected.filter(|expected| *expected != digest) {
                        let message = format!("the module that was uploaded is {digest}, and not {expected}");
                        return Err(Rejection::InvalidArgument(message).into());
                    }
                    let known = shared.modules.module(id, &digest)?;
                    if known.is_none() {
                        engine_for_check.check_module(&name, &digest, bytes.len() as u64)?;
                    }
                    // Compiled code may be gone, or be of an earlier version of this server: the first run should not
                    // have to wait for it.
                    let _place = runtime.block_on(shared.meter(id).compile_place());
                    let description = shared.sandbox.load(&bytes)?;
                    Ok::<_, EngineError>(match known {
                        Some(module) => (Some(module), None),
                        None => (None, Some((description, bytes))),
                    })
                }
            });
            let (known, loaded) = checked.await.map_err(|error| EngineError::Unavailable(error.to_string()))??;
            let Some((description, bytes)) = loaded else {
                return known.ok_or_else(|| EngineError::Unavailable("the module was deleted meanwhile".into()));
            };
            let _changes = shared.modules.changes.lock().await;
            let mut batch = engine.home_batch();
            shared.modules.write_module(id, &description, bytes, &identity, &mut batch)?;
            engine.write_end_of_upload(id, &description.digest, &mut batch)?;
            engine.commit(batch).await?;
            engine.recount_modules(id)?;
            let module = shared.modules.module(id, &description.digest)?;
            module.ok_or_else(|| EngineError::ModuleNotFound(description.digest.to_string()))
        });
        taken.await.map_err(|error| EngineError::Unavailable(error.to_string()))?
    }

    /// The modules of a namespace by digest: those after this one, at most so many.
    pub async fn list_modules(
        &self,
        namespace: &str,
        after: Option<Digest>,
        count: usize,
    ) -> Result<Vec<ModuleReport>, EngineError> {
        let shared = self.shared();
        let id = shared.namespaces.id(namespace)?;
        let queues = shared.modules.queues(id);
        let digests = shared.modules.digests(id, after, count)?;
        let mut reports = Vec::new();
        for digest in digests {
            // One that is deleted this very moment is not there any more.
            if let Some(module) = shared.modules.module(id, &digest)? {
                reports.push(self.report(id, module, &queues));
            }
        }
        self.barrier().await;
        Ok(reports)
    }

    pub async fn describe_module(&self, namespace: &str, digest_prefix: &str) -> Result<ModuleReport, EngineError> {
        let shared = self.shared();
        let id = shared.namespaces.id(namespace)?;
        let digest = shared.modules.find(id, digest_prefix)?;
        let module = shared.modules.module(id, &digest)?;
        let module = module.ok_or_else(|| EngineError::ModuleNotFound(digest.to_string()))?;
        let report = self.report(id, module, &shared.modules.queues(id));
        self.barrier().await;
        Ok(report)
    }

    fn report(&self, namespace: uuid::Uuid, module: Module, queues: &[(QueueKey, Versions)]) -> ModuleReport {
        let mut open_runs = self.shared().modules.pins.of_module(namespace, &module.digest);
        let mut uses = Vec::new();
        for (queue, versions) in queues {
            if let Some(version) = versions.of_digest(&module.digest) {
                uses.push(ModuleUse {
                    task_queue: queue.name.clone(),
                    version: version.number,
                    need: versions.needs(&module.digest).map(|(_, need)| need),
                    open_runs: open_runs.remove(&queue.name).unwrap_or_default(),
                    activities: false,
                });
            }
        }
        let others = open_runs.into_iter();
        uses.extend(others.map(|(task_queue, open_runs)| ModuleUse {
            task_queue,
            version: 0,
            need: None,
            open_runs,
            activities: false,
        }));
        let hosted = self.shared().hosted.deployments.of_digest(namespace, &module.digest).into_iter();
        uses.extend(hosted.map(|task_queue| ModuleUse {
            task_queue,
            version: 0,
            need: Some(Need::Active),
            open_runs: 0,
            activities: true,
        }));
        uses.sort_by(|a, b| a.task_queue.cmp(&b.task_queue));
        ModuleReport { module, uses }
    }

    pub async fn download_module(
        &self,
        namespace: &str,
        digest_prefix: &str,
    ) -> Result<(Digest, Vec<u8>), EngineError> {
        let shared = Arc::clone(self.shared());
        let digest = shared.modules.find(shared.namespaces.id(namespace)?, digest_prefix)?;
        let read = tokio::task::spawn_blocking(move || shared.modules.bytes(&digest));
        let bytes = read.await.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        Ok((digest, bytes))
    }

    /// Deletes a module of a namespace. Refused while a deployment needs it, an open run is pinned to it, or a run that
    /// was has closed so lately that the namespace still promises to keep it. The bytes go with the last namespace that
    /// has them.
    pub async fn delete_module(&self, namespace: &str, digest_prefix: &str) -> Result<Digest, EngineError> {
        let (engine, namespace) = (self.clone(), namespace.to_owned());
        let prefix = digest_prefix.to_owned();
        let deleted = tokio::spawn(async move { engine.delete(&namespace, &prefix).await });
        deleted.await.map_err(|error| EngineError::Unavailable(error.to_string()))?
    }

    async fn delete(&self, namespace: &str, prefix: &str) -> Result<Digest, EngineError> {
        let shared = self.shared();
        let modules = &shared.modules;
        let id = shared.namespaces.id(namespace)?;
        let _changes = modules.changes.lock().await;
        let digest = modules.find(id, prefix)?;
        let needed = |why: String| EngineError::from(Rejection::FailedPrecondition(format!("Module {digest} {why}")));
        let mut queues = modules.queues(id);
        for (queue, versions) in &queues {
            if let Some((version, need)) = versions.needs(&digest) {
                let (number, queue) = (version.number, &queue.name);
                return Err(needed(match need {
                    Need::Active => format!("is active on task queue {queue:?}, as version {number}."),
                    Need::Ramping => format!("is ramping on task queue {queue:?}, as version {number}."),
                    Need::Previous => format!(
                        "is what a rollback of task queue {queue:?} goes to, as version {number}. Undeploy the task queue, \
                         or activate another version once more."
                    ),
                }));
            }
        }
        if let Some(queue) = shared.hosted.deployments.of_digest(id, &digest).first() {
            return Err(needed(format!(
                "is what the server runs the activities of task queue {queue:?} on. Undeploy them."
            )));
        }
        // From here on no run can begin on it.
        if modules.pins.turns(id, &digest) > 0 {
            return Err(needed("is what a run begins on this very moment. Try again.".into()));
        }
        let open: u64 = modules.pins.of_module(id, &digest).values().sum();
        if open > 0 {
            return Err(needed(format!("is needed: {open} open runs are pinned to it.")));
        }
        // A run that has just closed is counted no more, and stands among the closed ones when its step is durable.
        self.barrier().await;
        let retention = shared.namespaces.get(namespace)?.retention;
        let since = Time(clock::now().0.saturating_sub(i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX)));
        if pins::has_closed_since(&*shared.store, id, &digest, since)? {
            return Err(needed(format!(
                "is needed: a run that was pinned to it has closed within the namespace's retention of {} h, and can \
                 still be queried.",
                retention.as_secs().div_ceil(3600)
            )));
        }
        let mut batch = self.home_batch();
        batch.delete(keys::upload(id, &digest));
        let is_elsewhere = |other: &uuid::Uuid| *other != id && !matches!(modules.has(*other, &digest), Ok(false));
        let last = !shared.namespaces.ids().iter().any(is_elsewhere);
        if last {
            batch.delete(keys::module(&digest));
            batch.delete(keys::module_bytes(&digest));
        }
        queues.retain_mut(|(queue, versions)| {
            let known = versions.of_digest(&digest).is_some();
            if known {
                versions.forget_module(&digest);
                modules.write_versions(queue, versions, &mut batch);
            }
            known
        });
        self.commit(batch).await?;
        self.recount_modules(id)?;
        for (queue, versions) in queues {
            modules.put_versions(queue, versions);
        }
        if last {
            shared.sandbox.forget(&digest);
        }
        Ok(digest)
    }

    /// What is left of an upload that has come to its end, or was given up.
    pub(crate) fn write_end_of_upload(
        &self,
        namespace: uuid::Uuid,
        digest: &Digest,
        batch: &mut mainspring_store::Batch,
    ) -> Result<(), EngineError> {
        let key = keys::partial(namespace, digest);
        if self.shared().store.get(&key)?.is_none() {
            return Ok(());
        }
        batch.delete(key);
        let parts = keys::parts(namespace, digest);
        for_each_row(&*self.shared().store, &parts, &prefix_end(&parts), |key, _| {
            batch.delete(key.to_vec());
            Ok(())
        })
    }
}
