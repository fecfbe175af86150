//! The server's own life: what it needs to start, what it says while it runs, and how it stops.

mod common;

use std::{future::pending, net::IpAddr, time::Duration};

use common::{TestServer, execution, queue, start};
use mainspring_server::{ServerConfig, serve};
use temporalio_protos::temporal::api::{
    enums::v1::HistoryEventFilterType,
    workflowservice::v1::{
        DescribeTaskQueueRequest, DescribeWorkflowExecutionRequest, GetWorkflowExecutionHistoryRequest,
        PollActivityTaskQueueRequest, StartWorkflowExecutionRequest,
    },
};
use tonic::codec::CompressionEncoding;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

async fn refusal(config: ServerConfig) -> String {
    let refused = serve(config, |_| panic!("the server does not start"), pending::<()>()).await;
    format!("{:#}", refused.expect_err("the server does not start"))
}

fn on_disk(dir: &tempfile::TempDir) -> ServerConfig {
    let mut config = ServerConfig { data_dir: dir.path().join("data"), port: 0, ..Default::default() };
    // A machine for tests may have little space left.
    config.store.free_bytes_min = 1024;
    config
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let server = TestServer::start().await;
    let config = ServerConfig { port: server.address.port(), ephemeral: true, ..Default::default() };
    let message = refusal(config).await;
    assert!(message.contains(&format!("port {}", server.address.port())) && message.contains("in use"), "{message}");
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused() {
    let config = ServerConfig { ip: IpAddr::from([0, 0, 0, 0]), port: 0, ephemeral: true, ..Default::default() };
    assert!(refusal(config).await.contains("auth.required"));
}

#[tokio::test]
async fn a_data_directory_has_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::with(on_disk(&dir)).await;
    assert!(refusal(on_disk(&dir)).await.contains("in use by another process"));
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::with(on_disk(&dir)).await;
    let run_id = server.client().await.start_workflow_execution(start("w")).await.unwrap().into_inner().run_id;
    server.stopped().await.unwrap();

    let server = TestServer::with(on_disk(&dir)).await;
    let describe = DescribeWorkflowExecutionRequest { namespace: "default".into(), execution: execution("w", "") };
    let described = server.client().await.describe_workflow_execution(describe).await.unwrap().into_inner();
    assert_eq!(described.workflow_execution_info.unwrap().execution.unwrap().run_id, run_id);
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn held_calls_are_answered_empty_when_the_server_stops() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    client.start_workflow_execution(start("w")).await.unwrap();
    let poll =
        PollActivityTaskQueueRequest { namespace: "default".into(), task_queue: queue("orders"), ..Default::default() };
    let history = GetWorkflowExecutionHistoryRequest {
        namespace: "default".into(),
        execution: execution("w", ""),
        wait_new_event: true,
        history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
        ..Default::default()
    };
    let mut poller = client.clone();
    let poll = tokio::spawn(async move { poller.poll_activity_task_queue(poll).await });
    let mut follower = client.clone();
    let history = tokio::spawn(async move { follower.get_workflow_execution_history(history).await });
    // The queue knows its poller once the poll has arrived.
    loop {
        let describe = DescribeTaskQueueRequest {
            namespace: "default".into(),
            task_queue: queue("orders"),
            task_queue_type: 2,
            ..Default::default()
        };
        if !client.describe_task_queue(describe).await.unwrap().into_inner().pollers.is_empty() {
            break;
        }
    }
    server.stop();
    let answered = tokio::time::timeout(Duration::from_secs(5), poll).await.expect("in time").unwrap();
    assert!(answered.unwrap().into_inner().task_token.is_empty());
    let answered = tokio::time::timeout(Duration::from_secs(5), history).await.expect("in time").unwrap();
    assert!(!answered.unwrap().into_inner().next_page_token.is_empty(), "the client asks again, elsewhere");
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn health_is_told_for_the_server_and_each_service_until_it_stops() {
    let mut server = TestServer::start().await;
    let mut health = HealthClient::new(server.channel().await).send_compressed(CompressionEncoding::Gzip);
    let services = [
        "",
        "temporal.api.workflowservice.v1.WorkflowService",
        "temporal.api.operatorservice.v1.OperatorService",
        "mainspring.v1.ModuleService",
    ];
    for service in services {
        let check = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(check.status(), ServingStatus::Serving, "{service}");
    }
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    server.stop();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    // The watch, which would never end, does not keep the server.
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn reflection_tells_every_service_and_its_methods() {
    let server = TestServer::start().await;
    let mut client = ServerReflectionClient::new(server.channel().await);
    let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let questions = vec![
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("temporal.api.workflowservice.v1.WorkflowService".into())),
        ask(MessageRequest::FileContainingSymbol("mainspring.v1.ModuleService".into())),
        ask(MessageRequest::FileContainingSymbol("grpc.health.v1.Health".into())),
    ];
    let mut answers = client.server_reflection_info(tokio_stream::iter(questions)).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("services are listed");
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "mainspring.v1.AccessService",
            "mainspring.v1.ActivityService",
            "mainspring.v1.ModuleService",
            "mainspring.v1.OperationsService",
            "mainspring.v1.QuotaService",
            "temporal.api.operatorservice.v1.OperatorService",
            "temporal.api.workflowservice.v1.WorkflowService",
        ]
    );
    for _ in 0..3 {
        let answer = answers.message().await.unwrap().unwrap().message_response;
        assert!(matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn compressed_requests_are_read_and_answers_come_as_they_are() {
    let server = TestServer::start().await;
    let mut client =
        server.client().await.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
    let request = StartWorkflowExecutionRequest { input: common::payloads(common::MIB), ..start("w") };
    client.start_workflow_execution(request).await.unwrap();
    let history = GetWorkflowExecutionHistoryRequest {
        namespace: "default".into(),
        execution: execution("w", ""),
        ..Default::default()
    };
    let response = client.get_workflow_execution_history(history).await.unwrap();
    assert_eq!(response.metadata().get("grpc-encoding"), None);
    assert_eq!(response.into_inner().history.unwrap().events.len(), 2);
}
