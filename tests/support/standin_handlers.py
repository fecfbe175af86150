"""The guest's `handlers.rs` once more, in Python. See `standins.py`."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError


def told(name: str, args: Sequence[RawValue]) -> list:
    return [name, [workflow.payload_converter().from_payload(value.payload) for value in args]]


@workflow.defn(sandboxed=False)
class Dynamic:
    def __init__(self) -> None:
        self.heard: list = []

    @workflow.signal(dynamic=True)
    def on_signal(self, name: str, args: Sequence[RawValue]) -> None:
        self.heard.append(told(name, args))

    @workflow.query(dynamic=True)
    def on_query(self, name: str, args: Sequence[RawValue]) -> list:
        return told(name, args)

    @workflow.update(dynamic=True)
    async def on_update(self, name: str, args: Sequence[RawValue]) -> list:
        self.heard.append(told(name, args))
        return told(name, args)

    @on_update.validator
    def check_update(self, name: str, args: Sequence[RawValue]) -> None:
        if name == "refused":
            raise ApplicationError("not this one", type="Refused")

    @workflow.run
    async def run(self) -> list:
        await workflow.wait_condition(lambda: any(name == "end" for name, _ in self.heard))
        return self.heard


@workflow.defn(sandboxed=False)
class LateHandler:
    @workflow.run
    async def run(self, delay_ms: int, count: int) -> list:
        notes: list = []
        await asyncio.sleep(delay_ms / 1000)
        workflow.set_signal_handler("note", notes.append)
        await workflow.wait_condition(lambda: len(notes) >= count)
        return notes


@workflow.defn(sandboxed=False)
class Gate:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.is_open = False
        self.is_closed = False

    @workflow.query
    def passed(self) -> list[str]:
        return self.names

    @workflow.query
    def starts_a_timer(self) -> None:
        asyncio.ensure_future(asyncio.sleep(1))
        workflow.start_activity("echo", start_to_close_timeout=timedelta(seconds=1))

    @workflow.signal(name="open")
    def opens(self) -> None:
        self.is_open = True

    @workflow.signal
    def close(self) -> None:
        self.is_closed = True

    @workflow.update(name="pass")
    async def passes(self, name: str) -> int:
        await workflow.wait_condition(lambda: self.is_open)
        self.names.append(name)
        return len(self.names)

    @workflow.update
    async def call(self, name: str) -> Any:
        return await workflow.execute_activity(name, "from an update", start_to_close_timeout=timedelta(seconds=30))

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: self.is_closed)
        return self.names


@workflow.defn(sandboxed=False)
class EndsWithItsUpdate:
    def __init__(self) -> None:
        self.given: str | None = None

    @workflow.update
    async def finish(self, value: str) -> str:
        self.given = value
        return "finished"

    @workflow.run
    async def run(self) -> str | None:
        await workflow.wait_condition(lambda: self.given is not None)
        return self.given


WORKFLOWS = [Dynamic, EndsWithItsUpdate, Gate, LateHandler]
