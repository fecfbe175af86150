//! Namespaces: those of the configuration, to be read.

use mainspring_api::{
    enums::{ArchivalState, NamespaceState},
    namespace::{BadBinaries, NamespaceConfig, NamespaceInfo, namespace_info},
    replication::{ClusterReplicationConfig, NamespaceReplicationConfig},
    workflowservice::*,
};
use mainspring_core::{limits::temporal, time};
use mainspring_engine::{EngineError, Namespace};

use super::{Frontend, system::CLUSTER_NAME};
use crate::{
    auth::{Caller, Role, SYSTEM},
    error::Fault,
    validate,
};

/// Most namespaces on a page.
const PAGE: usize = 1_000;

/// The answer to every wish to make or change a namespace.
pub(super) fn fixed() -> Fault {
    Fault::unsupported(
        "Mainspring takes its namespaces from its configuration: add the name to `namespaces` and restart the server.",
    )
}

/// Those that the caller may do anything in.
pub(super) fn list(
    frontend: &Frontend,
    caller: &Caller,
    request: &ListNamespacesRequest,
) -> Result<ListNamespacesResponse, Fault> {
    let mut namespaces = frontend.engine.namespaces();
    namespaces.retain(|namespace| caller.permissions.touch(&namespace.name));
    namespaces.sort_by(|one, other| one.name.cmp(&other.name));
    // The token is the last name of the page before.
    let after = std::str::from_utf8(&request.next_page_token).map_err(|_| Fault::invalid("Invalid NextPageToken."))?;
    namespaces.retain(|namespace| namespace.name.as_str() > after || after.is_empty());
    let page_size = validate::page_size(request.page_size, PAGE);
    let more = namespaces.len() > page_size;
    namespaces.truncate(page_size);
    let next_page_token = namespaces.last().filter(|_| more).map(|last| last.name.clone().into_bytes());
    Ok(ListNamespacesResponse {
        namespaces: namespaces.into_iter().map(to_response).collect(),
        next_page_token: next_page_token.unwrap_or_default(),
    })
}

pub(super) fn describe(
    frontend: &Frontend,
    caller: &Caller,
    request: &DescribeNamespaceRequest,
) -> Result<DescribeNamespaceResponse, Fault> {
    if !request.namespace.is_empty() {
        may_see(caller, &request.namespace)?;
        return Ok(to_response(frontend.namespace(&request.namespace)?));
    }
    if request.id.is_empty() {
        return Err(Fault::invalid("Namespace not set on request."));
    }
    let by_id = frontend.engine.namespaces().into_iter().find(|namespace| namespace.id == request.id);
    let Some(found) = by_id else {
        // Who may not see all is told of none.
        may_see(caller, SYSTEM)?;
        return Err(EngineError::NamespaceNotFound(request.id.clone()).into());
    };
    may_see(caller, &found.name)?;
    Ok(to_response(found))
}

/// Every role is enough: workers, too, ask about their namespace before they poll.
fn may_see(caller: &Caller, namespace: &str) -> Result<(), Fault> {
    match caller.permissions.touch(namespace) {
        true => Ok(()),
        false => Ok(caller.require(namespace, Role::Read)?),
    }
}

fn to_response(namespace: Namespace) -> DescribeNamespaceResponse {
    let limits = namespace_info::Limits {
        blob_size_limit_error: i64::try_from(temporal::PAYLOAD_BYTES).unwrap_or(i64::MAX),
        memo_size_limit_error: i64::try_from(temporal::MEMO_BYTES).unwrap_or(i64::MAX),
        ..Default::default()
    };
    DescribeNamespaceResponse {
        namespace_info: Some(NamespaceInfo {
            name: namespace.name,
            state: NamespaceState::Registered.into(),
            id: namespace.id,
            // None of the optional ones works yet; SDKs go without what is not named.
            capabilities: Some(namespace_info::Capabilities {
                sync_update: true,
                async_update: true,
                ..Default::default()
            }),
            limits: Some(limits),
            ..Default::default()
        }),
        config: Some(NamespaceConfig {
            workflow_execution_retention_ttl: Some(time::to_proto(namespace.retention)),
            bad_binaries: Some(BadBinaries::default()),
            history_archival_state: ArchivalState::Disabled.into(),
            visibility_archival_state: ArchivalState::Disabled.into(),
            ..Default::default()
        }),
        replication_config: Some(NamespaceReplicationConfig {
            active_cluster_name: CLUSTER_NAME.to_owned(),
            clusters: vec![ClusterReplicationConfig { cluster_name: CLUSTER_NAME.to_owned(), ..Default::default() }],
            ..Default::default()
        }),
        ..Default::default()
    }
}
