//! The streams that a file is read and written by. They are always ready.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::{
    async_trait,
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult},
};

use super::file::{File, READ_BYTES};

/// What a guest may write to a stream in one call.
const WRITE_BYTES: usize = 64 * 1024;

pub struct Reader {
    file: Arc<File>,
    offset: u64,
}

pub struct Writer {
    file: Arc<File>,
    /// None writes at the end, wherever that is then.
    offset: Option<u64>,
    failed: bool,
}

impl Reader {
    pub fn new(file: Arc<File>, offset: u64) -> Reader {
        Reader { file, offset }
    }
}

impl Writer {
    pub fn new(file: Arc<File>, offset: Option<u64>) -> Writer {
        Writer { file, offset, failed: false }
    }
}

#[async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {}
}

impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let bytes = self.file.read(self.offset, size.min(READ_BYTES));
        if bytes.is_empty() && size > 0 {
            return Err(StreamError::Closed);
        }
        self.offset += bytes.len() as u64;
        Ok(bytes.into())
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {}
}

impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.check_write()?;
        let written = match &mut self.offset {
            None => self.file.append(&bytes),
            Some(offset) => self.file.write(*offset, &bytes).map(|()| *offset += bytes.len() as u64),
        };
        // The guest may ask which code this is.
        written.map_err(|code| {
            self.failed = true;
            StreamError::LastOperationFailed(code.into())
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(drop)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        match self.failed {
            true => Err(StreamError::Closed),
            false => Ok(WRITE_BYTES),
        }
    }
}
