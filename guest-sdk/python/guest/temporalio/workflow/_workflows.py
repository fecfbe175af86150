"""Other workflows: children, those that are told something, and the one that this goes on as."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import Any, Generic, NoReturn, TypedDict, TypeVar

from mainspring_guest import attributes, operations, wire
from mainspring_guest.definitions import signal_name, workflow_of
from mainspring_guest.operations import ChildWorkflowHandle
from mainspring_guest.run import Run, current
from wit_world.imports import children, external

from ..common import _UNSET, Priority, RetryPolicy, WorkflowIDReusePolicy, _arg_or_args
from ._context import uuid4

_Workflow = TypeVar("_Workflow")


class ChildWorkflowCancellationType(IntEnum):
    """What canceling a child means to its parent."""

    ABANDON = 0
    TRY_CANCEL = 1
    WAIT_CANCELLATION_COMPLETED = 2
    WAIT_CANCELLATION_REQUESTED = 3


class ParentClosePolicy(IntEnum):
    """What becomes of a child that runs when its parent has closed."""

    UNSPECIFIED = 0
    TERMINATE = 1
    ABANDON = 2
    REQUEST_CANCEL = 3


class ChildWorkflowConfig(TypedDict, total=False):
    """The options of `start_child_workflow`, to be written once and passed on with `**`."""

    id: str | None
    task_queue: str | None
    cancellation_type: ChildWorkflowCancellationType
    parent_close_policy: ParentClosePolicy
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: WorkflowIDReusePolicy
    retry_policy: RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: Any
    static_summary: str | None
    static_details: str | None
    priority: Priority


_CLOSE_POLICIES = {
    # What the server takes it for.
    ParentClosePolicy.UNSPECIFIED: children.ParentClosePolicy.TERMINATE,
    ParentClosePolicy.TERMINATE: children.ParentClosePolicy.TERMINATE,
    ParentClosePolicy.ABANDON: children.ParentClosePolicy.ABANDON,
    ParentClosePolicy.REQUEST_CANCEL: children.ParentClosePolicy.REQUEST_CANCEL,
}
_REUSE_POLICIES = {
    WorkflowIDReusePolicy.ALLOW_DUPLICATE: children.WorkflowIdReusePolicy.ALLOW_DUPLICATE,
    WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY: children.WorkflowIdReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
    WorkflowIDReusePolicy.REJECT_DUPLICATE: children.WorkflowIdReusePolicy.REJECT_DUPLICATE,
}


def _type_and_result(workflow: Any, result_type: Any) -> tuple[str, Any]:
    if isinstance(workflow, str):
        return workflow, result_type
    if callable(workflow):
        definition = workflow_of(workflow)
        return definition.name, definition.result_type
    raise TypeError("Workflow must be a string or callable")


def _memo(memo: Mapping[str, Any] | None) -> list | None:
    return None if memo is None else [(name, wire.value_to_wit(value)) for name, value in memo.items()]


def _search_attributes(given: Any) -> list | None:
    encoded = attributes.encode_all(given)
    return None if encoded is None else wire.fields_to_wit(encoded)


async def start_child_workflow(
    workflow: Any,
    arg: Any = _UNSET,
    *,
    args: Sequence[Any] = (),
    id: str | None = None,
    task_queue: str | None = None,
    result_type: Any = None,
    cancellation_type: ChildWorkflowCancellationType = ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    parent_close_policy: ParentClosePolicy = ParentClosePolicy.TERMINATE,
    execution_timeout: timedelta | None = None,
    run_timeout: timedelta | None = None,
    task_timeout: timedelta | None = None,
    id_reuse_policy: WorkflowIDReusePolicy = WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    retry_policy: RetryPolicy | None = None,
    cron_schedule: str = "",
    memo: Mapping[str, Any] | None = None,
    search_attributes: Any = None,
    versioning_intent: Any = None,
    static_summary: str | None = None,
    static_details: str | None = None,
    event_groups: Any = None,
    priority: Priority = Priority.default,
    versioning_override: Any = None,
) -> ChildWorkflowHandle:
    """Starts a child, and waits until it has begun. The handle is a task: await it for the result."""
    run = current()
    run.changes("start child workflow")
    if cron_schedule:
        raise ValueError("cron_schedule is not available for a child workflow here: start it by a schedule instead")
    if id_reuse_policy not in _REUSE_POLICIES:
        raise ValueError(f"{id_reuse_policy.name} is not available as the id reuse policy of a child workflow")
    workflow_type, result_type = _type_and_result(workflow, result_type)
    workflow_id = id or str(uuid4())
    options = children.ChildOptions(
        workflow_id=workflow_id,
        task_queue=task_queue,
        execution_timeout=wire.timeout_to_wit(execution_timeout),
        run_timeout=wire.timeout_to_wit(run_timeout),
        task_timeout=wire.timeout_to_wit(task_timeout),
        retry_policy=wire.retry_policy_to_wit(retry_policy),
        parent_close_policy=_CLOSE_POLICIES[ParentClosePolicy(int(parent_close_policy))],
        workflow_id_reuse_policy=_REUSE_POLICIES[id_reuse_policy],
        cancellation_type=children.CancellationType(int(cancellation_type)),
        memo=_memo(memo) or [],
        search_attributes=_search_attributes(search_attributes) or [],
        header=[],
        summary=static_summary or None,
        details=static_details or None,
    )
    values = _arg_or_args(arg, args)
    return await ChildWorkflowHandle.start(run, workflow_type, values, workflow_id, options, result_type)


async def execute_child_workflow(workflow: Any, arg: Any = _UNSET, **options: Any) -> Any:
    """Starts a child and waits for its result."""
    handle = await start_child_workflow(workflow, arg, **options)
    return await handle


class ExternalWorkflowHandle(Generic[_Workflow]):
    """Another workflow of the namespace."""

    def __init__(self, run: Run, workflow_id: str, run_id: str | None) -> None:
        self._run = run
        self._id = workflow_id
        self._run_id = run_id

    @property
    def id(self) -> str:
        return self._id

    @property
    def run_id(self) -> str | None:
        return self._run_id

    async def signal(
        self,
        signal: str | Callable,
        arg: Any = _UNSET,
        *,
        args: Sequence[Any] = (),
        event_groups: Any = None,
    ) -> None:
        """Returns when the signal was taken."""
        self._run.changes("signal external handle")
        target = external.Target_Execution((self._id, self._run_id or ""))
        await operations.send_signal(self._run, target, signal_name(signal), _arg_or_args(arg, args))

    async def cancel(self, *, reason: str = "", event_groups: Any = None) -> None:
        """Returns when the other workflow was asked."""
        self._run.changes("cancel external handle")
        await operations.request_cancel(self._run, self._id, self._run_id or "", reason)


def get_external_workflow_handle(workflow_id: str, *, run_id: str | None = None) -> ExternalWorkflowHandle:
    return ExternalWorkflowHandle(current(), workflow_id, run_id)


def get_external_workflow_handle_for(
    workflow: Any, workflow_id: str, *, run_id: str | None = None
) -> ExternalWorkflowHandle:
    return get_external_workflow_handle(workflow_id, run_id=run_id)


def continue_as_new(
    arg: Any = _UNSET,
    *,
    args: Sequence[Any] = (),
    workflow: Any = None,
    task_queue: str | None = None,
    run_timeout: timedelta | None = None,
    task_timeout: timedelta | None = None,
    backoff_start_interval: timedelta | None = None,
    retry_policy: RetryPolicy | None = None,
    memo: Mapping[str, Any] | None = None,
    search_attributes: Any = None,
    versioning_intent: Any = None,
    initial_versioning_behavior: Any = None,
    event_groups: Any = None,
) -> NoReturn:
    """Ends this run and goes on in a new one, with an empty history. Raises `ContinueAsNewError`."""
    if backoff_start_interval:
        raise ValueError("backoff_start_interval is not available: sleep before continuing, or in the new run")
    run = current()
    run.continue_as_new(
        None if workflow is None else _type_and_result(workflow, None)[0],
        _arg_or_args(arg, args),
        task_queue=task_queue,
        run_timeout=wire.timeout_to_wit(run_timeout),
        task_timeout=wire.timeout_to_wit(task_timeout),
        retry_policy=wire.retry_policy_to_wit(retry_policy),
        memo=_memo(memo) if memo else None,
        search_attributes=_search_attributes(search_attributes) if search_attributes else None,
    )
