//! Activities in Rust, as WebAssembly components that the Mainspring server runs itself: no worker is needed.
//!
//! An activity is an ordinary function. It may block, it sees the machine's clock, and it is tried again when it fails.
//! What it reaches of the outside is what its deployment was granted: HTTP to named hosts ([`http`]), values
//! ([`config`]), secrets that it can use and never see. By default that is nothing.
//!
//! ```
//! use mainspring_activity::prelude::*;
//!
//! fn charge_payment(amount: f64, user_id: String) -> ActivityResult<String> {
//!     if amount <= 0.0 {
//!         return Err(ApplicationFailure::new("BadAmount", "nothing to charge").non_retryable().into());
//!     }
//!     Ok(format!("{user_id} has paid {amount}"))
//! }
//!
//! mainspring_activity::export!(charge_payment);
//! ```
//!
//! With `crate-type = ["cdylib"]`, `cargo build --release --target wasm32-wasip2` makes the component, and
//! `mainspring module deploy <crate>.wasm --task-queue orders` makes the server run it.
//!
//! - Arguments are owned values that implement `serde::Deserialize`, one for each that the workflow gives; the result
//!   implements `serde::Serialize`. The function returns it, or a `Result` of it; `?` takes any error.
//! - The activity type is the function's name, or another one: `export!(charge as "charge_payment")`.
//! - A panic or a trap fails the attempt, which is then tried again by its retry policy.
//! - An attempt has an instance of its own: what is in memory is gone after it.
//! - Something long says that it lives with [`heartbeat`], which also tells when it is to stop.

pub mod bindings;
mod call;
pub mod config;
mod context;
pub mod http;
pub mod prelude;

// So that the macros' paths, which start with the crate's name, also work in this crate's own tests.
extern crate self as mainspring_activity;

pub use mainspring_workflow::{
    ApplicationFailure, Args, Bytes, Canceled, Failure, FailureKind, FromPayload, Level, OrFail, Payload, PayloadError,
    RetryPolicy, ToPayload, WorkflowError as ActivityError,
};

pub use crate::{
    call::Activity,
    context::{ActivityInfo, heartbeat, info, log},
};

/// What an activity returns. The error is made by `?` of any error: an [`ApplicationFailure`] keeps what it says,
/// [`Canceled`] ends the activity as canceled, and any other becomes a retryable failure of that type's name.
pub type ActivityResult<T> = Result<T, ActivityError>;

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::call::{definitions, run};
}

/// Makes a component of these activities: `export!(charge_payment, send_email)`. Once in a crate.
#[macro_export]
macro_rules! export {
    ($($activity:ident $(as $name:literal)?),+ $(,)?) => {
        const _: () = {
            struct Module;

            impl $crate::bindings::Guest for Module {
                fn describe() -> ::std::vec::Vec<$crate::bindings::ActivityDefinition> {
                    $crate::__private::definitions(&[$($crate::__name!($activity $(, $name)?)),+])
                }

                fn execute(
                    activity_type: ::std::string::String,
                    input: ::std::vec::Vec<$crate::Payload>,
                ) -> $crate::bindings::Outcome {
                    match activity_type.as_str() {
                        $($crate::__name!($activity $(, $name)?) => $crate::__private::run($activity, input),)+
                        // The host knows from `describe` what there is.
                        other => ::core::panic!("this module has no activity {other:?}"),
                    }
                }
            }

            // On the host, where the tests of a module run, there is nobody to export to.
            #[cfg(not(target_arch = "wasm32"))]
            const _: fn(
                ::std::string::String,
                ::std::vec::Vec<$crate::Payload>,
            ) -> $crate::bindings::Outcome = <Module as $crate::bindings::Guest>::execute;

            #[cfg(target_arch = "wasm32")]
            $crate::bindings::export_component!(Module with_types_in $crate::bindings);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __name {
    ($activity:ident) => {
        ::core::stringify!($activity)
    };
    ($activity:ident, $name:literal) => {
        $name
    };
}

/// Writes a line to the activity's log; fields, if any, come before the message.
///
/// ```no_run
/// # use mainspring_activity::prelude::*;
/// let order = 7;
/// log!(Level::Info, order = order, "charging {}", order);
/// ```
#[macro_export]
macro_rules! log {
    ($level:expr, @fields [$($fields:tt)*] $name:ident = $value:expr, $($rest:tt)+) => {
        $crate::log!($level, @fields [
            $($fields)* (::std::string::String::from(::core::stringify!($name)), ::std::string::ToString::to_string(&$value)),
        ] $($rest)+)
    };
    ($level:expr, @fields [$($fields:tt)*] $($message:tt)+) => {
        $crate::log($level, &::std::format!($($message)+), &[$($fields)*])
    };
    ($level:expr, $($rest:tt)+) => { $crate::log!($level, @fields [] $($rest)+) };
}
