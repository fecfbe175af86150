//! What belongs to one instance of an activity component, and what it can call.

use std::sync::Arc;

use mainspring_api::common::Payloads;
use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use wasmtime_wasi_io::bindings::wasi::io::error as io_error;

use super::{
    ActivityAccount, ActivityAttempt, ActivityLimits, ActivityTerms, Grants, Heart, Pulse,
    bindings::{
        Activities, attempts, config,
        context::{self, ActivityInfo},
    },
    http::Outbound,
    output::Output,
    scratch::{self, Budget, Files, Pool, Tree},
};
use crate::{
    bindings::{
        log::{self, Level},
        types::Payload,
    },
    config::RANDOM_BYTES_MAX,
    convert::{
        payload::{header_to_guest, payloads_to_guest, payloads_to_proto},
        retry_policy_to_guest,
        time::{datetime_to_guest, duration_to_guest},
    },
    host::Fault,
    limiter::Limiter,
};

/// Most resources that a guest may hold: files, streams, pollables, requests, responses and their parts.
const RESOURCES_MAX: usize = 10_000;
/// Most bytes of the headers of one request or response, as the host holds them.
const HEADER_BYTES_MAX: usize = 128 * 1024;

pub struct ActivityState {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    tree: Tree,
    outbound: Outbound,
    pub limiter: Limiter,
    pub output: Output,
    pub tank: Tank,
    grants: Arc<Grants>,
    running: Option<Running>,
}

/// The guest's fuel, and who pays for it.
pub struct Tank {
    pub account: Option<Arc<dyn ActivityAccount>>,
    /// What was left when it was paid last.
    left: u64,
}

impl Tank {
    /// Pays for what was used, where so much is left.
    pub fn pay(&mut self, left: u64) {
        let used = self.left.saturating_sub(left);
        self.left = left;
        if let Some(account) = self.account.as_ref().filter(|_| used > 0) {
            account.used_fuel(used);
        }
    }
}

/// The attempt that an instance was made for.
struct Running {
    attempt: Arc<ActivityAttempt>,
    heart: Arc<dyn Heart>,
}

/// Ends a call of which nobody waits for the outcome.
#[derive(Debug, thiserror::Error)]
#[error("the attempt counts no longer")]
pub struct AttemptOver;

impl ActivityState {
    /// For an attempt; or, without one, for describing the module.
    pub fn new(
        attempt: Option<(Arc<ActivityAttempt>, ActivityTerms)>,
        limits: &ActivityLimits,
        pool: &Arc<Pool>,
    ) -> ActivityState {
        let (running, grants, memory_bytes, account) = match attempt {
            Some((attempt, terms)) => {
                let memory_bytes = limits.memory_bytes.min(terms.memory_bytes);
                (Some(Running { attempt, heart: terms.heart }), terms.grants, memory_bytes, terms.account)
            }
            None => (None, Arc::default(), limits.memory_bytes, None),
        };
        let attempt = running.as_ref().map(|running| running.attempt.clone());
        let output = Output::new(attempt, limits.log_bytes, account.clone());
        let mut wasi = WasiCtx::builder();
        wasi.stdout(output.stdout()).stderr(output.stderr()).max_random_size(RANDOM_BYTES_MAX);
        // No argument and no address is there unless it is given; and files are not those of `wasmtime-wasi`.
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        wasi.envs(&grants.environment);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HEADER_BYTES_MAX);
        let scratch = Budget::new(pool.clone(), grants.scratch_bytes.min(limits.scratch_bytes));
        ActivityState {
            wasi: wasi.build(),
            table,
            http,
            tree: Tree::new(scratch),
            outbound: Outbound::new(grants.clone(), limits, output.clone(), account.clone()),
            limiter: Limiter::with("activity", memory_bytes, mainspring_core::limits::sandbox::TABLE_ELEMENTS),
            output,
            tank: Tank { account, left: limits.fuel },
            grants,
            running,
        }
    }

    fn running(&self, call: &str) -> Result<&Running, Fault> {
        self.running.as_ref().ok_or_else(|| {
            Fault::bad_call(format!(
                "the module calls {call} outside of an attempt: `describe` and whatever runs when the module is \
                 instantiated may only call log"
            ))
        })
    }
}

impl WasiView for ActivityState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for ActivityState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

impl context::Host for ActivityState {
    fn info(&mut self) -> wasmtime::Result<ActivityInfo> {
        let attempt = &self.running("context.info")?.attempt;
        let timeout = |timeout: std::time::Duration| {
            (!timeout.is_zero()).then(|| duration_to_guest(&mainspring_core::time::to_proto(timeout)))
        };
        Ok(ActivityInfo {
            namespace: attempt.namespace.clone(),
            task_queue: attempt.task_queue.clone(),
            workflow_id: attempt.workflow_id.clone(),
            run_id: attempt.run_id.clone(),
            workflow_type: attempt.workflow_type.clone(),
            activity_id: attempt.activity_id.clone(),
            activity_type: attempt.activity_type.clone(),
            attempt: attempt.attempt,
            heartbeat_details: payloads_to_guest(attempt.heartbeat_details.as_ref()),
            header: header_to_guest(attempt.header.as_ref()),
            scheduled_time: datetime_to_guest(&attempt.scheduled_time),
            attempt_scheduled_time: datetime_to_guest(&attempt.attempt_scheduled_time),
            started_time: datetime_to_guest(&attempt.started_time),
            schedule_to_close_timeout: timeout(attempt.schedule_to_close_timeout),
            start_to_close_timeout: timeout(attempt.start_to_close_timeout),
            heartbeat_timeout: timeout(attempt.heartbeat_timeout),
            retry_policy: attempt.retry_policy.as_ref().map(retry_policy_to_guest),
            deadline: datetime_to_guest(&attempt.deadline),
        })
    }

    async fn heartbeat(&mut self, details: Vec<Payload>) -> wasmtime::Result<bool> {
        let details: Option<Payloads> = payloads_to_proto(details);
        let heart = self.running("context.heartbeat")?.heart.clone();
        match heart.beat(details).await {
            Pulse::GoOn => Ok(false),
            Pulse::CancelRequested => Ok(true),
            Pulse::Over => Err(AttemptOver.into()),
            Pulse::Refused(reason) => Err(Fault::bad_call(reason).into()),
        }
    }
}

impl config::Host for ActivityState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        let found = self.grants.environment.iter().find(|(key, _)| *key == name);
        Ok(found.map(|(_, value)| value.clone()))
    }

    fn get_all(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.grants.environment.clone())
    }
}

impl log::Host for ActivityState {
    fn write(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => tracing::Level::TRACE,
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Error => tracing::Level::ERROR,
        };
        Ok(self.output.log(level, &message, &fields)?)
    }
}

// These only define types.
impl crate::bindings::types::Host for ActivityState {}
impl crate::bindings::activation::Host for ActivityState {}
impl attempts::Host for ActivityState {}

/// Errors of streams, told to the guest in one line: as the library tells them, they have the host's stack trace where
/// its operator has set `RUST_BACKTRACE`.
struct IoErrors;
struct IoErrorsOf<'a>(&'a mut ResourceTable);

impl HasData for IoErrors {
    type Data<'a> = IoErrorsOf<'a>;
}

impl io_error::Host for IoErrorsOf<'_> {}

impl io_error::HostError for IoErrorsOf<'_> {
    fn to_debug_string(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<String> {
        Ok(format!("{:#}", self.0.get(&error)?))
    }

    fn drop(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<()> {
        self.0.delete(error)?;
        Ok(())
    }
}

/// A linker with everything that an activity may import.
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<ActivityState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    scratch::add_to_linker(&mut linker, |state: &mut ActivityState| Files {
        tree: &mut state.tree,
        table: &mut state.table,
    })?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    io_error::add_to_linker::<ActivityState, IoErrors>(&mut linker, |state| IoErrorsOf(&mut state.table))?;
    linker.allow_shadowing(false);
    crate::bindings::activation::add_to_linker::<ActivityState, HasSelf<ActivityState>>(&mut linker, |state| state)?;
    Activities::add_to_linker::<ActivityState, HasSelf<ActivityState>>(&mut linker, |state| state)?;
    Ok(linker)
}
