//! Activities: handed to workers, and what workers say of them.

use mainspring_api::{
    common::{ActivityType, Payloads, WorkflowExecution, WorkflowType},
    failure::{Failure, failure::FailureInfo},
    workflowservice::*,
};
use mainspring_core::{
    Rejection,
    activity::{ActivityOutcome, ActivityRef},
    limits::temporal,
    time, trace, validate as core_validate,
};
use mainspring_engine::{ActivityTarget, ActivityTask, ActivityTrace, RunRef, outcome};
use tonic::Request;

use super::Frontend;
use crate::{error::Fault, token::ActivityToken, validate};

pub(super) async fn poll(
    frontend: &Frontend,
    request: Request<PollActivityTaskQueueRequest>,
) -> Result<PollActivityTaskQueueResponse, Fault> {
    let wait = validate::hold(request.metadata(), temporal::LONG_POLL);
    let request = request.into_inner();
    let namespace = frontend.namespace(&request.namespace)?.name;
    let task_queue = validate::task_queue(request.task_queue)?;
    validate::identity(&request.identity)?;
    let poll = frontend.engine.poll_activity(&namespace, &task_queue, &request.identity, wait);
    match frontend.held(poll).await {
        Some(task) => {
            let ratio = frontend.config.telemetry.sample_ratio;
            Ok(task?.map_or_else(Default::default, |task| to_response(&namespace, traced(task, ratio))))
        }
        None => Ok(PollActivityTaskQueueResponse::default()),
    }
}

/// With the trace that the activity is in, for a worker that goes on with it: where the server sends spans, and the
/// workflow has not said something else.
fn traced(mut task: ActivityTask, sample_ratio: f64) -> ActivityTask {
    if let Some(ActivityTrace { run, span_id }) = &task.trace {
        let fields = &mut task.header.get_or_insert_default().fields;
        let is_kept = run.is_kept(sample_ratio);
        fields.entry(trace::HEADER.into()).or_insert_with(|| trace::to_header(run.trace_id, *span_id, is_kept));
    }
    task
}

fn to_response(namespace: &str, task: ActivityTask) -> PollActivityTaskQueueResponse {
    let token = ActivityToken {
        namespace: namespace.to_owned(),
        workflow_id: task.workflow_id.clone(),
        run_id: task.run_id.clone(),
        scheduled_event_id: task.scheduled_event_id,
        attempt: task.attempt,
    };
    PollActivityTaskQueueResponse {
        task_token: token.seal(),
        workflow_namespace: namespace.to_owned(),
        workflow_type: Some(WorkflowType { name: task.workflow_type }),
        workflow_execution: Some(WorkflowExecution { workflow_id: task.workflow_id, run_id: task.run_id }),
        activity_type: Some(ActivityType { name: task.activity_type }),
        activity_id: task.activity_id,
        header: task.header,
        input: task.input,
        heartbeat_details: task.heartbeat_details,
        // The TypeScript SDK refuses a task in which one of these is missing.
        scheduled_time: Some(task.scheduled_time),
        current_attempt_scheduled_time: Some(task.attempt_scheduled_time),
        started_time: Some(task.started_time),
        attempt: task.attempt,
        schedule_to_close_timeout: Some(time::to_proto(task.schedule_to_close_timeout)),
        start_to_close_timeout: Some(time::to_proto(task.start_to_close_timeout)),
        heartbeat_timeout: Some(time::to_proto(task.heartbeat_timeout)),
        retry_policy: task.retry_policy,
        ..Default::default()
    }
}

/// An activity that a request names, in a namespace that is there.
struct Named {
    namespace: String,
    target: ActivityTarget,
}

impl Named {
    fn by_token(frontend: &Frontend, namespace: String, token: &[u8]) -> Result<Named, Fault> {
        let token = ActivityToken::open(token)?;
        // As in Temporal, a token brings its namespace with it.
        let namespace = if namespace.is_empty() { token.namespace.clone() } else { namespace };
        let namespace = frontend.namespace(&namespace)?.name;
        if token.namespace != namespace {
            return Err(Fault::invalid("Operation requested with a token from a different namespace."));
        }
        let ActivityToken { workflow_id, run_id, scheduled_event_id, attempt, .. } = token;
        let run = RunRef { workflow_id, run_id, ..Default::default() };
        let activity = ActivityRef::Attempt { scheduled_event_id, attempt };
        Ok(Named { namespace, target: ActivityTarget { run, activity } })
    }

    fn by_id(
        frontend: &Frontend,
        namespace: &str,
        workflow_id: String,
        run_id: String,
        activity_id: String,
    ) -> Result<Named, Fault> {
        let namespace = frontend.namespace(namespace)?.name;
        validate::run_id(&run_id)?;
        core_validate::given("ActivityId", &activity_id)?;
        if workflow_id.is_empty() {
            // An activity without a workflow, which Temporal has and Mainspring has not.
            return Err(Rejection::not_found(format!("activity not found for ID: {activity_id}")).into());
        }
        validate::workflow_id(&workflow_id, &run_id)?;
        let run = RunRef { workflow_id, run_id, ..Default::default() };
        Ok(Named { namespace, target: ActivityTarget { run, activity: ActivityRef::Id(activity_id) } })
    }

    async fn end(self, frontend: &Frontend, outcome: ActivityOutcome, identity: &str) -> Result<(), Fault> {
        validate::identity(identity)?;
        let outcome = outcome::sized(outcome);
        Ok(frontend.engine.end_activity(&self.namespace, self.target, outcome, identity).await?)
    }

    /// Returns whether the workflow has asked for the activity to be canceled.
    async fn heartbeat(self, frontend: &Frontend, details: Option<Payloads>, identity: &str) -> Result<bool, Fault> {
        validate::identity(identity)?;
        if outcome::is_too_large(details.as_ref()) {
            self.end(frontend, outcome::too_large("Heartbeat details exceed size limit."), identity).await?;
            // As in Temporal: the attempt is over, so the worker should stop.
            return Ok(true);
        }
        let answer = frontend.engine.heartbeat_activity(&self.namespace, self.target, details, identity).await?;
        Ok(answer.cancel_requested)
    }
}

pub(super) async fn completed(
    frontend: &Frontend,
    request: RespondActivityTaskCompletedRequest,
) -> Result<RespondActivityTaskCompletedResponse, Fault> {
    let named = Named::by_token(frontend, request.namespace, &request.task_token)?;
    named.end(frontend, ActivityOutcome::Completed(request.result), &request.identity).await?;
    Ok(RespondActivityTaskCompletedResponse {})
}

pub(super) async fn completed_by_id(
    frontend: &Frontend,
    request: RespondActivityTaskCompletedByIdRequest,
) -> Result<RespondActivityTaskCompletedByIdResponse, Fault> {
    let RespondActivityTaskCompletedByIdRequest { namespace, workflow_id, run_id, activity_id, .. } = request;
    let named = Named::by_id(frontend, &namespace, workflow_id, run_id, activity_id)?;
    named.end(frontend, ActivityOutcome::Completed(request.result), &request.identity).await?;
    Ok(RespondActivityTaskCompletedByIdResponse {})
}

pub(super) async fn failed(
    frontend: &Frontend,
    request: RespondActivityTaskFailedRequest,
) -> Result<RespondActivityTaskFailedResponse, Fault> {
    let named = Named::by_token(frontend, request.namespace, &request.task_token)?;
    // A report by id may be of any kind: so it is in Temporal.
    if request.failure.as_ref().is_some_and(|failure| !is_application(failure)) {
        return Err(Fault::invalid("Failure must have ApplicationFailureInfo."));
    }
    let outcome = to_failed(request.failure, request.last_heartbeat_details);
    named.end(frontend, outcome, &request.identity).await?;
    Ok(RespondActivityTaskFailedResponse::default())
}

pub(super) async fn failed_by_id(
    frontend: &Frontend,
    request: RespondActivityTaskFailedByIdRequest,
) -> Result<RespondActivityTaskFailedByIdResponse, Fault> {
    let RespondActivityTaskFailedByIdRequest { namespace, workflow_id, run_id, activity_id, .. } = request;
    let named = Named::by_id(frontend, &namespace, workflow_id, run_id, activity_id)?;
    let outcome = to_failed(request.failure, request.last_heartbeat_details);
    named.end(frontend, outcome, &request.identity).await?;
    Ok(RespondActivityTaskFailedByIdResponse::default())
}

pub(super) async fn canceled(
    frontend: &Frontend,
    request: RespondActivityTaskCanceledRequest,
) -> Result<RespondActivityTaskCanceledResponse, Fault> {
    let named = Named::by_token(frontend, request.namespace, &request.task_token)?;
    named.end(frontend, ActivityOutcome::Canceled(request.details), &request.identity).await?;
    Ok(RespondActivityTaskCanceledResponse {})
}

pub(super) async fn canceled_by_id(
    frontend: &Frontend,
    request: RespondActivityTaskCanceledByIdRequest,
) -> Result<RespondActivityTaskCanceledByIdResponse, Fault> {
    let RespondActivityTaskCanceledByIdRequest { namespace, workflow_id, run_id, activity_id, .. } = request;
    let named = Named::by_id(frontend, &namespace, workflow_id, run_id, activity_id)?;
    named.end(frontend, ActivityOutcome::Canceled(request.details), &request.identity).await?;
    Ok(RespondActivityTaskCanceledByIdResponse {})
}

pub(super) async fn heartbeat(
    frontend: &Frontend,
    request: RecordActivityTaskHeartbeatRequest,
) -> Result<RecordActivityTaskHeartbeatResponse, Fault> {
    let named = Named::by_token(frontend, request.namespace, &request.task_token)?;
    let cancel_requested = named.heartbeat(frontend, request.details, &request.identity).await?;
    Ok(RecordActivityTaskHeartbeatResponse { cancel_requested, ..Default::default() })
}

pub(super) async fn heartbeat_by_id(
    frontend: &Frontend,
    request: RecordActivityTaskHeartbeatByIdRequest,
) -> Result<RecordActivityTaskHeartbeatByIdResponse, Fault> {
    let RecordActivityTaskHeartbeatByIdRequest { namespace, workflow_id, run_id, activity_id, .. } = request;
    let named = Named::by_id(frontend, &namespace, workflow_id, run_id, activity_id)?;
    let cancel_requested = named.heartbeat(frontend, request.details, &request.identity).await?;
    Ok(RecordActivityTaskHeartbeatByIdResponse { cancel_requested, ..Default::default() })
}

fn is_application(failure: &Failure) -> bool {
    matches!(failure.failure_info, Some(FailureInfo::ApplicationFailureInfo(_)))
}

fn to_failed(failure: Option<Failure>, last_heartbeat_details: Option<Payloads>) -> ActivityOutcome {
    ActivityOutcome::Failed { failure: failure.unwrap_or_default(), last_heartbeat_details }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mainspring_api::Timestamp;

    use super::*;

    #[test]
    fn a_task_has_every_time_that_the_typescript_sdk_wants() {
        let task = ActivityTask {
            workflow_id: "w".into(),
            run_id: "r".into(),
            workflow_type: "W".into(),
            scheduled_event_id: 5,
            attempt: 2,
            activity_id: "1".into(),
            activity_type: "A".into(),
            header: None,
            input: None,
            heartbeat_details: None,
            scheduled_time: Timestamp::default(),
            attempt_scheduled_time: Timestamp::default(),
            started_time: Timestamp::default(),
            schedule_to_close_timeout: Duration::ZERO,
            start_to_close_timeout: Duration::ZERO,
            heartbeat_timeout: Duration::ZERO,
            retry_policy: None,
            trace: None,
        };
        let response = to_response("default", task);
        assert!(response.scheduled_time.is_some() && response.current_attempt_scheduled_time.is_some());
        assert!(response.started_time.is_some() && response.schedule_to_close_timeout.is_some());
        assert!(response.start_to_close_timeout.is_some() && response.heartbeat_timeout.is_some());
        let token = ActivityToken::open(&response.task_token).unwrap();
        assert_eq!((token.namespace.as_str(), token.scheduled_event_id, token.attempt), ("default", 5, 2));
    }
}
