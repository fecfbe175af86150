"""The activities of the benchmark, which do nothing, in a process of their own: the same one for both servers."""

import asyncio
import sys

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker


@activity.defn
async def charge_payment(amount: float, user_id: str) -> str:
    return "tx"


@activity.defn
async def send_email(to: str, subject: str) -> None:
    pass


async def main(address: str) -> None:
    client = await Client.connect(address)
    async with Worker(
        client, task_queue="orders", activities=[charge_payment, send_email], max_concurrent_activities=200
    ):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
