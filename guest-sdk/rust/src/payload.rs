//! Values on the wire, converted as every Temporal SDK converts them.
//!
//! | value | encoding |
//! | --- | --- |
//! | `()`, `None`, anything that serialises as `null` | `binary/null` |
//! | [`Bytes`] | `binary/plain` |
//! | every other `serde` value | `json/plain` |
//!
//! Read are these and `json/protobuf`, which is JSON too. A [`Payload`] passes through untouched.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::mainspring::workflow::types::Payload;

/// The metadata key that names how `data` is encoded.
const ENCODING: &str = "encoding";
const NULL: &str = "binary/null";
const BINARY: &str = "binary/plain";
const JSON: &str = "json/plain";
const JSON_PROTOBUF: &str = "json/protobuf";

/// A value that can be sent: everything that implements `serde::Serialize`, [`Bytes`] and [`Payload`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to or from a workflow",
    label = "not a payload",
    note = "derive `serde::Serialize` for it, or use `Bytes` for raw bytes"
)]
pub trait ToPayload {
    /// Encodes the value.
    fn to_payload(&self) -> Result<Payload, PayloadError>;
}

/// A value that can be received: everything that implements `serde::Deserialize` and borrows nothing, [`Bytes`] and
/// [`Payload`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a payload",
    label = "not readable from a payload",
    note = "derive `serde::Deserialize` for it (owned: `String`, not `&str`), or use `Bytes` for raw bytes"
)]
pub trait FromPayload: Sized {
    /// Decodes the value.
    fn from_payload(payload: &Payload) -> Result<Self, PayloadError>;

    /// What a value that was not sent at all reads as: what `null` does, so `None` for an `Option`.
    fn from_missing() -> Result<Self, PayloadError> {
        Self::from_payload(&null()).map_err(|_| PayloadError::new("it was not given, and its type has no empty value"))
    }
}

impl<T: Serialize + ?Sized> ToPayload for T {
    fn to_payload(&self) -> Result<Payload, PayloadError> {
        let json = serde_json::to_vec(self).map_err(PayloadError::new)?;
        Ok(if json == b"null" { null() } else { encoded(JSON, json) })
    }
}

impl<T: DeserializeOwned> FromPayload for T {
    fn from_payload(payload: &Payload) -> Result<Self, PayloadError> {
        match encoding(payload)? {
            JSON | JSON_PROTOBUF => serde_json::from_slice(&payload.data).map_err(PayloadError::new),
            NULL => serde_json::from_slice(b"null").map_err(PayloadError::new),
            BINARY => Err(PayloadError::new("it holds raw bytes (binary/plain); take it as `Bytes`")),
            other => Err(unknown(other)),
        }
    }
}

/// Raw bytes, sent as `binary/plain`: what Go's `[]byte`, Python's `bytes` and JavaScript's `Uint8Array` become. Null
/// reads as no bytes, as it does in Go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bytes(pub Vec<u8>);

impl ToPayload for Bytes {
    fn to_payload(&self) -> Result<Payload, PayloadError> {
        Ok(encoded(BINARY, self.0.clone()))
    }
}

impl FromPayload for Bytes {
    fn from_payload(payload: &Payload) -> Result<Self, PayloadError> {
        match encoding(payload)? {
            BINARY => Ok(Bytes(payload.data.clone())),
            NULL => Ok(Bytes::default()),
            JSON | JSON_PROTOBUF => {
                Err(PayloadError::new("it holds JSON, where raw bytes (binary/plain) are expected"))
            }
            other => Err(unknown(other)),
        }
    }
}

impl ToPayload for Payload {
    fn to_payload(&self) -> Result<Payload, PayloadError> {
        Ok(self.clone())
    }
}

impl FromPayload for Payload {
    fn from_payload(payload: &Payload) -> Result<Self, PayloadError> {
        Ok(payload.clone())
    }
}

/// Why a value could not be converted. In a workflow's failure it is an application failure of the type
/// `PayloadConversionError` that is not retried: the same bytes would fail again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadError {
    reason: String,
}

impl PayloadError {
    /// The type of the application failure that this error becomes.
    pub const TYPE: &'static str = "PayloadConversionError";

    pub(crate) fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }

    /// Says what it was that could not be converted.
    pub(crate) fn of(self, what: impl fmt::Display) -> Self {
        Self::new(format_args!("{what}: {}", self.reason))
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for PayloadError {}

/// A value that is a protobuf message of this type, in proto3's JSON.
pub(crate) fn protobuf_json(message_type: &str, message: &impl Serialize) -> Result<Payload, PayloadError> {
    let mut payload = encoded(JSON_PROTOBUF, serde_json::to_vec(message).map_err(PayloadError::new)?);
    payload.metadata.push(("messageType".to_owned(), message_type.as_bytes().to_vec()));
    Ok(payload)
}

/// The value of a search attribute, which names its type.
pub(crate) fn search_attribute(kind: &str, value: &impl ToPayload) -> Result<Payload, PayloadError> {
    let mut payload = value.to_payload()?;
    payload.metadata.push(("type".to_owned(), kind.as_bytes().to_vec()));
    Ok(payload)
}

/// Reads an only value from what may be no payload (as some SDKs send nothing for a missing result) or several.
pub(crate) fn from_first<T: FromPayload>(payloads: &[Payload]) -> Result<T, PayloadError> {
    match payloads.first() {
        Some(payload) => T::from_payload(payload),
        None => T::from_missing(),
    }
}

fn encoded(encoding: &str, data: Vec<u8>) -> Payload {
    Payload { metadata: vec![(ENCODING.to_owned(), encoding.as_bytes().to_vec())], data }
}

fn null() -> Payload {
    encoded(NULL, Vec::new())
}

fn encoding(payload: &Payload) -> Result<&str, PayloadError> {
    let (_, value) = payload
        .metadata
        .iter()
        .find(|(key, _)| key == ENCODING)
        .ok_or_else(|| PayloadError::new("its metadata has no `encoding`"))?;
    std::str::from_utf8(value).map_err(|_| PayloadError::new("its `encoding` is not text"))
}

fn unknown(encoding: &str) -> PayloadError {
    PayloadError::new(format_args!(
        "its encoding is {encoding:?}, where one of {JSON}, {JSON_PROTOBUF}, {BINARY}, {NULL} is expected"
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        amount: f64,
        user_id: String,
    }

    fn check_round_trip<T: ToPayload + FromPayload + PartialEq + fmt::Debug>(value: T, encoding: &str, data: &str) {
        let payload = value.to_payload().unwrap();
        assert_eq!(payload, encoded(encoding, data.as_bytes().to_vec()));
        assert_eq!(T::from_payload(&payload).unwrap(), value);
    }

    fn reason<T: FromPayload + fmt::Debug>(payload: &Payload) -> String {
        T::from_payload(payload).unwrap_err().to_string()
    }

    #[test]
    fn values_travel_as_in_every_temporal_sdk() {
        check_round_trip(Order { amount: 99.99, user_id: "u123".into() }, JSON, r#"{"amount":99.99,"user_id":"u123"}"#);
        check_round_trip("주문 완료".to_owned(), JSON, "\"주문 완료\"");
        check_round_trip(Some(7), JSON, "7");
        check_round_trip(None::<i32>, NULL, "");
        check_round_trip((), NULL, "");
        check_round_trip(Bytes(b"raw".to_vec()), BINARY, "raw");
    }

    #[test]
    fn protobuf_json_is_read_as_json() {
        let payload = encoded(JSON_PROTOBUF, br#"{"a":1}"#.to_vec());
        assert_eq!(BTreeMap::<String, i32>::from_payload(&payload).unwrap()["a"], 1);
    }

    #[test]
    fn a_payload_passes_through_whatever_its_encoding() {
        let payload = encoded("binary/encrypted", vec![1, 2]);
        assert_eq!(Payload::from_payload(&payload).unwrap().to_payload().unwrap(), payload);
    }

    #[test]
    fn what_was_not_sent_reads_as_null() {
        assert_eq!(from_first::<Option<String>>(&[]).unwrap(), None);
        assert_eq!(from_first::<Bytes>(&[]).unwrap(), Bytes::default());
        from_first::<()>(&[]).unwrap();
        assert!(from_first::<String>(&[]).unwrap_err().to_string().contains("not given"));
    }

    #[test]
    fn an_error_says_what_is_wrong_with_the_value() {
        assert!(reason::<Order>(&encoded(JSON, b"{\"amount\":1}".to_vec())).contains("missing field `user_id`"));
        assert!(reason::<Order>(&encoded(BINARY, vec![0])).contains("take it as `Bytes`"));
        assert!(reason::<Bytes>(&encoded(JSON, b"1".to_vec())).contains("holds JSON"));
        assert!(reason::<String>(&encoded("binary/encrypted", vec![])).contains("binary/encrypted"));
        assert!(reason::<String>(&Payload { metadata: vec![], data: vec![] }).contains("no `encoding`"));
    }

    #[test]
    fn a_map_with_keys_that_json_lacks_is_an_error_not_a_panic() {
        assert!(BTreeMap::from([((1, 2), 3)]).to_payload().unwrap_err().to_string().contains("key must be a string"));
    }
}
