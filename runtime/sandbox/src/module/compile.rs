//! Compilation with a deadline.
//!
//! A compiler cannot be interrupted. So each module is compiled on a thread of its own, which is left behind when its
//! time is up: it runs on until it is done, and its result is thrown away. It keeps its place among the
//! `compiles_at_once` meanwhile, so however many hostile modules are uploaded, no more threads than that ever compile;
//! uploads after them wait for a place, and are refused when their own time is up.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use wasmtime::{Engine, component::Component};

use crate::{ModuleError, SandboxConfig};

/// Native stack of a compiler thread: it recurses over what the module nests, which the validator bounds.
const COMPILER_STACK_BYTES: usize = 8 * 1024 * 1024;

pub struct Compilers {
    engine: Engine,
    places: Arc<Places>,
    deadline: Duration,
}

struct Places {
    taken: Mutex<usize>,
    freed: Condvar,
    max: usize,
}

/// A place among the compilers, given back when it is dropped.
struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.taken.lock() -= 1;
        self.0.freed.notify_one();
    }
}

impl Compilers {
    pub fn new(engine: &Engine, config: &SandboxConfig) -> Compilers {
        let places = Places { taken: Mutex::new(0), freed: Condvar::new(), max: config.compiles_at_once.max(1) };
        Compilers { engine: engine.clone(), places: Arc::new(places), deadline: config.compile_time }
    }

    /// Compilations that run now, those past their deadline included.
    pub fn running(&self) -> usize {
        *self.places.taken.lock()
    }

    pub fn compile(&self, bytes: &[u8]) -> Result<Component, ModuleError> {
        let until = Instant::now() + self.deadline;
        let place = self.wait_for_place(until)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let engine = self.engine.clone();
        // The thread may outlive this call, so it has bytes of its own.
        let bytes = bytes.to_vec();
        std::thread::Builder::new()
            .name("module-compiler".into())
            .stack_size(COMPILER_STACK_BYTES)
            .spawn(move || {
                let compiled = Component::from_binary(&engine, &bytes);
                drop(bytes);
                // Nobody listens any more once the deadline has passed.
                let _ = sender.send(compiled);
                drop(place);
            })
            .map_err(|error| ModuleError::Host(format!("no thread to compile on: {error}")))?;
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Ok(component)) => Ok(component),
            Ok(Err(error)) => Err(ModuleError::Invalid(format!("{error:#}"))),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(ModuleError::CompileTimeout(self.deadline)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(ModuleError::Compile("the compiler panicked".into())),
        }
    }

    fn wait_for_place(&self, until: Instant) -> Result<Place, ModuleError> {
        let mut taken = self.places.taken.lock();
        while *taken >= self.places.max {
            if self.places.freed.wait_until(&mut taken, until).timed_out() && *taken >= self.places.max {
                return Err(ModuleError::CompilersBusy(self.deadline));
            }
        }
        *taken += 1;
        Ok(Place(self.places.clone()))
    }
}
