//! A run with its journal, as a server keeps it, small enough to be obviously right.

use std::{
    cell::Cell,
    collections::HashMap,
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use mainspring_api::{
    Timestamp,
    command::{Command, command::Attributes as Asked},
    common::{ActivityType, Payload, Payloads, WorkerVersionStamp, WorkflowType},
    enums::{EventType, RetryState, TimeoutType},
    failure::{ApplicationFailureInfo, Failure, TimeoutFailureInfo, failure::FailureInfo},
    history::{history_event::Attributes as Written, *},
    taskqueue::TaskQueue,
};
use mainspring_core::{retry, time};
use mainspring_sandbox::{
    Activated, Digest, History, ModuleBytes, ModuleDescription, ModuleSource, ReplayReport, RunKey, Sandbox,
    SandboxConfig, TaskFailure, WorkflowTask,
};
use serde_json::Value;

/// The bytes of a guest that `make guests` has built.
pub fn guest(name: &str) -> Vec<u8> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")), PathBuf::from);
    let path = target.join(format!("wasm32-wasip2/guest/{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}. Run `make guests` first.", path.display()))
}

pub fn puppet() -> &'static [u8] {
    static PUPPET: OnceLock<Vec<u8>> = OnceLock::new();
    PUPPET.get_or_init(|| guest("mainspring_sandbox_puppet"))
}

/// A sandbox with the default configuration that has loaded the puppet. Shared, so that it compiles once.
pub fn shared() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| sandbox(|_| {}).0)
}

/// A sandbox of its own that has loaded the puppet. All of them share what they compiled, also with later test runs.
pub fn sandbox(adjust: impl FnOnce(&mut SandboxConfig)) -> (Sandbox, ModuleDescription) {
    let compiled = concat!(env!("CARGO_TARGET_TMPDIR"), "/sandbox-compiled");
    let mut config = SandboxConfig { cache_dir: Some(compiled.into()), ..SandboxConfig::default() };
    adjust(&mut config);
    let sandbox = Sandbox::new(config).unwrap();
    let description = sandbox.load(puppet()).unwrap();
    (sandbox, description)
}

pub fn payloads(value: &Value) -> Payloads {
    let metadata = HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]);
    Payloads { payloads: vec![Payload { metadata, data: value.to_string().into_bytes(), ..Default::default() }] }
}

fn value(payloads: Option<&Payloads>) -> Value {
    serde_json::from_slice(&payloads.unwrap().payloads[0].data).unwrap()
}

/// The puppet's bytes, where a sandbox asks for them.
pub struct Puppets;

impl ModuleBytes for Puppets {
    fn module_bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        Ok((*digest == Digest::of(puppet())).then(|| puppet().to_vec()))
    }
}

/// A journal that counts how many events were asked for.
pub struct Journal<'a> {
    pub events: &'a [HistoryEvent],
    pub read: Cell<usize>,
}

impl History for Journal<'_> {
    fn events_after(&self, event_id: i64) -> Result<Vec<HistoryEvent>, String> {
        let events = self.events.iter().filter(|event| event.event_id > event_id).cloned().collect::<Vec<_>>();
        self.read.set(self.read.get() + events.len());
        Ok(events)
    }
}

/// One run on a server.
pub struct Run {
    pub sandbox: Sandbox,
    pub key: RunKey,
    pub events: Vec<HistoryEvent>,
    pub module: Digest,
    /// The module that completions name; the run's own where it is none.
    pub stamped: Option<Digest>,
}

/// Event times begin here and go on by a second each.
pub const EPOCH: i64 = 1_700_000_000;

impl Run {
    /// A run of the puppet that does these steps. Its id is its own: tests share a sandbox, which knows runs by their ids.
    pub fn start(sandbox: &Sandbox, steps: Value) -> Run {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let run_id = format!("run-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        Run::start_as(sandbox, &run_id, "Puppet", steps)
    }

    pub fn start_as(sandbox: &Sandbox, run_id: &str, workflow_type: &str, input: Value) -> Run {
        let key =
            RunKey { namespace: "default".into(), workflow_id: format!("workflow-of-{run_id}"), run_id: run_id.into() };
        let mut run =
            Run { sandbox: sandbox.clone(), key, events: Vec::new(), module: Digest::of(puppet()), stamped: None };
        run.write(
            EventType::WorkflowExecutionStarted,
            Written::WorkflowExecutionStartedEventAttributes(WorkflowExecutionStartedEventAttributes {
                workflow_type: Some(WorkflowType { name: workflow_type.into() }),
                task_queue: Some(TaskQueue { name: "orders".into(), kind: 1, ..Default::default() }),
                input: Some(payloads(&input)),
                workflow_task_timeout: Some(time::to_proto(std::time::Duration::from_secs(10))),
                original_execution_run_id: run_id.into(),
                first_execution_run_id: run_id.into(),
                attempt: 1,
                ..Default::default()
            }),
        );
        run
    }

    pub fn write(&mut self, kind: EventType, attributes: Written) -> i64 {
        let event_id = self.events.len() as i64 + 1;
        self.events.push(HistoryEvent {
            event_id,
            event_time: Some(Timestamp { seconds: EPOCH + event_id, nanos: 5 }),
            event_type: kind.into(),
            attributes: Some(attributes),
            ..Default::default()
        });
        event_id
    }

    /// Schedules and starts a workflow task.
    pub fn begin_task(&mut self) -> i64 {
        let scheduled_event_id = self
            .write(EventType::WorkflowTaskScheduled, Written::WorkflowTaskScheduledEventAttributes(Default::default()));
        let history_size_bytes = self.events.len() as i64 * 100;
        self.write(
            EventType::WorkflowTaskStarted,
            Written::WorkflowTaskStartedEventAttributes(WorkflowTaskStartedEventAttributes {
                scheduled_event_id,
                history_size_bytes,
                suggest_continue_as_new: false,
                ..Default::default()
            }),
        )
    }

    /// Asks the sandbox to run the task that has begun.
    pub fn activate(&self) -> (Result<Activated, TaskFailure>, usize) {
        let journal = Journal { events: &self.events, read: Cell::new(0) };
        let task = WorkflowTask {
            run: &self.key,
            module: self.module,
            attempt: 1,
            started_event_id: self.events.len() as i64,
            updates: &[],
            history: &journal,
            modules: &Puppets,
            terms: None,
        };
        let activated = self.sandbox.activate(&task);
        (activated, journal.read.get())
    }

    /// Writes what a task came to.
    pub fn complete_task(&mut self, commands: &[Command]) {
        let started_event_id = self.events.len() as i64;
        #[allow(deprecated)]
        let completed = WorkflowTaskCompletedEventAttributes {
            scheduled_event_id: started_event_id - 1,
            started_event_id,
            worker_version: Some(WorkerVersionStamp {
                build_id: self.stamped.unwrap_or(self.module).to_string(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let completed_id =
            self.write(EventType::WorkflowTaskCompleted, Written::WorkflowTaskCompletedEventAttributes(completed));
        for command in commands {
            let (kind, attributes) = self.written(command, completed_id);
            self.write(kind, attributes);
            self.events.last_mut().unwrap().user_metadata = command.user_metadata.clone();
        }
    }

    /// A whole workflow task, which must succeed.
    pub fn task(&mut self) -> Activated {
        self.begin_task();
        let activated = self.activate().0.unwrap();
        self.complete_task(&activated.commands);
        activated
    }

    /// A workflow task that the sandbox must fail, and that is then written so.
    pub fn failing_task(&mut self) -> TaskFailure {
        let started_event_id = self.begin_task();
        let failure = self.activate().0.unwrap_err();
        self.write(
            EventType::WorkflowTaskFailed,
            Written::WorkflowTaskFailedEventAttributes(WorkflowTaskFailedEventAttributes {
                scheduled_event_id: started_event_id - 1,
                started_event_id,
                cause: failure.cause.into(),
                failure: Some(failure.failure.clone()),
                ..Default::default()
            }),
        );
        failure
    }

    /// The server writes that the task which has begun failed.
    pub fn failing_task_by_server(&mut self) {
        let started_event_id = self.events.len() as i64;
        self.write(
            EventType::WorkflowTaskFailed,
            Written::WorkflowTaskFailedEventAttributes(WorkflowTaskFailedEventAttributes {
                scheduled_event_id: started_event_id - 1,
                started_event_id,
                ..Default::default()
            }),
        );
    }

    fn written(&self, command: &Command, completed_id: i64) -> (EventType, Written) {
        match command.attributes.clone().unwrap() {
            Asked::ScheduleActivityTaskCommandAttributes(asked) => {
                let or_zero = |timeout: Option<_>| Some(timeout.unwrap_or_default());
                let scheduled = ActivityTaskScheduledEventAttributes {
                    activity_id: asked.activity_id,
                    activity_type: asked.activity_type,
                    task_queue: asked.task_queue,
                    header: asked.header,
                    input: asked.input,
                    schedule_to_close_timeout: or_zero(asked.schedule_to_close_timeout),
                    schedule_to_start_timeout: or_zero(asked.schedule_to_start_timeout),
                    start_to_close_timeout: or_zero(asked.start_to_close_timeout),
                    heartbeat_timeout: or_zero(asked.heartbeat_timeout),
                    workflow_task_completed_event_id: completed_id,
                    retry_policy: Some(retry::with_defaults(asked.retry_policy.as_ref())),
                    ..Default::default()
                };
                (EventType::ActivityTaskScheduled, Written::ActivityTaskScheduledEventAttributes(scheduled))
            }
            Asked::RequestCancelActivityTaskCommandAttributes(asked) => (
                EventType::ActivityTaskCancelRequested,
                Written::ActivityTaskCancelRequestedEventAttributes(ActivityTaskCancelRequestedEventAttributes {
                    scheduled_event_id: asked.scheduled_event_id,
                    workflow_task_completed_event_id: completed_id,
                }),
            ),
            Asked::StartTimerCommandAttributes(asked) => (
                EventType::TimerStarted,
                Written::TimerStartedEventAttributes(TimerStartedEventAttributes {
                    timer_id: asked.timer_id,
                    start_to_fire_timeout: asked.start_to_fire_timeout,
                    workflow_task_completed_event_id: completed_id,
                }),
            ),
            Asked::CancelTimerCommandAttributes(asked) => (
                EventType::TimerCanceled,
                Written::TimerCanceledEventAttributes(TimerCanceledEventAttributes {
                    started_event_id: self.timer_started(&asked.timer_id),
                    timer_id: asked.timer_id,
                    workflow_task_completed_event_id: completed_id,
                    ..Default::default()
                }),
            ),
            Asked::CompleteWorkflowExecutionCommandAttributes(asked) => (
                EventType::WorkflowExecutionCompleted,
                Written::WorkflowExecutionCompletedEventAttributes(WorkflowExecutionCompletedEventAttributes {
                    result: asked.result,
                    workflow_task_completed_event_id: completed_id,
                    ..Default::default()
                }),
            ),
            Asked::FailWorkflowExecutionCommandAttributes(asked) => (
                EventType::WorkflowExecutionFailed,
                Written::WorkflowExecutionFailedEventAttributes(WorkflowExecutionFailedEventAttributes {
                    failure: asked.failure,
                    retry_state: RetryState::RetryPolicyNotSet.into(),
                    workflow_task_completed_event_id: completed_id,
                    ..Default::default()
                }),
            ),
            Asked::CancelWorkflowExecutionCommandAttributes(asked) => (
                EventType::WorkflowExecutionCanceled,
                Written::WorkflowExecutionCanceledEventAttributes(WorkflowExecutionCanceledEventAttributes {
                    workflow_task_completed_event_id: completed_id,
                    details: asked.details,
                }),
            ),
            other => panic!("no module issues {other:?}"),
        }
    }

    fn timer_started(&self, timer_id: &str) -> i64 {
        self.find(|attributes| matches!(attributes, Written::TimerStartedEventAttributes(timer) if timer.timer_id == timer_id))
    }

    /// The event that scheduled the activity with this id.
    pub fn scheduled(&self, activity_id: &str) -> i64 {
        self.find(|attributes| {
            matches!(attributes, Written::ActivityTaskScheduledEventAttributes(activity) if activity.activity_id == activity_id)
        })
    }

    fn find(&self, wanted: impl Fn(&Written) -> bool) -> i64 {
        let found = self.events.iter().rev().find(|event| event.attributes.as_ref().is_some_and(&wanted));
        found.expect("the journal has it").event_id
    }

    pub fn fire(&mut self, timer_id: &str) {
        let fired =
            TimerFiredEventAttributes { started_event_id: self.timer_started(timer_id), timer_id: timer_id.into() };
        self.write(EventType::TimerFired, Written::TimerFiredEventAttributes(fired));
    }

    fn begin_activity(&mut self, activity_id: &str) -> (i64, i64) {
        let scheduled_event_id = self.scheduled(activity_id);
        let started_event_id = self.write(
            EventType::ActivityTaskStarted,
            Written::ActivityTaskStartedEventAttributes(ActivityTaskStartedEventAttributes {
                scheduled_event_id,
                attempt: 1,
                ..Default::default()
            }),
        );
        (scheduled_event_id, started_event_id)
    }

    pub fn complete(&mut self, activity_id: &str, result: Value) {
        let (scheduled_event_id, started_event_id) = self.begin_activity(activity_id);
        self.write(
            EventType::ActivityTaskCompleted,
            Written::ActivityTaskCompletedEventAttributes(ActivityTaskCompletedEventAttributes {
                result: Some(payloads(&result)),
                scheduled_event_id,
                started_event_id,
                identity: "worker".into(),
                ..Default::default()
            }),
        );
    }

    pub fn fail(&mut self, activity_id: &str, kind: &str) {
        let (scheduled_event_id, started_event_id) = self.begin_activity(activity_id);
        let failure = Failure {
            message: "declined".into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: kind.into(),
                ..Default::default()
            })),
            ..Default::default()
        };
        self.write(
            EventType::ActivityTaskFailed,
            Written::ActivityTaskFailedEventAttributes(ActivityTaskFailedEventAttributes {
                failure: Some(failure),
                scheduled_event_id,
                started_event_id,
                identity: "worker".into(),
                retry_state: RetryState::MaximumAttemptsReached.into(),
                ..Default::default()
            }),
        );
    }

    /// The activity never started.
    pub fn time_out(&mut self, activity_id: &str) {
        let failure = Failure {
            message: "activity timeout".into(),
            failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
                timeout_type: TimeoutType::ScheduleToStart.into(),
                ..Default::default()
            })),
            ..Default::default()
        };
        let timed_out = ActivityTaskTimedOutEventAttributes {
            failure: Some(failure),
            scheduled_event_id: self.scheduled(activity_id),
            retry_state: RetryState::Timeout.into(),
            ..Default::default()
        };
        self.write(EventType::ActivityTaskTimedOut, Written::ActivityTaskTimedOutEventAttributes(timed_out));
    }

    /// The activity answers that it has stopped.
    pub fn canceled(&mut self, activity_id: &str, details: Value) {
        let (scheduled_event_id, started_event_id) = self.begin_activity(activity_id);
        let canceled = ActivityTaskCanceledEventAttributes {
            details: Some(payloads(&details)),
            scheduled_event_id,
            started_event_id,
            identity: "worker".into(),
            ..Default::default()
        };
        self.write(EventType::ActivityTaskCanceled, Written::ActivityTaskCanceledEventAttributes(canceled));
    }

    pub fn signal(&mut self, name: &str, input: Value) {
        let signal = WorkflowExecutionSignaledEventAttributes {
            signal_name: name.into(),
            input: Some(payloads(&input)),
            identity: "client".into(),
            ..Default::default()
        };
        self.write(EventType::WorkflowExecutionSignaled, Written::WorkflowExecutionSignaledEventAttributes(signal));
    }

    pub fn request_cancel(&mut self, cause: &str) {
        let request = WorkflowExecutionCancelRequestedEventAttributes { cause: cause.into(), ..Default::default() };
        self.write(
            EventType::WorkflowExecutionCancelRequested,
            Written::WorkflowExecutionCancelRequestedEventAttributes(request),
        );
    }

    /// What the workflow returned.
    pub fn result(&self) -> Value {
        match self.events.last().unwrap().attributes.as_ref().unwrap() {
            Written::WorkflowExecutionCompletedEventAttributes(completed) => value(completed.result.as_ref()),
            Written::WorkflowExecutionCanceledEventAttributes(canceled) => value(canceled.details.as_ref()),
            other => panic!("the run has not completed: {other:?}"),
        }
    }

    pub fn replay(&self) -> Result<ReplayReport, TaskFailure> {
        replay(&self.sandbox, &self.key, &self.events)
    }
}

pub fn replay(sandbox: &Sandbox, key: &RunKey, events: &[HistoryEvent]) -> Result<ReplayReport, TaskFailure> {
    let source = ModuleSource::Stored { digest: Digest::of(puppet()), modules: &Puppets };
    sandbox.replay(&source, key, events)
}

pub fn activity_type(name: &str) -> Option<ActivityType> {
    Some(ActivityType { name: name.into() })
}
