//! `mainspring:workflow/timers`.

use mainspring_api::{
    command::{StartTimerCommandAttributes, command::Attributes},
    enums::CommandType,
};

use super::HostState;
use crate::{
    bindings::{
        timers,
        types::{Duration, Operation},
    },
    convert::{payload::summary_to_proto, time::duration_to_proto},
    operations::command,
};

impl timers::Host for HostState {
    fn start(&mut self, after: Duration, summary: Option<String>) -> wasmtime::Result<Operation> {
        self.commanding("timers.start")?;
        let attributes = StartTimerCommandAttributes {
            timer_id: self.operations.next_number()?.to_string(),
            start_to_fire_timeout: Some(duration_to_proto(after)?),
        };
        let command = command(
            CommandType::StartTimer,
            Attributes::StartTimerCommandAttributes(attributes),
            summary_to_proto(summary),
        );
        Ok(self.operations.start_timer(command, &self.limits)?)
    }

    fn cancel(&mut self, timer: Operation) -> wasmtime::Result<()> {
        self.commanding("timers.cancel")?;
        Ok(self.operations.cancel_timer(timer, &self.limits)?)
    }
}
