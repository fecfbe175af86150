"""`wait` and `as_completed` with lists, whose order says nothing that the author did not write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any


def _one_by_one(fs: Iterable[Any]) -> list[Any]:
    if asyncio.isfuture(fs) or asyncio.iscoroutine(fs):
        raise TypeError(f"Expect an iterable of Tasks/Futures, not {type(fs).__name__}")
    return list(fs)


async def wait(
    fs: Iterable[Any], *, timeout: float | None = None, return_when: str = asyncio.ALL_COMPLETED
) -> tuple[list[Any], list[Any]]:
    """`asyncio.wait`: the done and the pending, each in the order in which they were given."""
    given = _one_by_one(fs)
    done, pending = await asyncio.wait(given, timeout=timeout, return_when=return_when)
    return [it for it in given if it in done], [it for it in given if it in pending]


def as_completed(fs: Iterable[Awaitable[Any]], *, timeout: float | None = None) -> Iterator[Awaitable[Any]]:
    """Gives the results as they come: each item is awaited for the next one."""
    loop = asyncio.get_running_loop()
    waiting = [asyncio.ensure_future(it, loop=loop) for it in _one_by_one(fs)]
    finished: asyncio.Queue[asyncio.Future | None] = asyncio.Queue()
    count = len(waiting)
    timer: asyncio.TimerHandle | None = None

    def completed(future: asyncio.Future) -> None:
        if future in waiting:  # else time was up before it
            waiting.remove(future)
            finished.put_nowait(future)
            if not waiting and timer is not None:
                timer.cancel()

    def time_is_up() -> None:
        for future in waiting:
            future.remove_done_callback(completed)
            finished.put_nowait(None)
        waiting.clear()

    async def next_one() -> Any:
        future = await finished.get()
        if future is None:
            raise asyncio.TimeoutError
        return future.result()

    for future in list(waiting):
        future.add_done_callback(completed)
    if waiting and timeout is not None:
        timer = loop.call_later(timeout, time_is_up)
    return (next_one() for _ in range(count))
