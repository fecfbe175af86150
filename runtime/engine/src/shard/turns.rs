//! A workflow's turn: its ready workflow task is handed to an activation, and what comes of it becomes part of the step.

use mainspring_api::{enums::WorkflowTaskFailedCause as Cause, protocol::Message, update::Request as UpdateRequest};
use mainspring_core::{
    Rejection, failure,
    workflow_task::{CompletionOutcome, WorkflowTaskCompletion, retry_pause},
};
use mainspring_sandbox::Digest;
use prost::Message as _;
use uuid::Uuid;

use super::{IDENTITY, Request, Shard};
use crate::{
    activation::{Job, JobWork, Outcome},
    matching::QueueKey,
    pins::Turn,
    run::LoadedRun,
};

impl Shard {
    /// The module that must run now: the run has a ready workflow task, and a module to run it on. A run that is pinned
    /// to none yet may be by this very turn, which is then held.
    pub(super) fn module_for(&self, run: &LoadedRun) -> Option<(Digest, Option<Turn>)> {
        if !run.state.has_ready_workflow_task() || !self.shared.meter(run.key.workflow.namespace).may_run() {
            return None;
        }
        if let Some(pinned) = &run.state.module {
            return Some((pinned.parse().ok()?, None));
        }
        let workflow = &run.key.workflow;
        let queue = QueueKey { namespace: workflow.namespace, name: run.state.task_queue().to_owned() };
        let (module, turn) = self.shared.modules.choose(&queue, &workflow.workflow_id)?;
        Some((module, Some(turn)))
    }

    pub(super) fn activate(&mut self, run: &mut LoadedRun, module: Digest) {
        let request_id = Uuid::now_v7().to_string();
        let started = run.step(|step| {
            let started_event_id = step.start_workflow_task(IDENTITY, &request_id)?;
            Ok::<_, Rejection>((started_event_id, step.deliver_updates()))
        });
        let (Ok((started_event_id, messages)), Some(task)) = (started, &run.state.workflow_task) else {
            return self.commit(run);
        };
        let attempt = task.attempt;
        let mut tail = run.recent.clone();
        tail.extend(run.state.transient_events());
        run.busy = true;
        self.busy += 1;
        let (handle, key) = (self.handle.clone(), run.key.clone());
        self.shared.activations.submit(Job {
            shard: self.handle.id,
            run: run.key.clone(),
            sandbox_run: self.sandbox_run(&run.key),
            module,
            last_event_id: started_event_id,
            tail,
            work: JobWork::Task {
                attempt,
                updates: requests(&messages),
                done: Box::new(move |outcome, turn| {
                    handle.notify(Request::Activated { run: key, module, started_event_id, attempt, outcome, turn });
                }),
            },
        });
    }

    pub(super) fn end_workflow_task(
        &self,
        run: &mut LoadedRun,
        module: Digest,
        started: i64,
        attempt: i32,
        outcome: Outcome,
    ) {
        let retry_after = retry_pause(attempt);
        let failed = match outcome {
            Outcome::Completed { commands, messages } => {
                let completion = WorkflowTaskCompletion {
                    started_event_id: started,
                    attempt,
                    commands,
                    messages,
                    identity: IDENTITY.into(),
                    build_id: module.to_string(),
                    ..WorkflowTaskCompletion::default()
                };
                match run.step(|step| step.complete_workflow_task(completion, retry_after)) {
                    Ok(CompletionOutcome::Completed) => {
                        run.state.module = Some(module.to_string());
                        run.forget_seen(started);
                        None
                    }
                    // The instance has seen events that there never were.
                    Ok(CompletionOutcome::Discarded) => {
                        self.shared.sandbox.evict(&self.sandbox_run(&run.key));
                        None
                    }
                    Ok(CompletionOutcome::Failed(bad)) => Some(bad.to_string()),
                    // The task is still under way, and nobody works on it any more.
                    Err(rejection) => {
                        let message = rejection.to_string();
                        let (cause, failure) = (Cause::WorkflowWorkerUnhandledFailure, failure::server(&message));
                        let _ = run.step(|step| {
                            step.fail_workflow_task(started, attempt, cause, failure, IDENTITY, retry_after)
                        });
                        Some(message)
                    }
                }
            }
            Outcome::Failed { cause, failure } => {
                let message = failure.message.clone();
                let refused = run
                    .step(|step| step.fail_workflow_task(started, attempt, cause, failure, IDENTITY, retry_after))
                    .err();
                Some(refused.map_or(message, |refused| refused.to_string()))
            }
        };
        if let Some(message) = failed {
            tracing::warn!(
                workflow_id = run.key.workflow.workflow_id, run_id = %run.key.run, attempt, %message,
                "workflow task failed"
            );
            self.shared.sandbox.evict(&self.sandbox_run(&run.key));
        }
    }
}

/// The updates that messages bring.
fn requests(messages: &[Message]) -> Vec<UpdateRequest> {
    let bodies = messages.iter().filter_map(|message| message.body.as_ref());
    bodies.filter_map(|body| UpdateRequest::decode(body.value.as_slice()).ok()).collect()
}
