"""Activities that are components, run by the server itself: no test here has a worker unless it says so."""

import asyncio

import pytest
import pytest_asyncio
from support import paths


@pytest_asyncio.fixture
async def hosted(server, queue, deploy):
    """The guest's activities on the test's task queue, beside the workflows that call them."""
    await deploy()

    async def grant(*flags) -> str:
        await asyncio.to_thread(server.mainspring, "module", "grant", "--task-queue", queue, *flags)
        return queue

    await asyncio.to_thread(server.deploy_file, paths.guest("guest-activities"), queue)
    return grant


@pytest.fixture
def run(client, queue, new_id, hosted):
    async def run(name: str, argument=None, **options):
        """Runs one activity, and tells how it ended; options are those of the kitchen's ActivityWithOptions."""
        args = [name, {"start_to_close_ms": 20_000, "maximum_attempts": 1} | options, argument]
        return await client.execute_workflow("ActivityWithOptions", args=args, id=new_id(), task_queue=queue)

    return run
