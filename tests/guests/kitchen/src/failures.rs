//! Failures, told so that a workflow in another language can tell the same.

use mainspring_workflow::prelude::*;
use serde_json::{Value, json};

/// What a test wants to know of a failure and its causes, outermost first. The outermost message is each SDK's own.
pub fn describe(failure: &Failure) -> Value {
    let chain: Vec<&Failure> = std::iter::successors(Some(failure), |failure| failure.cause.as_deref()).collect();
    let inner = if chain.len() > 1 { &chain[1..] } else { &chain[..] };
    inner.iter().map(|failure| one(failure)).collect()
}

fn one(failure: &Failure) -> Value {
    let (kind, more) = match &failure.kind {
        FailureKind::Application(info) => ("application", json!([info.error_type, info.non_retryable])),
        FailureKind::Timeout(info) => ("timeout", json!(word(info.timeout_type))),
        FailureKind::Canceled(_) => ("canceled", json!(null)),
        FailureKind::Terminated => ("terminated", json!(null)),
        FailureKind::Activity(info) => ("activity", json!(word(info.retry_state))),
        FailureKind::ChildWorkflow(info) => ("child", json!(word(info.retry_state))),
        _ => ("other", json!(null)),
    };
    json!({ "kind": kind, "message": failure.message, "more": more })
}

/// `MaximumAttemptsReached` for `RetryState::MaximumAttemptsReached`.
pub fn word(value: impl std::fmt::Debug) -> String {
    let full = format!("{value:?}");
    full.rsplit("::").next().unwrap_or(&full).to_owned()
}
