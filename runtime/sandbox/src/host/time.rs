//! `mainspring:workflow/time`.

use super::HostState;
use crate::{
    bindings::{time, types::Datetime},
    convert::time::datetime_to_guest,
};

impl time::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        self.activation("time.now")?;
        Ok(datetime_to_guest(&self.moment.now))
    }
}
