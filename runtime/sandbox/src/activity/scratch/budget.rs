//! What an attempt's files may take, in blocks.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use mainspring_core::limits::activity::SCRATCH_FILES;
use parking_lot::Mutex;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::FileResult;

/// A file takes whole blocks, as on a disk; so what its contents take of the host's memory is what they are counted as.
pub const BLOCK_BYTES: usize = 4096;
/// What a file or directory takes beside its contents, for its name and what the host keeps of it.
const ENTRY_BLOCKS: u64 = 1;

/// What all attempts together may still take.
pub struct Pool {
    blocks_left: AtomicU64,
}

impl Pool {
    pub fn new(bytes: u64) -> Arc<Pool> {
        Arc::new(Pool { blocks_left: AtomicU64::new(bytes / BLOCK_BYTES as u64) })
    }

    fn take(&self, blocks: u64) -> bool {
        let taken = |left: u64| left.checked_sub(blocks);
        self.blocks_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    fn give_back(&self, blocks: u64) {
        self.blocks_left.fetch_add(blocks, Ordering::Relaxed);
    }
}

/// What one attempt may take. What it has taken goes back into the pool when the last of its files has gone.
pub struct Budget {
    pool: Arc<Pool>,
    blocks: u64,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    blocks: u64,
    entries: usize,
    /// That the pool was empty has been said.
    told: bool,
}

impl Budget {
    pub fn new(pool: Arc<Pool>, bytes: u64) -> Arc<Budget> {
        Arc::new(Budget { pool, blocks: bytes / BLOCK_BYTES as u64, used: Mutex::default() })
    }

    pub fn is_nothing(&self) -> bool {
        self.blocks == 0
    }

    pub fn take(&self, blocks: u64) -> FileResult<()> {
        self.take_from(&mut self.used.lock(), blocks)
    }

    pub fn give_back(&self, blocks: u64) {
        let mut used = self.used.lock();
        used.blocks -= blocks;
        self.pool.give_back(blocks);
    }

    /// For one more file or directory.
    pub fn take_entry(&self) -> FileResult<()> {
        let mut used = self.used.lock();
        if used.entries >= SCRATCH_FILES {
            return Err(ErrorCode::InsufficientSpace);
        }
        self.take_from(&mut used, ENTRY_BLOCKS)?;
        used.entries += 1;
        Ok(())
    }

    pub fn give_entry_back(&self) {
        self.used.lock().entries -= 1;
        self.give_back(ENTRY_BLOCKS);
    }

    fn take_from(&self, used: &mut Used, blocks: u64) -> FileResult<()> {
        let all = used.blocks.checked_add(blocks).filter(|all| *all <= self.blocks);
        let all = all.ok_or(ErrorCode::InsufficientSpace)?;
        if !self.pool.take(blocks) {
            if !std::mem::replace(&mut used.told, true) {
                tracing::warn!("scratch directories take all that they may: activities.scratch_total_bytes");
            }
            return Err(ErrorCode::InsufficientSpace);
        }
        used.blocks = all;
        Ok(())
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.pool.give_back(self.used.get_mut().blocks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(pool: &Pool) -> u64 {
        pool.blocks_left.load(Ordering::Relaxed)
    }

    #[test]
    fn an_attempt_has_its_grant_and_all_of_them_the_pool() {
        let pool = Pool::new(10 * 4096);
        let (one, two) = (Budget::new(pool.clone(), 8 * 4096), Budget::new(pool.clone(), 8 * 4096));
        one.take(8).unwrap();
        assert!(one.take(1).is_err() && one.take(u64::MAX).is_err());
        two.take(2).unwrap();
        assert!(two.take(1).is_err());
        one.give_back(8);
        two.take_entry().unwrap();
        assert_eq!(left(&pool), 7);
        drop((one, two));
        assert_eq!(left(&pool), 10);
    }

    #[test]
    fn there_are_only_so_many_files() {
        let budget = Budget::new(Pool::new(u64::MAX), u64::MAX);
        for _ in 0..SCRATCH_FILES {
            budget.take_entry().unwrap();
        }
        assert!(budget.take_entry().is_err());
        budget.give_entry_back();
        budget.take_entry().unwrap();
    }
}
