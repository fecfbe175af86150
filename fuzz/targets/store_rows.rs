//! Rows of a store, with keys and values of any kind: `mainspring store verify` reads them all, and says what is wrong.
//! The input is rows: two bytes for the length of the key, two for that of the value, both.
#![no_main]

use std::sync::Arc;

use mainspring_fuzz::fuzz_target;
use mainspring_store::{Batch, MemoryStore, ShardId, Store};

fuzz_target!(|data| {
    let (mut rest, mut rows) = (data, Vec::new());
    while let Some((lengths, after)) = rest.split_first_chunk::<4>() {
        let [a, b, c, d] = *lengths;
        let (key, value) = (usize::from(u16::from_le_bytes([a, b])), usize::from(u16::from_le_bytes([c, d])));
        let Some((key, after)) = after.split_at_checked(key) else { break };
        let (value, after) = after.split_at(value.min(after.len()));
        rows.push((key, value));
        rest = after;
    }
    for (key, value) in &rows {
        mainspring_store::fuzzing::record(key, value);
    }
    let store = MemoryStore::new();
    let mut batch = Batch::new(ShardId(0), store.acquire_shard(ShardId(0)).unwrap());
    for (key, value) in rows {
        batch.put(key.to_vec(), value.to_vec());
    }
    // A row that no store takes, such as one without a key, is refused as a whole.
    let Ok(results) = store.commit(&[batch]) else { return };
    if results.iter().any(Result::is_err) {
        return;
    }
    let store: Arc<dyn Store> = Arc::new(store);
    let _ = mainspring_engine::verify(&store);
});
