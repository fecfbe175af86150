//! `wasi:random`: streams that the run id seeds, apart from the one of `mainspring:workflow/random`.

use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use super::super::{HostState, random::check_random_len};
use crate::random::Stream;

impl random::Host for HostState {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let len = check_random_len(len)?;
        Ok(self.streams.bytes(Stream::Wasi, len))
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.streams.number(Stream::Wasi))
    }
}

impl insecure::Host for HostState {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let len = check_random_len(len)?;
        Ok(self.streams.bytes(Stream::WasiInsecure, len))
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.streams.number(Stream::WasiInsecure))
    }
}

impl insecure_seed::Host for HostState {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok(self.streams.insecure_seed())
    }
}
