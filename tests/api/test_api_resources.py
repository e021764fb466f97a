"""State machines, versions, aliases, activities, tags, map runs and validation over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from api_serving import FAILS, PASS, ROLE, STATES, WAITS, machine, until
from test_api_executions import ended, refused

Create = Callable[..., str]
OTHER = machine(B={"Type": "Pass"})


# ---- state machines ----


def test_a_state_machine_is_described_updated_listed_and_deleted(states: Any, create: Create) -> None:
    arn = create()
    found = states.describe_state_machine(stateMachineArn=arn)
    assert (found["definition"], found["status"], found["type"]) == (PASS, "ACTIVE", "STANDARD")
    assert found["loggingConfiguration"] == {"level": "OFF", "includeExecutionData": False}
    assert "revisionId" not in found
    updated = states.update_state_machine(stateMachineArn=arn, definition=OTHER)
    found = states.describe_state_machine(stateMachineArn=arn)
    assert (found["definition"], found["revisionId"]) == (OTHER, updated["revisionId"])
    again = states.update_state_machine(stateMachineArn=arn, definition=OTHER)
    assert again["revisionId"] == updated["revisionId"]
    pages = states.get_paginator("list_state_machines").paginate(PaginationConfig={"PageSize": 2})
    assert arn in [each["stateMachineArn"] for page in pages for each in page["stateMachines"]]
    states.delete_state_machine(stateMachineArn=arn)
    states.delete_state_machine(stateMachineArn=arn)
    told = ("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
    assert refused(lambda: states.describe_state_machine(stateMachineArn=arn)) == told


def test_creating_again_is_idempotent_while_nothing_differs(states: Any, name: str) -> None:
    given = {"name": name, "definition": PASS, "roleArn": ROLE}
    first = states.create_state_machine(**given)
    again = states.create_state_machine(**{**given, "roleArn": f"{ROLE}-2"}, tags=[{"key": "a", "value": "b"}])
    assert again["creationDate"] == first["creationDate"]
    assert states.describe_state_machine(stateMachineArn=first["stateMachineArn"])["roleArn"] == ROLE
    told = ("StateMachineAlreadyExists", f"State Machine Already Exists: '{first['stateMachineArn']}'")
    for change in ({"definition": OTHER}, {"type": "EXPRESS"}, {"publish": True}):
        assert refused(lambda change=change: states.create_state_machine(**{**given, **change})) == told


def test_a_deleted_state_machine_ends_its_executions_at_their_next_transition(states: Any, create: Create) -> None:
    activity = states.create_activity(name="draining")["activityArn"]
    arn = create(machine(A={"Type": "Task", "Resource": activity}, B={"Type": "Wait", "Seconds": 3600}))
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    task = states.get_activity_task(activityArn=activity)
    states.delete_state_machine(stateMachineArn=arn)
    assert states.describe_state_machine(stateMachineArn=arn)["status"] == "DELETING"
    assert refused(lambda: states.start_execution(stateMachineArn=arn))[0] == "StateMachineDeleting"
    states.send_task_success(taskToken=task["taskToken"], output="{}")
    assert ended(states, execution)["status"] == "ABORTED"

    def gone() -> bool:
        listed = states.list_state_machines(maxResults=1000)["stateMachines"]
        return arn not in [each["stateMachineArn"] for each in listed]

    until(gone)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"name": "a b"}, "InvalidName", "Invalid Name: 'a b'"),
        ({"roleArn": "role"}, "InvalidArn", "Invalid Role Arn: 'role'"),
        (
            {"definition": '{"StartAt": "A"}'},
            "InvalidDefinition",
            "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /'",
        ),
        (
            {"versionDescription": "x"},
            "ValidationException",
            "Version description can only be set when publish is true",
        ),
        (
            {"loggingConfiguration": {"level": "ALL"}},
            "InvalidLoggingConfiguration",
            "Invalid Logging Configuration: Must specify exactly one Log Destination.",
        ),
        (
            {"encryptionConfiguration": {"type": "CUSTOMER_MANAGED_KMS_KEY"}},
            "InvalidEncryptionConfiguration",
            "Invalid Encryption Configuration: kmsKeyId must not be null for CUSTOMER_MANAGED_KMS_KEY",
        ),
        (
            {"type": "FAST"},
            "ValidationException",
            "1 validation error detected: Value 'FAST' at 'type' failed to satisfy constraint: Member must satisfy "
            "enum value set: [STANDARD, EXPRESS]",
        ),
        (
            {"tags": [{"key": "aws:x", "value": ""}]},
            "ValidationException",
            "Tag keys must not begin with 'aws:': 'aws:x'",
        ),
    ],
)
def test_what_no_state_machine_can_be_is_refused(
    states: Any, name: str, change: dict[str, Any], code: str, message: str
) -> None:
    given = {"name": name, "definition": PASS, "roleArn": ROLE, **change}
    assert refused(lambda: states.create_state_machine(**given)) == (code, message)


def test_an_update_of_nothing_is_refused(states: Any, create: Create) -> None:
    assert refused(lambda: states.update_state_machine(stateMachineArn=create()))[0] == "MissingRequiredParameter"


def test_configurations_are_shown_as_they_were_given(states: Any, create: Create) -> None:
    logging = {
        "level": "ERROR",
        "includeExecutionData": True,
        "destinations": [
            {"cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/x:*"}}
        ],
    }
    encryption = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "alias/k", "kmsDataKeyReusePeriodSeconds": 60}
    given = {"loggingConfiguration": logging, "encryptionConfiguration": encryption}
    found = states.describe_state_machine(stateMachineArn=create(tracingConfiguration={"enabled": True}, **given))
    assert {name: found[name] for name in given} == given
    assert found["tracingConfiguration"] == {"enabled": True}


def test_the_variables_that_states_read_are_told(states: Any, create: Create) -> None:
    definition = json.loads(machine(A={"Type": "Pass", "Assign": {"x": 1}}, B={"Type": "Pass", "Output": "{% $x %}"}))
    found = states.describe_state_machine(stateMachineArn=create(json.dumps(definition | {"QueryLanguage": "JSONata"})))
    assert found["variableReferences"] == {"B": ["x"]}


@pytest.mark.parametrize(("text", "result"), [(PASS, "OK"), ("{", "FAIL"), ("StartAt: A", "FAIL"), ("7", "FAIL")])
def test_validation_never_refuses_to_answer(states: Any, text: str, result: str) -> None:
    found = states.validate_state_machine_definition(definition=text)
    assert (found["result"], found["truncated"], bool(found["diagnostics"])) == (result, False, result == "FAIL")


# ---- versions and aliases ----


def test_versions_are_published_once_for_each_revision(states: Any, create: Create) -> None:
    arn = create(publish=True, versionDescription="first")
    assert states.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:1"
    assert states.describe_state_machine(stateMachineArn=f"{arn}:1")["description"] == "first"
    updated = states.update_state_machine(stateMachineArn=arn, definition=OTHER)
    assert refused(lambda: states.publish_state_machine_version(stateMachineArn=arn, revisionId="INITIAL")) == (
        "ConflictException",
        "Failed to publish the State Machine version for revision INITIAL. "
        f"The current State Machine revision is {updated['revisionId']}.",
    )
    second = states.publish_state_machine_version(stateMachineArn=arn, revisionId=updated["revisionId"])
    assert second["stateMachineVersionArn"] == f"{arn}:2"
    listed = states.list_state_machine_versions(stateMachineArn=arn, maxResults=1)
    rest = states.list_state_machine_versions(stateMachineArn=arn, nextToken=listed["nextToken"])
    shown = [each["stateMachineVersionArn"] for page in (listed, rest) for each in page["stateMachineVersions"]]
    assert shown == [f"{arn}:2", f"{arn}:1"]
    states.delete_state_machine_version(stateMachineVersionArn=f"{arn}:2")
    states.delete_state_machine_version(stateMachineVersionArn=f"{arn}:2")
    assert states.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:3"


def test_an_alias_leads_to_versions_and_is_changed_and_deleted(states: Any, create: Create) -> None:
    arn = create(publish=True)
    states.update_state_machine(stateMachineArn=arn, definition=OTHER, publish=True)
    routes = [{"stateMachineVersionArn": f"{arn}:{n}", "weight": 50} for n in (1, 2)]
    alias = states.create_state_machine_alias(name="live", routingConfiguration=routes)["stateMachineAliasArn"]
    assert alias == f"{arn}:live"
    assert states.create_state_machine_alias(name="live", routingConfiguration=routes)["stateMachineAliasArn"] == alias
    one = [{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
    create_other = {"name": "live", "routingConfiguration": one}
    assert refused(lambda: states.create_state_machine_alias(**create_other))[0] == "ConflictException"
    reached = set()
    for _ in range(30):
        execution = states.start_execution(stateMachineArn=alias)["executionArn"]
        found = states.describe_execution(executionArn=execution)
        assert found["stateMachineAliasArn"] == alias
        reached.add(found["stateMachineVersionArn"])
    assert reached == {f"{arn}:1", f"{arn}:2"}
    assert len(states.list_executions(stateMachineArn=alias, maxResults=1000)["executions"]) == 30
    assert refused(lambda: states.delete_state_machine_version(stateMachineVersionArn=f"{arn}:1")) == (
        "ConflictException",
        "Version to be deleted must not be referenced by an alias. "
        "Current list of aliases referencing this version: [live]",
    )
    states.update_state_machine_alias(stateMachineAliasArn=alias, routingConfiguration=one, description="d")
    found = states.describe_state_machine_alias(stateMachineAliasArn=alias)
    assert (found["routingConfiguration"], found["description"], found["name"]) == (one, "d", "live")
    listed = states.list_state_machine_aliases(stateMachineArn=arn)["stateMachineAliases"]
    assert [each["stateMachineAliasArn"] for each in listed] == [alias]
    states.delete_state_machine_alias(stateMachineAliasArn=alias)
    states.delete_state_machine_alias(stateMachineAliasArn=alias)
    assert refused(lambda: states.describe_state_machine_alias(stateMachineAliasArn=alias)) == (
        "ResourceNotFound",
        "Request references a resource that does not exist.",
    )


# ---- tags ----


def test_tags_are_added_listed_and_taken_away(states: Any, create: Create, name: str) -> None:
    for arn in (create(), states.create_activity(name=name)["activityArn"]):
        states.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": ""}])
        states.untag_resource(resourceArn=arn, tagKeys=["a", "nothing"])
        assert states.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": ""}]
        many = [{"key": str(number), "value": ""} for number in range(51)]
        assert refused(lambda arn=arn, many=many: states.tag_resource(resourceArn=arn, tags=many))[0] == "TooManyTags"
    version = f"{create(publish=True)}:1"
    told = ("ResourceNotFound", f"Resource not found: '{version}'")
    assert refused(lambda: states.list_tags_for_resource(resourceArn=version)) == told


# ---- activities and tasks ----


def test_a_worker_takes_a_task_and_ends_it(states: Any, create: Create, name: str) -> None:
    activity = states.create_activity(name=name)
    arn = activity["activityArn"]
    assert states.create_activity(name=name)["creationDate"] == activity["creationDate"]
    assert states.describe_activity(activityArn=arn)["name"] == name
    pages = states.get_paginator("list_activities").paginate(PaginationConfig={"PageSize": 1})
    assert arn in [each["activityArn"] for page in pages for each in page["activities"]]
    polled: list[Any] = []
    worker = threading.Thread(target=lambda: polled.append(states.get_activity_task(activityArn=arn, workerName="w")))
    worker.start()
    task = machine(A={"Type": "Task", "Resource": arn, "HeartbeatSeconds": 60})
    execution = states.start_execution(stateMachineArn=create(task), input='{"n": 1}')["executionArn"]
    worker.join(20)
    assert polled[0]["input"] == '{"n":1}'
    token = polled[0]["taskToken"]
    states.send_task_heartbeat(taskToken=token)
    assert refused(lambda: states.send_task_success(taskToken=token, output="no"))[0] == "InvalidOutput"
    assert refused(lambda: states.send_task_success(taskToken="none of ours", output="no"))[0] == "InvalidToken"
    states.send_task_success(taskToken=token, output='{"done": true}')
    assert ended(states, execution)["output"] == '{"done":true}'
    assert refused(lambda: states.send_task_failure(taskToken=token))[0] == "TaskTimedOut"
    told = ("InvalidToken", "Invalid Token: 'Invalid token'")
    assert refused(lambda: states.send_task_heartbeat(taskToken="made up")) == told
    states.delete_activity(activityArn=arn)
    states.delete_activity(activityArn=arn)
    missing = ("ActivityDoesNotExist", f"Activity Does Not Exist: '{arn}'")
    assert refused(lambda: states.get_activity_task(activityArn=arn)) == missing


# ---- map runs ----


def test_a_map_run_is_listed_described_and_has_children(states: Any, create: Create) -> None:
    processor = json.loads(PASS) | {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    mapped = machine(M={"Type": "Map", "Label": "Each", "MaxConcurrency": 2, "ItemProcessor": processor})
    arn = create(mapped)
    execution = states.start_execution(stateMachineArn=arn, input="[1, 2, 3]")["executionArn"]
    assert ended(states, execution)["output"] == "[1,2,3]"
    (listed,) = states.list_map_runs(executionArn=execution)["mapRuns"]
    run = listed["mapRunArn"]
    found = states.describe_map_run(mapRunArn=run)
    assert (found["status"], found["executionArn"], found["maxConcurrency"]) == ("SUCCEEDED", execution, 2)
    assert (found["itemCounts"]["succeeded"], found["executionCounts"]["total"]) == (3, 3)
    children: list[Any] = []
    page: dict[str, Any] = {"nextToken": None}
    while "nextToken" in page:
        more = {"nextToken": page["nextToken"]} if page["nextToken"] else {}
        page = states.list_executions(mapRunArn=run, maxResults=2, **more)
        children += page["executions"]
    assert len({each["executionArn"] for each in children}) == 3
    child = states.describe_execution(executionArn=children[0]["executionArn"])
    assert (child["mapRunArn"], child["stateMachineArn"]) == (run, f"{arn}/Each")
    assert states.get_execution_history(executionArn=child["executionArn"])["events"][0]["type"] == "ExecutionStarted"
    assert refused(lambda: states.update_map_run(mapRunArn=run, maxConcurrency=1))[0] == "ValidationException"
    nowhere = f"{STATES}:mapRun:none/Each:1"
    assert refused(lambda: states.describe_map_run(mapRunArn=nowhere))[0] == "ResourceNotFound"
    both = {"mapRunArn": run, "stateMachineArn": arn}
    assert refused(lambda: states.list_executions(**both))[0] == "ValidationException"


def test_failed_definitions_of_the_tests_themselves_are_good(states: Any) -> None:
    for each in (FAILS, WAITS, OTHER):
        assert states.validate_state_machine_definition(definition=each)["result"] == "OK"
