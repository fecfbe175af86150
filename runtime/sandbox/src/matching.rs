//! Comparing what an activation issued with what the journal says that it issued.

use std::collections::VecDeque;

use mainspring_api::{
    enums::EventType,
    history::{HistoryEvent, WorkflowExecutionStartedEventAttributes, history_event::Attributes},
};
use mainspring_core::command;

use crate::{TaskFailure, operations::Issued};

/// The commands of one activation, as the events that follow its WorkflowTaskCompleted are compared with them: one to
/// one, in order. Between the events of commands stands nothing but the effect that a request to cancel may have at once:
/// a server writes them all in one go, and what happened meanwhile comes after them.
#[derive(Debug, Default)]
pub struct Matching {
    commands: VecDeque<Issued>,
    completed_event_id: i64,
    /// The event that stands where the next command's should.
    other: Option<(i64, String)>,
}

impl Matching {
    /// Begins to compare these commands with the events after this WorkflowTaskCompleted.
    pub fn new(commands: Vec<Issued>, completed_event_id: i64) -> Matching {
        Matching { commands: commands.into(), completed_event_id, other: None }
    }

    /// The event of a command: it must be the next command's. Returns the operation that it starts.
    pub fn command_event(
        &mut self,
        event: &HistoryEvent,
        started: &WorkflowExecutionStartedEventAttributes,
    ) -> Result<Option<u32>, TaskFailure> {
        let id = event.event_id;
        let Some(issued) = self.commands.pop_front() else {
            return Err(TaskFailure::nondeterminism(id, command::describe_event(event), "asked for nothing more"));
        };
        if let Some((id, other)) = self.other.take() {
            let asked = format!("asked for {}", command::describe(&issued.command));
            return Err(TaskFailure::nondeterminism(id, other, asked));
        }
        if let Err(difference) = command::check(&issued.command, event, started) {
            let asked = command::describe(&issued.command);
            return Err(TaskFailure::nondeterminism(id, command::describe_event(event), format!("asked for {asked}"))
                .note(&difference));
        }
        if let Some(named) = completed_event_id(event).filter(|named| *named != self.completed_event_id) {
            let expected = self.completed_event_id;
            return Err(TaskFailure::history(
                id,
                format!("it belongs to WorkflowTaskCompleted {named}, but stands behind {expected}"),
            ));
        }
        Ok(issued.starts)
    }

    /// An event that no command causes.
    pub fn other_event(&mut self, event: &HistoryEvent) {
        let effect = event.event_type() == EventType::ActivityTaskCanceled;
        if self.other.is_none() && !self.commands.is_empty() && !effect {
            self.other = Some((event.event_id, command::describe_event(event)));
        }
    }

    /// No event of a command can follow any more. `next_event_id` is what the next event has, or would have.
    pub fn finish(&mut self, next_event_id: i64) -> Result<(), TaskFailure> {
        let Some(issued) = self.commands.pop_front() else { return Ok(()) };
        let asked = format!("also asked for {}", command::describe(&issued.command));
        Err(match self.other.take() {
            Some((id, other)) => TaskFailure::nondeterminism(id, other, asked),
            None => TaskFailure::nondeterminism(next_event_id, "nothing more", asked),
        })
    }
}

/// The WorkflowTaskCompleted that the event of a command names; none for kinds that no module here can cause.
fn completed_event_id(event: &HistoryEvent) -> Option<i64> {
    Some(match event.attributes.as_ref()? {
        Attributes::ActivityTaskScheduledEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::ActivityTaskCancelRequestedEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::TimerStartedEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::TimerCanceledEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::WorkflowExecutionCompletedEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::WorkflowExecutionFailedEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::WorkflowExecutionCanceledEventAttributes(event) => event.workflow_task_completed_event_id,
        _ => return None,
    })
}
