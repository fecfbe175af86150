//! What clients ask of workflows.

use mainspring_api::common::Payloads;
use mainspring_core::{cancel::CancelRequest, reset::ResetRequest, signal::Signal, workflow::StartWorkflow};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    Engine, EngineError, RunDescription, RunRef, Started,
    engine::stopped,
    keys::{RunKey, WorkflowKey},
    shard::{Also, Request},
};

impl Engine {
    pub async fn start_workflow(&self, namespace: &str, start: StartWorkflow) -> Result<Started, EngineError> {
        start.validate()?;
        self.admit_start(namespace, &start)?;
        let workflow = self.workflow(namespace, &start.workflow_id)?;
        self.start(workflow, start, None).await
    }

    /// What a client's start is held to before anybody looks at what it is about.
    pub(crate) fn admit_start(&self, namespace: &str, start: &StartWorkflow) -> Result<(), EngineError> {
        self.check_payloads(namespace, "Input", start.input.as_ref())?;
        Ok(self.shared().meter(self.shared().namespaces.id(namespace)?).admit_start()?)
    }

    /// Starts a workflow, and has the run that the start comes to (a new one, or one that is running already) take
    /// something else in the same step.
    pub(crate) async fn start(
        &self,
        workflow: WorkflowKey,
        start: StartWorkflow,
        also: Option<Also>,
    ) -> Result<Started, EngineError> {
        let (sender, receiver) = oneshot::channel();
        let reply = Box::new(move |started| {
            // A client that has gone does not get its answer.
            let _ = sender.send(started);
        });
        let (run, start) = (Uuid::now_v7(), Box::new(start));
        self.shard_of(&workflow).request(Request::Start { workflow: workflow.clone(), run, start, also, reply })?;
        receiver.await.map_err(|_| stopped())?
    }

    /// Signals the running workflow of this id, and starts one first where there is none.
    pub async fn signal_with_start(
        &self,
        namespace: &str,
        start: StartWorkflow,
        signal: Signal,
    ) -> Result<Started, EngineError> {
        start.validate()?;
        // Before the run begins, so that it does not begin without it.
        signal.validate()?;
        self.admit_start(namespace, &start)?;
        self.check_payloads(namespace, "Signal input", signal.input.as_ref())?;
        let workflow = self.workflow(namespace, &start.workflow_id)?;
        let (sender, receiver) = oneshot::channel();
        let signaled = Box::new(move |signaled| {
            let _ = sender.send(signaled);
        });
        let started = self.start(workflow, start, Some(Also::Signal(Box::new(signal), signaled))).await?;
        receiver.await.map_err(|_| stopped())??;
        Ok(started)
    }

    pub async fn signal_workflow(&self, namespace: &str, run: RunRef, signal: Signal) -> Result<(), EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        self.check_room(namespace)?;
        self.check_payloads(namespace, "Signal input", signal.input.as_ref())?;
        self.on_run(workflow, run, move |step| step.signal(signal)).await
    }

    pub async fn request_cancel_workflow(
        &self,
        namespace: &str,
        run: RunRef,
        request: CancelRequest,
    ) -> Result<(), EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        self.on_run(workflow, run, move |step| step.request_cancel(request)).await
    }

    pub async fn terminate_workflow(
        &self,
        namespace: &str,
        run: RunRef,
        reason: &str,
        details: Option<Payloads>,
        identity: &str,
    ) -> Result<(), EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        let (reason, identity) = (reason.to_owned(), identity.to_owned());
        self.end_run(workflow, run, move |step| step.terminate(&reason, details, &identity)).await
    }

    /// Makes a new run of the first events of this one, and ends the latest run if it is open. Gives the new run's id; the
    /// same request again gives the same run.
    pub async fn reset_workflow(
        &self,
        namespace: &str,
        run: RunRef,
        reset: ResetRequest,
    ) -> Result<String, EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        self.check_room(namespace)?;
        let (reply, receiver) = oneshot::channel();
        let shard = self.shard_of(&workflow);
        shard.request(Request::Reset { workflow: workflow.clone(), run, reset: Box::new(reset), reply })?;
        receiver.await.map_err(|_| stopped())?
    }

    /// Deletes a run with all that is stored of it; one that is open is terminated first.
    pub async fn delete_workflow(&self, namespace: &str, run: RunRef) -> Result<(), EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        let run_id = self
            .end_run(workflow.clone(), run, |step| {
                if step.state.is_running() {
                    step.terminate("Delete workflow execution", None, "history-service")?;
                }
                Ok(step.state.run_id.clone())
            })
            .await?;
        let run: Uuid = run_id.parse().map_err(|_| EngineError::Damaged(format!("run id {run_id:?}")))?;
        let (done, receiver) = oneshot::channel();
        let shard = self.shard_of(&workflow);
        shard.request(Request::Purge { run: RunKey { workflow: workflow.clone(), run }, done })?;
        receiver.await.map_err(|_| stopped())?
    }

    pub async fn describe_workflow(&self, namespace: &str, run: RunRef) -> Result<RunDescription, EngineError> {
        let workflow = self.workflow(namespace, &run.workflow_id)?;
        self.on_run(workflow, run, |step| {
            let state = &*step.state;
            Ok(RunDescription {
                config: state.execution_config(),
                info: state.execution_info(),
                extended: state.extended_info(),
                pending_activities: state.pending_activities(),
                pending_children: state.pending_children(),
                pending_workflow_task: state.pending_workflow_task(),
            })
        })
        .await
    }
}
