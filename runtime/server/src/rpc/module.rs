//! `mainspring.v1.ModuleService`: the modules that hold workflows, and where they are deployed.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use mainspring_api::mainspring::{
    DeployModuleRequest, DeployModuleResponse, DeployTarget, DeployedModule, Deployment, DescribeModuleRequest,
    DescribeModuleResponse, DownloadModuleRequest, DownloadModuleResponse, ListModulesRequest, ListModulesResponse,
    MigrateWorkflowsRequest, MigrateWorkflowsResponse, Module, UndeployModuleRequest, UndeployModuleResponse,
    VerifyModuleRequest, VerifyModuleResponse, WorkflowDefinition, module_service_server::ModuleService,
};
use mainspring_core::validate as core_validate;
use mainspring_sandbox::ModuleError;
use tokio::{sync::Semaphore, time::timeout};
use tonic::{Request, Response, Status, codegen::BoxStream};

use super::{Answer, Frontend, answer, migration, verification};
use crate::{error::Fault, limits, validate};

#[derive(Clone)]
pub(crate) struct Modules {
    frontend: Frontend,
    uploads: Arc<Semaphore>,
}

impl Modules {
    pub fn new(frontend: Frontend) -> Modules {
        Modules { frontend, uploads: Arc::new(Semaphore::new(limits::UPLOADS)) }
    }

    async fn deploy<S>(&self, mut messages: S) -> Result<DeployModuleResponse, Fault>
    where
        S: Stream<Item = Result<DeployModuleRequest, Status>> + Unpin,
    {
        let first = next(&mut messages).await?.unwrap_or_default();
        let target = first
            .target
            .ok_or_else(|| Fault::invalid("The first message of an upload must have the target of the module."))?;
        let namespace = self.frontend.namespace(&target.namespace)?.name;
        validate::task_queue_name(&target.task_queue)?;
        let verify =
            target.verify.clone().map(|runs| verification::selection(&target.task_queue, Some(runs))).transpose()?;
        let size = self.declared_size(&target)?;
        let _permit = timeout(limits::UPLOAD_WAIT, self.uploads.acquire())
            .await
            .map_err(|_| Fault::overloaded("Too many modules are being uploaded; try again later."))?
            .map_err(|_| Fault::overloaded("The server takes no modules any more."))?;
        let bytes = receive(first.chunk, &mut messages, size).await?;
        if let Some(runs) = verify {
            return verification::deploy(&self.frontend, &namespace, bytes, runs).await;
        }
        let deployed = self.frontend.engine.deploy_module(&namespace, &target.task_queue, bytes).await?;
        Ok(DeployModuleResponse {
            module: Some(to_module(deployed.module)),
            deployment: Some(to_deployment(deployed.deployment)),
            unchanged: deployed.unchanged,
            verification: None,
        })
    }

    /// The size that an upload says it has: refused before it is sent, where it is more than the limit.
    fn declared_size(&self, target: &DeployTarget) -> Result<usize, Fault> {
        let limit = self.frontend.config.sandbox.module_bytes;
        match usize::try_from(target.size_bytes) {
            Ok(0) => Err(Fault::invalid("The upload does not say how large the module is, or the module is empty.")),
            Ok(size) if size <= limit => Ok(size),
            _ => Err(ModuleError::TooLarge { bytes: target.size_bytes, limit: limit as u64 }.into()),
        }
    }

    async fn list(&self, request: ListModulesRequest) -> Result<ListModulesResponse, Fault> {
        let namespace = self.frontend.namespace(&request.namespace)?.name;
        let modules = self.frontend.engine.list_modules(&namespace).await?;
        let to_message = |deployed: mainspring_engine::DeployedModule| DeployedModule {
            module: Some(to_module(deployed.module)),
            deployment: Some(to_deployment(deployed.deployment)),
        };
        Ok(ListModulesResponse { modules: modules.into_iter().map(to_message).collect() })
    }

    async fn describe(&self, request: DescribeModuleRequest) -> Result<DescribeModuleResponse, Fault> {
        let namespace = self.frontend.namespace(&request.namespace)?.name;
        let digest = digest_prefix(&request.digest)?;
        let (module, deployments) = self.frontend.engine.describe_module(&namespace, &digest).await?;
        Ok(DescribeModuleResponse {
            module: Some(to_module(module)),
            deployments: deployments.into_iter().map(to_deployment).collect(),
        })
    }

    async fn undeploy(&self, request: UndeployModuleRequest) -> Result<UndeployModuleResponse, Fault> {
        let namespace = self.frontend.namespace(&request.namespace)?.name;
        validate::task_queue_name(&request.task_queue)?;
        let digest = self.frontend.engine.undeploy_module(&namespace, &request.task_queue).await?;
        Ok(UndeployModuleResponse { digest: digest.to_string() })
    }

    async fn download(&self, request: DownloadModuleRequest) -> Result<Vec<u8>, Fault> {
        let namespace = self.frontend.namespace(&request.namespace)?.name;
        let digest = digest_prefix(&request.digest)?;
        let (_, bytes) = self.frontend.engine.download_module(&namespace, &digest).await?;
        Ok(bytes)
    }
}

#[tonic::async_trait]
impl ModuleService for Modules {
    async fn deploy_module(
        &self,
        request: Request<tonic::Streaming<DeployModuleRequest>>,
    ) -> Answer<DeployModuleResponse> {
        answer(self.deploy(request.into_inner()).await)
    }

    async fn list_modules(&self, request: Request<ListModulesRequest>) -> Answer<ListModulesResponse> {
        answer(self.list(request.into_inner()).await)
    }

    async fn describe_module(&self, request: Request<DescribeModuleRequest>) -> Answer<DescribeModuleResponse> {
        answer(self.describe(request.into_inner()).await)
    }

    async fn undeploy_module(&self, request: Request<UndeployModuleRequest>) -> Answer<UndeployModuleResponse> {
        answer(self.undeploy(request.into_inner()).await)
    }

    async fn download_module(
        &self,
        request: Request<DownloadModuleRequest>,
    ) -> Answer<BoxStream<DownloadModuleResponse>> {
        let bytes = Arc::<[u8]>::from(self.download(request.into_inner()).await?);
        let starts = (0..bytes.len()).step_by(limits::CHUNK_BYTES);
        let chunk = move |start: usize| {
            let end = bytes.len().min(start + limits::CHUNK_BYTES);
            Ok(DownloadModuleResponse { chunk: bytes[start..end].to_vec() })
        };
        Ok(Response::new(Box::pin(stream::iter(starts.map(chunk)))))
    }

    async fn verify_module(&self, request: Request<VerifyModuleRequest>) -> Answer<BoxStream<VerifyModuleResponse>> {
        answer(verification::verify(&self.frontend, request.into_inner()).await)
    }

    async fn migrate_workflows(
        &self,
        request: Request<MigrateWorkflowsRequest>,
    ) -> Answer<BoxStream<MigrateWorkflowsResponse>> {
        answer(migration::migrate(&self.frontend, request.into_inner()).await)
    }
}

/// Takes an upload of `size` bytes, no more and no less.
async fn receive<S>(first: Vec<u8>, messages: &mut S, size: usize) -> Result<Vec<u8>, Fault>
where
    S: Stream<Item = Result<DeployModuleRequest, Status>> + Unpin,
{
    let mut bytes = Vec::new();
    let mut chunk = Some(first);
    while let Some(piece) = chunk {
        if piece.len() > limits::CHUNK_BYTES {
            return Err(Fault::invalid(format!(
                "A chunk of the upload has {} bytes; the limit is {}.",
                piece.len(),
                limits::CHUNK_BYTES
            )));
        }
        if bytes.len() + piece.len() > size {
            return Err(Fault::invalid(format!("The upload has more than the {size} bytes that it said it has.")));
        }
        bytes.extend_from_slice(&piece);
        chunk = next(messages).await?.map(|message| message.chunk);
    }
    if bytes.len() < size {
        return Err(Fault::invalid(format!(
            "The upload is truncated: it has {} of the {size} bytes that it said it has.",
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// The next message; a client that sends none for too long is given up, and with it the memory that its upload holds.
async fn next<S>(messages: &mut S) -> Result<Option<DeployModuleRequest>, Fault>
where
    S: Stream<Item = Result<DeployModuleRequest, Status>> + Unpin,
{
    const WAIT: Duration = limits::UPLOAD_WAIT;
    match timeout(WAIT, messages.next()).await {
        Ok(message) => Ok(message.transpose()?),
        Err(_) => {
            let message = format!("The upload was given up: nothing came for {} s.", WAIT.as_secs());
            Err(Status::deadline_exceeded(message).into())
        }
    }
}

/// A digest, or the beginning of one, in the one spelling that digests have.
pub(super) fn digest_prefix(text: &str) -> Result<String, Fault> {
    core_validate::name("Digest", text)?;
    let is_prefix =
        (limits::DIGEST_PREFIX_MIN..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_prefix {
        return Err(Fault::invalid(format!(
            "{text:?} is no digest: it is {} to 64 hexadecimal digits.",
            limits::DIGEST_PREFIX_MIN
        )));
    }
    Ok(text.to_ascii_lowercase())
}

pub(super) fn to_module(module: mainspring_engine::Module) -> Module {
    Module {
        digest: module.digest.to_string(),
        size_bytes: module.size_bytes,
        workflows: module.workflow_types.into_iter().map(|name| WorkflowDefinition { name }).collect(),
        imports: module.imports,
        uploaded_time: Some(module.uploaded.to_proto()),
    }
}

pub(super) fn to_deployment(deployment: mainspring_engine::Deployment) -> Deployment {
    Deployment {
        namespace: deployment.namespace,
        task_queue: deployment.task_queue,
        digest: deployment.digest.to_string(),
        deployed_time: Some(deployment.deployed.to_proto()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(chunks: &[usize]) -> impl Stream<Item = Result<DeployModuleRequest, Status>> + Unpin {
        let messages: Vec<_> =
            chunks.iter().map(|bytes| Ok(DeployModuleRequest { target: None, chunk: vec![7; *bytes] })).collect();
        stream::iter(messages)
    }

    async fn refusal(first: usize, rest: &[usize], size: usize) -> String {
        let fault = receive(vec![7; first], &mut upload(rest), size).await.expect_err("the upload is refused");
        Status::from(fault).message().to_owned()
    }

    #[tokio::test]
    async fn an_upload_is_put_together_in_order() {
        assert_eq!(receive(vec![7; 2], &mut upload(&[3, 0, 5]), 10).await.unwrap(), [7; 10]);
    }

    #[tokio::test]
    async fn an_upload_has_exactly_the_size_that_it_said() {
        let more = refusal(2, &[3], 4).await;
        assert_eq!(more, "The upload has more than the 4 bytes that it said it has.");
        let less = refusal(2, &[3], 6).await;
        assert_eq!(less, "The upload is truncated: it has 5 of the 6 bytes that it said it has.");
    }

    #[tokio::test]
    async fn a_chunk_has_a_limit() {
        let message = refusal(limits::CHUNK_BYTES + 1, &[], 4 * limits::CHUNK_BYTES).await;
        assert!(message.starts_with("A chunk of the upload has 1048577 bytes"), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_stops_is_given_up() {
        let fault = receive(Vec::new(), &mut stream::pending(), 10).await.expect_err("given up");
        let status = Status::from(fault);
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    }

    #[test]
    fn a_digest_is_hexadecimal_and_long_enough() {
        assert_eq!(digest_prefix("ABCDEF01").unwrap(), "abcdef01");
        for bad in ["", "abc", "abcdefgh", &"a".repeat(65)] {
            assert!(digest_prefix(bad).is_err(), "{bad:?}");
        }
    }
}
