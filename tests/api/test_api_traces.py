"""Executions as traces, received by a collector; and the log as JSON."""

from __future__ import annotations

import gzip
import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from api_serving import PASS, ROLE, Served, machine, until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from treadle.observation.logs import JsonLines
from treadle.runtime.ports import Summary
from treadle.runtime.trace_context import TraceContext, context_of


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


HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def test_what_an_execution_starts_and_calls_is_in_its_trace_and_a_redrive_tells_nothing_twice(
    collector: tuple[str, list[Span]], tmp_path: Path
) -> None:
    url, spans = collector
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "tells.py").write_text(
        'import os\n\ndef handler(event, context):\n    return os.environ["_X_AMZN_TRACE_ID"]\n'
    )
    served = Served(
        tmp_path / "data",
        "--no-cloud",
        "--functions",
        str(tmp_path / "functions"),
        OTEL_EXPORTER_OTLP_ENDPOINT=url,
    )
    states = served.client()
    activity = states.create_activity(name="a")["activityArn"]
    nested = states.create_state_machine(name="nested", definition=PASS, roleArn=ROLE)["stateMachineArn"]
    mode = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    definition = machine(
        Call={"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:tells", "ResultPath": "$.l"},
        Nest={
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync",
            "Parameters": {"StateMachineArn": nested},
            "ResultPath": None,
        },
        Each={
            "Type": "Map",
            "Label": "Each",
            "ItemsPath": "$.i",
            "ItemProcessor": json.loads(PASS) | mode,
            "ResultPath": None,
        },
        Ask={"Type": "Task", "Resource": activity},
    )
    arn = states.create_state_machine(name="outer", definition=definition, roleArn=ROLE)["stateMachineArn"]
    arn = states.start_execution(stateMachineArn=arn, input='{"i": [1]}', traceHeader=HEADER)["executionArn"]
    told = json.loads(until(lambda: states.get_activity_task(activityArn=activity).get("input")))["l"]
    token = states.get_execution_history(executionArn=arn)["events"][-1]
    assert token["type"] == "ActivityStarted"
    states.stop_execution(executionArn=arn)
    until(lambda: any(span.name == "outer" for span in spans), 30)
    states.redrive_execution(executionArn=arn)
    states.send_task_success(taskToken=states.get_activity_task(activityArn=activity)["taskToken"], output="1")
    until(lambda: states.describe_execution(executionArn=arn)["status"] == "SUCCEEDED")
    assert served.stop() == 0
    assert {span.trace_id.hex() for span in spans} == {"5759e988bd862e3fe1be46a994272793"}
    assert len({span.span_id for span in spans}) == len(spans)
    names = {span.span_id.hex(): span.name.partition(" arn:")[0] for span in spans}
    shown = sorted((span.name.partition(" arn:")[0], names.get(span.parent_span_id.hex(), "above")) for span in spans)
    assert shown == [
        ("A", "nested"),
        ("A", "outer/Each"),
        ("Ask", "outer"),
        ("Ask", "outer"),
        ("Call", "outer"),
        ("Each", "outer"),
        ("Nest", "outer"),
        ("attempt", "Ask"),
        ("attempt", "Ask"),
        ("attempt", "Call"),
        ("attempt startExecution.sync", "Nest"),
        ("map run", "Each"),
        ("nested", "attempt startExecution.sync"),
        ("outer", "above"),
        ("outer", "above"),
        ("outer/Each", "map run"),
    ]
    assert {span.parent_span_id.hex() for span in spans if span.name == "outer"} == {"53995c3f42cd8ad8"}
    (call,) = (span for span in spans if "function:tells" in span.name)
    assert told == f"Root=1-5759e988-bd862e3fe1be46a994272793;Parent={call.span_id.hex()};Sampled=1"


@pytest.mark.parametrize("answers", [False, True])
def test_a_collector_that_is_down_or_silent_holds_up_nothing_and_is_told_of_once(answers: bool, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if not answers:
            listener.close()
        served = Served(tmp_path, "--no-cloud", OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_TIMEOUT="1")
        states = served.client()
        arn = states.create_state_machine(name="m", definition=PASS, roleArn=ROLE)["stateMachineArn"]
        for _ in range(10):
            states.start_execution(stateMachineArn=arn)
        until(lambda: len(states.list_executions(stateMachineArn=arn, statusFilter="SUCCEEDED")["executions"]) == 10)
        assert served.stop() == 0
    assert served.told.count("collector") == 1


def summary(header: str | None) -> Summary:
    return Summary(
        arn="e",
        machine_arn="m",
        name="e",
        definition="",
        status="RUNNING",
        started_at=0x5759E988,
        length=1,
        trace_header=header,
    )


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (HEADER, TraceContext("1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8")),
        (
            "Self=1-1-1; Sampled=?;Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a:0",
            TraceContext("1-5759e988-bd862e3fe1be46a994272793"),
        ),
        (HEADER.replace("Sampled=1", "Sampled=0"), TraceContext(HEADER[5:40], "53995c3f42cd8ad8", False)),
        (HEADER.replace("53995c3f42cd8ad8", "0" * 16), TraceContext(HEADER[5:40])),
        (HEADER.replace("53995c3f42cd8ad8", "53995c3f"), TraceContext(HEADER[5:40])),
        *((bad, None) for bad in (None, "", ";;=;", "Root=1-5759e988", "XRoot=1-5759e988-bd862e3fe1be46a994272793")),
        ("Parent=53995c3f42cd8ad8;Sampled=1", None),
    ],
)
def test_a_trace_header_that_is_no_good_is_none(header: str | None, wanted: TraceContext | None) -> None:
    found = context_of(summary(header))
    if wanted is None:
        assert re.fullmatch("1-5759e988-[0-9a-f]{24}", found.root)
        assert (found.parent, found.sampled) == (None, True)
    else:
        assert found == wanted


def test_a_log_for_machines_is_one_object_a_line() -> None:
    record = logging.LogRecord("treadle.api", logging.WARNING, "", 0, "the store\nrefuses %s", ("it",), None)
    line = JsonLines().format(record)
    told = json.loads(line)
    assert "\n" not in line
    assert (told["level"], told["logger"], told["message"]) == ("WARNING", "treadle.api", "the store\nrefuses it")
    assert told["time"].endswith("+00:00")
