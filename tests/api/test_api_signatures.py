"""Signatures: requests that botocore signs are let in, and no other ones."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import boto3
import pytest
from api_serving import PASS, ROLE, STATES, Served, until
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from treadle.api import signatures
from treadle.api.guard import KeysError, read_keys
from treadle.api.signatures import Asked, BadSignature

KEY, SECRET = "AKIATREADLE", "a secret/of+ours"
TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Papers: {Type: AWS::S3::Bucket, Properties: {BucketName: papers}}
  Ask: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.11, Handler: ask.handler, CodeUri: code}}
  Speak:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: speak
      Definition:
        StartAt: Put
        States:
          Put:
            Type: Task
            Resource: arn:aws:states:::aws-sdk:s3:putObject
            Parameters: {Bucket: papers, Key: said, Body: hello}
            Next: Ask
          Ask: {Type: Task, Resource: !GetAtt Ask.Arn, End: true}
"""
ASK = """
import boto3

def handler(event, context):
    return boto3.client("s3").get_object(Bucket="papers", Key="said")["Body"].read().decode()
"""


def keys_in(folder: Path) -> Path:
    file = folder / "keys.yaml"
    file.write_text(f'{KEY}: "{SECRET}"\n')
    file.chmod(0o600)
    return file


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "code").mkdir()
    (folder / "code" / "ask.py").write_text(ASK)
    (folder / "template.yaml").write_text(TEMPLATE)
    served = Served(folder / "data", "--auth", str(keys_in(folder)), str(folder))
    yield served
    assert served.stop() == 0


def client(served: Served, service: str, key: str = KEY, secret: str = SECRET, **settings: Any) -> Any:
    config = Config(inject_host_prefix=False, retries={"total_max_attempts": 1}, **settings)
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    return boto3.client(service, "us-east-1", endpoint_url=served.endpoint, config=config, **keys)


def test_a_stack_works_behind_the_guard_and_its_functions_and_tasks_sign_for_themselves(guarded: Served) -> None:
    states = client(guarded, "stepfunctions")
    started = states.start_execution(stateMachineArn=f"{STATES}:stateMachine:speak", input="{}")["executionArn"]

    def ended() -> Any:
        told = states.describe_execution(executionArn=started)
        return told if told["status"] != "RUNNING" else None

    told = until(ended, 60)
    assert told.get("output") == '"hello"', told


def test_objects_are_put_and_got_with_keys_that_must_be_encoded(guarded: Served) -> None:
    s3 = client(guarded, "s3", s3={"addressing_style": "path"})
    for key in ("plain", "a b/c+d=é~.txt", "dots/../and//slashes"):
        s3.put_object(Bucket="papers", Key=key, Body=key.encode() * 1000, ContentType="text/plain")
        assert s3.get_object(Bucket="papers", Key=key)["Body"].read() == key.encode() * 1000
    assert "plain" in [each["Key"] for each in s3.list_objects_v2(Bucket="papers")["Contents"]]


def test_a_presigned_url_is_good_as_it_is_and_for_nothing_else(guarded: Served) -> None:
    s3 = client(guarded, "s3", s3={"addressing_style": "path"}, signature_version="s3v4")
    s3.put_object(Bucket="papers", Key="one", Body=b"1")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "papers", "Key": "one"}, ExpiresIn=60)
    with urlopen(url) as answer:
        assert answer.read() == b"1"
    for wrong in (url.replace("/one?", "/two?"), url.replace("Expires=60", "Expires=61")):
        assert refusal(Request(wrong)) == (403, "SignatureDoesNotMatch")


def test_urls_that_boto3_presigns_by_default_put_and_get_and_are_good_for_nothing_else(guarded: Served) -> None:
    """boto3 makes them with Signature Version 2."""
    s3 = client(guarded, "s3", s3={"addressing_style": "path"})
    named = {"Bucket": "papers", "Key": "old one"}
    put = s3.generate_presigned_url("put_object", Params={**named, "ContentType": "text/plain"})
    assert "AWSAccessKeyId=" in put
    with urlopen(Request(put, b"by URL", {"Content-Type": "text/plain"}, method="PUT")) as answer:
        assert answer.status == 200
    shown = {**named, "ResponseContentType": "text/html"}
    url = s3.generate_presigned_url("get_object", Params=shown, ExpiresIn=60)
    with urlopen(url) as answer:
        assert (answer.read(), answer.headers["Content-Type"]) == (b"by URL", "text/html")
    wrong = {
        url.replace("/old%20one?", "/plain?"): "SignatureDoesNotMatch",
        f"{url}&acl": "SignatureDoesNotMatch",
        f"{url}&intelligent-tiering": "AccessDenied",
        url.replace("Expires=", "Expires=9"): "SignatureDoesNotMatch",
        re.sub(r"Expires=\d+", "Expires=1", url): "AccessDenied",
        url.replace(KEY, "AKIAOTHER"): "InvalidAccessKeyId",
    }
    for address, code in wrong.items():
        assert refusal(Request(address)) == (403, code)
    assert refusal(Request(put, b"", {"Content-Type": "text/html"}, method="PUT")) == (403, "SignatureDoesNotMatch")


def test_presigned_urls_of_version_4_put_too(guarded: Served) -> None:
    s3 = client(guarded, "s3", s3={"addressing_style": "path"}, signature_version="s3v4")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "papers", "Key": "new"}, ExpiresIn=60)
    with urlopen(Request(url, b"signed", method="PUT")) as answer:
        assert answer.status == 200
    assert s3.get_object(Bucket="papers", Key="new")["Body"].read() == b"signed"


def refusal(request: Request) -> tuple[int, str]:
    """Status and code of an answer in XML."""
    with pytest.raises(HTTPError) as refused:
        urlopen(request)
    with refused.value as told:
        found = re.search(r"<Code>(\w+)</Code>", told.read().decode())
        assert found is not None
        return told.code, found[1]


def test_keys_that_sts_gives_are_good_with_their_token(guarded: Served) -> None:
    given = client(guarded, "sts").assume_role(RoleArn=ROLE, RoleSessionName="me")["Credentials"]
    key, secret, token = given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    session = boto3.Session(key, secret, token, region_name="us-east-1")
    config = Config(inject_host_prefix=False, retries={"total_max_attempts": 1})
    states = session.client("stepfunctions", endpoint_url=guarded.endpoint, config=config)
    assert states.list_activities()["activities"] == []
    s3 = session.client("s3", endpoint_url=guarded.endpoint, config=config)
    s3.put_object(Bucket="papers", Key="with a token", Body=b"1")
    for version in ("s3v4", "s3"):
        signing = session.client("s3", endpoint_url=guarded.endpoint, config=Config(signature_version=version))
        url = signing.generate_presigned_url("get_object", Params={"Bucket": "papers", "Key": "with a token"})
        with urlopen(url) as answer:
            assert answer.read() == b"1"
    for wrong in (None, "other"):
        lost = boto3.Session(key, secret, wrong, region_name="us-east-1")
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            lost.client("stepfunctions", endpoint_url=guarded.endpoint, config=config).list_activities()


REFUSED = [
    ("stepfunctions", "list_state_machines", "AKIAOTHER", SECRET, 400, "UnrecognizedClientException"),
    ("stepfunctions", "list_state_machines", KEY, "other", 400, "InvalidSignatureException"),
    ("lambda", "list_functions", KEY, "other", 403, "InvalidSignatureException"),
    ("sts", "get_caller_identity", "AKIAOTHER", SECRET, 403, "InvalidClientTokenId"),
    ("sts", "get_caller_identity", KEY, "other", 403, "SignatureDoesNotMatch"),
    ("s3", "list_buckets", "AKIAOTHER", SECRET, 403, "InvalidAccessKeyId"),
    ("s3", "list_buckets", KEY, "other", 403, "SignatureDoesNotMatch"),
]


@pytest.mark.parametrize(("service", "operation", "key", "secret", "status", "code"), REFUSED)
def test_a_wrong_key_or_secret_is_refused_in_the_words_of_the_service(
    guarded: Served, service: str, operation: str, key: str, secret: str, status: int, code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(client(guarded, service, key, secret), operation)()
    told: Any = refused.value.response
    assert (told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"]) == (status, code)


def test_who_signs_nothing_is_told_so(guarded: Served) -> None:
    request = Request(guarded.endpoint, b"{}", {"X-Amz-Target": "AWSStepFunctions.ListStateMachines"})
    with pytest.raises(HTTPError) as refused:
        urlopen(request)
    with refused.value as told:
        assert b"MissingAuthenticationTokenException" in told.read()


def test_pages_of_our_own_are_read_from_this_machine_and_are_no_way_around_a_signature(guarded: Served) -> None:
    with urlopen(f"{guarded.endpoint}/health") as answer:
        assert answer.status == 200
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(guarded, "s3", KEY, "other", s3={"addressing_style": "path"}).list_objects_v2(Bucket="health")


def test_all_addresses_may_be_listened_at_with_keys(tmp_path: Path) -> None:
    served = Served(tmp_path / "data", "--auth", str(keys_in(tmp_path)), "--host", "0.0.0.0")
    made = client(served, "stepfunctions").create_state_machine(name="m", definition=PASS, roleArn=ROLE)
    assert made["stateMachineArn"].endswith(":m")
    assert served.stop() == 0


def test_keys_that_others_may_read_or_that_are_none_are_refused(tmp_path: Path) -> None:
    file = keys_in(tmp_path)
    assert read_keys(file) == {KEY: SECRET}
    file.chmod(0o644)
    with pytest.raises(KeysError, match="other users may read"):
        read_keys(file)
    file.chmod(0o600)
    for text in ("", "[a]", "a: 1", 'a: ""', "a/b: c", "a: [", "{}"):
        file.write_text(text)
        with pytest.raises(KeysError):
            read_keys(file)


SIGNERS = [("s3", S3SigV4Auth), ("states", SigV4Auth), ("s3", S3SigV4QueryAuth)]


def signed_by_botocore(service: str, signer: Any) -> tuple[Asked, bytes]:
    url, body = "http://127.0.0.1:8083/a%20b/c?x=1&Y=%20", b'{"a": 1}'
    headers = {"X-Amz-Target": "Any.Thing", "Content-Type": "text/plain", "Host": "127.0.0.1:8083"}
    request = AWSRequest("POST", url, headers=headers, data=body)
    signer(Credentials(KEY, SECRET), service, "us-east-1").add_auth(request)
    parts = urlsplit(request.url)
    lower = [(name.lower(), value) for name, value in request.headers.items()]
    return Asked("POST", parts.path.encode(), parts.query.encode(), lower), body


def verify(asked: Asked, body: bytes, now: float | None = None) -> None:
    signature = signatures.read(asked)
    signatures.check_time(signature, time.time() if now is None else now)
    hashed = sha256(body).hexdigest()
    told = signatures.announced(asked, signature) or hashed
    signatures.check(asked, signature, SECRET, told)
    if told not in (hashed, signatures.UNSIGNED):
        raise BadSignature("payload", "")


@pytest.mark.parametrize(("service", "signer"), SIGNERS)
@given(data=st.data())
def test_a_byte_that_is_changed_in_what_was_signed_is_refused(service: str, signer: Any, data: st.DataObject) -> None:
    asked, body = signed_by_botocore(service, signer)
    verify(asked, body)
    signed = signatures.read(asked).signed
    headers = [index for index, (name, _) in enumerate(asked.headers) if name in signed]
    places = ["path", "query", "method", *headers]
    if signer is not S3SigV4QueryAuth:
        places.append("body")
    place = data.draw(st.sampled_from(places))

    def changed(old: str) -> str:
        at = data.draw(st.integers(0, len(old) - 1))
        return old[:at] + data.draw(st.sampled_from([c for c in "abcXYZ0189_" if c != old[at]])) + old[at + 1 :]

    match place:
        case "path":
            asked = replace(asked, path=b"/" + changed(asked.path.decode()[1:]).encode())
        case "query":
            asked = replace(asked, query=changed(asked.query.decode()).encode())
        case "method":
            asked = replace(asked, method=changed(asked.method))
        case "body":
            body = changed(body.decode()).encode()
        case index:
            assert isinstance(index, int)
            name, value = asked.headers[index]
            asked = replace(
                asked, headers=[*asked.headers[:index], (name, changed(value)), *asked.headers[index + 1 :]]
            )
    with pytest.raises(BadSignature):
        verify(asked, body)


@pytest.mark.parametrize(
    ("seconds", "reason"), [(-1000, "skewed"), (-800, None), (800, None), (1000, "skewed")], ids=str
)
def test_a_clock_may_be_fifteen_minutes_off(seconds: int, reason: str | None) -> None:
    asked, body = signed_by_botocore("states", SigV4Auth)
    if reason is None:
        verify(asked, body, time.time() + seconds)
        return
    with pytest.raises(BadSignature) as refused:
        verify(asked, body, time.time() + seconds)
    assert refused.value.reason == reason
    # The words by which SDKs know that a clock is wrong.
    assert re.fullmatch(
        r"Signature (expired|not yet current): \d{8}T\d{6}Z is (now earlier|still later) than \d{8}T\d{6}Z "
        r"\(\d{8}T\d{6}Z [-+] 15 min\.\)",
        refused.value.message,
    )


def test_a_presigned_url_ends_when_it_says_so() -> None:
    asked, body = signed_by_botocore("s3", S3SigV4QueryAuth)
    with pytest.raises(BadSignature, match="expired"):
        verify(asked, body, time.time() + 3700)


def test_a_header_of_amazon_that_was_not_signed_is_refused() -> None:
    asked, body = signed_by_botocore("states", SigV4Auth)
    asked = replace(asked, headers=[*asked.headers, ("x-amz-more", "1")])
    with pytest.raises(BadSignature, match=re.escape("x-amz-more")):
        verify(asked, body)
