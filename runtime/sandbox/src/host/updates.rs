//! `mainspring:workflow/updates`.

use super::HostState;
use crate::{
    bindings::{
        types::{FailureLink, Payload},
        updates,
    },
    convert::failure::failure_to_proto,
};

impl updates::Host for HostState {
    fn accept(&mut self, update: u32) -> wasmtime::Result<()> {
        self.commanding("updates.accept")?;
        let (command, message) = self.updates.accept(update)?;
        Ok(self.operations.tell(command, Some(message), &self.limits)?)
    }

    fn reject(&mut self, update: u32, reason: Vec<FailureLink>) -> wasmtime::Result<()> {
        self.commanding("updates.reject")?;
        Ok(self.updates.reject(update, failure_to_proto(reason)?)?)
    }

    fn complete(&mut self, update: u32, outcome: Result<Vec<Payload>, Vec<FailureLink>>) -> wasmtime::Result<()> {
        self.commanding("updates.complete")?;
        let outcome = match outcome {
            Ok(result) => Ok(result),
            Err(failure) => Err(failure_to_proto(failure)?),
        };
        let (command, message) = self.updates.complete(update, outcome)?;
        Ok(self.operations.tell(command, Some(message), &self.limits)?)
    }
}
