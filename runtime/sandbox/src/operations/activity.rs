//! Activities.
//!
//! | cancellation type | cancelled later than started | journal |
//! | --- | --- | --- |
//! | try-cancel | `RequestCancelActivityTask`, resolved at once | its end is ignored |
//! | wait-cancellation-completed | `RequestCancelActivityTask` | its end resolves it |
//! | abandon | resolved at once | its end is ignored |

use mainspring_api::{
    command::{Command, RequestCancelActivityTaskCommandAttributes, command::Attributes},
    enums::CommandType,
};

use super::{Issued, Operation, Operations, command, wrong_kind};
use crate::{
    GuestLimits,
    bindings::{activation::Event, activities::CancellationType, types as wit},
    convert::failure::canceled_activity,
    host::Fault,
};

#[derive(Debug)]
pub(super) struct Activity {
    command: usize,
    pub(super) scheduled_event_id: Option<i64>,
    name: ActivityName,
    cancellation: CancellationType,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
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

impl Operations {
    pub fn schedule_activity(
        &mut self,
        command: Command,
        name: ActivityName,
        cancellation: CancellationType,
        limits: &GuestLimits,
    ) -> Result<u32, Fault> {
        self.start(command, limits, |command| {
            Operation::Activity(Activity { command, scheduled_event_id: None, name, cancellation, state: State::Open })
        })
    }

    pub fn cancel_activity(&mut self, number: u32, limits: &GuestLimits) -> Result<(), Fault> {
        let (command, scheduled_event_id, cancellation) = match self.open.get(&number) {
            Some(Operation::Activity(activity)) if activity.state == State::Open => {
                (activity.command, activity.scheduled_event_id, activity.cancellation)
            }
            // Asking again changes nothing.
            Some(Operation::Activity(_)) => return Ok(()),
            Some(other) => return wrong_kind(number, other, "an activity"),
            None => return self.check_was_started(number),
        };
        if self.is_new(number) {
            self.resolve_activity_locally(number);
            self.withdraw(number, command);
            return Ok(());
        }
        if cancellation != CancellationType::Abandon {
            // An activity of an earlier activation was matched with its event before this activation began.
            let scheduled_event_id = scheduled_event_id
                .ok_or_else(|| Fault::host(format!("activity {number} has no event, though its activation is over")))?;
            let attributes = RequestCancelActivityTaskCommandAttributes { scheduled_event_id };
            let command = self::command(
                CommandType::RequestCancelActivityTask,
                Attributes::RequestCancelActivityTaskCommandAttributes(attributes),
                None,
            );
            self.issue(Issued { command, starts: None, message: None }, limits)?;
        }
        if cancellation != CancellationType::WaitCancellationCompleted {
            self.resolve_activity_locally(number);
        }
        if let Some(Operation::Activity(activity)) = self.open.get_mut(&number) {
            activity.state = match cancellation {
                CancellationType::WaitCancellationCompleted => State::CancelRequested,
                CancellationType::TryCancel | CancellationType::Abandon => State::ResolvedLocally,
            };
        }
        Ok(())
    }

    /// Whether the activity that this event scheduled has not ended yet.
    pub fn is_open_activity(&self, scheduled_event_id: i64) -> bool {
        let number = self.by_event.get(&scheduled_event_id);
        number.is_some_and(|number| matches!(self.open.get(number), Some(Operation::Activity(_))))
    }

    /// The journal tells that an activity ended. None where no such activity runs.
    pub fn activity_ended(&mut self, scheduled_event_id: i64) -> Option<EndedActivity> {
        if !self.is_open_activity(scheduled_event_id) {
            return None;
        }
        match self.remove_by_event(scheduled_event_id)? {
            (operation, Operation::Activity(activity)) => Some(EndedActivity {
                operation,
                name: activity.name,
                for_guest: activity.state != State::ResolvedLocally,
            }),
            _ => None,
        }
    }

    fn resolve_activity_locally(&mut self, number: u32) {
        let Some(Operation::Activity(activity)) = self.open.get(&number) else { return };
        let info = wit::ActivityFailure {
            scheduled_event_id: activity.scheduled_event_id.and_then(|id| u64::try_from(id).ok()).unwrap_or(0),
            started_event_id: 0,
            identity: String::new(),
            activity_type: activity.name.activity_type.clone(),
            activity_id: activity.name.activity_id.clone(),
            retry_state: wit::RetryState::CancelRequested,
        };
        self.resolved_locally.push(Event::ActivityResolved((number, Err(canceled_activity(info, None)))));
    }
}
