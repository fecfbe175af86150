"""Where things are, however cargo is configured."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPORAL_CLI = Path(sys.executable).with_name("temporal")
PROFILE = os.environ.get("E2E_PROFILE", "debug")


@functools.cache
def target_directory() -> Path:
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return Path(json.loads(subprocess.check_output(command, cwd=ROOT))["target_directory"])


def mainspring_binary() -> Path:
    return existing(target_directory() / PROFILE / "mainspring", "make build")


def guest(name: str) -> Path:
    """A guest by the name of its package, such as `guest-kitchen`."""
    return existing(target_directory() / "wasm32-wasip2" / "guest" / f"{name.replace('-', '_')}.wasm", "make guests")


def existing(path: Path, maker: str) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `{maker}`")
    return path
