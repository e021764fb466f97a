"""Who calls AWS and where: credentials, roles, regions, endpoints, connections, time limits.

Owns botocore's clients. Without anything given, it is the environment's own: the default chain of credentials, and
`AWS_ENDPOINT_URL` or `AWS_ENDPOINT_URL_<SERVICE>` where they are set. Credentials stay inside botocore: nothing here
logs them, or puts them into a cause.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from treadle.integrations.aws.threads import Threads
from treadle.language.values import is_object
from treadle.runtime.ports import Call

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.session import Session

T = TypeVar("T")

_CLIENTS: Final = 256
_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 65.0
# AWS: how long these may take before they answer.
_SLOW: Final = {
    ("Lambda", "Invoke"): 905.0,
    ("SFN", "StartSyncExecution"): 305.0,
    ("Bedrock Runtime", "InvokeModel"): 905.0,
}
_ROLE_SESSION: Final = "treadle"


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials that are given instead of found."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


LOCAL: Final = Keys("local", "local")
"""For an endpoint on this machine that takes any signature."""


def given_keys() -> Keys | None:
    """The credentials that AWS_ACCESS_KEY_ID or AWS_PROFILE names; None where neither does: nothing else is asked."""
    if not (os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_PROFILE")):
        return None
    from botocore.session import Session

    found: Any = Session().get_credentials()
    if found is None:
        return None
    frozen = found.get_frozen_credentials()
    return Keys(frozen.access_key, frozen.secret_key, frozen.token)


class RoleRefused(Exception):
    """A task's role could not be taken; the argument is its ARN."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call goes: a service (as botocore calls it), a region, and the role that is taken for it."""

    module: str
    region: str
    role: str | None = None


def endpoint_in_environment() -> bool:
    """Whether the environment leads AWS's SDKs elsewhere than to AWS."""
    return any(name.startswith("AWS_ENDPOINT_URL") and value for name, value in os.environ.items())


def sessions_of_environment(asked: bool = False) -> AwsSessions | None:
    """AWS as the environment means it. Without an endpoint of its own that is AWS itself, which is never called
    unasked."""
    if not asked and not endpoint_in_environment():
        return None
    return AwsSessions(region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"))


class AwsSessions:
    """Clients of AWS services, made when they are first needed.

    `endpoint_url` is for every service, except those that have one in `special`, by botocore's name of the service.
    `region` overrides that of the execution.
    At most `calls` calls are under way at once. `patience` is how many seconds an answer may take.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None = None,
        special: Mapping[str, str] | None = None,
        keys: Keys | None = None,
        region: str | None = None,
        calls: int = 64,
        patience: float = _READ_SECONDS,
    ) -> None:
        self._endpoint_url, self._special = endpoint_url, special or {}
        self._region = region
        self.keys = keys
        self._calls, self._patience = calls, patience
        self._threads = Threads(calls, "treadle-aws")
        self._lock = threading.RLock()
        self._clients: OrderedDict[Place, BaseClient] = OrderedDict()
        self._sessions: dict[str | None, Session] = {}

    async def run(self, place: Place, work: Callable[[BaseClient], T]) -> T:
        """Let the work call AWS with a client for this place, on a thread."""
        return await self._threads.run(lambda: work(self._client(place)))

    async def find(self, work: Callable[[], T]) -> T:
        """Work that reads botocore's models: on a thread, since the first time takes long."""
        return await self._threads.run(work)

    def region(self, execution_arn: str) -> str:
        """The region that an execution's calls go to: observed on AWS, that of its state machine."""
        return self._region or execution_arn.split(":")[3]

    def place_of(self, call: Call, module: str) -> Place:
        """Where a task calls a service, in its own region and as the role of its Credentials."""
        role = call.credentials.get("RoleArn") if is_object(call.credentials) else None
        return Place(module, self.region(call.execution_arn), role if isinstance(role, str) else None)

    def address(self, module: str, variable: str) -> str | None:
        """Where a service stands that is called without botocore; None for AWS itself. `variable` may name it."""
        names = (variable, "AWS_ENDPOINT_URL")
        given = self._special.get(module, self._endpoint_url)
        return given or next((os.environ[name] for name in names if os.environ.get(name)), None)

    def sign(self, place: Place, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """The headers with a signature of version 4 for the service of the place. Call it by `find`."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request: Any = AWSRequest(method, url, headers=dict(headers), data=body)
        SigV4Auth(self._credentials(place), place.module, place.region).add_auth(request)
        return dict(request.headers.items())

    def presign(self, place: Place, query: str, headers: Mapping[str, str], seconds: int) -> str:
        """A URL that whoever has it may GET from the service of the place, with these headers, for so many seconds.
        Call it by `find`."""
        from botocore.auth import SigV4QueryAuth
        from botocore.awsrequest import AWSRequest

        service = self._client(Place(place.module, place.region)).meta.endpoint_url
        request: Any = AWSRequest("GET", f"{service.rstrip('/')}/?{query}", headers=dict(headers))
        SigV4QueryAuth(self._credentials(place), place.module, place.region, expires=seconds).add_auth(request)
        return request.url

    def s3(self) -> Any:
        """A client of S3 for whole objects, which its user closes: the data sets and results of distributed Maps."""
        from botocore.config import Config

        with self._lock:
            place = Place("s3", self._region or os.environ.get("AWS_REGION") or "us-east-1")
            return self._session(place).create_client(
                "s3",
                region_name=place.region,
                endpoint_url=self._special.get("s3", self._endpoint_url),
                config=self._config().merge(
                    Config(parameter_validation=True, retries={"mode": "standard", "total_max_attempts": 5})
                ),
            )

    def close(self) -> None:
        """Let go of idle connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    # ---- clients, on the calling thread ----

    def _client(self, place: Place) -> BaseClient:
        with self._lock:  # botocore's sessions are not made for several threads; their clients are
            client = self._clients.get(place)
            if client is None:
                client = self._clients[place] = self._made(place)
                if len(self._clients) > _CLIENTS:
                    # Not closed: a call may be using it. Its connections go with it.
                    self._clients.popitem(last=False)
            self._clients.move_to_end(place)
            return client

    def _made(self, place: Place) -> BaseClient:
        from treadle.integrations.aws.wire import prepare

        client = self._session(place).create_client(
            place.module,  # pyright: ignore[reportArgumentType]  # the stubs know services by their literal names
            region_name=place.region,
            endpoint_url=self._special.get(place.module, self._endpoint_url),
            config=self._config(),
        )
        prepare(client, _SLOW)
        return client

    def _config(self) -> Any:
        from botocore.config import Config

        return Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=self._patience,
            max_pool_connections=self._calls,
            retries={"mode": "standard", "total_max_attempts": 3},
            parameter_validation=False,  # done before, in the words of Step Functions
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # What is not AWS itself hardly answers to the names of buckets, or of kinds of operations, as hosts.
            inject_host_prefix=False if self._elsewhere() else None,
            s3={"addressing_style": "path"} if self._elsewhere() else None,
        )

    def _elsewhere(self) -> bool:
        return self._endpoint_url is not None or endpoint_in_environment()

    def _credentials(self, place: Place) -> Any:
        from botocore.exceptions import NoCredentialsError

        with self._lock:
            credentials = self._session(place).get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return credentials.get_frozen_credentials()

    def _session(self, place: Place) -> Session:
        if place.role not in self._sessions:
            from botocore.session import Session

            session = Session()
            if place.role is not None:
                self._take(session, place, place.role)
            elif self.keys is not None:
                session.set_credentials(self.keys.access_key, self.keys.secret_key, self.keys.token)
            elif self._elsewhere() and session.get_credentials() is None:
                # What stands in for AWS on this machine takes any signature, but botocore wants to make one.
                session.set_credentials("none", "none")
            self._sessions[place.role] = session
        return self._sessions[place.role]

    def _take(self, session: Session, place: Place, role: str) -> None:
        """Let a session act as a role. botocore renews the credentials before they expire."""
        from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials

        own = Place("sts", place.region)

        def assume() -> dict[str, Any]:
            sts: Any = self._client(own)
            try:
                given = sts.assume_role(RoleArn=role, RoleSessionName=_ROLE_SESSION)["Credentials"]
            except Exception as raised:
                raise RoleRefused(role) from raised
            return {
                "access_key": given["AccessKeyId"],
                "secret_key": given["SecretAccessKey"],
                "token": given["SessionToken"],
                "expiry_time": given["Expiration"].isoformat(),
            }

        class Taken(CredentialProvider):
            METHOD = "assume-role"

            def load(self) -> DeferredRefreshableCredentials:
                return DeferredRefreshableCredentials(refresh_using=assume, method=self.METHOD)

        session.register_component("credential_provider", CredentialResolver([Taken()]))
