//! What ends a workflow other than its result, and the errors that its awaits give.

use std::{any::Any, error::Error, fmt, time::Duration};

use crate::{
    bindings::mainspring::workflow::activation as wit,
    child_error::ChildWorkflowError,
    continue_as_new::ContinueAsNew,
    external::ExternalWorkflowError,
    failure::{
        ActivityFailureInfo, ApplicationFailure, ApplicationFailureInfo, Failure, FailureKind, RetryState, TimeoutType,
    },
    payload::{Payload, PayloadError, ToPayload},
};

/// What a workflow function returns.
pub type WorkflowResult<T> = Result<T, WorkflowError>;

/// Why a workflow did not complete: a failure, a cancellation that it did not catch, or that it goes on in a new run.
///
/// `?` makes one of every error type: an [`ActivityError`], a [`ChildWorkflowError`] and an [`ApplicationFailure`] keep
/// what they say, [`Canceled`] ends the workflow as canceled, [`ContinueAsNew`] goes on in a new run, and any other `std::error::Error` becomes a retryable application
/// failure of that type's name. For errors that are not `std::error::Error` (a `String`, a `Box<dyn Error>`, an
/// `anyhow::Error`) there is [`OrFail::or_fail`].
#[derive(Clone, PartialEq)]
pub struct WorkflowError {
    failure: Box<Failure>,
    /// Set where the workflow goes on in a new run; the failure then says that it can do so only from its main routine.
    continuation: Option<Box<ContinueAsNew>>,
}

impl WorkflowError {
    /// Whether a cancellation is what it says.
    pub fn is_canceled(&self) -> bool {
        self.failure.is_canceled()
    }

    /// What went wrong.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// What went wrong.
    pub fn into_failure(self) -> Failure {
        *self.failure
    }

    /// How the workflow goes on in a new run, if that is what it says.
    pub(crate) fn into_continuation(mut self) -> Result<wit::Continuation, Self> {
        match self.continuation.take() {
            Some(continuation) => continuation.into_wit().map_err(Self::from),
            None => Err(self),
        }
    }

    /// The details to report a cancellation with.
    pub(crate) fn into_canceled_details(self) -> Vec<Payload> {
        let mut next = Some(*self.failure);
        while let Some(failure) = next {
            if let FailureKind::Canceled(details) = failure.kind {
                return details;
            }
            next = failure.cause.map(|cause| *cause);
        }
        Vec::new()
    }
}

impl fmt::Display for WorkflowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl fmt::Debug for WorkflowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

// As with `anyhow::Error`, this conversion is why `WorkflowError` itself is no `std::error::Error`.
impl<E: Error + 'static> From<E> for WorkflowError {
    fn from(error: E) -> Self {
        let any: &dyn Any = &error;
        let failure = if let Some(error) = any.downcast_ref::<ActivityError>() {
            (*error.failure).clone()
        } else if let Some(error) = any.downcast_ref::<ChildWorkflowError>() {
            (*error.failure).clone()
        } else if let Some(error) = any.downcast_ref::<ExternalWorkflowError>() {
            (*error.failure).clone()
        } else if let Some(error) = any.downcast_ref::<ApplicationFailure>() {
            error.clone().into()
        } else if let Some(error) = any.downcast_ref::<Canceled>() {
            error.clone().into()
        } else if let Some(error) = any.downcast_ref::<PayloadError>() {
            error.clone().into()
        } else if let Some(error) = any.downcast_ref::<Failure>() {
            error.clone()
        } else {
            Failure::from_error(short_type_name(std::any::type_name::<E>()), &error)
        };
        let continuation = any.downcast_ref::<ContinueAsNew>().cloned().map(Box::new);
        Self { failure: Box::new(failure), continuation }
    }
}

/// `ParseIntError` for `core::num::error::ParseIntError`; but `serde_json::Error` where `Error` would say nothing.
fn short_type_name(full: &str) -> String {
    let path = full.split('<').next().unwrap_or(full);
    let name = path.rsplit("::").next().unwrap_or(path);
    match path.split("::").next() {
        Some(krate) if name == "Error" && krate != name => format!("{krate}::{name}"),
        _ => name.to_owned(),
    }
}

/// Gives errors of any kind a failure type.
pub trait OrFail<T> {
    /// Turns the error into a retryable application failure of this type, with the error's text as its message.
    ///
    /// ```
    /// use mainspring_workflow::prelude::*;
    ///
    /// fn parse(text: &str) -> Result<u32, String> {
    ///     text.parse().map_err(|_| format!("{text:?} is not a number"))
    /// }
    ///
    /// #[workflow]
    /// async fn count(text: String) -> WorkflowResult<u32> {
    ///     Ok(parse(&text).or_fail("BadCount")?)
    /// }
    /// ```
    fn or_fail(self, error_type: &str) -> Result<T, ApplicationFailure>;
}

impl<T, E: fmt::Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, error_type: &str) -> Result<T, ApplicationFailure> {
        self.map_err(|error| ApplicationFailure::new(error_type, error.to_string()))
    }
}

/// What an await gives when its scope was canceled: the workflow's own, by a cancel request, or one that the
/// workflow canceled itself. Returned from a workflow that was asked to cancel, it ends it as canceled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Canceled {
    details: Vec<Payload>,
}

impl Canceled {
    /// Adds a value that the canceled workflow leaves to its caller. One that cannot be serialised is replaced by the
    /// reason.
    #[must_use]
    pub fn details(mut self, value: impl ToPayload) -> Self {
        let payload = value.to_payload().or_else(|error| format!("not serialisable: {error}").to_payload());
        self.details.extend(payload);
        self
    }
}

impl fmt::Display for Canceled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("canceled")
    }
}

impl Error for Canceled {}

impl From<Canceled> for Failure {
    fn from(canceled: Canceled) -> Self {
        Failure::new(canceled.to_string(), FailureKind::Canceled(canceled.details))
    }
}

/// What [`timeout`](crate::timeout) gives when the time was up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    pub(crate) after: Duration,
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not done after {:?}", self.after)
    }
}

impl Error for Elapsed {}

/// Why an activity gave no result.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example() -> WorkflowResult<()> {
/// let charged = activity::<String>("charge").start_to_close_timeout(Duration::from_secs(30)).await;
/// match charged {
///     Ok(transaction) => info!("charged in {transaction}"),
///     Err(error) if error.is_application("CardDeclined") => info!("declined: {error}"),
///     Err(error) if error.is_timeout() => warn!("no answer"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityError {
    failure: Box<Failure>,
}

impl ActivityError {
    pub(crate) fn new(failure: Failure) -> Self {
        Self { failure: Box::new(failure) }
    }

    /// The error of an activity that was not scheduled, because its scope was canceled before.
    pub(crate) fn not_scheduled(activity_type: &str) -> Self {
        let info = ActivityFailureInfo {
            scheduled_event_id: 0,
            started_event_id: 0,
            identity: String::new(),
            activity_type: activity_type.to_owned(),
            activity_id: String::new(),
            retry_state: RetryState::CancelRequested,
        };
        let message = format!("activity {activity_type} was canceled before it was scheduled");
        Self::new(Failure::new(message, FailureKind::Activity(info)).caused_by(Canceled::default().into()))
    }

    /// The whole failure, which says which activity it was; its cause says what happened.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// What happened to the activity: an application failure, a timeout, a cancellation.
    pub fn cause(&self) -> &Failure {
        self.failure.cause.as_deref().unwrap_or(&self.failure)
    }

    /// The application failure that the activity's code gave, where it is one.
    pub fn application(&self) -> Option<&ApplicationFailureInfo> {
        match &self.cause().kind {
            FailureKind::Application(info) => Some(info),
            _ => None,
        }
    }

    /// Whether the activity's code gave an application failure of this type.
    pub fn is_application(&self, error_type: &str) -> bool {
        self.application().is_some_and(|info| info.error_type == error_type)
    }

    /// Which of the activity's timeouts it was, where it is one.
    pub fn timeout_type(&self) -> Option<TimeoutType> {
        match &self.cause().kind {
            FailureKind::Timeout(info) => Some(info.timeout_type),
            _ => None,
        }
    }

    /// Whether the activity timed out.
    pub fn is_timeout(&self) -> bool {
        self.timeout_type().is_some()
    }

    /// Whether the activity was canceled.
    pub fn is_canceled(&self) -> bool {
        self.failure.is_canceled()
    }

    /// Why it was not tried again, where the server said so.
    pub fn retry_state(&self) -> Option<RetryState> {
        match &self.failure.kind {
            FailureKind::Activity(info) => Some(info.retry_state),
            _ => None,
        }
    }
}

impl fmt::Display for ActivityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl Error for ActivityError {}

impl From<PayloadError> for ActivityError {
    fn from(error: PayloadError) -> Self {
        Self::new(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(error: impl Into<WorkflowError>) -> (String, String, bool) {
        let failure = error.into().into_failure();
        let FailureKind::Application(info) = failure.kind else { panic!("not an application failure") };
        (info.error_type, failure.message, info.non_retryable)
    }

    #[test]
    fn a_rust_error_becomes_a_retryable_failure_of_its_type() {
        let (error_type, message, non_retryable) = application("x".parse::<u32>().unwrap_err());
        assert_eq!((error_type.as_str(), non_retryable), ("ParseIntError", false));
        assert_eq!(message, "invalid digit found in string");
        let (error_type, ..) = application(serde_json::from_str::<u32>("{").unwrap_err());
        assert_eq!(error_type, "serde_json::Error");
    }

    #[test]
    fn a_typed_failure_keeps_what_it_says() {
        let failure = ApplicationFailure::new("OutOfStock", "none left").non_retryable().details(3);
        assert_eq!(application(failure), ("OutOfStock".into(), "none left".into(), true));
    }

    #[test]
    fn a_conversion_error_is_not_retried() {
        assert_eq!(application(PayloadError::new("bad")), (PayloadError::TYPE.into(), "bad".into(), true));
    }

    #[test]
    fn any_text_can_be_given_a_type() {
        let error = Err::<(), _>("no luck").or_fail("Luck").unwrap_err();
        assert_eq!(application(error), ("Luck".into(), "no luck".into(), false));
        let boxed: Box<dyn Error> = "boxed".into();
        assert_eq!(application(Err::<(), _>(boxed).or_fail("Box").unwrap_err()).1, "boxed");
    }

    #[test]
    fn the_sources_of_an_error_become_its_causes() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("outer")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let failure = WorkflowError::from(Outer("x".parse::<i32>().unwrap_err())).into_failure();
        assert_eq!(failure.to_string(), "outer (Outer): invalid digit found in string");
    }

    #[test]
    fn a_cancellation_is_known_through_the_activity_that_carries_it() {
        assert!(WorkflowError::from(Canceled::default()).is_canceled());
        let error = WorkflowError::from(ActivityError::not_scheduled("charge"));
        assert!(error.is_canceled());
        assert_eq!(error.into_canceled_details(), []);
        let left = WorkflowError::from(Canceled::default().details("half done"));
        assert_eq!(left.into_canceled_details(), ["half done".to_payload().unwrap()]);
    }
}
