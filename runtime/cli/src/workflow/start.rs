//! `workflow start` and `workflow execute`.

use std::time::{Duration, Instant};

use clap::{ArgAction, Args, ValueEnum};
use mainspring_api::{
    common::{Header, Memo, Priority, SearchAttributes, WorkflowExecution, WorkflowType},
    enums::{TaskQueueKind, WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    sdk::UserMetadata,
    taskqueue::TaskQueue,
    workflowservice::StartWorkflowExecutionRequest,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CommonArgs, result};
use crate::{
    connect::{Client, refused, unary},
    duration,
    failure::Outcome,
    output::{self, section},
    payload::{self, InputArgs},
};

#[derive(Debug, Args)]
pub struct StartArgs {
    /// The workflow type
    #[arg(long = "type", visible_alias = "name", value_name = "NAME")]
    workflow_type: String,
    /// The task queue
    #[arg(short, long, value_name = "NAME")]
    task_queue: String,
    /// The workflow id [default: a new UUID]
    #[arg(short, long, value_name = "ID")]
    workflow_id: Option<String>,
    #[command(flatten)]
    input: InputArgs,
    /// How long the workflow may take, retries and continue-as-new included [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    execution_timeout: Option<Duration>,
    /// How long one run may take [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    run_timeout: Option<Duration>,
    /// How long one workflow task may take [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    task_timeout: Option<Duration>,
    /// How long to wait before the first workflow task
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    start_delay: Option<Duration>,
    /// Whether the workflow id of a closed execution may be used again [default: AllowDuplicate]
    #[arg(long, value_name = "POLICY", ignore_case = true)]
    id_reuse_policy: Option<ReusePolicy>,
    /// What to do where the workflow id is that of an open execution [default: Fail]
    #[arg(long, value_name = "POLICY", ignore_case = true)]
    id_conflict_policy: Option<ConflictPolicy>,
    /// Fail where the workflow id exists at all, open or closed
    #[arg(long, conflicts_with_all = ["id_reuse_policy", "id_conflict_policy"])]
    fail_existing: bool,
    /// A memo field; the value is JSON. Can be given several times
    #[arg(long, value_name = "KEY=JSON", action = ArgAction::Append)]
    memo: Vec<String>,
    /// A search attribute; the value is JSON. Can be given several times
    #[arg(long, value_name = "KEY=JSON", action = ArgAction::Append)]
    search_attribute: Vec<String>,
    /// A field of the workflow's header; the value is JSON. Can be given several times
    #[arg(long, value_name = "KEY=JSON", action = ArgAction::Append)]
    headers: Vec<String>,
    /// A line about the workflow, for people
    #[arg(long, value_name = "TEXT")]
    static_summary: Option<String>,
    /// More about the workflow, for people
    #[arg(long, value_name = "TEXT")]
    static_details: Option<String>,
    /// Priority from 1 (first) to 5 [default: 3]
    #[arg(long, value_name = "NUMBER")]
    priority_key: Option<i32>,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReusePolicy {
    #[value(name = "AllowDuplicate")]
    AllowDuplicate,
    #[value(name = "AllowDuplicateFailedOnly")]
    AllowDuplicateFailedOnly,
    #[value(name = "RejectDuplicate")]
    RejectDuplicate,
    #[value(name = "TerminateIfRunning")]
    TerminateIfRunning,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ConflictPolicy {
    #[value(name = "Fail")]
    Fail,
    #[value(name = "UseExisting")]
    UseExisting,
    #[value(name = "TerminateExisting")]
    TerminateExisting,
}

impl StartArgs {
    fn request(&self, client: &Client) -> Outcome<StartWorkflowExecutionRequest> {
        let metadata = |text: &Option<String>| text.as_ref().map(|text| payload::of_json(&json!(text).to_string()));
        let (summary, details) = (metadata(&self.static_summary), metadata(&self.static_details));
        Ok(StartWorkflowExecutionRequest {
            namespace: client.namespace.clone(),
            workflow_id: self.workflow_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string()),
            workflow_type: Some(WorkflowType { name: self.workflow_type.clone() }),
            task_queue: Some(TaskQueue {
                name: self.task_queue.clone(),
                kind: TaskQueueKind::Normal.into(),
                ..Default::default()
            }),
            input: self.input.payloads()?,
            workflow_execution_timeout: duration::to_proto(self.execution_timeout),
            workflow_run_timeout: duration::to_proto(self.run_timeout),
            workflow_task_timeout: duration::to_proto(self.task_timeout),
            identity: client.identity.clone(),
            request_id: Uuid::new_v4().to_string(),
            workflow_id_reuse_policy: self.reuse_policy().into(),
            workflow_id_conflict_policy: self.conflict_policy().into(),
            memo: payload::fields("--memo", &self.memo)?.map(|fields| Memo { fields }),
            search_attributes: payload::fields("--search-attribute", &self.search_attribute)?
                .map(|indexed_fields| SearchAttributes { indexed_fields }),
            header: payload::fields("--headers", &self.headers)?.map(|fields| Header { fields }),
            workflow_start_delay: duration::to_proto(self.start_delay),
            user_metadata: (summary.is_some() || details.is_some()).then_some(UserMetadata { summary, details }),
            priority: self.priority_key.map(|priority_key| Priority { priority_key, ..Default::default() }),
            ..Default::default()
        })
    }

    fn reuse_policy(&self) -> WorkflowIdReusePolicy {
        match self.id_reuse_policy {
            _ if self.fail_existing => WorkflowIdReusePolicy::RejectDuplicate,
            None => WorkflowIdReusePolicy::Unspecified,
            Some(ReusePolicy::AllowDuplicate) => WorkflowIdReusePolicy::AllowDuplicate,
            Some(ReusePolicy::AllowDuplicateFailedOnly) => WorkflowIdReusePolicy::AllowDuplicateFailedOnly,
            Some(ReusePolicy::RejectDuplicate) => WorkflowIdReusePolicy::RejectDuplicate,
            Some(ReusePolicy::TerminateIfRunning) => WorkflowIdReusePolicy::TerminateIfRunning,
        }
    }

    fn conflict_policy(&self) -> WorkflowIdConflictPolicy {
        match self.id_conflict_policy {
            _ if self.fail_existing => WorkflowIdConflictPolicy::Fail,
            None => WorkflowIdConflictPolicy::Unspecified,
            Some(ConflictPolicy::Fail) => WorkflowIdConflictPolicy::Fail,
            Some(ConflictPolicy::UseExisting) => WorkflowIdConflictPolicy::UseExisting,
            Some(ConflictPolicy::TerminateExisting) => WorkflowIdConflictPolicy::TerminateExisting,
        }
    }

    async fn send(&self) -> Outcome<(Client, StartedRun)> {
        // What the flags say is checked before anybody is asked.
        self.input.payloads()?;
        let mut client = self.common.connection.connect().await?;
        let request = self.request(&client)?;
        let workflow_id = request.workflow_id.clone();
        let answer = client.workflows.start_workflow_execution(unary(request)).await;
        let answer = answer.map_err(refused("cannot start the workflow"))?.into_inner();
        let run = StartedRun {
            workflow_id,
            run_id: answer.run_id,
            workflow_type: self.workflow_type.clone(),
            namespace: client.namespace.clone(),
            task_queue: self.task_queue.clone(),
        };
        Ok((client, run))
    }
}

struct StartedRun {
    workflow_id: String,
    run_id: String,
    workflow_type: String,
    namespace: String,
    task_queue: String,
}

impl StartedRun {
    fn text(&self) -> String {
        let fields = [
            ("WorkflowId", self.workflow_id.clone()),
            ("RunId", self.run_id.clone()),
            ("Type", self.workflow_type.clone()),
            ("Namespace", self.namespace.clone()),
            ("TaskQueue", self.task_queue.clone()),
        ];
        section("Running execution", &fields)
    }

    fn json(&self) -> Value {
        json!({
            "workflowId": self.workflow_id,
            "runId": self.run_id,
            "type": self.workflow_type,
            "namespace": self.namespace,
            "taskQueue": self.task_queue,
        })
    }
}

pub async fn start(args: StartArgs) -> Outcome {
    let format = args.common.output.output;
    let (_, run) = args.send().await?;
    match format.is_text() {
        true => output::print_text(&run.text())?,
        false => format.print_json(&run.json())?,
    }
    Ok(())
}

pub async fn execute(args: StartArgs) -> Outcome {
    let format = args.common.output.output;
    let begun = Instant::now();
    let (mut client, run) = args.send().await?;
    if format.is_text() {
        output::print_text(&(run.text() + "\n"))?;
    }
    let execution = WorkflowExecution { workflow_id: run.workflow_id.clone(), run_id: run.run_id.clone() };
    let closed = result::wait(&mut client, execution).await?;
    if format.is_text() {
        output::print_text(&closed.text())?;
    } else {
        let mut json = run.json();
        json["durationMillis"] = json!(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        closed.add_to(&mut json);
        format.print_json(&json)?;
    }
    closed.into_outcome()
}
