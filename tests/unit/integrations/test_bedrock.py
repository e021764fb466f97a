"""Models of Amazon Bedrock: a server in the place of Bedrock, and S3 of the local cloud for inputs and outputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aws_calling import answer, refusal

from faulty_aws import Exchange, Faulty, faulty
from local_cloud import LocalCloud
from treadle.integrations.aws import AwsSessions, Keys, OptimisedIntegration
from treadle.runtime.clock import VirtualClock
from treadle.runtime.ports import LOST

INVOKE = "bedrock:invokeModel"
ANSWER = {"text": "hi"}


@pytest.fixture
def bucket(local_cloud: LocalCloud) -> Iterator[str]:
    client = local_cloud.client("s3")
    name = local_cloud.unique("models")
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="in/prompt", Body=b'{"prompt":"hello"}', ContentType="text/x-prompt")
    yield name
    client.close()


@pytest.fixture
def models(local_cloud: LocalCloud) -> Iterator[Callable[[Faulty], OptimisedIntegration]]:
    """The integration with S3 of the local cloud, and Bedrock at a server."""
    opened: list[AwsSessions] = []

    def made(bedrock: Faulty) -> OptimisedIntegration:
        special = {"bedrock-runtime": bedrock.url}
        opened.append(AwsSessions(endpoint_url=local_cloud.endpoint, special=special, keys=Keys("testing", "testing")))
        return OptimisedIntegration(opened[-1], lambda: VirtualClock(0.0))

    yield made
    for sessions in opened:
        sessions.close()


Models = Callable[[Faulty], OptimisedIntegration]


def hello(exchange: Exchange) -> None:
    exchange.answer(ANSWER, **{"Content-Type": "application/json"})


def test_a_model_answers_with_json(models: Models) -> None:
    with faulty(hello) as bedrock:
        given = answer(models(bedrock), INVOKE, {"ModelId": "m", "Body": {"prompt": "hi"}})
        (sent,) = bedrock.seen
    assert sent.json == {"prompt": "hi"} and sent.handler.path == "/model/m/invoke"
    assert given == {"Body": ANSWER, "ContentType": "application/json"}


@pytest.mark.parametrize(("given", "kind"), [(None, "text/x-prompt"), ("application/json", "application/json")])
def test_an_input_is_read_from_s3_with_its_content_type(
    given: str | None, kind: str, models: Models, bucket: str
) -> None:
    with faulty(hello) as bedrock:
        arguments = {"ModelId": "m", "Input": {"S3Uri": f"s3://{bucket}/in/prompt"}, "ContentType": given}
        assert answer(models(bedrock), INVOKE, arguments)["Body"] == ANSWER
        (sent,) = bedrock.seen
    assert (sent.body, sent.handler.headers["Content-Type"]) == (b'{"prompt":"hello"}', kind)


def test_an_output_is_written_to_s3_and_told_by_its_address(
    models: Models, bucket: str, local_cloud: LocalCloud
) -> None:
    place, large = f"s3://{bucket}/out/a b", json.dumps({"text": "x" * 300_000}).encode()

    def behave(exchange: Exchange) -> None:
        exchange.send(large, **{"Content-Type": "application/json"})

    with faulty(behave) as bedrock:
        arguments = {"ModelId": "m", "Body": {"prompt": "hi"}, "Output": {"S3Uri": place}}
        given = answer(models(bedrock), INVOKE, arguments)
        assert refusal(models(bedrock), INVOKE, {"ModelId": "m", "Body": {}}).name == "States.DataLimitExceeded"
    assert given == {"Body": place, "ContentType": "application/json"}
    client = local_cloud.client("s3")
    found = client.get_object(Bucket=bucket, Key="out/a b")
    assert (found["Body"].read(), found["ContentType"]) == (large, "application/json")
    client.close()


@pytest.mark.parametrize(
    ("more", "error", "cause"),
    [
        ({"Input": {"S3Uri": "s3://@/none"}}, "S3.NoSuchKeyException", "(Service: Amazon S3; Status Code: 404; "),
        ({"Input": {"S3Uri": "s3://no-such-bucket/k"}}, "S3.NoSuchBucketException", "Error Code: NoSuchBucket; "),
        ({"Body": {}, "Input": {"S3Uri": "s3://@/in/prompt"}}, "States.Runtime", "'Body' and 'Input'"),
        ({"Input": {"S3Uri": "@/in/prompt"}}, "States.Runtime", "'Input' must have an 'S3Uri'"),
        ({"Input": "s3://@/in/prompt"}, "States.Runtime", "'Input' must have an 'S3Uri'"),
        ({"Body": {}, "Output": {"S3Uri": "s3://@"}}, "States.Runtime", "'Output' must have an 'S3Uri'"),
        ({"Body": {}, "ModelId": None}, "Bedrock.ValidationException", "'modelId' failed to satisfy"),
    ],
)
def test_what_cannot_be_used_is_told_and_no_model_is_asked(
    more: Any, error: str, cause: str, models: Models, bucket: str
) -> None:
    with faulty(hello) as bedrock:
        arguments = json.loads(json.dumps({"ModelId": "m", **more}).replace("@", bucket))
        refused = refusal(models(bedrock), INVOKE, arguments)
        assert (refused.name, cause in (refused.cause or ""), bedrock.seen) == (error, True, []), refused


def test_an_output_that_cannot_be_written_fails_the_task(models: Models) -> None:
    with faulty(hello) as bedrock:
        arguments = {"ModelId": "m", "Body": {}, "Output": {"S3Uri": "s3://no-such-bucket/k"}}
        assert refusal(models(bedrock), INVOKE, arguments).name == "S3.NoSuchBucketException"


def test_a_model_is_not_asked_twice_unasked(models: Models) -> None:
    with faulty(hello) as bedrock:
        refused = refusal(models(bedrock), INVOKE, {"ModelId": "m", "Body": {}}, again=True)
        assert (refused.name, refused.cause, bedrock.seen) == ("States.TaskFailed", LOST, [])
