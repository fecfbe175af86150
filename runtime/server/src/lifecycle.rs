//! A server's life: take the port, open what is stored, answer calls, and stop without losing any.

use std::{future::Future, io::ErrorKind, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use mainspring_api::{
    FILE_DESCRIPTOR_SET,
    mainspring::{
        GatedAccessService, GatedActivityService, GatedModuleService, GatedOperationsService, GatedQuotaService,
        access_service_server::{self, AccessServiceServer},
        activity_service_server::{self, ActivityServiceServer},
        module_service_server::{self, ModuleServiceServer},
        operations_service_server::{self, OperationsServiceServer},
        quota_service_server::{self, QuotaServiceServer},
    },
    server::{
        operatorservice::{
            GatedOperatorService,
            operator_service_server::{self, OperatorServiceServer},
        },
        workflowservice::{
            GatedWorkflowService,
            workflow_service_server::{self, WorkflowServiceServer},
        },
    },
};
use mainspring_engine::{Engine, Observed, SecretKey};
use mainspring_sandbox::Sandbox;
use mainspring_store::{MemoryStore, Store, open_sled};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{
    codec::CompressionEncoding::Gzip,
    service::Routes,
    transport::{Server, ServerTlsConfig, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    LogTap, ServerConfig,
    auth::Access,
    exposition, limits,
    metrics::Metrics,
    observe::ObserveLayer,
    rpc::{
        Frontend, access, hosted::Activities, module::Modules, operations::Operations, operator::Operator,
        quota::Quotas,
    },
    secret_key,
    telemetry::Telemetry,
    tls,
};

/// What can be asked for by name at `grpc.health.v1.Health`; the empty name is the whole server.
const SERVICES: [&str; 8] = [
    "",
    workflow_service_server::SERVICE_NAME,
    operator_service_server::SERVICE_NAME,
    module_service_server::SERVICE_NAME,
    activity_service_server::SERVICE_NAME,
    access_service_server::SERVICE_NAME,
    operations_service_server::SERVICE_NAME,
    quota_service_server::SERVICE_NAME,
];

/// What every connection's health watches may take of the drain: they would never end by themselves.
const WATCH_TIME: Duration = Duration::from_millis(500);

/// Runs a server until `shutdown` resolves, and returns when it has stopped: calls that were under way are answered,
/// and the store is closed.
///
/// `ready` is called with the address once calls are answered.
///
/// # Errors
/// When the settings make no sense, the port or the data directory cannot be had, or the store fails while the server
/// runs. The message says what to do.
pub async fn serve<R, S>(config: ServerConfig, ready: R, shutdown: S) -> anyhow::Result<()>
where
    R: FnOnce(SocketAddr) + Send + 'static,
    S: Future + Send + 'static,
{
    serve_logged(config, LogTap::default(), ready, shutdown).await
}

/// The same, with the lines of the program's log, which are sent where the settings say so.
///
/// # Errors
/// As [`serve`].
pub async fn serve_logged<R, S>(config: ServerConfig, log: LogTap, ready: R, shutdown: S) -> anyhow::Result<()>
where
    R: FnOnce(SocketAddr) + Send + 'static,
    S: Future + Send + 'static,
{
    let shutdown = async move {
        shutdown.await;
    };
    serve_boxed(config, log, Box::new(ready), Box::pin(shutdown)).await
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// [`serve`] without type parameters, so that the server is compiled here, once, and not in every crate that runs one.
fn serve_boxed(
    config: ServerConfig,
    log: LogTap,
    ready: Box<dyn FnOnce(SocketAddr) + Send>,
    shutdown: Boxed<()>,
) -> Boxed<anyhow::Result<()>> {
    Box::pin(run(config, log, ready, shutdown))
}

async fn run(
    mut config: ServerConfig,
    log: LogTap,
    ready: Box<dyn FnOnce(SocketAddr) + Send>,
    shutdown: Boxed<()>,
) -> anyhow::Result<()> {
    config.check()?;
    // The port comes first: a second server on it must not touch the data.
    let listener = bind(config.address()).await?;
    let metrics_listener = exposition::bind(&config.metrics).await?;
    let address = listener.local_addr().context("the address that the server listens on is not known")?;
    config.port = address.port();
    let tls = tls::load(&config.tls)?;
    let config = Arc::new(config);
    let telemetry = Telemetry::start(&config.telemetry, &log)?;
    let engine = open(Arc::clone(&config), telemetry.observed()).await?;
    engine.host_activities();
    let access = Access::open(&config.auth, engine.clone())?;

    let draining = CancellationToken::new();
    tokio::spawn(expire_uploads(engine.clone(), draining.clone()));
    let frontend = Frontend { engine: engine.clone(), config: Arc::clone(&config), draining: draining.clone() };
    tokio::spawn(access.clone().keep_up(draining.clone()));
    let (health, routes) = routes(frontend, access).await?;
    let metrics = Arc::new(Metrics::new(engine.metrics(), engine.commit_metrics(), &telemetry.metrics));
    let mut serving = start(listener, tls, routes, Arc::clone(&metrics), draining.clone())?;
    let exposed = metrics_listener
        .map(|listener| exposition::serve(listener, metrics, engine.clone(), draining.clone()))
        .map(AbortOnDropHandle::new);
    tracing::info!(%address, namespaces = ?config.namespaces, "ready");
    ready(address);

    let outcome = tokio::select! {
        _ = shutdown => Ok(()),
        problem = engine.failed() => Err(anyhow!("the server stops: {problem}")),
        ended = &mut serving => return Err(anyhow!("the server does not accept connections any more: {ended:?}")),
    };
    tracing::info!(drain_time = ?config.drain_time, "stopping");
    report(&health, ServingStatus::NotServing).await;
    draining.cancel();
    drain(serving, health, config.drain_time).await;
    if timeout(config.drain_time, engine.shutdown()).await.is_err() {
        tracing::warn!("the engine did not finish in time; what it has acknowledged is durable");
    }
    if let Some(exposed) = exposed {
        exposed.abort();
        // It holds the engine, and with it the store.
        let _ = exposed.await;
    }
    // What the engine has told last is told to the collector, too.
    telemetry.shutdown().await;
    tracing::info!("stopped");
    outcome
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "port {} of {} is in use, perhaps by another server: stop that one, or choose a free port with --port",
            address.port(),
            address.ip()
        ),
        _ => anyhow!("the server cannot listen on {address}: {error}"),
    })
}

/// Opens store, sandbox and engine. All of them read from disk, so it runs where blocking is allowed.
async fn open(config: Arc<ServerConfig>, observed: Observed) -> anyhow::Result<Engine> {
    let open = move || -> anyhow::Result<Engine> {
        let store: Arc<dyn Store> = match config.ephemeral {
            true => Arc::new(MemoryStore::new()),
            false => Arc::new(open_sled(&config.data_dir, config.sled())?),
        };
        let secret_key = match config.ephemeral {
            true => SecretKey::generate(),
            false => secret_key::load(&config.data_dir)?,
        };
        let sandbox = Sandbox::new(config.sandbox())?;
        Ok(Engine::open(store, sandbox, config.engine(secret_key, observed))?)
    };
    tokio::task::spawn_blocking(open).await.context("opening the store was interrupted")?
}

/// What is left of uploads that broke off and that nobody goes on with is deleted, now and again until `stop`.
async fn expire_uploads(engine: Engine, stop: CancellationToken) {
    loop {
        if let Err(error) = engine.expire_uploads().await {
            tracing::warn!(%error, "what is left of old uploads could not be deleted");
        }
        tokio::select! {
            () = tokio::time::sleep(limits::EXPIRE_UPLOADS_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

// Requests may be compressed: SDKs and the CLI do so unasked. Answers are not: it would cost more than it saves here.
// No service of ours is added but behind the gate. Health and reflection are open: they say nothing of any tenant.
async fn routes(frontend: Frontend, gate: Access) -> anyhow::Result<(HealthReporter, Routes)> {
    let message_bytes = frontend.config.grpc_message_bytes;
    let (health, health_service) = tonic_health::server::health_reporter();
    report(&health, ServingStatus::Serving).await;
    let workflow = WorkflowServiceServer::new(GatedWorkflowService { service: frontend.clone(), gate: gate.clone() })
        .accept_compressed(Gzip)
        .max_decoding_message_size(message_bytes)
        .max_encoding_message_size(usize::MAX);
    let operator = GatedOperatorService { service: Operator(frontend.clone()), gate: gate.clone() };
    let operator =
        OperatorServiceServer::new(operator).accept_compressed(Gzip).max_decoding_message_size(message_bytes);
    let activities = GatedActivityService { service: Activities(frontend.clone()), gate: gate.clone() };
    let activities =
        ActivityServiceServer::new(activities).accept_compressed(Gzip).max_decoding_message_size(message_bytes);
    let access = GatedAccessService { service: access::Access(frontend.clone()), gate: gate.clone() };
    let access = AccessServiceServer::new(access).accept_compressed(Gzip).max_decoding_message_size(message_bytes);
    let operations = GatedOperationsService { service: Operations(frontend.clone()), gate: gate.clone() };
    let operations = OperationsServiceServer::new(operations).accept_compressed(Gzip);
    let quota = GatedQuotaService { service: Quotas(frontend.clone()), gate: gate.clone() };
    let quota = QuotaServiceServer::new(quota).accept_compressed(Gzip).max_decoding_message_size(message_bytes);
    let module = ModuleServiceServer::new(GatedModuleService { service: Modules::new(frontend), gate })
        .accept_compressed(Gzip)
        .max_decoding_message_size(message_bytes)
        .max_encoding_message_size(usize::MAX);
    // Health first: the other set knows its messages but not its service, and the first to have a file wins.
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
    };
    let descriptors = "the API's descriptors cannot be served";
    let reflection_v1 = reflection().build_v1().context(descriptors)?.accept_compressed(Gzip);
    let reflection_v1alpha = reflection().build_v1alpha().context(descriptors)?.accept_compressed(Gzip);
    let routes = Routes::new(workflow)
        .add_service(operator)
        .add_service(module)
        .add_service(activities)
        .add_service(access)
        .add_service(operations)
        .add_service(quota)
        // The temporal CLI compresses what it asks about health, too.
        .add_service(health_service.accept_compressed(Gzip))
        .add_service(reflection_v1)
        .add_service(reflection_v1alpha);
    Ok((health, routes))
}

async fn report(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}

/// Answers calls until `draining` is canceled, and then those that are under way.
fn start(
    listener: TcpListener,
    tls: Option<ServerTlsConfig>,
    routes: Routes,
    metrics: Arc<Metrics>,
    draining: CancellationToken,
) -> anyhow::Result<JoinHandle<Result<(), tonic::transport::Error>>> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut server = Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls).context("[tls]: the certificate, the key or the authority is not right")?;
    }
    let serving = server
        .layer(ObserveLayer(metrics))
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION)
        .http2_max_pending_accept_reset_streams(Some(limits::ABANDONED_STREAMS))
        .http2_keepalive_interval(Some(limits::KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(limits::KEEPALIVE_TIMEOUT))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, draining.cancelled_owned());
    Ok(tokio::spawn(serving))
}

/// Lets calls that are under way finish; after `limit` the process goes on without them.
async fn drain(
    mut serving: JoinHandle<Result<(), tonic::transport::Error>>,
    mut health: HealthReporter,
    limit: Duration,
) {
    let finished = async {
        if timeout(WATCH_TIME.min(limit), &mut serving).await.is_err() {
            // Who watches has been told; forgetting the services ends the watches.
            for service in SERVICES {
                health.clear_service_status(service).await;
            }
            let _ = (&mut serving).await;
        }
    };
    if timeout(limit, finished).await.is_err() {
        tracing::warn!(?limit, "calls are still under way; their clients will have to try again");
        serving.abort();
    }
}
