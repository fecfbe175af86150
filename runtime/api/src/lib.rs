//! The vocabulary that every other crate speaks: Temporal's API messages, and Mainspring's own services.
//!
//! The messages are re-exported from `temporalio-protos`; the server stubs are generated here from the descriptors
//! that it publishes. With each stub comes a `Gated…` service, which asks a [`gate::Gate`] before every call. This crate
//! holds no logic beyond [`json`], the canonical JSON form of any message.

pub mod gate;
pub mod json;

pub use prost_types::{Any, Duration, Timestamp};
pub use temporalio_protos::{
    grpc,
    temporal::api::{
        activity::v1 as activity, command::v1 as command, common::v1 as common, enums::v1 as enums,
        errordetails::v1 as errordetails, failure::v1 as failure, filter::v1 as filter, history::v1 as history,
        namespace::v1 as namespace, operatorservice::v1 as operatorservice, protocol::v1 as protocol,
        query::v1 as query, replication::v1 as replication, sdk::v1 as sdk, taskqueue::v1 as taskqueue,
        update::v1 as update, version::v1 as version, workflow::v1 as workflow, workflowservice::v1 as workflowservice,
    },
};

/// The encoded `FileDescriptorSet` of all served messages and services.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Server stubs of the Temporal services.
#[allow(missing_docs, clippy::all)]
pub mod server {
    pub mod workflowservice {
        include!(concat!(env!("OUT_DIR"), "/temporal.api.workflowservice.v1.rs"));
    }
    pub mod operatorservice {
        include!(concat!(env!("OUT_DIR"), "/temporal.api.operatorservice.v1.rs"));
    }
}

/// `mainspring.v1`: messages, server stubs and clients of Mainspring's own services.
#[allow(missing_docs, clippy::all)]
pub mod mainspring {
    include!(concat!(env!("OUT_DIR"), "/mainspring.v1.rs"));
}
