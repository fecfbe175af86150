//! What lies in a data directory beside the database, and how it gets there durably.
//!
//! ```text
//! mainspring.lock          held by an advisory lock while a process has the directory open
//! mainspring.marker        says that a database is here, its format and its id; written last at creation
//! mainspring.acknowledged  the number of the last commit that was acknowledged: a lower bound after a power cut
//! mainspring.restoring     is there while a backup is restored into the directory
//! conf, db, blobs/, snap.* sled's own files
//! ```
//!
//! At creation every file and directory is fsynced before the marker is, so that the marker never promises more than
//! there is. Without a marker nothing was ever acknowledged.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use crate::{StoreError, limits};

const LOCK: &str = "mainspring.lock";
const MARKER: &str = "mainspring.marker";
const RESTORING: &str = "mainspring.restoring";
const ACKNOWLEDGED: &str = "mainspring.acknowledged";
/// sled's log: the one file that holds the data.
pub(crate) const DATABASE: &str = "db";
const BLOBS: &str = "blobs";

/// The version of the whole layout (keys, records, files) that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;
const MARKER_TITLE: &str = "mainspring-store";

/// Names one database for life: kept in the marker and inside the database, so that mixed-up files are noticed.
pub(crate) type DatabaseId = uuid::Uuid;

/// A data directory, locked for this process.
pub(crate) struct Directory {
    path: PathBuf,
    /// Closing it releases the lock.
    _lock: File,
}

impl Directory {
    /// Creates the directory if need be, for the server's own user alone, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Directory, StoreError> {
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        created.map_err(|error| StoreError::io("create", path, error))?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| StoreError::io("create", &lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { dir: path.into() }),
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::io("lock", &lock_path, error));
            }
        }
        Ok(Directory { path: path.to_owned(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn database_path(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Whether the database's file is there with anything in it. To be asked before sled creates it.
    pub(crate) fn has_database(&self) -> Result<bool, StoreError> {
        let path = self.database_path();
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len() > 0),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("look at", &path, error)),
        }
    }

    /// Removes snapshots that a crash left half written. sled 0.34.7 writes `snap.N.generating`, syncs it and renames
    /// it, but at the next start it takes a leftover for a finished snapshot, and refuses to open if it is torn. Until
    /// the rename the snapshot before it is still there, so that the leftover is never needed.
    pub(crate) fn remove_unfinished_snapshots(&self) -> Result<(), StoreError> {
        for name in file_names(&self.path)? {
            let text = name.to_string_lossy();
            if text.starts_with("snap.") && text.ends_with(".generating") {
                let path = self.path.join(&name);
                tracing::info!(path = %path.display(), "removing a snapshot that a crash left unfinished");
                fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
            }
        }
        Ok(())
    }

    /// Fsyncs every file of sled's but the data itself, and the directories: what sled leaves to the page cache.
    pub(crate) fn sync_all(&self) -> Result<(), StoreError> {
        for name in file_names(&self.path)? {
            let path = self.path.join(name);
            if path.is_file() {
                sync_file(&path)?;
            }
        }
        sync_file(&self.path.join(BLOBS))?;
        sync_file(&self.path)?;
        // The directory's own name lies in its parent.
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_file(parent),
            _ => sync_file(Path::new(".")),
        }
    }

    /// Files of sled's for tree nodes that are too large for its log. There should be none (see
    /// [`limits::CHUNK_BYTES`]); sled does not sync them.
    pub(crate) fn blobs(&self) -> Result<Vec<OsString>, StoreError> {
        file_names(&self.path.join(BLOBS))
    }

    /// Makes one blob durable. It may be gone: sled removes what it no longer needs.
    pub(crate) fn sync_blob(&self, name: &OsString) -> Result<(), StoreError> {
        let path = self.path.join(BLOBS).join(name);
        match File::open(&path).and_then(|file| file.sync_all()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io("fsync", &path, error)),
            _ => sync_file(&self.path.join(BLOBS)),
        }
    }

    /// Free bytes of the file system, for a process without special rights.
    pub(crate) fn free_bytes(&self) -> Result<u64, StoreError> {
        let status = rustix::fs::statvfs(&self.path)
            .map_err(|error| StoreError::io("look for free space in", &self.path, error.into()))?;
        Ok(status.f_bavail * status.f_frsize)
    }

    /// Bytes that the database takes on disk, sled's snapshots and blobs included.
    pub(crate) fn used_bytes(&self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        for dir in [self.path.clone(), self.path.join(BLOBS)] {
            for name in file_names(&dir)? {
                bytes += fs::metadata(dir.join(name)).map_or(0, |metadata| metadata.len());
            }
        }
        Ok(bytes)
    }

    /// Reads the marker; `None` if there is none, so that the directory holds no finished database.
    pub(crate) fn marker(&self) -> Result<Option<DatabaseId>, StoreError> {
        let path = self.path.join(MARKER);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => String::new(),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        let corrupt = || StoreError::corrupt(format!("{} is not as it was written", path.display()));
        let (body, crc) = text.split_once("checksum ").ok_or_else(corrupt)?;
        if crc.trim_end() != format!("{:08x}", crc32fast::hash(body.as_bytes())) {
            return Err(corrupt());
        }
        let field = |name: &str| body.lines().find_map(|line| line.strip_prefix(name));
        let format: u32 = field("format ").and_then(|text| text.parse().ok()).ok_or_else(corrupt)?;
        if format > FORMAT {
            return Err(StoreError::Version {
                place: self.path.display().to_string(),
                found: format,
                supported: FORMAT,
            });
        }
        let id = field("database ").and_then(|text| text.parse().ok());
        id.map(Some).ok_or_else(corrupt)
    }

    /// Writes the marker: the last act of creating a database, after [`Self::sync_all`].
    pub(crate) fn write_marker(&self, id: DatabaseId) -> Result<(), StoreError> {
        let body = format!("{MARKER_TITLE}\nformat {FORMAT}\ndatabase {id}\n");
        let crc = crc32fast::hash(body.as_bytes());
        let path = self.path.join(MARKER);
        let unfinished = self.path.join(format!("{MARKER}.new"));
        let write = || -> io::Result<()> {
            let mut file = File::create(&unfinished)?;
            file.write_all(format!("{body}checksum {crc:08x}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|error| StoreError::io("write", &path, error))?;
        sync_file(&self.path)
    }
}

/// Stands in a directory as long as a restore fills it: what is there meanwhile is a part of a store, and would pass for
/// a whole one.
pub(crate) struct RestoreMark {
    path: PathBuf,
}

impl RestoreMark {
    pub(crate) fn set(dir: &Path) -> Result<RestoreMark, StoreError> {
        fs::create_dir_all(dir).map_err(|error| StoreError::io("create", dir, error))?;
        let path = dir.join(RESTORING);
        fs::write(&path, "").map_err(|error| StoreError::io("write", &path, error))?;
        sync_file(&path)?;
        sync_file(dir)?;
        Ok(RestoreMark { path })
    }

    /// Refuses a directory that has it.
    pub(crate) fn check(dir: &Path) -> Result<(), StoreError> {
        match dir.join(RESTORING).exists() {
            true => Err(StoreError::Unfinished { dir: dir.to_owned() }),
            false => Ok(()),
        }
    }

    pub(crate) fn remove(self) -> Result<(), StoreError> {
        fs::remove_file(&self.path).map_err(|error| StoreError::io("remove", &self.path, error))?;
        self.path.parent().map_or(Ok(()), sync_file)
    }
}

/// The number of the last acknowledged commit, in a file of its own.
///
/// sled takes a damaged log for one that a crash cut short, and opens without a word on what lies before the damage.
/// This number tells the two apart: it is written after each commit's fdatasync, so that it is never ahead of the
/// database, and a database that is behind it lost acknowledged data. It is not synced with each commit: it is exact
/// after a crash of the process, and a lower bound after a power cut.
///
/// Two slots are written in turn, so that one is whole whenever the power goes.
pub(crate) struct Acknowledged {
    file: File,
    path: PathBuf,
    id: DatabaseId,
}

const SLOT_BYTES: usize = 12;

impl Acknowledged {
    /// Opens the file, with the last number in it. A file that is missing starts at 0: removing it is how an operator
    /// says that the loss is known and accepted.
    pub(crate) fn open(dir: &Directory, id: DatabaseId) -> Result<(Acknowledged, u64), StoreError> {
        let path = dir.path.join(ACKNOWLEDGED);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| StoreError::io("open", &path, error))?;
        let mut acknowledged = Acknowledged { file, path, id };
        let size = acknowledged.file.metadata().map_or(0, |metadata| metadata.len());
        if size == 0 {
            acknowledged.write(0)?;
            acknowledged.sync()?;
            return Ok((acknowledged, 0));
        }
        let last = (0..2).filter_map(|slot| acknowledged.read_slot(slot)).max();
        let last = last.ok_or_else(|| StoreError::Mismatched {
            dir: dir.path.clone(),
            what: format!("{ACKNOWLEDGED} is damaged or belongs to another database"),
        })?;
        Ok((acknowledged, last))
    }

    pub(crate) fn write(&mut self, commit: u64) -> Result<(), StoreError> {
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(&commit.to_le_bytes());
        slot[8..].copy_from_slice(&self.checksum(&commit.to_le_bytes()).to_le_bytes());
        self.file
            .write_all_at(&slot, slot_offset(commit % 2))
            .map_err(|error| StoreError::io("write", &self.path, error))
    }

    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| StoreError::io("fdatasync", &self.path, error))
    }

    fn read_slot(&self, slot: u64) -> Option<u64> {
        let mut bytes = [0; SLOT_BYTES];
        self.file.read_exact_at(&mut bytes, slot_offset(slot)).ok()?;
        let (commit, crc) = bytes.split_at(8);
        (crc == self.checksum(commit).to_le_bytes()).then(|| u64::from_le_bytes(commit.try_into().expect("8 bytes")))
    }

    fn checksum(&self, commit: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.id.as_bytes());
        hasher.update(commit);
        hasher.finalize()
    }
}

/// Slots lie in sectors of their own: a write that is torn by a power cut harms one.
fn slot_offset(slot: u64) -> u64 {
    slot * limits::SECTOR_BYTES
}

fn sync_file(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| StoreError::io("fsync", path, error))
}

fn file_names(dir: &Path) -> Result<Vec<OsString>, StoreError> {
    let names = fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    names.map_err(|error| StoreError::io("list", dir, error))
}
