//! What workers ask: activity tasks, and what became of them.

use std::time::Duration;

use mainspring_api::common::Payloads;
use mainspring_core::{
    Rejection, Step,
    activity::{ActivityOutcome, ActivityRef, HeartbeatAnswer},
    time,
    trace::{self, RunTrace},
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    ActivityTarget, ActivityTask, ActivityTrace, Engine, EngineError, Poller, RunRef, TaskQueueDescription, clock,
    engine::stopped,
    keys::RunKey,
    matching::{QueueKey, ReadyTask},
    run::{Reply, Work},
    shard::{IDENTITY, Request},
};

impl Engine {
    /// The next activity task of a queue; none where there is none for this long. Dropping the future gives a task
    /// that has been found back to its queue.
    pub async fn poll_activity(
        &self,
        namespace: &str,
        task_queue: &str,
        identity: &str,
        wait: Duration,
    ) -> Result<Option<ActivityTask>, EngineError> {
        let queue = QueueKey { namespace: self.shared().namespaces.id(namespace)?, name: task_queue.to_owned() };
        let meter = self.shared().meter(queue.namespace);
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            // With nothing in its hands: what it may not have yet waits in the queue.
            if tokio::time::timeout_at(deadline, meter.activity_may_start()).await.is_err() {
                return Ok(None);
            }
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let Some(lease) = self.shared().matching.poll(queue.clone(), identity, left).await else {
                return Ok(None);
            };
            // Others may have taken what there was room for; dropping the lease gives the task back.
            let Some(_starting) = meter.begin_activity() else { continue };
            let Some(task) = lease.take() else { continue };
            match self.start_activity(task, identity).await {
                Ok(task) => return Ok(Some(task)),
                // It has been cancelled, timed out or deleted since it was queued: the next one, then.
                Err(EngineError::Rejected(Rejection::NotFound(_)) | EngineError::WorkflowNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) async fn start_activity(&self, ready: ReadyTask, identity: &str) -> Result<ActivityTask, EngineError> {
        let workflow = ready.run.workflow.clone();
        let run = run_ref(&ready.run);
        let (sender, receiver) = oneshot::channel();
        let shard = self.shard_of(&workflow).clone();
        let (handle, back_workflow, back_run) = (shard.clone(), workflow.clone(), run.clone());
        let (identity, request_id) = (identity.to_owned(), Uuid::now_v7().to_string());
        let is_observed = self.shared().observer.is_some();
        let work: Work = Box::new(move |step| -> Reply {
            let id = ready.scheduled_event_id;
            let result = step.and_then(|step| {
                step.start_activity(id, ready.attempt, &request_id, &identity)?;
                let task = activity_task(step, id).ok_or_else(Rejection::closed)?;
                let trace = is_observed.then(|| activity_trace(step, id));
                Ok(ActivityTask { trace, ..task })
            });
            Box::new(move |durable| {
                let started = durable.is_ok() && result.is_ok();
                if sender.send(durable.and(result)).is_err() && started {
                    // The poll has gone before it could be told: the attempt never left the server.
                    let work: Work = Box::new(move |step| {
                        if let Ok(step) = step {
                            step.return_activity(id, &request_id);
                        }
                        Box::new(|_| {})
                    });
                    handle.notify(Request::Run { workflow: back_workflow, run: back_run, work });
                }
            })
        });
        shard.request(Request::Run { workflow, run, work })?;
        receiver.await.map_err(|_| stopped())?
    }

    pub async fn end_activity(
        &self,
        namespace: &str,
        target: ActivityTarget,
        outcome: ActivityOutcome,
        identity: &str,
    ) -> Result<(), EngineError> {
        let workflow = self.workflow(namespace, &target.run.workflow_id)?;
        let identity = identity.to_owned();
        let activity = target.activity;
        let (what, payloads) = match &outcome {
            ActivityOutcome::Completed(result) => ("Result", result.as_ref()),
            ActivityOutcome::Failed { last_heartbeat_details, .. } => {
                ("Heartbeat details", last_heartbeat_details.as_ref())
            }
            ActivityOutcome::Canceled(details) => ("Details", details.as_ref()),
        };
        self.check_payloads(namespace, what, payloads)?;
        let ended = self.on_run(workflow, target.run, move |step| step.end_activity(&activity, outcome, &identity));
        ended.await
    }

    pub async fn heartbeat_activity(
        &self,
        namespace: &str,
        target: ActivityTarget,
        details: Option<Payloads>,
        identity: &str,
    ) -> Result<HeartbeatAnswer, EngineError> {
        let workflow = self.workflow(namespace, &target.run.workflow_id)?;
        let identity = identity.to_owned();
        self.check_payloads(namespace, "Heartbeat details", details.as_ref())?;
        let activity: ActivityRef = target.activity;
        let beat = move |step: &mut Step<'_>| step.heartbeat_activity(&activity, details, &identity);
        self.on_run(workflow, target.run, beat).await
    }

    pub fn describe_activity_queue(
        &self,
        namespace: &str,
        task_queue: &str,
    ) -> Result<TaskQueueDescription, EngineError> {
        let namespace = self.shared().namespaces.id(namespace)?;
        Ok(self.shared().matching.describe(&QueueKey { namespace, name: task_queue.to_owned() }))
    }

    /// Workflow tasks of a queue are executed by the server itself: where a module is deployed, it is the poller.
    pub fn describe_workflow_queue(
        &self,
        namespace: &str,
        task_queue: &str,
    ) -> Result<TaskQueueDescription, EngineError> {
        let id = self.shared().namespaces.id(namespace)?;
        let queue = QueueKey { namespace: id, name: task_queue.to_owned() };
        let versions = self.shared().modules.versions(&queue).unwrap_or_default();
        let ramping = versions.ramp().and_then(|ramp| versions.version(ramp.number));
        let pollers = versions
            .active()
            .into_iter()
            .chain(ramping)
            .map(|version| Poller { identity: format!("{}@{}", IDENTITY, version.digest), last_access: clock::now() });
        Ok(TaskQueueDescription { pollers: pollers.collect(), ..TaskQueueDescription::default() })
    }
}

pub(crate) fn run_ref(run: &RunKey) -> RunRef {
    RunRef {
        workflow_id: run.workflow.workflow_id.clone(),
        run_id: run.run.to_string(),
        first_execution_run_id: String::new(),
    }
}

/// The task that a worker gets for an activity that has just been started.
fn activity_task(step: &Step<'_>, scheduled_event_id: i64) -> Option<ActivityTask> {
    let state = &*step.state;
    let activity = state.activities.get(&scheduled_event_id)?;
    let scheduled = &activity.scheduled;
    Some(ActivityTask {
        workflow_id: state.workflow_id().to_owned(),
        run_id: state.run_id.clone(),
        workflow_type: state.workflow_type().to_owned(),
        scheduled_event_id,
        attempt: activity.attempt,
        activity_id: scheduled.activity_id.clone(),
        activity_type: scheduled.activity_type.clone().unwrap_or_default().name,
        header: scheduled.header.clone(),
        input: scheduled.input.clone(),
        heartbeat_details: activity.heartbeat_details.clone(),
        scheduled_time: activity.scheduled_time.to_proto(),
        attempt_scheduled_time: activity.attempt_scheduled_time.to_proto(),
        started_time: activity.started_time.unwrap_or(step.now).to_proto(),
        schedule_to_close_timeout: time::duration(scheduled.schedule_to_close_timeout.as_ref()),
        start_to_close_timeout: time::duration(scheduled.start_to_close_timeout.as_ref()),
        heartbeat_timeout: time::duration(scheduled.heartbeat_timeout.as_ref()),
        retry_policy: scheduled.retry_policy.clone(),
        trace: None,
    })
}

fn activity_trace(step: &Step<'_>, scheduled_event_id: i64) -> ActivityTrace {
    let state = &*step.state;
    ActivityTrace {
        run: RunTrace::of(&state.run_id, &state.started),
        span_id: trace::activity_span(&state.run_id, scheduled_event_id),
    }
}
