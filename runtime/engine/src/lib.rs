//! The engine owns the runs: it takes inputs, lets [`mainspring_core`] decide, commits, and only then lets anything
//! be seen: answers, tasks, timers, notifications.
//!
//! It knows neither gRPC (that is the server's) nor wasmtime (the sandbox's), and it does not care who executes a
//! workflow task. Start reading at [`Engine`], then `shard`: the single writer of its runs.

mod error;
mod types;

pub use error::EngineError;
pub use types::{
    ActivityTarget, ActivityTask, Backlog, Deployed, DeployedModule, Deployment, EngineConfig, HistoryPage,
    HistoryQuery, ListPage, Module, Namespace, Poller, RunDescription, RunRef, Started, TaskQueueDescription,
};
