import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from treadle.functions.spec import FunctionSpec
from treadle.local.errors import TemplateError
from treadle.local.stack.deploy import Deployed, Deployment, delete_stack
from treadle.local.stack.existing import EXISTING, NOT_MADE
from treadle.local.stack.names import physical_name, stack_name
from treadle.local.stack.providers import ACCEPTED, PROVIDERS
from treadle.local.stack.state import StateFile, read_state
from treadle.local.stack.world import World
from treadle.local.template.reading import read_template
from treadle.local.template.resolve import Surrounding


class Tables:
    """The functions and the register as plain dictionaries."""

    def __init__(self) -> None:
        self.functions: dict[str, FunctionSpec] = {}
        self.kept: dict[tuple[str, str], Mapping[str, Any]] = {}

    def world(self, url: str, here: Surrounding, folder: Path) -> World:
        return World(url, here, Specs(self.functions), Kept(self.kept), folder)


class Specs:
    def __init__(self, functions: dict[str, FunctionSpec]) -> None:
        self.functions = functions

    def put(self, spec: FunctionSpec) -> None:
        self.functions[spec.name] = spec

    def remove(self, name: str) -> None:
        del self.functions[name]


class Kept:
    def __init__(self, kept: dict[tuple[str, str], Mapping[str, Any]]) -> None:
        self.kept = kept

    def put(self, kind: str, key: str, properties: Mapping[str, Any]) -> None:
        self.kept[kind, key] = properties

    def remove(self, kind: str, key: str) -> None:
        del self.kept[kind, key]


class Bench:
    """A folder with a template, and the cloud that it is deployed to."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder, self.tables = folder, Tables()
        # One cloud serves all tests of a session.
        self.stack = f"app-{uuid.uuid4().hex[:8]}"
        self.here = Surrounding(self.stack)
        self.world = self.tables.world(url, self.here, folder)

    def named(self, resource: str, limit: int, *, lower: bool = False) -> str:
        return physical_name(self.stack, resource, limit, lower=lower)

    def deploy(self, text: str, **given: str) -> Deployed:
        path = self.folder / "template.yaml"
        path.write_text(text)
        template = read_template(path, self.here, given)
        return Deployment(template, StateFile(self.folder, self.stack, path, self.world.endpoint), self.world).run()

    def actions(self, text: str) -> dict[str, str]:
        return {step.made.name: step.action for step in self.deploy(text).steps}

    def client(self, service: str) -> Any:
        return self.world.client(service)


@pytest.fixture
def bench(local_cloud: Any, tmp_path: Path) -> Iterator[Bench]:
    yield Bench(local_cloud.endpoint, tmp_path)


PLAIN = (Path(__file__).parent / "plain.yaml").read_text()


def test_a_stack_comes_to_life_stays_changes_and_goes(bench: Bench) -> None:
    deployed = bench.deploy(PLAIN)
    assert {step.action for step in deployed.steps} == {"made"}
    assert deployed.outputs["Queue"] == bench.named("Jobs", 80)
    assert deployed.outputs["Net"].startswith("vpc-")
    assert deployed.outputs["Thing"] == "arn:aws:nowhere:us-east-1:123456789012:thing/odd"
    told = "\n".join(deployed.notices)
    assert "Odd (AWS::Nowhere::Thing): this type is not known here" in told
    assert "Wide (AWS::CloudWatch::Alarm): alarms are kept and never evaluated" in told

    bucket = bench.named("Papers", 63, lower=True)
    assert bench.client("s3").get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert bench.client("dynamodb").describe_time_to_live(TableName=bench.named("Tasks", 255))[
        "TimeToLiveDescription"
    ] == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    secret = bench.client("secretsmanager").get_secret_value(SecretId=bench.named("Token", 512))
    assert len(json.loads(secret["SecretString"])["password"]) == 20
    function = bench.tables.functions[bench.named("F", 64)]
    assert function.environment == {"TABLE": bench.named("Tasks", 255), "SIZE": "3"}
    assert (function.folder / "index.py").read_text().startswith("def handler")
    topic = next(
        each["TopicArn"]
        for each in bench.client("sns").list_topics()["Topics"]
        if bench.named("News", 256) in each["TopicArn"]
    )
    endpoints = [
        each["Endpoint"] for each in bench.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    ]
    assert any(each.endswith(f"/_treadle/sns/{function.name}") for each in endpoints)

    assert set(bench.actions(PLAIN).values()) == {"kept"}
    bench.client("s3").put_object(Bucket=bucket, Key="k", Body=b"kept")
    changed = bench.actions(
        PLAIN.replace("VisibilityTimeout: 7", "VisibilityTimeout: 9").replace("Value: 3", "Value: 4")
    )
    assert {name for name, action in changed.items() if action == "changed"} == {"Jobs", "Limit"}
    url = bench.client("sqs").get_queue_url(QueueName=bench.named("Jobs", 80))["QueueUrl"]
    attributes = bench.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "9"

    state = StateFile(bench.folder, "app", bench.folder / "template.yaml", bench.world.endpoint)
    delete_stack(state, bench.world)
    assert read_state(bench.folder) is not None
    assert state.resources() == []
    assert bucket not in [each["Name"] for each in bench.client("s3").list_buckets()["Buckets"]]
    assert bench.tables.functions == {}
    assert bench.tables.kept == {}


SMALL = "Resources: {A: {Type: AWS::SQS::Queue}, B: {Type: AWS::SNS::Topic, DeletionPolicy: Retain}}"


def test_what_the_template_names_no_more_is_deleted_unless_it_is_retained(bench: Bench) -> None:
    bench.deploy(SMALL)
    assert bench.actions("Resources: {C: {Type: AWS::Logs::LogGroup}}") == {"A": "deleted", "B": "deleted", "C": "made"}
    topics = [each["TopicArn"] for each in bench.client("sns").list_topics()["Topics"]]
    assert any(bench.named("B", 256) in each for each in topics)


def test_a_state_that_was_lost_is_found_again_in_the_cloud(bench: Bench) -> None:
    bench.deploy(SMALL)
    (bench.folder / "stack.json").unlink()
    assert set(bench.actions(SMALL).values()) == {"made"}


def test_a_resource_that_a_service_refuses_is_named_with_its_place(bench: Bench) -> None:
    with pytest.raises(TemplateError, match=r"template\.yaml: Resources\.A|template\.yaml:\d+: Resources\.A") as error:
        bench.deploy("Resources: {B: {Type: AWS::SNS::Topic}, A: {Type: AWS::S3::Bucket, Properties: {BucketName: b}}}")
    assert "AWS::S3::Bucket" in str(error.value)
    assert [each.name for each in StateFile(bench.folder, "app", bench.folder, bench.world.endpoint).resources()] == [
        "B"
    ]


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ("{Type: AWS::Lambda::Function, Properties: {PackageType: Image}}", "container image"),
        ("{Type: AWS::Lambda::Function, Properties: {Runtime: java21, Code: {ZipFile: x}}}", "java21"),
        ("{Type: AWS::Lambda::Function, Properties: {Runtime: python3.11, Code: {S3Bucket: b, S3Key: k}}}", "CodeUri"),
        ("{Type: AWS::Events::Rule, Properties: {ScheduleExpression: rate(2 minute)}}", "rate"),
        (
            "{Type: AWS::Events::Rule, Properties: {EventPattern: {source: [{like: x}]}}}",
            "source: there is no operator",
        ),
        ("{Type: AWS::Scheduler::Schedule, Properties: {ScheduleExpression: cron(0 0 * * * *)}}", "exactly one of"),
        ("{Type: AWS::SQS::QueuePolicy, Properties: {Queues: [x]}}", "PolicyDocument"),
    ],
)
def test_properties_that_make_no_sense_are_refused(bench: Bench, resource: str, message: str) -> None:
    with pytest.raises(TemplateError, match=r"Resources\.X") as error:
        bench.deploy(f"Resources: {{X: {resource}}}")
    assert message in str(error.value)


def test_made_names_keep_their_hash_and_never_meet() -> None:
    long = "A" * 200
    first, second = physical_name("app", f"{long}1", 64), physical_name("app", f"{long}2", 64)
    assert first != second
    assert len(first) == len(second) == 64
    assert physical_name("app", "X") != physical_name("app-X", "") != physical_name("other", "X")
    assert [stack_name(each) for each in ("my app!", "7up", "x" * 90)] == ["my-app", "app-7up", "x" * 40]


def test_every_provider_belongs_to_a_type_of_cloudformation() -> None:
    assert all(type.count("::") == 2 and type.startswith("AWS::") for type in PROVIDERS)


def test_the_documentation_has_every_type_with_its_support() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "templates.md"
    told = [line for line in page.read_text().splitlines() if line.startswith("| `AWS::")]
    away = dict.fromkeys(EXISTING, "found on AWS") | dict.fromkeys(NOT_MADE, "not made")
    meant = [
        f"| `{type}` | {'accepted' if type in ACCEPTED else 'works'} | {away.get(type, 'as here')} |"
        for type in sorted(PROVIDERS)
    ]
    assert told == meant
