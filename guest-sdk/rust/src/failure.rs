//! Temporal's failures: what went wrong, of which kind, and what caused it.

use std::{error::Error, fmt, time::Duration};

use crate::{
    bindings::mainspring::workflow::types as wit,
    payload::{FromPayload, Payload, PayloadError, ToPayload, from_first},
    time::{duration_from_wit, duration_to_wit},
};

pub use wit::{
    ActivityFailure as ActivityFailureInfo, ChildWorkflowFailure as ChildWorkflowFailureInfo, RetryState,
    TimeoutFailure as TimeoutFailureInfo, TimeoutType,
};

/// What stands in `source` of the failures that this SDK makes.
const SOURCE: &str = "mainspring-rust";

/// A failure and the chain of its causes.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// For people.
    pub message: String,
    /// The SDK that made it.
    pub source: String,
    /// Empty where the SDK that made it gave none.
    pub stack_trace: String,
    /// What failed, with the facts of that kind.
    pub kind: FailureKind,
    /// Set where a codec has hidden message and stack trace.
    pub encoded_attributes: Option<Payload>,
    /// What caused it.
    pub cause: Option<Box<Failure>>,
}

/// The kinds of failure, as Temporal has them.
#[derive(Clone, Debug, PartialEq)]
pub enum FailureKind {
    /// Code of a workflow or an activity failed.
    Application(ApplicationFailureInfo),
    /// One of the four activity timeouts, or the workflow's.
    Timeout(TimeoutFailureInfo),
    /// It stopped because it was asked to; with the details that it left.
    Canceled(Vec<Payload>),
    /// It was stopped without being asked.
    Terminated,
    /// The server could not do it.
    Server {
        /// Trying again is useless.
        non_retryable: bool,
    },
    /// An activity failed; the cause says why.
    Activity(ActivityFailureInfo),
    /// A child workflow failed; the cause says why.
    ChildWorkflow(ChildWorkflowFailureInfo),
    /// A kind that this version of the SDK has no word for.
    Other,
}

/// The facts of an application failure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApplicationFailureInfo {
    /// What retry policies and callers tell failures apart by.
    pub error_type: String,
    /// Trying again is useless.
    pub non_retryable: bool,
    /// Values for whoever handles it; see [`ApplicationFailureInfo::detail`].
    pub details: Vec<Payload>,
    /// Overrides the retry policy's next interval.
    pub next_retry_delay: Option<Duration>,
}

impl ApplicationFailureInfo {
    /// The first of the details.
    pub fn detail<T: FromPayload>(&self) -> Result<T, PayloadError> {
        from_first(&self.details)
    }
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>, kind: FailureKind) -> Self {
        Self {
            message: message.into(),
            source: SOURCE.into(),
            stack_trace: String::new(),
            kind,
            encoded_attributes: None,
            cause: None,
        }
    }

    pub(crate) fn caused_by(mut self, cause: Failure) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Where it began: the last of its causes, or itself. Of a child that failed because its activity did, what the
    /// activity said.
    pub fn root_cause(&self) -> &Failure {
        self.cause.as_deref().map_or(self, Self::root_cause)
    }

    /// Whether it says that something was canceled: itself, or the activity or child that it speaks of.
    pub fn is_canceled(&self) -> bool {
        match (&self.kind, &self.cause) {
            (FailureKind::Canceled(_), _) => true,
            (FailureKind::Activity(_) | FailureKind::ChildWorkflow(_), Some(cause)) => cause.is_canceled(),
            _ => false,
        }
    }

    /// Any error as a retryable application failure, named by its Rust type; its sources become the causes.
    pub(crate) fn from_error(error_type: String, error: &(dyn Error + 'static)) -> Self {
        let info = ApplicationFailureInfo { error_type, ..Default::default() };
        let failure = Self::new(error.to_string(), FailureKind::Application(info));
        match error.source() {
            // The types of the sources are erased, so only their messages are left.
            Some(source) => failure.caused_by(Self::from_error(String::new(), source)),
            None => failure,
        }
    }

    pub(crate) fn from_wit(links: Vec<wit::FailureLink>) -> Self {
        let mut failure = None;
        for link in links.into_iter().rev() {
            failure = Some(Self {
                message: link.message,
                source: link.source,
                stack_trace: link.stack_trace,
                kind: kind_from_wit(link.kind),
                encoded_attributes: link.encoded_attributes,
                cause: failure.map(Box::new),
            });
        }
        failure.unwrap_or_else(|| Self::new("the failure is empty", FailureKind::Other))
    }

    pub(crate) fn into_wit(self) -> Vec<wit::FailureLink> {
        let mut links = Vec::new();
        let mut next = Some(self);
        while let Some(failure) = next {
            links.push(wit::FailureLink {
                message: failure.message,
                source: failure.source,
                stack_trace: failure.stack_trace,
                kind: kind_to_wit(failure.kind),
                encoded_attributes: failure.encoded_attributes,
            });
            next = failure.cause.map(|cause| *cause);
        }
        links
    }
}

impl fmt::Display for Failure {
    /// The message, with the type of an application failure, then the causes: `charge failed: no funds (Declined)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let FailureKind::Application(info) = &self.kind
            && !info.error_type.is_empty()
        {
            write!(f, " ({})", info.error_type)?;
        }
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl Error for Failure {}

impl From<PayloadError> for Failure {
    fn from(error: PayloadError) -> Self {
        ApplicationFailure::new(PayloadError::TYPE, error.to_string()).non_retryable().into()
    }
}

fn kind_from_wit(kind: wit::FailureKind) -> FailureKind {
    match kind {
        wit::FailureKind::Application(info) => FailureKind::Application(ApplicationFailureInfo {
            error_type: info.type_,
            non_retryable: info.non_retryable,
            details: info.details,
            next_retry_delay: info.next_retry_delay.map(duration_from_wit),
        }),
        wit::FailureKind::Timeout(info) => FailureKind::Timeout(info),
        wit::FailureKind::Canceled(details) => FailureKind::Canceled(details),
        wit::FailureKind::Terminated => FailureKind::Terminated,
        wit::FailureKind::Server(non_retryable) => FailureKind::Server { non_retryable },
        wit::FailureKind::Activity(info) => FailureKind::Activity(info),
        wit::FailureKind::ChildWorkflow(info) => FailureKind::ChildWorkflow(info),
        wit::FailureKind::Other => FailureKind::Other,
    }
}

fn kind_to_wit(kind: FailureKind) -> wit::FailureKind {
    match kind {
        FailureKind::Application(info) => wit::FailureKind::Application(wit::ApplicationFailure {
            type_: info.error_type,
            non_retryable: info.non_retryable,
            details: info.details,
            next_retry_delay: info.next_retry_delay.map(duration_to_wit),
        }),
        FailureKind::Timeout(info) => wit::FailureKind::Timeout(info),
        FailureKind::Canceled(details) => wit::FailureKind::Canceled(details),
        FailureKind::Terminated => wit::FailureKind::Terminated,
        FailureKind::Server { non_retryable } => wit::FailureKind::Server(non_retryable),
        FailureKind::Activity(info) => wit::FailureKind::Activity(info),
        FailureKind::ChildWorkflow(info) => wit::FailureKind::ChildWorkflow(info),
        FailureKind::Other => wit::FailureKind::Other,
    }
}

/// A failure of the workflow's own making, with a type that callers and retry policies can tell it by.
///
/// ```
/// use mainspring_workflow::prelude::*;
///
/// fn check(stock: u32) -> WorkflowResult<()> {
///     if stock == 0 {
///         return Err(ApplicationFailure::new("OutOfStock", "nothing left to ship").non_retryable().into());
///     }
///     Ok(())
/// }
/// # assert!(check(0).is_err());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ApplicationFailure {
    message: String,
    info: ApplicationFailureInfo,
    cause: Option<Box<Failure>>,
}

impl ApplicationFailure {
    /// A retryable failure. Whether a failed workflow is retried at all is for the retry policy that it was started
    /// with; there is none unless the caller gave one.
    pub fn new(error_type: impl Into<String>, message: impl Into<String>) -> Self {
        let info = ApplicationFailureInfo { error_type: error_type.into(), ..Default::default() };
        Self { message: message.into(), info, cause: None }
    }

    /// Says that trying again is useless.
    #[must_use]
    pub fn non_retryable(mut self) -> Self {
        self.info.non_retryable = true;
        self
    }

    /// Adds a value for whoever handles the failure. One that cannot be serialised is replaced by the reason.
    #[must_use]
    pub fn details(mut self, value: impl ToPayload) -> Self {
        let payload = value.to_payload().or_else(|error| format!("not serialisable: {error}").to_payload());
        self.info.details.extend(payload);
        self
    }

    /// Overrides the retry policy's next interval.
    #[must_use]
    pub fn next_retry_delay(mut self, delay: Duration) -> Self {
        self.info.next_retry_delay = Some(delay);
        self
    }

    /// Adds what caused it.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<crate::WorkflowError>) -> Self {
        self.cause = Some(Box::new(cause.into().into_failure()));
        self
    }
}

impl fmt::Display for ApplicationFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.info.error_type)
    }
}

impl Error for ApplicationFailure {}

impl From<ApplicationFailure> for Failure {
    fn from(failure: ApplicationFailure) -> Self {
        Self { cause: failure.cause, ..Self::new(failure.message, FailureKind::Application(failure.info)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_causes_in_order_across_the_wire() {
        let failure = Failure::new("outer", FailureKind::Server { non_retryable: true }).caused_by(
            Failure::new("middle", FailureKind::Terminated).caused_by(
                ApplicationFailure::new("T", "inner").details(7).next_retry_delay(Duration::from_millis(1500)).into(),
            ),
        );
        let links = failure.clone().into_wit();
        assert_eq!(links.iter().map(|link| link.message.as_str()).collect::<Vec<_>>(), ["outer", "middle", "inner"]);
        assert_eq!(Failure::from_wit(links), failure);
        assert_eq!(failure.to_string(), "outer: middle: inner (T)");
        assert_eq!(failure.root_cause().message, "inner");
        assert_eq!(failure.root_cause().root_cause().message, "inner");
    }

    #[test]
    fn an_empty_failure_is_not_a_panic() {
        assert_eq!(Failure::from_wit(vec![]).kind, FailureKind::Other);
    }

    #[test]
    fn details_are_read_back_typed() {
        let failure = Failure::from(ApplicationFailure::new("T", "m").details("left").details(2));
        let FailureKind::Application(info) = failure.kind else { panic!("not an application failure") };
        assert_eq!(info.detail::<String>().unwrap(), "left");
        assert_eq!(info.details.len(), 2);
    }
}
