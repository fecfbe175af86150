//! What requests are held to before the engine hears of them, in Temporal's words where it has some.
//!
//! Sizes and signs are [`mainspring_core::validate`]'s; here is what only a request has: executions, task queues, run
//! ids, deadlines.

use std::time::Duration;

use mainspring_api::{common::WorkflowExecution, taskqueue::TaskQueue};
use mainspring_core::{limits::temporal, validate};
use mainspring_engine::{EngineError, RunRef};
use tonic::metadata::MetadataMap;
use uuid::Uuid;

use crate::{error::Fault, limits};

/// Names that Temporal keeps for the partitions of task queues.
const RESERVED_TASK_QUEUES: &str = "/_sys/";

/// The run that a request is about; its run id may be left out.
pub(crate) fn run(execution: Option<WorkflowExecution>) -> Result<RunRef, Fault> {
    let execution = execution.ok_or_else(|| Fault::invalid("Execution is not set on request."))?;
    if execution.workflow_id.is_empty() {
        return Err(Fault::invalid("WorkflowId is not set on request."));
    }
    run_id(&execution.run_id)?;
    workflow_id(&execution.workflow_id, &execution.run_id)?;
    Ok(RunRef { workflow_id: execution.workflow_id, run_id: execution.run_id, first_execution_run_id: String::new() })
}

/// No workflow has an id that is longer than a start may give it.
pub(crate) fn workflow_id(workflow_id: &str, run_id: &str) -> Result<(), Fault> {
    if workflow_id.len() <= temporal::ID_BYTES {
        return Ok(());
    }
    // It is named as far as an answer has room for it.
    let end = workflow_id.floor_char_boundary(temporal::ID_BYTES);
    Err(EngineError::WorkflowNotFound { workflow_id: workflow_id[..end].to_owned(), run_id: run_id.to_owned() }.into())
}

/// The same, of a chain of runs that began with `first_execution_run_id`, unless it is empty.
pub(crate) fn run_of_chain(
    execution: Option<WorkflowExecution>,
    first_execution_run_id: String,
) -> Result<RunRef, Fault> {
    validate::optional_name("FirstExecutionRunId", &first_execution_run_id)?;
    Ok(RunRef { first_execution_run_id, ..run(execution)? })
}

/// Empty, or a UUID in its usual form.
pub(crate) fn run_id(run_id: &str) -> Result<(), Fault> {
    if run_id.is_empty() || Uuid::try_parse(run_id).is_ok() {
        return Ok(());
    }
    Err(Fault::invalid("Invalid RunId."))
}

pub(crate) fn task_queue(task_queue: Option<TaskQueue>) -> Result<String, Fault> {
    let task_queue = task_queue.ok_or_else(|| Fault::invalid("taskQueue is not set"))?;
    task_queue_name(&task_queue.name)?;
    Ok(task_queue.name)
}

pub(crate) fn task_queue_name(name: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::invalid("missing task queue name"));
    }
    validate::name("TaskQueue", name)?;
    if name.starts_with(RESERVED_TASK_QUEUES) {
        return Err(Fault::invalid(format!(
            "task queue name cannot start with reserved prefix {RESERVED_TASK_QUEUES}"
        )));
    }
    Ok(())
}

pub(crate) fn identity(identity: &str) -> Result<(), Fault> {
    Ok(validate::optional_name("Identity", identity)?)
}

/// How many rows a page has: what was asked for, between one and the most; the most where nothing was.
pub(crate) fn page_size(asked: i32, most: usize) -> usize {
    match usize::try_from(asked) {
        Ok(asked) if asked > 0 => asked.min(most),
        _ => most,
    }
}

/// How long a call may be held: so long that its client, which may give up earlier, still gets the answer.
pub(crate) fn hold(metadata: &MetadataMap, longest: Duration) -> Duration {
    match client_timeout(metadata) {
        Some(timeout) => longest.min(timeout.saturating_sub(limits::RETURN_TIME.min(timeout / 4))),
        None => longest,
    }
}

/// The client's deadline, in the form that gRPC over HTTP/2 gives it: at most 8 digits and a unit.
fn client_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (unit_at, _) = text.char_indices().last()?;
    let (digits, unit) = text.split_at(unit_at);
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3_600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn message<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
        Status::from(result.expect_err("refused")).message().to_owned()
    }

    fn held(timeout: Option<&'static str>) -> Duration {
        let mut metadata = MetadataMap::new();
        if let Some(timeout) = timeout {
            metadata.insert("grpc-timeout", timeout.parse().unwrap());
        }
        hold(&metadata, Duration::from_secs(60))
    }

    #[test]
    fn a_run_id_is_a_uuid_or_nothing() {
        assert!(run_id("").is_ok());
        assert!(run_id("01a20a0f-5739-74a8-ae48-eaed80251506").is_ok());
        for bad in ["abc", "01a20a0f", " ", "01a20a0f-5739-74a8-ae48-eaed8025150z"] {
            assert_eq!(message(run_id(bad)), "Invalid RunId.");
        }
    }

    #[test]
    fn a_request_without_an_execution_says_so() {
        assert_eq!(message(run(None)), "Execution is not set on request.");
        assert_eq!(message(run(Some(WorkflowExecution::default()))), "WorkflowId is not set on request.");
    }

    #[test]
    fn task_queues_have_names_of_their_own() {
        let queue = |name: &str| TaskQueue { name: name.into(), ..Default::default() };
        assert_eq!(task_queue(Some(queue("orders"))).unwrap(), "orders");
        assert_eq!(message(task_queue(None)), "taskQueue is not set");
        assert_eq!(message(task_queue(Some(queue("")))), "missing task queue name");
        assert_eq!(
            message(task_queue(Some(queue("/_sys/orders/1")))),
            "task queue name cannot start with reserved prefix /_sys/"
        );
    }

    #[test]
    fn a_call_is_answered_before_its_client_gives_up() {
        assert_eq!(held(None), Duration::from_secs(60));
        assert_eq!(held(Some("70S")), Duration::from_secs(60));
        assert_eq!(held(Some("30S")), Duration::from_secs(29));
        assert_eq!(held(Some("2000m")), Duration::from_millis(1_500));
        assert_eq!(held(Some("0S")), Duration::ZERO);
        assert_eq!(held(Some("2H")), Duration::from_secs(60));
    }

    #[test]
    fn a_deadline_that_makes_no_sense_is_none() {
        for text in ["", "S", "abc", "123456789S", "10", "-5S", "5é"] {
            let mut metadata = MetadataMap::new();
            if let Ok(value) = text.parse() {
                metadata.insert("grpc-timeout", value);
            }
            assert_eq!(client_timeout(&metadata), None, "{text:?}");
        }
    }

    #[test]
    fn a_page_has_at_least_one_row_and_at_most_the_limit() {
        assert_eq!([-1, 0, 1, 10, 11].map(|asked| page_size(asked, 10)), [10, 10, 1, 10, 10]);
    }
}
