//! What can go wrong, in words for the people who have to do something about it.

use std::{fmt, time::Duration};

use mainspring_api::{
    enums::WorkflowTaskFailedCause,
    failure::{ApplicationFailureInfo, Failure, failure::FailureInfo},
};

use crate::{Digest, ModuleKind};

/// The sandbox could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    #[error("the wasm engine does not start: {0}")]
    Engine(String),
    #[error("the directory for compiled modules, {path}, cannot be used: {reason}")]
    CacheDir { path: String, reason: String },
    #[error("the sandbox's clock thread does not start: {0}")]
    Thread(String),
}

/// A module was refused. The text is for the person who uploaded it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    #[error("the module has {bytes} bytes; the limit is {limit}")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("this is not a wasm file: it does not begin with \"\\0asm\"")]
    NotWasm,
    #[error(
        "this is a core module, not a component: build with --target wasm32-wasip2, or make a component of it with \
         `wasm-tools component new`"
    )]
    CoreModule,
    #[error("the wasm file is cut short: {0}")]
    Truncated(String),
    #[error("the wasm file is not valid: {0}")]
    Invalid(String),
    #[error("the module has {what}: {count}; the limit is {limit}")]
    TooComplex { what: &'static str, count: u64, limit: u64 },
    /// The imports that nothing here provides, by name.
    #[error("the module imports what {} cannot have: {}", kind.one(), first(imports))]
    UnknownImports { kind: ModuleKind, imports: Vec<String> },
    /// An import or export has the right name and the wrong type.
    #[error("the module does not fit the world mainspring:{kind}@0.1.0: {problem}", kind = kind.world())]
    WrongType { kind: ModuleKind, problem: String },
    /// The exports of the world that the module lacks, by name.
    #[error(
        "the module does not export {}, which every module of {} does (world mainspring:{}@0.1.0)",
        exports.join(", "), kind.many(), kind.world()
    )]
    MissingExports { kind: ModuleKind, exports: Vec<String> },
    #[error("compiling the module took longer than {} s", .0.as_secs_f64())]
    CompileTimeout(Duration),
    #[error("compiling the module needs more than {} MiB of memory", .0 / (1024 * 1024))]
    CompileMemory(u64),
    #[error("no compiler was free within {} s: try again later", .0.as_secs_f64())]
    CompilersBusy(Duration),
    #[error("the module cannot be compiled: {0}")]
    Compile(String),
    /// Instantiating the module or calling `describe` failed.
    #[error("the module cannot tell what it holds: {0}")]
    Describe(String),
    #[error("the module holds no workflow: `describe` returned an empty list")]
    NoWorkflows,
    #[error("the module holds no activity: `describe` returned an empty list")]
    NoActivities,
    #[error("the module names a type badly: {0}")]
    BadType(String),
    #[error("the sandbox failed: {0}")]
    Host(String),
}

impl ModuleError {
    /// Whether the same bytes may be accepted at another time: nothing is wrong with them.
    pub fn is_transient(&self) -> bool {
        matches!(self, ModuleError::CompilersBusy(_) | ModuleError::Host(_))
    }
}

/// The first of these names, and how many more there are: an error has to fit into an answer.
fn first(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

/// What a guest asked too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuestLimit {
    Memory,
    Table,
    Stack,
    Fuel,
    Time,
    Commands,
    CommandBytes,
    LogBytes,
    /// What one host call carries: bytes lifted from the guest, random bytes asked for, links of a failure.
    CallBytes,
}

impl GuestLimit {
    /// The type of the failure that this limit causes.
    pub fn failure_type(self) -> &'static str {
        match self {
            GuestLimit::Memory => "MemoryLimitExceeded",
            GuestLimit::Table => "TableLimitExceeded",
            GuestLimit::Stack => "StackLimitExceeded",
            GuestLimit::Fuel => "FuelLimitExceeded",
            GuestLimit::Time => "TimeLimitExceeded",
            GuestLimit::Commands => "CommandLimitExceeded",
            GuestLimit::CommandBytes => "CommandBytesLimitExceeded",
            GuestLimit::LogBytes => "LogLimitExceeded",
            GuestLimit::CallBytes => "CallBytesLimitExceeded",
        }
    }
}

/// What kind of trouble a workflow task met.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskFailureKind {
    /// The module does not do what the journal says that it did. `event_id` is the first event that differs.
    Nondeterminism { event_id: i64, expected: String, actual: String },
    /// The guest trapped: a panic, an abort, a division by zero.
    Trap,
    /// The guest trapped, and said before that an exception of this type, in the words of its language, is why.
    Exception { type_name: String },
    /// The guest asked for more than it may have.
    Limit(GuestLimit),
    /// The guest called what a workflow may not call, or called it with arguments that make no sense.
    BadCall,
    /// The module holds no workflow of the run's type.
    UnknownWorkflowType,
    /// Neither memory nor disk nor the store has the module.
    ModuleMissing,
    /// The store has the module, but it cannot be loaded.
    ModuleUnusable,
    /// The journal cannot be read, or is no journal: `event_id` is where it stops making sense, 0 where nothing came.
    HistoryUnreadable { event_id: i64 },
    /// The server itself is short of something, such as memory.
    Host,
}

impl TaskFailureKind {
    /// The type of the application failure that reports this.
    pub fn failure_type(&self) -> &str {
        match self {
            TaskFailureKind::Nondeterminism { .. } => "Nondeterminism",
            TaskFailureKind::Trap => "Trap",
            TaskFailureKind::Exception { type_name } => type_name,
            TaskFailureKind::Limit(limit) => limit.failure_type(),
            TaskFailureKind::BadCall => "BadCall",
            TaskFailureKind::UnknownWorkflowType => "UnknownWorkflowType",
            TaskFailureKind::ModuleMissing => "ModuleMissing",
            TaskFailureKind::ModuleUnusable => "ModuleUnusable",
            TaskFailureKind::HistoryUnreadable { .. } => "HistoryUnreadable",
            TaskFailureKind::Host => "SandboxFailure",
        }
    }
}

/// A workflow task failed. The run itself goes on: the task is tried again, perhaps with a repaired module.
#[derive(Debug, Clone)]
pub struct TaskFailure {
    /// For the WorkflowTaskFailed event.
    pub cause: WorkflowTaskFailedCause,
    /// For the WorkflowTaskFailed event: source `mainspring`, and an application failure whose type tells the kind.
    pub failure: Failure,
    pub kind: TaskFailureKind,
    /// True where the same module on the same history may well succeed at another time or on another machine. Where it
    /// is false, only another module, other limits or a reset helps.
    pub retryable: bool,
}

impl TaskFailure {
    pub(crate) fn new(kind: TaskFailureKind, message: impl Into<String>) -> TaskFailure {
        let cause = match kind {
            TaskFailureKind::Nondeterminism { .. } => WorkflowTaskFailedCause::NonDeterministicError,
            _ => WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
        };
        let retryable = matches!(
            kind,
            TaskFailureKind::Limit(GuestLimit::Time)
                | TaskFailureKind::ModuleMissing
                | TaskFailureKind::HistoryUnreadable { .. }
                | TaskFailureKind::Host
        );
        let failure = Failure {
            message: message.into(),
            source: "mainspring".into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: kind.failure_type().into(),
                non_retryable: !retryable,
                ..Default::default()
            })),
            ..Default::default()
        };
        TaskFailure { cause, failure, kind, retryable }
    }

    pub(crate) fn with_stack_trace(mut self, stack_trace: String) -> TaskFailure {
        self.failure.stack_trace = stack_trace;
        self
    }

    pub(crate) fn nondeterminism(event_id: i64, expected: impl Into<String>, actual: impl Into<String>) -> TaskFailure {
        let (expected, actual) = (expected.into(), actual.into());
        let message =
            format!("the module does not repeat event {event_id}: the journal has {expected}; the module {actual}");
        TaskFailure::new(TaskFailureKind::Nondeterminism { event_id, expected, actual }, message)
    }

    pub(crate) fn history(event_id: i64, problem: impl fmt::Display) -> TaskFailure {
        let message = match event_id {
            0 => format!("the history cannot be read: {problem}"),
            _ => format!("the history makes no sense at event {event_id}: {problem}"),
        };
        TaskFailure::new(TaskFailureKind::HistoryUnreadable { event_id }, message)
    }

    pub(crate) fn module_missing(digest: &Digest) -> TaskFailure {
        TaskFailure::new(TaskFailureKind::ModuleMissing, format!("the store does not have module {digest}"))
    }

    /// Adds to the message what helps to understand it.
    pub(crate) fn note(mut self, note: &str) -> TaskFailure {
        self.failure.message.push_str("; ");
        self.failure.message.push_str(note);
        self
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failure.message)
    }
}

impl std::error::Error for TaskFailure {}
