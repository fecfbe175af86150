//! Histories, page by page; a client that waits for a run's end asks here.

use std::time::Duration;

use mainspring_api::{
    common::WorkflowExecution,
    enums::HistoryEventFilterType,
    history::{History, HistoryEvent},
    workflowservice::*,
};
use mainspring_core::limits::temporal;
use mainspring_engine::{HistoryPage, HistoryQuery};
use prost::Message;
use tonic::Request;

use super::Frontend;
use crate::{error::Fault, limits, token::HistoryToken, validate};

pub(super) async fn get(
    frontend: &Frontend,
    request: Request<GetWorkflowExecutionHistoryRequest>,
) -> Result<GetWorkflowExecutionHistoryResponse, Fault> {
    let wait = validate::hold(request.metadata(), temporal::HISTORY_LONG_POLL);
    let request = request.into_inner();
    let namespace = frontend.namespace(&request.namespace)?.name;
    let close_event_only = request.history_event_filter_type() == HistoryEventFilterType::CloseEvent;
    let mut query = query(request.execution, &request.next_page_token, request.maximum_page_size, false)?;
    query.wait = request.wait_new_event.then_some(wait);
    query.close_event_only = close_event_only;
    // A wait that the stop of the server ends is answered like one that its time ended.
    let page = match frontend.held(frontend.engine.history(&namespace, query.clone())).await {
        Some(page) => page?,
        None => {
            query.wait = query.wait.and(Some(Duration::ZERO));
            frontend.engine.history(&namespace, query).await?
        }
    };
    let (events, next_page_token) = bounded(page, false);
    Ok(GetWorkflowExecutionHistoryResponse { history: Some(History { events }), next_page_token, ..Default::default() })
}

pub(super) async fn get_reverse(
    frontend: &Frontend,
    request: GetWorkflowExecutionHistoryReverseRequest,
) -> Result<GetWorkflowExecutionHistoryReverseResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let query = query(request.execution, &request.next_page_token, request.maximum_page_size, true)?;
    let page = frontend.engine.history(&namespace, query).await?;
    let (events, next_page_token) = bounded(page, true);
    Ok(GetWorkflowExecutionHistoryReverseResponse { history: Some(History { events }), next_page_token })
}

/// The page that a request is about. Later pages stay with the run of the first.
fn query(
    execution: Option<WorkflowExecution>,
    token: &[u8],
    page_size: i32,
    reverse: bool,
) -> Result<HistoryQuery, Fault> {
    let mut run = validate::run(execution)?;
    let mut from_event_id = if reverse { 0 } else { 1 };
    if let Some(token) = HistoryToken::open(token, reverse)? {
        if !run.run_id.is_empty() && run.run_id != token.run_id {
            return Err(Fault::invalid("RunId in the request does not match the NextPageToken."));
        }
        run.run_id = token.run_id;
        from_event_id = token.next_event_id;
    }
    Ok(HistoryQuery {
        run,
        from_event_id,
        page_size: validate::page_size(page_size, temporal::HISTORY_PAGE),
        reverse,
        wait: None,
        close_event_only: false,
    })
}

/// Cuts a page where clients would refuse it as too large, and makes the token of the next one.
fn bounded(mut page: HistoryPage, reverse: bool) -> (Vec<HistoryEvent>, Vec<u8>) {
    let mut bytes = 0;
    let cut = page.events.iter().position(|event| {
        bytes += event.encoded_len();
        bytes > limits::HISTORY_PAGE_BYTES
    });
    // The first event is sent in any case, or nobody would get past it.
    if let Some(cut) = cut.map(|cut| cut.max(1)).filter(|cut| *cut < page.events.len()) {
        page.next_event_id = Some(page.events[cut].event_id);
        page.events.truncate(cut);
    }
    let token =
        page.next_event_id.map(|next_event_id| HistoryToken { run_id: page.run_id, next_event_id, reverse }.seal());
    (page.events, token.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events 1 to 10 of about `bytes` each.
    fn page(bytes: usize, next_event_id: Option<i64>) -> HistoryPage {
        let event = |event_id| HistoryEvent {
            event_id,
            user_metadata: Some(mainspring_api::sdk::UserMetadata {
                summary: Some(mainspring_api::common::Payload { data: vec![0; bytes], ..Default::default() }),
                ..Default::default()
            }),
            ..Default::default()
        };
        HistoryPage { run_id: "run".into(), events: (1..=10).map(event).collect(), next_event_id, is_running: true }
    }

    #[test]
    fn a_page_of_small_events_is_left_whole() {
        let (events, token) = bounded(page(10, None), false);
        assert_eq!((events.len(), token), (10, Vec::new()));
        let (events, token) = bounded(page(10, Some(11)), false);
        assert_eq!(events.len(), 10);
        assert_eq!(HistoryToken::open(&token, false).unwrap().unwrap().next_event_id, 11);
    }

    #[test]
    fn a_page_of_large_events_is_cut_and_goes_on_where_it_was_cut() {
        let (events, token) = bounded(page(1024 * 1024, None), false);
        assert_eq!(events.iter().map(|event| event.event_id).collect::<Vec<_>>(), [1, 2]);
        let token = HistoryToken::open(&token, false).unwrap().unwrap();
        assert_eq!((token.run_id.as_str(), token.next_event_id), ("run", 3));
    }

    #[test]
    fn one_event_is_sent_however_large_it_is() {
        let (events, token) = bounded(page(2 * limits::HISTORY_PAGE_BYTES, None), true);
        assert_eq!(events.len(), 1);
        assert_eq!(HistoryToken::open(&token, true).unwrap().unwrap().next_event_id, 2);
    }
}
