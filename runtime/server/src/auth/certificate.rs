//! Client certificates: TLS has checked that their authority is ours; here they get a name.

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// The names of a certificate, as the configuration's `[[auth.certificates]]` writes them: `sha256:…` of the whole,
/// `uri:…` and `dns:…` of its alternative names, and `cn:…` of its subject; in this order.
pub(crate) fn identities(certificate: &[u8]) -> Vec<String> {
    let mut identities = vec![format!("sha256:{}", hex::encode(digest(certificate)))];
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return identities };
    if let Ok(Some(names)) = parsed.subject_alternative_name() {
        let names = &names.value.general_names;
        identities.extend(names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(format!("uri:{uri}")),
            _ => None,
        }));
        identities.extend(names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(format!("dns:{name}")),
            _ => None,
        }));
    }
    let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    identities.extend(common.map(|name| format!("cn:{name}")));
    identities
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).into()
}

/// Whether the configuration may name a certificate like this.
pub(crate) fn is_identity(text: &str) -> bool {
    ["sha256:", "uri:", "dns:", "cn:"].iter().any(|kind| text.strip_prefix(kind).is_some_and(|name| !name.is_empty()))
}
