//! `[activities]`

use std::time::Duration;

use mainspring_engine::HostedLimits;
use mainspring_sandbox::ActivityLimits;
use serde::{Deserialize, Serialize};

use crate::duration;

/// `[activities]`: those that the server runs itself. What is not said to be of all
/// attempts or of a deployment is for one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ActivitySettings {
    /// Threads that run activities. 0 takes as many as the machine has processors.
    pub threads: usize,
    /// Attempts that run at once, all deployments together. Each may hold `memory_bytes`.
    pub concurrent: usize,
    /// Attempts of one deployment that run at once.
    pub concurrent_per_deployment: usize,
    /// Linear memory, in bytes.
    pub memory_bytes: usize,
    /// About one unit for an instruction.
    pub fuel: u64,
    /// Real time, whatever the activity's timeouts say.
    #[serde(with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub time: Duration,
    /// Bytes written to the log, to stdout and to stderr, together.
    pub log_bytes: usize,
    /// HTTP requests.
    pub http_requests: usize,
    /// HTTP requests that are under way at once.
    pub http_concurrent: usize,
    /// Body of one request, and of one response, in bytes.
    pub http_body_bytes: usize,
    /// Real time of one request, until its response has ended.
    #[serde(with = "duration")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub http_time: Duration,
    /// Largest scratch directory that can be granted, in bytes. An attempt has no larger one, either, if this is lowered.
    pub scratch_bytes: u64,
    /// Scratch directories of all attempts together, in bytes of memory: what is written beyond finds no space left.
    pub scratch_total_bytes: u64,
}

impl Default for ActivitySettings {
    fn default() -> ActivitySettings {
        let (limits, hosted) = (ActivityLimits::default(), HostedLimits::default());
        ActivitySettings {
            threads: limits.threads,
            concurrent: hosted.concurrent,
            concurrent_per_deployment: hosted.concurrent_per_deployment,
            memory_bytes: limits.memory_bytes,
            fuel: limits.fuel,
            time: limits.time,
            log_bytes: limits.log_bytes,
            http_requests: limits.http_requests,
            http_concurrent: limits.http_concurrent,
            http_body_bytes: limits.http_body_bytes,
            http_time: limits.http_time,
            scratch_bytes: limits.scratch_bytes,
            scratch_total_bytes: limits.scratch_total_bytes,
        }
    }
}

impl ActivitySettings {
    pub(super) fn limits(&self) -> ActivityLimits {
        ActivityLimits {
            threads: self.threads,
            memory_bytes: self.memory_bytes,
            fuel: self.fuel,
            time: self.time,
            log_bytes: self.log_bytes,
            http_requests: self.http_requests,
            http_concurrent: self.http_concurrent,
            http_body_bytes: self.http_body_bytes,
            http_time: self.http_time,
            scratch_bytes: self.scratch_bytes,
            scratch_total_bytes: self.scratch_total_bytes,
        }
    }

    pub(super) fn hosted(&self) -> HostedLimits {
        HostedLimits {
            concurrent: self.concurrent,
            concurrent_per_deployment: self.concurrent_per_deployment,
            scratch_bytes: self.scratch_bytes,
        }
    }
}
