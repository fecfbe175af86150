//! A whole engine for tests: the real sandbox, a store of the test's choice, and a worker played by the test.

// Each test binary uses its part of this.
#![allow(dead_code)]

use std::{path::PathBuf, sync::Arc, time::Duration};

use mainspring_api::common::{Payload, Payloads};
use mainspring_core::{
    activity::{ActivityOutcome, ActivityRef},
    workflow::StartWorkflow,
};
use mainspring_engine::{ActivityTarget, ActivityTask, Engine, EngineConfig, RunRef};
use mainspring_sandbox::{Sandbox, SandboxConfig};
use mainspring_store::Store;

pub const WAIT: Duration = Duration::from_secs(20);

pub fn guest(name: &str) -> Vec<u8> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")), PathBuf::from);
    let path = target.join("wasm32-wasip2/guest").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `make guests` first", path.display()))
}

pub fn open(store: &Arc<dyn Store>) -> Engine {
    let config = EngineConfig {
        shards: 2,
        namespaces: vec!["default".into()],
        activation_threads: 2,
        runs_in_memory_per_shard: 100,
    };
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    Engine::open(Arc::clone(store), sandbox, config).unwrap()
}

pub fn json(value: &str) -> Payloads {
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into_iter().collect();
    Payloads { payloads: vec![Payload { metadata, data: value.as_bytes().to_vec(), ..Default::default() }] }
}

pub fn order(workflow_id: &str) -> StartWorkflow {
    StartWorkflow {
        workflow_id: workflow_id.into(),
        workflow_type: "OrderWorkflow".into(),
        task_queue: "orders".into(),
        input: Some(json(r#"{"amount":99.99,"user_id":"u123","email":"user@example.com"}"#)),
        request_id: format!("start {workflow_id}"),
        ..StartWorkflow::default()
    }
}

pub fn run(workflow_id: &str) -> RunRef {
    RunRef { workflow_id: workflow_id.into(), ..RunRef::default() }
}

pub async fn poll(engine: &Engine) -> ActivityTask {
    engine.poll_activity("default", "orders", "test", WAIT).await.unwrap().expect("an activity task")
}

pub async fn end(engine: &Engine, task: &ActivityTask, outcome: ActivityOutcome) {
    let target = ActivityTarget {
        run: RunRef {
            workflow_id: task.workflow_id.clone(),
            run_id: task.run_id.clone(),
            first_execution_run_id: String::new(),
        },
        activity: ActivityRef::Attempt { scheduled_event_id: task.scheduled_event_id, attempt: task.attempt },
    };
    engine.end_activity("default", target, outcome, "test").await.unwrap();
}
