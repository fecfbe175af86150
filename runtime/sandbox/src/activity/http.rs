//! Outgoing HTTP: what a deployment's grants permit, and nothing else.
//!
//! A request is held against the grants as it leaves the guest. The host's name is resolved here, once, and the
//! connection goes to an address that was checked; a name that leads to a private address leads nowhere. Redirects are
//! answers like any other: a guest that follows one makes a request of its own, which is checked like the first.
//! Secrets are put in after all of that, where no guest code runs any more.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, uri::Scheme};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, Sleep, timeout},
};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, io::TokioIo, p2};

use super::{
    ActivityAccount, ActivityLimits, Grants, HostRule,
    grants::{Target, is_public},
    output::Output,
    tls,
};

/// Addresses of one name that are tried.
const ADDRESSES_TRIED: usize = 4;
/// How long resolving a name, and connecting to one address, may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Most headers of a response.
const HEADERS_MAX: usize = 100;
/// Buffer for a response's head: longer heads are refused.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const PLACEHOLDER_BEGIN: &str = "{{secret:";
const PLACEHOLDER_END: &str = "}}";

type Connection = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(Response<WasiBody>, Connection), Error>;

/// Sends the requests of one attempt.
pub struct Outbound {
    grants: Arc<Grants>,
    output: Output,
    account: Option<Arc<dyn ActivityAccount>>,
    requests_left: usize,
    open: Arc<AtomicUsize>,
    open_max: usize,
    body_bytes: usize,
    time: Duration,
}

impl Outbound {
    pub fn new(
        grants: Arc<Grants>,
        limits: &ActivityLimits,
        output: Output,
        account: Option<Arc<dyn ActivityAccount>>,
    ) -> Outbound {
        Outbound {
            grants,
            output,
            account,
            requests_left: limits.http_requests,
            open: Arc::default(),
            open_max: limits.http_concurrent,
            body_bytes: limits.http_body_bytes,
            time: limits.http_time,
        }
    }

    /// Holds a request against the grants and the limits; what comes back may be sent.
    fn admit(&mut self, request: &mut Request<WasiBody>) -> Result<(Target, HostRule, OpenRequest), Error> {
        let https = request.uri().scheme() != Some(&Scheme::HTTP);
        let authority = request.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        let target = Target::of(https, &authority).ok_or(Error::HttpRequestUriInvalid)?;
        let Some(rule) = self.grants.rule_for(&target).cloned() else {
            self.output.note(&format!("a request to {target} was refused: the deployment has no grant for this host"));
            return Err(Error::HttpRequestDenied);
        };
        if request.method() == Method::CONNECT {
            self.output.note(&format!("a request to {target} was refused: no tunnel can be had"));
            return Err(Error::HttpRequestDenied);
        }
        if self.requests_left == 0 {
            self.output.note(&format!("a request to {target} was refused: the attempt has made all that it may"));
            return Err(Error::HttpRequestDenied);
        }
        let open = OpenRequest::begin(&self.open, self.open_max).ok_or(Error::ConnectionLimitReached)?;
        put_in_secrets(&self.grants, &target, request.headers_mut()).map_err(|problem| {
            self.output.note(&format!("a request to {target} was refused: {problem}"));
            Error::HttpRequestDenied
        })?;
        if !self.account.as_ref().is_none_or(|account| account.may_request()) {
            self.output.note(&format!("a request to {target} was refused: the namespace makes too many each second"));
            return Err(Error::ConnectionLimitReached);
        }
        self.requests_left -= 1;
        Ok((target, rule, open))
    }
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Connection,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let admitted = self.admit(&mut request);
        let (output, body_bytes, time) = (self.output.clone(), self.body_bytes, self.time);
        Box::new(async move {
            let (target, rule, open) = admitted?;
            let bounds = Bounds { body_bytes, until: Instant::now() + time, options: options.unwrap_or_default() };
            let stream = connect(&target, &rule, &output, &bounds).await?;
            match target.https {
                true => exchange(tls_within(&target, stream, &bounds).await?, request, bounds, open).await,
                false => exchange(stream, request, bounds, open).await,
            }
        })
    }

    // What goes wrong with a guest's peer is the guest's to know: nothing for the server's own log.

    fn p2_error_from_hyper(&mut self, _error: &hyper::Error) -> p2::bindings::http::types::ErrorCode {
        p2::bindings::http::types::ErrorCode::HttpProtocolError
    }

    fn p2_error_from_connect(&mut self, _error: &std::io::Error) -> p2::bindings::http::types::ErrorCode {
        p2::bindings::http::types::ErrorCode::ConnectionRefused
    }

    fn p2_error_from_tls(&mut self, _error: &std::io::Error) -> p2::bindings::http::types::ErrorCode {
        p2::bindings::http::types::ErrorCode::TlsProtocolError
    }
}

struct Bounds {
    body_bytes: usize,
    until: Instant,
    options: RequestOptions,
}

impl Bounds {
    fn within(&self, asked: Option<Duration>, most: Duration) -> Duration {
        asked.unwrap_or(most).min(most).min(self.until.saturating_duration_since(Instant::now()))
    }
}

/// Counts a request among those that are under way, until it is dropped.
struct OpenRequest(Arc<AtomicUsize>);

impl OpenRequest {
    fn begin(open: &Arc<AtomicUsize>, most: usize) -> Option<OpenRequest> {
        let mine = OpenRequest(open.clone());
        (open.fetch_add(1, Ordering::AcqRel) < most).then_some(mine)
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Replaces `{{secret:NAME}}` in the values of headers, where the secret was granted for this target.
fn put_in_secrets(grants: &Grants, target: &Target, headers: &mut HeaderMap) -> Result<(), String> {
    for value in headers.values_mut() {
        let Ok(text) = value.to_str() else { continue };
        if !text.contains(PLACEHOLDER_BEGIN) {
            continue;
        }
        let mut replaced = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(PLACEHOLDER_BEGIN) {
            let Some((name, after)) = after.split_once(PLACEHOLDER_END) else {
                return Err("a header begins the name of a secret and does not end it".into());
            };
            let secret = grants.secrets.iter().find(|secret| secret.name == name);
            let secret = secret.ok_or_else(|| format!("the deployment has no secret {name:?}"))?;
            if !secret.hosts.iter().any(|rule| rule.permits(target)) {
                return Err(format!("secret {name:?} was not granted for this host"));
            }
            replaced.push_str(before);
            replaced.push_str(secret.value.reveal());
            rest = after;
        }
        replaced.push_str(rest);
        let mut header = HeaderValue::try_from(replaced)
            .map_err(|_| "a secret has characters that no header may have".to_owned())?;
        header.set_sensitive(true);
        *value = header;
    }
    Ok(())
}

/// Connects to an address of the target that may be reached.
async fn connect(target: &Target, rule: &HostRule, output: &Output, bounds: &Bounds) -> Result<TcpStream, Error> {
    let resolved = tokio::net::lookup_host((target.host.as_str(), target.port));
    let resolved = timeout(bounds.within(bounds.options.connect_timeout, CONNECT_TIME), resolved).await;
    let addresses: Vec<SocketAddr> = resolved
        .map_err(|_| Error::DnsTimeout)?
        .map_err(|_| Error::DnsError { rcode: None, info_code: None })?
        .collect();
    if addresses.is_empty() {
        return Err(Error::DnsError { rcode: None, info_code: None });
    }
    let permitted: Vec<_> = addresses.into_iter().filter(|at| rule.private || is_public(at.ip())).collect();
    if permitted.is_empty() {
        output.note(&format!(
            "a request to {target} was refused: its address is none of the public internet, and the grant does not say \
             that it may be"
        ));
        return Err(Error::DestinationIpProhibited);
    }
    let mut failed = Error::ConnectionTimeout;
    for address in permitted.into_iter().take(ADDRESSES_TRIED) {
        let wait = bounds.within(bounds.options.connect_timeout, CONNECT_TIME);
        match timeout(wait, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = Error::Connect(error),
            Err(_) => failed = Error::ConnectionTimeout,
        }
    }
    Err(failed)
}

async fn tls_within(
    target: &Target,
    stream: TcpStream,
    bounds: &Bounds,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, Error> {
    let wait = bounds.within(bounds.options.connect_timeout, CONNECT_TIME);
    timeout(wait, tls::connect(&target.host, stream)).await.map_err(|_| Error::ConnectionTimeout)?
}

/// Sends a request on a connection of its own, and receives the head of the response.
async fn exchange<S>(stream: S, mut request: Request<WasiBody>, bounds: Bounds, open: OpenRequest) -> Answer
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let too_large = Arc::new(AtomicUsize::new(0));
    let request = request.map({
        let too_large = too_large.clone();
        let (bytes, until) = (bounds.body_bytes, bounds.until);
        move |body| Bounded::new(body, Side::Request(too_large), bytes, until, None).boxed_unsync()
    });
    // It runs beside: the response's body comes through it.
    let connection = AbortOnDrop(tokio::spawn(connection));
    let first_byte =
        bounds.within(bounds.options.first_byte_timeout, bounds.until.saturating_duration_since(Instant::now()));
    let response = match timeout(first_byte, sender.send_request(request)).await {
        Err(_) => return Err(Error::ConnectionReadTimeout),
        Ok(Err(_)) if too_large.load(Ordering::Acquire) > 0 => {
            return Err(Error::HttpRequestBodySize(Some(bounds.body_bytes as u64)));
        }
        Ok(Err(error)) => return Err(error.into()),
        Ok(Ok(response)) => response,
    };
    let between = bounds.options.between_bytes_timeout;
    let response = response.map(|body| {
        let body = body.map_err(Error::from).boxed_unsync();
        let side = Side::Response { _open: open, _connection: connection };
        Bounded::new(body, side, bounds.body_bytes, bounds.until, between).boxed_unsync()
    });
    Ok((response, Box::new(async { Ok(()) })))
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whose body it is, and what lives as long as the body does.
enum Side {
    /// Counts up when the body was too large: hyper does not hand the error through.
    Request(Arc<AtomicUsize>),
    Response {
        _open: OpenRequest,
        _connection: AbortOnDrop<Result<(), hyper::Error>>,
    },
}

/// A body that ends in an error when it is too large, or takes too long.
struct Bounded {
    body: WasiBody,
    side: Side,
    bytes_left: usize,
    bytes_max: usize,
    until: Instant,
    between: Option<Duration>,
    deadline: Pin<Box<Sleep>>,
}

impl Bounded {
    fn new(body: WasiBody, side: Side, bytes: usize, until: Instant, between: Option<Duration>) -> Bounded {
        let mut bounded = Bounded {
            body,
            side,
            bytes_left: bytes,
            bytes_max: bytes,
            until,
            between,
            deadline: Box::pin(tokio::time::sleep_until(until)),
        };
        bounded.wait_anew();
        bounded
    }

    fn wait_anew(&mut self) {
        if let Some(between) = self.between {
            self.deadline.as_mut().reset(self.until.min(Instant::now() + between));
        }
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            ready!(self.deadline.as_mut().poll(context));
            return Poll::Ready(Some(Err(match self.side {
                Side::Request(_) => Error::ConnectionWriteTimeout,
                Side::Response { .. } => Error::HttpResponseTimeout,
            })));
        };
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        if bytes > self.bytes_left {
            let most = Some(self.bytes_max as u64);
            return Poll::Ready(Some(Err(match &self.side {
                Side::Request(too_large) => {
                    too_large.fetch_add(1, Ordering::AcqRel);
                    Error::HttpRequestBodySize(most)
                }
                Side::Response { .. } => Error::HttpResponseBodySize(most),
            })));
        }
        self.bytes_left -= bytes;
        self.wait_anew();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::grants::SecretValue, *};
    use crate::activity::SecretGrant;

    fn grants() -> Grants {
        let hosts = vec!["https://api.example.com".parse().unwrap()];
        let secret = SecretGrant { name: "KEY".into(), value: SecretValue::new("s3cret".into()), hosts };
        Grants { secrets: vec![secret], ..Grants::default() }
    }

    fn put_in(host: &str, value: &str) -> Result<HeaderValue, String> {
        let target = Target::of(true, host).unwrap();
        let mut headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::try_from(value).unwrap())]);
        put_in_secrets(&grants(), &target, &mut headers)?;
        Ok(headers.remove(http::header::AUTHORIZATION).unwrap())
    }

    #[test]
    fn a_secret_is_put_in_where_it_was_granted() {
        let header = put_in("api.example.com", "Bearer {{secret:KEY}}, again {{secret:KEY}}!").unwrap();
        assert_eq!(header, "Bearer s3cret, again s3cret!");
        assert!(header.is_sensitive());
        assert_eq!(put_in("api.example.com", "nothing of the kind").unwrap(), "nothing of the kind");
    }

    #[test]
    fn it_is_put_in_nowhere_else() {
        assert!(put_in("evil.example.com", "{{secret:KEY}}").unwrap_err().contains("not granted for this host"));
        assert!(put_in("api.example.com", "{{secret:OTHER}}").unwrap_err().contains("no secret \"OTHER\""));
        assert!(put_in("api.example.com", "{{secret:KEY").unwrap_err().contains("does not end"));
    }
}
