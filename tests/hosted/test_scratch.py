"""The scratch directory of activities that the server runs: granted by the CLI, used by a workflow's activity."""

import pytest
from support import paths

pytestmark = pytest.mark.mainspring_only


async def scratch_of(server, queue, in_thread) -> str:
    listed = await in_thread(server.mainspring_json, "module", "activities")
    return next(entry["grants"]["scratchBytes"] for entry in listed if entry["taskQueue"] == queue)


async def test_a_directory_is_granted_used_and_taken_back(run, hosted, server, queue, in_thread):
    assert "error" in (await run("scratch_look"))["result"]
    assert await scratch_of(server, queue, in_thread) == "0"
    await hosted("--scratch", "4MiB")
    assert await scratch_of(server, queue, in_thread) == str(4 << 20)
    assert "4 MiB" in (await in_thread(server.mainspring, "module", "activities")).stdout
    assert (await run("scratch_use"))["result"] == "as on a disk"
    assert (await run("scratch_count", "left-by-an-attempt b b"))["result"] == [["b", 2], ["left-by-an-attempt", 1]]
    # Of what that one left there is nothing.
    assert (await run("scratch_look"))["result"] == []
    full = (await run("scratch_exhaust", "bytes"))["result"]
    assert full["error"] and full["after"] == "fine" and 4_000_000 < full["taken"] <= 4 << 20
    full = (await run("scratch_exhaust", "terabytes"))["result"]
    assert full["error"] == [51, "No space left on device (os error 51)"] and full["taken"] == 0
    await in_thread(server.mainspring, "module", "revoke", "--task-queue", queue, "--scratch")
    assert "error" in (await run("scratch_look"))["result"]


async def test_a_retry_begins_with_nothing(run, hosted):
    await hosted("--scratch", "1MiB")
    policy = {"initial_interval_ms": 20, "maximum_attempts": 2}
    assert (await run("scratch_retry", **policy))["result"] == 2


async def test_a_grant_is_kept_over_a_restart_and_has_an_upper_bound(servers, new_id, in_thread):
    server = servers()
    await in_thread(server.start)
    deploy = ("module", "deploy", "--task-queue", "q")
    await in_thread(server.mainspring, *deploy, paths.guest("guest-kitchen"))
    await in_thread(server.mainspring, *deploy, paths.guest("guest-activities"), "--scratch", "128KiB")
    await in_thread(server.kill)
    await in_thread(server.start)
    grant = ("module", "grant", "--task-queue", "q", "--scratch")
    for size, words in (("1GiB", "to 268435456 bytes"), ("1KiB", "one of 65536"), ("1MB", "it is no size")):
        refused = await in_thread(lambda size=size: server.mainspring(*grant, size, check=False))
        assert refused.returncode != 0 and words in refused.stderr
    assert await scratch_of(server, "q", in_thread) == str(128 << 10)
    client = await server.connect()
    args = ["scratch_exhaust", {"start_to_close_ms": 20_000, "maximum_attempts": 1}, "bytes"]
    ended = await client.execute_workflow("ActivityWithOptions", args=args, id=new_id(), task_queue="q")
    assert ended["result"]["taken"] == 100_000
