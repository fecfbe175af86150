//! The workflow's log. The host writes nothing while a run is replayed, so each line appears once.

use crate::runtime::Runtime;

pub use crate::bindings::mainspring::workflow::log::Level;

/// Writes a line. The macros [`trace!`](crate::trace), [`debug!`](crate::debug), [`info!`](crate::info!),
/// [`warn!`](crate::warn) and [`error!`](crate::error) are shorter.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    Runtime::current().host().log(level, message, fields);
}

/// Writes a line at the level that is named first; fields, if any, come before the message.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// let (order, attempt) = (7, 2);
/// log!(Level::Info, order = order, attempt = attempt, "charging {}", order);
/// info!(order = order, "the same, shorter");
/// ```
#[macro_export]
macro_rules! log {
    ($level:expr, @fields [$($fields:tt)*] $name:ident = $value:expr, $($rest:tt)+) => {
        $crate::log!($level, @fields [
            $($fields)* (::std::string::String::from(::core::stringify!($name)), ::std::string::ToString::to_string(&$value)),
        ] $($rest)+)
    };
    ($level:expr, @fields [$($fields:tt)*] $($message:tt)+) => {
        $crate::write_log($level, &::std::format!($($message)+), &[$($fields)*])
    };
    ($level:expr, $($rest:tt)+) => { $crate::log!($level, @fields [] $($rest)+) };
}

/// A [`log!`] line of the level trace.
#[macro_export]
macro_rules! trace {
    ($($line:tt)+) => { $crate::log!($crate::Level::Trace, $($line)+) };
}

/// A [`log!`] line of the level debug.
#[macro_export]
macro_rules! debug {
    ($($line:tt)+) => { $crate::log!($crate::Level::Debug, $($line)+) };
}

/// A [`log!`] line of the level info.
#[macro_export]
macro_rules! info {
    ($($line:tt)+) => { $crate::log!($crate::Level::Info, $($line)+) };
}

/// A [`log!`] line of the level warn.
#[macro_export]
macro_rules! warn {
    ($($line:tt)+) => { $crate::log!($crate::Level::Warn, $($line)+) };
}

/// A [`log!`] line of the level error.
#[macro_export]
macro_rules! error {
    ($($line:tt)+) => { $crate::log!($crate::Level::Error, $($line)+) };
}
