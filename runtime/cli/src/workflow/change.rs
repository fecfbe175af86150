//! `workflow cancel`, `terminate`, `signal` and `delete`.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::anyhow;
use clap::Args;
use mainspring_api::{
    common::Header,
    workflowservice::{
        DeleteWorkflowExecutionRequest, RequestCancelWorkflowExecutionRequest, SignalWorkflowExecutionRequest,
        TerminateWorkflowExecutionRequest,
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CommonArgs, TargetArgs};
use crate::{
    connect::{refused, unary, user},
    failure::{Failure, Outcome},
    output::{self, Format},
    payload::{self, InputArgs},
};

#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct TerminateArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Why, for the history [default: "Requested from CLI by USER"]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct SignalArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The signal's name
    #[arg(long, visible_alias = "type", value_name = "NAME")]
    name: String,
    #[command(flatten)]
    input: InputArgs,
    /// A field of the signal's header; the value is JSON. Can be given several times
    #[arg(long, value_name = "KEY=JSON")]
    headers: Vec<String>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Do not ask whether it is meant
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    common: CommonArgs,
}

pub async fn cancel(args: CancelArgs) -> Outcome {
    let mut client = args.common.connection.connect().await?;
    let request = RequestCancelWorkflowExecutionRequest {
        namespace: client.namespace.clone(),
        workflow_execution: Some(args.target.execution()),
        identity: client.identity.clone(),
        request_id: Uuid::new_v4().to_string(),
        reason: args.reason,
        ..Default::default()
    };
    let answer = client.workflows.request_cancel_workflow_execution(unary(request)).await;
    answer.map_err(refused("cannot cancel the workflow"))?;
    done(args.common.output.output, "Cancellation requested", &args.target)
}

pub async fn terminate(args: TerminateArgs) -> Outcome {
    let mut client = args.common.connection.connect().await?;
    let request = TerminateWorkflowExecutionRequest {
        namespace: client.namespace.clone(),
        workflow_execution: Some(args.target.execution()),
        reason: args.reason.unwrap_or_else(|| format!("Requested from CLI by {}", user())),
        identity: client.identity.clone(),
        ..Default::default()
    };
    let answer = client.workflows.terminate_workflow_execution(unary(request)).await;
    answer.map_err(refused("cannot terminate the workflow"))?;
    done(args.common.output.output, "Terminated", &args.target)
}

pub async fn signal(args: SignalArgs) -> Outcome {
    let input = args.input.payloads()?;
    let header = payload::fields("--headers", &args.headers)?.map(|fields| Header { fields });
    let mut client = args.common.connection.connect().await?;
    let request = SignalWorkflowExecutionRequest {
        namespace: client.namespace.clone(),
        workflow_execution: Some(args.target.execution()),
        signal_name: args.name,
        input,
        identity: client.identity.clone(),
        request_id: Uuid::new_v4().to_string(),
        header,
        ..Default::default()
    };
    let answer = client.workflows.signal_workflow_execution(unary(request)).await;
    answer.map_err(refused("cannot signal the workflow"))?;
    done(args.common.output.output, "Signaled", &args.target)
}

pub async fn delete(args: DeleteArgs) -> Outcome {
    let format = args.common.output.output;
    if !args.yes {
        confirm(format, &args.target.workflow_id)?;
    }
    let mut client = args.common.connection.connect().await?;
    let request = DeleteWorkflowExecutionRequest {
        namespace: client.namespace.clone(),
        workflow_execution: Some(args.target.execution()),
    };
    let answer = client.workflows.delete_workflow_execution(unary(request)).await;
    answer.map_err(refused("cannot delete the workflow"))?;
    done(format, "Deleted", &args.target)
}

/// Asks on the terminal; where nobody can be asked, --yes is needed.
fn confirm(format: Format, workflow_id: &str) -> Outcome {
    if !format.is_text() || !io::stdin().is_terminal() {
        return Err(Failure::Usage(anyhow!("deleting needs --yes where nobody can be asked")));
    }
    eprint!("Delete workflow {workflow_id:?} and its history? y/N ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::usage)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Failed(anyhow!("nothing was deleted"))),
    }
}

fn done(format: Format, what: &str, target: &TargetArgs) -> Outcome {
    if format.is_text() {
        return Ok(output::print_text(&format!("{what}: {}", target.workflow_id))?);
    }
    let run_id = target.run_id.as_ref().map_or(Value::Null, |run_id| json!(run_id));
    Ok(format.print_json(&json!({ "workflowId": target.workflow_id, "runId": run_id }))?)
}
