"""The order workflow from nothing to its result: what `make demo` runs once everything is built.

Starts a server, deploys the module, starts the activity worker, places the order, and stops what it started.
Needs nothing but the standard library; the worker and the client run in the virtual environment.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import launch  # noqa: E402

EXAMPLE = launch.EXAMPLES / "order"
# Kept from one demo to the next, as a server's data is; `make clean-demo` forgets it.
HOME = launch.ROOT / ".demo"


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        server = launch.Server(HOME)
    except RuntimeError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    try:
        where = f"its journal is in {HOME.name}/data, its log in {HOME.name}/server.log"
        say(1, f"starting the server on {server.address}; {where}")
        server.start()

        return order(server.address, HOME)
    except (subprocess.CalledProcessError, RuntimeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        server.stop()


def order(address: str, home: Path) -> int:
    """An order on a server that runs; gives the client's exit code. The worker's log goes to the folder `home`."""
    environment = os.environ | {"TEMPORAL_ADDRESS": address, "PYTHONUNBUFFERED": "1"}
    module = launch.target_directory() / "wasm32-wasip2" / "guest" / "order_workflow.wasm"
    say(2, f"deploying {module.name} to the task queue orders")
    launch.deploy(module, "orders", address)

    say(3, "starting the activity worker (examples/order/python/worker.py)")
    with open(home / "worker.log", "wb") as log:
        worker = subprocess.Popen([sys.executable, EXAMPLE / "python" / "worker.py"], env=environment, stderr=log)
    try:
        say(4, "placing the order (examples/order/python/start.py)")
        # The last line that the demo prints is the client's: 완료: <transaction id>.
        return subprocess.run([sys.executable, EXAMPLE / "python" / "start.py"], env=environment).returncode
    finally:
        launch.stop(worker)


def say(step: int, what: str) -> None:
    print(f"[{step}/4] {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
