"""The author's source lines in stack traces: there are no files at run time, so they are kept in memory."""

from __future__ import annotations

import linecache

# Folders of the build, and what a trace shows in their place.
_shown: list[tuple[str, str]] = []


def remember(file: str) -> None:
    """Keeps a file's lines. Without a time of change, nobody looks for the file."""
    try:
        with open(file, encoding="utf-8") as source:
            lines = source.readlines()
    except (OSError, UnicodeDecodeError):
        return
    linecache.cache[file] = (sum(map(len, lines)), None, lines, file)


def show(folder: str, as_: str) -> None:
    _shown.append((f'"{folder.rstrip("/")}/', f'"{as_}'))


def readable(trace: str) -> str:
    """A trace with the paths that the author knows."""
    for folder, shown in _shown:
        trace = trace.replace(folder, shown)
    return trace
