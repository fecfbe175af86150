//! `module verify`, and what `module deploy --verify` tells: whether a module repeats the runs of a task queue.

use std::time::Instant;

use anyhow::anyhow;
use clap::Args;
use mainspring_api::mainspring::{
    RunSelection, RunVerification, VerificationReport, VerificationSummary, VerifyModuleRequest,
    verify_module_response::Message,
};
use serde_json::{Value, json};

use crate::{
    cli::OutputArgs,
    connect::{Client, ConnectionArgs, refused},
    failure::{Failure, Outcome},
    output::{self, Format, section},
    sweep::{self, RunsArgs},
};

#[derive(Debug, Args)]
#[command(
    after_help = "The open runs of the task queue and the latest closed ones are replayed on the module in the server's \
                  sandbox. Nothing is changed by it. Exits with 1 if the module does not repeat a run, and names the \
                  first event that differs, with what the journal has there and what the module did."
)]
pub struct VerifyArgs {
    /// The module's digest, or its first digits (at least 8) [default: the module that is active on the task queue]
    #[arg(value_name = "DIGEST")]
    digest: Option<String>,
    /// The task queue whose runs are replayed
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    #[command(flatten)]
    runs: RunsArgs,
    /// How many closed runs, those that closed last
    #[arg(long, value_name = "NUMBER", default_value_t = sweep::CLOSED_RUNS)]
    closed: u32,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn verify(args: VerifyArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let runs = args.runs.selection(args.closed);
    let mut told = Told::new(args.output.output);
    let summary = ask(&mut client, args.task_queue, args.digest.unwrap_or_default(), runs, &mut told).await?;
    told.end(&summary, "Verified")
}

/// Has the server verify a module; what is not exact is told on the way.
async fn ask(
    client: &mut Client,
    task_queue: String,
    digest: String,
    runs: RunSelection,
    told: &mut Told,
) -> Outcome<VerificationSummary> {
    let namespace = client.namespace.clone();
    let request = VerifyModuleRequest { namespace, task_queue, digest, runs: Some(runs) };
    let refuse = refused("cannot verify the module");
    let mut answers = client.modules.verify_module(request).await.map_err(&refuse)?.into_inner();
    while let Some(answer) = answers.message().await.map_err(&refuse)? {
        match answer.message {
            Some(Message::Run(run)) => told.run(run)?,
            Some(Message::Progress(progress)) => sweep::show_progress(&progress),
            Some(Message::Summary(summary)) => {
                sweep::hide_progress();
                return Ok(summary);
            }
            None => {}
        }
    }
    Err(Failure::Failed(anyhow!("cannot verify the module: the server ended before it was through")))
}

/// Verifies a module before it is activated: a failure, and all that is told of it, where it does not repeat the runs.
pub async fn before_activation(
    client: &mut Client,
    task_queue: &str,
    digest: String,
    runs: RunSelection,
    format: Format,
) -> Outcome<VerificationSummary> {
    let mut told = Told::new(format);
    let summary = ask(client, task_queue.to_owned(), digest, runs, &mut told).await?;
    if sweep::inexact(&summary) == 0 {
        return Ok(summary);
    }
    match told.end(&summary, "Not activated") {
        Err(Failure::Failed(error)) => Err(Failure::Failed(anyhow!("not activated: {error}"))),
        other => other.map(|()| summary),
    }
}

/// What is told of a verification, run by run.
pub struct Told {
    format: Format,
    /// When it was asked for, where that is known.
    begun: Option<Instant>,
    first: Option<RunVerification>,
    /// For a JSON document, which is printed at once.
    runs: Vec<Value>,
}

impl Told {
    pub fn new(format: Format) -> Told {
        Told { format, begun: Some(Instant::now()), first: None, runs: Vec::new() }
    }

    /// A run that is not exact.
    pub fn run(&mut self, run: RunVerification) -> Outcome {
        sweep::hide_progress();
        match self.format {
            Format::Text => output::print_text(&sweep::run_text(&run))?,
            Format::Jsonl => self.format.print_json(&json!({ "run": sweep::run_json(&run) }))?,
            Format::Json => self.runs.push(sweep::run_json(&run)),
        }
        self.first.get_or_insert(run);
        Ok(())
    }

    /// The end; a failure where not all runs were exact.
    pub fn end(self, summary: &VerificationSummary, title: &str) -> Outcome {
        sweep::hide_progress();
        match self.format {
            Format::Text => {
                let mut fields = sweep::summary_fields(summary);
                fields.push(("Took", self.begun.map(|begun| sweep::took_text(begun.elapsed())).unwrap_or_default()));
                output::print_text(&section(title, &fields))?;
            }
            Format::Jsonl => {
                let mut json = sweep::summary_json(summary);
                if let Some(begun) = self.begun {
                    json["tookMs"] = sweep::took_json(begun.elapsed());
                }
                self.format.print_json(&json!({ "summary": json }))?;
            }
            Format::Json => {
                let mut json = sweep::summary_json(summary);
                if let Some(begun) = self.begun {
                    json["tookMs"] = sweep::took_json(begun.elapsed());
                }
                json["runs"] = Value::Array(self.runs);
                self.format.print_json(&json)?;
            }
        }
        verdict(summary, self.first.as_ref())
    }
}

/// The failure that a verification is in which not all runs were exact.
fn verdict(summary: &VerificationSummary, first: Option<&RunVerification>) -> Outcome {
    let (inexact, runs) = (sweep::inexact(summary), summary.open + summary.closed);
    match first {
        Some(first) if inexact > 0 => {
            let first = sweep::run_line(first);
            Err(Failure::Failed(anyhow!("the module does not repeat {inexact} of {runs} runs; the first: {first}")))
        }
        _ => Ok(()),
    }
}

/// The flags of a deployment or activation that is verified first.
#[derive(Debug, Args)]
pub struct DeployVerifyArgs {
    /// Do so only if the module repeats the task queue's open runs and its latest closed ones; otherwise nothing
    /// changes
    #[arg(long)]
    verify: bool,
    /// With --verify: how many closed runs, those that closed last [default: 100]
    #[arg(long, value_name = "NUMBER", requires = "verify")]
    closed: Option<u32>,
    #[command(flatten)]
    runs: RunsArgs,
}

impl DeployVerifyArgs {
    /// The runs to verify, if that is wanted.
    pub fn selection(&self) -> Outcome<Option<mainspring_api::mainspring::RunSelection>> {
        if !self.verify && self.runs.is_given() {
            return Err(Failure::Usage(anyhow!(
                "--query and the samples choose the runs of --verify, which is missing"
            )));
        }
        let closed = self.closed.unwrap_or(sweep::CLOSED_RUNS);
        Ok(self.verify.then(|| self.runs.selection(closed)))
    }
}

/// Tells why a module was not deployed.
pub fn refused_deployment(report: VerificationReport, format: Format) -> Outcome {
    let summary = report.summary.unwrap_or_default();
    let mut told = Told { begun: None, ..Told::new(format) };
    for run in report.runs {
        told.run(run)?;
    }
    match told.end(&summary, "Not deployed") {
        Err(Failure::Failed(error)) => Err(Failure::Failed(anyhow!("not deployed: {error}"))),
        other => other,
    }
}
