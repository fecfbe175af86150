"""kill -9 in the middle of migrations, again and again, while the runs are at work: none is lost, none is on a module
that it was not moved to, and all end where the last migration has put them.
"""

import asyncio
import os
import random

import pytest
from support import paths
from support.load import Load
from support.twins import digest, twin
from support.waiting import eventually

FULL = os.environ.get("E2E_FULL") == "1"
KILLS = 30 if FULL else 6
RUNS = 24
# Further ones that move and do nothing meanwhile, so that a migration takes its time.
IDLE = 300
# Sent while migrations are killed, and afterwards.
EARLY, LATE = 20, 5
# How long after its first run has moved a migration is killed at most.
HALFWAY_S = 0.2

pytestmark = [pytest.mark.mainspring_only, pytest.mark.timeout(1200)]


def modules_of(events) -> list[str]:
    """The modules that have run it, in order."""
    completed = [e.workflow_task_completed_event_attributes for e in events]
    stamps = [attributes.worker_version.build_id for attributes in completed if attributes.started_event_id]
    return [stamp for index, stamp in enumerate(stamps) if index == 0 or stamps[index - 1] != stamp]


async def test_kills_in_the_middle_of_migrations_lose_and_move_nothing(servers, capsys):
    seed = int(os.environ.get("E2E_SEED", random.randrange(2**32)))
    dice = random.Random(seed)
    server = servers().start()
    old = paths.guest("guest-kitchen")
    new = twin(old, server.directory)
    for module, queue in ((old, "movers"), (old, "others"), (new, "elsewhere")):
        server.deploy_file(module, queue)
    load = Load(await server.connect(), "movers", seed)
    movers, others = ([f"{queue}-{number}" for number in range(RUNS)] for queue in ("movers", "others"))
    for workflow_id in movers + others:
        await load.start(workflow_id, "SignalCounter", workflow_id.split("-")[0], EARLY + LATE)
    idle = [f"movers-idle-{number}" for number in range(IDLE)]
    await asyncio.gather(*(load.start(workflow_id, "SignalCounter", "movers", 1) for workflow_id in idle))

    async def send(workflow_id: str, first: int, last: int, pause_s: float) -> None:
        for number in range(first, last):
            await load.signal(workflow_id, "tick", f"{workflow_id}: {number}")
            await asyncio.sleep(dice.uniform(0, pause_s))

    sending = [load.spawn(send(workflow_id, 0, EARLY, 0.5)) for workflow_id in movers + others]

    def migrate(target, check: bool):
        command = ("module", "migrate", digest(target), "--task-queue", "movers", "--output", "json")
        return server.mainspring(*command, check=check)

    async def on(client, module) -> int:
        query = f"TaskQueue = 'movers' AND BuildIds = 'unversioned:{digest(module)}'"
        return (await client.count_workflows(query)).count

    halfway = 0
    client = await server.connect()

    async def all_have_begun():
        return await on(client, old) == RUNS + IDLE

    await eventually(all_have_begun, "all have begun", 60)
    for kill in range(KILLS):
        target = new if kill % 2 == 0 else old
        there = await on(client, target)
        migrating = asyncio.create_task(asyncio.to_thread(migrate, target, False))
        while not migrating.done() and await on(client, target) == there:
            pass
        await asyncio.sleep(dice.uniform(0, HALFWAY_S))
        await asyncio.to_thread(server.kill)
        await migrating
        await asyncio.to_thread(server.start)
        client = await server.connect()
        halfway += there < await on(client, target) < RUNS + IDLE

    await asyncio.gather(*sending)
    await asyncio.to_thread(migrate, new, True)
    for workflow_id in movers + idle + others:
        described = await client.get_workflow_handle(workflow_id).describe()
        pin = described.raw_description.workflow_execution_info.most_recent_worker_version_stamp.build_id
        assert pin == digest(old if workflow_id in others else new), workflow_id
    await asyncio.gather(*(send(workflow_id, 0, 1, 0.0) for workflow_id in idle))
    await asyncio.gather(*(send(workflow_id, EARLY, EARLY + LATE, 0.0) for workflow_id in movers + others))

    async def all_completed():
        return (await client.count_workflows('ExecutionStatus = "Completed"')).count == 2 * RUNS + IDLE

    await eventually(all_completed, "all runs complete", 60)
    await load.check_acknowledged()
    for workflow_id in movers + idle + others:
        ran = modules_of(await load.history(workflow_id))
        # The module that was deployed is the old one, all the time: a run is nowhere else unless it was moved there.
        assert ran[0] == digest(old), workflow_id
        assert ran == [digest(old)] if workflow_id in others else set(ran) == {digest(old), digest(new)}, workflow_id
        assert ran[-1] == digest(old if workflow_id in others else new), workflow_id
    await load.stop()
    assert not load.violations, load.violations
    assert halfway, "no kill has found a migration halfway"
    with capsys.disabled():
        print(f"\n{KILLS} kills (seed {seed}), {halfway} of them found a migration halfway")
