"""What hosted activities use is their namespace's, and no more than its quotas."""

import pytest
from support import paths
from support.peer import Peer
from support.waiting import eventually

pytestmark = pytest.mark.mainspring_only


@pytest.fixture
async def tenant(servers, in_thread, new_id):
    """A server of one's own, with the activities; and what starts one of them."""
    server = servers()
    await in_thread(server.start)
    for guest in ("guest-kitchen", "guest-activities"):
        await in_thread(server.mainspring, "module", "deploy", paths.guest(guest), "--task-queue", "q")
    client = await server.connect()

    async def begin(name: str, argument=None):
        args = [name, {"start_to_close_ms": 20_000, "maximum_attempts": 1}, argument]
        return await client.start_workflow("ActivityWithOptions", args=args, id=new_id(), task_queue="q")

    async def usage() -> dict:
        return await in_thread(server.mainspring_json, "usage")

    async def quota(*words: str):
        await in_thread(server.mainspring, "quota", *words)

    return server, begin, usage, quota


async def test_fuel_of_an_activity_is_counted(tenant):
    _, begin, usage, _ = tenant
    # The workflows' own share of it: one that does as much, and has an activity that computes nothing to speak of.
    await (await begin("echo", 1)).result()
    before = int((await usage())["fuel"])
    await (await begin("echo", 2)).result()
    small = int((await usage())["fuel"]) - before
    await (await begin("recurse", 1_000_000_000)).result()
    assert int((await usage())["fuel"]) - before - small > 2 * small


async def test_so_many_attempts_at_once_and_more_when_the_quota_is_raised(tenant):
    _, begin, usage, quota = tenant
    await quota("set", "hosted_activities=1")
    sleepers = [await begin("sleep", 300), await begin("sleep", 300)]

    async def running(count: int) -> bool:
        return int((await usage())["hostedActivities"]) == count

    await eventually(lambda: running(1), "one attempt runs")
    # The third one waits as well; it would be done at once.
    quick = await begin("echo", 1)
    assert int((await usage())["hostedActivities"]) == 1
    await quota("set", "hosted_activities=3")
    assert (await quick.result())["result"] == 1
    await eventually(lambda: running(2), "both sleepers run")
    for sleeper in sleepers:
        await sleeper.terminate()


async def test_requests_beyond_the_rate_fail_and_say_so_in_the_log(tenant, in_thread):
    server, begin, usage, quota = tenant
    peer = Peer()
    await in_thread(server.mainspring, "module", "grant", "--task-queue", "q", "--allow-private-host", peer.url)
    fetch = {"url": peer.url}
    assert (await (await begin("fetch", fetch)).result())["result"]["status"] == 200
    await quota("set", "outbound_requests_per_second=0")
    assert "ConnectionLimitReached" in (await (await begin("fetch", fetch)).result())["result"]["error"]
    used = await usage()
    assert used["outboundRequests"] == "1" and used["refused"]["outbound_requests_per_second"] == "1"
    assert len(peer.requests) == 1
    assert "the namespace makes too many each second" in server.log_path.read_text()
    peer.close()


async def test_lines_beyond_the_rate_are_dropped(tenant):
    server, begin, usage, quota = tenant
    await quota("set", "log_bytes_per_second=100")
    await (await begin("print", "z" * 1_000)).result()
    await (await begin("print", "short")).result()
    assert int((await usage())["logBytesDropped"]) >= 2_000
    log = server.log_path.read_text()
    assert "zzzz" not in log and "short" in log
