"""A backup that ends, and one that is canceled in the middle of its copy."""

import asyncio

from example import Example
from temporalio.client import WorkflowFailureError, WorkflowHandle


async def main(example: Example) -> None:
    backup = await example.start("BackUp", {"database": "orders", "tables": 3})
    print(f"copied {await backup.result()} tables")

    backup = await example.start("BackUp", {"database": "events", "tables": 1_000_000})
    while not await is_copying(backup):
        await asyncio.sleep(0.1)
    print("canceling")
    await backup.cancel()
    try:
        print(f"copied {await backup.result()} tables")
    except WorkflowFailureError as error:
        print(f"the backup ended: {error.cause}; status {(await backup.describe()).status.name}")


async def is_copying(backup: WorkflowHandle) -> bool:
    """Whether a heartbeat has come."""
    pending = (await backup.describe()).raw_description.pending_activities
    return any(activity.HasField("heartbeat_details") for activity in pending)
