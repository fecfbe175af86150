"""What workflows are written with: Temporal's `temporalio.workflow`, in the sandbox of Mainspring."""

from __future__ import annotations

import logging as _logging
from enum import Enum as _Enum
from enum import IntEnum as _IntEnum

from mainspring_guest.definitions import (
    HandlerUnfinishedPolicy,
    ReadOnlyContextError,
    UpdateInfo,
    defn,
    init,
    query,
    run,
    signal,
    update,
)
from mainspring_guest.logs import WorkflowLogger as LoggerAdapter
from mainspring_guest.operations import ActivityHandle, ChildWorkflowHandle
from mainspring_guest.run import ContinueAsNewError

from ..exceptions import TemporalError as _TemporalError
from ._activities import (
    ActivityCancellationType,
    ActivityConfig,
    LocalActivityConfig,
    execute_activity,
    execute_activity_class,
    execute_activity_method,
    execute_local_activity,
    execute_local_activity_class,
    execute_local_activity_method,
    start_activity,
    start_activity_class,
    start_activity_method,
    start_local_activity,
    start_local_activity_class,
    start_local_activity_method,
)
from ._asyncio import as_completed, wait
from ._context import (
    Info,
    ParentInfo,
    RootInfo,
    cancellation_reason,
    current_update_info,
    deprecate_patch,
    extern_functions,
    get_current_details,
    get_last_completion_result,
    get_last_failure,
    has_last_completion_result,
    in_workflow,
    info,
    instance,
    is_failure_exception,
    logger_details,
    memo,
    memo_value,
    metric_meter,
    new_random,
    now,
    patched,
    payload_converter,
    random,
    random_seed,
    register_random_seed_callback,
    set_current_details,
    sleep,
    time,
    time_ns,
    upsert_memo,
    upsert_search_attributes,
    uuid4,
    uuid7,
    wait_condition,
)
from ._handlers import (
    all_handlers_finished,
    get_dynamic_query_handler,
    get_dynamic_signal_handler,
    get_dynamic_update_handler,
    get_query_handler,
    get_signal_handler,
    get_update_handler,
    set_dynamic_query_handler,
    set_dynamic_signal_handler,
    set_dynamic_update_handler,
    set_query_handler,
    set_signal_handler,
    set_update_handler,
)
from ._unsafe import SandboxImportNotificationPolicy, unsafe
from ._workflows import (
    ChildWorkflowCancellationType,
    ChildWorkflowConfig,
    ExternalWorkflowHandle,
    ParentClosePolicy,
    continue_as_new,
    execute_child_workflow,
    get_external_workflow_handle,
    get_external_workflow_handle_for,
    start_child_workflow,
)


class NondeterminismError(_TemporalError):
    """For `except` clauses and `failure_exception_types`: here it is the host that finds and reports this."""


class VersioningIntent(_Enum):
    COMPATIBLE = 1
    DEFAULT = 2


class ContinueAsNewVersioningBehavior(_IntEnum):
    UNSPECIFIED = 0
    AUTO_UPGRADE = 1
    USE_RAMPING_VERSION = 2


class UnfinishedUpdateHandlersWarning(RuntimeWarning):
    """Only for filters: the warning itself is a line of the log."""


class UnfinishedSignalHandlersWarning(RuntimeWarning):
    """Only for filters: the warning itself is a line of the log."""


logger = LoggerAdapter(_logging.getLogger("temporalio.workflow"), logger_details)


def __getattr__(name: str):
    raise AttributeError(f"temporalio.workflow.{name} is not available in a workflow that Mainspring runs")


__all__ = [name for name in globals() if not name.startswith("_") and name not in ("annotations", "logger_details")]
