//! The engine owns the runs: it takes inputs, lets [`mainspring_core`] decide, commits, and only then lets anything
//! be seen: answers, tasks, timers, notifications.
//!
//! It knows neither gRPC (that is the server's) nor wasmtime (the sandbox's), and it does not care who executes a
//! workflow task. Start reading at [`Engine`], then `shard`: the single writer of its runs; `run` turns a step into a
//! batch, `keys` says where each record lives, `quota` what each
//! namespace may use.

mod activation;
mod activities;
mod clock;
mod deploy;
mod effects;
mod engine;
mod error;
mod history;
mod inner;
mod keys;
mod limits;
mod matching;
mod modules;
mod open;
mod queries;
mod quota;
mod rows;
mod run;
mod shard;
mod timers;
mod types;
mod updates;
mod verify;
mod visibility;
mod workflows;

pub use engine::Engine;
pub use error::EngineError;
pub use mainspring_sandbox::Question;
pub use queries::{QueryReply, WorkflowQuery};
pub use quota::{NamespaceQuota, Quota, QuotaExceeded, RequestKind, Usage};
pub use types::{
    ActivityTarget, ActivityTask, Backlog, Deployed, DeployedModule, Deployment, EngineConfig, HistoryPage,
    HistoryQuery, ListPage, Module, Namespace, Poller, RunDescription, RunRef, Started, TaskQueueDescription,
};
pub use updates::{UpdateStage, UpdateStatus};
pub use verify::{PROBLEMS_MAX, VerifyReport, verify};
pub use visibility::{ATTRIBUTES, Attribute, ListFilter, WorkflowCount};
