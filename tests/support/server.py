"""Servers under test: `mainspring dev`, and Temporal's own dev server to compare with.

Each listens on a free loopback port and is stopped by its own process id.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import psutil
from temporalio.client import Client
from temporalio.worker import Worker

from . import paths, standins
from .waiting import eventually_sync

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process; subclasses say what to run."""

    def __init__(self, directory: Path | None = None):
        self._own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="mainspring-test-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        self.log_path = self.directory / "server.log"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list:
        raise NotImplementedError

    def start(self) -> "Server":
        self.spawn()
        try:
            eventually_sync(self._listens, f"the server listens on {self.address}", START_TIMEOUT_S)
        except BaseException:
            self.kill()
            raise
        return self

    def spawn(self) -> subprocess.Popen:
        """Starts the process, without waiting until it listens."""
        assert self.process is None, "it runs already"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
            )
        return self.process

    def _listens(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the server stopped with {self.process.returncode}:\n{self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")[-8000:]

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int | None:
        """Asks it to stop (SIGTERM), and gives its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server did not stop within {STOP_TIMEOUT_S} s of SIGTERM:\n{self.log()}")
        self.process = None
        return code

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        self.kill()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def connect(self, **options) -> Client:
        return await Client.connect(self.address, **options)

    def psutil(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    def temporal(self, *arguments, check: bool = True, timeout_s: float = 60) -> subprocess.CompletedProcess:
        """The real `temporal` CLI against this server."""
        command = [paths.TEMPORAL_CLI, *arguments, "--address", self.address]
        return run(command, check, timeout_s)

    def temporal_json(self, *arguments):
        return json.loads(self.temporal(*arguments, "--output", "json").stdout)


class Mainspring(Server):
    """`mainspring dev` on a data directory of its own."""

    def __init__(self, directory: Path | None = None, *, data: Path | None = None, flags: tuple = ()):
        super().__init__(directory)
        self.data = data or self.directory / "data"
        self.flags = flags
        self.modules: dict[str, Path] = {}

    def command(self) -> list:
        return [paths.mainspring_binary(), "dev", "--data-dir", self.data, "--port", str(self.port), *self.flags]

    def mainspring(self, *arguments, check: bool = True, timeout_s: float = 120) -> subprocess.CompletedProcess:
        """The mainspring CLI against this server."""
        return run([paths.mainspring_binary(), *arguments, "--address", self.address], check, timeout_s)

    def mainspring_json(self, *arguments):
        return json.loads(self.mainspring(*arguments, "--output", "json").stdout)

    def deploy_file(self, module: Path, task_queue: str, **options) -> subprocess.CompletedProcess:
        return self.mainspring("module", "deploy", module, "--task-queue", task_queue, **options)

    @contextlib.asynccontextmanager
    async def deployed(self, guest: str, task_queue: str):
        """The module answers for the task queue while the block runs, and after it."""
        await asyncio.to_thread(self.deploy_file, paths.guest(guest), task_queue)
        yield

    def verify(self) -> subprocess.CompletedProcess:
        """`mainspring store verify` on the data directory of a server that has stopped."""
        return run([paths.mainspring_binary(), "store", "verify", "--data-dir", self.data], False, 300)


class TemporalDev(Server):
    """`temporal server start-dev`, with Python workflows where Mainspring runs modules."""

    def __init__(self, directory: Path | None = None, *, durable: bool = False):
        super().__init__(directory)
        self.durable = durable

    def command(self) -> list:
        flags = ["--headless", "--ip", "127.0.0.1", "--port", str(self.port), "--log-level", "error"]
        if self.durable:
            flags += ["--db-filename", self.directory / "temporal.db"]
        return [paths.TEMPORAL_CLI, "server", "start-dev", *flags]

    def start(self) -> "TemporalDev":
        super().start()
        # It listens some time before it answers.
        describe = ("operator", "namespace", "describe", "default")
        eventually_sync(lambda: self.temporal(*describe, check=False).returncode == 0, "the namespace is ready", 30)
        return self

    @contextlib.asynccontextmanager
    async def deployed(self, guest: str, task_queue: str):
        # A client of its own: activity workers of the same queue register with another one.
        client = await self.connect()
        # No cache: every workflow task goes to the task queue itself, as Mainspring's do, and not to a worker's own.
        options = dict(
            workflows=standins.WORKFLOWS[guest],
            activities=standins.LOCAL_ACTIVITIES,
            # Local ones only: the worker must not take the task of an activity that the test runs.
            no_remote_activities=True,
            max_cached_workflows=0,
            max_concurrent_workflow_task_polls=1,
        )
        async with Worker(client, task_queue=task_queue, **options):
            yield


def environment() -> dict[str, str]:
    """Ours, without the variables that would be settings of the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAINSPRING_", "TEMPORAL_"))}


def run(command: list, check: bool, timeout_s: float) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=timeout_s,
        env=environment(),
    )
    if check and done.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise AssertionError(f"`{words}` exited {done.returncode}\nstdout: {done.stdout}\nstderr: {done.stderr}")
    return done
