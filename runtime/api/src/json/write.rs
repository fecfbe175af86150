//! From a message to its JSON.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage};
use serde_json::{Map, Value};

use super::{PAYLOAD, PAYLOADS, has_own_form, shorthand};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Payloads {
    Full,
    Shorthand,
}

pub(super) fn message(message: &DynamicMessage, payloads: Payloads) -> Value {
    // prost-reflect knows the mapping; what it leaves open is the order of fields and map entries.
    let json = serde_json::to_value(message).expect("any valid message has a JSON form");
    tidy(json, &message.descriptor(), payloads)
}

fn tidy(json: Value, message: &MessageDescriptor, payloads: Payloads) -> Value {
    if has_own_form(message) {
        return json;
    }
    let Value::Object(mut unordered) = json else { return json };
    let mut ordered = Map::with_capacity(unordered.len());
    for declared in &message.descriptor_proto().field {
        let Some(field) = message.get_field_by_name(declared.name()) else { continue };
        if let Some(value) = unordered.remove(field.json_name()) {
            ordered.insert(field.json_name().to_owned(), tidy_field(value, &field, payloads));
        }
    }
    let full = Value::Object(ordered);
    match (payloads, message.full_name()) {
        (Payloads::Shorthand, PAYLOAD) => shorthand::of_payload(&full).unwrap_or(full),
        (Payloads::Shorthand, PAYLOADS) => shorthand_of_all(full),
        _ => full,
    }
}

fn tidy_field(value: Value, field: &FieldDescriptor, payloads: Payloads) -> Value {
    let kind = field.kind();
    match value {
        Value::Object(mut entries) if field.is_map() => {
            entries.sort_keys();
            let kind = map_value_kind(&kind);
            entries.into_iter().map(|(key, value)| (key, tidy_value(value, &kind, payloads))).collect()
        }
        Value::Array(items) if field.is_list() => {
            // Payloads are shortened all or none, by the message that holds them.
            let inside_payloads = field.parent_message().full_name() == PAYLOADS;
            let payloads = if inside_payloads { Payloads::Full } else { payloads };
            items.into_iter().map(|item| tidy_value(item, &kind, payloads)).collect()
        }
        value => tidy_value(value, &kind, payloads),
    }
}

fn tidy_value(value: Value, kind: &Kind, payloads: Payloads) -> Value {
    match kind {
        Kind::Message(message) => tidy(value, message, payloads),
        // Go writes whole numbers without a fraction.
        Kind::Double | Kind::Float => match value.as_f64() {
            Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => Value::from(number as i64),
            _ => value,
        },
        _ => value,
    }
}

fn shorthand_of_all(full: Value) -> Value {
    let items = full.get("payloads").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match items.iter().map(shorthand::of_payload).collect::<Option<Vec<Value>>>() {
        Some(short) => Value::Array(short),
        None => full,
    }
}

pub(super) fn map_value_kind(map: &Kind) -> Kind {
    match map {
        Kind::Message(entry) => entry.map_entry_value_field().kind(),
        other => other.clone(),
    }
}
