//! `workflow describe`: the state of a workflow execution.

use clap::Args;
use mainspring_api::{
    common::WorkflowExecution,
    enums::{PendingActivityState, PendingWorkflowTaskState, WorkflowExecutionStatus},
    json,
    workflow::{PendingActivityInfo, WorkflowExecutionInfo},
    workflowservice::{DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse},
};

use super::{
    CommonArgs, TargetArgs, history,
    result::{self, Closed},
};
use crate::{
    connect::{Client, refused, unary},
    failure::Outcome,
    output::{self, section, short_name},
    payload,
};

#[derive(Debug, Args)]
pub struct DescribeArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    common: CommonArgs,
}

pub async fn describe(args: DescribeArgs) -> Outcome {
    let format = args.common.output.output;
    let mut client = args.common.connection.connect().await?;
    let request = DescribeWorkflowExecutionRequest {
        namespace: client.namespace.clone(),
        execution: Some(args.target.execution()),
    };
    let answer = client.workflows.describe_workflow_execution(unary(request)).await;
    let answer = answer.map_err(refused("cannot describe the workflow"))?.into_inner();
    let closed = closed(&mut client, &answer).await?;
    if format.is_text() {
        return Ok(output::print_text(&text(&answer, closed.as_ref(), &client.namespace))?);
    }
    let mut json = json::to_json_shorthand(&answer);
    if let Some(closed) = closed {
        closed.add_to(&mut json);
        // The status stands in the info already, under its full name.
        json.as_object_mut().map(|object| object.shift_remove("status"));
    }
    Ok(format.print_json(&json)?)
}

/// What ended the run, if it has ended.
async fn closed(client: &mut Client, answer: &DescribeWorkflowExecutionResponse) -> Outcome<Option<Closed>> {
    let Some(info) = answer.workflow_execution_info.as_ref().filter(|info| is_closed(info)) else { return Ok(None) };
    let execution: WorkflowExecution = info.execution.clone().unwrap_or_default();
    let run_id = execution.run_id.clone();
    let event = history::close_event(client, execution).await?;
    Ok(Some(Closed { run_id, event }))
}

fn is_closed(info: &WorkflowExecutionInfo) -> bool {
    !matches!(
        info.status(),
        WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Unspecified | WorkflowExecutionStatus::Paused
    )
}

fn text(answer: &DescribeWorkflowExecutionResponse, closed: Option<&Closed>, namespace: &str) -> String {
    let info = answer.workflow_execution_info.clone().unwrap_or_default();
    let config = answer.execution_config.clone().unwrap_or_default();
    let extended = answer.workflow_extended_info.clone().unwrap_or_default();
    let execution = info.execution.clone().unwrap_or_default();
    let build_id = info.most_recent_worker_version_stamp.as_ref().map(|stamp| stamp.build_id.clone());
    let fields = [
        ("WorkflowId", execution.workflow_id),
        ("RunId", execution.run_id),
        ("Type", info.r#type.as_ref().map(|workflow_type| workflow_type.name.clone()).unwrap_or_default()),
        ("Status", short_name(info.status().as_str_name(), "WORKFLOW_EXECUTION_STATUS_")),
        ("Namespace", namespace.to_owned()),
        ("TaskQueue", info.task_queue.clone()),
        ("StartTime", output::time(info.start_time.as_ref())),
        ("CloseTime", output::time(info.close_time.as_ref())),
        ("RunTime", output::duration(info.execution_duration.as_ref())),
        ("ExecutionTimeout", output::duration(config.workflow_execution_timeout.as_ref())),
        ("RunTimeout", output::duration(config.workflow_run_timeout.as_ref())),
        ("ExpirationTime", output::time(extended.run_expiration_time.as_ref())),
        ("CancelRequested", if extended.cancel_requested { "true".to_owned() } else { String::new() }),
        ("Memo", info.memo.as_ref().map(|memo| payload::fields_to_text(&memo.fields)).unwrap_or_default()),
        ("SearchAttributes", search_attributes(&info)),
        ("HistoryLength", info.history_length.to_string()),
        ("HistorySize", format!("{} bytes", info.history_size_bytes)),
        ("StateTransitions", info.state_transition_count.to_string()),
        ("Module", build_id.unwrap_or_default()),
    ];
    let mut text = section("Execution Info", &fields);
    if !answer.pending_activities.is_empty() {
        text.push_str(&format!("\nPending Activities: {}\n", answer.pending_activities.len()));
        for activity in &answer.pending_activities {
            text.push_str(&pending_activity(activity));
        }
    }
    if let Some(task) = &answer.pending_workflow_task {
        let state = PendingWorkflowTaskState::try_from(task.state).unwrap_or_default().as_str_name();
        let fields = [
            ("State", short_name(state, "PENDING_WORKFLOW_TASK_STATE_")),
            ("Attempt", task.attempt.to_string()),
            ("ScheduledTime", output::time(task.scheduled_time.as_ref())),
            ("StartedTime", output::time(task.started_time.as_ref())),
        ];
        text.push_str(&format!("\n{}", section("Pending Workflow Task", &fields)));
    }
    if let Some(closed) = closed {
        text.push_str(&format!("\n{}", closed.text()));
        text.push_str(&failure_of(closed));
    }
    text
}

fn search_attributes(info: &WorkflowExecutionInfo) -> String {
    info.search_attributes.as_ref().map(|all| payload::fields_to_text(&all.indexed_fields)).unwrap_or_default()
}

fn failure_of(closed: &Closed) -> String {
    use mainspring_api::history::history_event::Attributes;
    match &closed.event.attributes {
        Some(Attributes::WorkflowExecutionFailedEventAttributes(failed)) => {
            let failure = failed.failure.as_ref().map(result::chain).unwrap_or_default();
            format!("  Failure  {}\n", failure.replace('\n', "\n         "))
        }
        _ => String::new(),
    }
}

fn pending_activity(activity: &PendingActivityInfo) -> String {
    let state = PendingActivityState::try_from(activity.state).unwrap_or_default().as_str_name();
    let attempts = match activity.maximum_attempts {
        0 => activity.attempt.to_string(),
        maximum => format!("{} of {maximum}", activity.attempt),
    };
    let fields = [
        ("ActivityId", activity.activity_id.clone()),
        ("Type", activity.activity_type.as_ref().map(|activity_type| activity_type.name.clone()).unwrap_or_default()),
        ("State", short_name(state, "PENDING_ACTIVITY_STATE_")),
        ("Attempt", attempts),
        ("ScheduledTime", output::time(activity.scheduled_time.as_ref())),
        ("LastStartedTime", output::time(activity.last_started_time.as_ref())),
        ("NextAttemptTime", output::time(activity.next_attempt_schedule_time.as_ref())),
        ("LastHeartbeatTime", output::time(activity.last_heartbeat_time.as_ref())),
        ("HeartbeatDetails", payload::all_to_text(activity.heartbeat_details.as_ref())),
        ("LastWorker", activity.last_worker_identity.clone()),
        ("LastFailure", activity.last_failure.as_ref().map(result::chain).unwrap_or_default()),
    ];
    let lines = section("", &fields);
    // The list has a title of its own; activities are told apart by an empty line.
    lines.trim_start_matches(":\n").to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activity_that_is_retried_tells_why() {
        let activity = PendingActivityInfo {
            activity_id: "1".into(),
            state: PendingActivityState::Scheduled.into(),
            attempt: 2,
            maximum_attempts: 3,
            last_failure: Some(mainspring_api::failure::Failure { message: "no".into(), ..Default::default() }),
            ..Default::default()
        };
        let text = pending_activity(&activity);
        assert!(text.contains("Attempt      2 of 3\n"), "{text}");
        assert!(text.contains("LastFailure  no\n"), "{text}");
    }
}
