//! Durable workflows in Rust, as WebAssembly components that the Mainspring server runs.
//!
//! A workflow is an ordinary `async fn`. What it awaits (activities, timers, messages, other workflows) is written into the run's journal
//! by the server; after a crash the same code runs again against the journal and arrives where it was. For that it has
//! to do the same thing each time, and it cannot do otherwise: it has no network, no files and no threads, and clocks
//! and random numbers come from the journal. That goes for `std::time`, for the order of a `HashMap`, and for the crates
//! `rand`, `getrandom` and `uuid` as well.
//!
//! # A first workflow in five minutes
//!
//! Once per machine: `rustup target add wasm32-wasip2`. Then, in a new library crate:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! mainspring-workflow = { path = "…/guest-sdk/rust" }
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! ```
//! use mainspring_workflow::prelude::*;
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     amount: f64,
//!     user_id: String,
//!     email: String,
//! }
//!
//! // Activities are code outside the sandbox, in any language that Temporal has an SDK for. Here they are only declared.
//! #[activity]
//! fn charge_payment(amount: f64, user_id: String) -> String;
//!
//! #[activity]
//! fn send_email(to: String, subject: String);
//!
//! #[workflow] // clients know it as `OrderWorkflow`
//! async fn order_workflow(order: Order) -> WorkflowResult<String> {
//!     let transaction = charge_payment(order.amount, order.user_id)
//!         .start_to_close_timeout(Duration::from_secs(30))
//!         .retry_policy(RetryPolicy::default().maximum_attempts(3))
//!         .await?;
//!     send_email(order.email, format!("Paid: {transaction}"))
//!         .start_to_close_timeout(Duration::from_secs(10))
//!         .await?;
//!     Ok(transaction)
//! }
//!
//! mainspring_workflow::export!(order_workflow);
//! ```
//!
//! `cargo build --release --target wasm32-wasip2` makes the component: `target/wasm32-wasip2/release/<crate>.wasm`.
//! `mainspring module deploy <crate>.wasm --task-queue orders` makes the server run it for that task queue.
//!
//! # Where to go on
//!
//! | you want | it is |
//! | --- | --- |
//! | to call an activity | [`macro@activity`], [`activity()`], [`Activity`] for its options |
//! | to wait | [`sleep`], [`timeout`], [`wait_condition`] |
//! | several things at once | [`join!`], [`try_join!`], [`join_all`], [`select!`], [`spawn`] |
//! | messages to it | [`signals`], [`on_signal`], [`on_query`], [`on_update`], [`macro@handlers`] |
//! | other workflows | [`macro@child_workflow`], [`child_workflow()`], [`external_workflow`] |
//! | to start afresh | [`continue_as_new`], [`history`] |
//! | steps of its own | [`local_activity`], [`side_effect`] |
//! | to change it while it runs | [`patched`], [`deprecate_patch`] |
//! | to be found | [`upsert_memo`], [`upsert_search_attributes`], [`set_current_details`] |
//! | one at a time | [`Mutex`], [`Semaphore`] |
//! | to fail | [`ApplicationFailure`], [`OrFail`]; `?` on any error: [`WorkflowError`] |
//! | to be canceled | [`Canceled`], [`shielded`], [`CancellationScope`], [`canceled`] |
//! | time, chance, facts, log | [`now`], [`random`], [`uuid4`], [`info()`](info()), [`info!`](info!) |
//! | to test it | [`testing`] |
//!
//! # When things begin
//!
//! An activity, a timer, a child workflow or a message to another workflow begins when it is awaited, when its `start()`
//! or `send()` is called, or when it is handed to `join!`, `join_all`, `select!`, `timeout` or a scope; before that it is
//! only a description. An `async` block, and so a local activity, begins when it is first polled, like everywhere in Rust.
//!
//! # Messages
//!
//! Signals are read as a stream, or handled by closures like queries and updates; or the methods of the workflow's state
//! are its handlers, by [`macro@handlers`]. A handler that is async is a routine beside the others: it moves when the main
//! routine waits, and it ends with it.
//!
//! ```
//! use std::{cell::RefCell, rc::Rc};
//!
//! use mainspring_workflow::prelude::*;
//!
//! #[workflow]
//! async fn approval(needed: usize) -> WorkflowResult<Vec<String>> {
//!     let approvers = Rc::new(RefCell::new(Vec::new()));
//!     on_query("approvers", {
//!         let approvers = approvers.clone();
//!         move || approvers.borrow().clone()
//!     });
//!     on_update("approve", {
//!         let approvers = approvers.clone();
//!         move |name: String| {
//!             approvers.borrow_mut().push(name);
//!             approvers.borrow().len()
//!         }
//!     })
//!     .validator({
//!         let approvers = approvers.clone();
//!         move |name: String| {
//!             if approvers.borrow().contains(&name) {
//!                 return Err(ApplicationFailure::new("Twice", format!("{name} has approved already")));
//!             }
//!             Ok(())
//!         }
//!     });
//!     wait_condition(|| approvers.borrow().len() >= needed).timeout(Duration::from_secs(7 * 24 * 3600)).await??;
//!     Ok(approvers.take())
//! }
//! ```
//!
//! What a handler may do, and what it may not, is told with [`on_query`],
//! [`on_signal`] and [`on_update`].
//!
//! # Panics
//!
//! A panic is a bug, not a failure: it fails the workflow *task*, with the message and the place in the source, and the
//! server tries the task again. The run is not lost. To fail the *workflow*, return an error.
//!
//! # Inside
//!
//! `runtime` holds the run and applies events, `operation` what it has started, `handler` the closures that answer
//! messages; `executor` runs tasks in the order in which they were woken, `host` is what the host is asked for. Each other module is one thing that an author uses. Unsafe code is only in the generated
//! [`bindings`].

mod activity;
mod attributes;
pub mod bindings;
mod cancellation;
mod child;
mod child_error;
mod condition;
mod continue_as_new;
mod conversions;
mod error;
mod executor;
mod external;
mod failure;
mod guest;
mod handler;
mod host;
mod info;
mod join;
mod local_activity;
mod log;
mod metadata;
mod operation;
mod payload;
pub mod prelude;
mod query;
mod random;
mod retry;
mod runtime;
mod select;
mod signal;
mod sync;
mod task;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod time;
mod timer;
mod update;
mod versioning;
mod workflow;

#[cfg(test)]
mod tests;

// So that the macros' paths, which start with the crate's name, also work in this crate's own tests.
extern crate self as mainspring_workflow;

pub use mainspring_workflow_macros::{activity, child_workflow, handlers, workflow};

pub use crate::{
    activity::{Activity, ActivityHandle, ActivityOptions, CancellationType, activity},
    attributes::{Memo, SearchAttributes, upsert_memo, upsert_search_attributes},
    cancellation::{CancelRequested, CancellationScope, Scoped, cancel_reason, canceled, shielded},
    child::{
        ChildCancellationType, ChildExecution, ChildHandle, ChildWorkflow, ChildWorkflowOptions, ParentClosePolicy,
        StartingChild, WorkflowIdReusePolicy, child_workflow,
    },
    child_error::ChildWorkflowError,
    condition::{Condition, wait_condition},
    continue_as_new::{ContinueAsNew, continue_as_new},
    error::{ActivityError, Canceled, Elapsed, OrFail, WorkflowError, WorkflowResult},
    external::{
        CancelWorkflow, ExternalWorkflow, ExternalWorkflowError, SentMessage, SignalWorkflow, external_workflow,
    },
    failure::{
        ActivityFailureInfo, ApplicationFailure, ApplicationFailureInfo, ChildWorkflowFailureInfo, Failure,
        FailureKind, RetryState, TimeoutFailureInfo, TimeoutType,
    },
    handler::{
        Args, DynamicHandler, DynamicSyncHandler, FromArgs, Handler, HandlerOutput, Handlers, Shared, SyncHandler,
        UnfinishedPolicy,
    },
    host::Operation,
    info::{HistoryInfo, ParentInfo, WorkflowExecution, WorkflowInfo, history, info},
    join::{JoinAll, join_all, try_join_all},
    local_activity::{LocalActivity, LocalBody, local_activity},
    log::{Level, write as write_log},
    metadata::{current_details, set_current_details},
    payload::{Bytes, FromPayload, Payload, PayloadError, ToPayload},
    query::{QueryHandler, on_dynamic_query, on_query},
    random::{Random, random, uuid4},
    retry::RetryPolicy,
    signal::{Next, SignalHandler, Signals, on_dynamic_signal, on_signal, signals},
    sync::{Acquire, Mutex, MutexGuard, Semaphore, SemaphorePermit},
    task::{JoinHandle, spawn},
    time::now,
    timer::{Sleep, Timeout, TimeoutExt, Timer, sleep, timeout},
    update::{UpdateHandler, UpdateInfo, all_handlers_finished, current_update, on_dynamic_update, on_update},
    versioning::{deprecate_patch, patched, side_effect},
    workflow::Workflow,
};

/// Code that must not compile; the messages are tested where they are made, in the macros' crate.
///
/// ```compile_fail
/// use mainspring_workflow::prelude::*;
/// #[workflow]
/// fn not_async() -> WorkflowResult<()> { Ok(()) }
/// ```
/// ```compile_fail,E0277
/// use mainspring_workflow::prelude::*;
/// struct NotDeserialize;
/// #[workflow]
/// async fn unreadable(argument: NotDeserialize) -> WorkflowResult<()> { Ok(()) }
/// ```
/// ```compile_fail,E0277
/// use mainspring_workflow::prelude::*;
/// #[workflow]
/// async fn no_result_type() -> String { String::new() }
/// ```
/// ```compile_fail,E0277
/// use mainspring_workflow::prelude::*;
/// struct NotSerialize;
/// #[workflow]
/// async fn unsendable() -> WorkflowResult<NotSerialize> { Ok(NotSerialize) }
/// ```
/// ```compile_fail,E0277
/// use mainspring_workflow::prelude::*;
/// struct NotSerialize;
/// #[activity]
/// fn charge(argument: NotSerialize);
/// ```
/// ```compile_fail
/// use mainspring_workflow::prelude::*;
/// #[activity]
/// fn charge(amount: f64) -> String { String::new() }
/// ```
/// ```compile_fail,E0277
/// use mainspring_workflow::prelude::*;
/// on_query("async", async || 1);
/// ```
/// ```compile_fail,E0277
/// use mainspring_workflow::prelude::*;
/// struct NotDeserialize;
/// on_signal("unreadable", |argument: NotDeserialize| {});
/// ```
/// ```compile_fail
/// use mainspring_workflow::prelude::*;
/// #[child_workflow]
/// fn ship(order: u64) -> String { String::new() }
/// ```
/// ```compile_fail,E0425
/// use mainspring_workflow::prelude::*;
/// async fn forgot_the_attribute() -> WorkflowResult<()> { Ok(()) }
/// mainspring_workflow::export!(forgot_the_attribute);
/// ```
/// ```compile_fail,E0080
/// use mainspring_workflow::prelude::*;
/// #[workflow(name = "Same")]
/// async fn one() -> WorkflowResult<()> { Ok(()) }
/// #[workflow(name = "Same")]
/// async fn two() -> WorkflowResult<()> { Ok(()) }
/// mainspring_workflow::export!(one, two);
/// ```
#[cfg(doctest)]
pub struct MustNotCompile;

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::{
        bindings::mainspring::workflow::types::FailureLink,
        child::child_of_type,
        conversions::{args, failure_links, retry_policy_from_wit},
        guest::{answer_query, describe, resume, start},
        join::{Join, TryJoin},
        select::{Race, Winner},
        time::{datetime_from_wit, duration_from_wit},
        workflow::{Arguments, Entry, WorkflowFuture, WorkflowOutput, assert_names_differ},
    };
}
