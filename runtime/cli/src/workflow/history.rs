//! Reading histories: page by page, and waiting for what has not happened yet.

use std::time::Duration;

use mainspring_api::{
    common::WorkflowExecution,
    enums::HistoryEventFilterType,
    history::{HistoryEvent, history_event::Attributes},
    workflowservice::{GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryReverseRequest},
};
use tonic::{Code, Status};

use crate::{
    connect::{Client, POLL_TIME, refused, unary, within},
    failure::Outcome,
};

const CANNOT_READ: &str = "cannot read the history";
/// While a server restarts, a wait goes on: so many tries, so far apart.
const RECONNECTS: u32 = 60;
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// What of a history is wanted.
#[derive(Clone, Copy, PartialEq)]
pub enum Wanted {
    /// What there is now.
    Present,
    /// What there is and what comes, until the run closes.
    UntilClosed,
    /// The event that closes the run, once there is one.
    CloseEvent,
}

/// The pages of one run's history, from the first event on.
pub struct Pages<'a> {
    client: &'a mut Client,
    execution: WorkflowExecution,
    wanted: Wanted,
    token: Vec<u8>,
    finished: bool,
}

impl<'a> Pages<'a> {
    pub fn new(client: &'a mut Client, execution: WorkflowExecution, wanted: Wanted) -> Pages<'a> {
        Pages { client, execution, wanted, token: vec![], finished: false }
    }

    /// The next events, or none at the end. A page may be empty while there is nothing new.
    pub async fn next(&mut self) -> Outcome<Option<Vec<HistoryEvent>>> {
        if self.finished {
            return Ok(None);
        }
        let mut answer = self.ask().await;
        let mut tries = 0;
        while let Err(status) = &answer
            && self.wanted != Wanted::Present
            && is_passing(status)
            && tries < RECONNECTS
        {
            tries += 1;
            tracing::warn!(reason = status.message(), "the server does not answer; trying again");
            tokio::time::sleep(RECONNECT_PAUSE).await;
            answer = self.ask().await;
        }
        let (events, token) = answer.map_err(refused(CANNOT_READ))?;
        let closed = events.last().is_some_and(is_close);
        self.finished = match self.wanted {
            Wanted::CloseEvent => closed,
            // Asking again without a token would begin at the first event again.
            Wanted::Present | Wanted::UntilClosed => token.is_empty(),
        };
        self.token = token;
        Ok(Some(events))
    }

    async fn ask(&mut self) -> Result<(Vec<HistoryEvent>, Vec<u8>), Status> {
        let filter = match self.wanted {
            Wanted::CloseEvent => HistoryEventFilterType::CloseEvent,
            Wanted::Present | Wanted::UntilClosed => HistoryEventFilterType::AllEvent,
        };
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: self.client.namespace.clone(),
            execution: Some(self.execution.clone()),
            next_page_token: self.token.clone(),
            wait_new_event: self.wanted != Wanted::Present,
            history_event_filter_type: filter.into(),
            skip_archival: true,
            ..Default::default()
        };
        let request = within(POLL_TIME, request);
        let answer = self.client.workflows.get_workflow_execution_history(request).await?.into_inner();
        Ok((answer.history.unwrap_or_default().events, answer.next_page_token))
    }
}

/// Whether the same call may succeed once the server is back.
fn is_passing(status: &Status) -> bool {
    // tonic gives a lost connection as UNKNOWN with the transport's error as its source.
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
        || std::error::Error::source(status).is_some_and(|source| source.is::<tonic::transport::Error>())
}

/// The whole history as it is now.
pub async fn all(client: &mut Client, execution: WorkflowExecution) -> Outcome<Vec<HistoryEvent>> {
    let mut pages = Pages::new(client, execution, Wanted::Present);
    let mut events = Vec::new();
    while let Some(page) = pages.next().await? {
        events.extend(page);
    }
    Ok(events)
}

/// The whole history as it is now, the newest event first.
pub async fn all_reversed(client: &mut Client, execution: WorkflowExecution) -> Outcome<Vec<HistoryEvent>> {
    let (mut events, mut token) = (Vec::new(), vec![]);
    loop {
        let request = GetWorkflowExecutionHistoryReverseRequest {
            namespace: client.namespace.clone(),
            execution: Some(execution.clone()),
            next_page_token: token,
            ..Default::default()
        };
        let answer = client.workflows.get_workflow_execution_history_reverse(unary(request)).await;
        let answer = answer.map_err(refused(CANNOT_READ))?.into_inner();
        events.extend(answer.history.unwrap_or_default().events);
        token = answer.next_page_token;
        if token.is_empty() {
            return Ok(events);
        }
    }
}

/// The event that closed the run, or the one that will.
pub async fn close_event(client: &mut Client, execution: WorkflowExecution) -> Outcome<HistoryEvent> {
    let mut pages = Pages::new(client, execution, Wanted::CloseEvent);
    loop {
        let page = pages.next().await?.unwrap_or_default();
        if let Some(event) = page.into_iter().rfind(is_close) {
            return Ok(event);
        }
    }
}

/// Whether the event closes its run.
pub fn is_close(event: &HistoryEvent) -> bool {
    matches!(
        event.attributes,
        Some(
            Attributes::WorkflowExecutionCompletedEventAttributes(_)
                | Attributes::WorkflowExecutionFailedEventAttributes(_)
                | Attributes::WorkflowExecutionTimedOutEventAttributes(_)
                | Attributes::WorkflowExecutionCanceledEventAttributes(_)
                | Attributes::WorkflowExecutionTerminatedEventAttributes(_)
                | Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_)
        )
    )
}

/// The run that goes on where this event closed one: after continue-as-new, a retry or a cron schedule.
pub fn next_run(event: &HistoryEvent) -> Option<&str> {
    let run_id = match event.attributes.as_ref()? {
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(closed) => &closed.new_execution_run_id,
        Attributes::WorkflowExecutionCompletedEventAttributes(closed) => &closed.new_execution_run_id,
        Attributes::WorkflowExecutionFailedEventAttributes(closed) => &closed.new_execution_run_id,
        Attributes::WorkflowExecutionTimedOutEventAttributes(closed) => &closed.new_execution_run_id,
        _ => return None,
    };
    Some(run_id.as_str()).filter(|run_id| !run_id.is_empty())
}
