//! Asking a run to stop. It is the workflow that decides how.

use std::time::Duration;

use mainspring_api::{
    enums::WorkflowTaskFailedCause, failure::Failure, history::WorkflowExecutionCancelRequestedEventAttributes,
};

use crate::{Rejection, Step, external::Origin, limits::temporal as limits, validate};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CancelRequest {
    pub reason: String,
    pub identity: String,
    pub request_id: String,
    /// The workflow that asks, if one does.
    pub origin: Option<Origin>,
}

impl Step<'_> {
    /// Records the request, once in a run. Asking again is no error, nor is asking a run that has closed: what was to end
    /// has ended.
    pub fn request_cancel(&mut self, request: CancelRequest) -> Result<(), Rejection> {
        validate::optional_name("RequestId", &request.request_id)?;
        if !self.state.is_running() {
            return Ok(());
        }
        self.state.check_origin(request.origin.as_ref())?;
        if self.state.cancel_requested || self.state.has_buffered_cancel_request() {
            return Ok(());
        }
        self.make_room_in_buffer();
        let requested = WorkflowExecutionCancelRequestedEventAttributes {
            cause: request.reason,
            identity: request.identity,
            external_initiated_event_id: request.origin.as_ref().map_or(0, |origin| origin.initiated_event_id),
            external_workflow_execution: request.origin.map(|origin| origin.execution),
        };
        self.record_or_buffer(requested.into());
        self.schedule_workflow_task_now();
        Ok(())
    }

    /// A workflow task that keeps too many events waiting is failed, so that they become part of the history.
    pub(crate) fn make_room_in_buffer(&mut self) {
        if self.state.buffered.len() >= limits::BUFFERED_EVENTS {
            let cause = WorkflowTaskFailedCause::ForceCloseCommand;
            self.fail_started_workflow_task(cause, Failure::default(), "", Duration::ZERO);
        }
    }
}

impl crate::RunState {
    fn has_buffered_cancel_request(&self) -> bool {
        use mainspring_api::enums::EventType;
        self.buffered.iter().any(|event| event.event_type() == EventType::WorkflowExecutionCancelRequested)
    }
}
