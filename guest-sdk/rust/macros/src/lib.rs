//! The attribute macros of `mainspring-workflow`, which re-exports and explains them.
//!
//! They generate little, and what they check is what the compiler's own message would leave unclear.

mod activity;
mod child_workflow;
mod handlers;
mod stub;
mod workflow;

use proc_macro::TokenStream;
use syn::{LitStr, parse::Parser};

/// Makes a workflow of an `async fn`, known to clients by the function's name in Pascal case: `order_workflow` is the
/// workflow type `OrderWorkflow`. `#[workflow(name = "…")]` gives it another name.
///
/// The arguments are the values that the client sent, one each; an `Option` may be missing. They are owned, and
/// implement `serde::Deserialize`. The function returns a `WorkflowResult<T>` with `T: serde::Serialize`.
///
/// Beside the function comes a type of its name, for other workflows of the module to start it as a child, and for itself
/// to go on in a new run: `order_workflow::child(order)` gives a `ChildWorkflow<T>`, and
/// `order_workflow::continue_as_new(order)` a `ContinueAsNew`. The arguments must implement `serde::Serialize` for that.
#[proc_macro_attribute]
pub fn workflow(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand(attribute, |name| workflow::expand(name, item.into()))
}

/// Makes a stub of a function without a body: calling it gives an `Activity` of what it is declared to return. The
/// activity type is the function's name as it stands, or that of `#[activity(name = "…")]`.
#[proc_macro_attribute]
pub fn activity(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand(attribute, |name| activity::STUB.expand(name, item.into()))
}

/// Makes a stub of a function without a body, for a workflow of another module or language: calling it gives a
/// `ChildWorkflow` of what it is declared to return. The workflow type is the function's name in Pascal case, or that of
/// `#[child_workflow(name = "…")]`. A workflow of the same module needs none: see `#[workflow]`.
#[proc_macro_attribute]
pub fn child_workflow(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand(attribute, |name| child_workflow::STUB.expand(name, item.into()))
}

/// Makes message handlers of the methods of a workflow's state: those above which `#[query]`, `#[signal]` or `#[update]`
/// stands. The type gets the method `register` (of the trait `Handlers`), which begins to listen and gives the state as
/// a `Shared<Self>`, an `Rc<RefCell<Self>>`.
///
/// - A query takes `&self`, and is not async.
/// - A signal or an update takes `&mut self`; or, if it is async, `state: Shared<Self>`.
/// - Further arguments are the message's. The message's name is the method's, or that of `#[query(name = "…")]`; its
///   description is the first paragraph of the method's documentation.
/// - `#[update(validator = check)]` asks the method `check` first, which takes `&self` and the same arguments.
///
/// No routine may hold a borrow of the state while it waits, or the next handler panics.
#[proc_macro_attribute]
pub fn handlers(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = if attribute.is_empty() {
        handlers::expand(item.into())
    } else {
        Err(syn::Error::new(proc_macro2::Span::call_site(), "`#[handlers]` has no options"))
    };
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}

fn expand(
    attribute: TokenStream,
    item: impl FnOnce(Option<LitStr>) -> syn::Result<proc_macro2::TokenStream>,
) -> TokenStream {
    parse_name(attribute).and_then(item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// The only option: `name = "…"`.
fn parse_name(attribute: TokenStream) -> syn::Result<Option<LitStr>> {
    let mut name: Option<LitStr> = None;
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("name") {
            return Err(meta.error("the only option is `name = \"…\"`"));
        }
        let value: LitStr = meta.value()?.parse()?;
        if value.value().is_empty() {
            return Err(syn::Error::new(value.span(), "the name is empty"));
        }
        name = Some(value);
        Ok(())
    });
    parser.parse(attribute)?;
    Ok(name)
}
