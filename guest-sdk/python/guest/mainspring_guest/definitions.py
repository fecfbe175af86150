"""What the author's decorators say: workflows, their handlers, and the types of what they take and give."""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import TemporalError

from .hints import type_hints_of
from .wire import CONVERTER

_RUN = "__temporal_workflow_run"
_INIT = "__temporal_workflow_init"
_SIGNAL = "__temporal_signal_definition"
_QUERY = "__temporal_query_definition"
_UPDATE = "_defn"
_WORKFLOW = "__temporal_workflow_definition"


class HandlerUnfinishedPolicy(Enum):
    """Whether a warning is logged where the workflow ends while the handler runs."""

    WARN_AND_ABANDON = 1
    ABANDON = 2


class ReadOnlyContextError(TemporalError):
    """A query handler or a validator tried to change something."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class UpdateInfo:
    """The update that is being handled."""

    id: str
    name: str


current_update: contextvars.ContextVar[UpdateInfo | None] = contextvars.ContextVar("current_update", default=None)


@dataclass
class _Arguments:
    """How the arguments of a function of the author's are read."""

    fn: Callable
    types: list[Any] | None = field(init=False)
    result_type: Any = field(init=False)

    def __post_init__(self) -> None:
        self.types, self.result_type = type_hints_of(self.fn)

    @functools.cached_property
    def _required(self) -> int:
        """How many have no default."""
        parameters = [it for it in inspect.signature(self.fn).parameters.values() if it.name != "self"]
        return sum(it.default is inspect.Parameter.empty for it in parameters)

    def read(self, payloads: Sequence[Payload]) -> list[Any]:
        """Too many are left alone, and one that is missing is null, unless it has a default."""
        if self.types is None:
            return CONVERTER.from_payloads(payloads)
        given = payloads[: len(self.types)]
        values = CONVERTER.from_payloads(given, self.types)
        return values + [None] * (self._required - len(values))


class Handler:
    """What handles a signal, a query or an update."""

    def __init__(
        self,
        name: str | None,
        fn: Callable,
        *,
        is_method: bool,
        unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
        description: str | None = None,
        validator: Callable | None = None,
        may_take_varargs: bool = True,
    ) -> None:
        self.name = name
        self.fn = fn
        self.is_method = is_method
        self.unfinished_policy = unfinished_policy
        self.description = description
        self.validator = validator
        self._arguments = _Arguments(fn)
        self.takes_raw_values = False
        if name is None:
            self.takes_raw_values = self._dynamic_form(may_take_varargs)

    def _dynamic_form(self, may_take_varargs: bool) -> bool:
        types = self._arguments.types
        if types is not None and len(types) == 2 and types[0] is str and types[1] == Sequence[RawValue]:
            return True
        parameters = list(inspect.signature(self.fn).parameters.values())
        is_old_form = len(parameters) == 2 + self.is_method and parameters[-1].kind is inspect.Parameter.VAR_POSITIONAL
        if is_old_form and not may_take_varargs:
            raise RuntimeError("Dynamic updates do not support a vararg third param, use Sequence[RawValue]")
        if not is_old_form:
            raise RuntimeError("Dynamic handler must have 3 arguments: self, str, and Sequence[RawValue]")
        return False

    def read_args(self, payloads: Sequence[Payload]) -> list[Any]:
        """Raises RuntimeError where they cannot be read."""
        try:
            return self._arguments.read(payloads)
        except TemporalError:
            raise
        except Exception as error:
            raise RuntimeError("Failed decoding arguments") from error

    def set_validator(self, validator: Callable) -> Callable:
        if inspect.iscoroutinefunction(validator):
            raise ValueError("Update validator must not be an async function")
        if self.validator is not None:
            raise RuntimeError(f"Validator already set for update {self.name}")
        self.validator = validator
        return validator


# Decorators.


def _handler_decorator(
    attribute: str, fn: Callable | None, name: str | None, dynamic: bool | None, **options: Any
) -> Callable:
    if name is not None and dynamic:
        raise RuntimeError("Cannot provide name and dynamic boolean")

    def decorate(fn: Callable) -> Callable:
        handler = Handler(None if dynamic else name or fn.__name__, fn, is_method=True, **options)
        setattr(fn, attribute, handler)
        return fn

    return decorate if fn is None else decorate(fn)


def signal(
    fn: Callable | None = None,
    *,
    name: str | None = None,
    dynamic: bool | None = False,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: str | None = None,
):
    """Marks a method that handles a signal."""
    return _handler_decorator(
        _SIGNAL, fn, name, dynamic, unfinished_policy=unfinished_policy, description=description
    )


def query(
    fn: Callable | None = None,
    *,
    name: str | None = None,
    dynamic: bool | None = False,
    description: str | None = None,
):
    """Marks a method that answers a query. It may only read."""
    return _handler_decorator(_QUERY, fn, name, dynamic, description=description)


def update(
    fn: Callable | None = None,
    *,
    name: str | None = None,
    dynamic: bool | None = False,
    unfinished_policy: HandlerUnfinishedPolicy = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: str | None = None,
):
    """Marks a method that handles an update. What it marks has a decorator `validator`."""

    def decorate(fn: Callable) -> Callable:
        decorated = _handler_decorator(
            _UPDATE,
            fn,
            name,
            dynamic,
            unfinished_policy=unfinished_policy,
            description=description,
            may_take_varargs=False,
        )
        decorated.validator = getattr(decorated, _UPDATE).set_validator
        return decorated

    return decorate if fn is None else decorate(fn)


def init(init_fn: Callable) -> Callable:
    """Marks an `__init__` that takes the workflow's arguments."""
    if init_fn.__name__ != "__init__":
        raise ValueError("@workflow.init may only be used on the __init__ method")
    setattr(init_fn, _INIT, True)
    return init_fn


def run(fn: Callable) -> Callable:
    """Marks the method that is the workflow."""
    if not inspect.iscoroutinefunction(fn):
        raise ValueError("Workflow run method must be an async function")
    if "<locals>" in fn.__qualname__:
        raise ValueError("Local classes unsupported, @workflow.run cannot be on a local class")
    setattr(fn, _RUN, True)
    return fn


@dataclass
class WorkflowDefinition:
    """A workflow type."""

    name: str
    cls: type
    run_fn: Callable
    takes_arguments_at_init: bool
    signals: Mapping[str | None, Handler]
    queries: Mapping[str | None, Handler]
    updates: Mapping[str | None, Handler]
    failure_exception_types: tuple[type[BaseException], ...]
    arguments: _Arguments = field(init=False)

    def __post_init__(self) -> None:
        self.arguments = _Arguments(self.run_fn)

    @property
    def result_type(self) -> Any:
        return self.arguments.result_type


# Every workflow type of this module, by name, in the order of their definition.
DEFINED: dict[str, WorkflowDefinition] = {}


def defn(
    cls: type | None = None,
    *,
    name: str | None = None,
    sandboxed: bool = True,
    dynamic: bool = False,
    failure_exception_types: Sequence[type[BaseException]] = (),
    versioning_behavior: Any = None,
):
    """Marks a class as a workflow."""
    if dynamic:
        raise ValueError("A dynamic workflow is not available in the sandbox: a module names its workflow types")

    def decorate(cls: type) -> type:
        definition = _define(cls, name or cls.__name__, tuple(failure_exception_types))
        existing = DEFINED.setdefault(definition.name, definition)
        if existing is not definition:
            raise ValueError(
                f"Workflow type {definition.name} is defined twice: by {existing.cls.__module__}."
                f"{existing.cls.__qualname__} and {cls.__module__}.{cls.__qualname__}"
            )
        setattr(cls, _WORKFLOW, definition)
        setattr(definition.run_fn, _WORKFLOW, definition)
        return cls

    return decorate if cls is None else decorate(cls)


def _define(cls: type, name: str, failure_exception_types: tuple[type[BaseException], ...]) -> WorkflowDefinition:
    issues: list[str] = []
    run_fn: Callable | None = None
    handlers: dict[str, dict[str | None, Handler]] = {_SIGNAL: {}, _QUERY: {}, _UPDATE: {}}
    for member_name, member in inspect.getmembers(cls):
        if getattr(member, _RUN, False):
            if not member.__qualname__ == f"{cls.__qualname__}.{member.__name__}":
                issues.append(f"@workflow.run method {member_name} must be defined on {cls.__qualname__}")
            elif run_fn is not None:
                issues.append(
                    f"Multiple @workflow.run methods found (at least on {member_name} and {run_fn.__name__})"
                )
            else:
                run_fn = member
            continue
        for attribute, of_kind in handlers.items():
            handler = getattr(member, attribute, None)
            if isinstance(handler, Handler):
                issues.extend(_add_handler(_KINDS[attribute], member_name, handler, of_kind))
    if run_fn is None and not issues:
        issues.append("Missing @workflow.run method")
    issues.extend(_undecorated_overrides(cls))
    takes_arguments = getattr(cls.__init__, _INIT, False)
    if takes_arguments and run_fn is not None and not _same_parameters(cls.__init__, run_fn):
        issues.append("@workflow.init and @workflow.run method parameters do not match")
    if issues:
        if len(issues) == 1:
            raise ValueError(f"Invalid workflow class: {issues[0]}")
        raise ValueError(f"Invalid workflow class for {len(issues)} reasons: {', '.join(issues)}")
    return WorkflowDefinition(
        name,
        cls,
        run_fn,
        takes_arguments,
        handlers[_SIGNAL],
        handlers[_QUERY],
        handlers[_UPDATE],
        failure_exception_types,
    )


_KINDS = {_SIGNAL: "signal", _QUERY: "query", _UPDATE: "update"}


def _add_handler(
    kind: str, member_name: str, handler: Handler, handlers: dict[str | None, Handler]
) -> list[str]:
    other = handlers.setdefault(handler.name, handler)
    if other is not handler:
        shown = handler.name or "<dynamic>"
        return [f"Multiple {kind} methods found for {shown} (at least on {member_name} and {other.fn.__name__})"]
    if handler.validator is not None and not _same_parameters(handler.fn, handler.validator):
        return [
            f"Update validator method {handler.validator.__name__} parameters do not match update method "
            f"{handler.fn.__name__} parameters"
        ]
    return []


def _undecorated_overrides(cls: type) -> list[str]:
    """A method that overrides a decorated one has to be decorated too, or it would silently be none."""
    issues = []
    words = {_RUN: "@workflow.run", _SIGNAL: "@workflow.signal", _QUERY: "@workflow.query", _UPDATE: "@workflow.update"}
    for base in cls.__mro__[1:]:
        for member_name, member in vars(base).items():
            for attribute, word in words.items():
                if _is_marked(member, attribute) and not _is_marked(getattr(cls, member_name, None), attribute):
                    issues.append(f"{word} defined on {member.__qualname__} but not on the override")
    return issues


def _is_marked(member: Any, attribute: str) -> bool:
    mark = getattr(member, attribute, None)
    return mark is True or isinstance(mark, Handler)


def _same_parameters(one: Callable, other: Callable) -> bool:
    def shape(fn: Callable) -> list[tuple[Any, Any]]:
        parameters = list(inspect.signature(fn).parameters.values())
        return [(it.kind, it.annotation) for it in parameters if it.name != "self"]

    return shape(one) == shape(other)


def workflow_of(run_fn: Any) -> WorkflowDefinition:
    """The definition behind a run method, as a workflow names its children by it."""
    definition = getattr(run_fn, _WORKFLOW, None)
    if not isinstance(definition, WorkflowDefinition):
        shown = getattr(run_fn, "__qualname__", "<unknown>")
        raise ValueError(
            f"Function {shown} missing attributes, was it decorated with @workflow.run and was its class decorated "
            "with @workflow.defn?"
        )
    return definition


def signal_name(signal: str | Callable) -> str:
    if not callable(signal):
        return str(signal)
    handler = getattr(signal, _SIGNAL, None)
    if not isinstance(handler, Handler):
        raise RuntimeError(
            f"Signal definition not found on {signal.__qualname__}, is it decorated with @workflow.signal?"
        )
    if handler.name is None:
        raise RuntimeError("Cannot invoke dynamic signal definition")
    return handler.name
