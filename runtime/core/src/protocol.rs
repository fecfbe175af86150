//! What a worker says of updates when it completes a workflow task: `temporal.api.protocol.v1.Message`s, and the
//! commands that tell where among the other commands each of them stands.

use std::collections::BTreeMap;

use mainspring_api::{
    command::{Command, command::Attributes as Asked},
    enums::WorkflowTaskFailedCause as Cause,
    failure::Failure,
    history::{HistoryEvent, history_event::Attributes as Written},
    protocol::Message,
    update::{self as proto, Meta, Outcome, Request},
};
use prost::Message as _;
use prost_types::Any;

use crate::{
    RunState,
    command::{BadCommand, closes},
    update::Update,
};

/// What the completion of a workflow task does, in order.
pub(crate) enum Deed {
    Command(Command),
    Answer(Answer),
}

/// What a worker says of one update.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub update_id: String,
    pub said: Said,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// With the request as the worker got it: it stands in for one that this server has lost in a crash.
    Accepted {
        sequencing_event_id: i64,
        request: Option<Request>,
    },
    Rejected(Failure),
    Completed {
        meta: Meta,
        outcome: Outcome,
    },
}

impl Deed {
    /// Nothing of it is written.
    pub fn leaves_no_trace(&self) -> bool {
        matches!(self, Deed::Answer(Answer { said: Said::Rejected(_), .. }))
    }

    pub fn closes(&self) -> bool {
        matches!(self, Deed::Command(command) if closes(command))
    }
}

const PACKAGE: &str = "temporal.api.update.v1.";

/// A message of the update protocol, wrapped up.
pub(crate) fn any(name: &str, value: Vec<u8>) -> Any {
    Any { type_url: format!("type.googleapis.com/{PACKAGE}{name}"), value }
}

fn bad<T>(message: String) -> Result<T, BadCommand> {
    Err(BadCommand { cause: Cause::BadUpdateWorkflowExecutionMessage, message })
}

/// How far an update is, while the answers of one task are checked.
#[derive(Clone, Copy, PartialEq)]
enum Now {
    Admitted,
    Accepted,
    Completed,
}

impl RunState {
    /// Puts commands and messages into their order, and checks the messages.
    pub(crate) fn plan(&self, commands: Vec<Command>, messages: Vec<Message>) -> Result<Vec<Deed>, BadCommand> {
        let mut messages: Vec<Option<Message>> = messages.into_iter().map(Some).collect();
        let mut stages = BTreeMap::new();
        let mut deeds = Vec::with_capacity(commands.len());
        let mut closing = None;
        for command in commands {
            if let Some(Asked::ProtocolMessageCommandAttributes(asked)) = &command.attributes {
                if asked.message_id.is_empty() {
                    return bad("MessageID is not set on ProtocolMessageCommand.".into());
                }
                let named = |message: &Option<Message>| message.as_ref().is_some_and(|it| it.id == asked.message_id);
                let place = messages.iter_mut().find(|message| named(message));
                let Some(message) = place.and_then(Option::take) else {
                    return bad(format!("ProtocolMessageCommand referenced absent message ID {}", asked.message_id));
                };
                deeds.push(Deed::Answer(self.answer(message, &mut stages)?));
            } else if closes(&command) {
                closing = Some(command);
            } else {
                deeds.push(Deed::Command(command));
            }
        }
        for message in messages.into_iter().flatten() {
            let answer = self.answer(message, &mut stages)?;
            // A run that has closed takes no more events, but a rejection makes none.
            if closing.is_none() || matches!(answer.said, Said::Rejected(_)) {
                deeds.push(Deed::Answer(answer));
            }
        }
        deeds.extend(closing.map(Deed::Command));
        Ok(deeds)
    }

    fn answer(&self, message: Message, stages: &mut BTreeMap<String, Now>) -> Result<Answer, BadCommand> {
        let update_id = message.protocol_instance_id;
        let Some(body) = message.body else {
            return bad(format!("Update {update_id} received message with nil body"));
        };
        let said = decode(&update_id, &body)?;
        let (kind, resurrects) = match &said {
            Said::Accepted { request, .. } => ("Acceptance", request.is_some()),
            Said::Rejected(_) => ("Rejection", decoded_request(&body)),
            Said::Completed { .. } => ("Response", false),
        };
        let known = stages.get(&update_id).copied().or_else(|| self.stage_now(&update_id));
        let stage = match known {
            Some(stage) => stage,
            None if resurrects && self.has_room_for_update() => Now::Admitted,
            None => {
                return bad(format!(
                    "update {update_id} wasn't found on the server. This is most likely a transient error which will be resolved automatically by retries"
                ));
            }
        };
        let next = match (&said, stage) {
            (Said::Accepted { .. }, Now::Admitted) => Now::Accepted,
            (Said::Rejected(_), Now::Admitted) | (Said::Completed { .. }, Now::Accepted) => Now::Completed,
            _ => {
                let stage = match stage {
                    Now::Admitted => "Sent",
                    Now::Accepted => "Accepted",
                    Now::Completed => "Completed",
                };
                return bad(format!(
                    "invalid state transition attempted for Update {update_id}: received *update.{kind} message while in state {stage}"
                ));
            }
        };
        stages.insert(update_id.clone(), next);
        Ok(Answer { update_id, said })
    }

    fn stage_now(&self, update_id: &str) -> Option<Now> {
        match self.updates.get(update_id) {
            Some(Update::Admitted { .. }) => Some(Now::Admitted),
            Some(Update::Accepted { .. }) => Some(Now::Accepted),
            Some(Update::Completed { .. }) => Some(Now::Completed),
            None => self.registry.find(update_id).map(|_| Now::Admitted),
        }
    }
}

fn decode(update_id: &str, body: &Any) -> Result<Said, BadCommand> {
    let name = body.type_url.rsplit('/').next().unwrap_or_default();
    let malformed = |error: prost::DecodeError| BadCommand {
        cause: Cause::BadUpdateWorkflowExecutionMessage,
        message: format!("unable to unmarshal request: {error}"),
    };
    match name.strip_prefix(PACKAGE) {
        Some("Acceptance") => {
            let said = proto::Acceptance::decode(&*body.value).map_err(malformed)?;
            Ok(Said::Accepted {
                sequencing_event_id: said.accepted_request_sequencing_event_id,
                request: said.accepted_request,
            })
        }
        Some("Rejection") => {
            let said = proto::Rejection::decode(&*body.value).map_err(malformed)?;
            Ok(Said::Rejected(said.failure.unwrap_or_default()))
        }
        Some("Response") => {
            let said = proto::Response::decode(&*body.value).map_err(malformed)?;
            let Some(meta) = said.meta else {
                return bad("invalid *update.Response: meta is not set".into());
            };
            if meta.update_id != update_id {
                return match meta.update_id.is_empty() {
                    true => bad("invalid *update.Response: meta.update_id is not set".into()),
                    false => bad(format!("invalid *update.Response: meta.update_id != {update_id}")),
                };
            }
            match said.outcome {
                Some(outcome) => Ok(Said::Completed { meta, outcome }),
                None => bad("invalid *update.Response: outcome is not set".into()),
            }
        }
        _ => bad(format!("unsupported protocol type {name}")),
    }
}

fn decoded_request(body: &Any) -> bool {
    proto::Rejection::decode(&*body.value).is_ok_and(|rejection| rejection.rejected_request.is_some())
}

/// Whether a message of this id is the one that the event came from: SDKs name messages after the update and what they
/// say of it.
pub(crate) fn is_about(message_id: &str, event: &Written) -> bool {
    let (update_id, said) = match event {
        Written::WorkflowExecutionUpdateAcceptedEventAttributes(has) => (has.protocol_instance_id.as_str(), "accept"),
        Written::WorkflowExecutionUpdateCompletedEventAttributes(has) => {
            (has.meta.as_ref().map_or("", |meta| &meta.update_id), "complete")
        }
        _ => return false,
    };
    message_id.strip_suffix(said).and_then(|id| id.strip_suffix('/')) == Some(update_id)
}

/// Compares what a workflow says of an update in replay with the event that the journal has for it.
pub fn check(message: &Message, event: &HistoryEvent) -> Result<(), String> {
    let update_id = &message.protocol_instance_id;
    let said = match &message.body {
        Some(body) => decode(update_id, body).map_err(|error| error.to_string())?,
        None => return Err(format!("the message about update {update_id:?} is empty")),
    };
    let differ = |what: &str| {
        let has = crate::command::describe_event(event);
        Err(format!("the journal has {has}, the module {what} update {update_id:?}"))
    };
    match (said, &event.attributes) {
        (Said::Accepted { .. }, Some(Written::WorkflowExecutionUpdateAcceptedEventAttributes(has))) => {
            match has.protocol_instance_id == *update_id {
                true => Ok(()),
                false => differ("accepts"),
            }
        }
        (Said::Completed { outcome, .. }, Some(Written::WorkflowExecutionUpdateCompletedEventAttributes(has))) => {
            match has.meta.as_ref().is_some_and(|meta| meta.update_id == *update_id) {
                true if has.outcome.as_ref() == Some(&outcome) => Ok(()),
                true => differ("has another outcome of"),
                false => differ("completes"),
            }
        }
        (Said::Accepted { .. }, _) => differ("accepts"),
        (Said::Rejected(_), _) => differ("rejects"),
        (Said::Completed { .. }, _) => differ("completes"),
    }
}
