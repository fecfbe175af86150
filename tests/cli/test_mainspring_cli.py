"""`mainspring`, the one binary, as people and scripts use it: output, exit codes, configuration."""

import asyncio
import hashlib
import json
import signal

import pytest
from support import paths
from support.server import Mainspring, free_port, run
from support.waiting import eventually, eventually_sync

pytestmark = pytest.mark.mainspring_only
HOUR_MS = "3600000"
KITCHEN = "guest-kitchen"


@pytest.fixture
async def mainspring(server, deploy):
    await deploy()

    async def run(*words, check=True):
        return await asyncio.to_thread(server.mainspring, *words, check=check)

    return run


@pytest.fixture
async def mainspring_json(mainspring):
    async def run(*words):
        return json.loads((await mainspring(*words, "--output", "json")).stdout)

    return run


@pytest.fixture
def start(mainspring, queue, new_id):
    async def start(workflow: str, *inputs: str) -> str:
        workflow_id = new_id()
        words = [word for value in inputs for word in ("--input", value)]
        await mainspring(
            "workflow", "start", "--type", workflow, "--task-queue", queue, "--workflow-id", workflow_id, *words
        )
        return workflow_id

    return start


# Modules.


def test_deploy_tells_what_the_module_is_and_again_changes_nothing(server, queue):
    module = paths.guest("order-workflow")
    digest = hashlib.sha256(module.read_bytes()).hexdigest()
    words = ("module", "deploy", module, "--task-queue", queue)
    first = server.mainspring_json(*words)
    assert first["module"]["digest"] == digest
    assert int(first["module"]["sizeBytes"]) == module.stat().st_size
    assert first["module"]["workflows"] == [{"name": "OrderWorkflow"}]
    assert any("mainspring:workflow/activities" in name for name in first["module"]["imports"])
    assert first["unchanged"] is False
    assert server.mainspring_json(*words)["unchanged"] is True
    assert digest in server.mainspring(*words).stdout


def test_modules_are_listed_described_downloaded_and_undeployed(server, queue, tmp_path):
    module = paths.guest("order-workflow")
    server.deploy_file(module, queue)
    digest = hashlib.sha256(module.read_bytes()).hexdigest()
    listed = server.mainspring_json("module", "list")
    users = [row["module"]["digest"] for row in listed if queue in {use["taskQueue"] for use in row["uses"]}]
    assert users == [digest]
    described = server.mainspring_json("module", "describe", digest[:12])
    use = {"taskQueue": queue, "version": 1, "status": "active", "openRuns": 0, "activities": False}
    assert use in described["uses"]
    copy = tmp_path / "copy.wasm"
    server.mainspring("module", "download", digest, "--output-file", copy)
    assert copy.read_bytes() == module.read_bytes()
    server.mainspring("module", "undeploy", "--task-queue", queue)
    assert queue not in server.mainspring("module", "list").stdout
    assert server.mainspring("module", "undeploy", "--task-queue", queue, check=False).returncode == 1


# Workflows.


async def test_workflow_execute_prints_the_result_and_nothing_else_on_stdout(mainspring_json, mainspring, queue):
    words = ("workflow", "execute", "--type", "Echo", "--task-queue", queue, "--input", '{"a": [1, 2]}')
    answer = await mainspring_json(*words)
    assert (answer["status"], answer["result"]) == ("COMPLETED", {"a": [1, 2]})
    assert '{"a":[1,2]}' in (await mainspring(*words)).stdout.replace(" ", "")


async def test_workflow_execute_of_a_failing_workflow_exits_1(mainspring, queue):
    inputs = [word for value in ('"CardDeclined"', "true") for word in ("--input", value)]
    failed = await mainspring("workflow", "execute", "--type", "FailWith", "--task-queue", queue, *inputs, check=False)
    assert failed.returncode == 1
    assert "failed as asked" in failed.stdout + failed.stderr


async def test_workflow_start_and_result(mainspring_json, start):
    workflow_id = await start("Sleep", "300")
    answer = await mainspring_json("workflow", "result", "--workflow-id", workflow_id)
    assert answer["status"] == "COMPLETED"
    assert answer["result"] >= 300


async def test_workflow_show_in_json_and_in_binary_are_one_history(mainspring, mainspring_json, start, tmp_path):
    from temporalio.api.history.v1 import History

    workflow_id = await start("Chain", "3", "1")
    await mainspring("workflow", "result", "--workflow-id", workflow_id)
    shown = await mainspring_json("workflow", "show", "--workflow-id", workflow_id)
    binary = tmp_path / "history.bin"
    await mainspring("workflow", "show", "--workflow-id", workflow_id, "--output-file", binary)
    history = History.FromString(binary.read_bytes())
    assert [int(event["eventId"]) for event in shown["events"]] == [event.event_id for event in history.events]
    assert "TimerFired" in (await mainspring("workflow", "show", "--workflow-id", workflow_id)).stdout


async def test_workflow_show_prints_what_the_temporal_cli_prints(server, mainspring, start):
    workflow_id = await start("Chain", "2", "1")
    await mainspring("workflow", "result", "--workflow-id", workflow_id)
    words = ("workflow", "show", "--workflow-id", workflow_id, "--output", "json")
    theirs = await asyncio.to_thread(server.temporal, *words)
    assert json.loads((await mainspring(*words)).stdout) == json.loads(theirs.stdout)


async def test_workflow_describe_list_and_signal(mainspring, mainspring_json, queue, start):
    workflow_id = await start("SignalCounter", "1")
    described = await mainspring_json("workflow", "describe", "--workflow-id", workflow_id)
    assert described["workflowExecutionInfo"]["type"]["name"] == "SignalCounter"

    async def listed():
        rows = await mainspring_json("workflow", "list", "--query", f'TaskQueue = "{queue}"')
        return [row["execution"]["workflowId"] for row in rows] == [workflow_id]

    await eventually(listed, "the run is listed")
    await mainspring("workflow", "signal", "--workflow-id", workflow_id, "--name", "tick", "--input", "7")
    assert (await mainspring_json("workflow", "result", "--workflow-id", workflow_id))["result"] == [7]


@pytest.mark.parametrize(("verb", "status"), [("cancel", "CANCELED"), ("terminate", "TERMINATED")])
async def test_workflow_cancel_and_terminate(mainspring, start, verb, status):
    workflow_id = await start("Sleep", HOUR_MS)
    await mainspring("workflow", verb, "--workflow-id", workflow_id, "--reason", "enough")
    result = await mainspring("workflow", "result", "--workflow-id", workflow_id, "--output", "json", check=False)
    assert result.returncode == 1
    assert json.loads(result.stdout)["status"] == status


# Exit codes.


async def test_exit_codes(server, mainspring):
    missing = await mainspring("workflow", "describe", "--workflow-id", "there-is-none", check=False)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "not found" in missing.stderr.lower()

    binary = paths.mainspring_binary()
    assert run([binary, "--help"], False, 30).returncode == 0
    assert run([binary, "--version"], False, 30).stdout.startswith("mainspring ")
    assert run([binary, "workflow", "describe"], False, 30).returncode == 2
    assert run([binary, "no-such-verb"], False, 30).returncode == 2
    nobody = f"127.0.0.1:{free_port()}"
    unreachable = run([binary, "workflow", "list", "--address", nobody], False, 60)
    assert unreachable.returncode == 2
    assert nobody in unreachable.stderr
    no_file = await mainspring("module", "deploy", "/no/such/file.wasm", "--task-queue", "q", check=False)
    assert no_file.returncode == 2


# Servers.


def test_a_server_from_a_configuration_file_drains_on_sigterm(tmp_path):
    class Configured(Mainspring):
        def command(self):
            return [paths.mainspring_binary(), "server", "--config", tmp_path / "mainspring.toml"]

    server = Configured(tmp_path / "server")
    config = f'port = {server.port}\ndata_dir = "{server.data}"\nnamespaces = ["default", "second"]\n'
    (tmp_path / "mainspring.toml").write_text(config)
    try:
        server.start()
        names = {n["namespaceInfo"]["name"] for n in server.temporal_json("operator", "namespace", "list")}
        assert {"default", "second"} <= names
        assert server.stop() == 0
        assert server.verify().returncode == 0
    finally:
        server.remove()


def test_settings_that_make_no_sense_are_refused_by_name(tmp_path):
    config = tmp_path / "mainspring.toml"
    for text, word in [("no_such_setting = 1", "no_such_setting"), ('port = "seven"', "port"), ("x = = 1", "")]:
        config.write_text(text)
        refused = run([paths.mainspring_binary(), "server", "--config", config], False, 30)
        assert refused.returncode == 2, text
        assert word in refused.stderr


def test_a_server_listens_on_loopback_only(tmp_path):
    words = ["dev", "--data-dir", tmp_path / "data", "--ip", "0.0.0.0", "--port", free_port()]
    refused = run([paths.mainspring_binary(), *words], False, 30)
    assert refused.returncode == 2
    assert "loopback" in refused.stderr


def test_an_ephemeral_server_leaves_nothing_behind(tmp_path):
    server = Mainspring(tmp_path / "server", flags=("--ephemeral",))
    # A data directory beside --ephemeral would be a contradiction.
    server.command = lambda: [paths.mainspring_binary(), "dev", "--ephemeral", "--port", str(server.port)]
    try:
        server.start()
        server.deploy_file(paths.guest(KITCHEN), "kitchen")
        words = ("workflow", "execute", "--type", "Echo", "--task-queue", "kitchen", "--input", "1")
        assert server.mainspring_json(*words)["result"] == 1
        assert server.stop() == 0
        assert not server.data.exists()
    finally:
        server.remove()


def test_health_and_reflection_are_served(server):
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        for service in ("", "temporal.api.workflowservice.v1.WorkflowService"):
            assert stub.Check(health_pb2.HealthCheckRequest(service=service)).status == serving
        services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {
        "temporal.api.workflowservice.v1.WorkflowService",
        "temporal.api.operatorservice.v1.OperatorService",
        "mainspring.v1.ModuleService",
        "grpc.health.v1.Health",
    } <= services


def test_a_taken_port_is_an_error_that_names_it(server, tmp_path):
    words = ["dev", "--data-dir", tmp_path / "data", "--port", server.port]
    refused = run([paths.mainspring_binary(), *words], False, 30)
    assert refused.returncode in (1, 2)
    assert str(server.port) in refused.stderr


def test_sigint_stops_a_server_like_sigterm(tmp_path):
    server = Mainspring(tmp_path / "server")
    try:
        server.start()
        server.process.send_signal(signal.SIGINT)
        eventually_sync(lambda: server.process.poll() is not None, "the server stops")
        assert server.process.returncode == 0
    finally:
        server.remove()


# Resets.


async def test_reset_makes_a_new_run_from_the_first_or_the_last_turn(mainspring, mainspring_json, start):
    workflow_id = await start("Approval", "2")
    target = ("--workflow-id", workflow_id)
    await mainspring("workflow", "signal", *target, "--name", "approve", "--input", '"ann"')
    first = await mainspring_json("workflow", "reset", *target, "--type", "FirstWorkflowTask", "--reason", "again")
    assert (first["workflowId"], first["eventId"]) == (workflow_id, 4)
    excluded = await mainspring_json("workflow", "reset", *target, "--event-id", "4", "--reapply-exclude", "Signal")
    assert excluded["runId"] != first["runId"]
    text = (await mainspring("workflow", "reset", *target, "--type", "lastworkflowtask")).stdout
    assert text.startswith(f"Reset: {workflow_id} goes on in run ")
    for name in ['"bob"', '"cem"']:
        await mainspring("workflow", "signal", *target, "--name", "approve", "--input", name)
    assert (await mainspring_json("workflow", "result", *target))["result"] == ["bob", "cem"]


async def test_reset_says_what_is_wrong_with_the_point(mainspring, start):
    workflow_id = await start("Approval", "2")
    refused = await mainspring("workflow", "reset", "--workflow-id", workflow_id, "--event-id", "99", check=False)
    assert refused.returncode == 1
    assert "Workflow task finish ID must be > 1" in refused.stderr
    unclear = await mainspring("workflow", "reset", "--workflow-id", workflow_id, check=False)
    assert unclear.returncode == 2
