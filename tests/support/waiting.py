"""Waiting for a condition, never for a while."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.02


async def eventually(condition: Callable[[], T | Awaitable[T]], what: str, timeout_s: float = 15) -> T:
    """Asks again and again until the answer is true, and gives it back."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what} (last answer: {answer!r})")
        await asyncio.sleep(POLL_S)


def eventually_sync(condition: Callable[[], T], what: str, timeout_s: float = 15) -> T:
    deadline = time.monotonic() + timeout_s
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(POLL_S)
