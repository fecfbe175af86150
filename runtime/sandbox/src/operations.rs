//! What a run has started: its timers and activities, and the commands of the current activation.
//!
//! An operation is in the table from its start until it is resolved and nothing about it can follow in the journal:
//!
//! | operation | cancelled in the activation that started it | cancelled later | journal |
//! | --- | --- | --- | --- |
//! | timer | its command is withdrawn | `CancelTimer` | `TimerFired` resolves it |
//! | activity, try-cancel | withdrawn, resolved at once | `RequestCancelActivityTask`, resolved at once | its end is ignored |
//! | activity, wait-cancellation-completed | withdrawn, resolved at once | `RequestCancelActivityTask` | its end resolves it |
//! | activity, abandon | withdrawn, resolved at once | resolved at once | its end is ignored |

use std::collections::HashMap;

use mainspring_api::{
    command::{CancelTimerCommandAttributes, Command, RequestCancelActivityTaskCommandAttributes, command::Attributes},
    enums::CommandType,
    sdk::UserMetadata,
};
use prost::Message as _;

use crate::{
    GuestLimits,
    bindings::{activation::Event, activities::CancellationType, types as wit},
    convert::failure::canceled_activity,
    error::GuestLimit,
    host::Fault,
};

/// A command, and the operation that it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    pub command: Command,
    pub starts: Option<u32>,
}

#[derive(Debug)]
enum Operation {
    Timer {
        /// Where the command stands that starts it, while it may still be withdrawn.
        command: usize,
        started_event_id: Option<i64>,
    },
    Activity {
        command: usize,
        scheduled_event_id: Option<i64>,
        activity: ActivityName,
        cancellation: CancellationType,
        state: ActivityState,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ActivityState {
    Open,
    /// Asked to stop; its answer is awaited.
    CancelRequested,
    /// The guest was told that it was canceled: what the journal says of it later is not for the guest.
    ResolvedLocally,
}

/// What an activity's failure says about the activity.
#[derive(Debug, Clone)]
pub struct ActivityName {
    pub activity_type: String,
    pub activity_id: String,
}

/// An activity whose end the journal has just told.
#[derive(Debug)]
pub struct EndedActivity {
    pub operation: u32,
    pub name: ActivityName,
    /// False where the guest has been told another end already.
    pub for_guest: bool,
}

/// The operations of one run.
#[derive(Debug, Default)]
pub struct Operations {
    started: u32,
    open: HashMap<u32, Operation>,
    by_scheduled_event: HashMap<i64, u32>,
    /// The commands of this activation; a withdrawn one leaves a gap.
    commands: Vec<Option<Issued>>,
    command_bytes: usize,
    /// Operations up to this one were started in an earlier activation.
    started_before: u32,
    /// Activities that this activation cancelled, which the guest does not know yet.
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

    pub fn start_timer(&mut self, command: Command, limits: &GuestLimits) -> Result<u32, Fault> {
        let number = self.next_number()?;
        let command = self.issue(command, Some(number), limits)?;
        self.open.insert(number, Operation::Timer { command, started_event_id: None });
        self.started = number;
        Ok(number)
    }

    pub fn schedule_activity(
        &mut self,
        command: Command,
        activity: ActivityName,
        cancellation: CancellationType,
        limits: &GuestLimits,
    ) -> Result<u32, Fault> {
        let number = self.next_number()?;
        let command = self.issue(command, Some(number), limits)?;
        let state = ActivityState::Open;
        self.open
            .insert(number, Operation::Activity { command, scheduled_event_id: None, activity, cancellation, state });
        self.started = number;
        Ok(number)
    }

    pub fn cancel_timer(&mut self, number: u32, limits: &GuestLimits) -> Result<(), Fault> {
        let command = match self.open.get(&number) {
            Some(Operation::Timer { command, .. }) => *command,
            Some(Operation::Activity { .. }) => {
                return Err(Fault::bad_call(format!("operation {number} is an activity, not a timer")));
            }
            None => return self.check_was_started(number),
        };
        self.open.remove(&number);
        if number > self.started_before {
            self.withdraw(command);
            return Ok(());
        }
        let attributes = CancelTimerCommandAttributes { timer_id: number.to_string() };
        self.issue(
            self::command(CommandType::CancelTimer, Attributes::CancelTimerCommandAttributes(attributes), None),
            None,
            limits,
        )?;
        Ok(())
    }

    pub fn cancel_activity(&mut self, number: u32, limits: &GuestLimits) -> Result<(), Fault> {
        let started_before = self.started_before;
        let (command, scheduled_event_id, cancellation) = match self.open.get(&number) {
            Some(Operation::Activity {
                state: ActivityState::Open, command, scheduled_event_id, cancellation, ..
            }) => (*command, *scheduled_event_id, *cancellation),
            // Asking again changes nothing.
            Some(Operation::Activity { .. }) => return Ok(()),
            Some(Operation::Timer { .. }) => {
                return Err(Fault::bad_call(format!("operation {number} is a timer, not an activity")));
            }
            None => return self.check_was_started(number),
        };
        if number > started_before {
            self.withdraw(command);
            self.resolve_locally(number);
            self.open.remove(&number);
            return Ok(());
        }
        if cancellation != CancellationType::Abandon {
            // An activity of an earlier activation was matched with its event before this activation began.
            let scheduled_event_id = scheduled_event_id
                .ok_or_else(|| Fault::host(format!("activity {number} has no event, though its activation is over")))?;
            let attributes = RequestCancelActivityTaskCommandAttributes { scheduled_event_id };
            self.issue(
                self::command(
                    CommandType::RequestCancelActivityTask,
                    Attributes::RequestCancelActivityTaskCommandAttributes(attributes),
                    None,
                ),
                None,
                limits,
            )?;
        }
        if cancellation != CancellationType::WaitCancellationCompleted {
            self.resolve_locally(number);
        }
        if let Some(Operation::Activity { state, .. }) = self.open.get_mut(&number) {
            *state = match cancellation {
                CancellationType::WaitCancellationCompleted => ActivityState::CancelRequested,
                CancellationType::TryCancel | CancellationType::Abandon => ActivityState::ResolvedLocally,
            };
        }
        Ok(())
    }

    /// Adds the command that closes the run.
    pub fn close(&mut self, command: Command, limits: &GuestLimits) -> Result<(), Fault> {
        self.issue(command, None, limits).map(drop)
    }

    /// The journal has recorded the start of this operation as that event.
    pub fn recorded(&mut self, number: u32, event_id: i64) {
        match self.open.get_mut(&number) {
            Some(Operation::Timer { started_event_id, .. }) => *started_event_id = Some(event_id),
            Some(Operation::Activity { scheduled_event_id, .. }) => {
                *scheduled_event_id = Some(event_id);
                self.by_scheduled_event.insert(event_id, number);
            }
            None => {}
        }
    }

    /// The journal tells that a timer fired. None where no such timer runs.
    pub fn timer_fired(&mut self, timer_id: &str, started_event_id: i64) -> Option<u32> {
        let number: u32 = timer_id.parse().ok()?;
        match self.open.get(&number) {
            Some(Operation::Timer { started_event_id: Some(recorded), .. }) if *recorded == started_event_id => {
                self.open.remove(&number);
                Some(number)
            }
            _ => None,
        }
    }

    /// Whether the activity that this event scheduled has not ended yet.
    pub fn is_open_activity(&self, scheduled_event_id: i64) -> bool {
        self.by_scheduled_event.contains_key(&scheduled_event_id)
    }

    /// The journal tells that an activity ended. None where no such activity runs.
    pub fn activity_ended(&mut self, scheduled_event_id: i64) -> Option<EndedActivity> {
        let operation = self.by_scheduled_event.remove(&scheduled_event_id)?;
        match self.open.remove(&operation)? {
            Operation::Activity { activity, state, .. } => {
                Some(EndedActivity { operation, name: activity, for_guest: state != ActivityState::ResolvedLocally })
            }
            Operation::Timer { .. } => None,
        }
    }

    /// An estimate of the memory that the table takes, in bytes.
    pub fn private_bytes(&self) -> usize {
        // An entry with its strings and the map's slack; exact enough for a budget.
        self.open.len() * 256
    }

    fn issue(&mut self, command: Command, starts: Option<u32>, limits: &GuestLimits) -> Result<usize, Fault> {
        if self.commands.len() >= limits.commands_per_activation {
            return Err(Fault::limit(
                GuestLimit::Commands,
                format!("the workflow issued more than {} commands in one activation", limits.commands_per_activation),
            ));
        }
        self.command_bytes = self.command_bytes.saturating_add(command.encoded_len());
        if self.command_bytes > limits.command_bytes_per_activation {
            return Err(Fault::limit(
                GuestLimit::CommandBytes,
                format!(
                    "the workflow's commands of one activation take more than {} bytes",
                    limits.command_bytes_per_activation
                ),
            ));
        }
        self.commands.push(Some(Issued { command, starts }));
        Ok(self.commands.len() - 1)
    }

    fn withdraw(&mut self, command: usize) {
        if let Some(slot) = self.commands.get_mut(command) {
            *slot = None;
        }
    }

    fn resolve_locally(&mut self, number: u32) {
        let Some(Operation::Activity { activity, scheduled_event_id, .. }) = self.open.get(&number) else { return };
        let info = wit::ActivityFailure {
            scheduled_event_id: scheduled_event_id.and_then(|id| u64::try_from(id).ok()).unwrap_or(0),
            started_event_id: 0,
            identity: String::new(),
            activity_type: activity.activity_type.clone(),
            activity_id: activity.activity_id.clone(),
            retry_state: wit::RetryState::CancelRequested,
        };
        self.resolved_locally.push(Event::ActivityResolved((number, Err(canceled_activity(info, None)))));
    }

    /// One that has been resolved is left alone; one that never was is a mistake of the guest.
    fn check_was_started(&self, number: u32) -> Result<(), Fault> {
        match number {
            1.. if number <= self.started => Ok(()),
            _ => Err(Fault::bad_call(format!("the workflow cancels operation {number}, which it never started"))),
        }
    }
}

/// A command of this type with these attributes.
pub fn command(kind: CommandType, attributes: Attributes, user_metadata: Option<UserMetadata>) -> Command {
    Command { command_type: kind.into(), user_metadata, attributes: Some(attributes), ..Default::default() }
}
