//! Resets: a new run of a workflow id is made of the first events of another one.
//!
//! The new run, the end of the latest one (if it is open) and the note in the run that was reset are one batch. The new
//! run is pinned to nothing: like every new run it takes the module that is deployed on its task queue, which is how a
//! fault of a module is mended for runs that have met it.

use std::sync::atomic::Ordering;

use mainspring_api::history::HistoryEvent;
use mainspring_core::{
    Rejection,
    continue_as_new::successor_of,
    outbox::HISTORY_RESETTER,
    reset::{ResetRequest, ResetRun, reset},
};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Request, Shard, Waiting, answer};
use crate::{
    EngineError, RunRef, clock,
    keys::{RunKey, WorkflowKey},
    limits,
    run::{LoadedRun, Work, read_history},
};

/// What a reset finds.
enum Found {
    /// The same request has made this run before.
    Repeated(String),
    /// This run is having its turn, or has commits on their way.
    Busy(RunKey),
    Ready(Box<Plan>),
}

/// A reset that can be carried out.
struct Plan {
    base: RunKey,
    latest: RunKey,
    made: ResetRun,
    new: RunKey,
}

impl Shard {
    pub(super) fn take_reset(
        &mut self,
        workflow: WorkflowKey,
        run: RunRef,
        reset: Box<ResetRequest>,
        reply: oneshot::Sender<Result<String, EngineError>>,
    ) {
        match self.plan_reset(&workflow, &run, &reset) {
            Ok(Found::Ready(plan)) => self.carry_out(*plan, &reset.reason, reply),
            Ok(Found::Repeated(run_id)) => {
                self.reply_in_order(Box::new(move |durable| answer(reply, durable.map(|()| run_id))));
            }
            Ok(Found::Busy(key)) => {
                self.come_back(&key, Request::Reset { workflow, run, reset, reply });
                self.shared.activations.withdraw(&key);
            }
            Err(error) => self.reply_in_order(Box::new(move |durable| answer(reply, durable.and(Err(error))))),
        }
    }

    fn plan_reset(
        &mut self,
        workflow: &WorkflowKey,
        run: &RunRef,
        request: &ResetRequest,
    ) -> Result<Found, EngineError> {
        let base = self.find(workflow, run)?;
        let current = self.current(workflow)?.ok_or_else(|| EngineError::WorkflowNotFound {
            workflow_id: workflow.workflow_id.clone(),
            run_id: String::new(),
        })?;
        if current.start_request_id == request.request_id {
            return Ok(Found::Repeated(current.run_id));
        }
        let latest = self.find(workflow, &RunRef { run_id: current.run_id, ..run.clone() })?;
        let Some(entry) = self.workflows.peek(workflow) else { return Ok(Found::Busy(latest)) };
        let is_busy = |key: &&RunKey| entry.runs.get(&key.run).is_none_or(|run| run.busy);
        if let Some(busy) = [&base, &latest].into_iter().find(is_busy) {
            return Ok(Found::Busy(busy.clone()));
        }
        if entry.in_flight.load(Ordering::Acquire) > 0 {
            return Ok(Found::Busy(latest));
        }
        let buffered = entry.runs.get(&latest.run).map_or(Vec::new(), |run| run.state.buffered.clone());
        let events = read_history(&*self.shared.store, self.handle.id, &base, 1, i64::MAX)?;
        let later = match request.exclude.signals && request.exclude.updates {
            true => Vec::new(),
            false => self.read_later(&base, &events, &latest, buffered)?,
        };
        let new = RunKey { workflow: workflow.clone(), run: Uuid::now_v7() };
        let made = reset(&base.run.to_string(), &events, &later, &new.run.to_string(), request, clock::now())?;
        Ok(Found::Ready(Box::new(Plan { base, latest, made, new })))
    }

    /// The events of the runs that `base` went on in, oldest first, and what waits in the latest of them.
    fn read_later(
        &self,
        base: &RunKey,
        events: &[HistoryEvent],
        latest: &RunKey,
        buffered: Vec<HistoryEvent>,
    ) -> Result<Vec<HistoryEvent>, EngineError> {
        let mut later: Vec<HistoryEvent> = Vec::new();
        let mut run = base.run;
        while let Some(next) = later.last().or(events.last()).and_then(successor_of) {
            run = next.parse().map_err(|_| EngineError::Damaged(format!("run {run} goes on in run {next:?}")))?;
            let key = RunKey { workflow: base.workflow.clone(), run };
            let events = read_history(&*self.shared.store, self.handle.id, &key, 1, i64::MAX)?;
            // One that was deleted has nothing to carry over, and does not say how it went on.
            if events.is_empty() {
                return Ok(later);
            }
            later.extend(events);
            if later.len() > limits::RESET_EVENTS {
                let message = format!(
                    "The runs after this one have more than {} events: reset a later run, or exclude signals and updates.",
                    limits::RESET_EVENTS
                );
                return Err(Rejection::FailedPrecondition(message).into());
            }
        }
        if run == latest.run {
            later.extend(buffered);
        }
        Ok(later)
    }

    fn carry_out(&mut self, plan: Plan, reason: &str, reply: oneshot::Sender<Result<String, EngineError>>) {
        let Plan { base, latest, made, new } = plan;
        let (workflow, run_id) = (base.workflow.clone(), new.run.to_string());
        let Some(entry) = self.workflows.get_mut(&workflow) else { return };
        let old = [entry.runs.remove(&base.run), entry.runs.remove(&latest.run)];
        let mut old: Vec<Box<LoadedRun>> = old.into_iter().flatten().collect();
        for run in &mut old {
            run.step(|step| {
                if step.state.is_running() {
                    // Refused only where it is closed.
                    let _ = step.terminate(reason, None, HISTORY_RESETTER);
                }
                if step.state.run_id == base.run.to_string() {
                    step.note_reset(&run_id);
                }
            });
        }
        let latest = new.run;
        let mut new = LoadedRun::made_by_reset(new, &self.shared.namespaces.name_of(workflow.namespace), made);
        new.pending.replies.push(Box::new(move |durable| answer(reply, durable.map(|()| run_id))));
        self.commit_together(&workflow, old.iter_mut().map(Box::as_mut).chain([&mut new]), Some(latest));
        if let Some(entry) = self.workflows.get_mut(&workflow) {
            entry.runs.extend(old.into_iter().map(|run| (run.key.run, run)));
        }
        self.take_in(new);
    }

    /// Takes the request again, when the run has had its turn and its commits are durable.
    fn come_back(&mut self, key: &RunKey, request: Request) {
        let handle = self.handle.clone();
        let again = move || handle.notify(request);
        let entry = self.workflows.get_mut(&key.workflow);
        match entry.and_then(|entry| entry.runs.get_mut(&key.run)).filter(|run| run.busy) {
            Some(run) => {
                let work: Work = Box::new(move |_| Box::new(move |_| again()));
                run.mailbox.push_back(Waiting::This(work));
            }
            None => self.reply_in_order(Box::new(move |_| again())),
        }
    }
}
