"""Guests that want to harm the server: each fails its own workflow task, with the limit's name, and nobody else's."""

import asyncio
import re

import pytest
from support.waiting import eventually

pytestmark = pytest.mark.mainspring_only

# Workflow, arguments, the type of the failure that its workflow task gets, and what its message says.
FLOODS = [
    ("LoopForever", [], "FuelLimitExceeded", "fuel"),
    ("LoopLater", [50], "FuelLimitExceeded", "fuel"),
    ("WakeForever", [], "FuelLimitExceeded", "fuel"),
    ("AllocateForever", [], "MemoryLimitExceeded", "memory"),
    ("AllocateAtOnce", [512], "MemoryLimitExceeded", "memory"),
    ("RecurseForever", [], "StackLimitExceeded", "stack"),
    ("FloodCommands", [], "CommandLimitExceeded", "more than 10000 commands"),
    ("FloodLogs", [], "LogLimitExceeded", "logs more than"),
    ("FloodStdout", [], "LogLimitExceeded", "logs more than"),
    ("FloodStderr", [], "LogLimitExceeded", "logs more than"),
    ("Trap", ["this workflow has a bug"], "Trap", "this workflow has a bug"),
]


async def task_failure(handle):
    """The failure of the run's first workflow task that failed."""

    async def failed():
        events = (await handle.fetch_history()).events
        failures = [e.workflow_task_failed_event_attributes for e in events]
        return [f for e, f in zip(events, failures) if e.HasField("workflow_task_failed_event_attributes")]

    [first, *_] = await eventually(failed, "the workflow task fails", 60)
    return first.failure


@pytest.mark.parametrize("flood", FLOODS, ids=[flood[0] for flood in FLOODS])
async def test_a_flood_fails_its_own_workflow_task(client, queue, deploy, new_id, neighbour, flood):
    workflow, args, failure_type, said = flood
    await deploy("guest-hostile")
    handle = await client.start_workflow(workflow, args=args, id=new_id(), task_queue=queue)
    failure, *_ = await asyncio.gather(task_failure(handle), neighbour(), neighbour())
    assert failure.application_failure_info.type == failure_type
    assert said in failure.message
    # The run is there still, and can be ended.
    description = await handle.describe()
    assert description.status.name == "RUNNING"
    await neighbour()
    await handle.terminate(reason="hostile")


@pytest.mark.parametrize(("workflow", "mib"), [("HugeResult", 3), ("HugeActivityInput", 3), ("HugeLogLine", 3)])
async def test_what_is_too_large_is_refused_with_its_limit(client, queue, deploy, new_id, neighbour, workflow, mib):
    await deploy("guest-hostile")
    handle = await client.start_workflow(workflow, mib, id=new_id(), task_queue=queue)

    async def trouble():
        events = (await handle.fetch_history()).events
        for event in events:
            for field in ("workflow_task_failed_event_attributes", "workflow_execution_failed_event_attributes"):
                if event.HasField(field):
                    return getattr(event, field).failure
            if event.HasField("workflow_execution_terminated_event_attributes"):
                return event.workflow_execution_terminated_event_attributes

    trouble, _ = await asyncio.gather(eventually(trouble, "it is refused", 60), neighbour())
    said = getattr(trouble, "message", None) or trouble.reason
    assert re.search("limit|exceed|more than", said), said
    if (await handle.describe()).status.name == "RUNNING":
        await handle.terminate(reason="hostile")


PROBES = [
    "env", "args", "current_dir", "current_exe", "home_dir", "stdin",
    "read_file", "read_dir", "write_file", "create_dir", "remove_file", "rename", "hard_link", "metadata", "relative",
    "proc_environ", "proc_mem", "proc_maps", "proc_fd", "proc_root", "dev_urandom", "temp_dir",
    "tcp_connect", "tcp_connect_v6", "tcp_metadata_service", "tcp_listen", "udp", "dns",
    "thread", "thread_sleep", "process", "exit", "abort",
]  # fmt: skip


@pytest.mark.parametrize("what", PROBES)
async def test_a_probe_finds_nothing(client, queue, deploy, new_id, what):
    await deploy("guest-hostile")
    handle = await client.start_workflow("Probe", what, id=new_id(), task_queue=queue)
    done = asyncio.create_task(handle.result())
    failed = asyncio.create_task(task_failure(handle))
    await asyncio.wait([done, failed], return_when=asyncio.FIRST_COMPLETED)
    try:
        if done.done():
            found = await done
            assert found in ("[]", "Ok(0)") or found.startswith(('Ok("/")', "Err(")) or found == "None", found
        else:
            failure = await failed
            assert failure.application_failure_info.type in ("BadCall", "Trap"), failure
            assert failure.message
    finally:
        done.cancel()
        failed.cancel()
        await asyncio.gather(done, failed, return_exceptions=True)
        if (await handle.describe()).status.name == "RUNNING":
            await handle.terminate(reason="hostile")


async def test_the_clock_of_a_workflow_is_its_journal_s(client, queue, deploy, new_id):
    """And its replay, at the end of this file's tests, finds the same."""
    await deploy("guest-hostile")
    handle = await client.start_workflow("Probe", "clock", id=new_id(), task_queue=queue)
    found = int(await handle.result())
    started = [e for e in (await handle.fetch_history()).events if e.HasField("workflow_task_started_event_attributes")]
    assert found == started[0].event_time.ToNanoseconds()
    assert await client.execute_workflow("Probe", "elapsed", id=new_id(), task_queue=queue) == "0ns"


async def test_the_entropy_of_a_workflow_is_its_run_s(client, queue, deploy, new_id):
    """Two runs differ; that each repeats its own, its replay shows at the end of this file's tests."""
    await deploy("guest-hostile")
    found = [await client.execute_workflow("Probe", "entropy", id=new_id(), task_queue=queue) for _ in range(2)]
    assert found[0] != found[1]


async def test_all_floods_at_once_leave_the_neighbours_in_peace(client, server, queue, deploy, new_id, neighbour):
    await deploy("guest-hostile")
    start = client.start_workflow
    handles = [await start(name, args=args, id=new_id(), task_queue=queue) for name, args, *_ in FLOODS]
    failures = asyncio.gather(*(task_failure(handle) for handle in handles))
    await asyncio.gather(*(neighbour() for _ in range(20)))
    types = [failure.application_failure_info.type for failure in await failures]
    assert types == [failure_type for _, _, failure_type, _ in FLOODS]
    assert server.is_running()
    for handle in handles:
        await handle.terminate(reason="hostile")
