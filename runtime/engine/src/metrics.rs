//! What the engine counts. Labels are namespaces and fixed sets only: nothing that a client can make more of.

use mainspring_core::RunState;
use mainspring_sandbox::SandboxStats;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};

/// Since the engine was opened. A clone counts into the same counters.
#[derive(Clone, Debug)]
pub struct EngineMetrics {
    /// Runs that have begun: started by clients, by other runs, by a reset, or in which a run goes on.
    pub started_runs: Family<NamespaceLabel, Counter>,
    pub closed_runs: Family<ClosedLabels, Counter>,
    pub open_runs: Family<NamespaceLabel, Gauge>,
    /// Workflow tasks that the sandbox has executed.
    pub activations: Family<ActivationLabels, Counter>,
    /// How long each took, in seconds, replays included.
    pub activation_seconds: Histogram,
    /// Queries that the sandbox has answered, or failed to.
    pub queries: Family<ActivationLabels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NamespaceLabel {
    pub namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClosedLabels {
    pub namespace: String,
    /// As Temporal spells it, such as "Completed".
    pub status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ActivationLabels {
    pub namespace: String,
    /// "completed" or "failed".
    pub outcome: &'static str,
}

/// From one that has nothing to do to one that is stopped for the time that it takes.
const ACTIVATION_SECONDS: [f64; 11] = [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

impl Default for EngineMetrics {
    fn default() -> EngineMetrics {
        EngineMetrics {
            started_runs: Family::default(),
            closed_runs: Family::default(),
            open_runs: Family::default(),
            activations: Family::default(),
            activation_seconds: Histogram::new(ACTIVATION_SECONDS),
            queries: Family::default(),
        }
    }
}

impl ActivationLabels {
    pub(crate) fn of<T, E>(namespace: &str, outcome: &Result<T, E>) -> ActivationLabels {
        let outcome = if outcome.is_ok() { "completed" } else { "failed" };
        ActivationLabels { namespace: namespace.to_owned(), outcome }
    }
}

impl EngineMetrics {
    /// Notes how a step has changed whether the run is open; `was_open` is none where it did not exist before.
    pub(crate) fn note_run(&self, namespace: &str, was_open: Option<bool>, state: &RunState) {
        let is_open = state.is_running();
        if was_open == Some(is_open) {
            return;
        }
        let label = NamespaceLabel { namespace: namespace.to_owned() };
        if was_open.is_none() {
            self.started_runs.get_or_create(&label).inc();
        }
        if is_open {
            self.open_runs.get_or_create(&label).inc();
            return;
        }
        if was_open == Some(true) {
            self.open_runs.get_or_create(&label).dec();
        }
        let status = state.status.as_str_name().trim_start_matches("WORKFLOW_EXECUTION_STATUS_");
        let status = match status {
            "COMPLETED" => "Completed",
            "FAILED" => "Failed",
            "CANCELED" => "Canceled",
            "TERMINATED" => "Terminated",
            "CONTINUED_AS_NEW" => "ContinuedAsNew",
            "TIMED_OUT" => "TimedOut",
            _ => "Other",
        };
        self.closed_runs.get_or_create(&ClosedLabels { namespace: label.namespace, status }).inc();
    }
}

/// What the engine holds at this moment.
#[derive(Clone, Debug)]
pub struct EngineStats {
    pub sandbox: SandboxStats,
    /// Activity tasks that wait for a worker, by namespace; namespaces without any are there, too.
    pub waiting_tasks: Vec<(String, usize)>,
    /// Polls that wait for an activity task, in all namespaces.
    pub waiting_polls: usize,
    /// Task queues that are known.
    pub task_queues: usize,
}
