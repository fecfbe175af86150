"""Runs examples, and prints what happens: `python examples/run.py saga`, or all of them where none is named.

Each one's module is deployed to a server, its activities run in this process (worker.py), and its client (client.py)
starts workflows and talks to them. Everything has to be built: `make build guests`, or `make examples` for it all.
"""

import argparse
import asyncio
import functools
import importlib
import logging
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import launch
from example import Example
from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig

TIMEOUT_S = 120


def main() -> int:
    # Ends what was started, also when somebody ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.stdout.reconfigure(line_buffering=True)
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="mainspring-examples-") as home:
        server = None if options.address else launch.Server(Path(home))
        try:
            if server:
                print(f"starting a server on {server.address}")
                server.start()
            address = options.address or server.address
            names = options.names or ["order", *launch.names()]
            if "order" in names:
                print("\n== order ==")
                if code := importlib.import_module("order.demo").order(address, Path(home)):
                    return code
            asyncio.run(run([name for name in names if name != "order"], options.language, address))
            return 0
        except (subprocess.CalledProcessError, RuntimeError, TimeoutError) as error:
            print(f"run.py: {error or type(error).__name__}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            if server:
                server.stop()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__.split("\n\n")[0])
    known = ["order", *launch.names()]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known)}")
    parser.add_argument("--language", choices=launch.COMPONENTS, default="rust", help="what the workflows are written in")
    parser.add_argument("--address", help="a server that runs already, and goes on afterwards, such as localhost:7233")
    options = parser.parse_args()
    for name in options.names:
        if name not in known:
            parser.error(f"there is no example {name!r}; there are {', '.join(known)}")
        if name != "order" and options.language not in launch.languages(name):
            parser.error(f"{name} is not written in {options.language}; it is in {', '.join(launch.languages(name))}")
    return options


def quiet_runtime() -> Runtime:
    """Without the warnings of the SDK: that activities fail and are canceled is what some examples are about."""
    logging.getLogger("temporalio.activity").setLevel(logging.ERROR)
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="ERROR")))


async def run(names: list[str], language: str, address: str) -> None:
    client = await Client.connect(address, runtime=quiet_runtime())
    quietly = functools.partial(launch.deploy, address=address, stdout=subprocess.DEVNULL)
    for name in names:
        if language not in launch.languages(name):
            continue
        print(f"\n== {name} ({language}) ==")
        example = Example(name, language, client, name, quietly)
        await example.deploy()
        async with example.worker():
            await asyncio.wait_for(importlib.import_module(f"{name}.client").main(example), TIMEOUT_S)
    # The SDK's threads are done a moment after the last result, and a Python that ends before them may crash.
    await asyncio.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
