//! The key that compiled modules are sealed with.
//!
//! It lies beside the directory of compiled modules, not in it: `modules-cache.key` for `modules-cache`. Made at the first
//! start, readable by the server's own user alone. One that others could read, or that is damaged, is replaced by a new
//! one, under which nothing that was sealed before is loaded: losing it costs a compilation of each module.

use std::{
    ffi::OsString,
    fmt, fs,
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// One block of SHA-256, so that HMAC takes the key as it is.
const KEY_BYTES: usize = 64;
pub const MAC_BYTES: usize = 32;

#[derive(Clone, PartialEq)]
pub struct Key([u8; KEY_BYTES]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(secret)")
    }
}

impl Key {
    /// A new key, of the operating system's randomness.
    pub fn generate() -> io::Result<Key> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(io::Error::from)?;
        Ok(Key(key))
    }

    /// The key of a directory of compiled modules, made if need be. Fails where it belongs to another user.
    pub fn open(dir: &Path) -> io::Result<Key> {
        let path = path(dir)?;
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("the key {}: {error}", path.display()));
        match read(&path).map_err(failed)? {
            Found::Key(key) => return Ok(key),
            Found::Unusable(why) => {
                tracing::warn!(path = %path.display(), "{why}; making a new key, and compiling every module again");
                fs::remove_file(&path).map_err(failed)?;
            }
            Found::Nothing => {}
        }
        create(&path).map_err(failed)?;
        match read(&path).map_err(failed)? {
            Found::Key(key) => Ok(key),
            Found::Nothing | Found::Unusable(_) => {
                Err(failed(io::Error::other("it changes while it is read: is another server using the directory?")))
            }
        }
    }

    pub fn mac(&self, claims: &[&[u8]], content: &[u8]) -> [u8; MAC_BYTES] {
        self.hmac(claims, content).finalize().into_bytes().into()
    }

    /// Whether a MAC is right, in a time that does not depend on how much of it is.
    pub fn verify(&self, claims: &[&[u8]], content: &[u8], mac: &[u8; MAC_BYTES]) -> bool {
        self.hmac(claims, content).verify_slice(mac).is_ok()
    }

    fn hmac(&self, claims: &[&[u8]], content: &[u8]) -> Hmac<Sha256> {
        let mut hmac = Hmac::<Sha256>::new(&self.0.into());
        for claim in claims {
            hmac.update(claim);
        }
        hmac.update(content);
        hmac
    }
}

fn path(dir: &Path) -> io::Result<PathBuf> {
    // Without `..` and links: the key lies beside the directory itself.
    let dir = dir.canonicalize()?;
    let mut name = OsString::from(dir.file_name().ok_or_else(|| io::Error::other("the directory has no name"))?);
    name.push(".key");
    Ok(dir.with_file_name(name))
}

enum Found {
    Key(Key),
    Nothing,
    Unusable(&'static str),
}

fn read(path: &Path) -> io::Result<Found> {
    let careful = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
    let file = match fs::OpenOptions::new().read(true).custom_flags(careful).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user, who could have the server run any code"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Ok(Found::Unusable("others may have read the key of compiled modules"));
    }
    let mut bytes = Vec::new();
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(match <[u8; KEY_BYTES]>::try_from(bytes) {
        Ok(key) => Found::Key(Key(key)),
        Err(_) => Found::Unusable("the key of compiled modules is damaged"),
    })
}

/// Whole or not at all, and never over one that another process has just made.
fn create(path: &Path) -> io::Result<()> {
    let Key(key) = Key::generate()?;
    let temporary =
        path.with_extension(format!("key.{}.{}", std::process::id(), hex::encode(&Key::generate()?.0[..8])));
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&key)?;
        file.sync_all()?;
        match fs::hard_link(&temporary, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    };
    let written = write();
    let _ = fs::remove_file(&temporary);
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_user_alone() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("cache");
        fs::create_dir(&dir).unwrap();
        let key = Key::open(&dir).unwrap();
        assert_eq!(Key::open(&dir).unwrap(), key);
        let file = parent.path().join("cache.key");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&file).unwrap(), key.0);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2, "nothing else is left");
        assert_ne!(Key::generate().unwrap(), key);
        assert_eq!(format!("{key:?}"), "Key(secret)");
    }

    #[test]
    fn servers_that_start_together_agree_on_one_key() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("cache");
        fs::create_dir(&dir).unwrap();
        let keys: Vec<Key> = std::thread::scope(|scope| {
            let open = || scope.spawn(|| Key::open(&dir).unwrap());
            let threads: Vec<_> = std::iter::repeat_with(open).take(8).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_key_that_others_could_read_or_that_is_damaged_is_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let (dir, file) = (parent.path().join("cache"), parent.path().join("cache.key"));
        fs::create_dir(&dir).unwrap();
        let first = Key::open(&dir).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let second = Key::open(&dir).unwrap();
        assert_ne!(first, second);
        fs::write(&file, &second.0[1..]).unwrap();
        let third = Key::open(&dir).unwrap();
        assert_ne!(second, third);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_is_a_link_is_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("cache");
        fs::create_dir(&dir).unwrap();
        symlink("/etc/passwd", parent.path().join("cache.key")).unwrap();
        assert!(Key::open(&dir).unwrap_err().to_string().contains("cache.key"));
    }
}
