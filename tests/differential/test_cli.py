"""The `temporal` CLI says the same of both servers."""

import asyncio
import json

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOUR_MS = 3_600_000


async def temporal(side, what: str, *words: str) -> None:
    """Runs a command and notes its exit code and its answer, or what it says to the error."""
    done = await asyncio.to_thread(side.server.temporal, *words, "--output", "json", check=False)
    said = {"code": done.returncode}
    try:
        said["answer"] = json.loads(done.stdout or "null")
    except ValueError:
        said["text"] = done.stdout
    if done.returncode:
        said["error"] = done.stderr.strip()
    side.note(what, said)


async def gate(side):
    handle = await side.start("Gate", memo={"note": 1})
    await side.until(handle, "WorkflowTaskCompleted")
    return handle


async def test_workflow_start_execute_and_result(run):
    async def script(side):
        words = ("--type", "Echo", "--task-queue", side.queue, "--workflow-id", side.id(), "--input", '{"a": [1]}')
        await temporal(side, "start", "workflow", "start", *words, "--memo", "k=1", "--static-summary", "s")
        await temporal(side, "result", "workflow", "result", "--workflow-id", side.id())
        await temporal(side, "no result", "workflow", "result", "--workflow-id", "nobody")
        words = ("--type", "FailWith", "--task-queue", side.queue, "--workflow-id", side.id("fails"))
        inputs = [word for value in ('"Broken"', "true", "null", "null") for word in ("--input", value)]
        await temporal(side, "execute", "workflow", "execute", *words, *inputs)
        side.noted["execute"]["answer"].pop("durationMillis", None)

    await run(script)


async def test_workflow_signal_query_and_update(run):
    async def script(side):
        handle = await gate(side)
        by_id = ("--workflow-id", handle.id)
        await temporal(side, "query", "workflow", "query", *by_id, "--name", "passed")
        await temporal(side, "unknown query", "workflow", "query", *by_id, "--name", "nothing")
        update = ("workflow", "update", "start", *by_id, "--name", "pass", "--input", '"ann"', "--update-id", "ann")
        await temporal(side, "update start", *update, "--wait-for-stage", "accepted")
        await temporal(side, "update describe", "workflow", "update", "describe", *by_id, "--update-id", "ann")
        await temporal(side, "signal", "workflow", "signal", *by_id, "--name", "open")
        await temporal(side, "update result", "workflow", "update", "result", *by_id, "--update-id", "ann")
        unknown = ("workflow", "update", "execute", *by_id, "--name", "no_such_update", "--update-id", "x")
        await temporal(side, "update execute", *unknown)
        await temporal(side, "metadata", "workflow", "metadata", *by_id)
        # Only that there is one: a text of the language.
        side.noted.pop("metadata")
        await temporal(side, "close", "workflow", "signal", *by_id, "--name", "close")
        await handle.result()

    await run(script)


async def test_workflow_signal_with_start_and_update_with_start(run):
    async def script(side):
        words = ("--type", "Approval", "--input", "2", "--task-queue", side.queue)
        signal = ("--signal-name", "approve", "--signal-input", '"ann"')
        by_id = ("--workflow-id", side.id())
        await temporal(side, "signal", "workflow", "signal-with-start", *words, *signal, *by_id)
        handle = side.client.get_workflow_handle(side.id())
        await side.until(handle, "WorkflowTaskCompleted")
        update = ("--update-name", "set_needed", "--update-input", "1", "--update-id", "u")
        policy = ("--id-conflict-policy", "UseExisting")
        await temporal(side, "update", "workflow", "execute-update-with-start", *words, *update, *by_id, *policy)
        side.note("result", await handle.result())

    await run(script)


async def test_workflow_cancel_terminate_and_delete(run):
    async def script(side):
        for verb in ("cancel", "terminate"):
            handle = await side.start("Sleep", HOUR_MS, name=verb)
            await side.until(handle, "TimerStarted")
            words = ("--reason", "enough") if verb == "terminate" else ()
            await temporal(side, verb, "workflow", verb, "--workflow-id", handle.id, *words)
            await side.noted_outcome(f"{verb}: result", handle.result())
        for verb in ("cancel", "terminate", "delete", "describe", "show", "stack"):
            await temporal(side, f"{verb} of nobody", "workflow", verb, "--workflow-id", "nobody")
        await temporal(side, "signal of nobody", "workflow", "signal", "--workflow-id", "nobody", "--name", "x")

    await run(script)


async def test_workflow_describe_and_show(run):
    async def script(side):
        handle = await side.start("ActivityRace", "park", HOUR_MS, memo={"note": 1})
        await side.activities.parked(handle.id)
        await temporal(side, "describe", "workflow", "describe", "--workflow-id", handle.id)
        await temporal(side, "show", "workflow", "show", "--workflow-id", handle.id)
        await handle.terminate()
        await temporal(side, "describe closed", "workflow", "describe", "--workflow-id", handle.id)

    await run(script)


@pytest.mark.parametrize("kind", ["FirstWorkflowTask", "LastWorkflowTask", "LastContinuedAsNew", "BuildId"])
async def test_workflow_reset_by_type(run, kind):
    async def script(side):
        handle = await gate(side)
        for count in (2, 3):
            await handle.signal("unheard")
            await side.until(handle, "WorkflowTaskCompleted", count)
        words = ("--workflow-id", handle.id, "--type", kind, "--reason", "as a test")
        await temporal(side, "reset", "workflow", "reset", *words)
        latest = side.client.get_workflow_handle(handle.id)
        await side.until(latest, "WorkflowTaskCompleted")
        await latest.terminate()

    await run(script)


async def test_workflow_reset_by_event_with_an_exclusion(run):
    async def script(side):
        handle = await gate(side)
        await handle.signal("open")
        await side.until(handle, "WorkflowTaskCompleted", 2)
        words = ("--workflow-id", handle.id, "--event-id", "4", "--reason", "as a test", "--reapply-exclude", "Signal")
        await temporal(side, "reset", "workflow", "reset", *words)
        latest = side.client.get_workflow_handle(handle.id)
        await side.until(latest, "WorkflowTaskCompleted")
        await temporal(side, "bad event", "workflow", "reset", "--workflow-id", handle.id, "--event-id", "2", "--reason", "r")
        await latest.terminate()

    await run(script)


async def test_activity_complete_fail_and_the_rest(run):
    async def script(side):
        for verb, words in {
            "complete": ("--result", '{"by": "hand"}'),
            "fail": ("--reason", "not today", "--detail", '"d"'),
        }.items():
            options = {"start_to_close_ms": 30_000, "activity_id": "it", "maximum_attempts": 1}
            handle = await side.start("ActivityWithOptions", "park", options, name=verb)
            await side.activities.parked(handle.id)
            by_id = ("--workflow-id", handle.id, "--activity-id", "it")
            await temporal(side, verb, "activity", verb, *by_id, *words)
            outcome = await handle.result()
            outcome.get("failure", {}).pop("text", None)
            side.note(f"{verb}: outcome", outcome)
            await temporal(side, f"{verb} again", "activity", verb, *by_id, *words)

    await run(script)


async def test_task_queue_and_operator(run):
    async def script(side):
        await temporal(side, "namespace", "operator", "namespace", "describe", "default")
        answer = side.noted.pop("namespace")["answer"]
        side.note("namespace", {key: answer["namespaceInfo"].get(key) for key in ("name", "state")})
        await temporal(side, "no namespace", "operator", "namespace", "describe", "nowhere")
        await temporal(side, "health", "operator", "cluster", "health")

    await run(script)
