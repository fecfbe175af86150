//! What runs do to each other, on a store whose flushes fail: each of it happens exactly once.

mod common;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use common::{events, guest, open, result, run, start, try_closed};
use mainspring_api::{enums::WorkflowExecutionStatus as Status, history::history_event::Attributes};
use mainspring_core::workflow::StartWorkflow;
use mainspring_engine::{Engine, EngineError, verify};
use mainspring_store::{Fault, FaultStore, MemoryStore, Store};
use proptest::{
    prelude::*,
    test_runner::{FileFailurePersistence, TestRunner},
};

const MESSENGERS: usize = 4;
const FAMILIES: usize = 3;

/// Parents that wait for their children and parents that leave them, a document, and those who tell it something.
fn starts() -> Vec<StartWorkflow> {
    let mut starts = vec![start("document", "Approval", &["1000"])];
    starts.extend((0..FAMILIES).map(|number| start(&format!("sum-{number}"), "SumOfChildren", &["[1,2,3]"])));
    for (id, policy) in [("left-to-terminate", "terminate"), ("left-to-cancel", "cancel"), ("left-alone", "abandon")] {
        starts.push(start(
            &format!("parent-of-{id}"),
            "LeavesAChild",
            &[&format!("\"{id}\""), &format!("\"{policy}\"")],
        ));
    }
    for number in 0..MESSENGERS {
        starts.push(start(&format!("messenger-{number}"), "Messenger", &["\"document\"", "false"]));
    }
    starts
}

/// Starts what there is to start, and waits until all that can end has ended; gives up when the engine fails.
async fn live(engine: &Engine) -> bool {
    let work = async {
        for start in starts() {
            engine.start_workflow("default", start).await?;
        }
        for start in starts().iter().filter(|start| start.workflow_id != "document") {
            try_closed(engine, &start.workflow_id).await?;
        }
        try_closed(engine, "left-to-terminate").await?;
        try_closed(engine, "left-to-cancel").await?;
        Ok::<_, EngineError>(())
    };
    let work = async {
        match work.await {
            Ok(()) => {}
            // The engine has failed, or is about to.
            Err(EngineError::Unavailable(_)) => std::future::pending().await,
            Err(error) => panic!("{error}"),
        }
    };
    tokio::select! {
        () = work => true,
        _ = engine.failed() => false,
    }
}

async fn check(engine: &Engine) {
    for number in 0..FAMILIES {
        assert_eq!(result(engine, &format!("sum-{number}")).await, "12");
    }
    for number in 0..MESSENGERS {
        assert_eq!(result(engine, &format!("messenger-{number}")).await, "\"delivered\"");
    }
    let told = signals(engine, "document").await;
    assert_eq!(told, BTreeMap::from([("\"messenger\"".to_owned(), MESSENGERS)]));
    for (child, status) in [
        ("left-to-terminate", Status::Terminated),
        ("left-to-cancel", Status::Canceled),
        ("left-alone", Status::Running),
    ] {
        let info = engine.describe_workflow("default", run(child)).await.unwrap().info;
        assert_eq!(info.status(), status, "{child}");
        assert_eq!(signals(engine, child).await, BTreeMap::from([("\"parent\"".to_owned(), 1)]), "{child}");
    }
    // Each child has begun once: there are no more runs than were asked for.
    let runs = starts().len() + FAMILIES * 3 + 3;
    assert_eq!(engine.count_workflows("default", "").await.unwrap().count, i64::try_from(runs).unwrap());
}

async fn signals(engine: &Engine, workflow_id: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events(engine, run(workflow_id)).await {
        if let Some(Attributes::WorkflowExecutionSignaledEventAttributes(signaled)) = event.attributes {
            let argument = String::from_utf8(signaled.input.unwrap().payloads[0].data.clone()).unwrap();
            *counts.entry(argument).or_default() += 1;
        }
    }
    counts
}

fn fault() -> impl Strategy<Value = (u64, Fault)> {
    (1..60_u64, prop_oneof![Just(Fault::LostFlush), Just(Fault::Refuse)])
}

#[test]
fn whatever_runs_do_to_each_other_happens_once_however_often_the_store_fails() {
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/effects.proptest-regressions"))),
        source_file: Some(file!()),
        max_shrink_iters: 20,
        ..ProptestConfig::with_cases(60)
    });
    let failed = AtomicUsize::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let tested = runner.run(&prop::collection::vec(fault(), 1..5), |planned| {
        failed.fetch_add(runtime.block_on(lives(planned)), Ordering::Relaxed);
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
    let failed = failed.into_inner();
    assert!(failed > 30, "the store has failed only {failed} times while things were under way");
}

/// One life of an engine for each fault, and a last one without. Returns how many of them the store has ended.
async fn lives(planned: Vec<(u64, Fault)>) -> usize {
    let faults = Arc::new(FaultStore::new(MemoryStore::new()));
    let store: Arc<dyn Store> = faults.clone();
    let engine = open(&store);
    engine.deploy_module("default", "tests", guest("guest_kitchen.wasm")).await.unwrap();
    engine.shutdown().await;
    drop(engine);
    let mut failed = 0;
    for (commit, fault) in planned {
        let engine = open(&store);
        faults.fail_commit(commit, fault);
        failed += usize::from(!live(&engine).await);
        engine.shutdown().await;
        drop(engine);
        faults.power_cut();
    }
    let engine = open(&store);
    assert!(live(&engine).await, "nothing fails any more");
    check(&engine).await;
    engine.shutdown().await;
    drop(engine);
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());
    failed
}
