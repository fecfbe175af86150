"""The order workflow on Mainspring and on the Temporal dev server, side by side, in one run on one machine.

The client (this process) and the activity worker are the same program for both. Temporal needs a workflow worker
besides: its CPU is shown, and not counted as the server's. Both servers keep their data in files on the same disk;
Mainspring has every acknowledgement on the disk before it is given, SQLite as the dev server sets it up.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import psutil  # noqa: E402
from support import paths  # noqa: E402
from support.server import Mainspring, Server, TemporalDev, environment  # noqa: E402
from temporalio.client import Client  # noqa: E402

ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}
WARM_UP = 50
HOUR_MS = 3_600_000
CPU_RATIO_AIM = 40


class FrugalMainspring(Mainspring):
    """With next to no caches, so that sleeping workflows are only on the disk."""

    def command(self) -> list:
        config = self.directory / "mainspring.toml"
        config.write_text(
            f'port = {self.port}\ndata_dir = "{self.data}"\nruns_in_memory_per_shard = 1\n'
            "[sandbox]\ninstance_cache_count = 1\n[store]\ncache_bytes = 8388608\n"
        )
        return [paths.mainspring_binary(), "server", "--config", config]


class Helper:
    """A worker process, whose CPU time is known."""

    def __init__(self, script: str, address: str):
        command = [sys.executable, HERE / script, address]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())
        assert self.process.stdout.readline() == b"ready\n", f"{script} does not start"

    def cpu_s(self) -> float:
        return cpu_s(psutil.Process(self.process.pid))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def cpu_s(process: psutil.Process) -> float:
    total = 0.0
    for member in [process, *process.children(recursive=True)]:
        times = member.cpu_times()
        total += times.user + times.system
    return total


def rss_bytes(process: psutil.Process) -> int:
    return sum(member.memory_info().rss for member in [process, *process.children(recursive=True)])


def peak_rss_bytes(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


async def orders(client: Client, count: int, concurrency: int, name: str) -> tuple[float, list[float]]:
    """Executes so many orders, at most `concurrency` at once; gives the time of all, and of each."""
    numbers, latencies = iter(range(count)), []

    async def client_loop() -> None:
        for number in numbers:
            begun = time.perf_counter()
            result = await client.execute_workflow("OrderWorkflow", ORDER, id=f"{name}-{number}", task_queue="orders")
            latencies.append(time.perf_counter() - begun)
            assert result == "tx"

    begun = time.perf_counter()
    await asyncio.gather(*(client_loop() for _ in range(concurrency)))
    return time.perf_counter() - begun, latencies


async def measure(server: Server, counts: dict[int, int], workers: dict[str, Helper]) -> dict:
    client = await server.connect()
    await orders(client, WARM_UP, 10, "warm-up")
    figures = {}
    for concurrency, count in counts.items():
        before = cpu_s(server.psutil())
        before_workers = {name: worker.cpu_s() for name, worker in workers.items()}
        elapsed, latencies = await orders(client, count, concurrency, f"c{concurrency}")
        used = cpu_s(server.psutil()) - before
        cuts = statistics.quantiles(latencies, n=100)
        figures[concurrency] = {
            "orders": count,
            "orders_per_s": count / elapsed,
            "p50_ms": cuts[49] * 1e3,
            "p99_ms": cuts[98] * 1e3,
            "server_cpu_ms_per_order": used / count * 1e3,
        } | {
            f"{name}_cpu_ms_per_order": (worker.cpu_s() - before_workers[name]) / count * 1e3
            for name, worker in workers.items()
        }
    figures["peak_rss_mib"] = peak_rss_bytes(server.psutil()) / 2**20
    return figures


def bench_mainspring(directory: Path, counts: dict[int, int]) -> dict:
    server = Mainspring(directory / "mainspring")
    return with_workers(server, counts, ["activity_worker"])


def bench_temporal(directory: Path, counts: dict[int, int]) -> dict:
    server = TemporalDev(directory / "temporal", durable=True)
    return with_workers(server, counts, ["activity_worker", "workflow_worker"])


def with_workers(server: Server, counts: dict[int, int], names: list[str]) -> dict:
    workers: dict[str, Helper] = {}
    try:
        server.start()
        if isinstance(server, Mainspring):
            server.deploy_file(paths.guest("order-workflow"), "orders")
        for name in names:
            workers[name] = Helper(f"{name}.py", server.address)
        return asyncio.run(measure(server, counts, workers))
    finally:
        for worker in workers.values():
            worker.stop()
        server.stop()
        server.remove()


def sleeping(server: Server, count: int, workflow_worker: bool) -> float:
    """Bytes of server memory for each workflow that sleeps."""
    worker = None
    try:
        server.start()
        if isinstance(server, Mainspring):
            server.deploy_file(paths.guest("guest-kitchen"), "orders")
        if workflow_worker:
            worker = Helper("workflow_worker.py", server.address)

        async def run() -> float:
            client = await server.connect()

            async def start(first: int, last: int) -> None:
                numbers = iter(range(first, last))

                async def client_loop() -> None:
                    for number in numbers:
                        await client.start_workflow("Sleep", HOUR_MS, id=f"sleep-{number}", task_queue="orders")

                await asyncio.gather(*(client_loop() for _ in range(50)))
                await all_asleep(client, last)

            # The first ones fill what is filled once: pools, caches, the allocator's arenas.
            warm = count // 4
            await start(0, warm)
            before = rss_bytes(server.psutil())
            await start(warm, warm + count)
            return (rss_bytes(server.psutil()) - before) / count

        return asyncio.run(run())
    finally:
        if worker:
            worker.stop()
        server.stop()
        server.remove()


async def all_asleep(client: Client, count: int) -> None:
    """Until the last ones to be started have their timers: each queue is served in order."""
    deadline = time.monotonic() + 120
    for number in range(max(0, count - 100), count):
        handle = client.get_workflow_handle(f"sleep-{number}")
        while (await handle.describe()).history_length < 5:
            assert time.monotonic() < deadline, "the workflows do not fall asleep"
            await asyncio.sleep(0.05)


def report(ours: dict, theirs: dict) -> None:
    print(f"\n{'order workflow, no-op activities':<42}{'Mainspring':>14}{'Temporal dev':>14}{'ratio':>10}")

    def line(what: str, our: float, their: float, better_is_less: bool) -> None:
        ratio = their / our if better_is_less else our / their
        print(f"{what:<42}{our:>14.2f}{their:>14.2f}{ratio:>9.1f}x")

    for concurrency in (key for key in ours if isinstance(key, int)):
        our, their = ours[concurrency], theirs[concurrency]
        at = f"at concurrency {concurrency}"
        line(f"workflows/s {at}", our["orders_per_s"], their["orders_per_s"], False)
        line(f"p50 latency, ms, {at}", our["p50_ms"], their["p50_ms"], True)
        line(f"p99 latency, ms, {at}", our["p99_ms"], their["p99_ms"], True)
        cpu = "server_cpu_ms_per_order"
        line(f"server CPU, ms/workflow, {at}", our[cpu], their[cpu], True)
        print(f"{'  activity worker CPU, ms/workflow':<42}{our['activity_worker_cpu_ms_per_order']:>14.2f}"
              f"{their['activity_worker_cpu_ms_per_order']:>14.2f}")
        print(f"{'  workflow worker CPU, ms/workflow':<42}{'none':>14}{their['workflow_worker_cpu_ms_per_order']:>14.2f}")
    line("peak server memory, MiB", ours["peak_rss_mib"], theirs["peak_rss_mib"], True)
    last = max(key for key in ours if isinstance(key, int))
    ratio = theirs[last]["server_cpu_ms_per_order"] / ours[last]["server_cpu_ms_per_order"]
    verdict = "reached" if ratio >= CPU_RATIO_AIM else "missed"
    print(f"aim: at most 1/{CPU_RATIO_AIM} of Temporal's server CPU per workflow: 1/{ratio:.0f}: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=int, default=200, help="orders at concurrency 1")
    parser.add_argument("--hundred", type=int, default=2000, help="orders at concurrency 100")
    parser.add_argument("--slower", type=int, default=10, help="Temporal gets so many times fewer, to be done in time")
    parser.add_argument("--sleeping", type=int, default=4000, help="sleeping workflows")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON as well")
    args = parser.parse_args()
    counts = {1: args.one, 100: args.hundred}
    # Not in /tmp, which may be memory: the disk is part of what is measured.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=paths.target_directory()) as directory:
        directory = Path(directory)
        fewer = {concurrency: max(count // args.slower, 20) for concurrency, count in counts.items()}
        figures = {"mainspring": bench_mainspring(directory, counts), "temporal": bench_temporal(directory, fewer)}
        report(figures["mainspring"], figures["temporal"])
        figures["sleeping_bytes"] = {
            "mainspring": sleeping(FrugalMainspring(directory / "frugal"), args.sleeping, False),
            "mainspring_default_caches": sleeping(Mainspring(directory / "warm"), args.sleeping, False),
            "temporal": sleeping(TemporalDev(directory / "asleep", durable=True), args.sleeping, True),
        }
        asleep = figures["sleeping_bytes"]
        print(f"\nserver memory for each of {args.sleeping} sleeping workflows, KiB")
        print(f"  Mainspring, evicted          {asleep['mainspring'] / 1024:>10.1f}")
        print(f"  Mainspring, default caches   {asleep['mainspring_default_caches'] / 1024:>10.1f}")
        print(f"  Temporal dev server          {asleep['temporal'] / 1024:>10.1f}   (and its worker's memory)")
    if args.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
