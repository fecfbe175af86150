//! The order workflow on a whole engine: the real sandbox, a store in memory, and a worker played by the test.

mod common;

use std::sync::Arc;

use common::{WAIT, end, guest, json, open, order, poll, run};
use mainspring_api::enums::{EventType, WorkflowExecutionStatus};
use mainspring_core::{activity::ActivityOutcome, failure};
use mainspring_engine::{Engine, HistoryQuery, verify};
use mainspring_store::{MemoryStore, Store};

async fn events(engine: &Engine, workflow_id: &str) -> Vec<EventType> {
    let query = HistoryQuery {
        run: run(workflow_id),
        from_event_id: 1,
        page_size: 1_000,
        reverse: false,
        wait: None,
        close_event_only: false,
    };
    engine.history("default", query).await.unwrap().events.iter().map(|event| event.event_type()).collect()
}

/// The history of an order whose first charge failed, as Temporal's own server writes it.
const HISTORY: [EventType; 15] = [
    EventType::WorkflowExecutionStarted,
    EventType::WorkflowTaskScheduled,
    EventType::WorkflowTaskStarted,
    EventType::WorkflowTaskCompleted,
    EventType::ActivityTaskScheduled,
    EventType::ActivityTaskStarted,
    EventType::ActivityTaskCompleted,
    EventType::WorkflowTaskScheduled,
    EventType::WorkflowTaskStarted,
    EventType::WorkflowTaskCompleted,
    EventType::ActivityTaskScheduled,
    EventType::ActivityTaskStarted,
    EventType::ActivityTaskCompleted,
    EventType::WorkflowTaskScheduled,
    EventType::WorkflowTaskStarted,
];

#[tokio::test(flavor = "multi_thread")]
async fn an_order_survives_a_failed_charge_and_a_restart_of_the_engine() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    engine.deploy_module("default", "orders", guest("order_workflow.wasm")).await.unwrap();
    engine.start_workflow("default", order("order-1")).await.unwrap();

    let charge = poll(&engine).await;
    assert_eq!((charge.activity_type.as_str(), charge.attempt), ("charge_payment", 1));
    let failure = failure::application("card reader offline", "Transient", false);
    end(&engine, &charge, ActivityOutcome::Failed { failure, last_heartbeat_details: None }).await;
    let again = poll(&engine).await;
    assert_eq!((again.activity_type.as_str(), again.attempt), ("charge_payment", 2));
    end(&engine, &again, ActivityOutcome::Completed(Some(json("\"tx-1\"")))).await;
    engine.shutdown().await;
    drop(engine);

    let engine = open(&store);
    let email = poll(&engine).await;
    assert_eq!(email.activity_type, "send_email");
    let subject = &email.input.as_ref().unwrap().payloads[1].data;
    assert_eq!(String::from_utf8_lossy(subject), "\"주문 완료: tx-1\"");
    end(&engine, &email, ActivityOutcome::Completed(None)).await;

    let description = engine.describe_workflow("default", run("order-1")).await.unwrap();
    assert_eq!(description.info.status, i32::from(WorkflowExecutionStatus::Completed));
    let events = events(&engine, "order-1").await;
    assert_eq!(events[..15], HISTORY);
    assert_eq!(events[15..], [EventType::WorkflowTaskCompleted, EventType::WorkflowExecutionCompleted]);
    engine.shutdown().await;
    drop(engine);
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_waits_for_a_module_that_has_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    engine.start_workflow("default", order("early")).await.unwrap();
    let waiting = engine.describe_workflow("default", run("early")).await.unwrap();
    assert_eq!(waiting.pending_workflow_task.unwrap().attempt, 1);
    engine.deploy_module("default", "orders", guest("order_workflow.wasm")).await.unwrap();
    assert_eq!(poll(&engine).await.workflow_id, "early");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_goes_away_gives_its_task_back() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    engine.deploy_module("default", "orders", guest("order_workflow.wasm")).await.unwrap();
    for _ in 0..20 {
        let polling = engine.clone();
        let gone =
            tokio::spawn(async move { polling.poll_activity("default", "orders", "gone", WAIT).await.map(drop) });
        tokio::task::yield_now().await;
        gone.abort();
        drop(gone.await);
    }
    engine.start_workflow("default", order("one")).await.unwrap();
    let task = poll(&engine).await;
    assert_eq!((task.workflow_id.as_str(), task.attempt), ("one", 1));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_run_leaves_nothing_behind() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let engine = open(&store);
    engine.deploy_module("default", "orders", guest("order_workflow.wasm")).await.unwrap();
    engine.start_workflow("default", order("gone")).await.unwrap();
    engine.delete_workflow("default", run("gone")).await.unwrap();
    let missing = engine.describe_workflow("default", run("gone")).await;
    assert!(matches!(missing, Err(mainspring_engine::EngineError::WorkflowNotFound { .. })), "{missing:?}");
    assert_eq!(engine.count_workflows("default", "").await.unwrap().count, 0);
    engine.shutdown().await;
    drop(engine);
    let report = verify(&store).unwrap();
    assert_eq!((report.runs, report.problems), (0, Vec::new()));
}
