//! Deployments: the versions of a task queue, which of them new runs get, and how many open runs each still has.

use mainspring_api::mainspring::{
    ActivateVersionRequest, ActivateVersionResponse, Activation, Deployment, DescribeDeploymentRequest,
    DescribeDeploymentResponse, ListDeploymentsRequest, ListDeploymentsResponse, OtherModule, Ramp, RampVersionRequest,
    RampVersionResponse, RollbackDeploymentRequest, RollbackDeploymentResponse, UndeployModuleRequest,
    UndeployModuleResponse, Version, VersionStatus, activate_version_request, ramp_version_request,
};
use mainspring_core::validate as core_validate;
use mainspring_engine::{Activation as By, DeployedTo, DrainReport, Need, RolledBack, VersionRef};
use mainspring_sandbox::Digest;

use super::{
    Frontend,
    module::{bad_page_token, count, digest_prefix, page_size},
};
use crate::{error::Fault, limits, validate};

/// Where something is to be done, and who asks.
fn check(frontend: &Frontend, namespace: &str, task_queue: &str, identity: &str) -> Result<String, Fault> {
    let namespace = frontend.namespace(namespace)?.name;
    validate::task_queue_name(task_queue)?;
    core_validate::optional_name("Identity", identity)?;
    Ok(namespace)
}

fn no_target() -> Fault {
    Fault::invalid("The request names no version: give a version's number or a module's digest.")
}

fn numbered(number: u32) -> Result<VersionRef, Fault> {
    match number {
        0 => Err(Fault::invalid("Versions are numbered from 1.")),
        number => Ok(VersionRef::Number(number)),
    }
}

pub async fn activate(frontend: &Frontend, request: ActivateVersionRequest) -> Result<ActivateVersionResponse, Fault> {
    let namespace = check(frontend, &request.namespace, &request.task_queue, &request.identity)?;
    let version = match request.target.ok_or_else(no_target)? {
        activate_version_request::Target::Version(number) => numbered(number)?,
        activate_version_request::Target::Digest(digest) => VersionRef::Digest(digest_prefix(&digest)?),
    };
    let engine = &frontend.engine;
    let changed = engine.activate_version(&namespace, &request.task_queue, version, &request.identity).await?;
    Ok(ActivateVersionResponse { deployment: Some(to_message(&changed.deployment)), unchanged: changed.unchanged })
}

pub async fn ramp(frontend: &Frontend, request: RampVersionRequest) -> Result<RampVersionResponse, Fault> {
    let namespace = check(frontend, &request.namespace, &request.task_queue, &request.identity)?;
    let version = match request.target.ok_or_else(no_target)? {
        ramp_version_request::Target::Version(number) => numbered(number)?,
        ramp_version_request::Target::Digest(digest) => VersionRef::Digest(digest_prefix(&digest)?),
    };
    let (task_queue, identity, percentage) = (&request.task_queue, &request.identity, request.percentage);
    let changed = frontend.engine.ramp_version(&namespace, task_queue, version, percentage, identity).await?;
    Ok(RampVersionResponse { deployment: Some(to_message(&changed.deployment)), unchanged: changed.unchanged })
}

pub async fn roll_back(
    frontend: &Frontend,
    request: RollbackDeploymentRequest,
) -> Result<RollbackDeploymentResponse, Fault> {
    let namespace = check(frontend, &request.namespace, &request.task_queue, &request.identity)?;
    let rolled_back = frontend.engine.roll_back(&namespace, &request.task_queue, &request.identity).await?;
    let ramp_ended_of = match rolled_back.0 {
        RolledBack::RampEnded { number } => number,
        RolledBack::To { .. } => 0,
    };
    Ok(RollbackDeploymentResponse { deployment: Some(to_message(&rolled_back.1)), ramp_ended_of })
}

pub async fn undeploy(frontend: &Frontend, request: UndeployModuleRequest) -> Result<UndeployModuleResponse, Fault> {
    let namespace = check(frontend, &request.namespace, &request.task_queue, "")?;
    let digest = frontend.engine.undeploy_module(&namespace, &request.task_queue).await?;
    Ok(UndeployModuleResponse { digest: digest.to_string() })
}

pub async fn describe(
    frontend: &Frontend,
    request: DescribeDeploymentRequest,
) -> Result<DescribeDeploymentResponse, Fault> {
    let namespace = check(frontend, &request.namespace, &request.task_queue, "")?;
    let DrainReport { deployment, mut open_runs } =
        frontend.engine.describe_deployment(&namespace, &request.task_queue).await?;
    let all = open_runs.values().sum();
    let versions = deployment.versions.list().iter();
    let versions = versions.map(|version| Version {
        number: version.number,
        digest: version.digest.to_string(),
        status: status(deployment.versions.needs(&version.digest).map(|(_, need)| need)).into(),
        created_time: Some(version.created.time.to_proto()),
        created_by: version.created.identity.clone(),
        activated_time: version.activated.as_ref().map(|change| change.time.to_proto()),
        activated_by: version.activated.as_ref().map_or(String::new(), |change| change.identity.clone()),
        activation: activation(version.activated_by).into(),
        deactivated_time: version.deactivated.map(|at| at.to_proto()),
        open_runs: count(open_runs.remove(&Some(version.digest)).unwrap_or_default()),
    });
    let versions = versions.collect();
    let unpinned_runs = count(open_runs.remove(&None).unwrap_or_default());
    let others = open_runs.into_iter().filter_map(|(digest, runs)| Some((digest?, runs)));
    let mut others: Vec<_> =
        others.map(|(digest, runs)| OtherModule { digest: digest.to_string(), open_runs: count(runs) }).collect();
    others.sort_by(|a, b| a.digest.cmp(&b.digest));
    Ok(DescribeDeploymentResponse {
        deployment: Some(to_message(&deployment)),
        versions,
        unpinned_runs,
        others,
        open_runs: count(all),
    })
}

pub fn list(frontend: &Frontend, request: ListDeploymentsRequest) -> Result<ListDeploymentsResponse, Fault> {
    let namespace = frontend.namespace(&request.namespace)?.name;
    let page = page_size(request.page_size, limits::MODULES_PAGE);
    let after = String::from_utf8(request.next_page_token).map_err(|_| bad_page_token())?;
    let deployments = frontend.engine.list_deployments(&namespace, &after, page)?;
    let next = deployments.last().filter(|_| deployments.len() == page);
    Ok(ListDeploymentsResponse {
        next_page_token: next.map_or(Vec::new(), |deployment| deployment.task_queue.clone().into_bytes()),
        deployments: deployments.iter().map(to_message).collect(),
    })
}

/// Where a module has been deployed.
pub fn deployed(digest: Digest, to: &DeployedTo) -> Deployment {
    match to {
        DeployedTo::Versions(deployment) => to_message(deployment),
        DeployedTo::Activities { namespace, task_queue, deployed } => Deployment {
            namespace: namespace.clone(),
            task_queue: task_queue.clone(),
            digest: digest.to_string(),
            deployed_time: Some(deployed.to_proto()),
            ..Deployment::default()
        },
    }
}

pub fn to_message(deployment: &mainspring_engine::Deployment) -> Deployment {
    let versions = &deployment.versions;
    let active = versions.active();
    let activated = active.and_then(|version| version.activated.as_ref());
    Deployment {
        namespace: deployment.namespace.clone(),
        task_queue: deployment.task_queue.clone(),
        digest: active.map_or(String::new(), |version| version.digest.to_string()),
        deployed_time: activated.map(|change| change.time.to_proto()),
        version: active.map_or(0, |version| version.number),
        ramp: versions.ramp().map(|ramp| Ramp {
            version: ramp.number,
            digest: versions.version(ramp.number).map_or(String::new(), |version| version.digest.to_string()),
            percentage: ramp.share.percentage(),
            changed_time: Some(ramp.changed.time.to_proto()),
            changed_by: ramp.changed.identity.clone(),
        }),
        previous_version: versions.previous().map_or(0, |version| version.number),
    }
}

pub fn status(need: Option<Need>) -> VersionStatus {
    match need {
        Some(Need::Active) => VersionStatus::Active,
        Some(Need::Ramping) => VersionStatus::Ramping,
        Some(Need::Previous) => VersionStatus::Previous,
        None => VersionStatus::Inactive,
    }
}

fn activation(by: By) -> Activation {
    match by {
        By::None => Activation::Unspecified,
        By::Deploy => Activation::Deploy,
        By::Activate => Activation::Activate,
        By::Rollback => Activation::Rollback,
        By::Promotion => Activation::Promotion,
    }
}
