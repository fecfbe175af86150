//! Queries: a run that rests is asked at once, one that works when it has come to rest.

use std::sync::Arc;

use mainspring_api::enums::{QueryRejectCondition, WorkflowExecutionStatus as Status};
use mainspring_core::{Rejection, RunState};
use tokio::sync::oneshot;

use super::{Request, Shard, Waiting, answer};
use crate::{
    EngineError, QueryReply, RunRef, WorkflowQuery,
    activation::{Job, JobWork},
    keys::WorkflowKey,
    limits,
    run::LoadedRun,
};

/// A query on its way.
pub struct Query {
    pub query: WorkflowQuery,
    pub reply: oneshot::Sender<Result<QueryReply, EngineError>>,
}

impl Shard {
    pub(super) fn take_query(&mut self, workflow: WorkflowKey, run: RunRef, query: Box<Query>) {
        match self.find(&workflow, &run) {
            Ok(key) => self.with_run(&key, |shard, run| shard.query(run, query)),
            Err(error) => self.answer_query(query, Err(error)),
        }
    }

    fn query(&mut self, run: &mut LoadedRun, query: Box<Query>) {
        if run.busy && run.mailbox.len() >= limits::REQUESTS_PER_RUN {
            let error = EngineError::Overloaded("too many requests wait for this workflow; try again".into());
            return self.answer_query(query, Err(error));
        }
        if run.busy {
            let (handle, workflow) = (self.handle.clone(), run.key.workflow.clone());
            let run_id = run.key.run.to_string();
            let asked = RunRef { workflow_id: workflow.workflow_id.clone(), run_id, ..RunRef::default() };
            run.wait(Waiting::This(Box::new(move |_| {
                // Behind the events that the run has not seen yet.
                handle.notify(Request::Query { workflow, run: asked, query });
                Box::new(|_| {})
            })));
            return;
        }
        if is_rejected(query.query.reject, run.state.status) {
            let status = run.state.status;
            return self.answer_query(query, Ok(QueryReply::Rejected(status)));
        }
        let module = match module_to_ask(&run.state) {
            Ok(module) => module,
            Err(rejection) => return self.answer_query(query, Err(rejection.into())),
        };
        let Query { query, reply } = *query;
        let shared = Arc::clone(&self.shared);
        let (shard, epoch) = (self.handle.id, self.epoch);
        self.shared.activations.submit(Job {
            shard,
            run: run.key.clone(),
            sandbox_run: self.sandbox_run(&run.key),
            module,
            last_event_id: run.state.history_length(),
            tail: run.recent.clone(),
            work: JobWork::Query {
                question: Box::new(query.question),
                done: Box::new(move |answered| {
                    let told = match answered {
                        Ok(Ok(result)) => Ok(QueryReply::Answer(result)),
                        Ok(Err(failure)) => Err(EngineError::QueryFailed(Box::new(failure))),
                        Err(failure) => Err(EngineError::QueryFailed(failure)),
                    };
                    // The answer must not tell of anything that is not durable yet.
                    let batch = mainspring_store::Batch::new(shard, epoch);
                    let committer = Arc::clone(&shared.committer);
                    committer.submit(
                        batch,
                        Box::new(move |durable| {
                            answer(reply, durable.map_err(|error| shared.lost(&error)).and(told));
                        }),
                    );
                }),
            },
        });
    }

    fn answer_query(&self, query: Box<Query>, told: Result<QueryReply, EngineError>) {
        self.reply_in_order(Box::new(move |durable| answer(query.reply, durable.and(told))));
    }
}

fn is_rejected(condition: QueryRejectCondition, status: Status) -> bool {
    match condition {
        QueryRejectCondition::NotOpen => status != Status::Running,
        QueryRejectCondition::NotCompletedCleanly => !matches!(status, Status::Running | Status::Completed),
        QueryRejectCondition::None | QueryRejectCondition::Unspecified => false,
    }
}

/// The module that can answer for the run; none of them can where it has not run, or cannot go on.
fn module_to_ask(state: &RunState) -> Result<mainspring_sandbox::Digest, Rejection> {
    if state.workflow_task.as_ref().is_some_and(|task| task.attempt > 1) {
        let message = "Unable to query workflow due to Workflow Task in failed state.";
        return Err(Rejection::WorkflowNotReady(message.into()));
    }
    let module = state.module.as_ref().filter(|_| state.previous_started_event_id > 0);
    let module = module.and_then(|digest| digest.parse().ok());
    module.ok_or_else(|| {
        Rejection::WorkflowNotReady(match state.is_running() {
            true => "Workflow task is not scheduled yet.".into(),
            false => "Workflow execution closed before WorkflowTaskStarted event".into(),
        })
    })
}
