"""Executions as OpenTelemetry traces: when one ends, its spans are sent to a collector by OTLP.

Owns the queue and what becomes of it: tracing is best effort, so nothing waits for it, what does not fit is lost, and a
collector that is down is told of once. Only where OTEL_EXPORTER_OTLP_ENDPOINT (or the one for traces) is set;
opentelemetry is imported only then. What the spans are is spans.py's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from treadle.api.host import Host
from treadle.observation.spans import Span, spans_of
from treadle.runtime.ports import Commit
from treadle.runtime.trace_context import context_of

log = logging.getLogger("treadle.observation")

QUEUE: Final = 1_000
"""Executions that wait to be sent."""
_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_BATCH: Final = 512
"""Spans of one request."""
_PAUSE: Final = 5.0
"""Seconds for which nothing is sent to a collector that did not answer."""
_LAST_SECONDS: Final = 3.0
"""How long sending may go on when the server stops."""


@asynccontextmanager
async def tracing(host: Host) -> AsyncGenerator[None]:
    """Trace the executions of a host, where the environment says whereto."""
    if not any(os.environ.get(each) for each in _VARIABLES):
        yield
        return
    traces = Traces(host, await asyncio.to_thread(Collector))
    unsubscribe = host.commits.subscribe(traces.committed)
    running = asyncio.create_task(traces.run())
    try:
        yield
    finally:
        unsubscribe()
        await traces.drain()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Traces:
    """Executions that have ended, on their way to a collector."""

    def __init__(self, host: Host, collector: Collector) -> None:
        self._host, self._collector = host, collector
        self._queue: asyncio.Queue[Commit] = asyncio.Queue(QUEUE)
        self._lost = 0

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        summary = commit.summary
        if summary.status == "RUNNING" or summary.is_map_run or not context_of(summary).sampled:
            return
        try:
            self._queue.put_nowait(commit)
        except asyncio.QueueFull:
            self._lost += 1
            if self._lost.bit_count() == 1:
                log.warning("traces are sent too slowly: %d executions were not traced", self._lost)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            commit = await self._queue.get()
            try:
                # The journal of an Express execution is in its commit, and nowhere else.
                whole = commit.expected == 0 or commit.anew
                journal = commit.entries if whole else await self._host.store.journal(commit.summary.arn)
                spans = list(spans_of(commit.summary, journal))
                await asyncio.to_thread(self._collector.send, context_of(commit.summary).trace_id, spans)
            except Exception as error:
                log.warning("%s is not traced: %s", commit.summary.arn, error)
            finally:
                self._queue.task_done()

    async def drain(self) -> None:
        """Give what is waiting a last chance."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), _LAST_SECONDS)
        # Who is waiting for an answer stops waiting.
        self._collector.close()


class Collector:
    """Where spans are sent. For one thread at a time, but for `close`."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource

        # It would tell of every request that fails, and of every time that it tries again.
        logging.getLogger(_EXPORTER).setLevel(logging.CRITICAL)
        self._resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "treadle")})
        self._exporter: Any = OTLPSpanExporter()
        self._silent_until = 0.0
        self._down = False

    def send(self, trace_id: str, spans: Sequence[Span]) -> None:
        """Send the spans of one trace; what cannot be sent is lost."""
        if time.monotonic() < self._silent_until:
            return
        made = [self._made(int(trace_id, 16), each) for each in spans]
        for first in range(0, len(made), _BATCH):
            if not self._sent(made[first : first + _BATCH]):
                self._silent_until = time.monotonic() + _PAUSE
                if not self._down:
                    log.warning("the collector of traces does not take them: they are lost until it does")
                self._down = True
                return
        if self._down:
            log.warning("the collector of traces takes them again")
        self._down = False

    def close(self) -> None:
        """Send nothing more."""
        self._silent_until = float("inf")
        self._exporter.shutdown()

    def _sent(self, spans: Sequence[Any]) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            return self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:
            log.debug("the exporter of traces failed", exc_info=True)  # that spans are lost is told once, as a warning
            return False

    def _made(self, trace_id: int, span: Span) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

        def context(id: str) -> Any:
            return SpanContext(trace_id, int(id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

        return ReadableSpan(
            name=span.name,
            context=context(span.id),
            parent=context(span.parent) if span.parent else None,
            resource=self._resource,
            attributes=span.attributes,
            status=Status(StatusCode.UNSET) if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(span.end),
        )


def _nanoseconds(at: float) -> int:
    return round(at * 1_000_000) * 1_000
