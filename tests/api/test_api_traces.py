"""Executions as traces, received by a collector; and the log as JSON."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from api_serving import PASS, ROLE, Served, machine, until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from treadle.observation.logs import JsonLines


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Span]]]:
    """The URL of a collector and the spans that it has got."""
    spans: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_execution_is_a_trace_with_a_span_for_each_state_and_attempt(
    collector: tuple[str, list[Span]], tmp_path: Path
) -> None:
    url, spans = collector
    served = Served(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    states = served.client()
    activity = states.create_activity(name="a")["activityArn"]
    task = {"Type": "Task", "Resource": activity, "Retry": [{"ErrorEquals": ["Mine"], "IntervalSeconds": 1}]}
    both = {"Type": "Parallel", "Branches": [json.loads(PASS)]}
    arn = states.create_state_machine(name="traced", definition=machine(T=task, P=both), roleArn=ROLE)
    started = states.start_execution(
        stateMachineArn=arn["stateMachineArn"], traceHeader="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    )["executionArn"]
    states.send_task_failure(taskToken=states.get_activity_task(activityArn=activity)["taskToken"], error="Mine")
    states.send_task_success(taskToken=states.get_activity_task(activityArn=activity)["taskToken"], output="{}")
    until(lambda: states.describe_execution(executionArn=started)["status"] == "SUCCEEDED")
    assert served.stop() == 0
    assert {span.trace_id.hex() for span in spans} == {"5759e988bd862e3fe1be46a994272793"}
    names = {span.span_id: span.name for span in spans}
    shown = sorted((span.name.partition(" ")[0], names.get(span.parent_span_id, "")) for span in spans)
    assert shown == [("A", "P"), ("P", "traced"), ("T", "traced"), ("attempt", "T"), ("attempt", "T"), ("traced", "")]
    failed = [span for span in spans if span.status.code == 2]
    assert [(span.name.partition(" ")[0], span.status.message) for span in failed] == [("attempt", "Mine")]
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in spans)


def test_a_log_for_machines_is_one_object_a_line() -> None:
    record = logging.LogRecord("treadle.api", logging.WARNING, "", 0, "the store\nrefuses %s", ("it",), None)
    line = JsonLines().format(record)
    told = json.loads(line)
    assert "\n" not in line
    assert (told["level"], told["logger"], told["message"]) == ("WARNING", "treadle.api", "the store\nrefuses it")
    assert told["time"].endswith("+00:00")
