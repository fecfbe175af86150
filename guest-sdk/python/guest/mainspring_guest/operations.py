"""What a run has started and awaits: activities, children and messages to other workflows.

A handle is a task: it waits for a future that an event resolves. Where the task is canceled, the host is asked to
cancel, and it is the host's answer that the task ends with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from temporalio import common, exceptions
from wit_world.imports import activities, children, external
from wit_world.imports import types as wit

from .definitions import signal_name
from .failures import from_links
from .wire import value_from_wit, values_to_wit

if TYPE_CHECKING:
    from .run import Run

_Result = TypeVar("_Result")


class TaskHandle(asyncio.Task, Generic[_Result]):
    """A task that can be written with the type of its result."""


async def outcome_of(
    run: Run,
    future: asyncio.Future,
    request_cancel: Callable[[asyncio.CancelledError], None],
    *,
    a_result_is_no_shield: bool = False,
    gives_up_with_the_workflow: bool = False,
) -> Any:
    """The future's result, or its exception, whatever happens to the task that waits.

    A cancellation of the task becomes a request to the host, and the wait goes on. With `a_result_is_no_shield` a
    cancellation that comes together with the result wins; with `gives_up_with_the_workflow` one of the whole workflow
    ends the wait.
    """
    while True:
        try:
            await asyncio.wait([future])
            return future.result()
        except asyncio.CancelledError as error:
            if future.done() and a_result_is_no_shield:
                raise
            request_cancel(error)
            # The cancellation has been dealt with: the next await must not see it again.
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            if gives_up_with_the_workflow and run.cancel_reason is not None:
                raise


class ActivityHandle(TaskHandle[_Result]):
    """What `start_activity` gives."""

    @classmethod
    def start(
        cls,
        run: Run,
        activity_type: str,
        args: Sequence[Any],
        options: activities.ActivityOptions,
        result_type: Any,
    ) -> ActivityHandle:
        operation = run.host.schedule_activity(activity_type, values_to_wit(args), options)
        future = run.loop.create_future()
        handle = cls._of(run, future, lambda: run.host.cancel_activity(operation), f"activity: {activity_type}")
        run.operations[operation] = _Activity(handle, result_type)
        return handle

    @classmethod
    def _of(cls, run: Run, future: asyncio.Future, request_cancel: Callable[[], None], name: str) -> ActivityHandle:
        asked = False

        def ask_once(_error: asyncio.CancelledError | None = None) -> None:
            nonlocal asked
            if not asked:
                asked = True
                request_cancel()

        async def wait() -> Any:
            handle._begun = True
            return await outcome_of(run, future, ask_once, a_result_is_no_shield=True)

        handle = cls(wait(), loop=run.loop, name=name)
        handle._run = run
        handle._begun = False
        handle._future = future
        handle._request_cancel = ask_once
        run.loop.register(handle)
        return handle

    @classmethod
    def of_routine(cls, run: Run, routine: Coroutine[Any, Any, Any], name: str) -> ActivityHandle:
        """A handle of what runs here, such as a local activity."""
        handle = cls(routine, loop=run.loop, name=name)
        handle._run, handle._begun = run, True
        run.loop.register(handle)
        return handle

    def cancel(self, msg: Any = None) -> bool:
        self._run.changes("cancel activity handle")
        # A task that has not begun never sees its cancellation, so the host is asked here.
        if not self._begun and not self.done():
            self._request_cancel()
        return super().cancel(msg)


class _Activity:
    """An activity under way."""

    def __init__(self, handle: ActivityHandle, result_type: Any) -> None:
        self.handle = handle
        self.result_type = result_type

    def resolve(self, outcome: wit.Result) -> None:
        future = self.handle._future
        if future.done():
            return
        try:
            future.set_result(value_from_wit(outcome.value, self.result_type))
        except Exception as error:
            raise RuntimeError("Failed decoding arguments") from error

    def fail(self, links: list[wit.FailureLink]) -> None:
        # Nobody looks at the future of a task that was canceled before it began.
        if self.handle._begun and not self.handle._future.done():
            self.handle._future.set_exception(from_links(links))


class ChildWorkflowHandle(TaskHandle[_Result]):
    """What `start_child_workflow` gives."""

    @property
    def id(self) -> str:
        return self._workflow_id

    @property
    def first_execution_run_id(self) -> str | None:
        return self._first_run_id

    async def signal(
        self,
        signal: str | Callable,
        arg: Any = common._UNSET,
        *,
        args: Sequence[Any] = (),
        event_groups: Any = None,
    ) -> None:
        self._run.changes("signal child handle")
        target = external.Target_Child(self._operation)
        await send_signal(self._run, target, signal_name(signal), common._arg_or_args(arg, args))

    @classmethod
    async def start(
        cls,
        run: Run,
        workflow_type: str,
        args: Sequence[Any],
        workflow_id: str,
        options: children.ChildOptions,
        result_type: Any,
    ) -> ChildWorkflowHandle:
        operation = run.host.start_child(workflow_type, values_to_wit(args), options)
        begun, ended = run.loop.create_future(), run.loop.create_future()

        def request_cancel(_error: asyncio.CancelledError) -> None:
            run.host.cancel_child(operation)

        async def wait() -> Any:
            return await outcome_of(run, ended, request_cancel)

        handle = cls(wait(), loop=run.loop, name=f"child: {workflow_type}")
        handle._run = run
        handle._workflow_id = workflow_id
        handle._first_run_id = "<unknown>"
        handle._operation = operation
        run.loop.register(handle)
        run.operations[operation] = _Child(handle, workflow_type, begun, ended, result_type)
        await outcome_of(run, begun, request_cancel, gives_up_with_the_workflow=True)
        return handle


class _Child:
    """A child under way."""

    def __init__(
        self,
        handle: ChildWorkflowHandle,
        workflow_type: str,
        begun: asyncio.Future,
        ended: asyncio.Future,
        result_type: Any,
    ) -> None:
        self.handle = handle
        self.workflow_type = workflow_type
        self.begun = begun
        self.ended = ended
        self.result_type = result_type

    def begin(self, run_id: str) -> None:
        self.handle._first_run_id = run_id
        self.begun.set_result(None)

    def could_not_begin(self, links: list[wit.FailureLink]) -> None:
        error: BaseException = from_links(links)
        cause = error.__cause__
        if isinstance(cause, exceptions.ApplicationError) and cause.type == "WorkflowExecutionAlreadyStarted":
            error = exceptions.WorkflowAlreadyStartedError(self.handle.id, self.workflow_type)
        self.begun.set_exception(error)
        # Nobody waits for the end of what has not begun.
        self.ended.set_result(None)

    def resolve(self, outcome: wit.Result) -> None:
        try:
            self.ended.set_result(value_from_wit(outcome.value, self.result_type))
        except Exception as error:
            raise RuntimeError("Failed decoding arguments") from error

    def fail(self, links: list[wit.FailureLink]) -> None:
        self.ended.set_exception(from_links(links))


class _Message:
    """A signal or a cancel request to another workflow, under way."""

    def __init__(self, future: asyncio.Future) -> None:
        self.future = future

    def delivered(self, links: list[wit.FailureLink] | None) -> None:
        # A cancel request that nobody awaits any more was sent all the same.
        if self.future.done():
            return
        if links is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(from_links(links))


async def send_signal(run: Run, target: external.Target, name: str, args: Sequence[Any]) -> None:
    operation = run.host.signal(target, name, values_to_wit(args))
    future = run.loop.create_future()
    run.operations[operation] = _Message(future)
    await outcome_of(run, future, lambda _error: run.host.cancel_signal(operation))


async def request_cancel(run: Run, workflow_id: str, run_id: str, reason: str) -> None:
    operation = run.host.request_cancel(workflow_id, run_id, reason)
    future = run.loop.create_future()
    run.operations[operation] = _Message(future)
    # There is no canceling a cancel request.
    await future
