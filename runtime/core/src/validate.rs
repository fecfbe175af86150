//! What every request is held to before it reaches a run: sizes of ids and payloads, signs of durations.

use mainspring_api::{
    Duration as ProtoDuration,
    common::{Memo, Payloads, RetryPolicy},
};
use prost::Message;

use crate::{Rejection, limits::temporal as limits};

/// An id or a name: given, and not too long.
pub fn name(what: &str, value: &str) -> Result<(), Rejection> {
    given(what, value)?;
    optional_name(what, value)
}

/// An id or a name that is looked for: too long a one is not found.
pub fn given(what: &str, value: &str) -> Result<(), Rejection> {
    match value {
        "" => Err(Rejection::invalid(format!("{what} is not set on request."))),
        _ => Ok(()),
    }
}

/// An id or a name that may be left out.
pub fn optional_name(what: &str, value: &str) -> Result<(), Rejection> {
    if value.len() > limits::ID_BYTES {
        return Err(Rejection::invalid(format!(
            "{what} length exceeds limit: it has {} bytes, {} are allowed.",
            value.len(),
            limits::ID_BYTES
        )));
    }
    Ok(())
}

/// A duration that may be left out, but not negative or malformed.
pub fn duration(what: &str, value: Option<&ProtoDuration>) -> Result<(), Rejection> {
    match value {
        Some(value) if value.seconds < 0 || value.nanos < 0 => {
            Err(Rejection::invalid(format!("{what} is invalid: negative duration.")))
        }
        Some(value) if value.nanos > 999_999_999 => {
            Err(Rejection::invalid(format!("{what} is invalid: {} nanoseconds are more than a second.", value.nanos)))
        }
        // Protobuf's own bound for a duration: about 10,000 years.
        Some(value) if value.seconds > 315_576_000_000 => {
            Err(Rejection::invalid(format!("{what} is invalid: {} seconds are out of range.", value.seconds)))
        }
        _ => Ok(()),
    }
}

/// A set of payloads within the size limit.
pub fn payloads(what: &str, value: Option<&Payloads>) -> Result<(), Rejection> {
    match value.map(Payloads::encoded_len) {
        Some(size) if size > limits::PAYLOAD_BYTES => Err(Rejection::invalid(format!(
            "{what} exceeds size limit: it has {size} bytes, {} are allowed.",
            limits::PAYLOAD_BYTES
        ))),
        _ => Ok(()),
    }
}

/// A memo within the size limit.
pub fn memo(what: &str, value: Option<&Memo>) -> Result<(), Rejection> {
    match value.map(Memo::encoded_len) {
        Some(size) if size > limits::MEMO_BYTES => {
            Err(Rejection::invalid(format!("{what} exceeds size limit of {} bytes.", limits::MEMO_BYTES)))
        }
        _ => Ok(()),
    }
}

/// A retry policy as Temporal's `ValidateRetryPolicy` has it.
pub fn retry_policy(policy: Option<&RetryPolicy>) -> Result<(), Rejection> {
    let Some(policy) = policy else { return Ok(()) };
    // A policy of one attempt is never computed with, so the rest of it does not matter.
    if policy.maximum_attempts == 1 {
        return Ok(());
    }
    duration("InitialInterval of retry policy", policy.initial_interval.as_ref())?;
    duration("MaximumInterval of retry policy", policy.maximum_interval.as_ref())?;
    if policy.backoff_coefficient != 0.0
        && !(policy.backoff_coefficient >= 1.0 && policy.backoff_coefficient.is_finite())
    {
        return Err(Rejection::invalid("BackoffCoefficient cannot be less than 1 on retry policy."));
    }
    if policy.maximum_attempts < 0 {
        return Err(Rejection::invalid("MaximumAttempts cannot be negative on retry policy."));
    }
    let (initial, maximum) = (
        crate::time::duration(policy.initial_interval.as_ref()),
        crate::time::duration(policy.maximum_interval.as_ref()),
    );
    if !maximum.is_zero() && maximum < initial {
        return Err(Rejection::invalid("MaximumInterval cannot be less than InitialInterval on retry policy."));
    }
    Ok(())
}
