//! How a row is written: a version byte, a kind, the payload, and a CRC-32 over the key and all of that.
//!
//! ```text
//! inline  | version | 0 | value ……………………………………………………………… | crc |
//! head    | version | 1 | value bytes u64 | crc of the value u32 | crc |   the value lies in chunk rows
//! chunk   | version | 2 | a part of the value …………………………… | crc |
//! ```
//!
//! Numbers are little-endian. The checksum is the last four bytes in every version, and covers the key, so that a
//! record that turns up under another key is caught too. A head repeats the checksum of the whole value: a chunk left
//! over from an earlier value is intact by itself and would otherwise pass.

use crate::{StoreError, limits, readable_key};

/// The version that this program writes, and the newest that it reads.
pub(crate) const VERSION: u8 = 1;

const KIND_INLINE: u8 = 0;
const KIND_HEAD: u8 = 1;
const KIND_CHUNK: u8 = 2;

const PREFIX_BYTES: usize = 2;
const CRC_BYTES: usize = 4;
const HEAD_BYTES: usize = 12;

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Inline(&'a [u8]),
    Head(Head),
    Chunk(&'a [u8]),
}

/// A value that lies in chunk rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) value_bytes: u64,
    pub(crate) value_crc: u32,
}

impl Head {
    pub(crate) fn of(value: &[u8]) -> Head {
        Head { value_bytes: value.len() as u64, value_crc: crc32fast::hash(value) }
    }

    /// How many chunk rows there are.
    pub(crate) fn chunks(&self) -> u64 {
        self.value_bytes.div_ceil(limits::CHUNK_BYTES as u64)
    }
}

impl Record<'_> {
    pub(crate) fn encode(&self, key: &[u8]) -> Vec<u8> {
        let head;
        let (kind, payload): (u8, &[u8]) = match self {
            Record::Inline(value) => (KIND_INLINE, value),
            Record::Head(Head { value_bytes, value_crc }) => {
                head = [&value_bytes.to_le_bytes()[..], &value_crc.to_le_bytes()].concat();
                (KIND_HEAD, &head)
            }
            Record::Chunk(part) => (KIND_CHUNK, part),
        };
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + payload.len() + CRC_BYTES);
        bytes.extend([VERSION, kind]);
        bytes.extend(payload);
        let crc = checksum(key, &bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }
}

impl<'a> Record<'a> {
    /// Reads a record back. The checksum is looked at first: a version byte is believed only if it is intact.
    pub(crate) fn decode(key: &[u8], bytes: &'a [u8]) -> Result<Record<'a>, StoreError> {
        let corrupt = |what: String| StoreError::Corrupt { key: readable_key(key), what };
        if bytes.len() < PREFIX_BYTES + CRC_BYTES {
            return Err(corrupt(format!("the record has only {} bytes", bytes.len())));
        }
        let (covered, _) = bytes.split_at(bytes.len() - CRC_BYTES);
        let (written, computed) = (stored_checksum(bytes), checksum(key, covered));
        if written != computed {
            return Err(corrupt(format!("its checksum is {computed:08x} and {written:08x} was written")));
        }
        if covered[0] != VERSION {
            return Err(StoreError::Version {
                place: format!("the record at key \"{}\"", readable_key(key)),
                found: covered[0].into(),
                supported: VERSION.into(),
            });
        }
        let payload = &covered[PREFIX_BYTES..];
        match covered[1] {
            KIND_INLINE => Ok(Record::Inline(payload)),
            KIND_CHUNK => Ok(Record::Chunk(payload)),
            KIND_HEAD if payload.len() == HEAD_BYTES => {
                let (value_bytes, value_crc) = payload.split_at(8);
                Ok(Record::Head(Head {
                    value_bytes: u64::from_le_bytes(value_bytes.try_into().expect("8 bytes")),
                    value_crc: u32::from_le_bytes(value_crc.try_into().expect("4 bytes")),
                }))
            }
            kind => Err(corrupt(format!("it has unknown kind {kind} with {} bytes", payload.len()))),
        }
    }
}

/// Any content with the right checksum.
#[cfg(fuzzing)]
pub(crate) fn sealed(key: &[u8], content: &[u8]) -> Vec<u8> {
    [content, &checksum(key, content).to_le_bytes()].concat()
}

/// The checksum that a record carries, unchecked; 0 for one that is too short to have any.
pub(crate) fn stored_checksum(record: &[u8]) -> u32 {
    record.last_chunk::<CRC_BYTES>().map_or(0, |crc| u32::from_le_bytes(*crc))
}

fn checksum(key: &[u8], covered: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(covered);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_record_is_read_as_it_was_written() {
        for record in
            [Record::Inline(b""), Record::Inline(b"value"), Record::Head(Head::of(b"value")), Record::Chunk(b"part")]
        {
            assert_eq!(Record::decode(b"key", &record.encode(b"key")).unwrap(), record);
        }
    }

    #[test]
    fn any_flipped_bit_is_caught() {
        let written = Record::Inline(b"value").encode(b"key");
        for bit in 0..written.len() * 8 {
            let mut bytes = written.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = Record::decode(b"key", &bytes);
            assert!(matches!(&read, Err(StoreError::Corrupt { key, .. }) if key == "key"), "bit {bit}: {read:?}");
        }
    }

    #[test]
    fn a_cut_record_is_caught() {
        let written = Record::Inline(b"value").encode(b"key");
        for length in 0..written.len() {
            assert!(Record::decode(b"key", &written[..length]).is_err());
        }
    }

    #[test]
    fn a_record_under_another_key_is_caught() {
        let written = Record::Inline(b"value").encode(b"key");
        assert!(Record::decode(b"kez", &written).is_err());
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = vec![VERSION + 1, KIND_INLINE];
        bytes.extend(checksum(b"key", &[VERSION + 1, KIND_INLINE]).to_le_bytes());
        let read = Record::decode(b"key", &bytes);
        assert!(matches!(read, Err(StoreError::Version { found: 2, .. })), "{read:?}");
    }

    /// The format on disk. Never edit the bytes: a change here is a new version.
    #[test]
    fn the_bytes_on_disk_are_these() {
        assert_eq!(Record::Inline(b"value").encode(b"key"), b"\x01\x00value\x3c\x7d\x44\x12");
    }
}
