//! The engine's own records. A run's are in `mainspring_core::rows`. Tags are never reused.

use std::collections::BTreeMap;

use prost::Message;

use crate::EngineError;

#[derive(Clone, PartialEq, Message)]
pub struct NamespaceRow {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "2")]
    pub created: i64,
    #[prost(uint64, tag = "3")]
    pub retention_seconds: u64,
}

/// The latest run of a workflow id.
#[derive(Clone, PartialEq, Message)]
pub struct CurrentRow {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub run: Vec<u8>,
    /// As in `temporal.api.enums.v1.WorkflowExecutionStatus`.
    #[prost(int32, tag = "2")]
    pub status: i32,
    #[prost(string, tag = "3")]
    pub start_request_id: String,
    /// The first run of the chain that this one goes on with.
    #[prost(string, tag = "4")]
    pub first_execution_run_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeploymentRow {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub digest: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub deployed: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct ModuleRow {
    #[prost(uint64, tag = "1")]
    pub size_bytes: u64,
    #[prost(string, repeated, tag = "2")]
    pub workflow_types: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub imports: Vec<String>,
    #[prost(int64, tag = "4")]
    pub uploaded: i64,
}

/// The quotas of a namespace that are not the server's defaults.
#[derive(Clone, PartialEq, Message)]
pub struct QuotaRow {
    #[prost(btree_map = "string, uint64", tag = "1")]
    pub overrides: BTreeMap<String, u64>,
}

/// Decodes a row; its checksum was right, so what does not decode is not what this version writes.
pub fn decode<M: Message + Default>(what: &str, key: &[u8], value: &[u8]) -> Result<M, EngineError> {
    M::decode(value)
        .map_err(|error| EngineError::Damaged(format!("{what} {}: {error}", mainspring_store::readable_key(key))))
}
