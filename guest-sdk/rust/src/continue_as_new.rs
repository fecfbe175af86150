//! Going on in a new run: the same workflow id, an empty history.

use std::{error::Error, fmt, time::Duration};

use crate::{
    attributes::{Memo, SearchAttributes},
    bindings::mainspring::workflow::activation as wit,
    payload::{Payload, PayloadError, ToPayload},
    retry::RetryPolicy,
    time::duration_to_wit,
};

/// Ends this run, and goes on in a new one with these arguments: returned as the workflow's error. The new run has the
/// same type, task queue, timeouts, retry policy, memo and search attributes, unless they are set here. Signals and
/// update handlers that are still on their way should be awaited first.
///
/// Each workflow has a typed form of it, made by [`#[workflow]`](macro@crate::workflow): `poll::continue_as_new(cursor)`.
///
/// ```
/// use mainspring_workflow::prelude::*;
///
/// #[activity]
/// fn fetch(cursor: u64) -> u64;
///
/// #[workflow]
/// async fn poll(mut cursor: u64) -> WorkflowResult<()> {
///     while !history().continue_as_new_suggested {
///         cursor = fetch(cursor).start_to_close_timeout(Duration::from_secs(10)).await?;
///         sleep(Duration::from_secs(60)).await?;
///     }
///     wait_condition(all_handlers_finished).await?;
///     Err(poll::continue_as_new(cursor).into())
/// }
/// ```
pub fn continue_as_new() -> ContinueAsNew {
    let new_run = NewRun {
        workflow_type: None,
        task_queue: None,
        input: Ok(Vec::new()),
        run_timeout: None,
        task_timeout: None,
        retry_policy: None,
        memo: None,
        search_attributes: None,
        header: Vec::new(),
    };
    ContinueAsNew { new_run: Box::new(new_run) }
}

/// How a workflow goes on in a new run: see [`continue_as_new`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a workflow goes on in a new run only where it returns this as its error"]
pub struct ContinueAsNew {
    // As an error it should be small.
    new_run: Box<NewRun>,
}

#[derive(Clone, Debug, PartialEq)]
struct NewRun {
    workflow_type: Option<String>,
    task_queue: Option<String>,
    input: Result<Vec<Payload>, PayloadError>,
    run_timeout: Option<Duration>,
    task_timeout: Option<Duration>,
    retry_policy: Option<RetryPolicy>,
    memo: Option<Vec<(String, Payload)>>,
    search_attributes: Option<Vec<(String, Payload)>>,
    header: Vec<(String, Payload)>,
}

impl ContinueAsNew {
    /// Adds an argument of the new run.
    pub fn arg(mut self, value: impl ToPayload) -> Self {
        if let Ok(input) = &mut self.new_run.input {
            match value.to_payload() {
                Ok(payload) => input.push(payload),
                Err(error) => {
                    self.new_run.input = Err(error.of(format_args!("argument {} of the new run", input.len() + 1)))
                }
            }
        }
        self
    }

    /// Another workflow type.
    pub fn workflow_type(mut self, workflow_type: impl Into<String>) -> Self {
        self.new_run.workflow_type = Some(workflow_type.into());
        self
    }

    /// Another task queue.
    pub fn task_queue(mut self, task_queue: impl Into<String>) -> Self {
        self.new_run.task_queue = Some(task_queue.into());
        self
    }

    /// How long the new run may take.
    pub fn run_timeout(mut self, timeout: Duration) -> Self {
        self.new_run.run_timeout = Some(timeout);
        self
    }

    /// How long a workflow task of the new run may take.
    pub fn task_timeout(mut self, timeout: Duration) -> Self {
        self.new_run.task_timeout = Some(timeout);
        self
    }

    /// When and how often the new run is tried again, should it fail.
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.new_run.retry_policy = Some(policy);
        self
    }

    /// The whole memo of the new run.
    pub fn memo(mut self, memo: Memo) -> Self {
        self.take_fields(memo.into_set(), |it| &mut it.memo);
        self
    }

    /// All search attributes of the new run.
    pub fn search_attributes(mut self, attributes: SearchAttributes) -> Self {
        self.take_fields(attributes.into_set(), |it| &mut it.search_attributes);
        self
    }

    fn take_fields(
        &mut self,
        fields: Result<Vec<(String, Payload)>, PayloadError>,
        place: impl FnOnce(&mut NewRun) -> &mut Option<Vec<(String, Payload)>>,
    ) {
        match fields {
            Ok(fields) => *place(&mut self.new_run) = Some(fields),
            Err(error) => self.new_run.input = Err(error),
        }
    }

    /// Adds a header for interceptors.
    pub fn header(mut self, key: impl Into<String>, value: Payload) -> Self {
        self.new_run.header.push((key.into(), value));
        self
    }

    pub(crate) fn into_wit(self) -> Result<wit::Continuation, PayloadError> {
        let new_run = *self.new_run;
        Ok(wit::Continuation {
            workflow_type: new_run.workflow_type,
            task_queue: new_run.task_queue,
            input: new_run.input?,
            run_timeout: new_run.run_timeout.map(duration_to_wit),
            task_timeout: new_run.task_timeout.map(duration_to_wit),
            retry_policy: new_run.retry_policy.as_ref().map(RetryPolicy::to_wit),
            memo: new_run.memo,
            search_attributes: new_run.search_attributes,
            header: new_run.header,
        })
    }
}

impl fmt::Display for ContinueAsNew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the workflow continues as new, which only its main routine can do by returning this")
    }
}

impl Error for ContinueAsNew {}
