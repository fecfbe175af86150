//! Runs on a queue that has no module yet: everything about them but their workflow's own steps.

mod common;

use std::time::{Duration, Instant};

use common::{TestServer, execution, queue, start};
use temporalio_protos::temporal::api::{
    enums::v1::{
        EventType, HistoryEventFilterType, IndexedValueType, NamespaceState, TaskQueueType, WorkflowExecutionStatus,
    },
    operatorservice::v1::{ListClustersRequest, ListSearchAttributesRequest},
    workflowservice::v1::*,
};
use tonic::Request;

fn namespace() -> String {
    "default".into()
}

fn history(workflow_id: &str) -> GetWorkflowExecutionHistoryRequest {
    GetWorkflowExecutionHistoryRequest {
        namespace: namespace(),
        execution: execution(workflow_id, ""),
        ..Default::default()
    }
}

fn terminate(workflow_id: &str) -> TerminateWorkflowExecutionRequest {
    TerminateWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_execution: execution(workflow_id, ""),
        reason: "enough".into(),
        ..Default::default()
    }
}

fn kinds(response: &GetWorkflowExecutionHistoryResponse) -> Vec<EventType> {
    response.history.iter().flat_map(|history| &history.events).map(|event| event.event_type()).collect()
}

#[tokio::test]
async fn a_run_is_started_signaled_described_and_terminated() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let started = client.start_workflow_execution(start("w")).await.unwrap().into_inner();
    assert!(started.started);
    assert_eq!(started.status(), WorkflowExecutionStatus::Running);
    assert_eq!(started.first_execution_run_id, started.run_id);

    let signal = SignalWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_execution: execution("w", ""),
        signal_name: "s".into(),
        ..Default::default()
    };
    client.signal_workflow_execution(signal).await.unwrap();
    let cancel = RequestCancelWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_execution: execution("w", &started.run_id),
        first_execution_run_id: started.run_id.clone(),
        ..Default::default()
    };
    client.request_cancel_workflow_execution(cancel).await.unwrap();

    let describe = || DescribeWorkflowExecutionRequest { namespace: namespace(), execution: execution("w", "") };
    let described = client.describe_workflow_execution(describe()).await.unwrap().into_inner();
    let info = described.workflow_execution_info.unwrap();
    assert_eq!(info.execution.as_ref().unwrap().run_id, started.run_id);
    assert_eq!(info.status(), WorkflowExecutionStatus::Running);
    assert!(described.pending_workflow_task.is_some());
    assert!(described.workflow_extended_info.unwrap().cancel_requested);

    client.terminate_workflow_execution(terminate("w")).await.unwrap();
    let described = client.describe_workflow_execution(describe()).await.unwrap().into_inner();
    assert_eq!(described.workflow_execution_info.unwrap().status(), WorkflowExecutionStatus::Terminated);
    let response = client.get_workflow_execution_history(history("w")).await.unwrap().into_inner();
    assert_eq!(
        kinds(&response),
        [
            EventType::WorkflowExecutionStarted,
            EventType::WorkflowTaskScheduled,
            EventType::WorkflowExecutionSignaled,
            EventType::WorkflowExecutionCancelRequested,
            EventType::WorkflowExecutionTerminated,
        ]
    );
    assert!(response.next_page_token.is_empty());
}

#[tokio::test]
async fn a_history_is_read_page_by_page_in_both_directions() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.start_workflow_execution(start("w")).await.unwrap();
    client.terminate_workflow_execution(terminate("w")).await.unwrap();

    let mut ids = Vec::new();
    let mut request = GetWorkflowExecutionHistoryRequest { maximum_page_size: 1, ..history("w") };
    loop {
        let page = client.get_workflow_execution_history(request.clone()).await.unwrap().into_inner();
        ids.extend(page.history.unwrap().events.iter().map(|event| event.event_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.next_page_token = page.next_page_token;
    }
    assert_eq!(ids, [1, 2, 3]);

    let mut ids = Vec::new();
    let mut request = GetWorkflowExecutionHistoryReverseRequest {
        namespace: namespace(),
        execution: execution("w", ""),
        maximum_page_size: 2,
        ..Default::default()
    };
    loop {
        let page = client.get_workflow_execution_history_reverse(request.clone()).await.unwrap().into_inner();
        ids.extend(page.history.unwrap().events.iter().map(|event| event.event_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.next_page_token = page.next_page_token;
    }
    assert_eq!(ids, [3, 2, 1]);
}

#[tokio::test]
async fn a_client_that_waits_for_the_end_gets_the_close_event_alone() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.start_workflow_execution(start("w")).await.unwrap();
    let close = GetWorkflowExecutionHistoryRequest {
        wait_new_event: true,
        history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
        ..history("w")
    };
    // Held until shortly before the deadline, and then told to ask again.
    let mut request = Request::new(close.clone());
    request.set_timeout(Duration::from_secs(2));
    let began = Instant::now();
    let empty = client.get_workflow_execution_history(request).await.unwrap().into_inner();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(kinds(&empty).is_empty() && !empty.next_page_token.is_empty());

    let again = GetWorkflowExecutionHistoryRequest { next_page_token: empty.next_page_token, ..close };
    let mut waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.get_workflow_execution_history(again).await });
    client.terminate_workflow_execution(terminate("w")).await.unwrap();
    let ended = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(kinds(&ended), [EventType::WorkflowExecutionTerminated]);
    assert!(ended.next_page_token.is_empty());
}

#[tokio::test]
async fn a_client_that_follows_a_run_gets_each_new_event() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.start_workflow_execution(start("w")).await.unwrap();
    let follow = GetWorkflowExecutionHistoryRequest { wait_new_event: true, ..history("w") };
    let first = client.get_workflow_execution_history(follow.clone()).await.unwrap().into_inner();
    assert_eq!(kinds(&first), [EventType::WorkflowExecutionStarted, EventType::WorkflowTaskScheduled]);
    assert!(!first.next_page_token.is_empty(), "the run is open, so there is more to come");

    let next = GetWorkflowExecutionHistoryRequest { next_page_token: first.next_page_token, ..follow };
    let mut waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.get_workflow_execution_history(next).await });
    client.terminate_workflow_execution(terminate("w")).await.unwrap();
    let second = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(kinds(&second), [EventType::WorkflowExecutionTerminated]);
    assert!(second.next_page_token.is_empty());
}

#[tokio::test]
async fn runs_are_listed_counted_and_deleted() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for workflow_id in ["a", "b", "c"] {
        client.start_workflow_execution(start(workflow_id)).await.unwrap();
    }
    let mut listed = Vec::new();
    let mut request = ListWorkflowExecutionsRequest { namespace: namespace(), page_size: 2, ..Default::default() };
    loop {
        let page = client.list_workflow_executions(request.clone()).await.unwrap().into_inner();
        assert!(page.executions.len() <= 2);
        listed.extend(page.executions.into_iter().map(|info| info.execution.unwrap().workflow_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.next_page_token = page.next_page_token;
    }
    listed.sort();
    assert_eq!(listed, ["a", "b", "c"]);

    let count = |query: &str| CountWorkflowExecutionsRequest { namespace: namespace(), query: query.into() };
    let all = client.count_workflow_executions(count("")).await.unwrap().into_inner().count;
    let one = client.count_workflow_executions(count("WorkflowId = 'b'")).await.unwrap().into_inner().count;
    assert_eq!((all, one), (3, 1));

    let delete = DeleteWorkflowExecutionRequest { namespace: namespace(), workflow_execution: execution("b", "") };
    client.delete_workflow_execution(delete).await.unwrap();
    let left = client.count_workflow_executions(count("")).await.unwrap().into_inner().count;
    assert_eq!(left, 2);
}

#[tokio::test]
async fn a_poll_without_a_task_is_answered_empty_before_its_deadline_and_is_remembered() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let mut poll = Request::new(PollActivityTaskQueueRequest {
        namespace: namespace(),
        task_queue: queue("orders"),
        identity: "worker-1".into(),
        ..Default::default()
    });
    poll.set_timeout(Duration::from_secs(1));
    let empty = client.poll_activity_task_queue(poll).await.unwrap().into_inner();
    assert!(empty.task_token.is_empty());

    let describe = DescribeTaskQueueRequest {
        namespace: namespace(),
        task_queue: queue("orders"),
        task_queue_type: TaskQueueType::Activity.into(),
        report_stats: true,
        ..Default::default()
    };
    let described = client.describe_task_queue(describe).await.unwrap().into_inner();
    assert_eq!(described.pollers.iter().map(|poller| poller.identity.as_str()).collect::<Vec<_>>(), ["worker-1"]);
    assert_eq!(described.stats.unwrap().approximate_backlog_count, 0);
}

#[tokio::test]
#[allow(deprecated)]
async fn a_task_queue_is_described_as_the_temporal_cli_asks() {
    let server = TestServer::start().await;
    let describe = DescribeTaskQueueRequest {
        namespace: namespace(),
        task_queue: queue("orders"),
        api_mode: temporalio_protos::temporal::api::enums::v1::DescribeTaskQueueMode::Enhanced.into(),
        report_pollers: true,
        report_stats: true,
        ..Default::default()
    };
    let described = server.client().await.describe_task_queue(describe).await.unwrap().into_inner();
    let unversioned = &described.versions_info[""];
    for kind in [TaskQueueType::Workflow, TaskQueueType::Activity] {
        assert!(unversioned.types_info[&i32::from(kind)].stats.is_some());
    }
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let system = client.get_system_info(GetSystemInfoRequest {}).await.unwrap().into_inner();
    let capabilities = system.capabilities.unwrap();
    assert!(capabilities.encoded_failure_attributes && capabilities.sdk_metadata);
    assert!(!capabilities.supports_schedules && !capabilities.nexus && !capabilities.eager_workflow_start);

    let cluster = client.get_cluster_info(GetClusterInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(cluster.persistence_store, "memory");

    let namespaces = client.list_namespaces(ListNamespacesRequest::default()).await.unwrap().into_inner().namespaces;
    let names: Vec<_> = namespaces.into_iter().map(|namespace| namespace.namespace_info.unwrap().name).collect();
    assert_eq!(names, ["default"]);
    let by_name = DescribeNamespaceRequest { namespace: namespace(), ..Default::default() };
    let info = client.describe_namespace(by_name).await.unwrap().into_inner().namespace_info.unwrap();
    assert_eq!(info.state(), NamespaceState::Registered);
    let by_id = DescribeNamespaceRequest { id: info.id.clone(), ..Default::default() };
    let again = client.describe_namespace(by_id).await.unwrap().into_inner().namespace_info.unwrap();
    assert_eq!(again, info);

    let mut operator = server.operator().await;
    let attributes = ListSearchAttributesRequest { namespace: namespace() };
    let attributes = operator.list_search_attributes(attributes).await.unwrap().into_inner();
    assert_eq!(attributes.system_attributes["StartTime"], i32::from(IndexedValueType::Datetime));
    assert!(attributes.custom_attributes.is_empty());
    let clusters = operator.list_clusters(ListClustersRequest::default()).await.unwrap().into_inner().clusters;
    assert_eq!(clusters[0].cluster_id, cluster.cluster_id);
    assert_eq!(clusters[0].address, server.address.to_string());
}
