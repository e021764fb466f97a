"""What the two ways of `treadle up` share: the endpoint's address, the lines that lead clients there, AWS elsewhere.

Neighbours: `up_bare` and `up_template` serve.
"""

from __future__ import annotations

import os
import socket

import click

from treadle.api.guard import SignedOnly
from treadle.integrations.aws import AwsSessions
from treadle.integrations.aws.away import Away


def endpoint_of(listener: socket.socket) -> str:
    """The URL of what listens."""
    address, port = listener.getsockname()[:2]
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"


def sessions_away(elsewhere: Away, own: str, guard: SignedOnly | None) -> AwsSessions:
    """Clients of AWS elsewhere for Tasks; Step Functions is here, where a guard takes the key of elsewhere too."""
    if guard is not None:
        guard.accept(elsewhere.keys.access_key, elsewhere.keys.secret_key, elsewhere.keys.token)
    return AwsSessions(endpoint_url=elsewhere.endpoint_url, special={"stepfunctions": own})


def logs_of(elsewhere: Away | None) -> str | None:
    """Where CloudWatch Logs is, if it is AWS's own; None where the endpoint or the environment says it."""
    if elsewhere is None or elsewhere.endpoint_url is not None:
        return None
    named = ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "AWS_ENDPOINT_URL")
    return None if any(os.environ.get(each) for each in named) else f"https://logs.{elsewhere.region}.amazonaws.com"


def tell_exports(news: str, endpoint: str, elsewhere: Away | None) -> None:
    """Say that it is up, and the lines that lead the SDKs here."""
    click.echo(f"{news} Send the SDKs and the CLI of AWS here:")
    if elsewhere is None:
        click.echo(f"export AWS_ENDPOINT_URL={endpoint}")
    else:
        click.echo(f"export AWS_ENDPOINT_URL_SFN={endpoint} AWS_ENDPOINT_URL_LAMBDA={endpoint}")
    click.echo("export AWS_DISABLE_HOST_PREFIX_INJECTION=true")
    if elsewhere is not None:
        click.echo(f"Other services are at {elsewhere.place}.")
