//! Who is asking, and whether they may: one gate before every call.
//!
//! [`Access`] is the gate. It finds out who calls (an API key, a token, a client certificate), looks the method up in
//! [`rules`], and lets the call in or refuses it. What is not in the table is refused. Handlers whose namespace is not
//! in the request's first bytes (a stream, a list over all namespaces) ask the [`Caller`] that the gate leaves behind.
//!
//! On a server without `auth.required` everybody may do everything; such a server listens on loopback only.

mod api_key;
mod certificate;
mod jwt;
mod roles;
mod rules;

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use mainspring_api::gate::{Call, Gate};
use mainspring_core::Time;
use mainspring_engine::Engine;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Extensions, Status,
    metadata::MetadataMap,
    transport::server::{TcpConnectInfo, TlsConnectInfo},
};

pub use api_key::AdminKey;
pub(crate) use api_key::{NewKey, is_id};
pub(crate) use roles::{Permissions, Role, SYSTEM};
use rules::{Rule, rule};

use crate::{config::AuthConfig, limits, quota, throttle::Throttle, token::ActivityToken};

/// Somebody, and what they may do. In the extensions of every request that was let in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Caller {
    pub principal: String,
    pub permissions: Permissions,
    pub expires: Option<Time>,
}

impl Caller {
    /// Where nobody is asked who they are.
    fn anybody() -> Caller {
        Caller { principal: "anybody".to_owned(), permissions: Permissions::all(), expires: None }
    }

    /// The caller of a request. Deny by default: who was not let in may do nothing.
    pub fn of(extensions: &Extensions) -> Caller {
        extensions.get::<Caller>().cloned().unwrap_or_else(|| Caller {
            principal: "nobody".to_owned(),
            permissions: Permissions::default(),
            expires: None,
        })
    }

    /// # Errors
    /// PERMISSION_DENIED without the role in the namespace.
    pub fn require(&self, namespace: &str, role: Role) -> Result<(), Status> {
        match self.permissions.allow(namespace, role) {
            true => Ok(()),
            false => Err(self.denied(namespace, role)),
        }
    }

    fn denied(&self, namespace: &str, role: Role) -> Status {
        let place = match namespace {
            SYSTEM => "for the whole server".to_owned(),
            namespace => format!("in namespace {namespace:?}"),
        };
        Status::permission_denied(format!("Request unauthorized: {} lacks the role {role} {place}.", self.principal))
    }
}

/// The gate. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    required: bool,
    admin_hashes: Vec<[u8; 32]>,
    certificates: Vec<(String, Permissions)>,
    tokens: Option<Arc<jwt::Tokens>>,
    refusals_told: Throttle,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("required", &self.inner.required).finish_non_exhaustive()
    }
}

impl Access {
    /// # Errors
    /// When a file with keys is not there or not right.
    pub fn open(config: &AuthConfig, engine: Engine) -> anyhow::Result<Access> {
        let admin_hashes = config.admin_key_hashes.iter().filter_map(|hash| api_key::read_hash(hash)).collect();
        let certificates = config
            .certificates
            .iter()
            .map(|entry| Ok((entry.identity.clone(), Permissions::parse(&entry.permissions)?)))
            .collect::<Result<_, String>>()
            .map_err(anyhow::Error::msg)
            .context("auth.certificates")?;
        let tokens = jwt::Tokens::open(&config.jwt)?;
        let (required, refusals_told) = (config.required, Throttle::default());
        let inner = Inner { engine, required, admin_hashes, certificates, tokens, refusals_told };
        Ok(Access { inner: Arc::new(inner) })
    }

    /// Does what must be done from time to time, until the server stops.
    pub async fn keep_up(self, stopping: CancellationToken) {
        if let Some(tokens) = &self.inner.tokens {
            Arc::clone(tokens).keep_fetching(stopping).await;
        }
    }

    /// Finds out who is calling.
    ///
    /// # Errors
    /// UNAUTHENTICATED without credentials, or with some that are not good (any more).
    fn authenticate(&self, metadata: &MetadataMap, extensions: &Extensions) -> Result<Caller, Status> {
        let Some(header) = metadata.get("authorization") else {
            return self.by_certificate(extensions).ok_or_else(|| {
                Status::unauthenticated(
                    "This server asks for credentials: give an API key or a token (--api-key), or a client certificate.",
                )
            });
        };
        let refused = |reason: &str| Status::unauthenticated(format!("The credentials are not accepted: {reason}."));
        if header.len() > limits::AUTHORIZATION_BYTES {
            return Err(refused("they are too long"));
        }
        let header = header.to_str().map_err(|_| refused("they are not text"))?;
        let text = match header.split_once(' ') {
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => text.trim(),
            _ => return Err(refused("the authorization header does not begin with \"Bearer \"")),
        };
        let caller = match api_key::is_api_key(text) {
            true => self.by_api_key(text),
            false => self.by_token(text),
        };
        caller.map_err(|reason| refused(&reason))
    }

    fn by_api_key(&self, text: &str) -> Result<Caller, String> {
        // The same words for a key that never was, one that was revoked, and one with another secret.
        let unknown = || "the API key is not known here, or was revoked".to_owned();
        let id = api_key::id(text).ok_or_else(unknown)?;
        if self.inner.admin_hashes.iter().any(|hash| api_key::fits(text, hash)) {
            let principal = format!("admin-key:{id}");
            return Ok(Caller { principal, permissions: Permissions::all(), expires: None });
        }
        let key = self.inner.engine.api_key(id).filter(|key| api_key::fits(text, &key.hash)).ok_or_else(unknown)?;
        if key.expires.is_some_and(|expires| expires <= self.inner.engine.now()) {
            return Err("the API key has expired".to_owned());
        }
        // It was checked when the key was made; a role that this version does not know permits nothing.
        let permissions = key.permissions.iter().filter_map(|text| text.parse().ok()).collect();
        Ok(Caller { principal: format!("api-key:{id}"), permissions, expires: key.expires })
    }

    fn by_token(&self, text: &str) -> Result<Caller, String> {
        let Some(tokens) = &self.inner.tokens else {
            return Err("it is no API key of this server, and no tokens are accepted".to_owned());
        };
        let token = tokens.check(text)?;
        let since = Duration::from_secs(token.expires).as_nanos();
        Ok(Caller {
            principal: format!("jwt:{}", token.subject),
            permissions: token.permissions.clone(),
            expires: Some(Time(i64::try_from(since).unwrap_or(i64::MAX))),
        })
    }

    /// None where there is no certificate; one that the configuration does not name permits nothing.
    fn by_certificate(&self, extensions: &Extensions) -> Option<Caller> {
        let certificates = extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?.peer_certs()?;
        let identities = certificate::identities(certificates.first()?);
        let known = |identity: &&String| self.inner.certificates.iter().any(|(known, _)| known == *identity);
        let entries = self.inner.certificates.iter().filter(|(known, _)| identities.contains(known));
        let permissions = entries.flat_map(|(_, permissions)| permissions.iter()).collect();
        let name = identities.iter().find(known).or(identities.last())?;
        Some(Caller { principal: format!("certificate:{name}"), permissions, expires: None })
    }

    fn decide(&self, call: &Call<'_>, task: Option<&ActivityToken>) -> Result<Caller, Status> {
        if !self.inner.required {
            return Ok(Caller::anybody());
        }
        let caller = self.authenticate(call.metadata, call.extensions)?;
        let denied = || Status::permission_denied("Request unauthorized: no rule of this server allows it.");
        match rule(call.method).ok_or_else(denied)? {
            Rule::Known | Rule::InHandler => {}
            Rule::System(role) => caller.require(SYSTEM, role)?,
            Rule::Namespace(role) => {
                let named = call.namespace.unwrap_or_default();
                if !named.is_empty() {
                    caller.require(named, role)?;
                }
                // As in Temporal, a token may stand for the namespace that it is of; it gives no right to it.
                match task {
                    Some(task) => caller.require(&task.namespace, role)?,
                    None if named.is_empty() => caller.require(SYSTEM, role)?,
                    None => {}
                }
            }
        }
        Ok(caller)
    }
}

impl Access {
    /// Counts the call for its namespace, which may have made too many. What is in a stream counts where it is read.
    fn count(&self, call: &Call<'_>, task: Option<&ActivityToken>) -> Result<(), Status> {
        let named = call.namespace.filter(|name| !name.is_empty());
        match named.or(task.map(|task| task.namespace.as_str())) {
            Some(namespace) => Ok(quota::admit(&self.inner.engine, call.method, namespace)?),
            None => Ok(()),
        }
    }
}

impl Gate for Access {
    fn admit(&self, call: Call<'_>) -> Result<(), Status> {
        let task = call.task_token.and_then(|token| ActivityToken::open(token).ok());
        let decided = self.decide(&call, task.as_ref()).and_then(|caller| {
            self.count(&call, task.as_ref())?;
            Ok(caller)
        });
        let Call { method, namespace, extensions, .. } = call;
        match decided {
            Ok(caller) => {
                extensions.insert(caller);
                Ok(())
            }
            Err(status) => {
                // Of quotas the engine tells.
                if status.code() != Code::ResourceExhausted
                    && let Some(more) = self.inner.refusals_told.admit()
                {
                    tracing::info!(
                        method,
                        namespace,
                        reason = status.message(),
                        more,
                        "a call was refused at the gate"
                    );
                }
                Err(status)
            }
        }
    }
}

/// Checks what can be checked of the settings without reading a file.
///
/// # Errors
/// The message names the setting and says what to do.
pub(crate) fn check(config: &AuthConfig) -> anyhow::Result<()> {
    for (index, hash) in config.admin_key_hashes.iter().enumerate() {
        ensure!(
            api_key::read_hash(hash).is_some(),
            "auth.admin_key_hashes[{index}]: it is not sha256: and 64 hexadecimal digits, as `mainspring key generate` \
             prints it"
        );
    }
    for (index, entry) in config.certificates.iter().enumerate() {
        ensure!(
            certificate::is_identity(&entry.identity),
            "auth.certificates[{index}].identity = {:?}: it is not cn:NAME, dns:NAME, uri:NAME or sha256:DIGEST",
            entry.identity
        );
        Permissions::parse(&entry.permissions)
            .map_err(|error| anyhow::anyhow!("auth.certificates[{index}].permissions: {error}"))?;
    }
    if let Some(jwks) = &config.jwt.jwks {
        jwt::check_address(jwks)?;
    }
    let nobody = config.admin_key_hashes.is_empty()
        && config.certificates.is_empty()
        && config.jwt.keys.is_empty()
        && config.jwt.jwks.is_none();
    ensure!(
        !config.required || !nobody,
        "auth.required: nobody could get in. Give auth.admin_key_hashes (`mainspring key generate` makes a key and its \
         hash), auth.jwt or auth.certificates"
    );
    Ok(())
}
