//! What every backend must do, alone and under the fault wrapper.

mod support;

use mainspring_store::{Batch, Op, ShardId, Store, StoreError, limits, prefix_end};
use support::{commit, deletes, noise, puts, rows};

/// One module of tests for each backend.
macro_rules! conformance {
    ($($backend:ident)*) => { $(
        mod $backend {
            use super::*;
            conformance!(@tests $backend
                a_row_is_read_as_it_was_written
                a_scan_is_ordered_bounded_and_limited
                a_prefix_range_holds_exactly_its_rows
                the_last_change_of_a_key_wins
                long_values_are_one_row
                a_value_may_grow_and_shrink_across_the_chunk_limit
                an_old_epoch_is_fenced_and_its_group_is_not
                an_epoch_that_was_never_granted_is_refused
                what_is_too_large_is_refused_whole
                a_group_is_applied_in_order
            );
        }
    )* };
    (@tests $backend:ident $($test:ident)*) => { $(
        #[test]
        fn $test() {
            super::$test(&*support::$backend().store);
        }
    )* };
}

conformance!(memory sled faulty_memory faulty_sled);

fn a_row_is_read_as_it_was_written(store: &dyn Store) {
    assert_eq!(store.get(b"a").unwrap(), None);
    commit(store, puts([("a", "1"), ("", "the empty key"), ("b", "")]));
    assert_eq!(store.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(store.get(b"").unwrap().as_deref(), Some(&b"the empty key"[..]));
    assert_eq!(store.get(b"b").unwrap().as_deref(), Some(&b""[..]));
    commit(store, deletes(["a", "never there"]));
    assert_eq!(store.get(b"a").unwrap(), None);
}

fn a_scan_is_ordered_bounded_and_limited(store: &dyn Store) {
    let keys: Vec<String> = (0..200).map(|n| format!("k{n:03}")).collect();
    commit(store, puts(keys.iter().rev().map(|key| (key.as_str(), key.as_str()))));
    let scan = |start: &str, end: &str, reverse, limit| -> Vec<String> {
        let rows = store.scan(start.as_bytes(), end.as_bytes(), reverse, limit).unwrap();
        rows.into_iter()
            .map(|(key, value)| {
                assert_eq!(key, value);
                String::from_utf8(key).unwrap()
            })
            .collect()
    };
    assert_eq!(scan("", "z", false, usize::MAX), keys);
    assert_eq!(scan("k010", "k013", false, 10), ["k010", "k011", "k012"]);
    assert_eq!(scan("k010", "k013", true, 10), ["k012", "k011", "k010"]);
    assert_eq!(scan("k010", "k100", false, 2), ["k010", "k011"]);
    assert_eq!(scan("k010", "k100", true, 2), ["k099", "k098"]);
    assert_eq!(scan("k0105", "k012", false, 10), ["k011"]);
    for (start, end, limit) in [("k1", "k1", 9), ("k2", "k1", 9), ("x", "y", 9), ("k1", "k2", 0)] {
        assert!(scan(start, end, false, limit).is_empty());
        assert!(scan(start, end, true, limit).is_empty());
    }
}

fn a_prefix_range_holds_exactly_its_rows(store: &dyn Store) {
    let keys: Vec<Vec<u8>> = [
        &b"a"[..],
        b"a\x00",
        b"a\xfe",
        b"a\xff",
        b"a\xff\x00",
        b"a\xff\xff",
        b"a\xff\xff\xff",
        b"b",
        b"\xff",
        b"\xff\xfe",
        b"\xff\xff",
        b"\xff\xff\xff\xff",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    commit(store, puts(keys.iter().map(|key| (key.clone(), "x"))));
    for prefix in [&b""[..], b"a", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff", b"c"] {
        let found = store.scan(prefix, &prefix_end(prefix), false, usize::MAX).unwrap();
        let found: Vec<_> = found.into_iter().map(|(key, _)| key).collect();
        let expected: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
        assert_eq!(found, expected, "prefix {}", prefix.escape_ascii());
    }
}

fn the_last_change_of_a_key_wins(store: &dyn Store) {
    let mut batch = puts([("a", "1"), ("b", "1")]);
    batch.put("a", "2");
    batch.delete("b");
    batch.delete("c");
    batch.put("c", "3");
    commit(store, batch);
    assert_eq!(rows(store).unwrap(), [(b"a".to_vec(), b"2".to_vec()), (b"c".to_vec(), b"3".to_vec())]);
}

fn around_the_chunk_limits() -> Vec<usize> {
    let chunk = limits::CHUNK_BYTES;
    let mut sizes = vec![0, 1];
    for edge in [chunk, 2 * chunk, 64 * 1024, 4 * 64 * 1024] {
        sizes.extend([edge - 1, edge, edge + 1]);
    }
    sizes
}

fn long_values_are_one_row(store: &dyn Store) {
    let sizes = around_the_chunk_limits();
    let value = |size: &usize| noise(*size as u64, *size);
    commit(store, puts(sizes.iter().map(|size| (format!("{size:08}"), value(size)))));
    for size in &sizes {
        let key = format!("{size:08}");
        assert_eq!(store.get(key.as_bytes()).unwrap(), Some(value(size)), "{size} bytes");
    }
    for reverse in [false, true] {
        let mut found = store.scan(b"0", b"1", reverse, usize::MAX).unwrap();
        if reverse {
            found.reverse();
        }
        let found: Vec<usize> = found.iter().map(|(_, value)| value.len()).collect();
        let mut expected = sizes.clone();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(found, expected);
    }
}

fn a_value_may_grow_and_shrink_across_the_chunk_limit(store: &dyn Store) {
    let sizes = around_the_chunk_limits();
    let orders = sizes.iter().flat_map(|a| sizes.iter().map(move |b| (*a, *b)));
    for (seed, (before, after)) in (0..).zip(orders) {
        commit(store, puts([("row", noise(seed, before)), ("row2", noise(seed + 1, after))]));
        commit(store, puts([("row", noise(seed + 2, after))]));
        assert_eq!(store.get(b"row").unwrap(), Some(noise(seed + 2, after)), "{before} to {after} bytes");
        assert_eq!(rows(store).unwrap().len(), 2);
        commit(store, deletes(["row", "row2"]));
        assert_eq!(rows(store).unwrap(), []);
    }
}

fn an_old_epoch_is_fenced_and_its_group_is_not(store: &dyn Store) {
    let (lost, kept) = (ShardId(3), ShardId(65_535));
    let old = store.acquire_shard(lost).unwrap();
    let kept_epoch = store.acquire_shard(kept).unwrap();
    let new = store.acquire_shard(lost).unwrap();
    assert!(new > old);
    let batch = |shard, epoch, key: &str| Batch {
        ops: vec![Op::Put { key: key.into(), value: b"x".to_vec() }],
        ..Batch::new(shard, epoch)
    };
    let results = store.commit(&[batch(kept, kept_epoch, "a"), batch(lost, old, "b"), batch(lost, new, "c")]).unwrap();
    assert!(
        matches!(
            &results[..],
            [Ok(()), Err(StoreError::Fenced { shard: ShardId(3), epoch, current }), Ok(())]
            if (*epoch, *current) == (old, new)
        ),
        "{results:?}"
    );
    assert_eq!(store.get(b"b").unwrap(), None);
    assert_eq!(rows(store).unwrap().len(), 2);
}

fn an_epoch_that_was_never_granted_is_refused(store: &dyn Store) {
    let mut batch = Batch::new(ShardId(9), 1);
    batch.put("a", "1");
    let results = store.commit(&[batch]).unwrap();
    assert!(matches!(&results[..], [Err(StoreError::Fenced { current: 0, .. })]), "{results:?}");
    assert_eq!(rows(store).unwrap(), []);
}

fn what_is_too_large_is_refused_whole(store: &dyn Store) {
    let long_key = puts([(vec![b'k'; limits::KEY_BYTES_MAX + 1], "x"), (b"beside".to_vec(), "x")]);
    let longest_key = puts([(vec![0xff; limits::KEY_BYTES_MAX], "x")]);
    let large_value = puts([("a", vec![0; limits::VALUE_BYTES_MAX + 1])]);
    let results = store.commit(&[long_key, longest_key, large_value]).unwrap();
    assert!(
        matches!(&results[..], [Err(StoreError::TooLarge { .. }), Ok(()), Err(StoreError::TooLarge { .. })]),
        "{results:?}"
    );
    assert_eq!(rows(store).unwrap(), [(vec![0xff; limits::KEY_BYTES_MAX], b"x".to_vec())]);
}

fn a_group_is_applied_in_order(store: &dyn Store) {
    let results = store
        .commit(&[puts([("a", "1"), ("b", "1")]), puts([("a", "2")]), deletes(["b"]), Batch::new(support::SHARD, 0)])
        .unwrap();
    assert!(matches!(&results[..], [Ok(()), Ok(()), Ok(()), Ok(())]), "{results:?}");
    assert_eq!(rows(store).unwrap(), [(b"a".to_vec(), b"2".to_vec())]);
}
