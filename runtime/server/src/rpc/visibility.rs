//! Lists and counts of runs, and the attributes by which they can be found.

use std::collections::HashMap;

use mainspring_api::{
    enums::IndexedValueType::{self, Bool, Datetime, Int, Keyword, KeywordList},
    workflowservice::*,
};
use mainspring_core::limits::temporal;
use mainspring_engine::ListPage;

use super::Frontend;
use crate::{error::Fault, validate};

/// The attributes that every Temporal server has, as `temporal operator search-attribute list` shows them.
const SYSTEM_ATTRIBUTES: [(&str, IndexedValueType); 33] = [
    ("BatcherNamespace", Keyword),
    ("BatcherUser", Keyword),
    ("BinaryChecksums", KeywordList),
    ("BuildIds", KeywordList),
    ("CloseTime", Datetime),
    ("ExecutionDuration", Int),
    ("ExecutionStatus", Keyword),
    ("ExecutionTime", Datetime),
    ("HistoryLength", Int),
    ("HistorySizeBytes", Int),
    ("ParentRunId", Keyword),
    ("ParentWorkflowId", Keyword),
    ("RootRunId", Keyword),
    ("RootWorkflowId", Keyword),
    ("RunId", Keyword),
    ("StartTime", Datetime),
    ("StateTransitionCount", Int),
    ("TaskQueue", Keyword),
    ("TemporalChangeVersion", KeywordList),
    ("TemporalExternalPayloadCount", Int),
    ("TemporalExternalPayloadSizeBytes", Int),
    ("TemporalNamespaceDivision", Keyword),
    ("TemporalPauseInfo", KeywordList),
    ("TemporalReportedProblems", KeywordList),
    ("TemporalSchedulePaused", Bool),
    ("TemporalScheduledById", Keyword),
    ("TemporalScheduledStartTime", Datetime),
    ("TemporalUsedWorkerDeploymentVersions", KeywordList),
    ("TemporalWorkerDeployment", Keyword),
    ("TemporalWorkerDeploymentVersion", Keyword),
    ("TemporalWorkflowVersioningBehavior", Keyword),
    ("WorkflowId", Keyword),
    ("WorkflowType", Keyword),
];

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

pub(super) async fn count(
    frontend: &Frontend,
    request: CountWorkflowExecutionsRequest,
) -> Result<CountWorkflowExecutionsResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let count = frontend.engine.count_workflows(&namespace, &request.query).await?;
    Ok(CountWorkflowExecutionsResponse { count, ..Default::default() })
}

pub(super) fn search_attributes() -> GetSearchAttributesResponse {
    GetSearchAttributesResponse { keys: system_attributes() }
}

pub(super) fn system_attributes() -> HashMap<String, i32> {
    SYSTEM_ATTRIBUTES.iter().map(|(name, value_type)| ((*name).to_owned(), (*value_type).into())).collect()
}
