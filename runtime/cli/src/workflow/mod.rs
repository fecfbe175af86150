//! `mainspring workflow`: workflow executions, with the flags of the `temporal` CLI.

mod change;
mod describe;
mod history;
mod list;
mod reset;
mod result;
mod show;
mod start;

use clap::{Args, Subcommand};
use mainspring_api::common::WorkflowExecution;

use crate::{cli::OutputArgs, connect::ConnectionArgs, failure::Outcome};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start a workflow execution and print its ids
    Start(start::StartArgs),
    /// Start a workflow execution, wait for its end and print its result
    Execute(start::StartArgs),
    /// Wait for the end of a workflow execution and print its result
    Result(result::ResultArgs),
    /// Show the history of a workflow execution
    Show(show::ShowArgs),
    /// Show the state of a workflow execution
    Describe(describe::DescribeArgs),
    /// List workflow executions
    List(list::ListArgs),
    /// Count workflow executions
    Count(list::CountArgs),
    /// Ask a workflow execution to cancel itself
    Cancel(change::CancelArgs),
    /// End a workflow execution at once; its code is not asked
    Terminate(change::TerminateArgs),
    /// Send a signal to a workflow execution
    Signal(change::SignalArgs),
    /// Make a new run of the first events of this one, and go on from there
    Reset(reset::ResetArgs),
    /// Delete a workflow execution and its history
    Delete(change::DeleteArgs),
}

/// One workflow execution.
#[derive(Debug, Args)]
struct TargetArgs {
    /// The workflow id
    #[arg(short, long, value_name = "ID")]
    workflow_id: String,
    /// The run [default: the latest run of the workflow id]
    #[arg(short, long, value_name = "ID")]
    run_id: Option<String>,
}

/// What every verb takes.
#[derive(Debug, Args)]
struct CommonArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl TargetArgs {
    fn execution(&self) -> WorkflowExecution {
        WorkflowExecution { workflow_id: self.workflow_id.clone(), run_id: self.run_id.clone().unwrap_or_default() }
    }
}

pub async fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Start(args) => start::start(args).await,
        Verb::Execute(args) => start::execute(args).await,
        Verb::Result(args) => result::result(args).await,
        Verb::Show(args) => show::show(args).await,
        Verb::Describe(args) => describe::describe(args).await,
        Verb::List(args) => list::list(args).await,
        Verb::Count(args) => list::count(args).await,
        Verb::Cancel(args) => change::cancel(args).await,
        Verb::Terminate(args) => change::terminate(args).await,
        Verb::Signal(args) => change::signal(args).await,
        Verb::Reset(args) => reset::reset(args).await,
        Verb::Delete(args) => change::delete(args).await,
    }
}
