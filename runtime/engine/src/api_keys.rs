//! API keys: stored as hashes, and all of them in memory, because each call asks for one.
//!
//! What a permission means is the server's affair; here it is text.

use std::{collections::HashMap, sync::Arc};

use mainspring_core::{Rejection, Time};
use mainspring_store::{Store, prefix_end};
use parking_lot::RwLock;
use prost::Message;

use crate::{
    Engine, EngineError, keys, limits,
    rows::{ApiKeyRow, decode},
    run::for_each_row,
};

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiKey {
    /// Short and unique; part of the key's text.
    pub id: String,
    pub name: String,
    /// SHA-256 of the key's text.
    pub hash: [u8; 32],
    /// Each a namespace and a role.
    pub permissions: Vec<String>,
    pub created: Time,
    /// From then on it is refused; never, where there is none.
    pub expires: Option<Time>,
    pub created_by: String,
}

/// All keys that are not revoked.
#[derive(Default)]
pub(crate) struct ApiKeys {
    by_id: RwLock<HashMap<String, Arc<ApiKey>>>,
}

impl ApiKeys {
    pub fn open(store: &dyn Store) -> Result<ApiKeys, EngineError> {
        let mut by_id = HashMap::new();
        for_each_row(store, keys::API_KEYS, &prefix_end(keys::API_KEYS), |key, value| {
            let row: ApiKeyRow = decode("API key", key, value)?;
            let hash = row.hash.try_into().map_err(|_| EngineError::Damaged("the hash of an API key".into()))?;
            let id = String::from_utf8_lossy(&key[keys::API_KEYS.len()..]).into_owned();
            let key = ApiKey {
                id: id.clone(),
                name: row.name,
                hash,
                permissions: row.permissions,
                created: Time(row.created),
                expires: (row.expires != 0).then_some(Time(row.expires)),
                created_by: row.created_by,
            };
            by_id.insert(id, Arc::new(key));
            Ok(())
        })?;
        Ok(ApiKeys { by_id: RwLock::new(by_id) })
    }
}

impl Engine {
    pub fn api_key(&self, id: &str) -> Option<Arc<ApiKey>> {
        self.shared().api_keys.by_id.read().get(id).cloned()
    }

    /// All of them, the oldest first.
    pub fn api_keys(&self) -> Vec<Arc<ApiKey>> {
        let mut keys: Vec<_> = self.shared().api_keys.by_id.read().values().cloned().collect();
        keys.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        keys
    }

    /// Stores a key; it is good once this returns.
    ///
    /// # Errors
    /// When there are too many, or the id is taken.
    pub async fn add_api_key(&self, key: ApiKey) -> Result<(), EngineError> {
        let keys_there = &self.shared().api_keys.by_id;
        {
            let there = keys_there.read();
            if there.len() >= limits::API_KEYS {
                let message = format!("there are {} API keys already; revoke those that are not used", there.len());
                return Err(Rejection::FailedPrecondition(message).into());
            }
            if there.contains_key(&key.id) {
                return Err(Rejection::FailedPrecondition(format!("the API key {} is there already", key.id)).into());
            }
        }
        let row = ApiKeyRow {
            name: key.name.clone(),
            hash: key.hash.to_vec(),
            permissions: key.permissions.clone(),
            created: key.created.0,
            expires: key.expires.map_or(0, |expires| expires.0),
            created_by: key.created_by.clone(),
        };
        let mut batch = self.home_batch();
        batch.put(keys::api_key(&key.id), row.encode_to_vec());
        self.commit(batch).await?;
        keys_there.write().insert(key.id.clone(), Arc::new(key));
        Ok(())
    }

    /// Forgets a key. It is refused from the moment of the call, and for good once this returns.
    pub async fn remove_api_key(&self, id: &str) -> Result<(), EngineError> {
        let removed = self.shared().api_keys.by_id.write().remove(id);
        if removed.is_none() {
            return Err(Rejection::not_found(format!("there is no API key {id}")).into());
        }
        let mut batch = self.home_batch();
        batch.delete(keys::api_key(id));
        self.commit(batch).await
    }
}
