//! Verifying a module on many runs, and deploying it only where all of them are exact.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use mainspring_api::mainspring::{
    DeployModuleResponse, Divergence, ReplayFailure, RunSelection, RunVerification, SweepProgress, VerificationReport,
    VerificationSummary, VerifyModuleRequest, VerifyModuleResponse, run_selection, run_verification::Problem,
    verify_module_response::Message,
};
use mainspring_engine::{Sample, Sweep, Verdict, VerifiedRun};
use tokio::time::Instant;
use tonic::{Status, codegen::BoxStream};

use super::{Frontend, deployment, module};
use crate::{error::Fault, validate};

/// How often a client hears how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn verify(
    frontend: &Frontend,
    request: VerifyModuleRequest,
) -> Result<BoxStream<VerifyModuleResponse>, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let selection = selection(&request.task_queue, request.runs)?;
    let digest = optional_digest(&request.digest)?;
    let begun = frontend.held(frontend.engine.verify_module(&namespace, digest.as_deref(), selection)).await;
    let (verified, sweep) = begun.ok_or_else(stopping)??;
    let digest = verified.digest.to_string();
    Ok(told(
        frontend,
        sweep,
        mainspring_engine::VerificationSummary::default(),
        |summary, run| {
            summary.add(&run);
            (!run.verdict.is_exact()).then(|| Message::Run(to_run(run)))
        },
        Message::Progress,
        move |summary| Message::Summary(to_summary(&digest, summary)),
    )
    .map(|message| message.map(|message| VerifyModuleResponse { message: Some(message) }))
    .boxed())
}

/// Deploys an upload if it repeats the runs.
pub(super) async fn deploy(
    frontend: &Frontend,
    namespace: &str,
    bytes: Vec<u8>,
    selection: mainspring_engine::RunSelection,
    identity: &str,
) -> Result<DeployModuleResponse, Fault> {
    let digest = mainspring_sandbox::Digest::of(&bytes).to_string();
    let verified = frontend.held(frontend.engine.deploy_verified(namespace, bytes, selection, identity)).await;
    let verified = verified.ok_or_else(stopping)??;
    let report = VerificationReport {
        summary: Some(to_summary(&digest, &verified.summary)),
        runs: verified.inexact.into_iter().map(to_run).collect(),
    };
    let mut answer = DeployModuleResponse { verification: Some(report), ..DeployModuleResponse::default() };
    if let Some(deployed) = verified.deployed {
        answer.deployment = Some(deployment::deployed(deployed.module.digest, &deployed.to));
        answer.module = Some(module::to_module(deployed.module));
        answer.unchanged = deployed.unchanged;
    }
    Ok(answer)
}

/// Where a sweep stands that is being told.
struct Telling<T, S> {
    sweep: Sweep<T>,
    summary: S,
    done: u64,
    told: Instant,
    ended: bool,
}

/// The messages of a sweep: what `take` makes of each result, progress from time to time, and at last the summary.
pub(super) fn told<T: Send + 'static, S: Send + 'static, M: Send + 'static>(
    frontend: &Frontend,
    sweep: Sweep<T>,
    summary: S,
    take: impl Fn(&mut S, T) -> Option<M> + Send + Clone + 'static,
    progress: impl Fn(SweepProgress) -> M + Send + Clone + 'static,
    end: impl Fn(&S) -> M + Send + Clone + 'static,
) -> impl futures::Stream<Item = Result<M, Status>> + Send + 'static {
    let telling = Telling { sweep, summary, done: 0, told: Instant::now(), ended: false };
    let frontend = frontend.clone();
    stream::unfold(telling, move |mut telling| {
        let (frontend, take, progress, end) = (frontend.clone(), take.clone(), progress.clone(), end.clone());
        async move {
            if telling.ended {
                return None;
            }
            let Some(few) = frontend.held(telling.sweep.next_few()).await else {
                telling.ended = true;
                return Some((vec![Err(Status::from(stopping()))], telling));
            };
            // Nothing is told that a crash could undo.
            frontend.engine.durable().await;
            let mut messages = Vec::new();
            telling.ended = few.is_empty();
            telling.done += few.len() as u64;
            for result in few {
                match result {
                    Ok(result) => messages.extend(take(&mut telling.summary, result).map(Ok)),
                    Err(error) => {
                        telling.ended = true;
                        messages.push(Err(Fault::from(error).into()));
                        return Some((messages, telling));
                    }
                }
            }
            if telling.ended {
                messages.push(Ok(end(&telling.summary)));
            } else if telling.told.elapsed() >= PROGRESS_EVERY {
                telling.told = Instant::now();
                let expected = telling.sweep.expected().max(telling.done);
                messages.push(Ok(progress(SweepProgress { done: telling.done, expected })));
            }
            Some((messages, telling))
        }
    })
    .flat_map(stream::iter)
}

/// Which runs a request means.
pub(super) fn selection(
    task_queue: &str,
    runs: Option<RunSelection>,
) -> Result<mainspring_engine::RunSelection, Fault> {
    validate::task_queue_name(task_queue)?;
    let runs = runs.unwrap_or_default();
    let selection = mainspring_engine::RunSelection {
        task_queue: task_queue.to_owned(),
        workflow_type: String::new(),
        query: runs.query,
        open: match runs.sample {
            None => Sample::All,
            Some(run_selection::Sample::Count(count)) => Sample::Count(usize::try_from(count).unwrap_or(usize::MAX)),
            Some(run_selection::Sample::Percent(percent)) => Sample::Percent(percent),
        },
        closed: usize::try_from(runs.closed).unwrap_or(usize::MAX),
    };
    selection.validate()?;
    Ok(selection)
}

pub(super) fn optional_digest(text: &str) -> Result<Option<String>, Fault> {
    (!text.is_empty()).then(|| module::digest_prefix(text)).transpose()
}

pub(super) fn stopping() -> Fault {
    Status::unavailable("the server is stopping").into()
}

/// What is told of a run that was verified, by a server or without one.
pub fn to_run(run: VerifiedRun) -> RunVerification {
    RunVerification {
        workflow_id: run.workflow_id,
        run_id: run.run_id,
        workflow_type: run.workflow_type,
        open: run.is_open,
        pinned_digest: run.module,
        events: run.events,
        problem: match run.verdict {
            Verdict::Exact => None,
            Verdict::Diverged { event_id, journal, module, message } => {
                Some(Problem::Divergence(Divergence { event_id, journal, module, message }))
            }
            Verdict::Failed { kind, message } => Some(Problem::Failure(ReplayFailure { r#type: kind, message })),
        },
    }
}

fn to_summary(digest: &str, summary: &mainspring_engine::VerificationSummary) -> VerificationSummary {
    VerificationSummary {
        digest: digest.to_owned(),
        open: summary.open,
        closed: summary.closed,
        exact: summary.exact,
        diverged: summary.diverged,
        failed: summary.failed,
    }
}
