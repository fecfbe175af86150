//! What the engine hands to the sandbox, and what it gets back.

use std::time::Duration;

use mainspring_api::{command::Command, history::HistoryEvent, protocol::Message, update::Request};

use crate::{Digest, Terms};

/// What a run is known by. The namespace is part of it: two tenants never share an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunKey {
    pub namespace: String,
    pub workflow_id: String,
    pub run_id: String,
}

/// One workflow task of a run whose last event is the WorkflowTaskStarted.
#[derive(Clone, Copy)]
pub struct WorkflowTask<'a> {
    pub run: &'a RunKey,
    /// The module that the run is pinned to.
    pub module: Digest,
    /// The attempt of this workflow task, from 1. Only for the log: what a guest does must not depend on it.
    pub attempt: i32,
    /// The id of the WorkflowTaskStarted.
    pub started_event_id: i64,
    /// The updates to deliver, in their order.
    pub updates: &'a [Request],
    pub history: &'a dyn History,
    pub modules: &'a dyn ModuleBytes,
    /// What holds for the run; none where nothing but the sandbox's own limits does.
    pub terms: Option<&'a Terms>,
}

/// A run to ask a question, at the end of its journal.
#[derive(Clone, Copy)]
pub struct QueriedRun<'a> {
    pub run: &'a RunKey,
    /// The module that the run is pinned to.
    pub module: Digest,
    pub history: &'a dyn History,
    pub modules: &'a dyn ModuleBytes,
    /// As in a [`WorkflowTask`].
    pub terms: Option<&'a Terms>,
}

/// A run's journal.
pub trait History {
    /// The events after this one, in order; 0 asks for all. Of a task, the last one is its WorkflowTaskStarted.
    fn events_after(&self, event_id: i64) -> Result<Vec<HistoryEvent>, String>;
}

/// Where the bytes of modules are.
pub trait ModuleBytes {
    /// The module with this digest, or none where the store has none. Asked only when the module is neither in memory
    /// nor in the compiled cache.
    fn module_bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String>;
}

/// What a workflow task came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Activated {
    /// In the order in which the module issued them; the one that closes the run, if any, is the last.
    pub commands: Vec<Command>,
    /// What the commands that only point at messages point at, and the updates that were rejected.
    pub messages: Vec<Message>,
    /// Fuel that the live activation used.
    pub fuel_used: u64,
    /// Events that had to be replayed to get there: 0 where the cached instance stood at the right place.
    pub replayed_events: u64,
    /// Whether the run's instance was in the cache and was used.
    pub cached: bool,
}

/// A module to replay a history on.
pub enum ModuleSource<'a> {
    /// The file's bytes. It goes through the same checks as an upload.
    Bytes(&'a [u8]),
    /// A module that the server has.
    Stored { digest: Digest, modules: &'a dyn ModuleBytes },
}

/// What a replay that succeeded saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayReport {
    /// Events of the history.
    pub events: u64,
    /// Activations that were run again.
    pub activations: u64,
    /// Commands that were compared, and were equal byte for byte.
    pub commands: u64,
    /// The digest that the history names, the latest where they differ; none where no workflow task was completed.
    pub recorded_digest: Option<String>,
    /// The digest of the module that was run.
    pub module_digest: Digest,
    /// Fuel of all activations together.
    pub fuel_used: u64,
}

impl ReplayReport {
    /// Whether the history was made by the very module that it was replayed on.
    pub fn same_module(&self) -> bool {
        self.recorded_digest.as_deref() == Some(self.module_digest.to_string().as_str())
    }
}

/// What a module holds. Its exports tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModuleKind {
    Workflows,
    Activities,
}

impl ModuleKind {
    pub(crate) fn one(self) -> &'static str {
        match self {
            ModuleKind::Workflows => "a workflow",
            ModuleKind::Activities => "an activity",
        }
    }

    pub(crate) fn many(self) -> &'static str {
        match self {
            ModuleKind::Workflows => "workflows",
            ModuleKind::Activities => "activities",
        }
    }

    pub(crate) fn world(self) -> &'static str {
        match self {
            ModuleKind::Workflows => "workflow/workflow",
            ModuleKind::Activities => "activity/activities",
        }
    }
}

/// A module that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleDescription {
    pub digest: Digest,
    pub size_bytes: u64,
    /// In the order in which the module names them.
    pub workflow_types: Vec<String>,
    /// The same. A module has either workflows or activities.
    pub activity_types: Vec<String>,
    /// The interfaces that it imports, sorted.
    pub imports: Vec<String>,
    /// What it was written in, as far as the file tells; empty where it does not. A guess.
    pub language: String,
}

/// What the cached instances of one namespace take.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CacheUsage {
    pub instances: usize,
    /// Their estimated private memory, in bytes.
    pub bytes: usize,
    /// That memory, times how long it was held, since the start.
    pub byte_seconds: f64,
    /// Instances dropped for want of room, since the start.
    pub evicted: u64,
}

impl ModuleDescription {
    pub fn kind(&self) -> ModuleKind {
        if self.activity_types.is_empty() { ModuleKind::Workflows } else { ModuleKind::Activities }
    }
}

/// What the sandbox holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SandboxStats {
    pub cached_instances: usize,
    /// Estimated private memory of the cached instances, in bytes.
    pub cached_instance_bytes: usize,
    /// Instances dropped from the cache for want of room, since the start.
    pub evicted_instances: u64,
    /// Instances made for runs since the start, replays included.
    pub instantiations: u64,
    /// What making them took, all together; running them is not in it.
    pub instantiation_time: Duration,
    /// Compiled modules in memory.
    pub loaded_modules: usize,
    /// Modules being compiled, those past their deadline included.
    pub compiling: usize,
}
