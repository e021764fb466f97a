"""`/metrics`: the metrics of Step Functions in the form of Prometheus, counted as steps are committed.

AWS 'Monitoring Step Functions metrics using Amazon CloudWatch': `ExecutionsStarted` is
`treadle_executions_started_total`, its dimension `StateMachineArn` the label `state_machine_arn`. Owns what is counted,
from the start of this server on: a step costs a look into a table, and nothing is written down before somebody asks.
Counts go with the process: Prometheus knows how to read a counter that begins anew. Neighbour: counts.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from treadle.api.app import Receive, Send
from treadle.api.billing import MB, bill_of
from treadle.api.host import Host
from treadle.machine.journal import ENTERED, Entry, FramePath
from treadle.observation.answers import tell
from treadle.observation.counts import BYTES, SECONDS, Counts, Family, bounded, counted, gauge
from treadle.runtime.ports import Commit, Summary

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

MOST_TASKS: Final = 100_000
"""Tasks under way whose times are measured; what is scheduled beyond them is counted only."""


def _family(name: str, labels: tuple[str, ...], buckets: tuple[float, ...] = ()) -> Family:
    """A metric whose name follows from AWS's."""
    aws = re.sub("(?:^|_)([a-z])", lambda found: found[1].upper(), name)
    return Family(f"{name}_seconds" if buckets else name, aws, labels, buckets)


# ---- executions ----

_MACHINE: Final = ("state_machine_arn", "version", "alias")
_EXECUTIONS: Final = {
    f"Execution{aws}": _family(f"executions_{word}", _MACHINE)
    for aws, word in (
        ("Started", "started"),
        ("Succeeded", "succeeded"),
        ("Failed", "failed"),
        ("Aborted", "aborted"),
        ("TimedOut", "timed_out"),
        ("Redriven", "redriven"),
    )
}
_REDRIVEN: Final = {
    type: _family(f"redriven_{family.name}", _MACHINE)
    for type, family in _EXECUTIONS.items()
    if type not in ("ExecutionStarted", "ExecutionRedriven")
}
_TIME: Final = _family("execution_time", _MACHINE, SECONDS)
_BILLED_DURATION: Final = _family("express_execution_billed_duration", _MACHINE, SECONDS)
_BILLED_MEMORY: Final = Family("express_execution_billed_memory_bytes", "ExpressExecutionBilledMemory", _MACHINE, BYTES)
_MEMORY: Final = Family("express_execution_memory_bytes", "ExpressExecutionMemory", _MACHINE, BYTES)

# ---- tasks ----


@dataclass(frozen=True, slots=True)
class _Group:
    """Metrics of one kind of task: those of its ends, and of its times."""

    counters: Mapping[str, Family]
    time: Family
    run_time: Family
    schedule_time: Family


_WORDS: Final = ("scheduled", "started", "succeeded", "failed", "timed_out", "heartbeat_timed_out")


def _group(plural: str, singular: str, label: str) -> _Group:
    times = [_family(f"{singular}_{word}time", (label,), SECONDS) for word in ("", "run_", "schedule_")]
    return _Group({word: _family(f"{plural}_{word}", (label,)) for word in _WORDS}, *times)


_ACTIVITY: Final = _group("activities", "activity", "activity_arn")
_LAMBDA: Final = _group("lambda_functions", "lambda_function", "lambda_function_arn")
_SERVICE: Final = _group("service_integrations", "service_integration", "service_integration_resource_arn")
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

# ---- throttling and what there is ----

_TRANSITIONS: Final = frozenset((*ENTERED.values(), "RetryScheduled"))
_CAPACITY: Final = _family("consumed_capacity", ("service_metric", "api_name", "state_machine_arn"))
_THROTTLED: Final = _family("throttled_events", ("api_name",))
_BUCKET: Final = _family("provisioned_bucket_size", ("api_name",))
_REFILL: Final = _family("provisioned_refill_rate", ("api_name",))
_VERSIONS: Final = _family("version_count", ("resource_arn",))
_ALIASES: Final = _family("alias_count", ("resource_arn",))
_OPEN_BY_MACHINE: Final = Family(
    "open_execution_count_per_state_machine", "OpenExecutionCountPerStateMachine", ("state_machine_arn",)
)


@dataclass(slots=True)
class _Task:
    """A task that is under way. `resource` is the value of its label."""

    resource: str
    scheduled: float
    started: float | None = None


class Metrics:
    """Counts what is committed on a host, and shows it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._counts = Counts()
        self._transitions: Counter[tuple[str, ...]] = Counter()  # by state machine
        self._tasks: dict[str, dict[FramePath, _Task]] = {}  # by execution
        self._under_way = 0  # of them all

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        summary = commit.summary
        if summary.is_map_run:
            return
        transitions = 0
        for entry in commit.entries:
            if entry.type in _TRANSITIONS:
                transitions += 1
            elif (family := _EXECUTIONS.get(entry.type)) is not None:
                self._execution(family, entry.type, summary)
            elif (found := _TASKS.get(entry.type)) is not None:
                self._task(*found, entry, summary.arn)
        if ":express:" in summary.arn:
            self._express(commit)
        elif transitions:
            # AWS 'StateTransition': of Standard executions alone; a retry is one as well.
            self._transitions[bounded((summary.machine_arn,), self._transitions)] += transitions
        if summary.status != "RUNNING":
            self._under_way -= len(self._tasks.pop(summary.arn, ()))

    def _execution(self, family: Family, type: str, summary: Summary) -> None:
        values = _values(summary)
        self._counts.add(family, values)
        if type not in _REDRIVEN:
            return
        if summary.redrives:
            self._counts.add(_REDRIVEN[type], values)
        if summary.stopped_at is not None:
            self._counts.observe(_TIME, values, summary.stopped_at - summary.started_at)

    def _express(self, commit: Commit) -> None:
        if commit.summary.stopped_at is None:
            return  # a child of a map run, which is stored step by step
        bill, values = bill_of(commit.summary, commit.entries), _values(commit.summary)
        self._counts.observe(_BILLED_DURATION, values, bill.milliseconds / 1000)
        self._counts.observe(_BILLED_MEMORY, values, bill.megabytes * MB)
        self._counts.observe(_MEMORY, values, bill.bytes)

    def _task(self, group: _Group, word: str, entry: Entry, arn: str) -> None:
        tasks = self._tasks.get(arn, {})
        task = tasks.get(entry.frame)
        resource = task.resource if task is not None else _resource(group, entry)
        if word == "scheduled":
            resource = _resource(group, entry)
            if self._under_way < MOST_TASKS:
                self._under_way += entry.frame not in tasks
                self._tasks.setdefault(arn, tasks)[entry.frame] = _Task(resource, entry.at)
        elif word == "timed_out" and entry.note.get("also") == "States.HeartbeatTimeout":
            word = "heartbeat_timed_out"
        self._counts.add(group.counters[word], (resource,))
        if task is None or word == "scheduled":
            return
        if word == "started":
            task.started = entry.at
            self._counts.observe(group.schedule_time, (resource,), entry.at - task.scheduled)
            return
        del tasks[entry.frame]
        self._under_way -= 1
        if not tasks:
            del self._tasks[arn]
        self._counts.observe(group.time, (resource,), entry.at - task.scheduled)
        if task.started is not None:
            self._counts.observe(group.run_time, (resource,), entry.at - task.started)

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
        """All metrics that have a value, as prometheus-client wants them."""
        yield from (each for each in self._every() if each.samples)

    def _every(self) -> Iterator[Metric]:
        yield from self._counts.collect()
        yield from self._throttling()
        host, census = self._host, self._host.census
        for name, value in (
            ("open_execution_count", census.open_executions),
            ("open_execution_limit", host.quotas.open_executions),
            ("approximate_open_map_run_count", host.engine.map_runs.open),
            ("open_map_run_limit", host.quotas.open_map_runs),
            ("approximate_map_run_backlog_size", host.engine.map_runs.backlog),
            ("state_machine_count", census.state_machines),
            ("activity_count", census.activities),
        ):
            yield gauge(_family(name, ()), {(): value})
        for family, counts in (
            (_OPEN_BY_MACHINE, census.open_by_machine),
            (_VERSIONS, census.versions),
            (_ALIASES, census.aliases),
        ):
            yield gauge(family, {(arn,): count for arn, count in counts.items()})

    def _throttling(self) -> Iterator[Metric]:
        rates = self._host.rates
        yield counted(_THROTTLED, {(name,): count for name, count in rates.throttled.items()})
        transitions = {("StateTransition", "", arn): count for (arn,), count in self._transitions.items()}
        calls = {("", name, ""): count for name, count in rates.consumed.items()}
        yield counted(_CAPACITY, transitions | calls)
        provisioned = rates.provisioned.items()
        yield gauge(_BUCKET, {(name,): rate.bucket for name, rate in provisioned})
        yield gauge(_REFILL, {(name,): rate.refill for name, rate in provisioned})


def _values(summary: Summary) -> tuple[str, str, str]:
    """The labels of an execution; of a version its number, of an alias its name."""
    version, alias = (each.rpartition(":")[2] if each else "" for each in (summary.version_arn, summary.alias_arn))
    return summary.machine_arn, version, alias


def _resource(group: _Group, entry: Entry) -> str:
    """What a task calls; unknown at the end of one that was scheduled before this server began."""
    details = entry.details
    if group is _SERVICE:
        return f"arn:aws:states:::{details.get('resourceType')}:{details.get('resource')}"
    return str(details.get("resource", ""))
