"""Workflows in Python, as only Mainspring runs them: determinism, what the sandbox refuses, the log, and building."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import pytest_asyncio
from support import histories, paths, python_guests
from support.server import Mainspring
from support.waiting import eventually
from temporalio.client import WorkflowFailureError
from temporalio.worker import Worker

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.mainspring_only]

QUEUE = "python"
# The server compiles the module, on one core of a machine that may be busy.
DEPLOY_TIMEOUT_S = 300
REPLAYS = 100
FRESH_PROCESSES = 2
activities = python_guests.module(python_guests.GUESTS / "activities.py")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running():
    """A server with the component and a worker for its activities: the server and a client of it."""
    server = Mainspring().start()
    await asyncio.to_thread(
        server.deploy_file, paths.guest("python-features"), QUEUE, timeout_s=DEPLOY_TIMEOUT_S
    )
    client = await server.connect()
    with ThreadPoolExecutor(4) as threads:
        async with Worker(client, task_queue=QUEUE, activities=activities.ALL, activity_executor=threads):
            yield server, client
    await asyncio.to_thread(histories.finish, server)


# Determinism.


async def test_a_run_replays_a_hundred_times_and_in_fresh_processes(running, tmp_path):
    """Each activity of `Chance` is told all that chance has part in, so a replay that differed would be caught."""
    server, client = running
    handle = await client.start_workflow("Chance", 3, id="chance", task_queue=QUEUE)
    told = await handle.result()
    history = tmp_path / "chance.json"
    history.write_text((await handle.fetch_history()).to_json())
    component = paths.guest("python-features")

    for _ in range(FRESH_PROCESSES):
        done = await asyncio.to_thread(histories.replay, history, component, "--output", "json")
        assert done.returncode == 0, done.stderr
    many = [word for _ in range(REPLAYS - FRESH_PROCESSES - 1) for word in ("--history", history)]
    done = await asyncio.to_thread(histories.replay, history, component, *many, "--output", "json")
    assert done.returncode == 0, done.stderr
    reports = json.loads(done.stdout)
    assert len(reports) == REPLAYS - FRESH_PROCESSES
    assert all(report["outcome"] == "exact" and report["commands"] == 4 for report in reports), reports[0]

    # And chance there is: what is drawn differs within a run, and from run to run.
    again = await client.execute_workflow("Chance", 1, id="chance again", task_queue=QUEUE)
    for fact in ("random", "uuid", "module_random", "module_uuid"):
        drawn = [facts[fact] for facts in (*told, *again)]
        assert len(set(drawn)) == len(drawn), (fact, drawn)
    # What is a property of the module is the same in each instance of it.
    for fact in ("hash", "set"):
        assert told[0][fact] == again[0][fact], fact
    # All clocks are the workflow's.
    clock, monotonic, now = told[0]["clock"]
    assert clock == monotonic
    for other in (now, told[0]["now"]):
        assert datetime.fromisoformat(other).timestamp() == pytest.approx(clock, abs=0.001)


# What the sandbox refuses.

FORBIDDEN = {
    "socket": "socket.create_connection is not available in a workflow; do it in an activity",
    "socket object": "socket.socket is not available in a workflow; do it in an activity",
    "thread": "threading.Thread is not available in a workflow; use asyncio, or do it in an activity",
    "executor": "loop.run_in_executor (a thread) is not available in a workflow; do it in an activity",
    "to_thread": "loop.run_in_executor (a thread) is not available in a workflow; do it in an activity",
    "file": "open (a file) is not available in a workflow; do it in an activity",
    "subprocess": "subprocess.Popen is not available in a workflow; do it in an activity",
    "sleep": "time.sleep is not available in a workflow; use `await workflow.sleep(…)`",
    "absent": "grpc.insecure_channel is not available in a workflow; do it in an activity",
}


async def failure_of_its_task(client, workflow: str, *args, id: str):
    handle = await client.start_workflow(workflow, args=args, id=id, task_queue=QUEUE)

    async def failed():
        for event in (await handle.fetch_history()).events:
            if event.HasField("workflow_task_failed_event_attributes"):
                return event.workflow_task_failed_event_attributes

    failure = await eventually(failed, "a workflow task has failed", 30)
    await handle.terminate()
    return failure.failure


@pytest.mark.parametrize("what", FORBIDDEN)
async def test_what_a_workflow_cannot_do_says_so(running, what):
    _, client = running
    failure = await failure_of_its_task(client, "Forbidden", what, id=f"forbidden {what}")
    assert FORBIDDEN[what] in failure.message
    assert "NotAvailableError" in failure.message
    assert 'File "python/facts.py"' in failure.message


async def test_a_bug_fails_the_task_with_type_message_and_stack_trace(running):
    _, client = running
    failure = await failure_of_its_task(client, "Bug", id="a bug")
    assert "KeyError: 'lost'" in failure.message
    assert 'File "python/facts.py"' in failure.message and 'return {}["lost"]' in failure.message


async def test_input_that_cannot_be_read_fails_the_workflow(running):
    _, client = running
    with pytest.raises(WorkflowFailureError) as failed:
        await client.execute_workflow("Values", args=["no box", 1, None], id="unreadable", task_queue=QUEUE)
    cause = failed.value.cause
    assert cause.type == "PayloadConversionError" and cause.non_retryable
    assert "Values cannot be read" in str(cause) and "Cannot convert to dataclass" in str(cause)


async def test_a_failure_shows_where_it_came_from(running):
    _, client = running
    with pytest.raises(WorkflowFailureError) as failed:
        await client.execute_workflow("Careless", 0, id="careless", task_queue=QUEUE)
    failure = failed.value.cause.failure
    assert failure.message == "cannot divide" and failure.application_failure_info.type == "ValueError"
    assert 'File "python/steps.py"' in failure.stack_trace
    assert "raise ValueError(\"cannot divide\") from error" in failure.stack_trace
    assert failure.cause.application_failure_info.type == "ZeroDivisionError"
    assert "return 1 / divisor" in failure.cause.stack_trace


async def test_log_lines_have_the_workflow_s_fields(running):
    server, client = running
    handle = await client.start_workflow("Details", id="logs", task_queue=QUEUE)
    await handle.signal("done")
    await handle.result()
    [line] = [line for line in server.log().splitlines() if "waiting for somebody" in line]
    for field in ("logs", "Details", "who=somebody", "attempt=1", "logger=temporalio.workflow"):
        assert field in line, (field, line)


# Building.


@pytest.fixture
def built(tmp_path):
    """Builds a module of this text: the exit code, and what was said."""

    def built(text: str, **others: str) -> tuple[int, str]:
        for name, other in others.items():
            (tmp_path / f"{name}.py").write_text(other)
        (tmp_path / "flow.py").write_text(text)
        done = python_guests.build("flow.py", "-o", "flow.wasm", cwd=tmp_path)
        assert (tmp_path / "flow.wasm").exists() == (done.returncode == 0)
        return done.returncode, done.stderr or done.stdout

    return built


IMPORT = "from temporalio import workflow\n"
WORKFLOW = "@workflow.defn\nclass Flow:\n    @workflow.run\n    async def run(self) -> None: ...\n"


async def test_a_syntax_error_names_file_and_line(built):
    code, said = built(IMPORT + "def f(:\n    pass\n")
    assert (code, said.strip()) == (1, "flow.py:2: SyntaxError: invalid syntax")


async def test_an_error_in_another_file_names_that_one(built):
    code, said = built(IMPORT + "import shared\n" + WORKFLOW, shared="\n\nnumbers = [1][5]\n")
    assert (code, said.strip()) == (1, "shared.py:3: IndexError: list index out of range")


async def test_a_module_that_is_not_there_is_named(built):
    code, said = built(IMPORT + "\nimport no_such_module\n" + WORKFLOW)
    assert code == 1
    assert said.startswith("flow.py:3: ImportError: No module named 'no_such_module'"), said


@pytest.mark.parametrize("module", ["ssl", "grpc"])
async def test_what_the_sandbox_does_not_have_is_for_activities(built, module):
    code, said = built(IMPORT + f"import {module}\n" + WORKFLOW)
    assert code == 1
    root = module.partition(".")[0]
    assert said.startswith(f"flow.py:2: {root} is not available in a workflow"), said
    assert "do it in an activity" in said.lower() and "imports_passed_through" in said


async def test_a_workflow_class_that_is_wrong_says_how(built):
    code, said = built(IMPORT + "@workflow.defn\nclass Flow:\n    def run(self): ...\n")
    assert (code, said.strip()) == (1, "flow.py:2: ValueError: Invalid workflow class: Missing @workflow.run method")


async def test_a_file_without_workflows_is_refused(built):
    code, said = built("answer = 42\n")
    assert (code, said.strip()) == (1, "flow.py: no class here is decorated with @workflow.defn")


async def test_a_wrong_call_exits_2(tmp_path):
    assert python_guests.build("absent.py", cwd=tmp_path).returncode == 2
    (tmp_path / "a-b.py").write_text("")
    refused = python_guests.build("a-b.py", cwd=tmp_path)
    assert refused.returncode == 2 and "identifier" in refused.stderr


async def test_a_component_in_a_package_with_its_own_modules_is_built(tmp_path):
    package = tmp_path / "shop" / "flows"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "prices.py").write_text("VAT = 0.19\n")
    (package / "flow.py").write_text(IMPORT + "from .prices import VAT\nfrom shop.flows import prices\n" + WORKFLOW)
    done = python_guests.build(package / "flow.py", "-o", "flow.wasm", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["workflows"] == ["Flow"] and told["size_bytes"] == (tmp_path / "flow.wasm").stat().st_size
