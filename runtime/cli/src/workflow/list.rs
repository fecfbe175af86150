//! `workflow list` and `workflow count`.

use clap::Args;
use mainspring_api::{
    json,
    workflow::WorkflowExecutionInfo,
    workflowservice::{CountWorkflowExecutionsRequest, ListWorkflowExecutionsRequest},
};
use serde_json::Value;

use super::CommonArgs;
use crate::{
    connect::{refused, unary},
    failure::Outcome,
    output::{self, Format, short_name, table},
    payload,
};

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those that fit, such as "ExecutionStatus='Running' AND WorkflowType='OrderWorkflow'"
    #[arg(short, long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    query: String,
    /// At most so many [default: all]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// So many with each request [default: the server's]
    #[arg(long, value_name = "NUMBER", default_value = "0", hide_default_value = true)]
    page_size: i32,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct CountArgs {
    /// Only those that fit, such as "ExecutionStatus='Running'"
    #[arg(short, long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    query: String,
    #[command(flatten)]
    common: CommonArgs,
}

pub async fn list(args: ListArgs) -> Outcome {
    let format = args.common.output.output;
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut client = args.common.connection.connect().await?;
    let (mut found, mut token) = (Vec::new(), vec![]);
    loop {
        let request = ListWorkflowExecutionsRequest {
            namespace: client.namespace.clone(),
            page_size: args.page_size,
            next_page_token: token,
            query: args.query.clone(),
        };
        let answer = client.workflows.list_workflow_executions(unary(request)).await;
        let answer = answer.map_err(refused("cannot list workflows"))?.into_inner();
        token = answer.next_page_token;
        for execution in answer.executions {
            if found.len() == limit {
                break;
            }
            // Programs that read lines need not wait for the last page.
            if format == Format::Jsonl {
                format.print_json(&json::to_json_shorthand(&execution))?;
            }
            found.push(execution);
        }
        if token.is_empty() || found.len() == limit {
            break;
        }
    }
    match format {
        Format::Text => {
            let rows: Vec<_> = found.iter().map(row).collect();
            output::print_text(&table(["Status", "WorkflowId", "Type", "StartTime", "CloseTime"], &rows))?;
        }
        Format::Json => format.print_json(&found.iter().map(json::to_json_shorthand).collect::<Value>())?,
        Format::Jsonl => {}
    }
    Ok(())
}

fn row(info: &WorkflowExecutionInfo) -> [String; 5] {
    [
        short_name(info.status().as_str_name(), "WORKFLOW_EXECUTION_STATUS_"),
        info.execution.as_ref().map(|execution| execution.workflow_id.clone()).unwrap_or_default(),
        info.r#type.as_ref().map(|workflow_type| workflow_type.name.clone()).unwrap_or_default(),
        output::time(info.start_time.as_ref()),
        output::time(info.close_time.as_ref()),
    ]
}

pub async fn count(args: CountArgs) -> Outcome {
    let format = args.common.output.output;
    let mut client = args.common.connection.connect().await?;
    let request = CountWorkflowExecutionsRequest { namespace: client.namespace.clone(), query: args.query };
    let answer = client.workflows.count_workflow_executions(unary(request)).await;
    let answer = answer.map_err(refused("cannot count workflows"))?.into_inner();
    if !format.is_text() {
        return Ok(format.print_json(&json::to_json_shorthand(&answer))?);
    }
    let mut text = format!("Total: {}\n", answer.count);
    for group in &answer.groups {
        let values: Vec<_> = group.group_values.iter().map(payload::to_text).collect();
        text.push_str(&format!("Group total: {}, values: {}\n", group.count, values.join(", ")));
    }
    Ok(output::print_text(&text)?)
}
