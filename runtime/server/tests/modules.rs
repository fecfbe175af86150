//! What uploads get that hold no workflow module. Those that do are in the end-to-end suite.

mod common;

use std::time::{Duration, Instant};

use common::{MIB, TestServer, expect, long};
use mainspring_api::mainspring::{
    ActivateVersionRequest, DeleteModuleRequest, DeployModuleRequest, DeployModuleResponse, DeployTarget,
    DescribeDeploymentRequest, DescribeModuleRequest, DownloadModuleRequest, ListDeploymentsRequest,
    ListModulesRequest, MigrateWorkflowsRequest, RampVersionRequest, RollbackDeploymentRequest, RunSelection,
    UndeployModuleRequest, UploadModuleRequest, UploadModuleResponse, UploadTarget, VerifyModuleRequest,
    activate_version_request, ramp_version_request, run_selection::Sample,
};
use tonic::{
    Code::{Aborted, InvalidArgument, NotFound},
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
        identity: "test".into(),
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
    let all = ListModulesRequest { namespace: "default".into(), ..Default::default() };
    let listed = server.modules().await.list_modules(all).await;
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
    let delete = DeleteModuleRequest { namespace: namespace(), digest: digest.into() };
    expect(modules.delete_module(delete).await, NotFound, "no module");
    let activate = ActivateVersionRequest {
        namespace: namespace(),
        task_queue: "orders".into(),
        target: Some(activate_version_request::Target::Digest(digest.into())),
        identity: String::new(),
    };
    expect(modules.activate_version(activate.clone()).await, NotFound, "no module");
    let numbered = |number| ActivateVersionRequest {
        target: Some(activate_version_request::Target::Version(number)),
        ..activate.clone()
    };
    expect(modules.activate_version(numbered(1)).await, NotFound, "no version 1 of task queue \"orders\"");
    expect(modules.activate_version(numbered(0)).await, InvalidArgument, "numbered from 1");
    let nothing = ActivateVersionRequest { target: None, ..activate.clone() };
    expect(modules.activate_version(nothing).await, InvalidArgument, "names no version");
    let describe = DescribeDeploymentRequest { namespace: namespace(), task_queue: "orders".into() };
    expect(modules.describe_deployment(describe).await, NotFound, "orders");
    let roll_back =
        RollbackDeploymentRequest { namespace: namespace(), task_queue: "orders".into(), ..Default::default() };
    expect(modules.rollback_deployment(roll_back).await, NotFound, "orders");
}

#[tokio::test]
async fn a_percentage_is_from_0_to_100() {
    let server = TestServer::start().await;
    for wrong in [-1.0, 100.5, f64::NAN, 0.001] {
        let request = RampVersionRequest {
            namespace: "default".into(),
            task_queue: "orders".into(),
            target: Some(ramp_version_request::Target::Version(1)),
            percentage: wrong,
            identity: String::new(),
        };
        expect(server.modules().await.ramp_version(request).await, InvalidArgument, "a ramp of");
    }
}

#[tokio::test]
async fn a_page_token_of_a_list_is_one_that_the_server_gave() {
    let server = TestServer::start().await;
    let mut modules = server.modules().await;
    let list = ListModulesRequest { namespace: "default".into(), page_size: 1, next_page_token: b"x".to_vec() };
    expect(modules.list_modules(list).await, InvalidArgument, "Invalid NextPageToken.");
    let list = ListDeploymentsRequest { namespace: "default".into(), page_size: 1, next_page_token: vec![0xff] };
    expect(modules.list_deployments(list).await, InvalidArgument, "Invalid NextPageToken.");
}

/// Sends an upload and takes all answers; stops at the one that refuses it.
async fn upload_in_parts(
    server: &TestServer,
    target: Option<UploadTarget>,
    chunks: Vec<Vec<u8>>,
) -> Result<Response<Vec<UploadModuleResponse>>, Status> {
    let mut messages: Vec<_> = chunks.into_iter().map(|chunk| UploadModuleRequest { target: None, chunk }).collect();
    messages.insert(0, UploadModuleRequest { target, chunk: Vec::new() });
    let mut answers = server.modules().await.upload_module(tokio_stream::iter(messages)).await?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.push(answer);
    }
    Ok(Response::new(all))
}

#[tokio::test]
async fn an_upload_says_what_comes_and_is_held_to_it() {
    let server = TestServer::start().await;
    let bytes = vec![COMPONENT.to_vec()];
    let digest = "7f92aaf00c66f9ae4fdd8c9c1c4cd8bcd5d0dd1a1e9cf3d4b7c4f0ba0fd7ab5d";
    let target = |size_bytes: usize| UploadTarget {
        namespace: "default".into(),
        digest: digest.into(),
        size_bytes: size_bytes as u64,
        identity: "test".into(),
    };
    expect(upload_in_parts(&server, None, bytes.clone()).await, InvalidArgument, "must have the target");
    let nowhere = UploadTarget { namespace: "nowhere".into(), ..target(8) };
    expect(upload_in_parts(&server, Some(nowhere), bytes.clone()).await, NotFound, "Namespace nowhere is not found.");
    let no_digest = UploadTarget { digest: "abc".into(), ..target(8) };
    expect(upload_in_parts(&server, Some(no_digest), bytes.clone()).await, InvalidArgument, "\"abc\" is no digest");
    let huge = Some(target(1024 * MIB));
    expect(upload_in_parts(&server, huge, bytes.clone()).await, InvalidArgument, "the limit is 67108864");
    expect(upload_in_parts(&server, Some(target(0)), bytes.clone()).await, InvalidArgument, "empty");
    expect(upload_in_parts(&server, Some(target(7)), bytes.clone()).await, InvalidArgument, "more than the 7 bytes");
    expect(
        upload_in_parts(&server, Some(target(8)), bytes.clone()).await,
        InvalidArgument,
        &format!("and not {digest}"),
    );
    let large = vec![vec![0; MIB + 1]];
    expect(upload_in_parts(&server, Some(target(2 * MIB)), large).await, InvalidArgument, "the limit is 1048576");
}

#[tokio::test]
async fn an_upload_that_stops_short_goes_on_where_it_stopped() {
    let server = TestServer::start().await;
    // No component, so that it is refused in the end; for what it is, and not for what came when.
    let mut bytes = vec![0; 5 * MIB + 3];
    bytes[..8].copy_from_slice(CORE_MODULE);
    let target = UploadTarget {
        namespace: "default".into(),
        digest: mainspring_sandbox::Digest::of(&bytes).to_string(),
        size_bytes: bytes.len() as u64,
        identity: "test".into(),
    };
    let chunks = |bytes: &[u8]| bytes.chunks(MIB).map(<[u8]>::to_vec).collect();
    let short = upload_in_parts(&server, Some(target.clone()), chunks(&bytes[..4 * MIB + 7])).await;
    expect(short, InvalidArgument, "The upload is truncated: it has 4194311 of the 5242883 bytes");
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    sender.send(UploadModuleRequest { target: Some(target.clone()), chunk: Vec::new() }).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = server.modules().await.upload_module(stream).await.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!((first.received_bytes, first.module), (4_194_311, None));
    // A second call goes on with it: the first is cut off, the second finds all that the first had.
    sender.send(UploadModuleRequest { target: None, chunk: bytes[4_194_311..4_194_400].to_vec() }).await.unwrap();
    let (second_sender, receiver) = tokio::sync::mpsc::channel(1);
    second_sender.send(UploadModuleRequest { target: Some(target), chunk: Vec::new() }).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut second = server.modules().await.upload_module(stream).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Aborted);
    let offset = usize::try_from(second.message().await.unwrap().unwrap().received_bytes).unwrap();
    // What was still on its way when it was cut off has to come again.
    assert!([4_194_311, 4_194_400].contains(&offset), "{offset}");
    for chunk in bytes[offset..].chunks(MIB) {
        second_sender.send(UploadModuleRequest { target: None, chunk: chunk.to_vec() }).await.unwrap();
    }
    drop(second_sender);
    let refused = second.message().await.unwrap_err();
    assert!(refused.message().contains("core module"), "{refused:?}");
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
