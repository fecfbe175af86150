//! What the sandbox costs: compiling, loading, instantiating, replaying, and the memory of a cached instance.
//!
//! ```text
//! make guests && cargo run --release -p mainspring-sandbox --example sandbox_bench [-- --json] [--module FILE] [--order]
//! ```
//!
//! The guest is the puppet of the sandbox's tests: a Rust guest of ordinary size, told by its input what to do. Another
//! module with a workflow `Puppet` that does the same can take its place, such as `tests/guests/js/bench.ts`. With
//! `--order` it is an `OrderWorkflow` of any language (two activities, one after the other), so that languages can be
//! compared. Memory is the growth of this process's private pages over many cached instances, each of which has run twice.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use mainspring_api::{
    Timestamp,
    common::{Payload, Payloads, WorkflowType},
    enums::EventType,
    history::{history_event::Attributes, *},
    taskqueue::TaskQueue,
};
use mainspring_core::limits::sandbox::COMPILER_MEMORY_BYTES;
use mainspring_sandbox::{
    Compiler, CompilerLimits, Digest, History, ModuleBytes, ModuleSource, RunKey, Sandbox, SandboxConfig, WorkflowTask,
    compile_module,
};
use serde_json::{Value, json};

const INSTANCES: usize = 1_000;
/// An interpreter's instance takes some MiB.
const INSTANCES_OF_ORDERS: usize = 200;

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("compile-module") {
        return compile_for_another();
    }
    let json_line = std::env::args().any(|argument| argument == "--json");
    let module = std::env::args().skip_while(|argument| argument != "--module").nth(1);
    let bytes = match &module {
        Some(path) => std::fs::read(path).with_context(|| path.clone())?,
        None => puppet()?,
    };
    let mut figures = BTreeMap::new();
    loading(&bytes, &mut figures)?;
    if std::env::args().any(|argument| argument == "--order") {
        figures.insert("component, KiB", bytes.len() as f64 / 1024.0);
        memory(&bytes, &Subject::order(), INSTANCES_OF_ORDERS, &mut figures)?;
        replaying_orders(&bytes, &mut figures)?;
    } else {
        memory(&bytes, &Subject::puppet(waiting()), INSTANCES, &mut figures)?;
        replaying(&bytes, &mut figures)?;
    }
    if json_line {
        println!("{}", json!(figures));
    } else {
        for (name, value) in &figures {
            println!("{name:<44} {value:>12.3}");
        }
    }
    Ok(())
}

fn puppet() -> Result<Vec<u8>> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")), PathBuf::from);
    let path = target.join("wasm32-wasip2/guest/mainspring_sandbox_puppet.wasm");
    std::fs::read(&path).with_context(|| format!("{}: run `make guests` first", path.display()))
}

type Figures = BTreeMap<&'static str, f64>;

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn loading(bytes: &[u8], figures: &mut Figures) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = SandboxConfig { cache_dir: Some(dir.path().join("compiled")), ..SandboxConfig::default() };
    let open = || Sandbox::new(config.clone());
    let time = |sandbox: Sandbox| -> Result<f64> {
        let begun = Instant::now();
        sandbox.load(bytes)?;
        Ok(milliseconds(begun.elapsed()))
    };
    figures.insert("compile, ms", time(open()?)?);
    figures.insert("load from the compiled cache, ms", time(open()?)?);
    // This program again, as its own compiler: what a server does.
    let command = vec![std::env::current_exe()?.into(), "compile-module".into()];
    let compiler = Compiler::Process { command, memory_bytes: COMPILER_MEMORY_BYTES };
    let separate = || Sandbox::new(SandboxConfig { compiler: compiler.clone(), ..SandboxConfig::default() });
    figures.insert("compile in a process of its own, ms", time(separate()?)?);
    let refused = Instant::now();
    let nothing = separate()?.load(&[bytes, b"!"].concat());
    anyhow::ensure!(nothing.is_err(), "a module with a byte too many was taken");
    figures.insert("refuse in a process of its own, ms", milliseconds(refused.elapsed()));
    Ok(())
}

/// `compile-module --memory-bytes N --processor-seconds N --stack-bytes N`
fn compile_for_another() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| -> Result<u64> {
        let value = arguments.iter().skip_while(|argument| *argument != name).nth(1);
        Ok(value.with_context(|| name.to_owned())?.parse()?)
    };
    let limits = CompilerLimits {
        memory_bytes: number("--memory-bytes")?,
        processor_seconds: number("--processor-seconds")?,
        stack_bytes: number("--stack-bytes")?.try_into()?,
    };
    compile_module(&limits).map_err(anyhow::Error::msg)
}

/// The workflow that is run, with its argument.
struct Subject {
    workflow: &'static str,
    input: Value,
}

impl Subject {
    fn puppet(steps: Value) -> Subject {
        Subject { workflow: "Puppet", input: steps }
    }

    fn order() -> Subject {
        let input = json!({"amount": 99.99, "user_id": "u123", "email": "user@example.com"});
        Subject { workflow: "OrderWorkflow", input }
    }
}

/// An activity, and then two signals to wait for.
fn waiting() -> Value {
    json!([{"activity": {"name": "a", "kind": "work"}}, "await_signal", "await_signal"])
}

fn memory(bytes: &[u8], subject: &Subject, instances: usize, figures: &mut Figures) -> Result<()> {
    // So that none of them is evicted.
    let config = SandboxConfig { instance_cache_bytes: 4 << 30, ..SandboxConfig::default() };
    let sandbox = Sandbox::new(config)?;
    sandbox.load(bytes)?;
    // The first few make what all share.
    for index in 0..10 {
        Run::new(&sandbox, &format!("warm-{index}"), bytes, subject).activate()?;
    }
    let before = private_bytes()?;
    let at_first = sandbox.stats();
    let mut first = Duration::ZERO;
    let mut second = Duration::ZERO;
    for index in 0..instances {
        let mut run = Run::new(&sandbox, &format!("run-{index}"), bytes, subject);
        first += run.activate()?;
        run.go_on();
        second += run.activate()?;
    }
    let count = instances as f64;
    let at_last = sandbox.stats();
    let estimated = at_last.cached_instance_bytes - at_first.cached_instance_bytes;
    let instantiating = at_last.instantiation_time - at_first.instantiation_time;
    figures.insert("instantiation, us", microseconds(instantiating) / count);
    figures.insert("first activation, instantiation included, us", microseconds(first) / count);
    figures.insert("next activation of a cached instance, us", microseconds(second) / count);
    figures.insert("private memory per cached instance, KiB", (private_bytes()? - before) as f64 / count / 1024.0);
    figures.insert("the cache's estimate of it, KiB", estimated as f64 / count / 1024.0);
    figures.insert("memory mappings per cached instance", (mappings()? as f64) / (count + 10.0));
    Ok(())
}

fn replaying(bytes: &[u8], figures: &mut Figures) -> Result<()> {
    let sandbox = Sandbox::new(SandboxConfig::default())?;
    sandbox.load(bytes)?;
    let digest = Digest::of(bytes);
    for (events, name) in [
        (10, "replay of 10 events, us per event"),
        (100, "replay of 100 events, us per event"),
        (1_000, "replay of 1,000 events, us per event"),
        (10_000, "replay of 10,000 events, us per event"),
    ] {
        let history = history(&sandbox, bytes, events)?;
        let run = key("replayed");
        let source = ModuleSource::Stored { digest, modules: &Bytes(bytes) };
        let rounds = (20_000 / events).max(3);
        let begun = Instant::now();
        for _ in 0..rounds {
            sandbox.replay(&source, &run, &history)?;
        }
        figures.insert(name, microseconds(begun.elapsed()) / (rounds * history.len()) as f64);
    }
    Ok(())
}

/// An order up to its second activity.
fn replaying_orders(bytes: &[u8], figures: &mut Figures) -> Result<()> {
    const ROUNDS: usize = 200;
    let sandbox = Sandbox::new(SandboxConfig::default())?;
    sandbox.load(bytes)?;
    let mut order = Run::new(&sandbox, "replayed", bytes, &Subject::order());
    order.activate()?;
    order.complete();
    order.activate()?;
    let source = ModuleSource::Stored { digest: Digest::of(bytes), modules: &Bytes(bytes) };
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        sandbox.replay(&source, &key("replayed"), &order.events)?;
    }
    figures.insert("replay of an order, us", microseconds(begun.elapsed()) / ROUNDS as f64);
    Ok(())
}

/// A run that does one activity after the other: six events for each.
fn history(sandbox: &Sandbox, bytes: &[u8], events: usize) -> Result<Vec<HistoryEvent>> {
    let steps = json!([{"repeat": {"times": 1_000_000, "steps": [
        {"activity": {"name": "a", "kind": "work", "input": {"amount": 99.99}}}, {"await": "a"},
    ]}}]);
    let mut run = Run::new(sandbox, "replayed", bytes, &Subject::puppet(steps));
    run.activate()?;
    while run.events.len() < events {
        run.complete();
        run.activate()?;
    }
    Ok(run.events)
}

/// The pages that only this process has, in bytes.
fn private_bytes() -> Result<usize> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let kibibytes: usize = rollup
        .lines()
        .filter(|line| line.starts_with("Private_Dirty:") || line.starts_with("Private_Clean:"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok())
        .sum();
    Ok(kibibytes * 1024)
}

fn mappings() -> Result<usize> {
    Ok(std::fs::read_to_string("/proc/self/maps")?.lines().count())
}

fn key(run_id: &str) -> RunKey {
    RunKey { namespace: "bench".into(), workflow_id: "bench".into(), run_id: run_id.into() }
}

struct Bytes<'a>(&'a [u8]);

impl ModuleBytes for Bytes<'_> {
    fn module_bytes(&self, _digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        Ok(Some(self.0.to_vec()))
    }
}

/// A run and its journal, as a server would write it.
struct Run<'a> {
    sandbox: Sandbox,
    key: RunKey,
    digest: Digest,
    bytes: Bytes<'a>,
    events: Vec<HistoryEvent>,
    scheduled_activity: (i64, String),
    waits_for_signals: bool,
}

impl History for Run<'_> {
    fn events_after(&self, event_id: i64) -> Result<Vec<HistoryEvent>, String> {
        let from = usize::try_from(event_id).map_err(|error| error.to_string())?;
        Ok(self.events.get(from..).unwrap_or_default().to_vec())
    }
}

impl<'a> Run<'a> {
    fn new(sandbox: &Sandbox, run_id: &str, bytes: &'a [u8], subject: &Subject) -> Run<'a> {
        let mut run = Run {
            sandbox: sandbox.clone(),
            key: key(run_id),
            digest: Digest::of(bytes),
            bytes: Bytes(bytes),
            events: Vec::new(),
            scheduled_activity: (0, String::new()),
            waits_for_signals: subject.workflow == "Puppet",
        };
        let started = WorkflowExecutionStartedEventAttributes {
            workflow_type: Some(WorkflowType { name: subject.workflow.into() }),
            task_queue: Some(TaskQueue { name: "bench".into(), ..Default::default() }),
            input: Some(payloads(&subject.input)),
            original_execution_run_id: run_id.into(),
            ..Default::default()
        };
        run.write(EventType::WorkflowExecutionStarted, Attributes::WorkflowExecutionStartedEventAttributes(started));
        run
    }

    fn write(&mut self, kind: EventType, attributes: Attributes) -> i64 {
        let event_id = self.events.len() as i64 + 1;
        self.events.push(HistoryEvent {
            event_id,
            event_time: Some(Timestamp { seconds: 1_700_000_000 + event_id, nanos: 0 }),
            event_type: kind.into(),
            attributes: Some(attributes),
            ..Default::default()
        });
        event_id
    }

    /// One workflow task; the time that the sandbox took for it.
    fn activate(&mut self) -> Result<Duration> {
        use mainspring_api::command::command::Attributes as Asked;

        let scheduled = Attributes::WorkflowTaskScheduledEventAttributes(Default::default());
        let scheduled_event_id = self.write(EventType::WorkflowTaskScheduled, scheduled);
        let started = WorkflowTaskStartedEventAttributes { scheduled_event_id, ..Default::default() };
        let started = Attributes::WorkflowTaskStartedEventAttributes(started);
        let started_event_id = self.write(EventType::WorkflowTaskStarted, started);
        let task = WorkflowTask {
            run: &self.key,
            module: self.digest,
            attempt: 1,
            started_event_id,
            updates: &[],
            history: self,
            modules: &self.bytes,
            terms: None,
        };
        let begun = Instant::now();
        let activated = self.sandbox.activate(&task)?;
        let took = begun.elapsed();
        let completed =
            WorkflowTaskCompletedEventAttributes { scheduled_event_id, started_event_id, ..Default::default() };
        let completed = Attributes::WorkflowTaskCompletedEventAttributes(completed);
        let completed_id = self.write(EventType::WorkflowTaskCompleted, completed);
        for command in activated.commands {
            let Some(Asked::ScheduleActivityTaskCommandAttributes(asked)) = command.attributes else { continue };
            let scheduled = ActivityTaskScheduledEventAttributes {
                activity_id: asked.activity_id.clone(),
                activity_type: asked.activity_type,
                task_queue: asked.task_queue,
                header: asked.header,
                input: asked.input,
                schedule_to_close_timeout: Some(Default::default()),
                schedule_to_start_timeout: Some(Default::default()),
                start_to_close_timeout: asked.start_to_close_timeout,
                heartbeat_timeout: Some(Default::default()),
                workflow_task_completed_event_id: completed_id,
                retry_policy: Some(mainspring_core::retry::with_defaults(asked.retry_policy.as_ref())),
                ..Default::default()
            };
            let scheduled = Attributes::ActivityTaskScheduledEventAttributes(scheduled);
            let id = self.write(EventType::ActivityTaskScheduled, scheduled);
            if let Some(event) = self.events.last_mut() {
                event.user_metadata = command.user_metadata;
            }
            self.scheduled_activity = (id, asked.activity_id);
        }
        Ok(took)
    }

    /// What it waits for comes.
    fn go_on(&mut self) {
        if self.waits_for_signals { self.signal() } else { self.complete() }
    }

    fn signal(&mut self) {
        let signal = WorkflowExecutionSignaledEventAttributes {
            signal_name: "go".into(),
            input: Some(payloads(&json!(1))),
            ..Default::default()
        };
        self.write(EventType::WorkflowExecutionSignaled, Attributes::WorkflowExecutionSignaledEventAttributes(signal));
    }

    /// The activity that was scheduled last completes.
    fn complete(&mut self) {
        let scheduled_event_id = self.scheduled_activity.0;
        let started = ActivityTaskStartedEventAttributes { scheduled_event_id, ..Default::default() };
        let started = Attributes::ActivityTaskStartedEventAttributes(started);
        let started_event_id = self.write(EventType::ActivityTaskStarted, started);
        let completed = ActivityTaskCompletedEventAttributes {
            scheduled_event_id,
            started_event_id,
            result: Some(payloads(&json!("tx-1"))),
            ..Default::default()
        };
        self.write(EventType::ActivityTaskCompleted, Attributes::ActivityTaskCompletedEventAttributes(completed));
    }
}

fn payloads(value: &Value) -> Payloads {
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
    Payloads { payloads: vec![Payload { metadata, data: value.to_string().into_bytes(), ..Default::default() }] }
}
