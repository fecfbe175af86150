//! Failures that the server itself makes.

use mainspring_api::{
    common::Payloads,
    enums::TimeoutType,
    failure::{ApplicationFailureInfo, Failure, ServerFailureInfo, TimeoutFailureInfo, failure::FailureInfo},
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
