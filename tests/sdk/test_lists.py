"""Lists and counts, as clients turn their pages while runs start, close and are deleted."""

import uuid

import pytest
from support.waiting import eventually
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.filter.v1 import StartTimeFilter, StatusFilter, WorkflowExecutionFilter, WorkflowTypeFilter
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DeleteWorkflowExecutionRequest,
    ListClosedWorkflowExecutionsRequest,
    ListOpenWorkflowExecutionsRequest,
    ListWorkflowExecutionsRequest,
    ScanWorkflowExecutionsRequest,
)
from temporalio.service import RPCError, RPCStatusCode

# Nobody polls these task queues: the runs stay open until somebody closes them.


@pytest.fixture
def prefix() -> str:
    return f"listed-{uuid.uuid4().hex[:8]}-"


@pytest.fixture
def start(client, queue, prefix):
    async def start(name, workflow: str = "Idle"):
        return await client.start_workflow(workflow, id=f"{prefix}{name}", task_queue=queue)

    return start


@pytest.fixture
def page(client):
    async def page(query: str, size: int, token: bytes = b""):
        request = ListWorkflowExecutionsRequest(
            namespace="default", query=query, page_size=size, next_page_token=token
        )
        answer = await client.workflow_service.list_workflow_executions(request)
        return [info.execution.workflow_id for info in answer.executions], answer.next_page_token

    return page


@pytest.fixture
def listed(client, queue):
    """Temporal's lists are up to date some time after the runs; this waits for so many."""

    async def listed(count: int, query: str = ""):
        query = f"TaskQueue = '{queue}'" + (f" AND {query}" if query else "")

        async def there():
            return (await client.count_workflows(query)).count == count

        await eventually(there, f"{count} runs fit {query}")

    return listed


async def every_page(page, query: str, size: int, between=None) -> list[str]:
    found, token = await page(query, size)
    while token:
        if between:
            await between()
        more, token = await page(query, size, token)
        found += more
    return found


async def test_pages_together_are_the_whole_list_in_its_order(page, queue, start, listed, prefix):
    handles = [await start(number) for number in range(7)]
    await handles[3].terminate()
    await handles[1].terminate()
    await listed(2, "CloseTime IS NOT NULL")
    expected = [f"{prefix}{number}" for number in (6, 5, 4, 2, 0, 1, 3)]
    for size in (1, 2, 3, 7, 100):
        assert await every_page(page, f"TaskQueue = '{queue}'", size) == expected


@pytest.mark.mainspring_only  # Temporal repeats a run that closes behind the page, and loses none.
async def test_what_happens_between_pages_repeats_no_run_and_hides_none(client, page, queue, start, prefix):
    handles = [await start(number) for number in range(20)]
    coming = iter(range(20))

    async def something_happens():
        number = next(coming, None)
        if number is not None:
            # One that was listed, and one that was not; and a new one.
            await handles[-1 - number // 2].terminate() if number % 2 else await handles[number // 2].terminate()
            await start(f"late-{number}")

    found = await every_page(page, f"TaskQueue = '{queue}'", 2, something_happens)
    assert sorted(found) == sorted(f"{prefix}{number}" for number in range(20))


@pytest.mark.mainspring_only  # There a list is up to date at some later time.
async def test_a_run_that_is_deleted_between_pages_takes_no_other_with_it(client, page, queue, start, prefix):
    for number in range(6):
        await start(number)
    first, token = await page(f"TaskQueue = '{queue}'", 2)
    # The very run that the page ended at.
    execution = WorkflowExecution(workflow_id=first[-1])
    request = DeleteWorkflowExecutionRequest(namespace="default", workflow_execution=execution)
    await client.workflow_service.delete_workflow_execution(request)
    rest, _ = await page(f"TaskQueue = '{queue}'", 10, token)
    assert rest == [f"{prefix}{number}" for number in (3, 2, 1, 0)]
    assert (await client.count_workflows(f"WorkflowId = '{first[-1]}'")).count == 0


async def test_runs_are_found_by_what_they_are(client, page, queue, start, listed, prefix):
    first, second = await start("one", "TypeOne"), await start("two", "TypeTwo")
    await second.terminate()
    await listed(1, "ExecutionStatus = 'Terminated'")
    one, two = f"{prefix}one", f"{prefix}two"
    started = [(await handle.describe()).start_time for handle in (first, second)]
    for query, expected in {
        f"WorkflowId = '{one}'": [one],
        f"WorkflowId STARTS_WITH '{prefix}'": [one, two],  # Open ones first.
        f"WorkflowId IN ('{one}', '{two}', 'nobody')": [one, two],
        f"RunId = '{first.result_run_id}'": [one],
        f"TaskQueue = '{queue}' AND WorkflowType = 'TypeTwo'": [two],
        f"TaskQueue = '{queue}' AND ExecutionStatus = 'Running'": [one],
        f"TaskQueue = '{queue}' AND NOT WorkflowType = 'TypeOne'": [two],
        f"TaskQueue = '{queue}' AND StartTime >= '{started[1].isoformat()}'": [two],
        f"TaskQueue = '{queue}' AND StartTime = '{started[0].isoformat()}'": [one],
        f"RootWorkflowId = '{one}'": [one],
    }.items():
        assert (await page(query, 10))[0] == expected, query


@pytest.mark.mainspring_only  # Temporal's dev server knows no ORDER BY.
async def test_the_order_can_be_asked_for(page, queue, start, prefix):
    for name in ("b", "c", "a"):
        await start(name)
    here = f"TaskQueue = '{queue}'"
    for order, expected in {
        "StartTime": "bca",
        "StartTime DESC": "acb",
        "WorkflowId": "abc",
        "WorkflowId DESC": "cba",
        "WorkflowType, WorkflowId": "abc",
        "CloseTime DESC": "acb",
    }.items():
        for size in (1, 2, 10):
            found = await every_page(page, f"{here} ORDER BY {order}", size)
            assert found == [prefix + name for name in expected], order


async def test_counts_by_status(client, queue, start, listed):
    handles = [await start(number) for number in range(5)]
    for handle in handles[:2]:
        await handle.terminate()
    await listed(2, "ExecutionStatus = 'Terminated'")
    counted = await client.count_workflows(f"TaskQueue = '{queue}' GROUP BY ExecutionStatus")
    assert counted.count == 5
    assert [(group.group_values, group.count) for group in counted.groups] == [(["Running"], 3), (["Terminated"], 2)]


@pytest.mark.mainspring_only  # Temporal takes the tokens of any list.
async def test_a_page_token_is_good_for_its_own_list_only(client, page, queue, start):
    for number in range(3):
        await start(number)
    _, token = await page(f"TaskQueue = '{queue}'", 1)
    assert token
    refused = {
        "another filter": ("", token),
        "cut": (f"TaskQueue = '{queue}'", token[:-1]),
        "changed": (f"TaskQueue = '{queue}'", bytes([token[0] ^ 1]) + token[1:]),
        "made up": (f"TaskQueue = '{queue}'", b"\0" * 40),
        "far too long": (f"TaskQueue = '{queue}'", token * 1000),
    }
    for what, (query, broken) in refused.items():
        with pytest.raises(RPCError) as error:
            await page(query, 1, broken)
        assert (error.value.status, error.value.message) == (
            RPCStatusCode.INVALID_ARGUMENT,
            "Invalid NextPageToken.",
        ), what


async def test_older_clients_list_open_and_closed_runs(client, queue, start, listed, prefix):
    handles = [await start(number, f"Type{prefix}{number}") for number in range(4)]
    await handles[0].terminate()
    await handles[1].terminate()
    await listed(2, "ExecutionStatus = 'Terminated'")
    service = client.workflow_service

    async def ids(call, request):
        answer = await call(request)
        return [info.execution.workflow_id for info in answer.executions]

    def id_filter(number):
        return WorkflowExecutionFilter(workflow_id=f"{prefix}{number}")

    def type_filter(number):
        return WorkflowTypeFilter(name=f"Type{prefix}{number}")

    Open, Closed = ListOpenWorkflowExecutionsRequest, ListClosedWorkflowExecutionsRequest
    opens, closes = service.list_open_workflow_executions, service.list_closed_workflow_executions
    assert await ids(opens, Open(namespace="default", execution_filter=id_filter(2))) == [f"{prefix}2"]
    assert await ids(opens, Open(namespace="default", execution_filter=id_filter(0))) == []
    assert await ids(opens, Open(namespace="default", type_filter=type_filter(3))) == [f"{prefix}3"]
    assert await ids(closes, Closed(namespace="default", execution_filter=id_filter(0))) == [f"{prefix}0"]
    assert await ids(closes, Closed(namespace="default", type_filter=type_filter(1))) == [f"{prefix}1"]
    terminated = StatusFilter(status="WORKFLOW_EXECUTION_STATUS_TERMINATED")
    latest = Closed(namespace="default", status_filter=terminated, maximum_page_size=2)
    assert await ids(closes, latest) == [f"{prefix}1", f"{prefix}0"]

    then = StartTimeFilter()
    then.earliest_time.FromDatetime((await handles[3].describe()).start_time)
    newest = await ids(opens, Open(namespace="default", start_time_filter=then))
    assert newest == [f"{prefix}3"]
    query = f"TaskQueue = '{queue}' AND CloseTime IS NULL"
    scanned = ScanWorkflowExecutionsRequest(namespace="default", query=query)
    assert await ids(service.scan_workflow_executions, scanned) == [f"{prefix}3", f"{prefix}2"]


async def test_older_clients_are_refused_in_temporals_words(client):
    service = client.workflow_service
    backwards = StartTimeFilter()
    backwards.earliest_time.seconds, backwards.latest_time.seconds = 10, 5
    running = StatusFilter(status="WORKFLOW_EXECUTION_STATUS_RUNNING")
    times = "EarliestTime in StartTimeFilter should not be larger than LatestTime."
    status = "StatusFilter must be specified and must be not Running."
    Open, Closed = ListOpenWorkflowExecutionsRequest, ListClosedWorkflowExecutionsRequest
    opens, closes = service.list_open_workflow_executions, service.list_closed_workflow_executions
    for call, request, message in [
        (opens, Open(namespace="default", start_time_filter=backwards), times),
        (closes, Closed(namespace="default", start_time_filter=backwards), times),
        (closes, Closed(namespace="default", status_filter=running), status),
        (closes, Closed(namespace="default", status_filter=StatusFilter()), status),
    ]:
        with pytest.raises(RPCError) as refused:
            await call(request)
        assert (refused.value.status, refused.value.message) == (RPCStatusCode.INVALID_ARGUMENT, message)
    for call, request in [
        (opens, Open(namespace="nowhere")),
        (closes, Closed(namespace="nowhere")),
        (service.count_workflow_executions, CountWorkflowExecutionsRequest(namespace="nowhere")),
    ]:
        with pytest.raises(RPCError) as refused:
            await call(request)
        assert refused.value.status == RPCStatusCode.NOT_FOUND


async def test_a_run_is_found_by_the_module_that_it_is_pinned_to(client, deploy, queue, page, new_id):
    await deploy()
    workflow_id = new_id()
    handle = await client.start_workflow("Sleep", 3_600_000, id=workflow_id, task_queue=queue)

    async def pinned():
        return (await page(f"WorkflowId = '{workflow_id}' AND BuildIds = 'unversioned'", 1))[0]

    await eventually(pinned, "its first workflow task has completed")
    found = [run async for run in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
    (_, build_id) = found[0].search_attributes["BuildIds"]
    assert (await page(f"BuildIds = '{build_id}' AND TaskQueue = '{queue}'", 1))[0] == [workflow_id]
    await handle.terminate()


async def test_the_cli_counts_by_status(server, queue, start, listed, in_thread):
    for number in range(2):
        await start(number)
    await listed(2)
    query = f"TaskQueue = '{queue}' GROUP BY ExecutionStatus"
    answer = await in_thread(server.temporal_json, "workflow", "count", "--query", query)
    assert int(answer["count"]) == 2
    assert [int(group["count"]) for group in answer["groups"]] == [2]
