//! `mainspring:workflow/children`.

use mainspring_api::{
    command::{StartChildWorkflowExecutionCommandAttributes, command::Attributes},
    common::WorkflowType,
    enums::{CommandType, ParentClosePolicy, TaskQueueKind, WorkflowIdReusePolicy},
    taskqueue::TaskQueue,
};

use super::HostState;
use crate::{
    bindings::{
        children::{self, ChildOptions},
        types::{Operation, Payload},
    },
    convert::{
        payload::{header_to_proto, memo_to_proto, metadata_to_proto, payloads_to_proto, search_attributes_to_proto},
        retry_policy_to_proto,
        time::duration_to_proto,
    },
    operations::{ChildName, command},
};

impl children::Host for HostState {
    fn start(
        &mut self,
        workflow_type: String,
        input: Vec<Payload>,
        options: ChildOptions,
    ) -> wasmtime::Result<Operation> {
        let run = self.commanding("children.start")?;
        let task_queue = options
            .task_queue
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| run.started.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default());
        let namespace = run.key.namespace.clone();
        let workflow_id = match options.workflow_id.filter(|id| !id.is_empty()) {
            Some(id) => id,
            // Stable in replay, also of a run that a reset has made: the seed stays.
            None => format!("{}_{}", run.seed(), self.operations.next_number()?),
        };
        let name = ChildName { namespace, workflow_id: workflow_id.clone(), workflow_type: workflow_type.clone() };
        let attributes = StartChildWorkflowExecutionCommandAttributes {
            workflow_id,
            workflow_type: Some(WorkflowType { name: workflow_type }),
            task_queue: Some(TaskQueue {
                name: task_queue,
                kind: TaskQueueKind::Normal.into(),
                normal_name: String::new(),
            }),
            input: payloads_to_proto(input),
            workflow_execution_timeout: options.execution_timeout.map(duration_to_proto).transpose()?,
            workflow_run_timeout: options.run_timeout.map(duration_to_proto).transpose()?,
            workflow_task_timeout: options.task_timeout.map(duration_to_proto).transpose()?,
            parent_close_policy: match options.parent_close_policy {
                children::ParentClosePolicy::Terminate => ParentClosePolicy::Terminate,
                children::ParentClosePolicy::Abandon => ParentClosePolicy::Abandon,
                children::ParentClosePolicy::RequestCancel => ParentClosePolicy::RequestCancel,
            }
            .into(),
            workflow_id_reuse_policy: match options.workflow_id_reuse_policy {
                children::WorkflowIdReusePolicy::AllowDuplicate => WorkflowIdReusePolicy::AllowDuplicate,
                children::WorkflowIdReusePolicy::AllowDuplicateFailedOnly => {
                    WorkflowIdReusePolicy::AllowDuplicateFailedOnly
                }
                children::WorkflowIdReusePolicy::RejectDuplicate => WorkflowIdReusePolicy::RejectDuplicate,
            }
            .into(),
            retry_policy: options.retry_policy.map(retry_policy_to_proto).transpose()?,
            header: header_to_proto(options.header),
            memo: memo_to_proto(options.memo),
            search_attributes: search_attributes_to_proto(options.search_attributes),
            ..Default::default()
        };
        let command = command(
            CommandType::StartChildWorkflowExecution,
            Attributes::StartChildWorkflowExecutionCommandAttributes(attributes),
            metadata_to_proto(options.summary, options.details),
        );
        Ok(self.operations.start_child(command, name, options.cancellation_type, &self.limits)?)
    }

    fn cancel(&mut self, child: Operation) -> wasmtime::Result<()> {
        self.commanding("children.cancel")?;
        Ok(self.operations.cancel_child(child, &self.limits)?)
    }
}
