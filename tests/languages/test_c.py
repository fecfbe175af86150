"""Workflows in C: built by `mainspring build`, run by the server, with activities in Python."""

import asyncio
import json
import math
import random
import re
import struct
import uuid
from pathlib import Path

import pytest
from support import building, histories, paths
from support.histories import event_types, replay
from support.waiting import eventually
from temporalio import activity
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import RawValue
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
)

pytestmark = [pytest.mark.mainspring_only, pytest.mark.timeout(180)]

ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}
GOLDEN = Path(__file__).parents[1] / "sdk" / "order_events.json"


@pytest.fixture(scope="module")
def kitchen(server):
    return building.build(server, paths.ROOT / "tests" / "guests" / "c" / "kitchen.c")


@pytest.fixture
def run(server, client, queue, kitchen, new_id, in_thread):
    """Starts a workflow of the kitchen."""

    async def run(workflow: str, *args, **options):
        await in_thread(server.deploy_file, kitchen, queue)
        return await client.start_workflow(workflow, args=args, id=new_id(), task_queue=queue, **options)

    return run


@pytest.fixture
def result(run):
    async def result(workflow: str, *args, **options):
        return await (await run(workflow, *args, **options)).result()

    return result


@activity.defn
async def charge_payment(amount: float, user_id: str) -> str:
    if activity.info().attempt == 1:
        raise ConnectionError("the payment provider does not answer")
    return f"tx-{user_id}"


@activity.defn
async def send_email(to: str, subject: str) -> None:
    assert (to, subject) == ("user@example.com", "주문 완료: tx-u123")


@activity.defn
async def echo(value, *_):
    return value


@activity.defn
async def declines() -> None:
    raise ApplicationError("no funds", {"code": 51}, type="CardDeclined", non_retryable=True)


@activity.defn
async def check(amount: int) -> None:
    if amount == 13:
        raise ApplicationError("13 is refused", type="Superstition", non_retryable=True)


@activity.defn
async def wait_for_cancel() -> None:
    try:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        raise


@activity.defn
async def undo(reason: str) -> str:
    return f"undone: {reason}"


async def order_on(server, client, queue, module: Path, new_id) -> list[dict]:
    await asyncio.to_thread(server.deploy_file, module, queue)
    handle = await client.start_workflow("OrderWorkflow", ORDER, id="order-of-two-languages", task_queue=queue)
    assert await handle.result() == "tx-u123"
    history = await handle.fetch_history()
    assert event_types(history) == json.loads(GOLDEN.read_text())
    return histories.as_json(history)["events"]


async def test_an_order_has_the_same_history_as_in_rust(server, client, queue, activities, new_id):
    await activities(charge_payment, send_email)
    in_c = building.build(server, paths.ROOT / "examples" / "order" / "c")
    histories_of_both = [
        await order_on(server, client, queue, module, new_id) for module in (in_c, paths.guest("order-workflow"))
    ]
    ours, theirs = (building.normalised(events) for events in histories_of_both)
    assert ours == theirs


async def test_a_run_replays_a_hundred_times(server, client, queue, activities, new_id, run, tmp_path, kitchen, in_thread):
    """Random ids and numbers, times and routines; in one fresh process, and each time in a fresh instance."""
    await activities(echo, check)
    handles = [await run("Chance", "echo"), await run("Routines"), await run("Steps"), await run("Dig", 20)]
    for handle in handles:
        await handle.result()
        file = tmp_path / f"{handle.id}.json"
        file.write_text((await handle.fetch_history()).to_json())
        done = await in_thread(replay, file, kitchen, *["--history", file] * 99, "--output", "json")
        assert done.returncode == 0, done.stderr
        outcomes = [report["outcome"] for report in json.loads(done.stdout)]
        assert outcomes == ["exact"] * 100


async def test_values_come_back_as_they_were(result):
    values = [None, True, False, 0, -1, 12345678901234567890, 1.5, -0.25, 1e300, "", "a\"b\\c\n\t\u0001", "주문 😀", [], {}]
    values += [[1, [2, {"a": [None]}]], {"z": 1, "a": {"b": []}}, [""] * 50]
    for value in values:
        assert await result("Echo", value) == value
    assert await result("EchoAll", *values[:6]) == values[:6]
    assert await result("EchoAll") == []


async def test_numbers_are_read_and_written_to_the_last_bit(result):
    seeded = random.Random(7)
    numbers = [0.0, -0.0, 0.1, 1 / 3, 99.99, 1e21, 1e22, 1e23, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]
    numbers += [2.0**53, 2.0**53 + 2, 123456789012345680.0, 1e16, 1e15, 9007199254740993.0, 4.35, 0.000123, 1e-5, 1e-4]
    while len(numbers) < 400:
        number = struct.unpack("<d", seeded.randbytes(8))[0]
        if math.isfinite(number):
            numbers.append(number)
        numbers.append(round(seeded.uniform(-1e6, 1e6), seeded.randrange(6)))
    told = await result("Numbers", numbers)
    assert [struct.pack("<d", number) for number in told["written"]] == [struct.pack("<d", n) for n in numbers]
    for number, formatted in zip(numbers, told["formatted"]):
        assert formatted == "%.17g %g %e %.3f %10.2f|%-12.4e|" % ((number,) * 6), number


async def test_text_is_formatted_as_printf_does(result):
    assert await result("Formats") == "-7|   42|42   |00042|+42|ff|0XFF|x|abc|ab|     abc|-9007199254740993|7|%"


async def test_input_of_the_wrong_type_fails_the_workflow_and_says_where(result):
    right = {"number": 7, "text": "x", "flag": True}
    assert await result("Typed", right) == "7 x 1"
    for wrong, said in [
        (right | {"text": 5}, "field `text`: expected a string, found a number"),
        (right | {"number": 1.5}, "field `number`: expected an integer, found a number"),
        (right | {"number": 2**63}, "field `number`: expected an integer"),
        ({"number": 1, "text": ""}, "field `flag`: expected a boolean, found null"),
        ([], "field `number`: expected an integer, found null"),
    ]:
        with pytest.raises(WorkflowFailureError) as failure:
            await result("Typed", wrong)
        cause = failure.value.cause
        assert (cause.type, cause.non_retryable) == ("PayloadConversionError", True)
        assert said in cause.message
    from temporalio.api.common.v1 import Payload

    for data in [b"{", b"[1,]", b'"\\x"', b"01", b"nul", b'"\xff"', b"1 2", b"[" * 1000]:
        broken = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data))
        with pytest.raises(WorkflowFailureError) as failure:
            await result("Echo", broken)
        assert failure.value.cause.type == "PayloadConversionError"
        assert failure.value.cause.message.startswith("argument 1 of Echo: ")


async def test_failures_are_typed_both_ways(result, activities):
    with pytest.raises(WorkflowFailureError) as failure:
        await result("FailWith", "OutOfStock", True, {"left": 0})
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.non_retryable, cause.message) == ("OutOfStock", True, "failed as asked")
    assert cause.details == ({"left": 0},)

    await activities(declines)
    told = await result("Describe", "declines", 5000)
    assert told == {
        "activity": "declines", "message": "no funds", "type": "CardDeclined", "details": {"code": 51}, "timeout": False
    }  # fmt: skip
    with pytest.raises(WorkflowFailureError) as failure:
        await result("PassOn", "declines")
    assert isinstance(failure.value.cause, ActivityError)
    assert failure.value.cause.cause.type == "CardDeclined"
    assert failure.value.cause.cause.details == ({"code": 51},)


async def test_an_activity_that_takes_too_long_is_a_timeout(result, activities):
    @activity.defn
    async def dawdle() -> None:
        await asyncio.Event().wait()

    await activities(dawdle)
    told = await result("Describe", "dawdle", 200)
    assert told["timeout"] is True


async def test_many_activities_run_at_once_and_are_taken_as_they_come(result, activities):
    await activities(echo)
    results = await result("FanOut", "echo", 100)
    assert sorted(results) == list(range(100))


async def test_a_workflow_blocks_wherever_it_is(result):
    assert await result("Sleep", 30) >= 30
    assert await result("Chain", 20, 1) == 20
    expected = 1.0
    for depth in range(25, 0, -1):
        expected = expected * 1.5 + depth
    assert await result("Dig", 25) == expected + sum(range(1, 26))
    assert await result("Indirect") == 3
    assert await result("Routines") == 3600


async def test_signals_are_waited_for_with_and_without_a_timeout(run, activities):
    counter = await run("SignalCounter", 3)
    for value in ("a", 2, None):
        await counter.signal("tick", value)
    assert await counter.result() == ["a", 2, None]
    assert await (await run("SignalOrTimeout", 50)).result() == "timeout"
    told = await run("SignalOrTimeout", 3_600_000)
    await told.signal("other")
    await told.signal("go", "now")
    assert await told.result() == "now"
    assert "TimerCanceled" in event_types(await told.fetch_history())


async def test_whichever_comes_first_wins(run, activities):
    @activity.defn
    async def never() -> None:
        await asyncio.Event().wait()

    await activities(never, echo)
    assert await (await run("Race", "never", 50)).result() == "timer"
    signaled = await run("Race", "never", 3_600_000)
    await signaled.signal("go")
    assert await signaled.result() == "signal"


async def test_queries_and_updates_talk_to_a_run(run, activities):
    await activities(check)
    account = await run("Account")
    assert await account.execute_update("deposit", 100) == 100
    for wrong, message in [(-1, "a deposit is positive"), ("x", "expected an integer, found a string")]:
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await account.execute_update("deposit", wrong)
        assert message in refused.value.cause.message
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await account.execute_update("deposit", 13)
    assert isinstance(refused.value.cause, ActivityError)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await account.execute_update("nothing")
    assert "known updates: [deposit]" in refused.value.cause.message

    await account.signal("withdraw", args=[30, "rent"])
    await account.signal("withdraw", args=["unreadable", "x"])

    async def balance():
        return await account.query("balance") == 70

    await eventually(balance, "the money is withdrawn")
    assert await account.query("divided", 7) == 10
    with pytest.raises(WorkflowQueryFailedError, match="cannot divide by 0"):
        await account.query("divided", 0)
    with pytest.raises(WorkflowQueryFailedError, match="expected an integer"):
        await account.query("divided", "x")
    with pytest.raises(WorkflowQueryFailedError, match=r"Known queries: \[__stack_trace __temporal_workflow_metadata balance"):
        await account.query("unknown")
    assert "main routine waits for\n    a condition" in await account.query("__stack_trace")
    await account.signal("close")
    assert await account.result() == [70, ["rent"]]
    assert await account.query("balance") == 70


async def test_a_query_that_would_change_something_fails_alone(run, activities):
    await activities(check)
    account = await run("Account")
    with pytest.raises(Exception, match="a query handler tried to start a timer"):
        await account.query("meddle")
    assert await account.execute_update("deposit", 1) == 1
    await account.terminate()


async def test_a_canceled_workflow_cleans_up_in_a_shield(run, activities):
    await activities(wait_for_cancel, undo)
    handle = await run("CancelMe", "wait_for_cancel", "undo")

    async def is_started():
        return (await handle.describe()).raw_description.pending_activities

    await eventually(is_started, "the activity is scheduled")
    await handle.signal("nothing")
    await handle._client.workflow_service.request_cancel_workflow_execution(building.cancel_request(handle, "enough"))
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert failure.value.cause.details == ("undone: enough",)
    assert (await handle.describe()).status == WorkflowExecutionStatus.CANCELED


@pytest.mark.parametrize(
    ("how", "told"),
    [("signal", "canceled"), ("timer", "canceled"), ("condition", "canceled"), ("child", "canceled"), ("request", "asked")],
)
async def test_a_request_to_cancel_ends_each_kind_of_wait(run, how, told):
    handle = await run("CancelWaits", how, 0)

    async def is_waiting():
        return "WorkflowTaskCompleted" in event_types(await handle.fetch_history())

    await eventually(is_waiting, "it waits")
    await handle.cancel()
    assert await handle.result() == told


async def test_a_shielded_wait_goes_on(run):
    handle = await run("CancelWaits", "shielded", 500)
    await handle._client.workflow_service.request_cancel_workflow_execution(building.cancel_request(handle, "hurry"))
    assert await handle.result() == "slept: hurry"


async def test_a_parent_talks_to_its_children(result):
    assert await result("Parent") == [["one", "two"], True, True]


async def test_a_run_goes_on_in_a_new_one(run):
    handle = await run("Countdown", 3)
    assert await handle.result() == handle.first_execution_run_id


async def test_local_steps_leave_markers(run):
    handle = await run("Steps")
    told = await handle.result()
    assert (told["lucky"], told["unlucky"], told["patched"]) == (3, "attempt -8", True)
    assert uuid.UUID(told["drawn"]).version == 4
    events = (await handle.fetch_history()).events
    markers = [e.marker_recorded_event_attributes.marker_name for e in events if e.HasField("marker_recorded_event_attributes")]
    assert markers == ["core_local_activity", "core_local_activity", "SideEffect", "core_patch"]


async def test_a_run_knows_what_it_is(run, queue):
    handle = await run("Info", memo={"note": [1]})
    told = await handle.result()
    assert told | {"history_length": 0} == {
        "namespace": "default",
        "workflow_id": handle.id,
        "run_id": handle.result_run_id,
        "workflow_type": "Info",
        "task_queue": queue,
        "attempt": 1,
        "parent": "",
        "execution_timeout_ms": 0,
        "memo": {"note": [1], "stage": "told"},
        "history_length": 0,
    }
    assert await (await handle.describe()).memo_value("stage") == "told"


# Workflow, arguments, the type of the failure that its workflow task gets, and what its message says.
HARM = [
    ("LoopForever", [], "FuelLimitExceeded", "fuel"),
    ("WildPointer", [], "Trap", "out of bounds"),
    ("Abort", [], "Panic", r"abort\(\)"),
    ("Assert", [], "Panic", r"assertion failed: ms_input_count\(\) == 99, at .*kitchen.c:\d+"),
    ("RecurseForever", [], "Trap", "out of bounds|deep"),
    ("Sink", [80], "Trap", "out of bounds"),
]


@pytest.mark.parametrize("harm", HARM, ids=[harm[0] for harm in HARM])
async def test_harm_fails_its_own_workflow_task(run, result, harm):
    workflow, args, failure_type, said = harm
    handle = await run(workflow, *args)

    async def failed():
        events = (await handle.fetch_history()).events
        return [e.workflow_task_failed_event_attributes for e in events if e.HasField("workflow_task_failed_event_attributes")]

    [first, *_] = await eventually(failed, "the workflow task fails", 60)
    assert first.failure.application_failure_info.type == failure_type, first
    assert re.search(said, first.failure.message), first.failure.message
    assert await result("Echo", "the neighbour") == "the neighbour"
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
    await handle.terminate(reason="harm")
    with pytest.raises(WorkflowFailureError) as ended:
        await handle.result()
    assert not isinstance(ended.value.cause, ChildWorkflowError)


async def test_memory_has_an_end_that_a_workflow_can_see(run):
    handle = await run("AllocateForever")
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert failure.value.cause.type == "OutOfMemory"
