//! JSON Web Tokens, as Temporal's claim mapper reads them: who signed them is checked here, and what they permit.

use std::{
    collections::BTreeSet,
    io::Read as _,
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Header, Validation, decode, decode_header, jwk::JwkSet};
use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    api_key::hash,
    roles::{Permission, Permissions},
};
use crate::{config::JwtConfig, limits};

/// How soon after a set of keys was fetched a token of an unknown key may have it fetched again.
const REFETCH: Duration = Duration::from_secs(10);
/// Keys that are tried for a token that does not name its own.
const KEYS_TRIED: usize = 16;

/// What a good token says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    /// Its `sub`.
    pub subject: String,
    pub permissions: Permissions,
    /// Seconds since 1970.
    pub expires: u64,
}

struct Key {
    id: Option<String>,
    key: DecodingKey,
}

/// Checks tokens.
pub(crate) struct Tokens {
    config: JwtConfig,
    /// From files that do not change while the server runs.
    fixed: Vec<Key>,
    fetched: RwLock<Vec<Key>>,
    good: Mutex<LruCache<[u8; 32], Arc<Token>>>,
    wanted: Notify,
}

impl Tokens {
    /// Reads the keys that are in files. Those of an address come later, and from then on again and again: see
    /// [`Tokens::keep_fetching`].
    ///
    /// # Errors
    /// When a file is not there, or holds no public keys.
    pub fn open(config: &JwtConfig) -> anyhow::Result<Option<Arc<Tokens>>> {
        if config.keys.is_empty() && config.jwks.is_none() {
            return Ok(None);
        }
        let mut fixed = Vec::new();
        for path in &config.keys {
            let pem = std::fs::read(path)
                .with_context(|| format!("auth.jwt.keys: the file {} cannot be read", path.display()))?;
            let key = from_pem(&pem).with_context(|| format!("auth.jwt.keys: {}", path.display()))?;
            fixed.push(Key { id: None, key });
        }
        let tokens = Tokens {
            config: config.clone(),
            fixed,
            fetched: RwLock::default(),
            good: Mutex::new(LruCache::new(NonZeroUsize::new(limits::TOKENS_REMEMBERED).unwrap_or(NonZeroUsize::MIN))),
            wanted: Notify::new(),
        };
        if let Some(Source::File(path)) = tokens.source() {
            tokens.take(&Source::File(path).read().context("auth.jwt.jwks")?)?;
        }
        Ok(Some(Arc::new(tokens)))
    }

    fn source(&self) -> Option<Source> {
        self.config.jwks.as_deref().map(Source::of)
    }

    /// Fetches the set of keys now and whenever it may have changed, until the server stops.
    pub async fn keep_fetching(self: Arc<Self>, stopping: CancellationToken) {
        let Some(source) = self.source() else { return };
        loop {
            let (fetched, from) = (Arc::clone(&self), source.clone());
            let outcome = tokio::task::spawn_blocking(move || from.read().and_then(|text| fetched.take(&text))).await;
            match outcome {
                Ok(Ok(keys)) => tracing::debug!(keys, "the keys of tokens were fetched"),
                // The old ones stay good: an issuer that is away for a while must not shut everybody out.
                Ok(Err(error)) => tracing::warn!("auth.jwt.jwks: the keys cannot be fetched: {error:#}"),
                Err(error) => tracing::warn!("auth.jwt.jwks: fetching the keys was interrupted: {error}"),
            }
            let soon = async {
                tokio::time::sleep(REFETCH).await;
                self.wanted.notified().await;
            };
            tokio::select! {
                () = tokio::time::sleep(self.config.refresh) => {}
                () = soon => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// Takes a set of keys in place of the one before. Returns how many of them are of use.
    fn take(&self, text: &str) -> anyhow::Result<usize> {
        let set: JwkSet = serde_json::from_str(text).context("it is not a JSON Web Key Set")?;
        let usable = set.keys.iter().filter_map(|jwk| {
            let key = DecodingKey::from_jwk(jwk).ok()?;
            asymmetric(key.family()).then(|| Key { id: jwk.common.key_id.clone(), key })
        });
        let keys: Vec<Key> = usable.collect();
        ensure!(!keys.is_empty(), "it has no public key of a kind that is known (RSA, P-256, P-384, Ed25519)");
        let count = keys.len();
        *self.fetched.write() = keys;
        // A key that has gone takes its tokens along.
        self.good.lock().clear();
        Ok(count)
    }

    /// What a token permits.
    ///
    /// # Errors
    /// When it is no token, its signature is by none of the keys, its time has passed or not come, or it is meant for
    /// somebody else. The message says which, and nothing that a forger could use.
    pub fn check(&self, text: &str) -> Result<Arc<Token>, String> {
        let fingerprint = hash(text);
        let remembered = self.good.lock().get(&fingerprint).cloned();
        if let Some(token) = remembered {
            let until = token.expires.saturating_add(limits::CLOCK_SKEW.as_secs());
            return if now() < until { Ok(token) } else { Err("the token has expired".to_owned()) };
        }
        let header = decode_header(text).map_err(|_| "it is neither an API key nor a token".to_owned())?;
        let token = Arc::new(self.verify(text, &header)?);
        self.good.lock().put(fingerprint, Arc::clone(&token));
        Ok(token)
    }

    fn verify(&self, text: &str, header: &Header) -> Result<Token, String> {
        use jsonwebtoken::errors::ErrorKind;

        let fetched = self.fetched.read();
        let fits = |key: &&Key| {
            let named = header.kid.is_none() || key.id.is_none() || key.id == header.kid;
            named && key.key.family() == header.alg.family()
        };
        let validation = self.validation(header.alg);
        let mut problem = "the token is signed with a key that this server does not know".to_owned();
        for key in self.fixed.iter().chain(fetched.iter()).filter(fits).take(KEYS_TRIED) {
            match decode::<Map<String, Value>>(text, &key.key, &validation) {
                Ok(decoded) => return self.read(&decoded.claims),
                Err(error) => match error.kind() {
                    ErrorKind::InvalidSignature => {}
                    ErrorKind::ExpiredSignature => problem = "the token has expired".to_owned(),
                    ErrorKind::ImmatureSignature => problem = "the token is not valid yet".to_owned(),
                    ErrorKind::InvalidIssuer => problem = "the token is of another issuer".to_owned(),
                    ErrorKind::InvalidAudience => problem = "the token is meant for another audience".to_owned(),
                    ErrorKind::MissingRequiredClaim(claim) => problem = format!("the token has no claim {claim:?}"),
                    _ => problem = "the token cannot be read".to_owned(),
                },
            }
        }
        drop(fetched);
        if self.config.jwks.is_some() {
            self.wanted.notify_one();
        }
        Err(problem)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = limits::CLOCK_SKEW.as_secs();
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        match &self.config.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuer) = &self.config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    fn read(&self, claims: &Map<String, Value>) -> Result<Token, String> {
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or("without a subject");
        let listed = claims.get(&self.config.permissions_claim).and_then(Value::as_array);
        let listed = listed.map(Vec::as_slice).unwrap_or_default();
        if listed.len() > limits::PERMISSIONS {
            return Err(format!("the token has more than {} permissions", limits::PERMISSIONS));
        }
        // Issuers put permissions for others beside ours.
        let ours = listed.iter().filter_map(Value::as_str).filter_map(|text| text.parse::<Permission>().ok());
        // A fraction of a second is no reason to refuse.
        let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
        Ok(Token { subject: subject.to_owned(), permissions: ours.collect(), expires: expires as u64 })
    }
}

/// Where a set of keys comes from.
#[derive(Clone, Debug)]
enum Source {
    File(PathBuf),
    Address(String),
}

impl Source {
    fn of(text: &str) -> Source {
        match text.contains("://") {
            true => Source::Address(text.to_owned()),
            false => Source::File(text.into()),
        }
    }

    /// Blocks.
    fn read(&self) -> anyhow::Result<String> {
        match self {
            Source::File(path) => {
                std::fs::read_to_string(path).with_context(|| format!("the file {} cannot be read", path.display()))
            }
            Source::Address(address) => {
                let config = ureq::Agent::config_builder().timeout_global(Some(limits::JWKS_TIME)).max_redirects(0);
                let mut answer = ureq::Agent::from(config.build()).get(address).call()?;
                ensure!(answer.status().is_success(), "{address} answered {}", answer.status());
                let mut text = String::new();
                answer.body_mut().as_reader().take(limits::JWKS_BYTES).read_to_string(&mut text)?;
                Ok(text)
            }
        }
    }
}

/// Refuses an address from which keys would come unprotected.
///
/// # Errors
/// The message says what to give.
pub(crate) fn check_address(jwks: &str) -> anyhow::Result<()> {
    let Some((scheme, rest)) = jwks.split_once("://") else { return Ok(()) };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match scheme {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        _ => bail!("auth.jwt.jwks = {jwks:?}: give a file, or an address that begins with https://"),
    }
}

/// Symmetric ones are left out: who could check tokens could make them.
fn asymmetric(family: AlgorithmFamily) -> bool {
    matches!(family, AlgorithmFamily::Rsa | AlgorithmFamily::Ec | AlgorithmFamily::Ed)
}

fn from_pem(pem: &[u8]) -> anyhow::Result<DecodingKey> {
    let text = String::from_utf8_lossy(pem);
    let kinds: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("-----BEGIN ")).collect();
    ensure!(!kinds.iter().any(|kind| kind.contains("PRIVATE")), "it holds a private key; give the public one");
    DecodingKey::from_rsa_pem(pem)
        .or_else(|_| DecodingKey::from_ec_pem(pem))
        .or_else(|_| DecodingKey::from_ed_pem(pem))
        .map_err(|_| anyhow!("it holds no public key in PEM (RSA, P-256, P-384 or Ed25519)"))
}

#[allow(clippy::disallowed_methods)] // Tokens say in the time of the world when they end.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
