//! What a workflow tells people about itself: `temporal.api.sdk.v1.WorkflowMetadata`, which the built-in query
//! `__temporal_workflow_metadata` answers with.

use serde::Serialize;

use crate::{
    payload::{Payload, PayloadError, protobuf_json},
    runtime::Runtime,
};

/// Sets the text that the UI shows as the workflow's current details: several lines, in Markdown. It is part of the
/// workflow's state and not of its history.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// set_current_details("**waiting** for the second approval");
/// signals::<String>("approve").next().await?;
/// # Ok(()) }
/// ```
pub fn set_current_details(details: impl Into<String>) {
    let runtime = Runtime::current();
    runtime.changes("set the current details");
    runtime.current_details.replace(details.into());
}

/// What [`set_current_details`] was last given; empty at first.
pub fn current_details() -> String {
    Runtime::current().current_details.borrow().clone()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkflowMetadata {
    definition: WorkflowDefinition,
    #[serde(skip_serializing_if = "String::is_empty")]
    current_details: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkflowDefinition {
    r#type: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    query_definitions: Vec<Interaction>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signal_definitions: Vec<Interaction>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    update_definitions: Vec<Interaction>,
}

/// A dynamic handler has no name.
#[derive(Serialize)]
struct Interaction {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
}

/// As proto3 JSON, which leaves out what is empty.
pub(crate) fn of(runtime: &Runtime) -> Result<Payload, PayloadError> {
    let interactions = |described: Vec<(String, String)>| {
        described.into_iter().map(|(name, description)| Interaction { name, description }).collect()
    };
    let metadata = WorkflowMetadata {
        definition: WorkflowDefinition {
            r#type: runtime.host().info().workflow_type,
            query_definitions: interactions(runtime.queries.described()),
            signal_definitions: interactions(runtime.signaled.described()),
            update_definitions: interactions(runtime.updates.described()),
        },
        current_details: runtime.current_details.borrow().clone(),
    };
    protobuf_json("temporal.api.sdk.v1.WorkflowMetadata", &metadata)
}
