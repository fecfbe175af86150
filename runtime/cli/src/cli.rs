//! All verbs and their flags, from which help is made as well.

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::{
    build::{self, BuildArgs},
    compile::{self, CompileArgs},
    failure::{Failure, Outcome},
    key, logging, module,
    new::{self, NewArgs},
    output::{self, Format},
    quota, replay, server, store, usage, workflow,
};

/// Durable workflows in one binary, behind Temporal's gRPC API.
#[derive(Debug, Parser)]
#[command(
    name = "mainspring",
    bin_name = "mainspring",
    version,
    // Help that depends on the terminal cannot be checked, and reads differently in every bug report.
    term_width = 100,
    max_term_width = 100,
    after_help = "Data goes to stdout, everything else to stderr. Exit codes: 0 done; 1 what was asked for failed or \
                  was refused; 2 wrong usage, an unreadable file or no connection.\n\nLog lines: MAINSPRING_LOG takes \
                  a filter such as \"info\" or \"warn,mainspring_engine=debug\" (default info)."
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a whole server for development: loopback only, namespace "default" ready
    Dev(server::DevArgs),
    /// Run a server from a configuration file
    Server(server::ServerArgs),
    /// Write a new project: a workflow that builds and runs, and a test
    New(NewArgs),
    /// Build a workflow's source into a module, and check it
    Build(BuildArgs),
    /// Deploy and inspect modules: the WebAssembly components that hold workflows
    #[command(subcommand)]
    Module(module::Verb),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Key(key::Verb),
    /// Show who the server takes you for, and what you may do
    Whoami(key::WhoAmIArgs),
    /// Start, inspect and change workflow executions
    #[command(subcommand)]
    Workflow(workflow::Verb),
    /// Show and set what a namespace may use
    #[command(subcommand)]
    Quota(quota::Verb),
    /// Show what a namespace uses
    Usage(usage::UsageArgs),
    /// Run a module against a recorded history, offline, and compare every command
    Replay(replay::ReplayArgs),
    /// Check a data directory, back a server up, and restore
    #[command(subcommand)]
    Store(store::Verb),
    /// What a server starts to compile an upload: a module on stdin, an answer for that server on stdout
    #[command(hide = true)]
    CompileModule(CompileArgs),
    /// Print a script that completes verbs and flags in a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "For bash: mainspring completions bash > /etc/bash_completion.d/mainspring\nFor others, put the \
                        script where they look for completions; zsh wants it in a file _mainspring on its fpath."
)]
struct CompletionsArgs {
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// How to print the result: text for people, json or jsonl (one object on each line) for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

pub fn run(cli: Cli) -> Outcome {
    match cli.verb {
        Verb::Dev(args) => server::dev(args),
        Verb::Server(args) => server::server(args),
        Verb::Module(verb) => client(module::run(verb)),
        Verb::Workflow(verb) => client(workflow::run(verb)),
        Verb::Key(verb) => client(key::run(verb)),
        Verb::Whoami(args) => client(key::who_am_i(args)),
        Verb::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "mainspring", &mut script);
            Ok(output::print_text(&String::from_utf8_lossy(&script))?)
        }
        Verb::Quota(verb) => client(quota::run(verb)),
        Verb::Usage(args) => client(usage::run(args)),
        Verb::New(args) => new::run(&args),
        Verb::Build(args) => {
            logging::start_client();
            build::run(&args)
        }
        Verb::CompileModule(args) => compile::run(&args),
        Verb::Replay(args) => {
            logging::start_client();
            replay::run(&args)
        }
        Verb::Store(verb) => client(store::run(verb)),
    }
}

fn client(work: impl Future<Output = Outcome>) -> Outcome {
    logging::start_client();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::failed)?.block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_has_no_contradictions() {
        super::Cli::command().debug_assert();
    }
}
