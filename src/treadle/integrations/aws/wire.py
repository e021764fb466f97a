"""What goes over a client's connection: how long an answer may take, how large it may be, its headers as they were.

botocore itself would read an answer of any size into memory. The bound here is on what travels; the quota on a task's
result is the machine's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from treadle.errors import StatesError
from treadle.integrations.aws.actions import Action
from treadle.language.scope import Json
from treadle.machine.limits import Limits, too_large

if TYPE_CHECKING:
    from botocore.client import BaseClient

_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""No result that fits a workflow travels in more: XML is several times as long as JSON, not thirty times."""


class TooLarge(Exception):
    """An answer that cannot be the result of a task."""


def prepare(client: BaseClient, slow: Mapping[tuple[str, str], float]) -> None:
    """Bound the answers of a client. `slow` has seconds by service id and operation, where it may take longer."""
    from botocore.awsrequest import AWSResponse

    service = str(client.meta.service_model.service_id)
    # The session that is configured for this client, with its proxies and certificates.
    endpoint: Any = vars(client)["_endpoint"]
    http: Any = endpoint.http_session

    def send(request: Any, event_name: str, **_: Any) -> Any:
        patience = slow.get((service, event_name.rpartition(".")[2]))
        if patience is not None:
            request.context["read_timeout"] = patience
        if request.stream_output:
            return None
        request.stream_output = True  # so that nothing is read yet
        response: Any = http.send(request)
        return AWSResponse(response.url, response.status_code, response.headers, _Read(_bounded(request, response)))

    def remember(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
        # botocore keeps the names of headers in small letters; Step Functions shows them as they came.
        parsed.setdefault("ResponseMetadata", {})["HTTPHeaders"] = dict(http_response.headers)

    client.meta.events.register("before-send", send)
    client.meta.events.register("after-call", remember)


def _bounded(request: Any, response: Any) -> bytes:
    from botocore.exceptions import ConnectionClosedError, IncompleteReadError
    from botocore.response import StreamingBody

    promised: Any = None if request.method == "HEAD" else response.headers.get("Content-Length")
    # Not entered: that would give the bare stream, without botocore's errors.
    body = StreamingBody(response.raw, promised)
    try:
        content = body.read(_ANSWER_BYTES + 1)
        rest = body.read(1)  # at the end, botocore compares with what was promised
    except IncompleteReadError as error:
        # As what it is, so that it is tried again.
        raise ConnectionClosedError(endpoint_url=request.url, request=request, error=error) from error
    finally:
        body.close()
    if rest or len(content) > _ANSWER_BYTES:
        raise TooLarge
    return content


class _Read:
    """An answer that has been read, where botocore expects one to be read."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self._content


def perform(
    client: BaseClient, action: Action, parameters: Mapping[str, Any], name: str, most: int | None = None
) -> dict[str, Any]:
    """Make a call and read all of its answer, on the calling thread. `name` is what to call it if it is too large;
    `most` is how many bytes a body may have, None for as many as the result of a task.

    Raises what botocore raises, and StatesError States.DataLimitExceeded.
    """
    from botocore import xform_name

    try:
        parsed: dict[str, Any] = getattr(client, xform_name(action.operation))(**parameters)
        if action.body in parsed:
            parsed[action.body] = _content_of(parsed[action.body], most or Limits().payload_bytes)
    except TooLarge:
        raise StatesError("States.DataLimitExceeded", too_large(name)) from None
    return parsed


def _content_of(stream: Any, limit: int) -> bytes:
    try:
        content: bytes = stream.read(limit + 1)
    finally:
        stream.close()
    if len(content) > limit:
        raise TooLarge
    return content


def metadata(parsed: Mapping[str, Any]) -> dict[str, Json]:
    """What optimised integrations add to an answer."""
    told = parsed["ResponseMetadata"]
    headers: dict[str, str] = told["HTTPHeaders"]
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": told["HTTPStatusCode"],
        },
        "SdkResponseMetadata": {"RequestId": told.get("RequestId")},
    }
