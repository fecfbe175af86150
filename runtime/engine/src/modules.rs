//! What the engine knows of modules and deployments: the deployments in memory, the modules in the store.

use std::{collections::HashMap, sync::Arc};

use mainspring_core::{Rejection, Time};
use mainspring_sandbox::{Digest, ModuleBytes, ModuleDescription};
use mainspring_store::{Batch, Store, prefix_end};
use parking_lot::RwLock;
use prost::Message;
use uuid::Uuid;

use crate::{
    EngineError, Module, clock, keys,
    matching::QueueKey,
    pins::{Pins, Turn},
    rows::{DeploymentRow, ModuleRow, UploadRow, decode},
    run::for_each_row,
    uploads::Uploads,
    versions::{Versions, digest},
};

pub struct Modules {
    store: Arc<dyn Store>,
    deployments: RwLock<HashMap<QueueKey, Versions>>,
    /// How many runs each module has.
    pub pins: Pins,
    pub uploads: Uploads,
    /// Held by whoever changes modules or deployments, until what was changed is durable and known here. There are few
    /// such changes, and each is decided on what the ones before it have left.
    pub changes: tokio::sync::Mutex<()>,
}

impl Modules {
    pub fn open(store: Arc<dyn Store>, namespaces: &[Uuid]) -> Result<Modules, EngineError> {
        let mut deployments = HashMap::new();
        for &namespace in namespaces {
            let prefix = keys::deployments(namespace);
            for_each_row(&*store, &prefix, &prefix_end(&prefix), |key, value| {
                let row: DeploymentRow = decode("deployment", key, value)?;
                let name = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
                deployments.insert(QueueKey { namespace, name }, Versions::from_row(row)?);
                Ok(())
            })?;
        }
        Ok(Modules {
            pins: Pins::open(&*store, namespaces)?,
            store,
            deployments: RwLock::new(deployments),
            uploads: Uploads::default(),
            changes: tokio::sync::Mutex::default(),
        })
    }

    // Deployments.

    /// The module that a run gets which is pinned to none yet, and the turn that it has on it. Chosen and held in one:
    /// what is not deployed any more is chosen no more, so that no turn on it begins.
    pub fn choose(&self, queue: &QueueKey, workflow_id: &str) -> Option<(Digest, Turn)> {
        let deployments = self.deployments.read();
        let module = deployments.get(queue)?.choose(queue.namespace, workflow_id)?;
        Some((module, self.pins.turn(queue.namespace, module)))
    }

    /// Keeps a module from being deleted until the answer is dropped.
    pub fn hold(&self, namespace: Uuid, module: Digest) -> Turn {
        self.pins.turn(namespace, module)
    }

    pub fn versions(&self, queue: &QueueKey) -> Option<Versions> {
        self.deployments.read().get(queue).cloned()
    }

    /// The task queues of a namespace that have versions, by name.
    pub fn queues(&self, namespace: Uuid) -> Vec<(QueueKey, Versions)> {
        let deployments = self.deployments.read();
        let of_namespace = deployments.iter().filter(|(queue, _)| queue.namespace == namespace);
        let mut queues: Vec<_> = of_namespace.map(|(queue, versions)| (queue.clone(), versions.clone())).collect();
        queues.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        queues
    }

    pub fn count_queues(&self, namespace: Uuid) -> usize {
        self.deployments.read().keys().filter(|queue| queue.namespace == namespace).count()
    }

    /// What must be written so that these are the versions of the task queue.
    pub fn write_versions(&self, queue: &QueueKey, versions: &Versions, batch: &mut Batch) {
        let key = keys::deployment(queue.namespace, &queue.name);
        match versions.list().is_empty() {
            true => batch.delete(key),
            false => batch.put(key, versions.to_row().encode_to_vec()),
        }
    }

    /// They are durable: new runs go by them from now on.
    pub fn put_versions(&self, queue: QueueKey, versions: Versions) {
        let mut deployments = self.deployments.write();
        match versions.list().is_empty() {
            true => drop(deployments.remove(&queue)),
            false => drop(deployments.insert(queue, versions)),
        }
    }

    // Modules.

    /// What must be written so that the namespace has the module.
    pub fn write_module(
        &self,
        namespace: Uuid,
        description: &ModuleDescription,
        bytes: Vec<u8>,
        identity: &str,
        batch: &mut Batch,
    ) -> Result<(), EngineError> {
        let now = clock::now().0;
        let key = keys::module(&description.digest);
        let row = match self.store.get(&key)? {
            Some(row) => {
                let row: ModuleRow = decode("module", &key, &row)?;
                // One that was taken before languages were guessed.
                ModuleRow { language: description.language.clone(), ..row }
            }
            None => {
                batch.put(keys::module_bytes(&description.digest), bytes);
                ModuleRow {
                    size_bytes: description.size_bytes,
                    workflow_types: description.workflow_types.clone(),
                    imports: description.imports.clone(),
                    uploaded: now,
                    language: description.language.clone(),
                    activity_types: description.activity_types.clone(),
                }
            }
        };
        batch.put(key, row.encode_to_vec());
        let upload = UploadRow { uploaded: now, identity: identity.to_owned() };
        batch.put(keys::upload(namespace, &description.digest), upload.encode_to_vec());
        Ok(())
    }

    /// A module of a namespace; none where the namespace does not have it, whoever else has.
    pub fn module(&self, namespace: Uuid, digest: &Digest) -> Result<Option<Module>, EngineError> {
        let upload_key = keys::upload(namespace, digest);
        let Some(upload) = self.store.get(&upload_key)? else { return Ok(None) };
        let upload: UploadRow = decode("upload", &upload_key, &upload)?;
        let key = keys::module(digest);
        let row = self.store.get(&key)?.ok_or_else(|| EngineError::ModuleNotFound(digest.to_string()))?;
        let row: ModuleRow = decode("module", &key, &row)?;
        // Uploads did not tell when they were made, once.
        let uploaded = if upload.uploaded == 0 { row.uploaded } else { upload.uploaded };
        Ok(Some(Module {
            digest: *digest,
            size_bytes: row.size_bytes,
            workflow_types: row.workflow_types,
            activity_types: row.activity_types,
            imports: row.imports,
            language: row.language,
            uploaded: Time(uploaded),
            uploaded_by: upload.identity,
        }))
    }

    pub fn has(&self, namespace: Uuid, digest: &Digest) -> Result<bool, EngineError> {
        Ok(self.store.get(&keys::upload(namespace, digest))?.is_some())
    }

    /// The module of a namespace whose digest begins like this; at least eight digits.
    pub fn find(&self, namespace: Uuid, prefix: &str) -> Result<Digest, EngineError> {
        if prefix.len() < 8 {
            let message = format!("the digest {prefix:?} is too short: give at least 8 of its 64 digits");
            return Err(Rejection::InvalidArgument(message).into());
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
            [] => Err(EngineError::ModuleNotFound(format!("{prefix:?} in this namespace"))),
            [digest] => Ok(*digest),
            several => {
                let message = format!("the digest {prefix:?} fits {} modules: give more of its digits", several.len());
                Err(Rejection::InvalidArgument(message).into())
            }
        }
    }

    /// The digests of a namespace's modules that come after this one, in order.
    pub fn digests(&self, namespace: Uuid, after: Option<Digest>, count: usize) -> Result<Vec<Digest>, EngineError> {
        let uploads = keys::uploads(namespace);
        let start = match after {
            // No key lies between it and the next one.
            Some(after) => [keys::upload(namespace, &after).as_slice(), &[0]].concat(),
            None => uploads.clone(),
        };
        let rows = self.store.scan(&start, &prefix_end(&uploads), false, count)?;
        rows.iter().map(|(key, _)| digest(&key[uploads.len()..])).collect()
    }

    /// How many modules a namespace has uploaded, and their bytes.
    pub fn total(&self, namespace: Uuid) -> Result<(u64, u64), EngineError> {
        let uploads = keys::uploads(namespace);
        let (mut count, mut bytes) = (0, 0);
        for_each_row(&*self.store, &uploads, &prefix_end(&uploads), |key, _| {
            count += 1;
            let module = self.module(namespace, &digest(&key[uploads.len()..])?)?;
            bytes += module.map_or(0, |module| module.size_bytes);
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
