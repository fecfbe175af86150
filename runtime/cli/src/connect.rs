//! The way to a server, and what its refusals mean.

use std::{
    env,
    error::Error as _,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use clap::Args;
use mainspring_api::{
    mainspring::{
        access_service_client::AccessServiceClient, activity_service_client::ActivityServiceClient,
        module_service_client::ModuleServiceClient, operations_service_client::OperationsServiceClient,
        quota_service_client::QuotaServiceClient,
    },
    workflowservice::workflow_service_client::WorkflowServiceClient,
};
use tonic::{
    Code, IntoRequest, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
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
    #[command(flatten)]
    credentials: CredentialsArgs,
}

/// With what one shows who one is, and how the server shows it. The names are those of the temporal CLI.
#[derive(Debug, Default, Args)]
pub struct CredentialsArgs {
    /// An API key or a token. It is sent over TLS, but to a loopback address without [default: TEMPORAL_API_KEY]
    #[arg(long, value_name = "KEY", env = "MAINSPRING_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Speak TLS, and trust the authorities that browsers trust [default: TEMPORAL_TLS]
    #[arg(long, env = "MAINSPRING_TLS", hide_env_values = true)]
    tls: bool,
    /// Speak TLS, and trust this authority: a PEM file [default: TEMPORAL_TLS_CA]
    #[arg(long, value_name = "FILE", env = "MAINSPRING_TLS_CA_PATH", hide_env_values = true)]
    tls_ca_path: Option<PathBuf>,
    /// Show the server this certificate: a PEM file [default: TEMPORAL_TLS_CERT]
    #[arg(long, value_name = "FILE", env = "MAINSPRING_TLS_CERT_PATH", hide_env_values = true)]
    tls_cert_path: Option<PathBuf>,
    /// The private key of that certificate: a PEM file [default: TEMPORAL_TLS_KEY]
    #[arg(long, value_name = "FILE", env = "MAINSPRING_TLS_KEY_PATH", hide_env_values = true)]
    tls_key_path: Option<PathBuf>,
    /// The name that the server's certificate must have [default: TEMPORAL_TLS_SERVER_NAME, or the address's host]
    #[arg(long, value_name = "NAME", env = "MAINSPRING_TLS_SERVER_NAME", hide_env_values = true)]
    tls_server_name: Option<String>,
}

/// Puts the API key on every request.
#[derive(Clone)]
pub struct Credentials {
    authorization: Option<MetadataValue<Ascii>>,
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        Ok(request)
    }
}

/// A channel on which every request says who asks.
type Connection = InterceptedService<Channel, Credentials>;

/// A connection to a server.
pub struct Client {
    pub workflows: WorkflowServiceClient<Connection>,
    pub modules: ModuleServiceClient<Connection>,
    pub activities: ActivityServiceClient<Connection>,
    pub access: AccessServiceClient<Connection>,
    pub operations: OperationsServiceClient<Connection>,
    pub quotas: QuotaServiceClient<Connection>,
    pub namespace: String,
    pub identity: String,
}

impl ConnectionArgs {
    pub async fn connect(&self) -> Outcome<Client> {
        let address = self.address.clone().or_else(|| variable("TEMPORAL_ADDRESS"));
        let address = address.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
        let namespace = self.namespace.clone().or_else(|| variable("TEMPORAL_NAMESPACE"));
        let namespace = namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let mut client = Client::connect(&address, namespace, &self.credentials).await?;
        if let Some(identity) = &self.identity {
            client.identity.clone_from(identity);
        }
        Ok(client)
    }
}

impl Client {
    pub async fn connect(address: &str, namespace: String, credentials: &CredentialsArgs) -> Outcome<Client> {
        let endpoint = endpoint(address, credentials)?;
        let channel = endpoint.connect().await.map_err(|error| {
            let hint = match endpoint.uri().scheme_str() {
                Some("https") => {
                    "Is a server running there, does it speak TLS, and is its certificate of an authority that is trusted \
                     here (--tls-ca-path)? A server that wants a client certificate is given one with --tls-cert-path."
                }
                _ => "Is a server running there? Start one with `mainspring dev`, or name another with --address.",
            };
            Failure::Usage(anyhow!("cannot connect to {address}: {}.\n{hint}", innermost(&error)))
        })?;
        let channel = InterceptedService::new(channel, credentials.on_requests()?);
        Ok(Client {
            workflows: WorkflowServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
            activities: ActivityServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
            modules: ModuleServiceClient::new(channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX),
            access: AccessServiceClient::new(channel.clone()),
            quotas: QuotaServiceClient::new(channel.clone()),
            operations: OperationsServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX),
            namespace,
            identity: format!("mainspring-cli:{}@{}", user(), host()),
        })
    }
}

impl CredentialsArgs {
    fn api_key(&self) -> Option<String> {
        self.api_key.clone().or_else(|| variable("TEMPORAL_API_KEY"))
    }

    fn on_requests(&self) -> Outcome<Credentials> {
        let authorization = self.api_key().map(|key| {
            let mut value = MetadataValue::try_from(format!("Bearer {}", key.trim())).map_err(|_| {
                Failure::Usage(anyhow!(
                    "--api-key: it has characters that no key has; is it the whole key and no more?"
                ))
            })?;
            // Kept out of debug output.
            value.set_sensitive(true);
            Ok::<_, Failure>(value)
        });
        Ok(Credentials { authorization: authorization.transpose()? })
    }

    /// What TLS is to be spoken with, or nothing where none is spoken.
    fn tls(&self, scheme: Option<&str>, is_loopback: bool) -> Outcome<Option<ClientTlsConfig>> {
        let path = |given: &Option<PathBuf>, name| given.clone().or_else(|| variable(name).map(PathBuf::from));
        let authority = path(&self.tls_ca_path, "TEMPORAL_TLS_CA");
        let certificate = path(&self.tls_cert_path, "TEMPORAL_TLS_CERT");
        let key = path(&self.tls_key_path, "TEMPORAL_TLS_KEY");
        let name = self.tls_server_name.clone().or_else(|| variable("TEMPORAL_TLS_SERVER_NAME"));
        let asked = self.tls || variable("TEMPORAL_TLS").is_some_and(|value| value == "true" || value == "1");
        let implied = authority.is_some() || certificate.is_some() || key.is_some() || name.is_some();
        let for_the_key = self.api_key().is_some() && !is_loopback;
        match scheme {
            Some("http") if asked || implied => {
                return Err(Failure::Usage(anyhow!("--address begins with http://, and other options ask for TLS")));
            }
            Some("https") => {}
            _ if asked || implied || (for_the_key && scheme.is_none()) => {}
            _ => return Ok(None),
        }
        let mut tls = ClientTlsConfig::new();
        tls = match authority {
            Some(path) => tls.ca_certificate(Certificate::from_pem(read(&path)?)),
            None => tls.with_webpki_roots(),
        };
        if let Some(name) = name {
            tls = tls.domain_name(name);
        }
        match (certificate, key) {
            (Some(certificate), Some(key)) => {
                tls = tls.identity(Identity::from_pem(read(&certificate)?, read(&key)?));
            }
            (None, None) => {}
            _ => return Err(Failure::Usage(anyhow!("give both --tls-cert-path and --tls-key-path, or none of them"))),
        }
        Ok(Some(tls))
    }
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| Failure::Usage(anyhow!("the file {} cannot be read: {error}", path.display())))
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
        Code::Unauthenticated => {
            Some("Give an API key or a token with --api-key, or a certificate with --tls-cert-path.")
        }
        Code::PermissionDenied => {
            Some("`mainspring whoami` shows who the server takes you for, and what that permits.")
        }
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

fn endpoint(address: &str, credentials: &CredentialsArgs) -> Outcome<Endpoint> {
    let wrong = |problem: &str| Failure::Usage(anyhow!("--address {address:?} {problem}"));
    let (scheme, authority) = match address.split_once("://") {
        Some((scheme @ ("http" | "https"), authority)) => (Some(scheme), authority.trim_end_matches('/')),
        Some((scheme, _)) => return Err(wrong(&format!("has the scheme {scheme}; it can be http or https"))),
        None => (None, address),
    };
    // What follows the last colon is the port, unless that colon is inside an IPv6 address.
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:{DEFAULT_PORT}") };
    let host = authority.rsplit_once(':').map_or("", |(host, _)| host);
    let tls = credentials.tls(scheme, matches!(host, "localhost" | "127.0.0.1" | "[::1]"))?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint =
        Endpoint::from_shared(format!("{scheme}://{authority}")).map_err(|_| wrong("is not HOST:PORT"))?;
    if endpoint.uri().host().is_none_or(str::is_empty) || endpoint.uri().port_u16().is_none() {
        return Err(wrong("is not HOST:PORT"));
    }
    if let Some(tls) = tls {
        endpoint = endpoint
            .tls_config(tls)
            .map_err(|error| Failure::Usage(anyhow!("the certificates are not right: {}", innermost(&error))))?;
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
        let none = CredentialsArgs::default();
        let uri = |address: &str| endpoint(address, &none).unwrap().uri().to_string();
        assert_eq!(uri("localhost:7233"), "http://localhost:7233/");
        assert_eq!(uri("http://localhost:1/"), "http://localhost:1/");
        assert_eq!(uri("example.org"), "http://example.org:7233/");
        assert_eq!(uri("[::1]:1"), "http://[::1]:1/");
        assert_eq!(uri("[::1]"), "http://[::1]:7233/");
        assert_eq!(uri("https://example.org"), "https://example.org:7233/");
        for wrong in ["ftp://example.org:7233", "", "a b:1", ":7233", "x:", "x:y", "x:123456"] {
            assert!(matches!(endpoint(wrong, &none), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_leaves_the_machine_over_tls_only() {
        let key = CredentialsArgs { api_key: Some("k".into()), ..Default::default() };
        let uri = |address: &str| endpoint(address, &key).unwrap().uri().to_string();
        assert_eq!(uri("example.org:1"), "https://example.org:1/");
        assert_eq!(uri("127.0.0.1:1"), "http://127.0.0.1:1/");
        // Said in so many words.
        assert_eq!(uri("http://example.org:1"), "http://example.org:1/");
        let broken = CredentialsArgs { api_key: Some("a\nb".into()), ..Default::default() };
        assert!(matches!(broken.on_requests(), Err(Failure::Usage(_))));
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let half = CredentialsArgs { tls_cert_path: Some("/nowhere".into()), ..Default::default() };
        assert!(matches!(endpoint("a:1", &half), Err(Failure::Usage(_))));
        let tls = CredentialsArgs { tls: true, ..Default::default() };
        assert!(matches!(endpoint("http://a:1", &tls), Err(Failure::Usage(_))));
        assert_eq!(endpoint("a:1", &tls).unwrap().uri().to_string(), "https://a:1/");
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
