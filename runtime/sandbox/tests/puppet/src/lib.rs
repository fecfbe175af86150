//! A guest that does what its input says, step by step: whatever a workflow may do, and whatever it may not.
//!
//! It is written against the WIT files alone, without the Rust SDK, so that the sandbox's tests see every call as it is.

// There is nothing to call where it is built as a library of the host, with the rest of the workspace.
#![cfg(target_arch = "wasm32")]

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    hint::black_box,
    time::{Duration as StdDuration, Instant, SystemTime},
};

use serde::Deserialize;
use serde_json::{Value, json};

wit_bindgen::generate!({ world: "workflow", path: "../../../../wit" });

use mainspring::workflow::{
    activation::{Continuation, Update},
    activities::{self, ActivityOptions, CancellationType},
    attributes, children, external, info, log, markers, random, time, timers,
    types::{ApplicationFailure, Duration, FailureKind, FailureLink, Payload, RetryPolicy},
    updates, versioning,
};

#[derive(Deserialize, Clone)]
#[serde(rename_all = "snake_case")]
enum Step {
    Timer {
        name: String,
        ms: u64,
    },
    Activity {
        name: String,
        kind: String,
        #[serde(default)]
        input: Value,
        #[serde(default)]
        cancel: String,
        #[serde(default)]
        id: Option<String>,
        #[serde(default)]
        attempts: u32,
    },
    CancelTimer(String),
    CancelActivity(String),
    Child {
        name: String,
        cancel: String,
    },
    /// Waits until a child has begun, and writes its run id or why there is none to the trace.
    AwaitStart(String),
    CancelChild(String),
    SignalChild {
        name: String,
        child: String,
    },
    SignalExternal {
        name: String,
        workflow: String,
    },
    CancelExternal {
        name: String,
        workflow: String,
    },
    /// Completes the update that was accepted with this number.
    CompleteUpdate(u32),
    /// Completes the first of the updates that were accepted and not completed, if there is one.
    CompleteOldestUpdate,
    Patched(String),
    DeprecatePatch(String),
    Marker(String),
    UpsertMemo(String),
    ContinueAsNew(Value),
    /// Waits for an operation, and writes how it ended to the trace.
    Await(String),
    AwaitSignal,
    AwaitCancel,
    /// Schedules an activity with the trace's last entry as its input.
    Pass {
        name: String,
        kind: String,
    },
    /// Writes to the trace what can be seen.
    Observe(String),
    Log {
        message: String,
        times: u32,
    },
    Print {
        text: String,
        times: u32,
        #[serde(default)]
        stderr: bool,
    },
    Panic(String),
    Spin,
    Recurse,
    Allocate {
        bytes: usize,
    },
    Grow {
        pages: usize,
    },
    Timers {
        count: u32,
    },
    Activities {
        count: u32,
        bytes: usize,
    },
    RandomBytes(u32),
    Sleep,
    Exit,
    Connect,
    Lift {
        count: usize,
    },
    CancelNumber(u32),
    LongTimer(u64),
    Repeat {
        times: u32,
        steps: Vec<Step>,
    },
    Complete,
    Fail {
        kind: String,
        links: usize,
    },
    Canceled,
}

#[derive(Default)]
struct Puppet {
    steps: VecDeque<Step>,
    operations: HashMap<String, u32>,
    ended: HashMap<u32, Value>,
    begun: HashMap<u32, Value>,
    signals: VecDeque<Value>,
    canceled: Option<String>,
    open_updates: VecDeque<u32>,
    trace: Vec<Value>,
}

thread_local! { static PUPPET: RefCell<Puppet> = RefCell::default(); }

struct Guest_;

impl Guest for Guest_ {
    fn describe() -> Vec<WorkflowDefinition> {
        log::write(log::Level::Info, "describe", &[]);
        // A language's hash maps may be used before a run begins.
        black_box(HashMap::from([(1, 2)]));
        ["Puppet", "Stranger"].map(|name| WorkflowDefinition { name: name.into() }).into()
    }

    fn start(_workflow_type: String, input: Vec<Payload>) -> Status {
        let steps: Vec<Step> = serde_json::from_slice(&input[0].data).expect("steps");
        PUPPET.with_borrow_mut(|puppet| {
            puppet.steps = steps.into();
            puppet.run()
        })
    }

    fn resume(events: Vec<Event>) -> Status {
        assert!(!events.is_empty(), "resume is never called without events");
        PUPPET.with_borrow_mut(|puppet| {
            for event in events {
                puppet.take(event);
            }
            puppet.run()
        })
    }

    /// `trace` is answered with the trace; the other queries do what they must not.
    fn answer_query(query: Query) -> Result<Vec<Payload>, Failure> {
        PUPPET.with_borrow_mut(|puppet| match query.name.as_str() {
            "trace" => Ok(vec![json_payload(&json!(puppet.trace))]),
            "change" => {
                puppet.trace.push(json!("changed by a query"));
                Ok(vec![json_payload(&json!(puppet.trace))])
            }
            "timer" => {
                timers::start(milliseconds(1), None);
                Ok(vec![])
            }
            "panic" => panic!("a query panics"),
            other => Err(vec![application(&format!("unknown query {other}"), "Unknown")]),
        })
    }
}

export!(Guest_);

fn application(message: &str, failure_type: &str) -> FailureLink {
    FailureLink {
        message: message.into(),
        source: "puppet".into(),
        stack_trace: String::new(),
        kind: FailureKind::Application(ApplicationFailure {
            type_: failure_type.into(),
            non_retryable: false,
            details: vec![],
            next_retry_delay: None,
        }),
        encoded_attributes: None,
    }
}

fn json_payload(value: &Value) -> Payload {
    Payload { metadata: vec![("encoding".into(), b"json/plain".to_vec())], data: value.to_string().into_bytes() }
}

fn values(payloads: &[Payload]) -> Value {
    payloads.iter().map(|payload| serde_json::from_slice(&payload.data).unwrap_or(Value::Null)).collect()
}

fn failure(links: &Failure) -> Value {
    links
        .iter()
        .map(|link| match &link.kind {
            FailureKind::Application(info) => json!({"message": link.message, "application": info.type_}),
            FailureKind::Activity(info) => json!({
                "message": link.message, "scheduled": info.scheduled_event_id, "started": info.started_event_id,
                "type": info.activity_type, "id": info.activity_id, "identity": info.identity,
                "retry_state": format!("{:?}", info.retry_state),
            }),
            FailureKind::Canceled(details) => json!({"message": link.message, "canceled": values(details)}),
            FailureKind::Timeout(info) => {
                json!({"message": link.message, "timeout": format!("{:?}", info.timeout_type)})
            }
            other => json!({"message": link.message, "kind": format!("{other:?}")}),
        })
        .collect()
}

impl Puppet {
    fn take(&mut self, event: Event) {
        match event {
            Event::ActivityResolved((operation, Ok(result))) => {
                assert!(self.ended.insert(operation, json!({"ok": values(&result)})).is_none(), "resolved once");
            }
            Event::ActivityResolved((operation, Err(error))) => {
                assert!(self.ended.insert(operation, json!({"failed": failure(&error)})).is_none(), "resolved once");
            }
            Event::TimerFired(operation) => {
                assert!(self.ended.insert(operation, json!("fired")).is_none(), "fired once");
            }
            Event::SignalReceived(signal) => {
                self.signals.push_back(json!({"signal": signal.name, "input": values(&signal.input)}));
            }
            Event::CancelRequested(reason) => self.canceled = Some(reason),
            Event::ChildStarted((operation, begun)) => {
                let begun = match begun {
                    Ok(run_id) => json!({"run": run_id}),
                    Err(error) => {
                        let end = json!({"failed": failure(&error)});
                        assert!(self.ended.insert(operation, end.clone()).is_none(), "resolved once");
                        end
                    }
                };
                assert!(self.begun.insert(operation, begun).is_none(), "begun once");
            }
            Event::ChildResolved((operation, end)) => {
                let end = match end {
                    Ok(result) => json!({"ok": values(&result)}),
                    Err(error) => json!({"failed": failure(&error)}),
                };
                assert!(self.ended.insert(operation, end).is_none(), "resolved once");
            }
            Event::ExternalResolved((operation, error)) => {
                let end = error.map_or(json!("delivered"), |error| json!({"failed": failure(&error)}));
                assert!(self.ended.insert(operation, end).is_none(), "resolved once");
            }
            Event::UpdateRequested(update) => self.update(update),
        }
    }

    /// What an update's name says; `run-validator` decides only where it asks for a rejection.
    fn update(&mut self, update: Update) {
        match update.name.as_str() {
            "reject" if update.run_validator => {
                self.trace.push(json!("a trace that must not stay"));
                return updates::reject(update.number, &[application("no", "Rejected")]);
            }
            "ignore" => return,
            "timer_first" => {
                timers::start(milliseconds(1), None);
            }
            _ => {}
        }
        updates::accept(update.number);
        self.trace.push(json!({"update": update.id, "number": update.number, "input": values(&update.input)}));
        if update.name == "later" {
            self.open_updates.push_back(update.number);
        } else {
            updates::complete(update.number, Ok(&[json_payload(&json!(self.trace.len()))]));
        }
    }

    fn run(&mut self) -> Status {
        while let Some(step) = self.steps.pop_front() {
            let blocked = match &step {
                Step::Await(name) => match self.ended.get(&self.operations[name]) {
                    Some(end) => {
                        self.trace.push(end.clone());
                        false
                    }
                    None => true,
                },
                Step::AwaitStart(name) => match self.begun.get(&self.operations[name]) {
                    Some(begun) => {
                        self.trace.push(begun.clone());
                        false
                    }
                    None => true,
                },
                Step::AwaitSignal => match self.signals.pop_front() {
                    Some(signal) => {
                        self.trace.push(signal);
                        false
                    }
                    None => true,
                },
                Step::AwaitCancel => match &self.canceled {
                    Some(reason) => {
                        self.trace.push(json!({"cancel": reason}));
                        false
                    }
                    None => true,
                },
                _ => false,
            };
            if blocked {
                self.steps.push_front(step);
                return Status::Blocked;
            }
            if let Some(status) = self.act(step) {
                return status;
            }
        }
        Status::Completed(vec![json_payload(&json!(self.trace))])
    }

    fn schedule(&mut self, name: String, kind: &str, input: Value, options: ActivityOptions) {
        let operation = activities::schedule(kind, &[json_payload(&input)], &options);
        self.operations.insert(name, operation);
    }

    fn act(&mut self, step: Step) -> Option<Status> {
        match step {
            Step::Await(_) | Step::AwaitStart(_) | Step::AwaitSignal | Step::AwaitCancel => {}
            Step::Child { name, cancel } => {
                let operation = children::start("Child", &[json_payload(&json!(name))], &child_options(&name, &cancel));
                self.operations.insert(name, operation);
            }
            Step::CancelChild(name) => children::cancel(self.operations[&name]),
            Step::SignalChild { name, child } => {
                let target = external::Target::Child(self.operations[&child]);
                self.operations.insert(name, external::signal(&target, "hello", &[], &[]));
            }
            Step::SignalExternal { name, workflow } => {
                let target = external::Target::Execution((workflow, String::new()));
                self.operations.insert(name, external::signal(&target, "hello", &[], &[]));
            }
            Step::CancelExternal { name, workflow } => {
                self.operations.insert(name, external::request_cancel(&workflow, "", "enough"));
            }
            Step::CompleteUpdate(number) => {
                updates::complete(number, Ok(&[json_payload(&json!("completed later"))]));
            }
            Step::CompleteOldestUpdate => {
                if let Some(number) = self.open_updates.pop_front() {
                    updates::complete(number, Ok(&[json_payload(&json!("completed later"))]));
                }
            }
            Step::Patched(id) => {
                let taken = versioning::patched(&id);
                self.trace.push(json!(taken));
            }
            Step::DeprecatePatch(id) => versioning::deprecate_patch(&id),
            Step::Marker(name) => {
                markers::record_marker(&name, &[("data".into(), vec![json_payload(&json!(1))])], None)
            }
            Step::UpsertMemo(key) => attributes::upsert_memo(&[(key, Some(json_payload(&json!("noted"))))]),
            Step::ContinueAsNew(input) => {
                return Some(Status::ContinuedAsNew(Continuation {
                    workflow_type: None,
                    task_queue: None,
                    input: vec![json_payload(&input)],
                    run_timeout: None,
                    task_timeout: None,
                    retry_policy: None,
                    memo: None,
                    search_attributes: None,
                    header: vec![],
                }));
            }
            Step::Timer { name, ms } => {
                let operation = timers::start(milliseconds(ms), Some(&name));
                self.operations.insert(name, operation);
            }
            Step::Activity { name, kind, input, cancel, id, attempts } => {
                let mut options = options(&cancel);
                options.activity_id = id;
                if attempts > 0 {
                    options.retry_policy = Some(RetryPolicy {
                        initial_interval: None,
                        backoff_coefficient: 2.0,
                        maximum_interval: None,
                        maximum_attempts: attempts,
                        non_retryable_error_types: vec![],
                    });
                }
                self.schedule(name, &kind, input, options);
            }
            Step::Pass { name, kind } => {
                let input = self.trace.last().cloned().unwrap_or_default();
                self.schedule(name, &kind, input, options(""));
            }
            Step::CancelTimer(name) => timers::cancel(self.operations[&name]),
            Step::CancelActivity(name) => activities::cancel(self.operations[&name]),
            Step::CancelNumber(number) => timers::cancel(number),
            Step::Observe(what) => {
                let seen = observe(&what);
                self.trace.push(seen);
            }
            Step::Log { message, times } => {
                for _ in 0..times {
                    log::write(log::Level::Info, &message, &[("key".into(), "value".into())]);
                }
            }
            Step::Print { text, times, stderr } => {
                for _ in 0..times {
                    if stderr { eprintln!("{text}") } else { println!("{text}") }
                }
            }
            Step::Panic(message) => panic!("{message}"),
            Step::Spin => loop {
                black_box(0);
            },
            Step::Recurse => {
                black_box(recurse(1));
            }
            Step::Allocate { bytes } => {
                let block = vec![1_u8; bytes];
                self.trace.push(json!(black_box(block).len()));
            }
            Step::Grow { pages } => {
                let before = core::arch::wasm32::memory_grow::<0>(pages);
                self.trace.push(json!(before == usize::MAX));
            }
            Step::Timers { count } => {
                for _ in 0..count {
                    timers::start(milliseconds(1_000), None);
                }
            }
            Step::Activities { count, bytes } => {
                let input = Value::String("x".repeat(bytes));
                for index in 0..count {
                    self.schedule(format!("many-{index}"), "many", input.clone(), options(""));
                }
            }
            Step::RandomBytes(len) => {
                black_box(random::get_bytes(len));
            }
            Step::Sleep => std::thread::sleep(StdDuration::from_millis(1)),
            Step::Exit => std::process::exit(3),
            Step::Connect => {
                let _ = std::net::TcpStream::connect("127.0.0.1:1");
            }
            Step::Lift { count } => {
                let empty = Payload { metadata: vec![], data: vec![] };
                activities::schedule("lift", &vec![empty; count], &options(""));
            }
            Step::LongTimer(seconds) => {
                timers::start(Duration { seconds, nanoseconds: 0 }, None);
            }
            Step::Repeat { times, steps } => {
                if times > 0 {
                    self.steps.push_front(Step::Repeat { times: times - 1, steps: steps.clone() });
                    for step in steps.into_iter().rev() {
                        self.steps.push_front(step);
                    }
                }
            }
            Step::Complete => return Some(Status::Completed(vec![json_payload(&json!(self.trace))])),
            Step::Fail { kind, links } => {
                let link = application("told to fail", &kind);
                return Some(Status::Failed(vec![link; links]));
            }
            Step::Canceled => return Some(Status::Canceled(vec![json_payload(&json!(self.trace))])),
        }
        None
    }
}

fn milliseconds(ms: u64) -> Duration {
    Duration { seconds: ms / 1_000, nanoseconds: (ms % 1_000) as u32 * 1_000_000 }
}

fn options(cancel: &str) -> ActivityOptions {
    ActivityOptions {
        activity_id: None,
        task_queue: None,
        schedule_to_close_timeout: None,
        schedule_to_start_timeout: None,
        start_to_close_timeout: Some(milliseconds(30_000)),
        heartbeat_timeout: None,
        retry_policy: None,
        cancellation_type: match cancel {
            "wait" => CancellationType::WaitCancellationCompleted,
            "abandon" => CancellationType::Abandon,
            _ => CancellationType::TryCancel,
        },
        header: vec![("trace".into(), json_payload(&json!("id")))],
        summary: Some("a \"summary\"".into()),
    }
}

fn child_options(workflow_id: &str, cancel: &str) -> children::ChildOptions {
    children::ChildOptions {
        workflow_id: Some(workflow_id.into()),
        task_queue: None,
        execution_timeout: None,
        run_timeout: None,
        task_timeout: None,
        retry_policy: None,
        parent_close_policy: children::ParentClosePolicy::Terminate,
        workflow_id_reuse_policy: children::WorkflowIdReusePolicy::AllowDuplicate,
        cancellation_type: match cancel {
            "abandon" => children::CancellationType::Abandon,
            "wait" => children::CancellationType::WaitCancellationCompleted,
            "requested" => children::CancellationType::WaitCancellationRequested,
            _ => children::CancellationType::TryCancel,
        },
        memo: vec![],
        search_attributes: vec![],
        header: vec![],
        summary: None,
        details: None,
    }
}

fn recurse(depth: u64) -> u64 {
    // Nothing of the frame lives in the guest's memory, so it is the engine's stack that ends.
    if black_box(depth) == 0 { 0 } else { recurse(depth + 1) + 1 }
}

fn observe(what: &str) -> Value {
    match what {
        "now" => {
            let now = time::now();
            json!([now.seconds, now.nanoseconds])
        }
        "system_time" => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            json!([now.as_secs(), now.subsec_nanos()])
        }
        "instant" => json!(Instant::now().elapsed().as_nanos() as u64),
        "random" => json!(random::get_bytes(16)),
        "hash_order" => {
            let map: HashMap<u32, ()> = (0..64).map(|key| (key, ())).collect();
            json!(map.keys().collect::<Vec<_>>())
        }
        "environment" => json!([std::env::vars().count(), std::env::args().count()]),
        "files" => json!(std::fs::read_to_string("/etc/passwd").is_err()),
        "info" => {
            let info = info::get();
            json!({
                "namespace": info.namespace, "workflow_id": info.workflow_id, "run_id": info.run_id,
                "first": info.first_execution_run_id, "type": info.workflow_type, "task_queue": info.task_queue,
                "attempt": info.attempt, "memo": info.memo.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(),
                "task_timeout": info.task_timeout.map(|timeout| timeout.seconds),
            })
        }
        "history" => {
            let history = info::history();
            json!([history.length, history.size_bytes, history.continue_as_new_suggested])
        }
        "true" => json!(true),
        other => panic!("cannot observe {other}"),
    }
}
