//! Instances come and go; runs do not notice.

use std::{collections::HashSet, thread};

use mainspring_sandbox::{Activated, Sandbox};
use serde_json::{Value, json};

use crate::support::{Run, sandbox, shared};

fn steps() -> Value {
    json!([
        {"repeat": {"times": 5, "steps": [
            {"observe": "random"}, {"observe": "now"},
            {"activity": {"name": "a", "kind": "work", "input": 1}}, {"timer": {"name": "t", "ms": 100}},
            {"await": "a"}, {"cancel_timer": "t"}, {"observe": "hash_order"}, "await_signal",
        ]}},
    ])
}

/// Runs those steps to their end; `between` may do to the cache what it likes.
fn play(sandbox: &Sandbox, run_id: &str, between: impl Fn(&Run)) -> (Run, Vec<Activated>) {
    let mut run = Run::start_as(sandbox, run_id, "Puppet", steps());
    let mut activated = vec![run.task()];
    for round in 0..5 {
        between(&run);
        run.complete(&(2 * round + 1).to_string(), json!(format!("result {round}")));
        activated.push(run.task());
        between(&run);
        run.signal("next", json!(round));
        activated.push(run.task());
    }
    (run, activated)
}

#[test]
fn eviction_changes_nothing_but_the_time_it_takes() {
    let (kept, kept_tasks) = play(shared(), "run-c", |_| {});
    assert!(kept_tasks[1..].iter().all(|task| task.cached && task.replayed_events == 0));

    let (evicted, evicted_tasks) = play(shared(), "run-c", |run| run.sandbox.evict(&run.key));
    assert!(evicted_tasks.iter().all(|task| !task.cached));
    assert!(evicted_tasks[3].replayed_events > 0);

    assert_eq!(kept.events, evicted.events);
    for (kept, evicted) in kept_tasks.iter().zip(&evicted_tasks) {
        assert_eq!((&kept.commands, kept.fuel_used), (&evicted.commands, evicted.fuel_used));
    }
    kept.replay().unwrap();
}

#[test]
fn a_cached_instance_reads_only_what_is_new() {
    let mut run = Run::start_as(shared(), "run-n", "Puppet", json!(["await_signal", "await_signal"]));
    run.task();
    run.signal("one", json!(1));
    run.begin_task();
    let (activated, read) = run.activate();
    assert!(activated.unwrap().cached);
    // WorkflowTaskCompleted, the signal, WorkflowTaskScheduled, WorkflowTaskStarted.
    assert_eq!(read, 4);
}

#[test]
fn an_instance_whose_task_the_server_did_not_take_is_dropped() {
    let mut run = Run::start_as(shared(), "run-d", "Puppet", json!([{"timers": {"count": 2}}, "await_signal"]));
    run.begin_task();
    let first = run.activate().0.unwrap();
    // The server did not take the commands, and tries again without writing that down.
    let second = run.activate().0.unwrap();
    assert!(!second.cached);
    assert_eq!(first.commands, second.commands);
    // Now it writes it down, with a signal that came meanwhile.
    run.failing_task_by_server();
    run.signal("news", json!(1));
    run.begin_task();
    let third = run.activate().0.unwrap();
    assert!(!third.cached);
    assert_eq!(third.commands.len(), 3);
    run.complete_task(&third.commands);
    run.replay().unwrap();
}

#[test]
fn the_cache_keeps_to_its_count_and_to_its_bytes() {
    let (few, _) = sandbox(|config| config.instance_cache_count = 3);
    let (small, _) = sandbox(|config| config.instance_cache_bytes = 300_000);
    for sandbox in [few, small] {
        let mut runs: Vec<_> = (0..10)
            .map(|index| Run::start_as(&sandbox, &format!("run-{index}"), "Puppet", json!(["await_signal"])))
            .collect();
        for run in &mut runs {
            run.task();
        }
        let stats = sandbox.stats();
        assert!((1..10).contains(&stats.cached_instances), "{stats:?}");
        assert_eq!(stats.evicted_instances, 10 - stats.cached_instances as u64);
        assert!(stats.cached_instance_bytes > 0);
        for run in &mut runs {
            run.signal("go", json!(1));
            run.task();
            assert_eq!(run.result()[0]["input"], json!([1]));
        }
        let stats = sandbox.stats();
        assert_eq!(stats.instantiations, 10 + stats.evicted_instances, "one for each run, and for each eviction");
        assert!(!stats.instantiation_time.is_zero());
        assert_eq!(stats.cached_instances, 0, "runs that are over are not kept");
        assert_eq!(stats.cached_instance_bytes, 0);
    }
}

#[test]
fn runs_on_many_threads_do_not_disturb_each_other() {
    let (sandbox, _) = sandbox(|config| config.instance_cache_count = 4);
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|index| {
                let sandbox = sandbox.clone();
                scope.spawn(move || {
                    let (run, _) = play(&sandbox, &format!("run-{index}"), |_| {});
                    run.replay().unwrap();
                    run.result().to_string()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().collect::<HashSet<_>>().len(), 8);
    for (index, result) in results.iter().enumerate() {
        let (alone, _) = play(shared(), &format!("run-{index}"), |_| {});
        assert_eq!(alone.result().to_string(), *result);
    }
}
