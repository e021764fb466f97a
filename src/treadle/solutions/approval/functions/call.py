"""The client of the three APIs: a request with the bearer token, and errors that the workflow can tell apart.

`Unavailable` is worth another try, `Refused` is not. The key of a request stays the same over retries, so that an API
can recognise one that it has served. The token goes into a header and nowhere else.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from credentials import secret_of

PATIENCE = 20.0
LARGEST_ANSWER = 64 * 1024
"""The answers of all three must fit into a variable of the workflow, which may have 256 KiB."""

_secret = secret_of("API_SECRET")


class Unavailable(Exception):
    """The API was not reached, is overloaded or has an error of its own."""


class Refused(Exception):
    """The API will not serve this request, however often it is sent."""


def handler(event: dict[str, Any], context: Any) -> Any:
    """Call one API: {"api": its name, "key": of the request, "body": what to send}."""
    api, body = str(event["api"]), json.dumps(event["body"]).encode()
    if api not in ("validation", "deployment", "notification"):
        raise Refused(f"There is no API {api!r}.")
    try:
        return _call(api, body, str(event["key"]), _secret.current())
    except PermissionError:
        # The secret may have been rotated since it was read.
        try:
            return _call(api, body, str(event["key"]), _secret.refresh())
        except PermissionError as error:
            raise Refused(str(error)) from None


def _call(api: str, body: bytes, key: str, token: str) -> Any:
    request = urllib.request.Request(f"{os.environ['API_URL']}/{api}", body, method="POST")
    request.add_header("authorization", f"Bearer {token}")
    request.add_header("content-type", "application/json")
    request.add_header("idempotency-key", key)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            content = answer.read(LARGEST_ANSWER + 1)
    except urllib.error.HTTPError as error:
        with error:
            told = f"{api} answered {error.code}: {error.read(2000).decode(errors='replace')}"
        if error.code == 401:
            raise PermissionError(told) from None
        raise (Unavailable if error.code == 429 or error.code >= 500 else Refused)(told) from None
    except (OSError, HTTPException) as error:
        raise Unavailable(f"{api} was not reached: {error}") from None
    if len(content) > LARGEST_ANSWER:
        raise Refused(f"{api} answered more than {LARGEST_ANSWER} bytes.")
    try:
        return json.loads(content)
    except ValueError:
        raise Unavailable(f"{api} answered something that is not JSON.") from None
