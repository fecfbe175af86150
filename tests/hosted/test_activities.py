"""What every activity has, where the server runs it: results, retries, timeouts, heartbeats, cancellation."""

import asyncio
import json
import time

import pytest
from support import paths
from support.histories import activities_of
from support.waiting import eventually
from temporalio import activity
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.worker import Worker

pytestmark = pytest.mark.mainspring_only


async def test_the_order_example_needs_no_worker(server, client, queue, new_id, in_thread):
    for module in ("order-workflow", "order-activities"):
        await in_thread(server.deploy_file, paths.guest(module), queue)
    order = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}
    handle = await client.start_workflow("OrderWorkflow", order, id=new_id(), task_queue=queue)
    transaction = await handle.result()
    assert transaction.startswith("tx-")
    history = await handle.fetch_history()
    assert activities_of(history) == ["charge_payment", "send_email"]
    started = [event.activity_task_started_event_attributes for event in history.events]
    assert [attributes.attempt for attributes in started if attributes.attempt] == [2, 1]
    assert "주문 완료" in server.log_path.read_text()


async def test_one_command_deploys_both_kinds_and_says_which(server, queue, hosted, in_thread):
    listed = await in_thread(server.mainspring_json, "module", "list")
    mine = [entry["module"] for entry in listed if queue in {use["taskQueue"] for use in entry["uses"]}]
    assert {bool(module["workflows"]) for module in mine} == {bool(module["activities"]) for module in mine} == {True, False}
    again = await in_thread(
        server.mainspring_json, "module", "deploy", paths.guest("guest-activities"), "--task-queue", queue
    )
    assert again["unchanged"]
    assert {"name": "charge"} not in again["module"]["activities"]
    assert {"name": "renamed"} in again["module"]["activities"]
    described = await in_thread(server.mainspring_json, "module", "describe", again["module"]["digest"])
    assert [use for use in described["uses"] if use["taskQueue"] == queue] == [
        {"taskQueue": queue, "version": 0, "status": "active", "openRuns": 0, "activities": True}
    ]
    poller = json.loads((await in_thread(server.temporal, "task-queue", "describe", "--task-queue", queue, "--output", "json")).stdout)
    assert "mainspring-activities@" in json.dumps(poller)


async def test_argument_result_and_facts(run, queue):
    value = {"n": [1, 2.5, "삼"], "none": None}
    assert await run("echo", value) == {"result": value}
    assert await run("renamed", "x") == {"result": "x"}
    facts = (await run("facts", activity_id="the-id"))["result"]
    assert (facts["namespace"], facts["taskQueue"], facts["activityType"]) == ("default", queue, "facts")
    assert (facts["activityId"], facts["workflowType"], facts["attempt"]) == ("the-id", "ActivityWithOptions", 1)
    assert (facts["startToClose"], facts["secondsUntilDeadline"], facts["clockIsReal"]) == (20.0, 20.0, True)
    assert (facts["environment"], facts["config"], facts["arguments"]) == ([], [], [])


async def test_a_failure_is_tried_again_as_the_policy_says(run):
    policy = {"initial_interval_ms": 20, "maximum_attempts": 5}
    assert await run("fail_until", 3, **policy) == {"result": 3}
    failure = (await run("fail_until", 9, **policy))["failure"]
    assert (failure["type"], failure["cause"], failure["retry_state"]) == ("NotYet", "attempt 5", "MaximumAttemptsReached")
    failure = (await run("fail_for_good", "no use", **policy))["failure"]
    assert (failure["type"], failure["retry_state"], failure["detail"]) == ("Useless", "NonRetryableFailure", 7)


async def test_an_argument_that_cannot_be_read_is_not_tried_again(run):
    failure = (await run("fail_until", "three", maximum_attempts=5))["failure"]
    assert (failure["type"], failure["retry_state"]) == ("PayloadConversionError", "NonRetryableFailure")
    assert "argument 1" in failure["cause"]


async def test_a_panic_fails_the_attempt_and_says_where(run):
    failure = (await run("panic", "it broke", maximum_attempts=2, initial_interval_ms=20))["failure"]
    assert (failure["type"], failure["retry_state"]) == ("Trap", "MaximumAttemptsReached")
    assert "it broke" in failure["cause"] and "lib.rs" in failure["cause"]
    failure = (await run("exit", 3))["failure"]
    assert "exited with" in failure["cause"]


async def test_what_a_guest_may_not_use_up_fails_it(run):
    failure = (await run("hoard"))["failure"]
    assert failure["type"] == "MemoryLimitExceeded" and "the activity asked for" in failure["cause"]
    failure = (await run("recurse", 100_000_000))["failure"]
    assert failure["type"] in ("StackLimitExceeded", "Trap")
    failure = (await run("flood"))["failure"]
    assert failure["type"] == "LogLimitExceeded"


async def test_one_that_computes_or_waits_too_long_times_out_and_is_stopped(run, server):
    policy = {"start_to_close_ms": 300}
    for name in ("spin", "sleep"):
        failure = (await run(name, 600, **policy))["failure"]
        assert (failure["timeout"], failure["retry_state"]) == ("StartToClose", "MaximumAttemptsReached")
    process = server.psutil()

    def idle() -> bool:
        before = sum(process.cpu_times()[:2])
        time.sleep(0.2)
        return sum(process.cpu_times()[:2]) - before < 0.1

    await eventually(lambda: asyncio.to_thread(idle), "the guest that computed was stopped")


async def test_heartbeats_keep_it_alive_and_leave_details(run):
    assert await run("beat", [20, 0.15], heartbeat_ms=2_000) == {"result": 20}
    failure = (await run("sleep", 600, heartbeat_ms=300))["failure"]
    assert failure["timeout"] == "Heartbeat"
    # The third heartbeat came too soon to be told by itself: the failure took it along.
    assert await run("resume", maximum_attempts=2, initial_interval_ms=20) == {"result": 3}


async def test_a_flood_of_heartbeats_is_taken_and_not_written(run):
    assert (await run("beat_flood", 1.0))["result"] > 100


async def test_cancellation_reaches_a_heartbeat(client, queue, new_id, hosted):
    handle = await client.start_workflow("CancelTypes", "beat_on", id=new_id(), task_queue=queue)
    await eventually(lambda: pending(handle, "beat_on", count=3), "all three run")
    await handle.cancel()
    ends = {entry["type"]: entry["failure"] for entry in await handle.result()}
    assert all(end["canceled"] for end in ends.values())
    # It was waited for: its own end is in the history, with what it left.
    history = await handle.fetch_history()
    canceled = [event for event in history.events if event.HasField("activity_task_canceled_event_attributes")]
    details = [event.activity_task_canceled_event_attributes.details.payloads for event in canceled]
    left = [json.loads(payload.data) for payloads in details for payload in payloads]
    # That which was only asked to end may have done so before, too; the one that was abandoned was not asked.
    assert left in (["cleaned up"], ["cleaned up"] * 2)


async def test_a_cancellation_that_nobody_asked_for_is_a_failure(run):
    failure = (await run("cancel_unasked"))["failure"]
    assert failure["type"] == "BadOutcome" and not failure["canceled"]


async def test_one_whose_workflow_has_ended_is_stopped(client, queue, new_id, hosted):
    handle = await client.start_workflow("CancelMe", args=["beat_on", "echo"], id=new_id(), task_queue=queue)
    await eventually(lambda: pending(handle, "beat_on"), "the activity runs")
    await handle.terminate("enough")
    # Its place is free again: all 16 of the deployment can be taken at once.
    full = await client.start_workflow("FanOut", args=["beat_on", 16], id=new_id(), task_queue=queue)
    await eventually(lambda: pending(full, "beat_on", count=16), "all places are taken")
    await full.terminate("enough")


async def test_a_type_that_the_component_lacks_fails_retryably_and_a_worker_may_have_it(run, client, queue):
    failure = (await run("elsewhere"))["failure"]
    assert failure["type"] == "NotFoundError" and "elsewhere" in failure["cause"]
    assert not failure["non_retryable"]

    @activity.defn
    async def elsewhere(_) -> str:
        return "the worker"

    async with Worker(client, task_queue=queue, activities=[elsewhere]):
        # Either may get an attempt; sooner or later it is the worker.
        assert await run("elsewhere", maximum_attempts=0, initial_interval_ms=10, maximum_interval_ms=10) == {
            "result": "the worker"
        }


async def test_slow_activities_do_not_hold_up_workflows_or_other_queues(server, client, queue, new_id, run, in_thread):
    slow = await client.start_workflow("FanOut", args=["sleep_first", 40], id=new_id(), task_queue=queue)
    await eventually(lambda: pending(slow, "sleep_first"), "they run")
    other = f"{queue}-other"
    await in_thread(server.deploy_file, paths.guest("guest-kitchen"), other)
    await in_thread(server.deploy_file, paths.guest("guest-activities"), other)
    assert await client.execute_workflow("Echo", 7, id=new_id(), task_queue=queue) == 7
    fan = client.execute_workflow("FanOut", args=["echo", 8], id=new_id(), task_queue=other)
    assert await asyncio.wait_for(fan, 10) == list(range(8))
    await slow.terminate("enough")


async def test_after_undeploying_the_tasks_wait_for_others(server, client, queue, new_id, hosted, in_thread):
    gone = await in_thread(
        server.mainspring_json, "module", "undeploy", "--activities", "--task-queue", queue
    )
    assert gone["digest"]
    twice = await in_thread(
        lambda: server.mainspring("module", "undeploy", "--activities", "--task-queue", queue, check=False)
    )
    assert twice.returncode == 1 and "NOT_FOUND" in twice.stderr
    handle = await client.start_workflow("FanOut", args=["echo", 1], id=new_id(), task_queue=queue)
    await eventually(lambda: pending(handle, "echo", state="SCHEDULED"), "it waits")
    await in_thread(server.deploy_file, paths.guest("guest-activities"), queue)
    assert await handle.result() == [0]


async def test_nothing_is_reached_without_a_grant(run, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    listener = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    reached = (await run("reach", [str(secret), f"127.0.0.1:{port}"]))["result"]
    assert all(answer.startswith("refused") for answer in reached.values()), reached
    answer = (await run("fetch", {"url": f"http://127.0.0.1:{port}/"}))["result"]
    assert "HttpRequestDenied" in answer["error"]
    listener.close()


async def pending(handle, activity_type: str, state: str = "STARTED", count: int = 1) -> bool:
    description = await handle.describe()
    wanted = getattr(PendingActivityState, f"PENDING_ACTIVITY_STATE_{state}")
    found = description.raw_description.pending_activities
    return sum(info.activity_type.name == activity_type and info.state == wanted for info in found) >= count
