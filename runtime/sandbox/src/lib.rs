//! Runs workflows that are WebAssembly components.
//!
//! A [`Sandbox`] accepts modules ([`Sandbox::load`]), runs one workflow task of a run at a time
//! ([`Sandbox::activate`]) and replays whole histories ([`Sandbox::replay`]).

mod config;
mod digest;
mod error;
mod task;

pub use config::{GuestLimits, SandboxConfig};
pub use digest::{Digest, DigestParseError};
pub use error::{GuestLimit, ModuleError, SandboxError, TaskFailure, TaskFailureKind};
use mainspring_api::history::HistoryEvent;
pub use task::{
    Activated, History, ModuleBytes, ModuleDescription, ModuleSource, ReplayReport, RunKey, SandboxStats, WorkflowTask,
};

/// The sandbox. Cheap to clone; all clones share modules and instances.
#[derive(Clone)]
pub struct Sandbox {}

impl Sandbox {
    pub fn new(config: SandboxConfig) -> Result<Sandbox, SandboxError> {
        let _ = config::engine_config(&config);
        Ok(Sandbox {})
    }

    /// Validates, compiles (bounded in size and time), instantiates once to call `describe`. Slow: call it off the request path.
    pub fn load(&self, _bytes: &[u8]) -> Result<ModuleDescription, ModuleError> {
        Err(ModuleError::Host("not built yet".into()))
    }

    /// Runs one workflow task of a run whose last event is the WorkflowTaskStarted.
    pub fn activate(&self, _task: &WorkflowTask<'_>) -> Result<Activated, TaskFailure> {
        Err(TaskFailure::new(TaskFailureKind::Host, "not built yet"))
    }

    /// Forgets a run's instance. Always safe.
    pub fn evict(&self, _run: &RunKey) {}

    /// Runs a whole history (offline or for verification) on a module and compares every command; nothing is cached.
    pub fn replay(
        &self,
        _module: &ModuleSource<'_>,
        _run: &RunKey,
        _history: &[HistoryEvent],
    ) -> Result<ReplayReport, TaskFailure> {
        Err(TaskFailure::new(TaskFailureKind::Host, "not built yet"))
    }

    pub fn stats(&self) -> SandboxStats {
        SandboxStats::default()
    }
}
