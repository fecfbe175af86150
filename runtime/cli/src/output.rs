//! Printing: JSON for programs, aligned columns for people.

use std::{
    io::{self, Write as _},
    time::{Duration, SystemTime},
};

use mainspring_api::Timestamp;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
    Jsonl,
}

impl Format {
    pub fn is_text(self) -> bool {
        self == Format::Text
    }

    /// Prints a result for programs.
    pub fn print_json(self, json: &Value) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match self {
            Format::Jsonl => serde_json::to_writer(&mut stdout, json)?,
            Format::Text | Format::Json => serde_json::to_writer_pretty(&mut stdout, json)?,
        }
        stdout.write_all(b"\n")
    }
}

/// Prints a result for people.
pub fn print_text(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        stdout.write_all(b"\n")?;
    }
    stdout.flush()
}

/// Aligned columns: two spaces before each, the last one as long as it is.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let heading = headings.map(str::to_owned);
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| &row[column]);
        cells.chain([&heading[column]]).map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in [&heading].into_iter().chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str("  ");
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A titled list of names and values; values that are empty are left out.
pub fn section(title: &str, fields: &[(&str, String)]) -> String {
    let shown: Vec<_> = fields.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = format!("{title}:\n");
    for (name, value) in shown {
        // A value of several lines stays in its column.
        let value = value.replace('\n', &format!("\n{:width$}", "", width = width + 4));
        text.push_str(&format!("  {name:width$}  {value}\n"));
    }
    text
}

/// `2026-11-23T20:33:26Z`, or nothing.
pub fn time(timestamp: Option<&Timestamp>) -> String {
    let since_1970 = timestamp.and_then(|timestamp| {
        let seconds = u64::try_from(timestamp.seconds).ok().filter(|seconds| *seconds > 0)?;
        Some(Duration::new(seconds, u32::try_from(timestamp.nanos).ok()?))
    });
    match since_1970.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)) {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => String::new(),
    }
}

/// `1m 30s`, or nothing.
pub fn duration(duration: Option<&mainspring_api::Duration>) -> String {
    let parts = duration.and_then(|duration| {
        Some(Duration::new(u64::try_from(duration.seconds).ok()?, u32::try_from(duration.nanos).ok()?))
    });
    match parts {
        Some(duration) if !duration.is_zero() => {
            let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            humantime::format_duration(Duration::from_millis(milliseconds)).to_string()
        }
        _ => String::new(),
    }
}

/// `TimerStarted` for `EVENT_TYPE_TIMER_STARTED`.
pub fn short_name(full: &str, prefix: &str) -> String {
    let words = full.strip_prefix(prefix).unwrap_or(full).split('_');
    words
        .filter_map(|word| word.split_at_checked(1))
        .map(|(first, rest)| first.to_owned() + &rest.to_lowercase())
        .collect()
}

/// `3 activities`, `1 activity`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_is_in_them() {
        let rows = [["Running".to_owned(), "заказ-1".to_owned()], ["TimedOut".to_owned(), "x".to_owned()]];
        assert_eq!(
            table(["Status", "WorkflowId"], &rows),
            "  Status    WorkflowId\n  Running   заказ-1\n  TimedOut  x\n"
        );
    }

    #[test]
    fn a_section_leaves_out_what_is_empty_and_indents_what_is_long() {
        let fields = [("Id", "a".to_owned()), ("Memo", String::new()), ("Failure", "b\nc".to_owned())];
        assert_eq!(section("Results", &fields), "Results:\n  Id       a\n  Failure  b\n           c\n");
    }

    #[test]
    fn enum_names_are_shortened_as_the_temporal_cli_does() {
        assert_eq!(short_name("EVENT_TYPE_WORKFLOW_TASK_STARTED", "EVENT_TYPE_"), "WorkflowTaskStarted");
        assert_eq!(short_name("WORKFLOW_EXECUTION_STATUS_TIMED_OUT", "WORKFLOW_EXECUTION_STATUS_"), "TimedOut");
    }

    #[test]
    fn times_and_durations_read_well_and_none_is_empty() {
        assert_eq!(time(Some(&Timestamp { seconds: 1_795_466_006, nanos: 5 })), "2026-11-23T20:33:26Z");
        assert_eq!(time(None), "");
        assert_eq!(time(Some(&Timestamp::default())), "");
        assert_eq!(duration(Some(&mainspring_api::Duration { seconds: 90, nanos: 5_000_001 })), "1m 30s 5ms");
        assert_eq!(duration(None), "");
    }
}
