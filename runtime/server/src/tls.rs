//! TLS: the server's certificate, and whose clients' certificates are good.

use std::{fs, path::Path};

use anyhow::Context as _;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::{config::TlsConfig, limits};

/// What tonic needs to know, or nothing where the server speaks without TLS. The files are read once.
///
/// # Errors
/// When a file is not there. What is in it is checked when the server starts to listen.
pub(crate) fn load(config: &TlsConfig) -> anyhow::Result<Option<ServerTlsConfig>> {
    let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else { return Ok(None) };
    let identity = Identity::from_pem(read("tls.certificate", certificate)?, read("tls.key", key)?);
    let mut tls = ServerTlsConfig::new().identity(identity).timeout(limits::TLS_HANDSHAKE);
    if let Some(authority) = &config.client_ca {
        let authority = Certificate::from_pem(read("tls.client_ca", authority)?);
        tls = tls.client_ca_root(authority).client_auth_optional(!config.client_certificate_required);
    }
    Ok(Some(tls))
}

fn read(setting: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{setting}: the file {} cannot be read", path.display()))
}
