//! What a workflow under test asks for.

use std::time::Duration;

use mainspring_api::{
    command::{
        CancelTimerCommandAttributes, CancelWorkflowExecutionCommandAttributes, Command,
        CompleteWorkflowExecutionCommandAttributes, ContinueAsNewWorkflowExecutionCommandAttributes,
        FailWorkflowExecutionCommandAttributes, ModifyWorkflowPropertiesCommandAttributes,
        ProtocolMessageCommandAttributes, RecordMarkerCommandAttributes, RequestCancelActivityTaskCommandAttributes,
        RequestCancelExternalWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
        SignalExternalWorkflowExecutionCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
        StartTimerCommandAttributes, UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes,
    },
    common::{ActivityType, Memo, RetryPolicy, SearchAttributes, WorkflowExecution, WorkflowType},
    enums::CommandType,
    protocol::Message,
    update::{Acceptance, Meta, Outcome, Rejection, Response, outcome::Value},
};
use mainspring_core::{time, update::Update};
use prost::Name;
use prost_types::Any;

use crate::run::{Run, boom, seconds, text};

/// Something that a workflow asks for.
#[derive(Clone, Debug)]
pub enum Order {
    Activity {
        attempts: u8,
        heartbeat: bool,
    },
    CancelActivity(usize),
    Timer(u16),
    CancelTimer(usize),
    Marker,
    Memo(u8),
    SearchAttributes(u8),
    /// With this parent close policy.
    Child(i32),
    Signal,
    CancelExternal,
    /// Accepts one of the updates that the task has brought, or (none left) does nothing.
    Accept,
    Reject,
    /// Completes an update that has been accepted.
    Answer,
    Continue,
    End(u8),
}

/// What the orders of one turn come to.
#[derive(Default)]
pub struct Asked {
    pub commands: Vec<Command>,
    pub messages: Vec<Message>,
    accepted: Vec<String>,
    answered: Vec<String>,
}

impl Order {
    pub fn ask(&self, run: &mut Run, asked: &mut Asked) {
        run.next_id += 1;
        let id = run.next_id.to_string();
        match self {
            Order::Activity { attempts, heartbeat } => asked.activity(id, *attempts, *heartbeat),
            Order::CancelActivity(which) => {
                let Some((scheduled_event_id, _)) = run.pick(*which) else { return };
                let attributes = RequestCancelActivityTaskCommandAttributes { scheduled_event_id };
                let attributes = Attributes::RequestCancelActivityTaskCommandAttributes(attributes);
                asked.command(CommandType::RequestCancelActivityTask, attributes);
            }
            Order::Timer(millis) => {
                let start_to_fire_timeout = Some(time::to_proto(Duration::from_millis(u64::from(*millis))));
                let attributes = StartTimerCommandAttributes { timer_id: id, start_to_fire_timeout };
                asked.command(CommandType::StartTimer, Attributes::StartTimerCommandAttributes(attributes));
            }
            Order::CancelTimer(which) => {
                let open: Vec<&String> = run.state.timers.keys().collect();
                let Some(timer_id) = which.checked_rem(open.len()).and_then(|at| open.get(at)) else { return };
                let attributes = CancelTimerCommandAttributes { timer_id: (*timer_id).clone() };
                asked.command(CommandType::CancelTimer, Attributes::CancelTimerCommandAttributes(attributes));
            }
            Order::Marker => {
                let attributes = RecordMarkerCommandAttributes { marker_name: "m".into(), ..Default::default() };
                asked.command(CommandType::RecordMarker, Attributes::RecordMarkerCommandAttributes(attributes));
            }
            Order::Memo(field) => {
                let value = if *field < 8 { text(&id) } else { Default::default() };
                let fields = [(format!("field {}", field % 4), value)].into_iter().collect();
                let attributes = ModifyWorkflowPropertiesCommandAttributes { upserted_memo: Some(Memo { fields }) };
                let attributes = Attributes::ModifyWorkflowPropertiesCommandAttributes(attributes);
                asked.command(CommandType::ModifyWorkflowProperties, attributes);
            }
            Order::SearchAttributes(field) => {
                let indexed_fields = [(format!("field {}", field % 4), text(&id))].into_iter().collect();
                let search_attributes = Some(SearchAttributes { indexed_fields });
                let attributes = UpsertWorkflowSearchAttributesCommandAttributes { search_attributes };
                let attributes = Attributes::UpsertWorkflowSearchAttributesCommandAttributes(attributes);
                asked.command(CommandType::UpsertWorkflowSearchAttributes, attributes);
            }
            Order::Child(policy) => {
                let attributes = StartChildWorkflowExecutionCommandAttributes {
                    workflow_id: format!("child {id}"),
                    workflow_type: Some(WorkflowType { name: "C".into() }),
                    parent_close_policy: *policy,
                    ..Default::default()
                };
                let attributes = Attributes::StartChildWorkflowExecutionCommandAttributes(attributes);
                asked.command(CommandType::StartChildWorkflowExecution, attributes);
            }
            Order::Signal => {
                let attributes = SignalExternalWorkflowExecutionCommandAttributes {
                    execution: Some(WorkflowExecution { workflow_id: "other".into(), run_id: String::new() }),
                    signal_name: "s".into(),
                    ..Default::default()
                };
                let attributes = Attributes::SignalExternalWorkflowExecutionCommandAttributes(attributes);
                asked.command(CommandType::SignalExternalWorkflowExecution, attributes);
            }
            Order::CancelExternal => {
                let attributes = RequestCancelExternalWorkflowExecutionCommandAttributes {
                    workflow_id: "other".into(),
                    reason: "enough".into(),
                    ..Default::default()
                };
                let attributes = Attributes::RequestCancelExternalWorkflowExecutionCommandAttributes(attributes);
                asked.command(CommandType::RequestCancelExternalWorkflowExecution, attributes);
            }
            Order::Accept => asked.accept(run),
            Order::Reject => {
                let Some(update_id) = asked.unanswered(run) else { return };
                let body = Rejection { failure: Some(boom()), ..Rejection::default() };
                asked.message(&update_id, "reject", &body);
                asked.answered.push(update_id);
            }
            Order::Answer => asked.answer(run),
            Order::Continue => {
                let attributes = ContinueAsNewWorkflowExecutionCommandAttributes::default();
                let attributes = Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(attributes);
                asked.command(CommandType::ContinueAsNewWorkflowExecution, attributes);
            }
            Order::End(0) => {
                let attributes = CompleteWorkflowExecutionCommandAttributes::default();
                let attributes = Attributes::CompleteWorkflowExecutionCommandAttributes(attributes);
                asked.command(CommandType::CompleteWorkflowExecution, attributes);
            }
            Order::End(1) => {
                let attributes = CancelWorkflowExecutionCommandAttributes::default();
                let attributes = Attributes::CancelWorkflowExecutionCommandAttributes(attributes);
                asked.command(CommandType::CancelWorkflowExecution, attributes);
            }
            Order::End(2) => {
                let attributes = FailWorkflowExecutionCommandAttributes { failure: Some(boom()) };
                let attributes = Attributes::FailWorkflowExecutionCommandAttributes(attributes);
                asked.command(CommandType::FailWorkflowExecution, attributes);
            }
            Order::End(_) => {}
        }
    }
}

impl Asked {
    fn command(&mut self, command_type: CommandType, attributes: Attributes) {
        let command_type = command_type.into();
        self.commands.push(Command { command_type, attributes: Some(attributes), ..Command::default() });
    }

    fn activity(&mut self, activity_id: String, attempts: u8, heartbeat: bool) {
        let policy = RetryPolicy { maximum_attempts: i32::from(attempts), ..RetryPolicy::default() };
        let attributes = ScheduleActivityTaskCommandAttributes {
            activity_id,
            activity_type: Some(ActivityType { name: "A".into() }),
            start_to_close_timeout: Some(seconds(3)),
            heartbeat_timeout: heartbeat.then(|| seconds(1)),
            retry_policy: Some(policy),
            ..Default::default()
        };
        let attributes = Attributes::ScheduleActivityTaskCommandAttributes(attributes);
        self.command(CommandType::ScheduleActivityTask, attributes);
    }

    /// An update that the task has brought and that nothing was said of yet.
    fn unanswered(&self, run: &Run) -> Option<String> {
        let ids = run.brought.iter().map(|message| message.protocol_instance_id.clone());
        let by_event = run.state.updates.iter().filter(|(_, update)| matches!(update, Update::Admitted { .. }));
        ids.chain(by_event.map(|(id, _)| id.clone())).find(|id| !self.answered.contains(id))
    }

    fn accept(&mut self, run: &Run) {
        let Some(update_id) = self.unanswered(run) else { return };
        let sequence = run.state.workflow_task.as_ref().map_or(0, |task| task.started_event_id - 1);
        let body = Acceptance {
            accepted_request_message_id: format!("{update_id}/request"),
            accepted_request_sequencing_event_id: sequence,
            accepted_request: None,
        };
        self.message_and_command(&update_id, "accept", &body);
        self.answered.push(update_id.clone());
        self.accepted.push(update_id);
    }

    fn answer(&mut self, run: &Run) {
        let before = run.state.updates.iter().filter(|(_, update)| matches!(update, Update::Accepted { .. }));
        let mut open = before.map(|(id, _)| id.clone()).chain(self.accepted.iter().cloned());
        let done: Vec<&str> = self.messages.iter().map(|message| message.id.as_str()).collect();
        let Some(update_id) = open.find(|id| !done.contains(&format!("{id}/complete").as_str())) else { return };
        let body = Response {
            meta: Some(Meta { update_id: update_id.clone(), identity: "client".into() }),
            outcome: Some(Outcome { value: Some(Value::Success(Default::default())) }),
        };
        self.message_and_command(&update_id, "complete", &body);
    }

    fn message_and_command<T: prost::Message + Name>(&mut self, update_id: &str, what: &str, body: &T) {
        self.message(update_id, what, body);
        let attributes = ProtocolMessageCommandAttributes { message_id: format!("{update_id}/{what}") };
        self.command(CommandType::ProtocolMessage, Attributes::ProtocolMessageCommandAttributes(attributes));
    }

    fn message<T: prost::Message + Name>(&mut self, update_id: &str, what: &str, body: &T) {
        let type_url = format!("type.googleapis.com/{}", T::full_name());
        self.messages.push(Message {
            id: format!("{update_id}/{what}"),
            protocol_instance_id: update_id.to_owned(),
            sequencing_id: None,
            body: Some(Any { type_url, value: body.encode_to_vec() }),
        });
    }
}
