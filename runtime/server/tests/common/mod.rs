//! A server in this process, and clients of it.

// Every test binary uses its own part of this.
#![allow(dead_code)]

use std::{net::SocketAddr, time::Duration};

use mainspring_api::mainspring::module_service_client::ModuleServiceClient;
use mainspring_server::{ServerConfig, serve};
use temporalio_protos::temporal::api::{
    common::v1::{Payload, Payloads, WorkflowExecution, WorkflowType},
    operatorservice::v1::operator_service_client::OperatorServiceClient,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{StartWorkflowExecutionRequest, workflow_service_client::WorkflowServiceClient},
};
use tokio::{runtime::Runtime, sync::oneshot};
use tonic::{Code, Response, Status, transport::Channel};

pub const MIB: usize = 1024 * 1024;

pub struct TestServer {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: oneshot::Receiver<anyhow::Result<()>>,
}

impl TestServer {
    /// In memory, on a port of its own.
    pub async fn start() -> TestServer {
        TestServer::with(ServerConfig { ephemeral: true, ..Default::default() }).await
    }

    pub async fn with(config: ServerConfig) -> TestServer {
        let config = ServerConfig { port: 0, shards: 2, activation_threads: 1, ..config };
        let (ready, address) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, mut ended) = oneshot::channel();
        // A runtime of its own, as in a process of its own: it ends with the server.
        std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            let outcome = runtime.block_on(serve(config, |address| ready.send(address).unwrap(), stopped));
            drop(runtime);
            // A test that does not ask how the server ended has ended itself.
            let _ = end.send(outcome);
        });
        let Ok(address) = address.await else {
            panic!("the server does not start: {:?}", (&mut ended).await);
        };
        TestServer { address, stop: Some(stop), ended }
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.expect("the server takes connections")
    }

    pub async fn client(&self) -> WorkflowServiceClient<Channel> {
        WorkflowServiceClient::new(self.channel().await)
    }

    pub async fn operator(&self) -> OperatorServiceClient<Channel> {
        OperatorServiceClient::new(self.channel().await)
    }

    pub async fn modules(&self) -> ModuleServiceClient<Channel> {
        ModuleServiceClient::new(self.channel().await)
    }

    /// Says stop; [`TestServer::stopped`] waits for it.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).unwrap();
        }
    }

    pub async fn stopped(mut self) -> anyhow::Result<()> {
        self.stop();
        let ended = tokio::time::timeout(Duration::from_secs(30), self.ended).await;
        ended.expect("the server stops in time").expect("the server does not panic")
    }
}

/// A start that is right; tests spoil it.
pub fn start(workflow_id: &str) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: "default".into(),
        workflow_id: workflow_id.into(),
        workflow_type: Some(WorkflowType { name: "OrderWorkflow".into() }),
        task_queue: queue("orders"),
        identity: "test".into(),
        ..Default::default()
    }
}

pub fn queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue { name: name.into(), ..Default::default() })
}

pub fn execution(workflow_id: &str, run_id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: workflow_id.into(), run_id: run_id.into() })
}

pub fn payloads(bytes: usize) -> Option<Payloads> {
    Some(Payloads { payloads: vec![Payload { data: vec![b'x'; bytes], ..Default::default() }] })
}

/// Longer than any id may be.
pub fn long() -> String {
    "x".repeat(1_001)
}

pub fn refused<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> Status {
    answer.expect_err("the call is refused")
}

/// Proves that a call is refused with this code, and with a message that has these words.
#[track_caller]
pub fn expect<T: std::fmt::Debug>(answer: Result<Response<T>, Status>, code: Code, words: &str) {
    let status = refused(answer);
    assert_eq!(status.code(), code, "{}", status.message());
    assert!(status.message().contains(words), "{:?} should have {words:?}", status.message());
}
