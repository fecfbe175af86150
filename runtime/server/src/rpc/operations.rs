//! `mainspring.v1.OperationsService`: what operators need of a running server.

use mainspring_api::mainspring::{BackupRequest, BackupResponse, operations_service_server::OperationsService};
use mainspring_store::Backup;
use tokio::sync::mpsc::{self, Sender};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, codegen::BoxStream};

use super::{Answer, Frontend};
use crate::{error::Fault, limits};

#[derive(Clone)]
pub(crate) struct Operations(pub Frontend);

#[tonic::async_trait]
impl OperationsService for Operations {
    async fn backup(&self, _: Request<BackupRequest>) -> Answer<BoxStream<BackupResponse>> {
        let Frontend { engine, draining, .. } = self.0.clone();
        let (chunks, receiver) = mpsc::channel(limits::BACKUP_CHUNKS_AHEAD);
        // It reads from disk. It ends with its client, or with the server.
        let begun = tokio::task::spawn_blocking(move || -> Result<(), Fault> {
            let backup = engine.backup()?;
            tokio::task::spawn_blocking(move || send(backup, &chunks, &draining));
            Ok(())
        });
        begun.await.map_err(|_| Status::unavailable("The server is stopping."))??;
        let stream = futures::stream::unfold(receiver, |mut chunks| async { Some((chunks.recv().await?, chunks)) });
        Ok(Response::new(Box::pin(stream)))
    }
}

/// Hands the backup out as fast as it is taken.
fn send(backup: Backup, chunks: &Sender<Result<BackupResponse, Status>>, draining: &CancellationToken) {
    let mut bytes = 0;
    for part in backup {
        let part = match part {
            Ok(_) if draining.is_cancelled() => Err(Status::unavailable("The server is stopping.")),
            part => part.map_err(|error| Fault::from(error).into()),
        };
        let part = match part {
            Ok(part) => part,
            Err(status) => {
                tracing::warn!(message = status.message(), "a backup has failed");
                // Where the client has gone there is nobody left to tell.
                let _ = chunks.blocking_send(Err(status));
                return;
            }
        };
        for chunk in part.chunks(limits::CHUNK_BYTES) {
            if chunks.blocking_send(Ok(BackupResponse { chunk: chunk.to_vec() })).is_err() {
                tracing::info!("a backup was given up by its client");
                return;
            }
        }
        bytes += part.len();
    }
    tracing::info!(bytes, "a backup was handed out");
}
