//! `workflow reset`.

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use mainspring_api::{enums::ResetReapplyExcludeType, workflowservice::ResetWorkflowExecutionRequest};
use mainspring_core::reset::{first_workflow_task, last_workflow_task};
use serde_json::json;
use uuid::Uuid;

use super::{CommonArgs, TargetArgs, history};
use crate::{
    connect::{refused, unary, user},
    failure::{Failure, Outcome},
    output,
};

#[derive(Debug, Args)]
pub struct ResetArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The first event that the new run does not share: one that ends or starts a workflow task
    #[arg(short, long, value_name = "EVENT", required_unless_present = "kind", conflicts_with = "kind")]
    event_id: Option<i64>,
    /// The workflow task that is to be done again
    #[arg(short = 't', long = "type", value_name = "TYPE", ignore_case = true)]
    kind: Option<Point>,
    /// What the new run does not take over from behind that point. Can be given several times
    #[arg(long, value_name = "TYPE", ignore_case = true)]
    reapply_exclude: Vec<Excluded>,
    /// Why, for the history [default: "Requested from CLI by USER"]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Spelt as in the `temporal` CLI.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Point {
    #[value(name = "FirstWorkflowTask")]
    First,
    #[value(name = "LastWorkflowTask")]
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Excluded {
    #[value(name = "Signal")]
    Signal,
    #[value(name = "Update")]
    Update,
    #[value(name = "All")]
    All,
}

pub async fn reset(args: ResetArgs) -> Outcome {
    let mut client = args.common.connection.connect().await?;
    let execution = args.target.execution();
    let point = match args.kind {
        None => args.event_id,
        Some(kind) => {
            let events = history::all(&mut client, execution.clone()).await?;
            match kind {
                Point::First => first_workflow_task(&events),
                Point::Last => last_workflow_task(&events),
            }
        }
    };
    let point = point.ok_or_else(|| Failure::Failed(anyhow!("the run has no workflow task to go back to")))?;
    let excludes =
        |what: Excluded| args.reapply_exclude.iter().any(|excluded| [what, Excluded::All].contains(excluded));
    let excluded =
        [(Excluded::Signal, ResetReapplyExcludeType::Signal), (Excluded::Update, ResetReapplyExcludeType::Update)];
    let request = ResetWorkflowExecutionRequest {
        namespace: client.namespace.clone(),
        workflow_execution: Some(execution),
        reason: args.reason.clone().unwrap_or_else(|| format!("Requested from CLI by {}", user())),
        workflow_task_finish_event_id: point,
        request_id: Uuid::new_v4().to_string(),
        reset_reapply_exclude_types: excluded
            .into_iter()
            .filter(|(what, _)| excludes(*what))
            .map(|(_, excluded)| excluded.into())
            .collect(),
        identity: client.identity.clone(),
        ..Default::default()
    };
    let answer = client.workflows.reset_workflow_execution(unary(request)).await;
    let run_id = answer.map_err(refused("cannot reset the workflow"))?.into_inner().run_id;
    let format = args.common.output.output;
    if format.is_text() {
        let text = format!("Reset: {} goes on in run {run_id}, from event {point}", args.target.workflow_id);
        return Ok(output::print_text(&text)?);
    }
    Ok(format.print_json(&json!({ "workflowId": args.target.workflow_id, "runId": run_id, "eventId": point }))?)
}
