//! Child workflows: workflows that this one starts, and whose results it can await.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    attributes::{Memo, SearchAttributes},
    bindings::mainspring::workflow::children as wit,
    child_error::ChildWorkflowError,
    external::{SignalWorkflow, Target},
    host::Operation,
    operation::{Description, Kind, Resolution},
    payload::{FromPayload, Payload, PayloadError, ToPayload, from_first},
    random::uuid4,
    retry::RetryPolicy,
    runtime::{Runtime, with_current},
    time::duration_to_wit,
};

pub use wit::{CancellationType as ChildCancellationType, ParentClosePolicy, WorkflowIdReusePolicy};

/// How a child workflow is to be run. The methods of [`ChildWorkflow`] set the same, one by one.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildWorkflowOptions {
    /// Unique among the namespace's running workflows; a random UUID where it is none.
    pub workflow_id: Option<String>,
    /// The workflow's own task queue where it is none.
    pub task_queue: Option<String>,
    /// How long the child's whole chain of retries and continuations may take.
    pub execution_timeout: Option<Duration>,
    /// How long one run of the child may take.
    pub run_timeout: Option<Duration>,
    /// How long one workflow task of the child may take.
    pub task_timeout: Option<Duration>,
    /// The child is not retried where it is none.
    pub retry_policy: Option<RetryPolicy>,
    /// What becomes of the child when this workflow ends first; [`ParentClosePolicy::Terminate`] unless set.
    pub parent_close_policy: ParentClosePolicy,
    /// Whether a closed workflow of the same id is in the way; [`WorkflowIdReusePolicy::AllowDuplicate`] unless set.
    pub workflow_id_reuse_policy: WorkflowIdReusePolicy,
    /// What canceling means; [`ChildCancellationType::WaitCancellationCompleted`] unless set.
    pub cancellation_type: ChildCancellationType,
    /// The child's memo.
    pub memo: Vec<(String, Payload)>,
    /// The child's search attributes.
    pub search_attributes: Vec<(String, Payload)>,
    /// For the child's interceptors.
    pub header: Vec<(String, Payload)>,
    /// One line for people, shown by the CLI and the UI.
    pub summary: Option<String>,
    /// Several lines for people, in Markdown, shown by the CLI and the UI.
    pub details: Option<String>,
}

impl Default for ChildWorkflowOptions {
    fn default() -> Self {
        Self {
            workflow_id: None,
            task_queue: None,
            execution_timeout: None,
            run_timeout: None,
            task_timeout: None,
            retry_policy: None,
            parent_close_policy: ParentClosePolicy::Terminate,
            workflow_id_reuse_policy: WorkflowIdReusePolicy::AllowDuplicate,
            cancellation_type: ChildCancellationType::WaitCancellationCompleted,
            memo: Vec::new(),
            search_attributes: Vec::new(),
            header: Vec::new(),
            summary: None,
            details: None,
        }
    }
}

impl ChildWorkflowOptions {
    pub(crate) fn to_wit(&self) -> wit::ChildOptions {
        wit::ChildOptions {
            workflow_id: self.workflow_id.clone(),
            task_queue: self.task_queue.clone(),
            execution_timeout: self.execution_timeout.map(duration_to_wit),
            run_timeout: self.run_timeout.map(duration_to_wit),
            task_timeout: self.task_timeout.map(duration_to_wit),
            retry_policy: self.retry_policy.as_ref().map(RetryPolicy::to_wit),
            parent_close_policy: self.parent_close_policy,
            workflow_id_reuse_policy: self.workflow_id_reuse_policy,
            cancellation_type: self.cancellation_type,
            memo: self.memo.clone(),
            search_attributes: self.search_attributes.clone(),
            header: self.header.clone(),
            summary: self.summary.clone(),
            details: self.details.clone(),
        }
    }
}

/// A child workflow by its type. Awaited, it is started and gives its result.
///
/// A workflow of the same module has a typed form of it, made by [`#[workflow]`](macro@crate::workflow), and one of
/// another module can be declared with [`#[child_workflow]`](macro@crate::child_workflow).
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # async fn example(order_id: u64) -> WorkflowResult<()> {
/// let tracking: String = child_workflow("Ship").arg(order_id).workflow_id(format!("ship-{order_id}")).await?;
///
/// // In two steps, for what can be done with a child meanwhile:
/// let child = child_workflow::<String>("Ship").arg(order_id).start().await?;
/// child.signal("hurry").arg("express").await?;
/// let tracking = child.await?;
/// # Ok(()) }
/// ```
pub fn child_workflow<T: FromPayload>(workflow_type: impl Into<String>) -> ChildWorkflow<T> {
    child_of_type(workflow_type)
}

/// The same, where it is not known yet that the result can be read: for what `#[workflow]` makes.
pub fn child_of_type<T>(workflow_type: impl Into<String>) -> ChildWorkflow<T> {
    ChildWorkflow {
        workflow_type: workflow_type.into(),
        input: Ok(Vec::new()),
        options: ChildWorkflowOptions::default(),
        result: PhantomData,
    }
}

/// A child workflow that has not been started yet. It is, when it is awaited, [started](ChildWorkflow::start), or handed
/// to `join!`, `select!`, [`timeout`](crate::timeout) or a scope.
#[must_use = "a child workflow is not started unless it is awaited or started"]
pub struct ChildWorkflow<T> {
    workflow_type: String,
    input: Result<Vec<Payload>, PayloadError>,
    options: ChildWorkflowOptions,
    result: PhantomData<fn() -> T>,
}

impl<T> ChildWorkflow<T> {
    /// Adds an argument.
    pub fn arg(mut self, value: impl ToPayload) -> Self {
        if let Ok(input) = &mut self.input {
            match value.to_payload() {
                Ok(payload) => input.push(payload),
                Err(error) => {
                    let what = format!("argument {} of child workflow {}", input.len() + 1, self.workflow_type);
                    self.input = Err(error.of(what));
                }
            }
        }
        self
    }

    /// Replaces all options.
    pub fn options(mut self, options: ChildWorkflowOptions) -> Self {
        self.options = options;
        self
    }

    /// Its id, unique among the namespace's running workflows; a random UUID unless set.
    pub fn workflow_id(mut self, id: impl Into<String>) -> Self {
        self.options.workflow_id = Some(id.into());
        self
    }

    /// Where it runs; this workflow's own task queue unless set.
    pub fn task_queue(mut self, task_queue: impl Into<String>) -> Self {
        self.options.task_queue = Some(task_queue.into());
        self
    }

    /// How long its whole chain of retries and continuations may take.
    pub fn execution_timeout(mut self, timeout: Duration) -> Self {
        self.options.execution_timeout = Some(timeout);
        self
    }

    /// How long one run of it may take.
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.options.run_timeout = Some(timeout);
        self
    }

    /// How long one workflow task of it may take.
    pub fn task_timeout(mut self, timeout: Duration) -> Self {
        self.options.task_timeout = Some(timeout);
        self
    }

    /// When and how often to try again; never unless set.
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.options.retry_policy = Some(policy);
        self
    }

    /// What becomes of it when this workflow ends first.
    pub fn parent_close_policy(mut self, policy: ParentClosePolicy) -> Self {
        self.options.parent_close_policy = policy;
        self
    }

    /// Whether a closed workflow of the same id is in the way.
    pub fn workflow_id_reuse_policy(mut self, policy: WorkflowIdReusePolicy) -> Self {
        self.options.workflow_id_reuse_policy = policy;
        self
    }

    /// What canceling means.
    pub fn cancellation_type(mut self, cancellation_type: ChildCancellationType) -> Self {
        self.options.cancellation_type = cancellation_type;
        self
    }

    /// Its memo.
    pub fn memo(mut self, memo: Memo) -> Self {
        match memo.into_set() {
            Ok(fields) => self.options.memo = fields,
            Err(error) => self.input = Err(error),
        }
        self
    }

    /// Its search attributes.
    pub fn search_attributes(mut self, attributes: SearchAttributes) -> Self {
        match attributes.into_set() {
            Ok(fields) => self.options.search_attributes = fields,
            Err(error) => self.input = Err(error),
        }
        self
    }

    /// Adds a header for its interceptors.
    pub fn header(mut self, key: impl Into<String>, value: Payload) -> Self {
        self.options.header.push((key.into(), value));
        self
    }

    /// One line for people, shown by the CLI and the UI.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.options.summary = Some(summary.into());
        self
    }

    /// Several lines for people, in Markdown, shown by the CLI and the UI.
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.options.details = Some(details.into());
        self
    }

    /// Starts it now. Awaiting this gives a [handle](ChildHandle) once it has begun.
    #[track_caller]
    pub fn start(self) -> StartingChild<T> {
        StartingChild { child: Some(self.begin()) }
    }

    #[track_caller]
    fn begin(mut self) -> Child<T> {
        let runtime = Runtime::current();
        let refused = match &self.input {
            Err(error) => Some(error.clone().into()),
            Ok(_) if runtime.scope().is_canceled() => Some(ChildWorkflowError::not_started(&self.workflow_type)),
            Ok(_) => None,
        };
        let workflow_id = self.options.workflow_id.take().unwrap_or_else(|| match refused {
            None => uuid4(),
            Some(_) => String::new(),
        });
        let state = match (refused, self.input) {
            (None, Ok(input)) => {
                let options = ChildWorkflowOptions { workflow_id: Some(workflow_id.clone()), ..self.options };
                let what = format!("child workflow {} (id {workflow_id})", self.workflow_type);
                let description = Description::new(what, Location::caller());
                State::Started(runtime.start_operation(Kind::Child, description, |host| {
                    host.start_child(&self.workflow_type, &input, &options)
                }))
            }
            (refused, _) => State::Refused(refused),
        };
        Child { workflow_type: self.workflow_type, workflow_id, state, result: PhantomData }
    }
}

impl<T: FromPayload> IntoFuture for ChildWorkflow<T> {
    type Output = Result<T, ChildWorkflowError>;
    type IntoFuture = ChildExecution<T>;

    #[track_caller]
    fn into_future(self) -> ChildExecution<T> {
        ChildExecution { child: self.begin() }
    }
}

/// What the futures of a child share: it, and what is known of it.
struct Child<T> {
    workflow_type: String,
    workflow_id: String,
    state: State,
    result: PhantomData<fn() -> T>,
}

enum State {
    Started(Operation),
    /// It was not even started, for this reason.
    Refused(Option<ChildWorkflowError>),
}

impl<T> Child<T> {
    fn cancel(&self) {
        if let State::Started(operation) = self.state {
            Runtime::current().cancel_operation(operation);
        }
    }

    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<Result<String, ChildWorkflowError>> {
        match &mut self.state {
            State::Started(operation) => {
                Runtime::current().poll_child_start(*operation, cx).map_err(|failure| ChildWorkflowError::new(*failure))
            }
            State::Refused(error) => Poll::Ready(Err(refusal(error))),
        }
    }
}

impl<T: FromPayload> Child<T> {
    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, ChildWorkflowError>> {
        let operation = match &mut self.state {
            State::Started(operation) => *operation,
            State::Refused(error) => return Poll::Ready(Err(refusal(error))),
        };
        Runtime::current().poll_operation(operation, cx).map(|resolution| match resolution {
            Resolution::Outcome(Ok(payloads)) => from_first(&payloads)
                .map_err(|error| error.of(format_args!("the result of child workflow {}", self.workflow_type)).into()),
            Resolution::Outcome(Err(failure)) => Err(ChildWorkflowError::new(*failure)),
            _ => unreachable!("a child resolves as a child"),
        })
    }
}

fn refusal(error: &mut Option<ChildWorkflowError>) -> ChildWorkflowError {
    error.take().expect("a future is not polled again after it is done")
}

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        if let State::Started(operation) = self.state {
            with_current(|runtime| runtime.abandon(operation));
        }
    }
}

/// A child that has been started and may not have begun: a future of its handle. Dropping it leaves the child alone.
#[must_use = "a child whose handle is dropped goes on, but nobody learns its result"]
pub struct StartingChild<T> {
    child: Option<Child<T>>,
}

impl<T> StartingChild<T> {
    /// Its id.
    pub fn workflow_id(&self) -> &str {
        &self.child.as_ref().expect("a future is not used again after it is done").workflow_id
    }

    /// See [`ChildHandle::cancel`]. One that has not begun does not begin.
    pub fn cancel(&self) {
        self.child.iter().for_each(Child::cancel);
    }
}

impl<T> Future for StartingChild<T> {
    type Output = Result<ChildHandle<T>, ChildWorkflowError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let child = self.child.as_mut().expect("a future is not polled again after it is done");
        let Poll::Ready(begun) = child.poll_start(cx) else {
            return Poll::Pending;
        };
        let child = self.child.take().expect("it was there just now");
        Poll::Ready(begun.map(|run_id| ChildHandle { child, run_id }))
    }
}

/// A child workflow that has begun: a future of its result, and what can be done with it meanwhile.
///
/// Dropping it leaves the child running; what becomes of it when this workflow ends is for its
/// [`ParentClosePolicy`].
#[must_use = "a child whose handle is dropped goes on, but nobody learns its result"]
pub struct ChildHandle<T> {
    child: Child<T>,
    run_id: String,
}

impl<T> ChildHandle<T> {
    /// Its id.
    pub fn workflow_id(&self) -> &str {
        &self.child.workflow_id
    }

    /// Its first run.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Cancels it as its [`ChildCancellationType`] says; awaiting it then gives its error, or its result where it was
    /// faster.
    pub fn cancel(&self) {
        self.child.cancel();
    }

    /// A signal to it, to be awaited: that it was delivered, not that it was handled.
    pub fn signal(&self, name: impl Into<String>) -> SignalWorkflow {
        let target = match self.child.state {
            State::Started(operation) => Target::Child(operation),
            State::Refused(_) => unreachable!("a child that has begun was started"),
        };
        SignalWorkflow::new(target, name.into(), format!("child workflow {}", self.child.workflow_id))
    }
}

impl<T: FromPayload> ChildHandle<T> {
    /// Its result: the same as awaiting the handle.
    pub async fn result(self) -> Result<T, ChildWorkflowError> {
        self.await
    }
}

impl<T: FromPayload> Future for ChildHandle<T> {
    type Output = Result<T, ChildWorkflowError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.child.poll_result(cx)
    }
}

/// A child from its start to its result: what a [`ChildWorkflow`] is when it is awaited.
#[must_use = "a child whose future is dropped goes on, but nobody learns its result"]
pub struct ChildExecution<T> {
    child: Child<T>,
}

impl<T: FromPayload> Future for ChildExecution<T> {
    type Output = Result<T, ChildWorkflowError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.child.poll_result(cx)
    }
}
