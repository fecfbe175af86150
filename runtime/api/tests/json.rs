//! The canonical JSON against what the real `temporal` CLI (1.9.1, `workflow show --output json`) wrote.

use mainspring_api::{
    FILE_DESCRIPTOR_SET,
    common::{Payload, Payloads},
    enums::EventType,
    history::{History, HistoryEvent, history_event::Attributes},
    json::{from_json, history_from_json, history_to_json, to_json, to_json_shorthand},
};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde_json::json;

const WRITTEN_BY_THE_CLI: [(&str, &str); 7] = [
    ("completed", include_str!("histories/completed.json")),
    ("continued_as_new", include_str!("histories/continued_as_new.json")),
    ("failed", include_str!("histories/failed.json")),
    ("canceled", include_str!("histories/canceled.json")),
    ("terminated", include_str!("histories/terminated.json")),
    ("timed_out", include_str!("histories/timed_out.json")),
    ("open", include_str!("histories/open.json")),
];

/// Go escapes what HTML would have to; it means the same.
fn unescape_html(text: &str) -> String {
    text.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&")
}

#[test]
fn histories_of_the_cli_are_read_and_written_back_letter_for_letter() {
    for (name, text) in WRITTEN_BY_THE_CLI {
        let events = history_from_json(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = serde_json::to_string_pretty(&history_to_json(&events)).unwrap();
        let expected = unescape_html(text.trim_end());
        for (number, (written, expected)) in written.lines().zip(expected.lines()).enumerate() {
            assert_eq!(written, expected, "{name}, line {}", number + 1);
        }
        assert_eq!(written.lines().count(), expected.lines().count(), "{name}");
    }
}

#[test]
fn every_event_type_survives_json() {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let event = pool.get_message_by_name("temporal.api.history.v1.HistoryEvent").unwrap();
    let attributes = event.oneofs().find(|oneof| oneof.name() == "attributes").unwrap();
    assert!(attributes.fields().count() > 50);
    for chosen in attributes.fields() {
        let filled = filled_event(&event, &chosen);
        let original = HistoryEvent::decode(filled.encode_to_vec().as_slice()).unwrap();
        for json in [to_json(&original), to_json_shorthand(&original)] {
            let text = serde_json::to_string_pretty(&json).unwrap();
            let read: HistoryEvent = from_json(&text).unwrap_or_else(|error| panic!("{}: {error}", chosen.name()));
            assert_eq!(read, original, "{}", chosen.name());
        }
    }
}

#[test]
fn one_message_has_one_text() {
    let metadata = ["encoding", "a", "z", "m", "b"].map(|key| (key.to_owned(), key.as_bytes().to_vec()));
    let text = |order: &[usize]| {
        let metadata = order.iter().map(|&index| metadata[index].clone()).collect();
        to_json(&Payload { metadata, data: b"1".to_vec(), ..Default::default() }).to_string()
    };
    assert_eq!(text(&[0, 1, 2, 3, 4]), text(&[4, 2, 0, 3, 1]));
    assert!(text(&[0, 1, 2]).starts_with(r#"{"metadata":{"a":"YQ==","encoding":"#));
}

#[test]
fn payloads_are_shown_by_their_json_when_asked() {
    let input = Payloads { payloads: vec![payload("json/plain", r#"{"amount":99.99}"#), payload("binary/null", "")] };
    assert_eq!(to_json_shorthand(&input), json!([{ "amount": 99.99 }, null]));
    let message = [("encoding", "json/protobuf"), ("messageType", "a.B")];
    let metadata = message.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).into();
    let message = Payload { metadata, data: br#"{"x":1}"#.to_vec(), ..Default::default() };
    assert_eq!(to_json_shorthand(&message), json!({ "x": 1, "_protoMessageType": "a.B" }));
    assert_eq!(from_json::<Payload>(&to_json_shorthand(&message).to_string()), Ok(message));
    // One payload that has no shorthand keeps all of its set in full form.
    let mixed = Payloads { payloads: vec![payload("json/plain", "1"), payload("binary/plain", "1")] };
    assert_eq!(to_json_shorthand(&mixed), to_json(&mixed));
    // What says that it is JSON and is not stays as it is.
    let broken = Payloads { payloads: vec![payload("json/plain", "{")] };
    assert_eq!(to_json_shorthand(&broken), to_json(&broken));
}

#[test]
fn shorthand_payloads_and_short_enum_names_are_read() {
    let text = r#"{"events": [
        {"eventId": "1", "eventType": "WorkflowExecutionStarted", "workflowExecutionStartedEventAttributes":
            {"workflowType": {"name": "T"}, "input": ["x", {"data": "x"}, null], "memo": {"fields": {"k": [1]}}}},
        {"eventId": 2, "event_type": "EVENT_TYPE_TIMER_FIRED", "timerFiredEventAttributes": {"timerId": "5"}}
    ]}"#;
    let events = history_from_json(text).unwrap();
    assert_eq!(events[0].event_type(), EventType::WorkflowExecutionStarted);
    assert_eq!(events[1].event_type(), EventType::TimerFired);
    let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) = &events[0].attributes else {
        panic!("{:?}", events[0])
    };
    let expected =
        vec![payload("json/plain", r#""x""#), payload("json/plain", r#"{"data":"x"}"#), payload("binary/null", "")];
    assert_eq!(started.input, Some(Payloads { payloads: expected }));
    assert_eq!(started.memo.as_ref().unwrap().fields["k"], payload("json/plain", "[1]"));
}

#[test]
fn a_fault_is_named_by_its_line_and_field() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(history_from_json(text).unwrap_err().to_string(), expected);
    }
    check("", "line 1, column 0: EOF while parsing a value");
    check("{\"events\": [\n}", "line 2, column 1: expected value");
    check(r#"{"events": []} x"#, "line 1, column 16: trailing characters");
    check(
        "{\"events\": [\n{\"eventId\": \"1\"},\n{\"eventId\": \"one\"}]}",
        "line 3, column 17: field events[1].eventId: invalid digit found in string",
    );
    check(
        "{\"events\": [{\"eventType\": \"NoSuchEvent\"}]}",
        "line 1, column 39: field events[0].eventType: unrecognized enum value 'NoSuchEvent'",
    );
    check(
        "{\"events\": [{\"timerFiredEventAttributes\":\n{\"timer\": \"5\"}}]}",
        "line 2, column 8: field events[0].timerFiredEventAttributes: unrecognized field name 'timer'",
    );
    check(r#"["x"]"#, "line 1, column 0: invalid type: sequence, expected a map");
}

#[test]
fn a_field_is_named_behind_shorthand_too() {
    let text = r#"{"events": [{"workflowExecutionStartedEventAttributes": {"input": ["x"]}},
        {"eventId": "two"}]}"#;
    let error = history_from_json(text).unwrap_err();
    assert_eq!(error.to_string(), "field events[1].eventId: invalid digit found in string");
}

#[test]
fn an_empty_history_is_one() {
    assert_eq!(history_from_json("{}"), Ok(vec![]));
    assert_eq!(to_json(&History::default()), json!({}));
}

fn payload(encoding: &str, data: &str) -> Payload {
    let metadata = [("encoding".to_owned(), encoding.as_bytes().to_vec())].into();
    Payload { metadata, data: data.as_bytes().to_vec(), ..Default::default() }
}

/// An event with everything in it that the descriptors allow, down to some depth.
fn filled_event(event: &MessageDescriptor, chosen: &FieldDescriptor) -> DynamicMessage {
    let mut message = filled(event, 1);
    message.clear_field_by_name("attributes");
    for field in event.fields().filter(|field| field.containing_oneof().is_some()) {
        message.clear_field(&field);
    }
    message.set_field(chosen, value(&chosen.kind(), chosen.number() as usize, 6));
    message
}

fn filled(descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Any" => return message,
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
            message.set_field_by_name("seconds", Value::I64(1_700_000_000 + depth as i64));
            message.set_field_by_name("nanos", Value::I32(120_000_000));
            return message;
        }
        "temporal.api.common.v1.Payload" => {
            let bytes = payload("json/plain", r#"{"one":[1,2.5,"x"],"null":null}"#).encode_to_vec();
            return DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).unwrap();
        }
        _ => {}
    }
    for field in descriptor.fields() {
        let is_message = matches!(field.kind(), Kind::Message(_));
        if (is_message && depth == 0)
            || field.containing_oneof().is_some_and(|oneof| oneof.fields().any(|other| message.has_field(&other)))
        {
            continue;
        }
        let number = field.number() as usize;
        let content = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let of_value = entry.map_entry_value_field().kind();
                if depth == 1 && matches!(of_value, Kind::Message(_)) {
                    continue;
                }
                let entries = ["b", "a", "ключ"].map(|key| {
                    let key = match entry.map_entry_key_field().kind() {
                        Kind::String => MapKey::String(key.to_owned()),
                        other => panic!("no history has a map by {other:?}"),
                    };
                    (key, value(&of_value, number, depth - 1))
                });
                Value::Map(entries.into())
            }
            kind if field.is_list() => Value::List(vec![value(&kind, number, depth.saturating_sub(1)); 2]),
            kind => value(&kind, number, depth.saturating_sub(1)),
        };
        message.set_field(&field, content);
    }
    message
}

fn value(kind: &Kind, seed: usize, depth: usize) -> Value {
    match kind {
        Kind::Bool => Value::Bool(true),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(-(seed as i32)),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(i64::MAX - seed as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(seed as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(u64::MAX - seed as u64),
        Kind::Float => Value::F32(seed as f32 + 0.5),
        Kind::Double => Value::F64(if seed.is_multiple_of(2) { seed as f64 } else { 0.1 }),
        Kind::String => Value::String(format!("текст \"{seed}\" </>\n")),
        Kind::Bytes => Value::Bytes(vec![0, 255, seed as u8].into()),
        Kind::Enum(descriptor) => Value::EnumNumber(descriptor.values().last().unwrap().number()),
        Kind::Message(descriptor) => Value::Message(filled(descriptor, depth)),
    }
}
