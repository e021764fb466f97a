"""`treadle approval`: start the approval workflow, answer it as Jira would, show what came of it.

Owns finding the stack, on this machine or on AWS; the rest is the public API. The token of the callback goes from the
secret into a header, and is never shown.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import click

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.options import DEFAULT_STORE
from treadle.cli.problems import FAILED, OK, Problem
from treadle.cli.show import clean
from treadle.integrations.aws.sessions import LOCAL, Keys, given_keys
from treadle.solutions.approval import FOLDER

STACK: Final = "approval"
_PATIENCE: Final = 30.0


@dataclass(frozen=True)
class Stack:
    """A deployed approval solution. `client` gives a boto3 client by the name of its service."""

    machine: str
    bucket: str
    callback: str
    secret: str
    client: Callable[[str], Any]

    def start(self, content: str, name: str | None) -> str:
        """Put the workflow input into the bucket and start an execution. Gives its name."""
        name = name or str(uuid.uuid4())
        key = f"inputs/{name}.json"
        self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=content.encode())
        given = json.dumps({"input_key": key})
        self.client("stepfunctions").start_execution(stateMachineArn=self.machine, name=name, input=given)
        return name

    def call_back(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Send a webhook as a rule of Jira does. Gives the status and the answer."""
        token = self.client("secretsmanager").get_secret_value(SecretId=self.secret)["SecretString"]
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        request = urllib.request.Request(self.callback, json.dumps(body).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _object(error.read())
        except OSError as error:
            raise Problem(f"{self.callback} was not reached ({error}): is the stack up?") from None

    def results(self, execution: str) -> dict[str, Any]:
        """What an execution left: how it stands, its result, its log and its log of errors, as far as there are."""
        arn = self.machine.replace(":stateMachine:", ":execution:", 1) + f":{execution}"
        told = self.client("stepfunctions").describe_execution(executionArn=arn)
        result = self._read(f"outputs/{execution}/result.json")
        return {
            "execution": execution,
            "status": told["status"],
            "result": None if result is None else json.loads(result),
            "log": self._read(f"logs/{execution}/execution.log"),
            "errors": self._read(f"logs/{execution}/error.log"),
        }

    def _read(self, key: str) -> str | None:
        s3 = self.client("s3")
        try:
            return s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode()
        except s3.exceptions.NoSuchKey:
            return None


def _object(content: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(content))
    except (ValueError, TypeError):
        return {"message": content[:500].decode(errors="replace")}


def here(folder: Path) -> Stack:
    """The stack that `treadle up` has on a data folder."""
    from treadle.local.presence import present
    from treadle.local.stack.state import read_state

    up, state = present(folder), read_state(folder)
    if up is None or state is None:
        raise Problem(f"Nothing is up on {folder}: start it with `treadle up {FOLDER}`, or name its --data.")
    made = {each.name: each for each in state.resources}
    missing = {"Workflow", "Bucket", "Api", "CallbackToken"} - set(made)
    if missing:
        raise Problem(f"The stack {state.stack} is another one: it has no {', '.join(sorted(missing))}.")
    # Without --auth any key will do.
    keys = given_keys() or LOCAL
    client = _clients(keys, endpoint_url=up.endpoint, region_name="us-east-1")
    # The port may be another one than when the stack was made.
    callback = f"{up.endpoint}/_api/{made['Api'].id}/callback"
    return Stack(made["Workflow"].id, made["Bucket"].id, callback, made["CallbackToken"].id, client)


def on_aws(stack: str) -> Stack:
    """A stack in the account that the environment leads to: its profile, its keys, its region."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = _clients()
        told = client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        raise Problem(f"The stack {stack} cannot be read ({error}): check --stack, the region and the keys.") from None
    outputs = {each["OutputKey"]: each["OutputValue"] for each in told.get("Outputs", [])}
    return _stack(f"The stack {stack}", outputs, client)


def by_terraform(file: Path) -> Stack:
    """What the Terraform module has made, by the outputs that `terraform output -json` has written into a file."""
    from botocore.exceptions import BotoCoreError

    try:
        read = json.loads(file.read_text())
        outputs = {name.title().replace("_", ""): str(each["value"]) for name, each in read.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise Problem(f"{file} has no outputs: write it with `terraform output -json > {file}`.") from None
    try:
        return _stack(str(file), outputs, _clients())
    except BotoCoreError as error:
        raise Problem(f"{error}: check the region and the keys.") from None


def _stack(place: str, outputs: Mapping[str, str], client: Callable[[str], Any]) -> Stack:
    try:
        return Stack(outputs["Machine"], outputs["Bucket"], outputs["Callback"], outputs["CallbackToken"], client)
    except KeyError as missing:
        raise Problem(f"{place} is another one: it has no output {missing}.") from None


def _clients(keys: Keys | None = None, **settings: Any) -> Callable[[str], Any]:
    """Gives clients of services, one of each: to make one takes longer than most calls."""
    import boto3

    session: Any = boto3.Session(keys.access_key, keys.secret_key, keys.token) if keys else boto3.Session()

    @cache
    def client(service: str) -> Any:
        return session.client(service, **settings)

    return client


def _where(function: Any) -> Any:
    for option in reversed(
        (
            click.option("--aws", is_flag=True, help="Talk to AWS, not to the `treadle up` of this machine."),
            click.option("--stack", default=STACK, show_default=True, metavar="NAME", help="With --aws: the stack."),
            click.option(
                "--outputs",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="With --aws: what `terraform output -json` wrote, where Terraform has made it.",
            ),
            click.option(
                "--data",
                default=DEFAULT_STORE,
                show_default=True,
                metavar="DIR",
                help="The folder where everything is kept.",
            ),
            options.as_json,
        )
    ):
        function = option(function)
    return function


def _find(aws: bool, stack: str, outputs: Path | None, data: str) -> Stack:
    if not aws and outputs is not None:
        raise Problem("--outputs belongs to --aws: say both.")
    if not aws:
        return here(Path(data))
    return on_aws(stack) if outputs is None else by_terraform(outputs)


def _asked(work: Callable[[], Any]) -> Any:
    """What a call of AWS gives; its refusal is the caller's problem."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return work()
    except (BotoCoreError, ClientError) as error:
        raise Problem(str(error)) from None


@click.group()
def approval() -> None:
    """The approval workflow: start it, answer it, read its results."""


@command(approval, example="treadle approval start release.json")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", metavar="NAME", help="The name of the execution. [default: a new one]")
@_where
def start(file: Path, name: str | None, aws: bool, stack: str, outputs: Path | None, data: str, as_json: bool) -> int:
    """Start the workflow with the workflow input in FILE."""
    content = file.read_text()
    try:
        json.loads(content)
    except ValueError as error:
        raise Problem(f"{file}: is not JSON: {error}") from None
    found = _find(aws, stack, outputs, data)
    started = _asked(lambda: found.start(content, name))
    click.echo(json.dumps({"execution": started}) if as_json else started)
    return OK


@command(approval, example='treadle approval callback PROJ-12345 "Tested on staging" success')
@click.argument("story")
@click.argument("message")
@click.argument("status", type=click.Choice(["success", "failure"]))
@click.option("--approver", default="command-line", show_default=True, metavar="WHO", help="Who decides.")
@click.option("--execution", metavar="NAME", help="Which execution, where several wait for the story.")
@_where
def callback(
    story: str,
    message: str,
    status: str,
    approver: str,
    execution: str | None,
    aws: bool,
    stack: str,
    outputs: Path | None,
    data: str,
    as_json: bool,
) -> int:
    """Answer the workflow that waits for STORY, as Jira would."""
    body = {"story": story, "message": message, "status": status, "approver": approver}
    if execution is not None:
        body["execution"] = execution
    found = _find(aws, stack, outputs, data)
    code, answer = _asked(lambda: found.call_back(body))
    if as_json:
        click.echo(json.dumps({"status": code, "answer": answer}))
    elif code == 200:
        outcome, votes = answer["outcome"] or "not decided yet", f"{answer['agreed']} of {answer['quorum']} agree"
        click.echo(clean(f"{answer['story']}: {outcome} ({votes}), {answer['execution']}"))
    else:
        click.echo(clean(f"{code} {answer.get('error', '')}: {answer.get('message', '')}"), err=True)
    return OK if code == 200 else FAILED


@command(approval, example="treadle approval results 1f0c7b9e-8a53-4d2e-9c1b-3f3c1f2a7d10")
@click.argument("execution")
@_where
def results(execution: str, aws: bool, stack: str, outputs: Path | None, data: str, as_json: bool) -> int:
    """Show the result and the log of an EXECUTION."""
    found = _find(aws, stack, outputs, data)
    told = _asked(lambda: found.results(execution))
    if as_json:
        click.echo(json.dumps(told))
        return OK if told["status"] in ("SUCCEEDED", "RUNNING") else FAILED
    click.echo(told["status"])
    if told["result"] is not None:
        click.echo(json.dumps(told["result"], indent=2))
    for content in (told["log"], told["errors"]):
        if content:
            click.echo("\n".join(map(clean, content.splitlines())))
    return OK if told["status"] in ("SUCCEEDED", "RUNNING") else FAILED
