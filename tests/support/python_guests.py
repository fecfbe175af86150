"""Workflows in Python for the tests: as components, and as the modules that Temporal's own worker runs."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from . import paths

SDK = paths.ROOT / "guest-sdk" / "python"
GUESTS = paths.ROOT / "tests" / "guests" / "python"
BUILD_TIMEOUT_S = 300

# What the component `python-features` is made of: see the Makefile.
FEATURES = [GUESTS / "steps.py", GUESTS / "messages.py", GUESTS / "facts.py"]


def build(*arguments, cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, SDK / "build.py", *arguments]
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, cwd=cwd
    )


def module(file: Path) -> ModuleType:
    """A module of the tests' or an example's, imported as its own neighbours import it."""
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    return importlib.import_module(file.stem)


def workflows(*files: Path) -> list[type]:
    """The workflow classes that these files define."""
    found = []
    for file in files:
        defined = module(file)
        found += [
            value
            for value in vars(defined).values()
            if isinstance(value, type)
            and value.__module__ == defined.__name__
            and "__temporal_workflow_definition" in vars(value)
        ]
    return found
