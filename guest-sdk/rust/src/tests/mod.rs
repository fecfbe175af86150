//! Whole workflows against the test in the role of the server, by topic.

mod activities;
mod cancellation;
mod concurrency;
mod messages;
mod workflows;

pub(crate) use crate::{
    prelude::*,
    testing::{Command, Event, TestRun, signal},
};

/// An activity with the only option that it needs.
pub(crate) fn work(name: &str) -> crate::Activity<String> {
    activity(name).start_to_close_timeout(Duration::from_secs(10))
}

pub(crate) const NONE: [(); 0] = [];

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One word for each thing that the workflow asked for.
pub(crate) fn asked(run: &TestRun) -> Vec<String> {
    let word = |command| match command {
        Command::ScheduleActivity { operation, activity_type, .. } => format!("{operation}:{activity_type}"),
        Command::StartTimer { operation, after, .. } => format!("{operation}:{after:?}"),
        Command::CancelActivity(operation) | Command::CancelTimer(operation) => format!("cancel {operation}"),
    };
    run.commands().into_iter().map(word).collect()
}
