//! Conversions that the crate of activities shares.

use crate::{
    bindings::mainspring::workflow::types as wit, failure::Failure, handler::Args, payload::Payload, retry::RetryPolicy,
};

/// What came with a message or a call.
pub fn args(payloads: Vec<Payload>) -> Args {
    Args::new(payloads)
}

/// A failure as the contract has it.
pub fn failure_links(failure: Failure) -> Vec<wit::FailureLink> {
    failure.into_wit()
}

/// A retry policy of the contract.
pub fn retry_policy_from_wit(policy: wit::RetryPolicy) -> RetryPolicy {
    RetryPolicy::from_wit(policy)
}
