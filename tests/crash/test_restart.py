"""What survives a restart: SIGTERM and kill -9, with runs in flight."""

import asyncio
import os
import shutil
import time

import pytest
from support import paths
from support.histories import event_types, module_digest
from support.server import Mainspring, run
from support.waiting import eventually, eventually_sync
from temporalio import activity
from temporalio.worker import Worker

pytestmark = pytest.mark.mainspring_only
ORDER = {"amount": 1.0, "user_id": "u", "email": "e@example.com"}


def stop_gently(server: Mainspring) -> None:
    assert server.stop() == 0


def kill(server: Mainspring) -> None:
    server.kill()


both_ends = pytest.mark.parametrize("end", [stop_gently, kill], ids=["SIGTERM", "kill -9"])


@both_ends
async def test_a_timer_runs_on_while_the_server_is_down(servers, end):
    server = servers().start()
    client = await server.connect()
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    handle = await client.start_workflow("Sleep", 2_000, id="sleeper", task_queue="kitchen")
    begun = time.monotonic()
    await eventually(lambda: has_event(handle, "TimerStarted"), "the timer is started")
    end(server)
    server.start()
    assert await (await reconnected(server, "sleeper")).result() >= 2_000
    assert time.monotonic() - begun >= 1.95


@both_ends
async def test_signals_and_waiting_runs_survive(servers, end):
    server = servers().start()
    client = await server.connect()
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    handle = await client.start_workflow("SignalCounter", 2, id="counter", task_queue="kitchen")
    await handle.signal("tick", "before")
    end(server)
    server.start()
    handle = await reconnected(server, "counter")
    await handle.signal("tick", "after")
    assert await handle.result() == ["before", "after"]


async def test_kill_9_between_the_charge_and_the_mail(servers):
    """The payment was taken and acknowledged: it is never taken again."""
    server = servers().start()
    server.deploy_file(paths.guest("order-workflow"), "orders")
    charges, mails = [], []

    @activity.defn
    async def charge_payment(amount: float, user_id: str) -> str:
        charges.append(user_id)
        return "tx-once"

    @activity.defn
    async def send_email(to: str, subject: str) -> None:
        mails.append(subject)

    client = await server.connect()
    # This worker can only charge, so the server dies while the mail waits to be sent.
    # (A mail that this worker is offered all the same fails, and is sent by the next.)
    async with Worker(client, task_queue="orders", activities=[charge_payment]):
        handle = await client.start_workflow("OrderWorkflow", ORDER, id="order", task_queue="orders")
        await eventually(lambda: has_event(handle, "ActivityTaskCompleted"), "the charge is acknowledged")
        server.kill()
    server.start()
    handle = await reconnected(server, "order")
    async with Worker(await server.connect(), task_queue="orders", activities=[charge_payment, send_email]):
        assert await handle.result() == "tx-once"
    assert charges == ["u"]
    assert mails == ["주문 완료: tx-once"]


@both_ends
async def test_a_worker_that_holds_an_activity_can_complete_it_after_the_restart(servers, end):
    server = servers().start()
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    client = await server.connect()
    tokens = asyncio.Queue()

    @activity.defn
    async def park(_) -> None:
        tokens.put_nowait(activity.info().task_token)
        activity.raise_complete_async()

    args = ["park", {"start_to_close_ms": 60_000}]
    async with Worker(client, task_queue="kitchen", activities=[park]):
        await client.start_workflow("ActivityWithOptions", args=args, id="parked", task_queue="kitchen")
        token = await tokens.get()
    end(server)
    server.start()
    client = await server.connect()
    await client.get_async_activity_handle(task_token=token).complete("after the restart")
    assert await client.get_workflow_handle("parked").result() == {"result": "after the restart"}


async def test_a_retry_that_waits_goes_on_after_a_kill(servers):
    server = servers().start()
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")

    @activity.defn
    async def flaky(_) -> int:
        if activity.info().attempt < 3:
            raise ConnectionError("not yet")
        return activity.info().attempt

    client = await server.connect()
    options = {"start_to_close_ms": 10_000, "initial_interval_ms": 1_500, "backoff_coefficient": 1.0}
    async with Worker(client, task_queue="kitchen", activities=[flaky]):
        handle = await client.start_workflow(
            "ActivityWithOptions", args=["flaky", options], id="flaky", task_queue="kitchen"
        )

        async def waits():
            pending = (await handle.describe()).raw_description.pending_activities
            return any(p.attempt == 2 and p.HasField("last_failure") for p in pending)

        await eventually(waits, "the second attempt waits")
        server.kill()
        server.start()
        assert await (await reconnected(server, "flaky")).result() == {"result": 3}


async def test_a_run_keeps_its_module_after_a_new_deployment_and_a_restart(servers, tmp_path):
    server = servers()
    server.start()
    old = paths.guest("guest-kitchen")
    changed = server.directory / "changed.wasm"
    # Other bytes that do the same here: a run that changed over would be seen by its digest.
    content = old.read_bytes()
    assert b"a test sleeps" in content
    changed.write_bytes(content.replace(b"a test sleeps", b"A test sleeps"))
    server.deploy_file(old, "kitchen")
    client = await server.connect()
    old_run = await client.start_workflow("SignalCounter", 1, id="old", task_queue="kitchen")
    await eventually(lambda: has_event(old_run, "WorkflowTaskCompleted"), "the run has begun")
    server.deploy_file(changed, "kitchen")
    server.mainspring("module", "undeploy", "--task-queue", "kitchen")
    server.deploy_file(changed, "kitchen")
    new_run = await client.start_workflow("SignalCounter", 1, id="new", task_queue="kitchen")
    await eventually(lambda: has_event(new_run, "WorkflowTaskCompleted"), "the new run has begun")
    server.kill()
    server.start()
    digests = {}
    for name in ("old", "new"):
        handle = await reconnected(server, name)
        await handle.signal("tick", name)
        assert await handle.result() == [name]
        history = await handle.fetch_history()
        completed = [
            event.workflow_task_completed_event_attributes.worker_version.build_id
            for event in history.events
            if event.HasField("workflow_task_completed_event_attributes")
        ]
        assert len(set(completed)) == 1
        digests[name] = module_digest(history)
    assert digests["old"] != digests["new"]


# Data directories.


def test_a_second_process_on_the_same_directory_is_refused(servers):
    server = servers().start()
    second = Mainspring(server.directory / "second", data=server.data)
    refused = run(second.command(), False, 30)
    assert refused.returncode not in (0, None)
    assert "in use" in refused.stderr
    verify = server.verify()
    assert verify.returncode == 2
    assert "in use" in verify.stderr
    assert server.is_running()


@pytest.fixture
def filled(tmp_path):
    """A stopped server with an order's worth of data, which the test may break."""
    server = Mainspring(tmp_path / "server").start()
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    words = ("workflow", "execute", "--type", "Chain", "--task-queue", "kitchen", "--input", "3", "--input", "1")
    server.mainspring(*words)
    assert server.stop() == 0
    yield server
    server.remove()


def refusal(server: Mainspring) -> str:
    process = server.spawn()
    eventually_sync(lambda: process.poll() is not None, "the server refuses to start", 30)
    server.process = None
    assert process.returncode not in (0, -6, -11), server.log()
    assert "panicked" not in server.log()
    return server.log()


def test_an_emptied_database_is_refused(filled):
    database = filled.data / "db"
    assert database.exists(), sorted(os.listdir(filled.data))
    database.write_bytes(b"")
    said = refusal(filled)
    assert "emptied" in said or "lost" in said, said
    assert filled.verify().returncode == 1


def test_a_database_that_is_gone_is_refused(filled):
    for entry in filled.data.iterdir():
        if not entry.name.startswith("mainspring"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    said = refusal(filled)
    assert "emptied" in said or "lost" in said or "not mounted" in said, said


def test_a_flipped_byte_is_refused_with_the_record_named(filled):
    database = filled.data / "db"
    content = bytearray(database.read_bytes())
    marker = b"Chain"
    assert content.count(marker) >= 1
    place = content.find(marker)
    content[place] ^= 0x01
    database.write_bytes(content)
    said = refusal(filled)
    assert "corrupt" in said or "lost" in said, said
    verify = filled.verify()
    assert verify.returncode == 1
    assert "corrupt" in verify.stderr or "lost" in verify.stderr, verify.stderr


def test_a_truncated_database_is_refused(filled):
    database = filled.data / "db"
    with open(database, "r+b") as file:
        file.truncate(database.stat().st_size // 2)
    said = refusal(filled)
    assert "lost" in said or "corrupt" in said or "emptied" in said, said


async def has_event(handle, name: str) -> bool:
    return name in event_types(await handle.fetch_history())


async def reconnected(server: Mainspring, workflow_id: str):
    return (await server.connect()).get_workflow_handle(workflow_id)
