//! Signals: messages to a run, delivered in the order in which they were taken.

use mainspring_api::{
    common::{Header, Payloads},
    history::WorkflowExecutionSignaledEventAttributes,
};

use crate::{Rejection, Step, external::Origin, limits::temporal as limits, validate};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signal {
    pub name: String,
    pub input: Option<Payloads>,
    pub identity: String,
    pub header: Option<Header>,
    /// A signal with the id of an earlier one is taken for the same. May be empty.
    pub request_id: String,
    /// The workflow that has sent it, if one has.
    pub origin: Option<Origin>,
}

impl Signal {
    /// Refuses what no run can take.
    pub fn validate(&self) -> Result<(), Rejection> {
        validate::name("SignalName", &self.name)?;
        validate::optional_name("RequestId", &self.request_id)?;
        validate::payloads("Signal input", self.input.as_ref())
    }
}

impl Step<'_> {
    pub fn signal(&mut self, signal: Signal) -> Result<(), Rejection> {
        signal.validate()?;
        if !self.state.is_running() {
            return Err(Rejection::closed());
        }
        self.state.check_origin(signal.origin.as_ref())?;
        if !signal.request_id.is_empty() && self.state.knows_signal_request(&signal.request_id) {
            return Ok(());
        }
        if self.state.signal_count + self.state.buffered.len() >= limits::SIGNALS_PER_RUN {
            return Err(Rejection::invalid("exceeded workflow execution limit for signal events"));
        }
        self.make_room_in_buffer();
        self.record_signal(signal);
        self.schedule_workflow_task();
        Ok(())
    }

    pub(crate) fn record_signal(&mut self, signal: Signal) {
        let signaled = WorkflowExecutionSignaledEventAttributes {
            signal_name: signal.name,
            input: signal.input,
            identity: signal.identity,
            header: signal.header,
            external_workflow_execution: signal.origin.map(|origin| origin.execution),
            request_id: signal.request_id,
            ..Default::default()
        };
        self.record_or_buffer(signaled.into());
    }
}

impl crate::RunState {
    fn knows_signal_request(&self, request_id: &str) -> bool {
        use mainspring_api::history::history_event::Attributes;
        self.signal_request_ids.contains(request_id)
            || self.buffered.iter().any(|event| {
                matches!(&event.attributes, Some(Attributes::WorkflowExecutionSignaledEventAttributes(signaled))
                    if signaled.request_id == request_id)
            })
    }
}
