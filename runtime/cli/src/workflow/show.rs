//! `workflow show`: the history.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use mainspring_api::{
    history::{History, HistoryEvent, history_event::Attributes},
    json,
};
use prost::Message as _;

use super::{
    CommonArgs, TargetArgs, history,
    history::{Pages, Wanted},
    result::{self, Closed},
};
use crate::{
    failure::{Failure, Outcome},
    output::{self, Format, short_name},
    payload,
};

#[derive(Debug, Args)]
#[command(after_help = "`--output json` prints the history as `temporal workflow show --output json` does: SDKs and \
                        `mainspring replay` can replay it.")]
pub struct ShowArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Go on with what happens, until the workflow ends. Not for JSON
    #[arg(short, long, conflicts_with_all = ["reverse", "output_file"])]
    follow: bool,
    /// The newest event first
    #[arg(long, conflicts_with = "output_file")]
    reverse: bool,
    /// Write the history to a file instead: an encoded temporal.api.history.v1.History if its name ends in .bin,
    /// otherwise JSON
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
}

pub async fn show(args: ShowArgs) -> Outcome {
    let format = args.common.output.output;
    let execution = args.target.execution();
    let mut client = args.common.connection.connect().await?;
    if let Some(path) = &args.output_file {
        let events = history::all(&mut client, execution).await?;
        return write_file(path, events).map_err(Failure::Usage);
    }
    if args.follow && format.is_text() {
        let mut pages = Pages::new(&mut client, execution, Wanted::UntilClosed);
        let mut heading = true;
        let mut last = None;
        while let Some(page) = pages.next().await? {
            if !page.is_empty() {
                output::print_text(&progress(&page, heading))?;
                heading = false;
            }
            last = page.into_iter().next_back().or(last);
        }
        return Ok(print_end(last)?);
    }
    let events = match args.reverse {
        true => history::all_reversed(&mut client, execution).await?,
        false => history::all(&mut client, execution).await?,
    };
    match format {
        Format::Text => {
            output::print_text(&progress(&events, true))?;
            let newest = if args.reverse { events.into_iter().next() } else { events.into_iter().next_back() };
            print_end(newest)?;
        }
        // One event on each line, as the real CLI prints them.
        Format::Jsonl => {
            for event in &events {
                format.print_json(&json::to_json(event))?;
            }
        }
        Format::Json => format.print_json(&json::history_to_json(&events))?,
    }
    Ok(())
}

fn write_file(path: &Path, events: Vec<HistoryEvent>) -> anyhow::Result<()> {
    let count = events.len() as u64;
    let bytes = match path.extension().is_some_and(|extension| extension == "bin") {
        true => History { events }.encode_to_vec(),
        false => {
            let mut text = serde_json::to_vec_pretty(&json::history_to_json(&events))?;
            text.push(b'\n');
            text
        }
    };
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("{} written to {}", output::count(count, "event", "events"), path.display());
    Ok(())
}

/// A table of events.
fn progress(events: &[HistoryEvent], heading: bool) -> String {
    // Rows of later pages must align with the first: fixed widths, as types are known.
    let mut text = String::new();
    if heading {
        text.push_str("Progress:\n   ID  Time                  Type\n");
    }
    for event in events {
        let time = output::time(event.event_time.as_ref());
        let name = short_name(event.event_type().as_str_name(), "EVENT_TYPE_");
        let about = about(event);
        let line = format!("{:5}  {time:20}  {name:34}  {about}", event.event_id);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What one wants to know first of an event.
fn about(event: &HistoryEvent) -> String {
    use Attributes as A;
    let name_of = |name: Option<&str>| name.unwrap_or_default().to_owned();
    match &event.attributes {
        Some(A::WorkflowExecutionStartedEventAttributes(a)) => {
            name_of(a.workflow_type.as_ref().map(|workflow_type| workflow_type.name.as_str()))
        }
        Some(A::WorkflowExecutionCompletedEventAttributes(a)) => shorten(&payload::all_to_text(a.result.as_ref())),
        Some(A::WorkflowExecutionFailedEventAttributes(a)) => message_of(a.failure.as_ref()),
        Some(A::WorkflowExecutionSignaledEventAttributes(a)) => a.signal_name.clone(),
        Some(A::WorkflowExecutionTerminatedEventAttributes(a)) => shorten(&a.reason),
        Some(A::WorkflowExecutionCancelRequestedEventAttributes(a)) => shorten(&a.cause),
        Some(A::WorkflowTaskFailedEventAttributes(a)) => message_of(a.failure.as_ref()),
        Some(A::ActivityTaskScheduledEventAttributes(a)) => {
            name_of(a.activity_type.as_ref().map(|activity_type| activity_type.name.as_str()))
        }
        Some(A::ActivityTaskStartedEventAttributes(a)) if a.attempt > 1 => format!("attempt {}", a.attempt),
        Some(A::ActivityTaskCompletedEventAttributes(a)) => shorten(&payload::all_to_text(a.result.as_ref())),
        Some(A::ActivityTaskFailedEventAttributes(a)) => message_of(a.failure.as_ref()),
        Some(A::ActivityTaskTimedOutEventAttributes(a)) => message_of(a.failure.as_ref()),
        Some(A::TimerStartedEventAttributes(a)) => output::duration(a.start_to_fire_timeout.as_ref()),
        _ => String::new(),
    }
}

fn message_of(failure: Option<&mainspring_api::failure::Failure>) -> String {
    shorten(failure.map(result::chain).unwrap_or_default().lines().next().unwrap_or_default())
}

/// One line of at most some characters.
fn shorten(text: &str) -> String {
    const CHARACTERS: usize = 60;
    let line = text.replace('\n', " ");
    match line.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The result below the table, if the run has ended.
fn print_end(newest: Option<HistoryEvent>) -> std::io::Result<()> {
    match newest.filter(history::is_close) {
        Some(event) => output::print_text(&format!("\n{}", Closed { run_id: String::new(), event }.text())),
        None => Ok(()),
    }
}
