"""The run itself: what it is, what time it is, chance, waiting, changes of the code, and what lists show of it."""

from __future__ import annotations

import hashlib
import random as _random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from mainspring_guest import attributes as _attributes
from mainspring_guest import definitions as _definitions
from mainspring_guest import wire
from mainspring_guest.failures import from_links
from mainspring_guest.run import Run, current, maybe_current

from ..api.common.v1 import Payload
from ..common import (
    _UNSET,
    MetricMeter,
    Priority,
    RetryPolicy,
    SearchAttributeIndexedValueType,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkerDeploymentVersion,
)
from ..converter import PayloadConverter

_SEED_BYTES = 8


@dataclass(frozen=True)
class ParentInfo:
    namespace: str
    run_id: str
    workflow_id: str


@dataclass(frozen=True)
class RootInfo:
    run_id: str
    workflow_id: str


@dataclass(frozen=True)
class Info:
    """What the run knows of itself. Only search attributes and memo change, by upserts."""

    attempt: int
    continued_run_id: str | None
    cron_schedule: str | None
    execution_timeout: timedelta | None
    first_execution_run_id: str
    headers: Mapping[str, Payload]
    namespace: str
    original_execution_run_id: str
    parent: ParentInfo | None
    root: RootInfo | None
    priority: Priority
    raw_memo: Mapping[str, Payload]
    retry_policy: RetryPolicy | None
    run_id: str
    run_timeout: timedelta | None
    search_attributes: Mapping[str, Any]
    start_time: datetime
    task_queue: str
    task_timeout: timedelta
    typed_search_attributes: TypedSearchAttributes
    workflow_id: str
    workflow_start_time: datetime
    workflow_type: str

    def get_current_build_id(self) -> str:
        return ""

    def get_current_deployment_version(self) -> WorkerDeploymentVersion | None:
        return None

    def get_current_history_length(self) -> int:
        return current().host.history().length

    def get_current_history_size(self) -> int:
        return current().host.history().size_bytes

    def is_continue_as_new_suggested(self) -> bool:
        return current().host.history().continue_as_new_suggested

    def is_target_worker_deployment_version_changed(self) -> bool:
        return False


def info() -> Info:
    run = current()
    if not hasattr(run, "info"):
        run.info = _read_info(run)
    return run.info


def _read_info(run: Run) -> Info:
    got = run.host.info()
    untyped, typed = _attributes.decode(wire.fields_from_wit(got.search_attributes))
    started = wire.datetime_from_wit(got.start_time)
    return Info(
        attempt=got.attempt,
        continued_run_id=got.continued_execution_run_id,
        cron_schedule=None,
        execution_timeout=wire.duration_from_wit(got.execution_timeout),
        first_execution_run_id=got.first_execution_run_id,
        headers=wire.fields_from_wit(got.header),
        namespace=got.namespace,
        original_execution_run_id=got.run_id,
        parent=_parent(got.parent),
        root=got.root and RootInfo(run_id=got.root.run_id, workflow_id=got.root.workflow_id),
        priority=Priority.default,
        raw_memo=wire.fields_from_wit(got.memo),
        retry_policy=wire.retry_policy_from_wit(got.retry_policy),
        run_id=got.run_id,
        run_timeout=wire.duration_from_wit(got.run_timeout),
        search_attributes=untyped,
        start_time=started,
        task_queue=got.task_queue,
        task_timeout=wire.duration_from_wit(got.task_timeout) or timedelta(seconds=10),
        typed_search_attributes=typed,
        workflow_id=got.workflow_id,
        workflow_start_time=started,
        workflow_type=got.workflow_type,
    )


def _parent(parent: Any) -> ParentInfo | None:
    if parent is None:
        return None
    return ParentInfo(parent.namespace, parent.execution.run_id, parent.execution.workflow_id)


def logger_details() -> dict[str, Any]:
    """For log lines: what the host does not write by itself."""
    run = maybe_current()
    if run is None:
        return {}
    it = info()
    details = {
        "attempt": it.attempt,
        "namespace": it.namespace,
        "run_id": it.run_id,
        "task_queue": it.task_queue,
        "workflow_id": it.workflow_id,
        "workflow_type": it.workflow_type,
    }
    extra: dict[str, Any] = {"temporal_workflow": details}
    update = _definitions.current_update.get()
    if update is not None:
        extra["temporal_update"] = {"update_id": update.id, "update_name": update.name}
    return extra


def instance() -> Any:
    return current().instance


def in_workflow() -> bool:
    return maybe_current() is not None


def cancellation_reason() -> str | None:
    """Why somebody asked the workflow to cancel; None where nobody did."""
    return current().cancel_reason


def current_update_info() -> _definitions.UpdateInfo | None:
    """The update that this code handles, if it handles one."""
    return _definitions.current_update.get()


def is_failure_exception(err: BaseException) -> bool:
    return current().is_failure_exception(err)


def extern_functions() -> Mapping[str, Callable]:
    return {}


def metric_meter() -> MetricMeter:
    return MetricMeter.noop


def payload_converter() -> PayloadConverter:
    return wire.CONVERTER


# Time.


def time_ns() -> int:
    return current().time_ns()


def time() -> float:
    return time_ns() / 1e9


def now() -> datetime:
    return datetime.fromtimestamp(time(), timezone.utc)


def _seconds(duration: float | timedelta) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


async def sleep(duration: float | timedelta, *, summary: str | None = None, event_groups: Any = None) -> None:
    """A durable timer."""
    await current().sleep(_seconds(duration), summary or None)


async def wait_condition(
    fn: Callable[[], bool],
    *,
    timeout: timedelta | float | None = None,
    timeout_summary: str | None = None,
    event_groups: Any = None,
) -> None:
    """Waits until the function gives true.

    Raises:
        asyncio.TimeoutError: it did not within the timeout.
    """
    await current().wait_condition(fn, None if timeout is None else _seconds(timeout), timeout_summary or None)


# Chance.


def random() -> _random.Random:
    run = current()
    run.changes("random")
    return run.random


def random_seed() -> int:
    """A number of the run's own, the same at every call."""
    run = current()
    if not hasattr(run, "random_seed"):
        run.changes("random")
        run.random_seed = int.from_bytes(run.host.random_bytes(_SEED_BYTES), "big")
    return run.random_seed


def new_random(name: str | None = None) -> _random.Random:
    """A stream beside `random()`; another one for each name."""
    seed = f"{random_seed()}:{name or ''}"
    return _random.Random(int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big"))


def register_random_seed_callback(callback: Callable[[int], None]) -> None:
    """The seed of a run never changes, so nobody is ever called."""
    current().changes("register random seed callback")


def uuid4() -> uuid.UUID:
    return uuid.UUID(bytes=random().getrandbits(128).to_bytes(16, "big"), version=4)


def uuid7() -> uuid.UUID:
    """A UUID that sorts by the workflow's time."""
    milliseconds = (time_ns() // 1_000_000) & ((1 << 48) - 1)
    chance = random()
    high, low = chance.getrandbits(12), chance.getrandbits(62)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low)


# Changes of the code.


def patched(id: str, *, event_groups: Any = None) -> bool:
    """Whether this run takes the new path of a change."""
    return current().patched(id, deprecated=False)


def deprecate_patch(id: str, *, event_groups: Any = None) -> None:
    """The old path of a change is gone."""
    current().patched(id, deprecated=True)


# What lists and people see.


def get_current_details() -> str:
    return current().current_details


def set_current_details(description: str) -> None:
    run = current()
    run.changes("set current details")
    run.current_details = description


def memo() -> Mapping[str, Any]:
    return {name: wire.CONVERTER.from_payload(payload) for name, payload in info().raw_memo.items()}


def memo_value(key: str, default: Any = _UNSET, *, type_hint: Any = None) -> Any:
    payload = info().raw_memo.get(key)
    if payload is not None:
        return wire.CONVERTER.from_payload(payload, type_hint)
    if default is _UNSET:
        raise KeyError(f"Memo does not have a value for key {key}")
    return default


def upsert_memo(updates: Mapping[str, Any], *, event_groups: Any = None) -> None:
    """Adds to the memo, or (with None) takes out of it."""
    run = current()
    run.changes("upsert memo")
    # All of them first: a value that cannot be written must leave nothing half done.
    payloads = {key: None if value is None else wire.CONVERTER.to_payload(value) for key, value in updates.items()}
    if not payloads:
        return
    fields = [(key, None if it is None else wire.payload_to_wit(it)) for key, it in payloads.items()]
    run.host.upsert_memo(fields)
    _change(info().raw_memo, payloads)


def upsert_search_attributes(attributes: Any, *, event_groups: Any = None) -> None:
    """Sets search attributes, or unsets them: a list of `key.value_set(…)` and `key.value_unset()`."""
    if not attributes:
        return
    run = current()
    run.changes("upsert search attributes")
    it = info()
    if isinstance(attributes, Mapping):
        payloads: dict[str, Payload | None] = {
            name: _attributes.encode_values(values) if values else None for name, values in attributes.items()
        }
        untyped = {name: list(values) for name, values in attributes.items()}
        typed = [pair for pair in it.typed_search_attributes if pair.key.name not in attributes]
    else:
        payloads, untyped, typed = _typed_updates(it, attributes)
    fields = [(name, None if it is None else wire.payload_to_wit(it)) for name, it in payloads.items()]
    run.host.upsert_search_attributes(fields)
    it.search_attributes.update(untyped)
    it.typed_search_attributes.search_attributes[:] = TypedSearchAttributes(typed).search_attributes


def _typed_updates(it: Info, updates: Sequence[Any]) -> tuple[dict, dict, list[SearchAttributePair]]:
    payloads: dict[str, Payload | None] = {}
    untyped: dict[str, Any] = {}
    typed = {pair.key.name: pair for pair in it.typed_search_attributes}
    for update in updates:
        name = update.key.name
        if update.value is None:
            payloads[name], untyped[name] = None, []
            typed.pop(name, None)
            continue
        payloads[name] = _attributes.encode_value(update.key, update.value)
        is_list = update.key.indexed_value_type == SearchAttributeIndexedValueType.KEYWORD_LIST
        untyped[name] = list(update.value) if is_list else [update.value]
        typed[name] = SearchAttributePair(update.key, update.value)
    return payloads, untyped, list(typed.values())


def _change(fields: Any, changes: Mapping[str, Payload | None]) -> None:
    for key, payload in changes.items():
        if payload is None:
            fields.pop(key, None)
        else:
            fields[key] = payload


# What the run before this one came to.


def has_last_completion_result() -> bool:
    return bool(current().host.info().last_completion_result)


def get_last_completion_result(type_hint: Any = None) -> Any:
    return wire.value_from_wit(current().host.info().last_completion_result, type_hint)


def get_last_failure() -> BaseException | None:
    links = current().host.info().last_failure
    return from_links(links) if links else None
