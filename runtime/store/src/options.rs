//! What may be chosen when a database is opened.

use crate::limits;

/// How to open a [`SledStore`](crate::SledStore).
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// Memory for sled's page cache, in bytes.
    pub cache_bytes: u64,
    /// Whether opening reads and checks every record (see [`SledStore::verify`](crate::SledStore::verify)). Without it a damaged part of the
    /// log can go unnoticed until something misses a row.
    pub verify_on_open: bool,
    /// Commits are refused with [`StoreError::Full`](crate::StoreError::Full) when they would leave less free space than this, in bytes.
    pub free_bytes_min: u64,
}

impl Default for SledOptions {
    fn default() -> SledOptions {
        SledOptions { cache_bytes: limits::CACHE_BYTES, verify_on_open: true, free_bytes_min: limits::FREE_BYTES_MIN }
    }
}
