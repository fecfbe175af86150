//! What is deployed and granted, in memory and in the store.

use std::{collections::HashMap, sync::Arc};

use mainspring_core::Time;
use mainspring_sandbox::{Digest, Grants, HostRule, SecretGrant};
use mainspring_store::{Batch, Store, prefix_end};
use parking_lot::RwLock;
use prost::Message;
use uuid::Uuid;

use super::secrets::SecretKey;
use crate::{EngineError, Module, keys, matching::QueueKey, rows::decode, run::for_each_row, versions::digest};

#[derive(Clone, PartialEq, Message)]
struct HostedRow {
    /// 32 bytes, or empty where only grants were made.
    #[prost(bytes = "vec", tag = "1")]
    digest: Vec<u8>,
    #[prost(int64, tag = "2")]
    deployed: i64,
    #[prost(message, repeated, tag = "3")]
    hosts: Vec<HostRow>,
    #[prost(message, repeated, tag = "4")]
    environment: Vec<ValueRow>,
    #[prost(uint64, tag = "5")]
    scratch_bytes: u64,
}

#[derive(Clone, PartialEq, Message)]
struct HostRow {
    #[prost(string, tag = "1")]
    rule: String,
    #[prost(bool, tag = "2")]
    private: bool,
}

#[derive(Clone, PartialEq, Message)]
struct ValueRow {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct SecretRow {
    /// See `secrets.rs`.
    #[prost(bytes = "vec", tag = "1")]
    sealed: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    hosts: Vec<HostRow>,
}

/// What a task queue has.
#[derive(Clone, Default)]
pub(crate) struct Hosted {
    /// None where only grants were made.
    pub module: Option<(Digest, Time)>,
    pub grants: Arc<Grants>,
}

/// A deployment of activities, as clients are told.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityDeployment {
    pub namespace: String,
    pub task_queue: String,
    /// None where only grants were made so far.
    pub module: Option<Module>,
    pub deployed: Option<Time>,
    pub hosts: Vec<HostGrant>,
    pub environment: Vec<(String, String)>,
    pub secrets: Vec<SecretName>,
    /// Of each attempt's scratch directory; 0 where there is none.
    pub scratch_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGrant {
    /// Such as `https://api.example.com`.
    pub host: String,
    /// Private addresses are meant as well.
    pub private: bool,
}

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName {
    pub name: String,
    pub hosts: Vec<HostGrant>,
}

/// All of them.
pub(crate) struct Deployments {
    key: SecretKey,
    hosted: RwLock<HashMap<QueueKey, Hosted>>,
}

impl Deployments {
    pub fn open(store: &dyn Store, namespaces: &[Uuid], key: SecretKey) -> Result<Deployments, EngineError> {
        let mut all: HashMap<QueueKey, Hosted> = HashMap::new();
        for &namespace in namespaces {
            let prefix = keys::hosted_of(namespace);
            for_each_row(store, &prefix, &prefix_end(&prefix), |row_key, value| {
                let row: HostedRow = decode("deployment of activities", row_key, value)?;
                let name = String::from_utf8_lossy(&row_key[prefix.len()..]).into_owned();
                let queue = QueueKey { namespace, name };
                let module = match row.digest.is_empty() {
                    true => None,
                    false => Some((digest(&row.digest)?, Time(row.deployed))),
                };
                let mut grants = Grants {
                    hosts: read_hosts(&row.hosts)?,
                    environment: row.environment.into_iter().map(|row| (row.name, row.value)).collect(),
                    secrets: Vec::new(),
                    scratch_bytes: row.scratch_bytes,
                };
                let secrets = keys::secrets_of(namespace, &queue.name);
                for_each_row(store, &secrets, &prefix_end(&secrets), |row_key, value| {
                    let row: SecretRow = decode("secret", row_key, value)?;
                    let name = String::from_utf8_lossy(&row_key[secrets.len()..]).into_owned();
                    match key.open(row_key, &row.sealed) {
                        Ok(value) => grants.secrets.push(SecretGrant { name, value, hosts: read_hosts(&row.hosts)? }),
                        // As after a restore, until the key is put back or the secret is granted again. The runs of a
                        // store are worth more than its secrets: it is no reason not to start.
                        Err(problem) => {
                            let task_queue = queue.name.as_str();
                            tracing::error!(task_queue, secret = name, problem, "a secret is not there for activities");
                        }
                    }
                    Ok(())
                })?;
                all.insert(queue, Hosted { module, grants: Arc::new(grants) });
                Ok(())
            })?;
        }
        Ok(Deployments { key, hosted: RwLock::new(all) })
    }

    pub fn get(&self, queue: &QueueKey) -> Option<Hosted> {
        self.hosted.read().get(queue).cloned()
    }

    /// Those on which a module is deployed.
    pub fn queues(&self) -> Vec<QueueKey> {
        let hosted = self.hosted.read();
        hosted.iter().filter(|(_, hosted)| hosted.module.is_some()).map(|(queue, _)| queue.clone()).collect()
    }

    /// Those of a namespace, by task queue.
    pub fn of(&self, namespace: Uuid) -> Vec<(String, Hosted)> {
        let hosted = self.hosted.read();
        let of_namespace = hosted.iter().filter(|(queue, _)| queue.namespace == namespace);
        let mut found: Vec<_> = of_namespace.map(|(queue, hosted)| (queue.name.clone(), hosted.clone())).collect();
        found.sort_by(|(left, _), (right, _)| left.cmp(right));
        found
    }

    /// The task queues of a namespace on which a module is deployed, by name.
    pub fn of_digest(&self, namespace: Uuid, digest: &Digest) -> Vec<String> {
        let hosted = self.hosted.read();
        let using = hosted
            .iter()
            .filter(|(queue, hosted)| queue.namespace == namespace && hosted.digest().as_ref() == Some(digest));
        let mut names: Vec<_> = using.map(|(queue, _)| queue.name.clone()).collect();
        names.sort();
        names
    }

    pub fn count(&self, namespace: Uuid) -> usize {
        self.hosted.read().keys().filter(|queue| queue.namespace == namespace).count()
    }

    /// What was written is durable.
    pub fn set(&self, queue: QueueKey, hosted: Hosted) {
        match hosted.is_nothing() {
            true => self.hosted.write().remove(&queue),
            false => self.hosted.write().insert(queue, hosted),
        };
    }

    pub fn write_secrets(&self, queue: &QueueKey, grants: &Grants, batch: &mut Batch) -> Result<(), EngineError> {
        for secret in &grants.secrets {
            let row_key = keys::secret(queue.namespace, &queue.name, &secret.name);
            let sealed = self.key.seal(&row_key, &secret.value).map_err(EngineError::Unavailable)?;
            let row = SecretRow { sealed, hosts: host_rows(&secret.hosts) };
            batch.put(row_key, row.encode_to_vec());
        }
        Ok(())
    }
}

/// Deletes all secrets of a task queue, also such as cannot be opened.
pub(super) fn delete_secrets(store: &dyn Store, queue: &QueueKey, batch: &mut Batch) -> Result<(), EngineError> {
    let secrets = keys::secrets_of(queue.namespace, &queue.name);
    for_each_row(store, &secrets, &prefix_end(&secrets), |key, _| {
        batch.delete(key.to_vec());
        Ok(())
    })
}

impl Hosted {
    pub fn digest(&self) -> Option<Digest> {
        self.module.map(|(digest, _)| digest)
    }

    fn is_nothing(&self) -> bool {
        self.module.is_none() && *self.grants == Grants::default()
    }

    /// All but the secrets.
    pub fn write(&self, queue: &QueueKey, batch: &mut Batch) {
        if self.is_nothing() {
            return;
        }
        let row = HostedRow {
            digest: self.module.map(|(digest, _)| digest.as_bytes().to_vec()).unwrap_or_default(),
            deployed: self.module.map_or(0, |(_, deployed)| deployed.0),
            hosts: host_rows(&self.grants.hosts),
            environment: self
                .grants
                .environment
                .iter()
                .map(|(name, value)| ValueRow { name: name.clone(), value: value.clone() })
                .collect(),
            scratch_bytes: self.grants.scratch_bytes,
        };
        batch.put(keys::hosted(queue.namespace, &queue.name), row.encode_to_vec());
    }

    /// Everything, secrets too.
    pub fn delete(&self, queue: &QueueKey, batch: &mut Batch) {
        batch.delete(keys::hosted(queue.namespace, &queue.name));
        for secret in &self.grants.secrets {
            batch.delete(keys::secret(queue.namespace, &queue.name, &secret.name));
        }
    }

    pub fn describe(&self, namespace: &str, task_queue: &str, module: Option<Module>) -> ActivityDeployment {
        let secrets = self.grants.secrets.iter();
        ActivityDeployment {
            namespace: namespace.to_owned(),
            task_queue: task_queue.to_owned(),
            module,
            deployed: self.module.map(|(_, deployed)| deployed),
            hosts: host_grants(&self.grants.hosts),
            environment: self.grants.environment.clone(),
            secrets: secrets
                .map(|secret| SecretName { name: secret.name.clone(), hosts: host_grants(&secret.hosts) })
                .collect(),
            scratch_bytes: self.grants.scratch_bytes,
        }
    }
}

fn host_rows(hosts: &[HostRule]) -> Vec<HostRow> {
    hosts.iter().map(|rule| HostRow { rule: rule.to_string(), private: rule.private }).collect()
}

fn host_grants(hosts: &[HostRule]) -> Vec<HostGrant> {
    hosts.iter().map(|rule| HostGrant { host: rule.to_string(), private: rule.private }).collect()
}

fn read_hosts(rows: &[HostRow]) -> Result<Vec<HostRule>, EngineError> {
    let read = |row: &HostRow| {
        let rule: HostRule = row.rule.parse().map_err(|error| EngineError::Damaged(format!("a grant: {error}")))?;
        Ok(rule.with_private(row.private))
    };
    rows.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use mainspring_sandbox::SecretValue;
    use mainspring_store::{MemoryStore, ShardId};

    use super::*;
    use crate::{engine::HOME, open::commit_now};

    fn secrets(deployments: &Deployments, queue: &QueueKey) -> Vec<String> {
        deployments.get(queue).unwrap().grants.secrets.iter().map(|secret| secret.value.reveal().to_owned()).collect()
    }

    #[test]
    fn with_another_key_there_are_no_secrets_until_they_are_granted_again() {
        let store = MemoryStore::new();
        let home: ShardId = HOME;
        let epoch = store.acquire_shard(home).unwrap();
        let queue = QueueKey { namespace: Uuid::from_u128(1), name: "payments".into() };
        let grant = |key: SecretKey, value: &str| {
            let secret = SecretGrant { name: "KEY".into(), value: SecretValue::new(value.into()), hosts: Vec::new() };
            let hosts = vec!["https://example.com".parse().unwrap()];
            let grants = Grants { hosts, secrets: vec![secret], ..Grants::default() };
            let hosted = Hosted { module: None, grants: Arc::new(grants) };
            let deployments = Deployments::open(&store, &[queue.namespace], key).unwrap();
            let mut batch = Batch::new(home, epoch);
            hosted.write(&queue, &mut batch);
            deployments.write_secrets(&queue, &hosted.grants, &mut batch).unwrap();
            commit_now(&store, batch).unwrap();
        };
        let reopened = |key: SecretKey| Deployments::open(&store, &[queue.namespace], key).unwrap();
        let (old, new) = (SecretKey::new([1; 32]), SecretKey::new([2; 32]));
        grant(old.clone(), "s3cret");
        assert_eq!(secrets(&reopened(old.clone()), &queue), ["s3cret"]);
        assert!(secrets(&reopened(new.clone()), &queue).is_empty());
        assert_eq!(secrets(&reopened(old.clone()), &queue), ["s3cret"]);
        grant(new.clone(), "another");
        assert_eq!(secrets(&reopened(new), &queue), ["another"]);

        let mut batch = Batch::new(home, epoch);
        delete_secrets(&store, &queue, &mut batch).unwrap();
        commit_now(&store, batch).unwrap();
        let key = keys::secret(queue.namespace, &queue.name, "KEY");
        assert_eq!(store.get(&key).unwrap(), None);
    }
}
