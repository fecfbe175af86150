//! Runs an attempt, and says how it ended.

use std::{sync::Arc, time::Duration};

use mainspring_api::failure::{ApplicationFailureInfo, Failure, failure::FailureInfo};
use mainspring_core::activity::ActivityOutcome;
use tokio::runtime::{Builder, Runtime};
use wasmtime::{
    Engine, Store, Trap, UpdateDeadline, WasmBacktrace,
    component::{Component, Linker},
};
use wasmtime_wasi::I32Exit;

use super::{
    ActivityAttempt, ActivityEnd, ActivityLimits, ActivityTerms,
    bindings::{Activities, ActivitiesPre, attempts::Outcome},
    scratch::Pool,
    state::{self, ActivityState, AttemptOver},
};
use crate::{
    Digest, GuestLimit, ModuleError, ModuleKind, SandboxConfig, SandboxError, TaskFailureKind,
    convert::{failure::failure_to_proto, payload::payloads_to_guest, payload::payloads_to_proto},
    host::Fault,
};

/// Bytes that one call may carry from the guest: a payload of the largest size twice over, and what goes around it.
const CALL_BYTES_MAX: usize = 2 * mainspring_core::limits::temporal::PAYLOAD_BYTES + 64 * 1024;
/// The niceness of the threads that run activities: a third of the time of others that want a processor, too.
#[cfg(target_os = "linux")]
const PRIORITY: i32 = 5;
/// How long a module may take to say which activities it holds.
const DESCRIBE_TIME: Duration = mainspring_core::limits::sandbox::ACTIVATION_TIME;

/// A component of activities that is ready to run.
pub struct ActivityModule {
    pub digest: Digest,
    pub activity_types: Vec<String>,
    pre: ActivitiesPre<ActivityState>,
}

/// Where activities run.
pub struct ActivityWorld {
    engine: Engine,
    linker: Linker<ActivityState>,
    limits: ActivityLimits,
    /// For all scratch directories.
    pool: Arc<Pool>,
    stack_bytes: usize,
    /// There until this is dropped.
    runtime: Option<Runtime>,
}

impl Drop for ActivityWorld {
    fn drop(&mut self) {
        // Waiting for it would panic where this is dropped by async code.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl ActivityWorld {
    pub fn new(engine: &Engine, config: &SandboxConfig) -> Result<ActivityWorld, SandboxError> {
        let limits = config.activities.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads(&limits))
            // Only name lookups and loading modules block.
            .max_blocking_threads(16)
            .thread_name("activity")
            // Activities may take their time; workflows, clients and the disk wait for other threads.
            .on_thread_start(be_polite)
            .enable_all()
            .build();
        Ok(ActivityWorld {
            engine: engine.clone(),
            linker: state::linker(engine).map_err(|error| SandboxError::Engine(format!("{error:#}")))?,
            pool: Pool::new(limits.scratch_total_bytes),
            limits,
            stack_bytes: config.stack_bytes,
            runtime: Some(runtime.map_err(|error| SandboxError::Thread(error.to_string()))?),
        })
    }

    pub fn threads(&self) -> usize {
        threads(&self.limits)
    }

    pub fn runtime(&self) -> &Runtime {
        // It is taken by `drop` alone.
        self.runtime.as_ref().unwrap_or_else(|| unreachable!("the runtime lives as long as its owner"))
    }

    /// Checks the types of imports and exports, and asks the module for its activities. Blocks; not for async code.
    pub fn accept(&self, digest: Digest, component: &Component) -> Result<ActivityModule, ModuleError> {
        let wrong_type = |error: wasmtime::Error| ModuleError::WrongType {
            kind: ModuleKind::Activities,
            problem: crate::module::reason(format!("{error:#}")),
        };
        let pre = self.linker.instantiate_pre(component).map_err(wrong_type)?;
        let pre = ActivitiesPre::new(pre).map_err(wrong_type)?;
        let activity_types = self.runtime().block_on(async {
            match tokio::time::timeout(DESCRIBE_TIME, self.describe(&pre)).await {
                Ok(described) => described,
                Err(_) => Err(ModuleError::Describe(format!("it took longer than {} s", DESCRIBE_TIME.as_secs()))),
            }
        })?;
        Ok(ActivityModule { digest, activity_types, pre })
    }

    async fn describe(&self, pre: &ActivitiesPre<ActivityState>) -> Result<Vec<String>, ModuleError> {
        let state = ActivityState::new(None, &self.limits, &self.pool);
        let mut store = self.store(state).map_err(|fault| ModuleError::Host(fault.message))?;
        let described = async {
            let guest = pre.instantiate_async(&mut store).await?;
            guest.call_describe(&mut store).await
        };
        let described = described.await;
        let definitions = described.map_err(|error| ModuleError::Describe(self.fault(&store, &error).message))?;
        Ok(definitions.into_iter().map(|definition| definition.name).collect())
    }

    /// Runs an attempt to its end, at its deadline at the latest. Dropping the future stops it.
    pub async fn run(
        self: &Arc<Self>,
        module: Arc<ActivityModule>,
        attempt: Arc<ActivityAttempt>,
        terms: ActivityTerms,
    ) -> ActivityEnd {
        let world = Arc::clone(self);
        let run = async move { world.run_here(&module, attempt, terms).await };
        let mut task = AbortOnDrop(self.runtime().spawn(run));
        match (&mut task.0).await {
            Ok(end) => end,
            Err(error) => {
                tracing::error!(%error, "an activity has made the sandbox panic");
                let fault = Fault::host("the sandbox failed while it ran the activity");
                ActivityEnd::Outcome(failed(&fault, String::new()))
            }
        }
    }

    async fn run_here(
        &self,
        module: &ActivityModule,
        attempt: Arc<ActivityAttempt>,
        terms: ActivityTerms,
    ) -> ActivityEnd {
        if !module.activity_types.contains(&attempt.activity_type) {
            return ActivityEnd::Outcome(unknown_type(module, &attempt.activity_type));
        }
        let state = ActivityState::new(Some((attempt.clone(), terms)), &self.limits, &self.pool);
        let output = state.output.clone();
        let time = attempt.time_left.min(self.limits.time);
        let end = match tokio::time::timeout(time, self.call(module, &attempt, state)).await {
            Ok(end) => end,
            // The server's own timer says what becomes of it.
            Err(_) if attempt.time_left <= self.limits.time => ActivityEnd::Over,
            Err(_) => {
                let message = format!("the attempt took longer than the {} s that it may", time.as_secs_f64());
                ActivityEnd::Outcome(failed(&Fault::limit(GuestLimit::Time, message), String::new()))
            }
        };
        output.finish();
        end
    }

    async fn call(&self, module: &ActivityModule, attempt: &ActivityAttempt, state: ActivityState) -> ActivityEnd {
        let mut store = match self.store(state) {
            Ok(store) => store,
            Err(fault) => return ActivityEnd::Outcome(failed(&fault, String::new())),
        };
        let input = payloads_to_guest(attempt.input.as_ref());
        let called = async {
            let guest: Activities = module.pre.instantiate_async(&mut store).await?;
            guest.call_execute(&mut store, &attempt.activity_type, &input).await
        };
        let called = called.await;
        let left = store.get_fuel().unwrap_or_default();
        store.data_mut().tank.pay(left);
        match called {
            Ok(outcome) => ActivityEnd::Outcome(to_outcome(outcome)),
            Err(error) if error.downcast_ref::<AttemptOver>().is_some() => ActivityEnd::Over,
            Err(error) => {
                let stack_trace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
                ActivityEnd::Outcome(failed(&self.fault(&store, &error), stack_trace))
            }
        }
    }

    fn store(&self, state: ActivityState) -> Result<Store<ActivityState>, Fault> {
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(CALL_BYTES_MAX);
        store.set_fuel(self.limits.fuel).map_err(|error| Fault::host(format!("{error:#}")))?;
        // At each tick of the clock a guest that computes lets the others have the thread, and its deadline stop it.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            let left = context.get_fuel()?;
            let tank = &mut context.data_mut().tank;
            tank.pay(left);
            Ok(match &tank.account {
                Some(account) => UpdateDeadline::YieldCustom(1, account.turn()),
                None => UpdateDeadline::Yield(1),
            })
        });
        Ok(store)
    }

    fn fault(&self, store: &Store<ActivityState>, error: &wasmtime::Error) -> Fault {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return fault.clone();
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => {
                let message = format!("the activity used up its fuel: {} units", self.limits.fuel);
                return Fault::limit(GuestLimit::Fuel, message);
            }
            Some(Trap::StackOverflow) => {
                let bytes = self.stack_bytes;
                let message = format!("the activity used up its stack of {bytes} bytes: it recurses too deep");
                return Fault::limit(GuestLimit::Stack, message);
            }
            _ => {}
        }
        if let Some(fault) = store.data().limiter.refusal() {
            return fault;
        }
        let root = error.root_cause().to_string();
        if root.contains("fuel allocated for hostcalls has been exhausted") {
            let message = format!("one call carries more than {CALL_BYTES_MAX} bytes");
            return Fault::limit(GuestLimit::CallBytes, message);
        }
        let mut message = match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(status)) => format!("the activity exited with status {status} instead of returning"),
            None => format!("the activity trapped: {root}"),
        };
        let tail = store.data().output.tail();
        if !tail.is_empty() {
            message.push_str("; it last wrote to stderr: ");
            message.push_str(&tail);
        }
        Fault { kind: TaskFailureKind::Trap, message }
    }
}

fn threads(limits: &ActivityLimits) -> usize {
    match limits.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        given => given,
    }
}

/// Lowers the priority of the calling thread, where the system does that for one thread.
fn be_polite() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), PRIORITY) {
        tracing::debug!(%error, "the threads of activities keep the priority of all others");
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<ActivityEnd>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn to_outcome(outcome: Outcome) -> ActivityOutcome {
    match outcome {
        Outcome::Completed(result) => ActivityOutcome::Completed(payloads_to_proto(result)),
        Outcome::Canceled(details) => ActivityOutcome::Canceled(payloads_to_proto(details)),
        Outcome::Failed(links) => match failure_to_proto(links) {
            Ok(failure) => ActivityOutcome::Failed { failure, last_heartbeat_details: None },
            Err(fault) => failed(&fault, String::new()),
        },
    }
}

/// A failure that the host found. All of them may be tried again, as an exception that a worker did not expect.
fn failed(fault: &Fault, stack_trace: String) -> ActivityOutcome {
    let failure = application_failure(fault.kind.failure_type(), fault.message.clone());
    ActivityOutcome::Failed { failure: Failure { stack_trace, ..failure }, last_heartbeat_details: None }
}

/// As Temporal's SDKs say it of a worker that lacks an activity: another one, or the next deployment, may have it.
fn unknown_type(module: &ActivityModule, activity_type: &str) -> ActivityOutcome {
    let message = format!(
        "activity {activity_type:?} is not in module {}, which has {}",
        module.digest,
        module.activity_types.join(", ")
    );
    let failure = application_failure("NotFoundError", message);
    ActivityOutcome::Failed { failure, last_heartbeat_details: None }
}

fn application_failure(failure_type: &str, message: String) -> Failure {
    Failure {
        message,
        source: "mainspring".into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: failure_type.to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    }
}
