//! `wasi:io`: the three standard streams. They are always ready, so nothing ever waits.
//!
//! A stream's representation says which one it is, so no table is kept and a guest cannot make the host hold anything.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult,
    bindings::sync::io::{
        poll::{self, HostPollable},
        streams::{self, HostInputStream, HostOutputStream},
    },
};

use super::{
    super::{HostState, output::Channel},
    refuse,
};

pub const STDIN: u32 = 0;
pub const STDOUT: u32 = 1;
pub const STDERR: u32 = 2;

/// What one write may carry, as `check-write` says.
const WRITE_BYTES_MAX: u64 = 64 * 1024;
/// The only pollable: of a stream, and always ready. C libraries ask for it before they write.
const READY: u32 = 0;
const WRITE_INSTEAD: &str = "write the bytes yourself; its input is empty";

fn trap(call: &str) -> StreamError {
    StreamError::Trap(refuse(call, WRITE_INSTEAD).into())
}

impl HostState {
    fn write_stream(&mut self, stream: &Resource<DynOutputStream>, bytes: &[u8]) -> StreamResult<()> {
        let channel = match stream.rep() {
            STDERR => Channel::Stderr,
            _ => Channel::Stdout,
        };
        self.output
            .write(self.run.as_deref(), channel, bytes, &self.limits)
            .map_err(|fault| StreamError::Trap(fault.into()))
    }

    fn write_zeroes_to_stream(&mut self, stream: &Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        // The log's limit is far below this, so nothing that could succeed is refused.
        let len = usize::try_from(len.min(WRITE_BYTES_MAX)).unwrap_or(0);
        self.write_stream(stream, &vec![0; len])
    }
}

impl streams::Host for HostState {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        match error {
            StreamError::Closed => Ok(streams::StreamError::Closed),
            // Nothing here fails without ending the activation.
            StreamError::LastOperationFailed(error) | StreamError::Trap(error) => Err(error),
        }
    }
}

impl HostOutputStream for HostState {
    fn check_write(&mut self, _stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        Ok(WRITE_BYTES_MAX)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, contents: Vec<u8>) -> StreamResult<()> {
        self.write_stream(&stream, &contents)
    }

    fn blocking_write_and_flush(&mut self, stream: Resource<DynOutputStream>, contents: Vec<u8>) -> StreamResult<()> {
        self.write_stream(&stream, &contents)
    }

    fn flush(&mut self, _stream: Resource<DynOutputStream>) -> StreamResult<()> {
        Ok(())
    }

    fn blocking_flush(&mut self, _stream: Resource<DynOutputStream>) -> StreamResult<()> {
        Ok(())
    }

    fn subscribe(&mut self, _stream: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        Ok(Resource::new_own(READY))
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        self.write_zeroes_to_stream(&stream, len)
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        self.write_zeroes_to_stream(&stream, len)
    }

    fn splice(
        &mut self,
        _stream: Resource<DynOutputStream>,
        _source: Resource<DynInputStream>,
        _len: u64,
    ) -> StreamResult<u64> {
        Err(trap("wasi:io/streams.[method]output-stream.splice"))
    }

    fn blocking_splice(
        &mut self,
        _stream: Resource<DynOutputStream>,
        _source: Resource<DynInputStream>,
        _len: u64,
    ) -> StreamResult<u64> {
        Err(trap("wasi:io/streams.[method]output-stream.blocking-splice"))
    }

    fn drop(&mut self, _stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl HostInputStream for HostState {
    fn read(&mut self, _stream: Resource<DynInputStream>, _len: u64) -> StreamResult<Vec<u8>> {
        Err(StreamError::Closed)
    }

    fn blocking_read(&mut self, _stream: Resource<DynInputStream>, _len: u64) -> StreamResult<Vec<u8>> {
        Err(StreamError::Closed)
    }

    fn skip(&mut self, _stream: Resource<DynInputStream>, _len: u64) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn blocking_skip(&mut self, _stream: Resource<DynInputStream>, _len: u64) -> StreamResult<u64> {
        Err(StreamError::Closed)
    }

    fn subscribe(&mut self, _stream: Resource<DynInputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        Ok(Resource::new_own(READY))
    }

    fn drop(&mut self, _stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl poll::Host for HostState {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if pollables.is_empty() {
            return Err(refuse("wasi:io/poll.poll without pollables", "there is nothing to wait for").into());
        }
        Ok((0..).take(pollables.len()).collect())
    }
}

impl HostPollable for HostState {
    fn ready(&mut self, _pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        Ok(true)
    }

    fn block(&mut self, _pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        Ok(())
    }

    fn drop(&mut self, _pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        Ok(())
    }
}
