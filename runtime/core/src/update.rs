//! Updates: requests that a workflow accepts or rejects, and answers.
//!
//! | stage | input | next stage | written |
//! | --- | --- | --- | --- |
//! | — | request | admitted | nothing: it is in memory alone, and lost in a crash |
//! | — | a reset takes it over from the run before | admitted | WorkflowExecutionUpdateAdmitted |
//! | admitted | a workflow task starts | sent | nothing |
//! | admitted, sent | acceptance | accepted | WorkflowExecutionUpdateAccepted |
//! | admitted, sent | rejection | — | nothing |
//! | sent | the task completes without a word about it | — | nothing: it is rejected |
//! | accepted | response | completed | WorkflowExecutionUpdateCompleted |
//! | sent | the task's completion cannot be carried out | — | nothing: it is aborted |
//! | sent | the task fails or times out | sent | nothing: the next attempt brings it again |
//! | admitted, sent | the run closes | — | nothing: it is aborted |
//! | accepted | the run closes | accepted | nothing: whoever waits is told that it has failed |
//!
//! A workflow task that exists only for updates is *speculative* (see [`crate::workflow_task`]), so that a rejected
//! update leaves no trace.

use std::collections::BTreeSet;

use mainspring_api::{
    enums::ResourceExhaustedCause,
    failure::Failure,
    history::{
        HistoryEvent, WorkflowExecutionUpdateAcceptedEventAttributes, WorkflowExecutionUpdateAdmittedEventAttributes,
        WorkflowExecutionUpdateCompletedEventAttributes, history_event::Attributes,
    },
    protocol::{Message, message::SequencingId},
    update::{Meta, Outcome, Request, outcome::Value},
};
use prost::Message as _;

use crate::{
    Rejection, RunState, Step, failure,
    limits::temporal as limits,
    protocol::{Answer, Said},
    validate,
};

/// An update as the events tell of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// A reset has taken it over.
    Admitted {
        event_id: i64,
        request: Box<Request>,
    },
    Accepted {
        event_id: i64,
    },
    /// Its outcome is in the event: see [`outcome`].
    Completed {
        accepted_event_id: i64,
        event_id: i64,
    },
}

/// What no event tells of updates, nor any row: it is lost in a crash, and clients ask again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry {
    /// In the order in which they came.
    admitted: Vec<Request>,
    /// Those of them, and of those that an event has admitted, that a workflow task has brought to the workflow.
    sent: BTreeSet<String>,
    /// Those that an event has admitted and the workflow has rejected. No event tells of that, so after a crash the
    /// workflow is asked again.
    declined: BTreeSet<String>,
    /// Rejected ones count towards the run's total.
    rejected: usize,
    /// The last workflow task tried to close the run, and could not: there was news.
    pub(crate) close_attempted: bool,
}

/// How far an update is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    Admitted,
    Accepted,
    /// The outcome is in this event: see [`outcome`].
    Completed {
        event_id: i64,
    },
    /// The run closed after it had accepted the update.
    Failed(Failure),
}

/// What a step has brought about for those who wait for an update.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    pub update_id: String,
    pub progress: Progress,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    Accepted,
    /// To be handed to those who wait for acceptance, too.
    Completed(Outcome),
    /// To those who wait: an outcome that is a failure, and the stage *completed*.
    Rejected(Failure),
    Aborted(Rejection),
}

impl Registry {
    pub(crate) fn find(&self, update_id: &str) -> Option<&Request> {
        self.admitted.iter().find(|request| id_of(request) == update_id)
    }

    /// Takes the request out. None where there is none in memory.
    pub(crate) fn take(&mut self, update_id: &str) -> Option<Request> {
        self.sent.remove(update_id);
        let index = self.admitted.iter().position(|request| id_of(request) == update_id)?;
        Some(self.admitted.remove(index))
    }

    /// Some update waits for a workflow task.
    pub(crate) fn has_unsent(&self) -> bool {
        self.admitted.iter().any(|request| !self.sent.contains(id_of(request)))
    }
}

fn id_of(request: &Request) -> &str {
    request.meta.as_ref().map_or("", |meta| &meta.update_id)
}

/// The id of the message that brings an update to the workflow.
pub(crate) fn request_message_id(update_id: &str) -> String {
    format!("{update_id}/request")
}

/// The outcome that a WorkflowExecutionUpdateCompleted holds.
pub fn outcome(event: &HistoryEvent) -> Option<&Outcome> {
    match &event.attributes {
        Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(completed)) => completed.outcome.as_ref(),
        _ => None,
    }
}

impl RunState {
    pub(crate) fn apply_update_admitted(
        &mut self,
        event_id: i64,
        admitted: &WorkflowExecutionUpdateAdmittedEventAttributes,
    ) {
        if let Some(request) = admitted.request.as_ref().filter(|request| request.meta.is_some()) {
            let update = Update::Admitted { event_id, request: Box::new(request.clone()) };
            self.updates.insert(id_of(request).to_owned(), update);
        }
    }

    pub(crate) fn apply_update_accepted(
        &mut self,
        event_id: i64,
        accepted: &WorkflowExecutionUpdateAcceptedEventAttributes,
    ) {
        let update_id = &accepted.protocol_instance_id;
        self.registry.take(update_id);
        self.updates.insert(update_id.clone(), Update::Accepted { event_id });
    }

    pub(crate) fn apply_update_completed(
        &mut self,
        event_id: i64,
        completed: &WorkflowExecutionUpdateCompletedEventAttributes,
    ) {
        if let Some(meta) = &completed.meta {
            let update = Update::Completed { accepted_event_id: completed.accepted_event_id, event_id };
            self.updates.insert(meta.update_id.clone(), update);
        }
    }

    /// How far the update is; refused where the run knows none of this id.
    pub fn find_update(&self, update_id: &str) -> Result<Stage, Rejection> {
        self.update_stage(update_id).ok_or_else(|| Rejection::not_found(format!("update {update_id:?} not found")))
    }

    fn update_stage(&self, update_id: &str) -> Option<Stage> {
        match self.updates.get(update_id) {
            Some(Update::Completed { event_id, .. }) => Some(Stage::Completed { event_id: *event_id }),
            Some(Update::Accepted { .. }) if self.is_running() => Some(Stage::Accepted),
            Some(Update::Accepted { .. }) => Some(Stage::Failed(failure::accepted_update_completed_workflow())),
            Some(Update::Admitted { .. }) if self.is_running() => Some(Stage::Admitted),
            Some(Update::Admitted { .. }) => None,
            None => self.registry.find(update_id).map(|_| Stage::Admitted),
        }
    }

    /// The updates that neither an event nor a row tells of: whoever forgets this state forgets them.
    pub fn updates_in_memory(&self) -> impl Iterator<Item = &str> {
        self.registry.admitted.iter().map(id_of)
    }

    fn check_update_limits(&self) -> Result<(), Rejection> {
        let unfinished = self.updates.values().filter(|update| !matches!(update, Update::Completed { .. })).count();
        if self.registry.admitted.len() + unfinished >= limits::UPDATES_IN_FLIGHT {
            let limit = limits::UPDATES_IN_FLIGHT;
            return Err(Rejection::LimitExceeded {
                message: format!("limit on number of concurrent in-flight updates has been reached ({limit})"),
                cause: ResourceExhaustedCause::ConcurrentLimit,
            });
        }
        if !self.has_room_for_update() {
            let limit = limits::UPDATES_PER_RUN;
            let message = format!("limit on number of total updates has been reached ({limit})");
            return Err(Rejection::FailedPrecondition(message));
        }
        Ok(())
    }

    pub(crate) fn has_room_for_update(&self) -> bool {
        self.registry.admitted.len() + self.updates.len() + self.registry.rejected < limits::UPDATES_PER_RUN
    }
}

impl Step<'_> {
    /// Admits an update, and sees to it that a workflow task brings it to the workflow. One whose id the run knows is the
    /// same update: the answer says how far it is.
    pub fn request_update(&mut self, request: Request) -> Result<Stage, Rejection> {
        let update_id = id_of(&request).to_owned();
        if update_id.is_empty() {
            return Err(Rejection::invalid("Update ID is not set on request."));
        }
        if update_id.len() > limits::ID_BYTES {
            return Err(Rejection::invalid("UpdateId length exceeds limit."));
        }
        let Some(input) = &request.input else {
            return Err(Rejection::invalid("Update input is not set on request."));
        };
        validate::name("Update name", &input.name)?;
        validate::payloads("Update input", input.args.as_ref())?;
        if !self.state.is_running() {
            return self.state.update_stage(&update_id).ok_or_else(Rejection::closed);
        }
        let attempt = self.state.workflow_task.as_ref().map_or(1, |task| task.attempt);
        if attempt >= limits::UPDATES_REFUSED_FROM_ATTEMPT {
            return Err(Rejection::WorkflowNotReady(
                "Unable to perform workflow execution update due to Workflow Task in failed state.".into(),
            ));
        }
        if self.state.registry.close_attempted && self.state.has_started_workflow_task() {
            return Err(Rejection::closing());
        }
        if let Some(stage) = self.state.update_stage(&update_id) {
            return Ok(stage);
        }
        self.state.check_update_limits()?;
        self.state.registry.admitted.push(request);
        // A run that still waits for its start begins at once: its first task cannot be speculative.
        match self.state.start_delay_end() {
            Some(_) => self.schedule_workflow_task_now(),
            None => self.schedule_speculative_workflow_task(),
        }
        Ok(Stage::Admitted)
    }

    /// The messages that the workflow task that has just started brings to the workflow, in the order in which the updates
    /// came. To be called once for each start of a task: an update is brought again only by another attempt.
    pub fn deliver_updates(&mut self) -> Vec<Message> {
        let Some(task) = self.state.workflow_task.as_ref().filter(|task| task.started_time.is_some()) else {
            return Vec::new();
        };
        let (again, sequence) = (task.attempt > 1, task.started_event_id - 1);
        let registry = &mut self.state.registry;
        let by_event = self.state.updates.iter().filter_map(|(update_id, update)| match update {
            Update::Admitted { event_id, request } => Some((*event_id, update_id, &**request)),
            Update::Accepted { .. } | Update::Completed { .. } => None,
        });
        let mut by_event: Vec<_> =
            by_event.filter(|(_, update_id, _)| !registry.declined.contains(*update_id)).collect();
        by_event.sort_by_key(|(event_id, ..)| *event_id);
        let by_event = by_event.into_iter().map(|(event_id, _, request)| (event_id, request));
        let in_memory = registry.admitted.iter().map(|request| (sequence, request));
        let mut messages = Vec::new();
        for (sequence, request) in by_event.chain(in_memory) {
            let update_id = id_of(request);
            if registry.sent.insert(update_id.to_owned()) || again {
                messages.push(Message {
                    id: request_message_id(update_id),
                    protocol_instance_id: update_id.to_owned(),
                    sequencing_id: Some(SequencingId::EventId(sequence)),
                    body: Some(crate::protocol::any("Request", request.encode_to_vec())),
                });
            }
        }
        messages
    }

    /// Carries out what a worker says of an update; it has been checked.
    pub(crate) fn take_answer(&mut self, answer: Answer) {
        let Answer { update_id, said } = answer;
        match said {
            Said::Accepted { sequencing_event_id, request } => {
                // Where an event has admitted it, that one holds the request, and is what it stands behind.
                let by_event = match self.state.updates.get(&update_id) {
                    Some(Update::Admitted { event_id, .. }) => Some(*event_id),
                    _ => None,
                };
                let known = self.state.registry.take(&update_id);
                let accepted = WorkflowExecutionUpdateAcceptedEventAttributes {
                    protocol_instance_id: update_id.clone(),
                    accepted_request_message_id: request_message_id(&update_id),
                    accepted_request_sequencing_event_id: by_event.unwrap_or(sequencing_event_id),
                    accepted_request: if by_event.is_some() { None } else { known.or(request) },
                };
                self.record(accepted.into());
                self.tell(update_id, Progress::Accepted);
            }
            Said::Rejected(failure) => self.reject_update(update_id, failure),
            Said::Completed { meta, outcome } => {
                let Some(Update::Accepted { event_id }) = self.state.updates.get(&update_id) else { return };
                let completed = WorkflowExecutionUpdateCompletedEventAttributes {
                    meta: Some(meta),
                    accepted_event_id: *event_id,
                    outcome: Some(outcome.clone()),
                };
                self.record(completed.into());
                self.tell(update_id, Progress::Completed(outcome));
            }
        }
    }

    fn reject_update(&mut self, update_id: String, failure: Failure) {
        if matches!(self.state.updates.get(&update_id), Some(Update::Admitted { .. })) {
            self.state.registry.declined.insert(update_id.clone());
        }
        self.state.registry.take(&update_id);
        self.state.registry.rejected += 1;
        self.tell(update_id, Progress::Rejected(failure));
    }

    /// A worker that was brought an update and says nothing of it does not know updates.
    pub(crate) fn reject_unanswered_updates(&mut self) {
        let unanswered = std::mem::take(&mut self.state.registry.sent);
        for update_id in unanswered {
            self.reject_update(update_id, failure::unprocessed_update());
        }
    }

    /// A worker's completion could not be carried out. It has seen these updates, and is not to be brought them again.
    pub(crate) fn abort_sent_updates(&mut self) {
        for update_id in std::mem::take(&mut self.state.registry.sent) {
            self.state.registry.take(&update_id);
            let message =
                "Unable to perform workflow execution update due to unexpected workflow task failure.".to_owned();
            self.tell(update_id, Progress::Aborted(Rejection::WorkflowNotReady(message)));
        }
    }

    /// The run has closed: nobody will answer the updates that are left. `goes_on`: another run follows, where those
    /// that were not accepted may be tried.
    pub(crate) fn abort_updates(&mut self, admitted: Registry, goes_on: bool) {
        let rejection = || match goes_on {
            true => Rejection::closing(),
            false => Rejection::not_found("workflow update was aborted by closing workflow"),
        };
        for request in admitted.admitted {
            self.tell(id_of(&request).to_owned(), Progress::Aborted(rejection()));
        }
        for (update_id, update) in self.state.updates.clone() {
            match update {
                Update::Completed { .. } => {}
                Update::Admitted { .. } => self.tell(update_id, Progress::Aborted(rejection())),
                Update::Accepted { .. } => {
                    let failure = failure::accepted_update_completed_workflow();
                    self.tell(update_id, Progress::Completed(Outcome { value: Some(Value::Failure(failure)) }));
                }
            }
        }
    }

    /// Who waits for acceptance is told the outcome where there is one already.
    fn tell(&mut self, update_id: String, progress: Progress) {
        self.update_news.retain(|news| news.update_id != update_id || news.progress != Progress::Accepted);
        self.update_news.push(News { update_id, progress });
    }
}

/// A request as a client's call has it.
pub fn request(update_id: &str, identity: &str, input: mainspring_api::update::Input) -> Request {
    let meta = Meta { update_id: update_id.to_owned(), identity: identity.to_owned() };
    Request { meta: Some(meta), input: Some(input), ..Request::default() }
}
