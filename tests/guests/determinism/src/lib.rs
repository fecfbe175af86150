//! Everything by which a program can tell one run from another, used as if there were no workflow around it. A replay
//! must see the same values.

use std::{
    collections::{HashMap, HashSet, hash_map::RandomState},
    hash::BuildHasher,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use mainspring_workflow::prelude::*;
use rand::RngExt;
use serde_json::{Value, json};

/// What it sees at once, and once more after so many milliseconds.
#[workflow]
async fn everything(milliseconds: u64) -> WorkflowResult<Vec<Value>> {
    let start = Instant::now();
    let before = see(start)?;
    sleep(Duration::from_millis(milliseconds)).await?;
    Ok(vec![before, see(start)?])
}

/// Schedules the activity `compare` with what it sees, so that a difference shows as a divergent command.
#[workflow]
async fn in_commands(rounds: u32) -> WorkflowResult<()> {
    let start = Instant::now();
    for _ in 0..rounds {
        let seen = see(start)?;
        activity::<Value>("compare").arg(seen).start_to_close_timeout(Duration::from_secs(10)).await?;
    }
    Ok(())
}

fn see(start: Instant) -> WorkflowResult<Value> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).or_fail("getrandom")?;
    let map: HashMap<String, usize> = (0..50).map(|number| (format!("key {number}"), number)).collect();
    let set: HashSet<u64> = (0..50).collect();
    let mut generator = rand::rng();
    // Addresses are part of what a program can see; they depend on all that it has allocated.
    let address = std::ptr::from_ref(&*Box::new(1u8)).addr();
    Ok(json!({
        "system_time_ns": nanoseconds(SystemTime::now())?,
        "instant_ns": start.elapsed().as_nanos() as u64,
        "hash_map": map.keys().collect::<Vec<_>>(),
        "hash_set": set.iter().collect::<Vec<_>>(),
        "hash": RandomState::new().hash_one("text"),
        "getrandom": bytes,
        "rand_u64": rand::random::<u64>(),
        "rand_range": generator.random_range(0..1_000_000),
        "uuid": uuid::Uuid::new_v4().to_string(),
        "address": address,
        "sdk_now_ns": nanoseconds(now())?,
        "sdk_u64": random().u64(),
        "sdk_uuid": uuid4(),
    }))
}

fn nanoseconds(time: SystemTime) -> WorkflowResult<u64> {
    Ok(time.duration_since(UNIX_EPOCH)?.as_nanos() as u64)
}

mainspring_workflow::export!(everything, in_commands);
