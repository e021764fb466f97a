"""The table of approvals: rows found, changed unless somebody else was faster, and decisions sent to Step Functions.

Every effect is safe to repeat. A decision is written with its claim, in one conditional write, before it is sent. The
token is removed only after Step Functions took the decision, so whoever dies in between leaves a claim whose lease runs
out, and `callback` or `sweep` sends the same decision again. The token never leaves this module but to Step Functions.
Neighbours: `ballot` says what is to be written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from aws import client, code_of, table
from ballot import Write
from boto3.dynamodb.conditions import Key
from botocore.exceptions import BotoCoreError, ClientError
from web import Refusal, log

NONCE_SECONDS = 900
"""How long a nonce is remembered: longer than its signature is good for, whatever the clocks."""

_table = table(os.environ["TABLE"])
# Sent once: a second try of the SDK could be told that the task is over by the first, whose answer was lost.
_states = client("stepfunctions", {"total_max_attempts": 1})

Row = dict[str, Any]


def find(story: str, execution: str | None) -> Row:
    """The row that is meant: of several executions for one story, the one that waits."""
    if execution is not None:
        found = get(story, execution)
        rows = [found] if found else []
    else:
        rows = list(_pages(KeyConditionExpression=Key("story").eq(story), ConsistentRead=True))
    if not rows:
        raise Refusal(404, "UnknownStory", f"No workflow waits for {story}.")
    waiting = [each for each in rows if each["state"] in ("PENDING", "CLAIMED")]
    if len(waiting) > 1:
        names = sorted(each["execution"] for each in waiting)
        raise Refusal(409, "SeveralWait", f"Several workflows wait for {story}: send execution.", executions=names)
    return waiting[0] if waiting else max(rows, key=lambda each: each["due"])


def get(story: str, execution: str) -> Row | None:
    """One row as it is now."""
    return _table.get_item(Key={"story": story, "execution": execution}, ConsistentRead=True).get("Item")


def unsent(now: int) -> Iterator[Row]:
    """The rows whose decision was claimed and not sent before the lease ran out."""
    overdue = Key("state").eq("CLAIMED") & Key("lease").lt(now)
    for key in _pages(IndexName="claims", KeyConditionExpression=overdue):
        row = get(key["story"], key["execution"])
        if row is not None:
            yield row


def change(row: Mapping[str, Any], changes: Mapping[str, Any], *removed: str) -> Row | None:
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


def settle(claimed: Mapping[str, Any], write: Write) -> Row:
    """Send the decision of a claim that is held, then close the row. Gives the row.

    Raises Refusal: 410 where the workflow does not wait any more, 503 where nobody knows whether it was sent.
    """
    sent = _send(claimed["token"], str(write.decision))
    if sent == "unknown":
        log.error(json.dumps({"story": claimed["story"], "execution": claimed["execution"], "decision": "not sent"}))
        change(claimed, {"lease": 0})
        raise Refusal(503, "Unavailable", "The decision is kept and not sent yet: it will be.", retry_after=5)
    if sent == "over" and not write.again:
        # The workflow may look for a decision just now. Who is first is right: either it does not find this one, or it
        # has taken it and the row has changed.
        if change(claimed, {"state": "EXPIRED"}, "token", "lease", "decision", "outcome") is not None:
            raise Refusal(410, "Expired", "The workflow does not wait any more.")
        return get(claimed["story"], claimed["execution"]) or dict(claimed)
    # Over, and sent before: it was taken then, or the workflow finds it in the row.
    done = change(claimed, {"state": "DONE"}, "token", "lease")
    log.info(json.dumps({name: claimed[name] for name in ("story", "execution", "outcome")}))
    # The workflow may be faster: then it has closed the row already.
    return done or {**claimed, "state": "DONE"}


def _send(token: str, decision: str) -> Literal["taken", "over", "unknown"]:
    try:
        if json.loads(decision)["outcome"] == "success":
            _states.send_task_success(taskToken=token, output=decision)
        else:
            _states.send_task_failure(taskToken=token, error="Approval.Rejected", cause=decision)
    except ClientError as error:
        if code_of(error) in ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken"):
            return "over"
        log.error(json.dumps({"unsent": code_of(error)}))
        return "unknown"
    except BotoCoreError as error:
        log.error(json.dumps({"unsent": type(error).__name__}))
        return "unknown"
    return "taken"


def told(row: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What a caller learns about a row: never the token."""
    agreed = sum(each["outcome"] == "success" for each in row.get("votes", []))
    known = {"story": row["story"], "execution": row["execution"], "state": row["state"], "agreed": agreed}
    return {**known, "quorum": int(row["quorum"]), "outcome": row.get("outcome"), **more}


def use(nonce: str, now: int) -> None:
    """Refuse a nonce that was used before."""
    try:
        _table.put_item(
            Item={"story": "nonce", "execution": nonce, "expires": now + NONCE_SECONDS},
            ConditionExpression="attribute_not_exists(story)",
        )
    except ClientError as error:
        if code_of(error) != "ConditionalCheckFailedException":
            raise
        raise Refusal(401, "Replayed", "This signed request was sent before.") from None


def _pages(**query: Any) -> Iterator[Row]:
    start: dict[str, Any] = {}
    while True:
        page = _table.query(**query, **start)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
