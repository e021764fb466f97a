"""`treadle up`: the API of Step Functions at a port of this machine, until it is stopped."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path
from typing import Final

import click

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.problems import OK, Problem

PORT: Final = 8083


@command(example="treadle up\ntreadle up template.yaml --watch --parameter Stage=dev")
@click.argument("template", required=False, metavar="[TEMPLATE]")
@click.option("--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True, help="The port; 0: any free.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen at.")
@options.data
@click.option(
    "--store",
    "url",
    envvar=options.STORE_VARIABLE,
    show_envvar=True,
    metavar="URL",
    help="Where executions are kept, if not in the folder --data: sqlite:///path/to/file.db, or memory:.",
)
@click.option("--functions", metavar="DIR", help="The folder with Lambda functions of this machine.")
@click.option(
    "--aws",
    type=click.Choice(("local", "env")),
    help="Where other services of AWS are: in a local cloud, or where the environment says, with its credentials. "
    "[default: local; without a template env, where AWS_ENDPOINT_URL is set]",
)
@click.option(
    "--aws-endpoint-url",
    metavar="URL",
    help="Where other services of AWS are, such as CloudWatch Logs. [default: AWS_ENDPOINT_URL, else a local cloud "
    "that starts when it is first needed]",
)
@click.option("--no-cloud", is_flag=True, help="Serve Step Functions and Lambda alone, without a local cloud.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="The value of a parameter of the template; may be given several times.",
)
@click.option("--stack", metavar="NAME", help="The name of the stack. [default: the name of the template's folder]")
@click.option(
    "--quota",
    "quotas",
    multiple=True,
    metavar="NAME=VALUE",
    help="A quota, such as open-executions=100, StartExecution=50/10 (at once, and more each second), or rates=aws; "
    "may be given several times.",
)
@click.option(
    "--auth", metavar="FILE", help="A file with access key ids and their secrets: only who signs with them is let in."
)
@click.option("--watch", is_flag=True, help="Bring what changes in the template and its files to life, as it changes.")
@click.option(
    "--log-format", type=click.Choice(("text", "json")), default="text", show_default=True, help="The form of the log."
)
@options.as_json
def up(
    template: str | None,
    port: int,
    host: str,
    data: str,
    url: str | None,
    functions: str | None,
    aws: str | None,
    aws_endpoint_url: str | None,
    no_cloud: bool,
    parameters: tuple[str, ...],
    stack: str | None,
    quotas: tuple[str, ...],
    auth: str | None,
    watch: bool,
    log_format: str,
    as_json: bool,
) -> int:
    """Serve the API of AWS Step Functions on this machine.

    With a TEMPLATE (SAM or CloudFormation, or its folder) its resources come to life: functions, state machines,
    tables, buckets, queues, schedules, APIs. Executions go on where they stopped when it was last up. Ctrl-C ends it;
    what is under way waits in the store.
    """
    from treadle.api.guard import read_keys
    from treadle.api.quotas import Quotas
    from treadle.api.server import listening, loop_factory
    from treadle.observation.logs import begin_logging
    from treadle.stores import open_store

    _only_for_this_machine(host, auth)
    if template is None and (parameters or stack or watch):
        raise Problem("--parameter, --stack and --watch are for a template: name one.")
    if no_cloud and (aws is not None or aws_endpoint_url is not None):
        raise Problem("--no-cloud is for Step Functions and Lambda alone: give no --aws and no --aws-endpoint-url.")
    if aws == "local" and aws_endpoint_url is not None:
        raise Problem("--aws local is the local cloud, --aws-endpoint-url another one: give one of them.")
    if template is not None and (functions is not None or aws_endpoint_url is not None or no_cloud):
        raise Problem("--functions, --aws-endpoint-url and --no-cloud are for `treadle up` without a template.")
    given = Quotas.given(quotas)
    keys = None if auth is None else read_keys(Path(auth))
    begin_logging(log_format)
    listener = listening(host, port)
    store = open_store(url or data)
    if template is None:
        from treadle.cli.up_bare import Bare, serve_bare

        bare = Bare(
            Path(data),
            functions,
            aws,
            aws_endpoint_url,
            cloud=not no_cloud,
            as_json=as_json,
            quotas=given,
            keys=keys,
        )
        serving = serve_bare(store, listener, bare)
    else:
        from treadle.cli.up_template import Wanted, serve_template

        wanted = Wanted(
            Path(template),
            _parameters(parameters),
            stack,
            Path(data),
            watch=watch,
            as_json=as_json,
            quotas=given,
            keys=keys,
            away=aws == "env",
        )
        serving = serve_template(store, listener, wanted)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serving)
    return OK


def _parameters(given: tuple[str, ...]) -> dict[str, str]:
    made: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise Problem(f"--parameter: '{each}' is no NAME=VALUE.")
        made[name] = value
    return made


def _only_for_this_machine(host: str, auth: str | None) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise Problem(f"--host: '{host}' is no address: give one such as 127.0.0.1.") from None
    if not loopback and auth is None:
        raise Problem(
            f"--host: {host} can be reached from other machines, and whoever reaches it may run anything here. "
            "Listen at 127.0.0.1, or give --auth."
        )
