"""Modules and the versions of task queues, by the CLI, with the order in which somebody uses it."""

import asyncio
import hashlib
import json
import uuid

import pytest
from support import paths
from support.histories import event_types
from support.variants import digest, modules_of, variant
from support.waiting import eventually
from temporalio.service import RPCError

pytestmark = pytest.mark.mainspring_only

# More starts would make the bounds of what a ramp gives narrower, and the test longer.
STARTS = 400


@pytest.fixture
def module(server, queue, in_thread):
    """`mainspring module …` on the test's task queue; what it prints is JSON."""

    async def run(verb, *words):
        options = [] if verb in ("upload", "delete", "describe", "list", "deployments") else ["--task-queue", queue]
        return await in_thread(server.mainspring_json, "module", verb, *words, *options)

    return run


@pytest.fixture
def refused(server, in_thread):
    async def run(*words):
        done = await in_thread(server.mainspring, "module", *words, check=False)
        assert done.returncode == 1, done
        return done.stderr

    return run


@pytest.fixture
def begin(client, queue, new_id):
    """Starts a run that waits for a signal, and waits for its first turn; gives the run and its module."""

    async def begin(workflow_id: str | None = None):
        handle = await client.start_workflow("SignalCounter", 1, id=workflow_id or new_id(), task_queue=queue)

        async def module():
            return modules_of(await handle.fetch_history())

        (module,) = await eventually(module, "the run has its first turn")
        return handle, module

    return begin


def active(answer) -> tuple[int, str]:
    return answer["deployment"]["version"], answer["deployment"]["digest"]


async def test_upload_activate_and_roll_back(server, module, begin, refused, queue):
    one, two = variant(server, 0), variant(server, 1)
    uploaded = await module("upload", one)
    assert (uploaded["module"]["digest"], uploaded["module"]["language"]) == (digest(one), "Rust")
    assert (await module("upload", one))["existed"]
    # Nothing is active by that.
    assert "NOT_FOUND" in await refused("versions", "--task-queue", queue)
    assert active(await module("activate", digest(one)[:8])) == (1, digest(one))
    first, on = await begin()
    assert on == digest(one)
    assert active(await module("deploy", two)) == (2, digest(two))
    second, on = await begin()
    assert on == digest(two)
    rolled_back = await module("rollback")
    assert active(rolled_back) == (1, digest(one))
    assert (await begin())[1] == digest(one)
    assert "nothing to roll back to" in await refused("rollback", "--task-queue", queue)
    report = await module("versions")
    assert [(version["version"], version["status"], version["openRuns"]) for version in report["versions"]] == [
        (1, "active", 2),
        (2, "inactive", 1),
    ]
    assert [version["activation"] for version in report["versions"]] == ["rollback", "deploy"]
    assert report["versions"][0]["activatedBy"].startswith("mainspring-cli:")
    for handle, of in ((first, one), (second, two)):
        await handle.signal("tick", 1)
        assert await handle.result() == [1]
        assert modules_of(await handle.fetch_history()) == {digest(of)}


async def test_a_ramp_gives_its_part_by_workflow_id(server, client, module, queue, refused):
    await module("deploy", variant(server, 0))
    await module("upload", variant(server, 2))
    new = digest(variant(server, 2))
    ramping = await module("ramp", new, "--percentage", "20")
    assert (ramping["deployment"]["ramp"]["version"], ramping["deployment"]["ramp"]["percentage"]) == (2, 20)
    ids = [f"{queue}-{number}" for number in range(STARTS)]
    start = dict(task_queue=queue)
    for at in range(0, STARTS, 50):
        await asyncio.gather(*(client.start_workflow("SignalCounter", 1, id=id, **start) for id in ids[at : at + 50]))

    async def all_begun():
        report = await module("versions")
        return report if report["unpinnedRuns"] == 0 else None

    report = await eventually(all_begun, "all runs have had their first turn", 60)
    runs = [version["openRuns"] for version in report["versions"]]
    assert sum(runs) == STARTS
    # Five standard deviations of a part of 20 % are 10 % of 400.
    assert abs(runs[1] - STARTS * 0.2) <= STARTS * 0.1
    # As docs/deployments.md says: anybody can tell beforehand.
    namespace = json.loads(server.temporal("operator", "namespace", "describe", "default", "-o", "json").stdout)
    namespace = uuid.UUID(namespace["namespaceInfo"]["id"])

    def position(workflow_id: str) -> int:
        hash = hashlib.sha256(namespace.bytes + workflow_id.encode()).digest()
        return int.from_bytes(hash[8:16], "big") % 10_000

    for workflow_id in ids[::20]:
        history = await client.get_workflow_handle(workflow_id).fetch_history()
        assert (modules_of(history) == {new}) == (position(workflow_id) < 2_000), workflow_id
    assert runs[1] == sum(position(workflow_id) < 2_000 for workflow_id in ids)
    ended = await module("ramp", "2", "--percentage", "0")
    assert ended["deployment"]["ramp"] is None
    assert active(await module("ramp", "2", "--percentage", "100")) == (2, new)
    assert "is active already" in await refused("ramp", "2", "--percentage", "50", "--task-queue", queue)
    assert "from 0 to 100" in await refused("ramp", "1", "--percentage", "101", "--task-queue", queue)


async def test_a_module_is_deleted_when_nothing_needs_it_any_more(server, module, begin, refused, in_thread):
    path = variant(server, 3)
    name = digest(path)
    await module("deploy", path)
    assert "is active on task queue" in await refused("delete", name)
    handle, _ = await begin()
    await module("undeploy")
    assert "1 open runs are pinned to it" in await refused("delete", name)
    described = await module("describe", name)
    assert (described["openRuns"], described["uses"][0]["status"]) == (1, "inactive")
    assert int(described["limits"]["memoryBytes"]) > 0
    await handle.signal("tick", 1)
    await handle.result()
    refusal = await refused("delete", name)
    assert "closed within the namespace's retention" in refusal
    assert "FAILED_PRECONDITION" in refusal
    await in_thread(server.mainspring, "workflow", "delete", "--workflow-id", handle.id, "--yes")
    assert (await module("delete", name))["digest"] == name
    assert "NOT_FOUND" in await refused("describe", name)
    assert name not in json.dumps(await module("list"))


async def test_a_reset_run_takes_the_version_that_is_active_then(server, client, module, begin, in_thread):
    one, two = variant(server, 0), variant(server, 1)
    await module("deploy", one)
    handle, on = await begin()
    assert on == digest(one)
    await module("deploy", two)
    first_turn = 4
    words = ("workflow", "reset", "--workflow-id", handle.id, "--event-id", str(first_turn), "--reason", "a mended module")
    await in_thread(server.mainspring, *words)
    anew = client.get_workflow_handle(handle.id)
    await anew.signal("tick", 1)
    assert await anew.result() == [1]
    history = await anew.fetch_history()
    # The copied turn is the old module's, what came after is not.
    stamps = [
        event.workflow_task_completed_event_attributes.worker_version.build_id
        for event in history.events
        if event.HasField("workflow_task_completed_event_attributes")
    ]
    assert stamps[-1] == digest(two)
    assert "WorkflowExecutionCompleted" in event_types(history)


async def test_a_run_that_goes_on_in_another_takes_the_version_that_is_active_then(server, client, module, queue, new_id):
    one, two = variant(server, 0), variant(server, 1)
    await module("deploy", one)
    child_id = new_id()
    arguments = ["CollectsInTwoRuns", [None], {"workflow_id": child_id}]
    parent = await client.start_workflow("Parent", args=arguments, id=new_id(), task_queue=queue)

    async def latest_run():
        return modules_of(await client.get_workflow_handle(child_id).fetch_history())

    async def is_open():
        try:
            return await latest_run()
        except RPCError as error:
            assert error.status.name == "NOT_FOUND"

    assert await eventually(is_open, "the child has its first turn") == {digest(one)}
    first_run_id = (await client.get_workflow_handle(child_id).describe()).run_id
    await module("deploy", two)
    child = client.get_workflow_handle(child_id)
    await child.signal("collect", "a")

    async def second_run():
        description = await client.get_workflow_handle(child_id).describe()
        return description.run_id != first_run_id

    await eventually(second_run, "the child goes on in a second run")
    await child.signal("collect", "b")
    assert await parent.result() == {"result": ["a", "b"]}
    assert modules_of(await client.get_workflow_handle(child_id, run_id=first_run_id).fetch_history()) == {digest(one)}
    assert await latest_run() == {digest(two)}
    # The parent had turns after that, and is where it was.
    assert modules_of(await parent.fetch_history()) == {digest(one)}


async def test_text_is_for_people(server, queue, in_thread):
    mainspring = server.mainspring
    module = variant(server, 0)
    name = digest(module)[:12]
    deployed = await in_thread(mainspring, "module", "deploy", module, "--task-queue", queue)
    assert "Version    1" in deployed.stdout
    versions = (await in_thread(mainspring, "module", "versions", "--task-queue", queue)).stdout
    assert f"version 1 ({name})" in versions
    assert "Version  Digest" in versions
    listed = (await in_thread(mainspring, "module", "list")).stdout
    assert f"{queue} (active)" in listed
    deployments = (await in_thread(mainspring, "module", "deployments")).stdout
    assert queue in deployments
    described = (await in_thread(mainspring, "module", "describe", name)).stdout
    assert "Limits of each run:" in described
    assert "Language   Rust" in described
    missing = await in_thread(mainspring, "module", "upload", "/no/such/file.wasm", check=False)
    assert missing.returncode == 2
    no_module = paths.ROOT / "README.md"
    broken = server.directory / "broken.txt.wasm"
    broken.write_bytes(no_module.read_bytes())
    refused = await in_thread(mainspring, "module", "upload", broken, check=False)
    broken.unlink()
    assert refused.returncode == 1
    assert "not a wasm file" in refused.stderr
