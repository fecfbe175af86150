//! What an activity writes: log lines, stdout and stderr.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use super::{ActivityAccount, ActivityAttempt};
use crate::{
    config::{OUTPUT_LINE_BYTES_MAX, OUTPUT_TAIL_BYTES},
    error::GuestLimit,
    host::Fault,
};

/// The target of all lines of activities, to filter by.
const TARGET: &str = "mainspring::activity_log";
/// What a guest may write to a stream in one call.
const WRITE_BYTES: usize = 64 * 1024;

/// The output of one attempt; clones are the same output.
#[derive(Clone)]
pub struct Output {
    /// None while the module is asked for its activities: nobody's log would be the right one.
    attempt: Option<Arc<ActivityAttempt>>,
    account: Option<Arc<dyn ActivityAccount>>,
    limit: usize,
    written: Arc<Mutex<Written>>,
}

#[derive(Default)]
struct Written {
    bytes: usize,
    /// Lines that are not finished yet: of stdout, of stderr.
    partial: [Vec<u8>; 2],
    /// The end of what was written to stderr: a panic's message, if it panics.
    tail: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Channel {
    Stdout,
    Stderr,
}

impl Output {
    pub fn new(
        attempt: Option<Arc<ActivityAttempt>>,
        limit: usize,
        account: Option<Arc<dyn ActivityAccount>>,
    ) -> Output {
        Output { attempt, account, limit, written: Arc::default() }
    }

    pub fn stdout(&self) -> impl StdoutStream + 'static {
        Pipe { output: self.clone(), channel: Channel::Stdout }
    }

    pub fn stderr(&self) -> impl StdoutStream + 'static {
        Pipe { output: self.clone(), channel: Channel::Stderr }
    }

    /// A line of the activity's log.
    pub fn log(&self, level: Level, message: &str, fields: &[(String, String)]) -> Result<(), Fault> {
        let bytes = fields.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() + message.len();
        self.count(&mut self.written.lock(), bytes)?;
        let fields = fields.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ");
        self.emit(level, message, &fields);
        Ok(())
    }

    /// A line that the host writes for the activity's author.
    pub fn note(&self, message: &str) {
        self.emit(Level::WARN, message, "");
    }

    /// Logs what has no end of line yet. Called when the attempt has ended.
    pub fn finish(&self) {
        let mut written = self.written.lock();
        for channel in [Channel::Stdout, Channel::Stderr] {
            let line = std::mem::take(&mut written.partial[channel as usize]);
            self.line(channel, &line);
        }
    }

    /// What was written to stderr last, for a failure to quote.
    pub fn tail(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().tail).trim().to_owned()
    }

    fn write(&self, channel: Channel, bytes: &[u8]) -> Result<(), Fault> {
        let mut written = self.written.lock();
        self.count(&mut written, bytes.len())?;
        if matches!(channel, Channel::Stderr) {
            written.tail.extend_from_slice(bytes);
            let excess = written.tail.len().saturating_sub(OUTPUT_TAIL_BYTES);
            written.tail.drain(..excess);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let partial = &mut written.partial[channel as usize];
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || partial.len() >= OUTPUT_LINE_BYTES_MAX {
                let line = std::mem::take(partial);
                self.line(channel, &line);
            }
        }
        Ok(())
    }

    fn count(&self, written: &mut Written, bytes: usize) -> Result<(), Fault> {
        // Empty lines take work as well.
        written.bytes = written.bytes.saturating_add(bytes.max(1));
        match written.bytes > self.limit {
            true => Err(Fault::limit(
                GuestLimit::LogBytes,
                format!("the activity logs more than {} bytes, stdout and stderr included", self.limit),
            )),
            false => Ok(()),
        }
    }

    fn line(&self, channel: Channel, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end();
        if !text.is_empty() {
            match channel {
                Channel::Stdout => self.emit(Level::INFO, text, "stream=stdout"),
                Channel::Stderr => self.emit(Level::WARN, text, "stream=stderr"),
            }
        }
    }

    /// Hands one line to `tracing`, unless its owner logs too much. The macros want the level at compile time.
    fn emit(&self, level: Level, message: &str, fields: &str) {
        let Some(attempt) = &self.attempt else { return };
        let bytes = message.len() + fields.len();
        if !self.account.as_ref().is_none_or(|account| account.may_log(bytes)) {
            return;
        }
        let trace_id = attempt.trace.map(|(trace_id, _)| format!("{:032x}", u128::from_be_bytes(trace_id)));
        let span_id = attempt.trace.map(|(_, span_id)| format!("{:016x}", u64::from_be_bytes(span_id)));
        macro_rules! at {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    namespace = attempt.namespace,
                    workflow_id = attempt.workflow_id,
                    run_id = attempt.run_id,
                    activity_id = attempt.activity_id,
                    activity_type = attempt.activity_type,
                    attempt = attempt.attempt,
                    workflow_type = attempt.trace.map(|_| attempt.workflow_type.as_str()),
                    trace_id,
                    span_id,
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
}

/// One end of an [`Output`] that a guest writes to.
struct Pipe {
    output: Output,
    channel: Channel,
}

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // WASI 0.2 writes to the stream below.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Pipe { output: self.output.clone(), channel: self.channel })
    }
}

#[async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}

impl OutputStream for Pipe {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.output.write(self.channel, &bytes).map_err(|fault| StreamError::Trap(fault.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_streams_and_log_share_one_limit() {
        let output = Output::new(None, 10, None);
        assert!(output.write(Channel::Stdout, b"1234").is_ok());
        assert!(output.write(Channel::Stderr, b"1234").is_ok());
        assert!(output.log(Level::INFO, "12", &[]).is_ok());
        let fault = output.log(Level::INFO, "", &[]).unwrap_err();
        assert!(fault.message.contains("more than 10 bytes"), "{}", fault.message);
    }

    #[test]
    fn a_failure_quotes_the_end_of_stderr_only() {
        let output = Output::new(None, 100_000, None);
        output.write(Channel::Stdout, b"progress\n").unwrap();
        output.write(Channel::Stderr, &[b'x'; 2 * OUTPUT_TAIL_BYTES]).unwrap();
        output.write(Channel::Stderr, b"panicked at src/lib.rs:1\n").unwrap();
        assert_eq!(output.tail().len(), OUTPUT_TAIL_BYTES - 1);
        assert!(output.tail().ends_with("panicked at src/lib.rs:1"));
    }
}
