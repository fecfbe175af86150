//! `mainspring module grant`, `revoke` and `activities`: what the activities that the server runs may reach.

use std::env;

use anyhow::anyhow;
use clap::Args;
use mainspring_api::mainspring::{
    ActivityDeployment, ActivityGrants, ChangeActivityGrantsRequest, HostGrant, ListActivityDeploymentsRequest,
    SecretGrant, UndeployActivitiesRequest,
};
use serde_json::{Value, json};

use crate::{
    cli::OutputArgs,
    connect::{Client, ConnectionArgs, refused, unary},
    failure::{Failure, Outcome},
    module,
    output::{self, section},
    size,
};

const GRANTS: &str = "What activities may reach";

/// What is granted.
#[derive(Debug, Args)]
pub struct GrantFlags {
    /// Where requests may go: https://api.example.com, http://host:8080, or https://*.example.com for every name below
    /// it. Only to addresses of the public internet. Can be given several times
    #[arg(long = "allow-host", value_name = "URL", help_heading = GRANTS)]
    allow_hosts: Vec<String>,
    /// The same, and private, loopback and link-local addresses are meant as well. Needs the role admin for the whole
    /// server
    #[arg(long = "allow-private-host", value_name = "URL", help_heading = GRANTS)]
    allow_private_hosts: Vec<String>,
    /// A value that the activities read as their configuration. Can be given several times
    #[arg(long = "env", value_name = "NAME=VALUE", help_heading = GRANTS)]
    environment: Vec<String>,
    /// A secret, read from this command's environment variable, that the server puts into requests to these hosts where a
    /// header says {{secret:NAME}}; the activities never have it. Can be given several times
    #[arg(long = "secret", value_name = "NAME=VARIABLE@URL[,URL...]", help_heading = GRANTS)]
    secrets: Vec<String>,
    /// A directory for files, /scratch: empty at the start of each attempt, at most of this size, and gone at the attempt's
    /// end. In bytes, or with a unit: 64MiB
    #[arg(long, value_name = "SIZE", value_parser = size::parse, help_heading = GRANTS)]
    scratch: Option<u64>,
}

/// `mainspring module grant`
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// The task queue whose activities get it
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    #[command(flatten)]
    grants: GrantFlags,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `mainspring module revoke`
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The task queue whose activities lose it
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    /// A host that was granted. Can be given several times
    #[arg(long = "host", value_name = "URL")]
    hosts: Vec<String>,
    /// The name of a value. Can be given several times
    #[arg(long = "env", value_name = "NAME")]
    environment: Vec<String>,
    /// The name of a secret. Can be given several times
    #[arg(long = "secret", value_name = "NAME")]
    secrets: Vec<String>,
    /// The scratch directory
    #[arg(long)]
    scratch: bool,
    /// Everything
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `mainspring module activities`
#[derive(Debug, Args)]
pub struct ActivitiesArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl GrantFlags {
    pub fn is_empty(&self) -> bool {
        self.allow_hosts.is_empty()
            && self.allow_private_hosts.is_empty()
            && self.environment.is_empty()
            && self.secrets.is_empty()
            && self.scratch.is_none()
    }

    /// The values of secrets are read here.
    pub fn read(&self) -> Outcome<ActivityGrants> {
        let public = self.allow_hosts.iter().map(|host| (host, false));
        let private = self.allow_private_hosts.iter().map(|host| (host, true));
        let hosts = public.chain(private);
        let hosts = hosts.map(|(host, allow_private)| HostGrant { host: host.clone(), allow_private }).collect();
        let value = |text: &String| {
            let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            pair.ok_or_else(|| Failure::Usage(anyhow!("--env {text:?} is not NAME=VALUE")))
        };
        let environment = self.environment.iter().map(value).collect::<Outcome<_>>()?;
        let secrets = self.secrets.iter().map(|text| secret(text)).collect::<Outcome<_>>()?;
        Ok(ActivityGrants { hosts, environment, secrets, scratch_bytes: self.scratch.unwrap_or_default() })
    }
}

fn secret(text: &str) -> Outcome<SecretGrant> {
    let parts = text.split_once('=').and_then(|(name, rest)| Some((name, rest.split_once('@')?)));
    let Some((name, (variable, hosts))) = parts else {
        // The text is not shown: somebody may have written the secret itself.
        return Err(Failure::Usage(anyhow!("--secret is NAME=VARIABLE@URL, with the URLs that it may be sent to")));
    };
    let value = env::var(variable)
        .map_err(|_| Failure::Usage(anyhow!("--secret {name}: there is no environment variable {variable:?}")))?;
    let hosts = hosts.split(',').map(|host| HostGrant { host: host.to_owned(), allow_private: false }).collect();
    Ok(SecretGrant { name: name.to_owned(), value, hosts })
}

/// Grants what flags say, if anything.
pub async fn apply(client: &mut Client, task_queue: &str, flags: &GrantFlags) -> Outcome {
    if flags.is_empty() {
        return Ok(());
    }
    let request = ChangeActivityGrantsRequest {
        namespace: client.namespace.clone(),
        task_queue: task_queue.to_owned(),
        grant: Some(flags.read()?),
        ..Default::default()
    };
    change(client, request).await.map(drop)
}

async fn change(client: &mut Client, request: ChangeActivityGrantsRequest) -> Outcome<ActivityDeployment> {
    let answer = client.activities.change_activity_grants(unary(request)).await;
    let answer = answer.map_err(refused("cannot change the grants"))?;
    Ok(answer.into_inner().deployment.unwrap_or_default())
}

pub async fn grant(args: GrantArgs) -> Outcome {
    if args.grants.is_empty() {
        return Err(Failure::Usage(anyhow!("nothing to grant: give --allow-host, --env, --secret or --scratch")));
    }
    let grant = args.grants.read()?;
    let mut client = args.connection.connect().await?;
    let request = ChangeActivityGrantsRequest {
        namespace: client.namespace.clone(),
        task_queue: args.task_queue,
        grant: Some(grant),
        ..Default::default()
    };
    print("Granted", &change(&mut client, request).await?, args.output.output)
}

pub async fn revoke(args: RevokeArgs) -> Outcome {
    let nothing = args.hosts.is_empty() && args.environment.is_empty() && args.secrets.is_empty() && !args.scratch;
    if nothing && !args.all {
        return Err(Failure::Usage(anyhow!("nothing to revoke: give --host, --env, --secret, --scratch or --all")));
    }
    let mut client = args.connection.connect().await?;
    let request = ChangeActivityGrantsRequest {
        namespace: client.namespace.clone(),
        task_queue: args.task_queue,
        grant: None,
        revoke_all: args.all,
        revoke_hosts: args.hosts,
        revoke_environment: args.environment,
        revoke_secrets: args.secrets,
        revoke_scratch: args.scratch,
    };
    print("Revoked", &change(&mut client, request).await?, args.output.output)
}

pub async fn list(args: ActivitiesArgs) -> Outcome {
    let mut client = args.connection.connect().await?;
    let request = ListActivityDeploymentsRequest { namespace: client.namespace.clone() };
    let answer = client.activities.list_activity_deployments(unary(request)).await;
    let deployments = answer.map_err(refused("cannot list the activities"))?.into_inner().deployments;
    let format = args.output.output;
    if !format.is_text() {
        return module::print_rows(format, deployments.iter().map(to_json).collect());
    }
    let sections: Vec<_> =
        deployments.iter().map(|deployment| section(&deployment.task_queue, &fields(deployment))).collect();
    Ok(output::print_text(&sections.join("\n"))?)
}

/// `mainspring module undeploy --activities`; returns the digest.
pub async fn undeploy(client: &mut Client, task_queue: &str) -> Outcome<String> {
    let request = UndeployActivitiesRequest { namespace: client.namespace.clone(), task_queue: task_queue.to_owned() };
    let answer = client.activities.undeploy_activities(unary(request)).await;
    Ok(answer.map_err(refused("cannot undeploy the activities"))?.into_inner().digest)
}

fn print(title: &str, deployment: &ActivityDeployment, format: output::Format) -> Outcome {
    if !format.is_text() {
        return Ok(format.print_json(&to_json(deployment))?);
    }
    let mut shown = vec![("TaskQueue", deployment.task_queue.clone())];
    shown.extend(fields(deployment));
    Ok(output::print_text(&section(title, &shown))?)
}

fn fields(deployment: &ActivityDeployment) -> Vec<(&'static str, String)> {
    let grants = deployment.grants.clone().unwrap_or_default();
    let secret = |secret: &SecretGrant| {
        let hosts: Vec<_> = secret.hosts.iter().map(|host| host.host.as_str()).collect();
        format!("{} for {}", secret.name, hosts.join(", "))
    };
    let mut environment: Vec<_> = grants.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    environment.sort();
    let scratch = if grants.scratch_bytes == 0 { String::new() } else { size::text(grants.scratch_bytes) };
    let (activities, digest) = match &deployment.module {
        Some(module) => (module::type_names(module, "\n"), module.digest.clone()),
        None => ("none deployed".to_owned(), String::new()),
    };
    vec![
        ("Digest", digest),
        ("Activities", activities),
        ("Hosts", grants.hosts.iter().map(host).collect::<Vec<_>>().join("\n")),
        ("Values", environment.join("\n")),
        ("Secrets", grants.secrets.iter().map(secret).collect::<Vec<_>>().join("\n")),
        ("Scratch", scratch),
    ]
}

fn host(grant: &HostGrant) -> String {
    match grant.allow_private {
        true => format!("{} (private addresses too)", grant.host),
        false => grant.host.clone(),
    }
}

fn to_json(deployment: &ActivityDeployment) -> Value {
    let grants = deployment.grants.clone().unwrap_or_default();
    let hosts = |grants: &[HostGrant]| -> Vec<Value> {
        grants.iter().map(|grant| json!({ "host": grant.host, "allowPrivate": grant.allow_private })).collect()
    };
    let secret = |secret: &SecretGrant| json!({ "name": secret.name, "hosts": hosts(&secret.hosts) });
    json!({
        "namespace": deployment.namespace,
        "taskQueue": deployment.task_queue,
        "module": deployment.module.as_ref().map(module::module_json),
        "deployedTime": output::time(deployment.deployed_time.as_ref()),
        "grants": {
            "hosts": hosts(&grants.hosts),
            "environment": grants.environment,
            "secrets": grants.secrets.iter().map(secret).collect::<Vec<_>>(),
            "scratchBytes": grants.scratch_bytes.to_string(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_names_a_variable_and_hosts() {
        // Cargo sets it for every test.
        let grant = secret("KEY=CARGO_PKG_NAME@https://a.example,https://b.example").unwrap();
        assert_eq!((grant.name.as_str(), grant.value.as_str()), ("KEY", "mainspring"));
        assert_eq!(grant.hosts.len(), 2);
        for wrong in ["KEY", "KEY=CARGO_PKG_NAME", "KEY=NO_SUCH_VARIABLE@https://a.example"] {
            assert!(matches!(secret(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_secret_that_was_written_out_is_not_repeated() {
        let Err(Failure::Usage(error)) = secret("KEY=hunter2") else { panic!("it is refused") };
        assert!(!error.to_string().contains("hunter2"));
    }
}
