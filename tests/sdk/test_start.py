"""Starting runs: ids, policies, dedupe, timeouts, delay, memo, header."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from support.waiting import eventually
from temporalio.api.common.v1 import Payload, WorkflowExecution, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, StartWorkflowExecutionRequest
from temporalio.client import Interceptor, OutboundInterceptor, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import RetryPolicy, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, TerminatedError, TimeoutError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
async def kitchen(deploy):
    await deploy()


@pytest.fixture
def start(client, queue):
    async def start(workflow: str, *args, **options):
        options.setdefault("task_queue", queue)
        return await client.start_workflow(workflow, args=args, **options)

    return start


async def test_a_running_id_is_refused_with_the_run_that_has_it(start, new_id):
    workflow_id = new_id()
    handle = await start("Sleep", HOUR_MS, id=workflow_id)
    with pytest.raises(WorkflowAlreadyStartedError) as refused:
        await start("Sleep", HOUR_MS, id=workflow_id)
    assert refused.value.run_id == handle.first_execution_run_id
    await handle.terminate()


async def test_conflict_policy_use_existing_gives_the_running_run(start, new_id):
    workflow_id = new_id()
    first = await start("Sleep", HOUR_MS, id=workflow_id)
    second = await start(
        "Sleep", HOUR_MS, id=workflow_id, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
    )
    assert second.first_execution_run_id == first.first_execution_run_id
    await first.terminate()


async def test_conflict_policy_terminate_existing_ends_the_running_run(client, start, new_id):
    workflow_id = new_id()
    first = await start("Sleep", HOUR_MS, id=workflow_id)
    second = await start(
        "Sleep", 1, id=workflow_id, id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING
    )
    await second.result()
    old = await client.get_workflow_handle(workflow_id, run_id=first.first_execution_run_id).describe()
    assert old.status == WorkflowExecutionStatus.TERMINATED


async def test_reuse_policy_reject_duplicate_refuses_a_closed_id(start, new_id):
    workflow_id = new_id()
    await (await start("Echo", 1, id=workflow_id)).result()
    with pytest.raises(WorkflowAlreadyStartedError):
        await start("Echo", 2, id=workflow_id, id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE)


async def test_reuse_policy_failed_only_allows_a_second_try_after_a_failure(start, new_id):
    policy = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    workflow_id = new_id()
    failed = await start("FailWith", "Oops", True, id=workflow_id)
    with pytest.raises(WorkflowFailureError):
        await failed.result()
    assert await (await start("Echo", 2, id=workflow_id, id_reuse_policy=policy)).result() == 2
    with pytest.raises(WorkflowAlreadyStartedError):
        await start("Echo", 3, id=workflow_id, id_reuse_policy=policy)


async def test_a_start_that_is_sent_again_with_its_request_id_starts_nothing(client, queue, new_id):
    def request(request_id: str) -> StartWorkflowExecutionRequest:
        return StartWorkflowExecutionRequest(
            namespace="default",
            workflow_id=workflow_id,
            workflow_type=WorkflowType(name="SignalCounter"),
            task_queue=TaskQueue(name=queue),
            input={"payloads": [Payload(metadata={"encoding": b"json/plain"}, data=b"1")]},
            request_id=request_id,
        )

    workflow_id = new_id()
    same = str(uuid.uuid4())
    first = await client.workflow_service.start_workflow_execution(request(same))
    again = await client.workflow_service.start_workflow_execution(request(same))
    assert (again.run_id, first.started, again.started) == (first.run_id, True, True)
    with pytest.raises(RPCError) as refused:
        await client.workflow_service.start_workflow_execution(request(str(uuid.uuid4())))
    assert refused.value.status == RPCStatusCode.ALREADY_EXISTS
    handle = client.get_workflow_handle(workflow_id)
    await handle.signal("tick", "x")
    assert await handle.result() == ["x"]


@pytest.mark.parametrize("which", ["execution_timeout", "run_timeout"])
async def test_a_run_that_takes_too_long_times_out(start, new_id, which):
    handle = await start("Sleep", HOUR_MS, id=new_id(), **{which: timedelta(seconds=1)})
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, TimeoutError)
    assert (await handle.describe()).status == WorkflowExecutionStatus.TIMED_OUT


async def test_a_start_delay_delays_the_first_workflow_task(start, new_id):
    handle = await start("Echo", "late", id=new_id(), start_delay=timedelta(milliseconds=1500))
    history = await handle.fetch_history()
    assert len(history.events) == 1
    assert await handle.result() == "late"
    events = (await handle.fetch_history()).events
    waited = events[1].event_time.ToDatetime() - events[0].event_time.ToDatetime()
    assert timedelta(milliseconds=1400) <= waited < timedelta(seconds=10)


async def test_a_memo_is_seen_by_the_workflow_by_describe_and_by_list(client, start, new_id):
    workflow_id = new_id()
    handle = await start("Info", id=workflow_id, memo={"note": "handle with care"})
    info = await handle.result()
    assert info["note"] == "handle with care"
    assert await (await handle.describe()).memo_value("note") == "handle with care"

    async def listed():
        found = [run async for run in client.list_workflows(f'WorkflowId = "{workflow_id}"')]
        return found

    [run] = await eventually(listed, "the run is listed")
    assert await run.memo_value("note") == "handle with care"


async def test_the_workflow_knows_what_it_was_started_with(start, queue, new_id):
    workflow_id = new_id()
    handle = await start(
        "Info",
        id=workflow_id,
        execution_timeout=timedelta(seconds=50),
        run_timeout=timedelta(seconds=40),
        task_timeout=timedelta(seconds=5),
    )
    info = await handle.result()
    assert {
        "namespace": "default",
        "workflow_id": workflow_id,
        "run_id": handle.result_run_id,
        "workflow_type": "Info",
        "task_queue": queue,
        "attempt": 1,
        "execution_timeout_ms": 50_000,
        "run_timeout_ms": 40_000,
        "task_timeout_ms": 5_000,
    }.items() <= info.items()


async def test_a_header_is_carried_to_the_workflow(server, queue, new_id):
    class Headers(Interceptor):
        def intercept_client(self, next):
            return Outbound(super().intercept_client(next))

    class Outbound(OutboundInterceptor):
        async def start_workflow(self, input):
            value = Payload(metadata={"encoding": b"json/plain"}, data=b'"abc"')
            input.headers = {**(input.headers or {}), "trace": value}
            return await super().start_workflow(input)

    client = await server.connect(interceptors=[Headers()])
    info = await client.execute_workflow("Info", id=new_id(), task_queue=queue)
    assert info["header"] == ["trace"]


async def test_a_workflow_with_a_retry_policy_says_so_in_its_start_event(start, new_id):
    policy = RetryPolicy(initial_interval=timedelta(seconds=3), maximum_attempts=1)
    handle = await start("Echo", 1, id=new_id(), retry_policy=policy)
    await handle.result()
    [first, *_] = (await handle.fetch_history()).events
    recorded = first.workflow_execution_started_event_attributes.retry_policy
    assert (recorded.initial_interval.ToTimedelta(), recorded.maximum_attempts) == (timedelta(seconds=3), 1)
    # Temporal's defaults, where nothing was said.
    assert (recorded.backoff_coefficient, recorded.maximum_interval.ToTimedelta()) == (2.0, timedelta(seconds=300))


async def test_a_failure_reaches_the_client_with_type_and_details(start, new_id):
    handle = await start("FailWith", "CardDeclined", True, {"code": 51}, id=new_id())
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.non_retryable, cause.message) == ("CardDeclined", True, "failed as asked")
    assert cause.details == ({"code": 51},)


async def test_terminate_ends_a_run_with_its_reason(start, new_id):
    handle = await start("Sleep", HOUR_MS, id=new_id())
    await handle.terminate("details", reason="no longer needed")
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, TerminatedError)
    last = (await handle.fetch_history()).events[-1].workflow_execution_terminated_event_attributes
    assert last.reason == "no longer needed"
    with pytest.raises(RPCError) as refused:
        await handle.terminate()
    assert refused.value.status == RPCStatusCode.NOT_FOUND


async def test_a_deleted_run_is_gone(client, start, new_id):
    handle = await start("Echo", 1, id=new_id())
    await handle.result()
    execution = WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id)
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace="default", workflow_execution=execution
        )
    )

    async def is_gone():
        try:
            await handle.describe()
        except RPCError as error:
            return error.status == RPCStatusCode.NOT_FOUND

    await eventually(is_gone, "the run is deleted", 100)


async def test_many_clients_waiting_for_one_result_all_get_it(start, new_id):
    handle = await start("SignalCounter", 1, id=new_id())
    waiting = [asyncio.create_task(handle.result()) for _ in range(20)]
    await handle.signal("tick", 7)
    assert await asyncio.gather(*waiting) == [[7]] * 20
