"""Every operation of the API as data: a request that succeeds, and what makes it fail with each error of the model.

A text that begins with @ stands for something of the `Scene` that the requests meet.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, Final

from api_serving import FAILS, PASS, ROLE, STATES, WAITS, Served, machine, until
from botocore.exceptions import ClientError

from treadle.runtime.tokens import Tokens

LIMITS: Final = ("open-executions=1", "state-machines=2", "activities=1", "versions=1", "aliases=1")
WORKERS: Final = "activity-workers=1"

CREATE: Final = {"name": "@new", "definition": PASS, "roleArn": ROLE}
ROUTES: Final = [{"stateMachineVersionArn": "@version", "weight": 100}]

SUCCEEDS: Final[dict[str, dict[str, Any]]] = {
    "CreateActivity": {"name": "@new", "tags": [{"key": "a", "value": "b"}]},
    "CreateStateMachine": {**CREATE, "publish": True, "versionDescription": "first"},
    "CreateStateMachineAlias": {"name": "@new", "routingConfiguration": ROUTES, "description": "d"},
    "DeleteActivity": {"activityArn": f"{STATES}:activity:none"},
    "DeleteStateMachine": {"stateMachineArn": f"{STATES}:stateMachine:none"},
    "DeleteStateMachineAlias": {"stateMachineAliasArn": "@other_alias"},
    "DeleteStateMachineVersion": {"stateMachineVersionArn": "@free_version"},
    "DescribeActivity": {"activityArn": "@activity"},
    "DescribeExecution": {"executionArn": "@succeeded"},
    "DescribeMapRun": {"mapRunArn": "@map_run"},
    "DescribeStateMachine": {"stateMachineArn": "@version"},
    "DescribeStateMachineAlias": {"stateMachineAliasArn": "@alias"},
    "DescribeStateMachineForExecution": {"executionArn": "@succeeded"},
    "GetActivityTask": {"activityArn": "@activity", "workerName": "w"},
    "GetExecutionHistory": {"executionArn": "@succeeded", "reverseOrder": True},
    "ListActivities": {},
    "ListExecutions": {"stateMachineArn": "@machine", "statusFilter": "SUCCEEDED"},
    "ListMapRuns": {"executionArn": "@mapping"},
    "ListStateMachineAliases": {"stateMachineArn": "@machine"},
    "ListStateMachineVersions": {"stateMachineArn": "@machine"},
    "ListStateMachines": {},
    "ListTagsForResource": {"resourceArn": "@machine"},
    "PublishStateMachineVersion": {"stateMachineArn": "@machine", "description": "d"},
    "RedriveExecution": {"executionArn": "@failed", "clientToken": "token"},
    "SendTaskFailure": {"taskToken": "@token", "error": "Mine", "cause": "because"},
    "SendTaskHeartbeat": {"taskToken": "@token"},
    "SendTaskSuccess": {"taskToken": "@token", "output": "{}"},
    "StartExecution": {"stateMachineArn": "@alias", "name": "@new", "input": "[]"},
    "StartSyncExecution": {"stateMachineArn": "@express", "name": "@new", "input": "[]"},
    "StopExecution": {"executionArn": "@running", "error": "Mine", "cause": "because"},
    "TagResource": {"resourceArn": "@activity", "tags": [{"key": "a", "value": "b"}]},
    "TestState": {"definition": '{"Type": "Pass", "End": true}', "roleArn": ROLE, "inspectionLevel": "DEBUG"},
    "UntagResource": {"resourceArn": "@activity", "tagKeys": ["a"]},
    "UpdateMapRun": {"mapRunArn": "@map_run", "maxConcurrency": 3, "toleratedFailurePercentage": 5.5},
    "UpdateStateMachine": {"stateMachineArn": "@machine", "roleArn": f"{ROLE}-2", "publish": True},
    "UpdateStateMachineAlias": {"stateMachineAliasArn": "@alias", "description": "other"},
    "ValidateStateMachineDefinition": {"definition": "{", "severity": "WARNING"},
}
"""By operation; the answer is held against the model."""

NO_ARN: Final = "arn:aws:states:us-east-1"
NO_EXECUTION: Final = f"{STATES}:execution:none:none"
NO_MACHINE: Final = f"{STATES}:stateMachine:none"
NO_RUN: Final = f"{STATES}:mapRun:none/Each:1"
LABELLED: Final = f"{NO_MACHINE}/Each"
LONG: Final = "x" * 257
BAD_KEY: Final = {"encryptionConfiguration": {"type": "CUSTOMER_MANAGED_KMS_KEY"}}
OTHER_KEY: Final = {"encryptionConfiguration": {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "alias/k"}}
BAD_LOG: Final = {"loggingConfiguration": {"level": "ALL"}}
BAD_TRACING: Final = {"tracingConfiguration": {}}
MANY_TAGS: Final = [{"key": str(number), "value": ""} for number in range(51)]


def _for(operations: str, code: str, **changes: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """The same changes for several operations."""
    return {(each, code): changes for each in operations.split()}


FAILS_WITH: Final[dict[tuple[str, str], dict[str, Any]]] = {
    # ---- ARNs that are none, and of what is not there
    **_for(
        "CreateStateMachine TestState UpdateStateMachine",
        "InvalidArn",
        roleArn="role",
    ),
    **_for(
        "CreateStateMachineAlias", "InvalidArn", routingConfiguration=[{**ROUTES[0], "stateMachineVersionArn": "x"}]
    ),
    **_for("DeleteActivity DescribeActivity GetActivityTask", "InvalidArn", activityArn=NO_ARN),
    **_for(
        "DeleteStateMachine DescribeStateMachine ListExecutions ListStateMachineAliases ListStateMachineVersions "
        "PublishStateMachineVersion StartExecution StartSyncExecution",
        "InvalidArn",
        stateMachineArn=NO_ARN,
    ),
    **_for(
        "DeleteStateMachineAlias DescribeStateMachineAlias UpdateStateMachineAlias",
        "InvalidArn",
        stateMachineAliasArn="@activity",
    ),
    **_for("DeleteStateMachineVersion", "InvalidArn", stateMachineVersionArn=NO_ARN),
    **_for(
        "DescribeExecution DescribeStateMachineForExecution GetExecutionHistory ListMapRuns RedriveExecution "
        "StopExecution",
        "InvalidArn",
        executionArn=NO_MACHINE,
    ),
    **_for("DescribeMapRun UpdateMapRun", "InvalidArn", mapRunArn=NO_EXECUTION),
    **_for("ListTagsForResource TagResource UntagResource", "InvalidArn", resourceArn=NO_EXECUTION),
    **_for("DescribeActivity GetActivityTask", "ActivityDoesNotExist", activityArn=f"{STATES}:activity:none"),
    **_for(
        "DescribeExecution DescribeStateMachineForExecution GetExecutionHistory ListMapRuns RedriveExecution "
        "StopExecution",
        "ExecutionDoesNotExist",
        executionArn=NO_EXECUTION,
    ),
    **_for(
        "DescribeStateMachine ListExecutions ListStateMachineAliases PublishStateMachineVersion StartExecution "
        "StartSyncExecution UpdateStateMachine",
        "StateMachineDoesNotExist",
        stateMachineArn=NO_MACHINE,
    ),
    **_for("DescribeMapRun UpdateMapRun", "ResourceNotFound", mapRunArn=NO_RUN),
    ("ListExecutions", "ResourceNotFound"): {"stateMachineArn": None, "statusFilter": None, "mapRunArn": NO_RUN},
    **_for("ListTagsForResource TagResource UntagResource", "ResourceNotFound", resourceArn=NO_MACHINE),
    **_for(
        "DescribeStateMachineAlias UpdateStateMachineAlias", "ResourceNotFound", stateMachineAliasArn=f"{NO_MACHINE}:a"
    ),
    ("CreateStateMachineAlias", "ResourceNotFound"): {
        "routingConfiguration": [{"stateMachineVersionArn": f"{NO_MACHINE}:1", "weight": 100}]
    },
    ("ListStateMachineAliases", "ResourceNotFound"): {"stateMachineArn": "@no_version"},
    # ---- values that no constraint of the model allows, or that do not go together
    ("CreateStateMachine", "ValidationException"): {"publish": None},
    ("CreateStateMachineAlias", "ValidationException"): {"routingConfiguration": [{**ROUTES[0], "weight": 99}]},
    ("DeleteStateMachine", "ValidationException"): {"stateMachineArn": LABELLED},
    ("DeleteStateMachineAlias", "ValidationException"): {"stateMachineAliasArn": LONG},
    ("DeleteStateMachineVersion", "ValidationException"): {"stateMachineVersionArn": "@alias"},
    ("DescribeStateMachineAlias", "ValidationException"): {"stateMachineAliasArn": LONG},
    ("ListExecutions", "ValidationException"): {"mapRunArn": NO_RUN},
    ("ListStateMachineVersions", "ValidationException"): {"stateMachineArn": LABELLED},
    ("PublishStateMachineVersion", "ValidationException"): {"description": LONG},
    ("RedriveExecution", "ValidationException"): {"clientToken": "no blanks"},
    ("StartExecution", "ValidationException"): {"stateMachineArn": LABELLED},
    ("StopExecution", "ValidationException"): {"error": LONG},
    ("TestState", "ValidationException"): {"stateName": "none"},
    ("UpdateMapRun", "ValidationException"): {"mapRunArn": "@ended_map_run"},
    ("UpdateStateMachine", "ValidationException"): {"publish": False, "versionDescription": "x"},
    ("UpdateStateMachineAlias", "ValidationException"): {"description": None},
    ("ValidateStateMachineDefinition", "ValidationException"): {"type": "FAST"},
    **_for("CreateActivity CreateStateMachine StartExecution StartSyncExecution", "InvalidName", name="a b"),
    ("CreateStateMachine", "InvalidDefinition"): {"definition": '{"StartAt": "A"}'},
    ("UpdateStateMachine", "InvalidDefinition"): {"definition": '{"StartAt": "A"}'},
    ("TestState", "InvalidDefinition"): {"definition": '{"Type": "Passing"}'},
    **_for("CreateActivity CreateStateMachine UpdateStateMachine", "InvalidEncryptionConfiguration", **BAD_KEY),
    **_for("CreateStateMachine UpdateStateMachine", "InvalidLoggingConfiguration", **BAD_LOG),
    **_for("CreateStateMachine UpdateStateMachine", "InvalidTracingConfiguration", **BAD_TRACING),
    ("UpdateStateMachine", "MissingRequiredParameter"): {"roleArn": None, "publish": None},
    **_for("StartExecution StartSyncExecution TestState", "InvalidExecutionInput", input="{"),
    ("SendTaskSuccess", "InvalidOutput"): {"output": "{"},
    **_for("SendTaskFailure SendTaskHeartbeat SendTaskSuccess", "InvalidToken", taskToken="none"),
    **_for("SendTaskFailure SendTaskHeartbeat SendTaskSuccess", "TaskDoesNotExist", taskToken="@lost_token"),
    **_for("SendTaskFailure SendTaskHeartbeat SendTaskSuccess", "TaskTimedOut", taskToken="@used_token"),
    **_for(
        "GetExecutionHistory ListActivities ListExecutions ListMapRuns ListStateMachineAliases "
        "ListStateMachineVersions ListStateMachines",
        "InvalidToken",
        nextToken="none",
    ),
    **_for("CreateActivity CreateStateMachine TagResource", "TooManyTags", tags=MANY_TAGS),
    # ---- what is there already, or may not be as it is
    ("CreateActivity", "ActivityAlreadyExists"): {"name": "@activity_name", **OTHER_KEY},
    ("CreateStateMachine", "StateMachineAlreadyExists"): {"name": "@machine_name", "definition": FAILS},
    ("CreateStateMachineAlias", "ConflictException"): {"name": "live", "description": "another"},
    ("DeleteStateMachineVersion", "ConflictException"): {"stateMachineVersionArn": "@version"},
    ("PublishStateMachineVersion", "ConflictException"): {"revisionId": "another"},
    ("StartExecution", "ExecutionAlreadyExists"): {"name": "@succeeded_name"},
    ("RedriveExecution", "ExecutionNotRedrivable"): {"executionArn": "@succeeded", "clientToken": None},
    ("ListExecutions", "StateMachineTypeNotSupported"): {"stateMachineArn": "@express"},
    ("StartSyncExecution", "StateMachineTypeNotSupported"): {"stateMachineArn": "@machine"},
    ("CreateStateMachine", "StateMachineDeleting"): {"name": "@deleting_name"},
    ("CreateStateMachineAlias", "StateMachineDeleting"): {
        "routingConfiguration": [{"stateMachineVersionArn": "@deleting_version", "weight": 100}]
    },
    **_for(
        "ListStateMachineAliases PublishStateMachineVersion StartExecution UpdateStateMachine",
        "StateMachineDeleting",
        stateMachineArn="@deleting",
    ),
    ("UpdateStateMachineAlias", "StateMachineDeleting"): {"stateMachineAliasArn": "@deleting_alias"},
}
"""By operation and error: what is changed in the request that succeeds; None takes a member away."""

BEYOND: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("CreateActivity", "ActivityLimitExceeded"): {},
    ("CreateStateMachine", "StateMachineLimitExceeded"): {},
    ("CreateStateMachineAlias", "ServiceQuotaExceededException"): {},
    ("GetActivityTask", "ActivityWorkerLimitExceeded"): {},
    ("PublishStateMachineVersion", "ServiceQuotaExceededException"): {},
    ("RedriveExecution", "ExecutionLimitExceeded"): {},
    ("StartExecution", "ExecutionLimitExceeded"): {},
    ("UpdateStateMachine", "ServiceQuotaExceededException"): {"roleArn": f"{ROLE}-3"},
}
"""The same on a server that is full."""

ONE_AT_A_TIME: Final = "changes are made one after the other, so none meets another half done"
NEVER: Final[dict[tuple[str, str], str]] = {
    ("CreateStateMachine", "ConflictException"): ONE_AT_A_TIME,
    ("UpdateStateMachine", "ConflictException"): ONE_AT_A_TIME,
    ("UpdateStateMachineAlias", "ConflictException"): ONE_AT_A_TIME,
    ("DeleteStateMachineAlias", "ConflictException"): ONE_AT_A_TIME,
    ("CreateStateMachine", "StateMachineTypeNotSupported"): "both types are supported; AWS lacked one in some regions",
    (
        "CreateStateMachineAlias",
        "InvalidName",
    ): "observed on AWS: the pattern of the model comes first, ValidationException",
    (
        "DeleteStateMachineAlias",
        "ResourceNotFound",
    ): "observed on AWS: an alias that is not there is deleted all the same",
    ("StartSyncExecution", "StateMachineDeleting"): "an Express state machine is gone as soon as it is deleted",
}
"""Errors that do not happen here, each with its reason."""
NO_KEYS: Final = "Kms"
"""Errors that begin so tell of keys; none is used here: there is no KMS behind encryptionConfiguration."""

PAGED: Final[dict[str, tuple[dict[str, Any], str, int]]] = {
    "GetExecutionHistory": ({"executionArn": "@succeeded"}, "events", 4),
    "ListActivities": ({}, "activities", 3),
    "ListExecutions": ({"stateMachineArn": "@machine"}, "executions", 3),
    "ListMapRuns": ({"executionArn": "@mapping"}, "mapRuns", 2),
    "ListStateMachineAliases": ({"stateMachineArn": "@machine"}, "stateMachineAliases", 3),
    "ListStateMachineVersions": ({"stateMachineArn": "@machine"}, "stateMachineVersions", 3),
    "ListStateMachines": ({}, "stateMachines", 3),
}
"""By operation that gives pages: a request, the member with the results, how many there are at the least."""


@dataclass
class Scene:
    """What requests meet on a server, made once."""

    served: Served
    client: Any
    _numbers: Any = field(default_factory=count)

    def resolve(self, value: Any) -> Any:
        """The value with what it names in place of the names."""
        match value:
            case str() if value.startswith("@"):
                return getattr(self, value[1:])
            case dict():
                return {key: self.resolve(each) for key, each in value.items() if each is not None}
            case list():
                return [self.resolve(each) for each in value]
            case _:
                return value

    @property
    def new(self) -> str:
        """A name that nobody has."""
        return f"new-{next(self._numbers)}"

    # ---- state machines

    def made(self, definition: str, **more: Any) -> str:
        return self.client.create_state_machine(
            name=f"made-{next(self._numbers)}", roleArn=ROLE, definition=definition, **more
        )["stateMachineArn"]

    @cached_property
    def machine(self) -> str:
        """With three versions and three aliases, the current revision unpublished."""
        arn = self.made(PASS, publish=True)
        for number in (2, 3):
            self.client.update_state_machine(stateMachineArn=arn, definition=PASS + " " * number, publish=True)
        self.client.update_state_machine(stateMachineArn=arn, definition=PASS)
        for name in ("live", "second", "third"):
            self.client.create_state_machine_alias(
                name=name, routingConfiguration=[{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
            )
        return arn

    @property
    def machine_name(self) -> str:
        return _name(self.machine)

    @property
    def version(self) -> str:
        return f"{self.machine}:1"

    @property
    def free_version(self) -> str:
        """One that no alias leads to, and that may be deleted again and again."""
        return f"{self.machine}:99"

    no_version = free_version

    @property
    def alias(self) -> str:
        return f"{self.machine}:live"

    @property
    def other_alias(self) -> str:
        return f"{self.machine}:nobody-needs-it"

    @cached_property
    def express(self) -> str:
        return self.made(PASS, type="EXPRESS")

    @cached_property
    def deleting(self) -> str:
        """One whose execution waits for an hour before it makes the step that ends it."""
        arn = self.made(WAITS, publish=True)
        routes = [{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
        self.client.create_state_machine_alias(name="live", routingConfiguration=routes)
        self.client.start_execution(stateMachineArn=arn)
        self.client.delete_state_machine(stateMachineArn=arn)
        return arn

    @property
    def deleting_name(self) -> str:
        return _name(self.deleting)

    @property
    def deleting_version(self) -> str:
        return f"{self.deleting}:1"

    @property
    def deleting_alias(self) -> str:
        return f"{self.deleting}:live"

    # ---- executions

    def ended(self, arn: str) -> str:
        until(lambda: self.client.describe_execution(executionArn=arn)["status"] != "RUNNING")
        return arn

    def started(self, machine: str, **more: Any) -> str:
        return self.client.start_execution(stateMachineArn=machine, **more)["executionArn"]

    @cached_property
    def succeeded(self) -> str:
        arns = [self.ended(self.started(self.machine, name=f"done-{number}")) for number in range(3)]
        return arns[0]

    @property
    def succeeded_name(self) -> str:
        return _name(self.succeeded)

    @cached_property
    def failed(self) -> str:
        return self.ended(self.started(self.made(FAILS)))

    @property
    def running(self) -> str:
        return self.started(self.made(WAITS))

    # ---- activities and their tasks

    @cached_property
    def activity(self) -> str:
        """With many tasks."""
        arn = self.client.create_activity(name="worked")["activityArn"]
        for number in range(2):
            self.client.create_activity(name=f"idle-{number}")
        again = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 99}]
        task = json.loads(machine(T={"Type": "Task", "Resource": arn, "Retry": again}))
        many = machine(M={"Type": "Map", "ItemProcessor": task})
        self.started(self.made(many), input=json.dumps(list(range(20))))
        return arn

    @property
    def activity_name(self) -> str:
        return _name(self.activity)

    @property
    def token(self) -> str:
        return until(lambda: self.client.get_activity_task(activityArn=self.activity).get("taskToken"))

    @cached_property
    def used_token(self) -> str:
        token = self.token
        self.client.send_task_success(taskToken=token, output="{}")
        return token

    @cached_property
    def lost_token(self) -> str:
        """One that this server has made for an execution that it has no more."""
        with sqlite3.connect(next(self.served.folder.glob("*.db"))) as store:
            (key,) = store.execute("SELECT value FROM settings WHERE name = 'token-key'").fetchone()
        store.close()
        return Tokens(bytes.fromhex(key)).make(NO_EXECUTION, 1)

    # ---- map runs

    @cached_property
    def mapping(self) -> str:
        """An execution with two map runs: one has ended, one waits for workers of an activity."""
        mode = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
        idle = self.client.create_activity(name="nobody")["activityArn"]
        short = {"Type": "Map", "ItemProcessor": {**json.loads(machine(P={"Type": "Pass"})), **mode}}
        task = {**json.loads(machine(T={"Type": "Task", "Resource": idle})), **mode}
        arn = self.started(self.made(machine(Short=short, Long={"Type": "Map", "ItemProcessor": task})), input="[1,2]")
        until(lambda: len(self.client.list_map_runs(executionArn=arn)["mapRuns"]) == 2)
        return arn

    @property
    def map_run(self) -> str:
        return self.client.list_map_runs(executionArn=self.mapping)["mapRuns"][0]["mapRunArn"]

    @property
    def ended_map_run(self) -> str:
        return self.client.list_map_runs(executionArn=self.mapping)["mapRuns"][1]["mapRunArn"]


class FullScene(Scene):
    """A server on which nothing more may be: LIMITS and WORKERS are its quotas."""

    @cached_property
    def machine(self) -> str:
        """With one version and one alias, changed since; one execution has failed, and another one runs."""
        failing = self.made(FAILS, publish=True)
        routes = [{"stateMachineVersionArn": f"{failing}:1", "weight": 100}]
        self.client.create_state_machine_alias(name="live", routingConfiguration=routes)
        self.failed = self.ended(self.started(failing))
        self.client.update_state_machine(stateMachineArn=failing, roleArn=f"{ROLE}-2")
        self.started(self.made(WAITS))
        return failing

    @cached_property
    def activity(self) -> str:
        """With as many workers as may wait: of one more than that, one is refused."""
        arn = self.client.create_activity(name="polled")["activityArn"]
        refused = threading.Event()

        def poll() -> None:
            try:
                self.served.client().get_activity_task(activityArn=arn)
            except ClientError:
                refused.set()

        for _ in range(2):
            threading.Thread(target=poll, daemon=True).start()
        assert refused.wait(20)
        return arn


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]
