"""Both servers for each file, and one task queue on which the kitchen guest answers on either."""

import contextlib
import re

import pytest
import pytest_asyncio
from support import histories
from support.differential import Side, compare
from support.differential_activities import Activities
from support.server import Mainspring, TemporalDev
from temporalio.worker import Worker

QUEUE = "differential"
IDENTITY = "the differential suite"


@pytest.fixture(scope="module")
def servers_to_compare(backend):
    """With `--backend temporal` Temporal is compared with itself: that shows that the scripts always do the same."""
    servers = [Mainspring() if backend == "mainspring" else TemporalDev(), TemporalDev()]
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        if isinstance(server, Mainspring):
            histories.finish(server)
        else:
            server.stop()
            server.remove()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(servers_to_compare):
    """Servers, clients and activities, with the workflows of the suite at work."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for server in servers_to_compare:
            client, activities = await server.connect(identity=IDENTITY), Activities()
            await stack.enter_async_context(server.deployed("guest-kitchen", QUEUE))
            # A client of its own: workflow workers of the same queue register with another one.
            worker = Worker(client, task_queue=QUEUE, activities=activities.all(), identity=IDENTITY)
            await stack.enter_async_context(worker)
            made.append((server, client, activities))
        yield made


@pytest.fixture
def run(both, request):
    """Runs a script on both sides and compares what it notes, and the histories of the workflows that it names."""
    case = re.sub(r"[^\w]+", " ", request.node.name.removeprefix("test_")).strip()

    async def run(script) -> None:
        await compare(script, *(Side(server, client, activities, QUEUE, case) for server, client, activities in both))

    return run
