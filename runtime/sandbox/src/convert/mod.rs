//! Between the WIT types and Temporal's messages. Pure; one file for each family of types.
//!
//! Protobuf's maps become lists sorted by key, because a guest sees the order of a list and a `HashMap` has none.

pub mod failure;
pub mod payload;
pub mod time;

use mainspring_api::common as proto;

use crate::{
    bindings::types as wit,
    convert::time::{duration_to_guest, duration_to_proto},
    host::Fault,
};

/// A retry policy of the guest, as the command carries it.
pub fn retry_policy_to_proto(policy: wit::RetryPolicy) -> Result<proto::RetryPolicy, Fault> {
    let maximum_attempts = i32::try_from(policy.maximum_attempts).map_err(|_| {
        Fault::bad_call(format!("maximum-attempts is {}; the most is {}", policy.maximum_attempts, i32::MAX))
    })?;
    Ok(proto::RetryPolicy {
        initial_interval: policy.initial_interval.map(duration_to_proto).transpose()?,
        backoff_coefficient: policy.backoff_coefficient,
        maximum_interval: policy.maximum_interval.map(duration_to_proto).transpose()?,
        maximum_attempts,
        non_retryable_error_types: policy.non_retryable_error_types,
    })
}

/// A retry policy of the journal, as the guest sees it.
pub fn retry_policy_to_guest(policy: &proto::RetryPolicy) -> wit::RetryPolicy {
    wit::RetryPolicy {
        initial_interval: policy.initial_interval.as_ref().map(duration_to_guest),
        backoff_coefficient: policy.backoff_coefficient,
        maximum_interval: policy.maximum_interval.as_ref().map(duration_to_guest),
        maximum_attempts: u32::try_from(policy.maximum_attempts).unwrap_or(0),
        non_retryable_error_types: policy.non_retryable_error_types.clone(),
    }
}
