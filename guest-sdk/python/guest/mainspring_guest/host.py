"""The host's functions, as a run calls them: what it starts or tells goes nowhere once the run has ended.

Python's values come in, WIT's go out. Numbers of operations are the host's.
"""

from __future__ import annotations

from collections.abc import Sequence

from wit_world.imports import activities, attributes, children, external, info, log, markers, random, time, timers
from wit_world.imports import types as wit
from wit_world.imports import updates, versioning

# In the place of an operation that nobody started, because the run had ended.
NOTHING = 0


class Host:
    """One run's side of the contract."""

    def __init__(self) -> None:
        self.closed = False

    def start_timer(self, after_ns: int, summary: str | None) -> int:
        if self.closed:
            return NOTHING
        return timers.start(wit.Duration(*divmod(after_ns, 1_000_000_000)), summary)

    def cancel_timer(self, operation: int) -> None:
        if not self.closed:
            timers.cancel(operation)

    def schedule_activity(
        self, activity_type: str, args: list[wit.Payload], options: activities.ActivityOptions
    ) -> int:
        return NOTHING if self.closed else activities.schedule(activity_type, args, options)

    def cancel_activity(self, operation: int) -> None:
        if not self.closed:
            activities.cancel(operation)

    def start_child(self, workflow_type: str, args: list[wit.Payload], options: children.ChildOptions) -> int:
        return NOTHING if self.closed else children.start(workflow_type, args, options)

    def cancel_child(self, operation: int) -> None:
        if not self.closed:
            children.cancel(operation)

    def signal(self, target: external.Target, name: str, args: list[wit.Payload]) -> int:
        return NOTHING if self.closed else external.signal(target, name, args, [])

    def cancel_signal(self, operation: int) -> None:
        if not self.closed:
            external.cancel_signal(operation)

    def request_cancel(self, workflow_id: str, run_id: str, reason: str) -> int:
        return NOTHING if self.closed else external.request_cancel(workflow_id, run_id, reason)

    def upsert_memo(self, fields: list[tuple[str, wit.Payload | None]]) -> None:
        if not self.closed:
            attributes.upsert_memo(fields)

    def upsert_search_attributes(self, fields: list[tuple[str, wit.Payload | None]]) -> None:
        if not self.closed:
            attributes.upsert_search_attributes(fields)

    def patched(self, patch_id: str) -> bool:
        return True if self.closed else versioning.patched(patch_id)

    def deprecate_patch(self, patch_id: str) -> None:
        if not self.closed:
            versioning.deprecate_patch(patch_id)

    def record_marker(
        self, name: str, details: list[tuple[str, list[wit.Payload]]], failure: Sequence[wit.FailureLink] | None
    ) -> None:
        if not self.closed:
            markers.record_marker(name, details, failure)

    # An update is answered also when the run has ended in the same activation.

    def accept_update(self, number: int) -> None:
        updates.accept(number)

    def reject_update(self, number: int, failure: list[wit.FailureLink]) -> None:
        updates.reject(number, failure)

    def complete_update(self, number: int, outcome: wit.Result) -> None:
        updates.complete(number, outcome)

    # What is only read.

    def now(self) -> wit.Datetime:
        return time.now()

    def random_bytes(self, count: int) -> bytes:
        return random.get_bytes(count)

    def info(self) -> info.WorkflowInfo:
        return info.get()

    def history(self) -> info.HistoryInfo:
        return info.history()

    def log(self, level: log.Level, message: str, fields: list[tuple[str, str]]) -> None:
        log.write(level, message, fields)
