"""Queries, updates, signal-with-start, children, messages between workflows, continue-as-new and retries of workflows,
as the official SDK asks for them."""

import asyncio
from datetime import timedelta

import pytest
from support.histories import event_types
from support.waiting import eventually
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import QueryRejectCondition, RetryPolicy, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode


@pytest.fixture(autouse=True)
async def kitchen(deploy):
    await deploy()


@pytest.fixture
def start(client, queue, new_id):
    async def start(workflow: str, *args, **options):
        return await client.start_workflow(workflow, args=args, id=new_id(), task_queue=queue, **options)

    return start


async def test_a_query_sees_every_signal_before_it_and_is_not_written_down(start):
    handle = await start("Approval", 3)
    assert await handle.query("approved_by") == []
    await handle.signal("approve", "ann")
    assert await handle.query("approved_by") == ["ann"]
    before = (await handle.describe()).history_length
    for _ in range(5):
        assert await handle.query("approved_by") == ["ann"]
    assert (await handle.describe()).history_length == before
    for name in ["bob", "cem"]:
        await handle.signal("approve", name)
    assert await handle.result() == ["ann", "bob", "cem"]


async def test_a_closed_workflow_still_answers(start):
    handle = await start("Approval", 1)
    await handle.signal("approve", "ann")
    await handle.result()
    assert isinstance(await handle.query("__stack_trace"), str)
    assert isinstance(await handle.query("approved_by"), list)
    with pytest.raises(WorkflowQueryRejectedError) as rejected:
        await handle.query("approved_by", reject_condition=QueryRejectCondition.NOT_OPEN)
    assert rejected.value.status == WorkflowExecutionStatus.COMPLETED


async def test_a_query_that_fails_says_why(start):
    handle = await start("Approval", 1)
    with pytest.raises(WorkflowQueryFailedError, match="ask later"):
        await handle.query("fails")
    with pytest.raises(WorkflowQueryFailedError, match=r"Query handler for 'nothing' expected but not found"):
        await handle.query("nothing")
    metadata = await handle.query("__temporal_workflow_metadata")
    assert metadata.definition.type == "Approval"
    assert "approved_by" in [query.name for query in metadata.definition.query_definitions]
    with pytest.raises(RPCError) as missing:
        await start_missing(handle).query("approved_by")
    assert missing.value.status == RPCStatusCode.NOT_FOUND


def start_missing(handle):
    return handle._client.get_workflow_handle("there-is-no-such-workflow")


async def test_an_update_is_answered_and_changes_the_workflow(start):
    handle = await start("Approval", 1)
    assert await handle.execute_update("set_needed", 2) == 1
    await handle.signal("approve", "ann")
    assert await handle.query("approved_by") == ["ann"]
    assert await handle.execute_update("approve_slowly", args=["bob", 20]) == 2
    assert await handle.result() == ["ann", "bob"]
    types = event_types(await handle.fetch_history())
    assert types.count("WorkflowExecutionUpdateAccepted") == 2
    assert types.count("WorkflowExecutionUpdateCompleted") == 2


async def test_a_rejected_update_leaves_no_trace(start):
    handle = await start("Approval", 1)
    # Answered only after the first workflow task.
    assert await handle.query("approved_by") == []
    before = event_types(await handle.fetch_history())
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("set_needed", 0)
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "BadNumber"
    with pytest.raises(WorkflowUpdateFailedError) as unknown:
        await handle.execute_update("no_such_update")
    assert "no_such_update" in str(unknown.value.cause)
    assert event_types(await handle.fetch_history()) == before
    await handle.signal("approve", "ann")
    assert await handle.result() == ["ann"]


async def test_an_update_can_be_accepted_first_and_awaited_later(start, client):
    handle = await start("Approval", 1)
    update = await handle.start_update(
        "approve_slowly", args=["ann", 50], id="slow", wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )
    again = await handle.start_update(
        "approve_slowly", args=["ann", 50], id="slow", wait_for_stage=WorkflowUpdateStage.ACCEPTED
    )
    assert await update.result() == 1
    assert await again.result() == 1, "the same id is the same update"
    assert await handle.get_update_handle("slow").result() == 1
    assert await handle.result() == ["ann"]
    assert await handle.get_update_handle("slow").result() == 1, "also once the workflow has closed"


async def test_a_handler_that_fails_fails_the_update_and_not_the_workflow(start):
    handle = await start("Approval", 1)
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await handle.execute_update("fail")
    assert failed.value.cause.type == "Refused"
    await handle.signal("approve", "ann")
    assert await handle.result() == ["ann"]
    with pytest.raises(RPCError) as closed:
        await handle.execute_update("set_needed", 3)
    assert closed.value.status == RPCStatusCode.NOT_FOUND


async def test_signal_with_start_starts_once(client, queue, new_id):
    workflow_id = new_id()
    for name in ["ann", "bob"]:
        handle = await client.start_workflow(
            "Approval", 2, id=workflow_id, task_queue=queue, start_signal="approve", start_signal_args=[name]
        )
    assert await handle.result() == ["ann", "bob"]


async def test_update_with_start(client, queue, new_id):
    workflow_id = new_id()
    for expected in [1, 5]:
        start = WithStartWorkflowOperation(
            "Approval", 1, id=workflow_id, task_queue=queue, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
        )
        assert await client.execute_update_with_start_workflow("set_needed", 5, start_workflow_operation=start) == expected
    handle = client.get_workflow_handle(workflow_id)
    await handle.terminate()


async def test_children_run_and_report(start, client):
    handle = await start("SumOfChildren", [1, 2, 3, 4])
    assert await handle.result() == 20
    types = event_types(await handle.fetch_history())
    for kind in ["StartChildWorkflowExecutionInitiated", "ChildWorkflowExecutionStarted"]:
        assert types.count(kind) == 4
    assert types.count("ChildWorkflowExecutionCompleted") == 4


async def test_the_failure_of_a_child_reaches_its_parent(start):
    handle = await start("FailingChild")
    assert "failed as asked" in await handle.result()


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        ("terminate", WorkflowExecutionStatus.TERMINATED),
        ("cancel", WorkflowExecutionStatus.CANCELED),
        ("abandon", WorkflowExecutionStatus.RUNNING),
    ],
)
async def test_what_becomes_of_a_child_when_its_parent_closes(start, client, new_id, policy, status):
    child_id = new_id()
    handle = await start("LeavesAChild", child_id, policy)
    run_id = await handle.result()
    child = client.get_workflow_handle(child_id, run_id=run_id)

    async def is_as_expected():
        return (await child.describe()).status == status

    await eventually(is_as_expected, f"the child is {status.name}")
    if status == WorkflowExecutionStatus.RUNNING:
        assert await child.query("approved_by") == ["parent"]
        await child.signal("approve", "ann")
        assert await child.result() == ["parent", "ann"]


async def test_workflows_send_each_other_messages(start):
    other = await start("Approval", 9)
    handle = await start("Messenger", other.id, True)
    assert await handle.result() == "delivered"
    with pytest.raises(WorkflowFailureError):
        await other.result()
    assert (await other.describe()).status == WorkflowExecutionStatus.CANCELED
    assert "not found" in await (await start("Messenger", "nobody", False)).result()


async def test_a_workflow_goes_on_in_new_runs(start, client):
    handle = await start("Countdown", 3, 0)
    assert await handle.result() == 3
    first = client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
    assert (await first.describe()).status == WorkflowExecutionStatus.CONTINUED_AS_NEW
    runs = [run async for run in client.list_workflows(f"WorkflowId = '{handle.id}'")]
    assert len(runs) == 4


async def test_a_workflow_is_retried_as_its_policy_says(start):
    policy = RetryPolicy(initial_interval=timedelta(milliseconds=1), maximum_attempts=5)
    assert await (await start("ThirdTimeLucky", retry_policy=policy)).result() == 3
    with pytest.raises(WorkflowFailureError) as failed:
        policy = RetryPolicy(initial_interval=timedelta(milliseconds=1), maximum_attempts=2)
        await (await start("ThirdTimeLucky", retry_policy=policy)).result()
    assert "attempt 2" in str(failed.value.cause)


@pytest.mark.mainspring_only
async def test_markers_changes_and_memos(start):
    handle = await start("Facts")
    assert await handle.result() == [True, 7]
    types = event_types(await handle.fetch_history())
    assert types.count("MarkerRecorded") == 2
    assert types.count("WorkflowPropertiesModified") == 1
    assert types.count("UpsertWorkflowSearchAttributes") == 1
    assert await (await handle.describe()).memo_value("note") == "written by the workflow"


@pytest.mark.mainspring_only
async def test_everything_goes_on_after_a_restart(servers, in_thread):
    """Children, updates and queries of runs that a crash has taken out of memory."""
    server = servers()
    await in_thread(server.start)
    client = await server.connect()
    async with server.deployed("guest-kitchen", "restarts"):
        pass
    handle = await client.start_workflow("Approval", 2, id="restarted", task_queue="restarts")
    assert await handle.execute_update("set_needed", 3, id="before") == 2
    await in_thread(server.kill)
    await in_thread(server.start)
    client = await server.connect()
    handle = client.get_workflow_handle("restarted")
    assert await handle.get_update_handle("before").result() == 2
    assert await handle.query("approved_by") == []
    for name in ["ann", "bob", "cem"]:
        await handle.signal("approve", name)
    assert await handle.result() == ["ann", "bob", "cem"]
