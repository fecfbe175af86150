//! `mainspring`: the server and everything that one asks of it, in one binary.
//!
//! **What it does.** `dev` and `server` run the whole server in this process; `module`, `workflow`, `quota`,
//! `usage` and `key` are clients that speak gRPC, like anybody else's; `replay` and most of `store` work on files, without a server; `build` and `new` are for
//! those who write workflows. `compile-module`, which no help shows, is the process that a server starts for each upload.
//!
//! **What it never does.** It decides nothing about workflows: it turns flags into requests and answers into text. Data
//! goes to stdout, everything else to stderr. It exits with 0 where what was asked was done, with 1 where it was not
//! (the workflow failed, the replay diverged, the request was refused, the server failed), and with 2 where it could
//! not even be asked (wrong flags, an unreadable file, no connection).
//!
//! **Where to start.** [`cli`] is the one definition of all verbs; each group of verbs then has a file of its own.

// Temporal marks fields as deprecated that its own CLI still prints.
#![allow(deprecated)]

mod build;
mod cli;
mod compile;
mod connect;
mod duration;
mod failure;
mod grants;
mod key;
mod logging;
mod migrate;
mod module;
mod new;
mod output;
mod payload;
mod quota;
mod replay;
mod replay_store;
mod server;
mod size;
mod store;
mod sweep;
mod usage;
mod verify;
mod watch;
mod workflow;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
