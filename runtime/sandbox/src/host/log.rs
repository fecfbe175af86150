//! `mainspring:workflow/log`.

use super::HostState;
use crate::bindings::log::{self, Level};

impl log::Host for HostState {
    fn write(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let bytes = fields.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() + message.len();
        self.output.count(bytes, &self.limits)?;
        if level == Level::Error {
            self.output.note_exception(&fields);
        }
        if let Some(run) = &self.run
            && self.output.may_log(bytes.max(1))
        {
            let fields = fields.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ");
            let level = match level {
                Level::Trace => tracing::Level::TRACE,
                Level::Debug => tracing::Level::DEBUG,
                Level::Info => tracing::Level::INFO,
                Level::Warn => tracing::Level::WARN,
                Level::Error => tracing::Level::ERROR,
            };
            super::output::emit(run, level, &message, &fields);
        }
        Ok(())
    }
}
