//! A whole engine for tests: the real sandbox, a store of the test's choice, and a worker played by the test.

// Each test binary uses its part of this.
#![allow(dead_code)]

use std::{path::PathBuf, sync::Arc, time::Duration};

use mainspring_api::{
    common::{Payload, Payloads},
    history::{HistoryEvent, history_event::Attributes},
};
use mainspring_core::{
    activity::{ActivityOutcome, ActivityRef},
    signal::Signal,
    workflow::StartWorkflow,
};
use mainspring_engine::{
    ActivityTarget, ActivityTask, Engine, EngineConfig, EngineError, HistoryQuery, HostedLimits, Observed, Quota,
    RunRef, SecretKey,
};
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
    open_with(store, &["default"])
}

/// With these namespaces.
pub fn open_with(store: &Arc<dyn Store>, namespaces: &[&str]) -> Engine {
    open_as(store, namespaces, Observed::default())
}

/// With somebody who is told what becomes of runs.
pub fn observed(store: &Arc<dyn Store>, observed: Observed) -> Engine {
    open_as(store, &["default"], observed)
}

fn open_as(store: &Arc<dyn Store>, namespaces: &[&str], observed: Observed) -> Engine {
    let config = EngineConfig {
        shards: 2,
        namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        activation_threads: 2,
        runs_in_memory_per_shard: 100,
        hosted: HostedLimits::default(),
        secret_key: SecretKey::new([7; 32]),
        observed,
        quota: Quota::default(),
    };
    // A sandbox of its own, as after a restart: no instance is left. What was compiled is shared by all tests.
    let compiled = concat!(env!("CARGO_TARGET_TMPDIR"), "/engine-compiled");
    let sandbox = Sandbox::new(SandboxConfig { cache_dir: Some(compiled.into()), ..SandboxConfig::default() }).unwrap();
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

/// A start with JSON arguments. Asked for again, it is the same start.
pub fn start(workflow_id: &str, workflow_type: &str, arguments: &[&str]) -> StartWorkflow {
    let payloads = arguments.iter().flat_map(|argument| json(argument).payloads).collect();
    StartWorkflow {
        workflow_id: workflow_id.into(),
        workflow_type: workflow_type.into(),
        task_queue: "tests".into(),
        input: Some(Payloads { payloads }),
        request_id: format!("start {workflow_id}"),
        ..StartWorkflow::default()
    }
}

pub fn signal(name: &str, argument: &str) -> Signal {
    Signal {
        name: name.into(),
        input: Some(json(argument)),
        request_id: format!("{name} {argument}"),
        ..Signal::default()
    }
}

pub async fn events(engine: &Engine, run: RunRef) -> Vec<HistoryEvent> {
    let query =
        HistoryQuery { run, from_event_id: 1, page_size: 1_000, reverse: false, wait: None, close_event_only: false };
    engine.history("default", query).await.unwrap().events
}

/// How a workflow has ended, in whichever run that is; waits for it.
pub async fn closed(engine: &Engine, workflow_id: &str) -> Attributes {
    try_closed(engine, workflow_id).await.unwrap()
}

/// The same on an engine that may fail meanwhile.
pub async fn try_closed(engine: &Engine, workflow_id: &str) -> Result<Attributes, EngineError> {
    let mut run = run(workflow_id);
    loop {
        let query = HistoryQuery {
            run: run.clone(),
            from_event_id: 1,
            page_size: 1,
            reverse: false,
            wait: Some(WAIT),
            close_event_only: true,
        };
        let page = engine.history("default", query).await?;
        let event = page.events.into_iter().next().unwrap_or_else(|| panic!("{workflow_id} has not ended in time"));
        match next_run(&event) {
            Some(next) => run.run_id = next.to_owned(),
            None => return Ok(event.attributes.unwrap()),
        }
    }
}

/// The JSON result of a workflow that completes.
pub async fn result(engine: &Engine, workflow_id: &str) -> String {
    match closed(engine, workflow_id).await {
        Attributes::WorkflowExecutionCompletedEventAttributes(completed) => {
            String::from_utf8(completed.result.unwrap().payloads[0].data.clone()).unwrap()
        }
        other => panic!("{workflow_id} has not completed: {other:?}"),
    }
}

fn next_run(event: &HistoryEvent) -> Option<&str> {
    mainspring_core::step::goes_on_as(event)
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
