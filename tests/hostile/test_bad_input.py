"""Bad input gets a clear error with the right gRPC code; nothing is lost, nothing hangs, nothing is INTERNAL."""

import asyncio

import pytest
from google.protobuf.duration_pb2 import Duration
from support import paths
from support.histories import event_types
from support.server import Mainspring
from support.waiting import eventually
from temporalio import activity
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    PollActivityTaskQueueRequest,
    RecordActivityTaskHeartbeatRequest,
    RespondActivityTaskCompletedRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

INVALID, NOT_FOUND = RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.NOT_FOUND
MIB = 1024 * 1024


def request(queue: str, new_workflow_id: str, **changes) -> StartWorkflowExecutionRequest:
    values = dict(
        namespace="default",
        workflow_id=new_workflow_id,
        workflow_type=WorkflowType(name="SignalCounter"),
        task_queue=TaskQueue(name=queue),
        request_id="r",
    )
    return StartWorkflowExecutionRequest(**(values | changes))


async def refused(call) -> RPCError:
    with pytest.raises(RPCError) as error:
        await call
    assert error.value.status != RPCStatusCode.INTERNAL
    assert error.value.message
    return error.value


BAD_STARTS = {
    "no workflow id": dict(workflow_id=""),
    "a workflow id of 1001 bytes": dict(workflow_id="x" * 1001),
    "no workflow type": dict(workflow_type=WorkflowType()),
    "a workflow type of 1001 bytes": dict(workflow_type=WorkflowType(name="x" * 1001)),
    "no task queue": dict(task_queue=TaskQueue()),
    "a task queue of 1001 bytes": dict(task_queue=TaskQueue(name="x" * 1001)),
    "a request id of 1001 bytes": dict(request_id="x" * 1001),
    "a payload over 2 MiB": dict(input=Payloads(payloads=[Payload(data=b"x" * (2 * MIB + 1))])),
    "a negative execution timeout": dict(workflow_execution_timeout=Duration(seconds=-1)),
    "a negative run timeout": dict(workflow_run_timeout=Duration(seconds=-1)),
    "a negative task timeout": dict(workflow_task_timeout=Duration(seconds=-1)),
    "a negative start delay": dict(workflow_start_delay=Duration(seconds=-1)),
}


@pytest.mark.parametrize("what", BAD_STARTS)
async def test_a_bad_start_is_refused(client, queue, new_id, what):
    workflow_id = new_id()
    bad = request(queue, workflow_id, **BAD_STARTS[what])
    error = await refused(client.workflow_service.start_workflow_execution(bad))
    assert error.status == INVALID
    # Nothing was started.
    assert (await refused(client.get_workflow_handle(workflow_id).describe())).status == NOT_FOUND


async def test_an_unknown_namespace_is_not_found(client, queue, new_id):
    service = client.workflow_service
    bad = request(queue, new_id(), namespace="nowhere")
    assert (await refused(service.start_workflow_execution(bad))).status == NOT_FOUND
    execution = WorkflowExecution(workflow_id="x")
    bad = DescribeWorkflowExecutionRequest(namespace="nowhere", execution=execution)
    assert (await refused(service.describe_workflow_execution(bad))).status == NOT_FOUND
    bad = PollActivityTaskQueueRequest(namespace="nowhere", task_queue=TaskQueue(name=queue))
    assert (await refused(service.poll_activity_task_queue(bad))).status == NOT_FOUND


@pytest.mark.parametrize("token", [b"", b"junk", b"\x0a\xff\xff\xff\xff\x0f", b"x" * 100_000])
async def test_a_malformed_task_token_is_refused(client, token):
    service = client.workflow_service
    bad = RespondActivityTaskCompletedRequest(namespace="default", task_token=token)
    assert (await refused(service.respond_activity_task_completed(bad))).status in (INVALID, NOT_FOUND)
    bad = RecordActivityTaskHeartbeatRequest(namespace="default", task_token=token)
    assert (await refused(service.record_activity_task_heartbeat(bad))).status in (INVALID, NOT_FOUND)


async def test_the_token_of_an_attempt_that_is_over_is_stale(client, queue, deploy, activities, new_id):
    tokens = asyncio.Queue()

    @activity.defn
    async def park(_) -> None:
        tokens.put_nowait(activity.info().task_token)
        activity.raise_complete_async()

    await deploy()
    await activities(park)
    options = {"start_to_close_ms": 700, "initial_interval_ms": 10, "maximum_attempts": 2}
    args = ["park", options]
    handle = await client.start_workflow("ActivityWithOptions", args=args, id=new_id(), task_queue=queue)
    first, second = await tokens.get(), await tokens.get()
    stale = client.get_async_activity_handle(task_token=first)
    assert (await refused(stale.complete("stale"))).status == NOT_FOUND
    await client.get_async_activity_handle(task_token=second).complete("fresh")
    assert await handle.result() == {"result": "fresh"}


async def test_a_signal_that_is_bad_is_refused_and_the_run_goes_on(client, queue, deploy, new_id):
    await deploy()
    handle = await client.start_workflow("SignalCounter", 1, id=new_id(), task_queue=queue)

    def signal(**changes):
        values = dict(
            namespace="default", workflow_execution=WorkflowExecution(workflow_id=handle.id), signal_name="tick"
        )
        return client.workflow_service.signal_workflow_execution(SignalWorkflowExecutionRequest(**(values | changes)))

    assert (await refused(signal(signal_name=""))).status == INVALID
    assert (await refused(signal(signal_name="x" * 1001))).status == INVALID
    large = Payloads(payloads=[Payload(data=b"x" * (2 * MIB + 1))])
    assert (await refused(signal(input=large))).status == INVALID
    absent = WorkflowExecution(workflow_id=handle.id, run_id="not-a-run-id")
    assert (await refused(signal(workflow_execution=absent))).status == INVALID
    await handle.signal("tick", "good")
    assert await handle.result() == ["good"]


@pytest.mark.mainspring_only
async def test_input_that_the_workflow_cannot_read_fails_the_run(client, queue, deploy, new_id):
    """Not the workflow task, which would be tried again for ever."""
    await deploy("order-workflow")
    with pytest.raises(WorkflowFailureError) as failure:
        await client.execute_workflow("OrderWorkflow", "not an order", id=new_id(), task_queue=queue)
    assert isinstance(failure.value.cause, ApplicationError)


@pytest.mark.mainspring_only
async def test_an_unknown_workflow_type_waits_for_a_module_that_has_it(client, queue, deploy, activities, new_id):
    @activity.defn
    async def charge_payment(amount: float, user_id: str) -> str:
        return "tx-late"

    @activity.defn
    async def send_email(to: str, subject: str) -> None:
        pass

    await deploy("guest-kitchen")
    await activities(charge_payment, send_email)
    order = {"amount": 1.0, "user_id": "u", "email": "e"}
    handle = await client.start_workflow("OrderWorkflow", order, id=new_id(), task_queue=queue)

    async def failed():
        events = (await handle.fetch_history()).events
        return [e for e in events if e.HasField("workflow_task_failed_event_attributes")]

    [event, *_] = await eventually(failed, "the workflow task fails")
    said = event.workflow_task_failed_event_attributes.failure.message
    assert "OrderWorkflow" in said
    await deploy("order-workflow")
    assert await asyncio.wait_for(handle.result(), 30) == "tx-late"
    assert event_types(await handle.fetch_history()).count("WorkflowTaskFailed") >= 1


# Modules.


@pytest.fixture
def deploy_bytes(server, queue, tmp_path):
    """Tries to deploy these bytes, and gives back what was said."""

    def deploy(content: bytes | None = None, path=None) -> str:
        if path is None:
            path = tmp_path / "bad.wasm"
            path.write_bytes(content)
        done = server.deploy_file(path, queue, check=False)
        assert done.returncode in (1, 2), done.stdout
        assert done.stdout == ""
        assert queue not in server.mainspring("module", "list").stdout
        return done.stderr

    return deploy


@pytest.mark.mainspring_only
class TestModules:
    def test_what_is_no_wasm_is_refused(self, deploy_bytes):
        assert "wasm" in deploy_bytes(b"#!/bin/sh\necho hello\n")

    def test_an_empty_file_is_refused(self, deploy_bytes):
        assert "empty" in deploy_bytes(b"")

    def test_a_core_module_is_refused_with_what_to_do(self, deploy_bytes):
        assert "component" in deploy_bytes(b"\0asm\x01\0\0\0")

    def test_a_component_without_our_exports_is_refused(self, deploy_bytes):
        assert "describe" in deploy_bytes(b"\0asm\x0d\0\x01\0")

    def test_an_import_that_nobody_provides_is_named(self, deploy_bytes):
        order = paths.guest("order-workflow").read_bytes()
        assert b"mainspring:workflow/timers@0.1.0" in order
        other = order.replace(b"mainspring:workflow/timers@0.1.0", b"mainspring:workflow/tigers@0.1.0")
        assert "mainspring:workflow/tigers" in deploy_bytes(other)

    @pytest.mark.parametrize("part", [0.01, 0.5, 0.999])
    def test_a_truncated_module_is_refused(self, deploy_bytes, part):
        order = paths.guest("order-workflow").read_bytes()
        assert deploy_bytes(order[: int(len(order) * part)])

    def test_an_upload_of_a_gigabyte_is_refused_at_once(self, deploy_bytes, tmp_path):
        huge = tmp_path / "huge.wasm"
        with open(huge, "wb") as file:
            file.write(b"\0asm\x0d\0\x01\0")
            file.truncate(1024 * MIB)
        assert "limit" in deploy_bytes(path=huge)

    def test_flipped_bytes_are_refused_or_harmless(self, server, queue, tmp_path):
        import random

        order = bytearray(paths.guest("order-workflow").read_bytes())
        random_places = random.Random(20261123)
        for _ in range(20):
            damaged = bytearray(order)
            damaged[random_places.randrange(8, len(order))] ^= 0xFF
            path = tmp_path / "damaged.wasm"
            path.write_bytes(damaged)
            assert server.deploy_file(path, queue, check=False).returncode in (0, 1)
        assert server.is_running()

    def test_a_module_that_takes_too_long_to_compile_is_refused(self, tmp_path):
        class Impatient(Mainspring):
            def command(self):
                config = self.directory / "mainspring.toml"
                settings = f'port = {self.port}\ndata_dir = "{self.data}"\n[sandbox]\ncompile_time = "1ms"\n'
                config.write_text(settings)
                return [paths.mainspring_binary(), "server", "--config", config]

        server = Impatient(tmp_path / "server")
        try:
            server.start()
            done = server.deploy_file(paths.guest("guest-kitchen"), "q", check=False)
            assert done.returncode == 1
            assert "compiling" in done.stderr
            assert server.stop() == 0
        finally:
            server.remove()
