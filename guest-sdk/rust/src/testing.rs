//! Runs a workflow natively, in a plain `cargo test`, with the test in the role of the server.
//!
//! Time moves only when a timer is fired, random numbers are the same in every run, and nothing is polled in the
//! background: each call runs the workflow until it is blocked again, as one activation on the server does.
//!
//! ```
//! use mainspring_workflow::{prelude::*, testing::{Command, TestRun}};
//!
//! #[activity]
//! fn charge(amount: f64) -> String;
//!
//! #[workflow]
//! async fn order(amount: f64) -> WorkflowResult<String> {
//!     sleep(Duration::from_secs(60)).await?;
//!     Ok(charge(amount).start_to_close_timeout(Duration::from_secs(30)).await?)
//! }
//!
//! # #[allow(clippy::needless_doctest_main)]
//! # fn main() {
//! let mut run = TestRun::start::<order>([99.99]);
//! run.fire_timer(1);
//! run.complete_activity(2, "tx-1");
//! assert_eq!(run.result::<String>().unwrap(), "tx-1");
//! assert!(matches!(&run.commands()[1], Command::ScheduleActivity { activity_type, .. } if activity_type == "charge"));
//! # }
//! ```

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, SystemTime},
};

use crate::{
    activity::ActivityOptions,
    bindings::{Status, mainspring::workflow::activation::Signal},
    error::{Canceled, WorkflowError},
    failure::{ActivityFailureInfo, ApplicationFailure, Failure, FailureKind, RetryState},
    host::{Host, Operation},
    info::{HistoryInfo, WorkflowInfo},
    log::Level,
    payload::{FromPayload, Payload, ToPayload, from_first},
    runtime::Runtime,
    workflow::Workflow,
};

pub use crate::bindings::mainspring::workflow::activation::Event;

/// What the workflow asked the server for, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// It wants an activity run.
    ScheduleActivity {
        /// The number to complete it by.
        operation: Operation,
        /// Its name.
        activity_type: String,
        /// Its arguments.
        input: Vec<Payload>,
        /// All its options.
        options: Box<ActivityOptions>,
    },
    /// It wants an activity canceled.
    CancelActivity(Operation),
    /// It wants to be woken.
    StartTimer {
        /// The number to fire it by.
        operation: Operation,
        /// How far from then.
        after: Duration,
        /// The line for people.
        summary: Option<String>,
    },
    /// It no longer wants to be woken.
    CancelTimer(Operation),
}

/// A line that the workflow wrote: its level, message and fields.
pub type LogLine = (Level, String, Vec<(String, String)>);

/// A run of a workflow, driven by a test. Dropping it ends the run.
pub struct TestRun {
    runtime: Rc<Runtime>,
    host: Rc<FakeHost>,
    status: Status,
}

impl TestRun {
    /// Starts the workflow with these arguments (of different types: as `serde_json::Value`s or [`Payload`]s) and runs
    /// it until it is blocked.
    pub fn start<W: Workflow>(input: impl IntoIterator<Item: ToPayload>) -> Self {
        let input = input.into_iter().map(|value| encode(&value)).collect();
        let host = Rc::new(FakeHost::new(W::NAME));
        let runtime = Runtime::new(Box::new(host.clone()));
        runtime.install();
        let status = runtime.start(W::run(input));
        Self { runtime, host, status }
    }

    /// Everything it asked for so far.
    pub fn commands(&self) -> Vec<Command> {
        self.host.commands.borrow().clone()
    }

    /// The lines that it wrote.
    pub fn log_lines(&self) -> Vec<LogLine> {
        self.host.log.borrow().clone()
    }

    /// Whether it waits for something.
    pub fn is_blocked(&self) -> bool {
        matches!(self.status, Status::Blocked)
    }

    /// Whether it ended as canceled.
    pub fn is_canceled(&self) -> bool {
        matches!(self.status, Status::Canceled(_))
    }

    /// What it returned, or why it failed or was canceled.
    ///
    /// # Panics
    /// Where it has not ended, or its result is not a `T`.
    #[track_caller]
    pub fn result<T: FromPayload>(&self) -> Result<T, WorkflowError> {
        match &self.status {
            Status::Blocked => panic!("the workflow has not ended; it asked for {:?}", self.commands()),
            Status::Completed(payloads) => Ok(from_first(payloads).expect("the result is of another type")),
            Status::Failed(failure) => Err(Failure::from_wit(failure.clone()).into()),
            Status::Canceled(details) => Err(Failure::new("canceled", FailureKind::Canceled(details.clone())).into()),
        }
    }

    /// Gives the workflow an activity's result.
    pub fn complete_activity(&mut self, activity: Operation, result: impl ToPayload) {
        self.resume([Event::ActivityResolved((activity, Ok(vec![encode(&result)])))]);
    }

    /// Tells the workflow that an activity failed for good.
    pub fn fail_activity(&mut self, activity: Operation, failure: ApplicationFailure) {
        self.resolve_activity(activity, failure.into(), RetryState::MaximumAttemptsReached);
    }

    /// Tells the workflow that an activity was canceled.
    pub fn cancel_activity(&mut self, activity: Operation) {
        self.resolve_activity(activity, Canceled::default().into(), RetryState::CancelRequested);
    }

    fn resolve_activity(&mut self, activity: Operation, cause: Failure, retry_state: RetryState) {
        let activity_type = self.commands().into_iter().find_map(|command| match command {
            Command::ScheduleActivity { operation, activity_type, .. } if operation == activity => Some(activity_type),
            _ => None,
        });
        let info = ActivityFailureInfo {
            scheduled_event_id: 5,
            started_event_id: 6,
            identity: "test".into(),
            activity_type: activity_type.expect("no such activity"),
            activity_id: activity.to_string(),
            retry_state,
        };
        let failure = Failure::new("activity error", FailureKind::Activity(info)).caused_by(cause);
        self.resume([Event::ActivityResolved((activity, Err(failure.into_wit())))]);
    }

    /// Moves the clock to when the timer is due, unless that has passed, and fires it.
    pub fn fire_timer(&mut self, timer: Operation) {
        let due = self.host.due.borrow().iter().find(|(operation, _)| *operation == timer).map(|(_, due)| *due);
        let due = due.expect("no such timer");
        self.host.now.set(self.host.now.get().max(due));
        self.resume([Event::TimerFired(timer)]);
    }

    /// Sends a signal with one argument.
    pub fn signal(&mut self, name: &str, argument: impl ToPayload) {
        self.resume([signal(name, argument)]);
    }

    /// Asks the workflow to cancel.
    pub fn request_cancel(&mut self, reason: &str) {
        self.resume([Event::CancelRequested(reason.to_owned())]);
    }

    /// Gives the workflow several events at once.
    ///
    /// # Panics
    /// Where it has ended.
    #[track_caller]
    pub fn resume(&mut self, events: impl IntoIterator<Item = Event>) {
        assert!(self.is_blocked(), "the workflow has ended already");
        self.status = self.runtime.resume(events.into_iter().collect());
    }
}

impl Drop for TestRun {
    fn drop(&mut self) {
        self.runtime.abort();
    }
}

/// A signal with one argument, for [`TestRun::resume`].
pub fn signal(name: &str, argument: impl ToPayload) -> Event {
    let input = vec![encode(&argument)];
    Event::SignalReceived(Signal { name: name.to_owned(), input, identity: "test".into(), header: Vec::new() })
}

fn encode(value: &impl ToPayload) -> Payload {
    value.to_payload().expect("the value cannot be serialised")
}

struct FakeHost {
    workflow_type: &'static str,
    now: Cell<SystemTime>,
    random_state: Cell<u64>,
    last_operation: Cell<Operation>,
    commands: RefCell<Vec<Command>>,
    due: RefCell<Vec<(Operation, SystemTime)>>,
    log: RefCell<Vec<LogLine>>,
}

impl FakeHost {
    fn new(workflow_type: &'static str) -> Self {
        Self {
            workflow_type,
            now: Cell::new(start_time()),
            random_state: Cell::new(1),
            last_operation: Cell::new(0),
            commands: RefCell::default(),
            due: RefCell::default(),
            log: RefCell::default(),
        }
    }

    fn next_operation(&self) -> Operation {
        self.last_operation.set(self.last_operation.get() + 1);
        self.last_operation.get()
    }

    fn push(&self, command: Command) {
        self.commands.borrow_mut().push(command);
    }
}

/// 2026-01-01T00:00:00Z.
fn start_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

impl Host for Rc<FakeHost> {
    fn now(&self) -> SystemTime {
        self.now.get()
    }

    fn random_bytes(&self, len: u32) -> Vec<u8> {
        // SplitMix64: short, and good enough for a test.
        let next = || {
            let state = self.random_state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.random_state.set(state);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn start_timer(&self, after: Duration, summary: Option<&str>) -> Operation {
        let operation = self.next_operation();
        self.due.borrow_mut().push((operation, self.now.get() + after));
        self.push(Command::StartTimer { operation, after, summary: summary.map(str::to_owned) });
        operation
    }

    fn cancel_timer(&self, timer: Operation) {
        self.push(Command::CancelTimer(timer));
    }

    fn schedule_activity(&self, activity_type: &str, input: &[Payload], options: &ActivityOptions) -> Operation {
        let operation = self.next_operation();
        self.push(Command::ScheduleActivity {
            operation,
            activity_type: activity_type.to_owned(),
            input: input.to_vec(),
            options: Box::new(options.clone()),
        });
        operation
    }

    fn cancel_activity(&self, activity: Operation) {
        self.push(Command::CancelActivity(activity));
    }

    fn info(&self) -> WorkflowInfo {
        WorkflowInfo {
            namespace: "default".into(),
            workflow_id: "test-workflow".into(),
            run_id: "test-run".into(),
            first_execution_run_id: "test-run".into(),
            continued_execution_run_id: None,
            workflow_type: self.workflow_type.into(),
            task_queue: "test-queue".into(),
            attempt: 1,
            start_time: start_time(),
            execution_timeout: None,
            run_timeout: None,
            task_timeout: Some(Duration::from_secs(10)),
            retry_policy: None,
            memo: Vec::new(),
            search_attributes: Vec::new(),
            header: Vec::new(),
            last_completion_result: Vec::new(),
            last_failure: None,
        }
    }

    fn history(&self) -> HistoryInfo {
        HistoryInfo { length: 3, size_bytes: 1024, continue_as_new_suggested: false }
    }

    fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        self.log.borrow_mut().push((level, message.to_owned(), fields.to_vec()));
    }
}
