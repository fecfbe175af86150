"""Activities and local activities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import Any, TypedDict

from mainspring_guest import wire
from mainspring_guest.local_activity import LocalActivity
from mainspring_guest.operations import ActivityHandle
from mainspring_guest.run import current
from wit_world.imports import activities

from .. import activity as _activity
from ..common import _UNSET, Priority, RetryPolicy, _arg_or_args


class ActivityCancellationType(IntEnum):
    """What canceling an activity means to the workflow."""

    TRY_CANCEL = 0
    WAIT_CANCELLATION_COMPLETED = 1
    ABANDON = 2


class ActivityConfig(TypedDict, total=False):
    """The options of `start_activity`, to be written once and passed on with `**`."""

    task_queue: str | None
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    retry_policy: RetryPolicy | None
    cancellation_type: ActivityCancellationType
    activity_id: str | None
    versioning_intent: Any
    summary: str | None
    event_groups: Any
    priority: Priority


class LocalActivityConfig(TypedDict, total=False):
    """The options of `start_local_activity`."""

    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    retry_policy: RetryPolicy | None
    local_retry_threshold: timedelta | None
    cancellation_type: ActivityCancellationType
    activity_id: str | None
    summary: str | None
    event_groups: Any


def _must_have_a_timeout(*timeouts: timedelta | None) -> None:
    if not any(timeouts):
        raise ValueError("Activity must have start_to_close_timeout or schedule_to_close_timeout")


def start_activity(
    activity: Any,
    arg: Any = _UNSET,
    *,
    args: Sequence[Any] = (),
    task_queue: str | None = None,
    result_type: Any = None,
    schedule_to_close_timeout: timedelta | None = None,
    schedule_to_start_timeout: timedelta | None = None,
    start_to_close_timeout: timedelta | None = None,
    heartbeat_timeout: timedelta | None = None,
    retry_policy: RetryPolicy | None = None,
    cancellation_type: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL,
    activity_id: str | None = None,
    versioning_intent: Any = None,
    summary: str | None = None,
    event_groups: Any = None,
    priority: Priority = Priority.default,
) -> ActivityHandle:
    """Schedules an activity. The handle is a task: await it for the result."""
    run = current()
    run.changes("start activity")
    values = _arg_or_args(arg, args)
    if isinstance(activity, str):
        name = activity
    elif callable(activity):
        definition = _activity._Definition.of(activity)
        name, result_type = definition.name, definition.ret_type
    else:
        raise TypeError("Activity must be a string or callable")
    _must_have_a_timeout(start_to_close_timeout, schedule_to_close_timeout)
    number = run.next_activity_number()
    options = activities.ActivityOptions(
        activity_id=activity_id or str(number),
        task_queue=task_queue,
        schedule_to_close_timeout=wire.timeout_to_wit(schedule_to_close_timeout),
        schedule_to_start_timeout=wire.timeout_to_wit(schedule_to_start_timeout),
        start_to_close_timeout=wire.timeout_to_wit(start_to_close_timeout),
        heartbeat_timeout=wire.timeout_to_wit(heartbeat_timeout),
        retry_policy=wire.retry_policy_to_wit(retry_policy),
        cancellation_type=activities.CancellationType(int(cancellation_type)),
        header=[],
        summary=summary or None,
    )
    return ActivityHandle.start(run, name, values, options, result_type)


async def execute_activity(activity: Any, arg: Any = _UNSET, **options: Any) -> Any:
    """Schedules an activity and waits for its result."""
    return await start_activity(activity, arg, **options)


def start_local_activity(
    activity: Any,
    arg: Any = _UNSET,
    *,
    args: Sequence[Any] = (),
    result_type: Any = None,
    schedule_to_close_timeout: timedelta | None = None,
    schedule_to_start_timeout: timedelta | None = None,
    start_to_close_timeout: timedelta | None = None,
    retry_policy: RetryPolicy | None = None,
    local_retry_threshold: timedelta | None = None,
    cancellation_type: ActivityCancellationType = ActivityCancellationType.TRY_CANCEL,
    activity_id: str | None = None,
    summary: str | None = None,
    event_groups: Any = None,
) -> ActivityHandle:
    """Runs an activity in the workflow's own sandbox. It has to be there, and gives the same in a replay."""
    run = current()
    run.changes("start local activity")
    values = _arg_or_args(arg, args)
    if isinstance(activity, str):
        definition = _activity.DEFINED.get(activity)
        if definition is None:
            raise ValueError(f"The local activity {activity} is not in this module: there is only what it imports")
        result_type = result_type or definition.ret_type
    elif callable(activity):
        definition = _activity._Definition.of(activity)
        result_type = definition.ret_type
    else:
        raise TypeError("Activity must be a string or callable")
    _must_have_a_timeout(start_to_close_timeout, schedule_to_close_timeout)
    number = run.next_activity_number()
    policy = retry_policy or RetryPolicy()
    policy._validate()
    local = LocalActivity(
        name=definition.name,
        # As given: a method that is bound stays bound.
        fn=definition.fn if isinstance(activity, str) else activity,
        args=values,
        arg_types=definition.arg_types,
        result_type=result_type,
        retry_policy=policy,
        retry_threshold=local_retry_threshold,
        schedule_to_close_timeout=schedule_to_close_timeout,
        activity_id=activity_id or str(number),
    )
    return ActivityHandle.of_routine(run, local.run(run, number), f"local activity: {definition.name}")


async def execute_local_activity(activity: Any, arg: Any = _UNSET, **options: Any) -> Any:
    return await start_local_activity(activity, arg, **options)


def _of_class(activity_cls: type) -> Callable:
    """An activity that is a class with `__call__`."""
    if not isinstance(activity_cls, type):
        raise TypeError("Activity must be a class")
    return activity_cls


def start_activity_class(activity: type, arg: Any = _UNSET, **options: Any) -> ActivityHandle:
    return start_activity(_of_class(activity), arg, **options)


async def execute_activity_class(activity: type, arg: Any = _UNSET, **options: Any) -> Any:
    return await start_activity(_of_class(activity), arg, **options)


def start_activity_method(activity: Callable, arg: Any = _UNSET, **options: Any) -> ActivityHandle:
    return start_activity(activity, arg, **options)


async def execute_activity_method(activity: Callable, arg: Any = _UNSET, **options: Any) -> Any:
    return await start_activity(activity, arg, **options)


def _no_instance(what: str) -> TypeError:
    return TypeError(
        f"{what} is not available in a workflow: a local activity runs in the workflow's sandbox, where there is no "
        "worker that has made the object it belongs to. Use a function, or an ordinary activity"
    )


def start_local_activity_class(activity: type, arg: Any = _UNSET, **options: Any) -> ActivityHandle:
    raise _no_instance("start_local_activity_class")


def start_local_activity_method(activity: Callable, arg: Any = _UNSET, **options: Any) -> ActivityHandle:
    if not hasattr(activity, "__self__"):
        raise _no_instance("start_local_activity_method with a method of a class")
    return start_local_activity(activity, arg, **options)


async def execute_local_activity_class(activity: type, arg: Any = _UNSET, **options: Any) -> Any:
    raise _no_instance("execute_local_activity_class")


async def execute_local_activity_method(activity: Callable, arg: Any = _UNSET, **options: Any) -> Any:
    return await start_local_activity_method(activity, arg, **options)
