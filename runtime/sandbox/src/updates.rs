//! Updates: what the guest is asked, and what it answers.
//!
//! Each is delivered by a call of its own, and is accepted or rejected before that call returns. One that is rejected
//! leaves no trace in the journal, so it must leave none in the commands either; what it left in the guest's memory is
//! thrown away with the instance.

use std::collections::HashMap;

use mainspring_api::{
    Any,
    command::{Command, ProtocolMessageCommandAttributes, command::Attributes},
    enums::CommandType,
    failure::Failure,
    protocol::Message,
    update::{Acceptance, Meta, Outcome, Rejection, Request, Response, outcome::Value},
};
use prost::Name;

use crate::{
    bindings::activation::Update,
    convert::payload::{header_to_guest, payloads_to_guest, payloads_to_proto},
    host::Fault,
    operations::command,
};

/// The updates of one run.
#[derive(Debug, Default)]
pub struct Updates {
    /// Accepted so far: the next one that is accepted gets the number after.
    accepted: u32,
    /// The one that is being delivered.
    current: Option<Current>,
    /// Accepted and not completed, by number.
    open: HashMap<u32, Meta>,
}

#[derive(Debug)]
struct Current {
    request: Request,
    /// The event that the request came behind.
    sequencing_event_id: i64,
    decision: Option<Decision>,
}

/// What the guest made of an update.
#[derive(Debug, PartialEq)]
pub enum Decision {
    Accepted,
    Rejected(Message),
}

impl Updates {
    /// Begins to deliver; the result is what the guest gets.
    pub fn begin(&mut self, request: &Request, sequencing_event_id: i64, run_validator: bool) -> Update {
        let (meta, input) = (request.meta.clone().unwrap_or_default(), request.input.clone().unwrap_or_default());
        self.current = Some(Current { request: request.clone(), sequencing_event_id, decision: None });
        Update {
            number: self.accepted + 1,
            id: meta.update_id,
            name: input.name,
            input: payloads_to_guest(input.args.as_ref()),
            identity: meta.identity,
            header: header_to_guest(input.header.as_ref()),
            run_validator,
        }
    }

    /// Whether one is being delivered that the guest has not decided on.
    pub fn is_undecided(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.decision.is_none())
    }

    /// The call that delivered it has returned. None where the guest has not decided.
    pub fn end(&mut self) -> Option<Decision> {
        self.current.take()?.decision
    }

    pub fn accept(&mut self, number: u32) -> Result<(Command, Message), Fault> {
        let expected = self.accepted + 1;
        let current = undecided(&mut self.current, number, expected, "accepts")?;
        current.decision = Some(Decision::Accepted);
        let meta = current.request.meta.clone().unwrap_or_default();
        let acceptance = Acceptance {
            accepted_request_message_id: format!("{}/request", meta.update_id),
            accepted_request_sequencing_event_id: current.sequencing_event_id,
            accepted_request: Some(current.request.clone()),
        };
        let message = message(&meta.update_id, "accept", &acceptance);
        self.accepted = expected;
        self.open.insert(number, meta);
        Ok((pointing_at(&message), message))
    }

    pub fn reject(&mut self, number: u32, failure: Failure) -> Result<(), Fault> {
        let current = undecided(&mut self.current, number, self.accepted + 1, "rejects")?;
        let update_id = current.request.meta.clone().unwrap_or_default().update_id;
        let rejection = Rejection {
            rejected_request_message_id: format!("{update_id}/request"),
            rejected_request_sequencing_event_id: current.sequencing_event_id,
            rejected_request: Some(current.request.clone()),
            failure: Some(failure),
        };
        current.decision = Some(Decision::Rejected(message(&update_id, "reject", &rejection)));
        Ok(())
    }

    pub fn complete(
        &mut self,
        number: u32,
        outcome: Result<Vec<crate::bindings::types::Payload>, Failure>,
    ) -> Result<(Command, Message), Fault> {
        let Some(meta) = self.open.remove(&number) else {
            return Err(Fault::bad_call(format!(
                "the workflow completes update {number}, which is not accepted, or completed already"
            )));
        };
        let value = match outcome {
            Ok(result) => Value::Success(payloads_to_proto(result).unwrap_or_default()),
            Err(failure) => Value::Failure(failure),
        };
        let response = Response { meta: Some(meta.clone()), outcome: Some(Outcome { value: Some(value) }) };
        let message = message(&meta.update_id, "complete", &response);
        Ok((pointing_at(&message), message))
    }
}

fn undecided<'a>(
    current: &'a mut Option<Current>,
    number: u32,
    expected: u32,
    does: &str,
) -> Result<&'a mut Current, Fault> {
    match current {
        Some(current) if number == expected && current.decision.is_none() => Ok(current),
        _ => Err(Fault::bad_call(format!(
            "the workflow {does} update {number}, which it was not asked about just now, or has decided on"
        ))),
    }
}

fn message<T: Name>(update_id: &str, what: &str, body: &T) -> Message {
    Message {
        id: format!("{update_id}/{what}"),
        protocol_instance_id: update_id.to_owned(),
        body: Some(Any { type_url: T::type_url(), value: body.encode_to_vec() }),
        sequencing_id: None,
    }
}

fn pointing_at(message: &Message) -> Command {
    let attributes = ProtocolMessageCommandAttributes { message_id: message.id.clone() };
    command(CommandType::ProtocolMessage, Attributes::ProtocolMessageCommandAttributes(attributes), None)
}
