//! What verifying, migrating and replaying a store have in common: which runs, and how each is told.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use clap::Args;
use mainspring_api::mainspring::{
    RunSelection, RunVerification, SweepProgress, VerificationSummary, run_selection::Sample, run_verification::Problem,
};
use serde_json::{Value, json};

use crate::output;

/// Which runs.
#[derive(Clone, Debug, Args)]
pub struct RunsArgs {
    /// Only runs that fit, such as "WorkflowType='OrderWorkflow'"
    #[arg(short, long, value_name = "FILTER", default_value = "", hide_default_value = true)]
    query: String,
    /// At most so many of the open runs. Which ones depends on their run ids alone [default: all]
    #[arg(long, value_name = "NUMBER", conflicts_with = "sample_percent", value_parser = clap::value_parser!(u32).range(1..))]
    sample_count: Option<u32>,
    /// So many of a hundred open runs
    #[arg(long, value_name = "PERCENT")]
    sample_percent: Option<f64>,
}

impl RunsArgs {
    pub fn selection(&self, closed: u32) -> RunSelection {
        let sample = self.sample_count.map(Sample::Count).or(self.sample_percent.map(Sample::Percent));
        RunSelection { query: self.query.clone(), sample, closed }
    }

    /// Whether any of the flags is given.
    pub fn is_given(&self) -> bool {
        !self.query.is_empty() || self.sample_count.is_some() || self.sample_percent.is_some()
    }

    pub fn query(&self) -> &str {
        &self.query
    }
}

/// How many closed runs are replayed where nobody says it.
pub const CLOSED_RUNS: u32 = 100;

/// A run with its problem, for people: a few lines.
pub fn run_text(run: &RunVerification) -> String {
    let (word, lines) = match &run.problem {
        Some(Problem::Divergence(divergence)) => (
            "Diverged",
            vec![
                ("Event", divergence.event_id.to_string()),
                ("Journal", divergence.journal.clone()),
                ("Module", divergence.module.clone()),
                ("Notes", notes(&divergence.message, &divergence.module)),
            ],
        ),
        Some(Problem::Failure(failure)) => {
            ("Failed", vec![("Reason", format!("{} ({})", failure.message, failure.r#type))])
        }
        None => ("Busy", vec![("Reason", "it came further whenever it had been verified; try again".to_owned())]),
    };
    let mut fields = vec![
        ("WorkflowId", run.workflow_id.clone()),
        ("RunId", run.run_id.clone()),
        ("Type", run.workflow_type.clone()),
        ("Status", if run.open { "open".to_owned() } else { "closed".to_owned() }),
        ("PinnedTo", run.pinned_digest.clone()),
    ];
    fields.extend(lines);
    output::section(word, &fields)
}

/// What stands in a message behind the words for what the module did, such as which field differs.
fn notes(message: &str, module: &str) -> String {
    let notes = message.rsplit_once(module).map(|(_, notes)| notes).unwrap_or_default();
    notes.split("; ").map(str::trim).filter(|note| !note.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The same for programs.
pub fn run_json(run: &RunVerification) -> Value {
    let mut json = json!({
        "workflowId": run.workflow_id,
        "runId": run.run_id,
        "type": run.workflow_type,
        "open": run.open,
        "pinnedDigest": run.pinned_digest,
        "events": run.events,
    });
    match &run.problem {
        Some(Problem::Divergence(divergence)) => {
            json["outcome"] = json!("diverged");
            json["eventId"] = json!(divergence.event_id);
            json["journal"] = json!(divergence.journal);
            json["module"] = json!(divergence.module);
            json["message"] = json!(divergence.message);
        }
        Some(Problem::Failure(failure)) => {
            json["outcome"] = json!("failed");
            json["failureType"] = json!(failure.r#type);
            json["message"] = json!(failure.message);
        }
        None => json["outcome"] = json!("busy"),
    }
    json
}

/// Which run it is and what is wrong with it, in one line.
pub fn run_line(run: &RunVerification) -> String {
    let what = match &run.problem {
        Some(Problem::Divergence(divergence)) => divergence.message.clone(),
        Some(Problem::Failure(failure)) => failure.message.clone(),
        None => "it never came to rest".to_owned(),
    };
    format!("{} (run {}): {what}", run.workflow_id, run.run_id)
}

pub fn summary_fields(summary: &VerificationSummary) -> Vec<(&'static str, String)> {
    let runs = summary.open + summary.closed;
    let other = |number: u64| if number == 0 { String::new() } else { number.to_string() };
    vec![
        ("Module", summary.digest.clone()),
        ("Runs", format!("{runs} ({} open, {} closed)", summary.open, summary.closed)),
        ("Exact", summary.exact.to_string()),
        ("Diverged", other(summary.diverged)),
        ("Failed", other(summary.failed)),
    ]
}

pub fn summary_json(summary: &VerificationSummary) -> Value {
    json!({
        "digest": summary.digest,
        "exact": inexact(summary) == 0,
        "open": summary.open,
        "closed": summary.closed,
        "exactRuns": summary.exact,
        "divergedRuns": summary.diverged,
        "failedRuns": summary.failed,
    })
}

/// How long it took from the question to the last answer.
pub fn took_text(took: Duration) -> String {
    format!("{:.3} s", took.as_secs_f64())
}

/// The same, in milliseconds.
pub fn took_json(took: Duration) -> Value {
    json!(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// How many runs the module does not repeat.
pub fn inexact(summary: &VerificationSummary) -> u64 {
    summary.diverged + summary.failed
}

/// Shows on a terminal how far it is; elsewhere nobody looks at it.
pub fn show_progress(progress: &SweepProgress) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        // Whoever has closed stderr does not want to see it.
        let _ = write!(stderr, "\r{} of {} runs ", progress.done, progress.expected);
        let _ = stderr.flush();
    }
}

/// Takes the progress off the terminal again.
pub fn hide_progress() {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r{:40}\r", "");
    }
}
