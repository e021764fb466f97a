"""`treadle up --aws env`: Step Functions and functions here, everything else where the environment says."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from served_up import TREADLE, Up

from local_cloud import LocalCloud

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Orders: {Type: AWS::DynamoDB::Table, Properties: {TableName: TABLE, BillingMode: PAY_PER_REQUEST,
    KeySchema: [{AttributeName: id, KeyType: HASH}], AttributeDefinitions: [{AttributeName: id, AttributeType: S}]}}
  Jobs: {Type: AWS::SQS::Queue}
  Subscribed: {Type: AWS::SNS::Subscription, Properties: {TopicArn: x, Protocol: lambda, Endpoint: !GetAtt Note.Arn}}
  Odd: {Type: AWS::Glue::Job, Properties: {Command: {}, Role: x}}
  Sold:
    Type: AWS::Events::Rule
    Properties: {EventPattern: {source: [shop]}, Targets: [{Id: a, Arn: !GetAtt Note.Arn}]}
  Note:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      Policies: [AmazonDynamoDBFullAccess]
      Environment: {Variables: {TABLE: !Ref Orders}}
      InlineCode: |
        import boto3, os
        def handler(event, context):
            boto3.client("dynamodb").put_item(TableName=os.environ["TABLE"], Item={"id": {"S": event["id"]}})
            machines = boto3.client("stepfunctions").list_state_machines()["stateMachines"]
            return {"machines": len(machines), "dynamodb": os.environ["AWS_ENDPOINT_URL"]}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: machine
      Policies: [AmazonDynamoDBFullAccess]
      DefinitionSubstitutions: {Note: !GetAtt Note.Arn, Orders: !Ref Orders, Jobs: !Ref Jobs}
      Definition:
        StartAt: Note
        States:
          Note: {Type: Task, Resource: "${Note}", ResultPath: $.noted, Next: Read}
          Read:
            Type: Task
            Resource: arn:aws:states:::dynamodb:getItem
            Parameters: {TableName: "${Orders}", Key: {id: {S.$: $.id}}}
            ResultPath: $.read
            Next: Send
          Send:
            Type: Task
            Resource: arn:aws:states:::sqs:sendMessage
            Parameters: {QueueUrl: "${Jobs}", MessageBody.$: $.id}
            ResultPath: null
            End: true
Outputs:
  Machine: {Value: !Ref Machine}
"""
DEPLOYED = json.dumps({"Resources": {"Jobs": {"Type": "AWS::SQS::Queue"}}})


def ended(states: Any, arn: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while (told := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        assert time.monotonic() < until
        time.sleep(0.05)
    return told


@pytest.fixture
def names(local_cloud: LocalCloud) -> tuple[str, str]:
    """A table and a deployed stack with a queue, on what plays AWS."""
    table, stack = local_cloud.unique("orders"), local_cloud.unique("stack")
    local_cloud.client("dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    local_cloud.client("cloudformation").create_stack(StackName=stack, TemplateBody=DEPLOYED)
    return table, stack


def test_a_stack_works_with_what_is_deployed_and_says_what_does_not_happen(
    tmp_path: Path, local_cloud: LocalCloud, names: tuple[str, str]
) -> None:
    table, stack = names
    (tmp_path / "template.yaml").write_text(TEMPLATE.replace("TABLE,", f"{table},"))
    options = (str(tmp_path), "--aws", "env", "--stack", stack)
    up = Up(tmp_path / "data", *options, variables=local_cloud.environment)
    assert up.ready["aws"] == local_cloud.endpoint
    support = {each["name"]: each["support"] for each in up.ready["resources"]}
    assert (support["Orders"], support["Jobs"], support["NoteRole"]) == ("existing", "existing", "accepted")
    notices = "\n".join(up.ready["notices"])
    for told in (
        "NoteRole (AWS::IAM::Role): not made with --aws env: what runs here acts with the environment's credentials",
        "Subscribed (AWS::SNS::Subscription): not made with --aws env: messages of the topic do not reach",
        "Odd (AWS::Glue::Job): --aws env makes nothing on AWS: it has a name and nothing behind it",
        "Sold (AWS::Events::Rule): with --aws env it sees events of executions alone",
    ):
        assert told in notices

    states = up.client("stepfunctions")
    started = states.start_execution(stateMachineArn=up.ready["outputs"]["Machine"], input='{"id": "7"}')
    told = ended(states, started["executionArn"])
    output = json.loads(told.get("output", "null"))
    assert told["status"] == "SUCCEEDED", told
    assert output["noted"] == {"machines": 1, "dynamodb": local_cloud.endpoint}
    assert output["read"]["Item"] == {"id": {"S": "7"}}
    queue = local_cloud.client("cloudformation").describe_stack_resource(StackName=stack, LogicalResourceId="Jobs")
    url = queue["StackResourceDetail"]["PhysicalResourceId"]
    assert local_cloud.client("sqs").receive_message(QueueUrl=url)["Messages"][0]["Body"] == "7"

    # Nothing was made, and nothing is there for whoever comes to the wrong door.
    assert not (tmp_path / "data" / "cloud").exists()
    for service, operation in (("s3", "list_buckets"), ("sqs", "list_queues"), ("sts", "get_caller_identity")):
        with pytest.raises(ClientError, match="AWS_ENDPOINT_URL_SFN") as refused:
            getattr(up.client(service), operation)()
        assert local_cloud.endpoint in str(refused.value)
    assert up.end() == 0

    with (tmp_path / "template.yaml").open("a") as template:
        template.write("# the same\n")
    ran = run(tmp_path, str(tmp_path), "--stack", stack, variables=local_cloud.environment)
    assert "was brought to life with --aws env" in ran.stderr


def run(folder: Path, *options: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = [*TREADLE, "up", "--port", "0", "--data", str(folder / "data"), *options]
    plain = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=plain | variables, timeout=60)


def test_what_is_not_there_stops_the_start_with_a_remedy(tmp_path: Path, local_cloud: LocalCloud) -> None:
    (tmp_path / "template.yaml").write_text(TEMPLATE.replace("TABLE,", "nowhere,"))
    lost = run(tmp_path, str(tmp_path), "--aws", "env", variables=local_cloud.environment)
    assert lost.returncode == 2
    assert "AWS::DynamoDB::Table nowhere is not on AWS (ResourceNotFoundException)" in lost.stderr
    (tmp_path / "template.yaml").write_text("Resources: {Jobs: {Type: AWS::SQS::Queue}}")
    lost = run(tmp_path, str(tmp_path), "--aws", "env", "--stack", "lost", variables=local_cloud.environment)
    assert "no stack lost of the account has it" in lost.stderr
    assert "give its QueueName, or use --aws local" in lost.stderr
    nobody = {"AWS_EC2_METADATA_DISABLED": "true"}
    assert "has no credentials of AWS: set AWS_PROFILE" in run(tmp_path, "--aws", "env", variables=nobody).stderr
    both = run(tmp_path, "--aws", "local", "--aws-endpoint-url", "http://x", variables={})
    assert (both.returncode, "give one of them" in both.stderr) == (2, True)


FUNCTION = """
import boto3

def handler(event, context):
    bucket = boto3.client("s3").list_buckets()["Buckets"][0]["Name"]
    return [bucket, boto3.client("stepfunctions").list_activities()["activities"]]
"""


def test_behind_a_guard_functions_and_tasks_reach_both_endpoints(tmp_path: Path, local_cloud: LocalCloud) -> None:
    local_cloud.client("s3").create_bucket(Bucket=local_cloud.unique("b").lower())
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "look.py").write_text(FUNCTION)
    keys = tmp_path / "keys.yaml"
    keys.write_text('AKIATREADLE: "of ours"\n')
    keys.chmod(0o600)
    options = ("--functions", str(tmp_path / "functions"), "--auth", str(keys), "--aws", "env")
    up = Up(tmp_path / "data", *options, variables=local_cloud.environment)
    session = boto3.Session("AKIATREADLE", "of ours", region_name="us-east-1")
    states: Any = session.client("stepfunctions", endpoint_url=up.endpoint)
    tasks = {
        "Look": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:look", "Next": "List"},
        "List": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:sfn:listActivities",
            "Parameters": {},
            "Next": "Buckets",
        },
        "Buckets": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:s3:listBuckets",
            "Parameters": {},
            "End": True,
        },
    }
    definition = json.dumps({"StartAt": "Look", "States": tasks})
    role = "arn:aws:iam::123456789012:role/r"
    made = states.create_state_machine(name="m", definition=definition, roleArn=role)["stateMachineArn"]
    told = ended(states, states.start_execution(stateMachineArn=made)["executionArn"])
    assert told["status"] == "SUCCEEDED", told.get("cause")
    assert json.loads(told["output"])["Buckets"]
    assert up.end() == 0


def test_a_function_that_is_not_here_is_invoked_where_the_environment_says(
    tmp_path: Path, local_cloud: LocalCloud
) -> None:
    # Another treadle plays Lambda.
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "far.py").write_text("def handler(event, context): return 'from afar'\n")
    far = Up(tmp_path / "far", "--functions", str(tmp_path / "functions"), "--no-cloud")
    variables = {**local_cloud.environment, "AWS_ENDPOINT_URL_LAMBDA": far.endpoint}
    up = Up(tmp_path / "data", "--aws", "env", variables=variables)
    states = up.client("stepfunctions")
    task = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:far", "End": True}
    definition = json.dumps({"StartAt": "Far", "States": {"Far": task}})
    role = "arn:aws:iam::123456789012:role/r"
    made = states.create_state_machine(name="m", definition=definition, roleArn=role)["stateMachineArn"]
    told = ended(states, states.start_execution(stateMachineArn=made)["executionArn"])
    assert told.get("output") == '"from afar"', told
    assert (up.end(), far.end()) == (0, 0)
