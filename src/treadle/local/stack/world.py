"""What a provider may use: clients of the endpoint, the functions, the schedules and the routes of this machine.

Owns the clients: they speak to our endpoint alone, with the key that it takes from us. With `--aws env` those of
services that are not ours speak to AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from treadle.functions.spec import FunctionSpec
from treadle.integrations.aws.away import OURS, Away
from treadle.integrations.aws.sessions import LOCAL, Keys
from treadle.language.scope import Json
from treadle.local.template.resolve import Surrounding


class FunctionTable(Protocol):
    """The functions of this machine. May be called from any thread."""

    def put(self, spec: FunctionSpec) -> None:
        """Have a function, in place of one of the same name."""
        ...

    def remove(self, name: str) -> None:
        """Have it no more."""
        ...


class Register(Protocol):
    """What happens on its own: rules, schedules, queues that feed functions, routes. May be called from any thread."""

    def put(self, kind: str, key: str, properties: Mapping[str, Json]) -> None:
        """Keep one, in place of one of the same kind and key."""
        ...

    def remove(self, kind: str, key: str) -> None:
        """Keep it no more."""
        ...


@dataclass(slots=True)
class World:
    """The world around a stack. `endpoint` is ours, `folder` for what it keeps, `away` where other services are if not
    behind our endpoint. For one thread at a time."""

    endpoint: str
    surrounding: Surrounding
    functions: FunctionTable
    register: Register
    folder: Path
    keys: Keys = LOCAL
    away: Away | None = None
    clients: dict[str, Any] = field(default_factory=dict[str, Any])

    def client(self, service: str) -> Any:
        """A client of a service, at our endpoint or where else it is."""
        if service not in self.clients and self.away is not None and service not in OURS:
            self.clients[service] = self.away.client(service)
        if service not in self.clients:
            from boto3.session import Session
            from botocore.config import Config

            session: Any = Session(
                region_name=self.surrounding.region,
                aws_access_key_id=self.keys.access_key,
                aws_secret_access_key=self.keys.secret_key,
            )
            config = Config(
                retries={"total_max_attempts": 3}, s3={"addressing_style": "path"}, inject_host_prefix=False
            )
            self.clients[service] = session.client(service, endpoint_url=self.endpoint, config=config)
        return self.clients[service]

    def arn(self, service: str, rest: str) -> str:
        """An ARN in this region and account."""
        return f"arn:aws:{service}:{self.surrounding.region}:{self.surrounding.account}:{rest}"
