//! The bytes of a backup: a title with the version, then frames.
//!
//! ```text
//! title    "MAINSPRING-BACKUP\n" | version u32
//! frame    payload bytes u32 | kind u8 | payload | crc u32
//!   0 header    milliseconds since 1970 u64 | version of the program that wrote it, as text
//!   1 rows      changes that are rows of a page
//!   2 changes   changes that were committed while the pages were read
//!   3 end       frames before this one u64 | rows u64 | changes u64
//! change   1 | key bytes u32 | value bytes u32 | key | value          the row is this
//!          0 | key bytes u32 | key                                    the row is not there
//! ```
//!
//! Numbers are little-endian. A frame's CRC-32 covers its number (u64, from 0), its length, kind and payload, so that
//! a frame that is missing, doubled or out of order is noticed as well as one that is damaged; the end is a frame, so
//! that a backup that was cut off is noticed.

use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use crate::{Op, StoreError, limits};

const TITLE: &[u8] = b"MAINSPRING-BACKUP\n";
/// The version that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

const HEADER: u8 = 0;
const ROWS: u8 = 1;
const CHANGES: u8 = 2;
const END: u8 = 3;

const DELETE: u8 = 0;
const PUT: u8 = 1;

/// What a complete backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupInfo {
    /// When it began, by the clock of the machine that wrote it.
    pub began: SystemTime,
    /// The version of the program that wrote it.
    pub program: String,
    /// Rows that were read.
    pub rows: u64,
    /// Changes that were committed meanwhile, of rows that had been read.
    pub changes: u64,
    /// Its length, in bytes.
    pub bytes: u64,
}

#[derive(Default)]
pub(super) struct Writer {
    frames: u64,
    rows: u64,
    changes: u64,
}

impl Writer {
    /// The writer, and what a backup begins with.
    pub(super) fn start() -> (Writer, Vec<u8>) {
        let mut writer = Writer::default();
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let began_ms = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let header = [&began_ms.to_le_bytes()[..], env!("CARGO_PKG_VERSION").as_bytes()].concat();
        let bytes = [TITLE, &VERSION.to_le_bytes(), &writer.frame(HEADER, &header)].concat();
        (writer, bytes)
    }

    pub(super) fn rows(&mut self, rows: Vec<Op>) -> Vec<u8> {
        self.rows += rows.len() as u64;
        self.frame(ROWS, &encode(&rows))
    }

    pub(super) fn changes(&mut self, changes: Vec<Op>) -> Vec<u8> {
        self.changes += changes.len() as u64;
        self.frame(CHANGES, &encode(&changes))
    }

    pub(super) fn end(&mut self) -> Vec<u8> {
        let counts = [self.frames, self.rows, self.changes].map(u64::to_le_bytes).concat();
        self.frame(END, &counts)
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a frame is a page or the journal, far below 4 GiB");
        let head = [&length.to_le_bytes()[..], &[kind]].concat();
        let crc = checksum(self.frames, &head, payload);
        self.frames += 1;
        [&head, payload, &crc.to_le_bytes()].concat()
    }
}

fn checksum(number: u64, head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

fn encode(ops: &[Op]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("keys and values have limits").to_le_bytes();
    let mut bytes = Vec::with_capacity(ops.iter().map(|op| op.byte_size() + 9).sum());
    for op in ops {
        match op {
            Op::Put { key, value } => {
                bytes.push(PUT);
                bytes.extend(length(key));
                bytes.extend(length(value));
                bytes.extend(key);
                bytes.extend(value);
            }
            Op::Delete { key } => {
                bytes.push(DELETE);
                bytes.extend(length(key));
                bytes.extend(key);
            }
        }
    }
    bytes
}

/// Reads a change off the front; `None` where the bytes are none.
fn decode_one(bytes: &mut &[u8]) -> Option<Op> {
    let kind = take(bytes, 1)?[0];
    let key_bytes = take_length(bytes)?;
    match kind {
        PUT => {
            let value_bytes = take_length(bytes)?;
            let key = take(bytes, key_bytes)?.to_vec();
            Some(Op::Put { key, value: take(bytes, value_bytes)?.to_vec() })
        }
        DELETE => Some(Op::Delete { key: take(bytes, key_bytes)?.to_vec() }),
        _ => None,
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let length = take(bytes, 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(length)).ok()
}

/// Reads a backup and believes nothing that its checksum does not cover.
pub(super) struct Reader<R> {
    input: R,
    frames: u64,
    rows: u64,
    changes: u64,
    /// Bytes read so far.
    bytes: u64,
    began: SystemTime,
    program: String,
}

/// What a reader comes to next.
pub(super) enum Next {
    Ops(Vec<Op>),
    /// The end, and nothing behind it.
    End(BackupInfo),
}

impl<R: Read> Reader<R> {
    pub(super) fn start(input: R) -> Result<Reader<R>, StoreError> {
        let (began, program) = (SystemTime::UNIX_EPOCH, String::new());
        let mut reader = Reader { input, frames: 0, rows: 0, changes: 0, bytes: 0, began, program };
        let mut title = [0; TITLE.len() + 4];
        reader.read(&mut title)?;
        let (title, version) = title.split_at(TITLE.len());
        if title != TITLE {
            return Err(bad("it does not begin as a backup does"));
        }
        let version = u32::from_le_bytes(version.try_into().expect("4 bytes"));
        if version != VERSION {
            return Err(StoreError::Version { place: "the backup".into(), found: version, supported: VERSION });
        }
        let (kind, header) = reader.frame()?;
        let (began_ms, program) = header.split_first_chunk::<8>().ok_or_else(|| bad("its header is too short"))?;
        if kind != HEADER {
            return Err(bad("it has no header"));
        }
        let began = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_le_bytes(*began_ms)));
        reader.began = began.unwrap_or(SystemTime::UNIX_EPOCH);
        reader.program = String::from_utf8_lossy(program).into_owned();
        Ok(reader)
    }

    pub(super) fn next(&mut self) -> Result<Next, StoreError> {
        let frame = self.frames;
        let (kind, payload) = self.frame()?;
        match kind {
            ROWS | CHANGES => {
                let mut rest = &payload[..];
                let mut ops = Vec::new();
                while !rest.is_empty() {
                    let op = decode_one(&mut rest);
                    ops.push(op.ok_or_else(|| bad(&format!("frame {frame} holds something else than rows")))?);
                }
                let count = if kind == ROWS { &mut self.rows } else { &mut self.changes };
                *count += ops.len() as u64;
                Ok(Next::Ops(ops))
            }
            END => self.end(frame, &payload),
            kind => Err(bad(&format!("frame {frame} is of the unknown kind {kind}"))),
        }
    }

    fn end(&mut self, frame: u64, payload: &[u8]) -> Result<Next, StoreError> {
        if payload != [frame, self.rows, self.changes].map(u64::to_le_bytes).concat() {
            return Err(bad("it does not hold as much as it says at its end"));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(bad("something follows its end")),
            Err(error) => return Err(unreadable(error)),
        }
        Ok(Next::End(BackupInfo {
            began: self.began,
            program: self.program.clone(),
            rows: self.rows,
            changes: self.changes,
            bytes: self.bytes,
        }))
    }

    fn frame(&mut self) -> Result<(u8, Vec<u8>), StoreError> {
        let mut head = [0; 5];
        self.read(&mut head)?;
        let [length @ .., kind] = head;
        let length = u32::from_le_bytes(length);
        if length as usize > limits::BACKUP_FRAME_BYTES_MAX {
            return Err(bad(&format!("frame {} says that it has {length} bytes", self.frames)));
        }
        // Not allocated at once: the length is not believed yet.
        let mut payload = Vec::new();
        let read = self.input.by_ref().take(length.into()).read_to_end(&mut payload).map_err(unreadable)?;
        self.bytes += read as u64;
        if read < length as usize {
            return Err(cut_off(self.bytes));
        }
        let mut crc = [0; 4];
        self.read(&mut crc)?;
        if u32::from_le_bytes(crc) != checksum(self.frames, &head, &payload) {
            return Err(bad(&format!("the checksum of frame {} is wrong", self.frames)));
        }
        self.frames += 1;
        Ok((kind, payload))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), StoreError> {
        self.input.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => cut_off(self.bytes),
            _ => unreadable(error),
        })?;
        self.bytes += buffer.len() as u64;
        Ok(())
    }
}

fn bad(what: &str) -> StoreError {
    StoreError::BadBackup { what: what.to_owned() }
}

fn cut_off(bytes: u64) -> StoreError {
    bad(&format!("it is cut off after {bytes} bytes"))
}

fn unreadable(error: io::Error) -> StoreError {
    bad(&format!("it cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops() -> Vec<Op> {
        vec![
            Op::Put { key: b"a".to_vec(), value: b"1".to_vec() },
            Op::Put { key: Vec::new(), value: Vec::new() },
            Op::Delete { key: b"b".to_vec() },
        ]
    }

    fn written() -> Vec<u8> {
        let (mut writer, header) = Writer::start();
        [header, writer.rows(ops()), writer.changes(ops()), writer.rows(ops()), writer.end()].concat()
    }

    fn read(bytes: &[u8]) -> Result<(Vec<Op>, BackupInfo), StoreError> {
        let mut reader = Reader::start(bytes)?;
        let mut read = Vec::new();
        loop {
            match reader.next()? {
                Next::Ops(ops) => read.extend(ops),
                Next::End(info) => return Ok((read, info)),
            }
        }
    }

    #[test]
    fn a_backup_is_read_as_it_was_written() {
        let bytes = written();
        let (read, info) = read(&bytes).unwrap();
        assert_eq!(read, [ops(), ops(), ops()].concat());
        assert_eq!((info.rows, info.changes, info.bytes), (6, 3, bytes.len() as u64));
        assert_eq!(info.program, env!("CARGO_PKG_VERSION"));
        assert!(info.began.elapsed().unwrap() < Duration::from_secs(3600));
    }

    #[test]
    fn any_flipped_bit_is_caught() {
        let written = written();
        for bit in 0..written.len() * 8 {
            let mut bytes = written.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_or_longer_backup_is_caught() {
        let written = written();
        for length in 0..written.len() {
            assert!(read(&written[..length]).is_err(), "{length} bytes");
        }
        let longer = [&written[..], b"x"].concat();
        assert!(read(&longer).unwrap_err().to_string().contains("something follows its end"));
    }

    #[test]
    fn a_frame_that_is_missing_doubled_or_out_of_order_is_caught() {
        let (mut writer, header) = Writer::start();
        let (a, b, end) = (writer.rows(ops()), writer.rows(ops()), writer.end());
        assert!(read(&[&header[..], &a, &b, &end].concat()).is_ok());
        for wrong in [[&header[..], &b, &a, &end], [&header, &a, &a, &end], [&header, &a, &[], &end]] {
            assert!(read(&wrong.concat()).is_err());
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = written();
        bytes[TITLE.len()] += 1;
        assert!(matches!(read(&bytes), Err(StoreError::Version { found: 2, .. })));
    }

    /// The format on disk. Never edit the bytes: a change here is a new version.
    #[test]
    fn the_bytes_of_a_frame_are_these() {
        let mut writer = Writer::default();
        assert_eq!(
            writer.rows(ops()[..1].to_vec()),
            b"\x0b\x00\x00\x00\x01\x01\x01\x00\x00\x00\x01\x00\x00\x00a1\x75\x90\x97\xaa"
        );
    }
}
