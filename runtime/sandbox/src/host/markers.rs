//! `mainspring:workflow/markers` and `mainspring:workflow/versioning`: both write markers.

use std::collections::HashMap;

use mainspring_api::{
    command::{Command, RecordMarkerCommandAttributes, command::Attributes},
    common::Payloads,
    enums::CommandType,
    failure::Failure,
};

use super::{Fault, HostState, attributes::upsert_search_attributes};
use crate::{
    bindings::{
        markers,
        types::{FailureLink, Payload},
        versioning,
    },
    convert::{
        failure::failure_to_proto,
        payload::{json_payload, payloads_to_proto},
    },
    operations::command,
    patches::{self, Patch},
};

impl markers::Host for HostState {
    fn record_marker(
        &mut self,
        name: String,
        details: Vec<(String, Vec<Payload>)>,
        failure: Option<Vec<FailureLink>>,
    ) -> wasmtime::Result<()> {
        self.commanding("markers.record-marker")?;
        if name == patches::MARKER {
            return Err(Fault::bad_call(format!("the marker {name:?} is what versioning writes")).into());
        }
        let details = details.into_iter().map(|(key, value)| (key, payloads_to_proto(value).unwrap_or_default()));
        let failure = failure.map(failure_to_proto).transpose()?;
        let command = marker(name, details.collect(), failure);
        Ok(self.operations.tell(command, None, &self.limits)?)
    }
}

impl versioning::Host for HostState {
    fn patched(&mut self, id: String) -> wasmtime::Result<bool> {
        self.activation("versioning.patched")?;
        Ok(self.patch(id, false)?)
    }

    fn deprecate_patch(&mut self, id: String) -> wasmtime::Result<()> {
        self.activation("versioning.deprecate-patch")?;
        Ok(self.patch(id, true).map(drop)?)
    }
}

impl HostState {
    fn patch(&mut self, id: String, deprecated: bool) -> Result<bool, Fault> {
        match self.patches.ask(&id) {
            Patch::Known(taken) => Ok(taken),
            Patch::New => {
                let command = marker(patches::MARKER.to_owned(), patches::details(&id, deprecated), None);
                self.operations.tell(command, None, &self.limits)?;
                let mut taken = json_payload(&self.patches.taken().into());
                taken.metadata.insert("type".to_owned(), b"KeywordList".to_vec());
                let attributes = HashMap::from([(patches::SEARCH_ATTRIBUTE.to_owned(), taken)]);
                self.operations.tell(upsert_search_attributes(attributes), None, &self.limits)?;
                Ok(true)
            }
        }
    }
}

fn marker(marker_name: String, details: HashMap<String, Payloads>, failure: Option<Failure>) -> Command {
    let attributes = RecordMarkerCommandAttributes { marker_name, details, failure, ..Default::default() };
    command(CommandType::RecordMarker, Attributes::RecordMarkerCommandAttributes(attributes), None)
}
