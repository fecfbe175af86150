//! Failures that the server itself makes.

use mainspring_api::{
    common::Payloads,
    enums::TimeoutType,
    failure::{
        ApplicationFailureInfo, Failure, ResetWorkflowFailureInfo, ServerFailureInfo, TimeoutFailureInfo,
        failure::FailureInfo,
    },
};
use prost::Message;

use crate::limits::temporal as limits;

/// Who made a failure, where it was neither a worker nor a guest.
pub const SOURCE: &str = "Server";

pub fn application(message: &str, kind: &str, non_retryable: bool) -> Failure {
    Failure {
        message: message.into(),
        source: SOURCE.into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: kind.into(),
            non_retryable,
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// What a worker asked for cannot be carried out.
pub fn server(message: &str) -> Failure {
    Failure {
        message: message.into(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo::default())),
        ..Default::default()
    }
}

/// The run closed after it had accepted an update, and will not answer it.
pub fn accepted_update_completed_workflow() -> Failure {
    let message = "Workflow Update failed because the Workflow completed before the Update completed.";
    application(message, "AcceptedUpdateCompletedWorkflow", true)
}

/// A worker was brought an update and said nothing of it.
pub fn unprocessed_update() -> Failure {
    let message = "Workflow Update is rejected because it wasn't processed by worker. Probably, Workflow Update is not supported by the worker.";
    application(message, "UnprocessedUpdate", true)
}

/// A run's time has run out.
pub fn workflow_timeout() -> Failure {
    Failure {
        message: "workflow timeout".into(),
        source: SOURCE.into(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: TimeoutType::StartToClose.into(),
            last_heartbeat_details: None,
        })),
        ..Default::default()
    }
}

/// What was under way is cut off, because the run is reset to an earlier point.
pub fn reset(reason: &str) -> Failure {
    Failure {
        message: reason.into(),
        failure_info: Some(FailureInfo::ResetWorkflowFailureInfo(ResetWorkflowFailureInfo::default())),
        ..Default::default()
    }
}

/// An activity's time has run out.
pub fn timeout(timeout_type: TimeoutType, last_heartbeat_details: Option<Payloads>) -> Failure {
    let name = match timeout_type {
        TimeoutType::StartToClose => "StartToClose",
        TimeoutType::ScheduleToStart => "ScheduleToStart",
        TimeoutType::ScheduleToClose => "ScheduleToClose",
        TimeoutType::Heartbeat => "Heartbeat",
        TimeoutType::Unspecified => "Unspecified",
    };
    Failure {
        message: format!("activity {name} timeout"),
        source: SOURCE.into(),
        failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
            timeout_type: timeout_type.into(),
            last_heartbeat_details,
        })),
        ..Default::default()
    }
}

/// An activity's attempt has run out of time, and the activity has no time for another one.
pub fn no_time_for_retry() -> Failure {
    Failure {
        message: "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying"
            .into(),
        ..timeout(TimeoutType::ScheduleToClose, None)
    }
}

/// The failure within its size limit. One that is too large is replaced by what fits of its message, as Temporal does.
pub fn truncated(failure: Failure) -> Failure {
    if failure.encoded_len() <= limits::FAILURE_BYTES {
        return failure;
    }
    let non_retryable = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => info.non_retryable,
        Some(FailureInfo::ServerFailureInfo(info)) => info.non_retryable,
        _ => false,
    };
    let cut = |text: &str| {
        let end = (0..=text.len().min(limits::FAILURE_BYTES / 2)).rev().find(|&at| text.is_char_boundary(at));
        text[..end.unwrap_or(0)].to_owned()
    };
    Failure {
        message: cut(&failure.message),
        source: cut(&failure.source),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable })),
        ..Default::default()
    }
}
