"""A disk of its own for a server, whose power can be cut: needs root and a loop device."""

import fcntl
import os
import struct
import subprocess
from pathlib import Path

IMAGE_BYTES = 1 << 30
EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2


class Disk:
    """An ext4 in a file, that can lose its power."""

    def __init__(self, directory: Path):
        self.image, self.path = directory / "disk.img", directory / "disk"
        self.path.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True, capture_output=True)
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True, capture_output=True)

    def unmount(self) -> None:
        subprocess.run(["umount", self.path], check=True, capture_output=True)

    def cut_power(self) -> None:
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(directory)
