"""API keys: made, shown once, good where they say, and refused the moment they are revoked or their time is over."""

import asyncio
import json

import pytest
from support import paths
from support.access import Api
from support.waiting import eventually_sync
from temporalio import activity
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    ListNamespacesRequest,
    PollActivityTaskQueueRequest,
    RecordActivityTaskHeartbeatRequest,
    RespondActivityTaskCompletedRequest,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

DENIED, UNKNOWN = RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED
ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}


@activity.defn
async def charge_payment(amount: float, user_id: str) -> str:
    return f"tx-{user_id}"


@activity.defn
async def send_email(to: str, subject: str) -> None:
    pass


async def refusal(call) -> RPCStatusCode:
    with pytest.raises(RPCError) as refused:
        await call
    return refused.value.status


async def test_a_tenant_deploys_works_and_asks_with_a_key_for_each(guarded, queue, new_id):
    admin = guarded.create_key("alpha:admin")["key"]
    worker, writer = guarded.create_key("alpha:worker")["key"], guarded.create_key("alpha:write")["key"]
    reader = guarded.create_key("alpha:read")["key"]
    module = paths.guest("order-workflow")
    deploy = ("module", "deploy", module, "--task-queue", queue, "--namespace", "alpha")
    done = await asyncio.to_thread(guarded.mainspring, *deploy, "--api-key", writer, check=False)
    assert done.returncode == 1 and "lacks the role admin in namespace" in done.stderr, done.stderr
    await asyncio.to_thread(guarded.mainspring, *deploy, "--api-key", admin)

    works = await guarded.connect_with(worker)
    async with Worker(works, task_queue=queue, activities=[charge_payment, send_email]):
        client, workflow_id = await guarded.connect_with(writer), new_id()
        assert await client.execute_workflow("OrderWorkflow", ORDER, id=workflow_id, task_queue=queue) == "tx-u123"
    reads = await guarded.connect_with(reader)
    assert (await reads.get_workflow_handle(workflow_id).describe()).status.name == "COMPLETED"
    assert await refusal(reads.get_workflow_handle(workflow_id).terminate()) == DENIED
    assert await refusal(works.get_workflow_handle(workflow_id).describe()) == DENIED
    start = works.start_workflow("OrderWorkflow", ORDER, id=new_id(), task_queue=queue)
    assert await refusal(start) == DENIED


async def test_only_the_operator_opens_the_servers_own_network_to_activities(guarded, queue):
    tenant = guarded.create_key("alpha:admin")["key"]
    grant = ("module", "grant", "--task-queue", queue, "--namespace", "alpha")
    private = ("--allow-private-host", "http://10.0.0.7")
    done = await asyncio.to_thread(guarded.mainspring, *grant, *private, "--api-key", tenant, check=False)
    assert done.returncode == 1 and "lacks the role admin for the whole server" in done.stderr, done.stderr
    public = ("--allow-host", "https://api.example.com")
    assert "https://api.example.com" in guarded.mainspring(*grant, *public, "--api-key", tenant).stdout
    granted = await asyncio.to_thread(guarded.as_admin, *grant, *private)
    assert "http://10.0.0.7" in granted.stdout


async def test_another_tenant_sees_and_reaches_nothing(guarded, queue, new_id):
    alpha, beta = guarded.create_key("alpha:admin")["key"], guarded.create_key("beta:admin")["key"]
    deploy = ("module", "deploy", paths.guest("order-workflow"), "--task-queue", queue, "--namespace", "alpha")
    await asyncio.to_thread(guarded.mainspring, *deploy, "--api-key", alpha)
    client, stranger = await guarded.connect_with(alpha), await guarded.connect_with(beta, namespace="beta")
    handle = await client.start_workflow("OrderWorkflow", ORDER, id=new_id(), task_queue=queue)
    poll = PollActivityTaskQueueRequest(namespace="alpha", task_queue=TaskQueue(name=queue), identity="w")
    task = await client.workflow_service.poll_activity_task_queue(poll)
    assert task.task_token

    # The token of another tenant's task: with that tenant's namespace, with one's own, and without any.
    service = stranger.workflow_service
    for namespace, refused in (("alpha", DENIED), ("", DENIED), ("beta", DENIED)):
        request = RespondActivityTaskCompletedRequest(task_token=task.task_token, namespace=namespace)
        assert await refusal(service.respond_activity_task_completed(request)) == refused, namespace
        beat = RecordActivityTaskHeartbeatRequest(task_token=task.task_token, namespace=namespace)
        assert await refusal(service.record_activity_task_heartbeat(beat)) == refused, namespace
    listed = await service.list_namespaces(ListNamespacesRequest())
    assert [found.namespace_info.name for found in listed.namespaces] == ["beta"]
    alpha_id = (await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="alpha"))).namespace_info.id
    assert await refusal(service.describe_namespace(DescribeNamespaceRequest(id=alpha_id))) == DENIED
    # An id that is nobody's is answered in the same way.
    nobody = DescribeNamespaceRequest(id="00000000-0000-4000-8000-000000000000")
    assert await refusal(service.describe_namespace(nobody)) == DENIED
    # Its own namespace has no such run, module or deployment.
    assert await refusal(stranger.get_workflow_handle(handle.id).describe()) == RPCStatusCode.NOT_FOUND
    digest = json.loads(
        (await asyncio.to_thread(guarded.mainspring, "module", "list", "-o", "json", "-n", "alpha", "--api-key", alpha)).stdout
    )[0]["module"]["digest"]
    done = await asyncio.to_thread(
        guarded.mainspring, "module", "describe", digest, "-n", "beta", "--api-key", beta, check=False
    )
    assert done.returncode == 1 and "NOT_FOUND" in done.stderr
    # The task is still its worker's.
    result = Payloads(payloads=[Payload(metadata={"encoding": b"json/plain"}, data=b'"tx-1"')])
    answer = RespondActivityTaskCompletedRequest(task_token=task.task_token, result=result)
    await client.workflow_service.respond_activity_task_completed(answer)
    await handle.terminate()


async def test_a_revoked_key_is_refused_at_once_and_after_a_crash(make_guarded):
    server = make_guarded().start()
    made = await asyncio.to_thread(server.create_key, "alpha:write")
    kept = await asyncio.to_thread(server.create_key, "alpha:write")
    client = await server.connect_with(made["key"])
    await asyncio.to_thread(server.as_admin, "key", "revoke", made["id"])
    assert await refusal(client.count_workflows()) == UNKNOWN
    server.kill()
    server.start()
    assert server.whoami(kept["key"])["principal"] == f"api-key:{kept['id']}"
    done = server.whoami(made["key"], check=False)
    assert done.returncode == 1 and "is not known here, or was revoked" in done.stderr
    again = server.as_admin("key", "revoke", made["id"], check=False)
    assert again.returncode == 1 and "NOT_FOUND" in again.stderr


def test_a_key_ends_when_it_says(guarded):
    made = guarded.create_key("alpha:read", expires="1s")
    ended = eventually_sync(
        lambda: (done := guarded.whoami(made["key"], check=False)).returncode and done, "the key has expired"
    )
    assert "the API key has expired" in ended.stderr and "UNAUTHENTICATED" in ended.stderr


def test_the_text_of_a_key_is_nowhere(make_guarded):
    server = make_guarded().start()
    secrets = [server.create_key("alpha:read")["key"], server.admin]
    server.whoami(secrets[0])
    # One that is wrong by a letter, so that a refusal is logged as well.
    server.whoami(secrets[0][:-1] + ("A" if secrets[0][-1] != "A" else "B"), check=False)
    assert server.stop() == 0
    files = [file for file in server.directory.rglob("*") if file.is_file()]
    assert len(files) > 3
    for file in files:
        content = file.read_bytes()
        assert all(secret.split("_", 2)[2].encode() not in content for secret in secrets), file


def test_keys_are_made_and_revoked_by_admins_of_what_they_permit(guarded):
    tenant = guarded.create_key("alpha:admin")["key"]
    mine = guarded.create_key("alpha:write", by=tenant)
    assert guarded.whoami(mine["key"]) == {"principal": f"api-key:{mine['id']}", "permissions": ["alpha:write"]}
    theirs = guarded.create_key("alpha:read", "beta:read")
    for permission in ("beta:read", "temporal-system:read"):
        words = ("key", "create", "--name", "x", "--permission", "alpha:read", "--permission", permission)
        done = guarded.mainspring(*words, "--api-key", tenant, check=False)
        assert done.returncode == 1 and "PERMISSION_DENIED" in done.stderr, done.stderr
    listed = {key["id"] for key in guarded.mainspring_json("key", "list", "--api-key", tenant)}
    assert mine["id"] in listed and theirs["id"] not in listed
    # Who may not revoke it is not told that it is there.
    done = guarded.mainspring("key", "revoke", theirs["id"], "--api-key", tenant, check=False)
    assert done.returncode == 1 and "NOT_FOUND" in done.stderr
    assert guarded.whoami(theirs["key"])["permissions"] == ["alpha:read", "beta:read"]


@pytest.mark.parametrize(
    "words, said",
    [
        (("--name", "x", "--permission", "alpha"), "is not NAMESPACE:ROLE"),
        (("--name", "x", "--permission", "alpha:owner"), "read, write, worker or admin"),
        (("--name", "x", "--permission", "gamma:read"), "gamma"),
        (("--name", " ", "--permission", "alpha:read"), "Name is empty"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(guarded, words, said):
    done = guarded.as_admin("key", "create", *words, check=False)
    assert done.returncode == 1 and said in done.stderr, done.stderr


def test_credentials_that_are_none_are_refused_in_words(guarded):
    api = Api(guarded)
    method = next(method for method in api.methods if method.name == "WhoAmI")
    for key, said in {
        None: "asks for credentials",
        "secret": "no tokens are accepted",
        "msk_": "is not known here",
        "msk_0123456789abcdef_x": "is not known here",
        "x" * 70_000: "",
    }.items():
        code, message = api.call(method, key)
        # So long a header does not even reach the gate.
        assert code == "UNAUTHENTICATED" or (key and len(key) > 65_536), (code, message)
        assert said in message
    api.close()


def test_health_and_reflection_are_open(guarded):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    api = Api(guarded)
    health = health_pb2_grpc.HealthStub(api.channel)
    assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
    api.close()
