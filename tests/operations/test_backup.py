"""`mainspring store backup` and `restore`: a copy of a server that is at work, and a server that goes on with it."""

import asyncio
import contextlib

import pytest
from support import paths
from support.server import run
from support.waiting import eventually
from temporalio import activity
from temporalio.service import RPCError
from temporalio.worker import Worker

pytestmark = pytest.mark.mainspring_only
ORDER = {"amount": 1.0, "user_id": "u", "email": "e@example.com"}


@activity.defn
async def charge_payment(amount: float, user_id: str) -> str:
    return f"tx-{user_id}"


@activity.defn
async def send_email(to: str, subject: str) -> None:
    pass


def store(*arguments, check: bool = True):
    return run([paths.mainspring_binary(), "store", *arguments], check, 300)


class Load:
    """Starts runs without end, and notes which were acknowledged."""

    def __init__(self, client):
        self.client = client
        self.counters: list[str] = []
        self.orders: list[str] = []

    async def go_on(self) -> None:
        number = 0
        while True:
            number += 1
            counter, order = f"counter-{number}", f"order-{number}"
            handle = await self.client.start_workflow("SignalCounter", 2, id=counter, task_queue="kitchen")
            await handle.signal("tick", "before")
            self.counters.append(counter)
            await self.client.start_workflow("OrderWorkflow", ORDER, id=order, task_queue="orders")
            self.orders.append(order)


async def test_what_was_acknowledged_before_a_backup_goes_on_elsewhere(servers, tmp_path, in_thread):
    server, file = servers().start(), tmp_path / "backup"
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    server.deploy_file(paths.guest("order-workflow"), "orders")
    client = await server.connect()
    load = Load(client)
    loads = [asyncio.create_task(load.go_on())]
    async with Worker(client, task_queue="orders", activities=[charge_payment, send_email]):
        await eventually(lambda: len(load.orders) > 30, "thirty orders are started", 60)
        counters, orders = list(load.counters), list(load.orders)
        backup = await in_thread(server.mainspring_json, "store", "backup", file)
        assert backup["rows"] > 0 and backup["bytes"] == file.stat().st_size
        assert file.stat().st_mode & 0o777 == 0o600
        at_the_end = len(load.orders)
        await eventually(lambda: len(load.orders) > at_the_end, "the server goes on after its backup")
        server.kill()
    for task in loads:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, RPCError):
            await task

    other = servers()
    restored = store("restore", file, "--data-dir", other.data)
    assert "every checksum read" in restored.stdout
    verified = other.verify()
    assert verified.returncode == 0, verified.stderr
    other.start()
    client = await other.connect()
    async with Worker(client, task_queue="orders", activities=[charge_payment, send_email]):
        for counter in counters:
            handle = client.get_workflow_handle(counter)
            await handle.signal("tick", "after")
            assert await handle.result() == ["before", "after"]
        for order in orders:
            await client.get_workflow_handle(order).result()


async def test_a_stopped_directory_is_backed_up_without_a_server(servers, tmp_path):
    server, file = servers().start(), tmp_path / "backup"
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    client = await server.connect()
    handle = await client.start_workflow("SignalCounter", 2, id="counter", task_queue="kitchen")
    await handle.signal("tick", "before")
    refused = store("backup", file, "--data-dir", server.data, check=False)
    assert refused.returncode == 2 and "in use by another process" in refused.stderr
    assert list(tmp_path.glob("backup*")) == []
    server.stop()

    assert "ChangesMeanwhile  0" in store("backup", file, "--data-dir", server.data).stdout
    other = servers()
    store("restore", file, "--data-dir", other.data)
    other.start()
    handle = (await other.connect()).get_workflow_handle("counter")
    await handle.signal("tick", "after")
    assert await handle.result() == ["before", "after"]


def test_nothing_that_is_there_is_written_over(servers, tmp_path):
    server, file = servers().start(), tmp_path / "backup"
    server.mainspring("store", "backup", file)
    written = file.read_bytes()
    again = server.mainspring("store", "backup", file, check=False)
    assert again.returncode == 2 and "exists already" in again.stderr
    assert file.read_bytes() == written
    server.stop()
    over = store("restore", file, "--data-dir", server.data, check=False)
    assert over.returncode == 2 and "is not empty" in over.stderr
    assert server.verify().returncode == 0


def test_a_damaged_or_cut_backup_is_refused_before_anything_is_written(servers, tmp_path):
    server, file = servers().start(), tmp_path / "backup"
    server.mainspring("store", "backup", file)
    written = file.read_bytes()
    damaged = bytearray(written)
    damaged[len(damaged) // 2] ^= 1
    for spoiled, why in [(written[:-1], "cut off"), (bytes(damaged), "frame"), (b"", "cut off"), (b"x" * 99, "does not begin")]:
        file.write_bytes(spoiled)
        refused = store("restore", file, "--data-dir", tmp_path / "data", check=False)
        assert refused.returncode == 1 and why in refused.stderr, refused.stderr
        assert not (tmp_path / "data").exists()


def test_without_a_server_there_is_no_backup_and_no_file(tmp_path):
    refused = store("backup", tmp_path / "backup", "--address", "127.0.0.1:1", check=False)
    assert refused.returncode == 2 and "cannot connect" in refused.stderr
    assert list(tmp_path.iterdir()) == []
