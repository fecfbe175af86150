"""The exports of the world, and what happens before them: when this is imported, the module is being built.

componentize-py imports this once, and keeps the interpreter's memory as it then is. So an instance begins with the SDK
and the author's modules imported.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from componentize_py_types import Err
from wit_world.imports import activation
from wit_world.imports import types as wit

import temporalio.workflow  # noqa: F401  (imported now, so that it is in the snapshot)

from . import definitions, logs, sources, unavailable
from .failures import stack_trace, to_links
from .host import Host
from .practice import practise
from .randomness import HostRandom, take_over
from .run import Run

# The script that builds looks for a line that begins with this.
_REPORT = "mainspring-build: "

_host = Host()
_random = HostRandom()
_log_handler = logs.install()
_run: Run | None = None


class WitWorld:
    """The exports."""

    def describe(self) -> list[activation.WorkflowDefinition]:
        return [activation.WorkflowDefinition(name) for name in definitions.DEFINED]

    def start(self, workflow_type: str, input: Sequence[wit.Payload]) -> activation.Status:
        global _run
        _begin()
        try:
            _run = Run(definitions.DEFINED[workflow_type], _host, _random)
            return _run.start(input)
        except BaseException as error:
            _fail_the_task(error)

    def resume(self, events: Sequence[activation.Event]) -> activation.Status:
        try:
            return _run.resume(events)
        except BaseException as error:
            _fail_the_task(error)

    def answer_query(self, query: activation.Query) -> list[wit.Payload]:
        try:
            return [_run.answer(query)]
        except Exception as error:
            raise Err(to_links(error)) from None


def _begin() -> None:
    """From here on there is a host to ask."""
    _log_handler.is_open = True
    _random.draw = _host.random_bytes


def _fail_the_task(error: BaseException) -> NoReturn:
    """A bug: the instance ends here, and the host quotes what stands on stderr, and tries again later."""
    trace = stack_trace(error)
    sys.stderr.write(f"{type(error).__name__}: {error}\n{trace}")
    cause = error.__cause__
    if cause is not None:
        sys.stderr.write(f"caused by {type(cause).__name__}: {cause}\n")
    sys.stderr.flush()
    # A trap: the host quotes what was written. An exit would be refused as such, and componentize-py's own words for an
    # exception would push these out.
    os.abort()


class NoWorkflows(Exception):
    """There is nothing to run."""


class _Report:
    """Tells the script that builds what came of it: on stderr, which it sees where this fails, and in memory, which it
    finds in the component where this succeeds."""

    workflows: list[str] = []
    text = ""

    def __enter__(self) -> _Report:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        report: dict[str, object] = {"workflows": self.workflows}
        if error is not None:
            report = {"error": {"type": type(error).__name__, "message": str(error), "frames": _frames(error)}}
        _Report.text = f"{_REPORT}{json.dumps(report)}\n"
        sys.stderr.write(_Report.text)
        sys.stderr.flush()


def _frames(error: BaseException) -> list[tuple[str, int]]:
    """Where it happened, in the author's own modules; the innermost last."""
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno or 0))
    return [frame for frame in frames if unavailable.is_of_the_project(frame[0])]


def _build() -> None:
    with _Report() as report:
        plan = importlib.import_module("mainspring_plan")
        for folder, shown in plan.FOLDERS:
            sources.show(folder, shown)
        unavailable.install_finder([folder for folder, _ in plan.FOLDERS])
        take_over(_random)
        for module in plan.MODULES:
            importlib.import_module(module)
        if not definitions.DEFINED:
            raise NoWorkflows("no class here is decorated with @workflow.defn")
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if unavailable.is_of_the_project(file):
                sources.remember(file)
        report.workflows = list(definitions.DEFINED)
    practise()
    unavailable.shut()
    # What is here now lives for ever: nobody need look at it again, and its memory stays shared.
    gc.collect()
    gc.freeze()


_build()
