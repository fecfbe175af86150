//! The sled backend across restarts, crashes and damage: acknowledged data is there, or opening says what is wrong.

mod support;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use mainspring_store::{Batch, Fault, FaultStore, ShardId, SledOptions, Store, StoreError, limits, open_sled};
use support::{commit, copy_dir, deletes, new_dir, noise, open, options, puts, rows};

/// Commits `count` steps of several rows, each of which carries the step's number.
fn fill(store: &dyn Store, count: u64) {
    for step in 0..count {
        let history = (format!("history/{step:05}"), noise(step, 700));
        let state = ("state".to_owned(), step.to_le_bytes().to_vec());
        let twin = ("twin".to_owned(), step.to_le_bytes().to_vec());
        commit(store, puts([history, state, twin]));
    }
}

/// Asserts that the rows are exactly what `fill` leaves after some whole number of steps, and returns that number.
fn whole_steps(store: &dyn Store) -> u64 {
    let found = rows(store).unwrap();
    let steps = found.iter().filter(|(key, _)| key.starts_with(b"history/")).count() as u64;
    for (step, (key, value)) in (0..steps).zip(&found) {
        assert_eq!(*key, format!("history/{step:05}").into_bytes());
        assert_eq!(*value, noise(step, 700));
    }
    if steps > 0 {
        let last = (steps - 1).to_le_bytes().to_vec();
        assert_eq!(found[steps as usize..], [(b"state".to_vec(), last.clone()), (b"twin".to_vec(), last)]);
    }
    steps
}

#[test]
fn data_and_epochs_survive_a_restart() {
    let dir = new_dir();
    let shard = ShardId(9);
    {
        let store = open(dir.path()).unwrap();
        assert_eq!(store.acquire_shard(shard).unwrap(), 1);
        fill(&store, 300);
    }
    let store = open(dir.path()).unwrap();
    assert_eq!(whole_steps(&store), 300);
    let old = Batch { ops: puts([("a", "1")]).ops, ..Batch::new(shard, 0) };
    assert!(matches!(store.commit(&[old]).unwrap()[..], [Err(StoreError::Fenced { current: 1, .. })]));
    assert_eq!(store.acquire_shard(shard).unwrap(), 2);
}

#[test]
fn recovery_does_not_need_a_clean_shutdown() {
    let dir = new_dir();
    let store = open(dir.path()).unwrap();
    for round in 1..=5 {
        for step in (round - 1) * 60..round * 60 {
            let step_rows = [
                (format!("history/{step:05}"), noise(step, 700)),
                ("state".into(), step.to_le_bytes().to_vec()),
                ("twin".into(), step.to_le_bytes().to_vec()),
            ];
            commit(&store, puts(step_rows));
        }
        let crashed = new_dir();
        copy_dir(dir.path(), crashed.path());
        assert_eq!(whole_steps(&open(crashed.path()).unwrap()), round * 60);
    }
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let dir = new_dir();
    let first = open(dir.path()).unwrap();
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(&error, StoreError::Locked { dir: locked } if locked == dir.path()), "{error}");
    drop(first);
    open(dir.path()).unwrap();
}

#[test]
fn no_tree_node_becomes_a_blob_that_sled_would_not_sync() {
    let dir = new_dir();
    let store = open(dir.path()).unwrap();
    let long_key = |n: usize| [format!("{n:04}").into_bytes(), noise(n as u64, 2_000)].concat();
    for round in 0..10 {
        for n in (0..200).step_by(20) {
            let around = (n..n + 20).map(|n| (long_key(n), noise((n + round) as u64, limits::CHUNK_BYTES)));
            commit(&store, puts(around));
        }
        commit(&store, puts([("big", noise(round as u64, 3 * 1024 * 1024))]));
    }
    let blobs = fs::read_dir(dir.path().join("blobs")).unwrap().count();
    assert_eq!(blobs, 0);
    assert_eq!(store.verify().unwrap().rows.values().sum::<u64>(), 201);
}

#[test]
fn chunks_of_a_value_that_shrank_or_went_are_gone() {
    let dir = new_dir();
    let store = open(dir.path()).unwrap();
    let chunks = |store: &mainspring_store::SledStore| store.verify().unwrap().into_result().unwrap().chunks;
    commit(&store, puts([("a", noise(1, 10 * limits::CHUNK_BYTES)), ("b", noise(2, limits::CHUNK_BYTES + 1))]));
    assert_eq!(chunks(&store), 12);
    commit(&store, puts([("a", noise(3, 3 * limits::CHUNK_BYTES))]));
    assert_eq!(chunks(&store), 5);
    commit(&store, puts([("a", "small")]));
    assert_eq!(chunks(&store), 2);
    commit(&store, deletes(["b"]));
    assert_eq!(chunks(&store), 0);
}

#[test]
fn an_emptied_database_is_refused() {
    for emptied in ["removed", "truncated", "zeroed"] {
        let dir = new_dir();
        fill(&open(dir.path()).unwrap(), 20);
        let db = dir.path().join("db");
        let bytes = fs::metadata(&db).unwrap().len() as usize;
        match emptied {
            "removed" => fs::remove_file(&db).unwrap(),
            "truncated" => fs::write(&db, "").unwrap(),
            _ => fs::write(&db, vec![0; bytes]).unwrap(),
        }
        let error = open(dir.path()).err().expect(emptied);
        let refused = matches!(error, StoreError::Emptied { .. } | StoreError::Corrupt { .. });
        assert!(refused, "{emptied}: {error}");
        // Nor does trying make it look healthy.
        assert!(open(dir.path()).is_err(), "{emptied}, second try");
    }
}

#[test]
fn an_emptied_directory_of_sled_files_is_refused() {
    let dir = new_dir();
    fill(&open(dir.path()).unwrap(), 20);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.file_name().unwrap().to_string_lossy().starts_with("mainspring") {
            fs::remove_file(path).unwrap();
        }
    }
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::Emptied { .. }), "{error}");
}

#[test]
fn a_missing_marker_is_refused_when_there_is_data_and_finished_when_there_is_none() {
    let dir = new_dir();
    drop(open(dir.path()).unwrap());
    fs::remove_file(dir.path().join("mainspring.marker")).unwrap();
    fill(&open(dir.path()).unwrap(), 5);
    fs::remove_file(dir.path().join("mainspring.marker")).unwrap();
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(&error, StoreError::Mismatched { .. }), "{error}");
}

#[test]
fn files_of_two_databases_are_refused() {
    let (one, other) = (new_dir(), new_dir());
    fill(&open(one.path()).unwrap(), 5);
    fill(&open(other.path()).unwrap(), 5);
    for file in ["mainspring.marker", "mainspring.acknowledged"] {
        let mixed = new_dir();
        copy_dir(one.path(), mixed.path());
        fs::copy(other.path().join(file), mixed.path().join(file)).unwrap();
        let error = open(mixed.path()).err().unwrap();
        assert!(matches!(&error, StoreError::Mismatched { .. }), "{file}: {error}");
    }
}

#[test]
fn a_marker_of_a_newer_format_or_a_damaged_one_is_refused() {
    let dir = new_dir();
    drop(open(dir.path()).unwrap());
    let path = dir.path().join("mainspring.marker");
    let written = fs::read_to_string(&path).unwrap();
    let (body, _) = written.split_once("checksum ").unwrap();
    let newer = body.replace("format 1", "format 2");
    fs::write(&path, format!("{newer}checksum {:08x}\n", crc32fast::hash(newer.as_bytes()))).unwrap();
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(&error, StoreError::Version { found: 2, supported: 1, .. }), "{error}");
    fs::write(&path, written.replace("format 1", "format 0")).unwrap();
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(&error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn an_older_copy_of_the_database_is_refused_until_the_loss_is_accepted() {
    let dir = new_dir();
    let older = new_dir();
    let store = open(dir.path()).unwrap();
    fill(&store, 5);
    copy_dir(dir.path(), older.path());
    fill(&store, 10);
    let acknowledged = Path::new("mainspring.acknowledged");
    fs::copy(dir.path().join(acknowledged), older.path().join(acknowledged)).unwrap();
    let error = open(older.path()).err().unwrap();
    assert!(matches!(&error, StoreError::Lost { found: 5, acknowledged: 15, .. }), "{error}");
    fs::remove_file(older.path().join(acknowledged)).unwrap();
    assert_eq!(whole_steps(&open(older.path()).unwrap()), 5);
}

#[test]
fn a_nearly_full_disk_refuses_commits_and_the_store_goes_on() {
    let dir = new_dir();
    fill(&open(dir.path()).unwrap(), 5);
    let full = SledOptions { free_bytes_min: u64::MAX, ..options() };
    let store = open_sled(dir.path(), full).unwrap();
    for _ in 0..2 {
        let error = store.commit(&[puts([("a", "1")])]).err().unwrap();
        assert!(matches!(&error, StoreError::Full { .. }), "{error}");
    }
    assert_eq!(whole_steps(&store), 5);
}

#[test]
fn a_snapshot_that_a_crash_left_unfinished_does_not_stop_the_start() {
    let dir = new_dir();
    fill(&open(dir.path()).unwrap(), 20);
    drop(open(dir.path()).unwrap());
    fs::write(dir.path().join("snap.FFFFFFFFFFFFFFFF.generating"), "torn").unwrap();
    assert_eq!(whole_steps(&open(dir.path()).unwrap()), 20);
}

/// A power cut that loses the end of the log: what is left is a whole number of steps, and if it is fewer than were
/// acknowledged, opening says so.
#[test]
fn a_torn_tail_leaves_whole_steps() {
    let dir = new_dir();
    let store = open(dir.path()).unwrap();
    fill(&store, 120);
    let used = used_bytes(&dir.path().join("db"));
    let mut lost = 0;
    for cut in (0..60).map(|n| used - 1 - n * 997) {
        let torn = new_dir();
        copy_dir(dir.path(), torn.path());
        let file = OpenOptions::new().write(true).open(torn.path().join("db")).unwrap();
        file.set_len(cut).unwrap();
        let error = open(torn.path()).err().expect("the loss is noticed");
        assert!(matches!(&error, StoreError::Lost { .. } | StoreError::Corrupt { .. }), "{error}");
        fs::remove_file(torn.path().join("mainspring.acknowledged")).unwrap();
        let steps = whole_steps(&open(torn.path()).unwrap());
        assert!(steps < 120);
        lost = lost.max(120 - steps);
    }
    assert!(lost > 10, "the cuts reached back {lost} steps only");
}

/// The end of what sled has written: its file may be longer.
fn used_bytes(db: &Path) -> u64 {
    let bytes = fs::read(db).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
}

/// Damage anywhere in the files: either everything is read as it was written, or it is an error. Never other data,
/// never a panic.
#[test]
fn flipped_bytes_are_found_or_harmless() {
    let dir = new_dir();
    {
        let store = open(dir.path()).unwrap();
        fill(&store, 2_000);
        commit(&store, puts([("zz/long", noise(7, 5 * limits::CHUNK_BYTES))]));
        commit(&store, deletes(["zz/long"]));
    }
    let live = new_dir();
    let store = open(dir.path()).unwrap();
    // With half of the log behind a snapshot and half not.
    for step in 2_000..8_000u64 {
        let number = step.to_le_bytes().to_vec();
        let history = (format!("history/{step:05}"), noise(step, 700));
        commit(&store, puts([history, ("state".into(), number.clone()), ("twin".into(), number)]));
    }
    copy_dir(dir.path(), live.path());
    drop(store);

    let (mut found, mut harmless) = (0, 0);
    for file in fs::read_dir(live.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if !file.is_file() {
            continue;
        }
        let name = file.file_name().unwrap();
        let bytes = fs::metadata(&file).unwrap().len();
        let tries = if name == "db" { 150 } else { 12 };
        for n in 0..tries.min(bytes) {
            // Segment headers and the file's first bytes, then everywhere.
            let offset = match n {
                0..24 if name == "db" => (n / 12) * limits::SEGMENT_BYTES as u64 + n % 12,
                _ => n * bytes / tries + n % 7,
            };
            if offset >= bytes {
                continue;
            }
            let damaged = new_dir();
            copy_dir(live.path(), damaged.path());
            flip(&damaged.path().join(name), offset);
            match open(damaged.path()) {
                Ok(store) => {
                    assert_eq!(whole_steps(&store), 8_000, "{name:?} at {offset}");
                    harmless += 1;
                }
                Err(error) => {
                    assert!(!error.is_refusal(), "{name:?} at {offset}: {error}");
                    found += 1;
                }
            }
        }
    }
    eprintln!("{found} flips were found, {harmless} were harmless");
    assert!(found > 0 && harmless > 0);
}

/// Damage while the store is open and its pages are not in memory: a read fails, or is right.
#[test]
fn damage_behind_an_open_store_is_never_read_as_data() {
    let dir = new_dir();
    fill(&open(dir.path()).unwrap(), 3_000);
    let unverified = SledOptions { verify_on_open: false, ..options() };
    let store = open_sled(dir.path(), unverified).unwrap();
    let db = dir.path().join("db");
    for offset in (4_096..fs::metadata(&db).unwrap().len()).step_by(1_024) {
        flip(&db, offset);
    }
    let mut corrupt = 0;
    for step in 0..3_000 {
        match store.get(format!("history/{step:05}").as_bytes()) {
            Ok(value) => assert_eq!(value, Some(noise(step, 700)), "step {step}"),
            Err(StoreError::Corrupt { .. }) => corrupt += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(corrupt > 0);
    assert!(!store.verify().unwrap().faults.is_empty());
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn a_lost_flush_is_gone_after_the_power_cut_and_was_never_acknowledged() {
    let dir = new_dir();
    let store = FaultStore::new(open(dir.path()).unwrap());
    commit(&store, puts([("a", "old")]));
    store.fail_commit(1, Fault::LostFlush);
    let mut batch = puts([("a", "new"), ("b", "new")]);
    batch.delete("c");
    assert!(store.commit(&[batch]).is_err());
    assert_eq!(store.get(b"a").unwrap().as_deref(), Some(&b"new"[..]), "it was applied");
    assert_eq!(rows(&store).unwrap().len(), 2);
    assert!(matches!(store.commit(&[puts([("d", "1")])]), Err(StoreError::Stopped { .. })));
    store.power_cut();
    assert_eq!(rows(&store).unwrap(), [(b"a".to_vec(), b"old".to_vec())]);
}

#[test]
fn a_torn_batch_is_what_the_fault_wrapper_says() {
    let dir = new_dir();
    let store = FaultStore::new(open(dir.path()).unwrap());
    store.fail_commit(2, Fault::TornBatch { ops: 3 });
    commit(&store, puts([("a", "1")]));
    let group = [puts([("b", "1"), ("c", "1")]), puts([("d", "1"), ("e", "1")])];
    assert!(store.commit(&group).is_err());
    store.power_cut();
    let keys: Vec<_> = rows(&store).unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"a", b"b", b"c", b"d"]);
}

#[test]
fn a_flipped_bit_is_corruption_at_its_key() {
    let dir = new_dir();
    let store = FaultStore::new(open(dir.path()).unwrap());
    commit(&store, puts([("run/1", "value"), ("run/2", "value")]));
    for bit in 0..100 {
        store.flip_bit("run/1", bit);
        for error in [store.get(b"run/1").err().unwrap(), rows(&store).err().unwrap()] {
            assert!(matches!(&error, StoreError::Corrupt { key, .. } if key == "run/1"), "{error}");
        }
    }
    assert!(store.get(b"run/2").is_ok());
}

#[test]
fn verify_counts_rows_by_the_first_byte_of_their_key() {
    let dir = new_dir();
    let store = open(dir.path()).unwrap();
    store.acquire_shard(ShardId(1)).unwrap();
    commit(&store, Batch { epoch: 1, ..puts([("h1", "x"), ("h2", "xy"), ("t1", ""), ("", "")]) });
    let report = store.verify().unwrap().into_result().unwrap();
    let counts: Vec<_> = report.rows.into_iter().collect();
    assert_eq!(counts, [(0, 1), (b'h', 2), (b't', 1)]);
    assert_eq!((report.bytes, report.chunks, report.shards, report.commit), (9, 0, 1, 2));
}
