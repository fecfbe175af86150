"""Runs componentize-py on a workflow, and says in the author's own terms what is wrong with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .diagnosis import explain

WORLD = "mainspring:workflow/workflow"
# `mainspring_guest.app` reports to us by a line that begins so.
_REPORT = b"mainspring-build: "
_SDK = Path(__file__).resolve().parents[1]


class BuildError(Exception):
    """There is no component, and this is why."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Built:
    file: Path
    size_bytes: int
    workflows: list[str]


@dataclass(frozen=True)
class Source:
    """A workflow file: the folder that Python finds it from, and its name there."""

    folder: Path
    module: str
    file: Path


def build(
    workflows: Sequence[Path], output: Path | None = None, *, paths: Sequence[Path] = (), wit: Path | None = None
) -> Built:
    """Compiles these files to one component.

    Raises:
        BuildError: with a message for the author.
    """
    sources = [_source(file) for file in workflows]
    output = (output or sources[0].file.with_suffix(".wasm")).resolve()
    if not output.parent.is_dir():
        raise BuildError(f"{output.parent}: there is no such folder", 2)
    command = componentize_py()
    folders = list(dict.fromkeys([*(source.folder for source in sources), *(path.resolve() for path in paths)]))
    with tempfile.TemporaryDirectory(prefix="mainspring-build-") as temporary:
        work = Path(temporary)
        _write_plan(work, sources, folders)
        made = work / "module.wasm"
        search = [work, _SDK / "guest", *folders]
        done = subprocess.run(
            [
                *command,
                "--quiet",
                "--wit-path",
                str(wit or _wit()),
                "--world",
                WORLD,
                "componentize",
                *(word for folder in search for word in ("-p", str(folder))),
                "mainspring_entry",
                "-o",
                str(made),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=_environment(),
        )
        said = done.stdout + done.stderr
        if error := _report(said.encode()).get("error"):
            raise BuildError(explain(error, [source.file for source in sources], folders))
        if done.returncode != 0 or not made.exists():
            raise BuildError(f"componentize-py failed:\n{said.strip()}")
        component = made.read_bytes()
        # Whole or not at all, also where somebody reads it meanwhile.
        beside = output.with_name(f".{output.name}.{os.getpid()}")
        beside.write_bytes(component)
        beside.replace(output)
    return Built(output, len(component), _report(component).get("workflows", []))


def _source(file: Path) -> Source:
    if not file.is_file():
        raise BuildError(f"{file}: there is no such file", 2)
    file = file.resolve()
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise BuildError(f"{file}: not a Python module: its name is to be an identifier, and to end in .py", 2)
    # In a package, so that its relative imports work: the folder is the one that the outermost package is in.
    names, folder = [file.stem], file.parent
    while (folder / "__init__.py").exists():
        names.insert(0, folder.name)
        folder = folder.parent
    if names[-1] == "__init__":
        names.pop()
    return Source(folder, ".".join(names), file)


def _write_plan(work: Path, sources: Sequence[Source], folders: Sequence[Path]) -> None:
    # componentize-py gives each folder a number in the order of the command: our own and the SDK's come first.
    shown = [(f"/{2 + index}", _relative(folder)) for index, folder in enumerate(folders)]
    (work / "mainspring_plan.py").write_text(
        f"FOLDERS = {shown!r}\nMODULES = {[source.module for source in sources]!r}\n", encoding="utf-8"
    )
    (work / "mainspring_entry.py").write_text("from mainspring_guest.app import WitWorld\n", encoding="utf-8")


def _relative(folder: Path) -> str:
    """How the folder is shown in stack traces: not by the paths of the machine that builds."""
    return "" if folder == Path(folder.anchor) else f"{folder.name}/"


def _environment() -> dict[str, str]:
    # Whatever Python is told about itself is not meant for the one in the sandbox.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # Where componentize-py looks for packages last: those of the Python that runs this.
    return kept | {"VIRTUAL_ENV": sys.prefix}


def _report(found_in: bytes) -> dict:
    """What the guest reports: it is on stderr where the build fails, and in the memory of the component otherwise."""
    for found in re.findall(rb"%s(\{[^\n\0]*\})\n" % re.escape(_REPORT), found_in):
        try:
            return json.loads(found)
        except ValueError:
            continue
    return {}


def _wit() -> Path:
    for folder in (_SDK / "wit", _SDK.parents[1] / "wit"):
        if (folder / "world.wit").exists():
            return folder
    raise BuildError("Mainspring's WIT files are not where they belong, which is ../../wit; give their folder by --wit", 2)


def componentize_py() -> list[str]:
    """How to run it. It has to be installed for the Python that runs this."""
    program = Path(sysconfig.get_path("scripts")) / ("componentize-py.exe" if os.name == "nt" else "componentize-py")
    if not program.exists():
        raise BuildError(
            f"componentize-py is not installed for {sys.executable}: run "
            f"`{Path(sys.executable).name} -m pip install -r {_SDK / 'requirements.txt'}`",
            2,
        )
    return [str(program)]
