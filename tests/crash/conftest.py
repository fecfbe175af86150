import os
import shutil
import subprocess

import pytest
from support.disk import Disk


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a simulated power cut needs root, to mount a file system of its own")
    if not shutil.which("mkfs.ext4"):
        pytest.skip("a simulated power cut needs mkfs.ext4 (e2fsprogs)")
    try:
        disk = Disk(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"a simulated power cut needs a loop device: {error.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk.path], capture_output=True)
