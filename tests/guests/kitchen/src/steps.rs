//! What leaves markers and other notes in the history, and what goes on in another run.

use std::cell::Cell;

use mainspring_workflow::prelude::*;
use serde_json::{Value, json};

use crate::failures;

/// Runs the local activity `step` so that it fails so often before it succeeds; tells how it ended.
#[workflow]
pub async fn local_step(unlucky: u32, maximum_attempts: u32) -> WorkflowResult<Value> {
    let attempts = Cell::new(0);
    let policy = RetryPolicy::default().initial_interval(Duration::from_millis(1)).maximum_attempts(maximum_attempts);
    let step = local_activity("step", || {
        attempts.set(attempts.get() + 1);
        if attempts.get() <= unlucky {
            return Err(ApplicationFailure::new("Unlucky", format!("attempt {}", attempts.get())));
        }
        Ok(attempts.get())
    })
    .retry_policy(policy);
    Ok(match step.await {
        Ok(attempt) => json!({ "result": attempt }),
        Err(error) => json!({ "failure": failures::describe(error.failure()) }),
    })
}

/// Asks for a patch twice, or says that it is deprecated; a timer on the new path.
#[workflow]
pub async fn patches(deprecated: bool) -> WorkflowResult<bool> {
    let is_new = if deprecated {
        deprecate_patch("new-path");
        true
    } else {
        patched("new-path")
    };
    if is_new {
        sleep(Duration::from_millis(1)).await?;
    }
    Ok(is_new && (deprecated || patched("new-path")))
}

/// Writes its memo twice, takes a part back, and says what it is about, around timers.
#[workflow]
pub async fn notes() -> WorkflowResult<Value> {
    upsert_memo(Memo::new().set("note", "written by the workflow").set("stage", 1))?;
    set_current_details("**half way**");
    sleep(Duration::from_millis(1)).summary("a short rest").await?;
    upsert_memo(Memo::new().set("stage", 2).unset("note"))?;
    signals::<Option<Value>>("end").next().await?;
    Ok(json!({ "stage": info().memo::<Value>("stage")?, "note": info().memo::<Value>("note")? }))
}

/// What a next run gets; what is left out stays as it was.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Next {
    workflow_type: Option<String>,
    args: Vec<Value>,
    task_queue: Option<String>,
    run_timeout_ms: Option<u64>,
    task_timeout_ms: Option<u64>,
    maximum_attempts: Option<u32>,
    memo: Option<String>,
}

/// Goes on in a run with these options, after a signal if it is asked to wait for one.
#[workflow]
pub async fn goes_on(next: Next, waits: Option<bool>) -> WorkflowResult<()> {
    if waits.unwrap_or_default() {
        signals::<Option<Value>>("go").next().await?;
    }
    let mut again = next.args.into_iter().fold(continue_as_new(), |again, argument| again.arg(argument));
    if let Some(workflow_type) = next.workflow_type {
        again = again.workflow_type(workflow_type);
    }
    if let Some(task_queue) = next.task_queue {
        again = again.task_queue(task_queue);
    }
    if let Some(timeout) = next.run_timeout_ms {
        again = again.run_timeout(Duration::from_millis(timeout));
    }
    if let Some(timeout) = next.task_timeout_ms {
        again = again.task_timeout(Duration::from_millis(timeout));
    }
    if let Some(attempts) = next.maximum_attempts {
        let policy = RetryPolicy::default().initial_interval(Duration::from_millis(1)).maximum_attempts(attempts);
        again = again.retry_policy(policy);
    }
    if let Some(note) = next.memo {
        again = again.memo(Memo::new().set("note", note));
    }
    Err(again.into())
}

/// Does each of these activities, and undoes the ones that were done, last first, when one fails.
#[workflow]
pub async fn saga(all: Vec<String>) -> WorkflowResult<Value> {
    let timeout = Duration::from_secs(30);
    let mut done: Vec<String> = Vec::new();
    for name in all {
        let call = activity::<Value>(&name).arg(&name).start_to_close_timeout(timeout);
        if let Err(error) = call.retry_policy(RetryPolicy::default().maximum_attempts(1)).await {
            for undo in done.iter().rev() {
                activity::<Value>("undo").arg(undo).start_to_close_timeout(timeout).await?;
            }
            return Ok(json!({ "undone": done, "failure": failures::describe(error.failure()) }));
        }
        done.push(name);
    }
    Ok(json!(done))
}
