//! `mainspring.v1.AccessService`: API keys, and who a caller is.

use mainspring_api::mainspring::{
    self, CreateApiKeyRequest, CreateApiKeyResponse, ListApiKeysRequest, ListApiKeysResponse, RevokeApiKeyRequest,
    RevokeApiKeyResponse, WhoAmIRequest, WhoAmIResponse, access_service_server::AccessService,
};
use mainspring_core::{Time, limits::temporal};
use mainspring_engine::ApiKey;
use tonic::{Request, Response};

use super::{Answer, Frontend, answer};
use crate::{
    auth::{Caller, NewKey, Permissions, Role, is_id},
    error::Fault,
    limits,
};

#[derive(Clone)]
pub(crate) struct Access(pub Frontend);

impl Access {
    async fn create(&self, caller: &Caller, request: CreateApiKeyRequest) -> Result<CreateApiKeyResponse, Fault> {
        let name = request.name.trim();
        if name.is_empty() {
            return Err(Fault::invalid("Name is empty: say what the key is for."));
        }
        if name.len() > limits::API_KEY_NAME_BYTES {
            return Err(Fault::invalid(format!("Name is longer than {} bytes.", limits::API_KEY_NAME_BYTES)));
        }
        let permissions = Permissions::parse(&request.permissions).map_err(Fault::invalid)?;
        if permissions.is_empty() {
            return Err(Fault::invalid("Permissions is empty: the key could do nothing."));
        }
        if permissions.to_texts().iter().map(String::len).sum::<usize>() > temporal::PAYLOAD_BYTES {
            return Err(Fault::invalid("The permissions are too long."));
        }
        let engine = &self.0.engine;
        for permission in permissions.iter() {
            caller.require(&permission.namespace, Role::Admin)?;
            if permission.namespace != crate::auth::SYSTEM {
                // A key for a namespace that is not there is a slip of the pen.
                engine.namespace(&permission.namespace)?;
            }
        }
        let now = engine.now();
        let expires = request.expire_time.map(|time| Time::from_proto(&time));
        if expires.is_some_and(|expires| expires <= now) {
            return Err(Fault::invalid("ExpireTime has passed already."));
        }
        let key = NewKey::make().map_err(|error| Fault::overloaded(format!("{error:#}")))?;
        let stored = ApiKey {
            id: key.id,
            name: name.to_owned(),
            hash: key.hash,
            permissions: permissions.to_texts(),
            created: now,
            expires,
            created_by: caller.principal.clone(),
        };
        engine.add_api_key(stored.clone()).await?;
        tracing::info!(id = stored.id, by = stored.created_by, permissions = ?stored.permissions, "an API key was made");
        Ok(CreateApiKeyResponse { key: Some(to_message(&stored)), text: key.text })
    }

    fn list(&self, caller: &Caller) -> ListApiKeysResponse {
        let keys = self.0.engine.api_keys();
        let mine = keys.iter().filter(|key| may_revoke(caller, key));
        ListApiKeysResponse { keys: mine.map(|key| to_message(key)).collect() }
    }

    async fn revoke(&self, caller: &Caller, request: RevokeApiKeyRequest) -> Result<RevokeApiKeyResponse, Fault> {
        if !is_id(&request.id) {
            return Err(Fault::invalid(format!(
                "{:?} is no id of an API key: it has 16 hexadecimal digits.",
                request.id
            )));
        }
        // Who may not revoke it is not told whether it is there.
        let missing = || mainspring_core::Rejection::not_found(format!("there is no API key {}", request.id));
        let key = self.0.engine.api_key(&request.id).filter(|key| may_revoke(caller, key)).ok_or_else(missing)?;
        self.0.engine.remove_api_key(&key.id).await?;
        tracing::info!(id = key.id, by = caller.principal, "an API key was revoked");
        Ok(RevokeApiKeyResponse {})
    }
}

/// An admin of each namespace that the key has a permission for.
fn may_revoke(caller: &Caller, key: &ApiKey) -> bool {
    match Permissions::parse(&key.permissions) {
        Ok(permissions) => {
            permissions.iter().all(|permission| caller.permissions.allow(&permission.namespace, Role::Admin))
        }
        // One that this version cannot read is the whole server's affair.
        Err(_) => caller.permissions.allow(crate::auth::SYSTEM, Role::Admin),
    }
}

fn to_message(key: &ApiKey) -> mainspring::ApiKey {
    mainspring::ApiKey {
        id: key.id.clone(),
        name: key.name.clone(),
        permissions: key.permissions.clone(),
        created_time: Some(key.created.to_proto()),
        expire_time: key.expires.map(Time::to_proto),
        created_by: key.created_by.clone(),
    }
}

#[tonic::async_trait]
impl AccessService for Access {
    async fn create_api_key(&self, request: Request<CreateApiKeyRequest>) -> Answer<CreateApiKeyResponse> {
        let caller = Caller::of(request.extensions());
        answer(self.create(&caller, request.into_inner()).await)
    }

    async fn list_api_keys(&self, request: Request<ListApiKeysRequest>) -> Answer<ListApiKeysResponse> {
        Ok(Response::new(self.list(&Caller::of(request.extensions()))))
    }

    async fn revoke_api_key(&self, request: Request<RevokeApiKeyRequest>) -> Answer<RevokeApiKeyResponse> {
        let caller = Caller::of(request.extensions());
        answer(self.revoke(&caller, request.into_inner()).await)
    }

    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Answer<WhoAmIResponse> {
        let caller = Caller::of(request.extensions());
        Ok(Response::new(WhoAmIResponse {
            principal: caller.principal.clone(),
            permissions: caller.permissions.to_texts(),
            expire_time: caller.expires.map(Time::to_proto),
        }))
    }
}
