//! `/metrics` and `/health`, as a scraper sees them.

mod common;

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use common::{TestServer, start};
use mainspring_server::{MetricsConfig, ServerConfig};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Request;

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

async fn server() -> (TestServer, SocketAddr) {
    let metrics = MetricsConfig { enabled: true, port: free_port().await, ..Default::default() };
    let address = SocketAddr::new(metrics.ip, metrics.port);
    (TestServer::with(ServerConfig { ephemeral: true, metrics, ..Default::default() }).await, address)
}

/// Status line, headers and body of an answer.
async fn get(address: SocketAddr, path: &str) -> (String, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    (status.to_owned(), headers.to_owned(), body.to_owned())
}

/// All samples, by name with labels. What is not in the form of OpenMetrics fails here.
async fn scrape(address: SocketAddr) -> HashMap<String, f64> {
    let (status, headers, body) = get(address, "/metrics").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(headers.contains("content-type: application/openmetrics-text; version=1.0.0"), "{headers}");
    let lines = body.strip_suffix("# EOF\n").expect("the text ends as it should").lines();
    let mut samples = HashMap::new();
    for line in lines.filter(|line| !line.starts_with("# ")) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let value = value.parse().unwrap_or_else(|_| panic!("{line:?}"));
        assert_eq!(samples.insert(name.to_owned(), value), None, "{name} is there twice");
    }
    samples
}

#[tokio::test]
async fn what_happens_is_counted() {
    let (server, metrics) = server().await;
    let before = scrape(metrics).await;
    assert_eq!(before["mainspring_runs_open{namespace=\"default\"}"], 0.0);
    let mut client = server.client().await;
    for id in ["a", "b"] {
        client.start_workflow_execution(start(id)).await.unwrap();
    }
    client.start_workflow_execution(start("")).await.unwrap_err();
    let terminate = temporalio_protos::temporal::api::workflowservice::v1::TerminateWorkflowExecutionRequest {
        namespace: "default".into(),
        workflow_execution: common::execution("a", ""),
        ..Default::default()
    };
    client.terminate_workflow_execution(terminate).await.unwrap();

    let now = scrape(metrics).await;
    let request = |code| {
        format!("mainspring_requests_total{{method=\"WorkflowService/StartWorkflowExecution\",code=\"{code}\"}}")
    };
    assert_eq!(now[&request("OK")], 2.0);
    assert_eq!(now[&request("INVALID_ARGUMENT")], 1.0);
    assert_eq!(now["mainspring_request_seconds_count{method=\"WorkflowService/StartWorkflowExecution\"}"], 3.0);
    assert_eq!(now["mainspring_runs_started_total{namespace=\"default\"}"], 2.0);
    assert_eq!(now["mainspring_runs_closed_total{namespace=\"default\",status=\"Terminated\"}"], 1.0);
    assert_eq!(now["mainspring_runs_open{namespace=\"default\"}"], 1.0);
    assert!(now["mainspring_commits_total"] >= before["mainspring_commits_total"] + 3.0);
    assert!(now["mainspring_flush_seconds_count"] >= 1.0);
    assert!(now["process_resident_memory_bytes"] > 1e6);
    assert_eq!(now[&format!("mainspring_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn clients_cannot_make_more_of_it() {
    let (server, metrics) = server().await;
    let channel = server.channel().await;
    for number in 0..50 {
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        grpc.ready().await.unwrap();
        let path = format!("/made.up.Service{number}/Method").parse().unwrap();
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        grpc.unary(Request::new(()), path, codec).await.unwrap_err();
    }
    let mut client = server.client().await;
    for number in 0..50 {
        let mut request = start(&format!("workflow-{number}"));
        client.start_workflow_execution(request.clone()).await.unwrap();
        request.namespace = format!("made-up-{number}");
        client.start_workflow_execution(request).await.unwrap_err();
    }
    let samples = scrape(metrics).await;
    assert_eq!(samples["mainspring_requests_total{method=\"other\",code=\"UNIMPLEMENTED\"}"], 50.0);
    let made_up: Vec<_> = samples
        .keys()
        .filter(|name| ["made-up", "made.up", "workflow-"].iter().any(|words| name.contains(words)))
        .collect();
    assert!(made_up.is_empty(), "{made_up:?}");
    server.stopped().await.unwrap();
}

#[tokio::test]
async fn the_health_is_told_and_nothing_else() {
    let (server, metrics) = server().await;
    assert_eq!(get(metrics, "/health").await.2, "serving\n");
    assert_eq!(get(metrics, "/").await.0, "HTTP/1.1 404 Not Found");
    server.stopped().await.unwrap();
    assert!(TcpStream::connect(metrics).await.is_err(), "the port is free again");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let metrics = MetricsConfig { enabled: true, port: taken.local_addr().unwrap().port(), ..Default::default() };
    let config = ServerConfig { ephemeral: true, port: 0, metrics, ..Default::default() };
    let started = mainspring_server::serve(config, |_| (), tokio::time::sleep(Duration::from_secs(30))).await;
    assert!(format!("{:#}", started.unwrap_err()).contains("metrics.port"));
}
