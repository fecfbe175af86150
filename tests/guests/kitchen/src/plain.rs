//! Arguments, results, failures, timers, log lines, info.

use std::time::SystemTime;

use mainspring_workflow::prelude::*;
use serde_json::{Value, json};

/// Gives back its argument, whatever its encoding.
#[workflow]
pub async fn echo(value: Payload) -> WorkflowResult<Payload> {
    Ok(value)
}

/// Gives back up to three arguments as a list; missing ones are null.
#[workflow]
pub async fn echo_all(
    a: Value,
    b: Option<Value>,
    c: Option<Value>,
) -> WorkflowResult<(Value, Option<Value>, Option<Value>)> {
    Ok((a, b, c))
}

/// So many bytes, raw.
#[workflow]
pub async fn bytes(count: usize) -> WorkflowResult<Bytes> {
    Ok(Bytes(vec![b'x'; count]))
}

/// Gives the milliseconds that the workflow's clock moved.
#[workflow(name = "Sleep")]
pub async fn sleeps(milliseconds: u64) -> WorkflowResult<u64> {
    let start = now();
    sleep(Duration::from_millis(milliseconds)).summary("a test sleeps").await?;
    Ok(now().duration_since(start)?.as_millis() as u64)
}

/// So many timers, one after the other.
#[workflow]
pub async fn chain(count: u32, milliseconds: u64) -> WorkflowResult<u32> {
    for _ in 0..count {
        sleep(Duration::from_millis(milliseconds)).await?;
    }
    Ok(count)
}

#[workflow]
pub async fn fail_with(
    error_type: String,
    non_retryable: bool,
    details: Option<Value>,
    next_retry_delay_ms: Option<u64>,
) -> WorkflowResult<()> {
    let mut failure = ApplicationFailure::new(error_type, "failed as asked");
    if non_retryable {
        failure = failure.non_retryable();
    }
    if let Some(details) = details {
        failure = failure.details(details);
    }
    if let Some(delay) = next_retry_delay_ms {
        failure = failure.next_retry_delay(Duration::from_millis(delay));
    }
    Err(failure.into())
}

/// A line at each level before a timer, and one after it.
#[workflow(name = "Log")]
pub async fn log_lines(text: String) -> WorkflowResult<()> {
    trace!("trace {text}");
    debug!("debug {text}");
    info!(text = text, length = text.len(), "info {text}");
    warn!("warn {text}");
    error!("error {text}");
    println!("stdout {text}");
    eprintln!("stderr {text}");
    sleep(Duration::from_millis(1)).await?;
    info!("after {text}");
    Ok(())
}

/// Panics after a timer: the first activation is fine, the second is not.
#[workflow]
pub async fn panic_after_timer(milliseconds: u64) -> WorkflowResult<()> {
    sleep(Duration::from_millis(milliseconds)).await?;
    panic!("the kitchen is on fire");
}

/// All that the run knows of itself, with what a test cannot foresee.
#[workflow(name = "Info")]
pub async fn own_info() -> WorkflowResult<Value> {
    let (run, history) = (info(), history());
    let milliseconds = |duration: Option<Duration>| duration.map(|duration| duration.as_millis() as u64);
    let keys = |entries: &[(String, Payload)]| entries.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let ids = |execution: &mainspring_workflow::WorkflowExecution| {
        [&execution.workflow_id, &execution.run_id].map(String::clone)
    };
    Ok(json!({
        "namespace": run.namespace,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "first_execution_run_id": run.first_execution_run_id,
        "continued_execution_run_id": run.continued_execution_run_id,
        "workflow_type": run.workflow_type,
        "task_queue": run.task_queue,
        "attempt": run.attempt,
        "parent": run.parent.as_ref().map(|parent| ids(&parent.execution)),
        "root": run.root.as_ref().map(ids),
        "start_time_ms": run.start_time.duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64,
        "execution_timeout_ms": milliseconds(run.execution_timeout),
        "run_timeout_ms": milliseconds(run.run_timeout),
        "task_timeout_ms": milliseconds(run.task_timeout),
        "has_retry_policy": run.retry_policy.is_some(),
        "memo": keys(&run.memo),
        "search_attributes": keys(&run.search_attributes),
        "header": keys(&run.header),
        "note": run.memo::<Value>("note")?,
        "last_result": run.last_result::<Value>()?,
        "last_failure": run.last_failure.map(|failure| failure.to_string()),
        "history_length": history.length,
        "history_size_bytes": history.size_bytes,
        "continue_as_new_suggested": history.continue_as_new_suggested,
    }))
}
