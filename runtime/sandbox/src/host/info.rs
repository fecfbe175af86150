//! `mainspring:workflow/info`.

use super::HostState;
use crate::{
    bindings::info::{self, HistoryInfo, ParentInfo, WorkflowExecution, WorkflowInfo},
    convert::{
        failure::failure_to_guest,
        payload::{fields_to_guest, header_to_guest, payloads_to_guest},
        retry_policy_to_guest,
        time::{datetime_to_guest, duration_to_guest},
    },
};

fn execution_to_guest(execution: &mainspring_api::common::WorkflowExecution) -> WorkflowExecution {
    WorkflowExecution { workflow_id: execution.workflow_id.clone(), run_id: execution.run_id.clone() }
}

impl info::Host for HostState {
    fn get(&mut self) -> wasmtime::Result<WorkflowInfo> {
        let run = self.activation("info.get")?;
        let started = &run.started;
        Ok(WorkflowInfo {
            namespace: run.key.namespace.clone(),
            workflow_id: run.key.workflow_id.clone(),
            run_id: run.key.run_id.clone(),
            first_execution_run_id: match started.first_execution_run_id.as_str() {
                "" => run.key.run_id.clone(),
                first => first.to_owned(),
            },
            continued_execution_run_id: Some(started.continued_execution_run_id.clone()).filter(|id| !id.is_empty()),
            parent: started.parent_workflow_execution.as_ref().map(|parent| ParentInfo {
                namespace: started.parent_workflow_namespace.clone(),
                execution: execution_to_guest(parent),
            }),
            root: started.root_workflow_execution.as_ref().map(execution_to_guest),
            workflow_type: run.workflow_type().to_owned(),
            task_queue: started.task_queue.as_ref().map(|queue| queue.name.clone()).unwrap_or_default(),
            attempt: u32::try_from(started.attempt).unwrap_or(1).max(1),
            start_time: datetime_to_guest(&run.start_time),
            execution_timeout: started.workflow_execution_timeout.as_ref().map(duration_to_guest),
            run_timeout: started.workflow_run_timeout.as_ref().map(duration_to_guest),
            task_timeout: started.workflow_task_timeout.as_ref().map(duration_to_guest),
            retry_policy: started.retry_policy.as_ref().map(retry_policy_to_guest),
            memo: started.memo.as_ref().map(|memo| fields_to_guest(&memo.fields)).unwrap_or_default(),
            search_attributes: started
                .search_attributes
                .as_ref()
                .map(|attributes| fields_to_guest(&attributes.indexed_fields))
                .unwrap_or_default(),
            header: header_to_guest(started.header.as_ref()),
            last_completion_result: payloads_to_guest(started.last_completion_result.as_ref()),
            last_failure: started.continued_failure.as_ref().map(failure_to_guest),
        })
    }

    fn history(&mut self) -> wasmtime::Result<HistoryInfo> {
        self.activation("info.history")?;
        Ok(HistoryInfo {
            length: u32::try_from(self.moment.event_id).unwrap_or(u32::MAX),
            size_bytes: u32::try_from(self.moment.history_size_bytes).unwrap_or(u32::MAX),
            continue_as_new_suggested: self.moment.continue_as_new_suggested,
        })
    }
}
