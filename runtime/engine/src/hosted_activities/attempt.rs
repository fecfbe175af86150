//! One attempt of an activity, from its start to the report of how it ended.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use mainspring_api::{
    common::Payloads,
    failure::{ApplicationFailureInfo, Failure, failure::FailureInfo},
};
use mainspring_core::{
    Rejection, Time,
    activity::{ActivityOutcome, ActivityRef},
};
use mainspring_sandbox::{ActivityAttempt, ActivityEnd, ActivityTerms, Digest, Grants, Heart, Pulse};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{
    ActivityTarget, ActivityTask, Engine, EngineError, RunRef, clock, matching::QueueKey, outcome, run::Work,
    shard::Request,
};

use super::{IDENTITY, account::AttemptAccount};

/// The least time between two heartbeats that are written, unless the heartbeat timeout asks for more.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A report that the server is too busy for is tried again, first after this time, then after longer ones.
const REPORT_AGAIN: Duration = Duration::from_millis(50);
const REPORT_AGAIN_MAX: Duration = Duration::from_secs(5);

pub struct Attempt {
    engine: Engine,
    namespace: Uuid,
    module: Digest,
    grants: Arc<Grants>,
    facts: ActivityAttempt,
    heartbeats: Arc<Heartbeats>,
}

impl Attempt {
    pub fn new(
        engine: &Engine,
        queue: &QueueKey,
        module: Digest,
        identity: String,
        grants: Arc<Grants>,
        task: ActivityTask,
    ) -> Attempt {
        let target = ActivityTarget {
            run: RunRef {
                workflow_id: task.workflow_id.clone(),
                run_id: task.run_id.clone(),
                first_execution_run_id: String::new(),
            },
            activity: ActivityRef::Attempt { scheduled_event_id: task.scheduled_event_id, attempt: task.attempt },
        };
        let namespace = engine.shared().namespaces.name_of(queue.namespace);
        let heartbeats = Heartbeats {
            engine: engine.clone(),
            namespace: namespace.clone(),
            target,
            identity,
            interval: interval(task.heartbeat_timeout),
            beats: Mutex::default(),
        };
        let facts = facts(namespace, queue.name.clone(), task);
        let (engine, namespace, heartbeats) = (engine.clone(), queue.namespace, Arc::new(heartbeats));
        Attempt { engine, namespace, module, grants, facts, heartbeats }
    }

    pub async fn run(self) {
        let Attempt { engine, namespace, module, grants, facts, heartbeats } = self;
        let shared = engine.shared();
        let until = Instant::now() + facts.time_left;
        let meter = shared.meter(namespace);
        let terms = ActivityTerms {
            grants,
            heart: Arc::new(Beating(heartbeats.clone())),
            memory_bytes: meter.memory_bytes(),
            account: Some(Arc::new(AttemptAccount::new(meter, shared.hosted.turns.clone(), namespace))),
        };
        let ended = shared.sandbox.run_activity(module, shared.modules.clone(), facts, terms).await;
        let outcome = match ended {
            Ok(ActivityEnd::Over) => return,
            Ok(ActivityEnd::Outcome(outcome)) => outcome,
            // The module cannot be loaded: another deployment may mend that.
            Err(failure) => failed(application_failure(failure.kind.failure_type(), &failure.to_string())),
        };
        let outcome = outcome::sized(heartbeats.with_last_details(outcome).await);
        heartbeats.report(outcome, until).await;
    }
}

fn facts(namespace: String, task_queue: String, task: ActivityTask) -> ActivityAttempt {
    let after = |time, timeout: Duration| match timeout.is_zero() {
        true => Time::MAX,
        false => Time::from_proto(time).after(timeout),
    };
    let deadline = after(&task.started_time, task.start_to_close_timeout)
        .min(after(&task.scheduled_time, task.schedule_to_close_timeout));
    ActivityAttempt {
        namespace,
        task_queue,
        workflow_id: task.workflow_id,
        run_id: task.run_id,
        workflow_type: task.workflow_type,
        activity_id: task.activity_id,
        activity_type: task.activity_type,
        attempt: u32::try_from(task.attempt).unwrap_or(1),
        header: task.header,
        input: task.input,
        heartbeat_details: task.heartbeat_details,
        scheduled_time: task.scheduled_time,
        attempt_scheduled_time: task.attempt_scheduled_time,
        started_time: task.started_time,
        schedule_to_close_timeout: task.schedule_to_close_timeout,
        start_to_close_timeout: task.start_to_close_timeout,
        heartbeat_timeout: task.heartbeat_timeout,
        retry_policy: task.retry_policy,
        trace: task.trace.map(|trace| (trace.run.trace_id, trace.span_id)),
        deadline: deadline.to_proto(),
        time_left: deadline.since(clock::now()),
    }
}

fn interval(heartbeat_timeout: Duration) -> Duration {
    match heartbeat_timeout.is_zero() {
        true => HEARTBEAT_INTERVAL,
        false => HEARTBEAT_INTERVAL.min(heartbeat_timeout.mul_f64(0.8)),
    }
}

/// Says of an attempt how it goes. What comes faster than the interval is kept, and told when the interval is over.
struct Heartbeats {
    engine: Engine,
    namespace: String,
    target: ActivityTarget,
    identity: String,
    interval: Duration,
    beats: Mutex<Beats>,
}

#[derive(Default)]
struct Beats {
    told: Option<Instant>,
    /// What the last heartbeat brought, if it has not been told yet.
    kept: Option<Option<Payloads>>,
    /// What the last one that was told was answered.
    pulse: Option<Pulse>,
}

/// What the sandbox gets of it.
struct Beating(Arc<Heartbeats>);

impl Heart for Beating {
    fn beat(&self, details: Option<Payloads>) -> Pin<Box<dyn Future<Output = Pulse> + Send + '_>> {
        Box::pin(async move {
            let mut beats = self.0.beats.lock().await;
            let wait = beats.told.map_or(Duration::ZERO, |told| self.0.interval.saturating_sub(told.elapsed()));
            if wait.is_zero() {
                return self.0.tell(&mut beats, details).await;
            }
            if beats.kept.replace(details).is_none() {
                let heartbeats = Arc::clone(&self.0);
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let mut beats = heartbeats.beats.lock().await;
                    if let Some(details) = beats.kept.take() {
                        heartbeats.tell(&mut beats, details).await;
                    }
                });
            }
            beats.pulse.clone().unwrap_or(Pulse::GoOn)
        })
    }
}

impl Heartbeats {
    async fn tell(&self, beats: &mut Beats, details: Option<Payloads>) -> Pulse {
        beats.told = Some(Instant::now());
        beats.kept = None;
        let (namespace, target) = (&self.namespace, self.target.clone());
        let told = self.engine.heartbeat_activity(namespace, target, details.clone(), &self.identity).await;
        let pulse = match told {
            Ok(answer) if answer.cancel_requested => Pulse::CancelRequested,
            Ok(_) => Pulse::GoOn,
            Err(EngineError::Rejected(Rejection::InvalidArgument(reason))) => Pulse::Refused(reason),
            Err(EngineError::Rejected(_) | EngineError::WorkflowNotFound { .. }) => Pulse::Over,
            Err(error) => {
                tracing::warn!(%error, "a heartbeat could not be told; the next one may be");
                beats.kept = Some(details);
                return beats.pulse.clone().unwrap_or(Pulse::GoOn);
            }
        };
        beats.pulse = Some(pulse.clone());
        pulse
    }

    /// A failure takes along what was not told yet.
    async fn with_last_details(&self, outcome: ActivityOutcome) -> ActivityOutcome {
        let kept = self.beats.lock().await.kept.take();
        match (outcome, kept) {
            (ActivityOutcome::Failed { failure, last_heartbeat_details: None }, Some(details)) => {
                ActivityOutcome::Failed { failure, last_heartbeat_details: details }
            }
            (outcome, _) => outcome,
        }
    }

    async fn report(&self, mut outcome: ActivityOutcome, until: Instant) {
        let mut pause = REPORT_AGAIN;
        loop {
            let target = self.target.clone();
            match self.engine.end_activity(&self.namespace, target, outcome.clone(), &self.identity).await {
                Ok(()) => return,
                // It has timed out, or its workflow has ended.
                Err(EngineError::Rejected(Rejection::NotFound(_)) | EngineError::WorkflowNotFound { .. }) => return,
                Err(EngineError::Rejected(rejection)) => {
                    if matches!(outcome, ActivityOutcome::Failed { .. }) {
                        tracing::warn!(%rejection, "the outcome of an activity was refused");
                        return;
                    }
                    // Such as a cancellation that nobody asked for.
                    outcome = failed(application_failure("BadOutcome", &rejection.to_string()));
                }
                Err(error) if Instant::now() + pause >= until => {
                    tracing::warn!(%error, "the outcome of an activity could not be told in time");
                    return;
                }
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(REPORT_AGAIN_MAX);
                }
            }
        }
    }
}

/// Fails an attempt that this server's own worker ran when the server stopped.
pub(crate) fn interrupted(workflow: crate::keys::WorkflowKey, run: RunRef, activity: ActivityRef) -> Request {
    let work: Work = Box::new(move |step| {
        if let Ok(step) = step {
            let failure = application_failure("ServerStopped", "the server stopped while it ran this attempt");
            // One that has ended otherwise needs no end.
            let _ = step.end_activity(&activity, failed(failure), IDENTITY);
        }
        Box::new(|_| {})
    });
    Request::Run { workflow, run, work }
}

fn failed(failure: Failure) -> ActivityOutcome {
    ActivityOutcome::Failed { failure, last_heartbeat_details: None }
}

fn application_failure(failure_type: &str, message: &str) -> Failure {
    Failure {
        message: message.to_owned(),
        source: "mainspring".into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: failure_type.to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_ends_at_the_first_of_its_timeouts() {
        let at = |seconds: i64| Time::from_millis(seconds * 1_000).to_proto();
        let task = |start_to_close, schedule_to_close| ActivityTask {
            scheduled_time: at(100),
            started_time: at(110),
            start_to_close_timeout: Duration::from_secs(start_to_close),
            schedule_to_close_timeout: Duration::from_secs(schedule_to_close),
            ..ActivityTask::default()
        };
        let deadline = |task| facts("default".into(), "orders".into(), task).deadline;
        assert_eq!(deadline(task(30, 0)), at(140));
        assert_eq!(deadline(task(30, 20)), at(120));
        assert_eq!(deadline(task(0, 60)), at(160));
    }

    #[test]
    fn heartbeats_are_told_well_within_their_timeout() {
        assert_eq!(interval(Duration::ZERO), Duration::from_secs(1));
        assert_eq!(interval(Duration::from_secs(30)), Duration::from_secs(1));
        assert_eq!(interval(Duration::from_millis(500)), Duration::from_millis(400));
    }
}
