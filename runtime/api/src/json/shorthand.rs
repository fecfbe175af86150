//! Temporal's shorthand for payloads: the JSON that they hold in place of metadata and base64.

use prost_reflect::prost::Message;
use serde_json::{Map, Value, json};

use crate::common::Payload;

/// Where the shorthand of a protobuf message's JSON holds the message's name.
const MESSAGE_TYPE_KEY: &str = "_protoMessageType";

/// The shorthand of a payload in full form, if it has one.
pub(super) fn of_payload(full: &Value) -> Option<Value> {
    let payload: Payload = full_payload(full)?;
    match encoding(&payload) {
        b"binary/null" => Some(Value::Null),
        b"json/plain" if payload.metadata.len() == 1 => serde_json::from_slice(&payload.data).ok(),
        b"json/protobuf" if payload.metadata.len() == 2 => {
            let message_type = String::from_utf8(payload.metadata.get("messageType")?.clone()).ok()?;
            let mut object: Map<String, Value> = serde_json::from_slice(&payload.data).ok()?;
            object.insert(MESSAGE_TYPE_KEY.to_owned(), Value::String(message_type));
            Some(Value::Object(object))
        }
        _ => None,
    }
}

/// The full form of a payload in either form.
pub(super) fn to_full(either: Value) -> Value {
    // A full payload has metadata, and data unless it is null: anything else is what some payload holds.
    if let Some(payload) = full_payload(&either)
        && !payload.metadata.is_empty()
        && (!payload.data.is_empty() || encoding(&payload) == b"binary/null")
    {
        return either;
    }
    let (metadata, data) = match either {
        Value::Null => (json!({ "encoding": base64("binary/null") }), String::new()),
        Value::Object(mut object) => match object.get(MESSAGE_TYPE_KEY).and_then(Value::as_str).map(base64) {
            Some(message_type) => {
                object.shift_remove(MESSAGE_TYPE_KEY);
                let metadata = json!({ "encoding": base64("json/protobuf"), "messageType": message_type });
                (metadata, Value::Object(object).to_string())
            }
            None => (json!({ "encoding": base64("json/plain") }), Value::Object(object).to_string()),
        },
        other => (json!({ "encoding": base64("json/plain") }), other.to_string()),
    };
    json!({ "metadata": metadata, "data": base64(&data) })
}

fn full_payload(json: &Value) -> Option<Payload> {
    let payload = super::read::exact(json, &super::descriptor::<Payload>()).ok()?;
    Payload::decode(payload.encode_to_vec().as_slice()).ok()
}

fn encoding(payload: &Payload) -> &[u8] {
    payload.metadata.get("encoding").map_or(&[], Vec::as_slice)
}

fn base64(text: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    BASE64_STANDARD.encode(text)
}
