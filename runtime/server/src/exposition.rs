//! `/metrics` and `/health` over HTTP, on a port of their own.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse as _,
    routing::get,
};
use mainspring_engine::Engine;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{config::MetricsConfig, metrics::Metrics};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Takes the port, if it is wanted.
pub(crate) async fn bind(config: &MetricsConfig) -> anyhow::Result<Option<TcpListener>> {
    if !config.enabled {
        return Ok(None);
    }
    let address = SocketAddr::new(config.ip, config.port);
    let listener = TcpListener::bind(address).await;
    Ok(Some(listener.with_context(|| format!("metrics cannot be served at {address}: choose a free metrics.port"))?))
}

/// Answers until the task is aborted; from the beginning of a drain on the health is bad.
pub(crate) fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    engine: Engine,
    draining: CancellationToken,
) -> JoinHandle<()> {
    let health = move || {
        let answer = match draining.is_cancelled() {
            true => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            false => (StatusCode::OK, "serving\n"),
        };
        async move { answer }
    };
    let metrics = move || {
        let text = metrics.render(&engine);
        async move { ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response() }
    };
    let router = Router::new().route("/metrics", get(metrics)).route("/health", get(health));
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "metrics are served");
    }
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    })
}
