//! The engine owns the runs: it takes inputs, lets [`mainspring_core`] decide, commits, and only then lets anything
//! be seen: answers, tasks, timers, notifications.
//!
//! It knows neither gRPC (that is the server's) nor wasmtime (the sandbox's), and it does not care who executes a
//! workflow task. Start reading at [`Engine`], then `shard`: the single writer of its runs; `run` turns a step into a
//! batch, `keys` says where each record lives, `quota` what each
//! namespace may use.

mod activation;
mod activities;
mod api_keys;
mod clock;
mod deploy;
mod deployments;
mod effects;
mod engine;
mod error;
mod history;
mod hosted_activities;
mod inner;
mod keys;
mod limits;
mod matching;
mod metrics;
mod migration;
mod modules;
mod observer;
mod open;
pub mod outcome;
mod pins;
mod politeness;
mod queries;
mod quota;
mod rows;
mod run;
mod shard;
mod sweep;
mod timers;
mod types;
mod updates;
mod uploads;
mod verification;
mod verify;
mod verify_modules;
mod versions;
mod visibility;
mod workflows;

pub use api_keys::ApiKey;
pub use deploy::{ModuleReport, ModuleUse};
pub use deployments::{Changed, DrainReport, VersionRef};
pub use engine::Engine;
pub use error::EngineError;
pub use hosted_activities::{
    ActivityDeployment, GrantChange, HostGrant, HostedLimits, NewSecret, SecretKey, SecretName,
};
pub use limits::SAMPLE_RUNS;
pub use mainspring_sandbox::Question;
pub use metrics::{ActivationLabels, ClosedLabels, EngineMetrics, EngineStats, NamespaceLabel};
pub use migration::{MigratedRun, MigrationOutcome, MigrationRequest, MigrationSummary};
pub use observer::{Activated, ClosedRun, Fact, Observed, ObservedRun, Observer, TurnTaken};
pub use queries::{QueryReply, WorkflowQuery};
pub use quota::{NamespaceQuota, Quota, QuotaExceeded, RequestKind, Usage};
pub use sweep::{RunSelection, Sample, Sweep};
pub use types::{
    ActivityTarget, ActivityTask, ActivityTrace, Backlog, Deployed, DeployedTo, Deployment, EngineConfig, HistoryPage,
    HistoryQuery, ListPage, Module, Namespace, Poller, RunDescription, RunRef, Started, TaskQueueDescription,
};
pub use updates::{UpdateStage, UpdateStatus};
pub use uploads::{Begun, Upload};
pub use verification::{Verdict, VerificationSummary, VerifiedDeployment, VerifiedRun, verify_stored};
pub use verify::{PROBLEMS_MAX, VerifyReport, verify};
pub use versions::{Activation, Change, Need, Ramp, RolledBack, Share, Version, Versions};
pub use visibility::{ATTRIBUTES, Attribute, ListFilter, WorkflowCount};

/// Doors for `fuzz/`, and for nobody else.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::visibility::fuzzing::{filter, page_token};
}
