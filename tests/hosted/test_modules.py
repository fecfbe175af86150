"""A module of activities among modules of workflows: what is for versions is refused, and what is in use stays."""

import pytest
from support import paths

pytestmark = pytest.mark.mainspring_only


@pytest.fixture
def digest(server, queue, hosted):
    deploy = ("module", "deploy", paths.guest("guest-activities"), "--task-queue", queue)
    return server.mainspring_json(*deploy)["module"]["digest"]


async def test_activities_are_no_version(server, queue, digest, in_thread):
    for refused in (
        ("activate", digest, "--task-queue", queue),
        ("ramp", digest, "--task-queue", queue, "--percentage", "50"),
        ("verify", digest, "--task-queue", queue),
        ("migrate", digest, "--task-queue", queue),
        ("deploy", paths.guest("guest-activities"), "--task-queue", queue, "--verify"),
    ):
        done = await in_thread(server.mainspring, "module", *refused, check=False)
        assert done.returncode != 0 and "holds activities" in done.stderr, (refused, done.stdout, done.stderr)
    # What the task queue had is as it was.
    versions = await in_thread(server.mainspring_json, "module", "versions", "--task-queue", queue)
    assert [version["version"] for version in versions["versions"]] == [1]
    assert digest not in {version["digest"] for version in versions["versions"]}


async def test_a_module_is_deleted_when_no_task_queue_uses_it(server, queue, new_id, in_thread):
    module, queues = paths.guest("order-activities"), (queue, new_id())
    for name in queues:
        deployed = await in_thread(server.mainspring_json, "module", "deploy", module, "--task-queue", name)
    digest = deployed["module"]["digest"]
    uses = (await in_thread(server.mainspring_json, "module", "describe", digest))["uses"]
    others = {use["taskQueue"] for use in uses} - set(queues)
    for name in (*others, *queues):
        done = await in_thread(server.mainspring, "module", "delete", digest, check=False)
        assert done.returncode != 0 and "Undeploy them" in done.stderr, done.stderr
        await in_thread(server.mainspring, "module", "undeploy", "--activities", "--task-queue", name)
    await in_thread(server.mainspring, "module", "delete", digest)
    gone = await in_thread(server.mainspring, "module", "describe", digest, check=False)
    assert gone.returncode != 0
    # It can come back.
    again = await in_thread(server.mainspring_json, "module", "deploy", module, "--task-queue", queue)
    assert not again["unchanged"] and again["deployment"]["digest"] == digest
