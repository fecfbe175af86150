//! Timers.
//!
//! | cancelled | command | journal |
//! | --- | --- | --- |
//! | never | | `TimerFired` resolves it |
//! | later than it was started | `CancelTimer` | nothing follows |

use mainspring_api::{
    command::{CancelTimerCommandAttributes, Command, command::Attributes},
    enums::CommandType,
};

use super::{Issued, Operation, Operations, command, wrong_kind};
use crate::{GuestLimits, host::Fault};

#[derive(Debug)]
pub(super) struct Timer {
    /// Where the command stands that starts it, while it may still be withdrawn.
    command: usize,
    pub(super) started_event_id: Option<i64>,
}

impl Operations {
    pub fn start_timer(&mut self, command: Command, limits: &GuestLimits) -> Result<u32, Fault> {
        self.start(command, limits, |command| Operation::Timer(Timer { command, started_event_id: None }))
    }

    pub fn cancel_timer(&mut self, number: u32, limits: &GuestLimits) -> Result<(), Fault> {
        let (command, event) = match self.open.get(&number) {
            Some(Operation::Timer(timer)) => (timer.command, timer.started_event_id),
            Some(other) => return wrong_kind(number, other, "a timer"),
            None => return self.check_was_started(number),
        };
        if self.is_new(number) {
            self.withdraw(number, command);
            return Ok(());
        }
        self.open.remove(&number);
        if let Some(event) = event {
            self.by_event.remove(&event);
        }
        let attributes = CancelTimerCommandAttributes { timer_id: number.to_string() };
        let command =
            self::command(CommandType::CancelTimer, Attributes::CancelTimerCommandAttributes(attributes), None);
        self.issue(Issued { command, starts: None, message: None }, limits).map(drop)
    }

    /// The journal tells that a timer fired. None where no such timer runs.
    pub fn timer_fired(&mut self, timer_id: &str, started_event_id: i64) -> Option<u32> {
        let number: u32 = timer_id.parse().ok()?;
        match self.open.get(&number) {
            Some(Operation::Timer(Timer { started_event_id: Some(recorded), .. })) if *recorded == started_event_id => {
                self.open.remove(&number);
                self.by_event.remove(&started_event_id);
                Some(number)
            }
            _ => None,
        }
    }
}
