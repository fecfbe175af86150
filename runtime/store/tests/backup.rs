//! A backup is of one moment, whatever is committed while it is read; and it comes back as it was, or not at all.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use mainspring_store::{
    Backup, Batch, Committer, Key, MemoryStore, Restored, Store, StoreError, check_backup, limits, open_sled,
    prefix_end, restore,
};
use support::{SHARD, new_dir, open, options, puts};

fn commit(committer: &Committer, batch: Batch) -> Result<(), StoreError> {
    let (durable, wait) = mpsc::channel();
    committer.submit(batch, Box::new(move |result| durable.send(result).unwrap()));
    wait.recv().unwrap()
}

fn all(store: &dyn Store) -> BTreeMap<Key, Vec<u8>> {
    store.scan(b"", &prefix_end(b""), false, usize::MAX).unwrap().into_iter().collect()
}

fn number(rows: &BTreeMap<Key, Vec<u8>>, key: &str) -> u64 {
    rows.get(key.as_bytes()).map_or(0, |value| String::from_utf8_lossy(value).parse().unwrap())
}

/// Rows that take many pages.
fn filler() -> Batch {
    puts((0..5_000).map(|n| (format!("filler/{n:05}"), vec![b'x'; 2_000])))
}

fn restored(file: &Path, dir: &Path) -> (Restored, BTreeMap<Key, Vec<u8>>) {
    let report = restore(file, dir, options()).unwrap();
    let store = open(dir).unwrap();
    let rows = all(&store);
    (report, rows)
}

/// A writer's step: both ends of the key space change together, and a token moves between places all over it.
fn step(writer: u64, n: u64) -> Batch {
    let mut batch = Batch::new(SHARD, 0);
    batch.put(format!("a/{writer}"), n.to_string());
    batch.put(format!("z/{writer}"), n.to_string());
    let place = |n: u64| format!("{}/token/{writer}", ["b", "filler", "g", "y"][(n % 4) as usize]);
    batch.delete(place(n - 1));
    batch.put(place(n), n.to_string());
    batch
}

fn backup_under_load(store: Arc<dyn Store>) {
    const WRITERS: u64 = 3;
    let committer = Arc::new(Committer::start(Arc::clone(&store)));
    commit(&committer, filler()).unwrap();
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (committer, acknowledged, stop) =
                (Arc::clone(&committer), Arc::clone(&acknowledged), Arc::clone(&stop));
            thread::spawn(move || {
                for n in 1.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    commit(&committer, step(writer, n)).unwrap();
                    acknowledged[writer as usize].store(n, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let now = || acknowledged.iter().map(|n| n.load(Ordering::SeqCst)).collect::<Vec<_>>();
    let all_moved = |before: &[u64]| {
        while now().iter().zip(before).any(|(now, before)| now <= before) {
            thread::yield_now();
        }
    };
    all_moved(&[10; WRITERS as usize]);

    let before = now();
    let mut bytes = Vec::new();
    for chunk in Backup::start(Arc::clone(&store), Arc::clone(&committer)).unwrap() {
        bytes.extend(chunk.unwrap());
        // Every writer gets on between two pages.
        all_moved(&now());
    }
    stop.store(true, Ordering::SeqCst);
    writers.into_iter().for_each(|writer| writer.join().unwrap());

    let dir = new_dir();
    let (file, data) = (dir.path().join("backup"), dir.path().join("data"));
    fs::write(&file, bytes).unwrap();
    let (report, rows) = restored(&file, &data);
    assert!(report.backup.changes > 0, "nothing was committed meanwhile: {report:?}");
    assert_eq!(rows.keys().filter(|key| key.starts_with(b"filler/0")).count(), 5_000);
    for writer in 0..WRITERS {
        let n = number(&rows, &format!("a/{writer}"));
        assert!(n >= before[writer as usize], "what was acknowledged before the backup began is in it");
        assert_eq!(n, number(&rows, &format!("z/{writer}")), "a batch is in it whole or not at all");
        let tokens: Vec<_> =
            rows.iter().filter(|(key, _)| key.ends_with(format!("/token/{writer}").as_bytes())).collect();
        assert_eq!(tokens.len(), 1, "{tokens:?}");
        assert_eq!(tokens[0].1, n.to_string().as_bytes());
    }
}

#[test]
fn a_backup_of_memory_is_of_one_moment() {
    backup_under_load(Arc::new(MemoryStore::new()));
}

#[test]
fn a_backup_of_sled_is_of_one_moment() {
    let dir = new_dir();
    backup_under_load(Arc::new(open(dir.path()).unwrap()));
}

/// A backup of these rows.
fn backup_of(batches: Vec<Batch>, file: &Path) -> BTreeMap<Key, Vec<u8>> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let committer = Arc::new(Committer::start(Arc::clone(&store)));
    for batch in batches {
        commit(&committer, batch).unwrap();
    }
    let chunks: Result<Vec<_>, _> = Backup::start(Arc::clone(&store), committer).unwrap().collect();
    fs::write(file, chunks.unwrap().concat()).unwrap();
    all(&*store)
}

#[test]
fn rows_of_every_size_come_back() {
    let dir = new_dir();
    let file = dir.path().join("backup");
    let small = puts((0..3_000).map(|n| (format!("s{n}"), vec![])));
    let large = puts((0..20).map(|n| (format!("l{n:02}"), vec![n; 3 * 1024 * 1024])));
    let odd = puts([(vec![], b"the empty key".to_vec()), (vec![0xff; limits::KEY_BYTES_MAX], vec![])]);
    let rows = backup_of(vec![small, large, odd], &file);
    let (report, back) = restored(&file, &dir.path().join("data"));
    assert!(rows == back);
    assert_eq!((report.backup.rows, report.backup.changes), (rows.len() as u64, 0));
    assert_eq!(report.records.rows.values().sum::<u64>(), rows.len() as u64);
    assert_eq!(report.backup, check_backup(&file).unwrap());
}

#[test]
fn an_empty_store_comes_back_empty() {
    let dir = new_dir();
    let file = dir.path().join("backup");
    backup_of(vec![], &file);
    assert!(restored(&file, &dir.path().join("data")).1.is_empty());
}

#[test]
fn a_backup_is_restored_into_an_empty_directory_only() {
    let dir = new_dir();
    let (file, data) = (dir.path().join("backup"), dir.path().join("data"));
    backup_of(vec![puts([("a", "1")])], &file);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("something"), "").unwrap();
    assert!(matches!(restore(&file, &data, options()), Err(StoreError::NotEmpty { .. })));
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing was written");
}

#[test]
fn of_a_damaged_backup_nothing_is_written() {
    let dir = new_dir();
    let (file, data) = (dir.path().join("backup"), dir.path().join("data"));
    backup_of(vec![puts([("a", "1"), ("b", "2")])], &file);
    let bytes = fs::read(&file).unwrap();
    for spoiled in [&bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], b"", b"something else altogether"] {
        fs::write(&file, spoiled).unwrap();
        assert!(matches!(restore(&file, &data, options()), Err(StoreError::BadBackup { .. })));
        assert!(!data.exists());
    }
}

#[test]
fn a_restore_that_did_not_end_leaves_nothing_that_opens() {
    let dir = new_dir();
    let (file, data) = (dir.path().join("backup"), dir.path().join("data"));
    backup_of(vec![puts([("a", "1")])], &file);
    // More must stay free than any disk has: the restore fails when it begins to write.
    let full = mainspring_store::SledOptions { free_bytes_min: u64::MAX, ..options() };
    assert!(matches!(restore(&file, &data, full), Err(StoreError::Full { .. })));
    let opened = open_sled(&data, options());
    assert!(matches!(opened.err(), Some(StoreError::Unfinished { .. })));
    assert!(matches!(restore(&file, &data, options()), Err(StoreError::NotEmpty { .. })));
    fs::remove_dir_all(&data).unwrap();
    restored(&file, &data);
}

#[test]
fn there_is_one_backup_at_a_time_and_a_dropped_one_is_over() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let committer = Arc::new(Committer::start(Arc::clone(&store)));
    let first = Backup::start(Arc::clone(&store), Arc::clone(&committer)).unwrap();
    let second = Backup::start(Arc::clone(&store), Arc::clone(&committer));
    assert!(matches!(second.err(), Some(StoreError::BackupUnderWay)));
    drop(first);
    Backup::start(store, committer).unwrap();
}

#[test]
fn a_reader_that_does_not_keep_up_loses_its_backup_and_commits_go_on() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let committer = Arc::new(Committer::start(Arc::clone(&store)));
    commit(&committer, filler()).unwrap();
    let mut backup = Backup::start(Arc::clone(&store), Arc::clone(&committer)).unwrap();
    backup.next().unwrap().unwrap();
    for n in 0..=limits::BACKUP_JOURNAL_BYTES / (8 * 1024 * 1024) {
        commit(&committer, puts([(format!("a/{n}"), vec![0; 8 * 1024 * 1024])])).unwrap();
    }
    let last = backup.find(Result::is_err);
    assert!(matches!(last, Some(Err(StoreError::BackupTooSlow { .. }))));
    assert!(backup.next().is_none(), "a backup that has failed is over");
}

#[test]
fn a_backup_of_a_store_that_fails_does_not_end_well() {
    let store = Arc::new(mainspring_store::FaultStore::new(MemoryStore::new()));
    let committer = Arc::new(Committer::start(Arc::clone(&store) as Arc<dyn Store>));
    commit(&committer, filler()).unwrap();
    let mut backup = Backup::start(Arc::clone(&store) as Arc<dyn Store>, Arc::clone(&committer)).unwrap();
    backup.next().unwrap().unwrap();
    store.fail_commit(1, mainspring_store::Fault::LostFlush);
    assert!(commit(&committer, puts([("a", "1")])).is_err());
    assert!(backup.last().unwrap().is_err(), "what it has seen may be lost");
}
