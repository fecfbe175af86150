"""Follows a feed to its end, and another one until it is told to stop."""

import asyncio

from example import Example


async def main(example: Example) -> None:
    feed = await example.start("FollowFeed", {"url": "example.org/news", "every_ms": 100})
    end = await feed.result()
    print(f"read {end['items']} items in {end['earlier_runs'] + 1} runs of one workflow")

    feed = await example.start("FollowFeed", {"url": "example.org/weather", "every_ms": 3600 * 1000})
    while (await feed.query("progress"))["items"] == 0:
        await asyncio.sleep(0.1)
    print("the next look is in an hour: telling it to stop")
    await feed.signal("stop")
    print(f"it has stopped at page {(await feed.result())['cursor']}")
