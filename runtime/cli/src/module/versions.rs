//! The versions of task queues: which module new workflows run on.

use anyhow::anyhow;
use clap::Args;
use mainspring_api::mainspring::{
    ActivateVersionRequest, Activation, Deployment, DescribeDeploymentRequest, ListDeploymentsRequest,
    RampVersionRequest, RollbackDeploymentRequest, UndeployModuleRequest, Version, VersionStatus,
    activate_version_request, ramp_version_request,
};
use serde_json::{Value, json};

use super::{print_rows, short};
use crate::{
    cli::OutputArgs,
    connect::{Client, ConnectionArgs, refused, unary},
    failure::{Failure, Outcome},
    grants,
    output::{self, Format, count, section, table},
    verify::{self, DeployVerifyArgs},
};

#[derive(Debug, Args)]
pub struct ActivateArgs {
    /// The version's number; or the digest of a module of the namespace, or its first digits (at least 8)
    #[arg(value_name = "VERSION")]
    version: String,
    /// The task queue whose new workflows run on it
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    #[command(flatten)]
    verify: DeployVerifyArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Each rollback goes one step further back. Runs that have begun keep the version they began on."
)]
pub struct RollbackArgs {
    /// The task queue to roll back
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Which new runs get it depends on their workflow ids alone: a start that is repeated finds the same \
                  version, and a larger percentage only adds to those that get it."
)]
pub struct RampArgs {
    /// The version's number; or the digest of a module of the namespace, or its first digits (at least 8)
    #[arg(value_name = "VERSION")]
    version: String,
    /// The task queue
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    /// The part of new workflows that run on it, 0 to 100: 0 ends the ramp, 100 activates the version
    #[arg(short, long, value_name = "PERCENT", allow_negative_numbers = true)]
    percentage: f64,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct UndeployArgs {
    /// The task queue to take the active version off
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    /// Take off the module of activities, with all its grants, and not the version of workflows
    #[arg(long)]
    activities: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct VersionsArgs {
    /// The task queue
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub struct DeploymentsArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A version's number, if it is one: digests, and their prefixes, are longer.
fn as_number(version: &str) -> Option<u32> {
    version.parse().ok().filter(|_| version.len() < 8)
}

pub async fn activate(args: ActivateArgs) -> Outcome {
    let runs = args.verify.selection()?;
    let mut client = args.connection.connect().await?;
    let format = args.output.output;
    if let Some(runs) = runs {
        let digest = digest_of(&mut client, &args.task_queue, &args.version).await?;
        let summary = verify::before_activation(&mut client, &args.task_queue, digest, runs, format).await?;
        eprintln!("{} open runs and {} closed ones replay exactly", summary.open, summary.closed);
    }
    let request = ActivateVersionRequest {
        namespace: client.namespace.clone(),
        task_queue: args.task_queue,
        target: Some(match as_number(&args.version) {
            Some(number) => activate_version_request::Target::Version(number),
            None => activate_version_request::Target::Digest(args.version),
        }),
        identity: client.identity.clone(),
    };
    let answer = client.modules.activate_version(unary(request)).await;
    let answer = answer.map_err(refused("cannot activate the version"))?.into_inner();
    let title = if answer.unchanged { "Unchanged: this version was active already" } else { "Activated" };
    print(args.output.output, title, answer.unchanged, &answer.deployment.unwrap_or_default())
}

/// The digest that a version's number stands for; what is no number is one already.
async fn digest_of(client: &mut Client, task_queue: &str, version: &str) -> Outcome<String> {
    let Some(number) = as_number(version) else { return Ok(version.to_owned()) };
    let request = DescribeDeploymentRequest { namespace: client.namespace.clone(), task_queue: task_queue.to_owned() };
    let described = client.modules.describe_deployment(unary(request)).await;
    let versions = described.map_err(refused("cannot activate the version"))?.into_inner().versions;
    let found = versions.into_iter().find(|version| version.number == number);
    found
        .map(|version| version.digest)
        .ok_or_else(|| Failure::Failed(anyhow!("task queue {task_queue:?} has no version {number}")))
}

pub async fn ramp(args: RampArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let request = RampVersionRequest {
        namespace: client.namespace.clone(),
        task_queue: args.task_queue,
        target: Some(match as_number(&args.version) {
            Some(number) => ramp_version_request::Target::Version(number),
            None => ramp_version_request::Target::Digest(args.version),
        }),
        percentage: args.percentage,
        identity: client.identity.clone(),
    };
    let answer = client.modules.ramp_version(unary(request)).await.map_err(refused("cannot ramp the version"))?;
    let answer = answer.into_inner();
    let deployment = answer.deployment.unwrap_or_default();
    let title = match (answer.unchanged, &deployment.ramp) {
        (true, _) => "Unchanged",
        (false, Some(_)) => "Ramping",
        (false, None) if args.percentage > 0.0 => "Activated",
        (false, None) => "The ramp has ended",
    };
    print(args.output.output, title, answer.unchanged, &deployment)
}

pub async fn roll_back(args: RollbackArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let request = RollbackDeploymentRequest {
        namespace: client.namespace.clone(),
        task_queue: args.task_queue,
        identity: client.identity.clone(),
    };
    let answer = client.modules.rollback_deployment(unary(request)).await.map_err(refused("cannot roll back"))?;
    let answer = answer.into_inner();
    let title = match answer.ramp_ended_of {
        0 => "Rolled back".to_owned(),
        number => format!("The ramp of version {number} has ended"),
    };
    print(args.output.output, &title, false, &answer.deployment.unwrap_or_default())
}

pub async fn undeploy(args: UndeployArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let task_queue = args.task_queue;
    let digest = match args.activities {
        true => grants::undeploy(&mut client, &task_queue).await?,
        false => {
            let request = UndeployModuleRequest { namespace: client.namespace.clone(), task_queue: task_queue.clone() };
            let answer = client.modules.undeploy_module(unary(request)).await;
            answer.map_err(refused("cannot undeploy the module"))?.into_inner().digest
        }
    };
    let format = args.output.output;
    if !format.is_text() {
        let json = json!({ "namespace": client.namespace, "taskQueue": task_queue, "digest": digest });
        return Ok(format.print_json(&json)?);
    }
    Ok(output::print_text(&section("Undeployed", &[("TaskQueue", task_queue), ("Digest", digest)]))?)
}

pub async fn versions(args: VersionsArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let request = DescribeDeploymentRequest { namespace: client.namespace.clone(), task_queue: args.task_queue };
    let answer = client.modules.describe_deployment(unary(request)).await;
    let answer = answer.map_err(refused("cannot show the versions"))?.into_inner();
    let deployment = answer.deployment.unwrap_or_default();
    let format = args.output.output;
    if !format.is_text() {
        let others = answer.others.iter().map(|other| json!({ "digest": other.digest, "openRuns": other.open_runs }));
        return Ok(format.print_json(&json!({
            "deployment": deployment_json(&deployment),
            "versions": answer.versions.iter().map(version_json).collect::<Vec<_>>(),
            "unpinnedRuns": answer.unpinned_runs,
            "others": others.collect::<Vec<_>>(),
            "openRuns": answer.open_runs,
        }))?);
    }
    let mut rows = Vec::new();
    for version in answer.versions.iter().rev() {
        rows.push([
            version.number.to_string(),
            short(&version.digest),
            status_name(version.status()).to_owned(),
            output::time(version.activated_time.as_ref()),
            activation_name(version.activation()).to_owned(),
            version.open_runs.to_string(),
        ]);
    }
    for other in answer.others {
        rows.push([
            "-".into(),
            short(&other.digest),
            String::new(),
            String::new(),
            String::new(),
            other.open_runs.to_string(),
        ]);
    }
    let mut text = section("Deployment", &deployment_fields(&deployment));
    text.push_str("Versions:\n");
    text.push_str(&table(["Version", "Digest", "Status", "Activated", "By", "OpenRuns"], &rows));
    if answer.unpinned_runs > 0 {
        let runs = count(u64::try_from(answer.unpinned_runs).unwrap_or_default(), "open run", "open runs");
        text.push_str(&format!("{runs} had no turn yet, and no version.\n"));
    }
    Ok(output::print_text(&text)?)
}

pub async fn deployments(args: DeploymentsArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let mut deployments: Vec<Deployment> = Vec::new();
    let mut next_page_token = Vec::new();
    loop {
        let namespace = client.namespace.clone();
        let request = ListDeploymentsRequest { namespace, next_page_token, ..Default::default() };
        let answer = client.modules.list_deployments(unary(request)).await;
        let answer = answer.map_err(refused("cannot list the deployments"))?.into_inner();
        deployments.extend(answer.deployments);
        next_page_token = answer.next_page_token;
        if next_page_token.is_empty() {
            break;
        }
    }
    let format = args.output.output;
    if !format.is_text() {
        return print_rows(format, deployments.iter().map(deployment_json).collect());
    }
    let row = |deployment: &Deployment| {
        [
            deployment.task_queue.clone(),
            number(deployment.version),
            short(&deployment.digest),
            output::time(deployment.deployed_time.as_ref()),
            ramp_text(deployment),
        ]
    };
    let rows: Vec<_> = deployments.iter().map(row).collect();
    Ok(output::print_text(&table(["TaskQueue", "Version", "Digest", "Activated", "Ramp"], &rows))?)
}

fn print(format: Format, title: &str, unchanged: bool, deployment: &Deployment) -> Outcome {
    if !format.is_text() {
        let json = json!({ "unchanged": unchanged, "deployment": deployment_json(deployment) });
        return Ok(format.print_json(&json)?);
    }
    Ok(output::print_text(&section(title, &deployment_fields(deployment)))?)
}

fn deployment_fields(deployment: &Deployment) -> Vec<(&'static str, String)> {
    let active = match deployment.version {
        0 => "no version".to_owned(),
        number => format!("version {number} ({})", short(&deployment.digest)),
    };
    let rollback = match (&deployment.ramp, deployment.previous_version) {
        (Some(_), _) => "ends the ramp".to_owned(),
        (None, 0) => String::new(),
        (None, number) => format!("to version {number}"),
    };
    vec![
        ("TaskQueue", deployment.task_queue.clone()),
        ("Namespace", deployment.namespace.clone()),
        ("NewRuns", active),
        ("Ramp", ramp_text(deployment)),
        ("Rollback", rollback),
    ]
}

fn ramp_text(deployment: &Deployment) -> String {
    let ramp = deployment.ramp.as_ref();
    ramp.map_or(String::new(), |ramp| {
        format!("version {} ({}), {} %", ramp.version, short(&ramp.digest), ramp.percentage)
    })
}

/// A version's number; a dash for none.
pub fn number(number: u32) -> String {
    if number == 0 { "-".to_owned() } else { number.to_string() }
}

pub fn status_name(status: VersionStatus) -> &'static str {
    match status {
        VersionStatus::Unspecified => "",
        VersionStatus::Active => "active",
        VersionStatus::Ramping => "ramping",
        VersionStatus::Previous => "previous",
        VersionStatus::Inactive => "inactive",
    }
}

fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Unspecified => "",
        Activation::Deploy => "deploy",
        Activation::Activate => "activate",
        Activation::Rollback => "rollback",
        Activation::Promotion => "ramp",
    }
}

pub fn deployment_json(deployment: &Deployment) -> Value {
    json!({
        "namespace": deployment.namespace,
        "taskQueue": deployment.task_queue,
        "version": deployment.version,
        "digest": deployment.digest,
        "deployedTime": output::time(deployment.deployed_time.as_ref()),
        "previousVersion": deployment.previous_version,
        "ramp": deployment.ramp.as_ref().map(|ramp| json!({
            "version": ramp.version,
            "digest": ramp.digest,
            "percentage": ramp.percentage,
            "changedTime": output::time(ramp.changed_time.as_ref()),
            "changedBy": ramp.changed_by,
        })),
    })
}

fn version_json(version: &Version) -> Value {
    json!({
        "version": version.number,
        "digest": version.digest,
        "status": status_name(version.status()),
        "createdTime": output::time(version.created_time.as_ref()),
        "createdBy": version.created_by,
        "activatedTime": output::time(version.activated_time.as_ref()),
        "activatedBy": version.activated_by,
        "activation": activation_name(version.activation()),
        "deactivatedTime": output::time(version.deactivated_time.as_ref()),
        "openRuns": version.open_runs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_by_its_number_or_by_a_digest() {
        assert_eq!(as_number("3"), Some(3));
        for digest in ["12345678", "ab12cd34", &"1".repeat(64)] {
            assert_eq!(as_number(digest), None);
        }
        assert_eq!(as_number("-1"), None);
    }
}
