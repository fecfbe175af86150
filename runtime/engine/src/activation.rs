//! Activations: the threads that let the sandbox run a workflow task or answer a query, away from the shards' own
//! threads.

use std::{panic::AssertUnwindSafe, sync::Arc, thread::JoinHandle, time::Instant};

use mainspring_api::{
    command::Command, enums::WorkflowTaskFailedCause, failure::Failure, history::HistoryEvent, protocol::Message,
    update::Request,
};
use mainspring_sandbox::{
    Digest, History, QueriedRun, QueryAnswer, Question, RunKey as SandboxRun, Sandbox, TaskFailure, WorkflowTask,
};
use mainspring_store::{Batch, Committer, ShardId, Store};

use crate::{EngineMetrics, keys::RunKey, metrics::ActivationLabels, modules::Modules, run::read_history};

/// A run for the sandbox, and what to do with it.
pub struct Job {
    pub shard: ShardId,
    pub run: RunKey,
    pub sandbox_run: SandboxRun,
    pub module: Digest,
    /// The last event to be seen.
    pub last_event_id: i64,
    /// The newest events, up to that one; all that are not durable yet are among them.
    pub tail: Vec<HistoryEvent>,
    pub work: JobWork,
}

pub enum JobWork {
    /// The last event is the task's WorkflowTaskStarted.
    Task {
        attempt: i32,
        updates: Vec<Request>,
        done: Box<dyn FnOnce(Outcome) + Send>,
    },
    Query {
        question: Box<Question>,
        done: Box<dyn FnOnce(Result<QueryAnswer, Box<Failure>>) + Send>,
    },
}

/// What a workflow task came to.
pub enum Outcome {
    Completed { commands: Vec<Command>, messages: Vec<Message> },
    Failed { cause: WorkflowTaskFailedCause, failure: Failure },
}

/// The threads, and the queue before them. It is bounded by the runs that can be busy.
pub struct Activations {
    jobs: Option<flume::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Activations {
    pub fn start(
        threads: usize,
        metrics: EngineMetrics,
        sandbox: Sandbox,
        modules: Arc<Modules>,
        store: Arc<dyn Store>,
        committer: Arc<Committer>,
    ) -> std::io::Result<Activations> {
        let (jobs, queue) = flume::unbounded::<Job>();
        let threads = (0..threads.max(1))
            .map(|number| {
                let (queue, sandbox, modules) = (queue.clone(), sandbox.clone(), Arc::clone(&modules));
                let (store, committer) = (Arc::clone(&store), Arc::clone(&committer));
                let metrics = metrics.clone();
                std::thread::Builder::new().name(format!("activation-{number}")).spawn(move || {
                    for job in queue {
                        run(job, &metrics, &sandbox, &modules, &store, &committer);
                    }
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Activations { jobs: Some(jobs), threads })
    }

    pub fn submit(&self, job: Job) {
        if let Some(Err(rejected)) = self.jobs.as_ref().map(|jobs| jobs.send(job)) {
            match rejected.0.work {
                JobWork::Task { done, .. } => done(failed("the server is stopping")),
                JobWork::Query { done, .. } => done(Err(Box::new(server_failure("the server is stopping")))),
            }
        }
    }
}

impl Drop for Activations {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic in there has been turned into an outcome; nothing is left to tell.
            let _ = thread.join();
        }
    }
}

fn run(
    mut job: Job,
    metrics: &EngineMetrics,
    sandbox: &Sandbox,
    modules: &Modules,
    store: &Arc<dyn Store>,
    committer: &Arc<Committer>,
) {
    let nothing = JobWork::Query { question: Box::default(), done: Box::new(drop) };
    let work = std::mem::replace(&mut job.work, nothing);
    let journal = Journal { job: &job, store, committer };
    match work {
        JobWork::Task { attempt, updates, done } => {
            let task = WorkflowTask {
                run: &job.sandbox_run,
                module: job.module,
                attempt,
                started_event_id: job.last_event_id,
                updates: &updates,
                history: &journal,
                modules,
            };
            let began = Instant::now();
            let activated = contained(|| sandbox.activate(&task));
            metrics.activation_seconds.observe(began.elapsed().as_secs_f64());
            metrics.activations.get_or_create(&ActivationLabels::of(&job.sandbox_run.namespace, &activated)).inc();
            done(match activated {
                Ok(activated) => Outcome::Completed { commands: activated.commands, messages: activated.messages },
                Err((cause, failure)) => Outcome::Failed { cause, failure },
            });
        }
        JobWork::Query { question, done } => {
            let queried = QueriedRun { run: &job.sandbox_run, module: job.module, history: &journal, modules };
            let answer = contained(|| sandbox.query(&queried, &question));
            metrics.queries.get_or_create(&ActivationLabels::of(&job.sandbox_run.namespace, &answer)).inc();
            done(answer.map_err(|(_, failure)| Box::new(failure)));
        }
    }
}

/// The sandbox promises not to panic; a run that breaks the promise must not take the server along.
fn contained<T>(call: impl FnOnce() -> Result<T, TaskFailure>) -> Result<T, (WorkflowTaskFailedCause, Failure)> {
    match std::panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(task_failure)) => Err((task_failure.cause, task_failure.failure)),
        Err(_) => Err((
            WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
            server_failure("the sandbox panicked; this is a bug in Mainspring"),
        )),
    }
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed { cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure, failure: server_failure(message) }
}

fn server_failure(message: &str) -> Failure {
    mainspring_core::failure::application(message, "ServerFailure", false)
}

/// A run's events: the tail from memory, what is older from the store.
struct Journal<'a> {
    job: &'a Job,
    store: &'a Arc<dyn Store>,
    committer: &'a Arc<Committer>,
}

impl History for Journal<'_> {
    fn events_after(&self, event_id: i64) -> Result<Vec<HistoryEvent>, String> {
        let tail = &self.job.tail;
        let tail_begins = tail.first().map_or(self.job.last_event_id + 1, |event| event.event_id);
        let mut events = Vec::new();
        if event_id + 1 < tail_begins {
            self.wait_for_commits();
            events = read_history(&**self.store, self.job.shard, &self.job.run, event_id + 1, tail_begins - 1)
                .map_err(|error| error.to_string())?;
        }
        events.extend(tail.iter().filter(|event| event.event_id > event_id).cloned());
        Ok(events)
    }
}

impl Journal<'_> {
    /// What the tail does not hold has been handed to the committer; wait until it can be read.
    fn wait_for_commits(&self) {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.committer.submit(
            Batch::new(self.job.shard, 0),
            Box::new(move |_| {
                // The receiver waits below; it cannot be gone.
                let _ = sender.send(());
            }),
        );
        let _ = receiver.recv();
    }
}
