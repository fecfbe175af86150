//! HTTP requests, to the hosts that the deployment was granted.
//!
//! ```no_run
//! # use mainspring_activity::prelude::*;
//! fn charge(order: u64) -> ActivityResult<String> {
//!     let response = Request::post("https://api.example.com/charges")
//!         // The server puts the secret in where no code of this module runs any more.
//!         .header("authorization", "Bearer {{secret:API_KEY}}")
//!         .json(&order)?
//!         .send()?
//!         .ok()?;
//!     Ok(response.json()?)
//! }
//! ```
//!
//! Redirects are not followed: a response of status 302 is a response. A secret is put into headers, and only for the
//! hosts that it was granted for.

use std::{error::Error, fmt, time::Duration};

use mainspring_workflow::ApplicationFailure;
use serde::{Serialize, de::DeserializeOwned};

/// A request that is not sent yet.
#[derive(Clone, Debug)]
#[must_use]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    timeout: Option<Duration>,
}

/// What came back, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// Names in lower case, as they came otherwise.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no response: the host refused the request, or the peer did not answer.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpError(String);

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for HttpError {}

impl Request {
    /// A request of this method, such as `PUT`.
    pub fn new(method: &str, url: &str) -> Request {
        Request { method: method.to_owned(), url: url.to_owned(), headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// A GET.
    pub fn get(url: &str) -> Request {
        Request::new("GET", url)
    }

    /// A POST.
    pub fn post(url: &str) -> Request {
        Request::new("POST", url)
    }

    /// Adds a header. `{{secret:NAME}}` in the value stands for a secret of the deployment.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Request {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// Sets the body to a value as JSON, and its content type.
    pub fn json(self, value: &impl Serialize) -> Result<Request, serde_json::Error> {
        let body = serde_json::to_vec(value)?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// How long the peer may take to connect, and to begin its answer.
    pub fn timeout(mut self, timeout: Duration) -> Request {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it, and waits for the whole response.
    ///
    /// # Errors
    /// Where there is no response, whatever the reason. A status such as 404 is no error here: see [`Response::ok`].
    pub fn send(self) -> Result<Response, HttpError> {
        #[cfg(target_arch = "wasm32")]
        return wasi::send(self);
        #[cfg(not(target_arch = "wasm32"))]
        Err(HttpError(format!("{} {}: there is no network outside of a component", self.method, self.url)))
    }
}

impl Response {
    /// Itself where the status is below 400; otherwise a retryable failure of the type `HttpStatus`, with the status as
    /// its detail.
    pub fn ok(self) -> Result<Response, ApplicationFailure> {
        match self.status < 400 {
            true => Ok(self),
            false => {
                let message = format!("the peer answered with status {}", self.status);
                Err(ApplicationFailure::new("HttpStatus", message).details(self.status))
            }
        }
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }
}

#[cfg(target_arch = "wasm32")]
mod wasi {
    use wasip2::{
        http::{
            outgoing_handler,
            types::{ErrorCode, Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme},
        },
        io::streams::StreamError,
    };

    use super::{HttpError, Request, Response};

    /// What one write may carry: a stream promises to take as much after `blocking`.
    const WRITE_BYTES: usize = 4096;
    const READ_BYTES: u64 = 64 * 1024;

    fn refused(code: ErrorCode) -> HttpError {
        HttpError(format!("the request has no response: {code:?}"))
    }

    fn invalid<E>(what: &str) -> impl FnOnce(E) -> HttpError {
        let message = format!("the request has a {what} that none can have");
        move |_| HttpError(message)
    }

    pub fn send(request: Request) -> Result<Response, HttpError> {
        let (scheme, rest) = match request.url.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => return Err(HttpError(format!("{:?} is no URL: it begins with https:// or http://", request.url))),
        };
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
        let headers = Fields::new();
        for (name, value) in &request.headers {
            headers.append(name, value).map_err(invalid("header"))?;
        }
        if !request.body.is_empty() {
            let length = request.body.len().to_string();
            headers.append("content-length", length.as_bytes()).map_err(invalid("header"))?;
        }
        let outgoing = OutgoingRequest::new(headers);
        outgoing.set_method(&method(&request.method)).map_err(invalid("method"))?;
        outgoing.set_scheme(Some(&scheme)).map_err(invalid("scheme"))?;
        outgoing.set_authority(Some(authority)).map_err(invalid("host"))?;
        outgoing.set_path_with_query(Some(&path)).map_err(invalid("path"))?;
        let body = outgoing.body().map_err(invalid("body"))?;
        let options = request.timeout.map(|timeout| {
            let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
            let options = RequestOptions::new();
            // A host that knows no timeouts has limits of its own.
            let _ = options.set_connect_timeout(Some(nanoseconds));
            let _ = options.set_first_byte_timeout(Some(nanoseconds));
            options
        });
        let pending = outgoing_handler::handle(outgoing, options).map_err(refused)?;
        let written = write(body, &request.body);
        pending.subscribe().block();
        let response = match pending.get() {
            Some(Ok(Ok(response))) => response,
            Some(Ok(Err(code))) => return Err(refused(code)),
            _ => return Err(HttpError("the request has no response".to_owned())),
        };
        // A peer may answer before it has read everything; only without an answer it matters.
        drop(written);
        let status = response.status();
        let headers = response.headers().entries();
        let body = read(response.consume().map_err(invalid("response"))?)?;
        Ok(Response { status, headers, body })
    }

    fn method(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "PATCH" => Method::Patch,
            other => Method::Other(other.to_owned()),
        }
    }

    fn write(body: OutgoingBody, bytes: &[u8]) -> Result<(), HttpError> {
        let failed = |error| HttpError(format!("the request's body cannot be sent: {error:?}"));
        if !bytes.is_empty() {
            let stream = body.write().map_err(invalid("body"))?;
            for piece in bytes.chunks(WRITE_BYTES) {
                stream.blocking_write_and_flush(piece).map_err(failed)?;
            }
        }
        OutgoingBody::finish(body, None).map_err(refused)
    }

    fn read(body: IncomingBody) -> Result<Vec<u8>, HttpError> {
        let stream = body.stream().map_err(invalid("response"))?;
        let mut bytes = Vec::new();
        loop {
            match stream.blocking_read(READ_BYTES) {
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(StreamError::Closed) => return Ok(bytes),
                Err(StreamError::LastOperationFailed(error)) => {
                    let code = wasip2::http::types::http_error_code(&error);
                    return Err(match code {
                        Some(code) => HttpError(format!("the response cannot be read: {code:?}")),
                        None => HttpError(format!("the response cannot be read: {}", error.to_debug_string())),
                    });
                }
            }
        }
    }
}
