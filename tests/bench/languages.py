"""The order workflow in each guest language on one machine, in one run: what its component costs, and what is done in a second.

The sandbox alone is measured by `sandbox_bench --order`; the server with the same client and the same activity worker
for all languages. `make bench-languages` builds what it needs.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import bench  # noqa: E402
import launch  # noqa: E402
from bench import paths  # noqa: E402
from support.server import Mainspring  # noqa: E402

DEPLOY_TIMEOUT_S = 300
ALONE, AT_ONCE = 1, 50
# What we want of every language: at most so much.
SLOWDOWN_AIM, INSTANTIATION_AIM_MS, MEMORY_AIM_MIB = 5, 5, 3


def component(language: str) -> Path:
    return paths.guest("order-workflow") if language == "rust" else launch.component("order", language)


def in_the_sandbox(language: str) -> dict:
    program = paths.existing(paths.target_directory() / "release" / "examples" / "sandbox_bench", "make bench-languages")
    output = subprocess.check_output([program, "--json", "--order", "--module", component(language)])
    return json.loads(output)


def on_the_server(language: str, directory: Path, counts: dict[int, int]) -> dict:
    server = Mainspring(directory / language)
    worker = None
    try:
        server.start()
        begun, used = time.monotonic(), bench.cpu_s(server.psutil())
        server.deploy_file(component(language), "orders", timeout_s=DEPLOY_TIMEOUT_S)
        deployed = {"deploy_s": time.monotonic() - begun, "deploy_cpu_s": bench.cpu_s(server.psutil()) - used}
        worker = bench.Helper("activity_worker.py", server.address)
        return deployed | asyncio.run(bench.measure(server, counts, {"activity_worker": worker}))
    finally:
        if worker:
            worker.stop()
        server.stop()
        server.remove()


def rows(sandbox: dict, server: dict) -> list[tuple[str, float]]:
    alone, at_once = server[ALONE], server[AT_ONCE]
    return [
        ("component, MB", sandbox["component, KiB"] * 1024 / 1e6),
        ("deployed and compiled, s", server["deploy_s"]),
        ("  of the server's CPU, s", server["deploy_cpu_s"]),
        ("loaded from the compiled cache, ms", sandbox["load from the compiled cache, ms"]),
        ("instantiation, ms", sandbox["instantiation, us"] / 1e3),
        ("first activation, instantiation included, ms", sandbox["first activation, instantiation included, us"] / 1e3),
        ("next activation of a cached instance, ms", sandbox["next activation of a cached instance, us"] / 1e3),
        ("private memory of a cached instance, MiB", sandbox["private memory per cached instance, KiB"] / 1024),
        ("  as the cache estimates it, MiB", sandbox["the cache's estimate of it, KiB"] / 1024),
        ("an order evicted and replayed, ms", sandbox["replay of an order, us"] / 1e3),
        ("orders a second, one at a time", alone["orders_per_s"]),
        (f"orders a second, {AT_ONCE} at once", at_once["orders_per_s"]),
        ("  p99, ms", at_once["p99_ms"]),
        ("  server CPU for each, ms", at_once["server_cpu_ms_per_order"]),
    ]


def report(figures: dict[str, dict]) -> None:
    columns = {language: rows(one["sandbox"], one["server"]) for language, one in figures.items()}
    print(f"| | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
    for row in zip(*columns.values()):
        name, values = row[0][0], [value for _, value in row]
        print(f"| {name} | {' | '.join(f'{value:.3g}' for value in values)} |")
    rate = {language: one["server"][AT_ONCE]["orders_per_s"] for language, one in figures.items()}
    for language, column in columns.items():
        of = dict(column)
        slowdown = rate["rust"] / rate[language]
        instantiation = of["instantiation, ms"]
        memory = of["private memory of a cached instance, MiB"]
        aims = [
            (f"orders {slowdown:.1f} times slower than Rust's", slowdown <= SLOWDOWN_AIM, f"{SLOWDOWN_AIM} times"),
            (f"instantiation within {instantiation:.2f} ms", instantiation <= INSTANTIATION_AIM_MS, f"{INSTANTIATION_AIM_MS} ms"),
            (f"{memory:.2f} MiB for each cached run", memory <= MEMORY_AIM_MIB, f"{MEMORY_AIM_MIB} MiB"),
        ]
        told = (f"{what} (aim: {aim}, {'reached' if reached else 'MISSED'})" for what, reached, aim in aims)
        print(f"{language}: {'; '.join(told)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--alone", type=int, default=100, help="orders one at a time")
    parser.add_argument("--at-once", type=int, default=1500, help=f"orders, {AT_ONCE} at a time")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON as well")
    args = parser.parse_args()
    counts = {ALONE: args.alone, AT_ONCE: args.at_once}
    assert os.environ.get("E2E_PROFILE") == "release", "a development build says nothing: E2E_PROFILE=release"
    with tempfile.TemporaryDirectory(prefix="bench-", dir=paths.target_directory()) as directory:
        # Rust's again at the end, to see what the machine did meanwhile.
        figures = {}
        for language in launch.COMPONENTS:
            figures[language] = {"sandbox": in_the_sandbox(language), "server": on_the_server(language, Path(directory), counts)}
            print(f"{language}: {figures[language]['server'][AT_ONCE]['orders_per_s']:.0f} orders a second", file=sys.stderr)
        again = on_the_server("rust", Path(directory) / "again", counts)[AT_ONCE]["orders_per_s"]
    report(figures)
    print(f"rust again, at the end: {again:.0f} orders a second, {AT_ONCE} at once")
    if args.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
