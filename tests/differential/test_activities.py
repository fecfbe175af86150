"""Activities: how they end, time out, are tried again, canceled and completed by others; what describe says of them."""

import asyncio
from datetime import timedelta

import pytest
from support.differential import as_json
from support.waiting import eventually
from temporalio.client import AsyncActivityCancelledError
from temporalio.exceptions import ApplicationError

pytestmark = pytest.mark.asyncio(loop_scope="module")
TIMEOUT = {"start_to_close_ms": 30_000}

ENDINGS = {
    "a result": ("echo", TIMEOUT, {"a": 1}),
    "a failure that is not retried": ("declines", TIMEOUT | {"activity_id": "pay", "summary": "pay"}, None),
    "a failure of a type that is not retried": ("stumbles", TIMEOUT | {"non_retryable_error_types": ["Stumbled"]}, 3),
    "a result after retries": ("stumbles", TIMEOUT | {"initial_interval_ms": 10, "maximum_attempts": 3}, 2),
    "a failure after retries": ("stumbles", TIMEOUT | {"initial_interval_ms": 10, "maximum_attempts": 2}, 5),
    "no time for a retry": ("stumbles", {"schedule_to_close_ms": 5_000, "initial_interval_ms": 20_000}, 5),
    "nobody takes it": (
        "echo",
        {"schedule_to_start_ms": 200, "start_to_close_ms": 5_000, "task_queue": "nobody"},
        None,
    ),
    "nobody takes it in all the time there is": ("echo", {"schedule_to_close_ms": 300, "task_queue": "nobody"}, None),
    "it takes too long": ("park", {"start_to_close_ms": 300, "maximum_attempts": 1}, None),
    "it takes too long again and again": (
        "park",
        {"start_to_close_ms": 300, "initial_interval_ms": 10, "maximum_attempts": 2},
        None,
    ),
    "it takes too long in all": ("park", {"schedule_to_close_ms": 2_500, "start_to_close_ms": 2_000}, None),
    "it gives no sign of life": ("park", TIMEOUT | {"heartbeat_ms": 300, "maximum_attempts": 1}, None),
    "it gives no sign of life again": (
        "park",
        TIMEOUT | {"heartbeat_ms": 300, "initial_interval_ms": 10, "maximum_attempts": 2},
        None,
    ),
    "no such activity": ("no_such_activity", TIMEOUT | {"maximum_attempts": 1}, None),
}


@pytest.mark.parametrize("what", ENDINGS)
async def test_how_activities_end(run, what):
    async def script(side):
        handle = await side.start("ActivityWithOptions", *ENDINGS[what])
        outcome = await handle.result()
        # How the Rust SDK words an error.
        outcome.get("failure", {}).pop("text", None)
        side.note("outcome", outcome)

    await run(script)


def complete(activity_handle):
    return activity_handle.complete({"by": "somebody else"})


def fail(activity_handle):
    return activity_handle.fail(ApplicationError("not today", 1, type="Refused", non_retryable=True))


def fail_with_last_words(activity_handle):
    error = ApplicationError("not today", type="Refused", non_retryable=True)
    return activity_handle.fail(error, last_heartbeat_details=["last words"])


def cancel(activity_handle):
    return activity_handle.report_cancellation("unasked")


WAYS = {"completed": complete, "failed": fail, "failed with last words": fail_with_last_words, "canceled": cancel}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("by", ["token", "id"])
async def test_an_activity_that_somebody_else_ends(run, way, by):
    async def script(side):
        handle = await side.start("ActivityWithOptions", "park", TIMEOUT | {"activity_id": "the one"})
        info = await side.activities.parked(handle.id)

        def activity():
            if by == "token":
                return side.client.get_async_activity_handle(task_token=info.task_token)
            return side.client.get_async_activity_handle(
                workflow_id=handle.id, run_id=handle.first_execution_run_id, activity_id="the one"
            )

        await side.noted_outcome("heartbeat", activity().heartbeat("still there", 1))
        described = (await handle.describe()).raw_description
        side.note("heartbeat details", [str(p) for p in described.pending_activities[0].heartbeat_details.payloads])
        await side.noted_outcome("ended", WAYS[way](activity()))
        if way == "canceled" and isinstance(side.noted["ended"], dict):
            await activity().complete("in the end")
        outcome = await handle.result()
        outcome.get("failure", {}).pop("text", None)
        side.note("outcome", outcome)
        await side.noted_outcome("again", WAYS[way](activity()))
        await side.noted_outcome("heartbeat of what is over", activity().heartbeat())

    await run(script)


async def test_the_token_of_an_attempt_that_is_over(run):
    async def script(side):
        options = {"start_to_close_ms": 2_000, "initial_interval_ms": 10, "maximum_attempts": 2}
        handle = await side.start("ActivityWithOptions", "park", options)
        first = await side.activities.parked(handle.id, 1)
        second = await side.activities.parked(handle.id, 2)
        stale = side.client.get_async_activity_handle(task_token=first.task_token)
        await side.noted_outcome("stale", stale.complete("stale"))
        await side.client.get_async_activity_handle(task_token=second.task_token).complete("fresh")
        side.note("result", await handle.result())

    await run(script)


async def test_heartbeats_keep_an_activity_alive_and_are_handed_on(run):
    async def script(side):
        options = {"start_to_close_ms": 2_000, "heartbeat_ms": 30_000, "initial_interval_ms": 10, "maximum_attempts": 2}
        handle = await side.start("ActivityWithOptions", "park", options)
        first = await side.activities.parked(handle.id, 1)
        await side.client.get_async_activity_handle(task_token=first.task_token).heartbeat("page", 7)
        second = await side.activities.parked(handle.id, 2)
        side.note("handed on", list(second.heartbeat_details))
        await side.client.get_async_activity_handle(task_token=second.task_token).complete("done")
        side.note("result", await handle.result())

    await run(script)


async def test_the_three_cancellation_types_as_the_worker_sees_them(run):
    async def script(side):
        handle = await side.start("CancelTypes", "park")
        tokens = {}
        for number in (1, 2, 3):
            info = await side.activities.parked(handle.id, number)
            tokens[info.activity_id] = info.task_token
        await handle.cancel()
        await side.until(handle, "ActivityTaskCancelRequested", 2)
        for activity_id in sorted(tokens):
            activity = side.client.get_async_activity_handle(task_token=tokens[activity_id])

            async def is_told():
                try:
                    await activity.heartbeat()
                except AsyncActivityCancelledError as error:
                    return str(error.details)
                return "goes on"

            side.note(f"heartbeat of {activity_id}", await is_told())
        # In this order the events come, so that both sides have them in the same one.
        asked = side.client.get_async_activity_handle(task_token=tokens["2"])
        await side.noted_outcome("reported", asked.report_cancellation({"by": "the worker"}))
        await side.until(handle, "ActivityTaskCanceled")
        abandoned = side.client.get_async_activity_handle(task_token=tokens["3"])
        await side.noted_outcome("completed", abandoned.complete("done all the same"))
        outcome = await handle.result()
        for one in outcome:
            one.get("failure", {}).pop("text", None)
        side.note("outcome", outcome)

    await run(script)


async def test_an_activity_that_is_canceled_before_it_is_taken(run):
    async def script(side):
        options = {"schedule_to_close_ms": 60_000, "task_queue": "nobody"}
        handle = await side.start("ActivityWithOptions", "echo", options)
        await side.until(handle, "ActivityTaskScheduled")
        await handle.cancel()
        outcome = await side.outcome(handle.result())
        if "failure" in outcome:
            outcome["failure"].pop("text", None)
        side.note("outcome", outcome)

    await run(script)


async def test_a_worker_hears_of_the_end_of_its_workflow(run):
    async def script(side):
        handle = await side.start("ActivityWithOptions", "beats", TIMEOUT | {"heartbeat_ms": 2_000}, "word")
        await side.activities.parked(handle.id)
        await handle.terminate()
        seen = side.activities.cancellations[handle.id]
        await eventually(lambda: seen, "the activity is told to stop", 30)
        side.note("seen", seen)

    await run(script)


# What describe says.


async def description(side, handle) -> dict:
    return as_json((await handle.describe()).raw_description)


async def test_describe_an_activity_that_runs_and_one_that_waits_for_its_retry(run):
    async def script(side):
        handle = await side.start("ActivityWithOptions", "park", TIMEOUT | {"heartbeat_ms": 20_000, "summary": "it"})
        await side.activities.parked(handle.id)
        side.note("runs", await description(side, handle))
        options = TIMEOUT | {"initial_interval_ms": 3_600_000, "maximum_attempts": 7}
        other = await side.start("ActivityWithOptions", "stumbles", options, 5, name="other")

        async def waits():
            [pending] = (await other.describe()).raw_description.pending_activities or [None]
            return pending is not None and pending.attempt == 2

        await eventually(waits, "the activity waits for its retry")
        side.note("waits", await description(side, other))
        third = await side.start(
            "ActivityWithOptions", "echo", {"schedule_to_close_ms": 60_000, "task_queue": "nobody"}, name="third"
        )
        await side.until(third, "ActivityTaskScheduled")
        side.note("nobody takes it", await description(side, third))
        for one in (handle, other, third):
            await one.terminate()

    await run(script)


async def test_describe_a_run_in_all_its_states(run):
    async def script(side):
        waiting = await side.start("Echo", 1, name="waits", start_delay=timedelta(minutes=1))
        side.note("waits", await description(side, waiting))
        await waiting.terminate()
        nobody = await side.start("Echo", 1, name="no worker", task_queue="nobody", memo={"a": 1})
        side.note("no worker", await description(side, nobody))
        await nobody.terminate("enough", reason="a reason")
        side.note("terminated", await description(side, nobody))
        parent = await side.start("Parent", "Gate", [], {"workflow_id": side.id("child")}, name="parent")
        child = side.client.get_workflow_handle(side.id("child"))
        await side.until(parent, "ChildWorkflowExecutionStarted")
        await side.until(child, "WorkflowTaskCompleted")
        side.note("parent", await description(side, parent))
        side.note("child", await description(side, child))
        await parent.terminate()
        await side.outcome(child.result())
        side.note("child of a closed one", await description(side, child))
        counting = await side.start("Countdown", 1, 0, name="counts", execution_timeout=timedelta(minutes=9))
        await counting.result()
        first = side.client.get_workflow_handle(counting.id, run_id=counting.first_execution_run_id)
        side.note("went on", await description(side, first))
        side.note("completed", await description(side, side.client.get_workflow_handle(counting.id)))
        canceled = await side.start("Sleep", 3_600_000, name="is canceled")
        await side.until(canceled, "TimerStarted")
        await canceled.cancel()
        await side.outcome(canceled.result())
        side.note("canceled", await description(side, canceled))

    await run(script)


async def test_describe_names_the_last_failure_of_a_workflow_task(run):
    async def script(side):
        handle = await side.client.start_workflow("NoSuchWorkflow", id=f"{side.case} x", task_queue=side.queue)

        async def is_tried_again():
            return (await handle.describe()).raw_description.pending_workflow_task.attempt >= 2

        await eventually(is_tried_again, "the workflow task fails and is tried again")
        # When the next attempt begins is open, and so is what an SDK says of a workflow that it does not know.
        history = await handle.fetch_history()
        failed = next(event for event in history.events if event.HasField("workflow_task_failed_event_attributes"))
        side.note("attempts", failed.workflow_task_failed_event_attributes.cause)
        await handle.terminate()

    await run(script)


async def test_many_activities_at_once(run):
    async def script(side):
        handle = await side.start("FanOut", "park", 3)
        infos = [await side.activities.parked(handle.id, number) for number in (1, 2, 3)]
        for count, info in enumerate(sorted(infos, key=lambda info: -int(info.activity_id)), 1):
            await side.client.get_async_activity_handle(task_token=info.task_token).complete(info.activity_id)
            if count < 3:
                await side.until(handle, "ActivityTaskCompleted", count)
        side.note("result", await asyncio.wait_for(handle.result(), 30))

    await run(script)
