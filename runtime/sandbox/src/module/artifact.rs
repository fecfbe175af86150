//! Compiled modules on disk.
//!
//! A file's name is the module's digest and a hash of everything that makes compiled code fit or not: wasmtime's
//! version, its configuration and the machine's features. So an update of the server, or a copy of the directory to
//! another machine, finds nothing and compiles again. A file that was damaged is found by its checksum, and compiled
//! again as well.
//!
//! The one use of unsafe code of the whole project is here. Its reasons:
//! - Machine code that is loaded is machine code that runs; wasmtime can check that it belongs to this version and
//!   configuration, but not that a compiler made it. That is why loading is unsafe.
//! - So only files of a directory that belongs to the server's own user are loaded, which nobody else can even list
//!   (mode 0700). Who can write there could as well replace the server's binary.
//! - The checksum guards against damage, not against malice: nothing can hold a secret from one who reads this process.

use std::{
    fs,
    hash::{Hash as _, Hasher},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, component::Component};

use crate::{Digest, SandboxError};

const MAGIC: &[u8; 8] = b"MSPRING1";
const CHECKSUM_BYTES: usize = 32;
/// Most compiled modules on disk; the oldest go first. Each is a few times the module's size, and is made again when it
/// is needed.
const ARTIFACTS_MAX: usize = 1_024;
const EXTENSION: &str = "compiled";
const TEMPORARY: &str = "new";

/// The directory of compiled modules.
pub struct ArtifactDir {
    dir: PathBuf,
    compatibility: String,
}

impl ArtifactDir {
    /// Creates the directory if need be. Fails where it belongs to somebody else.
    pub fn open(dir: &Path, engine: &Engine) -> Result<ArtifactDir, SandboxError> {
        let failed = |reason: String| SandboxError::CacheDir { path: dir.display().to_string(), reason };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| failed(error.to_string()))?;
        let metadata = fs::metadata(dir).map_err(|error| failed(error.to_string()))?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(failed("it belongs to another user, who could have the server run any code".into()));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(|error| failed(error.to_string()))?;
            // Others may have left files here while they could: none of them is loaded.
            for path in files_with(dir, EXTENSION).map_err(|error| failed(error.to_string()))? {
                fs::remove_file(&path).map_err(|error| failed(error.to_string()))?;
            }
        }
        // What a server that was killed has left half-written.
        for path in files_with(dir, TEMPORARY).map_err(|error| failed(error.to_string()))? {
            fs::remove_file(&path).map_err(|error| failed(error.to_string()))?;
        }
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = hex::encode(&hasher.0.finalize()[..8]);
        Ok(ArtifactDir { dir: dir.to_owned(), compatibility })
    }

    /// The compiled module, if it is here and whole.
    pub fn load(&self, digest: &Digest, engine: &Engine) -> Option<Component> {
        let path = self.path(digest);
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled module cannot be read; compiling it again");
                return None;
            }
        };
        let Some(code) = checked(&file) else {
            tracing::warn!(path = %path.display(), "a compiled module is damaged; compiling it again");
            return None;
        };
        match deserialize(engine, code) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled module does not fit; compiling it again");
                None
            }
        }
    }

    /// Keeps a compiled module. A failure costs the next start some time, and nothing else.
    pub fn save(&self, digest: &Digest, component: &Component) {
        let path = self.path(digest);
        let saved = component
            .serialize()
            .map_err(|error| format!("{error:#}"))
            .and_then(|code| self.write(&path, &code).and_then(|()| self.prune()).map_err(|error| error.to_string()));
        if let Err(error) = saved {
            tracing::warn!(path = %path.display(), %error, "a compiled module was not kept");
        }
    }

    pub fn remove(&self, digest: &Digest) {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "a compiled module was not removed");
            }
            _ => {}
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{digest}-{}.{EXTENSION}", self.compatibility))
    }

    /// Whole or not at all: a reader never sees half a file. Two writers of one module write the same.
    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension(format!("{}.{TEMPORARY}", std::process::id()));
        let write = || {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(MAGIC)?;
            file.write_all(&Sha256::digest(code))?;
            file.write_all(code)?;
            fs::rename(&temporary, path)
        };
        let written = write();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for path in files_with(&self.dir, EXTENSION)? {
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

/// The compiled code of a file that is whole.
fn checked(file: &[u8]) -> Option<&[u8]> {
    let rest = file.strip_prefix(MAGIC)?;
    let (checksum, code) = rest.split_at_checked(CHECKSUM_BYTES)?;
    (Sha256::digest(code).as_slice() == checksum).then_some(code)
}

// Sound because `code` is what `Component::serialize` gave on a server of this user: see the top of this file.
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

    #[test]
    fn a_file_that_lost_or_changed_a_byte_is_not_loaded() {
        let code = b"machine code";
        let file = [MAGIC.as_slice(), &Sha256::digest(code), code].concat();
        assert_eq!(checked(&file), Some(code.as_slice()));
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert_eq!(checked(&changed), None, "byte {at}");
            assert_eq!(checked(&file[..at]), None, "cut at {at}");
        }
    }
}
