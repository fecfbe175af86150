//! `mainspring compile-module`: the process that a server starts to compile one upload.

use std::{env, ffi::OsString};

use anyhow::anyhow;
use clap::Args;
use mainspring_sandbox::{CompilerLimits, compile_module};

use crate::failure::{Failure, Outcome};

const VERB: &str = "compile-module";

#[derive(Debug, Args)]
pub struct CompileArgs {
    /// Address space of this process, in bytes
    #[arg(long, value_name = "N")]
    memory_bytes: u64,
    /// Processor time of this process, in seconds
    #[arg(long, value_name = "N")]
    processor_seconds: u64,
    /// Wasm stack that the server gives to a guest, in bytes
    #[arg(long, value_name = "N")]
    stack_bytes: usize,
}

/// How a server starts it.
pub fn command() -> Vec<OsString> {
    // On Linux this very program, even where an update has put another one in its place since.
    let program = match cfg!(target_os = "linux") {
        true => Some("/proc/self/exe".into()),
        false => env::current_exe().ok().map(OsString::from),
    };
    vec![program.unwrap_or_else(|| "mainspring".into()), VERB.into()]
}

pub fn run(args: &CompileArgs) -> Outcome {
    let CompileArgs { memory_bytes, processor_seconds, stack_bytes } = *args;
    compile_module(&CompilerLimits { memory_bytes, processor_seconds, stack_bytes })
        .map_err(|message| Failure::Failed(anyhow!(message)))
}
