"""Versions under load, with kill -9 in between: no run changes its module, and none is lost."""

import asyncio
import os
import random

import pytest
from support import paths
from support.histories import event_types
from support.modules import Modules
from support.variants import digest, modules_of, variant
from support.waiting import eventually
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

pytestmark = [pytest.mark.mainspring_only, pytest.mark.timeout(600)]

QUEUE = "kitchen"
STARTERS = 8
# How long the load goes on between two changes, in runs that were started in between.
RUNS_BETWEEN = 40
# More than a signal that is sent again and again, because nobody answers, makes.
TICKS = 20


class Load:
    """Clients that start runs, and give some of them a turn, until they are stopped. They ask again when nobody answers."""

    def __init__(self, client, dice: random.Random):
        self.client, self.dice = client, dice
        self.begun: list[str] = []
        # What a run was seen to be on while the load went on.
        self.seen: dict[str, str] = {}
        self.stopped = False
        self.tasks = [asyncio.create_task(self._start(number)) for number in range(STARTERS)]
        self.tasks.append(asyncio.create_task(self._disturb()))

    async def ask(self, call):
        while True:
            try:
                return await call()
            except RPCError as error:
                # The server is down, or comes up: what was asked may have been done all the same.
                assert error.status.name in ("UNAVAILABLE", "CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED"), error

    async def _start(self, number: int):
        count = 0
        while not self.stopped:
            workflow_id = f"run-{number}-{count}"
            count += 1
            await self.ask(
                lambda: self.client.start_workflow(
                    "SignalCounter",
                    TICKS,
                    id=workflow_id,
                    task_queue=QUEUE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                )
            )
            self.begun.append(workflow_id)

    async def _disturb(self):
        """Runs that have begun have another turn, whatever is active by then."""
        while not self.stopped:
            fresh = [workflow_id for workflow_id in self.begun if workflow_id not in self.seen]
            if not fresh:
                await asyncio.sleep(0)
                continue
            workflow_id = self.dice.choice(fresh)
            handle = self.client.get_workflow_handle(workflow_id)
            modules = modules_of(await self.ask(handle.fetch_history))
            if modules:
                (self.seen[workflow_id],) = modules
                await self.ask(lambda: handle.signal("tick", "under way"))

    async def more(self):
        count = len(self.begun) + RUNS_BETWEEN
        await eventually(lambda: len(self.begun) >= count, f"{RUNS_BETWEEN} more runs are started", 60)

    async def stop(self):
        self.stopped = True
        await asyncio.gather(*self.tasks)


async def test_roll_forward_back_and_ramp_under_load_with_kills(servers, in_thread):
    seed = int(os.environ.get("E2E_SEED", random.randrange(2**32)))
    print(f"E2E_SEED={seed}")
    server = servers().start()
    modules = [variant(server, number) for number in range(3)]
    one, two, three = (digest(module) for module in modules)

    def words(*words):
        return lambda: server.mainspring_json("module", *words, "--task-queue", QUEUE)

    async def do(*command):
        return (await in_thread(words(*command)))["deployment"]

    await do("deploy", modules[0])
    await in_thread(server.mainspring, "module", "upload", modules[1])
    await in_thread(server.mainspring, "module", "upload", modules[2])
    load = Load(await server.connect(), random.Random(seed))
    steps = [
        (("activate", two[:12]), (two, None)),
        (("ramp", three, "--percentage", "30"), (two, three)),
        (("ramp", "3", "--percentage", "60"), (two, three)),
        (("rollback",), (two, None)),
        (("rollback",), (one, None)),
        (("ramp", "3", "--percentage", "50"), (one, three)),
        (("ramp", "3", "--percentage", "100"), (three, None)),
        (("rollback",), (one, None)),
        (("deploy", modules[1]), (two, None)),
    ]
    for command, (active, ramping) in steps:
        await load.more()
        deployment = await do(*command)
        # What was answered is durable: it is so after a kill that comes at once.
        await in_thread(server.kill)
        await in_thread(server.start)
        after = (await in_thread(words("versions")))["deployment"]
        assert after == deployment
        assert (after["digest"], after["ramp"] and after["ramp"]["digest"]) == (active, ramping), command
    await load.more()
    await load.stop()

    client = await server.connect()
    handles = {workflow_id: client.get_workflow_handle(workflow_id) for workflow_id in load.begun}
    assert len(handles) == len(load.begun) >= RUNS_BETWEEN * len(steps)
    on = {}
    for workflow_id, handle in handles.items():

        async def module():
            return modules_of(await handle.fetch_history())

        (on[workflow_id],) = await eventually(module, f"{workflow_id} has its first turn")
    assert set(on.values()) == {one, two, three}
    changed = {workflow_id for workflow_id, module in load.seen.items() if on[workflow_id] != module}
    assert not changed, f"runs have changed their module: {changed}"
    # All of them are open.
    report = await in_thread(words("versions"))
    runs = [version["openRuns"] for version in report["versions"]]
    assert runs == [sum(module == of for module in on.values()) for of in (one, two, three)]
    assert (report["unpinnedRuns"], report["others"], report["openRuns"]) == (0, [], len(on))

    async def finish(workflow_id):
        handle = handles[workflow_id]
        had = event_types(await handle.fetch_history()).count("WorkflowExecutionSignaled")
        for number in range(had, TICKS):
            await handle.signal("tick", number)
        assert len(await handle.result()) == TICKS
        assert modules_of(await handle.fetch_history()) == {on[workflow_id]}

    for begin in range(0, len(load.begun), 50):
        await asyncio.gather(*(finish(workflow_id) for workflow_id in load.begun[begin : begin + 50]))
    report = await in_thread(words("versions"))
    assert [version["openRuns"] for version in report["versions"]] == [0, 0, 0]


async def test_an_upload_that_a_kill_has_broken_off_goes_on(servers, in_thread):
    server = servers().start()
    module = paths.guest("example-order-go")
    content = module.read_bytes()
    part = 4 * 1024 * 1024
    assert len(content) > part

    def break_off():
        with Modules(server.address) as modules:
            upload = modules.upload(module)
            assert upload.received() == 0
            upload.send(content[: part + 1000])
            assert upload.received() == part
            server.kill()

    def go_on():
        with Modules(server.address) as modules:
            upload = modules.upload(module)
            assert upload.received() == part
            # It breaks off once more: the connection goes, the server stays.
            upload.send(content[part : part + 2000])

    def finish():
        with Modules(server.address) as modules:
            upload = modules.upload(module)
            received = upload.received()
            assert part <= received <= part + 2000
            upload.send(content[received:])
            upload.finish()
            answer = upload.answer()
            assert (answer.module.digest, answer.module.language, answer.existed) == (digest(module), "Go", False)

    await in_thread(break_off)
    server.start()
    await in_thread(go_on)
    await in_thread(finish)
    again = await in_thread(server.mainspring_json, "module", "upload", module)
    assert again["existed"]
    copy = server.directory / "copy.wasm"
    await in_thread(server.mainspring, "module", "download", digest(module), "--output-file", copy)
    assert copy.read_bytes() == content
