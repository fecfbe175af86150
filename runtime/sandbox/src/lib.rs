//! Runs workflows that are WebAssembly components, so that what they do depends on their journal alone.
//!
//! A [`Sandbox`] accepts modules ([`Sandbox::load`]), runs one workflow task of a run at a time ([`Sandbox::activate`])
//! and replays whole histories ([`Sandbox::replay`]). The world that a module is made for is in `wit/`.
//!
//! Activities that are components run here too ([`Sandbox::run_activity`], `activity/`), apart from workflows and by
//! other rules. What follows is about workflows.
//!
//! It **never** touches the journal: events come in as Temporal's `HistoryEvent`s, commands go out as Temporal's
//! `Command`s, and whoever calls decides what becomes of them. It never waits, for a timer or anything else; it reads no
//! clock but to stop a guest that takes too long; it lets no guest reach the machine. No type of wasmtime is in its API,
//! and no other crate knows wasmtime.
//!
//! A guest can ask for too much, trap, or behave differently from its journal: each is a [`TaskFailure`] of that one
//! task, and nothing else notices. Nothing here panics because of what a guest, a module or a history holds.
//!
//! Start reading at `driver.rs`: it walks a journal and runs the guest where the journal says that it ran. Around it, in
//! the order in which a task meets them: `cache.rs` (instances between activations), `module/` (accepting, compiling and
//! keeping modules), `instance.rs` (one guest, and why it crashed), `host/` (what a guest can call, one file for each
//! interface), `operations/` (what a run has started), `updates.rs`, `query.rs` and `patches.rs` (their nouns), `delivery.rs` (what an event is to the guest), `matching.rs`
//! (commands against the journal), `convert/` (WIT types and Temporal's messages). `config.rs` configures wasmtime, in
//! one place for every use, and names every bound.
//!
//! The thread that calls [`Sandbox::activate`], [`Sandbox::replay`] or [`Sandbox::load`] lends its stack to the guest:
//! it needs [`SandboxConfig::stack_bytes`] and 256 KiB more. The default stacks of Rust's and tokio's threads have that.

// A task that fails is rare, and moving its failure is nothing beside running a guest: it need not be boxed.
#![allow(clippy::result_large_err)]

mod activity;
mod ahead;
mod bindings;
mod cache;
mod closing;
mod config;
mod convert;
mod delivery;
mod digest;
mod driver;
mod epoch;
mod error;
mod host;
mod instance;
mod limiter;
mod matching;
mod module;
mod operations;
mod patches;
mod query;
mod random;
mod replay;
mod task;
mod terms;
mod updates;

use std::sync::Arc;

use mainspring_api::history::HistoryEvent;
use wasmtime::Engine;

use self::{
    activity::ActivityWorld,
    cache::InstanceCache,
    driver::{LiveTask, Rejected, Run, Workshop},
    epoch::EpochClock,
    module::Modules,
};
pub use self::{
    activity::{
        ActivityAccount, ActivityAttempt, ActivityEnd, ActivityLimits, ActivityTerms, Grants, Heart, HostRule,
        HostRuleError, Pulse, SecretGrant, SecretValue,
    },
    config::{Compiler, GuestLimits, SandboxConfig},
    digest::{Digest, DigestParseError},
    error::{GuestLimit, ModuleError, SandboxError, TaskFailure, TaskFailureKind},
    module::child::{CompilerLimits, compile_module},
    query::{QueryAnswer, Question},
    replay::Replay,
    task::{
        Activated, CacheUsage, History, ModuleBytes, ModuleDescription, ModuleKind, ModuleSource, QueriedRun,
        ReplayReport, RunKey, SandboxStats, WorkflowTask,
    },
    terms::{Account, Terms},
};

/// The sandbox. Cheap to clone; all clones share modules and instances.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    workshop: Workshop,
    modules: Modules,
    cache: InstanceCache,
    activities: Arc<ActivityWorld>,
    _clock: EpochClock,
}

impl Sandbox {
    /// Starts the sandbox and its clock thread.
    pub fn new(config: SandboxConfig) -> Result<Sandbox, SandboxError> {
        let engine =
            Engine::new(&config::engine_config(&config)).map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let limits = Arc::new(config.limits.clone());
        let activities = Arc::new(ActivityWorld::new(&engine, &config)?);
        let terms = Terms { limits: limits.clone(), cached_bytes: config.instance_cache_bytes, account: None };
        let inner = Inner {
            modules: Modules::new(engine.clone(), config.clone(), limits.clone(), activities.clone())?,
            cache: InstanceCache::new(config.instance_cache_bytes, config.instance_cache_count),
            activities,
            _clock: EpochClock::start(&engine)?,
            workshop: Workshop { engine, config, terms, instantiations: Default::default() },
        };
        Ok(Sandbox { inner: Arc::new(inner) })
    }

    /// Accepts or refuses a module: validates it, compiles it (bounded in size and time), and calls `describe` on an
    /// instance that is thrown away.
    ///
    /// Slow, from milliseconds to [`SandboxConfig::compile_time`]: call it off the request path. Nothing is kept of a
    /// module that is refused. Loading the same bytes again is cheap.
    pub fn load(&self, bytes: &[u8]) -> Result<ModuleDescription, ModuleError> {
        self.inner.modules.load(bytes).map(|(_, description)| description)
    }

    /// Lets go of what was compiled of a module that is stored no more. Always safe.
    pub fn forget(&self, digest: &Digest) {
        self.inner.modules.forget(digest);
    }

    /// Runs one workflow task of a run whose last event is the WorkflowTaskStarted.
    ///
    /// Uses the run's cached instance where the history goes on from there; otherwise replays the run from its first
    /// event. A task that fails leaves no instance behind. Different runs may be activated on several threads at once;
    /// the same run too, but then all but one of them replay.
    pub fn activate(&self, task: &WorkflowTask<'_>) -> Result<Activated, TaskFailure> {
        let mut updates = task.updates.to_vec();
        let mut rejections = Vec::new();
        loop {
            let mut activated = self.activate_once(&WorkflowTask { updates: &updates, ..*task })?;
            let Some(Rejected { index, message }) = activated.rejected.take() else {
                activated.activated.messages.extend(rejections);
                return Ok(activated.activated);
            };
            rejections.push(message);
            let last = index + 1 == updates.len();
            updates.remove(index);
            if last {
                activated.activated.messages.extend(rejections);
                return Ok(activated.activated);
            }
            // The others meet a guest that has never heard of this one, as they will in replay.
        }
    }

    fn activate_once(&self, task: &WorkflowTask<'_>) -> Result<Attempt, TaskFailure> {
        let unreadable = |problem: String| TaskFailure::history(0, problem);
        let terms = self.terms(task.terms);
        if let Some(mut run) = self.inner.cache.take(task.run)
            && run.module_digest() == task.module
            && run.is_clean()
            && run.position() < task.started_event_id
        {
            run.set_terms(terms.clone());
            let events = task.history.events_after(run.position()).map_err(unreadable)?;
            if run.is_continued_by(&events) {
                match self.run_task(&mut run, task, &events) {
                    Ok(walked) => return Ok(self.keep(task, run, walked, true)),
                    // A cached instance is only a shortcut: the journal has the last word, so it is asked in full.
                    Err(failure) if is_about_history(&failure) => {
                        tracing::warn!(
                            namespace = task.run.namespace,
                            workflow_id = task.run.workflow_id,
                            run_id = task.run.run_id,
                            attempt = task.attempt,
                            %failure,
                            "a cached instance does not fit its history; replaying the run"
                        );
                    }
                    Err(failure) => return Err(failure),
                }
            }
        }
        let module = self.inner.modules.get(&task.module, task.modules)?;
        let events = task.history.events_after(0).map_err(unreadable)?;
        let mut run = Run::new(task.run.clone(), module, terms);
        let walked = self.run_task(&mut run, task, &events)?;
        Ok(self.keep(task, run, walked, false))
    }

    fn run_task(
        &self,
        run: &mut Run,
        task: &WorkflowTask<'_>,
        events: &[HistoryEvent],
    ) -> Result<driver::Live, TaskFailure> {
        let live = LiveTask { started_event_id: task.started_event_id, updates: task.updates };
        let walk = run.walk(&self.inner.workshop, events, Some(live))?;
        walk.live.ok_or_else(|| TaskFailure::history(run.position(), "it has no workflow task to run"))
    }

    fn keep(&self, task: &WorkflowTask<'_>, run: Run, live: driver::Live, cached: bool) -> Attempt {
        // One that has finished is only needed again if the journal does not take its last command.
        if !run.is_finished() && run.is_clean() {
            self.cache(task.run, run);
        }
        let activated = Activated {
            commands: live.commands,
            messages: live.messages,
            fuel_used: live.fuel_used,
            replayed_events: u64::try_from(live.replayed_to).unwrap_or(0),
            cached,
        };
        Attempt { activated, rejected: live.rejected }
    }

    /// Asks a run a question, where its journal stands now. A task that is under way is left alone.
    ///
    /// The answer may come from a cached instance, which from then on serves queries only: nothing that a query does to
    /// the guest's memory ever meets a workflow task.
    pub fn query(&self, queried: &QueriedRun<'_>, question: &Question) -> Result<QueryAnswer, TaskFailure> {
        let unreadable = |problem: String| TaskFailure::history(0, problem);
        let terms = self.terms(queried.terms);
        if let Some(mut run) = self.inner.cache.take(queried.run)
            && run.module_digest() == queried.module
        {
            run.set_terms(terms.clone());
            let events = queried.history.events_after(run.position()).map_err(unreadable)?;
            if run.can_answer_after(&events) && run.walk(&self.inner.workshop, &events, None).is_ok() {
                let answer = run.query(question)?;
                self.cache(queried.run, run);
                return Ok(answer);
            }
        }
        let module = self.inner.modules.get(&queried.module, queried.modules)?;
        let events = queried.history.events_after(0).map_err(unreadable)?;
        let mut run = Run::new(queried.run.clone(), module, terms);
        run.walk(&self.inner.workshop, &events, None)?;
        let answer = run.query(question)?;
        self.cache(queried.run, run);
        Ok(answer)
    }

    fn terms(&self, given: Option<&Terms>) -> Terms {
        given.unwrap_or(&self.inner.workshop.terms).clone()
    }

    /// Keeps a run's instance, which nobody pays for while it rests.
    fn cache(&self, key: &RunKey, run: Run) {
        let (bytes, owner_bytes_max) = (run.private_bytes(), run.cached_bytes_max());
        self.inner.cache.put(key.clone(), run, bytes, owner_bytes_max);
    }

    /// What the cached instances of a namespace take, and have taken since the start.
    pub fn cache_usage(&self, namespace: &str) -> CacheUsage {
        self.inner.cache.usage(namespace)
    }

    /// Forgets a run's instance. Always safe.
    pub fn evict(&self, run: &RunKey) {
        drop(self.inner.cache.take(run));
    }

    /// Runs a whole history on a module and compares every command; nothing is cached and nothing is logged.
    ///
    /// The module need not be the one that made the history: [`ReplayReport`] says which one did. A task that is under
    /// way at the end of the history is left alone, because there is nothing to compare.
    pub fn replay(
        &self,
        module: &ModuleSource<'_>,
        run: &RunKey,
        history: &[HistoryEvent],
    ) -> Result<ReplayReport, TaskFailure> {
        replay::replay(self.begin_replay(module, run)?, history)
    }

    /// The same for a history that comes bit by bit, of a run that goes on meanwhile.
    pub fn begin_replay(&self, module: &ModuleSource<'_>, run: &RunKey) -> Result<Replay, TaskFailure> {
        let module = match module {
            ModuleSource::Bytes(bytes) => {
                let loaded = self.inner.modules.load(bytes);
                let module = loaded.map_err(|error| error.to_string()).and_then(|(module, _)| module.workflows());
                module.map_err(|problem| {
                    let message = format!("the module cannot be loaded: {problem}");
                    TaskFailure::new(TaskFailureKind::ModuleUnusable, message)
                })?
            }
            ModuleSource::Stored { digest, modules } => self.inner.modules.get(digest, *modules)?,
        };
        Ok(Replay::new(self.clone(), module, run))
    }

    fn workshop(&self) -> &Workshop {
        &self.inner.workshop
    }

    /// How the sandbox was set up.
    pub fn config(&self) -> &SandboxConfig {
        &self.inner.workshop.config
    }

    /// Threads that run activities.
    pub fn activity_threads(&self) -> usize {
        self.inner.activities.threads()
    }

    /// Runs one attempt of an activity to its end, on the sandbox's own threads; at its deadline at the latest.
    ///
    /// What goes wrong is an outcome like any other. Dropping the future stops the attempt, wherever it is.
    pub async fn run_activity(
        &self,
        module: Digest,
        modules: Arc<dyn ModuleBytes + Send + Sync>,
        attempt: ActivityAttempt,
        terms: ActivityTerms,
    ) -> Result<ActivityEnd, TaskFailure> {
        let inner = self.inner.clone();
        // Compiling takes long, and even describing blocks.
        let find = move || inner.modules.get_activities(&module, &*modules);
        let found = self.inner.activities.runtime().spawn_blocking(find).await;
        let module = found
            .map_err(|error| TaskFailure::new(TaskFailureKind::Host, format!("loading {module} failed: {error}")))??;
        Ok(self.inner.activities.run(module, Arc::new(attempt), terms).await)
    }

    /// What the sandbox holds now.
    pub fn stats(&self) -> SandboxStats {
        let (cached_instances, cached_instance_bytes, evicted_instances) = self.inner.cache.stats();
        let (instantiations, instantiation_time) = self.inner.workshop.instantiations.so_far();
        SandboxStats {
            cached_instances,
            cached_instance_bytes,
            evicted_instances,
            instantiations,
            instantiation_time,
            loaded_modules: self.inner.modules.loaded_count(),
            compiling: self.inner.modules.compiling_count(),
        }
    }
}

/// What a task came to, if it need not be repeated without an update that was rejected.
struct Attempt {
    activated: Activated,
    rejected: Option<Rejected>,
}

/// Whether a failure may come from a wrong idea of what the history holds, rather than from the guest.
fn is_about_history(failure: &TaskFailure) -> bool {
    matches!(failure.kind, TaskFailureKind::Nondeterminism { .. } | TaskFailureKind::HistoryUnreadable { .. })
}
