"""Templates that ask for much: what is meant is made, and what does not happen here is named with its consequence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from treadle.functions.spec import FunctionSpec
from treadle.local.errors import TemplateError
from treadle.local.stack.deploy import Deployed, Deployment
from treadle.local.stack.state import StateFile
from treadle.local.stack.world import World
from treadle.local.template.reading import read_template
from treadle.local.template.resolve import Surrounding


class Kept:
    """Functions and the register, as one dictionary."""

    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}

    def put(self, *given: Any) -> None:
        match given:
            case (FunctionSpec() as spec,):
                self.kept["function", spec.name] = spec
            case (kind, key, properties):
                self.kept[kind, key] = properties

    def remove(self, *given: Any) -> None:
        self.kept.pop(given if len(given) > 1 else ("function", given[0]))


class Bench:
    def __init__(self, cloud: Any, folder: Path) -> None:
        self.folder, self.tables = folder, Kept()
        self.here = Surrounding(cloud.unique("nasty"))
        self.world = World(cloud.endpoint, self.here, self.tables, self.tables, folder)

    def deploy(self, text: str, parameters: Mapping[str, str] | None = None) -> Deployed:
        path = self.folder / "template.yaml"
        path.write_text(text)
        template = read_template(path, self.here, parameters or {})
        return Deployment(template, StateFile(self.folder, self.here.stack, path, "http://here"), self.world).run()


@pytest.fixture
def bench(local_cloud: Any, tmp_path: Path) -> Bench:
    return Bench(local_cloud, tmp_path)


CONDITIONS = """
Parameters:
  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Sizes: {Type: CommaDelimitedList, Default: "1, 2,3"}
Mappings:
  Limits: {dev: {days: 1, name: small}, prod: {days: 30, name: large}}
Conditions:
  Prod: !Equals [!Ref Stage, prod]
  Watched: !And [!Condition Prod, !Not [!Equals [!Select [0, !Ref Sizes], "9"]]]
  Either: !Or [!Condition Prod, !Equals [!FindInMap [Limits, !Ref Stage, name], small]]
Resources:
  First:
    Type: AWS::SSM::Parameter
    DependsOn: [Last, Extra]
    Properties:
      Type: String
      Value: !Sub
        - "${Stage}/${Name}/${Nested}/${!Literal}/${AWS::Region}/${Last.Value}"
        - Name: !FindInMap [Limits, !Ref Stage, name]
          Nested: !Sub ["<${Inner}>", {Inner: !Join ["-", !Ref Sizes]}]
  Last: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !If [Either, either, neither]}}
  Extra: {Type: AWS::SSM::Parameter, Condition: Watched, Properties: {Type: String, Value: watched}}
  Group:
    Type: AWS::Logs::LogGroup
    Properties:
      RetentionInDays: !FindInMap [Limits, !Ref Stage, days]
      KmsKeyId: !If [Prod, "arn:aws:kms:us-east-1:123456789012:key/1", !Ref AWS::NoValue]
Outputs:
  Text: {Value: !GetAtt First.Value, Export: {Name: !Sub "${AWS::StackName}-text"}}
  Watched: {Condition: Watched, Value: !GetAtt Extra.Value}
"""


def test_conditions_maps_and_nested_substitutions_mean_what_cloudformation_means(bench: Bench) -> None:
    deployed = bench.deploy(CONDITIONS)
    assert deployed.outputs == {"Text": "dev/small/<1-2-3>/${Literal}/us-east-1/either"}
    order = [step.made.name for step in deployed.steps]
    assert order.index("Last") < order.index("First")
    assert "Extra" not in order
    deployed = bench.deploy(CONDITIONS, {"Stage": "prod", "Sizes": "7"})
    assert deployed.outputs["Text"] == "prod/large/<7>/${Literal}/us-east-1/either"
    assert deployed.outputs["Watched"] == "watched"
    assert {step.made.name: step.action for step in deployed.steps}["Extra"] == "made"
    # What a condition takes away is deleted again.
    assert {step.made.name: step.action for step in bench.deploy(CONDITIONS).steps}["Extra"] == "deleted"


PARAMETER = "Resources: {A: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: VALUE}}}\n"
FAULTS = {
    "!ImportValue net-vpc": "Resources.A: Fn::ImportValue net-vpc: other stacks are not here: make it a parameter",
    "!ImportValue {'Fn::Sub': '${AWS::StackName}-x'}": "other stacks are not here",
    "!FindInMap [Lost, a, b]": "Lost",
    "!Sub '${Lost.Arn}'": "Fn::GetAtt Lost.Arn: there is no such resource here",
    "!If [Lost, a, b]": "there is no condition 'Lost' among Conditions",
    "!Select [3, [a, b]]": "the list has the items 0 to 1",
}


@pytest.mark.parametrize("value", FAULTS)
def test_what_means_nothing_is_told_with_its_place(bench: Bench, value: str) -> None:
    with pytest.raises(TemplateError) as told:
        bench.deploy(PARAMETER.replace("VALUE", value))
    assert FAULTS[value] in str(told.value)
    assert "template.yaml:1" in str(told.value)


FUNCTION = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Q: {Type: AWS::SQS::Queue}
  T: {Type: AWS::SNS::Topic}
  B: {Type: AWS::S3::Bucket}
  L: {Type: AWS::Logs::LogGroup}
  D:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      StreamSpecification: {StreamViewType: NEW_IMAGE}
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
  K: {Type: AWS::Kinesis::Stream, Properties: {ShardCount: 1}}
  F:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: nasty
      Runtime: python3.11
      Handler: index.handler
      InlineCode: "def handler(event, context): return event"
      Layers: ["arn:aws:lambda:us-east-1:123456789012:layer:x:1"]
      Events:
        Queue:
          Type: SQS
          Properties: {Queue: !GetAtt Q.Arn, MaximumBatchingWindowInSeconds: 3, ScalingConfig: {MaximumConcurrency: 2}}
        Topic: {Type: SNS, Properties: {Topic: !Ref T}}
        Bucket: {Type: S3, Properties: {Bucket: !Ref B, Events: "s3:ObjectCreated:*"}}
        Table: {Type: DynamoDB, Properties: {Stream: !GetAtt D.StreamArn, StartingPosition: LATEST}}
        Stream: {Type: Kinesis, Properties: {Stream: !GetAtt K.Arn, StartingPosition: LATEST}}
        Daily: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
        Later: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day), RetryPolicy: {MaximumRetryAttempts: 2}}}
        Rule: {Type: EventBridgeRule, Properties: {Pattern: {source: [shop]}, RetryPolicy: {MaximumRetryAttempts: 2}}}
        Old: {Type: CloudWatchEvent, Properties: {Pattern: {source: [shop]}}}
        Log: {Type: CloudWatchLogs, Properties: {LogGroupName: !Ref L, FilterPattern: x}}
        Rest: {Type: Api, Properties: {Path: /a, Method: get}}
        Http: {Type: HttpApi, Properties: {Path: /a, Method: get}}
        Thing: {Type: IoTRule, Properties: {Sql: "SELECT * FROM 'a'"}}
        Skill: {Type: AlexaSkill}
        Kafka:
          Type: MSK
          Properties:
            Stream: "arn:aws:kafka:us-east-1:123456789012:cluster/a/b"
            StartingPosition: LATEST
            Topics: [x]
"""
UNHEARD = [
    "F (AWS::Lambda::Function): Layers has no effect here.",
    "FQueue (AWS::Lambda::EventSourceMapping): MaximumBatchingWindowInSeconds has no effect here: a batch is given",
    "FQueue (AWS::Lambda::EventSourceMapping): ScalingConfig has no effect here: one batch is worked off at a time.",
    "B (AWS::S3::Bucket): NotificationConfiguration has no effect here: nothing hears of objects that are put",
    "FTable (AWS::Lambda::EventSourceMapping): only queues are read here: nothing of arn:aws:dynamodb:",
    "FStream (AWS::Lambda::EventSourceMapping): only queues are read here: nothing of arn:aws:kinesis:",
    "FKafka (AWS::Lambda::EventSourceMapping): only queues are read here: nothing of arn:aws:kafka:",
    "FLater (AWS::Scheduler::Schedule): RetryPolicy.MaximumRetryAttempts has no effect here",
    "FRule (AWS::Events::Rule): the target arn:aws:lambda:us-east-1:123456789012:function:nasty: RetryPolicy has no",
    "FLog (AWS::Logs::SubscriptionFilter): this type is not known here: it has a name and nothing behind it, log",
    "FThing (AWS::IoT::TopicRule): this type is not known here: it has a name and nothing behind it, messages to IoT",
    "nothing of alexa-appkit.amazon.com is here: it never calls the function nasty.",
]


def test_every_kind_of_event_of_a_function_works_or_is_named_with_its_consequence(bench: Bench) -> None:
    deployed = bench.deploy(FUNCTION)
    told = "\n".join(deployed.notices)
    for each in UNHEARD:
        assert each in told, told
    # The permissions of IoT and of log groups say the same as what they are for.
    assert len(deployed.notices) == len(UNHEARD) + 2
    kinds = {kind for kind, _ in bench.tables.kept}
    assert {"rule", "schedule", "source", "http-api", "rest-api", "function"} <= kinds
    topic = next(step.made.id for step in deployed.steps if step.made.name == "T")
    subscribed = bench.world.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [each["Endpoint"].endswith("/_treadle/sns/nasty") for each in subscribed] == [True]


MACHINE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition: {StartAt: P, States: {P: {Type: Pass, End: true}}}
      Events:
        Daily: {Type: Schedule, Properties: {Schedule: rate(1 day), Input: '{"n": 1}'}}
        Later: {Type: ScheduleV2, Properties: {ScheduleExpression: "at(2030-01-01T00:00:00)"}}
        Rule:
          Type: EventBridgeRule
          Properties: {Pattern: {source: [shop]}, InputPath: $.detail, DeadLetterConfig: {Type: SQS}}
        Old: {Type: CloudWatchEvent, Properties: {Pattern: {detail: {n: [{numeric: [">", 1]}]}}}}
        Rest: {Type: Api, Properties: {Path: /start, Method: post}}
"""


def test_every_kind_of_event_of_a_state_machine_is_kept(bench: Bench) -> None:
    # The translation is looked at; a machine as such is for the platform's own tests.
    template = bench.folder / "template.yaml"
    template.write_text(MACHINE)
    types = [each.type for each in read_template(template, bench.here, {}).resources]
    assert types.count("AWS::Events::Rule") == 3
    assert types.count("AWS::Scheduler::Schedule") == 1
    assert {"AWS::ApiGateway::RestApi", "AWS::SQS::Queue", "AWS::StepFunctions::StateMachine"} <= set(types)


STAGES = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      AccessLogSettings: {DestinationArn: "arn:aws:logs:us-east-1:123456789012:log-group:a", Format: $context.requestId}
      DefaultRouteSettings: {ThrottlingBurstLimit: 5}
  Rest:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      TracingEnabled: true
      MethodSettings: [{HttpMethod: "*", ResourcePath: "/*", ThrottlingBurstLimit: 5}]
      DefinitionBody: {openapi: "3.0.1", paths: {}}
  Call:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      InlineCode: "def handler(event, context): return event"
      Events: {Look: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /a, Method: get}}}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: bus-of-many-kinds}}
  Many:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: {source: [shop]}
      Targets:
        - {Id: a, Arn: !GetAtt Bus.Arn}
        - {Id: b, Arn: "arn:aws:ecs:us-east-1:123456789012:cluster/c", EcsParameters: {TaskDefinitionArn: t}}
        - Id: c
          Arn: "arn:aws:sqs:us-east-1:123456789012:q"
          InputTransformer: {InputPathsMap: {n: $.detail.n}, InputTemplate: '{"n": <n>, "m": <lost>}'}
"""


def test_settings_of_stages_and_targets_that_nobody_heeds_are_named(bench: Bench) -> None:
    told = "\n".join(bench.deploy(STAGES).notices)
    for each in (
        "AccessLogSettings has no effect here: no access log is written",
        "DefaultRouteSettings has no effect here: requests are not throttled",
        "MethodSettings has no effect here: requests are neither throttled nor logged",
        "TracingEnabled has no effect here: requests to the API are not traced",
        "the target arn:aws:ecs:us-east-1:123456789012:cluster/c is of a kind that is not known here",
        "InputTemplate names <lost>, which InputPathsMap does not have",
    ):
        assert each in told, told
