//! `mainspring replay`: a history against a module, without a server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use mainspring_api::{
    history::{History, HistoryEvent, WorkflowExecutionStartedEventAttributes, history_event::Attributes},
    json::history_from_json,
};
use mainspring_core::RunState;
use mainspring_sandbox::{
    Digest, ModuleBytes, ModuleSource, ReplayReport, RunKey, Sandbox, SandboxConfig, TaskFailure, TaskFailureKind,
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::{
    cli::OutputArgs,
    failure::{Failure, Outcome},
    output,
    replay_store::{self, StoredRunsArgs},
};

#[derive(Debug, Args)]
#[command(
    after_help = "Make a history with `mainspring workflow show --workflow-id ID --output json > FILE.json`, or \
                        `--output-file FILE.bin`. Exits with 1 if the module does not repeat a history, and names \
                        the first event that differs."
)]
pub struct ReplayArgs {
    /// The histories, one or several: JSON as `workflow show --output json` prints it, or in a .bin file an encoded
    /// temporal.api.history.v1.History
    #[arg(long = "history", value_name = "FILE", required_unless_present = "data_dir", num_args = 1..)]
    histories: Vec<PathBuf>,
    /// The data directory of a server that has stopped: the open runs in it and the latest closed ones are replayed
    #[arg(long, value_name = "DIR", conflicts_with_all = ["histories", "run_id"])]
    data_dir: Option<PathBuf>,
    /// The module to run
    #[arg(long, value_name = "FILE")]
    module: PathBuf,
    /// The namespace that the workflow sees, which histories do not hold; with --data-dir: whose runs are replayed
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// The run id that the workflow sees; with one history only [default: the original run id in the first event]
    #[arg(short, long, value_name = "ID")]
    run_id: Option<String>,
    #[command(flatten)]
    stored: StoredRunsArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The module that was given, for a sandbox that has it loaded.
struct InHand {
    digest: Digest,
    bytes: Vec<u8>,
}

impl ModuleBytes for InHand {
    fn module_bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        Ok((*digest == self.digest).then(|| self.bytes.clone()))
    }
}

/// How one history ended.
struct Replayed {
    json: Value,
    result: Result<String, anyhow::Error>,
}

pub fn run(args: &ReplayArgs) -> Outcome {
    if let Some(data_dir) = &args.data_dir {
        return replay_store::replay(data_dir, &args.module, &args.namespace, &args.stored, args.output.output);
    }
    if args.stored.chooses() {
        return Err(Failure::Usage(anyhow!("--query and the samples choose runs of a --data-dir, which is missing")));
    }
    let several = args.histories.len() > 1;
    if several && args.run_id.is_some() {
        return Err(Failure::Usage(anyhow!("--run-id belongs to one history, and {} are given", args.histories.len())));
    }
    let histories = args.histories.iter().map(|path| read_history(path)).collect::<Result<Vec<_>, _>>();
    let histories = histories.map_err(Failure::Usage)?;
    let module = fs::read(&args.module).with_context(|| format!("cannot read the module {}", args.module.display()));
    let module = module.map_err(Failure::Usage)?;
    let sandbox = Sandbox::new(SandboxConfig::default()).map_err(Failure::failed)?;
    let loaded = sandbox.load(&module).with_context(|| format!("cannot use the module {}", args.module.display()));
    // Known by its digest from here on: to check and to hash a large module once more takes longer than many a replay.
    let module = InHand { digest: loaded.map_err(Failure::Usage)?.digest, bytes: module };

    let format = args.output.output;
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    for (path, events) in args.histories.iter().zip(&histories) {
        let mut replayed = replay(args, path, &sandbox, &module, events);
        match replayed.result {
            Ok(text) if format.is_text() => output::print_text(&text)?,
            Ok(_) => {}
            Err(error) if several => failures.push(error.context(format!("{}", path.display()))),
            Err(error) => failures.push(error),
        }
        if several {
            replayed.json["history"] = json!(path);
        }
        reports.push(replayed.json);
    }
    if !format.is_text() {
        match several {
            true => format.print_json(&Value::Array(reports))?,
            false => format.print_json(&reports.pop().unwrap_or_default())?,
        }
    }
    let (failed, all) = (failures.len(), histories.len());
    match failures.into_iter().next() {
        None => Ok(()),
        Some(first) if !several => Err(Failure::Failed(first)),
        Some(first) => Err(Failure::Failed(anyhow!("{failed} of {all} histories do not replay; the first: {first:#}"))),
    }
}

fn replay(args: &ReplayArgs, path: &Path, sandbox: &Sandbox, module: &InHand, events: &[HistoryEvent]) -> Replayed {
    let started = started(events);
    let run = RunKey {
        namespace: args.namespace.clone(),
        workflow_id: started.workflow_id.clone(),
        run_id: args.run_id.clone().unwrap_or_else(|| started.original_execution_run_id.clone()),
    };
    // What cannot be a history at all is found without running anything.
    if let Err(bad) = RunState::fold(&run.run_id, events) {
        return Replayed {
            json: json!({ "outcome": "badHistory", "eventId": bad.event_id, "problem": bad.problem }),
            result: Err(anyhow!("{} is no valid history: {bad}", path.display())),
        };
    }
    let source = ModuleSource::Stored { digest: module.digest, modules: module };
    match sandbox.replay(&source, &run, events) {
        Ok(report) => {
            let workflow_type = started.workflow_type.unwrap_or_default().name;
            Replayed {
                json: success_json(&report, &run, &workflow_type),
                result: Ok(success_text(&report, &run, &workflow_type)),
            }
        }
        Err(failure) => {
            let digest = module.digest.to_string();
            Replayed { json: failure_json(&failure, &digest), result: Err(failure_error(&failure)) }
        }
    }
}

fn read_history(path: &Path) -> anyhow::Result<Vec<HistoryEvent>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read the history {}", path.display()))?;
    let events = match path.extension().is_some_and(|extension| extension == "bin") {
        true => {
            let history = History::decode(bytes.as_slice());
            let context = || format!("{} is no encoded temporal.api.history.v1.History", path.display());
            history.with_context(context)?.events
        }
        false => {
            let text = String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8 text", path.display()))?;
            history_from_json(&text).with_context(|| format!("{} is no history", path.display()))?
        }
    };
    ensure!(!events.is_empty(), "{} holds no events", path.display());
    Ok(events)
}

/// What the first event says of the run; nothing where it is not what a first event must be.
fn started(events: &[HistoryEvent]) -> WorkflowExecutionStartedEventAttributes {
    match events.first().and_then(|event| event.attributes.as_ref()) {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => started.clone(),
        _ => WorkflowExecutionStartedEventAttributes::default(),
    }
}

fn success_text(report: &ReplayReport, run: &RunKey, workflow_type: &str) -> String {
    let recorded = match &report.recorded_digest {
        Some(_) if report.same_module() => "this module".to_owned(),
        Some(digest) => format!("{digest} (another module, which issued the same commands)"),
        None => "none yet".to_owned(),
    };
    output::section(
        "Replayed exactly",
        &[
            ("WorkflowId", run.workflow_id.clone()),
            ("RunId", run.run_id.clone()),
            ("Type", workflow_type.to_owned()),
            ("Events", report.events.to_string()),
            ("Activations", report.activations.to_string()),
            ("Commands", format!("{} compared, all equal", report.commands)),
            ("Fuel", report.fuel_used.to_string()),
            ("Module", report.module_digest.to_string()),
            ("RecordedOn", recorded),
        ],
    )
}

fn success_json(report: &ReplayReport, run: &RunKey, workflow_type: &str) -> Value {
    json!({
        "outcome": "exact",
        "workflowId": run.workflow_id,
        "runId": run.run_id,
        "type": workflow_type,
        "events": report.events,
        "activations": report.activations,
        "commands": report.commands,
        "fuelUsed": report.fuel_used,
        "moduleDigest": report.module_digest.to_string(),
        "recordedDigest": report.recorded_digest,
        "sameModule": report.same_module(),
    })
}

fn failure_json(failure: &TaskFailure, digest: &str) -> Value {
    let mut json = json!({
        "outcome": "failed",
        "type": failure.kind.failure_type(),
        "message": failure.to_string(),
        "moduleDigest": digest,
    });
    match &failure.kind {
        TaskFailureKind::Nondeterminism { event_id, expected, actual } => {
            json["outcome"] = json!("diverged");
            json["eventId"] = json!(event_id);
            json["journal"] = json!(expected);
            json["module"] = json!(actual);
        }
        TaskFailureKind::HistoryUnreadable { event_id } => {
            json["outcome"] = json!("badHistory");
            json["eventId"] = json!(event_id);
        }
        _ => {}
    }
    json
}

fn failure_error(failure: &TaskFailure) -> anyhow::Error {
    let message = failure.to_string();
    let TaskFailureKind::Nondeterminism { event_id, expected, actual } = &failure.kind else {
        let trace = &failure.failure.stack_trace;
        let trace = if trace.is_empty() { String::new() } else { format!("\n{trace}") };
        return anyhow!("the replay failed: {message}{trace}");
    };
    // The message ends with what helps to understand it, such as which field differs.
    let notes = message.rsplit_once(actual.as_str()).map(|(_, notes)| notes).unwrap_or(&message);
    let notes = notes.split("; ").map(str::trim).filter(|note| !note.is_empty());
    let notes: String = notes.map(|note| format!("\n  {note}")).collect();
    anyhow!(
        "the replay diverged at event {event_id}\n  the journal has: {expected}\n  the module:      {actual}{notes}"
    )
}
