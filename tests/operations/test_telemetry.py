"""What an OpenTelemetry collector is told: spans of runs, activities and activations, and the lines of the log."""

import asyncio
import hashlib
import urllib.request

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support import histories, paths
from support.access import Authority
from support.collector import Collector
from support.server import Mainspring, free_port, run
from support.waiting import eventually
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

pytestmark = pytest.mark.mainspring_only
ORDER = {"amount": 12.5, "user_id": "u-secret", "email": "e-secret@example.com"}
GUEST_LOG = "mainspring::workflow_log"


class Observed(Mainspring):
    """`mainspring server` that tells a collector."""

    def __init__(self, directory, endpoint: str, telemetry: str = "", headers: str = ""):
        super().__init__(directory)
        self.metrics_port = free_port()
        self.config = self.directory / "mainspring.toml"
        self.config.write_text(
            f'data_dir = "{self.data}"\n[metrics]\nenabled = true\nport = {self.metrics_port}\n'
            f'[telemetry]\notlp_endpoint = "{endpoint}"\n{telemetry}\n{headers}\n'
        )

    def command(self) -> list:
        return [paths.mainspring_binary(), "server", "--config", self.config, "--port", str(self.port)]

    def sample(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def dropped(self, signal: str) -> float:
        return self.sample(f'mainspring_telemetry_dropped_total{{signal="{signal}"}}')


@pytest.fixture
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture
def observed(tmp_path):
    """Makes servers; what they stored is checked like everybody's."""
    made = []

    def make(endpoint: str, **options) -> Observed:
        made.append(Observed(tmp_path / f"server-{len(made)}", endpoint, **options))
        return made[-1]

    yield make
    for server in made:
        histories.finish(server)


@activity.defn
async def charge_payment(amount: float, user_id: str) -> str:
    return "tx-secret"


@activity.defn
async def send_email(to: str, subject: str) -> None:
    pass


@activity.defn(name="charge_payment")
async def charges_at_the_second_attempt(amount: float, user_id: str) -> str:
    if activity.info().attempt == 1:
        raise ApplicationError("the bank is closed")
    return "tx"


@activity.defn(name="charge_payment")
async def never_charges(amount: float, user_id: str) -> str:
    raise ApplicationError("no such card", non_retryable=True)


async def order(server, client, *activities, workflow_id: str = "order") -> tuple[str, str | None]:
    """Runs one order to its end; its run id, and the message of what it failed of."""
    server.deploy_file(paths.guest("order-workflow"), "orders")
    async with Worker(client, task_queue="orders", activities=activities):
        handle = await client.start_workflow("OrderWorkflow", ORDER, id=workflow_id, task_queue="orders")
        try:
            await handle.result()
        except WorkflowFailureError as error:
            return handle.result_run_id, str(error.cause.__cause__ or error.cause)
    return handle.result_run_id, None


async def closed(collector: Collector, run_id: str):
    """The run's span, which is told last."""
    return await eventually(lambda: collector.run(run_id), "the run's span has come")


def single(spans, name: str):
    [span] = [span for span in spans if span.name == name]
    return span


async def test_an_order_is_one_trace(observed, collector):
    server = observed(collector.endpoint, telemetry='service_name = "shop"').start()
    client = await server.connect()
    run_id, _ = await order(server, client, charge_payment, send_email)
    of_run = await closed(collector, run_id)
    history = await client.get_workflow_handle("order", run_id=run_id).fetch_history()

    assert (of_run.name, of_run.parent_id, of_run.is_error) == ("RunWorkflow:OrderWorkflow", "", False)
    assert of_run.service == "shop"
    first, last = history.events[0].event_time, history.events[-1].event_time
    assert (of_run.start_ns, of_run.end_ns) == (first.ToNanoseconds(), last.ToNanoseconds())
    expected = {
        "temporalNamespace": "default",
        "temporalWorkflowID": "order",
        "temporalRunID": run_id,
        "temporalWorkflowType": "OrderWorkflow",
        "temporalTaskQueue": "orders",
        "mainspring.status": "Completed",
        "mainspring.history_events": len(history.events),
    }
    assert expected.items() <= of_run.attributes.items()

    spans = collector.of_run(run_id)
    assert collector.names(run_id) == {
        "RunWorkflow:OrderWorkflow": 1, "Activity:charge_payment": 1, "Activity:send_email": 1, "Activation": 3,
    }  # fmt: skip
    assert {span.trace_id for span in spans} == {of_run.trace_id}
    assert all(span.parent_id == of_run.span_id for span in spans if span is not of_run)
    assert len({span.span_id for span in spans}) == len(spans)
    # The steps of the run lie within it. An activation may begin in the very moment in which its task is scheduled.
    assert all(of_run.start_ns <= span.start_ns <= span.end_ns for span in spans)

    scheduled = [event for event in history.events if event.HasField("activity_task_scheduled_event_attributes")]
    ended = [event for event in history.events if event.HasField("activity_task_completed_event_attributes")]
    for name, begun, done in zip(("charge_payment", "send_email"), scheduled, ended, strict=True):
        span = single(spans, f"Activity:{name}")
        assert (span.start_ns, span.end_ns) == (begun.event_time.ToNanoseconds(), done.event_time.ToNanoseconds())
        assert span.attributes["temporalActivityType"] == name
        assert span.attributes["temporalActivityID"] == begun.activity_task_scheduled_event_attributes.activity_id
        assert (span.attributes["mainspring.attempt"], span.attributes["mainspring.status"]) == (1, "Completed")
        assert list(span.events) == ["attempt started"]

    module = hashlib.sha256(paths.guest("order-workflow").read_bytes()).hexdigest()
    activations = sorted((span for span in spans if span.name == "Activation"), key=lambda span: span.start_ns)
    assert [span.attributes["mainspring.commands"] for span in activations] == [1, 1, 1]
    for span in activations:
        assert span.attributes["mainspring.module"] == module
        assert span.attributes["mainspring.fuel"] > 0 and span.attributes["mainspring.events"] > 0
        assert span.attributes["mainspring.replayed"] is False
    # What the workflow and its activities say to each other is nobody's business.
    assert "secret" not in str(collector.spans)


async def test_what_failed_says_why(observed, collector):
    server = observed(collector.endpoint).start()
    client = await server.connect()
    run_id, problem = await order(server, client, charges_at_the_second_attempt, send_email, workflow_id="retried")
    assert problem is None
    await closed(collector, run_id)
    retried = single(collector.of_run(run_id), "Activity:charge_payment")
    assert (retried.attributes["mainspring.attempt"], retried.is_error) == (2, False)
    assert retried.events["attempt failed"] == {"mainspring.attempt": 1, "exception.message": "the bank is closed"}

    run_id, problem = await order(server, client, never_charges, send_email, workflow_id="failed")
    assert "no such card" in problem
    of_run = await closed(collector, run_id)
    failed = single(collector.of_run(run_id), "Activity:charge_payment")
    assert (failed.is_error, failed.message) == (True, "no such card")
    assert failed.attributes["mainspring.status"] == "Failed"
    assert of_run.is_error and of_run.attributes["mainspring.status"] == "Failed" and of_run.message

    # The second activation of this one traps.
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    handle = await client.start_workflow("PanicAfterTimer", 1, id="panics", task_queue="kitchen")
    run_id = handle.result_run_id
    await eventually(lambda: any(span.is_error for span in collector.of_run(run_id)), "an activation has failed")
    assert "panic" in next(span.message for span in collector.of_run(run_id) if span.is_error)
    await handle.terminate(reason="no hope")
    of_run = await closed(collector, run_id)
    assert (of_run.message, of_run.attributes["mainspring.status"]) == ("no hope", "Terminated")


async def test_a_run_is_one_trace_though_the_server_is_killed_in_the_middle(observed, collector):
    server = observed(collector.endpoint).start()
    client = await server.connect()
    server.deploy_file(paths.guest("order-workflow"), "orders")
    began = asyncio.Event()

    @activity.defn(name="send_email")
    async def waits(to: str, subject: str) -> None:
        began.set()
        if activity.info().attempt == 1:
            await asyncio.sleep(60)

    async with Worker(client, task_queue="orders", activities=[charge_payment, waits]):
        handle = await client.start_workflow("OrderWorkflow", ORDER, id="order", task_queue="orders")
        await began.wait()
        run_id = handle.result_run_id
        await eventually(lambda: collector.names(run_id)["Activity:charge_payment"], "the first activity's span has come")
        before = list(collector.of_run(run_id))
        server.kill()
    server.start()
    client = await server.connect()
    async with Worker(client, task_queue="orders", activities=[charge_payment, send_email]):
        # The attempt that the worker had is lost, and times out by its start-to-close timeout of 10 seconds.
        await client.get_workflow_handle("order", run_id=run_id).result()
    of_run = await closed(collector, run_id)
    after = [span for span in collector.of_run(run_id) if span not in before]
    assert before and {span.trace_id for span in before + after} == {of_run.trace_id}
    assert all(span.parent_id == of_run.span_id for span in before + after if span is not of_run)
    assert collector.names(run_id)["Activity:charge_payment"] == 1
    email = single(after, "Activity:send_email")
    assert email.attributes["mainspring.attempt"] == 2 and "attempt failed" in email.events
    assert of_run.start_ns < min(span.end_ns for span in before)
    # The new life has no instance of the workflow: it replays.
    assert [span.attributes["mainspring.replayed"] for span in after if span.name == "Activation"] == [True]


async def test_children_are_in_their_parents_trace_and_later_runs_are_linked(observed, collector):
    server = observed(collector.endpoint).start()
    client = await server.connect()
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    handle = await client.start_workflow("SumOfChildren", [1, 2], id="sum", task_queue="kitchen")
    assert await handle.result() == 6
    parent = await closed(collector, handle.result_run_id)
    doubles = lambda: [span for span in collector.spans if span.name == "RunWorkflow:Double"]  # noqa: E731
    await eventually(lambda: len(doubles()) == 2, "the children's spans have come")
    assert {(span.trace_id, span.parent_id) for span in doubles()} == {(parent.trace_id, parent.span_id)}

    handle = await client.start_workflow("Countdown", args=[2, 1], id="countdown", task_queue="kitchen")
    assert await handle.result() == 3
    runs = lambda: [span for span in collector.spans if span.name == "RunWorkflow:Countdown"]  # noqa: E731
    await eventually(lambda: len(runs()) == 3, "the spans of all runs have come")
    first, second, third = sorted(runs(), key=lambda span: span.start_ns)
    assert [span.attributes["mainspring.status"] for span in (first, second, third)] == ["ContinuedAsNew"] * 2 + ["Completed"]
    assert (first.links, second.links) == ([], [(first.trace_id, first.span_id)])
    assert third.links == [(second.trace_id, second.span_id)]
    assert len({span.trace_id for span in runs()}) == 3


async def test_a_trace_goes_from_the_client_through_the_server_to_its_workers(observed, collector):
    server = observed(collector.endpoint).start()
    server.deploy_file(paths.guest("order-workflow"), "orders")
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    ours = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ours))
    tracing = TracingInterceptor(provider.get_tracer("test"))
    client = await server.connect(interceptors=[tracing])
    # The worker has the interceptor from its client.
    async with Worker(client, task_queue="orders", activities=[charge_payment, send_email]):
        handle = await client.start_workflow("OrderWorkflow", ORDER, id="order", task_queue="orders")
        await handle.result()
    of_run = await closed(collector, handle.result_run_id)
    started = single(ours.get_finished_spans(), "StartWorkflow:OrderWorkflow")
    trace_id = f"{started.context.trace_id:032x}"
    assert (of_run.trace_id, of_run.parent_id) == (trace_id, f"{started.context.span_id:016x}")
    for name in ("charge_payment", "send_email"):
        asked = single(collector.of_run(handle.result_run_id), f"Activity:{name}")
        ran = single(ours.get_finished_spans(), f"RunActivity:{name}")
        assert asked.trace_id == f"{ran.context.trace_id:032x}" == trace_id
        assert f"{ran.parent.span_id:016x}" == asked.span_id

    # Children, and later runs, stay in that trace.
    handle = await client.start_workflow("SumOfChildren", [1], id="sum", task_queue="kitchen")
    await handle.result()
    started = single(ours.get_finished_spans(), "StartWorkflow:SumOfChildren")
    parent = await closed(collector, handle.result_run_id)
    double = lambda: [span for span in collector.spans if span.name == "RunWorkflow:Double"]  # noqa: E731
    [child] = await eventually(double, "the child's span has come")
    assert child.trace_id == parent.trace_id == f"{started.context.trace_id:032x}"
    assert child.parent_id == parent.span_id
    handle = await client.start_workflow("Countdown", args=[1, 1], id="countdown", task_queue="kitchen")
    await handle.result()
    started = single(ours.get_finished_spans(), "StartWorkflow:Countdown")
    runs = lambda: [span for span in collector.spans if span.name == "RunWorkflow:Countdown"]  # noqa: E731
    await eventually(lambda: len(runs()) == 2, "the spans of both runs have come")
    assert {(span.trace_id, span.parent_id) for span in runs()} == {
        (f"{started.context.trace_id:032x}", f"{started.context.span_id:016x}")
    }


async def test_a_share_of_the_traces_is_sent_and_each_as_a_whole(observed, collector):
    server = observed(collector.endpoint, telemetry="sample_ratio = 0.5").start()
    client = await server.connect()
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")

    async def sum_of_two(number: int) -> str:
        handle = await client.start_workflow("SumOfChildren", [1, 2], id=f"sum-{number}", task_queue="kitchen")
        await handle.result()
        return handle.result_run_id

    run_ids = await asyncio.gather(*(sum_of_two(number) for number in range(40)))
    # All that is to come has come once the server has stopped.
    assert server.stop() == 0
    kept = {run_id for run_id in run_ids if collector.run(run_id)}
    assert 0 < len(kept) < 40
    assert {run_id for run_id in run_ids if collector.of_run(run_id)} == kept
    traces = {collector.run(run_id).trace_id for run_id in kept}
    doubles = [span.trace_id for span in collector.spans if span.name == "RunWorkflow:Double"]
    assert set(doubles) == traces and len(doubles) == 2 * len(kept)


async def test_log_lines_of_guests_name_their_run_and_stand_in_its_trace(observed, collector):
    server = observed(collector.endpoint).start()
    client = await server.connect()
    server.deploy_file(paths.guest("guest-kitchen"), "kitchen")
    handle = await client.start_workflow("Log", "hello", id="logs", task_queue="kitchen")
    await handle.result()
    run_id = handle.result_run_id
    of_run = await closed(collector, run_id)
    lines = lambda: [line for line in collector.lines if line.target == GUEST_LOG]  # noqa: E731
    await eventually(lambda: len(lines()) >= 6, "the lines have come")
    # By the filter of the log, which says "info".
    assert [(line.level, line.body) for line in lines()] == [
        ("INFO", "info hello"),
        ("WARN", "warn hello"),
        ("ERROR", "error hello"),
        ("INFO", "stdout hello"),
        ("WARN", "stderr hello"),
        ("INFO", "after hello"),
    ]
    expected = {
        "temporalNamespace": "default",
        "temporalWorkflowID": "logs",
        "temporalRunID": run_id,
        "temporalWorkflowType": "Log",
        "mainspring.module": hashlib.sha256(paths.guest("guest-kitchen").read_bytes()).hexdigest(),
    }
    for line in lines():
        assert expected.items() <= line.attributes.items()
        assert (line.trace_id, line.span_id) == (of_run.trace_id, of_run.span_id)
    assert lines()[0].attributes["fields"] == "text=hello length=5"
    # The server's own lines come as well.
    assert any(line.body == "ready" and line.target.startswith("mainspring_server") for line in collector.lines)


async def test_log_lines_of_activities_that_the_server_runs_stand_in_the_trace_too(observed, collector):
    server = observed(collector.endpoint).start()
    client = await server.connect()
    for module in ("order-workflow", "order-activities"):
        server.deploy_file(paths.guest(module), "orders")
    handle = await client.start_workflow("OrderWorkflow", ORDER, id="order", task_queue="orders")
    await handle.result()
    await closed(collector, handle.result_run_id)
    lines = lambda: [line for line in collector.lines if line.target == "mainspring::activity_log"]  # noqa: E731
    await eventually(lambda: any("주문 완료" in str(line) for line in lines()), "the lines have come")
    spans = {span.name: span for span in collector.of_run(handle.result_run_id)}
    for line in lines():
        span = spans[f"Activity:{line.attributes['temporalActivityType']}"]
        assert (line.trace_id, line.span_id) == (span.trace_id, span.span_id)
        assert line.attributes["temporalRunID"] == handle.result_run_id
        assert line.attributes["temporalWorkflowType"] == "OrderWorkflow"
    # Those are the server's own workers.
    assert spans["Activity:charge_payment"].attributes["mainspring.worker"].startswith("mainspring-activities@")


async def test_a_collector_with_a_certificate_is_trusted_by_its_authority_alone(observed, tmp_path):
    authority, other = Authority(tmp_path / "tls"), Authority(tmp_path / "other", "another authority")
    with Collector(certificate=authority.issue("collector", server=True)) as collector:
        stranger = observed(collector.endpoint, telemetry=f'otlp_ca = "{other.certificate_path}"').start()
        await order(stranger, await stranger.connect(), charge_payment, send_email)
        await eventually(lambda: stranger.dropped("spans"), "the spans are dropped")
        assert not collector.headers
        server = observed(collector.endpoint, telemetry=f'otlp_ca = "{authority.certificate_path}"').start()
        run_id, _ = await order(server, await server.connect(), charge_payment, send_email)
        await closed(collector, run_id)
        assert not server.dropped("spans")


async def test_without_a_collector_everything_goes_on_and_what_is_dropped_is_counted(observed):
    endpoint = f"http://127.0.0.1:{free_port()}"
    server = observed(endpoint, telemetry='timeout = "500ms"').start()
    client = await server.connect()
    for number in range(5):
        _, problem = await order(server, client, charge_payment, send_email, workflow_id=f"order-{number}")
        assert problem is None
    # Five runs with two activities and three activations each.
    await eventually(lambda: server.dropped("spans") >= 30, "all spans are dropped")
    await eventually(lambda: server.dropped("logs") > 0, "log lines are dropped")
    assert server.sample("mainspring_telemetry_sent_total{") == 0
    complaints = [line for line in server.log_path.read_text().splitlines() if "telemetry is dropped" in line]
    assert 1 <= len(complaints) <= 2, complaints  # One for spans and one for lines, however often.


async def test_a_collector_that_hangs_holds_nothing_up(observed, collector):
    server = observed(collector.endpoint, telemetry="queue = 20\nlogs = false").start()
    client = await server.connect()
    collector.hold()
    number = 0
    while not server.dropped("spans"):
        number += 1
        _, problem = await order(server, client, charge_payment, send_email, workflow_id=f"order-{number}")
        assert problem is None and number < 100
    assert collector.held.is_set()
    # It stops as well, without what the collector does not take.
    assert await asyncio.to_thread(server.stop) == 0
    assert not collector.spans


async def test_headers_are_sent_and_never_shown(observed, collector):
    headers = '[telemetry.headers]\nauthorization = "Bearer s3cr3t"'
    server = observed(collector.endpoint, headers=headers)
    printed = run([paths.mainspring_binary(), "server", "--config", server.config, "--print-config"], True, 30).stdout
    assert 'authorization = "[redacted]"' in printed and "s3cr3t" not in printed
    server.start()
    client = await server.connect()
    await order(server, client, charge_payment, send_email)
    await eventually(lambda: collector.spans, "spans have come")
    assert all(sent["authorization"] == "Bearer s3cr3t" for sent in collector.headers)
    assert "s3cr3t" not in server.log_path.read_text()


@pytest.mark.parametrize(
    ("telemetry", "problem"),
    [
        ("sample_ratio = 2.0", "telemetry.sample_ratio: must be from 0 to 1"),
        ("queue = 0", "telemetry.queue: must be from 1"),
        ('otlp_ca = "ca.pem"', "telemetry.otlp_ca"),
        ('[telemetry.headers]\n"a b" = "x"', 'telemetry.headers: "a b" is not the name of a header'),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path, telemetry, problem):
    server = Observed(tmp_path, "http://127.0.0.1:1", telemetry=telemetry)
    done = run(server.command(), False, 30)
    assert done.returncode == 2 and problem in done.stderr
    server = Observed(tmp_path, "127.0.0.1:4317")
    done = run(server.command(), False, 30)
    assert done.returncode == 2 and "telemetry.otlp_endpoint" in done.stderr
