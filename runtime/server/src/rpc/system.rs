//! The server itself: what it is, and what it can do.

use mainspring_api::workflowservice::{
    GetClusterInfoResponse, GetSystemInfoResponse, get_system_info_response::Capabilities,
};

use super::Frontend;

/// Temporal's name for the one cluster of a server that does not replicate.
pub(super) const CLUSTER_NAME: &str = "active";

/// Of Mainspring, not of Temporal: SDKs show it, and decide by the capabilities.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The clients that are known to work, as Temporal has them.
const SUPPORTED_CLIENTS: [(&str, &str); 5] = [
    ("temporal-cli", "<2.0.0"),
    ("temporal-go", "<2.0.0"),
    ("temporal-java", "<2.0.0"),
    ("temporal-typescript", "<2.0.0"),
    ("temporal-ui", "<3.0.0"),
];

pub(super) fn info() -> GetSystemInfoResponse {
    GetSystemInfoResponse {
        server_version: VERSION.to_owned(),
        capabilities: Some(Capabilities {
            signal_and_query_header: true,
            internal_error_differentiation: true,
            activity_failure_include_heartbeat: true,
            encoded_failure_attributes: true,
            sdk_metadata: true,
            upsert_memo: true,
            // Not yet, each of them: schedules, versioning by build id, eager starts, counts by status, Nexus,
            // deployments that the server scales.
            ..Default::default()
        }),
    }
}

pub(super) fn cluster(frontend: &Frontend) -> GetClusterInfoResponse {
    let store = if frontend.config.ephemeral { "memory" } else { "sled" };
    GetClusterInfoResponse {
        supported_clients: SUPPORTED_CLIENTS.map(|(name, versions)| (name.to_owned(), versions.to_owned())).into(),
        server_version: VERSION.to_owned(),
        cluster_id: cluster_id(frontend),
        cluster_name: CLUSTER_NAME.to_owned(),
        history_shard_count: frontend.config.shards.into(),
        persistence_store: store.to_owned(),
        visibility_store: store.to_owned(),
        // A server that does not replicate has one failover version. Clients divide by the increment.
        initial_failover_version: 1,
        failover_version_increment: 10,
        ..Default::default()
    }
}

/// What stays the same for as long as the data does: the id of the first namespace.
pub(super) fn cluster_id(frontend: &Frontend) -> String {
    let mut namespaces = frontend.engine.namespaces();
    namespaces.sort_by_key(|namespace| namespace.created);
    namespaces.into_iter().next().map(|namespace| namespace.id).unwrap_or_default()
}
