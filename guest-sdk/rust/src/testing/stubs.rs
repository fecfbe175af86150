//! Activities and children whose answers a test gives beforehand.

use std::collections::BTreeMap;

use super::{Command, Event, TestConfig, TestRun, child_run_id};
use crate::{
    error::WorkflowResult,
    failure::{Failure, FailureKind, RetryState},
    handler::{Args, SyncCall, SyncHandler},
    host::Operation,
    payload::Payload,
};

/// What answers the workflow's calls, by the names that it calls.
#[derive(Clone, Default)]
pub(super) struct Stubs {
    activities: BTreeMap<String, SyncCall>,
    children: BTreeMap<String, SyncCall>,
}

impl TestConfig {
    /// Answers the activities of this type: the closure is given their arguments, and gives their result as soon as the
    /// workflow waits. An error is what is left after the last attempt. In the closure [`now`](crate::now) is the
    /// workflow's clock.
    ///
    /// ```
    /// # use mainspring_workflow::{prelude::*, testing::TestConfig};
    /// # #[activity]
    /// # fn charge(customer: String, amount: u32) -> String;
    /// # #[workflow]
    /// # async fn order(amount: u32) -> WorkflowResult<String> {
    /// #     Ok(charge("ann".into(), amount).start_to_close_timeout(Duration::from_secs(30)).await?)
    /// # }
    /// let bank = |customer: String, amount: u32| {
    ///     if amount > 100 {
    ///         return Err(ApplicationFailure::new("CardDeclined", "too much"));
    ///     }
    ///     Ok(format!("tx of {customer}"))
    /// };
    /// let run = TestConfig::new().activity("charge", bank).start::<order>([99]);
    /// assert_eq!(run.result::<String>().unwrap(), "tx of ann");
    /// let run = TestConfig::new().activity("charge", bank).start::<order>([101]);
    /// assert!(run.result::<String>().unwrap_err().to_string().contains("CardDeclined"));
    /// ```
    #[must_use]
    pub fn activity<M>(mut self, activity_type: impl Into<String>, answer: impl SyncHandler<M>) -> Self {
        self.stubs.activities.insert(activity_type.into(), answer.into_sync_call());
        self
    }

    /// Answers the child workflows of this type, which begin and end as soon as the workflow waits: see
    /// [`activity`](Self::activity).
    #[must_use]
    pub fn child<M>(mut self, workflow_type: impl Into<String>, answer: impl SyncHandler<M>) -> Self {
        self.stubs.children.insert(workflow_type.into(), answer.into_sync_call());
        self
    }
}

impl TestRun {
    /// The types of the activities that it called so far, in order.
    pub fn activity_types(&self) -> Vec<String> {
        self.calls().into_iter().map(|(activity_type, _)| activity_type).collect()
    }

    /// The arguments of each call of an activity so far.
    pub fn activity_calls(&self, activity_type: &str) -> Vec<Args> {
        self.calls().into_iter().filter(|(called, _)| called == activity_type).map(|(_, args)| args).collect()
    }

    fn calls(&self) -> Vec<(String, Args)> {
        let call = |command| match command {
            Command::ScheduleActivity { activity_type, input, .. } => Some((activity_type, Args::new(input))),
            _ => None,
        };
        self.commands().into_iter().filter_map(call).collect()
    }

    /// Answers what the workflow has called and there is a stub for, one call in each activation.
    pub(super) fn answer_stubs(&mut self) {
        while self.is_blocked() {
            let Some(command) = self.host.commands.borrow().get(self.looked_at).cloned() else {
                return;
            };
            self.looked_at += 1;
            match command {
                Command::ScheduleActivity { operation, activity_type, input, .. } => {
                    if let Some(stub) = self.stubs.activities.get(&activity_type).cloned() {
                        self.answer_activity(operation, answer(&stub, &activity_type, input));
                    }
                }
                Command::StartChild { operation, workflow_type, input, .. } => {
                    if let Some(stub) = self.stubs.children.get(&workflow_type).cloned() {
                        self.answer_child(operation, answer(&stub, &workflow_type, input));
                    }
                }
                _ => {}
            }
        }
    }

    fn answer_activity(&mut self, activity: Operation, answer: WorkflowResult<Payload>) {
        let canceled = self.host.commands.borrow().contains(&Command::CancelActivity(activity));
        match answer {
            _ if canceled => self.activate([self.activity_canceled(activity)]),
            Ok(result) => self.activate([Event::ActivityResolved((activity, Ok(vec![result])))]),
            Err(error) => {
                let cause = error.into_failure();
                let retry_state = retry_state(&cause, RetryState::MaximumAttemptsReached);
                self.activate([self.activity_failed(activity, cause, retry_state)]);
            }
        }
    }

    fn answer_child(&mut self, child: Operation, answer: WorkflowResult<Payload>) {
        self.activate([Event::ChildStarted((child, Ok(child_run_id(child))))]);
        if !self.is_blocked() {
            return;
        }
        let outcome = answer.map(|result| vec![result]).map_err(|error| {
            let cause = error.into_failure();
            let retry_state = retry_state(&cause, RetryState::RetryPolicyNotSet);
            self.child_failure(child, cause, retry_state).into_wit()
        });
        self.activate([Event::ChildResolved((child, outcome))]);
    }
}

/// # Panics
/// Where the stub cannot read what the workflow calls it with: the two disagree about the types.
fn answer(stub: &SyncCall, name: &str, input: Vec<Payload>) -> WorkflowResult<Payload> {
    stub(name, &Args::new(input)).unwrap_or_else(|error| panic!("the stub of {name}: {error}"))
}

fn retry_state(cause: &Failure, otherwise: RetryState) -> RetryState {
    match &cause.kind {
        FailureKind::Canceled(_) => RetryState::CancelRequested,
        FailureKind::Application(info) if info.non_retryable => RetryState::NonRetryableFailure,
        _ => otherwise,
    }
}
