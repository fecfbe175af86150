//! Payloads, headers and the other maps of payloads.

use std::collections::HashMap;

use mainspring_api::{common as proto, sdk::UserMetadata};

use crate::bindings::types as wit;

pub fn payload_to_guest(payload: &proto::Payload) -> wit::Payload {
    let mut metadata: Vec<_> = payload.metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    metadata.sort_unstable();
    wit::Payload { metadata, data: payload.data.clone() }
}

/// Where a key is given twice the last one counts, as in protobuf.
pub fn payload_to_proto(payload: wit::Payload) -> proto::Payload {
    proto::Payload { metadata: payload.metadata.into_iter().collect(), data: payload.data, ..Default::default() }
}

pub fn payloads_to_guest(payloads: Option<&proto::Payloads>) -> Vec<wit::Payload> {
    payloads.map(|payloads| payloads.payloads.iter().map(payload_to_guest).collect()).unwrap_or_default()
}

/// No payloads at all are written as an absent message, as Temporal's SDKs do.
pub fn payloads_to_proto(payloads: Vec<wit::Payload>) -> Option<proto::Payloads> {
    (!payloads.is_empty()).then(|| proto::Payloads { payloads: payloads.into_iter().map(payload_to_proto).collect() })
}

pub fn fields_to_guest(fields: &HashMap<String, proto::Payload>) -> Vec<(String, wit::Payload)> {
    let mut list: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), payload_to_guest(value))).collect();
    list.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    list
}

pub fn header_to_guest(header: Option<&proto::Header>) -> Vec<(String, wit::Payload)> {
    header.map(|header| fields_to_guest(&header.fields)).unwrap_or_default()
}

pub fn header_to_proto(header: Vec<(String, wit::Payload)>) -> Option<proto::Header> {
    (!header.is_empty()).then(|| proto::Header {
        fields: header.into_iter().map(|(key, value)| (key, payload_to_proto(value))).collect(),
    })
}

pub fn memo_to_proto(fields: Vec<(String, wit::Payload)>) -> Option<proto::Memo> {
    (!fields.is_empty()).then(|| proto::Memo { fields: fields_to_proto(fields) })
}

pub fn search_attributes_to_proto(fields: Vec<(String, wit::Payload)>) -> Option<proto::SearchAttributes> {
    (!fields.is_empty()).then(|| proto::SearchAttributes { indexed_fields: fields_to_proto(fields) })
}

fn fields_to_proto(fields: Vec<(String, wit::Payload)>) -> HashMap<String, proto::Payload> {
    fields.into_iter().map(|(key, value)| (key, payload_to_proto(value))).collect()
}

/// What is to be taken away is written as null, as Temporal's SDKs do.
pub fn changes_to_proto(fields: Vec<(String, Option<wit::Payload>)>) -> HashMap<String, proto::Payload> {
    let null = || proto::Payload {
        metadata: HashMap::from([("encoding".to_owned(), b"binary/null".to_vec())]),
        ..Default::default()
    };
    fields.into_iter().map(|(key, value)| (key, value.map_or_else(null, payload_to_proto))).collect()
}

/// A value as every SDK's JSON converter writes it.
pub fn json_payload(value: &serde_json::Value) -> proto::Payload {
    proto::Payload {
        metadata: HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]),
        data: value.to_string().into_bytes(),
        ..Default::default()
    }
}

/// The line that people see beside a command: a payload that holds one JSON string, as the field asks for.
pub fn summary_to_proto(summary: Option<String>) -> Option<UserMetadata> {
    metadata_to_proto(summary, None)
}

/// The same, with the lines that belong to it.
pub fn metadata_to_proto(summary: Option<String>, details: Option<String>) -> Option<UserMetadata> {
    let text = |text: Option<String>| text.filter(|text| !text.is_empty()).map(|text| json_payload(&text.into()));
    let (summary, details) = (text(summary), text(details));
    (summary.is_some() || details.is_some()).then_some(UserMetadata { summary, details })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_sees_metadata_sorted_by_key() {
        let keys = ["zeta", "encoding", "alpha", "messageType"];
        let payload = proto::Payload {
            metadata: keys.iter().map(|key| ((*key).to_owned(), key.as_bytes().to_vec())).collect(),
            data: b"x".to_vec(),
            ..Default::default()
        };
        let guest = payload_to_guest(&payload);
        let seen: Vec<_> = guest.metadata.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(seen, ["alpha", "encoding", "messageType", "zeta"]);
        assert_eq!(payload_to_proto(guest), payload);
    }

    #[test]
    fn no_payloads_are_no_message() {
        assert_eq!(payloads_to_proto(Vec::new()), None);
        assert!(payloads_to_guest(None).is_empty());
        assert_eq!(header_to_proto(Vec::new()), None);
    }

    #[test]
    fn a_summary_is_one_json_string() {
        let metadata = summary_to_proto(Some("line \"one\"\n".into())).unwrap();
        assert_eq!(metadata.summary.unwrap().data, br#""line \"one\"\n""#);
        assert_eq!(summary_to_proto(Some(String::new())), None);
    }
}
