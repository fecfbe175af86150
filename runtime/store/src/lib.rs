//! The journal on disk: ordered rows, changed only in atomic batches, each durable before it is acknowledged.
//!
//! **What it does.** [`Store`] is the contract: point reads, ordered scans, atomic [`Batch`]es that are fenced by their
//! shard's epoch, and [`Store::acquire_shard`]. Two backends keep it: [`SledStore`] on disk and [`MemoryStore`] for
//! tests and `mainspring dev` without a directory. [`Committer`] is the one thread that commits: it gathers what many
//! shards queued, makes it durable with one flush, and only then calls back, in submission order.
//! [`FaultStore`] breaks any backend on purpose, for tests. [`Backup`] copies a store that is in use; [`restore`] makes
//! a directory of the copy.
//!
//! ```
//! use mainspring_store::{Batch, Committer, MemoryStore, ShardId, Store};
//! use std::sync::{Arc, mpsc};
//!
//! let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
//! let shard = ShardId(7);
//! let epoch = store.acquire_shard(shard)?;
//! let committer = Committer::start(Arc::clone(&store));
//!
//! let mut step = Batch::new(shard, epoch);
//! step.put(b"run/1/state".to_vec(), b"started".to_vec());
//! let (durable, wait) = mpsc::channel();
//! committer.submit(step, Box::new(move |result| durable.send(result).unwrap()));
//! wait.recv().unwrap()?;
//!
//! assert_eq!(store.get(b"run/1/state")?, Some(b"started".to_vec()));
//! # Ok::<(), mainspring_store::StoreError>(())
//! ```
//!
//! **What it never does.** It never acknowledges what is not durable, never returns bytes that fail their checksum,
//! never starts empty where data was, and never goes on after a failed flush. It knows nothing of runs, histories or
//! tasks: keys and values are bytes. Types of sled stay in one file, `sled.rs`.
//!
//! **Where to start.** `store.rs` is the contract, `committer.rs` the path of every write, `sled.rs` the backend with
//! the reasons for its own fdatasync, `directory.rs` what lies in a data directory beside the database, and
//! `limits.rs` every bound. `backup/mod.rs` says why a backup is of one moment.

mod backup;
mod committer;
mod directory;
mod error;
mod fault;

mod keys;
mod layout;
pub mod limits;
mod memory;
mod metrics;
mod options;
mod record;
mod sled;
mod store;
mod verify;

pub use backup::{Backup, BackupInfo, Restored, check_backup, restore};
pub use committer::{Committer, Done};
pub use error::StoreError;
pub use fault::{Fault, FaultStore};

pub use keys::{prefix_end, readable_key};
pub use memory::MemoryStore;
pub use metrics::CommitterMetrics;
pub use options::SledOptions;
pub use sled::{SledStore, open_sled};
pub use store::{Batch, CommitResults, Key, Op, ShardId, Store};
pub use verify::VerifyReport;

/// Doors for `fuzz/`, and for nobody else.
#[cfg(fuzzing)]
pub mod fuzzing {
    use crate::record::{Record, sealed};

    /// Reads a record, as it came and with its checksum made right.
    pub fn record(key: &[u8], bytes: &[u8]) {
        let _ = Record::decode(key, bytes);
        let _ = Record::decode(key, &sealed(key, bytes));
    }
}
