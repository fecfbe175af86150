"""Children, and messages to other workflows."""

from datetime import timedelta

import pytest
from support.waiting import eventually
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy

pytestmark = pytest.mark.asyncio(loop_scope="module")
CANCELLATION_TYPES = ["abandon", "try-cancel", "wait-cancellation-requested", "wait-cancellation-completed"]
HOUR_MS = 3_600_000

ENDINGS = {
    "a result": ("Double", [21], {}),
    "a failure": ("FailWith", ["Broken", True, {"code": 1}, None], {}),
    "a failure after retries": ("ThirdTimeLucky", [], {"maximum_attempts": 2}),
    "a result after retries": ("ThirdTimeLucky", [], {"maximum_attempts": 3}),
    "a result of a later run": ("Countdown", [2, 0], {}),
    "a run timeout": ("Sleep", [HOUR_MS], {"run_timeout_ms": 1_000, "task_queue": "nobody"}),
    "an execution timeout": ("Sleep", [HOUR_MS], {"execution_timeout_ms": 1_000, "task_queue": "nobody"}),
    "everything set": (
        "Info",
        [],
        {
            "execution_timeout_ms": 60_000,
            "run_timeout_ms": 50_000,
            "task_timeout_ms": 5_000,
            "memo": "from the parent",
            "summary": "a child",
            "details": "with *everything*",
            "parent_close_policy": "request-cancel",
            "reuse_policy": "reject-duplicate",
        },
    ),
}
# These end in their first workflow task.
AT_ONCE = {"a failure", "everything set"}


@pytest.mark.parametrize("what", ENDINGS)
async def test_how_children_end(run, what):
    async def script(side):
        workflow, args, options = ENDINGS[what]
        options = options | {"workflow_id": side.id("child")}
        if what not in AT_ONCE:
            handle = await side.start("Parent", workflow, args, options)
            side.note("result", await handle.result())
            return
        # The child begins once its parent knows that it has started: else both may be told in one workflow task.
        handle = await side.start("Parent", workflow, args, options | {"task_queue": f"late {what}"})
        await side.until(handle, "ChildWorkflowExecutionStarted")
        async with side.server.deployed("guest-kitchen", f"late {what}"):
            side.note("result", await handle.result())

    await run(script)


@pytest.mark.parametrize("how", ["terminate", "cancel"])
async def test_a_child_that_somebody_else_ends(run, how):
    async def script(side):
        child_id = side.id("child")
        handle = await side.start("Parent", "Sleep", [HOUR_MS], {"workflow_id": child_id})
        await side.until(handle, "ChildWorkflowExecutionStarted")
        child = side.client.get_workflow_handle(child_id)
        await side.until(child, "TimerStarted")
        await getattr(child, how)()
        side.note("result", await handle.result())

    await run(script)


@pytest.mark.parametrize("kind", CANCELLATION_TYPES)
@pytest.mark.parametrize("child", ["Sleep", "IgnoreCancel"])
async def test_how_a_child_is_canceled(run, kind, child):
    async def script(side):
        child_id = side.id("child")
        delay = HOUR_MS if child == "Sleep" else 3_000
        options = {"workflow_id": child_id, "cancellation_type": kind, "parent_close_policy": "abandon"}
        # The SDK for Python waits for the end of the child where it should wait for the request alone, so that the
        # parent's history is not compared: docs/differences.md.
        parent = side.id() if kind != "wait-cancellation-requested" else f"{side.case} not compared"
        args = [child, [delay], options]
        handle = await side.client.start_workflow("Parent", args=args, id=parent, task_queue=side.queue)
        await side.until(handle, "ChildWorkflowExecutionStarted")
        handle_of_child = side.client.get_workflow_handle(child_id)
        await side.until(handle_of_child, "TimerStarted")
        await handle.cancel()
        result = await handle.result()
        if kind != "wait-cancellation-requested":
            side.note("result", result)
        # Where the parent ends with the request, the request is never sent.
        never_asked = kind in ("abandon", "try-cancel")
        if not never_asked:
            await side.until(handle_of_child, "WorkflowExecutionCancelRequested")
        elif child == "Sleep":
            await handle_of_child.terminate(reason="the test is over")
        await side.noted_outcome("child", handle_of_child.result())

    await run(script)


@pytest.mark.parametrize("policy", ["terminate", "request-cancel", "abandon"])
async def test_children_whose_parent_ends_first(run, policy):
    async def script(side):
        children = [side.id(f"child {number}") for number in (1, 2)]
        options = [{"workflow_id": child, "parent_close_policy": policy} for child in children]
        handle = await side.start("LeavesChildren", "Gate", [], options)
        children = [side.client.get_workflow_handle(child) for child in children]
        await side.until(handle, "ChildWorkflowExecutionStarted", 2)
        for child in children:
            await side.until(child, "WorkflowTaskCompleted")
        await handle.signal("go")
        side.note("result", await handle.result())
        for child in children:
            if policy == "abandon":
                await child.signal("close")
            await side.noted_outcome(child.id, child.result())

    await run(script)


@pytest.mark.parametrize("how", ["terminate", "timeout"])
async def test_children_whose_parent_is_ended(run, how):
    async def script(side):
        child_id = side.id("child")
        timeout = timedelta(seconds=4) if how == "timeout" else None
        handle = await side.start("Parent", "Gate", [], {"workflow_id": child_id}, run_timeout=timeout)
        child = side.client.get_workflow_handle(child_id)
        await side.until(handle, "ChildWorkflowExecutionStarted")
        await side.until(child, "WorkflowTaskCompleted")
        if how == "terminate":
            await handle.terminate("enough")
        await side.noted_outcome("parent", handle.result())
        await side.noted_outcome("child", child.result())

    await run(script)


@pytest.mark.parametrize("reuse", ["allow-duplicate", "allow-duplicate-failed-only", "reject-duplicate"])
@pytest.mark.parametrize("state", ["open", "completed", "failed"])
async def test_a_child_whose_id_is_taken(run, reuse, state):
    async def script(side):
        child_id = side.id("child")
        workflow = ("FailWith", "Broken", True) if state == "failed" else ("Gate",)
        other = await side.start(*workflow, name="child")
        if state == "open":
            await side.until(other, "WorkflowTaskCompleted")
        elif state == "completed":
            await side.until(other, "WorkflowTaskCompleted")
            await other.signal("close")
        if state != "open":
            await side.outcome(other.result())
        handle = await side.start("Parent", "Double", [21], {"workflow_id": child_id, "reuse_policy": reuse})
        side.note("result", await handle.result())
        if state == "open":
            await other.terminate()

    await run(script)


async def test_a_child_is_told_something_and_canceled_by_its_handle(run):
    async def script(side):
        child_id = side.id("child")
        handle = await side.start("SteersAChild", child_id)
        child = side.client.get_workflow_handle(child_id)
        await side.until(handle, "ChildWorkflowExecutionStarted")
        await side.until(child, "WorkflowTaskCompleted")
        await handle.signal("go")
        await side.until(handle, "ExternalWorkflowExecutionSignaled")
        await side.until(child, "WorkflowTaskCompleted", 2)
        await handle.signal("go")
        side.note("result", await handle.result())

    await run(script)


async def test_a_closed_child_is_told_something(run):
    async def script(side):
        child_id = side.id("child")
        handle = await side.start("SteersAChild", child_id)
        await side.until(handle, "ChildWorkflowExecutionStarted")
        child = side.client.get_workflow_handle(child_id)
        await side.until(child, "WorkflowTaskCompleted")
        await child.terminate("too early")
        await side.until(handle, "ChildWorkflowExecutionTerminated")
        await handle.signal("go")
        await side.until(handle, "SignalExternalWorkflowExecutionFailed")
        await handle.signal("go")
        side.note("result", await handle.result())

    await run(script)


@pytest.mark.parametrize("what", ["signal", "cancel"])
@pytest.mark.parametrize("target", ["open", "closed", "missing", "itself", "a run that is gone", "a bad run id"])
async def test_messages_to_other_workflows(run, what, target):
    async def script(side):
        target_id, run_id = side.id("other"), None
        other = None
        if target in ("open", "closed", "a run that is gone", "a bad run id"):
            other = await side.start("Approval", 1, name="other")
            await side.until(other, "WorkflowTaskCompleted")
        if target == "closed":
            await other.signal("approve", "ann")
            await other.result()
        elif target == "itself":
            target_id = side.id()
        elif target == "a run that is gone":
            run_id = "01a20a0f-5739-74a8-ae48-eaed80251506"
        elif target == "a bad run id":
            run_id = "not a run id"
        handle = await side.start("Tells", target_id, run_id, what)
        if target == "itself" or target == "a bad run id":
            await ends_or_fails_a_task(side, handle)
        await side.noted_outcome("result", handle.result())
        if other is not None:
            await side.outcome(other.terminate()) if target != "open" else await side.outcome(other.result())
            side.note("other", (await other.describe()).status.name)

    await run(script)


async def ends_or_fails_a_task(side, handle):
    """Where Temporal refuses the command, the workflow task fails, and is tried again."""

    async def failed_or_ended():
        description = await handle.describe()
        if description.status != WorkflowExecutionStatus.RUNNING:
            return True
        return description.raw_description.pending_workflow_task.attempt > 1

    await eventually(failed_or_ended, f"{handle.id} ends or its workflow task fails")
    await side.outcome(handle.terminate("the test is over"))


async def test_an_id_of_a_closed_child_can_be_used_again(run):
    async def script(side):
        child_id = side.id("child")
        handle = await side.start("Parent", "Double", [1], {"workflow_id": child_id})
        await handle.result()
        await (await side.start("Echo", 1, name="child", id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE)).result()

    await run(script)
