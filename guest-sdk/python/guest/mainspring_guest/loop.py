"""The event loop of a run: a queue of what is awake, first in, first out, and timers that are durable.

It never waits. It runs until nothing is awake, and then the activation is over. Nothing in it depends on real time,
on hash order or on addresses.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import logging
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .unavailable import not_available

if TYPE_CHECKING:
    from .run import Run

logger = logging.getLogger("temporalio.workflow")

# The summary of the timers that the code of this context starts.
timer_summary: contextvars.ContextVar[str | None] = contextvars.ContextVar("timer_summary", default=None)


class Timer(asyncio.TimerHandle):
    """A timer that the host has. Canceling it is canceling that one."""

    def __init__(
        self,
        operation: int,
        when: float,
        callback: Callable[..., Any],
        args: tuple,
        loop: Loop,
        context: contextvars.Context | None,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self.operation = operation


class Loop(asyncio.AbstractEventLoop):
    def __init__(self, run: Run) -> None:
        self.run = run
        self.ready: collections.deque[asyncio.Handle] = collections.deque()
        self.conditions: list[tuple[Callable[[], bool], asyncio.Future]] = []
        # Python itself keeps only weak references to tasks.
        self.tasks: dict[asyncio.Task, None] = {}
        self._exception_handler: Callable | None = None

    def run_until_blocked(self, *, check_conditions: Callable[[], bool]) -> None:
        """Runs until nothing is awake and no condition has become true.

        Raises:
            what a routine raised that fails the workflow task.
        """
        asyncio._set_running_loop(self)
        try:
            while self.ready:
                while self.ready:
                    self.ready.popleft()._run()
                    if self.run.task_failure is not None:
                        raise self.run.task_failure
                if self.conditions and check_conditions():
                    self.conditions[:] = [
                        condition for condition in self.conditions if not self._is_met(*condition)
                    ]
        finally:
            asyncio._set_running_loop(None)

    @staticmethod
    def _is_met(condition: Callable[[], bool], waiter: asyncio.Future) -> bool:
        """Whether nobody has to look at it again: also where who waited has gone."""
        if waiter.done():
            return True
        if condition():
            waiter.set_result(None)
            return True
        return False

    # What tasks and futures ask of a loop.

    def call_soon(self, callback, *args, context=None) -> asyncio.Handle:
        self.run.changes("schedule task")
        handle = asyncio.Handle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    def call_later(self, delay, callback, *args, context=None) -> asyncio.TimerHandle:
        return self.start_timer(delay, timer_summary.get(), callback, args, context)

    def call_at(self, when, callback, *args, context=None) -> asyncio.TimerHandle:
        # `asyncio.timeout` adds to `time()`, and a float does not hold the nanoseconds of today: what is meant is
        # the delay, to the millisecond.
        return self.call_later(round(when - self.time(), 3), callback, *args, context=context)

    def start_timer(self, delay: float, summary: str | None, callback, args: tuple, context=None) -> Timer:
        self.run.changes("schedule timer")
        if delay < 0:
            raise RuntimeError("Attempting to schedule timer with negative delay")
        operation = self.run.host.start_timer(int(delay * 1_000_000_000), summary)
        timer = Timer(operation, self.time() + delay, callback, args, self, context)
        self.run.timers[operation] = timer
        return timer

    def timer_fired(self, operation: int) -> None:
        """One that was canceled by the same activation is gone."""
        timer = self.run.timers.pop(operation, None)
        if timer is not None:
            self.ready.append(timer)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if isinstance(handle, Timer) and self.run.timers.pop(handle.operation, None) is not None:
            self.run.changes("cancel timer")
            self.run.host.cancel_timer(handle.operation)

    def time(self) -> float:
        return self.run.time_ns() / 1e9

    def create_future(self) -> asyncio.Future:
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None, **_options) -> asyncio.Task:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        return self.register(task)

    def register(self, task: asyncio.Task) -> asyncio.Task:
        self.run.changes("create task")
        self.tasks[task] = None
        task.add_done_callback(self._forget)
        task._log_destroy_pending = False
        return task

    def _forget(self, task: asyncio.Task) -> None:
        self.tasks.pop(task, None)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def get_task_factory(self) -> None:
        return None

    def get_exception_handler(self) -> Callable | None:
        return self._exception_handler

    def set_exception_handler(self, handler: Callable | None) -> None:
        self._exception_handler = handler

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        handler = self._exception_handler or (lambda _loop, context: self.default_exception_handler(context))
        handler(self, context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        lines = [context.get("message") or "Unhandled exception in event loop"]
        lines += [f"{key}: {context[key]!r}" for key in sorted(context) if key not in ("message", "exception")]
        exception = context.get("exception")
        if exception is not None:
            lines.append("".join(traceback.format_exception(exception)).rstrip())
        logger.error("\n".join(lines))

    # What leads out of the sandbox.

    def run_in_executor(self, executor, func, *args):
        not_available("loop.run_in_executor (a thread)")

    def call_soon_threadsafe(self, callback, *args, context=None):
        not_available("loop.call_soon_threadsafe (a thread)", "there is one thread only")

    def run_until_complete(self, future):
        raise RuntimeError("This event loop is already running")

    def run_forever(self):
        raise RuntimeError("This event loop is already running")

    async def create_connection(self, *_args, **_kwargs):
        not_available("a network connection")

    async def create_server(self, *_args, **_kwargs):
        not_available("a network server")

    async def getaddrinfo(self, *_args, **_kwargs):
        not_available("a name lookup")

    async def subprocess_exec(self, *_args, **_kwargs):
        not_available("a subprocess")

    subprocess_shell = subprocess_exec
    create_datagram_endpoint = create_unix_connection = create_connection
