"""Handlers that a workflow sets while it runs."""

from __future__ import annotations

from collections.abc import Callable

from mainspring_guest.definitions import Handler
from mainspring_guest.run import current


def _handler(name: str | None, fn: Callable | None, **options) -> Handler | None:
    return None if fn is None else Handler(name, fn, is_method=False, **options)


def get_signal_handler(name: str) -> Callable | None:
    handlers = current().handlers
    return handlers.bound(handlers.signals.get(name))


def set_signal_handler(name: str, handler: Callable | None) -> None:
    """Also for the signals of this name that have come before; None takes it away."""
    run = current()
    run.changes("set signal handler")
    run.handlers.set_signal(name, _handler(name, handler))


def get_dynamic_signal_handler() -> Callable | None:
    handlers = current().handlers
    return handlers.bound(handlers.signals.get(None))


def set_dynamic_signal_handler(handler: Callable | None) -> None:
    run = current()
    run.changes("set signal handler")
    run.handlers.set_signal(None, _handler(None, handler))


def get_query_handler(name: str) -> Callable | None:
    handlers = current().handlers
    return handlers.bound(handlers.queries.get(name))


def set_query_handler(name: str, handler: Callable | None) -> None:
    run = current()
    run.changes("set query handler")
    run.handlers.set_query(name, _handler(name, handler))


def get_dynamic_query_handler() -> Callable | None:
    handlers = current().handlers
    return handlers.bound(handlers.queries.get(None))


def set_dynamic_query_handler(handler: Callable | None) -> None:
    run = current()
    run.changes("set query handler")
    run.handlers.set_query(None, _handler(None, handler))


def get_update_handler(name: str) -> Callable | None:
    handlers = current().handlers
    return handlers.bound(handlers.updates.get(name))


def set_update_handler(name: str, handler: Callable | None, *, validator: Callable | None = None) -> None:
    run = current()
    run.changes("set update handler")
    run.handlers.set_update(name, _handler(name, handler, validator=validator, may_take_varargs=False))


def get_dynamic_update_handler() -> Callable | None:
    handlers = current().handlers
    return handlers.bound(handlers.updates.get(None))


def set_dynamic_update_handler(handler: Callable | None, *, validator: Callable | None = None) -> None:
    run = current()
    run.changes("set update handler")
    run.handlers.set_update(None, _handler(None, handler, validator=validator, may_take_varargs=False))


def all_handlers_finished() -> bool:
    """Whether no handler of a signal or an update is running."""
    return current().handlers.all_finished()
