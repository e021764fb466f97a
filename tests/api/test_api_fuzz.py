"""Requests that nobody would send: whatever comes, the answer is a success or an error of the service's model.

The requests are made from botocore's model of Step Functions: each operation's members with values that fit, that
nearly fit and that do not, and bodies that are no requests at all. TREADLE_DEEP=1 sends 2,000 instead of 100.
"""

from __future__ import annotations

import http.client
import json
import os
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from api_serving import PASS, ROLE, STATES, Served, machine, misfits
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StringShape, StructureShape
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DEEP = os.environ.get("TREADLE_DEEP") == "1"
SECONDS = 20
"""What takes longer than any of these operations hangs."""
COMMON = {
    "AccessDeniedException",
    "RequestEntityTooLargeException",
    "SerializationException",
    "UnknownOperationException",
    "UnknownServiceException",
    "ValidationException",
}
"""Errors that every service of AWS has, whatever its model says."""

MACHINE, EXPRESS = f"{STATES}:stateMachine:fuzzed", f"{STATES}:stateMachine:fuzzed-express"
ARNS = [
    MACHINE,
    f"{MACHINE}:1",
    f"{MACHINE}:live",
    f"{MACHINE}/map",
    EXPRESS,
    f"{STATES}:execution:fuzzed:one",
    f"{STATES}:execution:fuzzed:none",
    f"{STATES}:mapRun:fuzzed/map:0b2c",
    f"{STATES}:activity:none",
    ROLE,
    "arn:aws:states:::",
    "arn:aws-cn:states:cn-north-1:1:stateMachine:é",
]
TEXTS = [
    PASS,
    machine(F={"Type": "Fail"}),
    '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true, "Result": ' + "[" * 500 + "]" * 500 + "}}}",
    machine(A={"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $f( %}"}),
    '{"Type": "Pass", "End": true}',
    "{}",
    "[]",
    "null",
    "1e400",
    "NaN",
    "{",
    "",
    "\x00",
    "\U0001f600" * 30,
    "[" * 5_000,
    '"' + "x" * 262_143 + '"',
    "x" * 1_100_000,
]
NUMBERS = [-1, 0, 1, 1000, 1001, 2**31, 2**63, -(2**63) - 1, 0.5, 1e308]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@cache
def service() -> ServiceModel:
    return botocore.session.get_session().get_service_model("stepfunctions")


@cache
def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Values of a shape, most of which fit it."""
    match shape:
        case StructureShape():
            members = {name: now_and_then_wrong(member) for name, member in shape.members.items()}
            required = {name: members.pop(name) for name in shape.required_members}
            return st.fixed_dictionaries(required, optional=members)
        case ListShape():
            return st.lists(now_and_then_wrong(shape.member), max_size=3)
        case MapShape():
            return st.dictionaries(values(shape.key), now_and_then_wrong(shape.value), max_size=3)
        case StringShape():
            if shape.enum:
                return st.sampled_from(shape.enum)
            if shape.name.endswith("Arn") or shape.name == "Arn":
                return st.sampled_from(ARNS)
            return st.sampled_from(TEXTS) | st.sampled_from(ARNS) | st.text(max_size=90)
    if shape.type_name == "boolean":
        return st.booleans()
    if shape.type_name == "timestamp":
        return st.floats(0, 2e9)
    return st.sampled_from(NUMBERS) | st.integers(-5, 1_100)


def now_and_then_wrong(shape: Shape) -> st.SearchStrategy[Any]:
    right = values(shape)
    return st.integers(0, 9).flatmap(lambda chance: anything if chance == 9 else right)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """A target and a body."""
    operation = draw(st.sampled_from(sorted(service().operation_names)))
    body = json.dumps(draw(values(service().operation_model(operation).input_shape))).encode()
    match draw(st.integers(0, 11)):
        case 0:
            body = draw(st.binary(max_size=60))
        case 1:
            at = draw(st.integers(0, len(body)))
            body = body[:at] + draw(st.binary(min_size=1, max_size=3)) + body[at:]
        case 2:
            body = body[: draw(st.integers(0, len(body)))]
        case 3:
            body = json.dumps(draw(anything)).encode()
        case 4:
            deep = draw(st.sampled_from([100, 2_000, 100_000]))
            body = b'{"name": ' + b"[" * deep + b"]" * deep + b"}"
        case _:
            pass
    strange = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
    wrong = st.sampled_from(["", "AWSStepFunctions", "AWSStepFunctions.", "AWSStepFunctions.x.y", "DynamoDB.X"])
    target = draw(wrong | strange) if draw(st.integers(0, 14)) == 14 else f"AWSStepFunctions.{operation}"
    return target, body


@pytest.fixture(scope="module")
def fuzzed(served: Served) -> Served:
    """A server where some of the ARNs mean something."""
    states = served.client()
    made = states.create_state_machine(name="fuzzed", definition=PASS, roleArn=ROLE, publish=True)
    states.create_state_machine(name="fuzzed-express", definition=PASS, roleArn=ROLE, type="EXPRESS")
    routing = [{"stateMachineVersionArn": made["stateMachineVersionArn"], "weight": 100}]
    states.create_state_machine_alias(name="live", routingConfiguration=routing)
    states.start_execution(stateMachineArn=made["stateMachineArn"], name="one")
    return served


@settings(
    max_examples=2_000 if DEEP else 100,
    deadline=None,
    derandomize=not DEEP,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(request=requests())
def test_whatever_is_asked_the_answer_is_one_of_the_model(fuzzed: Served, request: tuple[str, bytes]) -> None:
    target, body = request
    status, told = sent(fuzzed, target, body)
    name = target.removeprefix("AWSStepFunctions.")
    known: OperationModel | None = service().operation_model(name) if name in service().operation_names else None
    if status == 200:
        assert known is not None
        assert misfits(told, known.output_shape) == []
        return
    assert status in (400, 402, 403, 409, 413), told
    assert isinstance(told["message"], str)
    # AWS, too, answers some operations with errors that the model lists for others.
    assert told["__type"] in COMMON | {shape.name for shape in service().error_shapes}, told


def sent(served: Served, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer to a request of any kind."""
    connection = http.client.HTTPConnection(urlsplit(served.endpoint).netloc, timeout=SECONDS)
    try:
        connection.request("POST", "/", body, {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()
