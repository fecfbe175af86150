//! What the macros make of a workflow function, and how a module exports its workflows.

use std::{future::Future, pin::Pin, vec};

use crate::{
    error::{WorkflowError, WorkflowResult},
    payload::{FromPayload, Payload, PayloadError, ToPayload},
};

/// A workflow's future, with its result encoded.
pub type WorkflowFuture = Pin<Box<dyn Future<Output = WorkflowResult<Payload>>>>;

/// A workflow, as [`#[workflow]`](crate::workflow) makes one of a function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a workflow",
    label = "not a workflow",
    note = "write `#[workflow]` above the `async fn {Self}`"
)]
pub trait Workflow {
    /// The workflow type that clients name.
    const NAME: &'static str;

    /// Reads the arguments and makes the future; runs nothing yet.
    fn run(input: Vec<Payload>) -> WorkflowFuture;
}

/// An entry of the list of workflows that a module exports.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The workflow type.
    pub name: &'static str,
    /// See [`Workflow::run`].
    pub run: fn(Vec<Payload>) -> WorkflowFuture,
}

impl Entry {
    /// The entry of a workflow.
    pub const fn of<W: Workflow>() -> Self {
        Self { name: W::NAME, run: W::run }
    }
}

/// The arguments of a workflow, read one by one. Those that are too many are left alone, as in Temporal's SDKs.
pub struct Arguments {
    payloads: vec::IntoIter<Payload>,
    position: usize,
}

impl Arguments {
    /// Of this input.
    pub fn new(input: Vec<Payload>) -> Self {
        Self { payloads: input.into_iter(), position: 0 }
    }

    /// The next; a missing one reads as `null`, so `None` for an `Option`.
    pub fn next<T: FromPayload>(&mut self, declaration: &str) -> Result<T, PayloadError> {
        self.position += 1;
        let value = match self.payloads.next() {
            Some(payload) => T::from_payload(&payload),
            None => T::from_missing(),
        };
        value.map_err(|error| error.of(format_args!("argument {} ({declaration})", self.position)))
    }
}

/// What a workflow function may return: a `Result` whose `Ok` can be sent and whose error `?` can convert.
#[diagnostic::on_unimplemented(
    message = "a workflow cannot return `{Self}`",
    label = "expected `WorkflowResult<T>`, where `T: serde::Serialize`",
    note = "declare it as `async fn …(…) -> WorkflowResult<T>`; `WorkflowResult<()>` where it has no result"
)]
pub trait WorkflowOutput {
    /// What it returns when it succeeds.
    type Value;
    /// Encodes the result.
    fn encode(self) -> WorkflowResult<Payload>;
}

impl<T: ToPayload, E: Into<WorkflowError>> WorkflowOutput for Result<T, E> {
    type Value = T;

    fn encode(self) -> WorkflowResult<Payload> {
        let value = self.map_err(Into::into)?;
        Ok(value.to_payload().map_err(|error| error.of("the result of the workflow"))?)
    }
}

/// Exports workflows from the module. Each module calls this once, with all its workflows.
///
/// ```
/// use mainspring_workflow::prelude::*;
///
/// #[workflow]
/// async fn greet(name: String) -> WorkflowResult<String> {
///     Ok(format!("Hello, {name}!"))
/// }
///
/// #[workflow(name = "bye")]
/// async fn farewell() -> WorkflowResult<()> {
///     Ok(())
/// }
///
/// mainspring_workflow::export!(greet, farewell); // clients know them as `Greet` and `bye`
/// ```
#[macro_export]
macro_rules! export {
    ($($workflow:path),+ $(,)?) => {
        const _: () = {
            const WORKFLOWS: &[$crate::__private::Entry] = &[$($crate::__private::Entry::of::<$workflow>()),+];
            const _: () = $crate::__private::assert_names_differ(WORKFLOWS);

            // On the host, where the tests of a module run, there is nobody to export to.
            #[cfg(target_arch = "wasm32")]
            struct Module;

            #[cfg(target_arch = "wasm32")]
            impl $crate::bindings::Guest for Module {
                fn describe() -> ::std::vec::Vec<$crate::bindings::WorkflowDefinition> {
                    $crate::__private::describe(WORKFLOWS)
                }

                fn start(
                    workflow_type: ::std::string::String,
                    input: ::std::vec::Vec<$crate::Payload>,
                ) -> $crate::bindings::Status {
                    $crate::__private::start(WORKFLOWS, &workflow_type, input)
                }

                fn resume(events: ::std::vec::Vec<$crate::bindings::Event>) -> $crate::bindings::Status {
                    $crate::__private::resume(events)
                }

                fn answer_query(
                    query: $crate::bindings::Query,
                ) -> ::core::result::Result<
                    ::std::vec::Vec<$crate::Payload>,
                    ::std::vec::Vec<$crate::__private::FailureLink>,
                > {
                    $crate::__private::answer_query(query)
                }
            }

            #[cfg(target_arch = "wasm32")]
            $crate::bindings::export_component!(Module with_types_in $crate::bindings);
        };
    };
    () => {
        ::core::compile_error!("name the workflows to export: `export!(order_workflow, refund_workflow)`");
    };
}

/// Fails the build where two workflows of a module have one name.
pub const fn assert_names_differ(workflows: &[Entry]) {
    let mut index = 0;
    while index < workflows.len() {
        let mut other = index + 1;
        while other < workflows.len() {
            assert!(!same(workflows[index].name, workflows[other].name), "two exported workflows have the same name");
            other += 1;
        }
        index += 1;
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}
