"""The same client and the same activities against both servers: the histories are the same, event by event.

Here the workflow runs as a wasm module, there as Temporal's Python SDK runs it.
"""

import asyncio
import base64
import difflib
import json
from datetime import timedelta

import pytest
from support import histories
from support.server import Mainspring, TemporalDev
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

pytestmark = pytest.mark.mainspring_only
QUEUE = "differential"
ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}

# What may differ: when, who and which run; how the worker describes itself; sizes of encodings that depend on those.
NOT_COMPARED = {
    "eventTime",
    "taskId",
    "identity",
    "requestId",
    "originalExecutionRunId",
    "firstExecutionRunId",
    "workerVersion",
    "sdkMetadata",
    "meteringMetadata",
    "historySizeBytes",
    "stackTrace",
    "startedTime",
    # Which SDK a failure went through: not part of what happened.
    "source",
    # What Temporal's SDK says of itself with every activity.
    "useWorkflowBuildId",
    # How our Rust SDK words an error, which the guest gives as part of its result.
    "text",
}


@activity.defn
async def charge_payment(amount: float, user_id: str) -> str:
    if activity.info().attempt == 1:
        raise ApplicationError("the payment provider does not answer", type="ConnectionError")
    return f"tx-{user_id}"


@activity.defn
async def send_email(to: str, subject: str) -> None:
    pass


@activity.defn
async def echo(value):
    return value


@activity.defn
async def declines(_) -> None:
    raise ApplicationError("no funds", {"code": 51}, type="CardDeclined", non_retryable=True)


@pytest.fixture(scope="module")
def both():
    mainspring, temporal = Mainspring().start(), TemporalDev().start()
    yield mainspring, temporal
    temporal.stop()
    temporal.remove()
    histories.finish(mainspring)


async def signal_twice(handle):
    await handle.signal("tick", "a")
    await handle.signal("tick", "b")


async def a_rejected_update(handle):
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("set_needed", 0)
    await handle.signal("approve", "ann")


RUNS = {
    "order": ("order-workflow", "OrderWorkflow", [ORDER], None),
    "echo": ("guest-kitchen", "Echo", [{"a": 1}], None),
    "timers": ("guest-kitchen", "Chain", [3, 5], None),
    "workflow failure": ("guest-kitchen", "FailWith", ["CardDeclined", True, {"code": 51}, None], None),
    "activities one after the other": ("guest-kitchen", "Loop", ["echo", 3], None),
    "activity failure that is not retried": (
        "guest-kitchen",
        "ActivityWithOptions",
        ["declines", {"start_to_close_ms": 5000, "activity_id": "pay", "summary": "pay"}, None],
        None,
    ),
    "activity that nobody takes": (
        "guest-kitchen",
        "ActivityWithOptions",
        ["echo", {"schedule_to_start_ms": 200, "start_to_close_ms": 5000, "task_queue": "nobody"}, None],
        None,
    ),
    "an update that is rejected": ("guest-kitchen", "Approval", [1], a_rejected_update),
    "signals before the first workflow task": ("guest-kitchen", "SignalCounter", [2], signal_twice),
}


async def history_on(server, guest: str, workflow_type: str, args: list, meanwhile) -> list[dict]:
    client: Client = await server.connect()
    # Time to send something before the first workflow task.
    delay = timedelta(seconds=1) if meanwhile is signal_twice else None
    activities = [charge_payment, send_email, echo, declines]
    async with server.deployed(guest, QUEUE), Worker(client, task_queue=QUEUE, activities=activities):
        handle = await client.start_workflow(
            workflow_type, args=args, id="differential-" + workflow_type, task_queue=QUEUE, start_delay=delay
        )
        if meanwhile:
            await meanwhile(handle)
        try:
            await handle.result()
        except WorkflowFailureError:
            pass
        return histories.as_json(await handle.fetch_history())["events"]


def normalised(value):
    if isinstance(value, dict):
        if "encoding" in value.get("metadata", {}):
            # As the values that they stand for: JSON has several ways to write one text.
            data = json.loads(base64.b64decode(value.get("data", "")) or "null")
            return {"metadata": value["metadata"], "json": normalised(data)}
        # A message without content and no message are the same.
        kept = {key: normalised(inner) for key, inner in value.items() if key not in NOT_COMPARED}
        return {key: inner for key, inner in kept.items() if inner != {}}
    return [normalised(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("what", RUNS)
async def test_both_servers_write_the_same_history(both, what):
    mainspring, temporal = both
    ours, theirs = await asyncio.gather(history_on(mainspring, *RUNS[what]), history_on(temporal, *RUNS[what]))
    assert [event["eventType"] for event in ours] == [event["eventType"] for event in theirs]
    ours, theirs = (json.dumps(normalised(events), indent=1, sort_keys=True).splitlines() for events in (ours, theirs))
    difference = "\n".join(difflib.unified_diff(theirs, ours, "temporal", "mainspring", lineterm="", n=4))
    assert not difference, difference
