"""Connections: how HTTP tasks prove to an API who calls, as EventBridge keeps it for Step Functions.

Owns what a connection holds (in the members that EventBridge has for it), keeping it sealed in the store, and what it
adds to a request. A connection that is not kept here may be found elsewhere (`Source`). Must never log a secret, or
give one to anybody but the request. Neighbours: sealing.py, oauth.py, event_bridge.py.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from treadle.errors import ApiError, Conflict, StatesError
from treadle.integrations.http_client import Exchange
from treadle.integrations.oauth import ClientCredentials, Tokens
from treadle.integrations.sealing import Sealer, SealingError
from treadle.integrations.shared_reads import SharedReads
from treadle.runtime.clock import RealClock
from treadle.runtime.ports import Clock, Document, Store

KIND: Final = "connection"
AuthorizationType: TypeAlias = Literal["BASIC", "API_KEY", "OAUTH_CLIENT_CREDENTIALS"]

# AWS 'CreateConnection', Name; and the ARN that it answers with.
_NAME: Final = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:connection/(?P<name>[.\-_A-Za-z0-9]{1,64})/[A-Za-z0-9-]{1,64}"
)

# ---- what a connection holds -------------------------------------------------------------------------------------


class Parameter(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """A header, query parameter or member of the body."""

    key: str
    value: str
    is_value_secret: bool = False


class HttpParameters(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True, omit_defaults=True):
    """What is added to every request."""

    header_parameters: tuple[Parameter, ...] = ()
    query_string_parameters: tuple[Parameter, ...] = ()
    body_parameters: tuple[Parameter, ...] = ()


class Basic(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """A user and a password."""

    username: str
    password: str


class ApiKey(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """A header and its secret value."""

    api_key_name: str
    api_key_value: str


class Client(
    msgspec.Struct,
    frozen=True,
    rename={"client_id": "ClientID", "client_secret": "ClientSecret"},
    forbid_unknown_fields=True,
):
    """Who asks for a token."""

    client_id: str
    client_secret: str


class OAuth(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True, omit_defaults=True):
    """Where a token comes from."""

    authorization_endpoint: str
    http_method: Literal["GET", "POST", "PUT"]
    client_parameters: Client
    o_auth_http_parameters: HttpParameters = HttpParameters()


class AuthParameters(msgspec.Struct, frozen=True, rename="pascal", forbid_unknown_fields=True, omit_defaults=True):
    """The parameters of a connection: one way to authorise, and what is added to every request besides.

    AWS 'CreateConnection', AuthParameters.
    """

    basic_auth_parameters: Basic | None = None
    api_key_auth_parameters: ApiKey | None = None
    o_auth_parameters: OAuth | None = None
    invocation_http_parameters: HttpParameters = HttpParameters()

    @property
    def type(self) -> AuthorizationType:
        """The one way to authorise. Raises ApiError ValidationException where it is not one."""
        given: list[AuthorizationType] = []
        if self.basic_auth_parameters:
            given.append("BASIC")
        if self.api_key_auth_parameters:
            given.append("API_KEY")
        if self.o_auth_parameters:
            given.append("OAUTH_CLIENT_CREDENTIALS")
        if len(given) != 1:
            ways = "BasicAuthParameters, ApiKeyAuthParameters, OAuthParameters"
            raise ApiError("ValidationException", f"AuthParameters needs exactly one of {ways}.")
        return given[0]


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection with its secrets."""

    arn: str
    parameters: AuthParameters
    description: str = ""
    changed_at: float = 0.0

    @property
    def name(self) -> str:
        """The name in the ARN."""
        return name_of(self.arn)


@dataclass(frozen=True, slots=True)
class Listed:
    """A connection without what is secret."""

    arn: str
    name: str
    type: AuthorizationType
    description: str
    changed_at: float
    parameters: Mapping[str, object]


def name_of(arn: str) -> str:
    """The name of the connection of an ARN. Raises ApiError ValidationException."""
    match = _ARN.fullmatch(arn)
    if match is None:
        raise ApiError("ValidationException", f"'{arn}' is not the ARN of a connection.")
    return match["name"]


def read_parameters(text: str | bytes) -> AuthParameters:
    """AuthParameters from JSON. Raises ApiError ValidationException, which names the member but no value."""
    try:
        parameters = msgspec.json.decode(text, type=AuthParameters)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ApiError("ValidationException", f"AuthParameters: {error}") from None
    assert parameters.type
    return parameters


# ---- what it adds to a request -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Additions:
    """What a connection adds to a request. `token` is the OAuth token among the headers."""

    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    body: Mapping[str, str] = field(repr=False)
    token: str | None = field(default=None, repr=False)


Source: TypeAlias = Callable[[str], Awaitable[AuthParameters]]
"""Finds a connection that is not kept here, by its ARN. Raises StatesError Events.ConnectionResource.*."""


class Authorised(Protocol):
    """Gives what a connection adds to a request."""

    async def authorise(self, arn: str, exchange: Exchange, refused: str | None = None) -> Additions:
        """What to add. `refused` is a token that was not accepted any more.

        Raises StatesError Events.ConnectionResource.*.
        """
        ...


class Connections:
    """The connections of a store."""

    def __init__(
        self, store: Store, sealer: Sealer, *, elsewhere: Source | None = None, clock: Clock | None = None
    ) -> None:
        self._store, self.sealer, self._elsewhere = store, sealer, elsewhere
        self._clock = clock or RealClock()
        self._tokens = Tokens(self._clock)
        self._reads = SharedReads(self._parameters)

    async def put(
        self,
        name: str,
        parameters: AuthParameters,
        *,
        description: str = "",
        arn: str | None = None,
        account: str = "us-east-1:123456789012",
    ) -> str:
        """Keep a connection, in the place of the one of this name; gives its ARN, which then stays.

        Raises ApiError ValidationException, SealingError, StoreError.
        """
        assert parameters.type
        if not _NAME.fullmatch(name) or (arn is not None and name_of(arn) != name):
            raise ApiError("ValidationException", f"'{name}' is not the name of a connection, or not that in {arn}.")
        while True:
            before = await self._named(name) if arn is None else await self._store.document(KIND, arn)
            key = before.key if before else f"arn:aws:events:{account}:connection/{name}/{uuid.uuid4()}"
            kept = Connection(arn=key, parameters=parameters, description=description, changed_at=self._clock.now())
            sealed = self.sealer.seal(msgspec.json.encode(kept), f"The connection {key}")
            revision = before.revision if before else 0
            try:
                await self._store.put_documents([Document(kind=KIND, key=key, value=sealed, revision=revision)])
            except Conflict:
                continue  # somebody else has put it meanwhile, and the last one counts
            self._tokens.forget(key)
            return key

    async def get(self, named: str) -> Connection:
        """A connection with its secrets, by name or ARN. Raises ApiError ResourceNotFoundException, SealingError."""
        return self._opened(await self._found(named))

    async def list(self) -> list[Listed]:
        """All connections, by ARN, without what is secret. Raises SealingError."""
        return [listed(self._opened(document)) async for document in self._every()]

    async def delete(self, named: str) -> None:
        """Keep a connection no more. Raises ApiError ResourceNotFoundException."""
        document = await self._found(named)
        gone = msgspec.structs.replace(document, value=None)
        await self._store.put_documents([gone])
        self._tokens.forget(document.key)

    async def reseal(self) -> int:
        """Seal everything with the current key; gives how many there are. Raises SealingError, Conflict."""
        count = 0
        async for document in self._every():
            place = f"The connection {document.key}"
            sealed = self.sealer.seal(self.sealer.open(document.value or b"", place), place)
            await self._store.put_documents([msgspec.structs.replace(document, value=sealed)])
            count += 1
        return count

    async def authorise(self, arn: str, exchange: Exchange, refused: str | None = None) -> Additions:
        """What the connection adds to a request; a token is fetched through `exchange`. See `Authorised`."""
        parameters = await self._reads.get(arn)
        added = parameters.invocation_http_parameters
        headers, token = _plain(added.header_parameters), None
        if basic := parameters.basic_auth_parameters:
            pair = f"{basic.username}:{basic.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if api_key := parameters.api_key_auth_parameters:
            headers[api_key.api_key_name] = api_key.api_key_value
        if oauth := parameters.o_auth_parameters:
            token = await self._tokens.token(arn, _credentials(oauth), exchange, refused)
            headers["Authorization"] = f"Bearer {token}"
        return Additions(headers, _plain(added.query_string_parameters), _plain(added.body_parameters), token)

    async def _parameters(self, arn: str) -> AuthParameters:
        if not _ARN.fullmatch(arn):
            raise unavailable("ResourceNotFound", f"'{arn[:200]}' is not the ARN of a connection.")
        document = await self._store.document(KIND, arn)
        if document.value is None:
            if self._elsewhere is None:
                raise unavailable("ResourceNotFound", f"Connection '{arn}' does not exist.")
            return await self._elsewhere(arn)
        try:
            return self._opened(document).parameters
        except SealingError as error:
            raise unavailable("AccessDenied", str(error)) from None

    def _opened(self, document: Document) -> Connection:
        plain = self.sealer.open(document.value or b"", f"The connection {document.key}")
        return msgspec.json.decode(plain, type=Connection)

    async def _found(self, named: str) -> Document:
        document = await self._store.document(KIND, named) if _ARN.fullmatch(named) else await self._named(named)
        if document is None or document.value is None:
            raise ApiError("ResourceNotFoundException", f"Connection '{named}' does not exist.")
        return document

    async def _named(self, name: str) -> Document | None:
        return next(iter([each async for each in self._every() if name_of(each.key) == name]), None)

    async def _every(self) -> AsyncIterator[Document]:
        after = ""
        while page := await self._store.documents(KIND, after=after):
            for document in page:
                yield document
            after = page[-1].key


def unavailable(reason: str, cause: str) -> StatesError:
    """The failure of a task whose connection cannot be used. AWS 'HTTP Task', connection errors."""
    return StatesError(f"Events.ConnectionResource.{reason}", cause)


def listed(connection: Connection) -> Listed:
    """The connection without what is secret."""
    parameters = connection.parameters
    shown: dict[str, object] = {}
    if basic := parameters.basic_auth_parameters:
        shown["Username"] = basic.username
    if api_key := parameters.api_key_auth_parameters:
        shown["ApiKeyName"] = api_key.api_key_name
    if oauth := parameters.o_auth_parameters:
        shown |= {
            "AuthorizationEndpoint": oauth.authorization_endpoint,
            "HttpMethod": oauth.http_method,
            "ClientID": oauth.client_parameters.client_id,
            "OAuthHttpParameters": _shown(oauth.o_auth_http_parameters),
        }
    shown["InvocationHttpParameters"] = _shown(parameters.invocation_http_parameters)
    return Listed(
        connection.arn, connection.name, parameters.type, connection.description, connection.changed_at, shown
    )


def _shown(parameters: HttpParameters) -> dict[str, list[dict[str, object]]]:
    groups = {
        "HeaderParameters": parameters.header_parameters,
        "QueryStringParameters": parameters.query_string_parameters,
        "BodyParameters": parameters.body_parameters,
    }
    # AWS 'DescribeConnection': a secret value is left out.
    return {
        name: [{"Key": each.key} if each.is_value_secret else {"Key": each.key, "Value": each.value} for each in group]
        for name, group in groups.items()
        if group
    }


def _plain(parameters: tuple[Parameter, ...]) -> dict[str, str]:
    return {each.key: each.value for each in parameters}


def _credentials(oauth: OAuth) -> ClientCredentials:
    added = oauth.o_auth_http_parameters
    return ClientCredentials(
        endpoint=oauth.authorization_endpoint,
        method=oauth.http_method,
        client_id=oauth.client_parameters.client_id,
        client_secret=oauth.client_parameters.client_secret,
        headers=_plain(added.header_parameters),
        query=_plain(added.query_string_parameters),
        body=_plain(added.body_parameters),
    )
