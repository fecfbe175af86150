//! What a run has started and can await, and the commands of the current activation.
//!
//! An operation is in the table from its start until it is resolved and nothing about it can follow in the journal.
//! Whatever is cancelled in the very activation that started it is withdrawn: its command is never issued, and the guest
//! is told at once. What else a cancellation does is at the top of each kind's file.

mod activity;
mod child;
mod external;
mod timer;

use std::collections::HashMap;

use mainspring_api::{
    command::{Command, command::Attributes},
    enums::CommandType,
    protocol::Message,
    sdk::UserMetadata,
};
use prost::Message as _;

use self::{activity::Activity, child::Child, external::External, timer::Timer};
pub use self::{
    activity::{ActivityName, EndedActivity},
    child::{ChildName, EndedChild},
    external::Delivered,
};
use crate::{GuestLimits, bindings::activation::Event, error::GuestLimit, host::Fault};

/// A command, and the operation that it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    pub command: Command,
    pub starts: Option<u32>,
    /// What a command that only points at a message points at.
    pub message: Option<Message>,
}

#[derive(Debug)]
enum Operation {
    Timer(Timer),
    Activity(Activity),
    Child(Child),
    External(External),
}

impl Operation {
    fn kind(&self) -> &'static str {
        match self {
            Operation::Timer(_) => "a timer",
            Operation::Activity(_) => "an activity",
            Operation::Child(_) => "a child workflow",
            Operation::External(_) => "a message to another workflow",
        }
    }
}

/// The operations of one run.
#[derive(Debug, Default)]
pub struct Operations {
    started: u32,
    open: HashMap<u32, Operation>,
    /// Open operations whose start the journal has recorded, by that event.
    by_event: HashMap<i64, u32>,
    /// The workflow ids of children that have ended: a signal to one is sent, and the journal says that it failed. As
    /// many as the history has room for.
    ended_children: HashMap<u32, String>,
    /// The commands of this activation; a withdrawn one leaves a gap.
    commands: Vec<Option<Issued>>,
    command_bytes: usize,
    /// Operations up to this one were started in an earlier activation.
    started_before: u32,
    /// What this activation cancelled, which the guest does not know yet.
    resolved_locally: Vec<Event>,
}

impl Operations {
    pub fn begin_activation(&mut self) {
        self.started_before = self.started;
        self.commands.clear();
        self.command_bytes = 0;
        self.resolved_locally.clear();
    }

    /// The commands of the activation that ends.
    pub fn end_activation(&mut self) -> Vec<Issued> {
        self.resolved_locally = Vec::new();
        std::mem::take(&mut self.commands).into_iter().flatten().collect()
    }

    /// How many commands were issued in this activation so far, withdrawn ones among them.
    pub fn issued_count(&self) -> usize {
        self.commands.len()
    }

    /// What the guest has to be told before the activation may end.
    pub fn take_local_resolutions(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.resolved_locally)
    }

    /// The number that the next operation gets.
    pub fn next_number(&self) -> Result<u32, Fault> {
        // Far above what a history can hold, so only reached by starting and cancelling for ever.
        self.started
            .checked_add(1)
            .ok_or_else(|| Fault::bad_call("a run cannot start more than 4,294,967,295 operations"))
    }

    /// The journal has recorded the start of this operation as that event.
    pub fn recorded(&mut self, number: u32, event_id: i64) {
        match self.open.get_mut(&number) {
            Some(Operation::Timer(timer)) => timer.started_event_id = Some(event_id),
            Some(Operation::Activity(activity)) => activity.scheduled_event_id = Some(event_id),
            Some(Operation::Child(child)) => child.initiated_event_id = Some(event_id),
            Some(Operation::External(_)) => {}
            None => return,
        }
        self.by_event.insert(event_id, number);
    }

    /// Adds a command that starts nothing: one that closes the run, a marker, the answer to an update.
    pub fn tell(&mut self, command: Command, message: Option<Message>, limits: &GuestLimits) -> Result<(), Fault> {
        self.issue(Issued { command, starts: None, message }, limits).map(drop)
    }

    /// An estimate of the memory that the table takes, in bytes.
    pub fn private_bytes(&self) -> usize {
        // An entry with its strings and the map's slack; exact enough for a budget.
        self.open.len() * 256
    }

    fn start(
        &mut self,
        command: Command,
        limits: &GuestLimits,
        operation: impl FnOnce(usize) -> Operation,
    ) -> Result<u32, Fault> {
        let number = self.next_number()?;
        let command = self.issue(Issued { command, starts: Some(number), message: None }, limits)?;
        self.open.insert(number, operation(command));
        self.started = number;
        Ok(number)
    }

    fn issue(&mut self, issued: Issued, limits: &GuestLimits) -> Result<usize, Fault> {
        if self.commands.len() >= limits.commands_per_activation {
            return Err(Fault::limit(
                GuestLimit::Commands,
                format!("the workflow issued more than {} commands in one activation", limits.commands_per_activation),
            ));
        }
        let bytes = issued.command.encoded_len() + issued.message.as_ref().map_or(0, Message::encoded_len);
        self.command_bytes = self.command_bytes.saturating_add(bytes);
        if self.command_bytes > limits.command_bytes_per_activation {
            return Err(Fault::limit(
                GuestLimit::CommandBytes,
                format!(
                    "the workflow's commands of one activation take more than {} bytes",
                    limits.command_bytes_per_activation
                ),
            ));
        }
        self.commands.push(Some(issued));
        Ok(self.commands.len() - 1)
    }

    /// Takes back an operation that this activation has started.
    fn withdraw(&mut self, number: u32, command: usize) {
        if let Some(slot) = self.commands.get_mut(command) {
            *slot = None;
        }
        self.open.remove(&number);
    }

    fn is_new(&self, number: u32) -> bool {
        number > self.started_before
    }

    fn remove_by_event(&mut self, event_id: i64) -> Option<(u32, Operation)> {
        let number = self.by_event.remove(&event_id)?;
        Some((number, self.open.remove(&number)?))
    }

    /// One that has been resolved is left alone; one that never was is a mistake of the guest.
    fn check_was_started(&self, number: u32) -> Result<(), Fault> {
        match number {
            1.. if number <= self.started => Ok(()),
            _ => Err(Fault::bad_call(format!("the workflow speaks of operation {number}, which it never started"))),
        }
    }
}

fn wrong_kind<T>(number: u32, is: &Operation, should_be: &str) -> Result<T, Fault> {
    Err(Fault::bad_call(format!("operation {number} is {}, not {should_be}", is.kind())))
}

/// A command of this type with these attributes.
pub fn command(kind: CommandType, attributes: Attributes, user_metadata: Option<UserMetadata>) -> Command {
    Command { command_type: kind.into(), user_metadata, attributes: Some(attributes), ..Default::default() }
}
