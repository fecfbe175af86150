"""Timers, signals, requests to cancel, and what clients ask about runs."""

import asyncio
import time
from datetime import timedelta

import pytest
from support.histories import event_types
from support.waiting import eventually
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError
from temporalio.service import RPCError, RPCStatusCode

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
async def kitchen(deploy):
    await deploy()


@pytest.fixture
def start(client, queue, new_id):
    async def start(workflow: str, *args, **options):
        return await client.start_workflow(workflow, args=args, id=new_id(), task_queue=queue, **options)

    return start


async def test_a_timer_fires_when_it_is_due_and_not_before(start):
    begun = time.monotonic()
    handle = await start("Sleep", 700)
    moved = await handle.result()
    assert 700 <= moved < 5_000
    assert 0.69 <= time.monotonic() - begun < 6
    history = await handle.fetch_history()
    started = next(e for e in history.events if e.HasField("timer_started_event_attributes"))
    fired = next(e for e in history.events if e.HasField("timer_fired_event_attributes"))
    assert fired.event_time.ToDatetime() - started.event_time.ToDatetime() >= timedelta(milliseconds=700)


async def test_timers_one_after_the_other(start):
    handle = await start("Chain", 20, 10)
    assert await handle.result() == 20
    assert event_types(await handle.fetch_history()).count("TimerFired") == 20


async def test_an_activity_can_lose_against_a_timer_and_win(start, activities):
    slow = asyncio.Event()

    @activity.defn
    async def quick() -> str:
        return "activity"

    @activity.defn(name="slow")
    async def waits() -> str:
        await slow.wait()
        return "too late"

    await activities(quick, waits)
    handle = await start("ActivityRace", "quick", 30_000)
    assert await handle.result() == "activity"
    assert "TimerCanceled" in event_types(await handle.fetch_history())
    assert await (await start("ActivityRace", "slow", 300)).result() == "timer"
    slow.set()


async def test_signals_arrive_in_the_order_in_which_they_were_sent(start):
    handle = await start("SignalCounter", 50)
    for number in range(50):
        await handle.signal("tick", number)
    assert await handle.result() == list(range(50))


async def test_a_signal_before_the_first_workflow_task_is_not_lost(start):
    handle = await start("SignalCounter", 2, start_delay=timedelta(seconds=1))
    await handle.signal("tick", "early")
    await handle.signal("tick", "earlier than the workflow")
    assert await handle.result() == ["early", "earlier than the workflow"]


async def test_signals_from_many_clients_are_all_delivered(start):
    handle = await start("SignalCounter", 200)
    await asyncio.gather(*(handle.signal("tick", number) for number in range(200)))
    assert sorted(await handle.result()) == list(range(200))


async def test_a_signal_that_nobody_listens_to_does_no_harm(start):
    handle = await start("SignalCounter", 1)
    await handle.signal("unheard", 1)
    await handle.signal("tick", 2)
    assert await handle.result() == [2]


async def test_a_signal_against_a_timeout(start):
    assert await (await start("SignalOrTimeout", 200)).result() == "timeout"
    handle = await start("SignalOrTimeout", HOUR_MS)
    await handle.signal("go", "now")
    assert await handle.result() == "now"


async def test_a_canceled_timer_ends_the_workflow_as_canceled(start):
    handle = await start("Sleep", HOUR_MS)

    async def sleeps():
        return "TimerStarted" in event_types(await handle.fetch_history())

    await eventually(sleeps, "the workflow sleeps")
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, CancelledError)
    types = event_types(await handle.fetch_history())
    assert types[-2:] == ["TimerCanceled", "WorkflowExecutionCanceled"]


async def test_canceling_twice_is_one_request(start):
    handle = await start("IgnoreCancel", 1_000)
    await handle.cancel()
    await handle.cancel()
    await handle.result()
    assert event_types(await handle.fetch_history()).count("WorkflowExecutionCancelRequested") == 1
    assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED


async def test_nothing_can_be_done_to_a_run_that_is_closed(start):
    handle = await start("Echo", 1)
    await handle.result()
    for attempt in (lambda: handle.signal("tick", 1), lambda: handle.terminate()):
        with pytest.raises(RPCError) as refused:
            await attempt()
        assert refused.value.status == RPCStatusCode.NOT_FOUND
    # A request to cancel what is over is granted, as Temporal grants it: there is nothing left to do.
    await handle.cancel()
    assert (await handle.describe()).status == WorkflowExecutionStatus.COMPLETED


async def test_runs_are_listed_and_counted_by_what_they_are(client, queue, start):
    done = [await start("Echo", n) for n in range(3)]
    for handle in done:
        await handle.result()
    open_one = await start("Sleep", HOUR_MS)

    async def ids(query: str):
        return {run.id async for run in client.list_workflows(query)}

    async def all_four():
        return len(await ids(f'TaskQueue = "{queue}"')) == 4

    await eventually(all_four, "all four are listed")
    completed = f'TaskQueue = "{queue}" AND ExecutionStatus = "Completed"'

    async def three_completed():
        return await ids(completed) == {handle.id for handle in done}

    await eventually(three_completed, "three are listed as completed")
    assert await ids(f'WorkflowType = "Sleep" AND ExecutionStatus = "Running" AND TaskQueue = "{queue}"') == {open_one.id}
    assert (await client.count_workflows(completed)).count == 3
    await open_one.terminate()


async def test_history_comes_in_pages_which_together_are_the_whole(client, start):
    handle = await start("Chain", 10, 1)
    await handle.result()
    whole = list((await handle.fetch_history()).events)
    service, token, events, pages = client.workflow_service, b"", [], 0
    while True:
        page = await service.get_workflow_execution_history(
            GetWorkflowExecutionHistoryRequest(
                namespace="default",
                execution=WorkflowExecution(workflow_id=handle.id),
                maximum_page_size=7,
                next_page_token=token,
            )
        )
        events.extend(page.history.events)
        token, pages = page.next_page_token, pages + 1
        if not token:
            break
    # Temporal counts batches of events, so it is open how many pages there are.
    assert pages > 1
    assert events == whole
    assert [event.event_id for event in events] == list(range(1, len(events) + 1))
