"""A request with an Idempotency-Key is served once: whoever repeats it gets the answer that it had.

Owns the rows of keys. The key is claimed before the work and keeps the answer after it. Whoever dies in between leaves
a claim that runs out, and the next one does the work again: at least once then, which is better than never. A key that
comes with another body is refused, since its sender is confused.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from aws import code_of
from botocore.exceptions import ClientError
from web import Refusal, Request

LEASE_SECONDS = 20
KEPT_SECONDS = 30 * 86400
"""Longer than an execution and the time in which it can be redriven."""


def once(table: Any, request: Request, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` gives, or gave before for the same key; without a key it is simply done."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return work()
    if not 1 <= len(key) <= 200:
        raise Refusal(400, "InvalidHeader", "Idempotency-Key must have 1 to 200 characters.")
    digest = hashlib.sha256(request.raw).hexdigest()
    before = _claim(table, key, digest, int(time.time()))
    if before is not None:
        return _repeated(before, digest)
    try:
        answer = work()
    except Refusal:
        # Nothing was done: the next one need not wait.
        table.delete_item(Key={"key": key})
        raise
    table.update_item(
        Key={"key": key},
        UpdateExpression="SET answer = :answer REMOVE lease",
        ExpressionAttributeValues={":answer": json.dumps(answer)},
    )
    return answer


def _claim(table: Any, key: str, digest: str, now: int) -> dict[str, Any] | None:
    """The row of the key where there is one that counts; else the key is ours."""
    row = {"key": key, "digest": digest, "lease": now + LEASE_SECONDS, "expires": now + KEPT_SECONDS}
    try:
        table.put_item(
            Item=row,
            ConditionExpression="attribute_not_exists(#key) OR (lease < :now AND digest = :digest)",
            ExpressionAttributeNames={"#key": "key"},
            ExpressionAttributeValues={":now": now, ":digest": digest},
        )
    except ClientError as error:
        if code_of(error) != "ConditionalCheckFailedException":
            raise
        return table.get_item(Key={"key": key}, ConsistentRead=True).get("Item") or {"digest": digest}
    return None


def _repeated(row: dict[str, Any], digest: str) -> dict[str, Any]:
    if row["digest"] != digest:
        raise Refusal(422, "KeyReused", "The Idempotency-Key has come with another body before: send a new one.")
    if "answer" not in row:
        raise Refusal(503, "UnderWay", "The same request is under way: try again.", retry_after=LEASE_SECONDS)
    return {**json.loads(row["answer"]), "duplicate": True}
