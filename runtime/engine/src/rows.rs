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

/// What new runs of a task queue get, and what they got before. See `versions.rs`.
#[derive(Clone, PartialEq, Message)]
pub struct DeploymentRow {
    /// The active version's, 32 bytes; empty where none is. In rows of before there were versions, nothing but this and
    /// the time is there.
    #[prost(bytes = "vec", tag = "1")]
    pub digest: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub deployed: i64,
    /// The lowest number first.
    #[prost(message, repeated, tag = "3")]
    pub versions: Vec<VersionRow>,
    /// A version's number; 0 for none. So are the others.
    #[prost(uint32, tag = "4")]
    pub active: u32,
    #[prost(uint32, tag = "5")]
    pub ramping: u32,
    /// Hundredths of a percent.
    #[prost(uint32, tag = "6")]
    pub ramp: u32,
    #[prost(int64, tag = "7")]
    pub ramp_changed: i64,
    #[prost(string, tag = "8")]
    pub ramp_identity: String,
    /// Where rollbacks go to, the next one last.
    #[prost(uint32, repeated, tag = "9")]
    pub previous: Vec<u32>,
    /// The last number that was given to a version.
    #[prost(uint32, tag = "10")]
    pub last_number: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct VersionRow {
    #[prost(uint32, tag = "1")]
    pub number: u32,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub digest: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub created: i64,
    #[prost(string, tag = "4")]
    pub created_identity: String,
    /// The last time; 0 for never.
    #[prost(int64, tag = "5")]
    pub activated: i64,
    #[prost(string, tag = "6")]
    pub activated_identity: String,
    /// As in `mainspring.v1.Activation`.
    #[prost(int32, tag = "7")]
    pub activated_by: i32,
    /// 0 while it is active.
    #[prost(int64, tag = "8")]
    pub deactivated: i64,
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
    /// A guess; empty where there is none, and in rows of before there were guesses.
    #[prost(string, tag = "5")]
    pub language: String,
    #[prost(string, repeated, tag = "20")]
    pub activity_types: Vec<String>,
}

/// A namespace has a module. In directories of before, the row is empty.
#[derive(Clone, PartialEq, Message)]
pub struct UploadRow {
    #[prost(int64, tag = "1")]
    pub uploaded: i64,
    #[prost(string, tag = "2")]
    pub identity: String,
}

/// An upload that has not come to its end.
#[derive(Clone, PartialEq, Message)]
pub struct PartialRow {
    /// What the whole module has.
    #[prost(uint64, tag = "1")]
    pub size_bytes: u64,
    /// What stands in `z` rows.
    #[prost(uint64, tag = "2")]
    pub received_bytes: u64,
    /// When the last part came.
    #[prost(int64, tag = "3")]
    pub touched: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct ApiKeyRow {
    #[prost(string, tag = "1")]
    pub name: String,
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub hash: Vec<u8>,
    #[prost(string, repeated, tag = "3")]
    pub permissions: Vec<String>,
    #[prost(int64, tag = "4")]
    pub created: i64,
    /// 0 for never.
    #[prost(int64, tag = "5")]
    pub expires: i64,
    #[prost(string, tag = "6")]
    pub created_by: String,
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
