//! Runs a workflow natively, in a plain `cargo test`, with the test in the role of the server.
//!
//! Time moves only when the test says so, random numbers are the same in every run, and nothing is polled in the
//! background: each call runs the workflow until it is blocked again.
//!
//! # With answers given beforehand
//!
//! [`TestConfig`] says what the activities answer, and [`TestRun::skip_time`] lets months pass in microseconds:
//!
//! ```
//! use mainspring_workflow::{prelude::*, testing::TestConfig};
//!
//! const DAY: Duration = Duration::from_secs(24 * 3600);
//!
//! #[activity]
//! fn charge(customer: String) -> u32;
//!
//! #[workflow]
//! async fn subscription(customer: String, months: u32) -> WorkflowResult<u32> {
//!     let mut earned = 0;
//!     for _ in 0..months {
//!         sleep(30 * DAY).await?;
//!         earned += charge(customer.clone()).start_to_close_timeout(Duration::from_secs(30)).await?;
//!     }
//!     Ok(earned)
//! }
//!
//! # #[allow(clippy::needless_doctest_main)]
//! # fn main() {
//! let mut run = TestConfig::new()
//!     .activity("charge", |_customer: String| 10)
//!     .start::<subscription>([serde_json::json!("ann"), serde_json::json!(12)]);
//! run.skip_time(100 * DAY);
//! assert_eq!(run.activity_calls("charge").len(), 3);
//! run.skip_to_end();
//! assert_eq!(run.elapsed(), 360 * DAY);
//! assert_eq!(run.result::<u32>().unwrap(), 120);
//! run.assert_replays(); // as on a server that lost its memory
//! # }
//! ```
//!
//! # Step by step
//!
//! What has no answer beforehand the test answers itself. What the workflow starts has a number, counted from 1 in the
//! order of start, by which the test completes it; updates have numbers of their own. One call is one activation, as on
//! the server. [`TestRun::assert_replays`] runs the workflow again with the same events, as the server does after a
//! crash.
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

mod clock;
mod command;
mod host;
mod stubs;

use std::{rc::Rc, time::SystemTime};

use self::{
    host::{Circumstances, FakeHost},
    stubs::Stubs,
};
use crate::{
    bindings::{
        Query, Status,
        mainspring::workflow::activation::{Signal, Update},
    },
    error::{Canceled, WorkflowError},
    failure::{ActivityFailureInfo, ApplicationFailure, ChildWorkflowFailureInfo, Failure, FailureKind, RetryState},
    host::Operation,
    info::{HistoryInfo, WorkflowInfo},
    log::Level,
    payload::{FromPayload, Payload, ToPayload, from_first},
    runtime::Runtime,
    workflow::{Workflow, WorkflowFuture},
};

pub use self::command::{Command, Target};
pub use crate::bindings::mainspring::workflow::activation::{Continuation, Event};

/// A line that the workflow wrote: its level, message and fields.
pub type LogLine = (Level, String, Vec<(String, String)>);

/// What a run is to find when it begins, for a test that cares.
///
/// ```
/// # use mainspring_workflow::{prelude::*, testing::TestConfig};
/// #[workflow]
/// async fn refund() -> WorkflowResult<String> {
///     Ok(if patched("by card") { "by card" } else { "by bank" }.into())
/// }
/// let old_run = TestConfig::new().without_patch("by card").start::<refund>([(); 0]);
/// assert_eq!(old_run.result::<String>().unwrap(), "by bank");
/// ```
pub struct TestConfig {
    circumstances: Circumstances,
    stubs: Stubs,
}

impl TestConfig {
    /// As [`TestRun::start`] has it.
    #[expect(clippy::new_without_default, reason = "it is there to be changed")]
    pub fn new() -> Self {
        Self { circumstances: Circumstances::new(), stubs: Stubs::default() }
    }

    /// Changes what the run knows of itself.
    #[must_use]
    pub fn info(mut self, change: impl FnOnce(&mut WorkflowInfo)) -> Self {
        change(&mut self.circumstances.info);
        self
    }

    /// Makes it a run that was here before this change.
    #[must_use]
    pub fn without_patch(mut self, id: impl Into<String>) -> Self {
        self.circumstances.unpatched.insert(id.into());
        self
    }

    /// See [`TestRun::start`].
    pub fn start<W: Workflow>(mut self, input: impl IntoIterator<Item: ToPayload>) -> TestRun {
        self.circumstances.info.workflow_type = W::NAME.to_owned();
        let input = input.into_iter().map(|value| encode(&value)).collect();
        TestRun::begin(W::run, input, self.circumstances).with(self.stubs)
    }
}

/// A run of a workflow, driven by a test. Dropping it ends the run.
pub struct TestRun {
    runtime: Rc<Runtime>,
    host: Rc<FakeHost>,
    status: Status,
    workflow: fn(Vec<Payload>) -> WorkflowFuture,
    input: Vec<Payload>,
    circumstances: Circumstances,
    /// What it was told, when, and how long its history was.
    activations: Vec<(SystemTime, HistoryInfo, Vec<Event>)>,
    last_update: u32,
    stubs: Stubs,
    /// The commands that stubs have been asked about.
    looked_at: usize,
    #[cfg(test)]
    is_replay: bool,
}

impl TestRun {
    /// Starts the workflow with these arguments (of different types: as `serde_json::Value`s or [`Payload`]s) and runs
    /// it until it is blocked.
    pub fn start<W: Workflow>(input: impl IntoIterator<Item: ToPayload>) -> Self {
        TestConfig::new().start::<W>(input)
    }

    fn begin(workflow: fn(Vec<Payload>) -> WorkflowFuture, input: Vec<Payload>, circumstances: Circumstances) -> Self {
        let host = Rc::new(FakeHost::new(circumstances.clone()));
        let runtime = Runtime::new(Box::new(host.clone()));
        runtime.install();
        let status = runtime.start(workflow(input.clone()));
        Self {
            runtime,
            host,
            status,
            workflow,
            input,
            circumstances,
            activations: Vec::new(),
            last_update: 0,
            stubs: Stubs::default(),
            looked_at: 0,
            #[cfg(test)]
            is_replay: false,
        }
    }

    fn with(mut self, stubs: Stubs) -> Self {
        self.stubs = stubs;
        self.answer_stubs();
        self
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

    /// How it goes on in a new run, if it does.
    pub fn continued_as_new(&self) -> Option<&Continuation> {
        match &self.status {
            Status::ContinuedAsNew(continuation) => Some(continuation),
            _ => None,
        }
    }

    /// The run that it goes on in, on the same clock and with the same answers to its activities and children.
    ///
    /// # Panics
    /// Where it does not go on, or does so as a workflow of another type.
    #[track_caller]
    pub fn next_run(self) -> Self {
        let continuation = self.continued_as_new().expect("the run does not continue as new").clone();
        let own_type = &self.circumstances.info.workflow_type;
        let next_type = continuation.workflow_type.as_ref().unwrap_or(own_type);
        assert_eq!(next_type, own_type, "the run goes on as another workflow");
        let circumstances = self.circumstances.next(&continuation, self.now());
        let (workflow, stubs) = (self.workflow, self.stubs.clone());
        // Before the other is the thread's run.
        drop(self);
        Self::begin(workflow, continuation.input, circumstances).with(stubs)
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
            Status::ContinuedAsNew(continuation) => panic!("the workflow continues as new: {continuation:?}"),
        }
    }

    /// Gives the workflow an activity's result.
    pub fn complete_activity(&mut self, activity: Operation, result: impl ToPayload) {
        self.resume([Event::ActivityResolved((activity, Ok(vec![encode(&result)])))]);
    }

    /// Tells the workflow that an activity failed for good.
    pub fn fail_activity(&mut self, activity: Operation, failure: ApplicationFailure) {
        self.resume([self.activity_failed(activity, failure.into(), RetryState::MaximumAttemptsReached)]);
    }

    /// Tells the workflow that an activity was canceled.
    pub fn cancel_activity(&mut self, activity: Operation) {
        self.resume([self.activity_canceled(activity)]);
    }

    fn activity_canceled(&self, activity: Operation) -> Event {
        self.activity_failed(activity, Canceled::default().into(), RetryState::CancelRequested)
    }

    fn activity_failed(&self, activity: Operation, cause: Failure, retry_state: RetryState) -> Event {
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
        Event::ActivityResolved((activity, Err(failure.into_wit())))
    }

    /// Tells the workflow that a child has begun, as the run `child-run-<number>`.
    pub fn begin_child(&mut self, child: Operation) {
        self.resume([Event::ChildStarted((child, Ok(child_run_id(child))))]);
    }

    /// Tells the workflow that a child could not begin, because another workflow has its id.
    pub fn refuse_child(&mut self, child: Operation) {
        let cause = ApplicationFailure::new("WorkflowExecutionAlreadyStarted", "Workflow execution already started");
        let failure = self.child_failure(child, cause.non_retryable().into(), RetryState::NonRetryableFailure);
        self.resume([Event::ChildStarted((child, Err(failure.into_wit())))]);
    }

    /// Gives the workflow a child's result.
    pub fn complete_child(&mut self, child: Operation, result: impl ToPayload) {
        self.resume([Event::ChildResolved((child, Ok(vec![encode(&result)])))]);
    }

    /// Tells the workflow that a child failed for good.
    pub fn fail_child(&mut self, child: Operation, failure: ApplicationFailure) {
        let failure = self.child_failure(child, failure.into(), RetryState::RetryPolicyNotSet);
        self.resume([Event::ChildResolved((child, Err(failure.into_wit())))]);
    }

    /// Tells the workflow that a child was canceled.
    pub fn cancel_child(&mut self, child: Operation) {
        let failure = self.child_failure(child, Canceled::default().into(), RetryState::CancelRequested);
        self.resume([Event::ChildResolved((child, Err(failure.into_wit())))]);
    }

    fn child_failure(&self, child: Operation, cause: Failure, retry_state: RetryState) -> Failure {
        let started = self.commands().into_iter().find_map(|command| match command {
            Command::StartChild { operation, workflow_type, options, .. } if operation == child => {
                Some((workflow_type, options.workflow_id.unwrap_or_default()))
            }
            _ => None,
        });
        let (workflow_type, workflow_id) = started.expect("no such child");
        let info = ChildWorkflowFailureInfo {
            namespace: "default".into(),
            workflow_id,
            run_id: child_run_id(child),
            workflow_type,
            initiated_event_id: 5,
            started_event_id: 6,
            retry_state,
        };
        Failure::new("child workflow error", FailureKind::ChildWorkflow(info)).caused_by(cause)
    }

    /// Tells the workflow that its message to another workflow was delivered.
    pub fn deliver(&mut self, message: Operation) {
        self.resume([Event::ExternalResolved((message, None))]);
    }

    /// Tells the workflow that its message to another workflow could not be delivered.
    pub fn refuse(&mut self, message: Operation, failure: ApplicationFailure) {
        self.resume([Event::ExternalResolved((message, Some(Failure::from(failure).into_wit())))]);
    }

    /// Sends a signal with one argument. ([`signal_with`] makes one with several.)
    pub fn signal(&mut self, name: &str, argument: impl ToPayload) {
        self.resume([signal(name, argument)]);
    }

    /// Sends an update, and gives the number that it is known by.
    pub fn update(&mut self, name: &str, arguments: impl IntoIterator<Item: ToPayload>) -> u32 {
        let event = self.update_event(name, arguments);
        self.resume([event]);
        self.last_update
    }

    /// An update, for [`TestRun::resume`]. The first is known as 1.
    pub fn update_event(&mut self, name: &str, arguments: impl IntoIterator<Item: ToPayload>) -> Event {
        self.last_update += 1;
        Event::UpdateRequested(Update {
            number: self.last_update,
            id: format!("update-{}", self.last_update),
            name: name.to_owned(),
            input: arguments.into_iter().map(|value| encode(&value)).collect(),
            identity: "test".into(),
            header: Vec::new(),
            run_validator: true,
        })
    }

    /// Whether the workflow has accepted an update.
    pub fn is_accepted(&self, update: u32) -> bool {
        self.host.commands.borrow().contains(&Command::AcceptUpdate(update))
    }

    /// The workflow's answer to an update, an error also where it refused it; none where it has not answered.
    ///
    /// # Panics
    /// Where the answer is not a `T`.
    #[track_caller]
    pub fn update_result<T: FromPayload>(&self, update: u32) -> Option<Result<T, WorkflowError>> {
        let answer = self.commands().into_iter().find_map(|command| match command {
            Command::RejectUpdate(number, failure) if number == update => Some(Err(failure)),
            Command::CompleteUpdate(number, outcome) if number == update => Some(outcome),
            _ => None,
        })?;
        Some(match answer {
            Ok(payloads) => Ok(from_first(&payloads).expect("the update's result is of another type")),
            Err(failure) => Err((*failure).into()),
        })
    }

    /// Asks the workflow something, also after it has ended.
    ///
    /// # Panics
    /// Where the answer is not a `T`.
    #[track_caller]
    pub fn query<T: FromPayload>(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item: ToPayload>,
    ) -> Result<T, WorkflowError> {
        let args = arguments.into_iter().map(|value| encode(&value)).collect();
        let answer = self.runtime.answer_query(Query { name: name.to_owned(), args, header: Vec::new() })?;
        Ok(from_first(&answer).expect("the answer is of another type"))
    }

    /// Makes the server suggest that the workflow continue as new.
    pub fn suggest_continue_as_new(&mut self) {
        self.host.history.set(HistoryInfo { continue_as_new_suggested: true, ..self.host.history.get() });
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
        self.activate(events);
        self.answer_stubs();
    }

    /// One activation.
    fn activate(&mut self, events: impl IntoIterator<Item = Event>) {
        let events: Vec<_> = events.into_iter().collect();
        let fired = events.iter().filter_map(|event| match event {
            Event::TimerFired(timer) => Some(*timer),
            _ => None,
        });
        self.host.over.borrow_mut().extend(fired);
        self.activations.push((self.host.now.get(), self.host.history.get(), events.clone()));
        self.status = self.runtime.resume(events);
    }

    /// Runs the workflow again with the same events, as the server does after a crash, and checks that it does the same.
    /// Queries are not repeated, nor are updates that were refused, and no validator is asked again.
    ///
    /// # Panics
    /// Where it does something else: it, or a query handler or validator, then uses what is not the workflow's, or
    /// changes what it may only read.
    #[track_caller]
    pub fn assert_replays(&self) {
        let mut replay = Self::begin(self.workflow, self.input.clone(), self.circumstances.clone());
        #[cfg(test)]
        {
            replay.is_replay = true;
        }
        for (now, history, events) in &self.activations {
            let events: Vec<_> = events.iter().cloned().filter_map(|event| self.replayed(event)).collect();
            if events.is_empty() {
                continue;
            }
            replay.host.now.set(*now);
            replay.host.history.set(*history);
            replay.status = replay.runtime.resume(events);
        }
        let commands = |run: &Self| -> Vec<_> {
            run.commands().into_iter().filter(|command| !matches!(command, Command::RejectUpdate(..))).collect()
        };
        let (live, replayed) = (commands(self), commands(&replay));
        let same = live == replayed && self.status == replay.status;
        let status = replay.status.clone();
        // Before the other is the thread's run again.
        drop(replay);
        self.runtime.install();
        assert!(
            same,
            "a replay does something else:\n  live: {live:?} {:?}\nreplay: {replayed:?} {status:?}",
            self.status
        );
    }

    /// The event as the journal has it.
    fn replayed(&self, event: Event) -> Option<Event> {
        match event {
            Event::UpdateRequested(update) if self.is_accepted(update.number) => {
                Some(Event::UpdateRequested(Update { run_validator: false, ..update }))
            }
            Event::UpdateRequested(_) => None,
            other => Some(other),
        }
    }
}

impl Drop for TestRun {
    fn drop(&mut self) {
        // Every run of the SDK's own tests is replayed.
        #[cfg(test)]
        if !self.is_replay && !std::thread::panicking() {
            self.assert_replays();
        }
        self.runtime.abort();
    }
}

/// A signal with one argument, for [`TestRun::resume`].
pub fn signal(name: &str, argument: impl ToPayload) -> Event {
    signal_with(name, [argument])
}

/// A signal with any number of arguments, for [`TestRun::resume`].
pub fn signal_with(name: &str, arguments: impl IntoIterator<Item: ToPayload>) -> Event {
    let input = arguments.into_iter().map(|value| encode(&value)).collect();
    Event::SignalReceived(Signal { name: name.to_owned(), input, identity: "test".into(), header: Vec::new() })
}

fn child_run_id(child: Operation) -> String {
    format!("child-run-{child}")
}

fn encode(value: &impl ToPayload) -> Payload {
    value.to_payload().expect("the value cannot be serialised")
}
