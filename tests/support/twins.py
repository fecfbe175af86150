"""A module that does the same as another one, under another digest."""

import hashlib
from pathlib import Path


def twin(module: Path, directory: Path) -> Path:
    """A copy in the directory, with a custom section at its end that is no part of what the module does."""
    path = directory / f"{module.stem}_twin.wasm"
    path.write_bytes(module.read_bytes() + b"\x00\x05\x04twin")
    return path


def digest(module: Path) -> str:
    return hashlib.sha256(module.read_bytes()).hexdigest()
