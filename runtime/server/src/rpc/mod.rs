//! The calls: one file for each noun, each call a few lines of validate, ask the engine, answer.
//!
//! [`Frontend`] implements Temporal's `WorkflowService` by handing every call to its noun. What is not listed here is
//! answered UNIMPLEMENTED with its name (see [`crate::observe`]).

pub(crate) mod access;
mod activity;
mod deployment;
mod history;
pub(crate) mod hosted;
mod migration;
pub(crate) mod module;
mod multi;
mod namespace;
pub(crate) mod operations;
pub(crate) mod operator;
mod query;
pub(crate) mod quota;
mod reset;
mod system;
mod task_queue;
mod update;
mod upload;
pub(crate) mod verification;
mod visibility;
mod workflow;

use std::{future::Future, sync::Arc};

use mainspring_api::{server::workflowservice::workflow_service_server::WorkflowService, workflowservice::*};
use mainspring_core::validate as core_validate;
use mainspring_engine::{Engine, Namespace};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{ServerConfig, auth::Caller, error::Fault};

/// What every call can reach.
#[derive(Clone)]
pub(crate) struct Frontend {
    pub engine: Engine,
    pub config: Arc<ServerConfig>,
    /// Canceled when the server begins to stop.
    pub draining: CancellationToken,
}

impl Frontend {
    /// The namespace of a request: given, and there.
    fn namespace(&self, name: &str) -> Result<Namespace, Fault> {
        if name.is_empty() {
            return Err(Fault::invalid("Namespace is empty."));
        }
        core_validate::optional_name("Namespace", name)?;
        Ok(self.engine.namespace(name)?)
    }

    /// A call that may be held for long: nothing, where the server stops first. Dropping it drops what it waits for.
    async fn held<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            answer = call => Some(answer),
            () = self.draining.cancelled() => None,
        }
    }
}

/// Sends an answer on its way.
fn answer<T>(answer: Result<T, Fault>) -> Result<Response<T>, Status> {
    Ok(Response::new(answer?))
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl WorkflowService for Frontend {
    // Runs.

    async fn start_workflow_execution(
        &self,
        request: Request<StartWorkflowExecutionRequest>,
    ) -> Answer<StartWorkflowExecutionResponse> {
        answer(workflow::start(self, request.into_inner()).await)
    }

    async fn signal_workflow_execution(
        &self,
        request: Request<SignalWorkflowExecutionRequest>,
    ) -> Answer<SignalWorkflowExecutionResponse> {
        answer(workflow::signal(self, request.into_inner()).await)
    }

    async fn signal_with_start_workflow_execution(
        &self,
        request: Request<SignalWithStartWorkflowExecutionRequest>,
    ) -> Answer<SignalWithStartWorkflowExecutionResponse> {
        answer(workflow::signal_with_start(self, request.into_inner()).await)
    }

    async fn query_workflow(&self, request: Request<QueryWorkflowRequest>) -> Answer<QueryWorkflowResponse> {
        answer(query::query(self, request.into_inner()).await)
    }

    async fn update_workflow_execution(
        &self,
        request: Request<UpdateWorkflowExecutionRequest>,
    ) -> Answer<UpdateWorkflowExecutionResponse> {
        answer(update::update(self, request).await)
    }

    async fn poll_workflow_execution_update(
        &self,
        request: Request<PollWorkflowExecutionUpdateRequest>,
    ) -> Answer<PollWorkflowExecutionUpdateResponse> {
        answer(update::poll(self, request).await)
    }

    async fn execute_multi_operation(
        &self,
        request: Request<ExecuteMultiOperationRequest>,
    ) -> Answer<ExecuteMultiOperationResponse> {
        answer(multi::execute(self, request).await)
    }

    async fn request_cancel_workflow_execution(
        &self,
        request: Request<RequestCancelWorkflowExecutionRequest>,
    ) -> Answer<RequestCancelWorkflowExecutionResponse> {
        answer(workflow::request_cancel(self, request.into_inner()).await)
    }

    async fn terminate_workflow_execution(
        &self,
        request: Request<TerminateWorkflowExecutionRequest>,
    ) -> Answer<TerminateWorkflowExecutionResponse> {
        answer(workflow::terminate(self, request.into_inner()).await)
    }

    async fn reset_workflow_execution(
        &self,
        request: Request<ResetWorkflowExecutionRequest>,
    ) -> Answer<ResetWorkflowExecutionResponse> {
        answer(reset::reset(self, request.into_inner()).await)
    }

    async fn delete_workflow_execution(
        &self,
        request: Request<DeleteWorkflowExecutionRequest>,
    ) -> Answer<DeleteWorkflowExecutionResponse> {
        answer(workflow::delete(self, request.into_inner()).await)
    }

    async fn describe_workflow_execution(
        &self,
        request: Request<DescribeWorkflowExecutionRequest>,
    ) -> Answer<DescribeWorkflowExecutionResponse> {
        answer(workflow::describe(self, request.into_inner()).await)
    }

    // Histories.

    async fn get_workflow_execution_history(
        &self,
        request: Request<GetWorkflowExecutionHistoryRequest>,
    ) -> Answer<GetWorkflowExecutionHistoryResponse> {
        answer(history::get(self, request).await)
    }

    async fn get_workflow_execution_history_reverse(
        &self,
        request: Request<GetWorkflowExecutionHistoryReverseRequest>,
    ) -> Answer<GetWorkflowExecutionHistoryReverseResponse> {
        answer(history::get_reverse(self, request.into_inner()).await)
    }

    // Lists.

    async fn list_workflow_executions(
        &self,
        request: Request<ListWorkflowExecutionsRequest>,
    ) -> Answer<ListWorkflowExecutionsResponse> {
        answer(visibility::list(self, request.into_inner()).await)
    }

    async fn scan_workflow_executions(
        &self,
        request: Request<ScanWorkflowExecutionsRequest>,
    ) -> Answer<ScanWorkflowExecutionsResponse> {
        answer(visibility::scan(self, request.into_inner()).await)
    }

    async fn list_open_workflow_executions(
        &self,
        request: Request<ListOpenWorkflowExecutionsRequest>,
    ) -> Answer<ListOpenWorkflowExecutionsResponse> {
        answer(visibility::list_open(self, request.into_inner()).await)
    }

    async fn list_closed_workflow_executions(
        &self,
        request: Request<ListClosedWorkflowExecutionsRequest>,
    ) -> Answer<ListClosedWorkflowExecutionsResponse> {
        answer(visibility::list_closed(self, request.into_inner()).await)
    }

    async fn count_workflow_executions(
        &self,
        request: Request<CountWorkflowExecutionsRequest>,
    ) -> Answer<CountWorkflowExecutionsResponse> {
        answer(visibility::count(self, request.into_inner()).await)
    }

    async fn get_search_attributes(
        &self,
        _: Request<GetSearchAttributesRequest>,
    ) -> Answer<GetSearchAttributesResponse> {
        answer(Ok(visibility::search_attributes()))
    }

    // Activities.

    async fn poll_activity_task_queue(
        &self,
        request: Request<PollActivityTaskQueueRequest>,
    ) -> Answer<PollActivityTaskQueueResponse> {
        answer(activity::poll(self, request).await)
    }

    async fn respond_activity_task_completed(
        &self,
        request: Request<RespondActivityTaskCompletedRequest>,
    ) -> Answer<RespondActivityTaskCompletedResponse> {
        answer(activity::completed(self, request.into_inner()).await)
    }

    async fn respond_activity_task_completed_by_id(
        &self,
        request: Request<RespondActivityTaskCompletedByIdRequest>,
    ) -> Answer<RespondActivityTaskCompletedByIdResponse> {
        answer(activity::completed_by_id(self, request.into_inner()).await)
    }

    async fn respond_activity_task_failed(
        &self,
        request: Request<RespondActivityTaskFailedRequest>,
    ) -> Answer<RespondActivityTaskFailedResponse> {
        answer(activity::failed(self, request.into_inner()).await)
    }

    async fn respond_activity_task_failed_by_id(
        &self,
        request: Request<RespondActivityTaskFailedByIdRequest>,
    ) -> Answer<RespondActivityTaskFailedByIdResponse> {
        answer(activity::failed_by_id(self, request.into_inner()).await)
    }

    async fn respond_activity_task_canceled(
        &self,
        request: Request<RespondActivityTaskCanceledRequest>,
    ) -> Answer<RespondActivityTaskCanceledResponse> {
        answer(activity::canceled(self, request.into_inner()).await)
    }

    async fn respond_activity_task_canceled_by_id(
        &self,
        request: Request<RespondActivityTaskCanceledByIdRequest>,
    ) -> Answer<RespondActivityTaskCanceledByIdResponse> {
        answer(activity::canceled_by_id(self, request.into_inner()).await)
    }

    async fn record_activity_task_heartbeat(
        &self,
        request: Request<RecordActivityTaskHeartbeatRequest>,
    ) -> Answer<RecordActivityTaskHeartbeatResponse> {
        answer(activity::heartbeat(self, request.into_inner()).await)
    }

    async fn record_activity_task_heartbeat_by_id(
        &self,
        request: Request<RecordActivityTaskHeartbeatByIdRequest>,
    ) -> Answer<RecordActivityTaskHeartbeatByIdResponse> {
        answer(activity::heartbeat_by_id(self, request.into_inner()).await)
    }

    // Task queues and workers.

    async fn poll_workflow_task_queue(
        &self,
        request: Request<PollWorkflowTaskQueueRequest>,
    ) -> Answer<PollWorkflowTaskQueueResponse> {
        answer(task_queue::poll_workflow(self, &request.into_inner()))
    }

    async fn describe_task_queue(
        &self,
        request: Request<DescribeTaskQueueRequest>,
    ) -> Answer<DescribeTaskQueueResponse> {
        answer(task_queue::describe(self, request.into_inner()))
    }

    async fn list_task_queue_partitions(
        &self,
        request: Request<ListTaskQueuePartitionsRequest>,
    ) -> Answer<ListTaskQueuePartitionsResponse> {
        answer(task_queue::partitions(self, request.into_inner()))
    }

    async fn shutdown_worker(&self, request: Request<ShutdownWorkerRequest>) -> Answer<ShutdownWorkerResponse> {
        answer(task_queue::shutdown_worker(self, &request.into_inner()))
    }

    // Namespaces and the server itself.

    async fn list_namespaces(&self, request: Request<ListNamespacesRequest>) -> Answer<ListNamespacesResponse> {
        let caller = Caller::of(request.extensions());
        answer(namespace::list(self, &caller, &request.into_inner()))
    }

    async fn describe_namespace(
        &self,
        request: Request<DescribeNamespaceRequest>,
    ) -> Answer<DescribeNamespaceResponse> {
        let caller = Caller::of(request.extensions());
        answer(namespace::describe(self, &caller, &request.into_inner()))
    }

    async fn register_namespace(&self, _: Request<RegisterNamespaceRequest>) -> Answer<RegisterNamespaceResponse> {
        answer(Err(namespace::fixed()))
    }

    async fn update_namespace(&self, _: Request<UpdateNamespaceRequest>) -> Answer<UpdateNamespaceResponse> {
        answer(Err(namespace::fixed()))
    }

    async fn get_system_info(&self, _: Request<GetSystemInfoRequest>) -> Answer<GetSystemInfoResponse> {
        answer(Ok(system::info()))
    }

    async fn get_cluster_info(&self, _: Request<GetClusterInfoRequest>) -> Answer<GetClusterInfoResponse> {
        answer(Ok(system::cluster(self)))
    }
}
