//! Random changes against a `BTreeMap`: whatever the backend, every read agrees with it, also after reopening.

mod support;

use std::collections::BTreeMap;

use mainspring_store::{Batch, Key, Store, limits};
use proptest::prelude::*;
use support::{SHARD, copy_dir, new_dir, noise, open, rows};

type Model = BTreeMap<Key, Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    /// Key, and the seed and size of the value; no value deletes.
    Commit(Vec<(Key, Option<(u64, usize)>)>),
    Scan {
        start: Key,
        end: Key,
        reverse: bool,
        limit: usize,
    },
    Reopen,
    Crash,
}

fn key() -> impl Strategy<Value = Key> {
    // Few keys that are prefixes of each other, with the bytes at which ranges end.
    prop::collection::vec(prop::sample::select(vec![0, 1, b'a', b'b', 0xfe, 0xff]), 0..5)
}

fn size() -> impl Strategy<Value = usize> {
    let near = |edge: usize| (edge - 2)..=(edge + 2);
    prop_oneof![
        6 => 0..200usize,
        2 => near(limits::CHUNK_BYTES),
        1 => near(2 * limits::CHUNK_BYTES),
        1 => near(64 * 1024),
        1 => near(128 * 1024),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let change = (key(), prop::option::weighted(0.7, (any::<u64>(), size())));
    prop_oneof![
        8 => prop::collection::vec(change, 1..20).prop_map(Step::Commit),
        4 => (key(), key(), any::<bool>(), 0..30usize)
            .prop_map(|(start, end, reverse, limit)| Step::Scan { start, end, reverse, limit }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

fn check_scan(store: &dyn Store, model: &Model, start: &Key, end: &Key, reverse: bool, limit: usize) {
    let mut expected: Vec<_> = model
        .iter()
        .filter(|(key, _)| start <= key && *key < end)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if reverse {
        expected.reverse();
    }
    expected.truncate(limit);
    let found = store.scan(start, end, reverse, limit).unwrap();
    assert!(found == expected, "a scan from {start:?} to {end:?}, reverse {reverse}, limit {limit}");
}

fn apply(store: &dyn Store, model: &mut Model, changes: Vec<(Key, Option<(u64, usize)>)>) {
    let mut batch = Batch::new(SHARD, 0);
    for (key, change) in changes {
        match change.map(|(seed, size)| noise(seed, size)) {
            Some(value) => {
                batch.put(key.clone(), value.clone());
                model.insert(key, value);
            }
            None => {
                batch.delete(key.clone());
                model.remove(&key);
            }
        }
    }
    support::commit(store, batch);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sled_agrees_with_a_map(steps in prop::collection::vec(step(), 1..25)) {
        let mut dir = new_dir();
        let mut store = open(dir.path()).unwrap();
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Commit(changes) => apply(&store, &mut model, changes),
                Step::Scan { start, end, reverse, limit } => {
                    check_scan(&store, &model, &start, &end, reverse, limit);
                }
                Step::Reopen => {
                    drop(store);
                    store = open(dir.path()).unwrap();
                }
                Step::Crash => {
                    let crashed = new_dir();
                    copy_dir(dir.path(), crashed.path());
                    drop(store);
                    dir = crashed;
                    store = open(dir.path()).unwrap();
                }
            }
        }
        prop_assert!(rows(&store).unwrap() == model.into_iter().collect::<Vec<_>>());
        let report = store.verify().unwrap();
        prop_assert!(report.faults.is_empty(), "{:?}", report.faults);
    }

    #[test]
    fn memory_agrees_with_a_map(steps in prop::collection::vec(step(), 1..25)) {
        let fixture = support::faulty_memory();
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Commit(changes) => apply(&*fixture.store, &mut model, changes),
                Step::Scan { start, end, reverse, limit } => {
                    check_scan(&*fixture.store, &model, &start, &end, reverse, limit);
                }
                Step::Reopen | Step::Crash => {}
            }
        }
        prop_assert!(rows(&*fixture.store).unwrap() == model.into_iter().collect::<Vec<_>>());
    }
}
