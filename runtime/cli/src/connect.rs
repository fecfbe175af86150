//! The way to a server, and what its refusals mean.

use std::{env, error::Error as _, fs, os::unix::fs::MetadataExt as _, time::Duration};

use anyhow::anyhow;
use clap::Args;
use mainspring_api::{
    mainspring::{module_service_client::ModuleServiceClient, quota_service_client::QuotaServiceClient},
    workflowservice::workflow_service_client::WorkflowServiceClient,
};
use tonic::{
    Code, IntoRequest, Request, Status,
    transport::{Channel, Endpoint},
};

use crate::failure::{Failure, Outcome};

const DEFAULT_ADDRESS: &str = "127.0.0.1:7233";
const DEFAULT_PORT: &str = "7233";
pub const DEFAULT_NAMESPACE: &str = "default";
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long an answer may take that waits for nothing but the server's disk.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long a poll may be held: above what servers hold them.
pub const POLL_TIME: Duration = Duration::from_secs(90);
/// A server that is silent for this long, though a call is under way, is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Largest answer, in bytes: a page of history with payloads of the largest size.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Which server, and who asks.
#[derive(Debug, Args)]
pub struct ConnectionArgs {
    /// The server [default: TEMPORAL_ADDRESS, or 127.0.0.1:7233]
    #[arg(long, value_name = "HOST:PORT", env = "MAINSPRING_ADDRESS", hide_env_values = true)]
    address: Option<String>,
    /// The namespace [default: TEMPORAL_NAMESPACE, or "default"]
    #[arg(short, long, value_name = "NAME", env = "MAINSPRING_NAMESPACE", hide_env_values = true)]
    namespace: Option<String>,
    /// Who asks, as histories tell it [default: mainspring-cli:USER@HOST]
    #[arg(long, value_name = "TEXT")]
    identity: Option<String>,
}

/// A connection to a server.
pub struct Client {
    pub workflows: WorkflowServiceClient<Channel>,
    pub modules: ModuleServiceClient<Channel>,
    pub quotas: QuotaServiceClient<Channel>,
    pub namespace: String,
    pub identity: String,
}

impl ConnectionArgs {
    pub async fn connect(&self) -> Outcome<Client> {
        let address = self.address.clone().or_else(|| variable("TEMPORAL_ADDRESS"));
        let address = address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
        let namespace = self.namespace.clone().or_else(|| variable("TEMPORAL_NAMESPACE"));
        let namespace = namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let mut client = Client::connect(&address, namespace).await?;
        if let Some(identity) = &self.identity {
            client.identity.clone_from(identity);
        }
        Ok(client)
    }
}

impl Client {
    pub async fn connect(address: &str, namespace: String) -> Outcome<Client> {
        let channel = endpoint(address)?.connect().await.map_err(|error| {
            let hint = "Is a server running there? Start one with `mainspring dev`, or name another with --address.";
            Failure::Usage(anyhow!("cannot connect to {address}: {}.\n{hint}", innermost(&error)))
        })?;
        Ok(Client {
            workflows: WorkflowServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
            quotas: QuotaServiceClient::new(channel.clone()),
            modules: ModuleServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX),
            namespace,
            identity: format!("mainspring-cli:{}@{}", user(), host()),
        })
    }
}

/// A request whose answer does not wait for anything to happen.
pub fn unary<T>(message: T) -> Request<T> {
    within(ANSWER_TIME, message)
}

/// A request whose answer may take this long.
pub fn within<T>(time: Duration, message: T) -> Request<T> {
    let mut request = message.into_request();
    request.set_timeout(time);
    request
}

/// Turns a refusal into a failure; `doing` says what was asked, such as "cannot start the workflow".
pub fn refused(doing: &'static str) -> impl Fn(Status) -> Failure {
    move |status| {
        if let Some(transport) = status.source().and_then(|source| source.downcast_ref::<tonic::transport::Error>()) {
            return Failure::Usage(anyhow!("{doing}: the connection was lost: {}", innermost(transport)));
        }
        let message = match status.message() {
            "" => "the server gives no reason",
            message => message,
        };
        let hint = hint(status.code()).map(|hint| format!("\n{hint}")).unwrap_or_default();
        Failure::Failed(anyhow!("{doing}: {message} ({}){hint}", code_name(status.code())))
    }
}

/// What a refusal leaves to do.
fn hint(code: Code) -> Option<&'static str> {
    match code {
        Code::NotFound => Some("Check the ids that were given, and --namespace."),
        Code::AlreadyExists => {
            Some("Give another --workflow-id, or say with --id-conflict-policy or --id-reuse-policy what to do then.")
        }
        Code::ResourceExhausted | Code::Unavailable | Code::Aborted => Some("Try again in a while."),
        Code::DeadlineExceeded | Code::Cancelled => {
            Some("The server took too long. What was asked may have been done all the same.")
        }
        Code::Unimplemented => Some("This server does not offer that."),
        Code::Internal | Code::DataLoss | Code::Unknown => Some("The server's log tells more."),
        Code::PermissionDenied | Code::Unauthenticated => Some("This server wants credentials for that."),
        _ => None,
    }
}

/// As gRPC spells its codes: NOT_FOUND.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

fn endpoint(address: &str) -> Outcome<Endpoint> {
    let wrong = |problem: &str| Failure::Usage(anyhow!("--address {address:?} {problem}"));
    let authority = match address.split_once("://") {
        Some(("http", authority)) => authority.trim_end_matches('/'),
        Some((scheme, _)) => return Err(wrong(&format!("has the scheme {scheme}, and only http is supported"))),
        None => address,
    };
    // What follows the last colon is the port, unless that colon is inside an IPv6 address.
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let uri = if has_port { format!("http://{authority}") } else { format!("http://{authority}:{DEFAULT_PORT}") };
    let endpoint = Endpoint::from_shared(uri).map_err(|_| wrong("is not HOST:PORT"))?;
    if endpoint.uri().host().is_none_or(str::is_empty) || endpoint.uri().port_u16().is_none() {
        return Err(wrong("is not HOST:PORT"));
    }
    Ok(endpoint.connect_timeout(CONNECT_TIME).http2_keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Who runs this process.
pub fn user() -> String {
    variable("USER").or_else(|| variable("LOGNAME")).or_else(account).unwrap_or_else(|| "unknown".to_owned())
}

/// The name of this process's account, where no variable has it: in containers, mostly.
fn account() -> Option<String> {
    let id = fs::metadata("/proc/self").ok()?.uid().to_string();
    let accounts = fs::read_to_string("/etc/passwd").ok()?;
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields.into_iter().find(|fields| fields.get(2) == Some(&id.as_str())).map(|fields| fields[0].to_owned())
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| variable("HOSTNAME"));
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_with_and_without_scheme_and_port() {
        let uri = |address: &str| endpoint(address).unwrap().uri().to_string();
        assert_eq!(uri("localhost:7233"), "http://localhost:7233/");
        assert_eq!(uri("http://localhost:1/"), "http://localhost:1/");
        assert_eq!(uri("example.org"), "http://example.org:7233/");
        assert_eq!(uri("[::1]:1"), "http://[::1]:1/");
        assert_eq!(uri("[::1]"), "http://[::1]:7233/");
        for wrong in ["https://example.org:7233", "", "a b:1", ":7233", "x:", "x:y", "x:123456"] {
            assert!(matches!(endpoint(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_refusal_has_its_message_its_code_and_what_to_do() {
        let failure = refused("cannot describe the workflow")(Status::not_found("workflow not found for ID: a"));
        let Failure::Failed(error) = failure else { panic!("{failure:?}") };
        assert_eq!(
            error.to_string(),
            "cannot describe the workflow: workflow not found for ID: a (NOT_FOUND)\nCheck the ids that were given, and \
             --namespace."
        );
    }

    #[test]
    fn codes_are_spelled_as_grpc_spells_them() {
        assert_eq!(code_name(Code::NotFound), "NOT_FOUND");
        assert_eq!(code_name(Code::FailedPrecondition), "FAILED_PRECONDITION");
    }
}
