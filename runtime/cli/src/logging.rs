//! Log lines, on stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// Which lines are written, in every verb.
pub const FILTER_VARIABLE: &str = "MAINSPRING_LOG";

/// Logging of a verb that has no settings of its own.
pub fn start_client() {
    let filter = std::env::var(FILTER_VARIABLE).ok();
    start(filter.as_deref().unwrap_or("info"), false);
}

/// Starts logging. A filter that cannot be read is said, and replaced by the default.
pub fn start(filter: &str, as_json: bool) {
    let parsed = EnvFilter::try_new(filter);
    let problem = parsed.as_ref().err().map(ToString::to_string);
    let filter_or_default = parsed.unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter_or_default)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // It fails where a subscriber is set already, which then serves as well.
    let _ = if as_json { subscriber.json().try_init() } else { subscriber.try_init() };
    if let Some(problem) = problem {
        tracing::warn!(filter, problem, "the log filter cannot be read; using \"info\"");
    }
}
