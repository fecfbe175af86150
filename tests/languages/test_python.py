"""Workflows in Python: each runs as a component here, and unchanged on Temporal's worker against its dev server.

What a client is told and the histories are equal.
"""

import asyncio
import contextlib
import re
from datetime import datetime, timedelta, timezone

import pytest
import pytest_asyncio
from support import histories, python_guests
from support.differential import Side, compare
from support.server import Mainspring, TemporalDev
from temporalio.client import WorkflowUpdateStage
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.mainspring_only]

QUEUE = "python"
IDENTITY = "the Python suite"
FEATURES = python_guests.SOURCES["python-features"]
activities = python_guests.module(python_guests.GUESTS / "activities.py")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both():
    """Mainspring with the component, and Temporal's dev server with a worker that has the same files."""
    mainspring, temporal = Mainspring().start(), TemporalDev().start()
    component = await asyncio.to_thread(python_guests.component, "python-features")
    await asyncio.to_thread(mainspring.deploy_file, component, QUEUE)
    async with contextlib.AsyncExitStack() as stack:
        sides = []
        for server in (mainspring, temporal):
            client = await server.connect(identity=IDENTITY)
            soon = timedelta(milliseconds=100)
            await stack.enter_async_context(
                Worker(
                    client,
                    task_queue=QUEUE,
                    activities=activities.ALL,
                    activity_executor=stack.enter_context(concurrent_executor()),
                    identity=IDENTITY,
                    max_heartbeat_throttle_interval=soon,
                )
            )
            sides.append((server, client))
        # A client of its own: activity workers of the same queue register with another one. No cache, so that every
        # workflow task goes to the task queue itself, as Mainspring's do.
        await stack.enter_async_context(
            Worker(
                await temporal.connect(identity=IDENTITY),
                task_queue=QUEUE,
                workflows=python_guests.workflows(*FEATURES),
                activities=[],
                max_cached_workflows=0,
                max_concurrent_workflow_task_polls=1,
            )
        )
        yield sides
    await asyncio.to_thread(histories.finish, mainspring)
    temporal.stop()
    temporal.remove()


def concurrent_executor():
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(4)


@pytest.fixture
def run(both, request):
    """Runs a script on both sides and compares what it notes, and the histories of the workflows that it names."""
    case = re.sub(r"[^\w]+", " ", request.node.name.removeprefix("test_")).strip()

    async def run(script) -> None:
        await compare(script, *(Side(server, client, None, QUEUE, case) for server, client in both))

    return run


BOX = {
    "colour": "red",
    "size": 2,
    "made": "2026-01-02T03:04:05+00:00",
    "id": "12345678-1234-5678-1234-567812345678",
    "owner": "ann",
    "address": {"street": "Main", "number": 5},
    "kind": "round",
    "tags": ["b", "a"],
    "pair": [1, "one"],
    "by_number": {"1": [1, 2.5], "20": []},
    "anything": {"x": [None, True]},
    "data": [1, 2, 255],
}

# Workflows that need nobody: their type, their input, and options of the start.
ALONE = {
    "an activity with a dataclass": ("Greet", ["Ann"], {}),
    "activities by name, and handles": ("greet-by-name", ["Ann"], {}),
    "gather": ("AtOnce", [["Ann", "Bob", "Cem", "Dora"]], {}),
    "a task group of pipelines": ("Pipeline", [[1, 2, 3, 4]], {}),
    "timers": ("Nap", [0.02], {}),
    "as completed": ("AsTheyCome", [[400, 10, 200]], {}),
    "an activity that is tried again": ("TriesAgain", [3], {}),
    "an activity that is given up": ("TriesAgain", [9], {}),
    "a refusal that is caught": ("Refused", [False], {}),
    "a refusal that is let through": ("Refused", [True], {}),
    "a timeout of an activity": ("RunsOutOfTime", [], {}),
    "a cancellation of its own": ("CancelsItself", [], {}),
    "an error whose type is named": ("Careless", [1], {}),
    "an error with a cause": ("Careless", [0], {}),
    "an error with a cause that is not there": ("Careless", [4], {}),
    "a workflow that is tried again": (
        "Unlucky",
        [],
        {"retry_policy": RetryPolicy(initial_interval=timedelta(milliseconds=10))},
    ),
    "dates": ("KeepsTypes", [{"salutation": "Hi", "name": "Ann", "at": "2026-02-28T12:00:00+00:00"}], {}),
    "a deadline that passes": ("Deadline", [0.05], {}),
    "a timeout that is let through": ("LetsThroughATimeout", [], {}),
    "children": ("Parent", [[2, 3, 4]], {}),
    "a child that is told something": ("Employer", [], {}),
    "a child that is canceled": ("Impatient", [], {}),
    "continue as new": ("Relay", [2], {}),
    "values of every type": ("Values", [BOX | {"inner": BOX}, 3, None], {}),
    "bytes": ("Bytes", [b"abc\x00\xff"], {}),
    "what it knows of itself": ("Self", [], {"memo": {"note": "hello"}, "run_timeout": timedelta(seconds=60)}),
    "labels": ("Labels", [], {"memo": {"kept": True}}),
    "changes of its code": ("Patched", [], {}),
    "taking turns": ("TakingTurns", [], {}),
    "a group that fails": ("GroupThatFails", [], {}),
}


@pytest.mark.parametrize("what", ALONE)
async def test_alone(run, what):
    workflow, args, options = ALONE[what]

    async def script(side: Side) -> None:
        handle = await side.start(workflow, *args, **options)
        await side.noted_outcome("result", handle.result(follow_runs=True))

    await run(script)
