"""What the workflows here ask for. It runs in a worker; the component has only the names and the types."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

# Not in the sandbox, and not needed there: a part of it is written in C.
import grpc  # noqa: F401


@dataclass
class Greeting:
    salutation: str
    name: str
    at: datetime | None = None


@activity.defn
async def compose(greeting: Greeting) -> str:
    return f"{greeting.salutation}, {greeting.name}!"


@activity.defn
async def echo(value):
    return value


@activity.defn(name="add-up")
async def add_up(one: int, other: int) -> int:
    return one + other


@activity.defn
async def fail_until(attempt: int) -> int:
    """Fails until its attempt number is this."""
    now = activity.info().attempt
    if now < attempt:
        raise ApplicationError(f"attempt {now} is too early", {"attempt": now}, type="TooEarly")
    return now


@activity.defn
async def refuse(reason: str) -> None:
    raise ApplicationError(reason, {"code": 7}, [1, 2], type="Refused", non_retryable=True)


@activity.defn
async def never_ends() -> str:
    try:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        return "cleaned up"


@activity.defn
async def too_slow() -> None:
    await asyncio.sleep(30)


@activity.defn
def double(number: int) -> int:
    """Pure, so it may run in the workflow, as a local activity."""
    return number * 2


@activity.defn
async def tomorrow(day: datetime) -> datetime:
    return day + timedelta(days=1)


ALL = [compose, echo, add_up, fail_until, refuse, never_ends, too_slow, double, tomorrow]
