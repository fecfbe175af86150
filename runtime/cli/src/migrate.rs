//! `module migrate`: open runs move to another module, where that repeats them.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use mainspring_api::mainspring::{MigrateWorkflowsRequest, MigrationSummary, migrate_workflows_response::Message};
use serde_json::{Value, json};

use crate::{
    cli::OutputArgs,
    connect::{ConnectionArgs, refused},
    failure::{Failure, Outcome},
    output::{self, Format, section},
    sweep::{self, RunsArgs},
};

#[derive(Debug, Args)]
#[command(
    after_help = "Each run is replayed on the module, and moves only if the module repeats it exactly; what it does next \
                  is done by the new module. The others stay on theirs, and are told with the reason. Exits with 1 if \
                  any stays. It may be stopped and repeated at any time: each run is on the one module or on the other."
)]
pub struct MigrateArgs {
    /// The module's digest, or its first digits (at least 8) [default: the module that is active on the task queue]
    #[arg(value_name = "DIGEST")]
    digest: Option<String>,
    /// The task queue whose runs move
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    /// Only runs that are pinned to this module: its digest, or its first digits (at least 8)
    #[arg(long, value_name = "DIGEST")]
    from: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn migrate(args: MigrateArgs) -> Outcome {
    let format = args.output.output;
    let mut client = args.connection.connect().await?;
    let request = MigrateWorkflowsRequest {
        namespace: client.namespace.clone(),
        task_queue: args.task_queue,
        digest: args.digest.unwrap_or_default(),
        from_digest: args.from.unwrap_or_default(),
        runs: Some(args.runs.selection(0)),
    };
    let refuse = refused("cannot migrate workflows");
    let begun = Instant::now();
    let mut answers = client.modules.migrate_workflows(request).await.map_err(&refuse)?.into_inner();
    let (mut first, mut stay) = (None, Vec::new());
    while let Some(answer) = answers.message().await.map_err(&refuse)? {
        match answer.message {
            Some(Message::Refusal(refusal)) => {
                let run = refusal.run.unwrap_or_default();
                sweep::hide_progress();
                match format {
                    Format::Text => output::print_text(&format!("Stays. {}", sweep::run_text(&run)))?,
                    Format::Jsonl => format.print_json(&json!({ "stays": sweep::run_json(&run) }))?,
                    Format::Json => stay.push(sweep::run_json(&run)),
                }
                first.get_or_insert(run);
            }
            Some(Message::Progress(progress)) => sweep::show_progress(&progress),
            Some(Message::Summary(summary)) => {
                sweep::hide_progress();
                print(&summary, begun.elapsed(), stay, format)?;
                let (left, moved) = (summary.differ + summary.busy, summary.moved);
                return match first {
                    Some(run) => Err(Failure::Failed(anyhow!(
                        "{left} of {} runs stay; the first: {}",
                        left + moved,
                        sweep::run_line(&run)
                    ))),
                    None => Ok(()),
                };
            }
            None => {}
        }
    }
    Err(Failure::Failed(anyhow!("cannot migrate workflows: the server ended before it was through")))
}

fn print(summary: &MigrationSummary, took: Duration, stay: Vec<Value>, format: Format) -> std::io::Result<()> {
    if format.is_text() {
        let other = |number: u64| if number == 0 { String::new() } else { number.to_string() };
        let fields = [
            ("Module", summary.digest.clone()),
            ("Moved", summary.moved.to_string()),
            ("ThereAlready", other(summary.already)),
            ("NotBegun", other(summary.unpinned)),
            ("ClosedMeanwhile", other(summary.closed)),
            ("StayDiffering", other(summary.differ)),
            ("StayBusy", other(summary.busy)),
            ("Took", sweep::took_text(took)),
        ];
        return output::print_text(&section("Migrated", &fields));
    }
    let mut json = json!({
        "digest": summary.digest,
        "moved": summary.moved,
        "already": summary.already,
        "unpinned": summary.unpinned,
        "closed": summary.closed,
        "differ": summary.differ,
        "busy": summary.busy,
        "tookMs": sweep::took_json(took),
    });
    match format {
        Format::Jsonl => format.print_json(&json!({ "summary": json })),
        _ => {
            json["stay"] = Value::Array(stay);
            format.print_json(&json)
        }
    }
}
