"""Components of Go projects of this repository, built once in a session by `mainspring build`."""

import functools
import sys
from pathlib import Path

from . import paths
from .server import run

# What `make setup` installs.
GO = Path(sys.executable).with_name("go")


def build(project: Path, output: Path, check: bool = True, timeout_s: float = 300):
    """`mainspring build`, with the toolchain of the virtual environment."""
    go = paths.existing(GO, "make setup")
    command = ["env", f"GO={go}", paths.mainspring_binary(), "build", project, "--output-file", output]
    return run(command, check, timeout_s)


@functools.cache
def component(project: str) -> Path:
    """The component of a project, by its folder in this repository, such as `examples/order/go`."""
    output = paths.target_directory() / "wasm32-wasip2" / "guest" / f"{project.replace('/', '_')}.wasm"
    output.parent.mkdir(parents=True, exist_ok=True)
    build(paths.ROOT / project, output)
    return output
