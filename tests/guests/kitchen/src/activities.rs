//! Calling activities.

use mainspring_workflow::prelude::*;
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The options that a test can set, in milliseconds where they are times.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    activity_id: Option<String>,
    task_queue: Option<String>,
    schedule_to_close_ms: Option<u64>,
    schedule_to_start_ms: Option<u64>,
    start_to_close_ms: Option<u64>,
    heartbeat_ms: Option<u64>,
    initial_interval_ms: Option<u64>,
    backoff_coefficient: Option<f64>,
    maximum_interval_ms: Option<u64>,
    maximum_attempts: Option<u32>,
    non_retryable_error_types: Vec<String>,
    summary: Option<String>,
}

impl From<Options> for ActivityOptions {
    fn from(options: Options) -> Self {
        let time = |milliseconds: Option<u64>| milliseconds.map(Duration::from_millis);
        let mut policy = RetryPolicy::default().maximum_attempts(options.maximum_attempts.unwrap_or_default());
        if let Some(interval) = time(options.initial_interval_ms) {
            policy = policy.initial_interval(interval);
        }
        if let Some(coefficient) = options.backoff_coefficient {
            policy = policy.backoff_coefficient(coefficient);
        }
        if let Some(interval) = time(options.maximum_interval_ms) {
            policy = policy.maximum_interval(interval);
        }
        let policy = options.non_retryable_error_types.into_iter().fold(policy, RetryPolicy::non_retryable);
        Self {
            activity_id: options.activity_id,
            task_queue: options.task_queue,
            schedule_to_close_timeout: time(options.schedule_to_close_ms),
            schedule_to_start_timeout: time(options.schedule_to_start_ms),
            start_to_close_timeout: time(options.start_to_close_ms),
            heartbeat_timeout: time(options.heartbeat_ms),
            retry_policy: Some(policy),
            summary: options.summary,
            ..Self::default()
        }
    }
}

/// Calls the activity with the options, and tells how that ended: `{"result": …}` or `{"failure": {…}}`.
#[workflow]
pub async fn activity_with_options(name: String, options: Options, argument: Option<Value>) -> WorkflowResult<Value> {
    let call = activity::<Value>(name).arg(argument).options(options.into());
    Ok(match call.await {
        Ok(result) => json!({ "result": result }),
        Err(error) => json!({ "failure": describe(&error) }),
    })
}

/// What a test wants to know of an activity's error.
pub fn describe(error: &ActivityError) -> Value {
    json!({
        "text": error.to_string(),
        "cause": error.cause().message,
        "type": error.application().map(|info| &info.error_type),
        "non_retryable": error.application().map(|info| info.non_retryable),
        "detail": error.application().and_then(|info| info.detail::<Value>().ok()),
        "timeout": error.timeout_type().map(word),
        "canceled": error.is_canceled(),
        "retry_state": error.retry_state().map(word),
    })
}

/// `MaximumAttemptsReached` for `RetryState::MaximumAttemptsReached`.
fn word(value: impl std::fmt::Debug) -> String {
    let full = format!("{value:?}");
    full.rsplit("::").next().unwrap_or(&full).to_owned()
}

/// An activity against a timer, by `select!`: its result or "timer". The activity goes on when the timer wins.
#[workflow]
pub async fn activity_race(name: String, milliseconds: u64) -> WorkflowResult<Value> {
    select! {
        result = activity::<Value>(name).start_to_close_timeout(TIMEOUT) => Ok(result?),
        fired = sleep(Duration::from_millis(milliseconds)) => {
            fired?;
            Ok(json!("timer"))
        }
    }
}

/// An activity with a timeout of the workflow's own: its result or "timeout". The activity is canceled then.
#[workflow]
pub async fn activity_timeout(name: String, milliseconds: u64) -> WorkflowResult<Value> {
    let call = activity::<Value>(name).start_to_close_timeout(TIMEOUT);
    match call.timeout(Duration::from_millis(milliseconds)).await {
        Ok(result) => Ok(result?),
        Err(_) => Ok(json!("timeout")),
    }
}

/// So many activities at once, each with its index as argument; their results in the order of the indexes.
#[workflow]
pub async fn fan_out(name: String, count: u32) -> WorkflowResult<Vec<Value>> {
    let calls = (0..count).map(|index| activity(&name).arg(index).start_to_close_timeout(TIMEOUT));
    Ok(try_join_all(calls).await?)
}

/// So many activities one after the other; the sum of what they give, if they give numbers.
#[workflow(name = "Loop")]
pub async fn sequence(name: String, count: u32) -> WorkflowResult<f64> {
    let mut sum = 0.0;
    for index in 0..count {
        let result: Value = activity(&name).arg(index).start_to_close_timeout(TIMEOUT).await?;
        sum += result.as_f64().unwrap_or_default();
    }
    Ok(sum)
}
