//! `mainspring:workflow/random`.

use super::{Fault, HostState};
use crate::{bindings::random, config::RANDOM_BYTES_MAX, error::GuestLimit, random::Stream};

impl random::Host for HostState {
    fn get_bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        self.activation("random.get-bytes")?;
        let len = check_random_len(u64::from(len))?;
        Ok(self.streams.bytes(Stream::Workflow, len))
    }
}

/// A call for more than this would only make the host allocate.
pub fn check_random_len(len: u64) -> Result<usize, Fault> {
    match usize::try_from(len) {
        Ok(fits) if len <= RANDOM_BYTES_MAX => Ok(fits),
        _ => Err(Fault::limit(
            GuestLimit::CallBytes,
            format!("the workflow asks for {len} random bytes at once; the limit is {RANDOM_BYTES_MAX}"),
        )),
    }
}
