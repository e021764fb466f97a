"""Executions as OpenTelemetry traces: when one ends, its journal becomes a trace of spans.

One trace for an execution, a span for it, one for each visit of a state, one for each attempt of a task. Owns the queue
and what becomes of it: tracing is best effort, so nothing waits for it. Only where OTEL_EXPORTER_OTLP_ENDPOINT (or the
one for traces) is set; opentelemetry is imported only then. Data of executions is never in a span.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from treadle.api.host import Host
from treadle.machine.journal import Entry, FramePath
from treadle.runtime.ports import Commit, Summary

log = logging.getLogger("treadle.observation")

_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_QUEUE: Final = 1_000
_ROOT: Final = re.compile(r"Root=1-([0-9a-fA-F]{8})-([0-9a-fA-F]{24})(?:;|$)")
_PARENT: Final = re.compile(r"Parent=([0-9a-fA-F]{16})(?:;|$)")
_ENDS: Final = ("Succeeded", "Failed", "TimedOut", "ScheduleFailed", "StartFailed", "SubmitFailed")
_TASK: Final = re.compile(rf"(?:Task|LambdaFunction|Activity)(Scheduled|{'|'.join(_ENDS)})")


@asynccontextmanager
async def tracing(host: Host) -> AsyncGenerator[None]:
    """Trace the executions of a host, where the environment says whereto."""
    if not any(os.environ.get(each) for each in _VARIABLES):
        yield
        return
    queue: asyncio.Queue[Commit] = asyncio.Queue(_QUEUE)
    traces = await asyncio.to_thread(Traces)
    unsubscribe = host.commits.subscribe(_offering(queue))
    running = asyncio.create_task(_run(host, queue, traces))
    try:
        yield
    finally:
        unsubscribe()
        with suppress(TimeoutError):
            await asyncio.wait_for(queue.join(), 3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.to_thread(traces.close)


def _offering(queue: asyncio.Queue[Commit]) -> Callable[[Commit], None]:
    def committed(commit: Commit) -> None:
        if commit.summary.status == "RUNNING" or commit.summary.is_map_run:
            return
        try:
            queue.put_nowait(commit)
        except asyncio.QueueFull:
            log.warning("traces are exported too slowly: %s is not traced", commit.summary.arn)

    return committed


async def _run(host: Host, queue: asyncio.Queue[Commit], traces: Traces) -> None:
    while True:
        commit = await queue.get()
        try:
            # The journal of an Express execution is in its commit, and nowhere else.
            whole = commit.expected == 0
            journal = commit.entries if whole else await host.store.journal(commit.summary.arn)
            await asyncio.to_thread(traces.add, commit.summary, journal)
        except Exception as error:
            log.warning("%s is not traced: %s", commit.summary.arn, error)
        finally:
            queue.task_done()


class Traces:
    """Makes spans of journals and exports them. For one thread at a time."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        class Ids(RandomIdGenerator):
            """The trace id is the execution's."""

            trace = 0

            def generate_trace_id(self) -> int:
                return self.trace

        self._ids = Ids()
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "treadle")})
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer: Any = self._provider.get_tracer("treadle")

    def add(self, summary: Summary, journal: Sequence[Entry]) -> None:
        """Make the trace of an execution that has ended."""
        from opentelemetry import trace

        header = summary.trace_header or ""
        if "Sampled=0" in header:
            return
        self._ids.trace = trace_id(summary)
        context = None
        if parent := _PARENT.search(header):
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
            caller = trace.SpanContext(self._ids.trace, int(parent[1], 16), is_remote=True, trace_flags=flags)
            context = trace.set_span_in_context(trace.NonRecordingSpan(caller))
        root = self._span(summary.machine_arn.rpartition(":")[2], context, journal[0].at)
        root.set_attributes({"aws.stepfunctions.execution_arn": summary.arn, "treadle.status": summary.status})
        states: dict[FramePath, Any] = {}
        attempts: dict[FramePath, Any] = {}
        for entry in journal:
            frame = entry.frame
            if entry.type.endswith("StateEntered"):
                _end(attempts.pop(frame, None), entry.at)
                _end(states.pop(frame, None), entry.at)
                above = next((states[frame[:n]] for n in range(len(frame) - 1, -1, -1) if frame[:n] in states), root)
                states[frame] = self._span(str(entry.details["name"]), trace.set_span_in_context(above), entry.at)
                states[frame].set_attribute("treadle.state_type", entry.type.removesuffix("StateEntered"))
            elif entry.type.endswith("StateExited"):
                _end(states.pop(frame, None), entry.at)
            elif found := _TASK.fullmatch(entry.type):
                self._attempt(found[1], entry, states, attempts)
        for each in (*attempts.values(), *states.values()):
            _fail(each, summary.error or summary.status)
            _end(each, journal[-1].at)
        if summary.status != "SUCCEEDED":
            _fail(root, summary.error or summary.status)
        _end(root, journal[-1].at)

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()

    def _attempt(self, what: str, entry: Entry, states: dict[FramePath, Any], attempts: dict[FramePath, Any]) -> None:
        from opentelemetry import trace

        if what == "Scheduled":
            state = states.get(entry.frame)
            context = None if state is None else trace.set_span_in_context(state)
            attempts[entry.frame] = self._span(f"attempt {entry.details.get('resource', '')}", context, entry.at)
        elif (attempt := attempts.pop(entry.frame, None)) is not None:
            if what != "Succeeded":
                _fail(attempt, str(entry.details.get("error") or what))
            _end(attempt, entry.at)

    def _span(self, name: str, context: Any, at: float) -> Any:
        from opentelemetry.context import Context

        return self._tracer.start_span(name, context=context or Context(), start_time=_nanoseconds(at))


def trace_id(summary: Summary) -> int:
    """X-Ray's trace id where the execution was started with one, and else one made of its ARN."""
    found = _ROOT.search(summary.trace_header or "")
    if found:
        return int(found[1] + found[2], 16)
    return int.from_bytes(hashlib.sha256(summary.arn.encode()).digest()[:16])


def _fail(span: Any, error: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, error))


def _end(span: Any, at: float) -> None:
    if span is not None:
        span.end(end_time=_nanoseconds(at))


def _nanoseconds(at: float) -> int:
    return round(at * 1_000_000) * 1_000
