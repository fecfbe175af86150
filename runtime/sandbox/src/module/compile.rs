//! Compilation with a deadline, in a process of its own or in this one.
//!
//! A compiler cannot be interrupted. In a process of its own (`process.rs`, what the server uses) it is killed when its
//! time is up, and what it did to memory dies with it. In this process ([`Compiler::InProcess`], for tools that compile
//! their user's own module) it has a thread of its own, which is left behind when its time is up: it runs on until it is
//! done, and its result is thrown away.
//!
//! Either way it keeps its place among the `compiles_at_once` until it has ended, so however many hostile modules are
//! uploaded, no more than that ever compile; uploads after them wait for a place, and are refused when their own time is up.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use wasmtime::Engine;

use super::process;
use crate::{Compiler, ModuleError, SandboxConfig, config::REASON_BYTES_MAX};

/// Native stack of a compiler thread: it recurses over what the module nests, which the validator bounds.
pub const COMPILER_STACK_BYTES: usize = 8 * 1024 * 1024;

pub struct Compilers {
    engine: Engine,
    places: Arc<Places>,
    deadline: Duration,
    compiler: Compiler,
    stack_bytes: usize,
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
        Compilers {
            engine: engine.clone(),
            places: Arc::new(places),
            deadline: config.compile_time,
            compiler: config.compiler.clone(),
            stack_bytes: config.stack_bytes,
        }
    }

    /// Compilations that run now, those past their deadline included.
    pub fn running(&self) -> usize {
        *self.places.taken.lock()
    }

    /// The module's compiled code, not yet loaded.
    pub fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, ModuleError> {
        let until = Instant::now() + self.deadline;
        let place = self.wait_for_place(until)?;
        match &self.compiler {
            Compiler::InProcess => self.compile_on_a_thread(bytes, place, until),
            Compiler::Process { command, memory_bytes } => {
                let limits =
                    process::Limits { memory_bytes: *memory_bytes, time: self.deadline, stack_bytes: self.stack_bytes };
                process::compile(command, &limits, bytes, until)
            }
        }
    }

    fn compile_on_a_thread(&self, bytes: &[u8], place: Place, until: Instant) -> Result<Vec<u8>, ModuleError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let engine = self.engine.clone();
        // The thread may outlive this call, so it has bytes of its own.
        let bytes = bytes.to_vec();
        std::thread::Builder::new()
            .name("module-compiler".into())
            .stack_size(COMPILER_STACK_BYTES)
            .spawn(move || {
                let compiled = precompile(&engine, &bytes);
                drop(bytes);
                // Nobody listens any more once the deadline has passed.
                let _ = sender.send(compiled);
                drop(place);
            })
            .map_err(|error| ModuleError::Host(format!("no thread to compile on: {error}")))?;
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(compiled) => compiled,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(ModuleError::CompileTimeout(self.deadline)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(panicked()),
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

/// Validates and compiles a component. A panic of the compiler is an error of this module.
pub fn precompile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, ModuleError> {
    match catch_unwind(AssertUnwindSafe(|| engine.precompile_component(bytes))) {
        Ok(Ok(code)) => Ok(code),
        Ok(Err(error)) => Err(ModuleError::Invalid(reason(format!("{error:#}")))),
        Err(_) => Err(panicked()),
    }
}

/// A reason that fits into an answer.
pub fn reason(mut text: String) -> String {
    if text.len() > REASON_BYTES_MAX {
        text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
        text.push('…');
    }
    text
}

pub fn panicked() -> ModuleError {
    ModuleError::Compile("the compiler panicked".into())
}
