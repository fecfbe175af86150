"""Practice, when the module is built: a small workflow is run some times over, on a host that is none.

CPython rewrites its bytecode for what it meets, caches what it looks up, and makes some things only when they are first
needed. What happens here need not happen in each instance, where it would take time, and pages of memory that
instances could share.
"""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from wit_world.imports import activation
from wit_world.imports import types as wit

from . import definitions, run
from .host import Host
from .randomness import HostRandom
from .wire import value_to_wit

# Bytecode is rewritten after a few rounds; more change nothing.
_ROUNDS = 30
_SECOND = timedelta(seconds=1)


class _NoHost(Host):
    """Takes everything, and gives out numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)

    def start_timer(self, after_ns, summary):
        return next(self._numbers)

    def schedule_activity(self, activity_type, args, options):
        return next(self._numbers)

    def start_child(self, workflow_type, args, options):
        return next(self._numbers)

    def now(self):
        return wit.Datetime(1_700_000_000, 0)

    def log(self, level, message, fields): ...

    def cancel_timer(self, operation): ...

    def cancel_activity(self, operation): ...

    def accept_update(self, number): ...

    def complete_update(self, number, outcome): ...


class _Practice:
    """As much as most workflows do."""

    def __init__(self) -> None:
        self.values: list[str] = []

    @workflow.run
    async def run(self, order: dict) -> str:
        policy = RetryPolicy(maximum_attempts=3)
        first = await workflow.execute_activity(
            "one", args=[order["amount"], order], start_to_close_timeout=_SECOND, retry_policy=policy
        )
        await workflow.sleep(1)
        await workflow.wait_condition(lambda: bool(self.values), timeout=1)
        calls = [workflow.execute_activity("two", word, start_to_close_timeout=_SECOND) for word in self.values]
        try:
            await asyncio.gather(*calls)
        except ActivityError as error:
            raise ApplicationError(f"not {first}", type="Practice") from error
        return first

    @workflow.signal
    def tell(self, value: str) -> None:
        self.values.append(value)

    @workflow.query
    def told(self) -> list[str]:
        return self.values

    @workflow.update
    async def change(self, value: str) -> str:
        return value


def practise() -> None:
    definition = definitions._define(_Practice, "_Practice", ())
    for number in range(_ROUNDS):
        _once(run.Run(definition, _NoHost(), HostRandom()), fails=number % 2 == 0)
    run._current = None


def _once(it: run.Run, *, fails: bool) -> None:
    order, word = value_to_wit({"amount": 1.5, "user": "u"}), value_to_wit("word")
    statuses = [
        it.start([order]),
        it.resume([activation.Event_ActivityResolved((1, wit.Ok([word])))]),
        it.resume([activation.Event_TimerFired(2)]),
        it.resume([activation.Event_UpdateRequested(activation.Update(1, "id", "change", [word], "", [], True))]),
        it.resume([activation.Event_SignalReceived(activation.Signal("tell", [word], "", []))]),
    ]
    assert all(isinstance(status, activation.Status_Blocked) for status in statuses)
    it.answer(activation.Query("told", [], []))
    ended = it.resume([activation.Event_ActivityResolved((4, _failure() if fails else wit.Ok([word])))])
    assert isinstance(ended, activation.Status_Failed if fails else activation.Status_Completed)


def _failure() -> wit.Err:
    activity = wit.ActivityFailure(1, 2, "", "two", "2", wit.RetryState.NON_RETRYABLE_FAILURE)
    application = wit.ApplicationFailure("Type", True, [], None)
    return wit.Err(
        [
            wit.FailureLink("Activity task failed", "", "", wit.FailureKind_Activity(activity), None),
            wit.FailureLink("message", "", "", wit.FailureKind_Application(application), None),
        ]
    )
