"""A child for each book: their results, their failures, and what becomes of them when their parent closes."""

from support.histories import event_types
from support.waiting import eventually
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

EXAMPLE = "fan_out"
DAY_MS = 24 * 3600 * 1000


async def status_of(example, workflow_id: str) -> WorkflowExecutionStatus | None:
    try:
        return (await example.client.get_workflow_handle(workflow_id).describe()).status
    except RPCError:
        return None


async def test_a_book_that_fails_is_a_line_of_the_report(example):
    library = {"books": ["Moby Dick", "Emma", "The Lost Book", "The Trial"], "at_once": 3, "publish_after_ms": 0}
    count = await example.start("CountLibrary", library)
    report = await count.result()
    assert report["words"] == {"Emma": 6, "Moby Dick": 3, "The Trial": 6}
    assert report["failed"] == {"The Lost Book": "The Lost Book is not on its shelf (NotFound)"}
    types = event_types(await count.fetch_history())
    assert types.count("ChildWorkflowExecutionCompleted") == 3
    assert types.count("ChildWorkflowExecutionFailed") == 1
    assert await status_of(example, f"{count.id}/The Lost Book") == WorkflowExecutionStatus.FAILED


async def test_no_more_children_run_at_once_than_asked_for(example):
    books = [f"missing-{number}" for number in range(6)]
    count = await example.start("CountLibrary", {"books": books, "at_once": 2, "publish_after_ms": 0})
    assert len((await count.result())["failed"]) == 6
    running, most = 0, 0
    for kind in event_types(await count.fetch_history()):
        running += {"StartChildWorkflowExecutionInitiated": 1, "ChildWorkflowExecutionFailed": -1}.get(kind, 0)
        most = max(most, running)
    assert most == 2


async def test_the_publication_outlives_its_parent(example):
    count = await example.start("CountLibrary", {"books": ["Emma"], "at_once": 1, "publish_after_ms": 5 * DAY_MS})
    await count.result()
    publication = example.client.get_workflow_handle(f"{count.id}-publication")
    assert await status_of(example, publication.id) == WorkflowExecutionStatus.RUNNING
    started = (await publication.fetch_history()).events[0].workflow_execution_started_event_attributes
    assert started.parent_workflow_execution.workflow_id == count.id
    await publication.terminate()


async def test_the_publication_is_published_after_its_parent_has_ended(example):
    count = await example.start("CountLibrary", {"books": ["Emma"], "at_once": 1, "publish_after_ms": 300})
    await count.result()
    publication = example.client.get_workflow_handle(f"{count.id}-publication")
    await publication.result()
    last = (await count.fetch_history()).events[-1].event_time.ToDatetime()
    assert (await publication.fetch_history()).events[-1].event_time.ToDatetime() > last


async def test_the_counts_end_with_their_parent(deployed):
    """Without a worker, so that no book is ever counted."""
    count = await deployed.start("CountLibrary", {"books": ["a", "b"], "at_once": 2, "publish_after_ms": 0})

    async def all_are(status: WorkflowExecutionStatus):
        return all([await status_of(deployed, f"{count.id}/{book}") == status for book in "ab"])

    await eventually(lambda: all_are(WorkflowExecutionStatus.RUNNING), "both books are being counted")
    await count.terminate()
    await eventually(lambda: all_are(WorkflowExecutionStatus.TERMINATED), "both counts are terminated")
