"""From the answer of an HTTP API to the output of a task.

Owns what a body becomes, and the shape that `http:invoke`, `apigateway:invoke` and `eks:call` share. Pure. Neighbours:
http_client.py, which receives; http_request.py, the same for what is sent.
"""

from __future__ import annotations

import http
from collections.abc import Callable

import msgspec

from treadle.errors import StatesError
from treadle.integrations.http_client import Answer
from treadle.language.scope import Json
from treadle.language.values import json_text


def output_of(answer: Answer, named: Callable[[str], str] = str) -> dict[str, Json]:
    """The output of a task whose request succeeded. `named` says how the names of headers are written."""
    headers: dict[str, Json] = {}
    for name, value in answer.headers:
        headers.setdefault(named(name), []).append(value)
    return {
        "Headers": headers,
        "ResponseBody": body_of(answer),
        "StatusCode": answer.status,
        "StatusText": status_text(answer),
    }


def status_text(answer: Answer) -> str:
    """What the server calls its status; what HTTP calls it, for a server that does not say so."""
    if answer.reason:
        return answer.reason
    try:
        return http.HTTPStatus(answer.status).phrase
    except ValueError:
        return str(answer.status)


def body_of(answer: Answer) -> Json:
    """The body as the output of a task has it.

    AWS 'Unsupported HTTP Task responses': what is not text fails the task; what says that it is JSON is parsed.
    """
    kind, _, form = answer.content_type.lower().partition("/")
    if kind in ("image", "video", "audio") or (kind, form) == ("application", "octet-stream"):
        raise StatesError(
            "States.Runtime", f"The response has the content type {answer.content_type}, which is no text."
        )
    try:
        text = answer.body.decode(answer.charset)
        text.encode()
    except (UnicodeError, LookupError):
        cause = f"The response is no text in the character set {answer.charset[:40]}."
        raise StatesError("States.Runtime", cause) from None
    if form == "json" or form.endswith("+json"):
        try:
            parsed: Json = msgspec.json.decode(text)
            json_text(parsed)
        except (ValueError, RecursionError):
            return text
        return parsed
    return text
