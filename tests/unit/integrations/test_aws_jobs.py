"""Optimised integrations: what each adds to the plain call, and jobs that are waited for and stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from aws_calling import EXECUTION, answer, call_of, refusal

from faulty_aws import Exchange, Faulty, faulty
from local_cloud import LocalCloud
from treadle.errors import StatesError
from treadle.integrations.aws import AwsSessions, Keys, OptimisedIntegration
from treadle.integrations.aws.actions import optimised_action
from treadle.integrations.aws.connectors import CONNECTORS, REQUESTS
from treadle.integrations.aws.jobs import FIRST_SECONDS, JOBS, LONGEST_SECONDS
from treadle.language.resources import OPTIMISED
from treadle.runtime.clock import VirtualClock
from treadle.runtime.ports import LOST

START = 1_767_225_600.0
KEYS = Keys("testing", "testing")


@pytest.fixture(scope="module")
def optimised(local_cloud: LocalCloud) -> Iterator[OptimisedIntegration]:
    sessions = AwsSessions(endpoint_url=local_cloud.endpoint, keys=KEYS)
    yield OptimisedIntegration(sessions, lambda: VirtualClock(START))
    sessions.close()


# ---- what each adds ----------------------------------------------------------------------------------------------


def test_an_item_is_put_and_got_with_what_the_sdk_tells(
    optimised: OptimisedIntegration, local_cloud: LocalCloud
) -> None:
    table, client = local_cloud.unique("t"), local_cloud.client("dynamodb")
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.close()
    item = {"id": {"S": "1"}, "ok": {"BOOL": True}}
    answer(optimised, "dynamodb:putItem", {"TableName": table, "Item": item})
    given = answer(optimised, "dynamodb:getItem", {"TableName": table, "Key": {"id": {"S": "1"}}})
    http = given["SdkHttpMetadata"]
    assert (given["Item"], http["HttpStatusCode"]) == (item, 200)
    assert http["AllHttpHeaders"] == {name: [value] for name, value in http["HttpHeaders"].items()}
    assert given["SdkResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(
    ("action", "arguments", "error", "cause"),
    [
        (
            "dynamodb:putItem",
            {"TableName": "no", "Item": None},
            "DynamoDB.AmazonDynamoDBException",
            "(Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ValidationException; Request ID: null",
        ),
        (
            "dynamodb:getItem",
            {"TableName": "no", "Key": {"id": {"S": "1"}}},
            "DynamoDB.ResourceNotFoundException",
            "Error Code: ResourceNotFoundException; ",
        ),
        (
            "sns:publish",
            {"TopicArn": "arn:aws:sns:us-east-1:123456789012:no", "Message": "x"},
            "SNS.NotFoundException",
            "(Service: AmazonSNS; Status Code: 404; Error Code: NotFound; ",
        ),
        (
            "sqs:sendMessage",
            {"QueueUrl": "http://x/123456789012/no", "MessageBody": "x"},
            "SQS.QueueDoesNotExistException",
            "(Service: AmazonSQS; ",
        ),
        ("glue:startJobRun.sync", {"JobName": "no"}, "Glue.EntityNotFoundException", "(Service: AWSGlue; "),
        ("eks:call", {}, "States.Runtime", "eks:call"),
        ("dynamodb:query", {}, "States.Runtime", "dynamodb:query"),
        ("sqs:sendMessage", {"Queue": "x"}, "States.Runtime", 'The field "Queue" is not supported by Step Functions'),
    ],
)
def test_errors_are_told_as_the_first_java_sdk_does(
    optimised: OptimisedIntegration, action: str, arguments: Any, error: str, cause: str
) -> None:
    refused = refusal(optimised, action, arguments)
    assert refused.name == error and cause in (refused.cause or ""), refused


def test_a_message_may_be_json(optimised: OptimisedIntegration, local_cloud: LocalCloud) -> None:
    client = local_cloud.client("sqs")
    url = client.create_queue(QueueName=local_cloud.unique("q"))["QueueUrl"]
    sent = answer(optimised, "sqs:sendMessage.waitForTaskToken", {"QueueUrl": url, "MessageBody": {"a": [1]}})
    assert len(sent["MD5OfMessageBody"]) == 32 and sent["MessageId"]
    (message,) = client.receive_message(QueueUrl=url)["Messages"]
    client.close()
    assert message["Body"] == '{"a":[1]}'


def serving(aws: Faulty, clock: VirtualClock | None = None) -> OptimisedIntegration:
    return OptimisedIntegration(AwsSessions(endpoint_url=aws.url, keys=KEYS), lambda: clock or VirtualClock(START))


def test_events_say_where_they_come_from() -> None:
    with faulty(lambda exchange: exchange.answer({"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]})) as aws:
        entry = {"Detail": {"a": 1}, "DetailType": "d", "Source": "s", "Resources": ["own"]}
        arguments = {"Entries": [entry]}
        answer(serving(aws), "events:putEvents", arguments)
        (sent,) = aws.seen[0].json["Entries"]
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
    assert (sent["Detail"], sent["Resources"]) == ('{"a":1}', ["own", EXECUTION, machine])
    assert arguments["Entries"][0]["Resources"] == ["own"]


def test_an_event_that_is_refused_fails_the_task() -> None:
    told = {
        "Entries": [{"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}],
        "FailedEntryCount": 1,
    }
    with faulty(lambda exchange: exchange.answer(told)) as aws:
        refused = refusal(serving(aws), "events:putEvents", {"Entries": [{"Detail": "x"}]})
    assert (refused.name, json.loads(refused.cause or "")) == ("EventBridge.FailedEntry", told)


# ---- jobs --------------------------------------------------------------------------------------------------------


def test_every_sync_action_knows_how_its_job_ends() -> None:
    waited = {
        f"{service}:{action}"
        for service, actions in OPTIMISED.items()
        for action, patterns in actions.items()
        if service in CONNECTORS and "sync" in patterns
    }
    assert waited - set(JOBS) == {"eks:runJob"}


@pytest.mark.parametrize("key", JOBS)
def test_what_is_asked_of_a_job_is_what_the_service_takes(key: str) -> None:
    job, module = JOBS[key], CONNECTORS[key.partition(":")[0]].module
    requests = [(job.describe, job.parameters), *([(job.stop.operation, job.stop.parameters)] if job.stop else [])]
    for operation, parameters in requests:
        sample = {name: ["x"] if isinstance(made, list) else "x" for name, made in (parameters or {}).items()}
        action = optimised_action(module, operation)
        assert action.missing(action.parameters(sample, "key")) == []
        assert action.repeatable or operation == "CancelJob" or job.stop is not None
    action = key.partition(":")[2]
    started = REQUESTS[key].operation if key in REQUESTS else action[0].upper() + action[1:]
    assert optimised_action(module, started).operation == started


GLUE = "glue:startJobRun.sync"
RUN = {"JobName": "j"}


def glue(*states: str) -> Callable[[Exchange], None]:
    """Glue, whose job is in one of these states after the other."""
    left = list(states)

    def behave(exchange: Exchange) -> None:
        if exchange.target == "StartJobRun":
            exchange.answer({"JobRunId": "r"})
        elif exchange.target == "GetJobRun" and left[0] == "throttled":
            exchange.refuse("ThrottlingException", left.pop(0))
        elif exchange.target == "GetJobRun":
            state = left.pop(0) if len(left) > 1 else left[0]
            exchange.answer({"JobRun": {"Id": "r", "JobRunState": state, "StartedOn": 1.5}})
        else:
            exchange.answer({})

    return behave


async def done(integration: OptimisedIntegration, action: str, arguments: Any) -> Any:
    call = call_of(action, arguments)
    return await integration.poll(replace(call, job=await integration.call(call)))


def test_a_job_is_asked_after_less_and_less_often_until_it_ends() -> None:
    clock = VirtualClock(START)
    with faulty(glue(*["RUNNING"] * 30, "SUCCEEDED")) as aws:
        told = asyncio.run(done(serving(aws, clock), GLUE, RUN))
        asked = [exchange for exchange in aws.seen if exchange.target == "GetJobRun"]
    assert told == {"Id": "r", "JobRunState": "SUCCEEDED", "StartedOn": 1500}
    assert len(asked) == 31 and asked[0].json == {"JobName": "j", "RunId": "r"}
    assert FIRST_SECONDS * 30 < clock.now() - START < LONGEST_SECONDS * 1.2 * 30


def test_a_job_that_cannot_be_asked_after_for_a_while_runs_on() -> None:
    with faulty(glue(*["throttled"] * 4, "SUCCEEDED")) as aws:
        assert asyncio.run(done(serving(aws), GLUE, RUN))["JobRunState"] == "SUCCEEDED"


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "STOPPED"])
def test_a_job_that_failed_fails_the_task_with_what_is_told_of_it(state: str) -> None:
    with faulty(glue("RUNNING", state)) as aws, pytest.raises(StatesError) as failed:
        asyncio.run(done(serving(aws), GLUE, RUN))
    assert failed.value.name == "States.TaskFailed"
    assert json.loads(failed.value.cause or "") == {"Id": "r", "JobRunState": state, "StartedOn": 1500}


def test_a_job_that_nobody_waits_for_is_stopped() -> None:
    with faulty(glue("RUNNING")) as aws:
        integration = serving(aws)
        job = answer(integration, GLUE, RUN)
        asyncio.run(integration.cancel(call_of(GLUE, RUN, job=job)))
        stopped = aws.seen[-1]
    assert (stopped.target, stopped.json) == ("BatchStopJobRun", {"JobName": "j", "JobRunIds": ["r"]})


def test_a_job_without_a_token_is_not_started_twice() -> None:
    with faulty(glue("RUNNING")) as aws:
        refused = refusal(serving(aws), GLUE, RUN, again=True)
        assert (refused.name, refused.cause, aws.seen) == ("States.TaskFailed", LOST, [])


TRAINING = {
    "TrainingJobName": "j",
    "RoleArn": "arn:aws:iam::123456789012:role/training",
    "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://b"},
    "ResourceConfig": {"InstanceType": "ml.m4.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 1},
}


def test_a_job_whose_name_is_taken_when_the_call_is_repeated_is_the_same_one() -> None:
    def behave(exchange: Exchange) -> None:
        if exchange.target == "CreateTrainingJob":
            exchange.refuse("ResourceInUse")
        else:
            exchange.answer({"TrainingJobName": "j", "TrainingJobStatus": "Completed"})

    with faulty(behave) as aws:
        integration, action = serving(aws), "sagemaker:createTrainingJob.sync"
        job = answer(integration, action, TRAINING, again=True)
        told = asyncio.run(integration.poll(call_of(action, TRAINING, job=job)))
        assert told["TrainingJobStatus"] == "Completed"
        assert str(refusal(integration, action, TRAINING).name).startswith("SageMaker.ResourceInUse")


def test_something_to_be_removed_has_ended_well_when_it_is_gone() -> None:
    def behave(exchange: Exchange) -> None:
        if exchange.handler.command == "DELETE" or len(aws.seen) == 2:
            exchange.answer({"cluster": {"name": "c", "status": "DELETING"}})
        else:
            gone = {"x-amzn-ErrorType": "ResourceNotFoundException"}
            exchange.answer({"message": "none"}, 404, **gone)

    with faulty(behave) as aws:
        told = asyncio.run(done(serving(aws), "eks:deleteCluster.sync", {"Name": "c"}))
    assert told == {"Cluster": {"Name": "c", "Status": "DELETING"}}


STOPPED = {"taskArn": "a", "lastStatus": "STOPPED", "stopCode": "EssentialContainerExited"}


@pytest.mark.parametrize(("code", "failed"), [(0, False), (1, True)])
def test_a_task_of_ecs_fails_with_its_containers(code: int, failed: bool) -> None:
    def behave(exchange: Exchange) -> None:
        running = exchange.target == "RunTask"
        task = {"taskArn": "a"} if running else {**STOPPED, "containers": [{"exitCode": code}]}
        exchange.answer({"tasks": [task], "failures": []})

    with faulty(behave) as aws:
        work = done(serving(aws), "ecs:runTask.sync", {"Cluster": "c", "TaskDefinition": "t"})
        if failed:
            with pytest.raises(StatesError, match="TaskFailed"):
                asyncio.run(work)
        else:
            assert asyncio.run(work)["LastStatus"] == "STOPPED"
        assert (aws.seen[0].json["startedBy"], bool(aws.seen[0].json["clientToken"])) == ("AWS Step Functions", True)


@pytest.mark.parametrize("tasks", [[], [{"taskArn": "a"}]])
@pytest.mark.parametrize("pattern", [".sync", ".waitForTaskToken"])
def test_a_task_of_ecs_that_cannot_be_placed_fails_a_state_that_waits(pattern: str, tasks: Any) -> None:
    placed = {"tasks": tasks, "failures": [{"reason": "RESOURCE:MEMORY"}]}
    with faulty(lambda exchange: exchange.answer(placed)) as aws:
        refused = refusal(serving(aws), f"ecs:runTask{pattern}", {"TaskDefinition": "t"})
        told = answer(serving(aws), "ecs:runTask", {"TaskDefinition": "t"})
    assert refused.name == "AmazonECS.Unknown"
    assert json.loads(refused.cause or "") == {name: told[name] for name in ("Failures", "Tasks")}
    assert told["Failures"] == [{"Reason": "RESOURCE:MEMORY"}]


def test_a_job_of_sagemaker_that_is_waited_for_has_tags() -> None:
    with faulty(lambda exchange: exchange.answer({"TrainingJobArn": "a"})) as aws:
        own = {"Key": "team", "Value": "blue"}
        answer(serving(aws), "sagemaker:createTrainingJob.sync", {**TRAINING, "Tags": [own]})
        answer(serving(aws), "sagemaker:createTrainingJob", TRAINING)
        waited, other = (exchange.json for exchange in aws.seen)
    assert waited["Tags"] == [
        own,
        {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"},
        {"Key": "AWS_STEP_FUNCTIONS_EXECUTION_ARN", "Value": EXECUTION},
    ]
    assert "Tags" not in other


def test_a_batch_job_that_is_waited_for_knows_it() -> None:
    with faulty(lambda exchange: exchange.answer({"jobId": "b", "jobName": "n"})) as aws:
        job = {"JobName": "n", "JobDefinition": "d", "JobQueue": "q"}
        answer(serving(aws), "batch:submitJob.sync", job)
        answer(serving(aws), "batch:submitJob", job)
        waited, other = (exchange.json for exchange in aws.seen)
    mark = {"name": "MANAGED_BY_AWS", "value": "STARTED_BY_STEP_FUNCTIONS"}
    assert waited["containerOverrides"] == {"environment": [mark]} and "containerOverrides" not in other


def test_a_fleet_is_found_by_its_name() -> None:
    with faulty(lambda exchange: exchange.answer({"InstanceFleets": [{"Id": "f-1", "Name": "core"}]})) as aws:
        given = {"ClusterId": "c", "InstanceFleet": {"TargetSpotCapacity": 2}}
        action = "elasticmapreduce:modifyInstanceFleetByName"
        answer(serving(aws), action, {**given, "InstanceFleetName": "core"})
        assert (aws.seen[-1].target, aws.seen[-1].json["InstanceFleet"]) == (
            "ModifyInstanceFleet",
            {"InstanceFleetId": "f-1", "TargetSpotCapacity": 2},
        )
        assert "called none" in (refusal(serving(aws), action, {**given, "InstanceFleetName": "none"}).cause or "")
