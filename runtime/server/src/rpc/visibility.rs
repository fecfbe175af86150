//! Lists and counts of runs, and the attributes by which they can be found.

use std::collections::HashMap;

use mainspring_api::{
    common::Payload,
    enums::WorkflowExecutionStatus,
    filter::{StartTimeFilter, WorkflowExecutionFilter, WorkflowTypeFilter},
    workflowservice::{
        count_workflow_executions_response::AggregationGroup, list_closed_workflow_executions_request as closed,
        list_open_workflow_executions_request as open, *,
    },
};
use mainspring_core::{Time, limits::temporal};
use mainspring_engine::{ATTRIBUTES, ListFilter, ListPage};

use super::Frontend;
use crate::{error::Fault, validate};

pub(super) async fn list(
    frontend: &Frontend,
    request: ListWorkflowExecutionsRequest,
) -> Result<ListWorkflowExecutionsResponse, Fault> {
    let ListWorkflowExecutionsRequest { namespace, page_size, next_page_token, query } = request;
    let page = page(frontend, &namespace, page_size, &next_page_token, &query).await?;
    Ok(ListWorkflowExecutionsResponse { executions: page.executions, next_page_token: page.next_page_token })
}

/// The same as [`list`], in the words of older clients.
pub(super) async fn scan(
    frontend: &Frontend,
    request: ScanWorkflowExecutionsRequest,
) -> Result<ScanWorkflowExecutionsResponse, Fault> {
    let ScanWorkflowExecutionsRequest { namespace, page_size, next_page_token, query } = request;
    let page = page(frontend, &namespace, page_size, &next_page_token, &query).await?;
    Ok(ScanWorkflowExecutionsResponse { executions: page.executions, next_page_token: page.next_page_token })
}

async fn page(
    frontend: &Frontend,
    namespace: &str,
    page_size: i32,
    token: &[u8],
    query: &str,
) -> Result<ListPage, Fault> {
    let namespace = frontend.namespace(namespace)?.name;
    let page_size = validate::page_size(page_size, temporal::LIST_PAGE);
    Ok(frontend.engine.list_workflows(&namespace, query, page_size, token).await?)
}

/// Open runs, in the words of older clients.
pub(super) async fn list_open(
    frontend: &Frontend,
    request: ListOpenWorkflowExecutionsRequest,
) -> Result<ListOpenWorkflowExecutionsResponse, Fault> {
    let mut filter = started(request.start_time_filter)?;
    match request.filters {
        Some(open::Filters::ExecutionFilter(execution)) => by_execution(&mut filter, execution),
        Some(open::Filters::TypeFilter(kind)) => by_type(&mut filter, kind),
        None => {}
    }
    let size = validate::page_size(request.maximum_page_size, temporal::LIST_PAGE);
    let namespace = frontend.namespace(&request.namespace)?.name;
    let page = frontend.engine.list_workflows_by(&namespace, &filter, size, &request.next_page_token).await?;
    Ok(ListOpenWorkflowExecutionsResponse { executions: page.executions, next_page_token: page.next_page_token })
}

/// Closed runs, in the words of older clients.
pub(super) async fn list_closed(
    frontend: &Frontend,
    request: ListClosedWorkflowExecutionsRequest,
) -> Result<ListClosedWorkflowExecutionsResponse, Fault> {
    let mut filter = ListFilter { closed: true, ..started(request.start_time_filter)? };
    match request.filters {
        Some(closed::Filters::ExecutionFilter(execution)) => by_execution(&mut filter, execution),
        Some(closed::Filters::TypeFilter(kind)) => by_type(&mut filter, kind),
        Some(closed::Filters::StatusFilter(status)) => match status.status() {
            WorkflowExecutionStatus::Unspecified | WorkflowExecutionStatus::Running => {
                return Err(Fault::invalid("StatusFilter must be specified and must be not Running."));
            }
            status => filter.status = Some(status),
        },
        None => {}
    }
    let size = validate::page_size(request.maximum_page_size, temporal::LIST_PAGE);
    let namespace = frontend.namespace(&request.namespace)?.name;
    let page = frontend.engine.list_workflows_by(&namespace, &filter, size, &request.next_page_token).await?;
    Ok(ListClosedWorkflowExecutionsResponse { executions: page.executions, next_page_token: page.next_page_token })
}

fn started(filter: Option<StartTimeFilter>) -> Result<ListFilter, Fault> {
    let StartTimeFilter { earliest_time, latest_time } = filter.unwrap_or_default();
    let earliest_start = earliest_time.as_ref().map(Time::from_proto);
    let latest_start = latest_time.as_ref().map(Time::from_proto);
    if earliest_start.zip(latest_start).is_some_and(|(earliest, latest)| earliest > latest) {
        return Err(Fault::invalid("EarliestTime in StartTimeFilter should not be larger than LatestTime."));
    }
    Ok(ListFilter { earliest_start, latest_start, ..ListFilter::default() })
}

/// The run id is not looked at, as in Temporal.
fn by_execution(filter: &mut ListFilter, execution: WorkflowExecutionFilter) {
    filter.workflow_id = Some(execution.workflow_id);
}

fn by_type(filter: &mut ListFilter, kind: WorkflowTypeFilter) {
    filter.workflow_type = Some(kind.name);
}

pub(super) async fn count(
    frontend: &Frontend,
    request: CountWorkflowExecutionsRequest,
) -> Result<CountWorkflowExecutionsResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let counted = frontend.engine.count_workflows(&namespace, &request.query).await?;
    let groups = counted
        .groups
        .into_iter()
        .map(|(value, count)| AggregationGroup { group_values: vec![keyword(&value)], count });
    Ok(CountWorkflowExecutionsResponse { count: counted.count, groups: groups.collect() })
}

/// A search attribute's value, as clients decode it.
fn keyword(value: &str) -> Payload {
    let metadata = [("encoding", "json/plain"), ("type", "Keyword")];
    Payload {
        metadata: metadata.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).into(),
        data: format!("{value:?}").into_bytes(),
        ..Payload::default()
    }
}

pub(super) fn search_attributes() -> GetSearchAttributesResponse {
    GetSearchAttributesResponse { keys: system_attributes() }
}

pub(super) fn system_attributes() -> HashMap<String, i32> {
    ATTRIBUTES.iter().map(|attribute| (attribute.name.to_owned(), attribute.value_type.into())).collect()
}
