"""The activities of the order workflow: what touches the outside world, and so may fail.

This process knows no workflow: the server runs that itself. It only says which activities it can do, and the server
hands them over, tries failed ones again and remembers each result.
"""

import asyncio
import os
import uuid

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker


@activity.defn
async def charge_payment(amount: float, user_id: str) -> str:
    attempt = activity.info().attempt
    if attempt == 1:
        # A payment provider with a hiccup. Nobody catches this: the server tries again after a second.
        print(f"charge_payment: attempt {attempt}: the payment provider does not answer", flush=True)
        raise ConnectionError("the payment provider does not answer")
    transaction_id = f"tx-{uuid.uuid4().hex[:12]}"
    print(f"charge_payment: attempt {attempt}: charged {amount} to {user_id}: {transaction_id}", flush=True)
    return transaction_id


@activity.defn
async def send_email(to: str, subject: str) -> None:
    print(f"send_email: to {to}: {subject}", flush=True)


async def main() -> None:
    client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    async with Worker(client, task_queue="orders", activities=[charge_payment, send_email]):
        print("worker: waiting for activities on task queue orders", flush=True)
        await asyncio.Event().wait()  # until Ctrl-C


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
