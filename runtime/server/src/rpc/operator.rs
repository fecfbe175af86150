//! Temporal's `OperatorService`, as far as a single server has anything to say.

use std::collections::HashMap;

use mainspring_api::{
    operatorservice::{
        ClusterMetadata, ListClustersRequest, ListClustersResponse, ListSearchAttributesRequest,
        ListSearchAttributesResponse,
    },
    server::operatorservice::operator_service_server::OperatorService,
};
use tonic::Request;

use super::{
    Answer, Frontend, answer,
    system::{CLUSTER_NAME, cluster_id},
    visibility,
};

#[derive(Clone)]
pub(crate) struct Operator(pub Frontend);

#[tonic::async_trait]
impl OperatorService for Operator {
    async fn list_search_attributes(
        &self,
        request: Request<ListSearchAttributesRequest>,
    ) -> Answer<ListSearchAttributesResponse> {
        let namespace = request.into_inner().namespace;
        let attributes = || ListSearchAttributesResponse {
            // There is no way yet to add any.
            custom_attributes: HashMap::new(),
            system_attributes: visibility::system_attributes(),
            storage_schema: HashMap::new(),
        };
        answer(self.0.namespace(&namespace).map(|_| attributes()))
    }

    async fn list_clusters(&self, _: Request<ListClustersRequest>) -> Answer<ListClustersResponse> {
        let cluster = ClusterMetadata {
            cluster_name: CLUSTER_NAME.to_owned(),
            cluster_id: cluster_id(&self.0),
            address: self.0.config.address().to_string(),
            initial_failover_version: 1,
            history_shard_count: self.0.config.shards.into(),
            is_connection_enabled: true,
            ..Default::default()
        };
        answer(Ok(ListClustersResponse { clusters: vec![cluster], ..Default::default() }))
    }
}
