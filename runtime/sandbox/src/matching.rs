//! Comparing what an activation issued with what the journal says that it issued.

use std::collections::VecDeque;

use mainspring_api::{
    command::{Command, command::Attributes as Asked},
    enums::EventType,
    history::{HistoryEvent, WorkflowExecutionStartedEventAttributes, history_event::Attributes},
};
use mainspring_core::{command, protocol};

use crate::{TaskFailure, operations::Issued, patches};

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
        if self.is_leftover_of_a_patch(event) {
            return Ok(None);
        }
        let Some(issued) = self.commands.pop_front() else {
            return Err(TaskFailure::nondeterminism(id, command::describe_event(event), "asked for nothing more"));
        };
        if let Some((id, other)) = self.other.take() {
            let asked = format!("asked for {}", describe(&issued));
            return Err(TaskFailure::nondeterminism(id, other, asked));
        }
        if let Err(difference) = check(&issued, event, started) {
            let asked = describe(&issued);
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

    /// What a change has left behind that is asked for no more: its marker, once it was deprecated, and from then on what
    /// lists show of it.
    fn is_leftover_of_a_patch(&self, event: &HistoryEvent) -> bool {
        let next = self.commands.front().map(|issued| &issued.command);
        match &event.attributes {
            Some(Attributes::UpsertWorkflowSearchAttributesEventAttributes(upserted)) => {
                let asked = next.and_then(|command| match &command.attributes {
                    Some(Asked::UpsertWorkflowSearchAttributesCommandAttributes(asked)) => {
                        asked.search_attributes.as_ref()
                    }
                    _ => None,
                });
                patches::lists_changes(upserted.search_attributes.as_ref()) && !patches::lists_changes(asked)
            }
            _ => match patches::of_event(event) {
                Some((id, true)) => next.and_then(patch_of).is_none_or(|(next, _)| next != id),
                _ => false,
            },
        }
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
        let asked = format!("also asked for {}", describe(&issued));
        Err(match self.other.take() {
            Some((id, other)) => TaskFailure::nondeterminism(id, other, asked),
            None => TaskFailure::nondeterminism(next_event_id, "nothing more", asked),
        })
    }
}

fn check(
    issued: &Issued,
    event: &HistoryEvent,
    started: &WorkflowExecutionStartedEventAttributes,
) -> Result<(), String> {
    // A change whose old path is gone is asked for in other words than when it was new.
    if let (Some((asked, _)), Some((has, _))) = (patch_of(&issued.command), patches::of_event(event))
        && asked == has
    {
        return Ok(());
    }
    match &issued.message {
        Some(message) => protocol::check(message, event),
        None => command::check(&issued.command, event, started),
    }
}

fn patch_of(command: &Command) -> Option<(String, bool)> {
    match &command.attributes {
        Some(Asked::RecordMarkerCommandAttributes(marker)) if marker.marker_name == patches::MARKER => {
            patches::read(&marker.details)
        }
        _ => None,
    }
}

fn describe(issued: &Issued) -> String {
    match &issued.message {
        Some(message) => match message.id.rsplit_once('/') {
            Some((_, "accept")) => format!("the acceptance of update {:?}", message.protocol_instance_id),
            _ => format!("the completion of update {:?}", message.protocol_instance_id),
        },
        None => command::describe(&issued.command),
    }
}

/// The WorkflowTaskCompleted that the event of a command names; none for kinds that do not name one.
fn completed_event_id(event: &HistoryEvent) -> Option<i64> {
    Some(match event.attributes.as_ref()? {
        Attributes::ActivityTaskScheduledEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::ActivityTaskCancelRequestedEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::TimerStartedEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::TimerCanceledEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::WorkflowExecutionCompletedEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::WorkflowExecutionFailedEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::WorkflowExecutionCanceledEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(event) => {
            event.workflow_task_completed_event_id
        }
        Attributes::SignalExternalWorkflowExecutionInitiatedEventAttributes(event) => {
            event.workflow_task_completed_event_id
        }
        Attributes::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(event) => {
            event.workflow_task_completed_event_id
        }
        Attributes::MarkerRecordedEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::UpsertWorkflowSearchAttributesEventAttributes(event) => event.workflow_task_completed_event_id,
        Attributes::WorkflowPropertiesModifiedEventAttributes(event) => event.workflow_task_completed_event_id,
        _ => return None,
    })
}
