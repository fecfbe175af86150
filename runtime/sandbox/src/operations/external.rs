//! Messages to other workflows: signals and requests to cancel. Each is open until the journal says what became of it.

use mainspring_api::command::Command;

use super::{Operation, Operations, wrong_kind};
use crate::{GuestLimits, bindings::activation::Event, convert::failure::canceled_signal, host::Fault};

#[derive(Debug)]
pub(super) enum External {
    /// Where its command stands.
    Signal(usize),
    RequestCancel,
    /// The request that a cancelled child caused.
    CancelOfChild(u32),
}

/// A message that the journal says was taken or refused.
#[derive(Debug, PartialEq)]
pub enum Delivered {
    /// The guest waits for it.
    Message(u32),
    /// It was the host's own, on behalf of a child, of which there may be something to tell.
    CancelOfChild(Option<Event>),
}

impl Operations {
    pub fn signal_external(&mut self, command: Command, limits: &GuestLimits) -> Result<u32, Fault> {
        self.start(command, limits, |command| Operation::External(External::Signal(command)))
    }

    pub fn request_cancel_external(&mut self, command: Command, limits: &GuestLimits) -> Result<u32, Fault> {
        self.start(command, limits, |_| Operation::External(External::RequestCancel))
    }

    /// Takes back a signal of this activation; an older one is on its way and cannot be called back.
    pub fn cancel_signal(&mut self, number: u32) -> Result<(), Fault> {
        let command = match self.open.get(&number) {
            Some(Operation::External(External::Signal(command))) => *command,
            Some(other) => return wrong_kind(number, other, "a signal"),
            None => return self.check_was_started(number),
        };
        if self.is_new(number) {
            self.resolved_locally.push(Event::ExternalResolved((number, Some(canceled_signal()))));
            self.withdraw(number, command);
        }
        Ok(())
    }

    /// The journal tells what became of the message that this event began. None where there is no such message.
    pub fn external_ended(&mut self, initiated_event_id: i64) -> Option<Delivered> {
        let number = *self.by_event.get(&initiated_event_id)?;
        if !matches!(self.open.get(&number), Some(Operation::External(_))) {
            return None;
        }
        match self.remove_by_event(initiated_event_id)? {
            (_, Operation::External(External::CancelOfChild(child))) => {
                Some(Delivered::CancelOfChild(self.child_was_asked(child)))
            }
            (number, _) => Some(Delivered::Message(number)),
        }
    }
}
