"""What operators see of a server: metrics, health, log lines with the fields of the run, settings."""

import json
import signal
import urllib.error
import urllib.request

import pytest
from support import paths
from support.server import Mainspring, free_port, run
from temporalio import activity
from temporalio.worker import Worker

pytestmark = pytest.mark.mainspring_only
ORDER = {"amount": 1.0, "user_id": "u", "email": "e@example.com"}


class Service(Mainspring):
    """`mainspring server`, with a configuration file."""

    def __init__(self, directory, metrics_port: int):
        super().__init__(directory)
        self.metrics_port = metrics_port
        self.config = self.directory / "mainspring.toml"
        self.config.write_text(f'data_dir = "{self.data}"\n[log]\nformat = "json"\n[metrics]\nenabled = true\nport = {metrics_port}\n')

    def command(self) -> list:
        return [paths.mainspring_binary(), "server", "--config", self.config, "--port", str(self.port)]

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def samples(self) -> dict[str, float]:
        text = self.get("/metrics")[1]
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}


@pytest.fixture
def service(tmp_path):
    service = Service(tmp_path / "service", free_port()).start()
    yield service
    service.remove()


@activity.defn
async def charge_payment(amount: float, user_id: str) -> str:
    return "tx"


@activity.defn
async def send_email(to: str, subject: str) -> None:
    pass


async def test_an_order_shows_in_the_metrics(service):
    service.deploy_file(paths.guest("order-workflow"), "orders")
    client = await service.connect()
    assert service.get("/health") == (200, "serving\n")
    async with Worker(client, task_queue="orders", activities=[charge_payment, send_email]):
        await client.execute_workflow("OrderWorkflow", ORDER, id="order", task_queue="orders")
    await client.start_workflow("OrderWorkflow", ORDER, id="second", task_queue="orders")
    now = service.samples()
    assert now['mainspring_runs_started_total{namespace="default"}'] == 2
    assert now['mainspring_runs_closed_total{namespace="default",status="Completed"}'] == 1
    assert now['mainspring_runs_open{namespace="default"}'] == 1
    # The first task, and one for the end of each activity; and the first of the second run.
    assert now['mainspring_activations_total{namespace="default",outcome="completed"}'] == 4
    assert now["mainspring_activation_seconds_count"] == 4
    assert now['mainspring_activity_tasks_waiting{namespace="default"}'] == 1
    assert now['mainspring_requests_total{method="ModuleService/DeployModule",code="OK"}'] == 1
    # A flush for each commit would be the most; one group of commits shares one.
    assert 1 <= now["mainspring_flush_seconds_count"] <= now["mainspring_commits_total"]

    # What is open is counted anew after a crash.
    service.kill()
    service.start()
    assert service.samples()['mainspring_runs_open{namespace="default"}'] == 1


async def test_what_a_workflow_logs_has_the_fields_of_its_run(service):
    service.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    client = await service.connect()
    handle = await client.start_workflow("Log", "hello", id="talker", task_queue="kitchen")
    await handle.result()
    assert service.stop() == 0
    lines = [json.loads(line)["fields"] for line in service.log_path.read_text().splitlines() if line.startswith("{")]
    said = [fields for fields in lines if fields.get("message") == "info hello"]
    assert len(said) == 1, lines
    run_fields = {name: said[0][name] for name in ("namespace", "workflow_id", "run_id", "workflow_type")}
    assert run_fields == {
        "namespace": "default",
        "workflow_id": "talker",
        "run_id": handle.result_run_id,
        "workflow_type": "Log",
    }


def test_the_printed_settings_can_be_used(service, tmp_path):
    printed = run([paths.mainspring_binary(), "server", "--config", service.config, "--print-config"], True, 30).stdout
    assert f"port = {service.metrics_port}" in printed and 'format = "json"' in printed
    again = tmp_path / "again.toml"
    again.write_text(printed)
    assert run([paths.mainspring_binary(), "server", "--config", again, "--print-config"], True, 30).stdout == printed


def test_sigterm_ends_the_metrics_with_the_server(service):
    assert service.get("/metrics")[0] == 200
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
    with pytest.raises(urllib.error.URLError):
        service.get("/metrics")
