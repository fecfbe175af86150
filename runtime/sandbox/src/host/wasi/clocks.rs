//! `wasi:clocks`: both clocks show the time of the workflow task, and stand still during an activation.

use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynPollable,
    bindings::clocks::{
        monotonic_clock::{self, Duration, Instant},
        wall_clock::{self, Datetime},
    },
};

use super::{super::HostState, refuse};
use crate::convert::time::datetime_to_guest;

const WAIT_INSTEAD: &str = "it would wait in real time; start a timer of mainspring:workflow/timers instead";

impl wall_clock::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        let now = datetime_to_guest(&self.moment.now);
        Ok(Datetime { seconds: now.seconds, nanoseconds: now.nanoseconds })
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime { seconds: 0, nanoseconds: 1 })
    }
}

impl monotonic_clock::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        Ok(self.monotonic_ns)
    }

    fn resolution(&mut self) -> wasmtime::Result<Duration> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, _when: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        Err(refuse("wasi:clocks/monotonic-clock.subscribe-instant", WAIT_INSTEAD).into())
    }

    fn subscribe_duration(&mut self, _when: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        Err(refuse("wasi:clocks/monotonic-clock.subscribe-duration", WAIT_INSTEAD).into())
    }
}
