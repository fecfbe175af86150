//! Deploying modules, and reading what is deployed.

use std::sync::Arc;

use mainspring_sandbox::Digest;

use crate::{Deployed, DeployedModule, Deployment, Engine, EngineError, Module, keys, matching::QueueKey};

impl Engine {
    pub async fn deploy_module(
        &self,
        namespace: &str,
        task_queue: &str,
        bytes: Vec<u8>,
    ) -> Result<Deployed, EngineError> {
        mainspring_core::validate::name("TaskQueue", task_queue)?;
        let shared = Arc::clone(self.shared());
        let queue = QueueKey { namespace: shared.namespaces.id(namespace)?, name: task_queue.to_owned() };
        let hashed = tokio::task::spawn_blocking(move || (Digest::of(&bytes), bytes));
        let (digest, bytes) = hashed.await.map_err(|error| EngineError::Unavailable(error.to_string()))?;
        if let Some(deployment) = shared.modules.deployment(namespace, &queue)
            && deployment.digest == digest
        {
            return Ok(Deployed { module: shared.modules.module(&deployment.digest)?, deployment, unchanged: true });
        }
        self.check_module(namespace, &digest, bytes.len() as u64)?;
        let place = shared.meter(queue.namespace).compile_place().await;
        let sandbox = shared.sandbox.clone();
        let loaded = tokio::task::spawn_blocking(move || sandbox.load(&bytes).map(|description| (description, bytes)));
        let (description, bytes) = loaded.await.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        drop(place);
        let mut batch = self.home_batch();
        shared.modules.write_deploy(&queue, &description, bytes, &mut batch);
        self.commit(batch).await?;
        shared.modules.activate(queue.clone(), digest);
        self.recount_modules(queue.namespace)?;
        self.announce(queue.clone());
        let deployment = shared
            .modules
            .deployment(namespace, &queue)
            .ok_or_else(|| EngineError::Unavailable("the deployment was taken back meanwhile".into()))?;
        Ok(Deployed { module: shared.modules.module(&digest)?, deployment, unchanged: false })
    }

    /// Takes the module off a task queue; returns its digest. Runs that it started keep it.
    pub async fn undeploy_module(&self, namespace: &str, task_queue: &str) -> Result<Digest, EngineError> {
        let shared = self.shared();
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
        let shared = self.shared();
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
        let shared = self.shared();
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
        let shared = Arc::clone(self.shared());
        let digest = shared.modules.find(shared.namespaces.id(namespace)?, digest_prefix)?;
        let module = shared.modules.module(&digest)?;
        let read = tokio::task::spawn_blocking(move || shared.modules.bytes(&digest));
        let bytes = read.await.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        Ok((module, bytes))
    }
}
