//! WASI 0.2, as far as a workflow can have it.
//!
//! | interface | here |
//! | --- | --- |
//! | `clocks` | the time of the workflow task; waiting is refused |
//! | `random` | streams that the run id seeds |
//! | `io/streams`, `cli/stdout`, `cli/stderr` | lines of the workflow's log, muted in replay; stdin is at its end |
//! | `cli/environment`, `cli/terminal-*`, `filesystem/preopens` | empty |
//! | `io/poll` | whatever can be polled is ready: only a stream can be |
//! | `cli/exit`, `sockets` | refused with a clear message when called |
//! | `filesystem/types` | there is no directory to begin with, so no call can succeed |
//!
//! `wasmtime-wasi` provides the types, and everything that is not shadowed here. It comes first, so that a new
//! interface of WASI links; what could reach the machine or block is then replaced. Nothing of it that remains can be
//! reached without a descriptor or a socket, and a guest gets neither.

mod cli;
mod clocks;
mod io;
mod random;
mod sockets;

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{
    WasiCtx, WasiCtxView, WasiView,
    p2::bindings::{
        cli::{
            environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin,
            terminal_stdout,
        },
        clocks::{monotonic_clock, wall_clock},
        filesystem::preopens,
        random::{insecure, insecure_seed, random as secure},
        sync::io::{poll, streams},
    },
};

use super::{Fault, HostState};

/// Most resources that a guest may hold in what is left of `wasmtime-wasi`; it has no way to get even one.
const RESOURCES_MAX: usize = 16;

/// What `wasmtime-wasi` needs to exist but never to be used. Made only when something asks for it after all.
#[derive(Default)]
pub struct Unused(Option<Box<(WasiCtx, ResourceTable)>>);

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (ctx, table) = &mut **self.wasi.0.get_or_insert_with(|| {
            let ctx = WasiCtx::builder().allow_tcp(false).allow_udp(false).build();
            let mut table = ResourceTable::new();
            table.set_max_capacity(RESOURCES_MAX);
            Box::new((ctx, table))
        });
        WasiCtxView { ctx, table }
    }
}

pub fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    type Own = HasSelf<HostState>;
    wall_clock::add_to_linker::<HostState, Own>(linker, |state| state)?;
    monotonic_clock::add_to_linker::<HostState, Own>(linker, |state| state)?;
    secure::add_to_linker::<HostState, Own>(linker, |state| state)?;
    insecure::add_to_linker::<HostState, Own>(linker, |state| state)?;
    insecure_seed::add_to_linker::<HostState, Own>(linker, |state| state)?;
    poll::add_to_linker::<HostState, Own>(linker, |state| state)?;
    streams::add_to_linker::<HostState, Own>(linker, |state| state)?;
    stdin::add_to_linker::<HostState, Own>(linker, |state| state)?;
    stdout::add_to_linker::<HostState, Own>(linker, |state| state)?;
    stderr::add_to_linker::<HostState, Own>(linker, |state| state)?;
    environment::add_to_linker::<HostState, Own>(linker, |state| state)?;
    exit::add_to_linker::<HostState, Own>(linker, |state| state)?;
    terminal_input::add_to_linker::<HostState, Own>(linker, |state| state)?;
    terminal_output::add_to_linker::<HostState, Own>(linker, |state| state)?;
    terminal_stdin::add_to_linker::<HostState, Own>(linker, |state| state)?;
    terminal_stdout::add_to_linker::<HostState, Own>(linker, |state| state)?;
    terminal_stderr::add_to_linker::<HostState, Own>(linker, |state| state)?;
    preopens::add_to_linker::<HostState, Own>(linker, |state| state)?;
    sockets::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The answer to what a workflow may not do.
fn refuse(call: &str, instead: &str) -> Fault {
    Fault::bad_call(format!("a workflow cannot call {call}: {instead}"))
}
