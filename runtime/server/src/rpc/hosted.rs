//! `mainspring.v1.ActivityService`: the activities that the server runs itself, and what they may reach.

use mainspring_api::mainspring::{
    ActivityDeployment, ActivityGrants, ChangeActivityGrantsRequest, ChangeActivityGrantsResponse, HostGrant,
    ListActivityDeploymentsRequest, ListActivityDeploymentsResponse, SecretGrant, UndeployActivitiesRequest,
    UndeployActivitiesResponse, activity_service_server::ActivityService,
};
use mainspring_engine::{GrantChange, NewSecret};
use mainspring_sandbox::SecretValue;
use tonic::Request;

use super::{Answer, Frontend, answer, module::to_module};
use crate::{
    auth::{Caller, Role, SYSTEM},
    error::Fault,
    validate,
};

#[derive(Clone)]
pub(crate) struct Activities(pub Frontend);

impl Activities {
    fn list(&self, request: &ListActivityDeploymentsRequest) -> Result<ListActivityDeploymentsResponse, Fault> {
        let namespace = self.0.namespace(&request.namespace)?.name;
        let deployments = self.0.engine.list_activity_deployments(&namespace)?;
        Ok(ListActivityDeploymentsResponse { deployments: deployments.into_iter().map(to_deployment).collect() })
    }

    async fn change(
        &self,
        caller: &Caller,
        request: ChangeActivityGrantsRequest,
    ) -> Result<ChangeActivityGrantsResponse, Fault> {
        let namespace = self.0.namespace(&request.namespace)?.name;
        validate::task_queue_name(&request.task_queue)?;
        let grant = request.grant.unwrap_or_default();
        if grant.hosts.iter().any(|host| host.allow_private) {
            // What is reached from here is the operator's network, not the tenant's.
            caller.require(SYSTEM, Role::Admin)?;
        }
        let change = GrantChange {
            revoke_all: request.revoke_all,
            revoke_hosts: request.revoke_hosts,
            revoke_environment: request.revoke_environment,
            revoke_secrets: request.revoke_secrets,
            hosts: hosts(grant.hosts),
            environment: grant.environment.into_iter().collect(),
            secrets: grant.secrets.into_iter().map(new_secret).collect(),
            revoke_scratch: request.revoke_scratch,
            scratch_bytes: grant.scratch_bytes,
        };
        let deployment = self.0.engine.change_grants(&namespace, &request.task_queue, change).await?;
        Ok(ChangeActivityGrantsResponse { deployment: Some(to_deployment(deployment)) })
    }

    async fn undeploy(&self, request: UndeployActivitiesRequest) -> Result<UndeployActivitiesResponse, Fault> {
        let namespace = self.0.namespace(&request.namespace)?.name;
        validate::task_queue_name(&request.task_queue)?;
        let digest = self.0.engine.undeploy_activities(&namespace, &request.task_queue).await?;
        Ok(UndeployActivitiesResponse { digest: digest.to_string() })
    }
}

#[tonic::async_trait]
impl ActivityService for Activities {
    async fn list_activity_deployments(
        &self,
        request: Request<ListActivityDeploymentsRequest>,
    ) -> Answer<ListActivityDeploymentsResponse> {
        answer(self.list(&request.into_inner()))
    }

    async fn change_activity_grants(
        &self,
        request: Request<ChangeActivityGrantsRequest>,
    ) -> Answer<ChangeActivityGrantsResponse> {
        let caller = Caller::of(request.extensions());
        answer(self.change(&caller, request.into_inner()).await)
    }

    async fn undeploy_activities(
        &self,
        request: Request<UndeployActivitiesRequest>,
    ) -> Answer<UndeployActivitiesResponse> {
        answer(self.undeploy(request.into_inner()).await)
    }
}

fn hosts(grants: Vec<HostGrant>) -> Vec<mainspring_engine::HostGrant> {
    let host = |grant: HostGrant| mainspring_engine::HostGrant { host: grant.host, private: grant.allow_private };
    grants.into_iter().map(host).collect()
}

fn new_secret(secret: SecretGrant) -> NewSecret {
    NewSecret { name: secret.name, value: SecretValue::new(secret.value), hosts: hosts(secret.hosts) }
}

fn to_hosts(grants: Vec<mainspring_engine::HostGrant>) -> Vec<HostGrant> {
    grants.into_iter().map(|grant| HostGrant { host: grant.host, allow_private: grant.private }).collect()
}

fn to_deployment(deployment: mainspring_engine::ActivityDeployment) -> ActivityDeployment {
    let secret = |secret: mainspring_engine::SecretName| SecretGrant {
        name: secret.name,
        value: String::new(),
        hosts: to_hosts(secret.hosts),
    };
    ActivityDeployment {
        namespace: deployment.namespace,
        task_queue: deployment.task_queue,
        module: deployment.module.map(to_module),
        deployed_time: deployment.deployed.map(|time| time.to_proto()),
        grants: Some(ActivityGrants {
            hosts: to_hosts(deployment.hosts),
            environment: deployment.environment.into_iter().collect(),
            secrets: deployment.secrets.into_iter().map(secret).collect(),
            scratch_bytes: deployment.scratch_bytes,
        }),
    }
}
