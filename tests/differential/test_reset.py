"""Reset: a new run that begins with the first events of another one."""

from datetime import timedelta

import pytest
from support.histories import as_json
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType, ResetReapplyType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOUR_MS = 3_600_000
NO_RUN = "01a20a0f-5739-74a8-ae48-eaed80251506"


def reset(side, handle, event_id: int, **options):
    request = ResetWorkflowExecutionRequest(
        namespace="default",
        workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=options.pop("run_id", "")),
        workflow_task_finish_event_id=event_id,
        reason=options.pop("reason", "as a test"),
        request_id=options.pop("request_id", "reset"),
        identity="a tester",
        **options,
    )
    return side.service.reset_workflow_execution(request, retry=False)


async def note_base(side, handle) -> None:
    base = side.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
    side.note("base", as_json(await base.fetch_history())["events"])
    side.note("base is now", (await base.describe()).status.name)


async def approved_by_two(side):
    """Approval with two signals in two workflow tasks, and open: the tasks end with events 4, 8 and 12."""
    handle = await side.start("Approval", 3)
    await side.until(handle, "WorkflowTaskCompleted")
    for count, name in enumerate(("ann", "bob"), 2):
        await handle.signal("approve", name)
        await side.until(handle, "WorkflowTaskCompleted", count)
    return handle


@pytest.mark.parametrize("event_id", [3, 4, 8, 12])
async def test_an_open_run_is_reset_to_an_event(run, event_id):
    async def script(side):
        handle = await approved_by_two(side)
        await side.noted_outcome("reset", reset(side, handle, event_id))
        latest = side.client.get_workflow_handle(handle.id)
        await side.until(latest, "WorkflowExecutionSignaled", 2)
        side.note("approved", await latest.query("approved_by"))
        await latest.signal("approve", "cem")
        side.note("result", await latest.result())
        await note_base(side, handle)

    await run(script)


@pytest.mark.parametrize("event_id", [-1, 0, 1, 2, 5, 6, 9, 13, 100])
async def test_points_to_which_no_run_can_be_reset(run, event_id):
    async def script(side):
        handle = await approved_by_two(side)
        await side.noted_outcome("reset", reset(side, handle, event_id))
        await handle.terminate()

    await run(script)


@pytest.mark.parametrize("exclude", ["SIGNAL", "UPDATE", "NEXUS", "CANCEL_REQUEST"])
async def test_what_is_reapplied(run, exclude):
    async def script(side):
        handle = await side.start("Approval", 9)
        await side.until(handle, "WorkflowTaskCompleted")
        await handle.signal("approve", "ann")
        await side.until(handle, "WorkflowTaskCompleted", 2)
        await handle.execute_update("approve_slowly", args=["bob", 1], id="bob")
        kind = ResetReapplyExcludeType.Value(f"RESET_REAPPLY_EXCLUDE_TYPE_{exclude}")
        await side.noted_outcome("reset", reset(side, handle, 4, reset_reapply_exclude_types=[kind]))
        latest = side.client.get_workflow_handle(handle.id)
        if exclude != "SIGNAL":
            await side.until(latest, "WorkflowExecutionSignaled")
        if exclude != "UPDATE":
            await side.until(latest, "WorkflowExecutionUpdateCompleted")
        await side.until(latest, "WorkflowTaskCompleted")
        side.note("approved", await latest.query("approved_by"))
        await latest.terminate()
        await note_base(side, handle)

    await run(script)


@pytest.mark.parametrize("kind", ["UNSPECIFIED", "SIGNAL", "NONE", "ALL_ELIGIBLE"])
async def test_the_older_way_to_say_what_is_reapplied(run, kind):
    async def script(side):
        handle = await approved_by_two(side)
        value = ResetReapplyType.Value(f"RESET_REAPPLY_TYPE_{kind}")
        await side.noted_outcome("reset", reset(side, handle, 4, reset_reapply_type=value))
        latest = side.client.get_workflow_handle(handle.id)
        await side.until(latest, "WorkflowTaskCompleted")
        side.note("approved", await latest.query("approved_by"))
        await latest.terminate()

    await run(script)


async def test_a_run_that_has_closed_is_reset(run):
    async def script(side):
        handle = await side.start("Approval", 1)
        await side.until(handle, "WorkflowTaskCompleted")
        await handle.signal("approve", "ann")
        await handle.result()
        await side.noted_outcome("reset", reset(side, handle, 4))
        latest = side.client.get_workflow_handle(handle.id)
        side.note("result", await latest.result())
        await note_base(side, handle)

    await run(script)


async def test_a_run_that_has_failed_is_reset_with_everything_it_had(run):
    async def script(side):
        options = dict(run_timeout=timedelta(minutes=9), memo={"note": "kept"}, static_summary="a summary")
        handle = await side.start("FailWith", "Broken", True, **options)
        await side.outcome(handle.result())
        await side.noted_outcome("reset", reset(side, handle, 4))
        latest = side.client.get_workflow_handle(handle.id)
        await side.noted_outcome("result", latest.result())
        await note_base(side, handle)

    await run(script)


async def test_an_activity_and_a_timer_that_were_open_at_that_point(run):
    async def script(side):
        handle = await side.start("ActivityRace", "park", HOUR_MS)
        await side.activities.parked(handle.id)
        await side.noted_outcome("reset", reset(side, handle, 4))
        info = await side.activities.parked(handle.id, 2)
        await side.client.get_async_activity_handle(task_token=info.task_token).complete("after the reset")
        side.note("result", await side.client.get_workflow_handle(handle.id).result())
        await note_base(side, handle)

    await run(script)


async def test_an_activity_that_is_open_at_the_point_of_the_reset(run):
    async def script(side):
        handle = await side.start("ActivityRace", "park", HOUR_MS)
        first = await side.activities.parked(handle.id)
        await handle.signal("unheard")
        await side.until(handle, "WorkflowTaskCompleted", 2)
        await side.noted_outcome("reset", reset(side, handle, 10))
        stale = side.client.get_async_activity_handle(task_token=first.task_token)
        await side.noted_outcome("stale", stale.complete("by the first run"))
        second = await side.activities.parked(handle.id, 2)
        await side.client.get_async_activity_handle(task_token=second.task_token).complete("after the reset")
        side.note("result", await side.client.get_workflow_handle(handle.id).result())
        await note_base(side, handle)

    await run(script)


@pytest.mark.parametrize("what", ["no such workflow", "no such run", "a bad run id", "no reason"])
async def test_a_reset_of_nothing(run, what):
    async def script(side):
        handle = await approved_by_two(side)
        if what == "no such workflow":
            missing = side.client.get_workflow_handle("nobody")
            await side.noted_outcome("reset", reset(side, missing, 4))
        elif what == "no reason":
            outcome = await side.outcome(reset(side, handle, 4, reason=""))
            side.note("reset", "runId" in outcome or outcome)
            await side.until(side.client.get_workflow_handle(handle.id), "WorkflowTaskCompleted")
        else:
            run_id = NO_RUN if what == "no such run" else "junk"
            await side.noted_outcome("reset", reset(side, handle, 4, run_id=run_id))
        await side.client.get_workflow_handle(handle.id).terminate()

    await run(script)


async def test_a_child_of_a_run_that_is_reset(run):
    async def script(side):
        child_id = side.id("child")
        handle = await side.start("Parent", "Gate", [], {"workflow_id": child_id})
        child = side.client.get_workflow_handle(child_id)
        await side.until(handle, "ChildWorkflowExecutionStarted")
        await side.until(handle, "WorkflowTaskCompleted", 2)
        await side.until(child, "WorkflowTaskCompleted")
        await side.noted_outcome("reset", reset(side, handle, 9))
        await side.until(side.client.get_workflow_handle(handle.id), "WorkflowTaskCompleted", 2)
        await child.signal("close")
        side.note("result", await side.client.get_workflow_handle(handle.id).result())
        await note_base(side, handle)

    await run(script)
