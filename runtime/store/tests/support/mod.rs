//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::path::Path;
use std::sync::mpsc;

use mainspring_store::{
    Batch, Committer, FaultStore, Key, MemoryStore, ShardId, SledOptions, SledStore, Store, StoreError, open_sled,
};
use tempfile::TempDir;

/// A store with what must outlive it.
pub struct Fixture {
    pub store: Box<dyn Store>,
    _dir: Option<TempDir>,
}

pub fn memory() -> Fixture {
    Fixture { store: Box::new(MemoryStore::new()), _dir: None }
}

pub fn sled() -> Fixture {
    let dir = new_dir();
    Fixture { store: Box::new(open(dir.path()).expect("a new store")), _dir: Some(dir) }
}

pub fn faulty_memory() -> Fixture {
    Fixture { store: Box::new(FaultStore::new(MemoryStore::new())), _dir: None }
}

pub fn faulty_sled() -> Fixture {
    let dir = new_dir();
    Fixture { store: Box::new(FaultStore::new(open(dir.path()).expect("a new store"))), _dir: Some(dir) }
}

pub fn new_dir() -> TempDir {
    tempfile::tempdir().expect("a directory for the test")
}

/// Opens with a small cache, so that reads reach the disk, and without the reserve of free space.
pub fn open(dir: &Path) -> Result<SledStore, StoreError> {
    open_sled(dir, options())
}

pub fn options() -> SledOptions {
    SledOptions { cache_bytes: 1024 * 1024, free_bytes_min: 0, ..SledOptions::default() }
}

pub const SHARD: ShardId = ShardId(1);

/// A batch for a shard that was never acquired.
pub fn puts<K: Into<Key>, V: Into<Vec<u8>>>(rows: impl IntoIterator<Item = (K, V)>) -> Batch {
    let mut batch = Batch::new(SHARD, 0);
    for (key, value) in rows {
        batch.put(key, value);
    }
    batch
}

pub fn deletes<K: Into<Key>>(keys: impl IntoIterator<Item = K>) -> Batch {
    let mut batch = Batch::new(SHARD, 0);
    for key in keys {
        batch.delete(key);
    }
    batch
}

/// Commits one batch that must be taken.
pub fn commit(store: &dyn Store, batch: Batch) {
    let results = store.commit(&[batch]).expect("a durable group");
    results.into_iter().for_each(|result| result.expect("a batch that is taken"));
}

/// Every row.
pub fn rows(store: &dyn Store) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
    store.scan(b"", &mainspring_store::prefix_end(b""), false, usize::MAX)
}

/// Bytes that do not compress and differ by seed.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// Copies a directory as a crash would leave it: the files as they are, while the store is open.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Submits a batch and waits for its result.
pub fn submit_and_wait(committer: &Committer, batch: Batch) -> Result<(), StoreError> {
    let (send, receive) = mpsc::channel();
    committer.submit(batch, Box::new(move |result| send.send(result).unwrap()));
    receive.recv().expect("an answer")
}
