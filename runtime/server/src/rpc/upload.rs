//! Uploads that can be resumed: the server says what it has, the client sends the rest.

use std::sync::Arc;

use futures::Stream;
use mainspring_api::mainspring::{UploadModuleRequest, UploadModuleResponse};
use mainspring_core::validate as core_validate;
use mainspring_engine::{Begun, Upload};
use mainspring_sandbox::Digest;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;

use super::{
    Frontend,
    module::{check_chunk, declared_size, next, permit, to_module},
};
use crate::{
    auth::{Caller, Role},
    error::Fault,
    quota,
};

/// Answers that wait for a client that sends and does not listen.
const ANSWERS: usize = 16;

/// Runs an upload; what is to be answered comes out. It goes on in a task of its own, so that what has come is kept when
/// the client goes away.
pub fn answers<S>(
    frontend: Frontend,
    caller: Caller,
    uploads: Arc<Semaphore>,
    messages: S,
) -> impl Stream<Item = Result<UploadModuleResponse, Status>>
where
    S: Stream<Item = Result<UploadModuleRequest, Status>> + Unpin + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(ANSWERS);
    tokio::spawn(async move {
        // A client that has gone hears of nothing any more.
        if let Err(fault) = upload(&frontend, &caller, &uploads, messages, &sender).await {
            let _ = sender.send(Err(fault.into())).await;
        }
    });
    futures::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

async fn upload<S>(
    frontend: &Frontend,
    caller: &Caller,
    uploads: &Semaphore,
    mut messages: S,
    answers: &mpsc::Sender<Result<UploadModuleResponse, Status>>,
) -> Result<(), Fault>
where
    S: Stream<Item = Result<UploadModuleRequest, Status>> + Unpin,
{
    let first = next(&mut messages).await?.unwrap_or_default();
    let target = first.target;
    let target = target.ok_or_else(|| Fault::invalid("The first message of an upload must have the target."))?;
    caller.require(&target.namespace, Role::Admin)?;
    let namespace = frontend.namespace(&target.namespace)?.name;
    quota::admit(&frontend.engine, "/mainspring.v1.ModuleService/UploadModule", &namespace)?;
    core_validate::optional_name("Identity", &target.identity)?;
    let size = declared_size(frontend, target.size_bytes)? as u64;
    let digest: Digest = target.digest.to_ascii_lowercase().parse().map_err(|_| {
        let digest = &target.digest;
        Fault::invalid(format!("{digest:?} is no digest: it is the 64 hexadecimal digits of the module's SHA-256."))
    })?;
    if !first.chunk.is_empty() {
        return Err(Fault::invalid("A chunk came before it was said where the upload goes on."));
    }
    let _permit = permit(uploads).await?;
    // A client that has gone is noticed by its messages.
    let say = async |answer: UploadModuleResponse| drop(answers.send(Ok(answer)).await);
    let mut upload = match frontend.engine.begin_upload(&namespace, digest, size).await? {
        Begun::Known(module) => {
            let module = Some(to_module(*module));
            say(UploadModuleResponse { received_bytes: size, module, existed: true }).await;
            return Ok(());
        }
        Begun::Upload(upload) => upload,
    };
    let received_bytes = upload.offset();
    say(UploadModuleResponse { received_bytes, ..Default::default() }).await;
    // Who does not listen while it sends misses nothing that it needs.
    let tell =
        |received_bytes| drop(answers.try_send(Ok(UploadModuleResponse { received_bytes, ..Default::default() })));
    if let Err(fault) = receive(&mut upload, &mut messages, frontend, tell).await {
        upload.break_off().await?;
        return Err(fault);
    }
    let module = upload.finish(&target.identity).await?;
    say(UploadModuleResponse { received_bytes: size, module: Some(to_module(module)), existed: false }).await;
    Ok(())
}

async fn receive<S>(upload: &mut Upload, messages: &mut S, frontend: &Frontend, tell: impl Fn(u64)) -> Result<(), Fault>
where
    S: Stream<Item = Result<UploadModuleRequest, Status>> + Unpin,
{
    loop {
        let message = tokio::select! {
            message = next(messages) => message?,
            () = upload.taken_over() => {
                let message = "The upload was cut off: another call goes on with it.";
                return Err(Status::aborted(message).into());
            }
            () = frontend.draining.cancelled() => {
                return Err(Status::unavailable("the server is stopping").into());
            }
        };
        let Some(message) = message else { return Ok(()) };
        if message.target.is_some() {
            return Err(Fault::invalid("Only the first message of an upload has a target."));
        }
        check_chunk(&message.chunk)?;
        let before = upload.durable();
        upload.append(&message.chunk).await?;
        if upload.durable() > before {
            tell(upload.durable());
        }
    }
}
