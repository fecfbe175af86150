"""Deploys version 2 while a refund of version 1 is running."""

import asyncio

from example import Example
from temporalio.client import WorkflowHandle

REFUND = {"customer": "ann", "amount": 9.5, "tell_after_ms": 1500}


async def main(example: Example) -> None:
    await example.deploy("v1")
    old = await example.start("Refund", REFUND)
    while not await has_paid(old):
        await asyncio.sleep(0.1)
    print("deploying version 2")
    await example.deploy("v2")
    new = await example.start("Refund", REFUND | {"customer": "bob"})
    print(f"the run that began with version 1: {await old.result()}")
    print(f"the run that began with version 2: {await new.result()}")


async def has_paid(refund: WorkflowHandle) -> bool:
    return any(event.HasField("timer_started_event_attributes") for event in (await refund.fetch_history()).events)
