//! The clock that stops guests which take too much real time: one thread for each sandbox.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
};

use wasmtime::Engine;

use crate::{SandboxError, config::EPOCH_TICK};

/// The clock's thread. It ends with the sandbox.
pub struct EpochClock {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EpochClock {
    pub fn start(engine: &Engine) -> Result<EpochClock, SandboxError> {
        let (stop, stopped) = mpsc::channel();
        let engine = engine.clone();
        let tick = move || {
            while stopped.recv_timeout(EPOCH_TICK) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        };
        let thread = thread::Builder::new().name("sandbox-clock".into()).spawn(tick);
        let thread = thread.map_err(|error| SandboxError::Thread(error.to_string()))?;
        Ok(EpochClock { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for EpochClock {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
