//! The scratch directory of an activity: what `std::fs` makes of it, its bounds, and that nothing lies beyond it.

use std::time::Duration;

use mainspring_core::limits::activity::SCRATCH_FILES;
use mainspring_sandbox::{ActivityEnd, ActivityLimits, Grants};
use serde_json::{Value, json};

use crate::activity_world::World;

/// What a guest is told where there is no room: ENOSPC of WASI's C library.
const NO_SPACE: i64 = 51;
/// EIO, which is what that library makes of any write that fails: it does not ask the host for the reason.
const NOT_WRITTEN: i64 = 29;

fn scratch(bytes: u64, limits: ActivityLimits) -> World {
    World::granted(limits, Grants { scratch_bytes: bytes, ..Grants::default() })
}

fn mib(mib: u64) -> World {
    scratch(mib << 20, ActivityLimits::default())
}

/// Takes all that there is of something; gives how much that was.
fn exhaust(world: &World, what: &str, error: i64) -> u64 {
    let end = world.result("scratch_exhaust", json!(what));
    assert_eq!((&end["error"][0], &end["after"]), (&json!(error), &json!("fine")), "{what}: {end}");
    end["taken"].as_u64().unwrap()
}

#[test]
fn files_and_directories_are_as_on_a_disk() {
    assert_eq!(mib(4).result("scratch_use", json!(null)), "as on a disk");
}

#[test]
fn without_a_grant_there_is_no_directory() {
    let world = World::new(ActivityLimits::default());
    let found = world.result("scratch_look", json!(null));
    assert!(found["error"].is_string(), "{found}");
    // Nor where the operator has none.
    let limits = ActivityLimits { scratch_bytes: 0, ..ActivityLimits::default() };
    let found = scratch(1 << 20, limits).result("scratch_look", json!(null));
    assert!(found["error"].is_string(), "{found}");
}

#[test]
fn each_attempt_has_its_own_and_finds_it_empty() {
    let world = mib(1);
    for words in ["one two one", "three"] {
        let counted = world.result("scratch_count", json!(words));
        let expected = if words == "three" { json!([["three", 1]]) } else { json!([["one", 2], ["two", 1]]) };
        assert_eq!(counted, expected);
        assert_eq!(world.result("scratch_look", json!(null)), json!([]));
    }
}

#[test]
fn no_path_and_no_link_leads_out() {
    let tried = mib(1).result("scratch_escape", json!(null));
    let tried = tried.as_object().unwrap();
    assert_eq!(tried.len(), 35);
    for (what, answer) in tried {
        assert!(answer.as_str().unwrap().starts_with("refused"), "{what}: {answer}");
    }
}

#[test]
fn bytes_have_a_bound_however_they_are_taken() {
    let world = mib(2);
    for (what, at_most, error) in
        [("bytes", 2 << 20, NOT_WRITTEN), ("holes", 2 << 20, NO_SPACE), ("terabytes", 0, NO_SPACE)]
    {
        let taken = exhaust(&world, what, error);
        assert!(taken <= at_most && taken >= at_most / 2, "{what}: {taken}");
    }
    // Each takes a block for itself and one for what is in it, whether or not it has a name still.
    assert_eq!(exhaust(&world, "nameless", NO_SPACE), 256);
}

#[test]
fn so_have_files_directories_names_and_depth() {
    let world = mib(64);
    for what in ["files", "names", "directories"] {
        assert_eq!(exhaust(&world, what, NO_SPACE), SCRATCH_FILES as u64, "{what}");
    }
    // In less room there are fewer.
    assert_eq!(exhaust(&mib(1), "names", NO_SPACE), 256);
    let end = world.result("scratch_exhaust", json!("depth"));
    assert!(end["error"].is_array() && end["taken"].as_u64().unwrap() < SCRATCH_FILES as u64, "{end}");
    let end = world.result("scratch_exhaust", json!("descriptors"));
    assert!(end["error"].is_array() && end["after"] == "fine", "{end}");
}

#[test]
fn all_attempts_share_what_the_server_has() {
    let limits = ActivityLimits { scratch_total_bytes: 1 << 20, ..ActivityLimits::default() };
    let world = scratch(64 << 20, limits);
    for _ in 0..3 {
        // What one took is there again for the next.
        let taken = exhaust(&world, "bytes", NOT_WRITTEN);
        assert!(taken > 900_000 && taken <= 1 << 20, "{taken}");
    }
    // Also what was left by one that was stopped, and by one that trapped.
    let stopped = world.within(Duration::from_millis(300));
    assert!(matches!(stopped.run("scratch_hold", json!([900_000, "wait"])), ActivityEnd::Over));
    let world = stopped.within(Duration::from_secs(60));
    let (failure_type, _) = world.failure("scratch_hold", json!([900_000, "panic"]));
    assert_eq!(failure_type, "Trap");
    assert!(exhaust(&world, "bytes", NOT_WRITTEN) > 900_000);
}

#[test]
fn one_attempt_sees_nothing_of_another_that_runs() {
    let world = mib(1);
    std::thread::scope(|scope| {
        let looks: Vec<_> = (0..4)
            .map(|number| {
                let words = format!("word-{number} word-{number}");
                let world = &world;
                scope.spawn(move || (number, world.result("scratch_count", json!(words))))
            })
            .collect();
        for look in looks {
            let (number, counted): (i32, Value) = look.join().unwrap();
            assert_eq!(counted, json!([[format!("word-{number}"), 2]]));
        }
    });
}
