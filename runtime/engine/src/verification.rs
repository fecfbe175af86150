//! Verification: the histories of many runs are replayed on a module, to see which of them it repeats. It changes
//! nothing: no run, no deployment, no cached instance.

use std::{panic::AssertUnwindSafe, sync::Arc};

use mainspring_api::{
    enums::WorkflowExecutionStatus,
    history::{HistoryEvent, history_event::Attributes},
};
use mainspring_core::rows::RunRow;
use mainspring_sandbox::{
    Digest, ModuleBytes, ModuleDescription, ModuleKind, ModuleSource, Replay, RunKey as SandboxRun, Sandbox,
    TaskFailure, TaskFailureKind,
};
use mainspring_store::Store;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    Deployed, Engine, EngineError, Module, keys,
    keys::RunKey,
    limits,
    matching::QueueKey,
    rows::{NamespaceRow, decode},
    run::read_history,
    sweep::{Chosen, RunSelection, Source, Sweep},
    types::holds_activities,
};

/// A run, and how a module repeats it.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedRun {
    pub workflow_id: String,
    pub run_id: String,
    pub workflow_type: String,
    pub is_open: bool,
    /// The module that it is pinned to; empty where it has none yet.
    pub module: String,
    /// Events that were replayed.
    pub events: u64,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The module does all that it did, in the same order.
    Exact,
    /// The first event at which the module does something else, in words: what the journal has, and what the module did.
    Diverged { event_id: i64, journal: String, module: String, message: String },
    /// It could not be replayed to its end. `kind` as in the failure of a workflow task: "UnknownWorkflowType",
    /// "FuelLimitExceeded", "Trap", …
    Failed { kind: String, message: String },
}

impl Verdict {
    pub fn is_exact(&self) -> bool {
        *self == Verdict::Exact
    }

    fn of(failure: TaskFailure) -> Verdict {
        let (kind, message) = (failure.kind.failure_type().to_owned(), failure.to_string());
        match failure.kind {
            TaskFailureKind::Nondeterminism { event_id, expected, actual } => {
                Verdict::Diverged { event_id, journal: expected, module: actual, message }
            }
            _ => Verdict::Failed { kind, message },
        }
    }
}

/// What came of many runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerificationSummary {
    pub open: u64,
    pub closed: u64,
    pub exact: u64,
    pub diverged: u64,
    pub failed: u64,
}

impl VerificationSummary {
    pub fn add(&mut self, run: &VerifiedRun) {
        *(if run.is_open { &mut self.open } else { &mut self.closed }) += 1;
        *match run.verdict {
            Verdict::Exact => &mut self.exact,
            Verdict::Diverged { .. } => &mut self.diverged,
            Verdict::Failed { .. } => &mut self.failed,
        } += 1;
    }

    pub fn runs(&self) -> u64 {
        self.open + self.closed
    }

    pub fn all_exact(&self) -> bool {
        self.exact == self.runs()
    }
}

/// What came of a deployment that was to be verified first.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedDeployment {
    pub summary: VerificationSummary,
    /// The runs that were not exact, at most [`limits::REPORTED_RUNS`] of them.
    pub inexact: Vec<VerifiedRun>,
    /// None where not all runs were exact: then nothing has changed.
    pub deployed: Option<Deployed>,
}

/// A module that is in memory alone.
pub(crate) struct InHand {
    pub digest: Digest,
    pub bytes: Vec<u8>,
}

impl ModuleBytes for InHand {
    fn module_bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        Ok((*digest == self.digest).then(|| self.bytes.clone()))
    }
}

/// Replays stored runs of one namespace on one module.
pub(crate) struct Verifier {
    pub store: Arc<dyn Store>,
    pub shards: u16,
    pub sandbox: Sandbox,
    pub modules: Arc<dyn ModuleBytes + Send + Sync>,
    pub digest: Digest,
    pub namespace: String,
}

/// A run that is being replayed, as far as it has come.
pub(crate) struct Checked {
    pub row: RunRow,
    /// The last workflow task that was replayed, as its start's event id.
    pub verified_started_event_id: i64,
    pub verdict: Verdict,
    /// None where it cannot go on.
    replay: Option<Replay>,
    events: u64,
}

impl Verifier {
    fn verify(&self, chosen: &Chosen) -> Result<Option<VerifiedRun>, EngineError> {
        let checked = self.check(&chosen.run)?;
        Ok(checked.map(|checked| checked.run(chosen)))
    }

    /// Replays a run as it stands in the store; none where it has been deleted.
    pub fn check(&self, run: &RunKey) -> Result<Option<Checked>, EngineError> {
        let Some(row) = self.row(run)? else { return Ok(None) };
        let mut checked = Checked::unread(row);
        let sandbox_run = self.sandbox_run(run);
        let begun = contained(|| {
            let module = ModuleSource::Stored { digest: self.digest, modules: &*self.modules };
            self.sandbox.begin_replay(&module, &sandbox_run)
        });
        match begun {
            Ok(replay) => checked.replay = Some(replay),
            Err(verdict) => checked.verdict = verdict,
        }
        let is_there = self.replay_rest(run, &mut checked)?;
        Ok(is_there.then_some(checked))
    }

    /// Goes on with a run that has come further meanwhile; false where it has been deleted.
    pub fn check_rest(&self, run: &RunKey, checked: &mut Checked) -> Result<bool, EngineError> {
        let Some(row) = self.row(run)? else { return Ok(false) };
        checked.row = row;
        self.replay_rest(run, checked)
    }

    pub fn row(&self, run: &RunKey) -> Result<Option<RunRow>, EngineError> {
        let key = keys::run(run.workflow.shard(self.shards), run);
        self.store.get(&key)?.map(|row| decode("run", &key, &row)).transpose()
    }

    /// False where the run was deleted while it was read.
    fn replay_rest(&self, run: &RunKey, checked: &mut Checked) -> Result<bool, EngineError> {
        let Some(mut replay) = checked.replay.take() else { return Ok(true) };
        // The row and the events of a step are in one batch: what the row knows of can be read.
        let (first, last) = (replay.position() + 1, checked.row.next_event_id - 1);
        let mut events = read_history(&*self.store, run.workflow.shard(self.shards), run, first, last)?;
        // A task under way: nothing is known of it yet, and whatever follows is taken together with its start.
        if events
            .last()
            .is_some_and(|event| matches!(event.attributes, Some(Attributes::WorkflowTaskStartedEventAttributes(_))))
        {
            events.pop();
        }
        checked.verified_started_event_id = last_task(&events).unwrap_or(checked.verified_started_event_id);
        checked.events += events.len() as u64;
        let taken = contained(|| {
            replay.take(&events)?;
            replay.check_workflow_type()
        });
        match taken {
            Ok(()) => checked.replay = Some(replay),
            Err(verdict) => {
                checked.verdict = verdict;
                return Ok(self.row(run)?.is_some());
            }
        }
        Ok(true)
    }

    pub fn sandbox_run(&self, run: &RunKey) -> SandboxRun {
        SandboxRun {
            namespace: self.namespace.clone(),
            workflow_id: run.workflow.workflow_id.clone(),
            run_id: run.run.to_string(),
        }
    }
}

impl Checked {
    /// A run of which nothing has been replayed.
    pub fn unread(row: RunRow) -> Checked {
        Checked { row, verified_started_event_id: 0, verdict: Verdict::Exact, replay: None, events: 0 }
    }

    pub fn is_open(&self) -> bool {
        self.row.status == i32::from(WorkflowExecutionStatus::Running)
    }

    pub fn run(&self, chosen: &Chosen) -> VerifiedRun {
        VerifiedRun {
            workflow_id: chosen.run.workflow.workflow_id.clone(),
            run_id: chosen.run.run.to_string(),
            workflow_type: chosen.workflow_type.clone(),
            is_open: self.is_open(),
            module: self.row.module.clone(),
            events: self.events,
            verdict: self.verdict.clone(),
        }
    }
}

/// The start of the last workflow task that has completed.
fn last_task(events: &[HistoryEvent]) -> Option<i64> {
    events.iter().rev().find_map(|event| match &event.attributes {
        Some(Attributes::WorkflowTaskCompletedEventAttributes(completed)) => Some(completed.started_event_id),
        _ => None,
    })
}

/// The sandbox promises not to panic; a run that breaks the promise must not end the sweep of the others.
fn contained<T>(call: impl FnOnce() -> Result<T, TaskFailure>) -> Result<T, Verdict> {
    match std::panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Verdict::of),
        Err(_) => {
            let message = "the sandbox panicked; this is a bug in Mainspring".to_owned();
            Err(Verdict::Failed { kind: "SandboxFailure".into(), message })
        }
    }
}

/// Sweeps under way in the whole process; more wait. See [`limits::SWEEPS_AT_ONCE`].
static AT_ONCE: Semaphore = Semaphore::const_new(limits::SWEEPS_AT_ONCE);

impl Engine {
    /// Replays runs of a task queue on a module that was uploaded: the one whose digest begins like this, or the active
    /// one where none is given. The results come as they are made; see [`Sweep`].
    pub async fn verify_module(
        &self,
        namespace: &str,
        digest: Option<&str>,
        selection: RunSelection,
    ) -> Result<(Module, Sweep<VerifiedRun>), EngineError> {
        let digest = self.module_of(namespace, digest, &selection.task_queue)?;
        let module = self.uploaded(namespace, &digest)?;
        let modules = Arc::clone(&self.shared().modules);
        let sweep = self.sweep(namespace, digest, modules, selection, |verifier, run| verifier.verify(run)).await?;
        Ok((module, sweep))
    }

    /// Verifies a module that has not been uploaded, and deploys it if all runs are exact. Otherwise nothing changes, and
    /// the module is not kept.
    pub async fn deploy_verified(
        &self,
        namespace: &str,
        bytes: Vec<u8>,
        selection: RunSelection,
        identity: &str,
    ) -> Result<VerifiedDeployment, EngineError> {
        mainspring_core::validate::name("TaskQueue", &selection.task_queue)?;
        let place = self.shared().meter(self.shared().namespaces.id(namespace)?).compile_place().await;
        let sandbox = self.shared().sandbox.clone();
        let loaded = tokio::task::spawn_blocking(move || {
            let description = sandbox.load(&bytes)?;
            must_hold_workflows(&description)?;
            Ok::<_, EngineError>(InHand { digest: description.digest, bytes })
        });
        let in_hand = Arc::new(loaded.await.map_err(|error| EngineError::Unavailable(error.to_string()))??);
        drop(place);
        let task_queue = selection.task_queue.clone();
        let modules = Arc::clone(&in_hand);
        let mut sweep =
            self.sweep(namespace, in_hand.digest, modules, selection, |verifier, run| verifier.verify(run)).await?;
        let (mut summary, mut inexact) = (VerificationSummary::default(), Vec::new());
        loop {
            let few = sweep.next_few().await;
            if few.is_empty() {
                break;
            }
            for run in few {
                let run = run?;
                summary.add(&run);
                if !run.verdict.is_exact() && inexact.len() < limits::REPORTED_RUNS {
                    inexact.push(run);
                }
            }
        }
        drop(sweep);
        self.barrier().await;
        if !summary.all_exact() {
            return Ok(VerifiedDeployment { summary, inexact, deployed: None });
        }
        let deployed = self.deploy_module_as(namespace, &task_queue, in_hand.bytes.clone(), identity).await?;
        Ok(VerifiedDeployment { summary, inexact, deployed: Some(deployed) })
    }

    /// The module that was asked for, or the active one.
    pub(crate) fn module_of(
        &self,
        namespace: &str,
        digest: Option<&str>,
        task_queue: &str,
    ) -> Result<Digest, EngineError> {
        mainspring_core::validate::name("TaskQueue", task_queue)?;
        let namespace = self.shared().namespaces.id(namespace)?;
        if let Some(prefix) = digest {
            return self.shared().modules.find(namespace, prefix);
        }
        let versions = self.shared().modules.versions(&QueueKey { namespace, name: task_queue.to_owned() });
        let active = versions.and_then(|versions| versions.active().map(|version| version.digest));
        active.ok_or_else(|| EngineError::ModuleNotFound(format!("is deployed on task queue {task_queue:?}")))
    }

    /// A module of a namespace that holds workflows.
    pub(crate) fn uploaded(&self, namespace: &str, digest: &Digest) -> Result<Module, EngineError> {
        let namespace = self.shared().namespaces.id(namespace)?;
        let module = self.shared().modules.module(namespace, digest)?;
        let module = module.ok_or_else(|| EngineError::ModuleNotFound(digest.to_string()))?;
        module.must_hold_workflows()?;
        Ok(module)
    }

    /// Begins a sweep. What it reads may be ahead of the disk: who tells of it waits for [`Engine::durable`] first.
    pub(crate) async fn sweep<T: Send + 'static>(
        &self,
        namespace: &str,
        digest: Digest,
        modules: Arc<dyn ModuleBytes + Send + Sync>,
        selection: RunSelection,
        work: impl Fn(&Verifier, &Chosen) -> Result<Option<T>, EngineError> + Send + Sync + 'static,
    ) -> Result<Sweep<T>, EngineError> {
        selection.validate()?;
        let shared = self.shared();
        let id = shared.namespaces.id(namespace)?;
        let permit = AT_ONCE.acquire().await.map_err(|error| EngineError::Unavailable(error.to_string()))?;
        let store = Arc::clone(&shared.store);
        let verifier = Verifier {
            store: Arc::clone(&store),
            shards: u16::try_from(shared.shards.len()).unwrap_or(u16::MAX),
            sandbox: shared.sandbox.clone(),
            modules,
            digest,
            namespace: namespace.to_owned(),
        };
        let (source, threads) = (Source { store, namespace: id, selection }, shared.sweep_threads);
        // Steps that were acknowledged before are seen.
        self.barrier().await;
        let begun = tokio::task::spawn_blocking(move || {
            Sweep::start(source, threads, Some(permit), move |run| work(&verifier, run))
        });
        begun.await.map_err(|error| EngineError::Unavailable(error.to_string()))?
    }

    /// Waits until everything is durable that could be read before.
    pub async fn durable(&self) {
        self.barrier().await;
    }
}

fn must_hold_workflows(description: &ModuleDescription) -> Result<(), EngineError> {
    match description.kind() {
        ModuleKind::Workflows => Ok(()),
        ModuleKind::Activities => Err(holds_activities(&description.digest).into()),
    }
}

/// Replays the runs of a store that no server uses on a module.
///
/// # Errors
/// Where the store holds no such namespace, the module is refused, or the filter is.
pub fn verify_stored(
    store: Arc<dyn Store>,
    sandbox: Sandbox,
    namespace: &str,
    module: Vec<u8>,
    selection: RunSelection,
) -> Result<(Digest, Sweep<VerifiedRun>), EngineError> {
    selection.validate()?;
    let shards = crate::open::stored_shards(&*store)?.unwrap_or(1);
    let key = keys::namespace(namespace);
    let Some(row) = store.get(&key)? else { return Err(EngineError::NamespaceNotFound(namespace.to_owned())) };
    let row: NamespaceRow = decode("namespace", &key, &row)?;
    let id = Uuid::from_slice(&row.id).map_err(|error| EngineError::Damaged(format!("namespace: {error}")))?;
    let description = sandbox.load(&module)?;
    must_hold_workflows(&description)?;
    let digest = description.digest;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let verifier = Verifier {
        store: Arc::clone(&store),
        shards,
        sandbox,
        modules: Arc::new(InHand { digest, bytes: module }),
        digest,
        namespace: namespace.to_owned(),
    };
    let source = Source { store, namespace: id, selection };
    Ok((digest, Sweep::start(source, threads, None, move |run| verifier.verify(run))?))
}
