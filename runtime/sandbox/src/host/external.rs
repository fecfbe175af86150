//! `mainspring:workflow/external`.

use mainspring_api::{
    command::{
        RequestCancelExternalWorkflowExecutionCommandAttributes, SignalExternalWorkflowExecutionCommandAttributes,
        command::Attributes,
    },
    common::WorkflowExecution,
    enums::CommandType,
};

use super::HostState;
use crate::{
    bindings::{
        external::{self, Target},
        types::{Operation, Payload},
    },
    convert::payload::{header_to_proto, payloads_to_proto},
    operations::command,
};

impl external::Host for HostState {
    fn signal(
        &mut self,
        target: Target,
        name: String,
        input: Vec<Payload>,
        header: Vec<(String, Payload)>,
    ) -> wasmtime::Result<Operation> {
        self.commanding("external.signal")?;
        let (workflow_id, run_id, child_workflow_only) = match target {
            Target::Child(child) => (self.operations.child_workflow_id(child)?, String::new(), true),
            Target::Execution((workflow_id, run_id)) => (workflow_id, run_id, false),
        };
        let attributes = SignalExternalWorkflowExecutionCommandAttributes {
            execution: Some(WorkflowExecution { workflow_id, run_id }),
            signal_name: name,
            input: payloads_to_proto(input),
            child_workflow_only,
            header: header_to_proto(header),
            ..Default::default()
        };
        let command = command(
            CommandType::SignalExternalWorkflowExecution,
            Attributes::SignalExternalWorkflowExecutionCommandAttributes(attributes),
            None,
        );
        Ok(self.operations.signal_external(command, &self.limits)?)
    }

    fn cancel_signal(&mut self, signal: Operation) -> wasmtime::Result<()> {
        self.commanding("external.cancel-signal")?;
        Ok(self.operations.cancel_signal(signal)?)
    }

    fn request_cancel(&mut self, workflow_id: String, run_id: String, reason: String) -> wasmtime::Result<Operation> {
        self.commanding("external.request-cancel")?;
        let attributes = RequestCancelExternalWorkflowExecutionCommandAttributes {
            workflow_id,
            run_id,
            reason,
            ..Default::default()
        };
        let command = command(
            CommandType::RequestCancelExternalWorkflowExecution,
            Attributes::RequestCancelExternalWorkflowExecutionCommandAttributes(attributes),
            None,
        );
        Ok(self.operations.request_cancel_external(command, &self.limits)?)
    }
}
