//! `mainspring module upload`: a module goes to the server; what is there already is not sent again.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use futures::{SinkExt as _, channel::mpsc};
use mainspring_api::mainspring::{UploadModuleRequest, UploadModuleResponse, UploadTarget};
use mainspring_sandbox::Digest;
use serde_json::json;
use tonic::IntoStreamingRequest as _;

use super::{CHUNK_BYTES, TRANSFER_TIME, file_size, module_fields, module_json};
use crate::{
    build::{self, LangArgs, Project},
    cli::OutputArgs,
    connect::{Client, ConnectionArgs, refused},
    failure::{Failure, Outcome},
    output::{self, section},
};

#[derive(Debug, Args)]
#[command(
    after_help = "An upload that broke off goes on where it stopped when the same module is uploaded again, within a \
                  day. `mainspring module activate` runs new workflows on it then."
)]
pub struct UploadArgs {
    /// The module, a .wasm file; or what to build it from first, as `mainspring build` does
    #[arg(value_name = "PATH")]
    path: PathBuf,
    #[command(flatten)]
    lang: LangArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: UploadArgs) -> Outcome {
    let (bytes, mut client) = match build::is_module(&args.path) {
        true => {
            file_size(&args.path).map_err(Failure::Usage)?;
            let bytes = fs::read(&args.path).with_context(|| format!("cannot read {}", args.path.display()));
            (bytes.map_err(Failure::Usage)?, args.connection.connect().await?)
        }
        false => {
            let project = Project::recognise(&args.path, args.lang.lang)?;
            // Nobody wants to wait for a build to hear that there is no server.
            let client = args.connection.connect().await?;
            (build::build(&project)?.bytes, client)
        }
    };
    let answer = upload(&mut client, bytes).await?;
    let module = answer.module.unwrap_or_default();
    let format = args.output.output;
    if !format.is_text() {
        return Ok(format.print_json(&json!({ "existed": answer.existed, "module": module_json(&module) }))?);
    }
    let title = if answer.existed { "Unchanged: the namespace had this module already" } else { "Uploaded" };
    Ok(output::print_text(&section(title, &module_fields(&module)))?)
}

/// Sends what the server does not have; returns its last answer.
async fn upload(client: &mut Client, bytes: Vec<u8>) -> Outcome<UploadModuleResponse> {
    let refuse = refused("cannot upload the module");
    let target = UploadTarget {
        namespace: client.namespace.clone(),
        digest: Digest::of(&bytes).to_string(),
        size_bytes: bytes.len() as u64,
        identity: client.identity.clone(),
    };
    let (mut sender, messages) = mpsc::channel(1);
    let first = UploadModuleRequest { target: Some(target), chunk: Vec::new() };
    sender.send(first).await.map_err(Failure::failed)?;
    let mut request = messages.into_streaming_request();
    request.set_timeout(TRANSFER_TIME);
    let mut answers = client.modules.upload_module(request).await.map_err(&refuse)?.into_inner();
    let mut last = answers.message().await.map_err(&refuse)?.unwrap_or_default();
    let offset = usize::try_from(last.received_bytes).unwrap_or(usize::MAX).min(bytes.len());
    if offset > 0 && last.module.is_none() {
        eprintln!("going on at byte {offset} of {}", bytes.len());
    }
    for chunk in bytes[offset..].chunks(CHUNK_BYTES) {
        let message = UploadModuleRequest { target: None, chunk: chunk.to_vec() };
        // A server that takes no more says why.
        if sender.send(message).await.is_err() {
            break;
        }
    }
    drop(sender);
    while let Some(answer) = answers.message().await.map_err(&refuse)? {
        last = answer;
    }
    Ok(last)
}
