"""However a backup ends, nothing of it is left behind."""

from pathlib import Path

import pytest
from support.histories import activities_of, arguments_of, event_types
from support.waiting import eventually
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError

EXAMPLE = "cancellation"
STEPS = ["create_staging_area", "copy_tables", "delete_staging_area"]


async def area_of(backup) -> Path:
    """Where the backup copied to."""
    [[area, _]] = arguments_of(await backup.fetch_history(), "copy_tables")
    return Path(area)


async def test_a_backup_ends_with_its_cleanup(example):
    backup = await example.start("BackUp", {"database": "orders", "tables": 2})
    assert await backup.result() == 2
    assert activities_of(await backup.fetch_history()) == STEPS
    assert not (await area_of(backup)).exists()


async def test_a_backup_that_is_canceled_stops_copying_and_cleans_up(example):
    backup = await example.start("BackUp", {"database": "orders", "tables": 1_000_000})

    async def is_copying():
        pending = (await backup.describe()).raw_description.pending_activities
        return any(activity.HasField("heartbeat_details") for activity in pending)

    await eventually(is_copying, "a heartbeat has come")
    area = await area_of(backup)
    assert (area / "table-0").exists()
    await backup.cancel()
    with pytest.raises(WorkflowFailureError) as failed:
        await backup.result()
    assert isinstance(failed.value.cause, CancelledError)
    assert (await backup.describe()).status == WorkflowExecutionStatus.CANCELED
    assert not area.exists()
    history = await backup.fetch_history()
    assert activities_of(history) == STEPS
    types = event_types(history)
    # The copy had really stopped before the cleanup began, and the cleanup was over before the workflow was.
    order = ["WorkflowExecutionCancelRequested", "ActivityTaskCancelRequested", "ActivityTaskCanceled"]
    places = [types.index(name) for name in order]
    assert places == sorted(places)
    after = types[places[-1] :]
    assert after.index("ActivityTaskScheduled") < after.index("ActivityTaskCompleted")
    assert after[-1] == "WorkflowExecutionCanceled"


async def test_a_second_request_to_cancel_does_not_disturb_the_cleanup(example):
    backup = await example.start("BackUp", {"database": "orders", "tables": 1_000_000})

    async def is_copying():
        return "copy_tables" in activities_of(await backup.fetch_history())

    await eventually(is_copying, "it copies")
    area = await area_of(backup)
    await backup.cancel()
    await backup.cancel()
    with pytest.raises(WorkflowFailureError):
        await backup.result()
    assert activities_of(await backup.fetch_history()) == STEPS
    assert not area.exists()
