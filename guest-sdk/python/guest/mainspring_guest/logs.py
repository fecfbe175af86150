"""Log lines go to the host, which writes each once, however often a run is replayed."""

from __future__ import annotations

import logging
import sys
from typing import Any

from wit_world.imports import log

# What every record has; whatever else is on one is a field of the author's.
_OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
# What the host writes with every line.
_OF_EVERY_LINE = ("namespace", "workflow_id", "run_id", "workflow_type")


class HostHandler(logging.Handler):
    """Before the module is built there is no host, so lines are the build's."""

    is_open = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record)
            if self.is_open:
                log.write(_level(record.levelno), message, _fields(record))
            else:
                sys.stderr.write(f"{record.levelname}: {message}\n")
        except Exception:
            self.handleError(record)


def _level(number: int) -> log.Level:
    if number >= logging.ERROR:
        return log.Level.ERROR
    if number >= logging.WARNING:
        return log.Level.WARN
    if number >= logging.INFO:
        return log.Level.INFO
    return log.Level.DEBUG if number >= logging.DEBUG else log.Level.TRACE


def _fields(record: logging.LogRecord) -> list[tuple[str, str]]:
    fields = {"logger": record.name}
    for name, value in vars(record).items():
        if name in _OF_EVERY_RECORD:
            continue
        if name in ("temporal_workflow", "temporal_update") and isinstance(value, dict):
            fields |= {key: str(it) for key, it in value.items() if key not in _OF_EVERY_LINE}
        else:
            fields[name] = str(value)
    return list(fields.items())


def install() -> HostHandler:
    handler = HostHandler()
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return handler


class WorkflowLogger(logging.LoggerAdapter):
    """`workflow.logger`. The workflow's details are fields of the line, not part of its message."""

    workflow_info_on_message = False
    workflow_info_on_extra = True
    full_workflow_info_on_extra = False
    log_during_replay = False

    def __init__(self, logger: logging.Logger, details: Any) -> None:
        super().__init__(logger, {})
        self._details = details

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        details = self._details()
        if self.workflow_info_on_message and details:
            msg = f"{msg} ({details.get('temporal_workflow')})"
        if self.workflow_info_on_extra:
            kwargs["extra"] = {**details, **(kwargs.get("extra") or {})}
        return msg, kwargs

    @property
    def base_logger(self) -> logging.Logger:
        return self.logger

    def unsafe_disable_sandbox(self, value: bool = True) -> None:
        """There is nothing to switch off."""
