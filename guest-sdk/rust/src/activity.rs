//! Activities: calls to code outside the sandbox, run by workers with Temporal's own SDKs.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    bindings::mainspring::workflow::activities as wit,
    error::ActivityError,
    host::Operation,
    operation::{Description, Kind, Resolution},
    payload::{FromPayload, Payload, PayloadError, ToPayload, from_first},
    retry::RetryPolicy,
    runtime::{Runtime, with_current},
    time::duration_to_wit,
};

pub use wit::CancellationType;

/// How an activity is to be run. The methods of [`Activity`] set the same, one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityOptions {
    /// Unique among the run's open activities; the operation's number where it is none.
    pub activity_id: Option<String>,
    /// The workflow's own task queue where it is none.
    pub task_queue: Option<String>,
    /// How long all attempts together may take, and the waiting between them.
    pub schedule_to_close_timeout: Option<Duration>,
    /// How long an attempt may wait for a worker.
    pub schedule_to_start_timeout: Option<Duration>,
    /// How long one attempt may run.
    pub start_to_close_timeout: Option<Duration>,
    /// How long an attempt may be silent.
    pub heartbeat_timeout: Option<Duration>,
    /// Temporal's default policy where it is none: from 1 s, doubling, to 100 s, without end.
    pub retry_policy: Option<RetryPolicy>,
    /// What canceling means; [`CancellationType::TryCancel`] unless set.
    pub cancellation_type: CancellationType,
    /// For the worker's interceptors.
    pub header: Vec<(String, Payload)>,
    /// One line for people, shown by the CLI and the UI.
    pub summary: Option<String>,
}

impl Default for ActivityOptions {
    fn default() -> Self {
        Self {
            activity_id: None,
            task_queue: None,
            schedule_to_close_timeout: None,
            schedule_to_start_timeout: None,
            start_to_close_timeout: None,
            heartbeat_timeout: None,
            retry_policy: None,
            cancellation_type: CancellationType::TryCancel,
            header: Vec::new(),
            summary: None,
        }
    }
}

impl ActivityOptions {
    pub(crate) fn to_wit(&self) -> wit::ActivityOptions {
        wit::ActivityOptions {
            activity_id: self.activity_id.clone(),
            task_queue: self.task_queue.clone(),
            schedule_to_close_timeout: self.schedule_to_close_timeout.map(duration_to_wit),
            schedule_to_start_timeout: self.schedule_to_start_timeout.map(duration_to_wit),
            start_to_close_timeout: self.start_to_close_timeout.map(duration_to_wit),
            heartbeat_timeout: self.heartbeat_timeout.map(duration_to_wit),
            retry_policy: self.retry_policy.as_ref().map(RetryPolicy::to_wit),
            cancellation_type: self.cancellation_type,
            header: self.header.clone(),
            summary: self.summary.clone(),
        }
    }
}

/// An activity by its name, for where `#[activity]` does not fit: when the name is known only at run time, say.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example(order_id: u64) -> WorkflowResult<()> {
/// let tracking: String = activity("ship").arg(order_id).arg("express").start_to_close_timeout(Duration::from_secs(60)).await?;
/// # Ok(()) }
/// ```
pub fn activity<T: FromPayload>(activity_type: impl Into<String>) -> Activity<T> {
    Activity {
        activity_type: activity_type.into(),
        input: Ok(Vec::new()),
        options: ActivityOptions::default(),
        result: PhantomData,
    }
}

/// An activity that has not been scheduled yet. It is, when it is awaited, [started](Activity::start), or handed to
/// `join!`, `select!`, [`timeout`](crate::timeout) or a scope.
///
/// One of [`start_to_close_timeout`](Activity::start_to_close_timeout) and
/// [`schedule_to_close_timeout`](Activity::schedule_to_close_timeout) must be set.
#[must_use = "an activity is not scheduled unless it is awaited or started"]
pub struct Activity<T> {
    activity_type: String,
    input: Result<Vec<Payload>, PayloadError>,
    options: ActivityOptions,
    result: PhantomData<fn() -> T>,
}

impl<T: FromPayload> Activity<T> {
    /// Adds an argument. Each becomes a payload of its own, as in every Temporal SDK.
    pub fn arg(mut self, value: impl ToPayload) -> Self {
        if let Ok(input) = &mut self.input {
            match value.to_payload() {
                Ok(payload) => input.push(payload),
                Err(error) => {
                    let what = format!("argument {} of activity {}", input.len() + 1, self.activity_type);
                    self.input = Err(error.of(what));
                }
            }
        }
        self
    }

    /// Replaces all options.
    pub fn options(mut self, options: ActivityOptions) -> Self {
        self.options = options;
        self
    }

    /// How long one attempt may run. The usual timeout to set: a worker that died is noticed by it.
    pub fn start_to_close_timeout(mut self, timeout: Duration) -> Self {
        self.options.start_to_close_timeout = Some(timeout);
        self
    }

    /// How long all attempts together may take, and the waiting between them.
    pub fn schedule_to_close_timeout(mut self, timeout: Duration) -> Self {
        self.options.schedule_to_close_timeout = Some(timeout);
        self
    }

    /// How long an attempt may wait for a worker.
    pub fn schedule_to_start_timeout(mut self, timeout: Duration) -> Self {
        self.options.schedule_to_start_timeout = Some(timeout);
        self
    }

    /// How long an attempt may be silent.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.options.heartbeat_timeout = Some(timeout);
        self
    }

    /// When and how often to try again.
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.options.retry_policy = Some(policy);
        self
    }

    /// What canceling means.
    pub fn cancellation_type(mut self, cancellation_type: CancellationType) -> Self {
        self.options.cancellation_type = cancellation_type;
        self
    }

    /// The task queue whose workers run it; the workflow's own unless set.
    pub fn task_queue(mut self, task_queue: impl Into<String>) -> Self {
        self.options.task_queue = Some(task_queue.into());
        self
    }

    /// An id of your own, unique among the run's open activities.
    pub fn activity_id(mut self, id: impl Into<String>) -> Self {
        self.options.activity_id = Some(id.into());
        self
    }

    /// Adds a header for the worker's interceptors.
    pub fn header(mut self, key: impl Into<String>, value: Payload) -> Self {
        self.options.header.push((key.into(), value));
        self
    }

    /// One line for people, shown by the CLI and the UI.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.options.summary = Some(summary.into());
        self
    }

    /// Schedules it now. The handle can be awaited later, or [canceled](ActivityHandle::cancel).
    ///
    /// # Panics
    /// Where neither start-to-close nor schedule-to-close timeout is set: the workflow task fails until that is mended.
    #[track_caller]
    pub fn start(self) -> ActivityHandle<T> {
        let state = match self.input {
            Err(error) => State::Refused(Some(error.into())),
            Ok(_)
                if self.options.start_to_close_timeout.is_none()
                    && self.options.schedule_to_close_timeout.is_none() =>
            {
                panic!(
                    "activity `{}` has no timeout: set start_to_close_timeout or schedule_to_close_timeout",
                    self.activity_type
                );
            }
            Ok(input) => {
                let runtime = Runtime::current();
                if runtime.scope().is_canceled() {
                    State::Refused(Some(ActivityError::not_scheduled(&self.activity_type)))
                } else {
                    let description = Description::new(format!("activity {}", self.activity_type), Location::caller());
                    State::Scheduled(runtime.start_operation(Kind::Activity, description, |host| {
                        host.schedule_activity(&self.activity_type, &input, &self.options)
                    }))
                }
            }
        };
        ActivityHandle { activity_type: self.activity_type, state, result: PhantomData }
    }
}

impl<T: FromPayload> IntoFuture for Activity<T> {
    type Output = Result<T, ActivityError>;
    type IntoFuture = ActivityHandle<T>;

    #[track_caller]
    fn into_future(self) -> ActivityHandle<T> {
        self.start()
    }
}

/// An activity that has been scheduled: a future of its result.
///
/// Dropping it leaves the activity running, as in Temporal: work outside the workflow stops only when it is told to,
/// by [`cancel`](ActivityHandle::cancel), [`timeout`](crate::timeout) or its scope.
#[must_use = "an activity whose handle is dropped goes on, but nobody learns its result"]
pub struct ActivityHandle<T> {
    activity_type: String,
    state: State,
    result: PhantomData<fn() -> T>,
}

enum State {
    Scheduled(Operation),
    /// It was not even scheduled, for this reason.
    Refused(Option<ActivityError>),
}

impl<T> ActivityHandle<T> {
    /// Cancels the activity as its [`CancellationType`] says; awaiting it then gives its error, or its result where it
    /// was faster.
    pub fn cancel(&self) {
        if let State::Scheduled(operation) = self.state {
            Runtime::current().cancel_operation(operation);
        }
    }
}

impl<T: FromPayload> Future for ActivityHandle<T> {
    type Output = Result<T, ActivityError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let operation = match &mut self.state {
            State::Scheduled(operation) => *operation,
            State::Refused(error) => {
                return Poll::Ready(Err(error.take().expect("a future is not polled again after it is done")));
            }
        };
        Runtime::current().poll_operation(operation, cx).map(|resolution| match resolution {
            Resolution::Outcome(Ok(payloads)) => from_first(&payloads)
                .map_err(|error| error.of(format_args!("the result of activity {}", self.activity_type)).into()),
            Resolution::Outcome(Err(failure)) => Err(ActivityError::new(*failure)),
            _ => unreachable!("an activity resolves as an activity"),
        })
    }
}

impl<T> Drop for ActivityHandle<T> {
    fn drop(&mut self) {
        if let State::Scheduled(operation) = self.state {
            with_current(|runtime| runtime.abandon(operation));
        }
    }
}
