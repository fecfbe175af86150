//! What a workflow writes about itself: markers, search attributes, the memo.
//!
//! | command | written | effect |
//! | --- | --- | --- |
//! | RecordMarker | MarkerRecorded | none: it is for the workflow's own replay |
//! | UpsertWorkflowSearchAttributes | UpsertWorkflowSearchAttributes | lists and descriptions show it |
//! | ModifyWorkflowProperties | WorkflowPropertiesModified | lists and descriptions show it |

use std::collections::HashMap;

use mainspring_api::{
    command::{
        ModifyWorkflowPropertiesCommandAttributes, RecordMarkerCommandAttributes,
        UpsertWorkflowSearchAttributesCommandAttributes,
    },
    common::{Memo, Payload, Payloads, SearchAttributes},
    enums::WorkflowTaskFailedCause as Cause,
    history::{
        MarkerRecordedEventAttributes, UpsertWorkflowSearchAttributesEventAttributes,
        WorkflowPropertiesModifiedEventAttributes,
    },
};
use prost::Message as _;

use crate::{RunState, command::BadCommand, limits::temporal as limits, validate};

fn bad(cause: Cause, message: impl Into<String>) -> Result<(), BadCommand> {
    Err(BadCommand { cause, message: message.into() })
}

pub(crate) fn check_marker(asked: &RecordMarkerCommandAttributes) -> Result<(), BadCommand> {
    let cause = Cause::BadRecordMarkerAttributes;
    let name = &asked.marker_name;
    if name.is_empty() {
        return bad(cause, "MarkerName is not set on RecordMarkerCommand.");
    }
    if name.len() > limits::ID_BYTES {
        let (length, limit) = (name.len(), limits::ID_BYTES);
        return bad(
            cause,
            format!(
                "MarkerName on RecordMarkerCommand exceeds length limit. MarkerName={name} Length={length} Limit={limit}"
            ),
        );
    }
    if asked.details.values().map(Payloads::encoded_len).sum::<usize>() > limits::PAYLOAD_BYTES {
        return bad(cause, "RecordMarkerCommandAttributes.Details exceeds size limit.");
    }
    Ok(())
}

pub(crate) fn check_search_attributes(
    asked: &UpsertWorkflowSearchAttributesCommandAttributes,
) -> Result<(), BadCommand> {
    let cause = Cause::BadSearchAttributes;
    match &asked.search_attributes {
        None => bad(cause, "SearchAttributes is not set on UpsertWorkflowSearchAttributesCommand."),
        Some(given) if given.indexed_fields.is_empty() => {
            bad(cause, "IndexedFields is not set on UpsertWorkflowSearchAttributesCommand.")
        }
        Some(given) if given.encoded_len() > limits::PAYLOAD_BYTES => {
            bad(cause, "UpsertWorkflowSearchAttributesCommandAttributes exceeds size limit.")
        }
        Some(_) => Ok(()),
    }
}

pub(crate) fn check_memo(asked: &ModifyWorkflowPropertiesCommandAttributes) -> Result<(), BadCommand> {
    let cause = Cause::BadModifyWorkflowPropertiesAttributes;
    match &asked.upserted_memo {
        None => bad(cause, "UpsertedMemo is not set on ModifyWorkflowPropertiesCommand."),
        Some(memo) if memo.fields.is_empty() => {
            bad(cause, "UpsertedMemo.Fields is not set on ModifyWorkflowPropertiesCommand.")
        }
        memo => validate::memo("ModifyWorkflowPropertiesCommandAttributes. Memo", memo.as_ref())
            .or_else(|error| bad(cause, error.to_string())),
    }
}

pub(crate) fn marker(
    asked: &RecordMarkerCommandAttributes,
    workflow_task_completed_event_id: i64,
) -> MarkerRecordedEventAttributes {
    MarkerRecordedEventAttributes {
        marker_name: asked.marker_name.clone(),
        details: asked.details.clone(),
        workflow_task_completed_event_id,
        header: asked.header.clone(),
        failure: asked.failure.clone(),
    }
}

impl RunState {
    pub(crate) fn apply_search_attributes(&mut self, upserted: &UpsertWorkflowSearchAttributesEventAttributes) {
        if let Some(upserted) = &upserted.search_attributes {
            let present = self.search_attributes.get_or_insert_with(SearchAttributes::default);
            merge(&mut present.indexed_fields, &upserted.indexed_fields);
        }
    }

    pub(crate) fn apply_memo(&mut self, modified: &WorkflowPropertiesModifiedEventAttributes) {
        if let Some(upserted) = &modified.upserted_memo {
            merge(&mut self.memo.get_or_insert_with(Memo::default).fields, &upserted.fields);
        }
    }
}

/// An empty value, or one that stands for nothing, takes the field out.
fn merge(present: &mut HashMap<String, Payload>, upserted: &HashMap<String, Payload>) {
    for (name, payload) in upserted {
        match payload.data.as_slice() {
            b"" | b"null" | b"[]" => present.remove(name),
            _ => present.insert(name.clone(), payload.clone()),
        };
    }
}
