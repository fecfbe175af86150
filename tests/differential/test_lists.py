"""The same filters to both servers: the same runs in the same order, the same counts, the same errors."""

import contextlib
import re

import pytest
import pytest_asyncio
from support import histories
from support.server import Mainspring, TemporalDev
from support.waiting import eventually
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest, ListWorkflowExecutionsRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

pytestmark = [pytest.mark.mainspring_only, pytest.mark.asyncio(loop_scope="module")]
HOUR_MS = 3_600_000

ANSWERED = """

ExecutionStatus = 'Running'
ExecutionStatus = 'WORKFLOW_EXECUTION_STATUS_COMPLETED'
ExecutionStatus = 4
ExecutionStatus != 'Running'
ExecutionStatus > 'Failed'
ExecutionStatus IN ('Running', 'Terminated')
ExecutionStatus IN ('Running', 4)
ExecutionStatus NOT IN ('Running')
ExecutionStatus BETWEEN 1 AND 3
ExecutionStatus BETWEEN 'Failed' AND 'Running'
ExecutionStatus = 'Paused'
ExecutionStatus = 'Unspecified'
ExecutionStatus IS NULL
WorkflowId = 'order-1'
WorkflowId = "order-1"
`WorkflowId` = 'order-1'
WorkflowId <> 'order-1'
WorkflowId IN ('order-1', 'order-4', 'nobody')
WorkflowId NOT IN ('order-1') AND NOT WorkflowId IN ('order-4')
WorkflowId STARTS_WITH 'order-'
WorkflowId NOT STARTS_WITH 'order-'
WorkflowId STARTS_WITH '%'
WorkflowId STARTS_WITH ''
WorkflowId starts_with 'order-1'
WorkflowId >= 'order-1' AND WorkflowId < 'order-4'
WorkflowId BETWEEN 'order-1' AND 'order-3'
WorkflowId NOT BETWEEN 'order-1' AND 'order-3'
WorkflowId = ''
WorkflowId != ''
WorkflowId IS NULL
WorkflowId IS NOT NULL
WorkflowId = '주문'
WorkflowId in('order-1')
WorkflowId='order-1'AND WorkflowType='Sleep'
WorkflowType = 'Sleep'
WorkflowType = 'sleep'
WorkflowType = 'It''s'
WorkflowType = 'It\\'s'
WorkflowType = "It's"
WorkflowType > 'Echo'
WorkflowType STARTS_WITH 'S'
WorkflowType = 'Sleep' AND ExecutionStatus = 'Terminated'
WorkflowType = 'Sleep' && ExecutionStatus = 'Running'
WorkflowType = 'Echo' || WorkflowId = 'order-1'
WorkflowId = 'order-1' OR WorkflowId = 'order-2' AND WorkflowType = 'Echo'
(WorkflowId = 'order-1' OR WorkflowId = 'order-2') AND WorkflowType = 'Echo'
NOT (WorkflowId = 'order-1' OR WorkflowType = 'Echo')
NOT WorkflowId = 'order-1' AND WorkflowType = 'Sleep'
not not WorkflowId = 'order-1'
TaskQueue = 'lists-1'
TaskQueue IN ('lists-0', 'lists-1') AND CloseTime IS NULL
TaskQueue STARTS_WITH 'lists'
RunId = 'x'
RunId IS NOT NULL
StartTime > '2023-01-01T00:00:00Z'
StartTime > '2023-01-01T00:00:00+02:00'
StartTime > '2023-01-01T00:00:00.123456789Z'
StartTime < '2023-01-01T00:00:00Z'
StartTime < '9999-12-31T23:59:59Z'
StartTime > '1500-01-01T00:00:00Z'
StartTime > 1700000000000000000
StartTime > -5
StartTime BETWEEN '2023-01-01T00:00:00Z' AND '2223-01-01T00:00:00Z'
StartTime BETWEEN '2023-01-01T00:00:00Z' AND 5
StartTime IN ('2023-01-01T00:00:00Z', 5)
ExecutionTime > '2023-01-01T00:00:00Z'
CloseTime IS NULL
CloseTime IS NOT NULL
CloseTime = '2023-01-01T00:00:00Z'
CloseTime != '2023-01-01T00:00:00Z'
CloseTime > '2023-01-01T00:00:00Z'
NOT CloseTime > '2023-01-01T00:00:00Z'
CloseTime >= '9999-12-31T23:59:59Z'
CloseTime NOT IN ('2023-01-01T00:00:00Z')
CloseTime BETWEEN '2023-01-01T00:00:00Z' AND '2223-01-01T00:00:00Z'
CloseTime NOT BETWEEN '2023-01-01T00:00:00Z' AND '2223-01-01T00:00:00Z'
CloseTime > '2023-01-01T00:00:00Z' OR CloseTime IS NULL
HistoryLength = 5
HistoryLength != 5
HistoryLength < 6
HistoryLength = 5.0
HistoryLength > 5.5
HistoryLength > .5
HistoryLength = -1
HistoryLength = 99999999999999999999
HistoryLength = 1e3
HistoryLength IN (4, 6)
HistoryLength BETWEEN 1 AND 5
HistoryLength NOT BETWEEN 1 AND 5
HistoryLength IS NULL
HistorySizeBytes > 0
StateTransitionCount > 0
ExecutionDuration > 0
ExecutionDuration > '1h'
ExecutionDuration < '1d2h'
ExecutionDuration < '24:00:00'
ExecutionDuration < '1.5h'
ExecutionDuration < '-1h'
ExecutionDuration < '100'
ExecutionDuration IN ('1h', 5)
ExecutionDuration BETWEEN '0s' AND '1h'
ExecutionDuration IS NULL
ParentWorkflowId IS NULL
ParentWorkflowId = 'x'
ParentWorkflowId != 'x'
NOT ParentWorkflowId = 'x'
ParentWorkflowId NOT IN ('x')
ParentWorkflowId = 'x' OR NOT ParentWorkflowId = 'x'
NOT (ParentWorkflowId = 'x' AND WorkflowId = 'order-1')
ParentRunId IS NULL
RootWorkflowId = 'order-1'
RootWorkflowId STARTS_WITH 'order'
RootRunId IS NOT NULL
BuildIds = 'unversioned'
BuildIds = 'nothing'
BuildIds != 'nothing'
NOT BuildIds = 'nothing'
BuildIds IN ('unversioned', 'nothing')
BuildIds NOT IN ('unversioned', 'nothing')
BuildIds IS NULL
BuildIds IS NOT NULL
TemporalChangeVersion IS NULL
TemporalChangeVersion = 'x'
BinaryChecksums IS NULL
BatcherUser IS NULL
TemporalScheduledById IS NULL
TemporalScheduledStartTime > '2023-01-01T00:00:00Z'
TemporalSchedulePaused = true
TemporalSchedulePaused IS NULL
TemporalNamespaceDivision IS NULL
TemporalReportedProblems IS NULL
TemporalWorkerDeployment IS NULL
TemporalWorkflowVersioningBehavior = 'Pinned'
TemporalExternalPayloadCount > 0
GROUP BY ExecutionStatus
group by `ExecutionStatus`
WorkflowType = 'Sleep' GROUP BY ExecutionStatus
WorkflowType = 'nobody' GROUP BY ExecutionStatus
GROUP BY TemporalNamespaceDivision
""".splitlines()[1:]

REFUSED = """
Colour = 'red'
workflowid = 'order-1'
NamespaceId = 'x'
GROUP BY Colour
GROUP BY WorkflowType
GROUP BY ExecutionStatus, WorkflowType
WorkflowId = 'order-1' LIMIT 3
WorkflowId = 1
WorkflowId = 1.5
WorkflowId = true
WorkflowId = WorkflowType
WorkflowId STARTS_WITH 1
WorkflowType LIKE 'S%'
WorkflowType NOT LIKE 'S%'
ExecutionStatus = 'running'
ExecutionStatus = '1'
ExecutionStatus = 99
ExecutionStatus = 1.5
ExecutionStatus = true
ExecutionStatus IN (1, 'Foo')
ExecutionStatus BETWEEN 'A' AND 'Z'
ExecutionStatus STARTS_WITH 'Run'
ExecutionStatus STARTS_WITH 'Running'
StartTime > 'yesterday'
StartTime > '2023-01-01'
StartTime > '2023-01-01 00:00:00'
StartTime > '2023-01-01T00:00:00'
StartTime > '2023-13-01T00:00:00Z'
StartTime > ''
StartTime > 1.5
StartTime > true
StartTime STARTS_WITH '2023'
StartTime BETWEEN 'x' AND 5
HistoryLength = '3'
HistoryLength = true
HistoryLength IN (3, 'x')
HistoryLength STARTS_WITH 3
HistoryLength STARTS_WITH '3'
ExecutionDuration < 'x'
ExecutionDuration < '01:00'
ExecutionDuration < '00:90:00'
ExecutionDuration < '1w'
ExecutionDuration < 1.5
ExecutionDuration = true
ExecutionDuration = ''
BuildIds STARTS_WITH 'x'
BuildIds > 'x'
BuildIds = 1
BuildIds BETWEEN 'x' AND 'y'
TemporalSchedulePaused = 'true'
TemporalSchedulePaused = 1
TemporalSchedulePaused BETWEEN true AND false
""".split("\n")[1:-1]

# Here the position is one in the filter, and what was expected is said; there it counts what the server puts before it.
NOT_READABLE = """
WorkflowId
WorkflowId =
WorkflowId = order
WorkflowId = null
WorkflowId = 'a
WorkflowId ; 'a'
WorkflowId = 'a')
(WorkflowId = 'a'
()
(
and
1 = 1
'x' = WorkflowId
where WorkflowId = 'order-1'
ExecutionStatus = 1 and
ExecutionStatus = 1 or or
WorkflowId = 'a' WorkflowId = 'b'
WorkflowId NOT 'a'
WorkflowId NOT = 'a'
WorkflowId == 'a'
WorkflowId IN
WorkflowId IN ()
WorkflowId IN ('a',)
WorkflowId IN ('a' 'b')
WorkflowId IN 'a'
WorkflowId BETWEEN 'a'
WorkflowId BETWEEN 'a' OR 'b'
WorkflowId STARTS_WITH
WorkflowId IS
WorkflowId IS TRUE
HistoryLength > 5x
HistoryLength > 1.5.5
HistoryLength > --5
StartTime > now()
WorkflowId = 'order-1' GROUP BY
LIMIT 3
""".split("\n")[1:-1]


class Patient(TemporalDev):
    """Answers as many lists as are asked for: by default it takes ten in a second."""

    def command(self) -> list:
        limits = ["frontend.namespaceRPS.visibility=10000", "system.visibilityPersistenceMaxReadQPS=10000"]
        flags = [word for limit in limits for word in ("--dynamic-config-value", limit)]
        return [*super().command(), *flags, "--dynamic-config-value", "frontend.namespaceBurstRatio.visibility=10"]


async def is_asleep(handle) -> bool:
    return (await handle.describe()).history_length == 5


async def seed(client: Client) -> None:
    """The same runs in the same order, one after another, so that both servers list them alike."""
    for number in range(6):
        handle = await client.start_workflow(
            "Sleep", HOUR_MS, id=f"order-{number}", task_queue=f"lists-{number % 2}", memo={"number": number}
        )
        if number in (2, 3):
            await eventually(lambda handle=handle: is_asleep(handle), "it sleeps")
            await handle.terminate()
    await client.execute_workflow("Echo", "a", id="echo", task_queue="lists-0")
    with pytest.raises(Exception, match="failed"):
        words = ["CardDeclined", True, None, None]
        await client.execute_workflow("FailWith", args=words, id="fails", task_queue="lists-1")
    await client.start_workflow("It's", id="주문", task_queue="nobody-polls")

    async def all_listed():
        asleep = "WorkflowType = 'Sleep' AND ExecutionStatus = 'Running' AND BuildIds = 'unversioned'"
        counts = [(await client.count_workflows(query)).count for query in ("", asleep)]
        return counts == [9, 4]

    await eventually(all_listed, "all runs are listed", 30)


@pytest.fixture(scope="module")
def servers():
    mainspring, temporal = Mainspring(), Patient()
    try:
        yield mainspring.start(), temporal.start()
        histories.finish(mainspring)
    finally:
        temporal.remove()
        mainspring.remove()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(servers):
    async with contextlib.AsyncExitStack() as stack:
        connected = []
        for server in servers:
            for queue in ("lists-0", "lists-1"):
                await stack.enter_async_context(server.deployed("guest-kitchen", queue))
            connected.append(await server.connect())
            await seed(connected[-1])
        yield connected


async def listed(client: Client, query: str):
    request = ListWorkflowExecutionsRequest(namespace="default", query=query)
    try:
        answer = await client.workflow_service.list_workflow_executions(request)
        return [info.execution.workflow_id for info in answer.executions]
    except RPCError as error:
        return error.status, error.message


async def counted(client: Client, query: str):
    request = CountWorkflowExecutionsRequest(namespace="default", query=query)
    try:
        answer = await client.workflow_service.count_workflow_executions(request)
        groups = [(group.group_values[0].data, group.count) for group in answer.groups]
        types = [dict(value.metadata) for group in answer.groups for value in group.group_values]
        return answer.count, groups, types
    except RPCError as error:
        return error.status, error.message


async def test_both_servers_find_the_same_runs_in_the_same_order(clients):
    for query in ANSWERED:
        ours, theirs = [await listed(client, query) for client in clients]
        assert isinstance(theirs, list), f"{query!r}: {theirs}"
        assert ours == theirs, query


async def test_both_servers_count_the_same(clients):
    for query in ANSWERED:
        ours, theirs = [await counted(client, query) for client in clients]
        assert ours == theirs, query


async def test_both_servers_refuse_in_the_same_words(clients):
    for query in REFUSED:
        for ask in (listed, counted):
            ours, theirs = [await ask(client, query) for client in clients]
            assert theirs[0] == RPCStatusCode.INVALID_ARGUMENT, f"{query!r}: {theirs}"
            assert ours == theirs, query


async def test_what_cannot_be_read_is_refused_by_both_and_here_with_its_position(clients):
    for query in NOT_READABLE:
        ours, theirs = [await listed(client, query) for client in clients]
        assert ours[0] == theirs[0] == RPCStatusCode.INVALID_ARGUMENT, f"{query!r}: {ours} {theirs}"
        position = re.match(r"invalid query: malformed SQL query: syntax error at position (\d+): ", ours[1])
        assert position and 1 <= int(position[1]) <= len(query) + 1, f"{query!r}: {ours}"


async def test_what_lists_show_of_a_run_is_the_same(clients):
    shown = []
    for client in clients:
        request = ListWorkflowExecutionsRequest(namespace="default", query="WorkflowId IN ('order-1', 'echo', 'order-2')")
        answer = await client.workflow_service.list_workflow_executions(request)
        infos = []
        for info in answer.executions:
            for time in (info.start_time, info.close_time, info.execution_time):
                assert time.nanos % 1000 == 0, "times are cut to microseconds"
            assert info.root_execution == info.execution
            for varying in ("execution", "root_execution", "start_time", "close_time", "execution_time"):
                info.ClearField(varying)
            assert info.HasField("execution_duration") == (info.status != 1)
            info.ClearField("execution_duration")
            # Steps are other ones here, and a run's first events are of another size.
            assert (info.state_transition_count > 0, info.history_size_bytes > 0) == (info.status != 1,) * 2
            info.ClearField("state_transition_count")
            info.ClearField("history_size_bytes")
            assert set(info.search_attributes.indexed_fields) <= {"BuildIds"}
            for payload in info.search_attributes.indexed_fields.values():
                assert payload.data.startswith(b'["unversioned","unversioned:')
                payload.data = b""
            infos.append(info)
        shown.append(infos)
    assert shown[0] == shown[1]


# What differs on purpose.


async def test_a_start_is_matched_with_its_case(clients):
    ours, theirs = [await listed(client, "WorkflowId STARTS_WITH 'ORDER-'") for client in clients]
    assert (len(ours), len(theirs)) == (0, 6)


async def test_an_order_can_be_asked_for(clients):
    ours, theirs = [await listed(client, "WorkflowId STARTS_WITH 'order-' ORDER BY StartTime") for client in clients]
    assert ours == [f"order-{number}" for number in range(6)]
    message = "invalid query: operation is not supported: 'ORDER BY' clause"
    assert theirs == (RPCStatusCode.INVALID_ARGUMENT, message)


async def test_a_broken_page_token_is_the_clients_fault(clients):
    for client, status in zip(clients, (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.UNKNOWN)):
        request = ListWorkflowExecutionsRequest(namespace="default", next_page_token=b"broken")
        with pytest.raises(RPCError) as refused:
            await client.workflow_service.list_workflow_executions(request)
        assert refused.value.status == status
