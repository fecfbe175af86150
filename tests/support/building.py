"""Building workflows with `mainspring build`, and comparing what they did."""

import base64
import json
from pathlib import Path

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import RequestCancelWorkflowExecutionRequest

from . import paths
from .server import Mainspring, run

# What two runs differ in, whatever they do: when, who and which run.
RUN_FACTS = {
    "eventTime", "taskId", "identity", "requestId", "originalExecutionRunId", "firstExecutionRunId", "workerVersion",
    "historySizeBytes", "stackTrace", "source",
}  # fmt: skip


def build(server: Mainspring, source: Path, *flags: str) -> Path:
    """Builds a project to a module that the server's histories can be replayed on afterwards."""
    name = "-".join(source.relative_to(paths.ROOT).with_suffix("").parts) if source.is_relative_to(paths.ROOT) else source.stem
    module = server.directory / f"{name}.wasm"
    run([paths.mainspring_binary(), "build", source, "-o", module, *flags], True, 600)
    return module


def normalised(value):
    """A history as it would be of any other run that did the same."""
    if isinstance(value, dict):
        if "encoding" in value.get("metadata", {}):
            # As the values that they stand for: JSON has several ways to write one text.
            data = json.loads(base64.b64decode(value.get("data", "")) or "null")
            return {"metadata": value["metadata"], "json": data}
        return {key: normalised(inner) for key, inner in value.items() if key not in RUN_FACTS}
    return [normalised(inner) for inner in value] if isinstance(value, list) else value


def cancel_request(handle, reason: str) -> RequestCancelWorkflowExecutionRequest:
    """With a reason, which the SDK's own `cancel` does not take."""
    execution = WorkflowExecution(workflow_id=handle.id)
    return RequestCancelWorkflowExecutionRequest(namespace="default", workflow_execution=execution, reason=reason)
