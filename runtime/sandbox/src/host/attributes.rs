//! `mainspring:workflow/attributes`.

use std::collections::HashMap;

use mainspring_api::{
    command::{
        Command, ModifyWorkflowPropertiesCommandAttributes, UpsertWorkflowSearchAttributesCommandAttributes,
        command::Attributes,
    },
    common::{self as proto, Memo, SearchAttributes},
    enums::CommandType,
};

use super::HostState;
use crate::{
    bindings::{attributes, types::Payload},
    convert::payload::changes_to_proto,
    operations::command,
};

impl attributes::Host for HostState {
    fn upsert_memo(&mut self, fields: Vec<(String, Option<Payload>)>) -> wasmtime::Result<()> {
        self.commanding("attributes.upsert-memo")?;
        let attributes = ModifyWorkflowPropertiesCommandAttributes {
            upserted_memo: Some(Memo { fields: changes_to_proto(fields) }),
        };
        let command = command(
            CommandType::ModifyWorkflowProperties,
            Attributes::ModifyWorkflowPropertiesCommandAttributes(attributes),
            None,
        );
        Ok(self.operations.tell(command, None, &self.limits)?)
    }

    fn upsert_search_attributes(&mut self, fields: Vec<(String, Option<Payload>)>) -> wasmtime::Result<()> {
        self.commanding("attributes.upsert-search-attributes")?;
        let command = upsert_search_attributes(changes_to_proto(fields));
        Ok(self.operations.tell(command, None, &self.limits)?)
    }
}

pub(super) fn upsert_search_attributes(indexed_fields: HashMap<String, proto::Payload>) -> Command {
    let attributes = UpsertWorkflowSearchAttributesCommandAttributes {
        search_attributes: Some(SearchAttributes { indexed_fields }),
    };
    command(
        CommandType::UpsertWorkflowSearchAttributes,
        Attributes::UpsertWorkflowSearchAttributesCommandAttributes(attributes),
        None,
    )
}
