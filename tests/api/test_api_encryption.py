"""encryptionConfiguration: what may be given, and where it is shown again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from api_serving import PASS
from test_api_executions import ended, refused

Create = Callable[..., str]
OWNED = {"type": "AWS_OWNED_KEY"}
KEY = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "alias/mine"}
KEPT = {**KEY, "kmsDataKeyReusePeriodSeconds": 300}
"""AWS: the period without which a key is given."""


def test_a_state_machine_shows_its_encryption_and_an_execution_that_it_started_with(
    states: Any, create: Create
) -> None:
    arn = create(encryptionConfiguration=KEY)
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    assert states.describe_state_machine(stateMachineArn=arn)["encryptionConfiguration"] == KEPT
    updated = states.update_state_machine(stateMachineArn=arn, encryptionConfiguration=OWNED)
    found = states.describe_state_machine(stateMachineArn=arn)
    assert (found["encryptionConfiguration"], found["revisionId"]) == (OWNED, updated["revisionId"])
    before = states.describe_state_machine_for_execution(executionArn=execution)
    assert before["encryptionConfiguration"] == KEPT


def test_an_activity_shows_its_encryption_which_is_the_services_own_where_none_was_given(
    states: Any, name: str
) -> None:
    arn = states.create_activity(name=name)["activityArn"]
    assert states.describe_activity(activityArn=arn)["encryptionConfiguration"] == OWNED
    arn = states.create_activity(name=f"{name}-k", encryptionConfiguration=KEY)["activityArn"]
    assert states.describe_activity(activityArn=arn)["encryptionConfiguration"] == KEPT
    assert states.create_activity(name=f"{name}-k", encryptionConfiguration=KEPT)["activityArn"] == arn
    other = {"name": f"{name}-k", "encryptionConfiguration": OWNED}
    assert refused(lambda: states.create_activity(**other))[0] == "ActivityAlreadyExists"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"type": "CUSTOMER_MANAGED_KMS_KEY"}, "InvalidEncryptionConfiguration"),
        ({**OWNED, "kmsKeyId": "alias/mine"}, "InvalidEncryptionConfiguration"),
        ({**OWNED, "kmsDataKeyReusePeriodSeconds": 60}, "InvalidEncryptionConfiguration"),
        ({**KEY, "kmsDataKeyReusePeriodSeconds": 59}, "ValidationException"),
        ({**KEY, "kmsDataKeyReusePeriodSeconds": 901}, "ValidationException"),
        ({**KEY, "kmsKeyId": "k" * 2049}, "ValidationException"),
        ({"type": "NONE"}, "ValidationException"),
        ({}, "ValidationException"),
    ],
)
def test_what_is_no_encryption_is_refused(served: Any, name: str, given: dict[str, Any], code: str) -> None:
    states = served.client(parameter_validation=False)
    machine = {"name": name, "definition": PASS, "roleArn": "arn:aws:iam::123456789012:role/r"}
    calls = (
        lambda: states.create_activity(name=name, encryptionConfiguration=given),
        lambda: states.create_state_machine(**machine, encryptionConfiguration=given),
    )
    assert [refused(call)[0] for call in calls] == [code, code]
    states.close()


def test_metadata_alone_needs_no_key_and_has_no_data(states: Any, create: Create) -> None:
    metadata = {"includedData": "METADATA_ONLY"}
    arn = create(encryptionConfiguration=KEY)
    execution = states.start_execution(stateMachineArn=arn, input='{"secret": 1}')["executionArn"]
    ended(states, execution)
    found = [
        states.describe_state_machine(stateMachineArn=arn, **metadata),
        states.describe_state_machine_for_execution(executionArn=execution, **metadata),
        states.describe_execution(executionArn=execution, **metadata),
        states.start_sync_execution(
            stateMachineArn=create(type="EXPRESS", encryptionConfiguration=KEY), input='{"secret": 1}', **metadata
        ),
    ]
    assert [each.get("definition") for each in found] == ["{}", "{}", None, None]
    assert [each["encryptionConfiguration"] for each in found[:2]] == [KEPT, KEPT]
    for each in found[2:]:
        assert not {"input", "output"} & set(each)
        assert each["inputDetails"] == each["outputDetails"] == {"included": False}
