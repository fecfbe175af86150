//! `mainspring replay --data-dir`: the runs of a store that no server uses, on a module.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, anyhow};
use clap::Args;
use mainspring_api::mainspring::{VerificationSummary, run_selection::Sample as AskedSample};
use mainspring_engine::{EngineError, RunSelection, Sample};
use mainspring_sandbox::{Sandbox, SandboxConfig};
use mainspring_server::to_run_verification;
use mainspring_store::{SledOptions, Store, open_sled};

use crate::{
    failure::{Failure, Outcome},
    output::Format,
    sweep::{self, RunsArgs},
    verify::Told,
};

/// Which runs of a store.
#[derive(Debug, Args)]
pub struct StoredRunsArgs {
    /// With --data-dir: only runs of this task queue [default: all]
    #[arg(short, long, value_name = "NAME", requires = "data_dir")]
    task_queue: Option<String>,
    /// With --data-dir: only runs of this type [default: all]
    #[arg(long = "type", value_name = "NAME", requires = "data_dir")]
    workflow_type: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// With --data-dir: how many closed runs, those that closed last [default: 100]
    #[arg(long, value_name = "NUMBER", requires = "data_dir")]
    closed: Option<u32>,
}

impl StoredRunsArgs {
    /// Whether any of the flags is given that needs no other.
    pub fn chooses(&self) -> bool {
        self.runs.is_given()
    }

    fn selection(&self) -> RunSelection {
        let closed = self.closed.unwrap_or(sweep::CLOSED_RUNS);
        RunSelection {
            task_queue: self.task_queue.clone().unwrap_or_default(),
            workflow_type: self.workflow_type.clone().unwrap_or_default(),
            query: self.runs.query().to_owned(),
            open: match self.runs.selection(closed).sample {
                None => Sample::All,
                Some(AskedSample::Count(count)) => Sample::Count(count as usize),
                Some(AskedSample::Percent(percent)) => Sample::Percent(percent),
            },
            closed: closed as usize,
        }
    }
}

pub fn replay(data_dir: &Path, module: &Path, namespace: &str, args: &StoredRunsArgs, format: Format) -> Outcome {
    let bytes = fs::read(module).with_context(|| format!("cannot read the module {}", module.display()));
    let bytes = bytes.map_err(Failure::Usage)?;
    let entries = fs::read_dir(data_dir).with_context(|| format!("cannot read the directory {}", data_dir.display()));
    // Opening an empty directory would make a new store there.
    if entries.map_err(Failure::Usage)?.next().is_none() {
        return Err(Failure::Usage(anyhow!("{} is empty: there is no store in it", data_dir.display())));
    }
    let options = SledOptions { verify_on_open: false, ..SledOptions::default() };
    let store: Arc<dyn Store> = Arc::new(open_sled(data_dir, options).map_err(Failure::usage)?);
    let sandbox = Sandbox::new(SandboxConfig::default()).map_err(Failure::failed)?;
    let mut told = Told::new(format);
    let begun = mainspring_engine::verify_stored(store, sandbox, namespace, bytes, args.selection());
    let (digest, mut runs) = begun.map_err(|error| match error {
        EngineError::Module(_) => {
            Failure::Usage(anyhow!(error).context(format!("cannot use the module {}", module.display())))
        }
        EngineError::NamespaceNotFound(_) | EngineError::InvalidQuery(_) | EngineError::Rejected(_) => {
            Failure::usage(error)
        }
        error => Failure::failed(error),
    })?;
    let mut summary = mainspring_engine::VerificationSummary::default();
    while let Some(run) = runs.blocking_next() {
        let run = run.map_err(Failure::failed)?;
        summary.add(&run);
        if !run.verdict.is_exact() {
            told.run(to_run_verification(run))?;
        }
    }
    let mainspring_engine::VerificationSummary { open, closed, exact, diverged, failed } = summary;
    let summary = VerificationSummary { digest: digest.to_string(), open, closed, exact, diverged, failed };
    told.end(&summary, "Replayed")
}
