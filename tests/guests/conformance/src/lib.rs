//! Small workflows, each for one of Temporal's rules. `tests/support/standins.py` has the same ones in Python, so that
//! the same tests run against Temporal's own server and show that they expect what Temporal does.

use mainspring_workflow::prelude::*;
use serde_json::Value;

/// An activity and its options, as the tests write them. Times are in milliseconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    activity: String,
    #[serde(default)]
    args: Vec<Value>,
    activity_id: Option<String>,
    task_queue: Option<String>,
    schedule_to_close_ms: Option<u64>,
    schedule_to_start_ms: Option<u64>,
    start_to_close_ms: Option<u64>,
    heartbeat_ms: Option<u64>,
    cancellation: Option<Cancellation>,
    retry: Option<Retry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cancellation {
    TryCancel,
    WaitCancellationCompleted,
    Abandon,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    initial_interval_ms: Option<u64>,
    backoff_coefficient: Option<f64>,
    maximum_interval_ms: Option<u64>,
    maximum_attempts: Option<u32>,
    #[serde(default)]
    non_retryable: Vec<String>,
}

impl Call {
    fn start(self) -> ActivityHandle<Value> {
        let options = ActivityOptions {
            activity_id: self.activity_id,
            task_queue: self.task_queue,
            schedule_to_close_timeout: self.schedule_to_close_ms.map(Duration::from_millis),
            schedule_to_start_timeout: self.schedule_to_start_ms.map(Duration::from_millis),
            start_to_close_timeout: self.start_to_close_ms.map(Duration::from_millis),
            heartbeat_timeout: self.heartbeat_ms.map(Duration::from_millis),
            retry_policy: self.retry.map(Retry::policy),
            cancellation_type: match self.cancellation {
                Some(Cancellation::WaitCancellationCompleted) => CancellationType::WaitCancellationCompleted,
                Some(Cancellation::Abandon) => CancellationType::Abandon,
                Some(Cancellation::TryCancel) | None => CancellationType::TryCancel,
            },
            ..ActivityOptions::default()
        };
        let mut call = activity::<Value>(self.activity).options(options);
        for argument in self.args {
            call = call.arg(argument);
        }
        call.start()
    }
}

impl Retry {
    fn policy(self) -> RetryPolicy {
        let mut policy = RetryPolicy::default();
        if let Some(interval) = self.initial_interval_ms {
            policy = policy.initial_interval(Duration::from_millis(interval));
        }
        if let Some(coefficient) = self.backoff_coefficient {
            policy = policy.backoff_coefficient(coefficient);
        }
        if let Some(interval) = self.maximum_interval_ms {
            policy = policy.maximum_interval(Duration::from_millis(interval));
        }
        if let Some(attempts) = self.maximum_attempts {
            policy = policy.maximum_attempts(attempts);
        }
        self.non_retryable.into_iter().fold(policy, RetryPolicy::non_retryable)
    }
}

/// Returns its arguments and what it knows of itself.
#[workflow]
async fn echo(argument: Value) -> WorkflowResult<Value> {
    let info = info();
    Ok(serde_json::json!({
        "argument": argument,
        "workflow_id": info.workflow_id,
        "run_id": info.run_id,
        "workflow_type": info.workflow_type,
        "task_queue": info.task_queue,
        "attempt": info.attempt,
        "note": info.memo::<Value>("note")?,
    }))
}

/// One activity; its result or its failure is the workflow's.
#[workflow]
async fn run_activity(call: Call) -> WorkflowResult<Value> {
    Ok(call.start().await?)
}

/// Several at once; their results in order.
#[workflow]
async fn run_activities(calls: Vec<Call>) -> WorkflowResult<Vec<Value>> {
    let handles: Vec<_> = calls.into_iter().map(Call::start).collect();
    Ok(try_join_all(handles).await?)
}

/// Cancels the activity when the signal `cancel-activity` comes, and tells how it ended.
#[workflow]
async fn cancel_activity(call: Call) -> WorkflowResult<Value> {
    let handle = call.start();
    signals::<Value>("cancel-activity").next().await?;
    handle.cancel();
    match handle.await {
        Ok(result) => Ok(serde_json::json!({ "completed": result })),
        Err(error) if error.is_canceled() => Ok("canceled".into()),
        Err(error) => Err(error.into()),
    }
}

/// Waits for `sleep_ms`, and says by how much the workflow's clock moved.
#[workflow(name = "Sleep")]
async fn sleeper(sleep_ms: u64) -> WorkflowResult<u128> {
    let before = now();
    sleep(Duration::from_millis(sleep_ms)).await?;
    Ok(now().duration_since(before).unwrap_or_default().as_millis())
}

/// An activity against a timer: tells who was first.
#[workflow]
async fn race(call: Call, timeout_ms: u64) -> WorkflowResult<String> {
    let handle = call.start();
    select! {
        result = handle => { result?; Ok("activity".into()) }
        up = sleep(Duration::from_millis(timeout_ms)) => { up?; Ok("timer".into()) }
    }
}

/// Takes this many signals `item`; returns them in order.
#[workflow]
async fn collect_signals(count: usize) -> WorkflowResult<Vec<Value>> {
    let mut items = signals::<Value>("item");
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(items.next().await?);
    }
    Ok(taken)
}

/// Waits until it is asked to stop; then runs the activity `clean_up` and ends as canceled.
#[workflow]
async fn clean_up_on_cancel() -> WorkflowResult<()> {
    let canceled = signals::<Value>("never").next().await.err();
    shielded(activity::<()>("clean_up").start_to_close_timeout(Duration::from_secs(10))).await?;
    canceled.map_or(Ok(()), |canceled| Err(canceled.into()))
}

/// Completes although it was asked to stop, with the reason.
#[workflow]
async fn ignore_cancel() -> WorkflowResult<String> {
    shielded(async { Ok(canceled().await) }).await
}

#[derive(Deserialize)]
struct Fault {
    r#type: String,
    message: String,
    #[serde(default)]
    non_retryable: bool,
    #[serde(default)]
    details: Vec<Value>,
}

/// Fails as it is told to.
#[workflow]
async fn fail_as_told(fault: Fault) -> WorkflowResult<()> {
    let mut failure = ApplicationFailure::new(fault.r#type, fault.message);
    if fault.non_retryable {
        failure = failure.non_retryable();
    }
    for detail in fault.details {
        failure = failure.details(detail);
    }
    Err(failure.into())
}

/// Panics: a bug, which fails the workflow task and not the workflow.
#[workflow]
async fn panic_at_once() -> WorkflowResult<()> {
    panic!("this workflow has a bug")
}

/// Everything that could differ from one execution to the next, in one result.
#[workflow]
async fn chance() -> WorkflowResult<Value> {
    let first = serde_json::json!([random().range(0..1_000_000_u64), uuid4()]);
    sleep(Duration::from_millis(10)).await?;
    let words: std::collections::HashMap<String, u32> = ('a'..='z').map(|c| (c.to_string(), c as u32)).collect();
    let order: String = words.keys().map(String::as_str).collect();
    Ok(serde_json::json!([first, random().range(0..1_000_000_u64), uuid4(), order]))
}

mainspring_workflow::export!(
    echo,
    run_activity,
    run_activities,
    cancel_activity,
    sleeper,
    race,
    collect_signals,
    clean_up_on_cancel,
    ignore_cancel,
    fail_as_told,
    panic_at_once,
    chance,
);
