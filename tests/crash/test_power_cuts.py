"""Power cuts: everything that the disk had not been told to keep is gone, in the middle of the load.

The data directory is on an ext4 of its own, in a file, which EXT4_IOC_SHUTDOWN takes away without writing anything
back: what is in the page cache is lost, which kill -9 never shows. Needs root and a loop device.
`make test` makes a few cuts, `make test-all` makes 20.
"""

import asyncio
import os
import random

import pytest
from support import paths
from support.load import Load
from support.waiting import eventually

FULL = os.environ.get("E2E_FULL") == "1"
CUTS = 20 if FULL else 4
ORDERS_PER_CUT = 40
COUNTERS = 5
# Between two signals to one counter, lest the histories that are checked in the end become huge.
SIGNAL_PAUSE_S = 0.03

pytestmark = [pytest.mark.mainspring_only, pytest.mark.timeout(1800)]


async def test_power_cuts_lose_nothing_that_was_acknowledged(disk, servers, capsys):
    seed = int(os.environ.get("E2E_SEED", random.randrange(2**32)))
    dice = random.Random(seed)
    # The log is on the machine's own disk: it tells what happened.
    server = servers(data=disk.path / "data").start()
    server.deploy_file(paths.guest("order-workflow"), "orders")
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    load = Load(await server.connect(), "orders", seed)
    load.work()
    counters = [f"counter-{number}" for number in range(COUNTERS)]
    for counter in counters:
        await load.start(counter, "SignalCounter", "kitchen", 1_000_000)

    async def keep_signaling(counter: str) -> None:
        # One run takes 10,000 at most.
        for number in range(9_000):
            await load.signal(counter, "tick", f"{counter}-{number}")
            await asyncio.sleep(SIGNAL_PAUSE_S)

    for counter in counters:
        load.spawn(keep_signaling(counter))
    orders = 0
    for cut in range(CUTS):
        for _ in range(ORDERS_PER_CUT):
            load.spawn(load.start_order(f"order-{orders}"))
            orders += 1
        acknowledged = len(load.completed)
        await asyncio.sleep(dice.uniform(0.1, 0.8))
        # With something at stake: at least one result since the last cut.
        await eventually(lambda: len(load.completed) > acknowledged, "something is acknowledged", 60)
        disk.cut_power()
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(disk.unmount)
        await asyncio.to_thread(disk.mount)
        await asyncio.to_thread(server.start)

    await eventually(lambda: len(load.started) == orders + COUNTERS, "every order is started", 60)
    client = await server.connect()

    async def all_completed():
        return (await client.count_workflows('ExecutionStatus = "Completed"')).count == orders

    await eventually(all_completed, f"all {orders} orders complete", 150)
    await load.check_acknowledged()
    await load.stop()
    assert not load.violations, load.violations
    for counter in counters:
        await client.get_workflow_handle(counter).terminate()
    with capsys.disabled():
        print(f"\n{CUTS} power cuts (seed {seed}): {load.summary()}")
