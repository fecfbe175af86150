"""Runs examples, and prints what happens: `python examples/run.py saga`, or all of them without a name.

Each one's module is deployed to a server, its activities run in this process (worker.py), and its client (client.py)
starts workflows and talks to them. Everything has to be built: `make build guests`, or `make examples` for it all.
"""

import argparse
import asyncio
import functools
import importlib
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import launch
from example import Example
from temporalio.client import Client

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
            asyncio.run(run(options.names or launch.names(), options.language, options.address or server.address))
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
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(launch.names())}")
    parser.add_argument("--language", choices=launch.COMPONENTS, default="rust", help="what the workflows are written in")
    parser.add_argument("--address", help="a server that runs already, and goes on afterwards, such as localhost:7233")
    options = parser.parse_args()
    for name in options.names:
        if name not in launch.names():
            parser.error(f"there is no example {name!r}; there are {', '.join(launch.names())}")
        if options.language not in launch.languages(name):
            parser.error(f"{name} is not written in {options.language}; it is in {', '.join(launch.languages(name))}")
    return options


async def run(names: list[str], language: str, address: str) -> None:
    client = await Client.connect(address)
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
