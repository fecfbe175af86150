//! Being canceled.

use mainspring_workflow::prelude::*;
use serde_json::{Value, json};

use crate::activities::describe;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Calls `name` and, when it is canceled meanwhile, `cleanup` with the reason; then ends as canceled.
#[workflow]
pub async fn cancel_me(name: String, cleanup: String) -> WorkflowResult<Value> {
    let error = match activity::<Value>(name).start_to_close_timeout(TIMEOUT).await {
        Ok(result) => return Ok(result),
        Err(error) => error,
    };
    if error.is_canceled() {
        let undo = activity::<Value>(cleanup).arg(cancel_reason()).start_to_close_timeout(TIMEOUT);
        let undone = shielded(undo).await?;
        let canceled = Canceled::default();
        // The SDK for Python has no details to give: nothing that says nothing.
        let says_something = undone.as_str().is_none_or(|text| !text.is_empty());
        return Err(if says_something { canceled.details(undone) } else { canceled }.into());
    }
    Err(error.into())
}

/// Calls `name` three times at once, with each of the cancellation types and its name as argument; tells how each
/// ended. Completes even when it is canceled.
#[workflow]
pub async fn cancel_types(name: String) -> WorkflowResult<Vec<Value>> {
    let types = [
        ("try-cancel", CancellationType::TryCancel),
        ("wait-cancellation-completed", CancellationType::WaitCancellationCompleted),
        ("abandon", CancellationType::Abandon),
    ];
    let calls = types.map(|(word, cancellation_type)| {
        let call = activity::<Value>(&name)
            .arg(word)
            .start_to_close_timeout(TIMEOUT)
            .heartbeat_timeout(Duration::from_secs(5))
            .cancellation_type(cancellation_type);
        async move {
            match call.await {
                Ok(result) => json!({ "type": word, "result": result }),
                Err(error) => json!({ "type": word, "failure": describe(&error) }),
            }
        }
    });
    Ok(join_all(calls).await)
}

/// Takes note of a request to cancel, and finishes its sleep all the same.
#[workflow]
pub async fn ignore_cancel(milliseconds: u64) -> WorkflowResult<Option<String>> {
    shielded(sleep(Duration::from_millis(milliseconds))).await?;
    Ok(cancel_reason())
}
