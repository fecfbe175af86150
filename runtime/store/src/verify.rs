//! What a verification of every record finds.

use std::collections::BTreeMap;

use crate::{StoreError, limits};

/// The answer of [`SledStore::verify`](crate::SledStore::verify).
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Rows by the first byte of their key; the empty key counts under 0.
    pub rows: BTreeMap<u8, u64>,
    /// Keys and values of all rows together, in bytes.
    pub bytes: u64,
    /// Chunk rows, which hold the values over [`limits::CHUNK_BYTES`].
    pub chunks: u64,
    /// Shards that were ever acquired.
    pub shards: u64,
    /// The number of the last commit.
    pub commit: u64,
    /// What is wrong, at most [`limits::VERIFY_FAULTS_MAX`] of it; empty if every record is as it was written.
    pub faults: Vec<StoreError>,
}

impl VerifyReport {
    /// The first fault as an error, or the report itself.
    pub fn into_result(mut self) -> Result<VerifyReport, StoreError> {
        if self.faults.is_empty() { Ok(self) } else { Err(self.faults.swap_remove(0)) }
    }

    pub(crate) fn count_row(&mut self, key: &[u8], value_bytes: usize) {
        *self.rows.entry(key.first().copied().unwrap_or(0)).or_default() += 1;
        self.bytes += (key.len() + value_bytes) as u64;
    }

    pub(crate) fn add_fault(&mut self, fault: StoreError) {
        if self.faults.len() < limits::VERIFY_FAULTS_MAX {
            self.faults.push(fault);
        }
    }
}
