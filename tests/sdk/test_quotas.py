"""Quotas: each is refused with the code, cause and scope that Temporal has, works once it is lifted, and is nobody else's."""

import asyncio
import itertools
import uuid

import pytest
from support import paths
from support.server import Mainspring
from support.waiting import eventually
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import ResourceExhaustedCause, ResourceExhaustedScope
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeNamespaceRequest,
    DescribeWorkflowExecutionRequest,
    PollActivityTaskQueueRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

pytestmark = pytest.mark.mainspring_only

ORDER = {"amount": 1.0, "user_id": "neighbour", "email": "neighbour@example.com"}
# Little enough that a loop without end is over soon, and another begins.
FUEL = "200000000"


@pytest.fixture(scope="module")
def server():
    from support import histories

    server = Mainspring(flags=("--namespace", "hostile", "--namespace", "small")).start()
    yield server
    histories.finish(server)


@pytest.fixture
def quota(server):
    """Sets quotas of the namespace "small" until the test ends."""

    def run(verb: str, *arguments):
        return server.mainspring_json("quota", verb, *arguments, "--namespace", "small")

    yield run
    run("reset", "--all")


@pytest.fixture
async def small(server):
    return await server.connect(namespace="small")


@pytest.fixture
async def kitchen(server, queue):
    """The kitchen answers for the test's task queue in "small"."""
    deploy = ("module", "deploy", paths.guest("guest-kitchen"), "--task-queue", queue, "--namespace", "small")
    await asyncio.to_thread(server.mainspring, *deploy)


def usage(server, namespace="small") -> dict:
    return server.mainspring_json("usage", "--namespace", namespace)


def start_request(queue: str, kind: str = "SignalCounter") -> StartWorkflowExecutionRequest:
    return StartWorkflowExecutionRequest(
        namespace="small",
        workflow_id=f"quota-{uuid.uuid4().hex}",
        workflow_type=WorkflowType(name=kind),
        task_queue=TaskQueue(name=queue),
        request_id=uuid.uuid4().hex,
    )


async def exhausted(call, cause: str, name: str) -> None:
    """A single call, as the raw service makes them, is refused."""
    with pytest.raises(RPCError) as error:
        await call
    assert error.value.status == RPCStatusCode.RESOURCE_EXHAUSTED
    assert name in error.value.message and '"small"' in error.value.message
    [detail] = error.value.grpc_status.details
    failure = ResourceExhaustedFailure()
    assert detail.Unpack(failure)
    assert ResourceExhaustedCause.Name(failure.cause) == f"RESOURCE_EXHAUSTED_CAUSE_{cause}"
    assert failure.scope == ResourceExhaustedScope.RESOURCE_EXHAUSTED_SCOPE_NAMESPACE


def calls(small, queue):
    service = small.workflow_service
    execution = WorkflowExecution(workflow_id="there-is-none")
    return {
        "start": lambda: service.start_workflow_execution(start_request(queue)),
        "describe": lambda: service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(namespace="small", execution=execution)
        ),
        "count": lambda: service.count_workflow_executions(CountWorkflowExecutionsRequest(namespace="small")),
        "poll": lambda: service.poll_activity_task_queue(
            PollActivityTaskQueueRequest(namespace="small", task_queue=TaskQueue(name=queue))
        ),
        "namespace": lambda: service.describe_namespace(DescribeNamespaceRequest(namespace="small")),
    }


@pytest.mark.parametrize(
    ("name", "value", "cause", "call"),
    [
        ("execution_requests_per_second", 0, "RPS_LIMIT", "describe"),
        ("visibility_requests_per_second", 0, "RPS_LIMIT", "count"),
        ("poll_requests_per_second", 0, "RPS_LIMIT", "poll"),
        ("starts_per_second", 0, "RPS_LIMIT", "start"),
        ("open_runs", 0, "CONCURRENT_LIMIT", "start"),
        ("history_bytes", 0, "PERSISTENCE_STORAGE_LIMIT", "start"),
        ("store_bytes", 0, "PERSISTENCE_STORAGE_LIMIT", "start"),
    ],
)
async def test_a_quota_is_refused_with_cause_and_scope_and_only_it(small, server, quota, queue, name, value, cause, call):
    called = calls(small, queue)
    await asyncio.to_thread(quota, "set", f"{name}={value}")
    await exhausted(called[call](), cause, name)
    # The namespace may do everything else, and the neighbour this very thing.
    await called["namespace"]()
    await (await server.connect(namespace="hostile")).count_workflows()
    assert int((await asyncio.to_thread(usage, server))["refused"][name]) >= 1
    await asyncio.to_thread(quota, "reset", name)
    if call == "start":
        await called[call]()
    elif call == "count":
        assert (await called[call]()).count >= 0
    elif call == "describe":
        with pytest.raises(RPCError) as error:
            await called[call]()
        assert error.value.status == RPCStatusCode.NOT_FOUND


async def test_requests_of_an_administrator_have_a_rate_that_leaves_a_way_back(small, quota, queue):
    await asyncio.to_thread(quota, "set", "admin_requests_per_second=1", "burst_seconds=1")
    refused = 0
    for _ in range(20):
        try:
            await calls(small, queue)["namespace"]()
        except RPCError as error:
            assert error.status == RPCStatusCode.RESOURCE_EXHAUSTED
            refused += 1
    assert refused > 0

    async def lifted() -> bool:
        try:
            await asyncio.to_thread(quota, "reset", "--all")
        except AssertionError:
            return False
        return True

    await eventually(lifted, "the quota is taken back, as soon as one request gets through")


async def test_the_sdk_tries_again_and_gets_through_once_there_is_room(small, server, quota, queue, kitchen, in_thread):
    # Other tests may have left some open.
    open_runs = int((await in_thread(usage, server))["openRuns"])
    await in_thread(quota, "set", f"open_runs={open_runs + 1}")
    first = await small.start_workflow("SignalCounter", 1, id=f"first-{uuid.uuid4()}", task_queue=queue)
    second = asyncio.create_task(small.start_workflow("Echo", 5, id=f"second-{uuid.uuid4()}", task_queue=queue))
    await first.signal("tick", 1)
    assert await first.result() == [1]
    assert await (await second).result() == 5


async def test_modules_have_a_number(server, quota, queue, kitchen, in_thread):
    await in_thread(quota, "set", "modules=0")
    deploy = ("module", "deploy", paths.guest("guest-hostile"), "-t", queue, "--namespace", "small")
    done = await in_thread(lambda: server.mainspring(*deploy, check=False))
    assert done.returncode == 1 and "quota modules: 0" in done.stderr and "RESOURCE_EXHAUSTED" in done.stderr
    await in_thread(quota, "reset", "modules")
    await in_thread(server.mainspring, *deploy)


async def test_a_payload_that_is_too_large_is_refused_for_good(small, quota, queue, kitchen, in_thread):
    await in_thread(quota, "set", "payload_bytes=1000")
    with pytest.raises(RPCError) as error:
        await small.start_workflow("Echo", "x" * 2000, id=f"large-{uuid.uuid4()}", task_queue=queue)
    # No code that SDKs try again.
    assert error.value.status == RPCStatusCode.INVALID_ARGUMENT and "payload_bytes" in error.value.message
    await in_thread(quota, "reset", "payload_bytes")
    assert await small.execute_workflow("Echo", "x" * 2000, id=f"large-{uuid.uuid4()}", task_queue=queue) == "x" * 2000


async def test_activities_beyond_the_quota_wait_in_their_queue(small, quota, queue, kitchen, in_thread):
    running, most = 0, 0

    @activity.defn
    async def work(_: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return 1

    await in_thread(quota, "set", "concurrent_activities=2")
    async with Worker(small, task_queue=queue, activities=[work]):
        args = ["work", 8]
        result = await small.execute_workflow("FanOut", args=args, id=f"fan-{uuid.uuid4()}", task_queue=queue)
    assert result == [1] * 8
    assert most <= 2


async def test_quotas_and_usage_outlive_a_restart(servers, in_thread):
    server = servers(flags=("--namespace", "small")).start()
    server.mainspring("module", "deploy", paths.guest("guest-kitchen"), "-t", "q", "--namespace", "small")
    small = await server.connect(namespace="small")
    await in_thread(server.mainspring, "quota", "set", "open_runs=2", "weight=50", "--namespace", "small")
    for number in range(2):
        await small.start_workflow("SignalCounter", 1, id=f"run-{number}", task_queue="q")
    facts = ("openRuns", "modules", "moduleBytes", "startedActivities", "historyBytes", "storeBytes")

    async def settled():
        now = await in_thread(usage, server)
        return now if now["activations"] == "2" and now["runningActivations"] == "0" else None

    before = await eventually(settled, "both workflows have had their turn")
    assert (before["openRuns"], before["modules"]) == ("2", "1")
    server.kill()
    server.start()
    after = await in_thread(usage, server)
    assert {name: after[name] for name in facts} == {name: before[name] for name in facts}
    shown = await in_thread(server.mainspring_json, "quota", "show", "--namespace", "small")
    assert shown["open_runs"] == {"value": "2", "default": "5000000", "isSet": True}
    assert shown["weight"]["value"] == "50" and not shown["modules"]["isSet"]
    small = await server.connect(namespace="small")
    request = start_request("q")
    await exhausted(small.workflow_service.start_workflow_execution(request), "CONCURRENT_LIMIT", "open_runs")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "no_such=1"), 'there is no quota "no_such"; there are admin_requests_per_second'),
        (("set", "weight=0"), "weight must be at least 1"),
        (("reset", "no_such"), 'there is no quota "no_such"'),
        (("show", "--namespace", "nowhere"), "nowhere"),
    ],
)
async def test_what_makes_no_sense_is_refused(server, in_thread, arguments, said):
    done = await in_thread(lambda: server.mainspring("quota", *arguments, check=False))
    assert done.returncode == 1 and said in done.stderr, done.stderr


async def test_a_hostile_namespace_slows_only_itself(server, client, queue, in_thread):
    """A hundred loops without end wait in one namespace; the orders of another are through before they are."""
    loops, orders = f"{queue}-loops", f"{queue}-orders"
    hostile = await server.connect(namespace="hostile")
    await in_thread(
        server.mainspring, "quota", "set", f"fuel_per_activation={FUEL}", "--namespace", "hostile"
    )
    await in_thread(
        server.mainspring, "module", "deploy", paths.guest("guest-hostile"), "-t", loops, "--namespace", "hostile"
    )
    await in_thread(server.deploy_file, paths.guest("order-workflow"), orders)

    @activity.defn
    async def charge_payment(amount: float, user_id: str) -> str:
        return f"tx-{user_id}"

    @activity.defn
    async def send_email(to: str, subject: str) -> None:
        pass

    numbers = itertools.count()
    handles = await asyncio.gather(
        *(
            hostile.start_workflow("LoopForever", id=f"{queue}-{next(numbers)}", task_queue=loops)
            for _ in range(100)
        )
    )
    async with Worker(client, task_queue=orders, activities=[charge_payment, send_email]):
        for number in range(5):
            result = await client.execute_workflow(
                "OrderWorkflow", ORDER, id=f"{orders}-{number}", task_queue=orders
            )
            assert result == "tx-neighbour"
    usage_then = await in_thread(usage, server, "hostile")
    # As long as the orders took, the queue of the other namespace was long.
    assert int(usage_then["waitingActivations"]) > 20, usage_then
    assert int(usage_then["openRuns"]) == 100
    await asyncio.gather(*(handle.terminate() for handle in handles))
