//! Activations: the threads that let the sandbox run a workflow task, away from the shards' own threads.

use std::{panic::AssertUnwindSafe, sync::Arc, thread::JoinHandle};

use mainspring_api::{command::Command, enums::WorkflowTaskFailedCause, failure::Failure, history::HistoryEvent};
use mainspring_sandbox::{Digest, History, RunKey as SandboxRun, Sandbox, WorkflowTask};
use mainspring_store::{Batch, Committer, ShardId, Store};

use crate::{keys::RunKey, modules::Modules, run::read_history};

/// One workflow task for the sandbox.
pub struct Job {
    pub shard: ShardId,
    pub run: RunKey,
    pub sandbox_run: SandboxRun,
    pub module: Digest,
    pub attempt: i32,
    pub started_event_id: i64,
    /// The newest events, up to the task's start; all that are not durable yet are among them.
    pub tail: Vec<HistoryEvent>,
    /// Gets the outcome.
    pub done: Box<dyn FnOnce(Outcome) + Send>,
}

/// What a workflow task came to.
pub enum Outcome {
    Commands(Vec<Command>),
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
                std::thread::Builder::new().name(format!("activation-{number}")).spawn(move || {
                    for job in queue {
                        run(job, &sandbox, &modules, &store, &committer);
                    }
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Activations { jobs: Some(jobs), threads })
    }

    pub fn submit(&self, job: Job) {
        if let Some(Err(rejected)) = self.jobs.as_ref().map(|jobs| jobs.send(job)) {
            (rejected.0.done)(failed("the server is stopping"));
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

fn run(job: Job, sandbox: &Sandbox, modules: &Modules, store: &Arc<dyn Store>, committer: &Arc<Committer>) {
    let journal = Journal { job: &job, store, committer };
    let task = WorkflowTask {
        run: &job.sandbox_run,
        module: job.module,
        attempt: job.attempt,
        started_event_id: job.started_event_id,
        history: &journal,
        modules,
    };
    // The sandbox promises not to panic; a run that breaks the promise must not take the server along.
    let outcome = match std::panic::catch_unwind(AssertUnwindSafe(|| sandbox.activate(&task))) {
        Ok(Ok(activated)) => Outcome::Commands(activated.commands),
        Ok(Err(task_failure)) => Outcome::Failed { cause: task_failure.cause, failure: task_failure.failure },
        Err(_) => failed("the sandbox panicked; this is a bug in Mainspring"),
    };
    (job.done)(outcome);
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed {
        cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
        failure: mainspring_core::failure::application(message, "ServerFailure", false),
    }
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
        let tail_begins = tail.first().map_or(self.job.started_event_id + 1, |event| event.event_id);
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
