"""The callback endpoint: a vote from Jira resumes or fails the workflow that waits for it.

Every effect is safe to repeat. The vote and the claim are one conditional write, so of racing callbacks one wins. The
token is removed only after Step Functions took the decision; a crash before that leaves a claim whose lease runs out,
and the next delivery sends the same decision. Sending it twice changes nothing: the second time the task is over.
The token never leaves this function but to Step Functions. Neighbours: `ballot` decides, `jira` reads.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from aws import client, code_of, table
from ballot import Duplicate, Vote, take
from boto3.dynamodb.conditions import Key
from botocore.exceptions import BotoCoreError, ClientError
from credentials import CLOCK_SECONDS, require_caller, secret_of
from jira import read
from web import Refusal, Request, log, serve

ATTEMPTS = 40

_secret = secret_of("CALLBACK_SECRET")
_table = table(os.environ["TABLE"])
_states = client("stepfunctions")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one webhook."""
    return serve(event, _take)


def _take(request: Request) -> dict[str, Any]:
    now = time.time()
    nonce = require_caller(request, _secret, now)
    if nonce is not None:
        _use(nonce, int(now))
    said = read(request, int(now))
    if said.vote is None:
        return {"story": said.story, "ignored": "The change decides nothing."}
    for _ in range(ATTEMPTS):
        row = _find(said.story, said.execution)
        taken = take(row, said.vote)
        if isinstance(taken, Duplicate):
            return _told(row, duplicate=True)
        changed = _write(row, taken.changes)
        if changed is None:
            continue
        if taken.decision is None:
            return _told(changed)
        return _settle(changed, taken.decision, said.vote)
    raise Refusal(503, "Busy", "Too many callbacks at once: try again.", retry_after=1)


def _find(story: str, execution: str | None) -> dict[str, Any]:
    """The row that is meant: of several executions for one story, the one that waits."""
    if execution is not None:
        found = _table.get_item(Key={"story": story, "execution": execution}, ConsistentRead=True).get("Item")
        rows = [found] if found else []
    else:
        rows, start = [], {}
        while True:
            page = _table.query(KeyConditionExpression=Key("story").eq(story), ConsistentRead=True, **start)
            rows += page["Items"]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    if not rows:
        raise Refusal(404, "UnknownStory", f"No workflow waits for {story}.")
    waiting = [each for each in rows if each["state"] in ("PENDING", "CLAIMED")]
    if len(waiting) > 1:
        names = sorted(each["execution"] for each in waiting)
        raise Refusal(409, "SeveralWait", f"Several workflows wait for {story}: send execution.", executions=names)
    return waiting[0] if waiting else max(rows, key=lambda each: each["due"])


def _write(row: Mapping[str, Any], changes: Mapping[str, Any], *removed: str) -> dict[str, Any] | None:
    """Change a row that is still as it was read; None where it is not."""
    names = {f"#{name}": name for name in [*changes, *removed, "version"]}
    values = {f":{name}": value for name, value in changes.items()} | {":seen": row["version"], ":one": 1}
    expression = "SET " + ", ".join([*(f"#{name} = :{name}" for name in changes), "#version = #version + :one"])
    if removed:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in removed)
    try:
        written = _table.update_item(
            Key={"story": row["story"], "execution": row["execution"]},
            UpdateExpression=expression,
            ConditionExpression="#version = :seen",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
        )
    except ClientError as error:
        if code_of(error) == "ConditionalCheckFailedException":
            return None
        raise
    return written["Attributes"]


def _settle(row: Mapping[str, Any], decision: Mapping[str, Any], vote: Vote) -> dict[str, Any]:
    """Send the decision, then clean up: this call holds the claim."""
    try:
        if decision["outcome"] == "success":
            _states.send_task_success(taskToken=row["token"], output=_json(decision))
        else:
            _states.send_task_failure(taskToken=row["token"], error="Approval.Rejected", cause=_json(decision))
    except (BotoCoreError, ClientError) as error:
        if isinstance(error, ClientError) and code_of(error) in ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken"):
            # Whether it timed out or took this decision before, the workflow writes into the row itself.
            _write(row, {"state": "EXPIRED"}, "token", "lease")
            raise Refusal(410, "Expired", "The workflow does not wait any more.") from None
        log.error(json.dumps({"story": row["story"], "execution": row["execution"], "unsent": type(error).__name__}))
        _write(row, {"lease": 0})
        raise Refusal(503, "Unavailable", "The decision is kept and not sent yet: try again.", retry_after=5) from None
    # The workflow may be faster: then it has closed the row already.
    done = _write(row, {"state": "DONE"}, "token", "lease")
    log.info(json.dumps({"story": row["story"], "execution": row["execution"], "outcome": decision["outcome"]}))
    return _told(done or {**row, "state": "DONE"})


def _told(row: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What a caller learns about a row: never the token."""
    agreed = sum(each["outcome"] == "success" for each in row.get("votes", []))
    told = {"story": row["story"], "execution": row["execution"], "state": row["state"], "agreed": agreed}
    return {**told, "quorum": int(row["quorum"]), "outcome": row.get("outcome"), **more}


def _use(nonce: str, now: int) -> None:
    """Refuse a nonce that was used before. It is remembered longer than its signature is valid."""
    try:
        _table.put_item(
            Item={"story": "nonce", "execution": nonce, "expires": now + 3 * CLOCK_SECONDS},
            ConditionExpression="attribute_not_exists(story)",
        )
    except ClientError as error:
        if code_of(error) != "ConditionalCheckFailedException":
            raise
        raise Refusal(401, "Replayed", "This signed request was sent before.") from None


def _json(value: Any) -> str:
    return json.dumps(value, default=int)
