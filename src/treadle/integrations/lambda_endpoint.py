"""Functions that treadle does not have: Lambda's Invoke over HTTP, at the endpoint that the SDKs would use.

Owns the request, its signature and its limits; what becomes of the answer is for `lambda_`. Nothing is sent twice: a
connection that breaks may have delivered the request, so whether to repeat it is for the definition's Retry.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import urllib.parse
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from treadle.errors import StatesError
from treadle.functions.contract import RESPONSE_LIMIT
from treadle.integrations.aws.actions import optimised_action
from treadle.integrations.aws.failures import Voice, telling
from treadle.integrations.http_client import Turns
from treadle.integrations.lambda_ import Answer, Invocation, not_found, refusal
from treadle.language.values import is_object
from treadle.machine.limits import too_large

if TYPE_CHECKING:
    import aiohttp

CONNECTIONS: Final = 256
"""How many invocations may be under way; more wait for a connection."""

CONNECT_SECONDS: Final = 10.0

# Lambda's longest function runs 15 minutes; AWS adds a minute for the way.
LONGEST_SECONDS: Final = 960.0

# A server may close an idle connection just as it is used again; uvicorn does after 5 seconds.
_KEEPALIVE_SECONDS: Final = 4.0

_VOICE: Final = Voice("Lambda", "AWSLambdaException", {}, "AWSLambda")

# Lambda 'Invoke', FunctionName.
_FUNCTION: Final = re.compile(
    r"arn:aws[a-z-]*:lambda:(?P<region>[a-z]{2,4}(-[a-z0-9]+){2,3}):\d{12}:function:[a-zA-Z0-9-_]{1,140}"
)


class LambdaEndpoint:
    """Invokes functions over HTTP. Use it with `async with`.

    Credentials come from where AWS's own SDKs take them, and so does the endpoint where `url` does not name it:
    AWS_ENDPOINT_URL_LAMBDA, AWS_ENDPOINT_URL, the profile, AWS. An endpoint on this machine needs no credentials.
    `longest` is in seconds, from the request to the end of the answer; `at_once` counts invocations.
    """

    def __init__(self, url: str | None = None, *, longest: float = LONGEST_SECONDS, at_once: int = CONNECTIONS) -> None:
        self._url = url
        self._longest, self._turns = longest, Turns(at_once)
        self._client: aiohttp.ClientSession | None = None
        self._signers: dict[str, _Signer] = {}
        self._finding = asyncio.Lock()

    async def invoke(self, invocation: Invocation) -> Answer:
        """Call Invoke. Raises StatesError: Lambda.* for what the API refuses, Lambda.SdkClientException where there is
        no answer, States.DataLimitExceeded for an answer of more than 6 MB."""
        import aiohttp

        named = _FUNCTION.fullmatch(invocation.arn)
        if named is None:
            message = f"Value '{invocation.arn}' at 'functionName' failed to satisfy constraint: {_FUNCTION.pattern}"
            raise refusal(400, "ValidationException", f"1 validation error detected: {message}", None, known=False)
        with telling(_VOICE):
            signer = await self._signer(named["region"])
            url = signer.url + _path(invocation)
            headers = await signer.sign(url, _headers(invocation), invocation.payload)
        try:
            async with (
                self._turns.turn(self._longest),
                self._session().post(
                    _exactly(url), data=invocation.payload, headers=headers, allow_redirects=False
                ) as response,
            ):
                payload = await _read(response)
        except TimeoutError:
            raise StatesError(
                "Lambda.ClientExecutionTimeoutException",
                "Client execution did not complete before the specified timeout configuration.",
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise StatesError("Lambda.SdkClientException", f"Unable to execute HTTP request: {error}") from None
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.raw_headers}
        answer = Answer(response.status, sent, payload)
        if response.status >= 300:
            raise _refused(answer, invocation, signer.errors)
        return answer

    async def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            await self._client.close()

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first invocation."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._client

    async def _signer(self, region: str) -> _Signer:
        # The first look for credentials may ask a file, a program or the network.
        async with self._finding:
            if region not in self._signers:
                self._signers[region] = await asyncio.to_thread(_find_signer, region, self._url)
            return self._signers[region]


class _Signer:
    """Signs requests for one region. `url` is where they go, `errors` what the model knows as errors of Lambda."""

    def __init__(self, url: str, region: str, credentials: Any, errors: Collection[str]) -> None:
        from botocore.auth import SigV4Auth

        self.url, self.errors = url, errors
        self._credentials = credentials
        self._auth: Callable[[Any], Any] = lambda frozen: SigV4Auth(frozen, "lambda", region)

    async def sign(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers with a signature. Credentials that have run out are renewed, which may take the network."""
        from botocore.awsrequest import AWSRequest

        frozen = await asyncio.to_thread(self._credentials.get_frozen_credentials)
        request = AWSRequest("POST", url, dict(headers), body)
        self._auth(frozen).add_auth(request)
        return dict(request.headers.items())


def _find_signer(region: str, url: str | None) -> _Signer:
    from botocore.credentials import Credentials
    from botocore.exceptions import NoCredentialsError
    from botocore.session import get_session

    session: Any = get_session()
    if url is None:
        client = session.create_client("lambda", region_name=region)
        url = str(client.meta.endpoint_url)
        client.close()
    credentials = session.get_credentials()
    if credentials is None:
        if not _is_here(urllib.parse.urlsplit(url).hostname or ""):
            raise NoCredentialsError
        credentials = Credentials("local", "local")
    return _Signer(url.rstrip("/"), region, credentials, optimised_action("lambda", "Invoke").errors)


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _path(invocation: Invocation) -> str:
    path = f"/2015-03-31/functions/{urllib.parse.quote(invocation.arn, safe='')}/invocations"
    if invocation.qualifier is None:
        return path
    return f"{path}?Qualifier={urllib.parse.quote(invocation.qualifier, safe='', errors='replace')}"


def _exactly(url: str) -> Any:
    """A URL that goes out as it was signed."""
    from yarl import URL

    return URL(url, encoded=True)


def _headers(invocation: Invocation) -> dict[str, str]:
    headers = {
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "X-Amz-Invocation-Type": invocation.kind,
    }
    if invocation.with_log:
        headers["X-Amz-Log-Type"] = "Tail"
    if invocation.trace is not None:
        headers["X-Amzn-Trace-Id"] = invocation.trace
    if invocation.client_context is not None:
        headers["X-Amz-Client-Context"] = base64.b64encode(invocation.client_context).decode()
    return headers


async def _read(response: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > RESPONSE_LIMIT:
            raise StatesError("States.DataLimitExceeded", too_large("lambda"))
    return bytes(read)


def _refused(answer: Answer, invocation: Invocation, errors: Collection[str]) -> StatesError:
    """The error that an answer tells of. AWS REST-JSON: its code in a header or in the body, its message there."""
    body: Any = {}
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = msgspec.json.decode(answer.payload)
    told: dict[str, Any] = body if is_object(body) else {}
    code = answer.header("x-amzn-ErrorType") or told.get("__type") or told.get("code")
    code = str(code).partition(":")[0].rpartition("#")[2] if code else None
    message = told.get("Message") or told.get("message")
    if code == "ResourceNotFoundException" and str(message).startswith("Function not found"):
        message = not_found(invocation)
    request_id = answer.header("x-amzn-RequestId")
    return refusal(answer.status, code, None if message is None else str(message), request_id, known=code in errors)
