//! `workflow result`, and what a closed run comes to.

use anyhow::anyhow;
use clap::Args;
use mainspring_api::{
    common::{Payloads, WorkflowExecution},
    enums::{RetryState, TimeoutType},
    failure::{self as proto, failure::FailureInfo},
    history::{HistoryEvent, history_event::Attributes},
    json,
    workflowservice::DescribeWorkflowExecutionRequest,
};
use serde_json::{Value, json};

use super::{CommonArgs, TargetArgs, history};
use crate::{
    connect::{Client, refused, unary},
    failure::{Failure, Outcome},
    output::{self, section, short_name},
    payload,
};

#[derive(Debug, Args)]
pub struct ResultArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    common: CommonArgs,
}

pub async fn result(args: ResultArgs) -> Outcome {
    let format = args.common.output.output;
    let mut client = args.common.connection.connect().await?;
    let mut execution = args.target.execution();
    if execution.run_id.is_empty() {
        execution.run_id = latest_run(&mut client, &execution).await?;
    }
    let closed = wait(&mut client, execution).await?;
    if format.is_text() {
        output::print_text(&closed.text())?;
    } else {
        let mut json = json!({
            "workflowId": args.target.workflow_id,
            "runId": closed.run_id,
            "namespace": client.namespace,
        });
        closed.add_to(&mut json);
        format.print_json(&json)?;
    }
    closed.into_outcome()
}

/// The run that the workflow id stands for now: a later one must not be mistaken for it while we wait.
async fn latest_run(client: &mut Client, execution: &WorkflowExecution) -> Outcome<String> {
    let namespace = client.namespace.clone();
    let request = DescribeWorkflowExecutionRequest { namespace, execution: Some(execution.clone()) };
    let answer = client.workflows.describe_workflow_execution(unary(request)).await;
    let answer = answer.map_err(refused("cannot find the workflow"))?.into_inner();
    let found = answer.workflow_execution_info.and_then(|info| info.execution);
    Ok(found.map(|execution| execution.run_id).unwrap_or_default())
}

/// Waits for the end of a run and of all runs that go on with its work.
pub async fn wait(client: &mut Client, mut execution: WorkflowExecution) -> Outcome<Closed> {
    loop {
        let event = history::close_event(client, execution.clone()).await?;
        match history::next_run(&event) {
            Some(run_id) => execution.run_id = run_id.to_owned(),
            None => return Ok(Closed { run_id: execution.run_id, event }),
        }
    }
}

/// A run that has ended.
pub struct Closed {
    pub run_id: String,
    pub event: HistoryEvent,
}

impl Closed {
    /// As the `temporal` CLI names it.
    pub fn status(&self) -> &'static str {
        match &self.event.attributes {
            Some(Attributes::WorkflowExecutionCompletedEventAttributes(_)) => "COMPLETED",
            Some(Attributes::WorkflowExecutionFailedEventAttributes(_)) => "FAILED",
            Some(Attributes::WorkflowExecutionTimedOutEventAttributes(_)) => "TIMEOUT",
            Some(Attributes::WorkflowExecutionCanceledEventAttributes(_)) => "CANCELED",
            Some(Attributes::WorkflowExecutionTerminatedEventAttributes(_)) => "TERMINATED",
            Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_)) => "CONTINUED_AS_NEW",
            _ => "UNKNOWN",
        }
    }

    fn result(&self) -> Option<&Payloads> {
        match &self.event.attributes {
            Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) => completed.result.as_ref(),
            _ => None,
        }
    }

    /// The result, for people. Why a run failed goes to stderr instead.
    pub fn text(&self) -> String {
        let mut fields = vec![("Status", self.status().to_owned())];
        if let Some(result) = self.result() {
            fields.push(("Result", payload::all_to_text(Some(result))));
        }
        if let Some(Attributes::WorkflowExecutionTerminatedEventAttributes(terminated)) = &self.event.attributes {
            fields.push(("Reason", terminated.reason.clone()));
        }
        section("Results", &fields)
    }

    /// Adds what the `temporal` CLI adds: status, closeEvent and result.
    pub fn add_to(&self, json: &mut Value) {
        json["status"] = json!(self.status());
        json["closeEvent"] = json::to_json_shorthand(&self.event);
        if let Some(result) = self.result().filter(|result| !result.payloads.is_empty()) {
            json["result"] = payload::result_json(result);
        }
    }

    /// A failure unless the run completed.
    pub fn into_outcome(self) -> Outcome {
        let why = match self.event.attributes {
            Some(Attributes::WorkflowExecutionCompletedEventAttributes(_)) => return Ok(()),
            Some(Attributes::WorkflowExecutionFailedEventAttributes(failed)) => {
                let failure = failed.failure.unwrap_or_default();
                format!("the workflow failed: {}", chain(&failure))
            }
            Some(Attributes::WorkflowExecutionTimedOutEventAttributes(_)) => "the workflow timed out".to_owned(),
            Some(Attributes::WorkflowExecutionCanceledEventAttributes(canceled)) => {
                match payload::all_to_text(canceled.details.as_ref()).as_str() {
                    "" => "the workflow was canceled".to_owned(),
                    details => format!("the workflow was canceled: {details}"),
                }
            }
            Some(Attributes::WorkflowExecutionTerminatedEventAttributes(terminated)) => {
                format!("the workflow was terminated by {}: {}", terminated.identity, terminated.reason)
            }
            _ => "the workflow ended in a way that this program does not know".to_owned(),
        };
        Err(Failure::Failed(anyhow!(why)))
    }
}

/// A failure and its causes, one on each line.
pub fn chain(failure: &proto::Failure) -> String {
    let mut text = line(failure);
    let mut cause = failure.cause.as_deref();
    while let Some(failure) = cause {
        text.push_str("\n  caused by: ");
        text.push_str(&line(failure));
        cause = failure.cause.as_deref();
    }
    text
}

/// One failure: its message, and in parentheses what kind of failure it is.
fn line(failure: &proto::Failure) -> String {
    let about = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            let mut about = vec![];
            if !info.r#type.is_empty() {
                about.push(format!("type {}", info.r#type));
            }
            if info.non_retryable {
                about.push("not retryable".to_owned());
            }
            let details = payload::all_to_text(info.details.as_ref());
            if !details.is_empty() {
                about.push(format!("details {}", details.replace('\n', ", ")));
            }
            about.join(", ")
        }
        Some(FailureInfo::ActivityFailureInfo(info)) => {
            let activity = info.activity_type.as_ref().map_or("", |activity| activity.name.as_str());
            format!("activity {activity}, id {}{}", info.activity_id, retry_state(info.retry_state))
        }
        Some(FailureInfo::ChildWorkflowExecutionFailureInfo(info)) => {
            let child = info.workflow_type.as_ref().map_or("", |child| child.name.as_str());
            let id = info.workflow_execution.as_ref().map_or("", |execution| execution.workflow_id.as_str());
            format!("child workflow {child}, id {id}{}", retry_state(info.retry_state))
        }
        Some(FailureInfo::TimeoutFailureInfo(info)) => {
            let kind = TimeoutType::try_from(info.timeout_type).unwrap_or_default().as_str_name();
            format!("timeout {}", short_name(kind, "TIMEOUT_TYPE_"))
        }
        Some(FailureInfo::CanceledFailureInfo(_)) => "canceled".to_owned(),
        Some(FailureInfo::TerminatedFailureInfo(_)) => "terminated".to_owned(),
        Some(FailureInfo::ServerFailureInfo(_)) => "from the server".to_owned(),
        _ => String::new(),
    };
    let message = match failure.message.as_str() {
        "" => "no message",
        message => message,
    };
    if about.is_empty() { message.to_owned() } else { format!("{message} ({about})") }
}

fn retry_state(state: i32) -> String {
    match RetryState::try_from(state).unwrap_or_default() {
        RetryState::Unspecified => String::new(),
        state => format!(", {}", short_name(state.as_str_name(), "RETRY_STATE_")),
    }
}

#[cfg(test)]
mod tests {
    use mainspring_api::{
        common::ActivityType,
        failure::{ActivityFailureInfo, ApplicationFailureInfo},
    };

    use super::*;

    #[test]
    fn a_chain_of_failures_has_a_line_for_each() {
        let cause = proto::Failure {
            message: "card declined".into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: "CardError".into(),
                non_retryable: true,
                details: Some(Payloads { payloads: vec![payload::of_json("{\"code\":4}")] }),
                ..Default::default()
            })),
            ..Default::default()
        };
        let failure = proto::Failure {
            message: "Activity task failed".into(),
            cause: Some(Box::new(cause)),
            failure_info: Some(FailureInfo::ActivityFailureInfo(ActivityFailureInfo {
                activity_type: Some(ActivityType { name: "charge".into() }),
                activity_id: "1".into(),
                retry_state: RetryState::MaximumAttemptsReached.into(),
                ..Default::default()
            })),
            ..Default::default()
        };
        assert_eq!(
            chain(&failure),
            "Activity task failed (activity charge, id 1, MaximumAttemptsReached)\n  caused by: card declined (type \
             CardError, not retryable, details {\"code\":4})"
        );
    }
}
