"""AWS as it is elsewhere, for a host that has no cloud of its own: whose credentials, where, which account.

Owns finding out, once, and what functions of this machine are told so that their SDKs get there. botocore is imported
when it is asked. Neighbour: `sessions` has the clients of Tasks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from treadle.errors import TreadleError
from treadle.integrations.aws.sessions import Keys, endpoint_in_environment

if TYPE_CHECKING:
    from botocore.session import Session

OURS: Final = frozenset(["stepfunctions", "lambda"])
"""Services, as botocore calls them, that are at our own endpoint even then."""


class AwayError(TreadleError):
    """AWS elsewhere cannot be used. The message names what to set."""


@dataclass(frozen=True)
class Away:
    """AWS elsewhere. `endpoint_url` is for every service; without it the environment's variables, then AWS, count."""

    endpoint_url: str | None
    keys: Keys
    region: str
    account: str | None = None

    def client(self, service: str) -> Any:
        """A client of a service, for a thread."""
        return _client(_session(), service, self.region, self.endpoint_url, self.keys)

    def variables(self, own: str) -> dict[str, str]:
        """What leads the SDKs of a function there, and to our endpoint for what is ours."""
        led = {name: value for name, value in os.environ.items() if name.startswith("AWS_ENDPOINT_URL") and value}
        if self.endpoint_url is not None:
            led = {"AWS_ENDPOINT_URL": self.endpoint_url}
        token = {"AWS_SESSION_TOKEN": self.keys.token or ""}
        return led | token | {
            "AWS_ENDPOINT_URL_SFN": own,
            "AWS_ENDPOINT_URL_LAMBDA": own,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "AWS_ACCESS_KEY_ID": self.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_key,
        }  # fmt: skip

    def remedy(self, own: str) -> str:
        """What to do about a client of another service that came to our endpoint."""
        return (
            f"The other services are at {self.place}: unset AWS_ENDPOINT_URL for this client, and set "
            f"AWS_ENDPOINT_URL_SFN={own} and AWS_ENDPOINT_URL_LAMBDA={own} instead."
        )

    @property
    def place(self) -> str:
        """Where it is, for people."""
        named = self.endpoint_url or os.environ.get("AWS_ENDPOINT_URL")
        return named or f"AWS ({self.region})"


def away(own: str, endpoint_url: str | None = None, *, identified: bool = False) -> Away:
    """AWS as the environment means it, or at an endpoint. Where `identified`, it is asked which account that is.

    Raises AwayError: no credentials, refused ones, or the environment leads to `own`.
    """
    if endpoint_url is None:
        _refuse_circle(own, os.environ)
    session = _session()
    found: Any = session.get_credentials()
    if found is None and endpoint_url is None and not endpoint_in_environment():
        raise AwayError(
            "--aws env: the environment has no credentials of AWS: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or use --aws local."
        )
    # What stands in for AWS on this machine takes any signature.
    keys = Keys("none", "none")
    if found is not None:
        frozen = found.get_frozen_credentials()
        keys = Keys(frozen.access_key, frozen.secret_key, frozen.token)
    region = str(session.get_config_variable("region") or "us-east-1")
    account = _account(_client(session, "sts", region, endpoint_url, keys)) if identified else None
    return Away(endpoint_url, keys, region, account)


def _account(sts: Any) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return str(sts.get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        raise AwayError(
            f"--aws env: AWS does not say who these credentials are ({error}): check AWS_PROFILE, AWS_ACCESS_KEY_ID "
            "and AWS_ENDPOINT_URL, or use --aws local."
        ) from None


def _refuse_circle(own: str, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        if name.startswith("AWS_ENDPOINT_URL") and value.rstrip("/") == own:
            raise AwayError(
                f"--aws env: {name} leads to this very port: unset it, or let it name what stands for AWS, or use "
                "--aws local."
            )


def _session() -> Session:
    from botocore.session import Session

    return Session()


def _client(session: Session, service: str, region: str, endpoint_url: str | None, keys: Keys) -> Any:
    from botocore.config import Config

    elsewhere = endpoint_url is not None or endpoint_in_environment()
    config = Config(
        retries={"total_max_attempts": 3},
        connect_timeout=5,
        s3={"addressing_style": "path"} if elsewhere else None,
        inject_host_prefix=False if elsewhere else None,
    )
    given = {}
    if session.get_credentials() is None:
        given = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key}
    made: Any = session.create_client
    return made(service, region_name=region, endpoint_url=endpoint_url, config=config, **given)
