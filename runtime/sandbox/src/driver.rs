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

use std::sync::Arc;

use mainspring_api::{
    command::{
        CancelWorkflowExecutionCommandAttributes, Command, CompleteWorkflowExecutionCommandAttributes,
        FailWorkflowExecutionCommandAttributes, command::Attributes as Asked,
    },
    enums::{CommandType, WorkflowTaskFailedCause},
    history::{
        HistoryEvent, WorkflowTaskCompletedEventAttributes, WorkflowTaskFailedEventAttributes,
        WorkflowTaskStartedEventAttributes, history_event::Attributes,
    },
};
use mainspring_core::command::is_command_event;
use wasmtime::Engine;

use crate::{
    Digest, GuestLimits, RunKey, SandboxConfig, TaskFailure, TaskFailureKind,
    bindings::activation::{Event, Status},
    convert::{
        failure::failure_to_proto,
        payload::{payloads_to_guest, payloads_to_proto},
    },
    delivery::{BegunActivities, deliver},
    host::{Fault, Moment, RunFacts},
    instance::{Crash, Guest},
    matching::Matching,
    module::Module,
    operations::{Issued, Operations, command},
};

/// What every run of a sandbox is made with.
pub struct Workshop {
    pub engine: Engine,
    pub config: SandboxConfig,
    pub limits: Arc<GuestLimits>,
}

/// A run and its instance, at a position of its journal.
pub struct Run {
    key: RunKey,
    module: Arc<Module>,
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
    pub fuel_used: u64,
    /// Where the walk's last replayed activation stood; 0 where there was none.
    pub replayed_to: i64,
}

impl Run {
    /// A run before its first event.
    pub fn new(key: RunKey, module: Arc<Module>) -> Run {
        Run {
            key,
            module,
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
            pending: Vec::new(),
            recorded_digest: None,
        }
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

    /// Whether these events go on where this run stands: the journal has taken its latest activation as it was.
    pub fn is_continued_by(&self, events: &[HistoryEvent]) -> bool {
        let (Some(event), Some((started_event_id, _))) = (events.first(), &self.unanswered) else { return false };
        let Some(Attributes::WorkflowTaskCompletedEventAttributes(completed)) = &event.attributes else { return false };
        event.event_id == self.position + 1 && completed.started_event_id == *started_event_id
    }

    /// An estimate of the memory that only this run holds, in bytes.
    pub fn private_bytes(&self) -> usize {
        // Names and ids; the waiting events are gone by the end of an activation.
        let facts = std::mem::size_of::<Run>() + self.key.workflow_id.len() + self.key.run_id.len();
        facts + self.guest.as_ref().map_or(0, Guest::private_bytes)
    }

    /// Takes the events after this run's position. `live` is the id of the WorkflowTaskStarted to run live, which must
    /// be the last event; without it, a task that nothing follows is left alone.
    pub fn walk(
        &mut self,
        workshop: &Workshop,
        events: &[HistoryEvent],
        live: Option<i64>,
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
        live: Option<i64>,
    ) -> Result<Walk, TaskFailure> {
        let mut walk = Walk::default();
        let mut replayed_to = 0;
        for (index, event) in events.iter().enumerate() {
            self.advance_to(event)?;
            if is_command_event(event) {
                self.command_event(event)?;
                walk.matched_commands += 1;
                continue;
            }
            match &event.attributes {
                Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                    if event.event_id != 1 {
                        return Err(TaskFailure::history(event.event_id, "a run starts once, with event 1"));
                    }
                    self.facts = Some(Arc::new(RunFacts {
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
                        None if live == Some(event.event_id) => {
                            let (issued, fuel_used) = self.activation(workshop, event, started, true)?;
                            walk.activations += 1;
                            walk.fuel_used += fuel_used;
                            let commands = issued.iter().map(|issued| issued.command.clone()).collect();
                            self.unanswered = Some((event.event_id, issued));
                            walk.live = Some(Live { commands, fuel_used, replayed_to });
                            return Ok(walk);
                        }
                        Some(Some(Attributes::WorkflowTaskCompletedEventAttributes(_))) => {
                            let replayed = self.activation(workshop, event, started, false);
                            let (issued, fuel_used) = replayed.map_err(|failure| {
                                failure.note(&format!("this was in replay, at event {}", event.event_id))
                            })?;
                            walk.activations += 1;
                            walk.fuel_used += fuel_used;
                            replayed_to = event.event_id;
                            self.unanswered = Some((event.event_id, issued));
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
            Some(started_event_id) => Err(TaskFailure::history(
                self.position,
                format!("it should be WorkflowTaskStarted {started_event_id}, which is to be run"),
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
            )
        );
        Ok(())
    }

    fn other_event(&mut self, event: &HistoryEvent) -> Result<(), TaskFailure> {
        self.matching.other_event(event);
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
        live: bool,
    ) -> Result<(Vec<Issued>, u64), TaskFailure> {
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
            None => Guest::for_run(
                &workshop.engine,
                &self.module.pre,
                &workshop.config,
                &workshop.limits,
                facts.clone(),
                moment,
            )?,
        };
        // A guest that crashes is not put back: what it holds is no state of any workflow.
        let issued = self.run_guest(&mut guest, &facts, moment, live)?;
        self.guest = Some(guest);
        Ok(issued)
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
        live: bool,
    ) -> Result<(Vec<Issued>, u64), Crash> {
        guest.begin_activation(moment, live)?;
        let mut status = Status::Blocked;
        if !self.begun {
            self.begun = true;
            status = guest.start(facts.workflow_type(), &payloads_to_guest(facts.started.input.as_ref()))?;
        }
        // What the guest cancels in an activation it is told in the same one, until there is nothing left to tell.
        let mut events = std::mem::take(&mut self.pending);
        loop {
            if events.is_empty() {
                events = guest.operations().take_local_resolutions();
            }
            if events.is_empty() || !matches!(status, Status::Blocked) {
                break;
            }
            status = guest.resume(&events)?;
            events.clear();
        }
        if let Some(closing) = closing_command(status)? {
            let limits = guest.limits().clone();
            guest.operations().close(closing, &limits)?;
            self.finished = true;
        }
        guest.end_activation()
    }
}

fn closing_command(status: Status) -> Result<Option<Command>, Fault> {
    let (kind, attributes) = match status {
        Status::Blocked => return Ok(None),
        Status::Completed(result) => (
            CommandType::CompleteWorkflowExecution,
            Asked::CompleteWorkflowExecutionCommandAttributes(CompleteWorkflowExecutionCommandAttributes {
                result: payloads_to_proto(result),
            }),
        ),
        Status::Failed(failure) => (
            CommandType::FailWorkflowExecution,
            Asked::FailWorkflowExecutionCommandAttributes(FailWorkflowExecutionCommandAttributes {
                failure: Some(failure_to_proto(failure)?),
            }),
        ),
        Status::Canceled(details) => (
            CommandType::CancelWorkflowExecution,
            Asked::CancelWorkflowExecutionCommandAttributes(CancelWorkflowExecutionCommandAttributes {
                details: payloads_to_proto(details),
            }),
        ),
    };
    Ok(Some(command(kind, attributes, None)))
}
