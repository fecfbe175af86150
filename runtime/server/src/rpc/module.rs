//! `mainspring.v1.ModuleService`: the modules that hold workflows, and where they are deployed. Resumable uploads are in
//! `upload.rs`, deployments in `deployment.rs`.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, stream};
use mainspring_api::mainspring::{
    ActivateVersionRequest, ActivateVersionResponse, ActivityDefinition, DeleteModuleRequest, DeleteModuleResponse,
    DeployModuleRequest, DeployModuleResponse, DescribeDeploymentRequest, DescribeDeploymentResponse,
    DescribeModuleRequest, DescribeModuleResponse, DownloadModuleRequest, DownloadModuleResponse, GuestLimits,
    ListDeploymentsRequest, ListDeploymentsResponse, ListModulesRequest, ListModulesResponse, MigrateWorkflowsRequest,
    MigrateWorkflowsResponse, Module, ModuleInfo, ModuleUse, RampVersionRequest, RampVersionResponse,
    RollbackDeploymentRequest, RollbackDeploymentResponse, UndeployModuleRequest, UndeployModuleResponse,
    UploadModuleRequest, UploadModuleResponse, VerifyModuleRequest, VerifyModuleResponse, WorkflowDefinition,
    module_service_server::ModuleService,
};
use mainspring_core::validate as core_validate;
use mainspring_sandbox::{Digest, ModuleError};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tonic::{Request, Response, Status, codegen::BoxStream};

use super::{Answer, Frontend, answer, deployment, migration, upload, verification};
use crate::{
    auth::{Caller, Role},
    error::Fault,
    limits, quota, validate,
};

#[derive(Clone)]
pub(crate) struct Modules {
    frontend: Frontend,
    uploads: Arc<Semaphore>,
}

impl Modules {
    pub fn new(frontend: Frontend) -> Modules {
        Modules { frontend, uploads: Arc::new(Semaphore::new(limits::UPLOADS)) }
    }

    async fn deploy<S>(&self, caller: &Caller, mut messages: S) -> Result<DeployModuleResponse, Fault>
    where
        S: Stream<Item = Result<DeployModuleRequest, Status>> + Unpin,
    {
        let first = next(&mut messages).await?.unwrap_or_default();
        let target = first
            .target
            .ok_or_else(|| Fault::invalid("The first message of an upload must have the target of the module."))?;
        caller.require(&target.namespace, Role::Admin)?;
        let namespace = self.frontend.namespace(&target.namespace)?.name;
        quota::admit(&self.frontend.engine, "/mainspring.v1.ModuleService/DeployModule", &namespace)?;
        validate::task_queue_name(&target.task_queue)?;
        core_validate::optional_name("Identity", &target.identity)?;
        let verify =
            target.verify.clone().map(|runs| verification::selection(&target.task_queue, Some(runs))).transpose()?;
        let size = declared_size(&self.frontend, target.size_bytes)?;
        let _permit = permit(&self.uploads).await?;
        let bytes = receive(first.chunk, &mut messages, size).await?;
        if let Some(runs) = verify {
            return verification::deploy(&self.frontend, &namespace, bytes, runs, &target.identity).await;
        }
        let engine = &self.frontend.engine;
        let deployed = engine.deploy_module_as(&namespace, &target.task_queue, bytes, &target.identity).await?;
        Ok(DeployModuleResponse {
            deployment: Some(deployment::deployed(deployed.module.digest, &deployed.to)),
            module: Some(to_module(deployed.module)),
            unchanged: deployed.unchanged,
            verification: None,
        })
    }

    async fn list(&self, request: ListModulesRequest) -> Result<ListModulesResponse, Fault> {
        let namespace = self.frontend.namespace(&request.namespace)?.name;
        let page = page_size(request.page_size, limits::MODULES_PAGE);
        let after = match request.next_page_token.as_slice() {
            [] => None,
            token => Some(Digest::from_bytes(token.try_into().map_err(|_| bad_page_token())?)),
        };
        let mut modules = self.frontend.engine.list_modules(&namespace, after, page).await?;
        let next = (modules.len() == page).then(|| modules.last().map(|report| report.module.digest)).flatten();
        Ok(ListModulesResponse {
            modules: modules
                .drain(..)
                .map(|report| ModuleInfo {
                    open_runs: count(report.open_runs()),
                    module: Some(to_module(report.module)),
                    uses: report.uses.into_iter().map(to_use).collect(),
                })
                .collect(),
            next_page_token: next.map_or(Vec::new(), |digest| digest.as_bytes().to_vec()),
        })
    }

    async fn describe(&self, request: DescribeModuleRequest) -> Result<DescribeModuleResponse, Fault> {
        let namespace = self.frontend.namespace(&request.namespace)?.name;
        let digest = digest_prefix(&request.digest)?;
        let report = self.frontend.engine.describe_module(&namespace, &digest).await?;
        let guest = &self.frontend.config.guest;
        Ok(DescribeModuleResponse {
            open_runs: count(report.open_runs()),
            module: Some(to_module(report.module)),
            uses: report.uses.into_iter().map(to_use).collect(),
            limits: Some(GuestLimits {
                memory_bytes: guest.memory_bytes as u64,
                table_elements: guest.table_elements as u64,
                fuel_per_activation: guest.fuel_per_activation,
                activation_time_ms: u64::try_from(guest.activation_time.as_millis()).unwrap_or(u64::MAX),
                commands_per_activation: guest.commands_per_activation as u64,
                command_bytes_per_activation: guest.command_bytes_per_activation as u64,
                log_bytes_per_activation: guest.log_bytes_per_activation as u64,
            }),
        })
    }

    async fn delete(&self, request: DeleteModuleRequest) -> Result<DeleteModuleResponse, Fault> {
        let namespace = self.frontend.namespace(&request.namespace)?.name;
        let digest = digest_prefix(&request.digest)?;
        let digest = self.frontend.engine.delete_module(&namespace, &digest).await?;
        Ok(DeleteModuleResponse { digest: digest.to_string() })
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
        let caller = Caller::of(request.extensions());
        answer(self.deploy(&caller, request.into_inner()).await)
    }

    async fn upload_module(
        &self,
        request: Request<tonic::Streaming<UploadModuleRequest>>,
    ) -> Answer<BoxStream<UploadModuleResponse>> {
        let caller = Caller::of(request.extensions());
        let answers = upload::answers(self.frontend.clone(), caller, Arc::clone(&self.uploads), request.into_inner());
        Ok(Response::new(Box::pin(answers)))
    }

    async fn list_modules(&self, request: Request<ListModulesRequest>) -> Answer<ListModulesResponse> {
        answer(self.list(request.into_inner()).await)
    }

    async fn describe_module(&self, request: Request<DescribeModuleRequest>) -> Answer<DescribeModuleResponse> {
        answer(self.describe(request.into_inner()).await)
    }

    async fn delete_module(&self, request: Request<DeleteModuleRequest>) -> Answer<DeleteModuleResponse> {
        answer(self.delete(request.into_inner()).await)
    }

    async fn activate_version(&self, request: Request<ActivateVersionRequest>) -> Answer<ActivateVersionResponse> {
        answer(deployment::activate(&self.frontend, request.into_inner()).await)
    }

    async fn rollback_deployment(
        &self,
        request: Request<RollbackDeploymentRequest>,
    ) -> Answer<RollbackDeploymentResponse> {
        answer(deployment::roll_back(&self.frontend, request.into_inner()).await)
    }

    async fn ramp_version(&self, request: Request<RampVersionRequest>) -> Answer<RampVersionResponse> {
        answer(deployment::ramp(&self.frontend, request.into_inner()).await)
    }

    async fn undeploy_module(&self, request: Request<UndeployModuleRequest>) -> Answer<UndeployModuleResponse> {
        answer(deployment::undeploy(&self.frontend, request.into_inner()).await)
    }

    async fn describe_deployment(
        &self,
        request: Request<DescribeDeploymentRequest>,
    ) -> Answer<DescribeDeploymentResponse> {
        answer(deployment::describe(&self.frontend, request.into_inner()).await)
    }

    async fn list_deployments(&self, request: Request<ListDeploymentsRequest>) -> Answer<ListDeploymentsResponse> {
        answer(deployment::list(&self.frontend, request.into_inner()))
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
        check_chunk(&piece)?;
        if bytes.len() + piece.len() > size {
            return Err(Fault::invalid(format!("The upload has more than the {size} bytes that it said it has.")));
        }
        bytes.extend_from_slice(&piece);
        chunk = next::<DeployModuleRequest, _>(messages).await?.map(|message| message.chunk);
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
pub(super) async fn next<M, S>(messages: &mut S) -> Result<Option<M>, Fault>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
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

/// A turn among those who upload.
pub(super) async fn permit(uploads: &Semaphore) -> Result<SemaphorePermit<'_>, Fault> {
    let permit = timeout(limits::UPLOAD_WAIT, uploads.acquire()).await;
    permit
        .map_err(|_| Fault::overloaded("Too many modules are being uploaded; try again later."))?
        .map_err(|_| Fault::overloaded("The server takes no modules any more."))
}

/// The size that an upload says it has: refused before it is sent, where it is more than the limit.
pub(super) fn declared_size(frontend: &Frontend, size_bytes: u64) -> Result<usize, Fault> {
    let limit = frontend.config.sandbox.module_bytes;
    match usize::try_from(size_bytes) {
        Ok(0) => Err(Fault::invalid("The upload does not say how large the module is, or the module is empty.")),
        Ok(size) if size <= limit => Ok(size),
        _ => Err(ModuleError::TooLarge { bytes: size_bytes, limit: limit as u64 }.into()),
    }
}

pub(super) fn check_chunk(chunk: &[u8]) -> Result<(), Fault> {
    if chunk.len() <= limits::CHUNK_BYTES {
        return Ok(());
    }
    let (has, limit) = (chunk.len(), limits::CHUNK_BYTES);
    Err(Fault::invalid(format!("A chunk of the upload has {has} bytes; the limit is {limit}.")))
}

pub(super) fn page_size(asked: i32, most: usize) -> usize {
    usize::try_from(asked).ok().filter(|size| *size > 0).map_or(most, |size| size.min(most))
}

pub(super) fn bad_page_token() -> Fault {
    Fault::invalid("Invalid NextPageToken.")
}

pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
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
        activities: module.activity_types.into_iter().map(|name| ActivityDefinition { name }).collect(),
        imports: module.imports,
        uploaded_time: Some(module.uploaded.to_proto()),
        language: module.language,
        uploaded_by: module.uploaded_by,
    }
}

fn to_use(of: mainspring_engine::ModuleUse) -> ModuleUse {
    ModuleUse {
        task_queue: of.task_queue,
        version: of.version,
        status: deployment::status(of.need).into(),
        open_runs: count(of.open_runs),
        activities: of.activities,
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
