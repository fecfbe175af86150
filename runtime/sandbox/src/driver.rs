//! The driver: walks a journal, and runs the guest where the journal says that it ran.
//!
//! Live and replay are this one path. A [`Run`] stands at a position of its journal; [`Run::walk`] takes the events
//! that follow:
//!
//! | event | what happens |
//! | --- | --- |
//! | WorkflowTaskStarted, then WorkflowTaskCompleted | the guest is run; its commands wait to be matched |
//! | WorkflowTaskStarted, then anything else | nothing: the task came to nothing, and its events wait for the next one |
//! | WorkflowTaskStarted, the last event, live | the guest is run; its commands are the result |
//! | WorkflowTaskCompleted | matching of the commands begins |
//! | the mark of a command | is matched with the next command |
//! | an event for the guest | waits for the next activation |
//!
//! Where the commands that an activation issued live are later found in the journal they are matched by the very same
//! lines, so a run that stays in the cache is checked as strictly as one that is replayed.

use std::{collections::HashMap, sync::Arc, time::Instant};

use mainspring_api::{
    command::Command,
    enums::WorkflowTaskFailedCause,
    history::{
        HistoryEvent, WorkflowTaskCompletedEventAttributes, WorkflowTaskFailedEventAttributes,
        WorkflowTaskStartedEventAttributes, history_event::Attributes,
    },
    protocol::Message,
    update::Request,
};
use mainspring_core::trace::RunTrace;
use wasmtime::Engine;

use crate::{
    Digest, QueryAnswer, RunKey, SandboxConfig, TaskFailure, TaskFailureKind, Terms,
    ahead::{Ahead, is_mark},
    bindings::activation::{Event, Status},
    closing::closing_command,
    convert::payload::payloads_to_guest,
    delivery::{BegunActivities, deliver},
    host::{LogLabels, Moment, RunFacts},
    instance::{Crash, Guest, Instantiations},
    matching::Matching,
    module::Module,
    operations::{Issued, Operations},
    query,
    updates::Decision,
};

/// What every run of a sandbox is made with.
pub struct Workshop {
    pub engine: Engine,
    pub config: SandboxConfig,
    /// Of a run that has none of its own.
    pub terms: Terms,
    pub instantiations: Instantiations,
}

/// A run and its instance, at a position of its journal.
pub struct Run {
    key: RunKey,
    module: Arc<Module>,
    terms: Terms,
    /// The id of the last event that was taken.
    position: i64,
    facts: Option<Arc<RunFacts>>,
    /// Made by the first activation.
    guest: Option<Guest>,
    /// Whether `start` was called.
    begun: bool,
    /// Whether the workflow has returned a final status.
    finished: bool,
    /// Whether the journal says that the run is closed.
    closed: bool,
    task: Task,
    /// The WorkflowTaskStarted that was activated and has not been answered by the journal, and what came out.
    unanswered: Option<(i64, Vec<Issued>)>,
    matching: Matching,
    begun_activities: BegunActivities,
    /// Updates that an event of their own has brought, by id: whoever accepts them does not repeat the request.
    admitted: HashMap<String, Request>,
    /// Of the latest activation.
    moment: Moment,
    /// The guest's memory holds what no journal will repeat: a query's doing, or a rejected update's. It may answer
    /// queries, and nothing else.
    tainted: bool,
    /// Events for the next activation.
    pending: Vec<Event>,
    /// The digest that the latest WorkflowTaskCompleted names.
    recorded_digest: Option<String>,
}

/// The workflow task under way, as the journal tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    None,
    Scheduled(i64),
    /// With the id of its WorkflowTaskScheduled.
    Started(i64, i64),
}

/// What a walk came to.
#[derive(Debug, Default)]
pub struct Walk {
    pub activations: u64,
    pub matched_commands: u64,
    /// Of all activations.
    pub fuel_used: u64,
    /// Of the live activation, which is the last, if there was one.
    pub live: Option<Live>,
}

#[derive(Debug)]
pub struct Live {
    pub commands: Vec<Command>,
    pub messages: Vec<Message>,
    /// The update (by its place) at which the guest was stopped, because it rejected it.
    pub rejected: Option<Rejected>,
    pub fuel_used: u64,
    /// Where the walk's last replayed activation stood; 0 where there was none.
    pub replayed_to: i64,
}

/// The workflow task to run live.
#[derive(Clone, Copy)]
pub struct LiveTask<'a> {
    /// Its WorkflowTaskStarted, which must be the last event.
    pub started_event_id: i64,
    /// The updates to deliver, in their order.
    pub updates: &'a [Request],
}

/// An update that the journal does not hear of.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// Its place among the updates of the task.
    pub index: usize,
    pub message: Message,
}

/// What an activation came to.
struct Activation {
    issued: Vec<Issued>,
    /// What comes behind it was not delivered: the guest's memory may hold what it thought of this one.
    rejected: Option<Rejected>,
    fuel_used: u64,
}

impl Run {
    /// A run before its first event.
    pub fn new(key: RunKey, module: Arc<Module>, terms: Terms) -> Run {
        Run {
            key,
            module,
            terms,
            position: 0,
            facts: None,
            guest: None,
            begun: false,
            finished: false,
            closed: false,
            task: Task::None,
            unanswered: None,
            matching: Matching::default(),
            begun_activities: BegunActivities::default(),
            admitted: HashMap::new(),
            moment: Moment::default(),
            tainted: false,
            pending: Vec::new(),
            recorded_digest: None,
        }
    }

    /// What holds from the next activation on.
    pub fn set_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// The bound of what all cached instances of this run's namespace may take, in bytes.
    pub fn cached_bytes_max(&self) -> usize {
        self.terms.cached_bytes
    }

    pub fn position(&self) -> i64 {
        self.position
    }

    pub fn module_digest(&self) -> Digest {
        self.module.digest
    }

    pub fn recorded_digest(&self) -> Option<&str> {
        self.recorded_digest.as_deref()
    }

    /// Whether the workflow has nothing left to do.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the run's instance may be activated: see `tainted`.
    pub fn is_clean(&self) -> bool {
        !self.tainted
    }

    /// Whether these events go on where this run stands: the journal has taken its latest activation as it was.
    pub fn is_continued_by(&self, events: &[HistoryEvent]) -> bool {
        let (Some(event), Some((started_event_id, _))) = (events.first(), &self.unanswered) else { return false };
        let Some(Attributes::WorkflowTaskCompletedEventAttributes(completed)) = &event.attributes else { return false };
        event.event_id == self.position + 1 && completed.started_event_id == *started_event_id
    }

    /// Whether a query can be answered by this instance, once it has taken these events.
    pub fn can_answer_after(&self, events: &[HistoryEvent]) -> bool {
        let is_completed = |event: &&HistoryEvent| {
            matches!(event.attributes, Some(Attributes::WorkflowTaskCompletedEventAttributes(_)))
        };
        let (completed, answered) =
            (events.iter().filter(is_completed).count(), usize::from(self.unanswered.is_some()));
        let goes_on = match self.unanswered {
            Some(_) => self.is_continued_by(events),
            None => self.guest.is_some(),
        };
        goes_on && (completed <= answered || !self.tainted)
    }

    /// An estimate of the memory that only this run holds, in bytes.
    pub fn private_bytes(&self) -> usize {
        // Names and ids; the waiting events are gone by the end of an activation.
        let facts = std::mem::size_of::<Run>() + self.key.workflow_id.len() + self.key.run_id.len();
        facts + self.guest.as_ref().map_or(0, Guest::private_bytes)
    }

    /// Takes the events after this run's position. Without a live task, a task that nothing follows is left alone.
    pub fn walk(
        &mut self,
        workshop: &Workshop,
        events: &[HistoryEvent],
        live: Option<LiveTask<'_>>,
    ) -> Result<Walk, TaskFailure> {
        let walked = self.walk_events(workshop, events, live);
        walked.map_err(|failure| match (&failure.kind, &self.recorded_digest) {
            (TaskFailureKind::Nondeterminism { .. }, Some(recorded)) if *recorded != self.module.digest.to_string() => {
                failure.note(&format!(
                    "the history was made by module {recorded}, and this is module {}",
                    self.module.digest
                ))
            }
            _ => failure,
        })
    }

    fn walk_events(
        &mut self,
        workshop: &Workshop,
        events: &[HistoryEvent],
        live: Option<LiveTask<'_>>,
    ) -> Result<Walk, TaskFailure> {
        let mut walk = Walk::default();
        let mut replayed_to = 0;
        for (index, event) in events.iter().enumerate() {
            self.advance_to(event)?;
            if is_mark(event) {
                self.command_event(event)?;
                walk.matched_commands += 1;
                continue;
            }
            match &event.attributes {
                Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                    if event.event_id != 1 {
                        return Err(TaskFailure::history(event.event_id, "a run starts once, with event 1"));
                    }
                    let trace = workshop.config.trace_logs.then(|| RunTrace::of(&self.key.run_id, started));
                    self.facts = Some(Arc::new(RunFacts {
                        labels: trace.map(|trace| LogLabels::new(&self.module.digest, trace.trace_id, trace.span_id)),
                        key: self.key.clone(),
                        start_time: event.event_time.unwrap_or_default(),
                        started: started.clone(),
                    }));
                }
                Some(Attributes::WorkflowTaskScheduledEventAttributes(_)) => {
                    self.matching.finish(event.event_id)?;
                    self.expect_task(event.event_id, Task::None)?;
                    self.task = Task::Scheduled(event.event_id);
                }
                Some(Attributes::WorkflowTaskStartedEventAttributes(started)) => {
                    self.expect_task(event.event_id, Task::Scheduled(started.scheduled_event_id))?;
                    self.task = Task::Started(started.scheduled_event_id, event.event_id);
                    let next = events.get(index + 1).map(|next| next.attributes.as_ref());
                    match next {
                        None if live.is_some_and(|live| live.started_event_id == event.event_id) => {
                            let updates = live.map_or(&[][..], |live| live.updates);
                            let ahead = Ahead::live(updates);
                            let activation = self.activation(workshop, event, started, ahead)?;
                            walk.activations += 1;
                            walk.fuel_used += activation.fuel_used;
                            walk.live = Some(activation.live(replayed_to));
                            self.unanswered = Some((event.event_id, activation.issued));
                            return Ok(walk);
                        }
                        Some(Some(Attributes::WorkflowTaskCompletedEventAttributes(_))) => {
                            let ahead = Ahead::recorded(&events[index + 2..], &self.admitted);
                            let replayed = self.activation(workshop, event, started, ahead);
                            let activation = replayed.map_err(|failure| {
                                failure.note(&format!("this was in replay, at event {}", event.event_id))
                            })?;
                            walk.activations += 1;
                            walk.fuel_used += activation.fuel_used;
                            replayed_to = event.event_id;
                            self.unanswered = Some((event.event_id, activation.issued));
                        }
                        _ => {}
                    }
                }
                Some(Attributes::WorkflowTaskCompletedEventAttributes(completed)) => {
                    self.task_completed(event.event_id, completed)?;
                }
                Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => {
                    self.task_failed(event.event_id, failed)?
                }
                Some(Attributes::WorkflowTaskTimedOutEventAttributes(timed_out)) => {
                    // A task that no worker took has no WorkflowTaskStarted.
                    let task = match timed_out.started_event_id {
                        0 => Task::Scheduled(timed_out.scheduled_event_id),
                        started_event_id => Task::Started(timed_out.scheduled_event_id, started_event_id),
                    };
                    self.end_task(event.event_id, task)?;
                }
                _ => self.other_event(event)?,
            }
        }
        match live {
            Some(live) => Err(TaskFailure::history(
                self.position,
                format!("it should be WorkflowTaskStarted {}, which is to be run", live.started_event_id),
            )),
            None => self.matching.finish(self.position + 1).map(|()| walk),
        }
    }

    fn advance_to(&mut self, event: &HistoryEvent) -> Result<(), TaskFailure> {
        let expected = self.position + 1;
        if event.event_id != expected {
            return Err(TaskFailure::history(
                event.event_id,
                format!("event {expected} is missing, or out of its order"),
            ));
        }
        if self.facts.is_none() && event.event_id != 1 {
            return Err(TaskFailure::history(event.event_id, "the run has not been started"));
        }
        if expected == 1 && !matches!(event.attributes, Some(Attributes::WorkflowExecutionStartedEventAttributes(_))) {
            return Err(TaskFailure::history(1, "a history begins with WorkflowExecutionStarted"));
        }
        if self.closed {
            return Err(TaskFailure::history(event.event_id, "the run is closed"));
        }
        self.position = event.event_id;
        Ok(())
    }

    fn expect_task(&self, event_id: i64, expected: Task) -> Result<(), TaskFailure> {
        let words = |task| match task {
            Task::None => "no workflow task".to_owned(),
            Task::Scheduled(scheduled) => format!("a workflow task that event {scheduled} scheduled"),
            Task::Started(scheduled, started) => {
                format!("a workflow task that event {scheduled} scheduled and event {started} started")
            }
        };
        match self.task == expected {
            true => Ok(()),
            false => {
                let (expected, found) = (words(expected), words(self.task));
                Err(TaskFailure::history(event_id, format!("it takes {expected}, and there is {found}")))
            }
        }
    }

    fn end_task(&mut self, event_id: i64, task: Task) -> Result<(), TaskFailure> {
        self.expect_task(event_id, task)?;
        self.task = Task::None;
        Ok(())
    }

    fn task_completed(
        &mut self,
        event_id: i64,
        completed: &WorkflowTaskCompletedEventAttributes,
    ) -> Result<(), TaskFailure> {
        self.end_task(event_id, Task::Started(completed.scheduled_event_id, completed.started_event_id))?;
        // The digest is kept in the field for versions of workers, which Temporal has deprecated and every tool shows.
        #[allow(deprecated)]
        if let Some(stamp) = completed.worker_version.as_ref().filter(|stamp| !stamp.build_id.is_empty()) {
            self.recorded_digest = Some(stamp.build_id.clone());
        }
        match self.unanswered.take() {
            Some((started_event_id, issued)) if started_event_id == completed.started_event_id => {
                self.matching = Matching::new(issued, event_id);
                Ok(())
            }
            _ => Err(TaskFailure::history(
                event_id,
                format!(
                    "it completes WorkflowTaskStarted {}, which does not stand before it",
                    completed.started_event_id
                ),
            )),
        }
    }

    fn task_failed(&mut self, event_id: i64, failed: &WorkflowTaskFailedEventAttributes) -> Result<(), TaskFailure> {
        self.end_task(event_id, Task::Started(failed.scheduled_event_id, failed.started_event_id))?;
        // From a reset on the run draws other randomness, or it would repeat the ids that it has used.
        if failed.cause() == WorkflowTaskFailedCause::ResetWorkflow
            && !failed.new_run_id.is_empty()
            && let Some(guest) = &mut self.guest
        {
            guest.streams().reseed(&failed.new_run_id);
        }
        Ok(())
    }

    fn command_event(&mut self, event: &HistoryEvent) -> Result<(), TaskFailure> {
        let Some(facts) = &self.facts else { return Ok(()) };
        let starts = self.matching.command_event(event, &facts.started)?;
        if let (Some(operation), Some(guest)) = (starts, &mut self.guest) {
            guest.operations().recorded(operation, event.event_id);
        }
        self.closed = matches!(
            event.attributes,
            Some(
                Attributes::WorkflowExecutionCompletedEventAttributes(_)
                    | Attributes::WorkflowExecutionFailedEventAttributes(_)
                    | Attributes::WorkflowExecutionCanceledEventAttributes(_)
                    | Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_)
            )
        );
        Ok(())
    }

    fn other_event(&mut self, event: &HistoryEvent) -> Result<(), TaskFailure> {
        self.matching.other_event(event);
        if let Some(Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(admitted)) = &event.attributes
            && let Some(request) = &admitted.request
        {
            let id = request.meta.as_ref().map(|meta| meta.update_id.clone()).unwrap_or_default();
            self.admitted.insert(id, request.clone());
        }
        // Before its first activation a run has no operations.
        let mut none = Operations::default();
        let operations = self.guest.as_mut().map_or(&mut none, Guest::operations);
        self.pending.extend(deliver(event, operations, &mut self.begun_activities)?);
        self.closed = matches!(
            event.attributes,
            Some(
                Attributes::WorkflowExecutionTerminatedEventAttributes(_)
                    | Attributes::WorkflowExecutionTimedOutEventAttributes(_)
            )
        );
        Ok(())
    }

    /// Runs the guest for one workflow task.
    fn activation(
        &mut self,
        workshop: &Workshop,
        event: &HistoryEvent,
        started: &WorkflowTaskStartedEventAttributes,
        ahead: Ahead,
    ) -> Result<Activation, TaskFailure> {
        if self.finished {
            return Err(TaskFailure::nondeterminism(
                event.event_id,
                "another workflow task",
                "had closed the run before it",
            ));
        }
        let Some(facts) = self.facts.clone() else {
            return Err(TaskFailure::history(event.event_id, "the run has not been started"));
        };
        self.check_workflow_type(facts.workflow_type())?;
        let moment = Moment {
            now: event.event_time.unwrap_or_default(),
            event_id: event.event_id,
            history_size_bytes: started.history_size_bytes,
            continue_as_new_suggested: started.suggest_continue_as_new,
        };
        let mut guest = match self.guest.take() {
            Some(guest) => guest,
            None => {
                let begun = Instant::now();
                let guest = Guest::for_run(
                    &workshop.engine,
                    &self.module.pre,
                    &workshop.config,
                    &self.terms,
                    facts.clone(),
                    moment,
                )?;
                workshop.instantiations.note(begun.elapsed());
                guest
            }
        };
        guest.set_terms(&self.terms);
        // A guest that crashes is not put back: what it holds is no state of any workflow.
        let activation = self.run_guest(&mut guest, &facts, moment, ahead)?;
        self.guest = Some(guest);
        self.moment = moment;
        self.tainted |= activation.rejected.is_some();
        Ok(activation)
    }

    /// Asks the workflow where it stands. What the answer does to the instance makes it useless for anything else.
    pub fn query(&mut self, question: &query::Question) -> Result<QueryAnswer, TaskFailure> {
        let Some(mut guest) = self.guest.take() else {
            return Err(TaskFailure::history(
                self.position,
                "the workflow has not run yet, so there is nothing to ask",
            ));
        };
        self.tainted = true;
        guest.set_terms(&self.terms);
        let answer = guest.answer_query(self.moment, &query::to_guest(question))?;
        self.guest = Some(guest);
        Ok(query::answer(answer).map_err(Crash::from)?)
    }

    /// Whether the module holds a workflow of the run's type; asked once the run has been started.
    pub fn check_type(&self) -> Result<(), TaskFailure> {
        match &self.facts {
            Some(facts) => self.check_workflow_type(facts.workflow_type()),
            None => Err(TaskFailure::history(0, "the run has not been started")),
        }
    }

    fn check_workflow_type(&self, workflow_type: &str) -> Result<(), TaskFailure> {
        match self.module.holds(workflow_type) {
            true => Ok(()),
            false => Err(TaskFailure::new(
                TaskFailureKind::UnknownWorkflowType,
                format!(
                    "module {} has no workflow type {workflow_type:?}; it has {}",
                    self.module.digest,
                    self.module.workflow_types.join(", ")
                ),
            )),
        }
    }

    fn run_guest(
        &mut self,
        guest: &mut Guest,
        facts: &RunFacts,
        moment: Moment,
        ahead: Ahead,
    ) -> Result<Activation, Crash> {
        guest.begin_activation(moment, ahead.live, ahead.patches)?;
        let mut status = Status::Blocked;
        if !self.begun {
            self.begun = true;
            status = guest.start(facts.workflow_type(), &payloads_to_guest(facts.started.input.as_ref()))?;
        }
        let events = std::mem::take(&mut self.pending);
        status = settle(guest, status, events)?;
        // They come after everything that happened before them, as Temporal's workers have it.
        let mut rejected = None;
        for (index, request) in ahead.updates.iter().enumerate() {
            if !matches!(status, Status::Blocked) {
                break;
            }
            let (after, decision) = guest.resume_with_update(request, moment.event_id - 1, ahead.live)?;
            status = settle(guest, after, Vec::new())?;
            if let Decision::Rejected(message) = decision {
                rejected = Some(Rejected { index, message });
                break;
            }
        }
        if let Some(closing) = closing_command(status, facts)? {
            let limits = guest.limits().clone();
            guest.operations().tell(closing, None, &limits)?;
            self.finished = true;
        }
        let (issued, fuel_used) = guest.end_activation()?;
        Ok(Activation { issued, rejected, fuel_used })
    }
}

impl Activation {
    fn live(&self, replayed_to: i64) -> Live {
        Live {
            commands: self.issued.iter().map(|issued| issued.command.clone()).collect(),
            messages: self.issued.iter().filter_map(|issued| issued.message.clone()).collect(),
            rejected: self.rejected.clone(),
            fuel_used: self.fuel_used,
            replayed_to,
        }
    }
}

/// Tells the guest these events, and what it cancels meanwhile, until there is nothing left to tell.
fn settle(guest: &mut Guest, mut status: Status, mut events: Vec<Event>) -> Result<Status, Crash> {
    loop {
        if events.is_empty() {
            events = guest.operations().take_local_resolutions();
        }
        if events.is_empty() || !matches!(status, Status::Blocked) {
            return Ok(status);
        }
        status = guest.resume(&events)?;
        events.clear();
    }
}
