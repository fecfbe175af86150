//! The four exports of a guest.

use crate::{
    bindings::{Event, Query, Status, WorkflowDefinition, mainspring::workflow::types::FailureLink},
    host::WitHost,
    payload::Payload,
    runtime::Runtime,
    workflow::Entry,
};

/// `describe`: the workflows of the module.
pub fn describe(workflows: &[Entry]) -> Vec<WorkflowDefinition> {
    workflows.iter().map(|entry| WorkflowDefinition { name: entry.name.to_owned() }).collect()
}

/// `start`: begins the run of this instance.
///
/// # Panics
/// Where the module has no such workflow, which the host knows beforehand from `describe`.
pub fn start(workflows: &[Entry], workflow_type: &str, input: Vec<Payload>) -> Status {
    let Some(entry) = workflows.iter().find(|entry| entry.name == workflow_type) else {
        let names: Vec<_> = workflows.iter().map(|entry| entry.name).collect();
        panic!("this module has no workflow type {workflow_type:?}; it has {}", names.join(", "));
    };
    // The standard hook names a thread that a guest does not have and a variable that it cannot set.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let runtime = Runtime::new(Box::new(WitHost));
    // First, because making the future may already ask for the run.
    runtime.install();
    runtime.start((entry.run)(input))
}

/// `resume`: goes on after these events.
pub fn resume(events: Vec<Event>) -> Status {
    Runtime::current().resume(events)
}

/// `answer-query`: what the run says of itself where it stands.
pub fn answer_query(query: Query) -> Result<Vec<Payload>, Vec<FailureLink>> {
    Runtime::current().answer_query(query).map_err(|error| error.into_failure().into_wit())
}
