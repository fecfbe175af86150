"""The real `temporal` CLI, as people use it."""

import asyncio
import json

import pytest
from support.waiting import eventually

HOUR_MS = "3600000"


@pytest.fixture
async def temporal(server, deploy):
    """Runs `temporal …` against the server, on whose queue the kitchen guest answers."""
    await deploy()

    async def run(*words, check=True):
        return await asyncio.to_thread(server.temporal, *words, check=check)

    return run


@pytest.fixture
async def temporal_json(temporal):
    async def run(*words):
        return json.loads((await temporal(*words, "--output", "json")).stdout)

    return run


@pytest.fixture
def start(temporal, queue, new_id):
    async def start(workflow: str, *inputs: str) -> str:
        workflow_id = new_id()
        words = [word for value in inputs for word in ("--input", value)]
        await temporal(
            "workflow", "start", "--type", workflow, "--task-queue", queue, "--workflow-id", workflow_id, *words
        )
        return workflow_id

    return start


async def test_workflow_start_tells_the_run(temporal_json, queue, new_id):
    workflow_id = new_id()
    started = await temporal_json(
        "workflow", "start", "--type", "Echo", "--task-queue", queue, "--workflow-id", workflow_id, "--input", '"hi"'
    )
    assert (started["workflowId"], started["type"], started["taskQueue"]) == (workflow_id, "Echo", queue)
    assert started["namespace"] == "default"
    assert len(started["runId"]) == 36


async def test_workflow_execute_gives_the_result(temporal, temporal_json, queue):
    words = ("workflow", "execute", "--type", "Echo", "--task-queue", queue, "--input", '{"a": [1, 2]}')
    text = await temporal(*words)
    assert '{"a":[1,2]}' in text.stdout
    assert "COMPLETED" in text.stdout
    answer = await temporal_json(*words)
    assert (answer["status"], answer["result"]) == ("COMPLETED", {"a": [1, 2]})


async def test_workflow_execute_of_a_failing_workflow_exits_1(temporal, queue):
    inputs = [word for value in ('"CardDeclined"', "true", "null", "null") for word in ("--input", value)]
    failed = await temporal(
        "workflow", "execute", "--type", "FailWith", "--task-queue", queue, *inputs, check=False
    )
    assert failed.returncode == 1
    assert "FAILED" in failed.stdout
    assert "failed as asked" in failed.stdout


async def test_workflow_result_waits_for_the_result(temporal, temporal_json, start):
    workflow_id = await start("Sleep", "300")
    answer = await temporal_json("workflow", "result", "--workflow-id", workflow_id)
    assert answer["status"] == "COMPLETED"
    assert answer["result"] >= 300


async def test_workflow_list_and_count(temporal, temporal_json, queue, start):
    ids = {await start("Echo", str(n)) for n in range(3)}
    query = f'TaskQueue = "{queue}" AND ExecutionStatus = "Completed"'

    async def listed():
        rows = await temporal_json("workflow", "list", "--query", query)
        return {row["execution"]["workflowId"] for row in rows} == ids and rows

    rows = await eventually(listed, "all three are listed")
    assert {row["type"]["name"] for row in rows} == {"Echo"}
    assert {row["status"] for row in rows} == {"WORKFLOW_EXECUTION_STATUS_COMPLETED"}
    assert int((await temporal_json("workflow", "count", "--query", query))["count"]) == 3
    table = (await temporal("workflow", "list", "--query", query)).stdout
    assert all(workflow_id in table for workflow_id in ids)


async def test_workflow_describe(temporal, temporal_json, queue, start):
    workflow_id = await start("Sleep", HOUR_MS)

    async def sleeping():
        answer = await temporal_json("workflow", "describe", "--workflow-id", workflow_id)
        return int(answer["workflowExecutionInfo"]["historyLength"]) >= 5 and answer

    answer = await eventually(sleeping, "its history has a timer")
    info = answer["workflowExecutionInfo"]
    assert info["type"]["name"] == "Sleep"
    assert info["status"] == "WORKFLOW_EXECUTION_STATUS_RUNNING"
    assert info["taskQueue"] == queue
    assert answer["executionConfig"]["taskQueue"]["name"] == queue
    assert "Sleep" in (await temporal("workflow", "describe", "--workflow-id", workflow_id)).stdout


async def test_workflow_show(temporal, temporal_json, start):
    workflow_id = await start("Chain", "2", "1")
    await temporal("workflow", "result", "--workflow-id", workflow_id)
    history = await temporal_json("workflow", "show", "--workflow-id", workflow_id)
    types = [event["eventType"] for event in history["events"]]
    assert types[0] == "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"
    assert types[-1] == "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"
    assert types.count("EVENT_TYPE_TIMER_FIRED") == 2
    text = (await temporal("workflow", "show", "--workflow-id", workflow_id)).stdout
    assert "TimerFired" in text
    followed = (await temporal("workflow", "show", "--follow", "--workflow-id", workflow_id)).stdout
    assert "WorkflowExecutionCompleted" in followed


async def test_workflow_signal(temporal, temporal_json, start):
    workflow_id = await start("SignalCounter", "1")
    await temporal("workflow", "signal", "--workflow-id", workflow_id, "--name", "tick", "--input", '{"n": 1}')
    assert (await temporal_json("workflow", "result", "--workflow-id", workflow_id))["result"] == [{"n": 1}]


async def test_workflow_cancel(temporal, temporal_json, start):
    workflow_id = await start("Sleep", HOUR_MS)
    await temporal("workflow", "cancel", "--workflow-id", workflow_id)
    result = await temporal("workflow", "result", "--workflow-id", workflow_id, check=False)
    assert result.returncode == 1
    assert "CANCELED" in result.stdout


async def test_workflow_terminate(temporal, temporal_json, start):
    workflow_id = await start("Sleep", HOUR_MS)
    await temporal("workflow", "terminate", "--workflow-id", workflow_id, "--reason", "enough")
    answer = await temporal_json("workflow", "describe", "--workflow-id", workflow_id)
    assert answer["workflowExecutionInfo"]["status"] == "WORKFLOW_EXECUTION_STATUS_TERMINATED"
    history = await temporal_json("workflow", "show", "--workflow-id", workflow_id)
    assert history["events"][-1]["workflowExecutionTerminatedEventAttributes"]["reason"] == "enough"


async def test_workflow_delete(temporal, start):
    workflow_id = await start("Echo", "1")
    await temporal("workflow", "result", "--workflow-id", workflow_id)
    await temporal("workflow", "delete", "--yes", "--workflow-id", workflow_id)

    async def is_gone():
        return (await temporal("workflow", "describe", "--workflow-id", workflow_id, check=False)).returncode == 1

    await eventually(is_gone, "the run is deleted", 100)


async def test_a_workflow_that_does_not_exist_is_an_error(temporal):
    for verb in (("describe",), ("show",), ("signal", "--name", "tick"), ("cancel",), ("terminate",)):
        refused = await temporal("workflow", *verb, "--workflow-id", "there-is-none", check=False)
        assert refused.returncode == 1, verb
        assert "not found" in refused.stderr.lower(), verb


async def test_operator_namespace_list_and_describe(temporal, temporal_json):
    listed = await temporal_json("operator", "namespace", "list")
    assert "default" in {namespace["namespaceInfo"]["name"] for namespace in listed}
    described = await temporal_json("operator", "namespace", "describe", "default")
    assert described["namespaceInfo"]["name"] == "default"
    assert described["namespaceInfo"]["state"] == "NAMESPACE_STATE_REGISTERED"
    missing = await temporal("operator", "namespace", "describe", "no-such-namespace", check=False)
    assert missing.returncode == 1
    assert "not found" in missing.stderr.lower()


async def test_operator_cluster_health_and_describe(temporal, temporal_json):
    assert (await temporal("operator", "cluster", "health")).stdout.strip() == "SERVING"
    assert await temporal_json("operator", "cluster", "describe")
    assert (await temporal("operator", "cluster", "describe")).stdout.strip()


async def test_task_queue_describe_shows_who_polls(temporal, temporal_json, queue, activities):
    from temporalio import activity

    @activity.defn
    async def idle() -> None: ...

    await activities(idle, identity="the-worker")

    async def polled():
        text = (await temporal("task-queue", "describe", "--task-queue", queue)).stdout
        return "the-worker" in text

    await eventually(polled, "the worker is seen to poll")
    answer = await temporal_json("task-queue", "describe", "--task-queue", queue)
    assert "the-worker" in json.dumps(answer)


async def test_operator_search_attribute_list(temporal, temporal_json):
    listed = json.dumps(await temporal_json("operator", "search-attribute", "list"))
    for name in ("WorkflowId", "WorkflowType", "ExecutionStatus", "StartTime", "TaskQueue"):
        assert name in listed


async def test_workflow_reset_goes_back_to_the_first_or_the_last_turn(temporal, temporal_json, start):
    workflow_id = await start("Approval", "2")
    await temporal("workflow", "signal", "--workflow-id", workflow_id, "--name", "approve", "--input", '"ann"')
    run_ids = set()
    for words in [("--type", "FirstWorkflowTask"), ("--type", "LastWorkflowTask"), ("--event-id", "4")]:
        await eventually(lambda: completed_a_task(temporal_json, workflow_id), "a workflow task completes")
        answer = await temporal_json("workflow", "reset", "--workflow-id", workflow_id, "--reason", "again", *words)
        run_ids.add(answer["runId"])
    assert len(run_ids) == 3
    await temporal("workflow", "signal", "--workflow-id", workflow_id, "--name", "approve", "--input", '"bob"')
    answer = await temporal_json("workflow", "result", "--workflow-id", workflow_id)
    assert answer["result"] == ["ann", "bob"]


async def completed_a_task(temporal_json, workflow_id: str) -> bool:
    history = await temporal_json("workflow", "show", "--workflow-id", workflow_id)
    return any(event["eventType"] == "EVENT_TYPE_WORKFLOW_TASK_COMPLETED" for event in history["events"])
