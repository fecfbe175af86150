"""What is wrong with a workflow, in words that say what to do."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path

_IMPORT = re.compile(r"^\s*(?:from|import)\s+([A-Za-z_]\w*)")
_PASSED_THROUGH = (
    "if only activities use it, import it under `with workflow.unsafe.imports_passed_through():`, where it need not "
    "be there"
)


def explain(error: dict, sources: Sequence[Path], folders: Sequence[Path]) -> str:
    """`FILE:LINE: what is wrong`, from what the guest reports of an import that failed."""
    kind, message = error["type"], error["message"]
    frames = [(_on_this_machine(file, folders), line) for file, line in error["frames"]]
    place = f"{_shown(frames[-1][0])}:{frames[-1][1]}" if frames else _shown(sources[0])
    if kind in ("SyntaxError", "IndentationError", "TabError"):
        return f"{place}: {kind}: {re.sub(r' ?[(][^()]*, line [0-9]+[)]$', '', message)}"
    if kind in ("ImportError", "ModuleNotFoundError"):
        return f"{place}: {_explain_import(message, frames)}"
    return f"{place}: {message}" if kind == "NoWorkflows" else f"{place}: {kind}: {message}"


def _explain_import(message: str, frames: Sequence[tuple[Path, int]]) -> str:
    module = _imported_at(*frames[-1]) if frames else None
    if module is None:
        return f"ImportError: {message}"
    if module in sys.stdlib_module_names:
        return f"{module} is not available in a workflow ({message}): do it in an activity; {_PASSED_THROUGH}"
    if importlib.util.find_spec(module) is not None:
        return (
            f"{module} is not available in a workflow ({message}): it needs what the sandbox does not have, such as a C "
            f"extension. Do it in an activity; {_PASSED_THROUGH}"
        )
    return (
        f"ImportError: {message}: it is neither beside the workflow, nor in a folder given by --path, nor installed "
        f"for {sys.executable}"
    )


def _imported_at(file: Path, line: int) -> str | None:
    """The package that this line imports."""
    try:
        found = _IMPORT.match(file.read_text(encoding="utf-8").splitlines()[line - 1])
    except (OSError, UnicodeDecodeError, IndexError):
        return None
    return found and found[1]


def _on_this_machine(file: str, folders: Sequence[Path]) -> Path:
    """In the sandbox of the build each folder has a number; the first two are not the author's."""
    _, number, rest = file.split("/", 2)
    return folders[int(number) - 2] / rest


def _shown(file: Path) -> str:
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)
