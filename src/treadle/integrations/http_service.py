"""HTTP APIs that AWS calls as it calls its own services: those of API Gateway, and the Kubernetes API of a cluster.

Owns what the two have in common: how the address is put together, how long an answer may take, and the error names,
`<prefix>.<status>` and `<prefix>.SdkClientException`. Neighbour: http_client.py, which sends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote, urlencode

from treadle.errors import StatesError
from treadle.integrations.arguments import members, unusable
from treadle.integrations.http_client import SOCKET, Answer, HttpClient, Request, Turns
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object, json_text

AT_ONCE: Final = 300
"""Requests under way at once, as many as of HTTP tasks."""


class HttpService:
    """Sends requests and takes successes alone. `time_limit` is in seconds, `at_once` counts requests.

    `plain` allows http:// to other hosts than this one.
    """

    def __init__(self, prefix: str, *, time_limit: float, at_once: int = AT_ONCE, plain: bool = False) -> None:
        self._prefix = prefix
        self.unsent = f"{prefix}.SdkClientException"
        self._client, self._turns, self._time_limit = HttpClient(plain=plain), Turns(at_once), time_limit

    async def answer(self, request: Request) -> Answer:
        """Send a request. Raises StatesError: by the status where that is no success, `unsent` without an answer."""
        try:
            async with self._turns.turn(self._time_limit):
                answer = await self._client.exchange(request)
        except TimeoutError:
            raise StatesError(self.unsent, f"No answer came within {self._time_limit:g} seconds.") from None
        except StatesError as error:
            if error.name != SOCKET:
                raise
            raise StatesError(self.unsent, error.cause) from None
        if not 200 <= answer.status < 300:
            # AWS 'Call API Gateway with Step Functions', Error handling: the cause is what the API said.
            raise StatesError(f"{self._prefix}.{answer.status}", answer.body.decode("utf-8", "replace"))
        return answer

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()


def address_of(place: str, parts: tuple[str | None, ...], query: Json) -> str:
    """A URL: a place, parts of a path, and parameters of a query, which are lists of texts.

    Raises StatesError States.Runtime, and UnicodeEncodeError for what no URL can carry.
    """
    path = "/".join((place.rstrip("/"), *(quote(part.strip("/"), safe="/%:@!$&'()*+,;=~") for part in parts if part)))
    pairs = urlencode(list(_pairs(members(query or {}, "QueryParameters"))), quote_via=quote)
    return f"{path}?{pairs}" if pairs else path


def _pairs(given: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for name, values in given.items():
        for each in values if is_array(values) else [values]:
            if is_object(each) or is_array(each):
                raise unusable(f"The query parameter '{name[:80]}' must be a list of texts")
            if each is not None:
                yield name, each if isinstance(each, str) else json_text(each)
