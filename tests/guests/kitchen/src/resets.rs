//! Workflows that a reset finds in the middle of something.

use mainspring_workflow::prelude::*;

/// Waits for a child, and gives what it gave.
#[workflow]
pub async fn waits_for_a_child(workflow_id: String) -> WorkflowResult<Vec<String>> {
    let child = child_workflow::<Vec<String>>("Approval").arg(1).workflow_id(workflow_id);
    Ok(child.start().await?.result().await?)
}

/// Takes one signal, goes on in a new run, and takes another one there.
#[workflow]
pub async fn collects_in_two_runs(collected: Option<Vec<String>>) -> WorkflowResult<Vec<String>> {
    let item = signals::<String>("collect").next().await?;
    match collected {
        None => Err(collects_in_two_runs::continue_as_new(Some(vec![item])).into()),
        Some(collected) => Ok([collected, vec![item]].concat()),
    }
}
