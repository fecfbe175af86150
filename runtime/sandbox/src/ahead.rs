//! What an activation must know of the events behind it.
//!
//! In replay, two things that came from outside are found only in the marks of the commands that answered them: the
//! updates that were accepted, and the changes ([`crate::patches`]) that were taken.

use std::collections::{BTreeSet, HashMap};

use mainspring_api::{
    enums::EventType,
    history::{HistoryEvent, history_event::Attributes},
    update::Request,
};
use mainspring_core::command::is_command_event;

use crate::patches;

/// What comes to the guest with an activation, beside the events before it.
pub struct Ahead {
    /// The journal does not know yet what will come out.
    pub live: bool,
    pub updates: Vec<Request>,
    pub patches: BTreeSet<String>,
}

impl Ahead {
    pub fn live(updates: &[Request]) -> Ahead {
        Ahead { live: true, updates: updates.to_vec(), patches: BTreeSet::new() }
    }

    /// From the events after the WorkflowTaskCompleted that ends the activation.
    pub fn recorded(events: &[HistoryEvent], admitted: &HashMap<String, Request>) -> Ahead {
        let is_effect = |event: &HistoryEvent| event.event_type() == EventType::ActivityTaskCanceled;
        let marks = || events.iter().take_while(|event| is_mark(event) || is_effect(event));
        Ahead {
            live: false,
            updates: marks().filter_map(|event| accepted(event, admitted)).collect(),
            patches: marks().filter_map(patches::of_event).map(|(id, _)| id).collect(),
        }
    }
}

fn accepted(event: &HistoryEvent, admitted: &HashMap<String, Request>) -> Option<Request> {
    match &event.attributes {
        Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(accepted)) => {
            accepted.accepted_request.clone().or_else(|| admitted.get(&accepted.protocol_instance_id).cloned())
        }
        _ => None,
    }
}

/// Whether an event is the mark of a command: something that the workflow did.
pub fn is_mark(event: &HistoryEvent) -> bool {
    let answers = matches!(
        event.event_type(),
        EventType::WorkflowExecutionUpdateAccepted | EventType::WorkflowExecutionUpdateCompleted
    );
    answers || is_command_event(event)
}
