//! Quotas, fairness and usage on a whole engine.

mod common;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use common::{WAIT, closed, guest, json, result, run, signal, start};
use mainspring_api::{enums::ResourceExhaustedCause as Cause, history::history_event::Attributes};
use mainspring_core::activity::{ActivityOutcome, ActivityRef};
use mainspring_engine::{
    ActivityTarget, ActivityTask, Engine, EngineConfig, EngineError, HostedLimits, Observed, Quota, RequestKind,
    RunRef, SecretKey, Usage,
};
use mainspring_sandbox::{Sandbox, SandboxConfig};
use mainspring_store::{MemoryStore, Store};

const NAMESPACES: [&str; 2] = ["default", "hostile"];
/// A loop without end takes some hundredths of a second until it has used up this.
const FUEL: u64 = 20_000_000;

fn open(store: &Arc<dyn Store>, quota: Quota) -> Engine {
    let config = EngineConfig {
        shards: 2,
        namespaces: NAMESPACES.map(Into::into).into(),
        activation_threads: 2,
        runs_in_memory_per_shard: 100,
        quota,
        hosted: HostedLimits::default(),
        secret_key: SecretKey::new([7; 32]),
        observed: Observed::default(),
    };
    let compiled = concat!(env!("CARGO_TARGET_TMPDIR"), "/engine-compiled");
    let mut sandbox = SandboxConfig { cache_dir: Some(compiled.into()), ..SandboxConfig::default() };
    sandbox.limits.fuel_per_activation = FUEL;
    Engine::open(Arc::clone(store), Sandbox::new(sandbox).unwrap(), config).unwrap()
}

/// An engine with the kitchen on "tests" of both namespaces.
async fn kitchen() -> (Engine, Arc<dyn Store>) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store, Quota::default());
    for namespace in NAMESPACES {
        engine.deploy_module(namespace, "tests", guest("guest_kitchen.wasm")).await.unwrap();
    }
    (engine, store)
}

async fn set(engine: &Engine, name: &str, value: u64) {
    let changes = BTreeMap::from([(name.to_owned(), Some(value))]);
    assert_eq!(engine.set_quota("default", changes).await.unwrap().overrides[name], value);
}

async fn lift(engine: &Engine) {
    assert!(engine.reset_quota("default").await.unwrap().overrides.is_empty());
}

fn usage(engine: &Engine) -> Usage {
    engine.usage_of("default").unwrap()
}

/// What a restart must not change.
fn stored(usage: &Usage) -> [u64; 6] {
    [
        usage.open_runs,
        usage.history_bytes,
        usage.store_bytes,
        usage.modules,
        usage.module_bytes,
        usage.started_activities,
    ]
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, EngineError>, quota: &str, cause: Cause) {
    match outcome {
        Err(EngineError::QuotaExceeded(exceeded)) => assert_eq!((exceeded.quota, exceeded.cause), (quota, cause)),
        other => panic!("not refused because of {quota}: {other:?}"),
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + WAIT;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn count(workflow_id: &str) -> mainspring_core::workflow::StartWorkflow {
    start(workflow_id, "SignalCounter", &["1"])
}

async fn poll(engine: &Engine, wait: Duration) -> Option<ActivityTask> {
    engine.poll_activity("default", "tests", "test", wait).await.unwrap()
}

async fn complete(engine: &Engine, task: &ActivityTask) {
    let run = RunRef { workflow_id: task.workflow_id.clone(), run_id: task.run_id.clone(), ..RunRef::default() };
    let activity = ActivityRef::Attempt { scheduled_event_id: task.scheduled_event_id, attempt: task.attempt };
    let outcome = ActivityOutcome::Completed(Some(json("1")));
    engine.end_activity("default", ActivityTarget { run, activity }, outcome, "test").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn open_runs_have_a_bound_that_a_restart_does_not_forget() {
    let (engine, store) = kitchen().await;
    set(&engine, "open_runs", 2).await;
    engine.start_workflow("default", count("a")).await.unwrap();
    engine.start_workflow("default", count("b")).await.unwrap();
    refused(engine.start_workflow("default", count("c")).await, "open_runs", Cause::ConcurrentLimit);
    // The same start again makes no run, and the neighbour has its own.
    assert!(engine.start_workflow("default", count("a")).await.is_ok());
    assert!(engine.start_workflow("hostile", count("c")).await.is_ok());
    engine.shutdown().await;
    drop(engine);

    let engine = open(&store, Quota::default());
    assert_eq!(usage(&engine).open_runs, 2);
    refused(engine.start_workflow("default", count("c")).await, "open_runs", Cause::ConcurrentLimit);
    engine.terminate_workflow("default", run("a"), "test", None, "test").await.unwrap();
    engine.start_workflow("default", count("c")).await.unwrap();
    lift(&engine).await;
    engine.start_workflow("default", count("d")).await.unwrap();
    assert_eq!((usage(&engine).open_runs, usage(&engine).refused["open_runs"]), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn children_wait_for_room_among_the_open_runs() {
    let (engine, _) = kitchen().await;
    set(&engine, "open_runs", 2).await;
    engine.start_workflow("default", start("parent", "SumOfChildren", &["[1, 2, 3, 4]"])).await.unwrap();
    assert_eq!(result(&engine, "parent").await, "20");
    assert_eq!(usage(&engine).open_runs, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_counted_alike_by_the_steps_and_by_a_restart() {
    let (engine, store) = kitchen().await;
    engine.start_workflow("default", start("fan", "FanOut", &["\"work\"", "3"])).await.unwrap();
    let (first, _second) = (poll(&engine, WAIT).await.unwrap(), poll(&engine, WAIT).await.unwrap());
    complete(&engine, &first).await;
    engine.start_workflow("default", count("closed")).await.unwrap();
    engine.signal_workflow("default", run("closed"), signal("tick", "1")).await.unwrap();
    closed(&engine, "closed").await;
    engine.start_workflow("default", count("deleted")).await.unwrap();
    engine.delete_workflow("default", run("deleted")).await.unwrap();
    let before = usage(&engine);
    assert_eq!((before.open_runs, before.started_activities, before.modules), (1, 1, 1));
    assert!(before.history_bytes > 0 && before.store_bytes > before.history_bytes + before.module_bytes);
    let (events, activations) = (before.events, before.activations);
    assert!(events >= 10 && activations >= 2 && before.fuel > 0 && before.cached_instances > 0, "{before:?}");
    engine.shutdown().await;
    drop(engine);

    let engine = open(&store, Quota::default());
    assert_eq!(stored(&usage(&engine)), stored(&before));
    // And goes down to nothing with what is deleted.
    for workflow in ["fan", "closed"] {
        engine.delete_workflow("default", run(workflow)).await.unwrap();
    }
    let after = usage(&engine);
    assert_eq!((after.open_runs, after.history_bytes, after.started_activities), (0, 0, 0));
    assert_eq!(after.store_bytes, after.module_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_stores_too_much_takes_nothing_new_and_its_workflows_rest() {
    let (engine, _) = kitchen().await;
    engine.start_workflow("default", count("a")).await.unwrap();
    set(&engine, "history_bytes", 1).await;
    let full = Cause::PersistenceStorageLimit;
    refused(engine.start_workflow("default", count("b")).await, "history_bytes", full);
    refused(engine.signal_workflow("default", run("a"), signal("tick", "1")).await, "history_bytes", full);
    // What makes room is not refused; nor is what was under way, but its workflow rests.
    lift(&engine).await;
    engine.start_workflow("default", start("fan", "FanOut", &["\"work\"", "1"])).await.unwrap();
    let task = poll(&engine, WAIT).await.unwrap();
    set(&engine, "history_bytes", 1).await;
    complete(&engine, &task).await;
    assert!(engine.describe_workflow("default", run("fan")).await.unwrap().pending_workflow_task.is_some());
    lift(&engine).await;
    assert_eq!(result(&engine, "fan").await, "[1]");
    set(&engine, "store_bytes", 1).await;
    refused(engine.start_workflow("default", count("b")).await, "store_bytes", full);
    engine.delete_workflow("default", run("fan")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_starts_have_rates() {
    let (engine, _) = kitchen().await;
    set(&engine, "starts_per_second", 0).await;
    refused(engine.start_workflow("default", count("a")).await, "starts_per_second", Cause::RpsLimit);
    set(&engine, "visibility_requests_per_second", 0).await;
    refused(engine.admit("default", RequestKind::Visibility), "visibility_requests_per_second", Cause::RpsLimit);
    engine.admit("default", RequestKind::Execution).unwrap();
    engine.admit("hostile", RequestKind::Visibility).unwrap();
    engine.admit("nowhere", RequestKind::Visibility).unwrap();
    lift(&engine).await;
    engine.admit("default", RequestKind::Visibility).unwrap();
    engine.start_workflow("default", count("a")).await.unwrap();
    let usage = usage(&engine);
    assert_eq!((usage.requests_refused["visibility"], usage.requests["visibility"]), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_have_a_number_and_a_size() {
    let (engine, _) = kitchen().await;
    set(&engine, "modules", 1).await;
    let hostile = guest("guest_hostile.wasm");
    refused(engine.deploy_module("default", "other", hostile.clone()).await, "modules", Cause::ConcurrentLimit);
    // One that is there already takes nothing more.
    engine.deploy_module("default", "other", guest("guest_kitchen.wasm")).await.unwrap();
    lift(&engine).await;
    set(&engine, "module_bytes", usage(&engine).module_bytes + 1).await;
    let deployed = engine.deploy_module("default", "other", hostile.clone()).await;
    refused(deployed, "module_bytes", Cause::PersistenceStorageLimit);
    lift(&engine).await;
    engine.deploy_module("default", "other", hostile).await.unwrap();
    assert_eq!(usage(&engine).modules, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_that_are_too_large_are_refused_for_good() {
    let (engine, _) = kitchen().await;
    set(&engine, "payload_bytes", 1_000).await;
    let large = format!("\"{}\"", "x".repeat(2_000));
    for refused in [
        engine.start_workflow("default", start("a", "Echo", &[&large])).await.map(drop),
        engine.signal_workflow("default", run("a"), signal("tick", &large)).await,
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("payload_bytes") && error.contains("1000"), "{error}");
    }
    // What a workflow itself makes of it fails its task, until there is room for it.
    engine.start_workflow("default", start("bytes", "Bytes", &["2000"])).await.unwrap();
    let failed = async || {
        let events = common::events(&engine, run("bytes")).await;
        events.into_iter().find_map(|event| match event.attributes {
            Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => failed.failure,
            _ => None,
        })
    };
    let failure = loop {
        match failed().await {
            Some(failure) => break failure,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(failure.message.contains("payload_bytes"), "{failure:?}");
    lift(&engine).await;
    closed(&engine, "bytes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_have_so_many_activities_at_once() {
    let (engine, _) = kitchen().await;
    set(&engine, "concurrent_activities", 1).await;
    engine.start_workflow("default", start("fan", "FanOut", &["\"work\"", "2"])).await.unwrap();
    let first = poll(&engine, WAIT).await.unwrap();
    assert!(poll(&engine, Duration::from_millis(50)).await.is_none());
    assert_eq!(engine.describe_activity_queue("default", "tests").unwrap().backlog.tasks, 1);
    // A poll that waits gets it as soon as there is room.
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { poll(&engine, WAIT).await }
    });
    complete(&engine, &first).await;
    let second = waiting.await.unwrap().unwrap();
    complete(&engine, &second).await;
    assert_eq!(result(&engine, "fan").await, "[1,1]");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_has_burnt_its_fuel_waits_and_nobody_else_does() {
    let (engine, _) = kitchen().await;
    set(&engine, "fuel_per_second", 1).await;
    engine.start_workflow("default", count("a")).await.unwrap();
    until("the first activation has used fuel", || usage(&engine).fuel > 0).await;
    engine.signal_workflow("default", run("a"), signal("tick", "7")).await.unwrap();
    until("the second one waits", || usage(&engine).waiting_activations == 1).await;
    engine.start_workflow("hostile", start("neighbour", "Echo", &["5"])).await.unwrap();
    until("the neighbour has run", || engine.usage_of("hostile").unwrap().open_runs == 0).await;
    assert_eq!((usage(&engine).waiting_activations, usage(&engine).activations), (1, 1));
    // What waits for its turn can be ended, and need not have it for that.
    engine.start_workflow("default", count("b")).await.unwrap();
    engine.terminate_workflow("default", run("b"), "test", None, "test").await.unwrap();
    assert_eq!((usage(&engine).open_runs, usage(&engine).activations), (1, 1));
    // By a start that takes its place, too.
    engine.start_workflow("default", count("c")).await.unwrap();
    let mut instead = count("c");
    instead.conflict_policy = mainspring_api::enums::WorkflowIdConflictPolicy::TerminateExisting;
    assert!(engine.start_workflow("default", instead).await.unwrap().started);
    engine.delete_workflow("default", run("c")).await.unwrap();
    assert_eq!((usage(&engine).open_runs, usage(&engine).activations), (1, 1));
    lift(&engine).await;
    assert_eq!(result(&engine, "a").await, "[7]");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_guest_are_the_namespaces_own() {
    let (engine, _) = kitchen().await;
    engine.deploy_module("default", "hostile", guest("guest_hostile.wasm")).await.unwrap();
    let allocate = |workflow_id: &str| {
        let mut start = start(workflow_id, "AllocateAtOnce", &["2"]);
        start.task_queue = "hostile".into();
        start
    };
    set(&engine, "instance_memory_bytes", 3 << 20).await;
    engine.start_workflow("default", allocate("a")).await.unwrap();
    until("the task has failed", || usage(&engine).activations > 0).await;
    let failed = loop {
        let events = common::events(&engine, run("a")).await;
        let failure = events.into_iter().find_map(|event| match event.attributes {
            Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => failed.failure,
            _ => None,
        });
        match failure {
            Some(failure) => break failure,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(failed.message.contains("3145728"), "{}", failed.message);
    lift(&engine).await;
    // At its next attempt, without a deployment.
    assert_eq!(result(&engine, "a").await, "2097152");
    // And fuel: with the least, nothing gets through its first instruction.
    set(&engine, "fuel_per_activation", 1).await;
    let before = usage(&engine).activations;
    engine.start_workflow("default", allocate("b")).await.unwrap();
    until("another task has failed", || usage(&engine).activations > before).await;
    lift(&engine).await;
    assert_eq!(result(&engine, "b").await, "2097152");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_beyond_the_quota_are_dropped_and_the_workflow_goes_on() {
    let (engine, _) = kitchen().await;
    engine.start_workflow("default", start("a", "Log", &["\"hello\""])).await.unwrap();
    closed(&engine, "a").await;
    let before = usage(&engine);
    assert!(before.log_bytes > 0 && before.log_bytes_dropped == 0, "{before:?}");
    set(&engine, "log_bytes_per_second", 0).await;
    engine.start_workflow("default", start("b", "Log", &["\"hello\""])).await.unwrap();
    closed(&engine, "b").await;
    let after = usage(&engine);
    assert_eq!((after.log_bytes, after.log_bytes_dropped), (before.log_bytes, before.log_bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_neighbours_backlog_makes_nobody_wait() {
    let (engine, _) = kitchen().await;
    engine.deploy_module("hostile", "loops", guest("guest_hostile.wasm")).await.unwrap();
    for number in 0..200 {
        let mut start = start(&format!("loop-{number}"), "LoopForever", &[]);
        start.task_queue = "loops".into();
        let engine = engine.clone();
        tokio::spawn(async move { engine.start_workflow("hostile", start).await.map(drop) });
    }
    let hostile = || engine.usage_of("hostile").unwrap();
    until("a long queue", || hostile().waiting_activations > 100).await;
    // Ten turns, one after the other, of a workflow next door, while hardly any of the loops has had its first.
    engine.start_workflow("default", start("chain", "Chain", &["10", "1"])).await.unwrap();
    assert_eq!(result(&engine, "chain").await, "10");
    let hostile = hostile();
    assert!(hostile.waiting_activations >= 50, "{} of 200 loops wait still", hostile.waiting_activations);
    // Each of them has paid for all that it burnt before it was stopped.
    assert!(hostile.fuel >= hostile.activations * FUEL, "{hostile:?}");
    // Never more at once than there are threads for one namespace.
    assert!(hostile.running_activations <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_kept_and_what_makes_no_sense_is_refused() {
    let (engine, store) = kitchen().await;
    set(&engine, "weight", 7).await;
    set(&engine, "open_runs", 9).await;
    for (name, value) in [("no_such", Some(1)), ("no_such", None), ("weight", Some(0))] {
        let changes = BTreeMap::from([(name.to_owned(), value), ("modules".to_owned(), Some(3))]);
        let error = engine.set_quota("default", changes).await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    engine.shutdown().await;
    drop(engine);

    let engine = open(&store, Quota { modules: 5, ..Quota::default() });
    let quota = engine.quota("default").unwrap();
    assert_eq!(quota.overrides, BTreeMap::from([("open_runs".into(), 9), ("weight".into(), 7)]));
    assert_eq!((quota.quota.weight, quota.quota.open_runs, quota.quota.modules), (7, 9, 5));
    assert_eq!(quota.quota.fuel_per_activation, FUEL);
    assert_eq!(engine.quota("hostile").unwrap().quota, quota.defaults);
    engine.set_quota("default", BTreeMap::from([("weight".to_owned(), None)])).await.unwrap();
    assert_eq!(engine.quota("default").unwrap().quota.weight, 100);
    assert!(matches!(engine.quota("nowhere"), Err(EngineError::NamespaceNotFound(_))));
}
