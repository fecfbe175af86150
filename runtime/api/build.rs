//! Generates the server stubs of the services that we serve.
//!
//! The messages are temporalio-protos' own; only the `service` blocks of its descriptor set are compiled here.

use std::{env, error::Error, fs, path::Path};

use prost::Message;
use prost_types_plain::FileDescriptorSet;

/// The services that this server implements, of all that the descriptor set defines.
const SERVED: [&str; 2] = ["WorkflowService", "OperatorService"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out_dir = env::var("OUT_DIR")?;
    let temporal = fs::read(env::var("DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH")?)?;
    let mut temporal = FileDescriptorSet::decode(temporal.as_slice())?;

    for file in &mut temporal.file {
        let api = file.package().starts_with("temporal.api.");
        file.service.retain(|service| api && SERVED.contains(&service.name()));
    }
    let own = protox::compile(["mainspring/v1/module_service.proto", "mainspring/v1/quota_service.proto"], ["proto"])?;
    let own = FileDescriptorSet::decode(own.encode_to_vec().as_slice())?;

    // Every message that a history or an RPC can hold, for reflection and for canonical JSON.
    let mut all = temporal.clone();
    for file in &own.file {
        if !all.file.iter().any(|known| known.name() == file.name()) {
            all.file.push(file.clone());
        }
    }
    fs::write(Path::new(&out_dir).join("descriptors.bin"), all.encode_to_vec())?;

    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .generate_default_stubs(true)
        .extern_path(".temporal", "::temporalio_protos::temporal")
        .extern_path(".google", "::temporalio_protos::google")
        .extern_path(".grpc", "::temporalio_protos::grpc")
        .extern_path(".coresdk", "::temporalio_protos::coresdk")
        .compile_fds(temporal)?;
    tonic_prost_build::configure()
        .generate_default_stubs(true)
        .extern_path(".google.protobuf.Timestamp", "::prost_types::Timestamp")
        .compile_fds(own)?;
    Ok(())
}
