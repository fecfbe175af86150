//! Modules and deployments: which module new runs of a task queue get.

use std::{collections::HashMap, sync::Arc};

use mainspring_core::Time;
use mainspring_sandbox::{Digest, ModuleBytes, ModuleDescription};
use mainspring_store::{Batch, Store, prefix_end};
use parking_lot::RwLock;
use prost::Message;
use uuid::Uuid;

use crate::{
    Deployment, EngineError, Module, clock, keys,
    matching::QueueKey,
    rows::{DeploymentRow, ModuleRow, decode},
    run::for_each_row,
};

/// The deployments, in memory, and the modules, in the store.
pub struct Modules {
    store: Arc<dyn Store>,
    active: RwLock<HashMap<QueueKey, (Digest, Time)>>,
}

impl Modules {
    pub fn open(store: Arc<dyn Store>, namespaces: &[Uuid]) -> Result<Modules, EngineError> {
        let mut active = HashMap::new();
        for &namespace in namespaces {
            let prefix = keys::deployments(namespace);
            for_each_row(&*store, &prefix, &prefix_end(&prefix), |key, value| {
                let row: DeploymentRow = decode("deployment", key, value)?;
                let name = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
                active.insert(QueueKey { namespace, name }, (digest(&row.digest)?, Time(row.deployed)));
                Ok(())
            })?;
        }
        Ok(Modules { store, active: RwLock::new(active) })
    }

    /// The module that is active on a task queue.
    pub fn active(&self, queue: &QueueKey) -> Option<Digest> {
        self.active.read().get(queue).map(|(digest, _)| *digest)
    }

    pub fn deployment(&self, namespace_name: &str, queue: &QueueKey) -> Option<Deployment> {
        self.active.read().get(queue).map(|(digest, deployed)| Deployment {
            namespace: namespace_name.to_owned(),
            task_queue: queue.name.clone(),
            digest: *digest,
            deployed: *deployed,
        })
    }

    pub fn deployments(&self, namespace_name: &str, namespace: Uuid) -> Vec<Deployment> {
        let active = self.active.read();
        let mut deployments: Vec<Deployment> = active
            .iter()
            .filter(|(queue, _)| queue.namespace == namespace)
            .map(|(queue, (digest, deployed))| Deployment {
                namespace: namespace_name.to_owned(),
                task_queue: queue.name.clone(),
                digest: *digest,
                deployed: *deployed,
            })
            .collect();
        deployments.sort_by(|a, b| a.task_queue.cmp(&b.task_queue));
        deployments
    }

    /// What must be written to take a module and make it active.
    pub fn write_deploy(&self, queue: &QueueKey, description: &ModuleDescription, bytes: Vec<u8>, batch: &mut Batch) {
        let now = clock::now();
        let row = ModuleRow {
            size_bytes: description.size_bytes,
            workflow_types: description.workflow_types.clone(),
            imports: description.imports.clone(),
            uploaded: now.0,
        };
        let key = keys::module(&description.digest);
        if matches!(self.store.get(&key), Ok(None)) {
            batch.put(keys::module_bytes(&description.digest), bytes);
            batch.put(key, row.encode_to_vec());
        }
        batch.put(keys::upload(queue.namespace, &description.digest), Vec::new());
        let row = DeploymentRow { digest: description.digest.as_bytes().to_vec(), deployed: now.0 };
        batch.put(keys::deployment(queue.namespace, &queue.name), row.encode_to_vec());
    }

    /// The deployment is durable: new runs get it from now on.
    pub fn activate(&self, queue: QueueKey, digest: Digest) {
        self.active.write().insert(queue, (digest, clock::now()));
    }

    pub fn deactivate(&self, queue: &QueueKey) {
        self.active.write().remove(queue);
    }

    pub fn module(&self, digest: &Digest) -> Result<Module, EngineError> {
        let key = keys::module(digest);
        let Some(row) = self.store.get(&key)? else { return Err(EngineError::ModuleNotFound(digest.to_string())) };
        let row: ModuleRow = decode("module", &key, &row)?;
        Ok(Module {
            digest: *digest,
            size_bytes: row.size_bytes,
            workflow_types: row.workflow_types,
            imports: row.imports,
            uploaded: Time(row.uploaded),
        })
    }

    /// The module of a namespace whose digest begins like this; at least eight digits.
    pub fn find(&self, namespace: Uuid, prefix: &str) -> Result<Digest, EngineError> {
        let missing = || EngineError::ModuleNotFound(format!("{prefix:?} in this namespace"));
        if prefix.len() < 8 {
            let message = format!("the digest {prefix:?} is too short: give at least 8 of its 64 digits");
            return Err(mainspring_core::Rejection::InvalidArgument(message).into());
        }
        let mut found = Vec::new();
        let uploads = keys::uploads(namespace);
        for_each_row(&*self.store, &uploads, &prefix_end(&uploads), |key, _| {
            let digest = digest(&key[uploads.len()..])?;
            if digest.to_string().starts_with(&prefix.to_ascii_lowercase()) {
                found.push(digest);
            }
            Ok(())
        })?;
        match found.as_slice() {
            [] => Err(missing()),
            [digest] => Ok(*digest),
            several => {
                let message = format!("the digest {prefix:?} fits {} modules: give more of its digits", several.len());
                Err(mainspring_core::Rejection::InvalidArgument(message).into())
            }
        }
    }

    pub fn has(&self, namespace: Uuid, digest: &Digest) -> Result<bool, EngineError> {
        Ok(self.store.get(&keys::upload(namespace, digest))?.is_some())
    }

    /// How many modules a namespace has uploaded, and their bytes.
    pub fn total(&self, namespace: Uuid) -> Result<(u64, u64), EngineError> {
        let uploads = keys::uploads(namespace);
        let (mut count, mut bytes) = (0, 0);
        for_each_row(&*self.store, &uploads, &prefix_end(&uploads), |key, _| {
            count += 1;
            bytes += self.module(&digest(&key[uploads.len()..])?)?.size_bytes;
            Ok(())
        })?;
        Ok((count, bytes))
    }

    pub fn bytes(&self, digest: &Digest) -> Result<Vec<u8>, EngineError> {
        let found = self.store.get(&keys::module_bytes(digest))?;
        found.ok_or_else(|| EngineError::ModuleNotFound(digest.to_string()))
    }
}

impl ModuleBytes for Modules {
    fn module_bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        self.store.get(&keys::module_bytes(digest)).map_err(|error| error.to_string())
    }
}

fn digest(bytes: &[u8]) -> Result<Digest, EngineError> {
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| EngineError::Damaged(format!("a digest of {} bytes", bytes.len())))?;
    Ok(Digest::from_bytes(bytes))
}
