"""An OpenTelemetry collector that keeps what it is sent: OTLP over gRPC, in this process."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from .server import free_port


@dataclass
class Span:
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    kind: int
    attributes: dict
    # With the attributes of each.
    events: dict[str, dict]
    # Trace id and span id of each.
    links: list[tuple[str, str]]
    is_error: bool
    message: str
    service: str


@dataclass
class Line:
    body: str
    level: str
    target: str
    trace_id: str
    span_id: str
    attributes: dict = field(default_factory=dict)


def values(attributes) -> dict:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


class Collector:
    """Listens while the block runs. `hold` keeps every request waiting, as a collector does that hangs."""

    def __init__(self, port: int | None = None, certificate: tuple[Path, Path] | None = None):
        self.certificate = certificate
        self.port = port or free_port()
        self.spans: list[Span] = []
        self.lines: list[Line] = []
        self.headers: list[dict] = []
        self.released = threading.Event()
        self.released.set()
        self.held = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), self._server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(_Logs(self), self._server)

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "Collector":
        address = f"127.0.0.1:{self.port}"
        if self.certificate:
            certificate, key = (path.read_bytes() for path in self.certificate)
            bound = self._server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
        else:
            bound = self._server.add_insecure_port(address)
        assert bound == self.port
        self._server.start()
        return self

    def __exit__(self, *_) -> None:
        self.released.set()
        self._server.stop(grace=None).wait()

    def hold(self) -> None:
        self.released.clear()

    def note(self, context) -> None:
        self.headers.append(dict(context.invocation_metadata()))
        if not self.released.is_set():
            self.held.set()
            self.released.wait(60)

    def of_run(self, run_id: str) -> list[Span]:
        return [span for span in self.spans if span.attributes["temporalRunID"] == run_id]

    def run(self, run_id: str) -> Span | None:
        """The run's own span, of which there is one at most."""
        found = [span for span in self.of_run(run_id) if span.name.startswith("RunWorkflow:")]
        assert len(found) <= 1, f"{run_id} has the spans {found}"
        return found[0] if found else None

    def names(self, run_id: str) -> Counter:
        return Counter(span.name for span in self.of_run(run_id))


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector):
        self.collector = collector

    def Export(self, request, context):
        self.collector.note(context)
        for resource in request.resource_spans:
            service = values(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.collector.spans.extend(_span(span, service) for span in scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, collector: Collector):
        self.collector = collector

    def Export(self, request, context):
        self.collector.note(context)
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                self.collector.lines.extend(_line(record, scope.scope.name) for record in scope.log_records)
        return logs_service_pb2.ExportLogsServiceResponse()


def _span(span, service: str) -> Span:
    return Span(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        kind=span.kind,
        attributes=values(span.attributes),
        events={event.name: values(event.attributes) for event in span.events},
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        is_error=span.status.code == 2,
        message=span.status.message,
        service=service,
    )


def _line(record, target: str) -> Line:
    return Line(
        body=record.body.string_value,
        level=record.severity_text,
        target=target,
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        attributes=values(record.attributes),
    )
