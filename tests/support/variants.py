"""Modules that do the same and have other bytes: whoever runs on one of them is known by its digest."""

import hashlib
from pathlib import Path

from . import paths
from .server import Mainspring

# A text of the guest that nothing depends on.
TEXT = b"a test sleeps"


def variant(server: Mainspring, number: int) -> Path:
    """The kitchen guest in its variant of this number, beside the server's other modules. 0 is the guest itself."""
    content = paths.guest("guest-kitchen").read_bytes()
    assert TEXT in content
    path = server.directory / f"variant-{number}.wasm"
    path.write_bytes(content.replace(TEXT, bytes([TEXT[0] + number]) + TEXT[1:]))
    return path


def digest(module: Path) -> str:
    return hashlib.sha256(module.read_bytes()).hexdigest()


def modules_of(history) -> set[str]:
    """The modules of all turns that a run has had."""
    return {
        event.workflow_task_completed_event_attributes.worker_version.build_id
        for event in history.events
        if event.HasField("workflow_task_completed_event_attributes")
    }
