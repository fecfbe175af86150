//! Local activities: steps of the workflow's own code, whose results the journal keeps as markers.

use std::{
    cell::Cell,
    future::{Future, IntoFuture},
    pin::Pin,
    rc::Rc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    error::{ActivityError, WorkflowError, WorkflowResult},
    failure::{ActivityFailureInfo, Failure, FailureKind, RetryState},
    handler::{Async, HandlerOutput, Plain},
    payload::{Payload, PayloadError, ToPayload},
    retry::RetryPolicy,
    runtime::Runtime,
    time::now,
    timer::sleep,
};

/// The marker's name, as in Temporal's SDKs.
const MARKER: &str = "core_local_activity";

/// How long attempts may lie apart without a timer, unless set: as in Temporal's SDKs.
const RETRY_THRESHOLD: Duration = Duration::from_secs(60);

/// What two attempts lie apart at least.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A step in the module itself, which is retried like an activity and whose result is a marker in the history: parsing,
/// pricing, rendering, all that needs no network. The closure is called for each attempt, gives a value or a `Result` of
/// one, and may be async. It may borrow.
///
/// It runs in the workflow's sandbox, and counts against its limits. What it does is done again in a replay, and must
/// give the same, as everything in a workflow.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example(invoice: String) -> WorkflowResult<()> {
/// let total: f64 = local_activity("parse_total", || invoice.trim().parse::<f64>()).await?;
/// # Ok(()) }
/// ```
pub fn local_activity<'a, F, M>(name: impl Into<String>, body: F) -> LocalActivity<'a, F::Value>
where
    F: LocalBody<'a, M>,
{
    LocalActivity {
        name: name.into(),
        attempt: body.into_attempt(),
        retry_policy: RetryPolicy::default(),
        retry_threshold: RETRY_THRESHOLD,
        schedule_to_close_timeout: None,
    }
}

/// A closure without arguments, async or not, that gives a value or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no local activity",
    label = "expected a closure such as `|| …` or `async || …`",
    note = "it gives a `T: serde::Serialize`, or a `Result<T, E>` with an error that `?` can convert"
)]
pub trait LocalBody<'a, Marker> {
    /// What it gives.
    type Value: ToPayload;
    /// Erases its type.
    fn into_attempt(self) -> Attempt<'a, Self::Value>;
}

/// One call of a local activity's closure.
pub type Attempt<'a, T> = Box<dyn Fn() -> Pin<Box<dyn Future<Output = WorkflowResult<T>> + 'a>> + 'a>;

impl<'a, F, R, M> LocalBody<'a, (Plain, M, R)> for F
where
    F: Fn() -> R + 'a,
    R: HandlerOutput<M, Value: 'a>,
{
    type Value = R::Value;

    fn into_attempt(self) -> Attempt<'a, R::Value> {
        Box::new(move || Box::pin(std::future::ready(self().into_result())))
    }
}

impl<'a, F, R, M> LocalBody<'a, (Async, M, R)> for F
where
    F: AsyncFn() -> R + 'a,
    R: HandlerOutput<M, Value: 'a>,
{
    type Value = R::Value;

    fn into_attempt(self) -> Attempt<'a, R::Value> {
        let body = Rc::new(self);
        Box::new(move || {
            let body = body.clone();
            Box::pin(async move { body().await.into_result() })
        })
    }
}

/// A local activity that has not begun: it does when it is first polled.
#[must_use = "a local activity does nothing unless awaited"]
pub struct LocalActivity<'a, T> {
    name: String,
    attempt: Attempt<'a, T>,
    retry_policy: RetryPolicy,
    retry_threshold: Duration,
    schedule_to_close_timeout: Option<Duration>,
}

impl<T> LocalActivity<'_, T> {
    /// When and how often to try again; Temporal's default policy unless set.
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = policy;
        self
    }

    /// Waits that together are no longer than this are not waited for: in the sandbox nothing would change meanwhile.
    /// The next one is a timer, after a marker of what has failed so far. 60 s unless set; zero makes every wait a timer.
    pub fn local_retry_threshold(mut self, threshold: Duration) -> Self {
        self.retry_threshold = threshold;
        self
    }

    /// How long all attempts together may take, and the waiting between them: no further attempt begins after that.
    pub fn schedule_to_close_timeout(mut self, timeout: Duration) -> Self {
        self.schedule_to_close_timeout = Some(timeout);
        self
    }
}

impl<'a, T: ToPayload + 'a> IntoFuture for LocalActivity<'a, T> {
    type Output = Result<T, ActivityError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run(self))
    }
}

/// How many a run has had, which numbers them.
#[derive(Default)]
pub(crate) struct LocalActivities {
    count: Cell<u32>,
}

async fn run<T: ToPayload>(activity: LocalActivity<'_, T>) -> Result<T, ActivityError> {
    let runtime = Runtime::current();
    if runtime.scope().is_canceled() {
        return Err(ActivityError::not_scheduled(&activity.name));
    }
    runtime.changes("run a local activity");
    let number = runtime.local_activities.count.get() + 1;
    runtime.local_activities.count.set(number);
    let mut record = Record { number, name: &activity.name, attempt: 1, scheduled: now() };
    let mut skipped = Duration::ZERO;
    loop {
        let error = match (activity.attempt)().await {
            Ok(value) => {
                let payload = value.to_payload();
                let payload = payload.map_err(|it| it.of(format_args!("the result of {}", activity.name)))?;
                record.mark(&runtime, None, Some(payload), None)?;
                return Ok(value);
            }
            Err(error) => error,
        };
        // Never nothing at all, so that a policy without waiting does not try for ever.
        let backoff = match activity.backoff(&error, record.attempt, record.elapsed() + skipped) {
            Ok(backoff) => backoff.max(SHORTEST_WAIT),
            Err(retry_state) => {
                let failure = error.into_failure();
                record.mark(&runtime, None, None, Some(&failure))?;
                return Err(record.error(failure, retry_state));
            }
        };
        let together = skipped.saturating_add(backoff);
        if together <= activity.retry_threshold {
            skipped = together;
        } else {
            let failure = error.into_failure();
            record.mark(&runtime, Some(backoff), None, Some(&failure))?;
            if let Err(canceled) = sleep(backoff).await {
                return Err(record.error(canceled.into(), RetryState::CancelRequested));
            }
            skipped = Duration::ZERO;
        }
        record.attempt += 1;
    }
}

impl<T> LocalActivity<'_, T> {
    /// How long to wait after a failed attempt, or why there is no other.
    fn backoff(&self, error: &WorkflowError, attempts: u32, elapsed: Duration) -> Result<Duration, RetryState> {
        if error.is_canceled() {
            return Err(RetryState::CancelRequested);
        }
        let mut delay = None;
        if let FailureKind::Application(info) = &error.failure().kind {
            if info.non_retryable || self.retry_policy.gives_up_on(&info.error_type) {
                return Err(RetryState::NonRetryableFailure);
            }
            delay = info.next_retry_delay;
        }
        let interval = self.retry_policy.interval_after(attempts).ok_or(RetryState::MaximumAttemptsReached)?;
        let backoff = delay.unwrap_or(interval);
        match self.schedule_to_close_timeout {
            Some(timeout) if elapsed + backoff >= timeout => Err(RetryState::Timeout),
            _ => Ok(backoff),
        }
    }
}

/// What a marker says of a local activity.
struct Record<'a> {
    number: u32,
    name: &'a str,
    attempt: u32,
    scheduled: SystemTime,
}

/// As Temporal's SDKs write it.
#[derive(Serialize)]
struct MarkerData<'a> {
    seq: u32,
    attempt: u32,
    activity_id: String,
    activity_type: &'a str,
    complete_time: Option<Timestamp>,
    backoff: Option<Timestamp>,
    original_schedule_time: Option<Timestamp>,
}

#[derive(Serialize)]
struct Timestamp {
    seconds: u64,
    nanos: u32,
}

impl From<Duration> for Timestamp {
    fn from(duration: Duration) -> Self {
        Self { seconds: duration.as_secs(), nanos: duration.subsec_nanos() }
    }
}

impl Record<'_> {
    fn elapsed(&self) -> Duration {
        now().duration_since(self.scheduled).unwrap_or_default()
    }

    fn mark(
        &self,
        runtime: &Runtime,
        backoff: Option<Duration>,
        result: Option<Payload>,
        failure: Option<&Failure>,
    ) -> Result<(), PayloadError> {
        let timestamp = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok().map(Timestamp::from);
        let data = MarkerData {
            seq: self.number,
            attempt: self.attempt,
            activity_id: self.number.to_string(),
            activity_type: self.name,
            complete_time: timestamp(now()),
            backoff: backoff.map(Timestamp::from),
            original_schedule_time: timestamp(self.scheduled),
        };
        let mut details = vec![("data".to_owned(), vec![data.to_payload()?])];
        details.extend(result.map(|payload| ("result".to_owned(), vec![payload])));
        runtime.command("run a local activity", |host| host.record_marker(MARKER, &details, failure));
        Ok(())
    }

    fn error(&self, cause: Failure, retry_state: RetryState) -> ActivityError {
        let info = ActivityFailureInfo {
            scheduled_event_id: 0,
            started_event_id: 0,
            identity: String::new(),
            activity_type: self.name.to_owned(),
            activity_id: self.number.to_string(),
            retry_state,
        };
        ActivityError::new(Failure::new("Activity task failed", FailureKind::Activity(info)).caused_by(cause))
    }
}
