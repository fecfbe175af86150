//! Temporal's retry rules.

use std::time::Duration;

use mainspring_api::{
    common::RetryPolicy,
    enums::{RetryState, TimeoutType},
    failure::{Failure, failure::FailureInfo},
};

use crate::{Time, limits::temporal as limits, time};

/// The policy with Temporal's defaults filled in.
pub fn with_defaults(policy: Option<&RetryPolicy>) -> RetryPolicy {
    let mut policy = policy.cloned().unwrap_or_default();
    if time::positive(policy.initial_interval.as_ref()).is_none() {
        policy.initial_interval = Some(time::to_proto(limits::RETRY_INITIAL_INTERVAL));
    }
    if policy.backoff_coefficient == 0.0 {
        policy.backoff_coefficient = limits::RETRY_BACKOFF_COEFFICIENT;
    }
    if time::positive(policy.maximum_interval.as_ref()).is_none() {
        let initial = time::duration(policy.initial_interval.as_ref());
        let maximum = initial.saturating_mul(limits::RETRY_MAXIMUM_INTERVAL_COEFFICIENT as u32);
        policy.maximum_interval = Some(time::to_proto(maximum));
    }
    policy
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    RetryAt(Time),
    GiveUp(RetryState),
}

/// Decides whether attempt number `attempt` (from 1), which failed with `failure` at `now`, is followed by another one.
/// No attempt may begin after `expiration`.
pub fn decide(policy: &RetryPolicy, attempt: i32, failure: &Failure, now: Time, expiration: Option<Time>) -> Verdict {
    if !is_retryable(failure, &policy.non_retryable_error_types) {
        return Verdict::GiveUp(RetryState::NonRetryableFailure);
    }
    if policy.maximum_attempts > 0 && attempt >= policy.maximum_attempts {
        return Verdict::GiveUp(RetryState::MaximumAttemptsReached);
    }
    let at = now.after(next_retry_delay(failure).unwrap_or_else(|| interval(policy, attempt)));
    if expiration.is_some_and(|expiration| at > expiration) {
        return Verdict::GiveUp(RetryState::Timeout);
    }
    Verdict::RetryAt(at)
}

/// The pause after attempt number `attempt`.
pub fn interval(policy: &RetryPolicy, attempt: i32) -> Duration {
    let initial = time::duration(policy.initial_interval.as_ref());
    let maximum = time::positive(policy.maximum_interval.as_ref()).unwrap_or(Duration::MAX);
    let factor = policy.backoff_coefficient.powi(attempt.saturating_sub(1));
    Duration::try_from_secs_f64(initial.as_secs_f64() * factor).unwrap_or(maximum).min(maximum)
}

fn is_retryable(failure: &Failure, non_retryable_types: &[String]) -> bool {
    match &failure.failure_info {
        Some(FailureInfo::TerminatedFailureInfo(_) | FailureInfo::CanceledFailureInfo(_)) => false,
        Some(FailureInfo::TimeoutFailureInfo(timeout)) => {
            let name = match timeout.timeout_type() {
                TimeoutType::StartToClose => "TemporalTimeout:StartToClose",
                TimeoutType::Heartbeat => "TemporalTimeout:Heartbeat",
                _ => return false,
            };
            !non_retryable_types.iter().any(|given| given == name)
        }
        Some(FailureInfo::ServerFailureInfo(server)) => !server.non_retryable,
        Some(FailureInfo::ApplicationFailureInfo(application)) => {
            !application.non_retryable && !non_retryable_types.contains(&application.r#type)
        }
        _ => true,
    }
}

fn next_retry_delay(failure: &Failure) -> Option<Duration> {
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(application)) => time::positive(application.next_retry_delay.as_ref()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;

    fn policy(maximum_attempts: i32) -> RetryPolicy {
        with_defaults(Some(&RetryPolicy {
            maximum_attempts,
            non_retryable_error_types: vec!["Fatal".into()],
            ..Default::default()
        }))
    }

    #[test]
    fn the_default_pauses_double_up_to_a_hundred_times_the_first() {
        let policy = with_defaults(None);
        let pauses: Vec<u64> =
            [1, 2, 3, 7, 8, 1_000].iter().map(|&attempt| interval(&policy, attempt).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 64, 100, 100]);
    }

    #[test]
    fn the_last_allowed_attempt_is_not_followed_by_another() {
        let failure = failure::application("boom", "Transient", false);
        assert_eq!(decide(&policy(3), 2, &failure, Time(0), None), Verdict::RetryAt(Time::from_millis(2_000)));
        assert_eq!(decide(&policy(3), 3, &failure, Time(0), None), Verdict::GiveUp(RetryState::MaximumAttemptsReached));
    }

    #[test]
    fn non_retryable_failures_end_at_once() {
        for failure in [failure::application("boom", "Any", true), failure::application("boom", "Fatal", false)] {
            assert_eq!(
                decide(&policy(0), 1, &failure, Time(0), None),
                Verdict::GiveUp(RetryState::NonRetryableFailure)
            );
        }
    }

    #[test]
    fn an_attempt_that_would_begin_too_late_is_not_made() {
        let failure = failure::application("boom", "Transient", false);
        let expiration = Some(Time::from_millis(500));
        assert_eq!(decide(&policy(0), 1, &failure, Time(0), expiration), Verdict::GiveUp(RetryState::Timeout));
    }

    #[test]
    fn the_failure_can_name_the_pause() {
        let mut failure = failure::application("boom", "Transient", false);
        if let Some(FailureInfo::ApplicationFailureInfo(info)) = &mut failure.failure_info {
            info.next_retry_delay = Some(time::to_proto(Duration::from_millis(70)));
        }
        assert_eq!(decide(&policy(0), 5, &failure, Time(0), None), Verdict::RetryAt(Time::from_millis(70)));
    }
}
