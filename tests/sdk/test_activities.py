"""Activities: timeouts, retries, heartbeats, cancellation, completion from elsewhere."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest
from support.waiting import eventually
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.service import RPCError, RPCStatusCode


@pytest.fixture(autouse=True)
async def kitchen(deploy):
    await deploy()


@pytest.fixture
def run(client, queue, new_id):
    async def run(name: str, options: dict, argument=None):
        """Runs one activity with these options, and tells how it ended."""
        args = [name, options, argument]
        return await client.execute_workflow("ActivityWithOptions", args=args, id=new_id(), task_queue=queue)

    return run


async def test_argument_and_result_are_carried(run, activities):
    @activity.defn
    async def double(value: dict) -> dict:
        return {"twice": value["n"] * 2}

    await activities(double)
    assert await run("double", {"start_to_close_ms": 10_000}, {"n": 21}) == {"result": {"twice": 42}}


async def test_start_to_close_ends_an_attempt_that_takes_too_long(run, activities):
    @activity.defn
    async def slow(_) -> str:
        if activity.info().attempt == 1:
            await asyncio.sleep(60)
        return f"attempt {activity.info().attempt}"

    await activities(slow)
    options = {"start_to_close_ms": 500, "initial_interval_ms": 50}
    assert await run("slow", options) == {"result": "attempt 2"}
    failure = (await run("slow", options | {"maximum_attempts": 1}))["failure"]
    assert (failure["timeout"], failure["retry_state"]) == ("StartToClose", "MaximumAttemptsReached")


async def test_schedule_to_start_ends_an_activity_that_nobody_takes(run):
    failure = (await run("nobody", {"schedule_to_start_ms": 400, "start_to_close_ms": 10_000}))["failure"]
    assert (failure["timeout"], failure["retry_state"]) == ("ScheduleToStart", "Timeout")


async def test_schedule_to_close_ends_the_retries(run, activities):
    attempts = []

    @activity.defn
    async def fails(_) -> None:
        attempts.append(activity.info().attempt)
        raise ApplicationError("again", type="Again")

    await activities(fails)
    options = {"schedule_to_close_ms": 1_200, "initial_interval_ms": 300, "backoff_coefficient": 1.0}
    failure = (await run("fails", options))["failure"]
    assert failure["retry_state"] == "Timeout"
    assert 2 <= len(attempts) <= 5


async def test_an_activity_that_falls_silent_times_out_and_gets_its_details_back(run, activities):
    @activity.defn
    async def works(_) -> list:
        if activity.info().attempt == 1:
            activity.heartbeat("page", 17)
            await asyncio.sleep(60)
        return list(activity.info().heartbeat_details)

    await activities(works)
    options = {"heartbeat_ms": 600, "start_to_close_ms": 30_000, "initial_interval_ms": 50}
    assert await run("works", options) == {"result": ["page", 17]}


async def test_a_heartbeat_timeout_without_retries_says_so(run, activities):
    @activity.defn
    async def silent(_) -> None:
        await asyncio.sleep(60)

    await activities(silent)
    options = {"heartbeat_ms": 500, "start_to_close_ms": 30_000, "maximum_attempts": 1}
    failure = (await run("silent", options))["failure"]
    assert (failure["timeout"], failure["retry_state"]) == ("Heartbeat", "MaximumAttemptsReached")


async def test_retries_wait_longer_each_time_up_to_the_maximum(run, activities):
    starts = []

    @activity.defn
    async def fails(_) -> str:
        starts.append(time.monotonic())
        if len(starts) < 5:
            raise ApplicationError("again", type="Again")
        return "done"

    await activities(fails)
    options = {
        "start_to_close_ms": 10_000,
        "initial_interval_ms": 200,
        "backoff_coefficient": 2.0,
        "maximum_interval_ms": 500,
    }
    assert await run("fails", options) == {"result": "done"}
    pauses = [after - before for before, after in zip(starts, starts[1:])]
    for pause, interval in zip(pauses, [0.2, 0.4, 0.5, 0.5], strict=True):
        # Never early; the worker and the machine may be slow.
        assert interval - 0.02 <= pause < interval + 1.5


async def test_maximum_attempts_gives_the_last_failure(run, activities):
    @activity.defn
    async def fails(_) -> None:
        raise ApplicationError("no funds", {"code": 51}, type="CardDeclined")

    await activities(fails)
    options = {"start_to_close_ms": 10_000, "initial_interval_ms": 20, "maximum_attempts": 3}
    failure = (await run("fails", options))["failure"]
    assert failure["retry_state"] == "MaximumAttemptsReached"
    assert (failure["cause"], failure["type"], failure["detail"]) == ("no funds", "CardDeclined", {"code": 51})


@pytest.mark.parametrize("who_says_so", ["policy", "failure"])
async def test_a_failure_that_is_not_retryable_is_not_retried(run, activities, who_says_so):
    attempts = []

    @activity.defn
    async def fails(_) -> None:
        attempts.append(1)
        raise ApplicationError("no", type="CardDeclined", non_retryable=who_says_so == "failure")

    await activities(fails)
    options = {"start_to_close_ms": 10_000, "initial_interval_ms": 20}
    if who_says_so == "policy":
        options["non_retryable_error_types"] = ["CardDeclined"]
    failure = (await run("fails", options))["failure"]
    assert (failure["retry_state"], len(attempts)) == ("NonRetryableFailure", 1)


async def test_a_failure_can_say_when_to_try_again(run, activities):
    starts = []

    @activity.defn
    async def fails(_) -> str:
        starts.append(time.monotonic())
        if len(starts) == 1:
            raise ApplicationError("later", type="Later", next_retry_delay=timedelta(milliseconds=1200))
        return "done"

    await activities(fails)
    assert await run("fails", {"start_to_close_ms": 10_000, "initial_interval_ms": 10}) == {"result": "done"}
    assert starts[1] - starts[0] >= 1.15


async def test_an_activity_can_run_on_another_task_queue(run, activities, queue):
    @activity.defn
    async def where(_) -> str:
        return activity.info().task_queue

    await activities(where, task_queue=f"{queue}-other")
    options = {"start_to_close_ms": 10_000, "task_queue": f"{queue}-other"}
    assert await run("where", options) == {"result": f"{queue}-other"}


async def test_attempts_that_wait_are_seen_by_describe(client, queue, activities, new_id):
    @activity.defn
    async def fails(_) -> None:
        raise ApplicationError("not yet", type="NotYet")

    await activities(fails)
    options = {"start_to_close_ms": 10_000, "initial_interval_ms": 600_000, "activity_id": "patient"}
    handle = await client.start_workflow(
        "ActivityWithOptions", args=["fails", options], id=new_id(), task_queue=queue
    )

    async def pending():
        description = (await handle.describe()).raw_description
        return [a for a in description.pending_activities if a.attempt == 2]

    [waiting] = await eventually(pending, "the second attempt waits")
    assert (waiting.activity_id, waiting.activity_type.name) == ("patient", "fails")
    assert waiting.last_failure.message == "not yet"
    await handle.terminate()


async def test_a_hundred_activities_at_once_come_back_in_order(client, queue, activities, new_id):
    @activity.defn
    async def echo(index: int) -> int:
        return index

    await activities(echo)
    result = await client.execute_workflow("FanOut", args=["echo", 100], id=new_id(), task_queue=queue)
    assert result == list(range(100))


async def test_a_synchronous_activity_runs_in_a_thread(run, activities):
    from concurrent.futures import ThreadPoolExecutor

    @activity.defn
    def blocking(_) -> str:
        return threading.current_thread().name

    with ThreadPoolExecutor(1, thread_name_prefix="pool") as pool:
        await activities(blocking, activity_executor=pool)
        assert (await run("blocking", {"start_to_close_ms": 10_000}))["result"].startswith("pool")


# Cancellation.


async def test_each_cancellation_type_does_what_it_says(client, queue, activities, new_id):
    running, saw_cancel, release = set(), set(), asyncio.Event()

    @activity.defn
    async def work(kind: str) -> str:
        running.add(kind)
        try:
            while not release.is_set():
                activity.heartbeat()
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            # Once the workflow has ended they are all stopped, as nobody wants their result: that is no request.
            if activity.cancellation_details().cancel_requested:
                saw_cancel.add(kind)
            raise
        return "finished"

    await activities(work, max_heartbeat_throttle_interval=timedelta(milliseconds=200))
    handle = await client.start_workflow("CancelTypes", "work", id=new_id(), task_queue=queue)
    await eventually(lambda: len(running) == 3, "all three run")
    await handle.cancel()
    outcome = {entry["type"]: entry["failure"]["canceled"] for entry in await handle.result()}
    assert outcome == {"try-cancel": True, "wait-cancellation-completed": True, "abandon": True}
    # Only the one that is waited for was certain to have heard of it before the workflow ended.
    assert "wait-cancellation-completed" in saw_cancel
    assert "abandon" not in saw_cancel
    release.set()


async def test_a_canceled_workflow_cleans_up_and_ends_as_canceled(client, queue, activities, new_id):
    running, reasons = asyncio.Event(), []

    @activity.defn
    async def work() -> None:
        running.set()
        await asyncio.sleep(60)

    @activity.defn
    async def clean_up(reason: str) -> str:
        reasons.append(reason)
        return "clean"

    await activities(work, clean_up)
    handle = await client.start_workflow("CancelMe", args=["work", "clean_up"], id=new_id(), task_queue=queue)
    await running.wait()
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert len(reasons) == 1


# Completion from elsewhere.


@pytest.fixture
async def parked(client, queue, activities, new_id):
    """An activity that has said that somebody else will complete it."""
    tokens = asyncio.Queue()

    @activity.defn
    async def park(_) -> str:
        info = activity.info()
        tokens.put_nowait(info)
        activity.raise_complete_async()

    await activities(park)
    options = {"start_to_close_ms": 30_000, "activity_id": "parked", "maximum_attempts": 1}
    args = ["park", options]
    handle = await client.start_workflow("ActivityWithOptions", args=args, id=new_id(), task_queue=queue)
    return handle, await tokens.get()


@pytest.mark.parametrize("named_by", ["token", "id"])
async def test_an_activity_can_be_completed_from_elsewhere(client, parked, named_by):
    handle, info = parked
    await by(client, info, named_by).complete("from elsewhere")
    assert await handle.result() == {"result": "from elsewhere"}


@pytest.mark.parametrize("named_by", ["token", "id"])
async def test_an_activity_can_be_failed_from_elsewhere(client, parked, named_by):
    handle, info = parked
    await by(client, info, named_by).fail(ApplicationError("elsewhere it failed", type="Elsewhere"))
    assert (await handle.result())["failure"]["type"] == "Elsewhere"


async def test_completing_an_activity_twice_is_refused(client, parked):
    handle, info = parked
    await by(client, info, "token").complete("first")
    assert await handle.result() == {"result": "first"}
    for named_by in ("token", "id"):
        with pytest.raises(RPCError) as refused:
            await by(client, info, named_by).complete("second")
        assert refused.value.status == RPCStatusCode.NOT_FOUND
    assert await handle.result() == {"result": "first"}


async def test_a_heartbeat_from_elsewhere_is_remembered(client, parked):
    handle, info = parked
    await by(client, info, "token").heartbeat("half")

    async def details():
        [pending] = (await handle.describe()).raw_description.pending_activities
        return pending.heartbeat_details.payloads

    [payload] = await eventually(details, "the details are seen")
    assert payload.data == b'"half"'
    await by(client, info, "id").complete("done")
    assert await handle.result() == {"result": "done"}


def by(client, info, named_by: str):
    if named_by == "token":
        return client.get_async_activity_handle(task_token=info.task_token)
    return client.get_async_activity_handle(
        workflow_id=info.workflow_id, run_id=info.workflow_run_id, activity_id=info.activity_id
    )
