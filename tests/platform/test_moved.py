"""A stack that comes back on another port has moved as a whole."""

import asyncio
import json
from pathlib import Path
from typing import Any

from platform_up import Up, soon, up

from treadle.stores import open_store

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Jobs: {Type: AWS::SQS::Queue}
  Limit: {Type: AWS::SSM::Parameter, Properties: {Type: String, Name: /jobs, Value: !Ref Jobs}}
  Say:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      Environment: {Variables: {QUEUE: !Ref Jobs, API: !GetAtt Api.ApiEndpoint}}
      InlineCode: |
        import json, os
        def handler(event, context):
            return {name: os.environ[name] for name in ("AWS_ENDPOINT_URL", "QUEUE", "API")}
  Api: {Type: AWS::Serverless::HttpApi}
  News:
    Type: AWS::SNS::Topic
    Properties: {Subscription: [{Protocol: lambda, Endpoint: !GetAtt Heard.Arn}]}
  Heard:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      Environment: {Variables: {NOTE: NOTE_FILE}}
      InlineCode: |
        import os
        def handler(event, context):
            with open(os.environ["NOTE"], "a") as note:
                note.write(event["Records"][0]["Sns"]["Message"] + "\\n")
      Events:
        Look: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /look, Method: GET}}
Outputs:
  Queue: {Value: !Ref Jobs}
  Address: {Value: !GetAtt Api.ApiEndpoint}
  Topic: {Value: !Ref News}
"""


async def heard(here: Up, note: Path, message: str) -> list[str]:
    await here.call("sns", "publish", TopicArn=here.outputs["Topic"], Message=message)

    async def told() -> Any:
        return note.exists() and message in note.read_text()

    await soon(told)
    return note.read_text().split()


async def seen(here: Up) -> dict[str, str]:
    called = await here.call("lambda", "invoke", FunctionName=here.physical("Say"), Payload=b"{}")
    return json.loads(await asyncio.to_thread(called["Payload"].read))


def test_addresses_of_a_stack_are_those_of_the_new_port(tmp_path: Path) -> None:
    note, folder = tmp_path / "note", tmp_path / "app"
    folder.mkdir()
    (folder / "template.yaml").write_text(TEMPLATE.replace("NOTE_FILE", str(note)))

    async def play() -> None:
        async with up(folder, tmp_path / "data", store=open_store(str(tmp_path / "data"))) as first:
            before = first.platform.endpoint
            assert (await seen(first))["AWS_ENDPOINT_URL"] == before
            assert await heard(first, note, "one") == ["one"]
        async with up(folder, tmp_path / "data", store=open_store(str(tmp_path / "data"))) as second:
            endpoint = second.platform.endpoint
            assert endpoint != before
            assert {step.made.name for step in second.deployed.steps if step.action != "kept"} == {"Say", "Limit"}
            assert second.outputs["Queue"].startswith(f"{endpoint}/")
            assert second.outputs["Address"].startswith(f"{endpoint}/_api/")
            told = await seen(second)
            assert told == {
                "AWS_ENDPOINT_URL": endpoint,
                "QUEUE": second.outputs["Queue"],
                "API": second.outputs["Address"],
            }
            kept = await second.call("ssm", "get_parameter", Name="/jobs")
            assert kept["Parameter"]["Value"] == second.outputs["Queue"]
            assert await heard(second, note, "two") == ["one", "two"]

    asyncio.run(play())
