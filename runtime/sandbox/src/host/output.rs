//! What a guest writes: log lines, stdout and stderr.
//!
//! Bytes are counted in replay as they were live, so that the limit is met at the same place; only then are they
//! thrown away.

use std::{fmt, sync::Arc};

use tracing::Level;

use super::{Fault, RunFacts};
use crate::{
    Account, GuestLimits,
    config::{OUTPUT_LINE_BYTES_MAX, OUTPUT_TAIL_BYTES},
    error::GuestLimit,
};

/// The target of all lines of workflows, to filter by.
const TARGET: &str = "mainspring::workflow_log";

/// Where a guest writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Stdout,
    Stderr,
}

/// An exception of the guest's language, as it was logged: the fields are those that OpenTelemetry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    pub type_name: String,
    pub message: String,
    pub stack_trace: String,
}

/// The output of one instance.
#[derive(Default)]
pub struct Output {
    live: bool,
    /// Who says how much may be logged.
    account: Option<Arc<dyn Account>>,
    bytes: usize,
    /// Lines that are not finished yet.
    partial: [Vec<u8>; 2],
    /// The end of what this activation wrote to stderr: a panic's message, if it panics.
    tail: Vec<u8>,
    /// The last exception that this activation logged as an error: why it traps, if it traps.
    exception: Option<Exception>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("live", &self.live).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Output {
    pub fn set_account(&mut self, account: Option<Arc<dyn Account>>) {
        self.account = account;
    }

    /// Whether a line of so many bytes is to be logged: live, and within what its owner may log.
    pub fn may_log(&self, bytes: usize) -> bool {
        self.live && may_log(self.account.as_deref(), bytes)
    }

    pub fn begin_activation(&mut self, live: bool) {
        self.live = live;
        self.bytes = 0;
        self.tail.clear();
        self.exception = None;
    }

    pub fn end_activation(&mut self, run: Option<&RunFacts>) {
        for (channel, partial) in [Channel::Stdout, Channel::Stderr].into_iter().zip(&mut self.partial) {
            write_line(run.filter(|_| self.live), self.account.as_deref(), channel, partial);
            *partial = Vec::new();
        }
        self.tail = Vec::new();
        self.exception = None;
    }

    /// Keeps what an error line says of an exception. The limit on what is logged bounds it.
    pub fn note_exception(&mut self, fields: &[(String, String)]) {
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        if let Some(type_name) = field("exception.type") {
            self.exception = Some(Exception {
                type_name,
                message: field("exception.message").unwrap_or_default(),
                stack_trace: field("exception.stacktrace").unwrap_or_default(),
            });
        }
    }

    /// The exception that this activation logged last.
    pub fn exception(&self) -> Option<&Exception> {
        self.exception.as_ref()
    }

    pub fn count(&mut self, bytes: usize, limits: &GuestLimits) -> Result<(), Fault> {
        // Empty lines take work as well.
        self.bytes = self.bytes.saturating_add(bytes.max(1));
        if self.bytes > limits.log_bytes_per_activation {
            return Err(Fault::limit(
                GuestLimit::LogBytes,
                format!(
                    "the workflow logs more than {} bytes in one activation, stdout and stderr included",
                    limits.log_bytes_per_activation
                ),
            ));
        }
        Ok(())
    }

    pub fn write(
        &mut self,
        run: Option<&RunFacts>,
        channel: Channel,
        bytes: &[u8],
        limits: &GuestLimits,
    ) -> Result<(), Fault> {
        self.count(bytes.len(), limits)?;
        if channel == Channel::Stderr {
            self.tail.extend_from_slice(bytes);
            let excess = self.tail.len().saturating_sub(OUTPUT_TAIL_BYTES);
            self.tail.drain(..excess);
        }
        let live_run = run.filter(|_| self.live);
        if live_run.is_none() {
            return Ok(());
        }
        let partial = &mut self.partial[channel as usize];
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || partial.len() >= OUTPUT_LINE_BYTES_MAX {
                write_line(live_run, self.account.as_deref(), channel, partial);
                partial.clear();
            }
        }
        Ok(())
    }

    /// What the activation wrote to stderr last, for a failure to quote.
    pub fn tail(&self) -> String {
        String::from_utf8_lossy(&self.tail).trim().to_owned()
    }
}

fn may_log(account: Option<&dyn Account>, bytes: usize) -> bool {
    account.is_none_or(|account| account.may_log(bytes))
}

fn write_line(run: Option<&RunFacts>, account: Option<&dyn Account>, channel: Channel, line: &[u8]) {
    let Some(run) = run else { return };
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    if !text.is_empty() && may_log(account, text.len()) {
        match channel {
            Channel::Stdout => emit(run, Level::INFO, text, "stream=stdout"),
            Channel::Stderr => emit(run, Level::WARN, text, "stream=stderr"),
        }
    }
}

/// Hands one line to `tracing`. Its macros want the level at compile time.
pub fn emit(run: &RunFacts, level: Level, message: &str, fields: &str) {
    let labels = run.labels.as_ref();
    macro_rules! at {
        ($level:expr) => {
            tracing::event!(
                target: TARGET,
                $level,
                namespace = run.key.namespace,
                workflow_id = run.key.workflow_id,
                run_id = run.key.run_id,
                workflow_type = run.workflow_type(),
                module = labels.map(|labels| labels.module.as_str()),
                trace_id = labels.map(|labels| labels.trace_id.as_str()),
                span_id = labels.map(|labels| labels.span_id.as_str()),
                fields,
                "{message}"
            )
        };
    }
    match level {
        Level::TRACE => at!(Level::TRACE),
        Level::DEBUG => at!(Level::DEBUG),
        Level::INFO => at!(Level::INFO),
        Level::WARN => at!(Level::WARN),
        Level::ERROR => at!(Level::ERROR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(log_bytes_per_activation: usize) -> GuestLimits {
        GuestLimits { log_bytes_per_activation, ..GuestLimits::default() }
    }

    #[test]
    fn the_limit_is_the_same_live_and_in_replay() {
        for live in [true, false] {
            let mut output = Output::default();
            output.begin_activation(live);
            assert!(output.write(None, Channel::Stdout, b"12345678", &limits(10)).is_ok());
            assert!(output.count(2, &limits(10)).is_ok());
            assert!(output.count(0, &limits(10)).is_err());
            output.begin_activation(live);
            assert!(output.count(10, &limits(10)).is_ok());
        }
    }

    #[test]
    fn an_exception_is_known_until_its_activation_ends() {
        let mut output = Output::default();
        output.begin_activation(false);
        output.note_exception(&[("user".into(), "ann".into())]);
        assert_eq!(output.exception(), None);
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        output.note_exception(&[field("exception.type", "TypeError"), field("exception.message", "no such thing")]);
        let exception = output.exception().unwrap();
        assert_eq!((exception.type_name.as_str(), exception.message.as_str()), ("TypeError", "no such thing"));
        assert_eq!(exception.stack_trace, "");
        output.end_activation(None);
        assert_eq!(output.exception(), None);
    }

    #[test]
    fn a_failure_quotes_the_end_of_stderr_only() {
        let mut output = Output::default();
        output.begin_activation(false);
        output.write(None, Channel::Stdout, b"progress", &limits(100_000)).unwrap();
        output.write(None, Channel::Stderr, &[b'x'; 2 * OUTPUT_TAIL_BYTES], &limits(100_000)).unwrap();
        output.write(None, Channel::Stderr, b"panicked at src/lib.rs:1\n", &limits(100_000)).unwrap();
        assert_eq!(output.tail().len(), OUTPUT_TAIL_BYTES - 1);
        assert!(output.tail().ends_with("panicked at src/lib.rs:1"));
    }
}
