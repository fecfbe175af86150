//! Whole workflows against the test in the role of the server, by topic.

mod activities;
mod cancellation;
mod children;
mod concurrency;
mod continuation;
mod handlers;
mod harness;
mod locks;
mod markers;
mod messages;
mod queries;
mod replays;
mod signals;
mod updates;
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
        Command::StartChild { operation, workflow_type, .. } => format!("{operation}:{workflow_type}"),
        Command::SignalWorkflow { operation, name, .. } => format!("{operation}:signal {name}"),
        Command::RequestCancel { operation, workflow_id, .. } => format!("{operation}:cancel workflow {workflow_id}"),
        Command::CancelActivity(operation)
        | Command::CancelTimer(operation)
        | Command::CancelChild(operation)
        | Command::CancelSignal(operation) => format!("cancel {operation}"),
        Command::AcceptUpdate(update) => format!("accept {update}"),
        Command::RejectUpdate(update, _) => format!("reject {update}"),
        Command::CompleteUpdate(update, _) => format!("complete {update}"),
        Command::UpsertMemo(fields) => format!("memo {}", keys(&fields)),
        Command::UpsertSearchAttributes(fields) => format!("search attributes {}", keys(&fields)),
        Command::Patch { id, deprecated } => format!("patch {id}{}", if deprecated { " deprecated" } else { "" }),
        Command::RecordMarker { name, .. } => format!("marker {name}"),
    };
    run.commands().into_iter().map(word).collect()
}

fn keys(fields: &[(String, Option<Payload>)]) -> String {
    fields.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(" ")
}
