"""One run of a workflow: how events reach it, and how it runs until nothing can move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from temporalio import exceptions
from wit_world.imports import activation
from wit_world.imports import types as wit

from .definitions import ReadOnlyContextError, WorkflowDefinition
from .failures import to_links
from .handlers import Handlers
from .host import Host
from .loop import Loop, timer_summary
from .randomness import HostRandom
from .wire import payloads_from_wit, value_to_wit


class ContinueAsNewError(BaseException):
    """Raised by `continue_as_new`: not an `Exception`, so that nobody catches it by accident."""

    def __init__(self, status: activation.Status_ContinuedAsNew) -> None:
        super().__init__("Continue as new")
        self.status = status


_current: Run | None = None


def current() -> Run:
    """The run of this instance.

    Raises:
        RuntimeError: there is none, so this is no workflow.
    """
    if _current is None:
        raise RuntimeError("Not in workflow event loop")
    return _current


def maybe_current() -> Run | None:
    return _current


class Run:
    def __init__(self, definition: WorkflowDefinition, host: Host, random: HostRandom) -> None:
        global _current
        self.definition = definition
        self.host = host
        self.random = random
        self.loop = Loop(self)
        self.handlers = Handlers(self)
        self.instance: Any = None
        # What has been started and is not over, by the host's numbers.
        self.operations: dict[int, Any] = {}
        self.timers: dict[int, Any] = {}
        self.patches: dict[str, bool] = {}
        self.current_details = ""
        self.cancel_reason: str | None = None
        # An error that is none of the workflow's doing: the host tries the task again.
        self.task_failure: BaseException | None = None
        self.update_was_accepted = False
        self._main: asyncio.Task | None = None
        self._is_read_only = False
        self._outcome: Any = None
        self._now: wit.Datetime | None = None
        self._activities = 0
        _current = self

    # Activations.

    def start(self, input: Sequence[wit.Payload]) -> activation.Status:
        self._begin_activation()
        try:
            args = self.definition.arguments.read(payloads_from_wit(input))
        except Exception as error:
            return activation.Status_Failed(to_links(self._unreadable_input(error)))
        asyncio._set_running_loop(self.loop)
        try:
            self.instance = self.definition.cls(*(args if self.definition.takes_arguments_at_init else ()))
        except Exception as error:
            if not self.is_failure_exception(error):
                raise
            return activation.Status_Failed(to_links(error))
        finally:
            asyncio._set_running_loop(None)
        self._main = self.loop.create_task(self.top_level(self._run(args)), name="run")
        self.loop.run_until_blocked(check_conditions=lambda: True)
        return self._status()

    def _unreadable_input(self, error: Exception) -> exceptions.ApplicationError:
        reasons, cause = [], error
        while cause is not None:
            reasons.append(str(cause))
            cause = cause.__cause__
        return exceptions.ApplicationError(
            f"the arguments of {self.definition.name} cannot be read: {': '.join(reasons)}",
            type="PayloadConversionError",
            non_retryable=True,
        )

    async def _run(self, args: list[Any]) -> None:
        result = await self.definition.run_fn(self.instance, *args)
        self._end(activation.Status_Completed([value_to_wit(result)]))

    def resume(self, events: Sequence[activation.Event]) -> activation.Status:
        self._begin_activation()
        # As Temporal's SDK has it: signals and updates first, and what they wake; then everything else.
        messages = [event for event in events if isinstance(event, _MESSAGES)]
        others = [event for event in events if not isinstance(event, _MESSAGES)]
        for part in (messages, others):
            for event in part:
                self._apply(event)
            if part:
                # An update that is refused leaves no trace, so nothing may come of its having been looked at.
                only_updates = all(isinstance(event, activation.Event_UpdateRequested) for event in part)
                self.loop.run_until_blocked(
                    check_conditions=lambda only_updates=only_updates: not only_updates or self.update_was_accepted
                )
        return self._status()

    def answer(self, query: activation.Query) -> wit.Payload:
        """Raises whatever the handler raises."""
        self._begin_activation()
        task = self.loop.create_task(self.handlers.answer(query), name=f"query: {query.name}")
        self.loop.run_until_blocked(check_conditions=lambda: False)
        if not task.done():
            raise RuntimeError(f"Query handler for '{query.name}' waits, and nothing can wake it")
        return task.result()

    def _begin_activation(self) -> None:
        self._now = None
        self.update_was_accepted = False

    def _apply(self, event: activation.Event) -> None:
        match event:
            case activation.Event_ActivityResolved((operation, outcome)):
                self._resolve(operation, outcome)
            case activation.Event_TimerFired(operation):
                self.loop.timer_fired(operation)
            case activation.Event_SignalReceived(signal):
                self.handlers.signal_received(signal)
            case activation.Event_UpdateRequested(update):
                self.handlers.update_requested(update)
            case activation.Event_ChildResolved((operation, outcome)):
                self._resolve(operation, outcome)
            case activation.Event_ChildStarted((operation, outcome)):
                if isinstance(outcome, wit.Err):
                    self.operations.pop(operation).could_not_begin(outcome.value)
                else:
                    self.operations[operation].begin(outcome.value)
            case activation.Event_ExternalResolved((operation, failure)):
                self.operations.pop(operation).delivered(failure)
            case activation.Event_CancelRequested(reason):
                self.cancel_reason = reason
                if self._main is not None:
                    self.loop.call_soon(self._main.cancel)
            case _:
                raise RuntimeError(f"an event of a kind that this SDK does not know: {event!r}")

    def _resolve(self, operation: int, outcome: Any) -> None:
        resolved = self.operations.pop(operation)
        if isinstance(outcome, wit.Err):
            resolved.fail(outcome.value)
        else:
            resolved.resolve(outcome)

    def _status(self) -> activation.Status:
        if self._outcome is None:
            return activation.Status_Blocked()
        outcome, self._outcome = self._outcome, None
        return outcome

    # The end.

    async def top_level(self, routine: Awaitable[None]) -> None:
        """The main routine, or a signal's handler: what it raises is the workflow's end."""
        try:
            await routine
        except ContinueAsNewError as continuation:
            self._end(continuation.status)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError):
                error = exceptions.CancelledError(str(error))
            if self.cancel_reason is not None and exceptions.is_cancelled_exception(error):
                self._end(activation.Status_Canceled([]))
            elif self.is_failure_exception(error):
                self._end(activation.Status_Failed(to_links(error)))
            else:
                self.task_failure = error

    def _end(self, outcome: activation.Status) -> None:
        """The first to end the run does; what is asked of the host after that is left unsaid."""
        if not self.host.closed:
            self.handlers.warn_of_unfinished()
            self._outcome = outcome
            self.host.closed = True

    def is_failure_exception(self, error: BaseException) -> bool:
        """Whether this fails the workflow, and not only the task."""
        return isinstance(
            error, (exceptions.FailureError, asyncio.TimeoutError, *self.definition.failure_exception_types)
        )

    @staticmethod
    def is_continuation(error: BaseException) -> bool:
        return isinstance(error, ContinueAsNewError)

    # Reading only.

    @contextmanager
    def read_only(self) -> Iterator[None]:
        before, self._is_read_only = self._is_read_only, True
        try:
            yield
        finally:
            self._is_read_only = before

    @property
    def is_read_only(self) -> bool:
        return self._is_read_only

    def changes(self, action: str) -> None:
        """Raises ReadOnlyContextError where nothing may change."""
        if self._is_read_only:
            raise ReadOnlyContextError(f"While in read-only function, action attempted: {action}")

    # What a workflow asks for.

    def time_ns(self) -> int:
        if self._now is None:
            self._now = self.host.now()
        return self._now.seconds * 1_000_000_000 + self._now.nanoseconds

    def next_activity_number(self) -> int:
        """Activities are numbered among themselves, as in Temporal's SDK: it is where their ids come from."""
        self._activities += 1
        return self._activities

    def patched(self, patch_id: str, *, deprecated: bool) -> bool:
        self.changes("patch")
        known = self.patches.get(patch_id)
        if known is None:
            if deprecated:
                self.host.deprecate_patch(patch_id)
                known = True
            else:
                known = self.host.patched(patch_id)
            self.patches[patch_id] = known
        return known

    async def sleep(self, seconds: float, summary: str | None = None) -> None:
        future = self.loop.create_future()
        timer = self.loop.start_timer(
            seconds, summary, lambda: None if future.done() else future.set_result(None), ()
        )
        future.add_done_callback(lambda it: timer.cancel() if it.cancelled() else None)
        await future

    async def wait_condition(self, condition: Callable[[], bool], timeout: float | None, summary: str | None) -> None:
        self.changes("wait condition")
        future = self.loop.create_future()
        self.loop.conditions.append((condition, future))

        token = timer_summary.set(summary)
        try:
            await asyncio.wait_for(future, timeout)
        finally:
            timer_summary.reset(token)

    def continue_as_new(
        self,
        workflow_type: str | None,
        args: Sequence[Any],
        **options: Any,
    ) -> NoReturn:
        self.changes("continue as new")
        input = [value_to_wit(arg) for arg in args]
        continuation = activation.Continuation(workflow_type=workflow_type, input=input, header=[], **options)
        raise ContinueAsNewError(activation.Status_ContinuedAsNew(continuation))


# What an event of another workflow or of a client is.
_MESSAGES = (activation.Event_SignalReceived, activation.Event_UpdateRequested)
