//! Failures, told so that a workflow in another language can tell the same.

use mainspring_workflow::prelude::*;
use serde_json::{Value, json};

/// What a test wants to know of a failure and its causes, outermost first. Messages are told where they come from code
/// of users or from the server, and not where an SDK makes them.
pub fn describe(failure: &Failure) -> Value {
    std::iter::successors(Some(failure), |failure| failure.cause.as_deref()).map(one).collect()
}

fn one(failure: &Failure) -> Value {
    let (kind, more) = match &failure.kind {
        FailureKind::Application(info) => ("application", json!([info.error_type, info.non_retryable])),
        FailureKind::Timeout(info) => ("timeout", json!(word(info.timeout_type))),
        FailureKind::Canceled(_) => ("canceled", json!(null)),
        FailureKind::Terminated => ("terminated", json!(null)),
        FailureKind::Activity(info) => ("activity", json!(word(info.retry_state))),
        FailureKind::ChildWorkflow(_) => ("child", json!(null)),
        _ => ("other", json!(null)),
    };
    let message = matches!(kind, "application").then_some(&failure.message);
    json!({ "kind": kind, "message": message, "more": more })
}

/// `MaximumAttemptsReached` for `RetryState::MaximumAttemptsReached`.
pub fn word(value: impl std::fmt::Debug) -> String {
    let full = format!("{value:?}");
    full.rsplit("::").next().unwrap_or(&full).to_owned()
}
