//! A store that fails under the engine: nothing is acknowledged that was not stored, and what was is there afterwards.

mod common;

use std::sync::Arc;

use common::{end, guest, json, open, order, poll, run};
use mainspring_core::activity::ActivityOutcome;
use mainspring_engine::{EngineError, verify};
use mainspring_store::{Fault, FaultStore, MemoryStore, Store};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_flush_is_not_acknowledged_and_stops_the_engine() {
    let faults = Arc::new(FaultStore::new(MemoryStore::new()));
    let store: Arc<dyn Store> = faults.clone();
    let engine = open(&store);
    engine.deploy_module("default", "orders", guest("order_workflow.wasm")).await.unwrap();
    engine.start_workflow("default", order("stored")).await.unwrap();
    let charge = poll(&engine).await;
    end(&engine, &charge, ActivityOutcome::Completed(Some(json("\"tx-1\"")))).await;

    faults.fail_commit(1, Fault::LostFlush);
    let refused = engine.start_workflow("default", order("lost")).await;
    assert!(matches!(refused, Err(EngineError::Unavailable(_))), "{refused:?}");
    assert!(!engine.failed().await.is_empty());
    let after = engine.start_workflow("default", order("later")).await;
    assert!(matches!(after, Err(EngineError::Unavailable(_))), "{after:?}");
    engine.shutdown().await;
    drop(engine);

    faults.power_cut();
    let engine = open(&store);
    let email = poll(&engine).await;
    assert_eq!((email.workflow_id.as_str(), email.activity_type.as_str()), ("stored", "send_email"));
    let lost = engine.describe_workflow("default", run("lost")).await;
    assert!(matches!(lost, Err(EngineError::WorkflowNotFound { .. })), "{lost:?}");
    engine.shutdown().await;
    drop(engine);
    assert_eq!(verify(&store).unwrap().problems, Vec::<String>::new());
}
