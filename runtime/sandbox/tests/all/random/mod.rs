//! Random programs under random events: a run does the same whether its instance was kept, evicted or replayed.

mod program;
mod world;

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::{
    prelude::*,
    test_runner::{FileFailurePersistence, TestRunner},
};

use self::{
    program::program,
    world::{Input, News, World},
};
use crate::support::{sandbox, shared};

fn news() -> impl Strategy<Value = News> {
    let which = any::<usize>;
    prop_oneof![
        4 => any::<u8>().prop_map(News::Signal),
        1 => Just(News::Cancel),
        4 => any::<u8>().prop_map(News::Update),
        5 => (0..6_000_u32).prop_map(News::Wait),
        6 => (which(), any::<u8>()).prop_map(|(which, how)| News::EndActivity(which, how)),
        8 => (which(), prop::bool::weighted(0.8)).prop_map(|(which, well)| News::Answer(which, well)),
        5 => (which(), any::<u8>()).prop_map(|(which, how)| News::EndChild(which, how)),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    let meanwhile = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(news(), 1..3)];
    prop_oneof![
        12 => meanwhile.prop_map(Input::Turn),
        20 => news().prop_map(Input::News),
        2 => Just(Input::Evict),
        2 => Just(Input::Query),
        1 => Just(Input::LoseTask),
        1 => Just(Input::Crash),
    ]
}

#[test]
fn a_run_does_the_same_whether_its_instance_was_kept_evicted_or_replayed() {
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/all/random.proptest-regressions"))),
        source_file: Some(file!()),
        ..ProptestConfig::with_cases(500)
    });
    let (replays, _) = sandbox(|_| {});
    let (chains, turns, cached) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let tested = runner.run(&(program(), prop::collection::vec(input(), 0..60)), |(program, inputs)| {
        let chain = chains.fetch_add(1, Ordering::Relaxed);
        let mut world = World::start(shared(), &replays, chain, &program.steps());
        world.take(&Input::Turn(Vec::new()));
        for input in &inputs {
            world.take(input);
        }
        world.check();
        turns.fetch_add(world.turns, Ordering::Relaxed);
        cached.fetch_add(world.cached, Ordering::Relaxed);
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
    let (turns, cached) = (turns.into_inner(), cached.into_inner());
    assert!(turns > 1_000 && cached > 200 && cached < turns, "{turns} turns, {cached} of them on a kept instance");
}
