//! What comes while a run is at work: it reaches the run that it was meant for.

mod common;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use common::{WAIT, closed, events, guest, open, result, run, signal, start};
use mainspring_api::{
    enums::EventType,
    history::history_event::Attributes,
    update::{Input, Request},
};
use mainspring_core::{Rejection, cancel::CancelRequest, update};
use mainspring_engine::{Engine, EngineError, UpdateStage, verify};
use mainspring_store::{MemoryStore, Store};

const NOTES: usize = 40;

async fn with_traffic() -> (Arc<dyn Store>, Engine) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    engine.deploy_module("default", "tests", guest("guest_traffic.wasm")).await.unwrap();
    (store, engine)
}

async fn finish(store: Arc<dyn Store>, engine: Engine) {
    engine.shutdown().await;
    drop(engine);
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());
}

/// The workflow takes what is there and goes on in another run: most signals come while it is doing so.
#[tokio::test(flavor = "multi_thread")]
async fn signals_that_wait_for_a_run_find_the_one_that_it_goes_on_in() {
    let (store, engine) = with_traffic().await;
    engine.start_workflow("default", start("collector", "Collector", &[&NOTES.to_string()])).await.unwrap();
    let notes: Vec<String> = (0..NOTES).map(|number| format!("note {number}")).collect();
    let sending = notes.iter().map(|note| {
        let (engine, note) = (engine.clone(), signal("note", &format!("\"{note}\"")));
        tokio::spawn(async move { engine.signal_workflow("default", run("collector"), note).await })
    });
    for sent in sending.collect::<Vec<_>>() {
        sent.await.unwrap().expect("the workflow is open, in whichever run");
    }
    let taken = result(&engine, "collector").await;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for note in taken.trim_matches(['[', ']']).split(',') {
        *counts.entry(note.trim_matches('"')).or_default() += 1;
    }
    assert_eq!(counts, notes.iter().map(|note| (note.as_str(), 1)).collect());
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_cancel_that_was_taken_is_not_lost_when_the_run_goes_on_in_another() {
    let (store, engine) = with_traffic().await;
    for number in 0..20 {
        let id = format!("collector-{number}");
        engine.start_workflow("default", start(&id, "Collector", &["1000"])).await.unwrap();
        let signaling = engine.signal_workflow("default", run(&id), signal("note", "\"go on\""));
        let canceling = engine.request_cancel_workflow("default", run(&id), CancelRequest::default());
        let (_, canceled) = tokio::join!(signaling, canceling);
        canceled.unwrap();
        let end = tokio::time::timeout(WAIT, closed(&engine, &id)).await.expect("it ends");
        assert!(matches!(end, Attributes::WorkflowExecutionCanceledEventAttributes(_)), "{end:?}");
    }
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_starts_or_finds_a_workflow_is_taken_while_that_goes_on_in_another_run() {
    let (store, engine) = with_traffic().await;
    let sending = (0..NOTES).map(|number| {
        let (engine, note) = (engine.clone(), signal("note", &format!("\"note {number}\"")));
        let mut start = start("collector", "Collector", &[&NOTES.to_string()]);
        start.request_id = format!("start {number}");
        start.conflict_policy = mainspring_api::enums::WorkflowIdConflictPolicy::UseExisting;
        tokio::spawn(async move { engine.signal_with_start("default", start, note).await })
    });
    for sent in sending.collect::<Vec<_>>() {
        sent.await.unwrap().expect("it starts a run or finds one");
    }
    let taken = result(&engine, "collector").await;
    assert_eq!(taken.matches("note").count(), NOTES, "{taken}");
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_sent_again_is_known_also_when_its_run_has_gone_on_in_another() {
    let (store, engine) = with_traffic().await;
    let first = engine.start_workflow("default", start("collector", "Collector", &["2"])).await.unwrap();
    engine.signal_workflow("default", run("collector"), signal("note", "\"1\"")).await.unwrap();
    let gone_on = async |engine: &Engine| {
        while engine.describe_workflow("default", run("collector")).await.unwrap().info.execution.unwrap().run_id
            == first.run_id
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, gone_on(&engine)).await.expect("it goes on in another run");
    let again = engine.start_workflow("default", start("collector", "Collector", &["2"])).await.unwrap();
    assert_eq!((again.run_id.as_str(), again.started), (first.run_id.as_str(), true));
    // The same when nothing of it is in memory, and when it has ended.
    engine.shutdown().await;
    drop(engine);
    let engine = open(&store);
    let again = engine.start_workflow("default", start("collector", "Collector", &["2"])).await.unwrap();
    assert_eq!(again.run_id, first.run_id);
    engine.signal_workflow("default", run("collector"), signal("note", "\"2\"")).await.unwrap();
    result(&engine, "collector").await;
    let again = engine.start_workflow("default", start("collector", "Collector", &["2"])).await.unwrap();
    assert_eq!(again.run_id, first.run_id);
    assert_eq!(engine.count_workflows("default", "").await.unwrap().count, 2);
    finish(store, engine).await;
}

/// Updates that were not accepted are in memory alone. Nobody may wait for one that is there no longer.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_forgotten_with_its_run_is_aborted() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    // Without a module the run waits, and the update with it.
    engine.start_workflow("default", start("waiting", "Hub", &[])).await.unwrap();
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move {
            let request = deposit("one");
            engine.update_workflow("default", run("waiting"), request, UpdateStage::Accepted, 10 * WAIT).await
        }
    });
    let others = async || {
        // More than the shards keep in memory.
        for number in 0..400 {
            engine.start_workflow("default", start(&format!("other-{number}"), "Hub", &[])).await.unwrap();
        }
    };
    others().await;
    let told = tokio::time::timeout(WAIT, waiting).await.expect("it is told").unwrap();
    assert!(matches!(told, Err(EngineError::Rejected(Rejection::Unavailable(_)))), "{told:?}");
    finish(store, engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_are_answered_though_their_tasks_fail_and_the_engine_restarts_in_between() {
    let (store, engine) = with_traffic().await;
    engine.start_workflow("default", start("hub", "Hub", &["\"nobody\"", "1"])).await.unwrap();
    let accepted =
        engine.update_workflow("default", run("hub"), deposit("kept"), UpdateStage::Accepted, WAIT).await.unwrap();
    assert!(accepted.stage >= UpdateStage::Accepted, "{accepted:?}");
    engine.shutdown().await;
    drop(engine);
    let engine = open(&store);
    let polled = engine.poll_update("default", run("hub"), "kept".into(), UpdateStage::Completed, WAIT).await.unwrap();
    assert_eq!(polled.stage, UpdateStage::Completed);
    // The same update again is the same update.
    let again =
        engine.update_workflow("default", run("hub"), deposit("kept"), UpdateStage::Completed, WAIT).await.unwrap();
    assert_eq!(again.outcome, polled.outcome);
    let accepted = events(&engine, run("hub")).await.into_iter().map(|event| event.event_type());
    assert_eq!(accepted.filter(|kind| *kind == EventType::WorkflowExecutionUpdateAccepted).count(), 1);
    finish(store, engine).await;
}

/// The runs that were deleted have things on their way to others when they are, and get answers afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_for_a_run_that_is_deleted_does_not_bring_it_back() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    engine.deploy_module("default", "tests", guest("guest_kitchen.wasm")).await.unwrap();
    for number in 0..30 {
        let (parent, child) = (format!("parent-{number}"), format!("\"child-{number}\""));
        engine.start_workflow("default", start(&parent, "LeavesAChild", &[&child, "\"terminate\""])).await.unwrap();
        closed(&engine, &parent).await;
        engine.delete_workflow("default", run(&parent)).await.unwrap();
        let gone = engine.describe_workflow("default", run(&parent)).await;
        assert!(matches!(gone, Err(EngineError::WorkflowNotFound { .. })), "{gone:?}");
    }
    for number in 0..30 {
        let end = closed(&engine, &format!("child-{number}")).await;
        assert!(matches!(end, Attributes::WorkflowExecutionTerminatedEventAttributes(_)), "{end:?}");
    }
    assert_eq!(engine.count_workflows("default", "").await.unwrap().count, 30);
    finish(store, engine).await;
}

fn deposit(id: &str) -> Request {
    let mut args = common::json(&format!("\"{id}\""));
    args.payloads.extend(common::json("30").payloads);
    update::request(id, "test", Input { name: "deposit".into(), args: Some(args), ..Input::default() })
}
