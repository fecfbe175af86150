//! What the committer counts. Cheap enough to be counted always; names are the server's affair.

use std::time::Instant;

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use crate::{Batch, StoreError};

/// Since the committer was started.
#[derive(Debug, Clone)]
pub struct CommitterMetrics {
    /// Batches that were applied.
    pub batches: Counter,
    /// Batches that were refused (see [`StoreError::is_refusal`]).
    pub refused_batches: Counter,
    /// Keys and values of the batches that were applied, in bytes.
    pub bytes: Counter,
    /// How long each flush took, fdatasync included, in seconds. Its count is the number of flushes.
    pub flush_seconds: Histogram,
}

/// From a disk with a battery to one that is in trouble.
const FLUSH_SECONDS: [f64; 11] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0];

impl Default for CommitterMetrics {
    fn default() -> CommitterMetrics {
        CommitterMetrics {
            batches: Counter::default(),
            refused_batches: Counter::default(),
            bytes: Counter::default(),
            flush_seconds: Histogram::new(FLUSH_SECONDS),
        }
    }
}

impl CommitterMetrics {
    pub(crate) fn count(&self, batches: &[Batch], results: &[Result<(), StoreError>]) {
        for (batch, result) in batches.iter().zip(results) {
            if result.is_ok() {
                self.batches.inc();
                self.bytes.inc_by(batch.byte_size() as u64);
            } else {
                self.refused_batches.inc();
            }
        }
    }

    pub(crate) fn time_flush<T>(&self, flush: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let flushed = flush();
        self.flush_seconds.observe(began.elapsed().as_secs_f64());
        flushed
    }
}
