//! What a file holds.

use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime_wasi::p2::bindings::{clocks::wall_clock::Datetime, filesystem::types::ErrorCode};

use super::{Budget, FileResult, Times, budget::BLOCK_BYTES, now};

/// Most bytes of one read.
pub const READ_BYTES: usize = 64 * 1024;

type Block = Box<[u8; BLOCK_BYTES]>;

/// A file, for as long as it has a name, a descriptor or a stream.
pub struct File {
    /// Of the file, in its tree.
    pub id: u64,
    budget: Arc<Budget>,
    contents: Mutex<Contents>,
}

struct Contents {
    bytes: u64,
    /// As many as `bytes` need, all of them paid for. What was never written is not there, and reads as zeros; so do the
    /// bytes behind the end.
    blocks: Vec<Option<Block>>,
    times: Times,
}

impl File {
    pub fn new(id: u64, budget: Arc<Budget>) -> FileResult<Arc<File>> {
        budget.take_entry()?;
        let contents = Contents { bytes: 0, blocks: Vec::new(), times: Times::new() };
        Ok(Arc::new(File { id, budget, contents: Mutex::new(contents) }))
    }

    pub fn bytes(&self) -> u64 {
        self.contents.lock().bytes
    }

    pub fn times(&self) -> Times {
        self.contents.lock().times
    }

    pub fn set_times(&self, accessed: Option<Datetime>, modified: Option<Datetime>) {
        self.contents.lock().times.set(accessed, modified);
    }

    /// What stands there: nothing only at the end, and [`READ_BYTES`] at most.
    pub fn read(&self, offset: u64, most: usize) -> Vec<u8> {
        let contents = self.contents.lock();
        let left = usize::try_from(contents.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(most).min(READ_BYTES)];
        for (index, within, part) in parts(offset, bytes.len()) {
            if let Some(Some(block)) = contents.blocks.get(index) {
                let len = part.len();
                bytes[part].copy_from_slice(&block[within..within + len]);
            }
        }
        bytes
    }

    /// Writes all of it or nothing.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> FileResult<()> {
        self.write_to(&mut self.contents.lock(), offset, bytes)
    }

    /// The same, at the end.
    pub fn append(&self, bytes: &[u8]) -> FileResult<()> {
        let mut contents = self.contents.lock();
        let end = contents.bytes;
        self.write_to(&mut contents, end, bytes)
    }

    pub fn set_bytes(&self, bytes: u64) -> FileResult<()> {
        let mut contents = self.contents.lock();
        self.resize(&mut contents, bytes)?;
        contents.times.modified = now();
        Ok(())
    }

    fn write_to(&self, contents: &mut Contents, offset: u64, bytes: &[u8]) -> FileResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let end = offset.checked_add(bytes.len() as u64).ok_or(ErrorCode::FileTooLarge)?;
        if end > contents.bytes {
            self.resize(contents, end)?;
        }
        for (index, within, part) in parts(offset, bytes.len()) {
            let block = contents.blocks[index].get_or_insert_with(|| Box::new([0; BLOCK_BYTES]));
            block[within..within + part.len()].copy_from_slice(&bytes[part]);
        }
        contents.times.modified = now();
        Ok(())
    }

    fn resize(&self, contents: &mut Contents, bytes: u64) -> FileResult<()> {
        let (before, after) = (contents.blocks.len() as u64, bytes.div_ceil(BLOCK_BYTES as u64));
        if after > before {
            self.budget.take(after - before)?;
        }
        // What is paid for is far below what an address can be.
        let count = usize::try_from(after).map_err(|_| ErrorCode::InsufficientSpace)?;
        contents.blocks.resize_with(count, || None);
        if after < before {
            // Or the room for blocks that were there once would stay.
            contents.blocks.shrink_to_fit();
            self.budget.give_back(before - after);
        }
        let end = (bytes % BLOCK_BYTES as u64) as usize;
        if bytes < contents.bytes
            && end > 0
            && let Some(Some(last)) = contents.blocks.last_mut()
        {
            last[end..].fill(0);
        }
        contents.bytes = bytes;
        Ok(())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.budget.give_back(self.contents.get_mut().blocks.len() as u64);
        self.budget.give_entry_back();
    }
}

/// Where the bytes from an offset on stand: a block, the place in it, and which of the bytes these are.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % BLOCK_BYTES as u64) as usize;
        let part = done..len.min(done + BLOCK_BYTES - within);
        done = part.end;
        // An offset that holds bytes is one of a block that is there.
        (!part.is_empty()).then(|| ((at / BLOCK_BYTES as u64) as usize, within, part))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Pool, *};

    fn file(blocks: u64) -> Arc<File> {
        let bytes = blocks * BLOCK_BYTES as u64;
        File::new(2, Budget::new(Pool::new(bytes), bytes)).unwrap()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>),
        Append(Vec<u8>),
        Resize(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let bytes = || (any::<u8>(), 0..10_000usize).prop_map(|(byte, len)| vec![byte | 1; len]);
        let step = prop_oneof![
            (0..20_000u64, bytes()).prop_map(|(offset, bytes)| Step::Write(offset, bytes)),
            bytes().prop_map(Step::Append),
            (0..40_000u64).prop_map(Step::Resize),
        ];
        proptest::collection::vec(step, 0..20)
    }

    proptest! {
        /// Beside a file that is one vector: what does not fit changes nothing.
        #[test]
        fn a_file_holds_what_was_written(steps in steps()) {
            // One block is that of the file itself.
            let (file, room) = (file(9), 8 * BLOCK_BYTES);
            let mut model: Vec<u8> = Vec::new();
            for step in steps {
                let mut next = model.clone();
                let result = match step {
                    Step::Write(offset, bytes) => {
                        let start = offset as usize;
                        if !bytes.is_empty() {
                            next.resize(next.len().max(start + bytes.len()), 0);
                        }
                        next.splice(start.min(next.len())..(start + bytes.len()).min(next.len()), bytes.iter().copied());
                        file.write(offset, &bytes)
                    }
                    Step::Append(bytes) => {
                        next.extend_from_slice(&bytes);
                        file.append(&bytes)
                    }
                    Step::Resize(bytes) => {
                        next.resize(bytes as usize, 0);
                        file.set_bytes(bytes)
                    }
                };
                prop_assert_eq!(result.is_ok(), next.len() <= room);
                if result.is_ok() {
                    model = next;
                }
                prop_assert_eq!(file.bytes(), model.len() as u64);
                prop_assert_eq!(&file.read(0, usize::MAX), &model);
                prop_assert_eq!(&file.read(5000, 100), &model[model.len().min(5000)..model.len().min(5100)]);
            }
        }
    }

    #[test]
    fn a_hole_takes_what_it_is_long() {
        let file = file(1000);
        for bytes in [1 << 40, u64::MAX, 1000 * BLOCK_BYTES as u64] {
            assert!(matches!(file.set_bytes(bytes), Err(ErrorCode::InsufficientSpace)), "{bytes}");
        }
        assert!(matches!(file.write(u64::MAX, b"x"), Err(ErrorCode::FileTooLarge)));
        assert!(matches!(file.write(1 << 62, b"x"), Err(ErrorCode::InsufficientSpace)));
        file.set_bytes(999 * BLOCK_BYTES as u64).unwrap();
        assert!(file.append(b"x").is_err());
        assert!(file.read(u64::MAX, 1).is_empty());
    }
}
