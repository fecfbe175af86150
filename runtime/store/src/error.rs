//! What can go wrong, each with what was wrong, where, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::ShardId;

/// A failure of the store. `Clone`, because one failed flush fails every batch of its group.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process (or another handle of this one) has the directory open.
    #[error(
        "the data directory {} is in use by another process: stop that server first, or start this one with a directory of its own",
        dir.display()
    )]
    Locked { dir: PathBuf },

    /// Bytes on disk are not what was written.
    #[error(
        "the data is corrupt{}: {what}. Stop the server, keep a copy of the directory, and restore the last good backup",
        at_key(key)
    )]
    Corrupt {
        /// The key in readable form; empty if the fault is not at one key.
        key: String,
        what: String,
    },

    /// The marker says that data was here, and the database is empty or gone.
    #[error(
        "{} should hold a database ({what}): it was emptied or its disk is not mounted. Mount or restore it; to start anew on purpose, give an empty directory",
        dir.display()
    )]
    Emptied { dir: PathBuf, what: String },

    /// There is a database with data, and the marker that should be beside it is missing or belongs to another one.
    #[error(
        "{} does not fit together: {what}. Restore all files of the directory from one backup; never mix files of two",
        dir.display()
    )]
    Mismatched { dir: PathBuf, what: String },

    /// The database ends before a commit that was acknowledged.
    #[error(
        "{} lost acknowledged data: its last commit is {found}, but commit {acknowledged} was acknowledged. The file `db` was damaged or is an older copy: restore the last good backup of the whole directory, or, to go on with what is left, remove the file mainspring.acknowledged",
        dir.display()
    )]
    Lost { dir: PathBuf, found: u64, acknowledged: u64 },

    /// The data was written by a newer version of this software.
    #[error(
        "{place} has format version {found}, and this program reads up to {supported}: start the newer version that wrote it"
    )]
    Version { place: String, found: u32, supported: u32 },

    /// The batch comes from an owner that no longer (or does not) own the shard. Nothing of it was applied.
    #[error(
        "shard {shard} is fenced: the batch has epoch {epoch} and the shard is at epoch {current}; its writer must stop and acquire the shard again"
    )]
    Fenced { shard: ShardId, epoch: u64, current: u64 },

    /// A key, value or batch above its limit. Nothing of the batch was applied.
    #[error("{what} of {bytes} bytes is above the limit of {limit} bytes: split it")]
    TooLarge { what: &'static str, bytes: usize, limit: usize },

    /// Too little free space for a write to be safe. Nothing of the group was applied; it may be tried again.
    #[error(
        "the disk of {} is nearly full: {free_bytes} bytes are free and {needed_bytes} must stay free. Free some space, then try again",
        dir.display()
    )]
    Full { dir: PathBuf, free_bytes: u64, needed_bytes: u64 },

    /// One backup at a time: each keeps a journal.
    #[error("another backup of this server is under way: wait until it has ended")]
    BackupUnderWay,

    /// The reader of a backup did not keep up with the commits.
    #[error(
        "the backup was given up: more than {bytes} bytes of changes waited for its reader. Write it to a faster disk or over a faster connection, or when there is less to do"
    )]
    BackupTooSlow { bytes: usize },

    /// It is no backup, or not all of one, or not as it was written.
    #[error("the backup cannot be used: {what}. Use another one")]
    BadBackup { what: String },

    /// A backup is restored into an empty directory only.
    #[error("{} is not empty: give a directory that is empty or that does not exist", dir.display())]
    NotEmpty { dir: PathBuf },

    /// A restore began here and did not end.
    #[error(
        "{} holds a part of a backup, because its restore did not end: remove what is in it and restore once more",
        dir.display()
    )]
    Unfinished { dir: PathBuf },

    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, such as `fdatasync`.
        action: &'static str,
        path: PathBuf,
        source: Arc<io::Error>,
    },

    /// A write failed earlier, so that nothing after it can be trusted: reads and writes are refused until a restart.
    #[error(
        "the store has stopped after a failed write ({cause}): find out why it failed, then restart the server, which recovers from disk"
    )]
    Stopped { cause: String },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> StoreError {
        StoreError::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }

    /// Corruption that is not at one key.
    pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
        StoreError::Corrupt { key: String::new(), what: what.into() }
    }

    /// Whether only the batch was refused: nothing of it was applied and the store goes on.
    pub fn is_refusal(&self) -> bool {
        matches!(self, StoreError::Fenced { .. } | StoreError::TooLarge { .. } | StoreError::Full { .. })
    }
}

fn at_key(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!(" at key \"{key}\"") }
}
