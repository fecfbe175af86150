"""What a run knows of itself, values and their types, changes of the code, chance, and how routines take turns."""

import asyncio
import random
import time
import uuid
from datetime import datetime, timedelta, timezone

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    import activities
    from values import Box, Colour, Size

TEN_SECONDS = timedelta(seconds=10)
KEYWORD = SearchAttributeKey.for_keyword("CustomKeywordField")
NUMBER = SearchAttributeKey.for_int("CustomIntField")


@workflow.defn
class Values:
    """Types of every kind come back as what they were."""

    @workflow.run
    async def run(self, box: Box, count: int | None, nothing: None) -> dict:
        checks = [
            isinstance(box.colour, Colour),
            isinstance(box.size, Size),
            isinstance(box.made, datetime),
            isinstance(box.id, uuid.UUID),
            isinstance(box.tags, set),
            isinstance(box.pair, tuple),
            isinstance(box.inner, Box) and box.inner.inner is None,
            list(box.by_number) == [1, 20],
            all(isinstance(number, float) for number in box.by_number[1]),
            nothing is None,
        ]
        for it in (box, box.inner):
            it.tags = set(sorted(it.tags)[:1])  # more have no order
        return {"checks": checks, "box": box, "count": count, "now": workflow.now().tzinfo == timezone.utc}


@workflow.defn
class Bytes:
    @workflow.run
    async def run(self, data: bytes) -> bytes:
        return await workflow.execute_activity("echo", data[::-1], start_to_close_timeout=TEN_SECONDS)


@workflow.defn
class Self:
    """What `info` says."""

    @workflow.run
    async def run(self) -> dict:
        info = workflow.info()
        return {
            "workflow_id": info.workflow_id,
            "type": info.workflow_type,
            "namespace": info.namespace,
            "queue": info.task_queue,
            "attempt": info.attempt,
            "execution_timeout": info.execution_timeout and info.execution_timeout.total_seconds(),
            "run_timeout": info.run_timeout and info.run_timeout.total_seconds(),
            "task_timeout": info.task_timeout.total_seconds(),
            "parent": info.parent and info.parent.workflow_id,
            "root": info.root and info.root.workflow_id,
            "first_run_is_this": info.first_execution_run_id == info.run_id,
            "history_length": info.get_current_history_length(),
            "suggested": info.is_continue_as_new_suggested(),
            "memo": dict(workflow.memo()),
            "note": workflow.memo_value("note", "none"),
            "in_workflow": workflow.in_workflow(),
            "instance": workflow.instance() is self,
            "last_result": workflow.get_last_completion_result(),
        }


@workflow.defn
class Labels:
    """Search attributes and memo, read and changed."""

    @workflow.run
    async def run(self) -> dict:
        workflow.upsert_search_attributes([KEYWORD.value_set("first"), NUMBER.value_set(7)])
        workflow.upsert_memo({"note": "changed", "list": [1, 2]})
        await asyncio.sleep(0.001)
        workflow.upsert_search_attributes([NUMBER.value_unset(), KEYWORD.value_set("second")])
        workflow.upsert_memo({"list": None})
        attributes = workflow.info().typed_search_attributes
        return {
            "keyword": attributes.get(KEYWORD),
            "number": attributes.get(NUMBER),
            "memo": dict(sorted(workflow.memo().items())),
        }


@workflow.defn
class Patched:
    """A new run takes the new path of each change, once."""

    @workflow.run
    async def run(self) -> list:
        path = ["new" if workflow.patched("greeting") else "old"]
        workflow.deprecate_patch("farewell")
        await asyncio.sleep(0.001)
        path.append("new" if workflow.patched("greeting") else "old")
        return path


@workflow.defn
class Details:
    """What people see of it."""

    def __init__(self) -> None:
        self.is_done = False

    @workflow.run
    async def run(self) -> str:
        workflow.logger.info("waiting for %s", "somebody", extra={"who": "somebody"})
        workflow.set_current_details("**waiting**")
        await workflow.wait_condition(lambda: self.is_done)
        workflow.set_current_details("done")
        return workflow.get_current_details()

    @workflow.signal(description="Ends it.")
    def done(self) -> None:
        self.is_done = True

    @workflow.query
    def tries_to_change(self) -> None:
        workflow.set_current_details("changed by a query")


@workflow.defn
class TakingTurns:
    """In which order routines run is part of what a workflow does."""

    @workflow.run
    async def run(self) -> list[str]:
        log: list[str] = []
        gate, lock, few = asyncio.Event(), asyncio.Lock(), asyncio.Semaphore(2)

        async def walker(name: str) -> None:
            log.append(f"{name} starts")
            await gate.wait()
            async with lock:
                log.append(f"{name} has the lock")
                await asyncio.sleep(0)
            async with few:
                log.append(f"{name} is one of two")
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            log.append(f"{name} ends")

        tasks = [asyncio.create_task(walker(name)) for name in "abcd"]
        await asyncio.sleep(0)
        log.append("opening")
        gate.set()
        await workflow.wait_condition(lambda: sum(line.endswith("ends") for line in log) >= 2)
        log.append("half of them are done")
        await asyncio.gather(*tasks)
        return log


@workflow.defn
class GroupThatFails:
    """One of a group fails, and the others are canceled."""

    @workflow.run
    async def run(self) -> list[str]:
        log: list[str] = []

        async def good() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                log.append("canceled")
                raise

        async def bad() -> None:
            await asyncio.sleep(0.001)
            raise RuntimeError("bad")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(good())
                group.create_task(bad())
        except* RuntimeError as errors:
            log.extend(str(error) for error in errors.exceptions)
        return log


@workflow.defn(sandboxed=False)
class Chance:
    """All that differs from run to run, and must not differ in a replay of one: every activity is told all of it."""

    @workflow.run
    async def run(self, rounds: int) -> list[dict]:
        told = []
        for _ in range(rounds):
            facts = self.facts()
            told.append(
                await workflow.execute_activity("echo", facts, start_to_close_timeout=TEN_SECONDS, result_type=dict)
            )
        return told

    def facts(self) -> dict:
        chance = workflow.random()
        words = {f"word {number}" for number in range(20)}
        letters = list("abcdefgh")
        chance.shuffle(letters)

        class Thing:
            pass

        things = {Thing(): number for number in range(10)}
        return {
            "random": chance.random(),
            "dice": [chance.randint(1, 6) for _ in range(10)],
            "letters": letters,
            "uuid": str(workflow.uuid4()),
            "uuid7": str(workflow.uuid7()),
            "stream": workflow.new_random("beside").random(),
            "module_random": random.random(),
            "module_choice": random.choice(letters),
            "module_uuid": str(uuid.uuid4()),
            "now": workflow.now().isoformat(),
            "clock": [time.time(), time.monotonic(), datetime.now(timezone.utc).isoformat()],
            "set": list(words),
            "set_of_objects": [things[thing] for thing in set(things)],
            "hash": hash("a string"),
            "dict": {word: number for number, word in enumerate(words)},
            "repr": repr(object()),
        }


@workflow.defn
class Bug:
    @workflow.run
    async def run(self) -> str:
        return {}["lost"]


@workflow.defn(sandboxed=False)
class Forbidden:
    """Tries what a workflow cannot do."""

    @workflow.run
    async def run(self, what: str) -> str:
        import socket
        import subprocess
        import threading

        if what == "socket":
            socket.create_connection(("localhost", 80))
        elif what == "socket object":
            socket.socket()
        elif what == "thread":
            threading.Thread(target=print).start()
        elif what == "executor":
            await asyncio.get_running_loop().run_in_executor(None, print)
        elif what == "to_thread":
            await asyncio.to_thread(print)
        elif what == "file":
            open("/etc/passwd")
        elif what == "subprocess":
            subprocess.run(["true"])
        elif what == "sleep":
            time.sleep(1)
        elif what == "absent":
            activities.grpc.insecure_channel("localhost:80")
        return "possible"
