"""What the workflows of `tests/guests/js` call."""

import asyncio

from temporalio import activity
from temporalio.exceptions import ApplicationError


@activity.defn
async def greet(name: str) -> str:
    return "spoken by nobody" if name == "klingon" else f"Hello, {name}!"


@activity.defn
async def add(a: float, b: float) -> float:
    return a + b


@activity.defn
async def echo(value):
    return value


@activity.defn
async def decline(reason: str) -> None:
    raise ApplicationError(f"declined: {reason}", {"code": 51}, type="Declined", non_retryable=reason == "passes")


@activity.defn
async def flaky(failures: int) -> int:
    attempt = activity.info().attempt
    if attempt <= failures:
        raise ConnectionError(f"attempt {attempt}")
    return attempt


@activity.defn
async def endless() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.05)


@activity.defn(name="cleanUp")
async def clean_up(what: str) -> str:
    return f"cleaned {what}"


ALL = [greet, add, echo, decline, flaky, endless, clean_up]
