"""A noisy neighbour: the orders of one tenant alone, and beside a tenant that does everything that it should not.

    E2E_PROFILE=release .venv/bin/python tests/bench/neighbours.py --seconds 300

Both times are as long, and each on a server of its own that begins empty: a journal with 100,000 orders in it is slower
than an empty one, whoever else is there.

The hostile tenant (hostile_tenant.py) has the quotas that somebody who lets strangers onto a server would give them;
`--quotas none` leaves it the server's defaults. Its client runs with the lowest priority, because a real one would be on
another machine; the server, the activity worker and the client of the orders share what is left.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import paths  # noqa: E402
from support.server import Mainspring, environment  # noqa: E402
from temporalio.client import Client  # noqa: E402

ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}
MIB = 2**20
STRANGER = {
    "execution_requests_per_second": 200,
    "visibility_requests_per_second": 10,
    "starts_per_second": 50,
    "burst_seconds": 1,
    "open_runs": 2_000,
    "history_bytes": 512 * MIB,
    "fuel_per_second": 50_000_000,
    "fuel_per_activation": 100_000_000,
    "concurrent_activations": 1,
    "log_bytes_per_second": 65_536,
    "cached_memory_bytes": 64 * MIB,
    "weight": 50,
    "hosted_activities": 8,
}
WARM_UP_S = 5
# As configured: cached instances, pages of the store, runs in memory (64 MiB for each of 8 shards), activations that run
# (4 threads of 64 MiB, which the hostile tenant fills), its 8 activities; and what the process is without them.
BUDGET_MIB = 256 + 128 + 8 * 64 + 4 * 64 + 8 * 16 + 128
THROUGHPUT_AIM, P99_AIM = 0.80, 3.0


class Shared(Mainspring):
    def command(self) -> list:
        config = self.directory / "mainspring.toml"
        config.write_text(
            f'port = {self.port}\ndata_dir = "{self.data}"\nnamespaces = ["default", "hostile"]\n'
            f"[sandbox]\ninstance_cache_bytes = {256 * MIB}\n[store]\ncache_bytes = {128 * MIB}\n"
            f"[activities]\nmemory_bytes = {16 * MIB}\n"
        )
        return [paths.mainspring_binary(), "server", "--config", config]


async def orders(client: Client, seconds: float, concurrency: int, name: str) -> dict:
    """Order after order in each of so many loops."""
    latencies = []
    end = time.perf_counter() + seconds

    async def loop(number: int) -> None:
        count = 0
        while time.perf_counter() < end:
            begun = time.perf_counter()
            workflow_id = f"{name}-{number}-{count}"
            result = await client.execute_workflow("OrderWorkflow", ORDER, id=workflow_id, task_queue="orders")
            assert result == "tx"
            latencies.append(time.perf_counter() - begun)
            count += 1

    begun = time.perf_counter()
    await asyncio.gather(*(loop(number) for number in range(concurrency)))
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "orders": len(latencies),
        "orders_per_s": len(latencies) / (time.perf_counter() - begun),
        "p50_ms": cuts[49] * 1e3,
        "p99_ms": cuts[98] * 1e3,
    }


def status_mib(server: Mainspring, field: str) -> float:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


@contextlib.contextmanager
def child(script: str, *arguments):
    process = subprocess.Popen(
        [sys.executable, HERE / script, *arguments], stdout=subprocess.PIPE, env=environment(), text=True
    )
    assert process.stdout.readline() == "ready\n", f"{script} does not start"
    try:
        yield process
    finally:
        process.terminate()
        process.stdout.close()
        process.wait()


def finish(process: subprocess.Popen) -> dict:
    process.terminate()
    return json.loads(process.stdout.readline() or "{}")


async def alone(server: Mainspring, arguments) -> dict:
    client = await server.connect()
    server.deploy_file(paths.guest("order-workflow"), "orders")
    with child("activity_worker.py", server.address):
        await orders(client, WARM_UP_S, arguments.concurrency, "warm-up")
        figures = await orders(client, arguments.seconds, arguments.concurrency, "alone")
    return figures | {"peak_rss_mib": status_mib(server, "VmHWM")}


async def beside(server: Mainspring, arguments) -> dict:
    client = await server.connect()
    server.deploy_file(paths.guest("order-workflow"), "orders")
    for guest, queue in (("guest-hostile", "bombs"), ("guest-kitchen", "kitchen"), ("guest-activities", "kitchen")):
        server.mainspring("module", "deploy", paths.guest(guest), "-t", queue, "--namespace", "hostile")
    if arguments.quotas == "stranger":
        settings = [f"{name}={value}" for name, value in STRANGER.items()]
        server.mainspring("quota", "set", *settings, "--namespace", "hostile")
    with child("activity_worker.py", server.address):
        await orders(client, WARM_UP_S, arguments.concurrency, "warm-up")
        with child("hostile_tenant.py", server.address, "hostile") as hostile:
            # Until its backlog is long.
            await orders(client, WARM_UP_S, arguments.concurrency, "meanwhile")
            figures = await orders(client, arguments.seconds, arguments.concurrency, "beside")
            done = await asyncio.to_thread(finish, hostile)
    figures["peak_rss_mib"] = status_mib(server, "VmHWM")
    done["usage"] = server.mainspring_json("usage", "--namespace", "hostile")
    return figures | {"hostile": done}


def on_a_server(measure, arguments) -> dict:
    with tempfile.TemporaryDirectory(prefix="mainspring-bench-") as directory:
        server = Shared(Path(directory)).start()
        try:
            return asyncio.run(measure(server, arguments))
        finally:
            server.kill()


def report(figures: dict, budget_mib: float) -> bool:
    alone, beside = figures["alone"], figures["beside"]
    for name, side in (("alone", alone), ("beside the hostile tenant", beside)):
        print(
            f"{name:26} {side['orders_per_s']:8.1f} orders/s   p50 {side['p50_ms']:7.1f} ms   p99 {side['p99_ms']:7.1f} ms"
        )
    aims = [
        (f"throughput {figures['throughput_ratio']:.2f} of alone (aim: {THROUGHPUT_AIM})",
         figures["throughput_ratio"] >= THROUGHPUT_AIM),
        (f"p99 {figures['p99_ratio']:.2f} times alone (aim: {P99_AIM})", figures["p99_ratio"] <= P99_AIM),
        (f"peak memory {beside['peak_rss_mib']:.0f} MiB (budget: {budget_mib:.0f})", beside["peak_rss_mib"] <= budget_mib),
    ]  # fmt: skip
    for aim, met in aims:
        print(f"  {'met   ' if met else 'NOT MET'} {aim}")
    usage = beside["hostile"]["usage"]
    print(
        f"the hostile tenant: {usage['activations']} activations, {float(usage['fuel']) / 1e9:.1f} G fuel, "
        f"{usage['starts']} starts, {usage['events']} events, refused {sum(map(int, usage['refused'].values()))}"
    )
    # What is spent on the attacker's side would be spent on another machine.
    share = beside["hostile"]["cpu_s"] / (figures["seconds"] + WARM_UP_S) / os.cpu_count()
    print(f"its client took {share:.0%} of this machine's processors, which a real one would bring along")
    return all(met for _, met in aims)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300, help="how long alone, and how long beside the hostile tenant")
    parser.add_argument("--concurrency", type=int, default=4, help="orders at the same time")
    parser.add_argument("--quotas", choices=["stranger", "none"], default="stranger")
    parser.add_argument("--budget-mib", type=float, default=BUDGET_MIB, help="what the server's memory is held against")
    parser.add_argument("--json", type=Path, help="write all figures there")
    arguments = parser.parse_args()
    figures = {"seconds": arguments.seconds, "concurrency": arguments.concurrency, "quotas": arguments.quotas}
    figures["alone"] = on_a_server(alone, arguments)
    figures["beside"] = on_a_server(beside, arguments)
    figures["throughput_ratio"] = figures["beside"]["orders_per_s"] / figures["alone"]["orders_per_s"]
    figures["p99_ratio"] = figures["beside"]["p99_ms"] / figures["alone"]["p99_ms"]
    met = report(figures, arguments.budget_mib)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
