//! `wasi:cli` and `wasi:filesystem/preopens`: an empty environment.

use wasmtime::component::Resource;
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::{
        DynInputStream, DynOutputStream,
        bindings::{
            cli::{
                environment, exit, stderr, stdin, stdout,
                terminal_input::{self, HostTerminalInput, TerminalInput},
                terminal_output::{self, HostTerminalOutput, TerminalOutput},
                terminal_stderr, terminal_stdin, terminal_stdout,
            },
            filesystem::preopens,
        },
    },
};

use super::{
    super::HostState,
    io::{STDERR, STDIN, STDOUT},
    refuse,
};

const RETURN_INSTEAD: &str = "return a status from the workflow instead";

impl environment::Host for HostState {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl exit::Host for HostState {
    fn exit(&mut self, _status: Result<(), ()>) -> wasmtime::Result<()> {
        Err(refuse("wasi:cli/exit.exit", RETURN_INSTEAD).into())
    }

    fn exit_with_code(&mut self, _status_code: u8) -> wasmtime::Result<()> {
        Err(refuse("wasi:cli/exit.exit-with-code", RETURN_INSTEAD).into())
    }
}

impl stdin::Host for HostState {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        Ok(Resource::new_own(STDIN))
    }
}

impl stdout::Host for HostState {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        Ok(Resource::new_own(STDOUT))
    }
}

impl stderr::Host for HostState {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        Ok(Resource::new_own(STDERR))
    }
}

impl terminal_input::Host for HostState {}
impl HostTerminalInput for HostState {
    fn drop(&mut self, _terminal: Resource<TerminalInput>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl terminal_output::Host for HostState {}
impl HostTerminalOutput for HostState {
    fn drop(&mut self, _terminal: Resource<TerminalOutput>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl terminal_stdin::Host for HostState {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<TerminalInput>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for HostState {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_stderr::Host for HostState {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        Ok(None)
    }
}

impl preopens::Host for HostState {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        Ok(Vec::new())
    }
}
