//! The one place where an error becomes a gRPC status.
//!
//! | what happened | code | detail |
//! | --- | --- | --- |
//! | the request can never work | INVALID_ARGUMENT | |
//! | no such namespace | NOT_FOUND | NamespaceNotFoundFailure |
//! | no such run, activity, task or module, or no longer | NOT_FOUND | NotFoundFailure |
//! | the workflow id is taken | ALREADY_EXISTS | WorkflowExecutionAlreadyStartedFailure |
//! | one of several operations is refused | its own | MultiOperationExecutionFailure |
//! | not in the present state | FAILED_PRECONDITION | |
//! | its workflow tasks fail | FAILED_PRECONDITION | WorkflowNotReadyFailure |
//! | a query fails | INVALID_ARGUMENT | QueryFailedFailure |
//! | a bound or a quota is reached | RESOURCE_EXHAUSTED | ResourceExhaustedFailure |
//! | another try may find it well | UNAVAILABLE | |
//! | stored bytes are damaged | DATA_LOSS | |
//!
//! SDKs try INTERNAL, UNKNOWN, DATA_LOSS, UNAVAILABLE and RESOURCE_EXHAUSTED again, for ever: a fault of the client's
//! must never become one of them, unless time can heal it.

use mainspring_api::{
    enums::{ResourceExhaustedCause, ResourceExhaustedScope},
    errordetails::{
        MultiOperationExecutionFailure, NamespaceNotFoundFailure, NotFoundFailure, PermissionDeniedFailure,
        QueryFailedFailure, ResourceExhaustedFailure, WorkflowExecutionAlreadyStartedFailure, WorkflowNotReadyFailure,
        multi_operation_execution_failure::OperationStatus,
    },
    failure::MultiOperationExecutionAborted,
};
use mainspring_core::Rejection;
use mainspring_engine::EngineError;
use mainspring_sandbox::ModuleError;
use mainspring_store::StoreError;
use prost::{Message, Name};
use prost_types::Any;
use temporalio_protos::google::rpc;
use tonic::{Code, Status};

/// Why a call is refused, on its way to the client.
#[derive(Debug)]
pub(crate) struct Fault(Status);

impl Fault {
    pub fn invalid(message: impl Into<String>) -> Fault {
        Fault(Status::invalid_argument(message))
    }

    pub fn unsupported(message: impl Into<String>) -> Fault {
        Fault(Status::unimplemented(message))
    }

    /// A client would not learn that an update is lost before the workflow has heard of it.
    pub fn admitted_only() -> Fault {
        let message = "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is not supported.";
        with_detail(Code::PermissionDenied, message, &PermissionDeniedFailure::default())
    }

    /// The same, of the one of two operations because of which neither was executed.
    pub fn in_operation(self, failed: usize) -> Fault {
        let status = self.0;
        let details = rpc::Status::decode(status.details()).map(|status| status.details).unwrap_or_default();
        let (code, message) = (status.code().into(), status.message().to_owned());
        let aborted = || OperationStatus {
            code: Code::Aborted.into(),
            message: "Operation was aborted.".to_owned(),
            details: vec![any(&MultiOperationExecutionAborted {})],
        };
        let mut statuses = vec![aborted(), aborted()];
        if let Some(place) = statuses.get_mut(failed) {
            *place = OperationStatus { code, message, details };
        }
        let detail = MultiOperationExecutionFailure { statuses };
        with_detail(status.code(), "Update-with-Start could not be executed.", &detail)
    }

    /// Too many are at it; another try may find room.
    pub fn overloaded(message: impl Into<String>) -> Fault {
        exhausted(message, ResourceExhaustedCause::SystemOverloaded, ResourceExhaustedScope::System)
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Status {
        fault.0
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Fault {
        Fault(status)
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Fault {
        match rejection {
            Rejection::InvalidArgument(message) => Fault(Status::invalid_argument(message)),
            Rejection::NotFound(message) => not_found(message),
            Rejection::FailedPrecondition(message) => Fault(Status::failed_precondition(message)),
            Rejection::WorkflowNotReady(message) => {
                with_detail(Code::FailedPrecondition, message, &WorkflowNotReadyFailure::default())
            }
            Rejection::Unavailable(message) => Fault(Status::unavailable(message)),
            Rejection::AlreadyStarted { message, start_request_id, run_id, first_execution_run_id } => {
                let detail =
                    WorkflowExecutionAlreadyStartedFailure { start_request_id, run_id, first_execution_run_id };
                with_detail(Code::AlreadyExists, message, &detail)
            }
            Rejection::LimitExceeded { message, cause } => exhausted(message, cause, ResourceExhaustedScope::Namespace),
        }
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Fault {
        let message = error.to_string();
        match error {
            EngineError::Rejected(rejection) => rejection.into(),
            EngineError::NamespaceNotFound(namespace) => {
                with_detail(Code::NotFound, message, &NamespaceNotFoundFailure { namespace })
            }
            EngineError::WorkflowNotFound { .. } | EngineError::ModuleNotFound(_) => not_found(message),
            EngineError::Module(module) => module.into(),
            EngineError::QueryFailed(failure) => {
                with_detail(Code::InvalidArgument, message, &QueryFailedFailure { failure: Some(*failure) })
            }
            EngineError::InvalidQuery(_) => Fault::invalid(message),
            EngineError::Unavailable(_) => Fault(Status::unavailable(message)),
            EngineError::Overloaded(_) => Fault::overloaded(message),
            EngineError::QuotaExceeded(exceeded) => {
                exhausted(message, exceeded.cause, ResourceExhaustedScope::Namespace)
            }
            EngineError::Store(store) => store.into(),
            EngineError::Damaged(_) => Fault(Status::data_loss(message)),
        }
    }
}

impl From<ModuleError> for Fault {
    fn from(error: ModuleError) -> Fault {
        let message = error.to_string();
        match error {
            ModuleError::CompilersBusy(_) => Fault::overloaded(message),
            transient if transient.is_transient() => Fault(Status::unavailable(message)),
            _ => Fault::invalid(message),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        let message = error.to_string();
        match error {
            StoreError::TooLarge { .. } => Fault::invalid(message),
            StoreError::Full { .. } => {
                let cause = ResourceExhaustedCause::PersistenceStorageLimit;
                exhausted(message, cause, ResourceExhaustedScope::System)
            }
            StoreError::BackupUnderWay => Fault(Status::failed_precondition(message)),
            StoreError::BackupTooSlow { .. } => Fault::overloaded(message),
            StoreError::Corrupt { .. }
            | StoreError::Emptied { .. }
            | StoreError::Mismatched { .. }
            | StoreError::Lost { .. }
            | StoreError::Version { .. } => Fault(Status::data_loss(message)),
            _ => Fault(Status::unavailable(message)),
        }
    }
}

fn not_found(message: impl Into<String>) -> Fault {
    with_detail(Code::NotFound, message, &NotFoundFailure::default())
}

fn exhausted(message: impl Into<String>, cause: ResourceExhaustedCause, scope: ResourceExhaustedScope) -> Fault {
    let detail = ResourceExhaustedFailure { cause: cause.into(), scope: scope.into() };
    with_detail(Code::ResourceExhausted, message, &detail)
}

/// A status with the detail that Temporal's SDKs look for in `grpc-status-details-bin`.
fn with_detail<T: Message + Name>(code: Code, message: impl Into<String>, detail: &T) -> Fault {
    let message = message.into();
    let status = rpc::Status { code: code.into(), message: message.clone(), details: vec![any(detail)] };
    Fault(Status::with_details(code, message, status.encode_to_vec().into()))
}

fn any<T: Message + Name>(detail: &T) -> Any {
    Any { type_url: format!("type.googleapis.com/{}", T::full_name()), value: detail.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use mainspring_engine::QuotaExceeded;

    use super::*;

    fn status(error: impl Into<Fault>) -> Status {
        error.into().into()
    }

    fn detail<T: Message + Name + Default>(status: &Status) -> T {
        let rpc = rpc::Status::decode(status.details()).expect("the details are a google.rpc.Status");
        assert_eq!((rpc.code, rpc.message.as_str()), (i32::from(status.code()), status.message()));
        assert_eq!(rpc.details.len(), 1);
        assert_eq!(rpc.details[0].type_url, format!("type.googleapis.com/temporal.api.errordetails.v1.{}", T::NAME));
        T::decode(rpc.details[0].value.as_slice()).expect("the detail is of its type")
    }

    #[test]
    fn a_taken_workflow_id_names_the_run_and_the_request_that_took_it() {
        let status = status(EngineError::from(Rejection::AlreadyStarted {
            message: "Workflow execution is already running.".into(),
            start_request_id: "request".into(),
            run_id: "run".into(),
            first_execution_run_id: "first".into(),
        }));
        assert_eq!(status.code(), Code::AlreadyExists);
        let detail: WorkflowExecutionAlreadyStartedFailure = detail(&status);
        assert_eq!((detail.start_request_id.as_str(), detail.run_id.as_str()), ("request", "run"));
        assert_eq!(detail.first_execution_run_id, "first");
    }

    #[test]
    fn a_missing_namespace_is_named() {
        let status = status(EngineError::NamespaceNotFound("nowhere".into()));
        assert_eq!((status.code(), status.message()), (Code::NotFound, "Namespace nowhere is not found."));
        assert_eq!(detail::<NamespaceNotFoundFailure>(&status).namespace, "nowhere");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let workflow = EngineError::WorkflowNotFound { workflow_id: "w".into(), run_id: String::new() };
        for error in [workflow, EngineError::ModuleNotFound("ab".into()), Rejection::closed().into()] {
            let status = status(error);
            assert_eq!(status.code(), Code::NotFound);
            let _: NotFoundFailure = detail(&status);
        }
    }

    #[test]
    fn a_reached_bound_names_its_cause() {
        let status = status(EngineError::from(Rejection::LimitExceeded {
            message: "too many".into(),
            cause: ResourceExhaustedCause::ConcurrentLimit,
        }));
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(detail::<ResourceExhaustedFailure>(&status).cause(), ResourceExhaustedCause::ConcurrentLimit);
    }

    #[test]
    fn a_reached_quota_names_its_cause_and_the_namespace_as_its_scope() {
        let message = "Namespace \"a\" has reached its quota open_runs: 1.";
        let cause = ResourceExhaustedCause::ConcurrentLimit;
        let exceeded = QuotaExceeded { quota: "open_runs", message: message.into(), cause };
        let status = status(EngineError::from(exceeded));
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, message));
        let detail = detail::<ResourceExhaustedFailure>(&status);
        assert_eq!((detail.cause(), detail.scope()), (cause, ResourceExhaustedScope::Namespace));
    }

    #[test]
    fn a_permanent_fault_of_the_client_is_never_one_that_sdks_retry() {
        let io = std::sync::Arc::new(std::io::Error::other("gone"));
        let dir = PathBuf::from("data");
        let cases: Vec<(EngineError, Code)> = vec![
            (Rejection::invalid("no").into(), Code::InvalidArgument),
            (Rejection::FailedPrecondition("no".into()).into(), Code::FailedPrecondition),
            (EngineError::InvalidQuery("at 3".into()), Code::InvalidArgument),
            (ModuleError::NotWasm.into(), Code::InvalidArgument),
            (ModuleError::CoreModule.into(), Code::InvalidArgument),
            (ModuleError::TooLarge { bytes: 2, limit: 1 }.into(), Code::InvalidArgument),
            (ModuleError::NoWorkflows.into(), Code::InvalidArgument),
            (ModuleError::CompileTimeout(Duration::from_secs(60)).into(), Code::InvalidArgument),
            (StoreError::TooLarge { what: "a value", bytes: 2, limit: 1 }.into(), Code::InvalidArgument),
            // What time can heal.
            (ModuleError::CompilersBusy(Duration::from_secs(60)).into(), Code::ResourceExhausted),
            (ModuleError::Host("no memory".into()).into(), Code::Unavailable),
            (EngineError::Unavailable("stopping".into()), Code::Unavailable),
            (EngineError::Overloaded("busy".into()), Code::ResourceExhausted),
            (StoreError::Full { dir, free_bytes: 1, needed_bytes: 2 }.into(), Code::ResourceExhausted),
            (StoreError::Io { action: "write", path: PathBuf::new(), source: io }.into(), Code::Unavailable),
            (StoreError::BackupUnderWay.into(), Code::FailedPrecondition),
            (StoreError::BackupTooSlow { bytes: 1 }.into(), Code::ResourceExhausted),
            (StoreError::Stopped { cause: "fdatasync".into() }.into(), Code::Unavailable),
            // What somebody has to repair.
            (StoreError::Corrupt { key: "k".into(), what: "crc".into() }.into(), Code::DataLoss),
            (EngineError::Damaged("no start".into()), Code::DataLoss),
        ];
        for (error, code) in cases {
            let text = error.to_string();
            let status = status(error);
            assert_eq!((status.code(), status.message()), (code, text.as_str()));
        }
    }
}
