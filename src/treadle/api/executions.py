"""Operations on executions: start, stop, describe, list, redrive."""

from __future__ import annotations

from typing import Any, Final

from treadle.api import pages
from treadle.api.billing import bill_of
from treadle.api.configurations import NO_TRACING, OFF, shown
from treadle.api.definitions import variable_references
from treadle.api.host import Host
from treadle.api.payloads import read_json
from treadle.api.request import Answer, Request, optional_seconds, present, seconds
from treadle.api.state_machines import machine_arn
from treadle.catalog import Arn, parse_arn
from treadle.catalog.arns import check_name
from treadle.catalog.machines import deleting
from treadle.errors import ApiError
from treadle.language.scope import Json
from treadle.machine.journal import json_text
from treadle.runtime.engine import Result
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Summary
from treadle.runtime.redrivable import redrive_status

_INCLUDED: Final = {"included": True}


async def start(host: Host, request: Request) -> Answer:
    """StartExecution."""
    machine, text, input = await _startable(host, request)
    if machine.type == "STANDARD":
        host.census.room_for_execution()
    runner = host.engine if machine.type == "STANDARD" else host.express
    started = await runner.start(
        machine, input, request.given.get("name"), text=text, trace_header=_trace_header(request)
    )
    return {"executionArn": started.arn, "startDate": seconds(started.started_at)}


async def start_sync(host: Host, request: Request) -> Answer:
    """StartSyncExecution."""
    machine, text, input = await _startable(host, request)
    if machine.type == "STANDARD":
        raise _unsupported()
    result = await host.express.run(
        machine, input, request.given.get("name"), text=text, trace_header=_trace_header(request)
    )
    bill = bill_of(result.summary, result.journal)
    answer = _described(result, request)
    # Observed on AWS: told even where there is no output.
    answer["outputDetails"] = answer.get("outputDetails") or _INCLUDED
    return answer | {
        "billingDetails": {
            "billedDurationInMilliseconds": bill.milliseconds,
            "billedMemoryUsedInMB": bill.megabytes,
        }
    }


async def stop(host: Host, request: Request) -> Answer:
    """StopExecution."""
    given = request.given
    arn = parse_arn(given["executionArn"], "execution")
    return {"stopDate": seconds(await host.engine.stop(arn.text, given.get("error"), given.get("cause")))}


async def redrive(host: Host, request: Request) -> Answer:
    """RedriveExecution."""
    given = request.given
    arn = parse_arn(given["executionArn"], "execution")
    return {"redriveDate": seconds(await host.redrives.redrive(arn.text, given.get("clientToken")))}


async def describe(host: Host, request: Request) -> Answer:
    """DescribeExecution."""
    result = await host.engine.result(execution_arn(request).text)
    summary = result.summary
    reason = await host.redrives.reason(summary)
    return _described(result, request) | {
        "stateMachineVersionArn": summary.version_arn,
        "stateMachineAliasArn": summary.alias_arn,
        "status": _status(host, summary),
        "redriveCount": summary.times_redriven,
        "redriveDate": optional_seconds(summary.redriven_at),
        "redriveStatus": redrive_status(summary, reason),
        "redriveStatusReason": reason,
    }


async def describe_state_machine(host: Host, request: Request) -> Answer:
    """DescribeStateMachineForExecution: as it was when the execution started."""
    result = await host.engine.result(execution_arn(request).text)
    summary = result.summary
    revision = await host.machines.revision(summary.machine_arn, summary.revision) if summary.revision else None
    if revision is None:
        # The state machine has been deleted: its definition is kept as long as the execution.
        assert result.identity is not None
        configuration = {
            "roleArn": result.identity.role_arn,
            "loggingConfiguration": OFF,
            "tracingConfiguration": NO_TRACING,
        }
    else:
        configuration = shown(revision)
    definition: dict[str, Any] = {"definition": "{}"}
    if request.given.get("includedData") != "METADATA_ONLY":
        text = await host.store.definition(summary.definition)
        definition = {"definition": text, "variableReferences": variable_references(text, "STANDARD")}
    return {
        "stateMachineArn": summary.machine_arn,
        "name": parse_arn(summary.machine_arn, "stateMachine").name.partition("/")[0],
        "mapRunArn": summary.map_run_arn,
        "label": parse_arn(summary.machine_arn, "stateMachine").label,
        "updateDate": seconds(revision.made_at if revision else summary.started_at),
        **configuration,
        **definition,
    }


async def list_all(host: Host, request: Request) -> Answer:
    """ListExecutions of a state machine, a version, an alias or a map run."""
    given = request.given
    text, wanted = given.get("stateMachineArn"), given.get("statusFilter")
    if (text is None) == ("mapRunArn" not in given):
        raise ApiError("ValidationException", "Exactly one of stateMachineArn and mapRunArn must be specified")
    if text is None:
        return await list_children(host, request)
    if wanted == "PENDING_REDRIVE" or "redriveFilter" in given:
        raise ApiError("ValidationException", "This filter needs a mapRunArn")
    arn = machine_arn(text)
    position, limit = host.pages.position(given, request.operation), pages.size(given)
    found = await host.machines.resolve(arn)
    if found.machine.type == "EXPRESS":
        raise _unsupported()
    summaries, after = await _page(host, arn, wanted, limit, position)
    return {"executions": [listed(each) for each in summaries], "nextToken": host.next_page(request, after)}


def execution_arn(request: Request) -> Arn:
    """The ARN of an execution that has a history; of Express ones only children of map runs have.

    Raises ApiError InvalidArn.
    """
    text: str = request.given["executionArn"]
    arn = parse_arn(text, "execution", "express")
    return arn if arn.label is not None else parse_arn(text, "execution")


async def _startable(host: Host, request: Request) -> tuple[StateMachine, str, Json]:
    """The state machine to run, and its input as text and as value."""
    given = request.given
    arn = machine_arn(given["stateMachineArn"])
    if "name" in given:
        check_name(given["name"])
    found = await host.machines.resolve(arn)
    if found.machine.deleting:
        raise deleting(arn.text)
    text: str = given.get("input", "{}")
    # Observed on AWS: the words.
    fault, input = read_json(text) if text else ("Invalid execution input.", None)
    if fault is not None:
        raise ApiError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{fault}'")
    return await host.machines.runnable(found), text, input


def _trace_header(request: Request) -> str | None:
    # AWS 'StartExecution', traceHeader: the HTTP header comes first.
    return request.trace_header or request.given.get("traceHeader")


async def _page(host: Host, arn: Arn, status: Any, limit: int, after: str | None) -> tuple[list[Summary], str | None]:
    """The next page of executions; those of a version or an alias are picked out of the state machine's."""
    shown: list[Summary] = []
    while True:
        page = await host.store.executions(arn.unqualified, status, limit, after)
        for each in page.executions:
            if arn.qualifier is None or arn.text in (each.version_arn, each.alias_arn):
                if len(shown) == limit:
                    return shown, shown[-1].arn
                shown.append(each)
        after = page.next
        if after is None:
            return shown, None


def _described(result: Result, request: Request) -> Answer:
    """What DescribeExecution and StartSyncExecution have in common."""
    summary = result.summary
    with_data = request.given.get("includedData") != "METADATA_ONLY"
    details = {"included": with_data}
    answer: Answer = {
        "executionArn": summary.arn,
        "stateMachineArn": summary.machine_arn,
        "name": summary.name,
        "status": summary.status,
        "startDate": seconds(summary.started_at),
        "stopDate": optional_seconds(summary.stopped_at),
        "input": (result.input_text or json_text(result.input)) if with_data else None,
        "inputDetails": details,
        # What started it told it the other headers.
        "traceHeader": summary.trace_header if summary.parent is None else None,
        "mapRunArn": summary.map_run_arn,
        "error": summary.error,
        "cause": summary.cause,
    }
    if summary.status == "SUCCEEDED":
        answer |= {"output": json_text(result.output) if with_data else None, "outputDetails": details}
    return answer


async def list_children(host: Host, request: Request) -> Answer:
    """ListExecutions of a map run."""
    given = request.given
    arn = parse_arn(given["mapRunArn"], "mapRun")
    after, limit = host.pages.position(given, request.operation), pages.size(given)
    wanted = {"REDRIVEN": True, "NOT_REDRIVEN": False}.get(given.get("redriveFilter", ""))
    shown: list[Summary] = []
    while len(shown) < limit:
        page = await host.engine.map_runs.children(arn.text, given.get("statusFilter"), limit - len(shown), after)
        shown += [each for each in page.executions if wanted is None or wanted == (each.times_redriven > 0)]
        after = page.next
        if after is None:
            break
    listing = [listed(each) | {"status": _status(host, each)} for each in shown]
    return {"executions": listing, "nextToken": host.next_page(request, after)}


def _status(host: Host, summary: Summary) -> str:
    return "PENDING_REDRIVE" if host.engine.map_runs.pending_redrive(summary) else summary.status


def listed(summary: Summary) -> Answer:
    shown = {
        "executionArn": summary.arn,
        "stateMachineArn": summary.machine_arn,
        "name": summary.name,
        "status": summary.status,
        "startDate": seconds(summary.started_at),
        "stopDate": optional_seconds(summary.stopped_at),
        "stateMachineVersionArn": summary.version_arn,
        "stateMachineAliasArn": summary.alias_arn,
        "redriveCount": summary.times_redriven,
        "redriveDate": optional_seconds(summary.redriven_at),
        "mapRunArn": summary.map_run_arn,
        "itemCount": summary.member.items if summary.map_run_arn and summary.member else None,
    }
    return present(shown)


def _unsupported() -> ApiError:
    told = "This operation is not supported by this type of state machine"
    return ApiError("StateMachineTypeNotSupported", told)
