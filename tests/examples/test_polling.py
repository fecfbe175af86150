"""A feed is followed through several runs, and none of it is lost or read twice in between."""

from support.histories import arguments_of, event_types
from support.waiting import eventually
from temporalio.client import WorkflowExecutionStatus

EXAMPLE = "polling"
PAGES = 24


async def test_a_feed_is_followed_through_several_runs(example, client):
    feed = await example.start("FollowFeed", {"url": "news", "every_ms": 1})
    end = await feed.result()
    assert (end["items"], end["cursor"]) == (3 * PAGES, PAGES)
    assert end["earlier_runs"] >= 2, "half a megabyte each page, and a new run is suggested from 4 MiB on"
    runs = [run async for run in client.list_workflows(f"WorkflowId = '{feed.id}'")]
    assert len(runs) == end["earlier_runs"] + 1
    statuses = [run.status for run in sorted(runs, key=lambda run: run.start_time)]
    assert set(statuses[:-1]) == {WorkflowExecutionStatus.CONTINUED_AS_NEW}
    assert statuses[-1] == WorkflowExecutionStatus.COMPLETED
    cursors = []
    for run in sorted(runs, key=lambda run: run.start_time):
        history = await client.get_workflow_handle(feed.id, run_id=run.run_id).fetch_history()
        cursors += [cursor for _, cursor in arguments_of(history, "fetch_page")]
    assert cursors == list(range(PAGES)), "each page is read once, in order, across all runs"


async def test_it_stops_in_the_middle_of_its_pause(example):
    feed = await example.start("FollowFeed", {"url": "weather", "every_ms": 24 * 3600 * 1000})

    async def has_read_a_page():
        return (await feed.query("progress"))["cursor"] == 1

    await eventually(has_read_a_page, "the first page is read")
    await feed.signal("stop")
    assert (await feed.result())["cursor"] == 1
    types = event_types(await feed.fetch_history())
    assert "TimerFired" not in types


async def test_a_run_that_is_told_to_stop_at_once_reads_one_page(example):
    feed = await example.start("FollowFeed", {"url": "news", "every_ms": 1}, start_signal="stop")
    assert (await feed.result())["cursor"] == 1
