//! `mainspring store`: data directories, and their backups.

mod backup;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use mainspring_store::{SledOptions, Store, StoreError, open_sled};
use serde_json::{Value, json};

use backup::{BackupArgs, RestoreArgs};

use crate::{
    cli::OutputArgs,
    failure::{Failure, Outcome},
    output,
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Read everything in a data directory and check it: checksums, sequence, and each run's state against its history
    Verify(VerifyArgs),
    /// Write all that a running server has stored to a file, as it is at one moment, while the server goes on
    Backup(BackupArgs),
    /// Make a data directory of a backup
    Restore(RestoreArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "No server may be running on the directory. Exits with 1 if anything is damaged, and names each \
                        damaged record."
)]
pub struct VerifyArgs {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Verify(args) => verify(&args),
        Verb::Backup(args) => backup::backup(args).await,
        Verb::Restore(args) => backup::restore(&args),
    }
}

/// What each kind of row is, by the first byte of its key.
const ROW_KINDS: [(u8, &str); 16] = [
    (b'm', "settings"),
    (b'n', "namespaces"),
    (b'c', "current runs"),
    (b'r', "run states"),
    (b'h', "history"),
    (b'a', "open activities"),
    (b't', "timers"),
    (b'w', "open workflow tasks"),
    (b'v', "visibility"),
    (b'x', "visibility index"),
    (b'd', "deployments"),
    (b'i', "modules"),
    (b'b', "module bytes"),
    (b'u', "module uses"),
    (b'y', "partial uploads"),
    (b'z', "upload parts"),
];

fn verify(args: &VerifyArgs) -> Outcome {
    let dir = &args.data_dir;
    check_not_empty(dir)?;
    let options = SledOptions { verify_on_open: false, ..SledOptions::default() };
    let store = match open_sled(dir, options) {
        Ok(store) => Arc::new(store),
        Err(error @ (StoreError::Locked { .. } | StoreError::Io { .. } | StoreError::Version { .. })) => {
            return Err(Failure::usage(error));
        }
        Err(damage) => {
            if !args.output.output.is_text() {
                let report = json!({ "dataDir": dir, "sound": false, "problems": [damage.to_string()] });
                args.output.output.print_json(&report)?;
            }
            return Err(Failure::failed(damage));
        }
    };
    let records = store.verify().map_err(Failure::failed)?;
    let mut problems: Vec<String> = records.faults.iter().map(ToString::to_string).collect();

    // Damaged records may stop the second check; what the first found is told all the same.
    let store: Arc<dyn Store> = store;
    let runs = match mainspring_engine::verify(&store) {
        Ok(report) => report,
        Err(error) => {
            problems.push(format!("the runs cannot be checked: {error}"));
            mainspring_engine::VerifyReport::default()
        }
    };
    problems.extend(runs.problems.iter().cloned());

    let format = args.output.output;
    if format.is_text() {
        let rows: u64 = records.rows.values().sum();
        let mut fields = vec![
            ("DataDir", dir.display().to_string()),
            ("Commit", records.commit.to_string()),
            ("Records", format!("{rows} ({} bytes, {} chunks), every checksum read", records.bytes, records.chunks)),
            ("Runs", format!("{} ({} open), each folded from its history", runs.runs, runs.open_runs)),
            ("Events", runs.events.to_string()),
            ("OpenActivities", runs.open_activities.to_string()),
            ("Timers", runs.timers.to_string()),
        ];
        if problems.is_empty() {
            fields.push(("Verdict", "sound".to_owned()));
        }
        output::print_text(&output::section("Store", &fields))?;
    } else {
        let by_kind: Vec<Value> =
            records.rows.iter().map(|(kind, rows)| json!({ "kind": kind_name(*kind), "rows": rows })).collect();
        format.print_json(&json!({
            "dataDir": dir,
            "sound": problems.is_empty(),
            "commit": records.commit,
            "rows": by_kind,
            "bytes": records.bytes,
            "chunks": records.chunks,
            "shards": records.shards,
            "runs": runs.runs,
            "openRuns": runs.open_runs,
            "events": runs.events,
            "openActivities": runs.open_activities,
            "timers": runs.timers,
            "problems": problems,
        }))?;
    }
    if problems.is_empty() {
        return Ok(());
    }
    let listed = problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
    let found = output::count(problems.len() as u64, "problem", "problems");
    Err(Failure::failed(anyhow!("the store is damaged: {found}{listed}")))
}

/// Opening an empty directory would make a new store there.
fn check_not_empty(dir: &Path) -> Outcome {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read the directory {}", dir.display()));
    match entries.map_err(Failure::Usage)?.next() {
        Some(_) => Ok(()),
        None => Err(Failure::Usage(anyhow!("{} is empty: there is no store in it", dir.display()))),
    }
}

fn kind_name(kind: u8) -> String {
    match ROW_KINDS.iter().find(|(known, _)| *known == kind) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("0x{kind:02x}"),
    }
}
