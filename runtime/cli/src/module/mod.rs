//! `mainspring module`: the components that hold workflows, and the versions of task queues that are made of them; and
//! those that hold activities.

mod upload;
mod versions;

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use futures::{Stream, stream};
use mainspring_api::mainspring::{
    DeleteModuleRequest, DeployModuleRequest, DeployModuleResponse, DeployTarget, DescribeModuleRequest,
    DownloadModuleRequest, GuestLimits, ListModulesRequest, Module, ModuleInfo, ModuleUse, RunSelection,
    VerificationSummary, VersionStatus,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tonic::IntoStreamingRequest as _;

use crate::{
    build::{self, LangArgs, Project},
    cli::OutputArgs,
    connect::{Client, ConnectionArgs, refused, unary, within},
    failure::{Failure, Outcome},
    grants::{self, ActivitiesArgs, GrantArgs, GrantFlags, RevokeArgs},
    migrate::{self, MigrateArgs},
    output::{self, section, table},
    sweep,
    verify::{self, DeployVerifyArgs, VerifyArgs},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Upload a module, check and compile it, and run new workflows of a task queue on it, or its activities
    Deploy(DeployArgs),
    /// Upload a module, check and compile it, without running anything on it yet
    Upload(upload::UploadArgs),
    /// List the modules of the namespace, and what uses them
    List(ListArgs),
    /// Show what a module holds, what it may use, and what needs it
    Describe(DescribeArgs),
    /// Save a module's bytes to a file
    Download(DownloadArgs),
    /// Delete a module that no deployment and no run needs any more
    Delete(DeleteArgs),
    /// Run new workflows of a task queue on another version. Runs that have begun keep theirs
    Activate(versions::ActivateArgs),
    /// Undo the last step: end the ramp, or go back to the version that was active before
    Rollback(versions::RollbackArgs),
    /// Run a part of a task queue's new workflows on another version
    Ramp(versions::RampArgs),
    /// Take the active version off a task queue. Runs that it started keep it until they close
    Undeploy(versions::UndeployArgs),
    /// Show the versions of a task queue, and how many open runs each still has
    Versions(versions::VersionsArgs),
    /// List the task queues that have versions, and what new runs get there
    Deployments(versions::DeploymentsArgs),
    /// Replay the runs of a task queue on a module, and name the first event at which it differs
    Verify(VerifyArgs),
    /// Move open runs to another module: those that it repeats exactly
    Migrate(MigrateArgs),
    /// List the activities that the server runs itself, and what each may reach
    Activities(ActivitiesArgs),
    /// Let the activities of a task queue reach something: hosts, values, secrets, a scratch directory
    Grant(GrantArgs),
    /// Take back what was granted
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub struct DeployArgs {
    /// The module, a .wasm file; or what to build it from first, as `mainspring build` does
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The task queue whose new workflows run on it, or whose activities it runs
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    #[command(flatten)]
    grants: GrantFlags,
    #[command(flatten)]
    lang: LangArgs,
    #[command(flatten)]
    verify: DeployVerifyArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The module's digest, or its first digits (at least 8)
    #[arg(value_name = "DIGEST")]
    digest: String,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The module's digest, or its first digits (at least 8)
    #[arg(value_name = "DIGEST")]
    digest: String,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct DownloadArgs {
    /// The module's digest, or its first digits (at least 8)
    #[arg(value_name = "DIGEST")]
    digest: String,
    /// The file to write
    #[arg(short = 'o', long, value_name = "FILE")]
    output_file: PathBuf,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Most bytes in one message of an upload.
const CHUNK_BYTES: usize = 1024 * 1024;
/// How long an upload or download may take, compiling included.
const TRANSFER_TIME: Duration = Duration::from_secs(600);

pub async fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Deploy(args) => deploy(args).await,
        Verb::List(args) => list(args).await,
        Verb::Describe(args) => describe(args).await,
        Verb::Download(args) => download(args).await,
        Verb::Delete(args) => delete(args).await,
        Verb::Upload(args) => upload::run(args).await,
        Verb::Activate(args) => versions::activate(args).await,
        Verb::Rollback(args) => versions::roll_back(args).await,
        Verb::Ramp(args) => versions::ramp(args).await,
        Verb::Undeploy(args) => versions::undeploy(args).await,
        Verb::Versions(args) => versions::versions(args).await,
        Verb::Deployments(args) => versions::deployments(args).await,
        Verb::Verify(args) => verify::verify(args).await,
        Verb::Migrate(args) => migrate::migrate(args).await,
        Verb::Activities(args) => grants::list(args).await,
        Verb::Grant(args) => grants::grant(args).await,
        Verb::Revoke(args) => grants::revoke(args).await,
    }
}

async fn deploy(args: DeployArgs) -> Outcome {
    let verify = args.verify.selection()?;
    let answer = match build::is_module(&args.path) {
        true => {
            let size_bytes = file_size(&args.path).map_err(Failure::Usage)?;
            let file = tokio::fs::File::open(&args.path).await;
            let file = file.with_context(|| format!("cannot open {}", args.path.display())).map_err(Failure::Usage)?;
            let mut client = args.connection.connect().await?;
            // First, so that no activity runs without what it needs.
            grants::apply(&mut client, &args.task_queue, &args.grants).await?;
            deploy_from(&mut client, args.task_queue, size_bytes, file, verify).await?
        }
        false => {
            let project = Project::recognise(&args.path, args.lang.lang)?;
            // Nobody wants to wait for a build to hear that there is no server.
            let mut client = args.connection.connect().await?;
            // The server checks it, so it is not checked here.
            let built = build::build(&project)?;
            grants::apply(&mut client, &args.task_queue, &args.grants).await?;
            deploy_bytes(&mut client, args.task_queue, built.bytes, verify).await?
        }
    };

    let format = args.output.output;
    if let Some(report) = answer.verification.as_ref().filter(|_| answer.deployment.is_none()) {
        return verify::refused_deployment(report.clone(), format);
    }
    let verified = answer.verification.and_then(|report| report.summary);
    let module = answer.module.unwrap_or_default();
    let deployment = answer.deployment.unwrap_or_default();
    if !format.is_text() {
        let mut json = json!({ "unchanged": answer.unchanged, "deployment": versions::deployment_json(&deployment) });
        json["module"] = module_json(&module);
        if let Some(verified) = &verified {
            json["verification"] = sweep::summary_json(verified);
        }
        return Ok(format.print_json(&json)?);
    }
    let title = if answer.unchanged { "Unchanged: this module was active already" } else { "Deployed" };
    let mut fields = vec![("TaskQueue", deployment.task_queue), ("Namespace", deployment.namespace)];
    if module.activities.is_empty() {
        fields.push(("Version", deployment.version.to_string()));
    }
    let exactly = |verified: VerificationSummary| {
        format!("{} open runs and {} closed ones replay exactly", verified.open, verified.closed)
    };
    fields.push(("Verified", verified.map(exactly).unwrap_or_default()));
    fields.extend(module_fields(&module));
    Ok(output::print_text(&section(title, &fields))?)
}

/// Deploys a module that is in memory.
pub async fn deploy_bytes(
    client: &mut Client,
    task_queue: String,
    bytes: Vec<u8>,
    verify: Option<RunSelection>,
) -> Outcome<DeployModuleResponse> {
    deploy_from(client, task_queue, bytes.len() as u64, std::io::Cursor::new(bytes), verify).await
}

async fn deploy_from(
    client: &mut Client,
    task_queue: String,
    size_bytes: u64,
    module: impl AsyncRead + Unpin + Send + 'static,
    verify: Option<RunSelection>,
) -> Outcome<DeployModuleResponse> {
    let (namespace, identity) = (client.namespace.clone(), client.identity.clone());
    let target = DeployTarget { namespace, task_queue, size_bytes, identity, verify };
    let mut request = messages(target, module).into_streaming_request();
    request.set_timeout(TRANSFER_TIME);
    let answer = client.modules.deploy_module(request).await.map_err(refused("cannot deploy the module"))?;
    Ok(answer.into_inner())
}

/// The file's size, if it can be a module at all.
fn file_size(path: &Path) -> anyhow::Result<u64> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !metadata.is_file() {
        return Err(anyhow!("{} is not a file", path.display()));
    }
    match metadata.len() {
        0 => Err(anyhow!("{} is empty", path.display())),
        size => Ok(size),
    }
}

/// The messages of an upload. One that cannot be read ends early, and the server says that it is truncated.
fn messages(
    target: DeployTarget,
    module: impl AsyncRead + Unpin + Send + 'static,
) -> impl Stream<Item = DeployModuleRequest> + Send {
    let first = DeployModuleRequest { target: Some(target), chunk: vec![] };
    let chunks = stream::unfold(module, |mut module| async move {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        match (&mut module).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((DeployModuleRequest { target: None, chunk }, module)),
            Err(error) => {
                tracing::error!(%error, "the module cannot be read to its end");
                None
            }
        }
    });
    futures::StreamExt::chain(stream::iter([first]), chunks)
}

async fn list(args: ListArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let mut modules: Vec<ModuleInfo> = Vec::new();
    let mut next_page_token = Vec::new();
    loop {
        let request = ListModulesRequest { namespace: client.namespace.clone(), next_page_token, ..Default::default() };
        let answer = client.modules.list_modules(unary(request)).await.map_err(refused("cannot list the modules"))?;
        let answer = answer.into_inner();
        modules.extend(answer.modules);
        next_page_token = answer.next_page_token;
        if next_page_token.is_empty() {
            break;
        }
    }
    let format = args.output.output;
    if !format.is_text() {
        let rows = modules.iter().map(|info| {
            json!({
                "module": module_json(&info.module.clone().unwrap_or_default()),
                "uses": info.uses.iter().map(use_json).collect::<Vec<_>>(),
                "openRuns": info.open_runs,
            })
        });
        return print_rows(format, rows.collect());
    }
    let rows: Vec<_> = modules
        .into_iter()
        .map(|info| {
            let module = info.module.unwrap_or_default();
            let in_use = info.uses.iter().filter(|of| of.status() != VersionStatus::Inactive);
            let uses = in_use.map(|of| format!("{} ({})", of.task_queue, use_status(of)));
            [
                short(&module.digest),
                module.size_bytes.to_string(),
                output::time(module.uploaded_time.as_ref()),
                info.open_runs.to_string(),
                uses.collect::<Vec<_>>().join(", "),
                type_names(&module, ", "),
            ]
        })
        .collect();
    let headings = ["Digest", "Bytes", "Uploaded", "OpenRuns", "TaskQueues", "Holds"];
    Ok(output::print_text(&table(headings, &rows))?)
}

pub fn print_rows(format: output::Format, rows: Vec<Value>) -> Outcome {
    if format == output::Format::Jsonl {
        for row in &rows {
            format.print_json(row)?;
        }
        return Ok(());
    }
    Ok(format.print_json(&Value::Array(rows))?)
}

async fn describe(args: DescribeArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let request = DescribeModuleRequest { namespace: client.namespace.clone(), digest: args.digest };
    let answer = client.modules.describe_module(unary(request)).await.map_err(refused("cannot describe the module"))?;
    let answer = answer.into_inner();
    let module = answer.module.unwrap_or_default();
    let format = args.output.output;
    if !format.is_text() {
        let uses: Vec<_> = answer.uses.iter().map(use_json).collect();
        let limits = limits_json(&answer.limits.unwrap_or_default());
        let mut json = json!({ "module": module_json(&module), "uses": uses, "openRuns": answer.open_runs });
        json["limits"] = limits;
        return Ok(format.print_json(&json)?);
    }
    let limits = answer.limits.unwrap_or_default();
    let mut text = section("Module", &module_fields(&module));
    text.push_str(&section("Limits of each run", &limit_fields(&limits)));
    let mut rows = Vec::new();
    for of in answer.uses {
        let status = use_status(&of).to_owned();
        rows.push([of.task_queue, versions::number(of.version), status, of.open_runs.to_string()]);
    }
    match rows.is_empty() {
        true => text.push_str("No task queue uses it, and no open run needs it.\n"),
        false => {
            text.push_str("Task queues:\n");
            text.push_str(&table(["TaskQueue", "Version", "Status", "OpenRuns"], &rows));
        }
    }
    Ok(output::print_text(&text)?)
}

async fn delete(args: DeleteArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let request = DeleteModuleRequest { namespace: client.namespace.clone(), digest: args.digest };
    let answer = client.modules.delete_module(unary(request)).await.map_err(refused("cannot delete the module"))?;
    let digest = answer.into_inner().digest;
    let format = args.output.output;
    if !format.is_text() {
        return Ok(format.print_json(&json!({ "namespace": client.namespace, "digest": digest }))?);
    }
    Ok(output::print_text(&section("Deleted", &[("Digest", digest)]))?)
}

async fn download(args: DownloadArgs) -> Outcome {
    let path = &args.output_file;
    let mut client = args.connection.connect().await?;
    let request = DownloadModuleRequest { namespace: client.namespace.clone(), digest: args.digest };
    let refuse = refused("cannot download the module");
    let answer = client.modules.download_module(within(TRANSFER_TIME, request)).await.map_err(&refuse)?;
    let mut chunks = answer.into_inner();
    let cannot_write = || format!("cannot write {}", path.display());
    // Only a whole module appears under the name: a part of one would be taken for it.
    let partial = path.with_extension("part");
    let mut file = File::create(&partial).with_context(cannot_write).map_err(Failure::Usage)?;
    let mut bytes = 0;
    let received = async {
        while let Some(message) = chunks.message().await.map_err(&refuse)? {
            file.write_all(&message.chunk).with_context(cannot_write).map_err(Failure::Failed)?;
            bytes += message.chunk.len();
        }
        fs::rename(&partial, path).with_context(cannot_write).map_err(Failure::Failed)
    };
    if let Err(failure) = received.await {
        let _ = fs::remove_file(&partial);
        return Err(failure);
    }
    eprintln!("{bytes} bytes written to {}", path.display());
    Ok(())
}

fn module_fields(module: &Module) -> Vec<(&'static str, String)> {
    vec![
        ("Digest", module.digest.clone()),
        ("Bytes", module.size_bytes.to_string()),
        ("Uploaded", output::time(module.uploaded_time.as_ref())),
        ("By", module.uploaded_by.clone()),
        ("Language", module.language.clone()),
        (if module.activities.is_empty() { "Workflows" } else { "Activities" }, type_names(module, "\n")),
        ("Imports", module.imports.join("\n")),
    ]
}

/// The workflow types of a module, or its activity types.
pub fn type_names(module: &Module, separator: &str) -> String {
    let workflows = module.workflows.iter().map(|workflow| workflow.name.as_str());
    let activities = module.activities.iter().map(|activity| activity.name.as_str());
    workflows.chain(activities).collect::<Vec<_>>().join(separator)
}

pub fn module_json(module: &Module) -> Value {
    json!({
        "digest": module.digest,
        "sizeBytes": module.size_bytes.to_string(),
        "workflows": module.workflows.iter().map(|workflow| json!({ "name": workflow.name })).collect::<Vec<_>>(),
        "activities": module.activities.iter().map(|activity| json!({ "name": activity.name })).collect::<Vec<_>>(),
        "imports": module.imports,
        "uploadedTime": output::time(module.uploaded_time.as_ref()),
        "uploadedBy": module.uploaded_by,
        "language": module.language,
    })
}

fn use_json(of: &ModuleUse) -> Value {
    json!({
        "taskQueue": of.task_queue,
        "version": of.version,
        "status": versions::status_name(of.status()),
        "openRuns": of.open_runs,
        "activities": of.activities,
    })
}

/// What the task queue has it for.
fn use_status(of: &ModuleUse) -> &'static str {
    if of.activities { "activities" } else { versions::status_name(of.status()) }
}

fn limit_fields(limits: &GuestLimits) -> Vec<(&'static str, String)> {
    vec![
        ("MemoryBytes", limits.memory_bytes.to_string()),
        ("TableElements", limits.table_elements.to_string()),
        ("FuelPerActivation", limits.fuel_per_activation.to_string()),
        ("ActivationTime", format!("{} ms", limits.activation_time_ms)),
        ("CommandsPerActivation", limits.commands_per_activation.to_string()),
        ("CommandBytesPerActivation", limits.command_bytes_per_activation.to_string()),
        ("LogBytesPerActivation", limits.log_bytes_per_activation.to_string()),
    ]
}

fn limits_json(limits: &GuestLimits) -> Value {
    json!({
        "memoryBytes": limits.memory_bytes.to_string(),
        "tableElements": limits.table_elements.to_string(),
        "fuelPerActivation": limits.fuel_per_activation.to_string(),
        "activationTimeMs": limits.activation_time_ms.to_string(),
        "commandsPerActivation": limits.commands_per_activation.to_string(),
        "commandBytesPerActivation": limits.command_bytes_per_activation.to_string(),
        "logBytesPerActivation": limits.log_bytes_per_activation.to_string(),
    })
}

/// Enough digits of a digest for people, and for this program's own arguments.
fn short(digest: &str) -> String {
    digest.get(..12).unwrap_or(digest).to_owned()
}
