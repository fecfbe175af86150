"""Workflows in Python for the tests: as components, and as the modules that Temporal's own worker runs."""

import functools
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from . import paths

SDK = paths.ROOT / "guest-sdk" / "python"
GUESTS = paths.ROOT / "tests" / "guests" / "python"
EXAMPLES = paths.ROOT / "examples"
BUILD_TIMEOUT_S = 300

# The components, by name, and what they are made of.
SOURCES = {
    "python-features": [GUESTS / "steps.py", GUESTS / "messages.py", GUESTS / "facts.py"],
    "python-order": [EXAMPLES / "order" / "python" / "workflow.py"],
}


def build(*arguments, cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, SDK / "build.py", *arguments]
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, cwd=cwd
    )


@functools.cache
def component(name: str) -> Path:
    """Where the component is, built if it is older than anything that it is made of."""
    sources = SOURCES[name]
    made = paths.target_directory() / "wasm32-wasip2" / "guest" / f"{name.replace('-', '_')}.wasm"
    inputs = [file for folder in {file.parent for file in sources} for file in folder.glob("*.py")]
    inputs += [file for file in SDK.rglob("*.py")] + list((paths.ROOT / "wit").glob("*.wit"))
    if not made.exists() or made.stat().st_mtime < max(file.stat().st_mtime for file in inputs):
        made.parent.mkdir(parents=True, exist_ok=True)
        done = build(*sources, "-o", made)
        assert done.returncode == 0, f"{name} cannot be built: {done.stderr}"
    return made


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
