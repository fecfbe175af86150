"""kill -9 at random points, again and again, under load: nothing that was acknowledged is lost.

`make test` makes a few kills, `make test-all` makes 50. The seed is printed; E2E_SEED=n repeats it.
"""

import asyncio
import os
import random
import time

import pytest
from support import paths
from support.load import Load
from support.waiting import eventually

FULL = os.environ.get("E2E_FULL") == "1"
KILLS = 50 if FULL else 10
ORDERS = 200
# The longest time between two kills, counted from when the server listens again.
UPTIME_MAX_S = 1.2
# An attempt that was handed out and never arrived waits for its start-to-close timeout of 30 s, perhaps twice.
FINISH_S = 150

pytestmark = [pytest.mark.mainspring_only, pytest.mark.timeout(1800)]


async def test_kills_at_random_points_lose_nothing(servers, capsys):
    seed = int(os.environ.get("E2E_SEED", random.randrange(2**32)))
    dice = random.Random(seed)
    server = servers().start()
    server.deploy_file(paths.guest("order-workflow"), "orders")
    load = Load(await server.connect(), "orders", seed, activity_s=0.4)
    load.work()
    for number in range(ORDERS):
        load.spawn(load.start_order(f"order-{number}"))

    downtimes, next_order = [], ORDERS
    for kill in range(KILLS):
        await asyncio.sleep(dice.uniform(0, UPTIME_MAX_S))
        await asyncio.to_thread(server.kill)
        begun = time.monotonic()
        await asyncio.to_thread(server.start)
        downtimes.append(time.monotonic() - begun)
        # So that each kill finds orders at every stage: some to start, some to charge, some to confirm.
        under_way = next_order - sum(1 for _, name in load.completed if name == "send_email")
        while under_way < ORDERS // 2:
            load.spawn(load.start_order(f"order-{next_order}"))
            next_order, under_way = next_order + 1, under_way + 1

    await eventually(lambda: len(load.started) == next_order, "every order is started", 60)
    client = await server.connect()

    async def all_completed():
        return (await client.count_workflows('ExecutionStatus = "Completed"')).count == next_order

    await eventually(all_completed, f"all {next_order} orders complete", FINISH_S)
    await load.check_acknowledged()
    await load.stop()
    assert not load.violations, load.violations
    # An activity's result that nobody acknowledged may have made it executed again, but not more often than it may.
    assert max(count for (_, name), count in load.executions.items() if name == "charge_payment") <= 3
    with capsys.disabled():
        longest = max(downtimes)
        print(f"\n{KILLS} kills (seed {seed}), {next_order} orders: {load.summary()}; restarts took {longest:.2f} s at most")
