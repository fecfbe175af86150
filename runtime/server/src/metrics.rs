//! What Prometheus is told: every metric with its name, in one place.
//!
//! What is counted as it happens is registered as the counter itself; what merely stands at some value is asked for
//! when somebody scrapes. No label has values that a client can make up: namespaces exist by the operator's will,
//! methods are those of the services that are served.

use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};

use mainspring_api::FILE_DESCRIPTOR_SET;
use mainspring_engine::{Engine, EngineMetrics, NamespaceLabel};
use mainspring_store::CommitterMetrics;
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use prost_reflect::DescriptorPool;
use tonic::Code;

use crate::{process, telemetry::TelemetryMetrics};

type SecondsCounter = Counter<f64, std::sync::atomic::AtomicU64>;

/// What this server counts.
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<MethodLabel, Histogram>,
    /// The methods that may be a label, as in the path of a request.
    methods: HashSet<String>,
    now: Now,
    /// Locked while somebody scrapes, so that what is asked for belongs together.
    registry: Mutex<Registry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: String,
}

/// What is asked for when somebody scrapes.
#[derive(Default)]
struct Now {
    waiting_tasks: Family<NamespaceLabel, Gauge>,
    waiting_polls: Gauge,
    task_queues: Gauge,
    cached_instances: Gauge,
    cached_instance_bytes: Gauge,
    loaded_modules: Gauge,
    compiling_modules: Gauge,
    evicted_instances: Counter,
    instantiations: Counter,
    instantiation_seconds: SecondsCounter,
    resident_bytes: Gauge,
    open_files: Gauge,
    cpu_seconds: SecondsCounter,
}

/// From an answer out of memory to a poll that is held until its end.
const REQUEST_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0, 60.0];
/// What stands for a method that is not served.
const OTHER: &str = "other";
/// Served, and not among our descriptors.
const OTHERS_METHODS: [&str; 4] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

impl Metrics {
    pub fn new(engine: &EngineMetrics, committer: &CommitterMetrics, telemetry: &TelemetryMetrics) -> Metrics {
        let metrics = Metrics {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
            methods: served_methods(),
            now: Now::default(),
            registry: Mutex::default(),
        };
        *metrics.registry.lock() = metrics.registry(engine, committer, telemetry);
        metrics
    }

    /// The table of all metrics. Counters get `_total` behind their name.
    fn registry(&self, engine: &EngineMetrics, committer: &CommitterMetrics, telemetry: &TelemetryMetrics) -> Registry {
        let now = &self.now;
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("mainspring");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        ours.register("build", "The server's version", build);

        ours.register("requests", "Calls that were answered", self.requests.clone());
        let help = "Time until an answer began; polls are held on purpose";
        ours.register("request_seconds", help, self.request_seconds.clone());

        ours.register("runs_started", "Runs that have begun, continued ones included", engine.started_runs.clone());
        ours.register("runs_closed", "Runs that have closed", engine.closed_runs.clone());
        ours.register("runs_open", "Runs that are open", engine.open_runs.clone());
        ours.register("activity_tasks_waiting", "Activity tasks that wait for a worker", now.waiting_tasks.clone());
        ours.register("activity_polls_waiting", "Polls that wait for an activity task", now.waiting_polls.clone());
        ours.register("task_queues", "Task queues with a task, a poll or a recent poller", now.task_queues.clone());

        ours.register("activations", "Workflow tasks that the sandbox has executed", engine.activations.clone());
        let help = "Time that a workflow task took in the sandbox, replay included";
        ours.register("activation_seconds", help, engine.activation_seconds.clone());
        ours.register("queries", "Queries that the sandbox was asked", engine.queries.clone());
        ours.register("instances_cached", "Instances kept for the next workflow task", now.cached_instances.clone());
        let help = "Estimated private memory of the cached instances";
        ours.register("instance_cache_bytes", help, now.cached_instance_bytes.clone());
        ours.register("instances_evicted", "Instances dropped for want of room", now.evicted_instances.clone());
        ours.register("instances_made", "Instances made, for replays included", now.instantiations.clone());
        ours.register("instantiation_seconds", "Time spent making instances", now.instantiation_seconds.clone());
        ours.register("modules_loaded", "Compiled modules in memory", now.loaded_modules.clone());
        ours.register("modules_compiling", "Modules being compiled", now.compiling_modules.clone());

        ours.register("commits", "Batches that were committed", committer.batches.clone());
        ours.register("commits_refused", "Batches that the store refused", committer.refused_batches.clone());
        ours.register("commit_bytes", "Keys and values of the committed batches", committer.bytes.clone());
        let help = "Time that a flush took, fdatasync included; one flush serves many commits";
        ours.register("flush_seconds", help, committer.flush_seconds.clone());

        let help = "Spans and log lines that the OpenTelemetry collector has taken";
        ours.register("telemetry_sent", help, telemetry.sent.clone());
        let help = "Spans and log lines that were dropped: the collector was slow, or gone";
        ours.register("telemetry_dropped", help, telemetry.dropped.clone());

        registry.register("process_resident_memory_bytes", "Memory in use", now.resident_bytes.clone());
        registry.register("process_open_fds", "Open files and connections", now.open_files.clone());
        registry.register("process_cpu_seconds", "Processor time, user and system", now.cpu_seconds.clone());
        registry
    }

    /// The label for a request's path.
    pub fn method(&self, path: &str) -> String {
        let method = path.trim_start_matches('/');
        match self.methods.get(method) {
            // "WorkflowService/StartWorkflowExecution": the package says nothing more.
            Some(method) => method.split_once('/').map_or(method.clone(), |(service, name)| {
                let service = service.rsplit('.').next().unwrap_or(service);
                format!("{service}/{name}")
            }),
            None => OTHER.to_owned(),
        }
    }

    pub fn note_request(&self, method: String, code: Code, elapsed: Duration) {
        self.requests.get_or_create(&RequestLabels { method: method.clone(), code: code_name(code) }).inc();
        self.request_seconds.get_or_create(&MethodLabel { method }).observe(elapsed.as_secs_f64());
    }

    /// Everything, in OpenMetrics' text form.
    pub fn render(&self, engine: &Engine) -> String {
        let registry = self.registry.lock();
        self.ask(engine);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &registry);
        text
    }

    fn ask(&self, engine: &Engine) {
        let (now, stats) = (&self.now, engine.stats());
        let gauge = |gauge: &Gauge, value: usize| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        for (namespace, tasks) in stats.waiting_tasks {
            gauge(&now.waiting_tasks.get_or_create(&NamespaceLabel { namespace }), tasks);
        }
        gauge(&now.waiting_polls, stats.waiting_polls);
        gauge(&now.task_queues, stats.task_queues);
        gauge(&now.cached_instances, stats.sandbox.cached_instances);
        gauge(&now.cached_instance_bytes, stats.sandbox.cached_instance_bytes);
        gauge(&now.loaded_modules, stats.sandbox.loaded_modules);
        gauge(&now.compiling_modules, stats.sandbox.compiling);
        now.evicted_instances.inner().store(stats.sandbox.evicted_instances, Ordering::Relaxed);
        now.instantiations.inner().store(stats.sandbox.instantiations, Ordering::Relaxed);
        set_seconds(&now.instantiation_seconds, stats.sandbox.instantiation_time.as_secs_f64());
        // Left as they are where the system does not tell.
        let process = process::usage();
        if let Some(bytes) = process.resident_bytes {
            now.resident_bytes.set(bytes);
        }
        if let Some(files) = process.open_files {
            now.open_files.set(files);
        }
        if let Some(seconds) = process.cpu_seconds {
            set_seconds(&now.cpu_seconds, seconds);
        }
    }
}

/// Sets a counter whose value somebody else counts.
fn set_seconds(counter: &SecondsCounter, seconds: f64) {
    counter.inner().store(seconds.to_bits(), Ordering::Relaxed);
}

fn served_methods() -> HashSet<String> {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors are our own");
    let ours = pool.services().flat_map(|service| {
        let methods: Vec<_> = service.methods().map(|method| method.name().to_owned()).collect();
        methods.into_iter().map(move |method| format!("{}/{method}", service.full_name()))
    });
    ours.chain(OTHERS_METHODS.map(str::to_owned)).collect()
}

/// As gRPC spells its codes.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use mainspring_engine::{ActivationLabels, ClosedLabels};

    use super::*;
    use crate::{golden, telemetry::SignalLabel};

    /// With one sample of everything, because what has none is not written.
    fn sampled() -> String {
        let engine = EngineMetrics::default();
        let telemetry = TelemetryMetrics::default();
        let signal = SignalLabel { signal: "spans" };
        telemetry.sent.get_or_create(&signal).inc();
        telemetry.dropped.get_or_create(&signal).inc();
        let metrics = Metrics::new(&engine, &CommitterMetrics::default(), &telemetry);
        let namespace = || "default".to_owned();
        let label = NamespaceLabel { namespace: namespace() };
        engine.started_runs.get_or_create(&label).inc();
        engine.open_runs.get_or_create(&label).inc();
        engine.closed_runs.get_or_create(&ClosedLabels { namespace: namespace(), status: "Completed" }).inc();
        let activation = ActivationLabels { namespace: namespace(), outcome: "completed" };
        engine.activations.get_or_create(&activation).inc();
        engine.queries.get_or_create(&activation).inc();
        metrics.now.waiting_tasks.get_or_create(&label).inc();
        metrics.note_request(metrics.method("/grpc.health.v1.Health/Check"), Code::Ok, Duration::from_millis(1));
        let mut text = String::new();
        text::encode(&mut text, &metrics.registry.lock()).unwrap();
        text
    }

    /// Labels of a sample, but for those of the format itself.
    fn labels(sample: &str) -> Vec<String> {
        let Some((_, rest)) = sample.split_once('{') else { return Vec::new() };
        let names = rest.split("=\"").map(|part| part.rsplit([',', '{', '"']).next().unwrap_or(part));
        names.filter(|name| !name.contains('}') && *name != "le" && !name.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn the_page_lists_what_is_exported() {
        let text = sampled();
        let mut page = String::from(
            "# Metrics\n\nWhat the server tells Prometheus at `/metrics`, in OpenMetrics' text form. [Operations](operations.md) says how to switch it on.\nThis page is written by a test; do not edit it.\n\n| name | type | labels | |\n| --- | --- | --- | --- |\n",
        );
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            let kind = lines.next().and_then(|line| line.rsplit(' ').next()).unwrap();
            let sample = lines.find(|line| !line.starts_with('#')).unwrap_or_else(|| panic!("{name} has no sample"));
            let total = if kind == "counter" {
                "_total"
            } else if kind == "info" {
                "_info"
            } else {
                ""
            };
            let labels = labels(sample).iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            writeln!(page, "| `{name}{total}` | {kind} | {labels} | {help} |").unwrap();
        }
        golden::check("docs/metrics.md", &page);
    }

    #[test]
    fn a_method_that_is_not_served_is_no_label() {
        let metrics =
            Metrics::new(&EngineMetrics::default(), &CommitterMetrics::default(), &TelemetryMetrics::default());
        let start = "/temporal.api.workflowservice.v1.WorkflowService/StartWorkflowExecution";
        assert_eq!(metrics.method(start), "WorkflowService/StartWorkflowExecution");
        assert_eq!(metrics.method("/mainspring.v1.OperationsService/Backup"), "OperationsService/Backup");
        for path in ["/made/up", "", "/mainspring.v1.OperationsService/Restore"] {
            assert_eq!(metrics.method(path), OTHER);
        }
    }
}
