"""Signals, queries, updates, children, and what a run says of itself."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    import activities

TEN_SECONDS = timedelta(seconds=10)


@dataclass
class Item:
    name: str
    price: float
    tags: list[str] = field(default_factory=list)


@workflow.defn
class Cart:
    """Signals with dataclasses, queries, and a wait for a condition."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.is_ordered = False

    @workflow.run
    async def run(self, limit: float) -> dict:
        await workflow.wait_condition(lambda: self.is_ordered or self.total() > limit)
        return {"total": self.total(), "names": [item.name for item in self.items], "ordered": self.is_ordered}

    @workflow.signal
    def add(self, item: Item) -> None:
        self.items.append(item)

    @workflow.signal(name="add-many")
    async def add_many(self, items: list[Item], pause_s: float) -> None:
        for item in items:
            await asyncio.sleep(pause_s)
            self.items.append(item)

    @workflow.signal
    def order(self) -> None:
        self.is_ordered = True

    @workflow.query
    def total(self) -> float:
        return sum(item.price for item in self.items)

    @workflow.query(name="by-tag", description="The items that have this tag.")
    def by_tag(self, tag: str) -> list[Item]:
        return [item for item in self.items if tag in item.tags]

    @workflow.query
    def fails(self) -> None:
        raise ApplicationError("cannot say", "detail", type="Secret")


@workflow.defn
class Account:
    """Updates with a validator, handlers that wait, and an `__init__` that takes the input."""

    @workflow.init
    def __init__(self, balance: int) -> None:
        self.balance = balance
        self.lock = asyncio.Lock()
        self.is_closed = False
        self.log: list[str] = []

    @workflow.run
    async def run(self, balance: int) -> list:
        assert self.balance == balance or self.log
        await workflow.wait_condition(lambda: self.is_closed)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return [self.balance, self.log]

    @workflow.update
    async def withdraw(self, amount: int) -> int:
        async with self.lock:
            self.log.append(f"begin {amount}")
            change = await workflow.execute_activity(
                activities.add_up, args=[self.balance, -amount], start_to_close_timeout=TEN_SECONDS
            )
            self.balance = change
            self.log.append(f"end {amount}")
            return self.balance

    @withdraw.validator
    def may_withdraw(self, amount: int) -> None:
        if amount > self.balance:
            raise ApplicationError(f"{amount} is more than there is", type="Overdrawn")

    @workflow.update(name="who-am-i")
    def who(self) -> list[str]:
        info = workflow.current_update_info()
        return [info.name, info.id]

    @workflow.update
    async def break_down(self) -> None:
        await asyncio.sleep(0.01)
        raise ApplicationError("broken", type="Broken")

    @workflow.signal
    def close(self) -> None:
        self.is_closed = True


@workflow.defn
class AnyMessage:
    """Dynamic handlers, and some that are set while the workflow runs."""

    def __init__(self) -> None:
        self.seen: list = []
        self.is_done = False

    @workflow.run
    async def run(self) -> list:
        await workflow.wait_condition(lambda: len(self.seen) >= 2)
        workflow.set_signal_handler("late", self.late)
        workflow.set_query_handler("count", lambda: len(self.seen))
        workflow.set_update_handler("finish", self.finish, validator=self.may_finish)
        await workflow.wait_condition(lambda: self.is_done)
        return self.seen

    @workflow.signal(dynamic=True)
    def anything(self, name: str, args: Sequence[RawValue]) -> None:
        values = [workflow.payload_converter().from_payload(arg.payload) for arg in args]
        self.seen.append([name, values])

    @workflow.query(dynamic=True)
    def ask(self, name: str, args: Sequence[RawValue]) -> str:
        return f"{name} with {len(args)}"

    @workflow.update(dynamic=True)
    def change(self, name: str, args: Sequence[RawValue]) -> str:
        self.seen.append([name, "updated"])
        return name

    def late(self, value: int) -> None:
        self.seen.append(["late", value])

    def finish(self, word: str) -> str:
        self.is_done = True
        return word.upper()

    def may_finish(self, word: str) -> None:
        if not word:
            raise ValueError("a word, please")


@workflow.defn
class Mailbox:
    """A queue between handlers and the main routine."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    @workflow.run
    async def run(self, timeout_s: float) -> list[str]:
        taken = []
        while True:
            try:
                taken.append(await asyncio.wait_for(self.queue.get(), timeout_s))
            except asyncio.TimeoutError:
                return taken
            if taken[-1] == "stop":
                return taken

    @workflow.signal
    async def put(self, value: str) -> None:
        await self.queue.put(value)


@workflow.defn
class Deadline:
    """Waits for somebody, but not for ever."""

    def __init__(self) -> None:
        self.answer: str | None = None

    @workflow.run
    async def run(self, seconds: float) -> str:
        try:
            await workflow.wait_condition(
                lambda: self.answer is not None, timeout=timedelta(seconds=seconds), timeout_summary="the deadline"
            )
        except asyncio.TimeoutError:
            return "nobody answered"
        return self.answer

    @workflow.signal
    def reply(self, answer: str) -> None:
        self.answer = answer


@workflow.defn
class LetsThroughATimeout:
    """A timeout that nobody catches fails the workflow."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False, timeout=0.01)


@workflow.defn
class Parent:
    """Children: one after the other, at once, by name, and one that fails."""

    @workflow.run
    async def run(self, numbers: list[int]) -> dict:
        first = await workflow.execute_child_workflow(
            Square.run, numbers[0], id=f"{workflow.info().workflow_id}/first"
        )
        rest = await asyncio.gather(
            *(
                workflow.execute_child_workflow(
                    "Square", number, result_type=int, id=f"{workflow.info().workflow_id}/{number}"
                )
                for number in numbers[1:]
            )
        )
        try:
            await workflow.execute_child_workflow(
                Square.run, -1, id=f"{workflow.info().workflow_id}/bad", retry_policy=RetryPolicy(maximum_attempts=2)
            )
        except ChildWorkflowError as error:
            failed = [str(error), error.workflow_type, str(error.cause), error.retry_state.name]
        return {"first": first, "rest": rest, "failed": failed}


@workflow.defn
class Square:
    @workflow.run
    async def run(self, number: int) -> int:
        if number < 0:
            raise ApplicationError("negative", type="BadNumber")
        await asyncio.sleep(0.001)
        return number * number


@workflow.defn
class Employer:
    """A handle of a child: its ids, signals to it, and an id that is taken."""

    @workflow.run
    async def run(self) -> list:
        own_id = workflow.info().workflow_id
        child = await workflow.start_child_workflow(Cart.run, 1000.0, id=f"{own_id}/cart")
        await child.signal(Cart.add, Item("pen", 2.5, ["office"]))
        taken = "no"
        try:
            await workflow.start_child_workflow(Cart.run, 1.0, id=f"{own_id}/cart")
        except WorkflowAlreadyStartedError as error:
            taken = f"{error}: {error.workflow_type}"
        await child.signal("order")
        return [child.id == f"{own_id}/cart", await child, taken]


@workflow.defn
class Impatient:
    """Cancels a child, with its result; and starts another one that outlives it."""

    @workflow.run
    async def run(self) -> list:
        own_id = workflow.info().workflow_id
        child = await workflow.start_child_workflow(Deadline.run, 60.0, id=f"{own_id}/child")
        child.cancel()
        told = []
        try:
            await child
        except ChildWorkflowError as error:
            told.append(type(error.cause).__name__)
        await workflow.start_child_workflow(
            Square.run,
            3,
            id=f"{own_id}/left",
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
        )
        return told


@workflow.defn
class Messenger:
    """Tells another workflow something, cancels it, and meets one that is not there."""

    @workflow.run
    async def run(self, other_id: str) -> list[str]:
        other = workflow.get_external_workflow_handle_for(Deadline.run, other_id)
        await other.signal(Deadline.reply, "from the messenger")
        told = []
        try:
            await workflow.get_external_workflow_handle("nobody").signal("reply", "hello")
        except ApplicationError as error:
            told.append(str(error))
        try:
            await workflow.get_external_workflow_handle("nobody").cancel()
        except ApplicationError as error:
            told.append(str(error))
        return told


@workflow.defn
class Relay:
    """Goes on as new until it has run often enough, and takes its state along."""

    @workflow.run
    async def run(self, laps: int, log: list[str] | None = None) -> list[str]:
        log = [*(log or []), f"lap {laps}"]
        await asyncio.sleep(0.001)
        if laps == 0:
            return [*log, workflow.memo_value("team", "none")]
        workflow.continue_as_new(args=[laps - 1, log], memo={"team": "blue"})


@workflow.defn
class Busy:
    """Ends while handlers of it are running; of one of them it is said that it does not matter."""

    def __init__(self) -> None:
        self.is_over = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.is_over)
        return "over"

    @workflow.signal
    async def linger(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.signal(unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)
    async def linger_quietly(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def linger_long(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def end(self) -> None:
        self.is_over = True
