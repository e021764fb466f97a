"""Lambda's API with boto3: each operation, and what it refuses."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from treadle.api.endpoint import Endpoint
from treadle.functions import ProcessFunctions, discover
from treadle.functions.registry import Registry
from treadle.lambda_api import Lambda, LambdaApp
from treadle.lambda_api.objects import fetching
from treadle.stores import open_store

ROLE = "arn:aws:iam::123456789012:role/r"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
ECHO = "def handler(event, context):\n    return [event, context.function_version, context.invoked_function_arn]\n"


def zipped(code: str = ECHO, name: str = "app.py") -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, code)
    return sink.getvalue()


class Running:
    """The API on a port of its own, on an event loop of its own."""

    def __init__(self, data: Path, folder: Path, s3: str | None = None) -> None:
        self.data, self.folder, self.s3 = data, folder, s3
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._server: uvicorn.Server
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        self._thread.start()
        assert self._ready.wait(20)

    async def _serve(self) -> None:
        store = open_store(str(self.data))
        await store.open()
        processes = ProcessFunctions(discover(self.folder))
        registry = Registry(store, self.data / "code", processes, retry_seconds=(0.05, 0.1))
        await registry.load()
        owed = asyncio.create_task(registry.run())
        app = Endpoint({"lambda": LambdaApp(Lambda(registry, "123456789012", fetching(self.s3)))})
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", loop="none"))
        self._server.capture_signals = _nothing  # type: ignore[method-assign]
        self._ready.set()
        await self._server.serve(sockets=[self.listener])
        owed.cancel()
        await asyncio.wait([owed])
        await registry.close()
        await store.close()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self.listener.close()
        self._loop.close()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def client_of(url: str, service: str = "lambda") -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    return boto3.client(
        service,
        "us-east-1",
        endpoint_url=url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, local_cloud: Any) -> Iterator[Running]:
    place = tmp_path_factory.mktemp("lambda")
    folder = place / "functions"
    folder.mkdir()
    (folder / "found.py").write_text("def handler(event, context): return 'found'\n")
    running = Running(place / "data", folder, local_cloud.endpoint)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(running: Running) -> Any:
    return client_of(running.url)


@pytest.fixture
def create(client: Any, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Creates a function that is called after the test."""

    def create(**given: Any) -> Any:
        name = re.sub(r"\W", "-", request.node.name)[-60:]
        settings = {"FunctionName": name, "Runtime": "python3.12", "Role": ROLE, "Handler": "app.handler"}
        return client.create_function(**{**settings, "Code": {"ZipFile": zipped()}, **given})

    return create


def refused(call: Callable[..., Any], **given: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as raised:
        call(**given)
    told = raised.value.response
    return told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Message"]


def invoked(client: Any, name: str, event: Any = None, **given: Any) -> Any:
    return json.loads(client.invoke(FunctionName=name, Payload=json.dumps(event), **given)["Payload"].read())


def test_a_function_is_created_and_runs(client: Any, create: Any) -> None:
    made = create(Environment={"Variables": {"STAGE": "test"}}, Timeout=5, Tags={"team": "a"})
    name = made["FunctionName"]
    assert (made["FunctionArn"], made["State"], made["Version"]) == (ARN + name, "Active", "$LATEST")
    assert made["CodeSize"] == len(zipped()) and made["Environment"] == {"Variables": {"STAGE": "test"}}
    assert invoked(client, name, {"n": 1}) == [{"n": 1}, "$LATEST", ARN + name]
    found = client.get_function(FunctionName=made["FunctionArn"])
    assert found["Tags"] == {"team": "a"} and found["Configuration"]["CodeSha256"] == made["CodeSha256"]
    assert Path(found["Code"]["Location"].removeprefix("file://")).read_bytes() == zipped()


def test_an_invocation_tells_its_version_its_log_and_its_error(client: Any, create: Any) -> None:
    code = "def handler(event, context):\n    print('hello log')\n    raise KeyError('no')\n"
    name = create(Code={"ZipFile": zipped(code)})["FunctionName"]
    answer = client.invoke(FunctionName=name, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"], answer["ExecutedVersion"]) == (200, "Unhandled", "$LATEST")
    assert b"hello log" in base64.b64decode(answer["LogResult"])
    assert json.loads(answer["Payload"].read())["errorType"] == "KeyError"


def test_what_is_invoked_later_is_acknowledged_now_and_tried_again(client: Any, create: Any, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    code = (
        f"def handler(event, context):\n    with open({str(ledger)!r}, 'a') as file:\n        print(event, file=file)\n"
        f"    with open({str(ledger)!r}) as file:\n        assert len(file.readlines()) > 2\n"
    )
    name = create(Code={"ZipFile": zipped(code)})["FunctionName"]
    answer = client.invoke(FunctionName=name, InvocationType="Event", Payload=b"7")
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    for _ in range(400):
        if ledger.exists() and ledger.read_text() == "7\n7\n7\n":
            break
        threading.Event().wait(0.05)
    assert ledger.read_text() == "7\n7\n7\n"


def test_a_dry_run_runs_nothing(client: Any, create: Any) -> None:
    name = create()["FunctionName"]
    assert client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    told = refused(client.invoke, FunctionName="gone", InvocationType="DryRun")
    assert told[:2] == ("ResourceNotFoundException", 404)


def test_new_code_and_settings_take_effect_at_once(client: Any, create: Any) -> None:
    name = create()["FunctionName"]
    assert invoked(client, name)[1] == "$LATEST"
    code = "import os\ndef handler(event, context): return os.environ.get('STAGE')\n"
    before = client.get_function_configuration(FunctionName=name)["RevisionId"]
    changed = client.update_function_code(FunctionName=name, ZipFile=zipped(code))
    assert changed["RevisionId"] != before and invoked(client, name) is None
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {"STAGE": "two"}}, MemorySize=256)
    assert invoked(client, name) == "two"
    assert client.get_function_configuration(FunctionName=name)["MemorySize"] == 256
    told = refused(client.update_function_configuration, FunctionName=name, RevisionId=before, Timeout=9)
    assert told[:2] == ("PreconditionFailedException", 412)


def test_versions_keep_their_code_and_aliases_lead_to_them(client: Any, create: Any) -> None:
    name = create(Publish=True)["FunctionName"]
    assert client.publish_version(FunctionName=name)["Version"] == "1", "nothing has changed"
    client.update_function_code(FunctionName=name, ZipFile=zipped("def handler(event, context): return 'two'\n"))
    assert client.publish_version(FunctionName=name, Description="second")["Version"] == "2"
    versions = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [each["Version"] for each in versions] == ["$LATEST", "1", "2"]
    alias = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert alias["AliasArn"] == f"{ARN}{name}:live"
    assert invoked(client, name, Qualifier="live")[1:] == ["1", f"{ARN}{name}:live"]
    assert client.invoke(FunctionName=f"{name}:live")["ExecutedVersion"] == "1"
    assert refused(client.delete_function, FunctionName=name, Qualifier="1")[:2] == ("ResourceConflictException", 409)
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert invoked(client, name, Qualifier="live") == "two"
    assert [each["Name"] for each in client.list_aliases(FunctionName=name)["Aliases"]] == ["live"]
    weights = {"AdditionalVersionWeights": {"1": 1.0}}
    assert client.update_alias(FunctionName=name, Name="live", RoutingConfig=weights)["RoutingConfig"] == weights
    assert invoked(client, name, Qualifier="live")[1] == "1"
    client.delete_alias(FunctionName=name, Name="live")
    assert refused(client.get_alias, FunctionName=name, Name="live")[:2] == ("ResourceNotFoundException", 404)
    client.delete_function(FunctionName=name, Qualifier="1")
    assert refused(client.invoke, FunctionName=name, Qualifier="1")[0] == "ResourceNotFoundException"
    told = refused(client.create_alias, FunctionName=name, Name="x", FunctionVersion="9")
    assert told[0] == "ResourceNotFoundException"


def test_permissions_are_kept_and_shown(client: Any, create: Any) -> None:
    name = create()["FunctionName"]
    assert refused(client.get_policy, FunctionName=name)[:2] == ("ResourceNotFoundException", 404)
    given = {
        "StatementId": "s",
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": "arn:aws:events:us-east-1:123456789012:rule/r",
    }
    client.add_permission(FunctionName=name, **given)
    assert refused(client.add_permission, FunctionName=name, **given)[:2] == ("ResourceConflictException", 409)
    (statement,) = json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"} and statement["Resource"] == ARN + name
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": given["SourceArn"]}}
    client.remove_permission(FunctionName=name, StatementId="s")
    assert refused(client.remove_permission, FunctionName=name, StatementId="s")[0] == "ResourceNotFoundException"


def test_tags_are_kept_and_shown(client: Any, create: Any) -> None:
    arn = create(Tags={"a": "1"})["FunctionArn"]
    client.tag_resource(Resource=arn, Tags={"b": "2"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"b": "2"}


def test_a_function_without_concurrency_is_throttled(client: Any, create: Any) -> None:
    name = create()["FunctionName"]
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 0
    assert refused(client.invoke, FunctionName=name)[:2] == ("TooManyRequestsException", 429)
    client.delete_function_concurrency(FunctionName=name)
    assert invoked(client, name)[0] is None


def test_functions_are_listed_by_page(client: Any, create: Any) -> None:
    name = create()["FunctionName"]
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
    names = [each["FunctionName"] for page in pages for each in page["Functions"]]
    assert name in names and "found" in names and len(names) == len(set(names))


def test_a_deleted_function_is_gone(client: Any, create: Any) -> None:
    name = create()["FunctionName"]
    invoked(client, name)
    client.delete_function(FunctionName=name)
    for call in (client.get_function, client.invoke, client.delete_function, client.get_function_configuration):
        code, status, message = refused(call, FunctionName=name)
        assert (code, status, message) == ("ResourceNotFoundException", 404, f"Function not found: {ARN}{name}")


def test_a_function_found_in_a_folder_is_seen_and_run_but_not_changed(client: Any, create: Any) -> None:
    assert invoked(client, "found") == "found"
    assert client.get_function(FunctionName="found")["Configuration"]["Handler"] == "found.handler"
    assert refused(client.delete_function, FunctionName="found")[:2] == ("ResourceConflictException", 409)
    assert refused(create, FunctionName="found")[0] == "ResourceConflictException"


def test_code_comes_from_s3_or_from_a_folder(client: Any, create: Any, running: Running, tmp_path: Path) -> None:
    assert running.s3 is not None
    s3 = client_of(running.s3, "s3")
    s3.create_bucket(Bucket="code-of-functions")
    s3.put_object(Bucket="code-of-functions", Key="f.zip", Body=zipped("def handler(event, context): return 's3'\n"))
    name = create(Code={"S3Bucket": "code-of-functions", "S3Key": "f.zip"})["FunctionName"]
    assert invoked(client, name) == "s3"
    told = refused(client.update_function_code, FunctionName=name, S3Bucket="code-of-functions", S3Key="gone")
    assert told[0] == "InvalidParameterValueException" and "NoSuchKey" in told[2]
    (tmp_path / "app.py").write_text("def handler(event, context): return 'folder'\n")
    client.update_function_code(FunctionName=name, S3Bucket="local-folder", S3Key=str(tmp_path))
    assert invoked(client, name) == "folder"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"Code": {"ZipFile": b"no zip"}}, "Could not unzip"),
        ({"Code": {"ZipFile": zipped(name="../evil.py")}}, "outside of its folder"),
        ({"Code": {}}, "source for function code"),
        ({"Runtime": "java21"}, "'runtime'"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "reserved keys"),
        ({"Environment": {"Variables": {"BIG": "x" * 5000}}}, "4KB limit"),
        ({"PackageType": "Image"}, "container images"),
    ],
)
def test_what_cannot_be_run_is_refused(given: Any, words: str, create: Any) -> None:
    code, status, message = refused(create, **given)
    assert (code, status) == ("InvalidParameterValueException", 400) and words in message


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"Payload": b"{"}, "InvalidRequestContentException"),
        ({"ClientContext": "?"}, "InvalidRequestContentException"),
        ({"FunctionName": "found:1", "Qualifier": "2"}, "InvalidParameterValueException"),
        ({"InvocationType": "Later"}, "ValidationException"),
    ],
)
def test_invocations_that_make_no_sense_are_refused(given: Any, code: str, client: Any) -> None:
    assert refused(client.invoke, **{"FunctionName": "found", **given})[:2] == (code, 400)


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    running = Running(tmp_path / "data", tmp_path / "functions")
    client = client_of(running.url)
    settings = {"Runtime": "python3.12", "Role": ROLE, "Handler": "app.handler", "Code": {"ZipFile": zipped()}}
    client.create_function(FunctionName="stays", Publish=True, **settings)
    client.create_alias(FunctionName="stays", Name="live", FunctionVersion="1")
    running.stop()
    again = Running(tmp_path / "data", tmp_path / "functions")
    try:
        assert invoked(client_of(again.url), "stays", 5, Qualifier="live")[:2] == [5, "1"]
    finally:
        again.stop()


def test_the_aws_cli_invokes_a_function(running: Running, create: Any, tmp_path: Path) -> None:
    name = create()["FunctionName"]
    command = [sys.executable, "-m", "awscli", "lambda", "invoke", "--function-name", name, "--payload", "[1]"]
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": running.url,
    }
    told = subprocess.run(
        [*command, str(tmp_path / "out")], env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["StatusCode"] == 200
    assert "$LATEST" in (tmp_path / "out").read_text()
