"""A subscription of short months, whose price changes, and one of real months. (How the tests let real months pass is in
rust/src/lib.rs.)"""

import asyncio

from example import Example

DAY_MS = 24 * 3600 * 1000


async def main(example: Example) -> None:
    subscription = {"customer": "ann", "price": 10, "trial_ms": 500, "period_ms": 1000}
    ann = await example.start("Subscribe", subscription)
    while (await ann.query("status"))["payments"] < 1:
        await asyncio.sleep(0.1)
    old = await ann.execute_update("set_price", 12)
    print(f"the price was {old} and is 12")
    while (await ann.query("status"))["payments"] < 3:
        await asyncio.sleep(0.1)
    await ann.signal("cancel")
    print(f"ann has canceled after {(await ann.result())['payments']} payments")

    subscription |= {"customer": "bob", "trial_ms": 14 * DAY_MS, "period_ms": 30 * DAY_MS}
    bob = await example.start("Subscribe", subscription)
    while "timer" not in (stack_trace := await bob.query("__stack_trace")):
        await asyncio.sleep(0.1)
    print(f"of bob's subscription the {stack_trace}", end="")
    await bob.signal("cancel")
    print(f"bob has canceled after {(await bob.result())['payments']} payments")
