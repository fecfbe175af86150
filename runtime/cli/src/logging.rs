//! Log lines, on stderr.

use std::io::{self, IsTerminal as _};

use mainspring_server::LogTap;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Which lines are written, in every verb.
pub const FILTER_VARIABLE: &str = "MAINSPRING_LOG";

/// Logging of a verb that has no settings of its own.
pub fn start_client() {
    let filter = std::env::var(FILTER_VARIABLE).ok();
    start(filter.as_deref().unwrap_or("info"), false, &LogTap::default());
}

/// Starts logging, on stderr and to `tap`. A filter that cannot be read is said, and replaced by the default.
pub fn start(filter: &str, as_json: bool, tap: &LogTap) {
    let parsed = EnvFilter::try_new(filter);
    let problem = parsed.as_ref().err().map(ToString::to_string);
    let filter_or_default = parsed.unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines = if as_json { lines.json().boxed() } else { lines.boxed() };
    // It fails where a subscriber is set already, which then serves as well.
    let _ = tracing_subscriber::registry().with(lines).with(tap.layer()).with(filter_or_default).try_init();
    if let Some(problem) = problem {
        tracing::warn!(filter, problem, "the log filter cannot be read; using \"info\"");
    }
}
