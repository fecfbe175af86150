"""The server is killed, or stops, while it runs an activity itself."""

import pytest
from support import paths
from support.waiting import eventually

pytestmark = pytest.mark.mainspring_only

# Far beyond the test: what comes earlier comes from the restart, and not from the timeout.
OPTIONS = {"start_to_close_ms": 120_000, "initial_interval_ms": 20}


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_an_attempt_that_was_under_way_is_failed_at_the_restart(servers, new_id, in_thread, how):
    server = servers()
    await in_thread(server.start)
    for guest in ("guest-kitchen", "guest-activities"):
        await in_thread(server.deploy_file, paths.guest(guest), "q")
    client = await server.connect()
    again, once = new_id(), new_id()
    for workflow_id, attempts in ((again, 0), (once, 1)):
        args = ["sleep_first", OPTIONS | {"maximum_attempts": attempts}, 100]
        await client.start_workflow("ActivityWithOptions", args=args, id=workflow_id, task_queue="q")
    await eventually(lambda: server.log_path.read_text().count("sleeping") == 2, "both run")
    await in_thread(getattr(server, how))
    await in_thread(server.start)
    client = await server.connect()

    assert await client.get_workflow_handle(again).result() == {"result": 2}
    failure = (await client.get_workflow_handle(once).result())["failure"]
    assert (failure["type"], failure["retry_state"]) == ("ServerStopped", "MaximumAttemptsReached")
    # At most once: it was not begun again.
    assert server.log_path.read_text().count("sleeping") == 2


async def test_what_waited_is_run_after_the_restart_and_grants_are_kept(servers, new_id, in_thread):
    server = servers()
    await in_thread(server.start)
    await in_thread(server.deploy_file, paths.guest("guest-kitchen"), "q")
    client = await server.connect()
    handle = await client.start_workflow("FanOut", args=["facts", 2], id=new_id(), task_queue="q")
    await in_thread(
        server.mainspring, "module", "deploy", paths.guest("guest-activities"), "--task-queue", "other", "--env", "A=1"
    )
    await in_thread(server.kill)
    await in_thread(server.start)
    await in_thread(
        server.mainspring, "module", "deploy", paths.guest("guest-activities"), "--task-queue", "q", "--env", "COLOUR=blue"
    )
    client = await server.connect()
    facts = await client.get_workflow_handle(handle.id).result()
    assert [fact["config"] for fact in facts] == [[["COLOUR", "blue"]]] * 2
    listed = await in_thread(server.mainspring_json, "module", "activities")
    assert {entry["taskQueue"]: entry["grants"]["environment"] for entry in listed} == {
        "other": {"A": "1"},
        "q": {"COLOUR": "blue"},
    }
