"""The order workflow from nothing to its result: what `make demo` runs once everything is built.

Starts a server, deploys the module, starts the activity worker, places the order, and stops what it started.
Needs nothing but the standard library; the worker and the client run in the virtual environment.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "order"
# Kept from one demo to the next, as a server's data is; `make clean-demo` forgets it.
HOME = ROOT / ".demo"
START_TIMEOUT_S = 30


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    HOME.mkdir(exist_ok=True)
    target = target_directory()
    mainspring = target / "debug" / "mainspring"
    module = target / "wasm32-wasip2" / "guest" / "order_workflow.wasm"
    port = free_port(wanted=7233)
    address = f"127.0.0.1:{port}"
    environment = os.environ | {"TEMPORAL_ADDRESS": address, "PYTHONUNBUFFERED": "1"}
    started: list[subprocess.Popen] = []
    try:
        say(1, f"starting the server on {address}; its journal is in {HOME.name}/data, its log in {HOME.name}/server.log")
        with open(HOME / "server.log", "wb") as log:
            server = subprocess.Popen(
                [mainspring, "dev", "--data-dir", HOME / "data", "--port", str(port)], stdout=log, stderr=log
            )
        started.append(server)
        wait_until_listening(server, port)

        say(2, f"deploying {module.name} to the task queue orders")
        subprocess.run(
            [mainspring, "module", "deploy", module, "--task-queue", "orders", "--address", address], check=True
        )

        say(3, "starting the activity worker (examples/order/python/worker.py)")
        with open(HOME / "worker.log", "wb") as log:
            worker = subprocess.Popen(
                [sys.executable, EXAMPLE / "python" / "worker.py"], env=environment, stderr=log
            )
        started.append(worker)

        say(4, "placing the order (examples/order/python/start.py)")
        # The last line that the demo prints is the client's: 완료: <transaction id>.
        return subprocess.run([sys.executable, EXAMPLE / "python" / "start.py"], env=environment).returncode
    except (subprocess.CalledProcessError, RuntimeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        for process in reversed(started):
            stop(process)


def say(step: int, what: str) -> None:
    print(f"[{step}/4] {what}", flush=True)


def target_directory() -> Path:
    """Where cargo puts what it builds, whatever the environment says about it."""
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return Path(json.loads(subprocess.check_output(command, cwd=ROOT))["target_directory"])


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


def wait_until_listening(server: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the server stopped at once: see {HOME / 'server.log'}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server does not answer: see {HOME / 'server.log'}")


def stop(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
