//! Secrets at rest: sealed with a key that is not in the store, each bound to the row that it stands in.

use std::fmt;

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Generate as _, KeyInit as _, Payload},
};
use mainspring_sandbox::SecretValue;

const NONCE_BYTES: usize = 24;

/// The key that secrets are sealed with. Whoever has it and the store has the secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    pub fn new(key: [u8; 32]) -> SecretKey {
        SecretKey(key)
    }

    /// A fresh one, from the operating system's random numbers.
    pub fn generate() -> SecretKey {
        SecretKey(chacha20poly1305::Key::generate().into())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A random nonce, and after it the sealed value.
    pub(crate) fn seal(&self, row_key: &[u8], value: &SecretValue) -> Result<Vec<u8>, String> {
        let nonce = XNonce::generate();
        let payload = Payload { msg: value.reveal().as_bytes(), aad: row_key };
        let sealed = self.cipher().encrypt(&nonce, payload).map_err(|_| "the secret cannot be sealed".to_owned())?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    pub(crate) fn open(&self, row_key: &[u8], sealed: &[u8]) -> Result<SecretValue, String> {
        let unreadable = || {
            "it cannot be opened: the data directory has another key (secrets.key) than the one that it was stored with"
                .to_owned()
        };
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(unreadable)?;
        let payload = Payload { msg: sealed, aad: row_key };
        let value = self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| unreadable())?;
        String::from_utf8(value).map(SecretValue::new).map_err(|_| unreadable())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.0.into())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_its_key_in_its_row_only() {
        let (key, value) = (SecretKey::generate(), SecretValue::new("s3cret".into()));
        let sealed = key.seal(b"row", &value).unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"s3cret"));
        assert_eq!(key.open(b"row", &sealed).unwrap(), value);
        assert!(key.open(b"another", &sealed).is_err());
        assert!(SecretKey::generate().open(b"row", &sealed).is_err());
        assert!(key.open(b"row", &sealed[..sealed.len() - 1]).is_err());
        assert!(key.open(b"row", b"short").is_err());
        assert_ne!(key.seal(b"row", &value).unwrap(), sealed);
    }
}
