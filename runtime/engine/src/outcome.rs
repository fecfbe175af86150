//! How attempts of activities end, as far as size goes.
//!
//! What is too large fails the activity for good instead of being refused: a worker that is refused gives up on its
//! report, and the workflow would wait for a timeout. Temporal does the same, in these words.

use mainspring_api::{
    common::Payloads,
    failure::{Failure, ServerFailureInfo, failure::FailureInfo},
};
use mainspring_core::{activity::ActivityOutcome, limits::temporal};
use prost::Message;

/// The outcome, or what it comes to where it is too large.
pub fn sized(outcome: ActivityOutcome) -> ActivityOutcome {
    match &outcome {
        ActivityOutcome::Completed(result) if is_too_large(result.as_ref()) => {
            too_large("Complete result exceeds size limit.")
        }
        ActivityOutcome::Canceled(details) if is_too_large(details.as_ref()) => {
            too_large("Cancel details exceed size limit.")
        }
        ActivityOutcome::Failed { failure, .. } if failure.encoded_len() > temporal::PAYLOAD_BYTES => {
            too_large("Failure exceeds size limit.")
        }
        ActivityOutcome::Failed { last_heartbeat_details, .. } if is_too_large(last_heartbeat_details.as_ref()) => {
            too_large("Heartbeat details exceed size limit.")
        }
        _ => outcome,
    }
}

pub fn is_too_large(payloads: Option<&Payloads>) -> bool {
    payloads.is_some_and(|payloads| payloads.encoded_len() > temporal::PAYLOAD_BYTES)
}

/// A failure that is not tried again.
pub fn too_large(message: &str) -> ActivityOutcome {
    let failure = Failure {
        message: message.to_owned(),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable: true })),
        ..Default::default()
    };
    ActivityOutcome::Failed { failure, last_heartbeat_details: None }
}

#[cfg(test)]
mod tests {
    use mainspring_api::common::Payload;

    use super::*;

    fn payloads(bytes: usize) -> Option<Payloads> {
        Some(Payloads { payloads: vec![Payload { data: vec![0; bytes], ..Default::default() }] })
    }

    fn failed(failure: Failure, last_heartbeat_details: Option<Payloads>) -> ActivityOutcome {
        ActivityOutcome::Failed { failure, last_heartbeat_details }
    }

    fn is_server_failure(outcome: &ActivityOutcome) -> bool {
        matches!(outcome, ActivityOutcome::Failed { failure, .. }
            if matches!(failure.failure_info, Some(FailureInfo::ServerFailureInfo(ServerFailureInfo { non_retryable: true }))))
    }

    #[test]
    fn a_report_that_is_too_large_fails_the_activity_for_good() {
        let large = || payloads(temporal::PAYLOAD_BYTES + 1);
        let failure = Failure { message: "x".repeat(temporal::PAYLOAD_BYTES + 1), ..Default::default() };
        for outcome in [
            ActivityOutcome::Completed(large()),
            ActivityOutcome::Canceled(large()),
            failed(Failure::default(), large()),
            failed(failure, None),
        ] {
            assert!(is_server_failure(&sized(outcome)));
        }
    }

    #[test]
    fn a_report_of_ordinary_size_stays_as_it_is() {
        let completed = sized(ActivityOutcome::Completed(payloads(10)));
        assert!(matches!(completed, ActivityOutcome::Completed(result) if result == payloads(10)));
        assert!(matches!(sized(ActivityOutcome::Canceled(None)), ActivityOutcome::Canceled(None)));
        let failed = sized(failed(Failure::default(), payloads(1)));
        assert!(matches!(failed, ActivityOutcome::Failed { last_heartbeat_details: Some(_), .. }));
    }
}
