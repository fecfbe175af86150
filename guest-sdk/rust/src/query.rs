//! Queries: questions to a workflow, which change nothing and leave no trace.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use crate::{
    bindings::Query,
    error::WorkflowResult,
    failure::ApplicationFailure,
    handler::{Args, DynamicSyncHandler, SyncCall, SyncHandler},
    metadata,
    payload::{Payload, ToPayload},
    runtime::{ReadOnly, Runtime},
};

/// Built in: what each routine waits for.
pub(crate) const STACK_TRACE: &str = "__stack_trace";
/// Built in: what the workflow answers to, and its current details.
pub(crate) const METADATA: &str = "__temporal_workflow_metadata";

/// Answers the queries of this name, from now until for ever: also after the workflow has ended. Queries arrive between
/// activations, so a handler is best registered before the workflow first waits.
///
/// The handler is a closure of up to six arguments, whose types are written out; it gives a value, or a `Result` of one.
/// It may read what it shares with the workflow, by an `Rc` of a `Cell` or `RefCell`, and change nothing: nobody would
/// repeat the change in a replay. The SDK's own functions panic in it if they would change something.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # use std::{cell::RefCell, rc::Rc};
/// # async fn example() -> WorkflowResult<()> {
/// let stage = Rc::new(RefCell::new("charging".to_owned()));
/// on_query("stage", {
///     let stage = stage.clone();
///     move || stage.borrow().clone()
/// })
/// .description("What the order is waiting for.");
///
/// sleep(Duration::from_secs(60)).await?;
/// *stage.borrow_mut() = "shipping".into();
/// # Ok(()) }
/// ```
///
/// # Panics
/// Where the name begins with `__temporal`, which is kept for built-in queries.
pub fn on_query<M>(name: impl Into<String>, handler: impl SyncHandler<M>) -> QueryHandler {
    let name = name.into();
    assert_not_reserved(&name);
    let runtime = Runtime::current();
    runtime.changes("register a query handler");
    let definition = Rc::new(Definition { call: handler.into_sync_call(), description: RefCell::default() });
    runtime.queries.named.borrow_mut().insert(name, definition.clone());
    QueryHandler { definition }
}

/// Answers the queries that have no handler of their own: the closure is given the name and the arguments.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// on_dynamic_query(|name: String, args: Args| format!("{name} was asked with {} arguments", args.len()));
/// ```
pub fn on_dynamic_query<M>(handler: impl DynamicSyncHandler<M>) -> QueryHandler {
    let runtime = Runtime::current();
    runtime.changes("register a query handler");
    let definition = Rc::new(Definition { call: handler.into_sync_call(), description: RefCell::default() });
    runtime.queries.dynamic.replace(Some(definition.clone()));
    QueryHandler { definition }
}

/// # Panics
/// Where the name is kept for what is built in.
pub(crate) fn assert_not_reserved(name: &str) {
    let reserved = name.starts_with("__temporal") || name == STACK_TRACE || name == "__enhanced_stack_trace";
    assert!(!reserved, "the name {name} is kept for what is built in");
}

/// A query's handler, registered; for adding to it.
pub struct QueryHandler {
    definition: Rc<Definition>,
}

impl QueryHandler {
    /// For people, shown by the UI.
    pub fn description(self, description: impl Into<String>) -> Self {
        self.definition.description.replace(description.into());
        self
    }
}

struct Definition {
    call: SyncCall,
    description: RefCell<String>,
}

/// The queries that a run answers.
#[derive(Default)]
pub(crate) struct Queries {
    named: RefCell<BTreeMap<String, Rc<Definition>>>,
    dynamic: RefCell<Option<Rc<Definition>>>,
}

impl Queries {
    /// Names and descriptions, sorted by name; that of the dynamic handler is empty.
    pub(crate) fn described(&self) -> Vec<(String, String)> {
        let named = self.named.borrow();
        let dynamic = self.dynamic.borrow();
        let dynamic = dynamic.iter().map(|definition| (String::new(), definition.description.borrow().clone()));
        let mut all: Vec<_> =
            dynamic.chain(named.iter().map(|(name, it)| (name.clone(), it.description.borrow().clone()))).collect();
        all.push((STACK_TRACE.into(), "What each routine of the workflow waits for.".into()));
        all.push((METADATA.into(), "What the workflow answers to, and its current details.".into()));
        all.sort();
        all
    }
}

impl Runtime {
    /// Answers a query where the run stands.
    pub(crate) fn answer_query(self: &Rc<Self>, query: Query) -> WorkflowResult<Vec<Payload>> {
        self.install();
        let answer = self.read_only(ReadOnly::Query, || self.answer(&query.name, Args::new(query.args)));
        answer.map(|payload| vec![payload])
    }

    fn answer(&self, name: &str, args: Args) -> WorkflowResult<Payload> {
        match name {
            STACK_TRACE => return Ok(self.stack_trace().to_payload()?),
            METADATA => return Ok(metadata::of(self)?),
            _ => {}
        }
        // Out of the cell first: the handler may look at the registry.
        let definition = self.queries.named.borrow().get(name).cloned();
        let definition = definition.or_else(|| self.queries.dynamic.borrow().clone());
        let Some(definition) = definition else {
            let known: Vec<_> = self.queries.described().into_iter().map(|(name, _)| name).collect();
            let message = format!(
                "Query handler for '{name}' expected but not found, and there is no dynamic handler. Known queries: [{}]",
                known.join(" ")
            );
            return Err(ApplicationFailure::new("QueryHandlerNotFound", message).into());
        };
        (definition.call)(name, &args).map_err(|error| error.of(format_args!("query {name}")))?
    }
}
