//! Around every call: what is counted, one log line for each failure, and Temporal's words where tonic speaks for itself.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tonic::{
    Code, Status,
    codegen::{Service, http},
};
use tower::Layer;

use crate::{limits, metrics::Metrics};

/// What tonic says where no handler is written.
const STUB: &str = "Not yet implemented";
/// How tonic begins to say that a request is too large, as it comes and once it is decompressed.
const TOO_LARGE: &str = "Error, decoded message length too large: ";
const TOO_LARGE_DECOMPRESSED: &str = "Error decompressing: size limit, of ";
/// How tonic begins to say that it cannot write an answer: the only INTERNAL that is the server's own fault.
const NOT_WRITTEN: [&str; 2] = ["Error encoding: ", "Error compressing: "];

#[derive(Clone)]
pub(crate) struct ObserveLayer(pub Arc<Metrics>);

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, metrics: Arc::clone(&self.0) }
    }
}

#[derive(Clone)]
pub(crate) struct Observe<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S, A, B> Service<http::Request<A>> for Observe<S>
where
    S: Service<http::Request<A>, Response = http::Response<B>>,
    S::Future: Send + 'static,
    B: Default + Send,
{
    type Response = http::Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<A>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let began = Instant::now();
        let call = self.inner.call(request);
        let metrics = Arc::clone(&self.metrics);
        Box::pin(async move {
            let response = call.await?;
            let label = metrics.method(&path);
            let Some(status) = Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok)
            else {
                metrics.note_request(label, Code::Ok, began.elapsed());
                return Ok(response);
            };
            let method = path.trim_start_matches('/');
            let better = in_temporals_words(method, &status);
            let told = better.as_ref().unwrap_or(&status);
            log(method, told, began);
            let code = told.code();
            metrics.note_request(label, code, began.elapsed());
            let answer = better.map_or(response, Status::into_http);
            if code == Code::ResourceExhausted {
                // Clients should wait before they ask again; one that does not is made to.
                tokio::time::sleep(limits::REFUSAL_HELD).await;
            }
            Ok(answer)
        })
    }
}

/// Tonic's own refusals, as SDKs know them.
fn in_temporals_words(method: &str, status: &Status) -> Option<Status> {
    let message = status.message();
    match status.code() {
        Code::Unimplemented if message == STUB || message.is_empty() => {
            let name = method.rsplit('/').next().unwrap_or(method);
            Some(Status::unimplemented(format!("Mainspring does not offer {name} yet.")))
        }
        // Core-based SDKs know these beginnings, and do not send the same message for ever.
        Code::OutOfRange => message
            .strip_prefix(TOO_LARGE)
            .map(|sizes| Status::resource_exhausted(format!("grpc: received message larger than max: {sizes}"))),
        Code::ResourceExhausted => message.strip_prefix(TOO_LARGE_DECOMPRESSED).map(|limit| {
            let limit = limit.split_once(' ').map_or(limit, |(limit, _)| limit);
            let message = format!("grpc: received message after decompression larger than max {limit}");
            Status::resource_exhausted(message)
        }),
        // No handler says INTERNAL (see [`crate::error`]), so it is tonic, of bytes that are no request.
        Code::Internal if !NOT_WRITTEN.iter().any(|beginning| message.starts_with(beginning)) => {
            Some(Status::invalid_argument(format!("The request cannot be read: {message}")))
        }
        _ => None,
    }
}

fn log(method: &str, status: &Status, began: Instant) {
    let (code, message, elapsed) = (status.code(), status.message(), began.elapsed());
    match code {
        Code::Internal | Code::Unknown | Code::DataLoss => tracing::error!(method, ?code, message, ?elapsed, "failed"),
        Code::Unavailable => tracing::warn!(method, ?code, message, ?elapsed, "refused"),
        Code::Unimplemented => tracing::info!(method, ?code, message, ?elapsed, "refused"),
        // The client's own affair: it has the message, and could fill the log with it. Of quotas the engine tells.
        _ => tracing::debug!(method, ?code, message, ?elapsed, "refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_nobody_wrote_is_refused_by_its_name() {
        let better = in_temporals_words("temporal.api.Service/QueryWorkflow", &Status::unimplemented(STUB)).unwrap();
        assert_eq!(better.message(), "Mainspring does not offer QueryWorkflow yet.");
        assert_eq!(better.code(), Code::Unimplemented);
    }

    #[test]
    fn a_message_that_is_too_large_is_refused_so_that_sdks_do_not_send_it_again() {
        let tonic = Status::out_of_range(format!("{TOO_LARGE}found 9 bytes, the limit is: 4 bytes"));
        let better = in_temporals_words("a/b", &tonic).unwrap();
        assert_eq!(better.code(), Code::ResourceExhausted);
        assert!(better.message().starts_with("grpc: received message larger than max"));

        let tonic =
            Status::resource_exhausted(format!("{TOO_LARGE_DECOMPRESSED}4 bytes, exceeded while decompressing"));
        let better = in_temporals_words("a/b", &tonic).unwrap();
        assert_eq!(better.code(), Code::ResourceExhausted);
        assert_eq!(better.message(), "grpc: received message after decompression larger than max 4");
    }

    #[test]
    fn bytes_that_are_no_request_are_the_clients_fault() {
        let better = in_temporals_words("a/b", &Status::internal("invalid wire type")).unwrap();
        assert_eq!(better.code(), Code::InvalidArgument);
        assert_eq!(better.message(), "The request cannot be read: invalid wire type");
        let own = Status::internal(format!("{}insufficient space", NOT_WRITTEN[0]));
        assert!(in_temporals_words("a/b", &own).is_none());
    }

    #[test]
    fn what_a_handler_says_stays() {
        for status in [Status::unimplemented("no workers"), Status::resource_exhausted("busy"), Status::not_found("")] {
            assert!(in_temporals_words("a/b", &status).is_none());
        }
    }
}
