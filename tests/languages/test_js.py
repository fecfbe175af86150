"""Workflows in TypeScript: the same files run here as a component, and on Temporal's own worker against its dev server.

What clients see is equal.
"""

import asyncio
import contextlib
import re
import subprocess
from datetime import timedelta

import pytest
import pytest_asyncio
from languages import js_activities
from support import histories, paths
from support.histories import event_types
from support.server import Mainspring, TemporalDev
from support.waiting import eventually
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, FailureError
from temporalio.worker import Worker

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.mainspring_only]

QUEUE = "js"
GUESTS = paths.ROOT / "tests" / "guests" / "js"


class Side:
    """One of the two servers, as a case sees it."""

    def __init__(self, client: Client):
        self.client = client

    async def start(self, workflow: str, *args, **options) -> WorkflowHandle:
        return await self.client.start_workflow(
            workflow, args=args, id=options.pop("id", f"js-{workflow}"), task_queue=QUEUE, **options
        )

    async def run(self, workflow: str, *args, **options):
        return await outcome(await self.start(workflow, *args, **options))


async def outcome(handle: WorkflowHandle):
    """The result of a workflow, or all that a client learns of its failure."""
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        return {"failed": chain(error.cause)}


def chain(error: BaseException | None) -> list:
    links = []
    while error is not None:
        link = [type(error).__name__, str(error)]
        if isinstance(error, ApplicationError):
            link += [error.type, error.non_retryable, list(error.details)]
        if isinstance(error, (ActivityError, ChildWorkflowError)):
            link += [str(error.retry_state)]
        links.append(link)
        error = error.cause if isinstance(error, FailureError) else None
    return links


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both():
    """Mainspring with the component, and Temporal's dev server with Temporal's worker for the same files."""
    mainspring, temporal = Mainspring().start(), TemporalDev().start()
    await asyncio.to_thread(mainspring.deploy_file, paths.guest("js-workflows"), QUEUE)
    async with contextlib.AsyncExitStack() as stack:
        sides = []
        for server in (mainspring, temporal):
            client = await server.connect()
            if server is temporal:
                await add_search_attributes(client)
            soon = timedelta(milliseconds=100)
            activities = Worker(
                client, task_queue=QUEUE, activities=js_activities.ALL, max_heartbeat_throttle_interval=soon
            )
            await stack.enter_async_context(activities)
            sides.append(Side(client))
        stack.callback(stop, await asyncio.to_thread(temporal_worker, temporal))
        yield sides
    await asyncio.to_thread(histories.finish, mainspring)
    temporal.stop()
    temporal.remove()


async def add_search_attributes(client: Client) -> None:
    """Temporal wants to be told of them beforehand."""
    types = {
        "CustomKeywordField": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
        "CustomIntField": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    }
    request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
    await client.operator_service.add_search_attributes(request)


def temporal_worker(server: TemporalDev) -> subprocess.Popen:
    command = ["node", GUESTS / "worker.mjs", server.address, QUEUE, GUESTS / "workflows.ts"]
    log = server.directory / "worker.log"
    with open(log, "wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    if process.stdout.readline() != "ready\n":
        stop(process)
        raise AssertionError(f"Temporal's worker does not start:\n{log.read_text()}")
    return process


def stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def until_running(handle: WorkflowHandle, what: str) -> None:
    """Until the workflow has done what it does first."""

    async def done():
        return what in event_types(await handle.fetch_history())

    await eventually(done, f"{handle.id} has {what}")


async def cancel_once(handle: WorkflowHandle, what: str):
    await until_running(handle, what)
    await handle.cancel()
    return await outcome(handle)


def failing(call):
    """What a client learns of a query or an update that fails."""

    async def caught():
        try:
            return await call
        except (WorkflowQueryFailedError, WorkflowUpdateFailedError) as error:
            return {"failed": chain(getattr(error, "cause", None)) or str(error)}

    return caught()


# Each case is run on both sides, and gives what has to be equal.
CASES = {}


def case(function):
    CASES[function.__name__.replace("_", " ")] = function
    return function


def plain(workflow: str, *args, **options):
    """A case that only runs a workflow."""
    name = " ".join([workflow, *(str(arg) for arg in args)])[:60]
    CASES[name] = lambda side: side.run(workflow, *args, id=f"js-{name}", **options)


plain("Greeting", "ann")
plain("Sums", [1, 2, 3.5])
plain("Retried", 2)
plain("DeclinedActivity", "no funds")
plain("TimedOutActivity")
plain("ByName", "bob")
plain("NestedScopes")
plain("WithTimeout", 10, 3_600_000)
plain("WithTimeout", 3_600_000, 10)
plain("CanceledActivity", "TRY_CANCEL")
plain("CanceledActivity", "WAIT_CANCELLATION_COMPLETED")
plain("CanceledActivity", "ABANDON")
plain("FirstOfTwo")
plain("Parent", ["ann", "bob", "cem"])
plain("TalksToChild")
plain("ParentOfFailing")
plain("TakenId")
plain("CanceledChild", "WAIT_CANCELLATION_COMPLETED")
plain("CanceledChild", "WAIT_CANCELLATION_REQUESTED")
plain("CanceledChild", "TRY_CANCEL")
plain("CanceledChild", "ABANDON")
plain("CancelsOther")
plain("Countdown", 4)
plain("PromiseOrder")
plain("Timeouts")
plain("Conditions")
plain("Clock")
plain("Randomness")
plain("Context")
plain("Patched")
plain("FailsWith", "CardDeclined", True, {"code": 51}, None)
plain("ActivityFailurePasses")
plain("FailsOnce", retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10), maximum_attempts=3))
plain("OwnErrorFails")
plain("FailureClasses")
plain("Values", {"a": [1, None, "주문"]})
plain("Builtins")
plain("Addresses")
plain("Info", memo={"given": 1, "removed": 2})


@case
async def a_canceled_workflow_cleans_up(side):
    handle = await side.start("CleansUp")
    return await cancel_once(handle, "TimerStarted"), event_types(await handle.fetch_history()).count(
        "ActivityTaskCompleted"
    )


@case
async def a_canceled_workflow_may_have_a_result(side):
    return await cancel_once(await side.start("IgnoresCancellation"), "WorkflowTaskCompleted")


@case
async def a_shielded_step_goes_on(side):
    # Both before the workflow begins, so that it knows of the request when the step ends.
    handle = await side.start("ShieldedStep", start_delay=timedelta(milliseconds=300))
    await handle.cancel()
    return await outcome(handle)


@case
async def a_signal_unblocks(side):
    handle = await side.start("Unblocked")
    before = await handle.query("isBlocked")
    await handle.signal("unblock")
    result = await outcome(handle)
    return before, result, await handle.query("isBlocked")


@case
async def a_timer_is_moved(side):
    handle = await side.start("Reminder", 3_600_000)
    await until_running(handle, "TimerStarted")
    await handle.signal("moveTo", 7_200_000)
    await handle.signal("moveTo", 10)
    return await outcome(handle)


@case
async def updates_with_validators_and_activities(side):
    handle = await side.start("LanguageSettings")
    known = await handle.query("getLanguages", True), await handle.query("getLanguages", False)
    before = await handle.execute_update("setLanguage", "korean")
    refused = await failing(handle.execute_update("setLanguage", "klingon"))
    failed = await failing(handle.execute_update("setLanguageByActivity", "klingon"))
    updates = [handle.execute_update("setLanguageByActivity", language) for language in ("french", "english")]
    by_activity = await asyncio.gather(*updates)
    await handle.signal("approve", "ann")
    return known, before, refused, failed, sorted(map(str, by_activity)), (await outcome(handle))["approver"]


@case
async def dynamic_handlers(side):
    handle = await side.start("Dynamic")
    await handle.signal("any", args=[1, "two"])
    query = await handle.query("anything", args=[{"a": 1}])
    update = await handle.execute_update("whatever", args=[1, 2, 3])
    await handle.signal("finish")
    return query, update, await outcome(handle)


@case
async def signals_before_their_handler(side):
    handle = await side.start("LateHandler", start_signal="item", start_signal_args=["first"])
    await handle.signal("item", "second")
    await handle.signal("item", "third")
    return await outcome(handle)


@case
async def handlers_overtake_each_other(side):
    handle = await side.start("SlowHandlers")
    await handle.signal("work", args=["slow", 400])
    await handle.signal("work", args=["fast", 10])
    return await outcome(handle)


@case
async def queries_that_fail(side):
    handle = await side.start("BadQueries")
    broken = await failing(handle.query("broken"))
    half = await handle.query("half", 3)
    await handle.terminate()
    return broken, half


@pytest.mark.parametrize("name", CASES, ids=lambda name: name.encode("ascii", "ignore").decode())
async def test_both_say_the_same(both, name):
    ours, theirs = await asyncio.gather(*(CASES[name](side) for side in both))
    assert ours == theirs
