"""JavaScript modules: the order workflow, mistakes in them, what is repeated in a replay, and how they are built."""

import asyncio
import json
import re
import subprocess

import pytest
from languages import js_activities
from support import histories, paths
from support.differential import normalised
from support.histories import as_json
from support.server import run
from support.waiting import eventually
from temporalio import activity
from temporalio.client import WorkflowFailureError

pytestmark = pytest.mark.mainspring_only

ORDER = {"amount": 99.99, "user_id": "u123", "email": "user@example.com"}
GUESTS = paths.ROOT / "tests" / "guests" / "js"
BUILDER = paths.ROOT / "guest-sdk" / "js" / "build" / "main.mjs"


def line_with(file: str, comment: str) -> int:
    lines = (GUESTS / file).read_text().splitlines()
    [number] = [number for number, line in enumerate(lines, 1) if line.endswith(f"// {comment}")]
    return number


def failed_task(history):
    for event in history.events:
        if event.HasField("workflow_task_failed_event_attributes"):
            return event.workflow_task_failed_event_attributes.failure
    return None


async def task_failure(handle):
    async def failed():
        return failed_task(await handle.fetch_history()) is not None

    await eventually(failed, f"a workflow task of {handle.id} fails")
    return failed_task(await handle.fetch_history())


# The order workflow.


async def test_an_order_is_that_of_rust(server, client, deploy, activities, new_id):
    @activity.defn
    async def charge_payment(amount: float, user_id: str) -> str:
        if activity.info().attempt == 1:
            raise ConnectionError("the payment provider does not answer")
        return f"tx-{user_id}-{amount}"

    @activity.defn
    async def send_email(to: str, subject: str) -> None:
        assert subject.startswith("주문 완료")

    made = []
    for guest, queue in (("js-order", "order-js"), ("order-workflow", "order-rust")):
        await deploy(guest, queue)
        await activities(charge_payment, send_email, task_queue=queue)
        handle = await client.start_workflow("OrderWorkflow", ORDER, id=new_id(), task_queue=queue)
        result = await handle.result()
        events = json.dumps(normalised(as_json(await handle.fetch_history())["events"]), indent=1)
        made.append((result, events.replace(queue, "orders").replace(handle.id, "order")))
    assert made[0] == made[1]


# Mistakes.


async def test_a_mistake_fails_the_task_with_type_message_and_the_line_of_the_author(client, queue, deploy, new_id):
    await deploy("js-trouble")
    handle = await client.start_workflow("Mistake", {}, id=new_id(), task_queue=queue)
    failure = await task_failure(handle)
    assert failure.application_failure_info.type == "TypeError"
    assert failure.message == "cannot read property 'name' of undefined"
    first, *frames = failure.stack_trace.splitlines()
    assert first == "TypeError: cannot read property 'name' of undefined"
    places = [re.fullmatch(r"    at (\w+) \(trouble\.ts:(\d+):\d+\)", frame).groups() for frame in frames]
    mistake, call = line_with("trouble.ts", "the mistake"), line_with("trouble.ts", "called here")
    assert places == [("nameOf", str(mistake)), ("Mistake", str(call))]
    await handle.terminate()


async def test_a_rejection_that_nobody_catches_fails_the_task(client, queue, deploy, new_id):
    await deploy("js-trouble")
    handle = await client.start_workflow("NobodyCatches", id=new_id(), task_queue=queue)
    failure = await task_failure(handle)
    assert (failure.application_failure_info.type, failure.message) == ("RangeError", "nobody catches this")
    assert f"trouble.ts:{line_with('trouble.ts', 'in the background')}:" in failure.stack_trace
    await handle.terminate()


async def test_a_failure_of_the_workflow_says_where_it_was_thrown(client, queue, deploy, new_id):
    await deploy("js-trouble")
    handle = await client.start_workflow("OutOfStock", id=new_id(), task_queue=queue)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    failure = failed.value.cause.failure
    assert (failure.application_failure_info.type, failure.message) == ("OutOfStock", "nothing left to ship")
    thrown = line_with("trouble.ts", "thrown here")
    assert re.search(rf"^    at OutOfStock \(trouble\.ts:{thrown}:\d+\)$", failure.stack_trace, re.MULTILINE)


async def test_even_text_can_be_thrown(client, queue, deploy, new_id):
    await deploy("js-trouble")
    handle = await client.start_workflow("ThrowsText", id=new_id(), task_queue=queue)
    assert (await task_failure(handle)).message == "only text"
    await handle.terminate()


async def test_recursion_without_end_can_be_caught(client, queue, deploy, new_id):
    await deploy("js-trouble")
    result = await client.execute_workflow("Recursion", id=new_id(), task_queue=queue)
    assert result == ["RangeError", 100]


@pytest.mark.parametrize(
    "workflow, reason",
    [("Endless", "FuelLimitExceeded"), ("EndlessPromises", "FuelLimitExceeded"), ("Hoarder", "MemoryLimitExceeded")],
)
async def test_what_asks_too_much_is_stopped(client, queue, deploy, new_id, workflow, reason):
    await deploy("js-trouble")
    handle = await client.start_workflow(workflow, id=new_id(), task_queue=queue)
    assert (await task_failure(handle)).application_failure_info.type == reason
    await handle.terminate()


@pytest.mark.parametrize("what, instead", [("fetch", "activity"), ("setInterval", "sleep"), ("WeakRef", "memory")])
async def test_what_is_not_available_says_what_to_do_instead(client, queue, deploy, new_id, what, instead):
    await deploy("js-trouble")
    said = await client.execute_workflow("NotHere", what, id=new_id(), task_queue=queue)
    assert f"{what} is not available in a workflow" in said and instead in said


async def test_globals_do_what_they_do_elsewhere(client, queue, deploy, new_id):
    await deploy("js-trouble")
    assert await client.execute_workflow("Globals", id=new_id(), task_queue=queue) == {
        "clone": [True, True, 5, [3, 1], "g", [2, 3]],
        "aborted": [["heard"], True, "AbortError"],
        "encoded": [{"read": 2, "written": 4}, [0x61, 0xE2, 0x82, 0xAC]],
        "lossy": "a\ufffd",
        "notText": "TypeError",
        "uncloneable": "DataCloneError",
    }


async def test_log_and_console_are_lines_of_the_workflows_log(server, client, queue, deploy, new_id):
    await deploy("js-trouble")
    workflow_id = new_id()
    await client.execute_workflow("Logs", id=workflow_id, task_queue=queue)
    lines = [line for line in server.log_path.read_text().splitlines() if workflow_id in line]
    [order] = [line for line in lines if "an order" in line]
    assert "INFO" in order and "customer=ann" in order and "items=[1,2]" in order
    assert [line for line in lines if "WARN" in line and 'attention {"code":7}' in line]


# Replay.


async def test_a_replay_repeats_everything_to_the_byte(client, queue, deploy, activities, new_id, tmp_path, in_thread):
    await deploy("js-determinism")
    await activities(js_activities.echo)
    handle = await client.start_workflow("Everything", id=new_id(), task_queue=queue)
    for what in ("one", "two"):
        await handle.signal("say", what)
    result = await handle.result()
    assert sorted(result["order"]) == list(range(8))
    history = await handle.fetch_history()
    loaded = json.loads(history.events[4].activity_task_scheduled_event_attributes.input.payloads[0].data)
    started = history.events[2].event_time.ToMilliseconds()
    assert loaded["loadedAt"] == loaded["now"] == started, "the module is evaluated in the run, by the run's clock"
    file = tmp_path / "history.json"
    file.write_text(history.to_json())
    module = paths.guest("js-determinism")
    hundred = [word for _ in range(99) for word in ("--history", file)]
    once = await in_thread(histories.replay, file, module, *hundred, "--output", "json")
    assert once.returncode == 0, once.stderr
    assert [item["outcome"] for item in json.loads(once.stdout)] == ["exact"] * 100
    for _ in range(3):
        fresh = await in_thread(histories.replay, file, module)
        assert fresh.returncode == 0, fresh.stderr


async def test_two_runs_draw_different_numbers(client, queue, deploy, activities, new_id):
    await deploy("js-determinism")
    drawn = [await client.execute_workflow("Small", id=new_id(), task_queue=queue) for _ in range(2)]
    assert drawn[0].split()[0] != drawn[1].split()[0] and drawn[0].split()[1] != drawn[1].split()[1]


# Building.


def build(folder, files: dict[str, str], workflow: str = "workflow.ts") -> subprocess.CompletedProcess:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return run(["node", BUILDER, folder / workflow, "-o", folder / "out.wasm", "--json"], False, 60)


USES = 'import { sleep } from "@temporalio/workflow";\nexport async function W() { await sleep(1); %s }\n'
PROBLEMS = {
    "a mistake of syntax": ({"workflow.ts": "export async function W() {\n  return (1;\n}\n"}, ["workflow.ts:2:12: error"]),
    "a file that is not there": (
        {"workflow.ts": 'import { x } from "./missing";\nexport async function W() { return x; }\n'},
        ["workflow.ts:1:19: error", "./missing"],
    ),
    "a built-in module of Node.js": (
        {"workflow.ts": 'import { readFileSync } from "node:fs";\n' + USES % 'return readFileSync("x");'},
        ["workflow.ts:1:30: error: node:fs is not available in a workflow; do it in an activity"],
    ),
    "another one without node:": (
        {"workflow.ts": 'import * as crypto from "crypto";\n' + USES % "return crypto.randomUUID();"},
        ["workflow.ts:1:25: error: crypto is not available in a workflow; do it in an activity"],
    ),
    "a package that needs one": (
        {
            "node_modules/reader/package.json": '{"name": "reader", "main": "index.js"}',
            "node_modules/reader/index.js": 'const fs = require("fs");\nmodule.exports = () => fs.readFileSync("x");\n',
            "package.json": "{}",
            "workflow.ts": 'import reader from "reader";\n' + USES % "return reader();",
        },
        ["node_modules/reader/index.js:1:20: error", "the package reader", "fs is not available in a workflow"],
    ),
    "Temporal's client": (
        {"workflow.ts": 'import { Client } from "@temporalio/client";\n' + USES % "return new Client();"},
        ["workflow.ts:1:24: error: @temporalio/client is not available in a workflow"],
    ),
    "a name that the SDK does not have": (
        {"workflow.ts": 'import * as wf from "@temporalio/workflow";\nexport async function W() { wf.metricMeter.x(); }\n'},
        ["workflow.ts:2:32: error", "metricMeter", "@temporalio/workflow"],
    ),
    "one that is imported by its name": (
        {"workflow.ts": 'import { sleep, nexus } from "@temporalio/workflow";\nexport async function W() { await sleep(nexus); }\n'},
        ["workflow.ts:1:17: error", "nexus", "@temporalio/workflow"],
    ),
    "no workflow": ({"workflow.ts": "export const x = 1;\n"}, ["workflow.ts", "exports no function"]),
    "an error while it is loaded": (
        {"workflow.ts": "const f = (a?: any) => a.b;\nexport const c = f();\nexport async function W() { return c; }\n"},
        ["TypeError: cannot read property 'b' of undefined", "at f (workflow.ts:1:", "at workflow.ts:2:"],
    ),
}


@pytest.mark.parametrize("what", PROBLEMS)
def test_a_build_names_the_file_and_the_line_of(tmp_path, what):
    files, expected = PROBLEMS[what]
    done = build(tmp_path, files)
    assert done.returncode == 1
    assert [words for words in expected if words not in done.stderr] == [], done.stderr
    assert not (tmp_path / "out.wasm").exists()


def test_a_file_that_does_not_exist_is_no_workflow(tmp_path):
    done = build(tmp_path, {}, "nothing.ts")
    assert done.returncode == 1 and "nothing.ts: there is no such file" in done.stderr


def test_a_folder_has_its_workflows_in_one_of_the_usual_places(tmp_path):
    done = build(tmp_path, {"src/workflows.ts": USES % "return 1;", "package.json": "{}"}, "")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["workflowTypes"] == ["W"]
    (tmp_path / "empty").mkdir()
    done = build(tmp_path, {}, "empty")
    assert done.returncode == 1 and "src/workflows.ts" in done.stderr


def test_types_of_activities_need_no_code(tmp_path):
    """As everybody imports them: the file of the activities needs what a workflow has not."""
    files = {
        "activities.ts": 'import { readFileSync } from "fs";\nexport async function read(): Promise<string> { return String(readFileSync("x")); }\n',
        "workflow.ts": 'import { proxyActivities } from "@temporalio/workflow";\n'
        'import type * as activities from "./activities";\n'
        'const { read } = proxyActivities<typeof activities>({ startToCloseTimeout: "1s" });\n'
        "export async function W(): Promise<string> { return await read(); }\n"
        "export default async function Other() {}\nexport class NoWorkflow {}\nexport const none = 1;\n",
    }
    done = build(tmp_path, files)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["workflowTypes"] == ["W"]


def test_the_same_files_give_the_same_bytes_wherever_they_are(tmp_path):
    made = []
    for folder in ("a", "somewhere/else"):
        done = build(tmp_path / folder, {"workflow.ts": USES % "return Math.random();", "package.json": "{}"})
        assert done.returncode == 0, done.stderr
        made.append((tmp_path / folder / "out.wasm").read_bytes())
    assert made[0] == made[1]


def test_a_component_asks_for_nothing_but_the_workflow_interfaces(server):
    deployed = server.mainspring_json("module", "deploy", paths.guest("js-order"), "--task-queue", "js-imports")
    imports = deployed["module"]["imports"]
    assert len(imports) > 10
    assert [name for name in imports if not name.startswith("mainspring:workflow/")] == []
