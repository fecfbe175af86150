//! Compiled modules: the one door through which machine code comes into this process.
//!
//! Code is let in only with a seal: a MAC (HMAC-SHA256) over the module's digest, what the code was compiled for, and the
//! code itself, under a key that only this server has (`key.rs`). [`Artifacts::seal`] makes one for what the compiler of
//! this server gave, [`Artifacts::unseal`] checks it, in constant time, before wasmtime sees the first byte. On disk a
//! file is a sealed module and nothing else; its name is only where to look. So a file that was damaged, cut, written by
//! somebody else, made under another key, or that belongs to another module, another version of wasmtime or another
//! machine, is never loaded: the module is compiled again.
//!
//! The one use of unsafe code of the whole project is here. Its reasons:
//! - Machine code that is loaded is machine code that runs; wasmtime can check that it belongs to this version and
//!   configuration, but not that a compiler made it. That is why loading is unsafe.
//! - So only sealed code is loaded. The key is in a file that only the server's own user can read (mode 0600), outside of
//!   the directory of compiled modules: who can write to that directory alone cannot make this server run anything.
//! - The code is checked and loaded from the same bytes in memory: nobody can change a file in between.
//! - What no key can guard against is one who reads this server's memory or its key; they could as well replace the binary.

use std::{
    fs,
    hash::{Hash as _, Hasher},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, component::Component};

use super::key::{Key, MAC_BYTES};
use crate::{Digest, SandboxError, config::ARTIFACT_BYTES_MAX};

/// The first bytes of a sealed module: what it is, and in which form.
const MAGIC: &[u8; 8] = b"MSPRING2";
const HEADER_BYTES: usize = MAGIC.len() + MAC_BYTES;
/// Most compiled modules on disk; the oldest go first. Each is a few times the module's size, and is made again when it
/// is needed.
const ARTIFACTS_MAX: usize = 1_024;
const EXTENSION: &str = "compiled";
const TEMPORARY: &str = "new";

/// Compiled code with its seal.
pub struct Sealed(Vec<u8>);

/// Seals compiled modules, and keeps them on disk where there is a directory for them.
pub struct Artifacts {
    engine: Engine,
    key: Key,
    /// A hash of everything that makes compiled code fit or not: wasmtime's version, its configuration and the machine's
    /// features. So an update of the server, or a copy of the directory to another machine, compiles again.
    compatibility: [u8; 32],
    dir: Option<PathBuf>,
}

impl Artifacts {
    /// Creates the directory and the key if need be. Fails where either belongs to somebody else. Without a directory
    /// the key is in memory only, and so is what it seals.
    pub fn open(dir: Option<&Path>, engine: &Engine) -> Result<Artifacts, SandboxError> {
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = hasher.0.finalize().into();
        let key = match dir {
            Some(dir) => open_dir(dir).and_then(|()| Key::open(dir)).map_err(|error| SandboxError::CacheDir {
                path: dir.display().to_string(),
                reason: error.to_string(),
            })?,
            None => Key::generate().map_err(|error| SandboxError::Engine(format!("no key can be made: {error}")))?,
        };
        Ok(Artifacts { engine: engine.clone(), key, compatibility, dir: dir.map(Path::to_owned) })
    }

    /// Vouches for code that this server's own compiler has just made of the module with this digest.
    pub fn seal(&self, digest: &Digest, code: &[u8]) -> Sealed {
        let mut sealed = Vec::with_capacity(HEADER_BYTES + code.len());
        sealed.extend_from_slice(MAGIC);
        sealed.extend_from_slice(&self.key.mac(&self.claims(digest), code));
        sealed.extend_from_slice(code);
        Sealed(sealed)
    }

    /// Loads code if its seal is right, for this module and this engine.
    pub fn unseal(&self, digest: &Digest, sealed: &Sealed) -> Result<Component, String> {
        let code = self.checked(digest, &sealed.0).ok_or("this server did not write it as it is")?;
        deserialize(&self.engine, code).map_err(|error| format!("{error:#}"))
    }

    fn checked<'a>(&self, digest: &Digest, sealed: &'a [u8]) -> Option<&'a [u8]> {
        let (mac, code) = sealed.strip_prefix(MAGIC)?.split_first_chunk::<MAC_BYTES>()?;
        self.key.verify(&self.claims(digest), code, mac).then_some(code)
    }

    /// What a seal says of its code. Each part has a fixed length.
    fn claims<'a>(&'a self, digest: &'a Digest) -> [&'a [u8]; 3] {
        [MAGIC, digest.as_bytes(), &self.compatibility]
    }

    /// The compiled module, if it is on disk as this server wrote it.
    pub fn load(&self, digest: &Digest) -> Option<Component> {
        let path = self.path(digest)?;
        let sealed = match read(&path) {
            Ok(sealed) => Sealed(sealed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled module cannot be read; compiling it again");
                return None;
            }
        };
        match self.unseal(digest, &sealed) {
            Ok(component) => Some(component),
            Err(problem) => {
                tracing::warn!(path = %path.display(), problem, "a compiled module is not loaded; compiling it again");
                None
            }
        }
    }

    /// Keeps a compiled module. A failure costs the next start some time, and nothing else.
    pub fn save(&self, digest: &Digest, sealed: &Sealed) {
        let (Some(dir), Some(path)) = (&self.dir, self.path(digest)) else { return };
        if let Err(error) = write(&path, &sealed.0).and_then(|()| prune(dir)) {
            tracing::warn!(path = %path.display(), %error, "a compiled module was not kept");
        }
    }

    pub fn remove(&self, digest: &Digest) {
        let Some(path) = self.path(digest) else { return };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "a compiled module was not removed");
            }
            _ => {}
        }
    }

    fn path(&self, digest: &Digest) -> Option<PathBuf> {
        let compatibility = hex::encode(&self.compatibility[..8]);
        Some(self.dir.as_ref()?.join(format!("{digest}-{compatibility}.{EXTENSION}")))
    }
}

/// A directory that nobody else can write to.
fn open_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let metadata = fs::metadata(dir)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user, who could take away what the server keeps in it"));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    // What a server that was killed has left half-written.
    for path in files_with(dir, TEMPORARY)? {
        fs::remove_file(&path)?;
    }
    Ok(())
}

/// A file that others may have put there: no pipe or device is waited for, and no more is read than a module can have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let no_wait = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = fs::OpenOptions::new().read(true).custom_flags(no_wait).open(path)?;
    let most = (HEADER_BYTES + ARTIFACT_BYTES_MAX) as u64;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > most {
        return Err(io::Error::other("it is no file, or far too long"));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whole or not at all: a reader never sees half a file. Two writers of one module write the same.
fn write(path: &Path, sealed: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.{TEMPORARY}", std::process::id()));
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(sealed)?;
        fs::rename(&temporary, path)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn prune(dir: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for path in files_with(dir, EXTENSION)? {
        // One that another process has just removed needs no removing.
        if let Ok(metadata) = fs::metadata(&path) {
            files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), path));
        }
    }
    files.sort_unstable();
    let excess = files.len().saturating_sub(ARTIFACTS_MAX);
    for (_, path) in files.into_iter().take(excess) {
        fs::remove_file(path)?;
    }
    Ok(())
}

fn files_with(dir: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    Ok(paths)
}

// Sound because only `unseal` calls it, with code whose seal it has just checked: see the top of this file.
#[allow(unsafe_code)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    unsafe { Component::deserialize(engine, code) }
}

/// A hash that is the same after an update of the compiler: the standard library's makes no such promise.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0.clone().finalize()[..8]);
        u64::from_le_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SandboxConfig, config::engine_config};

    const CODE: &[u8] = b"machine code";

    fn artifacts() -> Artifacts {
        Artifacts::open(None, &Engine::new(&engine_config(&SandboxConfig::default())).unwrap()).unwrap()
    }

    #[test]
    fn a_seal_that_lost_or_changed_a_byte_is_broken() {
        let (artifacts, digest) = (artifacts(), Digest::of(b"module"));
        let Sealed(sealed) = artifacts.seal(&digest, CODE);
        assert_eq!(artifacts.checked(&digest, &sealed), Some(CODE));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(artifacts.checked(&digest, &changed), None, "byte {at}");
            assert_eq!(artifacts.checked(&digest, &sealed[..at]), None, "cut at {at}");
        }
        assert_eq!(artifacts.checked(&digest, &[sealed.as_slice(), b"!"].concat()), None, "longer");
    }

    #[test]
    fn a_seal_holds_for_one_module_one_key_and_one_engine() {
        let (mut artifacts, digest) = (artifacts(), Digest::of(b"module"));
        let Sealed(sealed) = artifacts.seal(&digest, CODE);
        assert_eq!(artifacts.checked(&Digest::of(b"another"), &sealed), None);
        artifacts.compatibility[31] ^= 1;
        assert_eq!(artifacts.checked(&digest, &sealed), None);
        artifacts.compatibility[31] ^= 1;
        artifacts.key = Key::generate().unwrap();
        assert_eq!(artifacts.checked(&digest, &sealed), None);
    }
}
