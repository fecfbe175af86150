//! Canonical protobuf JSON, as the `temporal` CLI prints and reads it.
//!
//! [`to_json`] and [`from_json`] work on any message of [`FILE_DESCRIPTOR_SET`](crate::FILE_DESCRIPTOR_SET) and follow
//! the proto3 JSON mapping: camelCase names, enums by name, 64-bit integers as strings, bytes in base64. Fields come
//! in the order of the `.proto` file and maps sorted by key, so that one message has one text.
//!
//! Temporal adds two things to the mapping, and so do we:
//! - *Shorthand payloads*: a payload that holds JSON is written as that JSON, for people to read
//!   ([`to_json_shorthand`]). It does not keep the payload's exact bytes, so histories are written without it.
//! - *Short enum names*, such as `WorkflowExecutionStarted`, in files of old versions.
//!
//! Reading takes all of these forms. What can be read as plain protobuf JSON is never taken as shorthand.

mod read;
mod shorthand;
mod write;

use std::{fmt, sync::LazyLock};

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

use crate::history::{History, HistoryEvent};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(crate::FILE_DESCRIPTOR_SET).expect("the descriptors are our own"));

/// Why a text is not the JSON of the message that was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The field, such as `events[3].eventTime`; empty where the text is no JSON at all.
    pub field: String,
    /// Line and column from 1, where they are known.
    pub position: Option<(usize, usize)>,
    pub problem: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "field {}: ", self.field)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for JsonError {}

/// The message in canonical protobuf JSON.
pub fn to_json<M: Message + Name>(message: &M) -> Value {
    write::message(&dynamic(message), write::Payloads::Full)
}

/// The message in protobuf JSON whose payloads are shown by their content, where that is JSON.
pub fn to_json_shorthand<M: Message + Name>(message: &M) -> Value {
    write::message(&dynamic(message), write::Payloads::Shorthand)
}

/// Reads a message from its JSON.
pub fn from_json<M: Message + Name + Default>(text: &str) -> Result<M, JsonError> {
    let message = read::message(text, &descriptor::<M>())?;
    message.transcode_to().map_err(|error| JsonError {
        field: String::new(),
        position: None,
        problem: format!("does not fit {}: {error}", M::full_name()),
    })
}

/// A history as `temporal workflow show --output json` prints it.
pub fn history_to_json(events: &[HistoryEvent]) -> Value {
    to_json(&History { events: events.to_vec() })
}

/// Reads a history as `temporal workflow show --output json` prints it.
pub fn history_from_json(text: &str) -> Result<Vec<HistoryEvent>, JsonError> {
    from_json::<History>(text).map(|history| history.events)
}

fn descriptor<M: Name>() -> MessageDescriptor {
    let name = M::full_name();
    POOL.get_message_by_name(&name).unwrap_or_else(|| panic!("no descriptor of {name} in FILE_DESCRIPTOR_SET"))
}

fn dynamic<M: Message + Name>(message: &M) -> DynamicMessage {
    DynamicMessage::decode(descriptor::<M>(), message.encode_to_vec().as_slice())
        .expect("a message fits its own descriptor")
}

const PAYLOAD: &str = "temporal.api.common.v1.Payload";
const PAYLOADS: &str = "temporal.api.common.v1.Payloads";

/// Whether the mapping gives the message a form of its own, without the names of its fields.
fn has_own_form(message: &MessageDescriptor) -> bool {
    message.full_name().starts_with("google.protobuf.")
}
