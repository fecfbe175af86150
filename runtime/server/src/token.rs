//! What clients carry for the server without reading it: task tokens and page tokens.
//!
//! A token is one byte for its kind and version, a protobuf message, and the CRC-32 of both, little-endian. The
//! checksum is against truncation and mix-ups, not against forgery: a token gives no right that its namespace does not.

use prost::Message;

use crate::error::Fault;

/// Longest token that is looked at: two ids and a namespace of the longest kind, with room.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
const CHECKSUM_BYTES: usize = size_of::<u32>();

/// One attempt of an activity.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ActivityToken {
    #[prost(string, tag = "1")]
    pub namespace: String,
    #[prost(string, tag = "2")]
    pub workflow_id: String,
    #[prost(string, tag = "3")]
    pub run_id: String,
    #[prost(int64, tag = "4")]
    pub scheduled_event_id: i64,
    #[prost(int32, tag = "5")]
    pub attempt: i32,
}

/// Where the next page of a history begins.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HistoryToken {
    #[prost(string, tag = "1")]
    pub run_id: String,
    #[prost(int64, tag = "2")]
    pub next_event_id: i64,
    #[prost(bool, tag = "3")]
    pub reverse: bool,
}

impl ActivityToken {
    const KIND: u8 = 0x11;

    pub fn seal(&self) -> Vec<u8> {
        seal(Self::KIND, self)
    }

    pub fn open(token: &[u8]) -> Result<ActivityToken, Fault> {
        if token.is_empty() {
            return Err(Fault::invalid("Task token not set on request."));
        }
        open(Self::KIND, token).ok_or_else(|| Fault::invalid("Error deserializing task token."))
    }
}

impl HistoryToken {
    const KIND: u8 = 0x21;

    pub fn seal(&self) -> Vec<u8> {
        seal(Self::KIND, self)
    }

    /// The token of a request in this direction; none where the request is for the first page.
    pub fn open(token: &[u8], reverse: bool) -> Result<Option<HistoryToken>, Fault> {
        if token.is_empty() {
            return Ok(None);
        }
        open(Self::KIND, token)
            .filter(|token: &HistoryToken| token.reverse == reverse && token.next_event_id > 0)
            .map(Some)
            .ok_or_else(|| Fault::invalid("Invalid NextPageToken."))
    }
}

fn seal(kind: u8, content: &impl Message) -> Vec<u8> {
    let mut token = Vec::with_capacity(1 + content.encoded_len() + CHECKSUM_BYTES);
    token.push(kind);
    token.extend_from_slice(&content.encode_to_vec());
    let checksum = crc32fast::hash(&token);
    token.extend_from_slice(&checksum.to_le_bytes());
    token
}

fn open<T: Message + Default>(kind: u8, token: &[u8]) -> Option<T> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (content, checksum) = token.split_last_chunk::<CHECKSUM_BYTES>()?;
    if crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let (first, message) = content.split_first()?;
    if *first != kind {
        return None;
    }
    T::decode(message).ok()
}

#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let sealed = [bytes, &crc32fast::hash(bytes).to_le_bytes()].concat();
    for token in [bytes, &sealed] {
        if let Ok(opened) = ActivityToken::open(token) {
            assert_eq!(ActivityToken::open(&opened.seal()).ok(), Some(opened));
        }
        for reverse in [false, true] {
            if let Ok(Some(opened)) = HistoryToken::open(token, reverse) {
                assert_eq!(HistoryToken::open(&opened.seal(), reverse).ok(), Some(Some(opened)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};

    use super::*;

    fn activity() -> ActivityToken {
        ActivityToken {
            namespace: "default".into(),
            workflow_id: "order-1001".into(),
            run_id: "01a20a0f-5739-74a8-ae48-eaed80251506".into(),
            scheduled_event_id: 5,
            attempt: 3,
        }
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
        let status = Status::from(result.expect_err("the token is refused"));
        assert_eq!(status.code(), Code::InvalidArgument);
        status.message().to_owned()
    }

    #[test]
    fn a_token_comes_back_as_it_went() {
        assert_eq!(ActivityToken::open(&activity().seal()).unwrap(), activity());
        let page = HistoryToken { run_id: "run".into(), next_event_id: 7, reverse: true };
        assert_eq!(HistoryToken::open(&page.seal(), true).unwrap(), Some(page));
        assert_eq!(HistoryToken::open(&[], false).unwrap(), None);
    }

    #[test]
    fn the_longest_ids_fit_into_a_token() {
        let id = "x".repeat(mainspring_core::limits::temporal::ID_BYTES);
        let token = ActivityToken { namespace: id.clone(), workflow_id: id, ..activity() };
        assert_eq!(ActivityToken::open(&token.seal()).unwrap(), token);
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_seen() {
        let token = activity().seal();
        for index in 0..token.len() {
            let mut changed = token.clone();
            changed[index] ^= 0x20;
            assert_eq!(refused(ActivityToken::open(&changed)), "Error deserializing task token.");
            let cut = refused(ActivityToken::open(&token[..index]));
            let expected =
                if index == 0 { "Task token not set on request." } else { "Error deserializing task token." };
            assert_eq!(cut, expected);
        }
    }

    #[test]
    fn a_token_of_another_kind_or_direction_is_refused() {
        let page = HistoryToken { run_id: "run".into(), next_event_id: 7, reverse: false };
        assert_eq!(refused(ActivityToken::open(&page.seal())), "Error deserializing task token.");
        assert_eq!(refused(HistoryToken::open(&activity().seal(), false)), "Invalid NextPageToken.");
        assert_eq!(refused(HistoryToken::open(&page.seal(), true)), "Invalid NextPageToken.");
        let nowhere = HistoryToken { next_event_id: 0, ..page };
        assert_eq!(refused(HistoryToken::open(&nowhere.seal(), false)), "Invalid NextPageToken.");
    }
}
