//! The text of an API key: `msk_`, its id, and a secret. Only a hash of the whole is kept.

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What the text of every key begins with: so that it is told from a token, and found where it should not be.
const PREFIX: &str = "msk_";
const ID_BYTES: usize = 8;
/// Far beyond guessing, which is why one round of SHA-256 protects it well enough.
const SECRET_BYTES: usize = 32;

/// A key that has just been made.
pub(crate) struct NewKey {
    pub id: String,
    /// The only copy.
    pub text: String,
    pub hash: [u8; 32],
}

impl NewKey {
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn make() -> anyhow::Result<NewKey> {
        let mut random = [0; ID_BYTES + SECRET_BYTES];
        getrandom::fill(&mut random).context("the operating system gives no random bytes")?;
        let (id, secret) = random.split_at(ID_BYTES);
        let id = hex::encode(id);
        let text = format!("{PREFIX}{id}_{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
        let hash = hash(&text);
        Ok(NewKey { id, text, hash })
    }
}

pub(crate) fn is_api_key(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// The id in a key's text; none where it is not one.
pub(crate) fn id(text: &str) -> Option<&str> {
    let (id, _) = text.strip_prefix(PREFIX)?.split_once('_')?;
    is_id(id).then_some(id)
}

pub(crate) fn is_id(id: &str) -> bool {
    id.len() == 2 * ID_BYTES && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a key's text is the one that has this hash.
pub(crate) fn fits(text: &str, expected: &[u8; 32]) -> bool {
    hash(text).ct_eq(expected).into()
}

pub(crate) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A key for the configuration: its text, and the hash that `auth.admin_key_hashes` takes.
pub struct AdminKey {
    pub text: String,
    pub hash: String,
}

impl AdminKey {
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn make() -> anyhow::Result<AdminKey> {
        let key = NewKey::make()?;
        Ok(AdminKey { text: key.text, hash: hash_text(&key.hash) })
    }
}

const HASH_PREFIX: &str = "sha256:";

fn hash_text(hash: &[u8; 32]) -> String {
    format!("{HASH_PREFIX}{}", hex::encode(hash))
}

/// Reads what [`AdminKey::hash`] holds.
pub(crate) fn read_hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text.strip_prefix(HASH_PREFIX)?, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_fits_its_hash_and_no_other() {
        let (one, other) = (NewKey::make().unwrap(), NewKey::make().unwrap());
        assert!(fits(&one.text, &one.hash) && !fits(&other.text, &one.hash));
        assert_ne!(one.id, other.id);
        assert_eq!(id(&one.text), Some(one.id.as_str()));
        assert!(is_api_key(&one.text) && one.text.len() == 4 + 16 + 1 + 43, "{}", one.text);
        // One letter of the secret more, less or other.
        let mut changed = one.text.clone();
        changed.pop();
        assert!(!fits(&changed, &one.hash));
        assert!(!fits(&format!("{}A", one.text), &one.hash));
    }

    #[test]
    fn what_is_no_key_has_no_id() {
        for text in
            ["", "msk_", "msk_0123456789abcdef", "msk_0123456789ABCDEF_x", "0123456789abcdef_x", "msk_../../x_y"]
        {
            assert_eq!(id(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_hash_for_the_configuration_comes_back() {
        let key = AdminKey::make().unwrap();
        assert_eq!(read_hash(&key.hash), Some(hash(&key.text)));
        for wrong in ["", "sha256:", "sha256:zz", key.hash.strip_prefix("sha256:").unwrap()] {
            assert_eq!(read_hash(wrong), None, "{wrong:?}");
        }
    }
}
