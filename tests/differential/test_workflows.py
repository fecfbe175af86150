"""Runs: how they begin, end, go on and are tried again; timers, markers, notes; cancellation."""

from datetime import timedelta

import pytest
from support.waiting import eventually
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import RetryPolicy, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.worker import Worker

pytestmark = pytest.mark.asyncio(loop_scope="module")
ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}
SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
HOUR_MS = 3_600_000

RUNS = {
    "a value": ("Echo", {"a": [1, None, "ü"]}),
    "timers": ("Chain", 3, 5),
    "a failure": ("FailWith", "CardDeclined", True, {"code": 51}),
    "a failure with a delay for its retry": ("FailWith", "CardDeclined", False, None, 100),
    "activities one after the other": ("Loop", "echo", 3),
    "activities at once": ("FanOut", "declines", 1),
    "a race that the timer loses": ("ActivityRace", "echo", HOUR_MS),
    "a saga that is undone": ("Saga", ["echo", "charge_payment"]),
    "a local activity": ("LocalStep", 0, 1),
    "a patch": ("Patches", False),
    "a deprecated patch": ("Patches", True),
    "a condition that times out": ("SignalOrTimeout", 100),
}


async def test_the_order_workflow(run):
    async def script(side):
        worker = Worker(side.client, task_queue="orders", activities=side.activities.all())
        async with side.server.deployed("order-workflow", "orders"), worker:
            handle = await side.start("OrderWorkflow", ORDER, task_queue="orders")
            side.note("result", await handle.result())

    await run(script)


@pytest.mark.parametrize("what", RUNS)
async def test_runs_that_nobody_meddles_with(run, what):
    async def script(side):
        await side.noted_outcome("result", (await side.start(*RUNS[what])).result())

    await run(script)


@pytest.mark.parametrize(("unlucky", "most"), [(2, 5), (5, 2)])
async def test_local_activities_that_fail(run, unlucky, most):
    async def script(side):
        await side.noted_outcome("result", (await side.start("LocalStep", unlucky, most)).result())

    await run(script)


async def test_what_a_start_can_carry(run):
    async def script(side):
        handle = await side.start(
            "SignalCounter",
            1,
            execution_timeout=timedelta(hours=3),
            run_timeout=timedelta(hours=2),
            task_timeout=timedelta(seconds=7),
            memo={"note": "hello", "number": 7},
            retry_policy=RetryPolicy(initial_interval=SECOND, maximum_attempts=3, non_retryable_error_types=["X"]),
            static_summary="a start",
            static_details="with *everything*",
        )
        await side.until(handle, "WorkflowTaskCompleted")
        description = await handle.describe()
        side.note("summary", [await description.static_summary(), await description.static_details()])
        side.note("memo", dict(await description.memo()))
        await handle.signal("tick", 1)
        await handle.result()

    await run(script)


async def test_what_a_run_knows_of_itself(run):
    async def script(side):
        handle = await side.start("Info", memo={"note": 1}, run_timeout=timedelta(minutes=1))
        side.note("info", await handle.result())

    await run(script)


async def test_notes_that_a_workflow_writes(run):
    async def script(side):
        handle = await side.start("Notes", memo={"older": True})
        await side.until(handle, "WorkflowTaskCompleted", 2)
        side.note("memo", dict(await (await handle.describe()).memo()))
        await handle.signal("end")
        side.note("result", await handle.result())

    await run(script)


# Workflow ids.


@pytest.mark.parametrize("reuse", list(WorkflowIDReusePolicy))
@pytest.mark.parametrize("ending", ["completed", "failed", "open"])
async def test_a_workflow_id_that_was_used(run, reuse, ending):
    async def script(side):
        first = await side.start(*(("FailWith", "Broken", True) if ending == "failed" else ("Gate",)))
        if ending != "failed":
            await side.until(first, "WorkflowTaskCompleted")
        if ending == "completed":
            await first.signal("close")
        if ending != "open":
            await side.outcome(first.result())
        started = await side.outcome(side.start("Echo", 2, id_reuse_policy=reuse))
        if isinstance(started, dict):
            side.note("refused", started)
            await side.outcome(first.terminate("enough"))
        else:
            side.note("result", await started.result())

    await run(script)


@pytest.mark.parametrize("conflict", list(WorkflowIDConflictPolicy))
async def test_a_workflow_id_that_is_in_use(run, conflict):
    async def script(side):
        first = await side.start("Gate")
        await side.until(first, "WorkflowTaskCompleted")
        second = await side.outcome(side.start("Echo", 2, id_conflict_policy=conflict))
        if isinstance(second, dict):
            side.note("refused", second)
        else:
            is_same = first.first_execution_run_id == second.first_execution_run_id
            side.note("same run", is_same)
            if not is_same:
                side.note("result", await second.result())
        first = side.client.get_workflow_handle(first.id, run_id=first.first_execution_run_id)
        side.note("first", (await first.describe()).status.name)
        await side.outcome(first.terminate())

    await run(script)


# How a run ends.


async def test_a_canceled_timer(run):
    async def script(side):
        handle = await side.start("Sleep", HOUR_MS)
        await side.until(handle, "TimerStarted")
        await handle.cancel()
        await side.noted_outcome("result", handle.result())

    await run(script)


async def test_cleanup_after_a_request_to_cancel(run):
    async def script(side):
        handle = await side.start("CancelMe", "park", "echo")
        await side.activities.parked(handle.id)
        await handle.cancel()
        await side.noted_outcome("result", handle.result())

    await run(script)


async def test_a_request_to_cancel_that_is_ignored_and_repeated(run):
    async def script(side):
        handle = await side.start("IgnoreCancel", 2_000)
        await side.until(handle, "TimerStarted")
        await handle.cancel()
        await side.until(handle, "WorkflowExecutionCancelRequested")
        await handle.cancel()
        side.note("result", await handle.result())

    await run(script)


async def test_a_request_to_cancel_before_the_first_workflow_task(run):
    async def script(side):
        handle = await side.start("Sleep", HOUR_MS, start_delay=2 * SECOND)
        await handle.cancel()
        await side.noted_outcome("result", handle.result())

    await run(script)


async def test_termination(run):
    async def script(side):
        handle = await side.start("Sleep", HOUR_MS)
        await side.until(handle, "TimerStarted")
        await handle.terminate({"why": "enough"}, reason="enough")
        await side.noted_outcome("result", handle.result())

    await run(script)


@pytest.mark.parametrize("which", ["execution_timeout", "run_timeout"])
async def test_timeouts_of_runs(run, which):
    async def script(side):
        handle = await side.start("Sleep", HOUR_MS, task_queue="nobody", **{which: SECOND})
        await side.noted_outcome("result", handle.result())

    await run(script)


@pytest.mark.parametrize("which", ["execution_timeout", "run_timeout"])
async def test_timeouts_of_runs_with_a_retry_policy(run, which):
    async def script(side):
        policy = RetryPolicy(initial_interval=MILLISECOND, maximum_attempts=2)
        handle = await side.start("Sleep", HOUR_MS, task_queue="nobody", retry_policy=policy, **{which: SECOND})
        await side.noted_outcome("result", handle.result())

    await run(script)


# How it goes on.


async def test_continue_as_new(run):
    async def script(side):
        handle = await side.start("Countdown", 2, 0, memo={"note": "kept"}, run_timeout=timedelta(minutes=5))
        side.note("result", await handle.result())

    await run(script)


async def test_continue_as_new_with_everything_changed(run):
    async def script(side):
        following = {
            "workflow_type": "Info",
            "args": ["ignored"],
            "run_timeout_ms": 60_000,
            "task_timeout_ms": 5_000,
            "maximum_attempts": 3,
            "memo": "changed",
        }
        handle = await side.start("GoesOn", following, memo={"note": "original"})
        side.note("result", await handle.result())

    await run(script)


async def test_a_signal_is_for_the_run_that_is_there(run):
    async def script(side):
        handle = await side.start("GoesOn", {"workflow_type": "SignalCounter", "args": [1]}, True)
        await side.until(handle, "WorkflowTaskCompleted")
        await handle.signal("go")
        first = side.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
        await side.noted_outcome("first run", first.result(follow_runs=False))
        await handle.signal("tick", "second run")
        side.note("result", await handle.result())

    await run(script)


@pytest.mark.parametrize("attempts", [5, 2])
async def test_a_workflow_that_is_tried_again(run, attempts):
    async def script(side):
        policy = RetryPolicy(initial_interval=MILLISECOND, maximum_attempts=attempts)
        handle = await side.start("ThirdTimeLucky", retry_policy=policy)
        await side.noted_outcome("result", handle.result())

    await run(script)


@pytest.mark.parametrize(("error_type", "non_retryable", "delay_ms"), [("X", False, None), ("Y", True, None), ("Y", False, 10)])
async def test_which_failures_are_tried_again(run, error_type, non_retryable, delay_ms):
    async def script(side):
        policy = RetryPolicy(initial_interval=MILLISECOND, maximum_attempts=2, non_retryable_error_types=["X"])
        handle = await side.start("FailWith", error_type, non_retryable, None, delay_ms, retry_policy=policy)
        await side.noted_outcome("result", handle.result())

    await run(script)


# Limits.


async def test_too_many_activities_at_once(run):
    async def script(side):
        # Not watched: how often the workflow task is tried again is open.
        handle = await side.client.start_workflow("FanOut", args=["echo", 2_001], id=side.case, task_queue=side.queue)
        await eventually(lambda: failures_of_tasks(handle), "the workflow task fails", 60)
        [first, *_] = await failures_of_tasks(handle)
        side.note("cause", [WorkflowTaskFailedCause.Name(first.cause), first.failure.message])
        await handle.terminate()

    await run(script)


async def failures_of_tasks(handle) -> list:
    events = (await handle.fetch_history()).events
    field = "workflow_task_failed_event_attributes"
    return [getattr(event, field) for event in events if event.HasField(field)]


# Deletion.


@pytest.mark.parametrize("ending", ["open", "closed"])
async def test_a_deleted_run_is_gone(run, ending):
    async def script(side):
        handle = await side.start("Gate")
        await side.until(handle, "WorkflowTaskCompleted")
        if ending == "closed":
            await handle.signal("close")
            await handle.result()
        request = DeleteWorkflowExecutionRequest(
            namespace="default", workflow_execution=WorkflowExecution(workflow_id=handle.id)
        )
        await side.noted_outcome("deleted", side.service.delete_workflow_execution(request))

        # Temporal takes the run away before the workflow's note of its current run: in between it names the run as
        # missing, afterwards the workflow.
        async def is_gone():
            outcome = await side.outcome(handle.describe())
            return isinstance(outcome, dict) and "run ID" not in outcome["message"] and outcome

        side.note("describe", await eventually(is_gone, f"{handle.id} is gone", 120))
        await side.noted_outcome("signal", handle.signal("x"))
        await side.noted_outcome("query", handle.query("x"))
        await side.noted_outcome("again", side.service.delete_workflow_execution(request))
        again = await side.start("Echo", "the id is free")
        side.note("result", await again.result())
        side.note("status", (await again.describe()).status == WorkflowExecutionStatus.COMPLETED)

    await run(script)
