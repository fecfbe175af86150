//! The guest that JavaScript workflows are put into: QuickJS, and between it and the imports of `wit/` as little as
//! possible. What a workflow is, JavaScript says (`../src`): this crate calls it and hands on what it answers.
//!
//! It is compiled once. `../build` then instantiates it, has it [load](engine::load) a bundle of the SDK and
//! somebody's workflows, and keeps the memory as it is then: so a run begins with everything evaluated.

mod bindings;
mod convert;
mod engine;
mod host;

use bindings::{Event, Guest, Query, Status, WorkflowDefinition, mainspring::workflow::types};

struct Module;

impl Guest for Module {
    fn describe() -> Vec<WorkflowDefinition> {
        engine::workflow_types().into_iter().map(|name| WorkflowDefinition { name }).collect()
    }

    fn start(workflow_type: String, input: types::Payloads) -> Status {
        engine::start(workflow_type, input)
    }

    fn resume(events: Vec<Event>) -> Status {
        engine::resume(events)
    }

    fn answer_query(query: Query) -> Result<types::Payloads, types::Failure> {
        engine::answer_query(query)
    }
}

#[allow(unsafe_code)]
mod export {
    crate::bindings::export!(Module with_types_in crate::bindings);
    use super::Module;
}
