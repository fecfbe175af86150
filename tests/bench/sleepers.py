"""Many sleeping workflows on one server: what they take in memory and on disk, how long a start takes with them, and
how fast lists, counts and descriptions answer.

    E2E_PROFILE=release .venv/bin/python tests/bench/sleepers.py --count 100000
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import paths  # noqa: E402
from support.server import Mainspring  # noqa: E402
from temporalio.api.workflowservice.v1 import (  # noqa: E402
    CountWorkflowExecutionsRequest,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client  # noqa: E402

DAYS_30_MS = 30 * 24 * 3_600_000
MIB = 2**20
# One in so many is another type, on another queue, so that filters have something to find.
RARE = 1000


def disk_bytes(directory: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in directory.rglob("*") if file.is_file())


def memory(server: Mainspring) -> dict[str, float]:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return {"rss_mib": int(values["VmRSS"]) / 1024, "peak_mib": int(values["VmHWM"]) / 1024}


async def start_all(client: Client, first: int, last: int, concurrency: int) -> float:
    numbers = iter(range(first, last))

    async def loop() -> None:
        for number in numbers:
            rare = number % RARE == 0
            queue, kind = ("rare", "IgnoreCancel") if rare else ("sleepers", "Sleep")
            await client.start_workflow(kind, DAYS_30_MS, id=f"sleeper-{number:06}", task_queue=queue)

    begun = time.perf_counter()
    await asyncio.gather(*(loop() for _ in range(concurrency)))
    return time.perf_counter() - begun


async def wait_until_asleep(client: Client, count: int, limit_s: float) -> None:
    """Until all have had their first workflow task, and so have their timer."""
    deadline = time.monotonic() + limit_s
    while True:
        waiting = (await client.count_workflows("BuildIds IS NULL")).count
        if not waiting:
            assert (await client.count_workflows()).count == count
            return
        assert time.monotonic() < deadline, f"{waiting} workflows do not fall asleep"
        await asyncio.sleep(1)


async def timed(call, repetitions: int) -> dict[str, float]:
    times = []
    for repetition in range(repetitions):
        begun = time.perf_counter()
        await call(repetition)
        times.append((time.perf_counter() - begun) * 1e3)
    times.sort()
    return {"p50_ms": statistics.median(times), "p99_ms": times[min(len(times) - 1, int(len(times) * 0.99))]}


async def lists(client: Client, count: int, repetitions: int) -> dict[str, dict[str, float]]:
    service = client.workflow_service

    def listing(query: str, expected: int, size: int = 100, token: bytes = b""):
        request = ListWorkflowExecutionsRequest(
            namespace="default", query=query, page_size=size, next_page_token=token
        )

        async def call(_) -> bytes:
            answer = await service.list_workflow_executions(request)
            assert len(answer.executions) == expected, (query, len(answer.executions))
            return answer.next_page_token

        return call

    def whole(query: str, expected: int):
        """All pages: without an index one may come back before anything is found."""

        async def call(_) -> None:
            assert len([run async for run in client.list_workflows(query)]) == expected

        return call

    def counting(query: str, expected: int):
        request = CountWorkflowExecutionsRequest(namespace="default", query=query)

        async def call(_) -> None:
            assert (await service.count_workflow_executions(request)).count == expected

        return call

    token = b""
    for _ in range(count * 9 // 10 // 1000):
        token = await listing("", 1000, 1000, token)(0)
    middle = await client.get_workflow_handle(f"sleeper-{count // 2:06}").describe()
    then = middle.start_time.isoformat()
    rare = count // RARE
    calls = {
        "list, first page of 100": listing("", 100),
        "list, first page of 1,000": listing("", 1000, 1000),
        "list, page of 100 after 90 %": listing("", 100, 100, token),
        "list ExecutionStatus = 'Running'": listing("ExecutionStatus = 'Running'", 100),
        "list WorkflowId = …": listing(f"WorkflowId = 'sleeper-{count // 3:06}'", 1),
        "list WorkflowId STARTS_WITH …, all": listing("WorkflowId STARTS_WITH 'sleeper-'", 100),
        "list WorkflowId STARTS_WITH …, ten": listing(f"WorkflowId STARTS_WITH 'sleeper-{count // 30:05}'", 10),
        "list WorkflowType = …, rare": listing("WorkflowType = 'IgnoreCancel'", min(rare, 100)),
        "list TaskQueue and type, rare": listing("TaskQueue = 'rare' AND WorkflowType = 'IgnoreCancel'", min(rare, 100)),
        "list TaskQueue = … that has none": listing("TaskQueue = 'nobody'", 0),
        "list StartTime < middle": listing(f"StartTime < '{then}'", 100),
        "list ORDER BY StartTime": listing("ORDER BY StartTime", 100),
        "count": counting("", count),
        "count GROUP BY ExecutionStatus": counting("GROUP BY ExecutionStatus", count),
        "count WorkflowType = …, rare": counting("WorkflowType = 'IgnoreCancel'", rare),
        "list, no index: RootWorkflowId = …": whole("RootWorkflowId = 'sleeper-000000'", 1),
        "list ORDER BY WorkflowId, no index": listing("ORDER BY WorkflowId", 100),
    }
    figures = {}
    for name, call in calls.items():
        slow = "no index" in name or name.startswith("count")
        figures[name] = await timed(call, max(5, repetitions // 20) if slow else repetitions)

    async def describe(repetition: int) -> None:
        number = repetition * 7919 % count
        assert (await client.get_workflow_handle(f"sleeper-{number:06}").describe()).status == 1

    figures["describe, runs that are not in memory"] = await timed(describe, repetitions)
    return figures


def start_seconds(server: Mainspring) -> float:
    begun = time.perf_counter()
    server.start()

    async def ready() -> float:
        await (await server.connect()).count_workflows("WorkflowId = 'x'")
        return time.perf_counter() - begun

    return asyncio.run(ready())


def run(count: int, concurrency: int, repetitions: int) -> dict:
    figures: dict = {"count": count, "profile": paths.PROFILE}
    # Not in /tmp, which may be memory: the disk is part of what is measured.
    with tempfile.TemporaryDirectory(prefix="sleepers-", dir=paths.target_directory()) as directory:
        server = Mainspring(Path(directory) / "server")
        try:
            figures["empty_start_s"] = start_seconds(server)
            for queue in ("sleepers", "rare"):
                server.deploy_file(paths.guest("guest-kitchen"), queue)
            before = memory(server)["rss_mib"], disk_bytes(server.data)

            async def fill() -> float:
                client = await server.connect()
                seconds = await start_all(client, 0, count, concurrency)
                await wait_until_asleep(client, count, 600)
                return seconds

            seconds = asyncio.run(fill())
            figures["starts_per_s"] = count / seconds
            figures["filled"] = memory(server)
            figures["memory_per_run_kib"] = (figures["filled"]["rss_mib"] - before[0]) * 1024 / count
            assert server.stop() == 0
            figures["disk_per_run_bytes"] = (disk_bytes(server.data) - before[1]) / count
            figures["restart_s"] = start_seconds(server)
            figures["restarted"] = memory(server)
            figures["calls"] = asyncio.run(with_client(server, lambda client: lists(client, count, repetitions)))
            figures["listed"] = memory(server)
            server.kill()
            figures["restart_after_kill_s"] = start_seconds(server)
            assert server.stop() == 0
        finally:
            server.kill()
    return figures


async def with_client(server: Mainspring, use):
    return await use(await server.connect())


def report(figures: dict) -> None:
    print(f"{figures['count']} sleeping workflows, {figures['profile']} build")
    for name, value, unit in [
        ("started", figures["starts_per_s"], "/s"),
        ("memory after starting them", figures["filled"]["rss_mib"], "MiB"),
        ("  its peak", figures["filled"]["peak_mib"], "MiB"),
        ("  more than empty, for each", figures["memory_per_run_kib"], "KiB"),
        ("disk for each", figures["disk_per_run_bytes"], "bytes"),
        ("start, empty", figures["empty_start_s"], "s"),
        ("start after a stop", figures["restart_s"], "s"),
        ("start after a kill", figures["restart_after_kill_s"], "s"),
        ("memory after the start", figures["restarted"]["rss_mib"], "MiB"),
        ("memory after all lists", figures["listed"]["rss_mib"], "MiB"),
    ]:
        print(f"  {name:<44}{value:>12.2f} {unit}")
    print(f"  {'':<44}{'p50, ms':>12}{'p99, ms':>12}")
    for name, times in figures["calls"].items():
        print(f"  {name:<44}{times['p50_ms']:>12.2f}{times['p99_ms']:>12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON as well")
    args = parser.parse_args()
    figures = run(args.count, args.concurrency, args.repetitions)
    report(figures)
    if args.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
