//! `[auth]` and `[tls]`: who comes in, and how.

use std::{path::PathBuf, time::Duration};

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::duration;

/// `[auth]`: who may do what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Whether callers must say who they are. Without it everybody may do everything.
    pub required: bool,
    /// Keys that may do everything, by their hashes, as `mainspring key generate` prints them: "sha256:…".
    pub admin_key_hashes: Vec<String>,
    pub jwt: JwtConfig,
    /// What client certificates permit. Their authority is `tls.client_ca`.
    pub certificates: Vec<CertificateConfig>,
}

/// `[auth.jwt]`: whose tokens are good. Only asymmetric signatures are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct JwtConfig {
    /// Files with public keys, in PEM.
    pub keys: Vec<PathBuf>,
    /// A JSON Web Key Set: a file, or an address that begins with "https://".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// How often the set is read again. A token of a key that is not in it has it read sooner.
    #[serde(with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub refresh: Duration,
    /// What the claim `iss` must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What the claim `aud` must hold. Give it where the issuer makes tokens for others, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The claim with the permissions: a list of "NAMESPACE:ROLE".
    pub permissions_claim: String,
}

/// `[[auth.certificates]]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// "cn:NAME" of the subject, "dns:NAME" or "uri:NAME" of the alternative names, or "sha256:DIGEST" of the whole.
    pub identity: String,
    /// Each is "NAMESPACE:ROLE".
    pub permissions: Vec<String>,
}

/// `[tls]`: all paths are of PEM files. They are read when the server starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate, and those that lead to its authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// The authority of client certificates. Without it none is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused before it has said anything.
    pub client_certificate_required: bool,
    /// Says that a proxy in front of the server speaks TLS, so that the server may listen beyond loopback without.
    pub ended_by_proxy: bool,
}

impl Default for JwtConfig {
    fn default() -> JwtConfig {
        JwtConfig {
            keys: Vec::new(),
            jwks: None,
            refresh: Duration::from_secs(5 * 60),
            issuer: None,
            audience: None,
            permissions_claim: "permissions".to_owned(),
        }
    }
}

impl TlsConfig {
    /// # Errors
    /// When a part of it is of no use without another.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.certificate.is_some() == self.key.is_some(),
            "tls: give both the certificate and its key, or none of them"
        );
        ensure!(
            self.client_ca.is_none() || self.certificate.is_some(),
            "tls.client_ca: client certificates need TLS; give tls.certificate and tls.key, too"
        );
        ensure!(
            !self.client_certificate_required || self.client_ca.is_some(),
            "tls.client_certificate_required: give tls.client_ca, the authority of the certificates, too"
        );
        Ok(())
    }
}
