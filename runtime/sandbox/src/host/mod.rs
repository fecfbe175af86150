//! What a guest can call: one file for each WIT interface, and `wasi/` for the standard ones.
//!
//! [`HostState`] is what belongs to one instance. A host function that refuses returns a [`Fault`], which ends the
//! activation: a guest cannot catch it, so it cannot go on in another way than it did before.

mod activities;
mod attributes;
mod children;
mod external;
mod info;
mod log;
mod markers;
mod output;
mod random;
mod time;
mod timers;
mod updates;
mod wasi;

use std::{collections::BTreeSet, fmt, sync::Arc};

use mainspring_api::{Timestamp, history::WorkflowExecutionStartedEventAttributes};
use mainspring_core::trace::{SpanId, TraceId};
use wasmtime::component::{HasSelf, Linker};

pub use self::output::Output;
use crate::{
    Digest, GuestLimits, RunKey,
    bindings::Workflow,
    error::{GuestLimit, TaskFailureKind},
    limiter::Limiter,
    operations::Operations,
    patches::Patches,
    random::Streams,
    updates::Updates,
};

/// Why a host call was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: TaskFailureKind,
    pub message: String,
}

impl Fault {
    pub fn limit(limit: GuestLimit, message: impl Into<String>) -> Fault {
        Fault { kind: TaskFailureKind::Limit(limit), message: message.into() }
    }

    pub fn bad_call(message: impl Into<String>) -> Fault {
        Fault { kind: TaskFailureKind::BadCall, message: message.into() }
    }

    pub fn host(message: impl Into<String>) -> Fault {
        Fault { kind: TaskFailureKind::Host, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// What a run is, for as long as it lasts.
#[derive(Debug)]
pub struct RunFacts {
    pub key: RunKey,
    pub start_time: Timestamp,
    pub started: WorkflowExecutionStartedEventAttributes,
    /// Where log lines are to name them.
    pub labels: Option<LogLabels>,
}

/// What log lines of a guest say besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLabels {
    pub module: String,
    /// Lower-case hexadecimal digits; so is the next.
    pub trace_id: String,
    pub span_id: String,
}

impl LogLabels {
    pub fn new(module: &Digest, trace_id: TraceId, span_id: SpanId) -> LogLabels {
        LogLabels {
            module: module.to_string(),
            trace_id: format!("{:032x}", u128::from_be_bytes(trace_id)),
            span_id: format!("{:016x}", u64::from_be_bytes(span_id)),
        }
    }
}

impl RunFacts {
    pub fn workflow_type(&self) -> &str {
        self.started.workflow_type.as_ref().map_or("", |kind| kind.name.as_str())
    }

    /// What the run's randomness is seeded by: the id of the run that this history began as, which a reset keeps.
    pub fn seed(&self) -> &str {
        match self.started.original_execution_run_id.as_str() {
            "" => &self.key.run_id,
            original => original,
        }
    }
}

/// What the journal says of the workflow task that runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    pub now: Timestamp,
    pub event_id: i64,
    pub history_size_bytes: i64,
    pub continue_as_new_suggested: bool,
}

/// What belongs to one instance of a guest.
pub struct HostState {
    /// None in an instance that only describes its module.
    run: Option<Arc<RunFacts>>,
    /// Whether an activation runs. Outside of one, while the instance is made or describes itself, only the log and
    /// WASI answer: nothing has happened yet that a workflow could react to.
    active: bool,
    /// A query is being answered: nothing may be started or told.
    read_only: bool,
    moment: Moment,
    /// Nanoseconds since 1970 of the latest activation. Never goes back, even where the journal's clock did.
    monotonic_ns: u64,
    pub limits: Arc<GuestLimits>,
    pub limiter: Limiter,
    pub operations: Operations,
    pub patches: Patches,
    pub updates: Updates,
    pub streams: Streams,
    pub output: Output,
    wasi: wasi::Unused,
}

impl HostState {
    /// For an instance that only describes its module.
    pub fn for_description(limits: Arc<GuestLimits>) -> HostState {
        HostState {
            run: None,
            active: false,
            read_only: false,
            moment: Moment::default(),
            monotonic_ns: 0,
            limiter: Limiter::new(&limits),
            operations: Operations::default(),
            patches: Patches::default(),
            updates: Updates::default(),
            streams: Streams::default(),
            output: Output::default(),
            wasi: wasi::Unused::default(),
            limits,
        }
    }

    /// For a run's instance.
    pub fn for_run(run: Arc<RunFacts>, limits: Arc<GuestLimits>) -> HostState {
        let streams = Streams::new(run.seed());
        HostState { streams, run: Some(run), ..HostState::for_description(limits) }
    }

    /// Before the instance is made: what it writes and asks for is counted from here.
    pub fn set_moment(&mut self, moment: Moment) {
        let now_ns = u64::try_from(moment.now.seconds).unwrap_or(0).saturating_mul(1_000_000_000)
            + u64::try_from(moment.now.nanos).unwrap_or(0);
        self.monotonic_ns = self.monotonic_ns.max(now_ns);
        self.moment = moment;
    }

    /// `live` is false where the journal already has what comes out; `patches` are the changes whose markers it has then.
    pub fn begin_activation(&mut self, moment: Moment, live: bool, patches: BTreeSet<String>) {
        self.set_moment(moment);
        self.active = true;
        self.limiter.begin_activation();
        self.operations.begin_activation();
        self.patches.begin_activation(live, patches);
        self.output.begin_activation(live);
    }

    /// Like an activation that is replayed, and that may do nothing.
    pub fn begin_query(&mut self, moment: Moment) {
        self.begin_activation(moment, false, BTreeSet::new());
        self.read_only = true;
    }

    pub fn end_activation(&mut self) {
        self.output.end_activation(self.run.as_deref());
        self.active = false;
        self.read_only = false;
    }

    /// The same for a call that starts or tells something.
    fn commanding(&self, call: &str) -> Result<&RunFacts, Fault> {
        if self.read_only {
            return Err(Fault::bad_call(format!("a query may change nothing, and the workflow calls {call} in one")));
        }
        if self.updates.is_undecided() && !call.starts_with("updates.") {
            return Err(Fault::bad_call(format!(
                "an update must be accepted before anything is done for it, and the workflow calls {call} in its validator"
            )));
        }
        self.activation(call)
    }

    /// The run, where this call may be answered.
    fn activation(&self, call: &str) -> Result<&RunFacts, Fault> {
        match &self.run {
            Some(run) if self.active => Ok(run),
            _ => Err(Fault::bad_call(format!(
                "the module calls {call} outside of an activation: `describe` and whatever runs when the module is \
                 instantiated may only call log"
            ))),
        }
    }
}

/// A linker with everything that a guest may import.
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker)?;
    Workflow::add_to_linker::<HostState, HasSelf<HostState>>(&mut linker, |state| state)?;
    Ok(linker)
}

// Both only define types.
impl crate::bindings::types::Host for HostState {}
impl crate::bindings::activation::Host for HostState {}
