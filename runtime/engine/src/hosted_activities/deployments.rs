//! What is deployed and granted, in memory and in the store.

use std::{collections::HashMap, sync::Arc};

use mainspring_core::Time;
use mainspring_sandbox::{Digest, Grants, HostRule, SecretGrant};
use mainspring_store::{Batch, Store, prefix_end};
use parking_lot::RwLock;
use prost::Message;
use uuid::Uuid;

use super::secrets::SecretKey;
use crate::{
    Deployment, EngineError, Module, keys, matching::QueueKey, modules::digest, rows::decode, run::for_each_row,
};

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
                };
                let secrets = keys::secrets_of(namespace, &queue.name);
                for_each_row(store, &secrets, &prefix_end(&secrets), |row_key, value| {
                    let row: SecretRow = decode("secret", row_key, value)?;
                    let name = String::from_utf8_lossy(&row_key[secrets.len()..]).into_owned();
                    let value = key.open(row_key, &row.sealed).map_err(|problem| {
                        EngineError::Damaged(format!("secret {name:?} of task queue {:?}: {problem}", queue.name))
                    })?;
                    grants.secrets.push(SecretGrant { name, value, hosts: read_hosts(&row.hosts)? });
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

    pub fn deployment(&self, namespace_name: &str, queue: &QueueKey) -> Option<Deployment> {
        let (digest, deployed) = self.get(queue)?.module?;
        let (namespace, task_queue) = (namespace_name.to_owned(), queue.name.clone());
        Some(Deployment { namespace, task_queue, digest, deployed })
    }

    /// The deployments of a namespace, by task queue.
    pub fn deployments(&self, namespace_name: &str, namespace: Uuid) -> Vec<Deployment> {
        let queues = self.of(namespace).into_iter().map(|(name, _)| QueueKey { namespace, name });
        queues.filter_map(|queue| self.deployment(namespace_name, &queue)).collect()
    }

    /// What was written is durable.
    pub fn set(&self, queue: QueueKey, hosted: Hosted) {
        match hosted.is_nothing() {
            true => self.hosted.write().remove(&queue),
            false => self.hosted.write().insert(queue, hosted),
        };
    }

    pub fn remove(&self, queue: &QueueKey) {
        self.hosted.write().remove(queue);
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
