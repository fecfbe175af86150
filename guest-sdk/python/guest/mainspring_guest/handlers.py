"""Signals, updates and queries: what handles them, and the routines that they run as."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from componentize_py_types import Err, Ok
from temporalio import exceptions
from temporalio.common import RawValue
from wit_world.imports import activation, log
from wit_world.imports import types as wit

from .definitions import Handler, HandlerUnfinishedPolicy, ReadOnlyContextError, UpdateInfo, current_update
from .failures import to_links
from .metadata import BUILT_IN_QUERIES
from .wire import CONVERTER, payloads_from_wit, value_to_wit

if TYPE_CHECKING:
    from .run import Run


@dataclass
class _Running:
    """A handler that has not finished."""

    name: str
    policy: HandlerUnfinishedPolicy
    update_id: str | None = None


class Handlers:
    """The handlers of one run: those of its class, and those that it has set since."""

    def __init__(self, run: Run) -> None:
        self.run = run
        definition = run.definition
        # By name; the dynamic one has none.
        self.signals: dict[str | None, Handler] = dict(definition.signals)
        self.queries: dict[str | None, Handler] = dict(definition.queries)
        self.updates: dict[str | None, Handler] = dict(definition.updates)
        self._unhandled_signals: dict[str, list[activation.Signal]] = {}
        self._running: dict[object, _Running] = {}

    def all_finished(self) -> bool:
        return not self._running

    def bound(self, handler: Handler | None) -> Callable | None:
        if handler is None:
            return None
        return functools.partial(handler.fn, self.run.instance) if handler.is_method else handler.fn

    async def _call(self, handler: Handler, args: list[Any]) -> Any:
        result = self.bound(handler)(*args)
        return await result if inspect.iscoroutinefunction(handler.fn) else result

    def _args(self, handler: Handler, name: str, payloads: list[wit.Payload]) -> list[Any]:
        given = payloads_from_wit(payloads)
        if handler.name is None and handler.takes_raw_values:
            return [name, [RawValue(payload) for payload in given]]
        if handler.name is None:
            return [name, *CONVERTER.from_payloads(given)]
        return handler.read_args(given)

    # Signals.

    def set_signal(self, name: str | None, handler: Handler | None) -> None:
        if handler is None:
            self.signals.pop(name, None)
            return
        self.signals[name] = handler
        # Those that came before there was a handler.
        for waiting in [name] if name is not None else list(self._unhandled_signals):
            for signal in self._unhandled_signals.pop(waiting, []):
                self._begin_signal(handler, signal)

    def signal_received(self, signal: activation.Signal) -> None:
        handler = self.signals.get(signal.name) or self.signals.get(None)
        if handler is None:
            self._unhandled_signals.setdefault(signal.name, []).append(signal)
        else:
            self._begin_signal(handler, signal)

    def _begin_signal(self, handler: Handler, signal: activation.Signal) -> None:
        try:
            args = self._args(handler, signal.name, signal.input)
        except Exception as error:
            message = f"Failed deserializing signal input for {signal.name}, dropping the signal: {_reasons(error)}"
            self.run.host.log(log.Level.ERROR, message, [("signal", signal.name)])
            return
        key = object()
        self._running[key] = _Running(signal.name, handler.unfinished_policy)
        task = self.run.loop.create_task(
            self.run.top_level(self._call_again(signal.name, handler, args)), name=f"signal: {signal.name}"
        )
        task.add_done_callback(lambda _task: self._running.pop(key, None))

    async def _call_again(self, name: str, handler: Handler, args: list[Any]) -> None:
        # The handler may have been replaced since the signal came.
        await self._call(self.signals.get(name) or self.signals.get(None) or handler, args)

    # Updates.

    def set_update(self, name: str | None, handler: Handler | None) -> None:
        if handler is None:
            self.updates.pop(name, None)
        else:
            self.updates[name] = handler

    def update_requested(self, update: activation.Update) -> None:
        self.run.loop.create_task(self._update(update), name=f"update: {update.name}")

    async def _update(self, update: activation.Update) -> None:
        run = self.run
        current_update.set(UpdateInfo(id=update.id, name=update.name))
        accepted = False
        try:
            # Looked up here: the workflow may set its handlers when it begins.
            handler = self.updates.get(update.name) or self.updates.get(None)
            if handler is None:
                known = " ".join(sorted(name for name in self.updates if name))
                raise RuntimeError(
                    f"Update handler for '{update.name}' expected but not found, and there is no dynamic handler. "
                    f"known updates: [{known}]"
                )
            self._running[update.id] = _Running(update.name, handler.unfinished_policy, update.id)
            args = self._args(handler, update.name, update.input)
            if update.run_validator and handler.validator is not None:
                with run.read_only():
                    validator = handler.validator
                    validator(*([run.instance, *args] if handler.is_method else args))
                    # The validator may have changed them.
                    args = self._args(handler, update.name, update.input)
            run.host.accept_update(update.number)
            run.update_was_accepted = accepted = True
            result = value_to_wit(await self._call(handler, args))
            run.host.complete_update(update.number, Ok([result]))
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError):
                error = exceptions.CancelledError(f"Cancellation raised within update {error}")
            if isinstance(error, ReadOnlyContextError) or (accepted and not run.is_failure_exception(error)):
                run.task_failure = error
            elif accepted:
                run.host.complete_update(update.number, Err(to_links(error)))
            elif update.run_validator:
                run.host.reject_update(update.number, to_links(error))
            else:
                # The journal has it as accepted; now it cannot be, so it fails.
                run.host.accept_update(update.number)
                run.host.complete_update(update.number, Err(to_links(error)))
        except BaseException as error:
            if not run.is_continuation(error):
                raise
            run.task_failure = RuntimeError("Cannot continue as new from an update handler")
        finally:
            self._running.pop(update.id, None)

    # Queries.

    def set_query(self, name: str | None, handler: Handler | None) -> None:
        if handler is None:
            self.queries.pop(name, None)
        else:
            self.queries[name] = handler

    async def answer(self, query: activation.Query) -> wit.Payload:
        with self.run.read_only():
            handler = self.queries.get(query.name)
            built_in = BUILT_IN_QUERIES.get(query.name)
            if handler is None and built_in is not None:
                return built_in(self.run)
            handler = handler or self.queries.get(None)
            if handler is None:
                known = " ".join(sorted([*BUILT_IN_QUERIES, *(name for name in self.queries if name)]))
                raise RuntimeError(
                    f"Query handler for '{query.name}' expected but not found, and there is no dynamic handler. "
                    f"Known queries: [{known}]"
                )
            return value_to_wit(await self._call(handler, self._args(handler, query.name, query.args)))

    # The end.

    def warn_of_unfinished(self) -> None:
        """In the words of Temporal's SDKs, with the names that things have in Python."""
        left = [it for it in self._running.values() if it.policy == HandlerUnfinishedPolicy.WARN_AND_ABANDON]
        updates = [{"name": it.name, "id": it.update_id} for it in left if it.update_id is not None]
        signals = Counter(it.name for it in left if it.update_id is None)
        if updates:
            self._warn("update", _INTERRUPTED_UPDATES, updates)
        if signals:
            self._warn("signal", "", [{"name": name, "count": count} for name, count in signals.most_common()])

    def _warn(self, kind: str, consequence: str, unfinished: list[dict[str, Any]]) -> None:
        message = _UNFINISHED.format(kind=kind, consequence=consequence)
        self.run.host.log(log.Level.WARN, f"{message} {json.dumps(unfinished)}", [])


def _reasons(error: BaseException) -> str:
    """An error and its causes, in one line."""
    reasons = []
    cause: BaseException | None = error
    while cause is not None:
        reasons.append(str(cause))
        cause = cause.__cause__
    return ": ".join(reasons)


_INTERRUPTED_UPDATES = (
    ", and the client that sent the update will receive a 'workflow execution already completed' RPCError instead of "
    "the update result"
)
_UNFINISHED = (
    "[TMPRL1102] Workflow finished while {kind} handlers are still running. This may have interrupted work that the "
    "{kind} handler was doing{consequence}. You can wait for all update and signal handlers to complete by using "
    "`await workflow.wait_condition(workflow.all_handlers_finished)`. Alternatively, if both you and the clients "
    "sending the {kind} are okay with interrupting running handlers when the workflow finishes, then you can disable "
    "this warning where the handler is declared: "
    "`@workflow.{kind}(unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)`. The following {kind}s were "
    "unfinished (and warnings were not disabled for their handler):"
)
