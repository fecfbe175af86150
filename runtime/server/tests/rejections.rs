//! What bad requests get: a code that SDKs do not retry, a message that names the mistake, and nothing is changed.

mod common;

use common::{MIB, TestServer, execution, expect, long, payloads, queue, refused, start};
use prost::Message;
use prost_types::Duration as ProtoDuration;
use temporalio_protos::{
    google::rpc,
    temporal::api::{
        common::v1::{RetryPolicy, WorkflowType},
        enums::v1::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
        errordetails::v1::{NamespaceNotFoundFailure, NotFoundFailure, WorkflowExecutionAlreadyStartedFailure},
        operatorservice::v1::ListSearchAttributesRequest,
        workflowservice::v1::*,
    },
};
use tonic::{
    Code::{AlreadyExists, InvalidArgument, NotFound, ResourceExhausted, Unimplemented},
    Status,
    codec::CompressionEncoding,
};

const NOWHERE: &str = "nowhere";

fn detail<T: Message + prost::Name + Default>(status: &Status) -> T {
    let rpc = rpc::Status::decode(status.details()).expect("grpc-status-details-bin is a google.rpc.Status");
    let detail = rpc.details.first().expect("there is a detail");
    assert_eq!(detail.type_url, format!("type.googleapis.com/{}", T::full_name()));
    T::decode(detail.value.as_slice()).unwrap()
}

#[tokio::test]
async fn an_unknown_namespace_is_named_by_every_kind_of_call() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let namespace = NOWHERE.to_owned();
    let run = execution("w", "");
    let poll =
        PollActivityTaskQueueRequest { namespace: namespace.clone(), task_queue: queue("q"), ..Default::default() };
    let describe = DescribeNamespaceRequest { namespace: namespace.clone(), ..Default::default() };
    let statuses = [
        refused(
            client
                .start_workflow_execution(StartWorkflowExecutionRequest { namespace: namespace.clone(), ..start("w") })
                .await,
        ),
        refused(
            client
                .signal_workflow_execution(SignalWorkflowExecutionRequest {
                    namespace: namespace.clone(),
                    workflow_execution: run.clone(),
                    signal_name: "s".into(),
                    ..Default::default()
                })
                .await,
        ),
        refused(
            client
                .get_workflow_execution_history(GetWorkflowExecutionHistoryRequest {
                    namespace: namespace.clone(),
                    execution: run,
                    ..Default::default()
                })
                .await,
        ),
        refused(
            client
                .list_workflow_executions(ListWorkflowExecutionsRequest {
                    namespace: namespace.clone(),
                    ..Default::default()
                })
                .await,
        ),
        refused(client.poll_activity_task_queue(poll).await),
        refused(client.describe_namespace(describe).await),
        refused(
            server
                .operator()
                .await
                .list_search_attributes(ListSearchAttributesRequest { namespace: namespace.clone() })
                .await,
        ),
    ];
    for status in statuses {
        assert_eq!((status.code(), status.message()), (NotFound, "Namespace nowhere is not found."));
        assert_eq!(detail::<NamespaceNotFoundFailure>(&status).namespace, NOWHERE);
    }
    let no_name = StartWorkflowExecutionRequest { namespace: String::new(), ..start("w") };
    expect(client.start_workflow_execution(no_name).await, InvalidArgument, "Namespace is empty.");
}

#[tokio::test]
#[allow(deprecated)] // The older policy is refused, too.
async fn a_start_that_can_never_work_is_refused_with_the_reason() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let negative = || Some(ProtoDuration { seconds: -1, nanos: 0 });
    let good = || start("w");
    let cases = [
        (StartWorkflowExecutionRequest { workflow_id: String::new(), ..good() }, "WorkflowId is not set on request."),
        (StartWorkflowExecutionRequest { workflow_id: long(), ..good() }, "WorkflowId length exceeds limit"),
        (StartWorkflowExecutionRequest { workflow_type: None, ..good() }, "WorkflowType is not set on request."),
        (
            StartWorkflowExecutionRequest { workflow_type: Some(WorkflowType { name: long() }), ..good() },
            "WorkflowType length exceeds limit",
        ),
        (StartWorkflowExecutionRequest { task_queue: None, ..good() }, "taskQueue is not set"),
        (StartWorkflowExecutionRequest { task_queue: queue(""), ..good() }, "missing task queue name"),
        (StartWorkflowExecutionRequest { task_queue: queue(&long()), ..good() }, "TaskQueue length exceeds limit"),
        (StartWorkflowExecutionRequest { task_queue: queue("/_sys/q/1"), ..good() }, "reserved prefix /_sys/"),
        (StartWorkflowExecutionRequest { request_id: long(), ..good() }, "RequestId length exceeds limit"),
        (StartWorkflowExecutionRequest { identity: long(), ..good() }, "Identity length exceeds limit"),
        (StartWorkflowExecutionRequest { workflow_execution_timeout: negative(), ..good() }, "negative duration"),
        (StartWorkflowExecutionRequest { workflow_run_timeout: negative(), ..good() }, "negative duration"),
        (StartWorkflowExecutionRequest { workflow_task_timeout: negative(), ..good() }, "negative duration"),
        (StartWorkflowExecutionRequest { workflow_start_delay: negative(), ..good() }, "negative duration"),
        (
            StartWorkflowExecutionRequest {
                retry_policy: Some(RetryPolicy { initial_interval: negative(), ..Default::default() }),
                ..good()
            },
            "negative duration",
        ),
        (
            StartWorkflowExecutionRequest {
                retry_policy: Some(RetryPolicy { backoff_coefficient: 0.5, ..Default::default() }),
                ..good()
            },
            "BackoffCoefficient cannot be less than 1",
        ),
        (StartWorkflowExecutionRequest { input: payloads(3 * MIB), ..good() }, "exceeds size limit"),
        (StartWorkflowExecutionRequest { workflow_id_reuse_policy: 99, ..good() }, "Invalid WorkflowIDReusePolicy."),
        (
            StartWorkflowExecutionRequest {
                workflow_id_reuse_policy: WorkflowIdReusePolicy::TerminateIfRunning.into(),
                workflow_id_conflict_policy: WorkflowIdConflictPolicy::Fail.into(),
                ..good()
            },
            "cannot be used together with a WorkflowIDConflictPolicy",
        ),
    ];
    for (request, words) in cases {
        expect(client.start_workflow_execution(request).await, InvalidArgument, words);
    }
    let cron = StartWorkflowExecutionRequest { cron_schedule: "* * * * *".into(), ..good() };
    expect(client.start_workflow_execution(cron).await, Unimplemented, "cron_schedule");

    let count = CountWorkflowExecutionsRequest { namespace: "default".into(), ..Default::default() };
    let count = client.count_workflow_executions(count).await.unwrap().into_inner().count;
    assert_eq!(count, 0, "nothing was started");
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_so_that_sdks_give_up() {
    let server = TestServer::start().await;
    let request = || StartWorkflowExecutionRequest { input: payloads(5 * MIB), ..start("w") };
    let plain = server.client().await.start_workflow_execution(request()).await;
    expect(plain, ResourceExhausted, "grpc: received message larger than max");
    let mut compressing = server.client().await.send_compressed(CompressionEncoding::Gzip);
    let compressed = compressing.start_workflow_execution(request()).await;
    expect(compressed, ResourceExhausted, "grpc: received message after decompression larger than max 4194304");
}

#[tokio::test]
async fn bytes_that_are_no_request_are_invalid() {
    let server = TestServer::start().await;
    let mut client = tonic::client::Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    // The first field is a number here, and the namespace there.
    let request = tonic::Request::new(ProtoDuration { seconds: 7, nanos: 7 });
    let path = "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<_, StartWorkflowExecutionResponse>::default();
    expect(client.unary(request, path, codec).await, InvalidArgument, "The request cannot be read");
}

#[tokio::test]
async fn a_run_that_is_not_there_is_not_found() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.start_workflow_execution(start("w")).await.unwrap();
    let absent = "01a20a0f-5739-74a8-ae48-eaed80251506";
    for (workflow_id, run_id) in [("absent", ""), ("absent", absent), ("w", absent)] {
        let run = || execution(workflow_id, run_id);
        let namespace = || "default".to_owned();
        let statuses = [
            refused(
                client
                    .signal_workflow_execution(SignalWorkflowExecutionRequest {
                        namespace: namespace(),
                        workflow_execution: run(),
                        signal_name: "s".into(),
                        ..Default::default()
                    })
                    .await,
            ),
            refused(
                client
                    .request_cancel_workflow_execution(RequestCancelWorkflowExecutionRequest {
                        namespace: namespace(),
                        workflow_execution: run(),
                        ..Default::default()
                    })
                    .await,
            ),
            refused(
                client
                    .terminate_workflow_execution(TerminateWorkflowExecutionRequest {
                        namespace: namespace(),
                        workflow_execution: run(),
                        ..Default::default()
                    })
                    .await,
            ),
            refused(
                client
                    .delete_workflow_execution(DeleteWorkflowExecutionRequest {
                        namespace: namespace(),
                        workflow_execution: run(),
                    })
                    .await,
            ),
            refused(
                client
                    .describe_workflow_execution(DescribeWorkflowExecutionRequest {
                        namespace: namespace(),
                        execution: run(),
                    })
                    .await,
            ),
            refused(
                client
                    .get_workflow_execution_history(GetWorkflowExecutionHistoryRequest {
                        namespace: namespace(),
                        execution: run(),
                        ..Default::default()
                    })
                    .await,
            ),
            refused(
                client
                    .get_workflow_execution_history_reverse(GetWorkflowExecutionHistoryReverseRequest {
                        namespace: namespace(),
                        execution: run(),
                        ..Default::default()
                    })
                    .await,
            ),
        ];
        for status in statuses {
            assert_eq!(status.code(), NotFound, "{}", status.message());
            let _: NotFoundFailure = detail(&status);
        }
    }
}

#[tokio::test]
async fn a_run_must_be_named_well() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let cases = [
        (None, "Execution is not set on request."),
        (execution("", ""), "WorkflowId is not set on request."),
        (execution("w", "not-a-uuid"), "Invalid RunId."),
    ];
    for (run, words) in cases {
        let namespace = || "default".to_owned();
        let describe = DescribeWorkflowExecutionRequest { namespace: namespace(), execution: run.clone() };
        expect(client.describe_workflow_execution(describe).await, InvalidArgument, words);
        let history =
            GetWorkflowExecutionHistoryRequest { namespace: namespace(), execution: run.clone(), ..Default::default() };
        expect(client.get_workflow_execution_history(history).await, InvalidArgument, words);
        let terminate =
            TerminateWorkflowExecutionRequest { namespace: namespace(), workflow_execution: run, ..Default::default() };
        expect(client.terminate_workflow_execution(terminate).await, InvalidArgument, words);
    }
    // There is none with such an id.
    let describe =
        DescribeWorkflowExecutionRequest { namespace: "default".to_owned(), execution: execution(&long(), "") };
    expect(client.describe_workflow_execution(describe).await, NotFound, "workflow not found for ID: xxx");
}

#[tokio::test]
async fn a_signal_must_have_a_name_and_a_small_input_and_an_open_run() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.start_workflow_execution(start("w")).await.unwrap();
    let signal = || SignalWorkflowExecutionRequest {
        namespace: "default".into(),
        workflow_execution: execution("w", ""),
        signal_name: "s".into(),
        ..Default::default()
    };
    let cases = [
        (SignalWorkflowExecutionRequest { signal_name: String::new(), ..signal() }, "SignalName is not set"),
        (SignalWorkflowExecutionRequest { signal_name: long(), ..signal() }, "SignalName length exceeds limit"),
        (SignalWorkflowExecutionRequest { request_id: long(), ..signal() }, "RequestId length exceeds limit"),
        (SignalWorkflowExecutionRequest { input: payloads(3 * MIB), ..signal() }, "exceeds size limit"),
    ];
    for (request, words) in cases {
        expect(client.signal_workflow_execution(request).await, InvalidArgument, words);
    }
    let terminate = TerminateWorkflowExecutionRequest {
        namespace: "default".into(),
        workflow_execution: execution("w", ""),
        ..Default::default()
    };
    client.terminate_workflow_execution(terminate.clone()).await.unwrap();
    let cancel = RequestCancelWorkflowExecutionRequest {
        namespace: "default".into(),
        workflow_execution: execution("w", ""),
        ..Default::default()
    };
    client.request_cancel_workflow_execution(cancel).await.expect("a closed run need not be canceled, as in Temporal");
    let closed = "workflow execution already completed";
    expect(client.signal_workflow_execution(signal()).await, NotFound, closed);
    expect(client.terminate_workflow_execution(terminate).await, NotFound, closed);
}

#[tokio::test]
async fn a_taken_workflow_id_is_refused_with_the_run_that_has_it() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let first = StartWorkflowExecutionRequest { request_id: "first".into(), ..start("w") };
    let run_id = client.start_workflow_execution(first.clone()).await.unwrap().into_inner().run_id;
    let status = refused(client.start_workflow_execution(start("w")).await);
    assert_eq!(status.code(), AlreadyExists, "{}", status.message());
    let detail: WorkflowExecutionAlreadyStartedFailure = detail(&status);
    assert_eq!((detail.start_request_id.as_str(), &detail.run_id), ("first", &run_id));

    let again = client.start_workflow_execution(first).await.unwrap().into_inner();
    assert_eq!(again.run_id, run_id, "the same request is the same start");
}

#[tokio::test]
async fn a_task_token_that_was_never_given_is_invalid() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let cases: [(&[u8], &str); 3] = [
        (b"", "Task token not set on request."),
        (b"garbage", "Error deserializing task token."),
        (&[0x11; 200], "Error deserializing task token."),
    ];
    for (token, words) in cases {
        let (namespace, task_token) = ("default".to_owned(), token.to_vec());
        let completed = RespondActivityTaskCompletedRequest {
            namespace: namespace.clone(),
            task_token: task_token.clone(),
            ..Default::default()
        };
        expect(client.respond_activity_task_completed(completed).await, InvalidArgument, words);
        let failed = RespondActivityTaskFailedRequest {
            namespace: namespace.clone(),
            task_token: task_token.clone(),
            ..Default::default()
        };
        expect(client.respond_activity_task_failed(failed).await, InvalidArgument, words);
        let canceled = RespondActivityTaskCanceledRequest {
            namespace: namespace.clone(),
            task_token: task_token.clone(),
            ..Default::default()
        };
        expect(client.respond_activity_task_canceled(canceled).await, InvalidArgument, words);
        let beat = RecordActivityTaskHeartbeatRequest { namespace, task_token, ..Default::default() };
        expect(client.record_activity_task_heartbeat(beat).await, InvalidArgument, words);
    }
}

#[tokio::test]
async fn an_activity_that_is_named_badly_or_not_there_is_refused() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.start_workflow_execution(start("w")).await.unwrap();
    let by_id = |workflow_id: &str, run_id: &str, activity_id: &str| RespondActivityTaskCompletedByIdRequest {
        namespace: "default".into(),
        workflow_id: workflow_id.into(),
        run_id: run_id.into(),
        activity_id: activity_id.into(),
        ..Default::default()
    };
    for (request, code, words) in [
        (by_id("", "", "1"), NotFound, "activity not found for ID: 1"),
        (by_id("w", "", ""), InvalidArgument, "ActivityId is not set on request."),
        (by_id("w", "", &long()), NotFound, "cannot find pending activity with ActivityID xxx"),
        (by_id("w", "abc", "1"), InvalidArgument, "Invalid RunId."),
        (by_id("absent", "", "1"), NotFound, "workflow not found for ID: absent"),
        (by_id("w", "", "1"), NotFound, "activity"),
    ] {
        expect(client.respond_activity_task_completed_by_id(request).await, code, words);
    }
}

#[tokio::test]
async fn a_page_token_that_was_never_given_is_invalid() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.start_workflow_execution(start("w")).await.unwrap();
    let history = |next_page_token: Vec<u8>| GetWorkflowExecutionHistoryRequest {
        namespace: "default".into(),
        execution: execution("w", ""),
        maximum_page_size: 1,
        next_page_token,
        ..Default::default()
    };
    expect(client.get_workflow_execution_history(history(b"garbage".into())).await, InvalidArgument, "NextPageToken");
    let token = client.get_workflow_execution_history(history(Vec::new())).await.unwrap().into_inner().next_page_token;
    assert!(!token.is_empty());
    let other_run = GetWorkflowExecutionHistoryRequest {
        execution: execution("w", "01a20a0f-5739-74a8-ae48-eaed80251506"),
        ..history(token.clone())
    };
    let words = "RunId in the request does not match the NextPageToken.";
    expect(client.get_workflow_execution_history(other_run).await, InvalidArgument, words);
    let reverse = GetWorkflowExecutionHistoryReverseRequest {
        namespace: "default".into(),
        execution: execution("w", ""),
        next_page_token: token,
        ..Default::default()
    };
    expect(client.get_workflow_execution_history_reverse(reverse).await, InvalidArgument, "Invalid NextPageToken.");
    let list = ListWorkflowExecutionsRequest {
        namespace: "default".into(),
        next_page_token: b"garbage".to_vec(),
        ..Default::default()
    };
    expect(client.list_workflow_executions(list).await, InvalidArgument, "");
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_invalid() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for query in ["WorkflowId =", "Nonsense = 1", "((("] {
        let (namespace, query) = ("default".to_owned(), query.to_owned());
        let list =
            ListWorkflowExecutionsRequest { namespace: namespace.clone(), query: query.clone(), ..Default::default() };
        expect(client.list_workflow_executions(list).await, InvalidArgument, "invalid query");
        let count = CountWorkflowExecutionsRequest { namespace, query };
        expect(client.count_workflow_executions(count).await, InvalidArgument, "invalid query");
    }
}

#[tokio::test]
async fn what_is_not_offered_is_refused_by_its_name() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let namespace = || "default".to_owned();
    let update = UpdateWorkflowExecutionRequest { namespace: namespace(), ..Default::default() };
    expect(client.update_workflow_execution(update).await, InvalidArgument, "Execution is not set");
    let schedules = ListSchedulesRequest { namespace: namespace(), ..Default::default() };
    expect(client.list_schedules(schedules).await, Unimplemented, "ListSchedules");
    let register = RegisterNamespaceRequest { namespace: NOWHERE.into(), ..Default::default() };
    expect(client.register_namespace(register).await, Unimplemented, "`namespaces`");
    let poll = PollWorkflowTaskQueueRequest { namespace: namespace(), task_queue: queue("q"), ..Default::default() };
    expect(client.poll_workflow_task_queue(poll).await, Unimplemented, "runs workflows in the server");
}
