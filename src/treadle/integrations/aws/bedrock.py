"""`bedrock:invokeModel`: what a model is given and what it answers, either of which may be an object in S3.

Owns `Input` and `Output`, which AWS 'Invoke and customize Amazon Bedrock models with Step Functions' adds to the
parameters of Amazon Bedrock. Neighbour: optimised.py, which serves everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from treadle.integrations.aws.actions import Action, optimised_action
from treadle.integrations.aws.failures import Voice, unusable
from treadle.integrations.aws.sdk import ask
from treadle.integrations.aws.sessions import AwsSessions
from treadle.language.scope import Json
from treadle.language.values import is_object
from treadle.runtime.ports import Call

INVOKE_MODEL: Final = "bedrock:invokeModel"

_MOST: Final = 25_000_000
"""Bytes of an input or answer in S3. Amazon Bedrock 'InvokeModel': the longest body."""


@dataclass(frozen=True, slots=True)
class _Place:
    """An object in S3."""

    uri: str
    bucket: str
    key: str


async def invoke_model(sessions: AwsSessions, call: Call, action: Action, arguments: Json, voice: Voice) -> Json:
    """Invoke the model, with an input from S3 and an output to S3 where the task says so. Raises StatesError."""
    given = arguments if is_object(arguments) else {}
    source, target = _place(call, given, "Input"), _place(call, given, "Output")
    if source is not None and given.get("Body") is not None:
        raise unusable(call.arguments, "Only one of the fields 'Body' and 'Input' may be there")
    sent = {name: value for name, value in given.items() if name not in ("Input", "Output")}
    content: dict[str, Any] = {}
    if source is not None:
        found = await _stored(sessions, call, "GetObject", source)
        content["body"] = found["Body"]
        if sent.get("ContentType") is None:
            # AWS: the content type of the object is that of the input.
            sent["ContentType"] = found.get("ContentType")
    parsed = await ask(sessions, call, action, sent, voice, content, None if target is None else _MOST)
    if target is None:
        answer = action.answer(parsed)
        return {**answer, "Body": _read(answer.get("Body"))}
    await _stored(sessions, call, "PutObject", target, Body=parsed["body"], ContentType=parsed.get("contentType"))
    # AWS: the body is replaced by where it is.
    return {**action.answer({**parsed, "body": b""}), "Body": target.uri}


async def _stored(sessions: AwsSessions, call: Call, operation: str, place: _Place, **content: Any) -> dict[str, Any]:
    action = await sessions.find(lambda: optimised_action("s3", operation))
    voice = Voice("S3", "AmazonS3Exception", action.errors, "Amazon S3")
    content = {name: value for name, value in content.items() if value is not None}
    return await ask(sessions, call, action, {"Bucket": place.bucket, "Key": place.key}, voice, content, _MOST)


def _place(call: Call, given: Mapping[str, Json], field: str) -> _Place | None:
    """The object that `Input` or `Output` names. Raises StatesError States.Runtime."""
    if given.get(field) is None:
        return None
    uri = given[field].get("S3Uri") if is_object(given[field]) else None
    scheme, _, rest = uri.partition("://") if isinstance(uri, str) else ("", "", "")
    bucket, _, key = rest.partition("/")
    if not isinstance(uri, str) or scheme != "s3" or not bucket or not key:
        raise unusable(call.arguments, f"The field '{field}' must have an 'S3Uri' such as s3://bucket/key")
    return _Place(uri, bucket, key)


def _read(body: Json) -> Json:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, TypeError):
        return body
