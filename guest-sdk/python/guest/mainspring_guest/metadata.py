"""The queries that every workflow answers: what it is made of, and where it stands."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from wit_world.imports import types as wit

from .sources import readable
from .wire import value_to_wit

if TYPE_CHECKING:
    from .run import Run


def stack_trace(run: Run) -> wit.Payload:
    """The stack of each routine, but for the one that asks."""
    stacks = []
    for task in run.loop.tasks:
        if task is asyncio.current_task(run.loop):
            continue
        frames = [
            traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
            for frame in _frames(task.get_coro())
        ]
        stacks.append(f"Stack for {task!r} (most recent call last):\n" + "\n".join(traceback.format_list(frames)))
    return value_to_wit(readable("\n\n".join(stacks)))


def _frames(waiting: Any) -> Iterator[FrameType]:
    """From the routine's first frame to the one that waits: each coroutine awaits the next."""
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None:
            yield frame
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)


def metadata(run: Run) -> wit.Payload:
    """A `temporal.api.sdk.v1.WorkflowMetadata`."""
    handlers = run.handlers
    queries = [*_described(handlers.queries), *({"name": name} for name in BUILT_IN_QUERIES)]
    definition: dict[str, Any] = {
        "type": run.definition.name,
        "queryDefinitions": queries,
        "signalDefinitions": _described(handlers.signals),
        "updateDefinitions": _described(handlers.updates),
    }
    for part in list(definition):
        if not definition[part]:
            del definition[part]
        elif part != "type":
            definition[part].sort(key=lambda described: described.get("name", ""))
    message: dict[str, Any] = {"definition": definition}
    if run.current_details:
        message["currentDetails"] = run.current_details
    return _protobuf_json("temporal.api.sdk.v1.WorkflowMetadata", message)


def _described(handlers: dict) -> list[dict[str, str]]:
    """A dynamic handler has no name."""
    words = [{"name": handler.name, "description": handler.description} for handler in handlers.values()]
    return [{key: value for key, value in word.items() if value} for word in words]


def _protobuf_json(message_type: str, message: dict[str, Any]) -> wit.Payload:
    data = json.dumps(message, separators=(",", ":"), sort_keys=True).encode()
    return wit.Payload([("encoding", b"json/protobuf"), ("messageType", message_type.encode())], data)


BUILT_IN_QUERIES = {"__stack_trace": stack_trace, "__temporal_workflow_metadata": metadata}
