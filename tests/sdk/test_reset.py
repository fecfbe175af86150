"""Resets: a new run of the first events of another one, as clients and the `temporal` CLI ask for it."""

import asyncio
import uuid

import pytest
from support.histories import event_types
from support.waiting import eventually
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateStage
from temporalio.service import RPCError, RPCStatusCode

SIGNAL = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL
UPDATE = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE
SIGNALED = "workflow_execution_signaled_event_attributes"


@pytest.fixture(autouse=True)
async def kitchen(deploy):
    await deploy()


@pytest.fixture
def start(client, queue, new_id):
    async def start(workflow: str, *args, **options):
        return await client.start_workflow(workflow, args=args, id=new_id(), task_queue=queue, **options)

    return start


@pytest.fixture
def reset(client):
    """Resets a run, and gives a handle of the new one."""

    async def reset(handle, event_id: int, *, run_id: str | None = None, request_id: str | None = None, exclude=()):
        answer = await client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace="default",
                workflow_execution=WorkflowExecution(
                    workflow_id=handle.id, run_id=handle.first_execution_run_id if run_id is None else run_id
                ),
                reason="a test asks for it",
                workflow_task_finish_event_id=event_id,
                request_id=request_id or str(uuid.uuid4()),
                reset_reapply_exclude_types=exclude,
            )
        )
        return client.get_workflow_handle(handle.id, run_id=answer.run_id)

    return reset


async def types_of(handle) -> list[str]:
    return event_types(await handle.fetch_history())


async def completed_task(handle, which: int = 0) -> int:
    """The event id of a run's WorkflowTaskCompleted."""

    async def find():
        events = (await handle.fetch_history()).events
        completed = [event.event_id for event in events if event.HasField("workflow_task_completed_event_attributes")]
        return completed[which] if len(completed) > max(which, 0) else None

    return await eventually(find, "a workflow task completes")


async def test_a_closed_run_is_done_again_with_the_signals_that_it_had(start, reset):
    handle = await start("Approval", 2)
    for name in ["ann", "bob"]:
        await handle.signal("approve", name)
    assert await handle.result() == ["ann", "bob"]
    again = await reset(handle, await completed_task(handle))
    assert await again.result() == ["ann", "bob"]
    assert again.run_id != handle.first_execution_run_id
    types = await types_of(again)
    assert types[:2] == ["WorkflowExecutionStarted", "WorkflowTaskScheduled"]
    assert types.count("WorkflowExecutionSignaled") == 2
    assert "WorkflowTaskFailed" in types


async def test_an_open_run_ends_where_the_new_one_begins(start, reset, client):
    handle = await start("Approval", 2)
    await handle.signal("approve", "ann")
    point = await completed_task(handle)
    again = await reset(handle, point)
    old = client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
    described = await old.describe()
    assert described.status == WorkflowExecutionStatus.TERMINATED
    assert described.raw_description.workflow_extended_info.reset_run_id == again.run_id
    closing = (await old.fetch_history()).events[-1].workflow_execution_terminated_event_attributes
    assert closing.identity == "history-resetter"
    failed = (await again.fetch_history()).events[point - 1].workflow_task_failed_event_attributes
    assert (failed.base_run_id, failed.new_run_id) == (old.run_id, again.run_id)
    assert "a test asks for it" in failed.failure.message
    # The workflow id stands for the new run.
    latest = client.get_workflow_handle(handle.id)
    assert await latest.query("approved_by") == ["ann"]
    await latest.signal("approve", "bob")
    assert await again.result() == ["ann", "bob"]


async def test_what_is_excluded_is_not_carried_over(start, reset):
    handle = await start("Approval", 2)
    await completed_task(handle)
    await handle.signal("approve", "ann")
    await handle.execute_update("set_needed", 1)
    await handle.result()
    point = await completed_task(handle)
    both = await reset(handle, point)
    assert await both.result() == ["ann"]
    without_signals = await reset(handle, point, exclude=[SIGNAL])
    await eventually(lambda: answered(without_signals, "approved_by", []), "the new run has no signal")
    assert "WorkflowExecutionUpdateCompleted" in await types_of(without_signals)
    without_updates = await reset(handle, point, exclude=[UPDATE])
    await eventually(lambda: answered(without_updates, "approved_by", ["ann"]), "the new run has the signal")
    types = await types_of(without_updates)
    assert not [kind for kind in types if "Update" in kind]
    await without_updates.terminate()


async def answered(handle, query: str, expected) -> bool:
    try:
        return await handle.query(query) == expected
    except RPCError as error:
        # Before its first turn there is nobody to ask.
        assert error.status == RPCStatusCode.FAILED_PRECONDITION, error
        return False


async def test_an_update_that_was_accepted_is_asked_again_under_its_id(start, reset, client):
    handle = await start("Approval", 1)
    await completed_task(handle)
    update = await handle.start_update(
        "approve_slowly", args=["ann", 60_000], id="slow", wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )
    again = await reset(handle, await completed_task(handle))
    admitted = [kind for kind in await types_of(again) if kind == "WorkflowExecutionUpdateAdmitted"]
    assert admitted
    await eventually(
        lambda: has(again, "WorkflowExecutionUpdateAccepted"), "the new run accepts the update that it took over"
    )
    assert update.id == "slow"
    await again.terminate()


async def has(handle, kind: str) -> bool:
    return kind in await types_of(handle)


# Temporal's API promises it, too; its dev server was seen to make another run.
@pytest.mark.mainspring_only
async def test_the_same_request_is_the_same_reset(start, reset):
    handle = await start("Approval", 2)
    point = await completed_task(handle)
    first = await reset(handle, point, request_id="only-once")
    second = await reset(handle, point, request_id="only-once")
    assert first.run_id == second.run_id
    await first.terminate()


async def test_many_resets_at_once_leave_one_run_open(start, reset, client):
    handle = await start("Approval", 2)
    point = await completed_task(handle)
    made = await asyncio.gather(*(reset(handle, point) for _ in range(10)))
    assert len({run.run_id for run in made}) == 10
    latest = await client.get_workflow_handle(handle.id).describe()
    open_runs = [run.run_id for run in made if (await run.describe()).status == WorkflowExecutionStatus.RUNNING]
    assert open_runs == [latest.run_id]
    for name in ["ann", "bob"]:
        await client.get_workflow_handle(handle.id).signal("approve", name)
    assert await client.get_workflow_handle(handle.id).result() == ["ann", "bob"]


async def test_a_timer_before_the_point_is_the_new_runs_timer(start, reset):
    handle = await start("Sleep", 60_000)
    point = await completed_task(handle)
    with pytest.raises(RPCError, match="boundary"):
        await reset(handle, point + 1)
    await handle.signal("wakes it up", None)
    again = await reset(handle, await completed_task(handle, 1))
    types = await types_of(again)
    assert types.count("TimerStarted") == 1
    await again.terminate()


async def test_a_child_reports_to_the_run_that_took_its_parents_place(start, reset, client, new_id):
    child_id = new_id()
    handle = await start("WaitsForAChild", child_id)
    await eventually(lambda: has(handle, "ChildWorkflowExecutionStarted"), "the child begins")
    # The turn after the child's start: the two runs share the child.
    again = await reset(handle, await completed_task(handle, 1))
    child = client.get_workflow_handle(child_id)
    assert (await child.describe()).status == WorkflowExecutionStatus.RUNNING
    await child.signal("approve", "ann")
    assert await again.result() == ["ann"]
    assert (await types_of(again)).count("StartChildWorkflowExecutionInitiated") == 1


async def test_signals_of_the_runs_that_it_went_on_in_are_carried_over(start, reset, client):
    handle = await start("CollectsInTwoRuns")
    first = client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
    await first.signal("collect", "one")
    await eventually(lambda: has(first, "WorkflowExecutionContinuedAsNew"), "it goes on in a second run")
    await handle.signal("collect", "two")
    assert await client.get_workflow_handle(handle.id).result() == ["one", "two"]
    # With both signals the new run goes on in a further one at once, which has none left: they were the new run's.
    again = await reset(handle, await completed_task(first))
    await eventually(lambda: has(again, "WorkflowExecutionContinuedAsNew"), "the new run goes on, too")
    signaled = [event for event in (await again.fetch_history()).events if event.HasField(SIGNALED)]
    inputs = [event.workflow_execution_signaled_event_attributes.input.payloads[0].data for event in signaled]
    assert inputs == [b'"one"', b'"two"']
    await client.get_workflow_handle(handle.id).terminate()


@pytest.mark.parametrize(
    ("event_id", "message"),
    [
        (0, "Workflow task finish ID must be > 1 && <= workflow last event ID."),
        (1, "Workflow task finish ID must be > 1 && <= workflow last event ID."),
        (100, "Workflow task finish ID must be > 1 && <= workflow last event ID."),
    ],
)
async def test_a_point_that_is_none_is_refused_and_nothing_has_changed(start, reset, client, event_id, message):
    handle = await start("Approval", 2)
    await completed_task(handle)
    with pytest.raises(RPCError) as refused:
        await reset(handle, event_id)
    assert (refused.value.status, refused.value.message) == (RPCStatusCode.INVALID_ARGUMENT, message)
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
    await handle.terminate()


async def test_a_run_that_is_not_there_cannot_be_reset(start, reset, client):
    missing = client.get_workflow_handle("there-is-no-such-workflow")
    with pytest.raises(RPCError) as refused:
        await reset(missing, 4, run_id="")
    assert refused.value.status == RPCStatusCode.NOT_FOUND
    handle = await start("Approval", 2)
    with pytest.raises(RPCError) as refused:
        await reset(handle, 4, run_id=str(uuid.uuid4()))
    assert refused.value.status == RPCStatusCode.NOT_FOUND
    with pytest.raises(RPCError) as refused:
        await reset(handle, 4, run_id="no-run-id")
    assert refused.value.status == RPCStatusCode.INVALID_ARGUMENT
    await handle.terminate()


