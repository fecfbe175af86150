"""Two tenants on one server: what belongs to one, the other can neither see nor touch, whatever ids it has got hold of."""

import asyncio
import hashlib

import pytest
from support import paths
from support.histories import event_types, finish
from support.server import Mainspring
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
    ListWorkflowExecutionsRequest,
    RecordActivityTaskHeartbeatByIdRequest,
    RecordActivityTaskHeartbeatRequest,
    RequestCancelWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest,
    RespondActivityTaskCanceledRequest,
    RespondActivityTaskCompletedByIdRequest,
    RespondActivityTaskCompletedRequest,
    RespondActivityTaskFailedRequest,
    SignalWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
)
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

pytestmark = pytest.mark.mainspring_only
INVALID, NOT_FOUND = RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.NOT_FOUND


@pytest.fixture(scope="module")
def server():
    """With a second tenant, "eve"."""
    server = Mainspring(flags=("--namespace", "eve")).start()
    yield server
    finish(server)


@pytest.fixture
async def eve(server):
    return await server.connect(namespace="eve")


async def refusal(call) -> RPCError:
    with pytest.raises(RPCError) as error:
        await call
    return error.value


@pytest.fixture
async def parked(client, queue, deploy, new_id):
    """A run of the first tenant whose activity runs, with its task token."""
    tokens = asyncio.Queue()

    @activity.defn
    async def park(_) -> None:
        tokens.put_nowait(activity.info())
        activity.raise_complete_async()

    await deploy()
    async with Worker(client, task_queue=queue, activities=[park]):
        options = {"start_to_close_ms": 60_000, "initial_interval_ms": 10, "maximum_attempts": 1}
        handle = await client.start_workflow("ActivityWithOptions", args=["park", options], id=new_id(), task_queue=queue)
        info = await tokens.get()
        yield handle, info
        # Nothing that was tried on it has changed it.
        await client.get_async_activity_handle(task_token=info.task_token).complete("untouched")
        assert await handle.result() == {"result": "untouched"}


async def test_a_task_token_is_good_for_its_own_tenant_only(parked, eve):
    _, info = parked
    service = eve.workflow_service
    for call, request in [
        (service.respond_activity_task_completed, RespondActivityTaskCompletedRequest),
        (service.respond_activity_task_failed, RespondActivityTaskFailedRequest),
        (service.respond_activity_task_canceled, RespondActivityTaskCanceledRequest),
        (service.record_activity_task_heartbeat, RecordActivityTaskHeartbeatRequest),
    ]:
        error = await refusal(call(request(namespace="eve", task_token=info.task_token)))
        assert error.status == INVALID and "different namespace" in error.message


async def test_the_ids_of_a_run_are_nothing_in_another_tenant(parked, eve):
    handle, info = parked
    service, run = eve.workflow_service, WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id)
    named = dict(namespace="eve", workflow_execution=run)
    by_id = dict(namespace="eve", workflow_id=handle.id, run_id=run.run_id, activity_id=info.activity_id)
    for call, request in [
        (service.describe_workflow_execution, DescribeWorkflowExecutionRequest(namespace="eve", execution=run)),
        (service.get_workflow_execution_history, GetWorkflowExecutionHistoryRequest(namespace="eve", execution=run)),
        (service.signal_workflow_execution, SignalWorkflowExecutionRequest(signal_name="s", **named)),
        (service.request_cancel_workflow_execution, RequestCancelWorkflowExecutionRequest(**named)),
        (service.terminate_workflow_execution, TerminateWorkflowExecutionRequest(**named)),
        (service.delete_workflow_execution, DeleteWorkflowExecutionRequest(**named)),
        (
            service.reset_workflow_execution,
            ResetWorkflowExecutionRequest(workflow_task_finish_event_id=4, request_id="r", reason="r", **named),
        ),
        (service.respond_activity_task_completed_by_id, RespondActivityTaskCompletedByIdRequest(**by_id)),
        (service.record_activity_task_heartbeat_by_id, RecordActivityTaskHeartbeatByIdRequest(**by_id)),
    ]:
        error = await refusal(call(request))
        assert error.status == NOT_FOUND, (type(request).__name__, error.message)


async def test_a_list_and_its_page_tokens_are_one_tenant_s(client, eve, queue, deploy, new_id):
    await deploy()
    handles = [await client.start_workflow("SignalCounter", 1, id=new_id(), task_queue=queue) for _ in range(3)]
    ours = ListWorkflowExecutionsRequest(namespace="default", query=f"TaskQueue = '{queue}'", page_size=1)
    page = await client.workflow_service.list_workflow_executions(ours)
    assert len(page.executions) == 1 and page.next_page_token
    theirs = ListWorkflowExecutionsRequest(namespace="eve", query=ours.query, page_size=1)
    assert not (await eve.workflow_service.list_workflow_executions(theirs)).executions
    theirs.next_page_token = page.next_page_token
    assert (await refusal(eve.workflow_service.list_workflow_executions(theirs))).status == INVALID
    for handle in handles:
        await handle.terminate()


async def test_a_page_token_of_a_history_is_nothing_in_another_tenant(client, eve, queue, deploy, new_id):
    await deploy()
    handle = await client.start_workflow("SignalCounter", 1, id=new_id(), task_queue=queue)
    run = WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id)
    ours = GetWorkflowExecutionHistoryRequest(namespace="default", execution=run, maximum_page_size=1)
    token = (await client.workflow_service.get_workflow_execution_history(ours)).next_page_token
    assert token
    theirs = GetWorkflowExecutionHistoryRequest(namespace="eve", execution=run, next_page_token=token)
    assert (await refusal(eve.workflow_service.get_workflow_execution_history(theirs))).status == NOT_FOUND
    await handle.terminate()


def test_a_module_is_known_to_those_who_uploaded_it(server, queue, tmp_path):
    """By its digest and by any beginning of it; also where another tenant has the same bytes."""
    order, kitchen = paths.guest("order-workflow"), paths.guest("guest-kitchen")
    digest = hashlib.sha256(order.read_bytes()).hexdigest()
    server.deploy_file(order, queue)
    stolen = tmp_path / "stolen.wasm"
    for known in (digest, digest[:8], digest[:9]):
        for verb in (["describe", known], ["download", known, "--output-file", stolen]):
            done = server.mainspring("module", *verb, "--namespace", "eve", check=False)
            assert done.returncode == 1 and "NOT_FOUND" in done.stderr, done.stderr
            assert not stolen.exists()
            assert "OrderWorkflow" not in done.stdout + done.stderr
    assert digest not in server.mainspring("module", "list", "--namespace", "eve").stdout
    # Another module of hers tells her nothing of it, and the same one is hers by her own upload alone.
    server.mainspring("module", "deploy", kitchen, "--task-queue", "q", "--namespace", "eve")
    assert digest not in server.mainspring("module", "list", "--namespace", "eve").stdout
    assert server.mainspring("module", "describe", digest, "--namespace", "eve", check=False).returncode == 1
    server.mainspring("module", "deploy", order, "--task-queue", "q", "--namespace", "eve")
    assert server.mainspring("module", "describe", digest, "--namespace", "eve").returncode == 0
    # Whose queues it is deployed on elsewhere is not hers to know.
    assert queue not in server.mainspring("module", "describe", digest, "--namespace", "eve").stdout


async def test_a_deployment_answers_for_its_own_tenant_only(client, eve, queue, deploy, new_id):
    await deploy()
    handle = await eve.start_workflow("SignalCounter", 1, id=new_id(), task_queue=queue)
    ours = await client.start_workflow("SignalCounter", 1, id=new_id(), task_queue=queue)
    await ours.signal("tick", "x")
    assert await ours.result() == ["x"]
    # Its first workflow task waits for somebody of its own tenant.
    history = await handle.fetch_history()
    assert event_types(history) == ["WorkflowExecutionStarted", "WorkflowTaskScheduled"]
    await handle.terminate()


async def test_a_workflow_reaches_no_run_of_another_tenant(client, eve, queue, deploy, server, in_thread, new_id):
    """Signals and cancellations of a workflow name no namespace: they go to its own."""
    await deploy()
    target = await client.start_workflow("SignalCounter", 1, id=new_id(), task_queue=queue)
    kitchen = paths.guest("guest-kitchen")
    await in_thread(server.mainspring, "module", "deploy", kitchen, "--task-queue", queue, "--namespace", "eve")
    for what in ("approve", "cancel"):
        args = [target.id, target.result_run_id, what]
        told = await eve.execute_workflow("Tells", args=args, id=new_id(), task_queue=queue)
        assert told != "sent" and "not found" in str(told).lower(), told
    found = event_types(await target.fetch_history())
    assert not {"WorkflowExecutionSignaled", "WorkflowExecutionCancelRequested"} & set(found), found
    await target.terminate()
