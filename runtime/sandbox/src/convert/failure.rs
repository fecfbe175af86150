//! Failures: a chain of causes, nested in protobuf and a list in WIT.

use mainspring_api::{
    common::{ActivityType, Payloads, WorkflowExecution, WorkflowType},
    enums::{RetryState, TimeoutType},
    failure::{self as proto, failure::FailureInfo},
};

use crate::{
    bindings::types as wit,
    config::FAILURE_LINKS_MAX,
    convert::{
        payload::{payload_to_guest, payload_to_proto, payloads_to_guest, payloads_to_proto},
        time::{duration_to_guest, duration_to_proto},
    },
    error::GuestLimit,
    host::Fault,
};

pub fn failure_to_guest(failure: &proto::Failure) -> wit::Failure {
    std::iter::successors(Some(failure), |failure| failure.cause.as_deref()).map(link_to_guest).collect()
}

fn link_to_guest(failure: &proto::Failure) -> wit::FailureLink {
    wit::FailureLink {
        message: failure.message.clone(),
        source: failure.source.clone(),
        stack_trace: failure.stack_trace.clone(),
        kind: failure.failure_info.as_ref().map_or(wit::FailureKind::Other, kind_to_guest),
        encoded_attributes: failure.encoded_attributes.as_ref().map(payload_to_guest),
    }
}

fn kind_to_guest(info: &FailureInfo) -> wit::FailureKind {
    match info {
        FailureInfo::ApplicationFailureInfo(info) => wit::FailureKind::Application(wit::ApplicationFailure {
            type_: info.r#type.clone(),
            non_retryable: info.non_retryable,
            details: payloads_to_guest(info.details.as_ref()),
            next_retry_delay: info.next_retry_delay.as_ref().map(duration_to_guest),
        }),
        FailureInfo::TimeoutFailureInfo(info) => wit::FailureKind::Timeout(wit::TimeoutFailure {
            timeout_type: match info.timeout_type() {
                TimeoutType::Unspecified | TimeoutType::StartToClose => wit::TimeoutType::StartToClose,
                TimeoutType::ScheduleToStart => wit::TimeoutType::ScheduleToStart,
                TimeoutType::ScheduleToClose => wit::TimeoutType::ScheduleToClose,
                TimeoutType::Heartbeat => wit::TimeoutType::Heartbeat,
            },
            last_heartbeat_details: payloads_to_guest(info.last_heartbeat_details.as_ref()),
        }),
        FailureInfo::CanceledFailureInfo(info) => wit::FailureKind::Canceled(payloads_to_guest(info.details.as_ref())),
        FailureInfo::TerminatedFailureInfo(_) => wit::FailureKind::Terminated,
        FailureInfo::ServerFailureInfo(info) => wit::FailureKind::Server(info.non_retryable),
        FailureInfo::ActivityFailureInfo(info) => wit::FailureKind::Activity(wit::ActivityFailure {
            scheduled_event_id: u64::try_from(info.scheduled_event_id).unwrap_or(0),
            started_event_id: u64::try_from(info.started_event_id).unwrap_or(0),
            identity: info.identity.clone(),
            activity_type: info.activity_type.as_ref().map(|kind| kind.name.clone()).unwrap_or_default(),
            activity_id: info.activity_id.clone(),
            retry_state: retry_state_to_guest(info.retry_state()),
        }),
        FailureInfo::ChildWorkflowExecutionFailureInfo(info) => {
            let execution = info.workflow_execution.clone().unwrap_or_default();
            wit::FailureKind::ChildWorkflow(wit::ChildWorkflowFailure {
                namespace: info.namespace.clone(),
                workflow_id: execution.workflow_id,
                run_id: execution.run_id,
                workflow_type: info.workflow_type.as_ref().map(|kind| kind.name.clone()).unwrap_or_default(),
                initiated_event_id: u64::try_from(info.initiated_event_id).unwrap_or(0),
                started_event_id: u64::try_from(info.started_event_id).unwrap_or(0),
                retry_state: retry_state_to_guest(info.retry_state()),
            })
        }
        FailureInfo::ResetWorkflowFailureInfo(_)
        | FailureInfo::NexusOperationExecutionFailureInfo(_)
        | FailureInfo::NexusHandlerFailureInfo(_) => wit::FailureKind::Other,
    }
}

/// Fails where the list is empty, which is no failure, or longer than a history can carry.
pub fn failure_to_proto(links: wit::Failure) -> Result<proto::Failure, Fault> {
    if links.len() > FAILURE_LINKS_MAX {
        return Err(Fault::limit(
            GuestLimit::CallBytes,
            format!("the workflow reported a failure with {} causes; the limit is {FAILURE_LINKS_MAX}", links.len()),
        ));
    }
    let mut chain = None;
    for link in links.into_iter().rev() {
        chain = Some(link_to_proto(link, chain)?);
    }
    chain.ok_or_else(|| Fault::bad_call("the workflow reported a failure without a single link"))
}

fn link_to_proto(link: wit::FailureLink, cause: Option<proto::Failure>) -> Result<proto::Failure, Fault> {
    Ok(proto::Failure {
        message: link.message,
        source: link.source,
        stack_trace: link.stack_trace,
        encoded_attributes: link.encoded_attributes.map(payload_to_proto),
        cause: cause.map(Box::new),
        failure_info: kind_to_proto(link.kind)?,
    })
}

fn kind_to_proto(kind: wit::FailureKind) -> Result<Option<FailureInfo>, Fault> {
    Ok(Some(match kind {
        wit::FailureKind::Application(info) => FailureInfo::ApplicationFailureInfo(proto::ApplicationFailureInfo {
            r#type: info.type_,
            non_retryable: info.non_retryable,
            details: payloads_to_proto(info.details),
            next_retry_delay: info.next_retry_delay.map(duration_to_proto).transpose()?,
            ..Default::default()
        }),
        wit::FailureKind::Timeout(info) => {
            let timeout_type = match info.timeout_type {
                wit::TimeoutType::StartToClose => TimeoutType::StartToClose,
                wit::TimeoutType::ScheduleToStart => TimeoutType::ScheduleToStart,
                wit::TimeoutType::ScheduleToClose => TimeoutType::ScheduleToClose,
                wit::TimeoutType::Heartbeat => TimeoutType::Heartbeat,
            };
            FailureInfo::TimeoutFailureInfo(proto::TimeoutFailureInfo {
                timeout_type: timeout_type.into(),
                last_heartbeat_details: payloads_to_proto(info.last_heartbeat_details),
            })
        }
        wit::FailureKind::Canceled(details) => canceled_info(payloads_to_proto(details)),
        wit::FailureKind::Terminated => FailureInfo::TerminatedFailureInfo(Default::default()),
        wit::FailureKind::Server(non_retryable) => {
            FailureInfo::ServerFailureInfo(proto::ServerFailureInfo { non_retryable })
        }
        wit::FailureKind::Activity(info) => FailureInfo::ActivityFailureInfo(proto::ActivityFailureInfo {
            scheduled_event_id: i64::try_from(info.scheduled_event_id).unwrap_or(i64::MAX),
            started_event_id: i64::try_from(info.started_event_id).unwrap_or(i64::MAX),
            identity: info.identity,
            activity_type: Some(ActivityType { name: info.activity_type }),
            activity_id: info.activity_id,
            retry_state: retry_state_to_proto(info.retry_state).into(),
        }),
        wit::FailureKind::ChildWorkflow(info) => {
            FailureInfo::ChildWorkflowExecutionFailureInfo(proto::ChildWorkflowExecutionFailureInfo {
                namespace: info.namespace,
                workflow_execution: Some(WorkflowExecution { workflow_id: info.workflow_id, run_id: info.run_id }),
                workflow_type: Some(WorkflowType { name: info.workflow_type }),
                initiated_event_id: i64::try_from(info.initiated_event_id).unwrap_or(i64::MAX),
                started_event_id: i64::try_from(info.started_event_id).unwrap_or(i64::MAX),
                retry_state: retry_state_to_proto(info.retry_state).into(),
            })
        }
        wit::FailureKind::Other => return Ok(None),
    }))
}

fn canceled_info(details: Option<Payloads>) -> FailureInfo {
    FailureInfo::CanceledFailureInfo(proto::CanceledFailureInfo { details, ..Default::default() })
}

fn retry_state_to_guest(state: RetryState) -> wit::RetryState {
    match state {
        RetryState::Unspecified => wit::RetryState::Unspecified,
        RetryState::InProgress => wit::RetryState::InProgress,
        RetryState::NonRetryableFailure => wit::RetryState::NonRetryableFailure,
        RetryState::Timeout => wit::RetryState::Timeout,
        RetryState::MaximumAttemptsReached => wit::RetryState::MaximumAttemptsReached,
        RetryState::RetryPolicyNotSet => wit::RetryState::RetryPolicyNotSet,
        RetryState::InternalServerError => wit::RetryState::InternalServerError,
        RetryState::CancelRequested => wit::RetryState::CancelRequested,
    }
}

fn retry_state_to_proto(state: wit::RetryState) -> RetryState {
    match state {
        wit::RetryState::Unspecified => RetryState::Unspecified,
        wit::RetryState::InProgress => RetryState::InProgress,
        wit::RetryState::NonRetryableFailure => RetryState::NonRetryableFailure,
        wit::RetryState::Timeout => RetryState::Timeout,
        wit::RetryState::MaximumAttemptsReached => RetryState::MaximumAttemptsReached,
        wit::RetryState::RetryPolicyNotSet => RetryState::RetryPolicyNotSet,
        wit::RetryState::InternalServerError => RetryState::InternalServerError,
        wit::RetryState::CancelRequested => RetryState::CancelRequested,
    }
}

/// How an activity did not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityEnd {
    Failed,
    TimedOut,
    Canceled,
}

/// The outer link of every activity's failure, as Temporal's SDKs give it; the cause says what happened.
pub fn activity_failure(end: ActivityEnd, info: wit::ActivityFailure, cause: Option<&proto::Failure>) -> wit::Failure {
    let message = match end {
        ActivityEnd::Failed => "Activity task failed",
        ActivityEnd::TimedOut => "Activity task timed out",
        ActivityEnd::Canceled => "Activity task canceled",
    };
    let mut links = vec![link(message, wit::FailureKind::Activity(info))];
    if let Some(cause) = cause {
        links.extend(failure_to_guest(cause));
    }
    links
}

/// How a child workflow did not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildEnd {
    NotStarted,
    Failed,
    TimedOut,
    Canceled,
    Terminated,
}

/// The outer link of every child's failure, as Temporal's SDKs give it; the cause says what happened.
pub fn child_failure(end: ChildEnd, info: wit::ChildWorkflowFailure, cause: wit::Failure) -> wit::Failure {
    let message = match end {
        ChildEnd::NotStarted => "Child Workflow execution could not be started",
        ChildEnd::Failed => "Child Workflow execution failed",
        ChildEnd::TimedOut => "Child Workflow execution timed out",
        ChildEnd::Canceled => "Child Workflow execution cancelled",
        ChildEnd::Terminated => "Child Workflow execution terminated",
    };
    let mut links = vec![link(message, wit::FailureKind::ChildWorkflow(info))];
    links.extend(cause);
    links
}

/// What a child that was canceled is told as, without an answer of its own.
pub fn canceled_child(info: wit::ChildWorkflowFailure) -> wit::Failure {
    let cause = link("Child Workflow execution cancelled", wit::FailureKind::Canceled(Vec::new()));
    child_failure(ChildEnd::Canceled, info, vec![cause])
}

/// What a signal that was taken back is told as.
pub fn canceled_signal() -> wit::Failure {
    vec![link("Signal was cancelled before being sent", wit::FailureKind::Canceled(Vec::new()))]
}

/// A single link of this kind.
pub fn single(message: &str, kind: wit::FailureKind) -> wit::Failure {
    vec![link(message, kind)]
}

/// An application failure of the server's own making.
pub fn refusal(message: &str, failure_type: &str) -> wit::Failure {
    application(message, failure_type, true)
}

/// Why a message did not reach another workflow. Another try may find it.
pub fn undelivered(message: &str, failure_type: &str) -> wit::Failure {
    application(message, failure_type, false)
}

fn application(message: &str, failure_type: &str, non_retryable: bool) -> wit::Failure {
    let kind = wit::FailureKind::Application(wit::ApplicationFailure {
        type_: failure_type.to_owned(),
        non_retryable,
        details: Vec::new(),
        next_retry_delay: None,
    });
    vec![link(message, kind)]
}

/// The failure of an activity that was canceled, with the details that it gave.
pub fn canceled_activity(info: wit::ActivityFailure, details: Option<&Payloads>) -> wit::Failure {
    let mut links = activity_failure(ActivityEnd::Canceled, info, None);
    links.push(link("Activity canceled", wit::FailureKind::Canceled(payloads_to_guest(details))));
    links
}

fn link(message: &str, kind: wit::FailureKind) -> wit::FailureLink {
    wit::FailureLink {
        message: message.to_owned(),
        source: String::new(),
        stack_trace: String::new(),
        kind,
        encoded_attributes: None,
    }
}

/// The same, for an event.
pub fn retry_state(value: i32) -> wit::RetryState {
    retry_state_to_guest(RetryState::try_from(value).unwrap_or(RetryState::Unspecified))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: usize) -> wit::Failure {
        (0..length).map(|index| link(&format!("link {index}"), wit::FailureKind::Other)).collect()
    }

    #[test]
    fn a_chain_of_causes_survives_the_way_there_and_back() {
        let mut failure = chain(3);
        failure[0].kind = wit::FailureKind::Application(wit::ApplicationFailure {
            type_: "CardDeclined".into(),
            non_retryable: true,
            details: vec![wit::Payload {
                metadata: vec![("encoding".into(), b"json/plain".to_vec())],
                data: b"1".to_vec(),
            }],
            next_retry_delay: Some(wit::Duration { seconds: 3, nanoseconds: 0 }),
        });
        failure[1].kind = wit::FailureKind::Timeout(wit::TimeoutFailure {
            timeout_type: wit::TimeoutType::Heartbeat,
            last_heartbeat_details: Vec::new(),
        });
        assert_eq!(failure_to_guest(&failure_to_proto(failure.clone()).unwrap()), failure);
    }

    #[test]
    fn a_failure_without_links_is_refused() {
        assert!(failure_to_proto(Vec::new()).unwrap_err().message.contains("without a single link"));
    }

    #[test]
    fn the_longest_chain_can_be_read_back_from_a_journal() {
        use mainspring_api::history::{
            HistoryEvent, WorkflowExecutionFailedEventAttributes, history_event::Attributes,
        };
        use prost::Message;

        let failure = failure_to_proto(chain(FAILURE_LINKS_MAX)).unwrap();
        let attributes = WorkflowExecutionFailedEventAttributes { failure: Some(failure), ..Default::default() };
        let event = HistoryEvent {
            attributes: Some(Attributes::WorkflowExecutionFailedEventAttributes(attributes)),
            ..Default::default()
        };
        assert_eq!(HistoryEvent::decode(event.encode_to_vec().as_slice()).unwrap(), event);
        assert!(failure_to_proto(chain(FAILURE_LINKS_MAX + 1)).is_err());
    }
}
