//! One instance of a guest: calling its exports, and telling why a call did not return.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mainspring_api::update::Request;
use wasmtime::{Engine, Store, Trap, WasmBacktrace};

use crate::{
    Account, GuestLimits, TaskFailure, Terms,
    bindings::{
        Workflow, WorkflowPre,
        activation::{Event, Query, Status},
        types::{FailureLink, Payload},
    },
    config::{EPOCH_TICK, SandboxConfig},
    error::{GuestLimit, TaskFailureKind},
    host::{Fault, HostState, Moment, RunFacts},
    operations::{Issued, Operations},
    random::Streams,
    updates::Decision,
};

/// What an instance takes beside its linear memory: the store, the tables, the host's state. Measured over a thousand
/// instances of a Rust guest with `examples/sandbox_bench.rs`.
const INSTANCE_BYTES: usize = 24 * 1024;
/// The part of a module's initial memory that an instance writes to, as a divisor: most of it is stack that is never
/// reached and data that is only read, and both stay shared with the module. Measured like [`INSTANCE_BYTES`].
const INITIAL_MEMORY_DIVISOR: usize = 32;
/// A module whose initial memory is larger brings an interpreter that has already started: most of it is heap.
const IMAGE_BYTES: usize = 1536 * 1024;
/// The part of such a heap that an instance writes to, as a divisor. Measured with the order workflow in Python and
/// JavaScript by `tests/bench/languages.py`.
const IMAGE_DIVISOR: usize = 5;

/// An instance of a guest and everything that belongs to it.
pub struct Guest {
    store: Store<HostState>,
    exports: Workflow,
    /// Linear memory that the instance began with, in bytes.
    initial_memory_bytes: usize,
    limits: Arc<GuestLimits>,
    stack_bytes: usize,
    tank: Tank,
}

/// The fuel of a guest, and who pays for it.
struct Tank {
    account: Option<Arc<dyn Account>>,
    /// What it was filled with.
    filled: u64,
    /// What has been paid for since then.
    paid: u64,
}

impl Tank {
    fn pay(&mut self, left: u64) {
        let used = self.filled.saturating_sub(left);
        let due = used.saturating_sub(std::mem::replace(&mut self.paid, used));
        if let Some(account) = self.account.as_ref().filter(|_| due > 0) {
            account.used_fuel(due);
        }
    }
}

/// Also one that has crashed has used what it has used.
impl Drop for Guest {
    fn drop(&mut self) {
        self.pay();
    }
}

/// Why a guest could not go on: a fault, and where in the guest it happened.
#[derive(Debug)]
pub struct Crash {
    pub fault: Fault,
    pub stack_trace: String,
}

impl From<Fault> for Crash {
    fn from(fault: Fault) -> Crash {
        Crash { fault, stack_trace: String::new() }
    }
}

impl From<Crash> for TaskFailure {
    fn from(crash: Crash) -> TaskFailure {
        TaskFailure::new(crash.fault.kind, crash.fault.message).with_stack_trace(crash.stack_trace)
    }
}

/// How many instances were made for runs, and how long that took in all.
#[derive(Default)]
pub struct Instantiations {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Instantiations {
    pub fn note(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(took.as_nanos().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn so_far(&self) -> (u64, Duration) {
        (self.count.load(Ordering::Relaxed), Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)))
    }
}

impl Guest {
    /// An instance for a run. `moment` is that of the first workflow task, which is when the instance was first made.
    pub fn for_run(
        engine: &Engine,
        pre: &WorkflowPre<HostState>,
        config: &SandboxConfig,
        terms: &Terms,
        run: Arc<RunFacts>,
        moment: Moment,
    ) -> Result<Guest, Crash> {
        let mut state = HostState::for_run(run, terms.limits.clone());
        state.set_moment(moment);
        Guest::new(engine, pre, config, state, terms.account.clone())
    }

    /// The workflow types of a module. The instance that is asked is thrown away.
    pub fn describe(
        engine: &Engine,
        pre: &WorkflowPre<HostState>,
        config: &SandboxConfig,
        limits: &Arc<GuestLimits>,
    ) -> Result<Vec<String>, Crash> {
        let mut guest = Guest::new(engine, pre, config, HostState::for_description(limits.clone()), None)?;
        guest.refill()?;
        let definitions = guest.exports.call_describe(&mut guest.store);
        let definitions = definitions.map_err(|error| guest.crash(error))?;
        Ok(definitions.into_iter().map(|definition| definition.name).collect())
    }

    fn new(
        engine: &Engine,
        pre: &WorkflowPre<HostState>,
        config: &SandboxConfig,
        state: HostState,
        account: Option<Arc<dyn Account>>,
    ) -> Result<Guest, Crash> {
        let limits = state.limits.clone();
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limiter);
        // One call carries no more than all commands of an activation may.
        store.set_hostcall_fuel(call_bytes_max(&limits));
        refill(&mut store, &limits)?;
        let mut tank = Tank { account, filled: limits.fuel_per_activation, paid: 0 };
        let exports = match pre.instantiate(&mut store) {
            Ok(exports) => exports,
            Err(error) => {
                tank.pay(store.get_fuel().unwrap_or(0));
                return Err(crash(&store, &limits, config.stack_bytes, error));
            }
        };
        let initial_memory_bytes = store.data().limiter.memory_bytes();
        Ok(Guest { store, exports, initial_memory_bytes, limits, stack_bytes: config.stack_bytes, tank })
    }

    /// What holds from the next activation on.
    pub fn set_terms(&mut self, terms: &Terms) {
        self.pay();
        self.tank.account = terms.account.clone();
        let state = self.store.data_mut();
        state.output.set_account(terms.account.clone());
        if !Arc::ptr_eq(&self.limits, &terms.limits) {
            state.limits = terms.limits.clone();
            state.limiter.set_limits(&terms.limits);
            self.limits = terms.limits.clone();
        }
    }

    fn pay(&mut self) {
        self.tank.pay(self.store.get_fuel().unwrap_or(0));
    }

    pub fn begin_activation(&mut self, moment: Moment, live: bool, patches: BTreeSet<String>) -> Result<(), Crash> {
        self.store.data_mut().begin_activation(moment, live, patches);
        self.refill()
    }

    pub fn start(&mut self, workflow_type: &str, input: &Vec<Payload>) -> Result<Status, Crash> {
        self.exports.call_start(&mut self.store, workflow_type, input).map_err(|error| self.crash(error))
    }

    pub fn resume(&mut self, events: &[Event]) -> Result<Status, Crash> {
        self.exports.call_resume(&mut self.store, events).map_err(|error| self.crash(error))
    }

    /// Delivers one update by a call of its own; what the guest decided is beside its status.
    pub fn resume_with_update(
        &mut self,
        request: &Request,
        sequencing_event_id: i64,
        run_validator: bool,
    ) -> Result<(Status, Decision), Crash> {
        let state = self.store.data_mut();
        let issued = state.operations.issued_count();
        let update = state.updates.begin(request, sequencing_event_id, run_validator);
        let id = update.id.clone();
        let status = self.resume(&[Event::UpdateRequested(update)]);
        let state = self.store.data_mut();
        let decision = state.updates.end();
        let status = status?;
        match decision {
            Some(Decision::Rejected(_)) if state.operations.issued_count() != issued => {
                Err(Fault::bad_call(format!("the workflow rejects update {id:?}, and issues commands for it")).into())
            }
            Some(Decision::Rejected(_)) if !run_validator => Err(Fault::bad_call(format!(
                "the workflow rejects update {id:?}, which the journal says that it accepted"
            ))
            .into()),
            Some(decision) => Ok((status, decision)),
            None => Err(Fault::bad_call(format!("the workflow neither accepts nor rejects update {id:?}")).into()),
        }
    }

    /// Asks the guest a question. What it does to the guest's memory nobody may rely on.
    pub fn answer_query(
        &mut self,
        moment: Moment,
        query: &Query,
    ) -> Result<Result<Vec<Payload>, Vec<FailureLink>>, Crash> {
        self.store.data_mut().begin_query(moment);
        self.refill()?;
        let answer = self.exports.call_answer_query(&mut self.store, query).map_err(|error| self.crash(error));
        self.store.data_mut().end_activation();
        self.pay();
        answer
    }

    /// Ends an activation: its commands, and the fuel that it used.
    pub fn end_activation(&mut self) -> Result<(Vec<Issued>, u64), Crash> {
        let left = self.store.get_fuel().map_err(|error| Fault::host(format!("{error:#}")))?;
        self.tank.pay(left);
        let state = self.store.data_mut();
        state.end_activation();
        Ok((state.operations.end_activation(), self.limits.fuel_per_activation.saturating_sub(left)))
    }

    pub fn operations(&mut self) -> &mut Operations {
        &mut self.store.data_mut().operations
    }

    pub fn streams(&mut self) -> &mut Streams {
        &mut self.store.data_mut().streams
    }

    pub fn limits(&self) -> &Arc<GuestLimits> {
        &self.limits
    }

    /// An estimate of the memory that only this instance holds, in bytes.
    ///
    /// Nobody can ask wasmtime which pages of a memory were written to. So: what the memory grew by counts in full, as
    /// an allocator uses what it asks for; of the initial memory a fixed part counts; and the rest is a constant.
    pub fn private_bytes(&self) -> usize {
        let state = self.store.data();
        let grown = state.limiter.memory_bytes().saturating_sub(self.initial_memory_bytes);
        let initial = self.initial_memory_bytes;
        let divisor = if initial > IMAGE_BYTES { IMAGE_DIVISOR } else { INITIAL_MEMORY_DIVISOR };
        INSTANCE_BYTES + initial / divisor + grown + state.operations.private_bytes()
    }

    fn refill(&mut self) -> Result<(), Crash> {
        self.pay();
        refill(&mut self.store, &self.limits)?;
        (self.tank.filled, self.tank.paid) = (self.limits.fuel_per_activation, 0);
        Ok(())
    }

    fn crash(&self, error: wasmtime::Error) -> Crash {
        crash(&self.store, &self.limits, self.stack_bytes, error)
    }
}

/// What one host call may carry from the guest, in bytes as the host holds them.
fn call_bytes_max(limits: &GuestLimits) -> usize {
    // An empty payload takes a few dozen bytes here and none in a command.
    limits.command_bytes_per_activation.saturating_mul(2)
}

fn refill(store: &mut Store<HostState>, limits: &GuestLimits) -> Result<(), Crash> {
    store.set_fuel(limits.fuel_per_activation).map_err(|error| Fault::host(format!("{error:#}")))?;
    let ticks = limits.activation_time.as_nanos().div_ceil(EPOCH_TICK.as_nanos());
    // The first tick may be due at once.
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 2).saturating_add(1));
    Ok(())
}

fn crash(store: &Store<HostState>, limits: &GuestLimits, stack_bytes: usize, error: wasmtime::Error) -> Crash {
    let fault = fault(store, limits, stack_bytes, &error);
    // What a language's runtime says of its own code is worth more than where the runtime gave up.
    if let (TaskFailureKind::Trap, Some(exception)) = (&fault.kind, store.data().output.exception()) {
        let kind = TaskFailureKind::Exception { type_name: exception.type_name.clone() };
        let fault = Fault { kind, message: exception.message.clone() };
        return Crash { fault, stack_trace: exception.stack_trace.clone() };
    }
    let stack_trace = error.downcast_ref::<WasmBacktrace>().map(ToString::to_string).unwrap_or_default();
    Crash { fault, stack_trace }
}

fn fault(store: &Store<HostState>, limits: &GuestLimits, stack_bytes: usize, error: &wasmtime::Error) -> Fault {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    let trap = error.downcast_ref::<Trap>().copied();
    match trap {
        Some(Trap::OutOfFuel) => {
            return Fault::limit(
                GuestLimit::Fuel,
                format!("the workflow used up the fuel of one activation: {} units", limits.fuel_per_activation),
            );
        }
        Some(Trap::Interrupt) => {
            return Fault::limit(
                GuestLimit::Time,
                format!("one activation took longer than {} s", limits.activation_time.as_secs_f64()),
            );
        }
        Some(Trap::StackOverflow) => {
            return Fault::limit(
                GuestLimit::Stack,
                format!("the workflow used up its stack of {stack_bytes} bytes: it recurses too deep"),
            );
        }
        _ => {}
    }
    // A guest whose allocation was refused aborts in its own way, and mostly says nothing of memory.
    if let Some(fault) = store.data().limiter.refusal() {
        return fault;
    }
    let root = error.root_cause().to_string();
    if root.contains("fuel allocated for hostcalls has been exhausted") {
        return Fault::limit(
            GuestLimit::CallBytes,
            format!("one host call carries more than {} bytes", call_bytes_max(limits)),
        );
    }
    let mut message = format!("the workflow trapped: {root}");
    if trap == Some(Trap::MemoryOutOfBounds) {
        message.push_str(" (in a guest that keeps a stack in its memory, this is also how deep recursion ends)");
    }
    let tail = store.data().output.tail();
    if !tail.is_empty() {
        message.push_str("; it last wrote to stderr: ");
        message.push_str(&tail);
    }
    Fault { kind: TaskFailureKind::Trap, message }
}
