//! When and how often something that failed is tried again.

use std::time::Duration;

use crate::{
    bindings::mainspring::workflow::types,
    time::{duration_from_wit, duration_to_wit},
};

/// When and how often something that failed is tried again. Temporal's defaults stand for what is not set.
///
/// ```
/// # use mainspring_workflow::prelude::*;
/// let policy = RetryPolicy::default()
///     .initial_interval(Duration::from_millis(200))
///     .maximum_attempts(3)
///     .non_retryable("CardDeclined");
/// # let _ = policy;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetryPolicy {
    initial_interval: Option<Duration>,
    /// 0 stands for the default.
    backoff_coefficient: f64,
    maximum_interval: Option<Duration>,
    maximum_attempts: u32,
    non_retryable_error_types: Vec<String>,
}

impl RetryPolicy {
    /// How long to wait before the second attempt; 1 s unless set.
    #[must_use]
    pub fn initial_interval(mut self, interval: Duration) -> Self {
        self.initial_interval = Some(interval);
        self
    }

    /// What the interval is multiplied with after each attempt, 1.0 or more; 2.0 unless set.
    #[must_use]
    pub fn backoff_coefficient(mut self, coefficient: f64) -> Self {
        self.backoff_coefficient = coefficient;
        self
    }

    /// The longest interval; 100 times the initial one unless set.
    #[must_use]
    pub fn maximum_interval(mut self, interval: Duration) -> Self {
        self.maximum_interval = Some(interval);
        self
    }

    /// How often to try in all; without end unless set.
    #[must_use]
    pub fn maximum_attempts(mut self, attempts: u32) -> Self {
        self.maximum_attempts = attempts;
        self
    }

    /// Adds a type of application failure that is not tried again.
    #[must_use]
    pub fn non_retryable(mut self, error_type: impl Into<String>) -> Self {
        self.non_retryable_error_types.push(error_type.into());
        self
    }

    pub(crate) fn to_wit(&self) -> types::RetryPolicy {
        types::RetryPolicy {
            initial_interval: self.initial_interval.map(duration_to_wit),
            backoff_coefficient: self.backoff_coefficient,
            maximum_interval: self.maximum_interval.map(duration_to_wit),
            maximum_attempts: self.maximum_attempts,
            non_retryable_error_types: self.non_retryable_error_types.clone(),
        }
    }

    pub(crate) fn from_wit(policy: types::RetryPolicy) -> Self {
        Self {
            initial_interval: policy.initial_interval.map(duration_from_wit),
            backoff_coefficient: policy.backoff_coefficient,
            maximum_interval: policy.maximum_interval.map(duration_from_wit),
            maximum_attempts: policy.maximum_attempts,
            non_retryable_error_types: policy.non_retryable_error_types,
        }
    }

    /// How long to wait after so many attempts; none where there is no further one.
    pub(crate) fn interval_after(&self, attempts: u32) -> Option<Duration> {
        if self.maximum_attempts > 0 && attempts >= self.maximum_attempts {
            return None;
        }
        let initial = self.initial_interval.unwrap_or(Duration::from_secs(1));
        let coefficient = if self.backoff_coefficient == 0.0 { 2.0 } else { self.backoff_coefficient };
        let maximum = self.maximum_interval.unwrap_or(initial.saturating_mul(100));
        let exponent = attempts.saturating_sub(1).min(1_000) as i32;
        let seconds = initial.as_secs_f64() * coefficient.powi(exponent);
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(maximum).min(maximum))
    }

    /// Whether a failure of this type is not tried again.
    pub(crate) fn gives_up_on(&self, error_type: &str) -> bool {
        self.non_retryable_error_types.iter().any(|other| other == error_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_to_their_maximum_and_end_with_the_attempts() {
        let seconds = |policy: &RetryPolicy, attempts| policy.interval_after(attempts).map(|it| it.as_secs_f64());
        let default = RetryPolicy::default();
        assert_eq!((seconds(&default, 1), seconds(&default, 3)), (Some(1.0), Some(4.0)));
        assert_eq!(seconds(&default, u32::MAX), Some(100.0));
        let policy = default.initial_interval(Duration::from_millis(200)).backoff_coefficient(1.5).maximum_attempts(3);
        assert_eq!((seconds(&policy, 2), seconds(&policy, 3)), (Some(0.3), None));
        let capped = policy.maximum_interval(Duration::from_millis(250));
        assert_eq!(seconds(&capped, 2), Some(0.25));
    }
}
