//! Queries.

use mainspring_api::{enums::QueryRejectCondition, query::QueryRejected, workflowservice::*};
use mainspring_core::validate as core_validate;
use mainspring_engine::{QueryReply, Question, WorkflowQuery};

use super::Frontend;
use crate::{error::Fault, validate};

pub(super) async fn query(frontend: &Frontend, request: QueryWorkflowRequest) -> Result<QueryWorkflowResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let run = validate::run(request.execution)?;
    let query = request.query.ok_or_else(|| Fault::invalid("Query is not set on request."))?;
    if query.query_type.is_empty() {
        return Err(Fault::invalid("QueryType is not set on request."));
    }
    core_validate::name("QueryType", &query.query_type)?;
    core_validate::payloads("Query input", query.query_args.as_ref())?;
    let reject = QueryRejectCondition::try_from(request.query_reject_condition)
        .map_err(|_| Fault::invalid("Invalid QueryRejectCondition."))?;
    let question = Question { name: query.query_type, args: query.query_args, header: query.header };
    let asked = frontend.engine.query_workflow(&namespace, run, WorkflowQuery { question, reject });
    Ok(match asked.await? {
        QueryReply::Answer(result) => {
            QueryWorkflowResponse { query_result: Some(result.unwrap_or_default()), ..Default::default() }
        }
        QueryReply::Rejected(status) => QueryWorkflowResponse {
            query_rejected: Some(QueryRejected { status: status.into() }),
            ..Default::default()
        },
    })
}
