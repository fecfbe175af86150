"""`workflow.unsafe`: here, imports that are passed through need only be there by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Flag, auto

from mainspring_guest.run import current
from mainspring_guest.unavailable import PassedThrough

_passed_through = 0


class SandboxImportNotificationPolicy(Flag):
    SILENT = auto()
    WARN_ON_DYNAMIC_IMPORT = auto()
    WARN_ON_UNINTENTIONAL_PASSTHROUGH = auto()
    RAISE_ON_UNINTENTIONAL_PASSTHROUGH = auto()


class unsafe:
    """What is a matter of Temporal's own sandbox. This one has no back doors."""

    def __init__(self) -> None:
        raise NotImplementedError

    @staticmethod
    def in_sandbox() -> bool:
        return True

    @staticmethod
    def is_replaying() -> bool:
        """Always false: a workflow cannot tell. Log lines of a replay are not written in any case."""
        return False

    @staticmethod
    def is_replaying_history_events() -> bool:
        return False

    @staticmethod
    def is_read_only() -> bool:
        return current().is_read_only

    @staticmethod
    def is_sandbox_unrestricted() -> bool:
        return False

    @staticmethod
    @contextmanager
    def sandbox_unrestricted() -> Iterator[None]:
        yield

    @staticmethod
    def is_imports_passed_through() -> bool:
        return _passed_through > 0

    @staticmethod
    @contextmanager
    def imports_passed_through() -> Iterator[None]:
        """What a module imports only for its activities: where that cannot be imported here, it is absent."""
        global _passed_through
        _passed_through += 1
        try:
            with PassedThrough():
                yield
        finally:
            _passed_through -= 1

    @staticmethod
    @contextmanager
    def sandbox_import_notification_policy(policy: SandboxImportNotificationPolicy) -> Iterator[None]:
        yield
