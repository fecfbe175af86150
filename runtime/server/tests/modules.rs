//! What uploads get that hold no workflow module. Those that do are in the end-to-end suite.

mod common;

use std::time::{Duration, Instant};

use common::{MIB, TestServer, expect, long};
use mainspring_api::mainspring::{
    DeployModuleRequest, DeployModuleResponse, DeployTarget, DescribeModuleRequest, DownloadModuleRequest,
    ListModulesRequest, MigrateWorkflowsRequest, RunSelection, UndeployModuleRequest, VerifyModuleRequest,
    run_selection::Sample,
};
use tonic::{
    Code::{InvalidArgument, NotFound},
    Response, Status,
};

/// The smallest core module there is.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// The first bytes of a component.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn target(size_bytes: usize) -> DeployTarget {
    DeployTarget {
        namespace: "default".into(),
        task_queue: "orders".into(),
        size_bytes: size_bytes as u64,
        ..DeployTarget::default()
    }
}

async fn upload(
    server: &TestServer,
    target: Option<DeployTarget>,
    chunks: Vec<Vec<u8>>,
) -> Result<Response<DeployModuleResponse>, Status> {
    let mut messages: Vec<_> = chunks.into_iter().map(|chunk| DeployModuleRequest { target: None, chunk }).collect();
    match messages.first_mut() {
        Some(first) => first.target = target,
        None => messages.push(DeployModuleRequest { target, chunk: Vec::new() }),
    }
    server.modules().await.deploy_module(tokio_stream::iter(messages)).await
}

async fn upload_file(server: &TestServer, bytes: &[u8]) -> Result<Response<DeployModuleResponse>, Status> {
    upload(server, Some(target(bytes.len())), bytes.chunks(MIB).map(<[u8]>::to_vec).collect()).await
}

#[tokio::test]
async fn an_upload_goes_to_a_task_queue_of_a_namespace() {
    let server = TestServer::start().await;
    let bytes = vec![COMPONENT.to_vec()];
    let words = "must have the target";
    expect(upload(&server, None, bytes.clone()).await, InvalidArgument, words);
    let nowhere = DeployTarget { namespace: "nowhere".into(), ..target(8) };
    expect(upload(&server, Some(nowhere), bytes.clone()).await, NotFound, "Namespace nowhere is not found.");
    let no_queue = DeployTarget { task_queue: String::new(), ..target(8) };
    expect(upload(&server, Some(no_queue), bytes.clone()).await, InvalidArgument, "missing task queue name");
    let long_queue = DeployTarget { task_queue: long(), ..target(8) };
    expect(upload(&server, Some(long_queue), bytes).await, InvalidArgument, "TaskQueue length exceeds limit");
}

#[tokio::test]
async fn an_upload_of_a_gigabyte_is_refused_before_it_is_sent() {
    let server = TestServer::start().await;
    // A client that would go on for ever: only the declared size can end this.
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let first = DeployModuleRequest { target: Some(target(1024 * MIB)), chunk: vec![0; MIB] };
    sender.send(first).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let began = Instant::now();
    let answer = server.modules().await.deploy_module(stream).await;
    expect(answer, InvalidArgument, "the module has 1073741824 bytes; the limit is 67108864");
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(sender);
}

#[tokio::test]
async fn an_upload_that_is_not_of_its_declared_size_is_refused() {
    let server = TestServer::start().await;
    let short = upload(&server, Some(target(3 * MIB)), vec![vec![0; MIB], vec![0; MIB]]).await;
    expect(short, InvalidArgument, "The upload is truncated: it has 2097152 of the 3145728 bytes");
    let more = upload(&server, Some(target(MIB)), vec![vec![0; MIB], vec![0; 1]]).await;
    expect(more, InvalidArgument, "more than the 1048576 bytes");
    expect(upload(&server, Some(target(0)), Vec::new()).await, InvalidArgument, "empty");
    let large_chunk = upload(&server, Some(target(2 * MIB)), vec![vec![0; 2 * MIB]]).await;
    expect(large_chunk, InvalidArgument, "the limit is 1048576");
}

#[tokio::test]
async fn a_file_that_is_no_workflow_module_is_refused_with_the_reason() {
    let server = TestServer::start().await;
    expect(upload_file(&server, b"#!/bin/sh\necho hello\n").await, InvalidArgument, "not a wasm file");
    expect(upload_file(&server, CORE_MODULE).await, InvalidArgument, "core module");
    expect(upload_file(&server, &COMPONENT[..6]).await, InvalidArgument, "");
    expect(upload_file(&server, COMPONENT).await, InvalidArgument, "does not export");
    let listed = server.modules().await.list_modules(ListModulesRequest { namespace: "default".into() }).await;
    assert!(listed.unwrap().into_inner().modules.is_empty(), "nothing was deployed");
}

#[tokio::test]
async fn a_module_that_is_not_there_is_not_found() {
    let server = TestServer::start().await;
    let mut modules = server.modules().await;
    let namespace = || "default".to_owned();
    let digest = "ba7816bf8f01cfea";
    let describe = |digest: &str| DescribeModuleRequest { namespace: namespace(), digest: digest.into() };
    expect(modules.describe_module(describe(digest)).await, NotFound, "no module");
    expect(modules.describe_module(describe("ba78")).await, InvalidArgument, "8 to 64 hexadecimal digits");
    let download = DownloadModuleRequest { namespace: namespace(), digest: digest.into() };
    expect(modules.download_module(download).await, NotFound, "no module");
    let undeploy = UndeployModuleRequest { namespace: namespace(), task_queue: "orders".into() };
    expect(modules.undeploy_module(undeploy).await, NotFound, "orders");
}

#[tokio::test]
async fn a_verification_or_migration_that_makes_no_sense_is_refused() {
    let server = TestServer::start().await;
    let mut modules = server.modules().await;
    let verify = |digest: &str, runs: RunSelection| VerifyModuleRequest {
        namespace: "default".into(),
        task_queue: "orders".into(),
        digest: digest.into(),
        runs: Some(runs),
    };
    let all = RunSelection::default;
    let percent = |percent| RunSelection { sample: Some(Sample::Percent(percent)), ..all() };
    let none = RunSelection { sample: Some(Sample::Count(0)), ..all() };
    expect(modules.verify_module(verify("", all())).await, NotFound, "no module is deployed on task queue \"orders\"");
    expect(modules.verify_module(verify("ba7816bf8f01cfea", all())).await, NotFound, "no module");
    expect(modules.verify_module(verify("ba78", all())).await, InvalidArgument, "8 to 64 hexadecimal digits");
    expect(modules.verify_module(verify("", percent(0.0))).await, InvalidArgument, "above 0 %");
    expect(modules.verify_module(verify("", percent(f64::NAN))).await, InvalidArgument, "above 0 %");
    expect(modules.verify_module(verify("", none)).await, InvalidArgument, "1 to 100000 runs");
    let nowhere = VerifyModuleRequest { namespace: "nowhere".into(), ..verify("", all()) };
    expect(modules.verify_module(nowhere).await, NotFound, "Namespace nowhere is not found.");
    let no_queue = VerifyModuleRequest { task_queue: String::new(), ..verify("", all()) };
    expect(modules.verify_module(no_queue).await, InvalidArgument, "missing task queue name");

    let migrate = |digest: &str, from: &str| MigrateWorkflowsRequest {
        namespace: "default".into(),
        task_queue: "orders".into(),
        digest: digest.into(),
        from_digest: from.into(),
        runs: None,
    };
    expect(modules.migrate_workflows(migrate("", "")).await, NotFound, "orders");
    expect(modules.migrate_workflows(migrate("ba7816bf8f01cfea", "")).await, NotFound, "no module");
    expect(modules.migrate_workflows(migrate("", "ba78")).await, InvalidArgument, "8 to 64 hexadecimal digits");

    let verified = DeployTarget { verify: Some(percent(101.0)), ..target(8) };
    expect(upload(&server, Some(verified), vec![COMPONENT.to_vec()]).await, InvalidArgument, "at most 100 %");
}
