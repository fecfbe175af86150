//! From JSON to a message.

use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde::de::{DeserializeSeed, Deserializer};
use serde_json::Value;

use super::{JsonError, PAYLOAD, PAYLOADS, has_own_form, shorthand, write::map_value_kind};

pub(super) fn message(text: &str, descriptor: &MessageDescriptor) -> Result<DynamicMessage, JsonError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let first = match read(&mut json, descriptor) {
        Ok(message) => {
            return json.end().map(|()| message).map_err(|error| JsonError {
                field: String::new(),
                position: position(&error),
                problem: without_position(&error),
            });
        }
        Err(error) => error,
    };
    // Not the plain mapping. It may be one of Temporal's own forms, unless it is no JSON at all.
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Err(first) };
    let plain = |payloads| exact(&to_plain(value.clone(), descriptor, payloads), descriptor);
    plain(Payloads::AsTheyAre).or_else(|_| plain(Payloads::Expanded)).map_err(|second| {
        // The first attempt knows the line, the second what is wrong once shorthand is understood.
        if first.field == second.field { first } else { second }
    })
}

/// Reads the plain mapping alone.
pub(super) fn exact(json: &Value, descriptor: &MessageDescriptor) -> Result<DynamicMessage, JsonError> {
    read(json, descriptor)
}

fn read<'de, D>(json: D, descriptor: &MessageDescriptor) -> Result<DynamicMessage, JsonError>
where
    D: Deserializer<'de, Error = serde_json::Error>,
{
    let mut track = serde_path_to_error::Track::new();
    let json = serde_path_to_error::Deserializer::new(json, &mut track);
    descriptor.clone().deserialize(json).map_err(|error| {
        let path = track.path().to_string();
        JsonError {
            field: if error.is_data() && path != "." { path } else { String::new() },
            position: position(&error),
            problem: without_position(&error),
        }
    })
}

fn position(error: &serde_json::Error) -> Option<(usize, usize)> {
    (error.line() > 0).then(|| (error.line(), error.column()))
}

/// serde_json ends its messages with the position, which [`JsonError`] begins with.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) if error.line() > 0 => message[..end].to_owned(),
        _ => message,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Payloads {
    AsTheyAre,
    Expanded,
}

/// Rewrites short enum names, and if wanted payloads, to the plain mapping. What it does not understand it leaves.
fn to_plain(json: Value, message: &MessageDescriptor, payloads: Payloads) -> Value {
    if has_own_form(message) {
        return json;
    }
    match (payloads, message.full_name(), json) {
        (Payloads::Expanded, PAYLOAD, json) => shorthand::to_full(json),
        (Payloads::Expanded, PAYLOADS, Value::Array(items)) => {
            let items: Vec<Value> = items.into_iter().map(shorthand::to_full).collect();
            serde_json::json!({ "payloads": items })
        }
        (_, _, Value::Object(fields)) => fields
            .into_iter()
            .map(|(name, value)| {
                let field = message.get_field_by_json_name(&name).or_else(|| message.get_field_by_name(&name));
                let value = match field {
                    Some(field) => field_to_plain(value, &field, payloads),
                    None => value,
                };
                (name, value)
            })
            .collect(),
        (_, _, other) => other,
    }
}

fn field_to_plain(value: Value, field: &FieldDescriptor, payloads: Payloads) -> Value {
    let kind = field.kind();
    match value {
        // A field that is null is not there.
        Value::Null => Value::Null,
        Value::Object(entries) if field.is_map() => {
            let kind = map_value_kind(&kind);
            entries.into_iter().map(|(key, value)| (key, value_to_plain(value, &kind, payloads))).collect()
        }
        Value::Array(items) if field.is_list() => {
            items.into_iter().map(|item| value_to_plain(item, &kind, payloads)).collect()
        }
        value => value_to_plain(value, &kind, payloads),
    }
}

fn value_to_plain(value: Value, kind: &Kind, payloads: Payloads) -> Value {
    match (kind, value) {
        (Kind::Message(message), value) => to_plain(value, message, payloads),
        (Kind::Enum(descriptor), Value::String(name)) => {
            Value::String(full_enum_name(descriptor, &name).unwrap_or(name))
        }
        (_, value) => value,
    }
}

/// `EVENT_TYPE_TIMER_FIRED` for `TimerFired`.
fn full_enum_name(descriptor: &EnumDescriptor, short: &str) -> Option<String> {
    let letters = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let wanted = letters(descriptor.name()) + &letters(short);
    descriptor.values().map(|value| value.name().to_owned()).find(|name| letters(name) == wanted)
}
