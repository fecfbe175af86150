//! Every bound of this crate, with its reason. Nothing else in the crate names a bare limit.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Longest key, in bytes. Two Temporal ids of 1,000 bytes and what goes around them, with room to escape bytes.
pub const KEY_BYTES_MAX: usize = 4 * KIB;

/// Largest value, in bytes: one Temporal history (50 MiB) would be kept as many rows; nothing needs one this big.
pub const VALUE_BYTES_MAX: usize = 64 * MIB;

/// Largest batch, keys and values together, in bytes. A step's commands are at most 16 MiB, a module 64 MiB.
pub const BATCH_BYTES_MAX: usize = 96 * MIB;

/// Batches of one group. It bounds how long the first one waits.
pub const GROUP_BATCHES: usize = 4_096;

/// Batches that are applied ahead of a flush even while an applied group waits for it. Fewer are left to gather.
pub const GROUP_BATCHES_AHEAD: usize = 64;

/// Bytes of one group (a larger batch goes alone). At most three groups are applied and not yet durable: one that is
/// being flushed, one behind it, one being applied. That bounds what sled writes between two fdatasyncs, while it may
/// already use freed segments anew: in 20 simulated power cuts with groups this full nothing was lost.
pub const GROUP_BYTES: usize = 4 * MIB;

/// Batches that may wait for the committer. A writer that finds the queue full waits: that is the back-pressure.
pub const QUEUE_BATCHES: usize = 16_384;

/// Bytes that may wait for the committer. One batch is let in when nothing waits, whatever its size.
pub const QUEUE_BYTES: usize = 64 * MIB;

/// A value longer than this is cut into chunk rows of this size, in bytes.
///
/// sled 0.34 writes a tree node of more than a quarter of a segment to a file of its own under `blobs/`, which it
/// never syncs. A leaf holds up to about 20 rows, so that 20 chunks with their keys must stay below that quarter
/// (512 KiB, see [`SEGMENT_BYTES`]). It also writes a leaf anew every 10 changes: small chunks keep that cheap.
pub const CHUNK_BYTES: usize = 16 * KIB;

/// sled's segment, in bytes: the unit in which it reuses its file. Fixed for the life of a database.
///
/// Four times its default, for the sake of [`CHUNK_BYTES`], and because a freed segment is reused only after a
/// further segment was written: the larger it is, the surer an fdatasync lies between.
pub const SEGMENT_BYTES: usize = 2 * MIB;

/// sled's page cache, in bytes, unless the options say otherwise: hot rows are the runs that work, not the history.
pub const CACHE_BYTES: u64 = 128 * MIB as u64;

/// How often sled writes out its buffer by itself and tidies its file, in milliseconds. Durability does not hang on it.
pub const BACKGROUND_FLUSH_MS: u64 = 500;

/// A commit is refused when it would leave less free space than this, in bytes, because sled cannot recover from a
/// full disk while it runs, and its tidying needs room for several segments.
pub const FREE_BYTES_MIN: u64 = 128 * MIB as u64;

/// What a group may take on disk, as a multiple of its bytes: leaves are written anew around each change.
pub const WRITE_AMPLIFICATION: u64 = 8;

/// What a disk writes whole or not at all, in bytes.
pub const SECTOR_BYTES: u64 = 512;

/// Rows of one page of a backup. Writers wait while a page is read.
pub const BACKUP_ROWS: usize = 1_024;

/// Bytes of one page of a backup, one row beyond: a millisecond or so of reading.
pub const BACKUP_BYTES: usize = MIB;

/// Changes that may wait for the reader of a backup, in bytes: half a minute of commits at 2 MB/s. Beyond it the backup
/// is given up, because commits do not wait for it.
pub const BACKUP_JOURNAL_BYTES: usize = 64 * MIB;

/// Longest frame of a backup, in bytes: what has waited in the journal, with 9 bytes around each change of a few
/// bytes, or a page that ends with the largest row.
pub const BACKUP_FRAME_BYTES_MAX: usize = 1024 * MIB;

/// Verification stops to collect after this many faults: the first ones tell the story.
pub const VERIFY_FAULTS_MAX: usize = 16;

/// How long opening waits for sled's threads to let go of a file that this process had open before. They take
/// milliseconds; a store that stopped after a failed write keeps its file until the process ends.
pub const LINGERING_LOCK: Duration = Duration::from_secs(5);
