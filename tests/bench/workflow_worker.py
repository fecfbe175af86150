"""The order workflow for Temporal's server, which runs no workflows itself. Mainspring needs no such process."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.standins import OrderWorkflow, Sleep  # noqa: E402
from temporalio.client import Client  # noqa: E402
from temporalio.worker import Worker  # noqa: E402


async def main(address: str) -> None:
    client = await Client.connect(address)
    async with Worker(client, task_queue="orders", workflows=[OrderWorkflow, Sleep], max_concurrent_workflow_tasks=200):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
