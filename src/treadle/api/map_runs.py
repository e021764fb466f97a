"""Operations on map runs: how far a distributed Map has come, and its settings while it runs."""

from __future__ import annotations

from treadle.api import pages
from treadle.api.executions import execution_arn
from treadle.api.host import Host
from treadle.api.request import Answer, Request, optional_seconds, present, seconds
from treadle.catalog import parse_arn
from treadle.machine.map_events import Counts
from treadle.runtime.ports import Summary


async def describe(host: Host, request: Request) -> Answer:
    """DescribeMapRun."""
    summary = await host.engine.map_runs.describe(parse_arn(request.given["mapRunArn"], "mapRun").text)
    progress = summary.progress
    assert progress is not None, "a map run tells how far it is"
    return {
        "mapRunArn": summary.arn,
        "executionArn": _execution(summary),
        "status": summary.status,
        "startDate": seconds(summary.started_at),
        "stopDate": optional_seconds(summary.stopped_at),
        "maxConcurrency": progress.concurrency,
        "toleratedFailurePercentage": progress.tolerated_percentage,
        "toleratedFailureCount": progress.tolerated_count,
        "itemCounts": _counts(progress.items),
        "executionCounts": _counts(progress.children),
        "redriveCount": summary.redrives,
        "redriveDate": optional_seconds(summary.redriven_at),
    }


async def list_all(host: Host, request: Request) -> Answer:
    """ListMapRuns of an execution, the last one first."""
    position, limit = host.pages.position(request.given, request.operation), pages.size(request.given)
    found = await host.engine.map_runs.list(execution_arn(request).text)
    if position is not None:
        # A map run that was started meanwhile stands before those that were shown.
        found = found[next((i + 1 for i, each in enumerate(found) if each.arn == position), len(found)) :]
    shown = found[:limit]
    return {
        "mapRuns": [_listed(each) for each in shown],
        "nextToken": host.next_page(request, shown[-1].arn if len(found) > limit else None),
    }


async def update(host: Host, request: Request) -> Answer:
    """UpdateMapRun."""
    given = request.given
    arn = parse_arn(given["mapRunArn"], "mapRun")
    await host.engine.map_runs.update(
        arn.text,
        concurrency=given.get("maxConcurrency"),
        tolerated_count=given.get("toleratedFailureCount"),
        tolerated_percentage=given.get("toleratedFailurePercentage"),
    )
    return {}


def _execution(summary: Summary) -> str:
    assert summary.parent is not None, "an execution started the map run"
    return summary.parent[0]


def _listed(summary: Summary) -> Answer:
    return present(
        {
            "executionArn": _execution(summary),
            "mapRunArn": summary.arn,
            "stateMachineArn": summary.machine_arn,
            "startDate": seconds(summary.started_at),
            "stopDate": optional_seconds(summary.stopped_at),
        }
    )


def _counts(counts: Counts) -> Answer:
    return {
        "pending": counts.pending,
        "running": counts.running,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "timedOut": counts.timed_out,
        "aborted": counts.aborted,
        "total": counts.total,
        "resultsWritten": counts.results_written,
        "failuresNotRedrivable": counts.failures_not_redrivable,
        "pendingRedrive": counts.pending_redrive,
    }
