"""`/metrics`: the metrics of Step Functions in the form of Prometheus, counted as steps are committed.

AWS 'Monitoring Step Functions metrics using Amazon CloudWatch': `ExecutionsStarted` is
`treadle_executions_started_total`, its dimension `StateMachineArn` the label `state_machine_arn`. Owns the counts, from
the start of this server on; a step costs a look into a table, and nothing is written down before somebody asks.
prometheus-client is imported then. Counts go with the process: Prometheus knows how to read a counter that begins anew.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from treadle.api.app import Receive, Send
from treadle.api.census import Census
from treadle.machine.journal import Entry, FramePath
from treadle.observation.answers import tell
from treadle.runtime.ports import Commit, Summary

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

BUCKETS: Final = (0.005, 0.025, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600, 86_400)
"""Upper bounds in seconds."""

_EXECUTION: Final = {
    "ExecutionStarted": "started",
    "ExecutionSucceeded": "succeeded",
    "ExecutionFailed": "failed",
    "ExecutionAborted": "aborted",
    "ExecutionTimedOut": "timed_out",
    "ExecutionRedriven": "redriven",
}
_ENDS: Final = frozenset(("succeeded", "failed", "aborted", "timed_out"))


@dataclass(frozen=True, slots=True)
class _Group:
    """Metrics of one kind of task: how their names begin, and their label."""

    counters: str
    times: str
    label: str


_ACTIVITY: Final = _Group("activities", "activity", "activity_arn")
_LAMBDA: Final = _Group("lambda_functions", "lambda_function", "lambda_function_arn")
_SERVICE: Final = _Group("service_integrations", "service_integration", "service_integration_resource_arn")
_TASKS: Final = {
    f"{prefix}{suffix}": (group, word)
    for prefix, group in (("Activity", _ACTIVITY), ("LambdaFunction", _LAMBDA), ("Task", _SERVICE))
    for suffix, word in (
        ("Scheduled", "scheduled"),
        ("Started", "started"),
        ("Succeeded", "succeeded"),
        ("Failed", "failed"),
        ("TimedOut", "timed_out"),
        ("ScheduleFailed", "failed"),
        ("StartFailed", "failed"),
        ("SubmitFailed", "failed"),
    )
}


@dataclass(slots=True)
class _Task:
    """A task that is under way. `resource` is the value of its label."""

    resource: str
    scheduled: float
    started: float | None = None


@dataclass(slots=True)
class _Times:
    """How long something took: how many times up to each bound, and seconds in all."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Metrics:
    """Counts what is committed, and shows it."""

    def __init__(self, census: Census) -> None:
        self._census = census
        self._counts: Counter[tuple[str, str, str]] = Counter()  # by name, label, value of the label
        self._times: dict[tuple[str, str, str], _Times] = {}
        self._tasks: dict[str, dict[FramePath, _Task]] = {}  # by execution

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        summary = commit.summary
        if summary.is_map_run:
            return
        for entry in commit.entries:
            if (word := _EXECUTION.get(entry.type)) is not None:
                self._execution(word, summary)
            elif (found := _TASKS.get(entry.type)) is not None:
                self._task(*found, entry, summary.arn)
        if summary.status != "RUNNING":
            self._tasks.pop(summary.arn, None)

    def _execution(self, word: str, summary: Summary) -> None:
        label = ("state_machine_arn", summary.machine_arn)
        self._counts[f"executions_{word}", *label] += 1
        if word not in _ENDS:
            return
        if summary.redrives:
            self._counts[f"redriven_executions_{word}", *label] += 1
        if summary.stopped_at is not None:
            self._took("execution_time", *label, summary.stopped_at - summary.started_at)

    def _task(self, group: _Group, word: str, entry: Entry, arn: str) -> None:
        under_way = self._tasks.setdefault(arn, {})
        if word == "scheduled":
            under_way[entry.frame] = _Task(_resource(group, entry), entry.at)
        task = under_way.get(entry.frame)
        # What was scheduled before this server began has no name here.
        resource = "" if task is None else task.resource
        self._counts[f"{group.counters}_{word}", group.label, resource] += 1
        if task is None or word == "scheduled":
            return
        if word == "started":
            task.started = entry.at
            self._took(f"{group.times}_schedule_time", group.label, resource, entry.at - task.scheduled)
            return
        del under_way[entry.frame]
        self._took(f"{group.times}_time", group.label, resource, entry.at - task.scheduled)
        if task.started is not None:
            self._took(f"{group.times}_run_time", group.label, resource, entry.at - task.started)

    def _took(self, name: str, label: str, value: str, seconds: float) -> None:
        self._times.setdefault((name, label, value), _Times()).add(max(0.0, seconds))

    # ---- shown ---------------------------------------------------------------------------------------------------

    async def page(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, in the form that it accepts: OpenMetrics, or Prometheus's own."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder

        registry = CollectorRegistry()
        registry.register(self)
        encode, kind = choose_encoder(dict(scope["headers"]).get(b"accept", b"").decode("latin-1"))
        await tell(send, 200, kind, encode(registry))

    def collect(self) -> Iterator[Metric]:
        """All metrics as prometheus-client wants them."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        counters: dict[tuple[str, str], CounterMetricFamily] = {}
        for (name, label, value), count in self._counts.items():
            if (name, label) not in counters:
                counters[name, label] = CounterMetricFamily(f"treadle_{name}", _told(name), labels=[label])
            counters[name, label].add_metric([value], count)
        yield from counters.values()
        histograms: dict[tuple[str, str], HistogramMetricFamily] = {}
        for (name, label, value), times in self._times.items():
            if (name, label) not in histograms:
                histograms[name, label] = HistogramMetricFamily(f"treadle_{name}_seconds", _told(name), labels=[label])
            histograms[name, label].add_metric([value], _cumulated(times.buckets), times.total)
        yield from histograms.values()
        gauges = {
            "open_execution_count": self._census.open_executions,
            "open_execution_limit": self._census.most_executions,
        }
        for name, value in gauges.items():
            yield GaugeMetricFamily(f"treadle_{name}", _told(name), value)


def _resource(group: _Group, entry: Entry) -> str:
    details = entry.details
    if group is _SERVICE:
        return f"arn:aws:states:::{details.get('resourceType')}:{details.get('resource')}"
    return str(details.get("resource", ""))


def _cumulated(buckets: list[int]) -> list[tuple[str, float]]:
    total, made = 0, list[tuple[str, float]]()
    for bound, count in zip((*map(float, BUCKETS), "+Inf"), buckets, strict=True):
        total += count
        made.append((str(bound), float(total)))
    return made


def _told(name: str) -> str:
    """The name that AWS has for a metric."""
    return f"{re.sub('(?:^|_)([a-z])', lambda found: found[1].upper(), name)} of AWS/States"
