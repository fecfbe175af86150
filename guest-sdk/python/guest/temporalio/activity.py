"""Activities, as far as a workflow sees them: their names and types. What an activity does when it runs is not here."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from mainspring_guest.hints import type_hints_of
from mainspring_guest.unavailable import NotAvailableError

from .common import RawValue

__all__ = ["defn", "info", "heartbeat", "in_activity", "is_cancelled", "is_worker_shutdown", "logger"]

logger = logging.getLogger("temporalio.activity")

_DEFINITION = "__temporal_activity_definition"


def defn(
    fn: Callable | None = None,
    *,
    name: str | None = None,
    no_thread_cancel_exception: bool = False,
    dynamic: bool = False,
):
    """Marks a function, or a class with `__call__`, as an activity."""

    def decorate(fn: Callable) -> Callable:
        _Definition.set_on(fn, None if dynamic else name or fn.__name__)
        return fn

    return decorate if fn is None else decorate(fn)


@dataclass(frozen=True)
class _Definition:
    name: str | None
    fn: Callable
    arg_types: list[Any] | None
    ret_type: Any

    @staticmethod
    def set_on(fn: Callable, name: str | None) -> None:
        if hasattr(fn, _DEFINITION):
            raise ValueError("Function already contains activity definition")
        if not callable(fn):
            raise TypeError("Activity is not callable")
        for parameter in inspect.signature(fn).parameters.values():
            if parameter.kind == inspect.Parameter.KEYWORD_ONLY:
                raise TypeError("Activity cannot have keyword-only arguments")
        arg_types, ret_type = type_hints_of(fn)
        if name is None and (not arg_types or len(arg_types) != 1 or arg_types[0] != Sequence[RawValue]):
            raise TypeError("Dynamic activity must accept a single Sequence[temporalio.common.RawValue]")
        definition = _Definition(name, fn, arg_types, ret_type)
        setattr(fn, _DEFINITION, definition)
        if name:
            DEFINED.setdefault(name, definition)

    @staticmethod
    def of(fn: Callable) -> _Definition:
        definition = getattr(fn, _DEFINITION, None)
        if not isinstance(definition, _Definition):
            fn_name = getattr(fn, "__name__", "<unknown>")
            raise TypeError(f"Activity {fn_name} missing attributes, was it decorated with @activity.defn?")
        if definition.name is None:
            raise ValueError("Cannot invoke dynamic activity explicitly")
        return definition


# By name, for local activities that are called by it.
DEFINED: dict[str, _Definition] = {}


def in_activity() -> bool:
    return False


def is_cancelled() -> bool:
    """For local activities, which run in the workflow and are never canceled while they do."""
    return False


def is_worker_shutdown() -> bool:
    return False


def heartbeat(*details: Any) -> None:
    """For local activities: it says nothing to anybody, as in Temporal's SDK."""


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)

    def only_in_activities(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise NotAvailableError(f"temporalio.activity.{name} is not available in a workflow: it works in activities")

    only_in_activities.__name__ = only_in_activities.__qualname__ = name
    return only_in_activities
