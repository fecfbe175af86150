"""What `make demo`, `make examples` and the tests of the examples share: components, and a server to run them on."""

import functools
import json
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 15

# The languages that examples are written in, by the folder, and what their build calls a component. A new language is
# a line here and a folder beside `rust`; runner and tests then take it up wherever there is one.
COMPONENTS = {
    "rust": "example_{name}.wasm",
    "python": "example_{name}_python.wasm",
    "c": "example_{name}_c.wasm",
    "go": "example_{name}_go.wasm",
    "js": "js_{name}.wasm",
}
# An example of several modules has a folder for each; this is the one that it begins with.
FIRST_PART = {"patching": "v1"}


def names() -> list[str]:
    """All examples of one idea, by their folders. (`order` has a client and a worker like other people's programs.)"""
    return sorted(client.parent.name for client in EXAMPLES.glob("*/client.py"))


def languages(example: str) -> list[str]:
    return [language for language in COMPONENTS if (EXAMPLES / example / language).is_dir()]


def component(example: str, language: str, part: str | None = None) -> Path:
    part = part or FIRST_PART.get(example)
    file = COMPONENTS[language].format(name=f"{example}_{part}" if part else example)
    return existing(target_directory() / "wasm32-wasip2" / "guest" / file, "make guests")


@functools.cache
def target_directory() -> Path:
    """Where cargo puts what it builds, whatever the environment says about it."""
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return Path(json.loads(subprocess.check_output(command, cwd=ROOT))["target_directory"])


def existing(path: Path, maker: str) -> Path:
    if not path.exists():
        raise RuntimeError(f"{path} is missing: run `{maker}`")
    return path


class Server:
    """`mainspring dev`, with its data and its log in the folder `home`."""

    def __init__(self, home: Path):
        self.home = home
        self.binary = existing(target_directory() / "debug" / "mainspring", "make build")
        self.port = free_port(wanted=7233)
        self.address = f"127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        command = [self.binary, "dev", "--data-dir", self.home / "data", "--port", str(self.port)]
        with open(self.home / "server.log", "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server stopped at once: see {self.home / 'server.log'}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the server does not answer: see {self.home / 'server.log'}")

    def stop(self) -> None:
        if self.process is not None:
            stop(self.process)


def deploy(component: Path, task_queue: str, address: str, **options) -> None:
    """`mainspring module deploy`."""
    binary = existing(target_directory() / "debug" / "mainspring", "make build")
    command = [binary, "module", "deploy", component, "--task-queue", task_queue, "--address", address]
    subprocess.run(command, check=True, **options)


def stop(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As the server does: a port whose last user has just gone is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port == 0:
                print(f"port {wanted} is taken; using another one", flush=True)
            return probe.getsockname()[1]
    raise RuntimeError("there is no free port")
