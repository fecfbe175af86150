//! Where things lie in the one tree of the database: key prefixes, and the rows of the store's own.
//!
//! ```text
//! 00 "database"            the database's id
//! 00 "epoch" shard u16     the shard's epoch u64
//! 00 "state"               the last commit's number, how many records there are, and their sum
//! 01 key                   a row: its value, or the head of one in chunks
//! 02 key index u32         a chunk of the row's value
//! ```
//!
//! Shard and index are big-endian, so that they sort. Chunk keys of two rows never meet: the index has a fixed length.

use crate::directory::DatabaseId;
use crate::record::stored_checksum;
use crate::{ShardId, StoreError};

pub(crate) const OWN: u8 = 0;
pub(crate) const ROW: u8 = 1;
pub(crate) const CHUNK: u8 = 2;

pub(crate) const DATABASE_KEY: &[u8] = b"\x00database";
pub(crate) const STATE_KEY: &[u8] = b"\x00state";
pub(crate) const EPOCH_PREFIX: &[u8] = b"\x00epoch";

pub(crate) fn row_key(key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(1 + key.len());
    row.push(ROW);
    row.extend(key);
    row
}

pub(crate) fn chunk_key(key: &[u8], index: u64) -> Vec<u8> {
    let index = u32::try_from(index).expect("a value's limit leaves far fewer chunks");
    let mut chunk = Vec::with_capacity(1 + key.len() + 4);
    chunk.push(CHUNK);
    chunk.extend(key);
    chunk.extend(index.to_be_bytes());
    chunk
}

pub(crate) fn epoch_key(shard: ShardId) -> Vec<u8> {
    [EPOCH_PREFIX, &shard.0.to_be_bytes()].concat()
}

pub(crate) fn shard_of_epoch_key(key: &[u8]) -> Result<ShardId, StoreError> {
    let shard = key[EPOCH_PREFIX.len()..].try_into();
    let shard = shard.map_err(|_| StoreError::corrupt("a shard's epoch has a key of the wrong length"))?;
    Ok(ShardId(u16::from_be_bytes(shard)))
}

pub(crate) fn database_id(value: &[u8]) -> Result<DatabaseId, StoreError> {
    DatabaseId::from_slice(value).map_err(|_| StoreError::corrupt("the database's id has the wrong length"))
}

pub(crate) fn number(value: &[u8]) -> Result<u64, StoreError> {
    let value = value.try_into();
    let value = value.map_err(|_| StoreError::corrupt("a number has the wrong length"))?;
    Ok(u64::from_le_bytes(value))
}

/// What the whole tree should come to, written with every commit.
///
/// When sled replays its log it passes over a damaged part without a word, so that rows vanish or fall back to an
/// older value that is intact by itself. Their number and sum no longer fit then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// The number of the last commit; 0 while the database is being created.
    pub(crate) commit: u64,
    /// How many records there are, this one left out.
    pub(crate) records: u64,
    /// The sum of the records' checksums, each one mixed well: it tells a lost record and does not mind the order.
    pub(crate) sum: u64,
}

impl State {
    pub(crate) fn add(&mut self, record: &[u8]) {
        self.records = self.records.wrapping_add(1);
        self.sum = self.sum.wrapping_add(mixed(record));
    }

    pub(crate) fn remove(&mut self, record: &[u8]) {
        self.records = self.records.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(mixed(record));
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        [self.commit, self.records, self.sum].map(u64::to_le_bytes).concat()
    }

    pub(crate) fn decode(value: &[u8]) -> Result<State, StoreError> {
        let (numbers, rest) = value.as_chunks::<8>();
        match (numbers, rest) {
            ([commit, records, sum], []) => Ok(State {
                commit: u64::from_le_bytes(*commit),
                records: u64::from_le_bytes(*records),
                sum: u64::from_le_bytes(*sum),
            }),
            _ => Err(StoreError::corrupt("the state row has the wrong length")),
        }
    }
}

/// Spreads a record's checksum and length over 64 bits (the finaliser of SplitMix64).
fn mixed(record: &[u8]) -> u64 {
    let seed = u64::from(stored_checksum(record)) | (record.len() as u64) << 32;
    let a = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    b ^ (b >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_does_not_mind_the_order_and_forgets_what_was_removed() {
        let (a, b) = (b"record a\x01\x02\x03\x04", b"record b\x05\x06\x07\x08");
        let mut one = State::default();
        one.add(a);
        one.add(b);
        let mut other = State::default();
        other.add(b);
        other.add(b"c\x09\x09\x09\x09");
        other.add(a);
        assert_ne!(one, other);
        other.remove(b"c\x09\x09\x09\x09");
        assert_eq!(one, other);
        assert_eq!(State::decode(&one.encode()).unwrap(), one);
    }
}
