"""Workflows in Python: each runs as a component here, and unchanged on Temporal's worker against its dev server.

What a client is told and the histories are equal.
"""

import asyncio
import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import pytest_asyncio
from support import histories, paths, python_guests
from support.differential import Side, compare
from support.server import Mainspring, TemporalDev
from temporalio.client import WorkflowUpdateStage
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.mainspring_only, pytest.mark.timeout(120)]

QUEUE = "python"
# The server compiles the module, on one core of a machine that may be busy.
DEPLOY_TIMEOUT_S = 300
ATTRIBUTES = {"CustomKeywordField": "Keyword", "CustomIntField": "Int"}
IDENTITY = "the Python suite"
FEATURES = python_guests.FEATURES
activities = python_guests.module(python_guests.GUESTS / "activities.py")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both():
    """Mainspring with the component, and Temporal's dev server with a worker that has the same files."""
    mainspring, temporal = Mainspring().start(), TemporalDev().start()
    await asyncio.to_thread(mainspring.deploy_file, paths.guest("python-features"), QUEUE, timeout_s=DEPLOY_TIMEOUT_S)
    async with contextlib.AsyncExitStack() as stack:
        sides = []
        for server in (mainspring, temporal):
            for name, kind in ATTRIBUTES.items() if server is temporal else ():
                create = ("operator", "search-attribute", "create", "--name", name, "--type", kind)
                await asyncio.to_thread(server.temporal, *create)
            client = await server.connect(identity=IDENTITY)
            soon = timedelta(milliseconds=100)
            await stack.enter_async_context(
                Worker(
                    client,
                    task_queue=QUEUE,
                    activities=activities.ALL,
                    activity_executor=stack.enter_context(ThreadPoolExecutor(4)),
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
                # For local activities.
                activities=[activities.double],
                activity_executor=stack.enter_context(ThreadPoolExecutor(1)),
                no_remote_activities=True,
                max_cached_workflows=0,
                max_concurrent_workflow_task_polls=1,
            )
        )
        yield sides
    await asyncio.to_thread(histories.finish, mainspring)
    temporal.stop()
    temporal.remove()


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

# What a workflow does at once comes to its end in any order, and the history says in which: there the results count.
ONLY_RESULTS = {
    "gather",
    "a task group of pipelines",
    "as completed",
    "children",
    "a child that is told something",
    "a child that is canceled",
    # The new run waits where the one before it took less than a second.
    "continue as new",
    # Temporal's server adds its type to an attribute that is unset.
    "labels",
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
        if what in ONLY_RESULTS:
            side.forget_histories()

    await run(script)


async def test_bytes_are_bytes(run):
    async def script(side: Side) -> None:
        handle = await side.start("Bytes", b"abc\x00\xff")
        side.note("result", list(await handle.result()))

    await run(script)


async def test_signals_queries_and_conditions(run):
    async def script(side: Side) -> None:
        handle = await side.start("Cart", 100.0)
        await side.until(handle, "WorkflowTaskCompleted")
        await handle.signal("add", {"name": "pen", "price": 2.5, "tags": ["office"]})
        await side.until(handle, "WorkflowTaskCompleted", 2)
        await handle.signal("add-many", args=[[{"name": "cup", "price": 5}, {"name": "rug", "price": 20, "tags": []}], 0.01])
        await side.until(handle, "TimerFired", 2)
        await side.noted_outcome("total", handle.query("total"))
        await side.noted_outcome("office", handle.query("by-tag", "office"))
        await side.noted_outcome("a query that fails", handle.query("fails"))
        await handle.signal("add", "rubbish")
        await side.until(handle, "WorkflowTaskCompleted", 5)
        await handle.signal("order")
        await side.noted_outcome("result", handle.result())
        await side.noted_outcome("total at the end", handle.query("total"))

    await run(script)


async def test_updates_validators_and_a_lock(run):
    async def script(side: Side) -> None:
        handle = await side.start("Account", 100)
        await side.noted_outcome("first", handle.execute_update("withdraw", 30, id="first"))
        await side.noted_outcome("too much", handle.execute_update("withdraw", 300, id="too much"))
        await side.noted_outcome("who", handle.execute_update("who-am-i", id="the id"))
        await side.noted_outcome("broken", handle.execute_update("break_down", id="broken"))
        await side.noted_outcome("rubbish", handle.execute_update("withdraw", "x", id="rubbish"))
        await side.noted_outcome("unknown", handle.execute_update("unknown", id="unknown"))
        await handle.signal("close")
        await side.noted_outcome("result", handle.result())

    await run(script)


async def test_updates_at_once_take_turns(run):
    async def script(side: Side) -> None:
        handle = await side.start("Account", 100)
        accepted = WorkflowUpdateStage.ACCEPTED
        begun = [await handle.start_update("withdraw", it, id=f"{it}", wait_for_stage=accepted) for it in (10, 20, 30)]
        await handle.signal("close")
        side.note("balances", [await update.result() for update in begun])
        await side.noted_outcome("result", handle.result())
        side.forget_histories()

    await run(script)


async def test_messages_of_any_name_and_handlers_that_are_set_later(run):
    async def script(side: Side) -> None:
        handle = await side.start("AnyMessage")
        await side.until(handle, "WorkflowTaskCompleted")
        await handle.signal("one", args=[1, {"a": None}])
        await side.until(handle, "WorkflowTaskCompleted", 2)
        await side.noted_outcome("query", handle.query("anything", args=["x", 2]))
        await side.noted_outcome("update", handle.execute_update("two", id="two"))
        await handle.signal("late", 3)
        await side.until(handle, "WorkflowTaskCompleted", 4)
        await side.noted_outcome("count", handle.query("count"))
        await side.noted_outcome("refused", handle.execute_update("finish", "", id="refused"))
        await side.noted_outcome("finish", handle.execute_update("finish", "word", id="finish"))
        await side.noted_outcome("result", handle.result())

    await run(script)


async def test_a_queue_between_handlers_and_the_main_routine(run):
    async def script(side: Side) -> None:
        handle = await side.start("Mailbox", 30.0)
        # Each signal has a turn of its own.
        for turn, word in enumerate(("a", "b", "stop"), start=1):
            await side.until(handle, "WorkflowTaskCompleted", turn)
            await handle.signal("put", word)
        await side.noted_outcome("result", handle.result())

    await run(script)


async def test_signals_that_come_before_the_first_workflow_task(run):
    async def script(side: Side) -> None:
        handle = await side.start("Deadline", 30.0, start_delay=timedelta(seconds=1))
        await handle.signal("reply", "early")
        await side.noted_outcome("result", handle.result())
        side.forget_histories()

    await run(script)


async def test_a_message_to_another_workflow(run):
    async def script(side: Side) -> None:
        other = await side.start("Deadline", 60.0, name="other")
        await side.until(other, "TimerStarted")
        handle = await side.start("Messenger", other.id)
        await side.noted_outcome("result", handle.result())
        await side.noted_outcome("the other's", other.result())
        side.forget_histories()

    await run(script)


async def test_the_three_cancellation_types(run):
    async def script(side: Side) -> None:
        handle = await side.start("ThreeCancellations")
        await side.until(handle, "TimerStarted")
        await handle.cancel()
        await side.noted_outcome("result", handle.result())
        side.forget_histories()

    await run(script)


async def test_work_that_is_shielded_from_cancellation(run):
    async def script(side: Side) -> None:
        handle = await side.start("TidiesUp")
        await side.until(handle, "ActivityTaskScheduled")
        await handle.cancel()
        await side.noted_outcome("result", handle.result())
        # The canceled activity answers at any time.
        side.forget_histories()

    await run(script)


async def test_a_cancellation_that_is_taken_as_a_hint(run):
    async def script(side: Side) -> None:
        handle = await side.start("WillNotStop")
        await side.until(handle, "WorkflowTaskCompleted")
        await handle.cancel()
        await side.noted_outcome("result", handle.result())

    await run(script)


async def test_the_first_of_two_activities_wins(run):
    async def script(side: Side) -> None:
        handle = await side.start("Race")
        await side.noted_outcome("result", handle.result())
        side.forget_histories()

    await run(script)


async def test_timeouts_of_asyncio(run):
    async def script(side: Side) -> None:
        handle = await side.start("Patience")
        await side.noted_outcome("result", handle.result())
        side.forget_histories()

    await run(script)


async def test_local_activities(run):
    async def script(side: Side) -> None:
        handle = await side.start("Locally", 5)
        await side.noted_outcome("result", handle.result())
        # Their markers hold times.
        side.forget_histories()

    await run(script)


async def test_handlers_that_run_when_the_workflow_ends(run):
    async def script(side: Side) -> None:
        handle = await side.start("Busy")
        await handle.signal("linger")
        await handle.signal("linger_quietly")
        begun = await handle.start_update("linger_long", id="long", wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        await handle.signal("end")
        await side.noted_outcome("result", handle.result())
        await side.noted_outcome("the update", begun.result())
        side.forget_histories()

    await run(script)


async def test_what_people_see_of_a_workflow(run):
    async def script(side: Side) -> None:
        handle = await side.start("Details")
        await side.until(handle, "WorkflowTaskCompleted")
        trace = await handle.query("__stack_trace")
        assert "run" in trace
        if isinstance(side.server, Mainspring):
            # Down to where it waits, with the line of the author's file.
            assert re.search(r'File "python/facts.py", line \d+, in run\n    await workflow.wait_condition', trace), trace
        metadata = await handle.query("__temporal_workflow_metadata", result_type=None)
        side.note("details", metadata.current_details)
        side.note("signals", [[it.name, it.description] for it in metadata.definition.signal_definitions])
        await side.noted_outcome("a query that changes something", handle.query("tries_to_change"))
        await handle.signal("done")
        await side.noted_outcome("result", handle.result())

    await run(script)
