//! What a run has to do to other runs: start its children, signal and cancel others, close its children when it closes,
//! and report to its parent.
//!
//! An effect leaves the step as data ([`Step::effects`]) and is to be delivered once the step is durable; the answer comes
//! back as an input ([`Step::child_started`] and its like, or [`Step::delivered`]). Until then it is *undelivered*:
//!
//! | effect | undelivered while | which the state knows from |
//! | --- | --- | --- |
//! | start a child, signal, cancel | the run is open, and its answer is neither an event nor buffered | the events, and the row's buffered events |
//! | the same, and close a child, report to the parent | the run is closed, and its answer has not come | the closing event, and the row's list of those left |
//!
//! A message that a workflow sends in the very turn in which it ends is dropped, as in Temporal; one of an earlier turn
//! reaches its target even though its sender has closed.
//!
//! So nothing is lost: after a crash [`RunState::effects`] has whatever is undelivered. And nothing is done twice, though
//! it may be delivered twice: a start and a signal carry a request id that is a function of the run and the initiated
//! event alone, by which their target knows them again; to cancel and to close are idempotent; and a second answer finds
//! nothing that waits for it. A run that a reset has made takes the effects of the events that it shares with the run
//! before over together with their request ids.

use std::collections::BTreeMap;

use mainspring_api::{
    common::WorkflowExecution,
    enums::ParentClosePolicy,
    history::{HistoryEvent, WorkflowExecutionStartedEventAttributes as Started, history_event::Attributes},
};

use crate::{
    Rejection, RunState, Step,
    cancel::CancelRequest,
    child::{self, Child, ChildOutcome, Phase},
    external::{Message, Origin},
    signal::Signal,
    trace,
    workflow::{Parent, StartWorkflow},
};

/// Who acts where the server itself does something to a run, as histories name it.
pub const HISTORY_SERVICE: &str = "history-service";

/// Who terminates the run that a reset replaces.
pub const HISTORY_RESETTER: &str = "history-resetter";

/// The key of the report to the parent: no event has this id.
pub const REPORT_TO_PARENT: i64 = 0;

/// Something to be done to another run.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// To be started as if a client had asked for it. Answered by [`Step::child_started`] or [`Step::child_start_failed`].
    StartChild { initiated_event_id: i64, start: Box<StartWorkflow> },
    /// For [`Step::signal`] of the target. Answered by [`Step::external_signaled`].
    Signal { initiated_event_id: i64, target: WorkflowExecution, signal: Box<Signal> },
    /// For [`Step::request_cancel`] of the target. Answered by [`Step::external_cancel_requested`].
    Cancel { initiated_event_id: i64, target: WorkflowExecution, request: Box<CancelRequest> },
    /// For [`Step::close_child`] of the child's latest run: `run_id` is the first of its chain, or empty where this run
    /// does not know whether it has begun. Answered by [`Step::delivered`], whatever becomes of it.
    CloseChild { workflow_id: String, run_id: String, closing: ParentClosed },
    /// For [`Step::take_report`] of the parent. Answered by [`Step::delivered`] with [`REPORT_TO_PARENT`].
    ReportToParent { parent: Parent, child_run_id: String, outcome: Box<ChildOutcome> },
}

/// The parent of a run has closed.
#[derive(Clone, Debug, PartialEq)]
pub struct ParentClosed {
    pub parent: Origin,
    /// To be asked to cancel; otherwise to be terminated.
    pub cancel: bool,
}

impl Effect {
    /// What its answer names.
    pub fn key(&self) -> i64 {
        match self {
            Effect::StartChild { initiated_event_id, .. }
            | Effect::Signal { initiated_event_id, .. }
            | Effect::Cancel { initiated_event_id, .. } => *initiated_event_id,
            Effect::CloseChild { closing, .. } => closing.parent.initiated_event_id,
            Effect::ReportToParent { .. } => REPORT_TO_PARENT,
        }
    }
}

/// By which the target of an effect knows it again.
pub(crate) fn request_id(run_id: &str, initiated_event_id: i64) -> String {
    format!("{run_id}:{initiated_event_id}")
}

impl RunState {
    /// A function of the run and the initiated event alone. Events that a reset has taken over keep what they had.
    pub(crate) fn request_id(&self, initiated_event_id: i64) -> String {
        let run_id = match &self.reset {
            Some(reset) => &reset.run_id,
            None => &self.started.original_execution_run_id,
        };
        request_id(run_id, initiated_event_id)
    }

    /// This run, as the origin of what it does to others.
    fn origin(&self, initiated_event_id: i64, child_workflow_only: bool) -> Origin {
        let former_run_ids = self.reset.as_ref().map_or(Vec::new(), |reset| reset.base_run_ids.clone());
        Origin { execution: self.execution(), former_run_ids, initiated_event_id, child_workflow_only }
    }

    pub(crate) fn execution(&self) -> WorkflowExecution {
        WorkflowExecution { workflow_id: self.workflow_id().to_owned(), run_id: self.run_id.clone() }
    }

    /// All that is undelivered, in the order in which it was asked for: for recovery.
    pub fn effects(&self) -> Vec<Effect> {
        if !self.is_running() {
            return self.outbox.values().cloned().collect();
        }
        let mut effects: Vec<Effect> = self.children.values().filter_map(|child| self.start_of(child)).collect();
        let unanswered = self.external.values().filter(|external| !external.answered);
        effects.extend(unanswered.filter_map(|external| self.effect_of(external.initiated_event_id)));
        effects.sort_by_key(Effect::key);
        effects
    }

    /// Whether anything is undelivered: such a run must be found again after a crash.
    pub fn has_effects(&self) -> bool {
        match self.is_running() {
            true => {
                self.children.values().any(|child| child.phase == Phase::Initiated)
                    || self.external.values().any(|external| !external.answered)
            }
            false => !self.outbox.is_empty(),
        }
    }

    /// Whether the effect still is to be delivered. A child that has not been started when its parent closes need not be.
    pub fn is_undelivered(&self, effect: &Effect) -> bool {
        match (self.is_running(), effect) {
            (true, Effect::StartChild { initiated_event_id, .. }) => {
                self.children.get(initiated_event_id).is_some_and(|child| child.phase == Phase::Initiated)
            }
            (true, _) => self.external.get(&effect.key()).is_some_and(|external| !external.answered),
            (false, _) => self.outbox.get(&effect.key()) == Some(effect),
        }
    }

    fn start_of(&self, child: &Child) -> Option<Effect> {
        (child.phase == Phase::Initiated).then(|| Effect::StartChild {
            initiated_event_id: child.initiated_event_id,
            start: Box::new(self.child_start(child)),
        })
    }

    fn child_start(&self, child: &Child) -> StartWorkflow {
        let initiated = child.initiated.clone();
        StartWorkflow {
            workflow_id: initiated.workflow_id.clone(),
            workflow_type: child::type_name(initiated.workflow_type.as_ref()),
            task_queue: initiated.task_queue.as_ref().map_or(String::new(), |task_queue| task_queue.name.clone()),
            reuse_policy: initiated.workflow_id_reuse_policy(),
            input: initiated.input,
            execution_timeout: initiated.workflow_execution_timeout,
            run_timeout: initiated.workflow_run_timeout,
            task_timeout: initiated.workflow_task_timeout,
            request_id: child.request_id.clone(),
            retry_policy: initiated.retry_policy,
            memo: initiated.memo,
            search_attributes: initiated.search_attributes,
            header: trace::carried(&self.started, initiated.header),
            user_metadata: child.user_metadata.clone(),
            priority: initiated.priority.or_else(|| self.started.priority.clone()),
            parent: Some(Parent {
                namespace: initiated.namespace,
                namespace_id: initiated.namespace_id,
                execution: self.execution(),
                initiated_event_id: child.initiated_event_id,
                root: self.started.root_workflow_execution.clone().unwrap_or_else(|| self.execution()),
            }),
            ..StartWorkflow::default()
        }
    }

    /// The effect of an initiated event.
    fn effect_of(&self, initiated_event_id: i64) -> Option<Effect> {
        if let Some(child) = self.children.get(&initiated_event_id) {
            return self.start_of(child);
        }
        let external = self.external.get(&initiated_event_id)?;
        let origin = |child_workflow_only| Some(self.origin(initiated_event_id, child_workflow_only));
        Some(match &external.message {
            Message::Signal(initiated) => Effect::Signal {
                initiated_event_id,
                target: initiated.workflow_execution.clone().unwrap_or_default(),
                signal: Box::new(Signal {
                    name: initiated.signal_name.clone(),
                    input: initiated.input.clone(),
                    identity: HISTORY_SERVICE.into(),
                    header: initiated.header.clone(),
                    request_id: external.request_id.clone(),
                    origin: origin(initiated.child_workflow_only),
                }),
            },
            Message::Cancel(initiated) => Effect::Cancel {
                initiated_event_id,
                target: initiated.workflow_execution.clone().unwrap_or_default(),
                request: Box::new(CancelRequest {
                    reason: initiated.reason.clone(),
                    identity: HISTORY_SERVICE.into(),
                    request_id: external.request_id.clone(),
                    origin: origin(initiated.child_workflow_only),
                }),
            },
        })
    }

    /// What is left to be done by a run that closes with this event.
    pub(crate) fn effects_of_close(&self, closed: &Attributes) -> BTreeMap<i64, Effect> {
        let mut outbox: BTreeMap<i64, Effect> = BTreeMap::new();
        // What a workflow sends in the very turn in which it ends is never sent: so it is in Temporal.
        let last_turn = Some(crate::compare::completed_event_id(closed)).filter(|event_id| *event_id != 0);
        let sent = self.external.values().filter(|external| !external.answered && Some(external.turn()) != last_turn);
        outbox.extend(sent.filter_map(|it| Some((it.initiated_event_id, self.effect_of(it.initiated_event_id)?))));
        // A run that is reset lives on in another one: its children have not lost their parent, nor its parent a child.
        let is_reset = matches!(closed, Attributes::WorkflowExecutionTerminatedEventAttributes(terminated)
            if terminated.identity == HISTORY_RESETTER);
        if is_reset {
            return outbox;
        }
        for child in self.children.values() {
            let effect = match child.parent_close_policy() {
                ParentClosePolicy::Abandon => self.start_of(child),
                policy => Some(Effect::CloseChild {
                    workflow_id: child.initiated.workflow_id.clone(),
                    run_id: child.run_id.clone(),
                    closing: ParentClosed {
                        parent: self.origin(child.initiated_event_id, true),
                        cancel: policy == ParentClosePolicy::RequestCancel,
                    },
                }),
            };
            outbox.extend(effect.map(|effect| (child.initiated_event_id, effect)));
        }
        if let (Some(parent), Some(outcome)) = (Parent::of(&self.started), child::outcome_of(closed)) {
            let outcome = Box::new(outcome);
            let report = Effect::ReportToParent { parent, child_run_id: self.run_id.clone(), outcome };
            outbox.insert(REPORT_TO_PARENT, report);
        }
        outbox
    }

    /// An event that is buffered, or has just become one of the history, has told the fate of something.
    pub(crate) fn note(&mut self, event: &HistoryEvent) {
        let Some(attributes) = &event.attributes else { return };
        match attributes {
            Attributes::TimerFiredEventAttributes(fired) => {
                self.timers.remove(&fired.timer_id);
            }
            Attributes::ChildWorkflowExecutionStartedEventAttributes(started) => self.note_child_started(started),
            _ => {}
        }
        if let Some(child) = child::ended(attributes).and_then(|id| self.children.get_mut(&id)) {
            child.phase = Phase::Ended;
        }
        if let Some(external) = crate::external::answered(attributes).and_then(|id| self.external.get_mut(&id)) {
            external.answered = true;
        }
    }
}

impl Step<'_> {
    /// An initiated event has been recorded: its effect leaves with this step.
    pub(crate) fn initiate(&mut self, initiated_event_id: i64) {
        self.effects.extend(self.state.effect_of(initiated_event_id));
    }

    /// The run has closed: effects of this step that are void are taken out, and the last ones put in.
    pub(crate) fn take_effects_of_close(&mut self) {
        let state = &*self.state;
        self.effects.retain(|effect| state.is_undelivered(effect));
        let last = |effect: &&Effect| matches!(effect, Effect::CloseChild { .. } | Effect::ReportToParent { .. });
        self.effects.extend(state.outbox.values().filter(last).cloned());
    }

    /// An effect of a run that has closed was delivered, or could not be for good. Told again, it changes nothing.
    pub fn delivered(&mut self, key: i64) {
        self.dirty |= self.state.outbox.remove(&key).is_some();
    }

    /// The parent has closed, and its close policy falls on this run.
    pub fn close_child(&mut self, closing: &ParentClosed) -> Result<(), Rejection> {
        self.state.check_origin(Some(&closing.parent))?;
        if self.state.started.parent_initiated_event_id != closing.parent.initiated_event_id {
            return Err(Rejection::not_found("workflow parent does not match"));
        }
        if !closing.cancel {
            return self.terminate("by parent close policy", None, HISTORY_SERVICE);
        }
        self.request_cancel(CancelRequest {
            identity: HISTORY_SERVICE.into(),
            origin: Some(Origin { initiated_event_id: 0, ..closing.parent.clone() }),
            ..CancelRequest::default()
        })
    }
}

impl Parent {
    /// The parent of a run that was started like this.
    pub fn of(started: &Started) -> Option<Parent> {
        let execution = started.parent_workflow_execution.clone()?;
        Some(Parent {
            namespace: started.parent_workflow_namespace.clone(),
            namespace_id: started.parent_workflow_namespace_id.clone(),
            root: started.root_workflow_execution.clone().unwrap_or_else(|| execution.clone()),
            initiated_event_id: started.parent_initiated_event_id,
            execution,
        })
    }
}
