"""The same script against Mainspring and against Temporal's dev server: what it notes and the histories are equal.

A script is a coroutine function of a `Side`: it starts workflows under ids that are the same on both sides, does to
them what a user would, and notes what it is told. `compare` runs it on both sides at once.
"""

import asyncio
import base64
import difflib
import json
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from temporalio.client import (
    Client,
    WorkflowContinuedAsNewError,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.service import RPCError

from . import histories
from .differential_activities import Activities
from .server import Server
from .waiting import eventually

# Fields that say when, by what build or how large something was encoded, and not what happened.
NOT_COMPARED = {
    "taskId",
    "requestId",
    "originalEventId",
    "historySizeBytes",
    "history_size_bytes",
    "start_time_ms",
    "stateTransitionCount",
    "stackTrace",
    # How the Rust SDK words an error, which the kitchen's `describe` tells.
    "text",
    # What the worker that ran the workflow says of itself: there it is Temporal's SDK, here the sandbox.
    "sdkMetadata",
    "meteringMetadata",
    "workerVersion",
    "mostRecentWorkerVersionStamp",
    "workerDeploymentName",
    "binaryChecksum",
}

# The intended differences: see docs/differences.md, which gives the reasons. The first column there is the key here.
INTENDED = {
    "useWorkflowBuildId",
    "inheritBuildId",
    "eventGroupMarkers",
    "activation_index",
    "link",
    "BuildIds",
    "prevAutoResetPoints",
    "autoResetPoints",
}
# How the SDKs go on where they know no handler of a name.
SDK_REFUSALS = re.compile(r"(\w+ handler for '[^']*' expected but not found).*", re.S)
# What Temporal's SDK puts ahead of the reason of a request to cancel another workflow.
CANCEL_REASON = re.compile(r"^Cancel requested by workflow with run id \S+ with reason: ")

# Numbers that a workflow gives what it starts: here one sequence for all kinds, there one for each.
COUNTED = {"timerId", "activityId"}

# Durations that are measured, with what makes them equal.
MEASURED = {
    # The policy's interval, less what has passed.
    "firstWorkflowTaskBackoff": math.ceil,
    # The policy's interval, and the time that it took to write it down.
    "currentRetryInterval": round,
    "executionDuration": lambda _: "some ",
}

# Their identity is the workflow worker's.
BY_THE_WORKER = re.compile(r"EVENT_TYPE_(WORKFLOW_TASK_(STARTED|COMPLETED|FAILED)|TIMER_CANCELED)")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")
# A time that is none.
ZERO = re.compile(r"^(1970|0001)-01-01T00:00:00Z$")
# What a test makes too long; a server may name only the beginning of it.
TOO_LONG = re.compile(r"x{900,}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Who runs workflows: here the server, there a worker in Python.
SDK_SOURCES = {"PythonSDK", "mainspring-rust"}

# What the official client raises.
ERRORS = (
    RPCError,
    FailureError,
    WorkflowAlreadyStartedError,
    WorkflowContinuedAsNewError,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
)


class Side:
    """One of the two servers, as a script sees it."""

    def __init__(self, server: Server, client: Client, activities: Activities, queue: str, case: str):
        self.server, self.client, self.activities, self.queue, self.case = server, client, activities, queue, case
        self.service = client.workflow_service
        self.noted: dict[str, Any] = {}
        self._watched: list[str] = []

    def id(self, name: str = "main") -> str:
        """The id of a workflow of this case. Its history is compared."""
        workflow_id = f"{self.case}: {name}"
        if workflow_id not in self._watched:
            self._watched.append(workflow_id)
        return workflow_id

    def forget_histories(self) -> None:
        """For workflows whose events come in any order: what was noted is compared, and the histories are not."""
        self._watched.clear()

    async def start(self, workflow: str, *args, name: str = "main", **options) -> WorkflowHandle:
        options.setdefault("task_queue", self.queue)
        return await self.client.start_workflow(workflow, args=args, id=self.id(name), **options)

    def note(self, what: str, value: Any) -> None:
        assert what not in self.noted, f"{what} is noted twice"
        self.noted[what] = value

    async def outcome(self, call: Awaitable) -> Any:
        """What the call gives, or the error."""
        try:
            return as_json(await call)
        except ERRORS as error:
            return described(error)

    async def noted_outcome(self, what: str, call: Awaitable) -> Any:
        outcome = await self.outcome(call)
        self.note(what, outcome)
        return outcome

    async def until(self, handle: WorkflowHandle, event_type: str, count: int = 1) -> None:
        """Waits until the history has so many of these events, and no workflow task is under way."""

        async def arrived():
            history = await handle.fetch_history()
            types = histories.event_types(history)
            ended = sum(types.count(f"WorkflowTask{end}") for end in ("Completed", "Failed", "TimedOut"))
            return types.count(event_type) >= count and types.count("WorkflowTaskScheduled") == ended

        await eventually(arrived, f"{self.server.__class__.__name__}: {handle.id} has {count} {event_type}", 30)

    async def histories(self) -> dict[str, list]:
        """All runs of each watched workflow id, oldest first."""
        found = {}
        for workflow_id in self._watched:
            runs, run_id = [], None
            while run_id != "":
                handle = self.client.get_workflow_handle(workflow_id, run_id=run_id)
                try:
                    history = await handle.fetch_history()
                except RPCError as error:
                    runs.append(described(error))
                    break
                runs.append(histories.as_json(history)["events"])
                run_id = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
            found[workflow_id] = runs[::-1]
        return found


def described(error: BaseException) -> dict:
    """An error as a client sees it, in the form in which it is compared."""
    told: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, RPCError):
        return told | status(error)
    if isinstance(error, WorkflowQueryRejectedError):
        return told | {"status": error.status.name}
    if isinstance(error, FailureError) and error.failure is not None:
        return told | {"failure": as_json(error.failure)}
    if error.__cause__ is not None:
        return told | {"cause": described(error.__cause__)}
    return told | {"message": str(error)}


def status(error: RPCError) -> dict:
    details = []
    for detail in error.grpc_status.details:
        # The content of those that are known, the type of the others.
        try:
            detail = MessageToDict(detail)
            # There is more in it here than there.
            if detail["@type"].endswith("QueryFailedFailure"):
                detail.pop("failure", None)
            details.append(detail)
        except TypeError:
            details.append(detail.type_url)
    return {"code": error.status.name, "message": error.message, "details": details}


def as_json(value: Any) -> Any:
    return MessageToDict(value) if isinstance(value, Message) else value


async def compare(script: Callable[[Side], Awaitable], *sides: Side) -> None:
    await asyncio.gather(*(script(side) for side in sides))
    seen = [{"noted": side.noted, "histories": await side.histories()} for side in sides]
    assert_equal(*seen)


def assert_equal(ours, theirs) -> None:
    lines = [json.dumps(normalised(seen), indent=1, sort_keys=True).splitlines() for seen in (theirs, ours)]
    difference = "\n".join(difflib.unified_diff(*lines, "temporal", "mainspring", lineterm="", n=6))
    assert not difference, "\n" + difference


def normalised(seen: Any) -> Any:
    """Without what may differ; times as the word, run ids and the like by the order in which they appear."""
    ids: dict[str, str] = {}
    counted: dict[str, dict[str, str]] = {}

    def name(match: re.Match) -> str:
        return ids.setdefault(match[0], f"<id {len(ids) + 1}>")

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if value.keys() == {"seconds", "nanos"}:
                return "<time>"
            if "encoding" in value.get("metadata", {}) and isinstance(value["metadata"]["encoding"], str):
                return {"metadata": payload_metadata(value["metadata"]), "data": walk(payload_data(value))}
            if SDK_REFUSALS.search(str(value.get("message", ""))):
                # An SDK refuses by itself, with a type of its own.
                value = value | {"applicationFailureInfo": {}}
            if value.get("workflowExecutionInfo", {}).get("closeTime"):
                # There what was open when the run was terminated stays in its description.
                value = {key: inner for key, inner in value.items() if not key.startswith("pending")}
            is_by_the_worker = BY_THE_WORKER.match(str(value.get("eventType", "")))
            kept = {}
            for key in sorted(value):
                if key in NOT_COMPARED or key in INTENDED:
                    continue
                inner = value[key]
                if is_by_the_worker and isinstance(inner, dict):
                    inner = {key: other for key, other in inner.items() if key != "identity"}
                if key == "source" and inner in SDK_SOURCES:
                    continue
                if key in COUNTED:
                    names = counted.setdefault(key, {})
                    inner = names.setdefault(inner, f"<{key} {len(names) + 1}>")
                if key == "userMetadata" and value.get("eventType") == "EVENT_TYPE_TIMER_CANCELED":
                    continue
                if isinstance(inner, str):
                    inner, before = CANCEL_REASON.sub("", inner), inner
                    if not inner and before:
                        continue
                if key == "firstWorkflowTaskBackoff" and float(inner.removesuffix("s")) <= 1:
                    # What is left of a second since the run before began; a slow one leaves nothing.
                    continue
                if key in MEASURED:
                    inner = f"{MEASURED[key](float(inner.removesuffix('s')))}s"
                if key == "requestIdInfos":
                    # By request id, which is each client's own.
                    inner = sorted(inner.values(), key=str)
                if isinstance(inner, str) and ZERO.match(inner):
                    continue
                inner = walk(inner)
                # A message without content and no message are the same.
                if inner != {}:
                    kept[key] = inner
            return kept
        if isinstance(value, list):
            return [walk(inner) for inner in value]
        if isinstance(value, str):
            value = SDK_REFUSALS.sub(r"\1", TOO_LONG.sub("<too long>", value))
            return "<time>" if TIME.match(value) else UUID.sub(name, value)
        return value

    return walk(seen)


def payload_data(payload: dict) -> Any:
    """As the value that it stands for: JSON has several ways to write one text."""
    data = base64.b64decode(payload.get("data", ""))
    try:
        return json.loads(data or "null")
    except ValueError:
        return payload["data"]


def payload_metadata(metadata: dict) -> dict:
    return {key: base64.b64decode(value).decode() for key, value in metadata.items()}
