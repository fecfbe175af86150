//! Children with every option, and messages to other workflows.

use mainspring_workflow::{ToPayload, prelude::*};
use serde_json::{Value, json};

use crate::failures;

/// The options that a test can set, in milliseconds where they are times.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    workflow_id: String,
    task_queue: Option<String>,
    execution_timeout_ms: Option<u64>,
    run_timeout_ms: Option<u64>,
    task_timeout_ms: Option<u64>,
    maximum_attempts: Option<u32>,
    parent_close_policy: String,
    reuse_policy: String,
    cancellation_type: String,
    memo: Option<String>,
    summary: Option<String>,
    details: Option<String>,
}

impl From<Options> for ChildWorkflowOptions {
    fn from(options: Options) -> Self {
        let time = |milliseconds: Option<u64>| milliseconds.map(Duration::from_millis);
        let memo = options.memo.map(|note| ("note".to_owned(), note.to_payload().expect("a text is a payload")));
        Self {
            workflow_id: Some(options.workflow_id),
            task_queue: options.task_queue,
            execution_timeout: time(options.execution_timeout_ms),
            run_timeout: time(options.run_timeout_ms),
            task_timeout: time(options.task_timeout_ms),
            retry_policy: options.maximum_attempts.map(|attempts| {
                RetryPolicy::default().initial_interval(Duration::from_millis(1)).maximum_attempts(attempts)
            }),
            parent_close_policy: match options.parent_close_policy.as_str() {
                "abandon" => ParentClosePolicy::Abandon,
                "request-cancel" => ParentClosePolicy::RequestCancel,
                _ => ParentClosePolicy::Terminate,
            },
            workflow_id_reuse_policy: match options.reuse_policy.as_str() {
                "allow-duplicate-failed-only" => WorkflowIdReusePolicy::AllowDuplicateFailedOnly,
                "reject-duplicate" => WorkflowIdReusePolicy::RejectDuplicate,
                _ => WorkflowIdReusePolicy::AllowDuplicate,
            },
            cancellation_type: match options.cancellation_type.as_str() {
                "abandon" => ChildCancellationType::Abandon,
                "try-cancel" => ChildCancellationType::TryCancel,
                "wait-cancellation-requested" => ChildCancellationType::WaitCancellationRequested,
                _ => ChildCancellationType::WaitCancellationCompleted,
            },
            memo: memo.into_iter().collect(),
            summary: options.summary,
            details: options.details,
            ..Self::default()
        }
    }
}

/// Runs a child with the options and the arguments, and tells how that ended: `{"result": …}` or `{"failure": {…}}`.
/// Completes even when it is canceled meanwhile.
#[workflow]
pub async fn parent(workflow_type: String, args: Vec<Value>, options: Options) -> WorkflowResult<Value> {
    let child = child_workflow::<Value>(workflow_type).options(options.into());
    let child = args.into_iter().fold(child, |child, argument| child.arg(argument));
    Ok(match child.await {
        Ok(result) => json!({ "result": result }),
        Err(error) => json!({ "failure": failures::describe(error.failure()) }),
    })
}

/// Starts children with the options, one for each id, one after the other; ends when it is told to `go`.
#[workflow]
pub async fn leaves_children(workflow_type: String, args: Vec<Value>, all: Vec<Options>) -> WorkflowResult<()> {
    for options in all {
        let child = child_workflow::<Value>(&workflow_type).options(options.into());
        let _ = args.iter().fold(child, |child, argument| child.arg(argument)).start().await?;
    }
    signals::<Option<Value>>("go").next().await?;
    Ok(())
}

/// Starts a child, tells it something when the workflow is told to `go`, and cancels it when it is told again.
#[workflow]
pub async fn steers_a_child(workflow_id: String) -> WorkflowResult<Value> {
    let mut go = signals::<Option<Value>>("go");
    let child = child_workflow::<Value>("Approval").arg(2).workflow_id(workflow_id).start().await?;
    go.next().await?;
    let told = sent(child.signal("approve").arg("parent").await);
    go.next().await?;
    child.cancel();
    let ended = match child.await {
        Ok(result) => json!({ "result": result }),
        Err(error) => json!({ "failure": failures::describe(error.failure()) }),
    };
    Ok(json!({ "told": told, "ended": ended }))
}

/// Sends another workflow, or a run of it, the signal `approve` or a request to cancel: what comes of it.
#[workflow]
pub async fn tells(workflow_id: String, run_id: Option<String>, what: String) -> WorkflowResult<Value> {
    let other = external_workflow(workflow_id).run_id(run_id.unwrap_or_default());
    Ok(match what.as_str() {
        "cancel" => sent(other.cancel().await),
        _ => sent(other.signal("approve").arg("messenger").await),
    })
}

fn sent(result: Result<(), ExternalWorkflowError>) -> Value {
    match result {
        Ok(()) => json!("sent"),
        Err(error) => failures::describe(error.failure()),
    }
}
