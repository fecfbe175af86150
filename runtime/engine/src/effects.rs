//! What runs do to each other: an effect of one run, durable there, becomes an input of another, and the answer comes
//! back as an input of the first. Both travel as requests to shards, so that nobody but its shard ever touches a run.

use std::sync::Arc;

use mainspring_api::{
    common::WorkflowExecution,
    enums::{
        CancelExternalWorkflowExecutionFailedCause as CancelFailed, SignalExternalWorkflowExecutionFailedCause,
        StartChildWorkflowExecutionFailedCause as StartFailed,
    },
};
use mainspring_core::{
    Rejection, Step,
    child::ChildOutcome,
    external::signal_failed_cause,
    outbox::{Effect, REPORT_TO_PARENT},
    workflow::{Parent, StartWorkflow},
};
use uuid::Uuid;

use crate::{
    EngineError, RunRef, Started,
    inner::Shared,
    keys::{RunKey, WorkflowKey},
    run::{Reply, Work},
    shard::Request,
};

/// Sends a durable effect of a run on its way.
pub fn deliver(shared: &Arc<Shared>, from: &RunKey, effect: Effect) {
    let key = effect.key();
    let answers = Answers { shared: Arc::clone(shared), to: from.clone() };
    let to_itself = |target: &WorkflowExecution| target.workflow_id == from.workflow.workflow_id;
    match effect {
        // As in Temporal, a workflow does not find itself.
        Effect::Signal { initiated_event_id, target, .. } if to_itself(&target) => {
            let cause = SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound;
            answers.send(move |step| step.external_signaled(initiated_event_id, Err(cause)));
        }
        Effect::Cancel { initiated_event_id, target, .. } if to_itself(&target) => {
            let cause = CancelFailed::ExternalWorkflowExecutionNotFound;
            answers.send(move |step| step.external_cancel_requested(initiated_event_id, Err(cause)));
        }
        Effect::StartChild { initiated_event_id, start } => start_child(answers, initiated_event_id, start),
        Effect::Signal { initiated_event_id, target, signal } => {
            let again = Effect::Signal { initiated_event_id, target: target.clone(), signal: signal.clone() };
            let input = move |step: &mut Step<'_>| step.signal(*signal);
            send(answers, again, run_of(&target), input, move |answers, outcome| {
                let outcome = outcome.map_err(|error| match error {
                    EngineError::Rejected(rejection) => signal_failed_cause(&rejection),
                    _ => SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound,
                });
                answers.send(move |step| step.external_signaled(initiated_event_id, outcome));
            });
        }
        Effect::Cancel { initiated_event_id, target, request } => {
            let again = Effect::Cancel { initiated_event_id, target: target.clone(), request: request.clone() };
            let of_child = request.origin.as_ref().is_some_and(|origin| origin.child_workflow_only);
            let input = move |step: &mut Step<'_>| step.request_cancel(*request);
            // A child is meant with all the runs that it goes on in.
            let run = if of_child { chain_of(&target) } else { run_of(&target) };
            send(answers, again, run, input, move |answers, outcome| {
                let outcome = outcome.map_err(|_| CancelFailed::ExternalWorkflowExecutionNotFound);
                answers.send(move |step| step.external_cancel_requested(initiated_event_id, outcome));
            });
        }
        Effect::CloseChild { workflow_id, run_id, closing } => {
            let again = Effect::CloseChild {
                workflow_id: workflow_id.clone(),
                run_id: run_id.clone(),
                closing: closing.clone(),
            };
            let target = RunRef { workflow_id, first_execution_run_id: run_id, ..RunRef::default() };
            let input = move |step: &mut Step<'_>| step.close_child(&closing);
            send(answers, again, target, input, move |answers, _| answers.send(move |step| step.delivered(key)));
        }
        Effect::ReportToParent { parent, child_run_id, outcome } => {
            report(answers, run_of(&parent.execution), parent, child_run_id, outcome);
        }
    }
}

/// The way back to the run that an effect came from.
struct Answers {
    shared: Arc<Shared>,
    to: RunKey,
}

impl Answers {
    fn send(self, answer: impl FnOnce(&mut Step<'_>) + Send + 'static) {
        let work: Work = Box::new(move |step| {
            // A run that was deleted meanwhile needs no answer.
            if let Ok(step) = step {
                answer(step);
            }
            Box::new(|_| {})
        });
        let run = RunRef {
            workflow_id: self.to.workflow.workflow_id.clone(),
            run_id: self.to.run.to_string(),
            ..RunRef::default()
        };
        let workflow = self.to.workflow;
        self.shared.shard_of(&workflow).notify(Request::Run { workflow: workflow.clone(), run, work });
    }
}

fn run_of(execution: &WorkflowExecution) -> RunRef {
    RunRef {
        workflow_id: execution.workflow_id.clone(),
        run_id: execution.run_id.clone(),
        first_execution_run_id: String::new(),
    }
}

fn chain_of(execution: &WorkflowExecution) -> RunRef {
    RunRef {
        workflow_id: execution.workflow_id.clone(),
        run_id: String::new(),
        first_execution_run_id: execution.run_id.clone(),
    }
}

fn start_child(answers: Answers, initiated_event_id: i64, start: Box<StartWorkflow>) {
    let shared = Arc::clone(&answers.shared);
    let workflow = WorkflowKey { namespace: answers.to.workflow.namespace, workflow_id: start.workflow_id.clone() };
    let again = Effect::StartChild { initiated_event_id, start: start.clone() };
    let reply = Box::new(move |started: Result<Started, EngineError>| match started {
        Ok(started) => answers.send(move |step| step.child_started(initiated_event_id, &started.run_id)),
        Err(EngineError::Rejected(Rejection::AlreadyStarted { .. })) => {
            answers.send(move |step| step.child_start_failed(initiated_event_id, StartFailed::WorkflowAlreadyExists));
        }
        Err(EngineError::Rejected(rejection)) => {
            tracing::warn!(%rejection, "a child workflow cannot be started");
            answers.send(move |step| step.child_start_failed(initiated_event_id, StartFailed::Unspecified));
        }
        // Too many others wait for the run that it is to replace: at the end of the line, then.
        Err(EngineError::Overloaded(_)) => deliver(&answers.shared, &answers.to, again),
        // There is no room for another open run: when one closes, then. It may just have.
        Err(EngineError::QuotaExceeded(_)) => {
            let Answers { shared, to } = answers;
            let namespace = to.workflow.namespace;
            shared.meter(namespace).park(to, again);
            shared.room_was_made(namespace);
        }
        // The server stops: the effect is found again when it starts.
        Err(_) => {}
    });
    let request = Request::Start { workflow: workflow.clone(), run: Uuid::now_v7(), start, also: None, reply };
    shared.shard_of(&workflow).notify(request);
}

/// Brings a child's end to its parent, and on to the run that took the parent's place, if it was reset.
fn report(answers: Answers, to: RunRef, parent: Parent, child_run_id: String, outcome: Box<ChildOutcome>) {
    let (kept_parent, kept_run_id, kept_outcome) = (parent.clone(), child_run_id.clone(), outcome.clone());
    let again =
        Effect::ReportToParent { parent: parent.clone(), child_run_id: child_run_id.clone(), outcome: outcome.clone() };
    let input = move |step: &mut Step<'_>| Ok(step.take_report(&parent, &child_run_id, *outcome));
    let workflow_id = to.workflow_id.clone();
    send(answers, again, to, input, move |answers, taken| match taken {
        Ok(Some(run_id)) => {
            let to = RunRef { workflow_id, run_id, ..RunRef::default() };
            report(answers, to, kept_parent, kept_run_id, kept_outcome);
        }
        // A parent that is there no more needs no report.
        Ok(None) | Err(_) => answers.send(|step| step.delivered(REPORT_TO_PARENT)),
    });
}

/// Has a run take an input, and the sender learn what came of it.
fn send<T: Send + 'static>(
    answers: Answers,
    again: Effect,
    run: RunRef,
    input: impl FnOnce(&mut Step<'_>) -> Result<T, Rejection> + Send + 'static,
    answer: impl FnOnce(Answers, Result<T, EngineError>) + Send + 'static,
) {
    let shared = Arc::clone(&answers.shared);
    let workflow = WorkflowKey { namespace: answers.to.workflow.namespace, workflow_id: run.workflow_id.clone() };
    let work: Work = Box::new(move |step| -> Reply {
        let outcome = step.and_then(|step| Ok(input(step)?));
        Box::new(move |durable| match durable.and(outcome) {
            // The server stops: the effect is found again when it starts.
            Err(EngineError::Unavailable(_)) => {}
            // Too many others wait for that run: at the end of the line, then.
            Err(EngineError::Overloaded(_)) => deliver(&answers.shared, &answers.to, again),
            outcome => answer(answers, outcome),
        })
    });
    shared.shard_of(&workflow).notify(Request::Run { workflow: workflow.clone(), run, work });
}
