//! Page tokens: where a list goes on.
//!
//! A token is a position and the beginning of a SHA-256 over the position, the namespace and what was asked for: one
//! that was cut, changed, or handed in with another question is refused. It is no secret and gives no right that the
//! question itself does not.

use std::cmp::Reverse;

use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    index::Position,
    list::Resume,
    order::{Mark, Order},
};

const SEAL_BYTES: usize = 8;
/// A position in an order by a few texts of the longest kind, with room.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

#[derive(Clone, PartialEq, Message)]
struct Content {
    #[prost(int64, tag = "1")]
    as_of: i64,
    #[prost(int64, tag = "2")]
    close: i64,
    #[prost(int64, tag = "3")]
    start: i64,
    #[prost(bytes = "vec", tag = "4")]
    run: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    sorted: Vec<u8>,
}

pub(super) fn seal(resume: &Resume, namespace: Uuid, question: &[u8]) -> Vec<u8> {
    let mut content = Content { as_of: resume.as_of, ..Content::default() };
    match &resume.after {
        Some(Mark::Listed(position) | Mark::Ascending(Reverse(position))) => {
            (content.close, content.start) = (position.close.0, position.start.0);
            content.run = position.run.as_bytes().to_vec();
        }
        Some(Mark::Sorted(bytes, run)) => {
            content.sorted.clone_from(bytes);
            content.run = run.as_bytes().to_vec();
        }
        None => {}
    }
    let mut token = content.encode_to_vec();
    let digest = digest(&token, namespace, question);
    token.extend_from_slice(&digest);
    token
}

/// Any content with the right seal.
#[cfg(fuzzing)]
pub(super) fn sealed(content: &[u8], namespace: Uuid, question: &[u8]) -> Vec<u8> {
    [content, &digest(content, namespace, question)].concat()
}

/// None where the token is not one of this list.
pub(super) fn open(token: &[u8], order: &Order, namespace: Uuid, question: &[u8]) -> Option<Resume> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (content, sealed) = token.split_last_chunk::<SEAL_BYTES>()?;
    if digest(content, namespace, question) != *sealed {
        return None;
    }
    let Content { as_of, close, start, run, sorted } = Content::decode(content).ok()?;
    let run = Uuid::from_slice(&run).ok()?;
    let position = Position { close: Reverse(close), start: Reverse(start), run };
    let after = match order {
        Order::Listed | Order::Start { descends: true } => Mark::Listed(position),
        Order::Start { descends: false } => Mark::Ascending(Reverse(position)),
        Order::By(_) => Mark::Sorted(sorted, run),
    };
    Some(Resume { as_of, after: Some(after) })
}

fn digest(content: &[u8], namespace: Uuid, question: &[u8]) -> [u8; SEAL_BYTES] {
    let mut hash = Sha256::new();
    hash.update(namespace.as_bytes());
    hash.update(u64::try_from(question.len()).unwrap_or_default().to_be_bytes());
    hash.update(question);
    hash.update(content);
    let hash = hash.finalize();
    std::array::from_fn(|index| hash[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resume() -> Resume {
        let position = Position { close: Reverse(5), start: Reverse(3), run: Uuid::from_u128(7) };
        Resume { as_of: 9, after: Some(Mark::Listed(position)) }
    }

    #[test]
    fn a_token_comes_back_as_it_went() {
        let token = seal(&resume(), Uuid::nil(), b"question");
        assert_eq!(open(&token, &Order::Listed, Uuid::nil(), b"question"), Some(resume()));
    }

    #[test]
    fn a_token_that_was_changed_or_is_of_another_list_is_refused() {
        let token = seal(&resume(), Uuid::nil(), b"question");
        for index in 0..token.len() {
            let mut changed = token.clone();
            changed[index] ^= 0x20;
            assert_eq!(open(&changed, &Order::Listed, Uuid::nil(), b"question"), None);
            assert_eq!(open(&token[..index], &Order::Listed, Uuid::nil(), b"question"), None);
        }
        assert_eq!(open(&token, &Order::Listed, Uuid::nil(), b"another"), None);
        assert_eq!(open(&token, &Order::Listed, Uuid::from_u128(1), b"question"), None);
    }
}
