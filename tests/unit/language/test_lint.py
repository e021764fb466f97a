"""What lint says about definitions, rule by rule."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.language.definition import parse
from treadle.language.diagnostics import Diagnostic
from treadle.language.fields import TABLE
from treadle.language.lint import lint
from treadle.language.lints.finding import ErrorCode, WarningCode
from treadle.language.lints.outline import WorkflowType

Json = Any

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:pay"
ACTIVITY = "arn:aws:states:eu-central-1:123456789012:activity:approve"
SCHEMA = "SCHEMA_VALIDATION_FAILED"
END = {"Type": "Pass", "End": True}


def lint_text(text: str, type: WorkflowType = "STANDARD") -> list[Diagnostic]:
    definition, findings = parse(text)
    return findings if definition is None else [*findings, *lint(definition, type)]


def found(root: Json, type: WorkflowType = "STANDARD") -> list[tuple[str, str, str]]:
    """Code, message and location of every finding."""
    return [(each.code, each.message, each.location) for each in lint_text(json.dumps(root), type)]


def machine(state: Json, **fields: Json) -> Json:
    return {"StartAt": "S", "States": {"S": state}, **fields}


def task(resource: str = FUNCTION, **fields: Json) -> Json:
    return {"Type": "Task", "Resource": resource, "End": True, **fields}


def then(state: Json, **more: Json) -> Json:
    """A machine in which S, with this state's fields, leads to T."""
    first = {name: value for name, value in state.items() if name != "End"} | {"Next": "T"}
    return {"StartAt": "S", "States": {"S": first, "T": {**END, **more}}}


def choice(*rules: Json, **fields: Json) -> Json:
    return {"StartAt": "S", "States": {"S": {"Type": "Choice", "Choices": list(rules), **fields}, "T": END}}


def inline(states: Json, **fields: Json) -> Json:
    return {"Type": "Map", "ItemProcessor": {"StartAt": next(iter(states)), "States": states}, "End": True, **fields}


def distributed(state: Json, execution_type: str = "STANDARD", **fields: Json) -> Json:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": execution_type}
    processor = {"ProcessorConfig": config, "StartAt": "I", "States": {"I": state}}
    return {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}


JSONATA = {"QueryLanguage": "JSONata"}

# A definition -> every finding, as (code, message, location).
CASES: dict[str, tuple[Json, list[tuple[str, str, str]]]] = {
    # The form of the document
    "no object": ([], [("INVALID_JSON_DESCRIPTION", "Definition must be a valid JSON object", "")]),
    "nothing": ({}, [(SCHEMA, "These fields are required: [States, StartAt]", "/")]),
    "no StartAt": ({"States": {"S": END}}, [(SCHEMA, "These fields are required: [StartAt]", "/")]),
    "no States": ({"StartAt": "S"}, [(SCHEMA, "These fields are required: [States]", "/")]),
    "States is a number": (
        {"StartAt": "S", "States": 5},
        [(SCHEMA, "The field 'States' must be an object of states by name", "/States")],
    ),
    "States is empty": (
        {"StartAt": "S", "States": {}},
        [
            (SCHEMA, "Value cannot be empty", "/States"),
            ("MISSING_TRANSITION_TARGET", "Missing 'StartAt' target: S", "/StartAt"),
        ],
    ),
    "a state is no object": (machine("S"), [(SCHEMA, "A state must be an object", "/States/S")]),
    "unknown field of the machine": (
        machine(END, TimeoutSecond=5),
        [(SCHEMA, "Field 'TimeoutSecond' is not supported", "/")],
    ),
    "unknown field of a state": (
        machine({**END, "_note": "x"}),
        [(SCHEMA, "Field '_note' is not supported", "/States/S")],
    ),
    "no Type": (machine({"End": True}), [(SCHEMA, "These fields are required: [Type]", "/States/S")]),
    "unknown Type": (
        machine({"Type": "Sleep", "End": True}),
        [
            (
                SCHEMA,
                "The field 'Type' should have one of these values: "
                "[Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map]",
                "/States/S/Type",
            )
        ],
    ),
    "neither Next nor End": (
        {"StartAt": "S", "States": {"S": {"Type": "Pass"}, "T": {"Type": "Succeed"}}},
        [
            (SCHEMA, "One of these fields is required: [Next, End]", "/States/S"),
            ("MISSING_TRANSITION_TARGET", 'State "T" is not reachable.', "/States/T"),
        ],
    ),
    "Next and End": (
        {"StartAt": "S", "States": {"S": {**END, "Next": "T"}, "T": END}},
        [(SCHEMA, "Only one of these fields is allowed: [Next, End]", "/States/S")],
    ),
    "wrong kind": (
        machine(task(TimeoutSeconds="5", Retry={}, ResultPath=7, Comment=1)),
        [
            (
                SCHEMA,
                "The field 'TimeoutSeconds' must be a whole number from 1 to 99999999",
                "/States/S/TimeoutSeconds",
            ),
            (SCHEMA, "The field 'Retry' must be a list of objects", "/States/S/Retry"),
            (SCHEMA, "The field 'ResultPath' must be a JSONPath string or null", "/States/S/ResultPath"),
            (SCHEMA, "The field 'Comment' must be a string", "/States/S/Comment"),
        ],
    ),
    "out of range": (
        machine(task(Retry=[{"ErrorEquals": ["E"], "BackoffRate": 0.5, "MaxDelaySeconds": 0, "MaxAttempts": 0}])),
        [
            (SCHEMA, "The field 'BackoffRate' must be at least 1", "/States/S/Retry[0]/BackoffRate"),
            (
                SCHEMA,
                "The field 'MaxDelaySeconds' must be a whole number from 1 to 31622400",
                "/States/S/Retry[0]/MaxDelaySeconds",
            ),
        ],
    ),
    "empty lists": (
        machine({"Type": "Parallel", "Branches": [], "Catch": [{"ErrorEquals": [], "Next": "S"}], "End": True}),
        [
            (SCHEMA, "Value cannot be empty", "/States/S/Branches"),
            (SCHEMA, "Value cannot be empty", "/States/S/Catch[0]/ErrorEquals"),
        ],
    ),
    "inner scopes": (
        machine({"Type": "Parallel", "Branches": [{"StartAt": "B"}, 5], "End": True}),
        [
            (SCHEMA, "The items of 'Branches' must be objects", "/States/S/Branches[1]"),
            (SCHEMA, "These fields are required: [States]", "/States/S/Branches[0]"),
        ],
    ),
    "timestamp": (
        machine({"Type": "Wait", "Timestamp": "2026-03-14", "End": True}),
        [(SCHEMA, "String does not match RFC3339 timestamp", "/States/S/Timestamp")],
    ),
    "two durations": (
        machine({"Type": "Wait", "Seconds": 1, "SecondsPath": "$.s", "End": True}),
        [(SCHEMA, "Only one of these fields is allowed: [Seconds, SecondsPath]", "/States/S")],
    ),
    "a duration too few": (
        machine({"Type": "Wait", "End": True}),
        [(SCHEMA, "One of these fields is required: [Seconds, Timestamp, SecondsPath, TimestampPath]", "/States/S")],
    ),
    # Query languages
    "JSONPath in a machine of JSONata": (
        machine({**END, "QueryLanguage": "JSONPath"}, **JSONATA),
        [(SCHEMA, "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine", "/States/S")],
    ),
    "JSONata in a machine of JSONPath": (machine({**END, **JSONATA, "Output": "{% 1 %}"}), []),
    "fields of the other language": (
        {
            "StartAt": "S",
            "States": {
                "S": {"Type": "Pass", "Output": 1, "Next": "T"},
                "T": {**END, **JSONATA, "InputPath": "$", "Parameters": {}},
            },
        },
        [
            (SCHEMA, "Field 'Output' is not supported", "/States/S"),
            (SCHEMA, "Field 'InputPath' is not supported", "/States/T"),
            (SCHEMA, "Field 'Parameters' is not supported", "/States/T"),
        ],
    ),
    "the language of a Map is not that of its states": (
        machine(inline({"I": {**END, "Result": 1}}, **JSONATA)),
        [],
    ),
    "expressions instead of values": (
        machine({"Type": "Wait", "Seconds": "{% $states.input.s %}", "End": True}, **JSONATA),
        [],
    ),
    "an expression with a blank before it": (
        machine({"Type": "Wait", "Seconds": " {% 1 %}", "End": True}, **JSONATA),
        [
            (SCHEMA, "The field 'Seconds' must be a whole number from 0 to 99999999", "/States/S/Seconds"),
            (
                "NOT_EVALUATED",
                "The value of 'Seconds' holds a JSONata expression among other text: it is plain text",
                "/States/S/Seconds",
            ),
        ],
    ),
    # Queries
    "paths": (
        machine({**END, "InputPath": "x", "OutputPath": None, "ResultPath": "$.a[*]"}),
        [
            (SCHEMA, "The value for the field 'InputPath' must be a valid JSONPath", "/States/S/InputPath"),
            (
                SCHEMA,
                "Value is not a Reference Path: it may hold field names and indices only",
                "/States/S/ResultPath",
            ),
        ],
    ),
    "ResultPath names the context": (
        machine({**END, "ResultPath": "$$.State"}),
        [
            (
                SCHEMA,
                "Value is not a Reference Path: it must begin with '$.', for the input of the state",
                "/States/S/ResultPath",
            )
        ],
    ),
    "templates": (
        machine({**END, "Parameters": {"a": {"b.$": "plain"}, "c.$": 5, "d.$": "States.Nothing()", "e.$": "$.e"}}),
        [
            (
                SCHEMA,
                f"The value for the field '{name}.$' must be a valid JSONPath or a valid intrinsic function call",
                "/States/S/Parameters",
            )
            for name in "cbd"
        ],
    ),
    "a dynamic field beside its twin": (
        machine({**END, "Parameters": {"a": 1, "a.$": "$.a"}}),
        [(SCHEMA, "The fields 'a' and 'a.$' can not both be present", "/States/S/Parameters")],
    ),
    "an unclosed expression": (
        machine({**END, "Output": {"a": "{% $sum( %}"}}, **JSONATA),
        [
            (
                SCHEMA,
                "The JSONata expression in the field 'a' is not valid: ...",
                "/States/S/Output/a",
            )
        ],
    ),
    "$states.result too early": (
        machine(task("arn:aws:states:::lambda:invoke", Arguments="{% $states.result %}"), **JSONATA),
        [
            (
                SCHEMA,
                "The field 'Arguments' refers to $states.result, which does not exist there",
                "/States/S/Arguments",
            )
        ],
    ),
    "$states.errorOutput outside of Catch": (
        machine(task(Output="{% $states.errorOutput %}"), **JSONATA),
        [(SCHEMA, "The field 'Output' refers to $states.errorOutput, which does not exist there", "/States/S/Output")],
    ),
    "$states where it belongs": (
        machine(
            task(
                Output="{% $states.result %}",
                Assign={"x": "{% $states.result.x %}"},
                Catch=[{"ErrorEquals": ["E"], "Output": "{% $states.errorOutput %}", "Next": "S"}],
            ),
            **JSONATA,
        ),
        [("UNUSED_VARIABLE", "The variable 'x' is never read", "/States/S/Assign/x")],
    ),
    # Transitions
    "a target in another scope": (
        {
            "StartAt": "S",
            "States": {
                "S": {"Type": "Parallel", "Branches": [machine({"Type": "Pass", "Next": "T"})], "Next": "T"},
                "T": END,
            },
        },
        [
            ("DUPLICATE_STATE_NAME", "Duplicate State name: S", "/States/S/Branches[0]/States/S"),
            ("MISSING_TRANSITION_TARGET", "Missing 'Next' target: T", "/States/S/Branches[0]/States/S/Next"),
            ("MISSING_END_STATE", "There is no terminal state", "/States/S/Branches[0]/States"),
        ],
    ),
    "Default and Catch lead nowhere": (
        choice({"Variable": "$.x", "IsNull": True, "Next": "T"}, Default="U"),
        [("MISSING_TRANSITION_TARGET", "Missing 'Default' target: U", "/States/S/Default")],
    ),
    "a state that points at itself alone": (
        {"StartAt": "S", "States": {"S": END, "T": {"Type": "Pass", "Next": "T"}}},
        [("MISSING_TRANSITION_TARGET", 'State "T" is not reachable.', "/States/T")],
    ),
    "states that point at each other alone": (
        {"StartAt": "S", "States": {"S": END, "T": {"Type": "Pass", "Next": "U"}, "U": {"Type": "Pass", "Next": "T"}}},
        [
            ("UNREACHABLE_STATE", 'State "T" is not reachable.', "/States/T"),
            ("UNREACHABLE_STATE", 'State "U" is not reachable.', "/States/U"),
        ],
    ),
    "a loop that waits": (
        {
            "StartAt": "S",
            "States": {
                "S": {"Type": "Wait", "Seconds": 1, "Next": "C"},
                "C": {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsNull": True, "Next": "T"}], "Default": "S"},
                "T": END,
            },
        },
        [],
    ),
    # Choice
    "no Variable": (
        choice({"And": [{"IsNull": True}, {"Not": {"StringEquals": "x", "Variable": "$.x"}}], "Next": "T"}),
        [(SCHEMA, "These fields are required: [Variable]", "/States/S/Choices[0]/And[0]")],
    ),
    "two comparisons": (
        choice({"Variable": "$.x", "IsNull": True, "IsString": True, "Next": "T"}),
        [(SCHEMA, "Only one of these fields is allowed: [IsNull, IsString]", "/States/S/Choices[0]")],
    ),
    "no comparison": (
        choice({"Variable": "$.x", "Next": "T"}),
        [(SCHEMA, "One of these fields is required: [And, Or, Not, StringEquals, ...]", "/States/S/Choices[0]")],
    ),
    "Next within And": (
        choice({"And": [{"Variable": "$.x", "IsNull": True, "Next": "T"}], "Next": "T"}),
        [(SCHEMA, "Field 'Next' is not supported", "/States/S/Choices[0]/And[0]")],
    ),
    "a condition that is no boolean": (
        {**choice({"Condition": "$x", "Next": "T"}), **JSONATA},
        [(SCHEMA, "The field 'Condition' must be true or false", "/States/S/Choices[0]/Condition")],
    ),
    # Tasks
    "a resource that does not exist": (
        machine(task("arn:aws:states:::dynamodb:query")),
        [
            (
                SCHEMA,
                "The resource provided arn:aws:states:::dynamodb:query is not recognized. The value is not a valid "
                "resource ARN, or the resource is not available in this region.",
                "/States/S/Resource",
            )
        ],
    ),
    "credentials without a role": (
        machine(task(Credentials={"Role": "x"})),
        [(SCHEMA, "The field 'RoleArn' is required but was missing", "/States/S/Credentials")],
    ),
    "credentials by path": (machine(task(Credentials={"RoleArn.$": "$.role"})), []),
    "a token in the arguments": (
        machine(
            task(
                "arn:aws:states:::lambda:invoke.waitForTaskToken",
                Arguments={"Payload": "{% $states.context.Task.Token %}"},
                TimeoutSeconds=5,
            ),
            **JSONATA,
        ),
        [],
    ),
    "the timeout of the machine is enough": (machine(task(ACTIVITY), TimeoutSeconds=600), []),
    # Map
    "a reader in INLINE mode": (
        machine(inline({"I": END}, ItemReader={"Resource": "arn:aws:states:::s3:getObject"}, ToleratedFailureCount=1)),
        [(SCHEMA, "Field 'ItemReader' is not supported in INLINE mode", "/States/S")],
    ),
    "a distributed Map without ExecutionType": (
        machine(
            {
                "Type": "Map",
                "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, "StartAt": "I", "States": {"I": END}},
                "End": True,
            }
        ),
        [(SCHEMA, "These fields are required: [ExecutionType]", "/States/S/ItemProcessor/ProcessorConfig")],
    ),
    "a batch without limit, a writer without arguments": (
        machine(distributed(END, ItemBatcher={}, ResultWriter={"Resource": "arn:aws:states:::s3:putObject"})),
        [
            (
                SCHEMA,
                "One of these fields is required: [MaxItemsPerBatch, MaxInputBytesPerBatch]",
                "/States/S/ItemBatcher",
            ),
            (SCHEMA, "Resource and Parameters must come together", "/States/S/ResultWriter"),
        ],
    ),
    "an empty label": (
        machine(distributed(END, Label="")),
        [("INVALID_LABEL_NAME", "Label cannot be empty", "/States/S/Label")],
    ),
    # Errors
    "States.ALL among others": (
        machine(task(Retry=[{"ErrorEquals": ["States.ALL", "E"]}, {"ErrorEquals": ["F"]}])),
        [
            (SCHEMA, "'States.ALL' must be the only error in ErrorEquals", "/States/S/Retry[0]/ErrorEquals"),
            (SCHEMA, "'States.ALL' must be in the last element of Retry", "/States/S/Retry[0]/ErrorEquals"),
        ],
    ),
    "errors that cannot occur": (
        machine(
            task(
                Retry=[
                    {"ErrorEquals": ["States.ItemReaderFailed"]},
                    {"ErrorEquals": ["States.Oops", "States.QueryEvaluationError"]},
                    {"ErrorEquals": ["States.TaskFailed", "States.Timeout"]},
                    {"ErrorEquals": ["Lambda.TooManyRequestsException", "States.Timeout"]},
                ]
            )
        ),
        [
            ("RETRY_CANNOT_OCCUR", f"'{name}' never matches here: {why}", f"/States/S/Retry[{index}]/ErrorEquals")
            for name, why, index in (
                ("States.ItemReaderFailed", "no Task fails with it", 0),
                (
                    "States.Oops",
                    "there is no such predefined error, and names that begin with 'States.' are reserved",
                    1,
                ),
                ("States.QueryEvaluationError", "it belongs to JSONata", 1),
                (
                    "Lambda.TooManyRequestsException",
                    "'States.TaskFailed' in an earlier element of the list includes it",
                    3,
                ),
                ("States.Timeout", "an earlier element of the list names it", 3),
            )
        ],
    ),
    "a reserved name that a Fail state of a branch writes": (
        machine(
            {
                "Type": "Parallel",
                "Branches": [{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "States.Quorum"}}}],
                "Retry": [{"ErrorEquals": ["States.Quorum"]}],
                "End": True,
            }
        ),
        [],
    ),
    "a catcher before a Choice that may test": (
        {
            "StartAt": "S",
            "States": {
                "S": {**task(), "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]},
                "C": {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "T"}]},
                "T": END,
            },
        },
        [],
    ),
    "a catcher of JSONata that drops the input": (
        {
            **JSONATA,
            "StartAt": "S",
            "States": {
                "S": {**task(), "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "T"}]},
                "T": {**END, "Output": "{% $states.input.order %}"},
            },
        },
        [
            (
                "CATCH_DROPS_INPUT",
                "The catcher passes on the error alone, and 'T' reads order of its input",
                "/States/S/Catch[0]",
            )
        ],
    ),
    # Variables
    "names of variables": (
        then({**END, "Assign": {"states": 1, "a.b": 2, "2x": 3, "v" * 81: 4, "größe": 5}}),
        [
            (SCHEMA, "The variable name 'states' is reserved", "/States/S/Assign/states"),
            (SCHEMA, "'a.b' is not a valid variable name", "/States/S/Assign/a.b"),
            (SCHEMA, "'2x' is not a valid variable name", "/States/S/Assign/2x"),
            (SCHEMA, "The variable name has 81 characters; the limit is 80", f"/States/S/Assign/{'v' * 81}"),
        ],
    ),
    "an inner scope assigns an outer variable": (
        machine(inline({"I": {**END, "Assign": {"x": 1}}}, Assign={"x": 2})),
        [
            (
                SCHEMA,
                "The variable 'x' is already assigned in an outer scope",
                "/States/S/ItemProcessor/States/I/Assign/x",
            )
        ],
    ),
    "children of a distributed Map have variables of their own": (
        machine(distributed({**END, "Assign": {"x": 1}}, Assign={"x": 2})),
        [
            ("UNUSED_VARIABLE", "The variable 'x' is never read", "/States/S/Assign/x"),
            ("UNUSED_VARIABLE", "The variable 'x' is never read", "/States/S/ItemProcessor/States/I/Assign/x"),
        ],
    ),
    "inner scopes read outer variables": (
        {
            "StartAt": "S",
            "States": {
                "S": {"Type": "Pass", "Assign": {"x": 1}, "Next": "T"},
                "T": inline({"I": {**END, "Parameters": {"y.$": "$x"}}}),
            },
        },
        [],
    ),
    "children of a distributed Map do not": (
        {
            "StartAt": "S",
            "States": {
                "S": {"Type": "Pass", "Assign": {"x": 1}, "Next": "T"},
                "T": distributed({**END, "Parameters": {"y.$": "$x"}}, ItemSelector={"x.$": "$x"}),
            },
        },
        [
            (
                "VARIABLE_OUT_OF_SCOPE",
                "The variable 'x' is assigned only where this state cannot see it",
                "/States/T/ItemProcessor/States/I/Parameters/y.$",
            )
        ],
    ),
    "variables within expressions": (
        machine({**END, "Output": "{% $x + ($y := 1; $y) + $sum([1]) %}"}, **JSONATA),
        [("UNASSIGNED_VARIABLE", "The variable 'x' is never assigned", "/States/S/Output")],
    ),
}


@pytest.mark.parametrize(("root", "expected"), CASES.values(), ids=CASES)
def test_lint_finds(root: Json, expected: list[tuple[str, str, str]]) -> None:
    # What exactly is wrong with an expression is for the JSONata parser to say.
    shown = [(code, re.sub(r"is not valid: .*", "is not valid: ...", text), at) for code, text, at in found(root)]
    assert shown == expected


LACKS = "Express state machine does not support "
EXPRESS_CASES: dict[str, tuple[Json, list[tuple[str, str, str]]]] = {
    "request and response": (machine(task("arn:aws:states:::lambda:invoke")), []),
    "a job": (
        machine(task("arn:aws:states:::states:startExecution.sync:2")),
        [(SCHEMA, f"{LACKS}'.sync' service integration", "/States/S/Resource")],
    ),
    # With the blank at the end.
    "a callback": (
        machine(task("arn:aws:states:::sns:publish.waitForTaskToken", Parameters={"Message.$": "$$.Task.Token"})),
        [(SCHEMA, f"{LACKS}'.waitForTaskToken' service integration ", "/States/S/Resource")],
    ),
    "an activity": (machine(task(ACTIVITY)), [(SCHEMA, f"{LACKS}Activity ARN", "/States/S/Resource")]),
    "a distributed Map": (
        machine(distributed(END)),
        [(SCHEMA, f"{LACKS}a Map in DISTRIBUTED mode", "/States/S")],
    ),
}


@pytest.mark.parametrize(("root", "expected"), EXPRESS_CASES.values(), ids=EXPRESS_CASES)
def test_an_express_workflow_cannot_wait_for_the_world(root: Json, expected: list[tuple[str, str, str]]) -> None:
    assert found(root, "EXPRESS") == expected


def test_a_diagnostic_reads_as_aws_writes_it() -> None:
    (finding,) = lint_text(json.dumps(machine({"Type": "Parallel", "Branches": [], "End": True})))
    assert str(finding) == "SCHEMA_VALIDATION_FAILED: Value cannot be empty at /States/S/Branches"


def test_line_and_column_are_those_of_the_fault_even_where_aws_names_the_field_around_it() -> None:
    text = '{"StartAt": "S",\n "States": {"S": {"Type": "Pass", "End": true,\n  "Parameters": {\n   "a.$": "x"}}}}'
    (finding,) = lint_text(text)
    assert (finding.location, finding.line, finding.column) == ("/States/S/Parameters", 4, 4)


def test_errors_come_before_warnings() -> None:
    root = {"StartAt": "S", "States": {"S": task(ACTIVITY, Next="T"), "T": task(ACTIVITY, X=1)}}
    severities = [each.severity for each in lint_text(json.dumps(root))]
    assert severities == sorted(severities)
    assert set(severities) == {"ERROR", "WARNING"}


def test_variables_are_not_judged_while_the_form_is_wrong() -> None:
    assert [code for code, _, _ in found(machine({**END, "Parameters": {"x.$": "$x"}, "Asign": {"x": 1}}))] == [SCHEMA]


# The documentation

SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(\w+) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "diagnostics.md"
SECTIONS = dict(SECTION.findall(DOCUMENT.read_text(encoding="utf-8")))


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    assert list(SECTIONS) == [*get_args(ErrorCode), *get_args(WarningCode)]


@pytest.mark.parametrize("code", SECTIONS)
def test_the_documented_example_shows_the_fault_and_its_correction(code: str) -> None:
    faulty, corrected = BLOCK.findall(SECTIONS[code])

    def codes(block: tuple[str, str, str]) -> set[str]:
        return {each.code for each in lint_text(block[2], "EXPRESS" if block[1] == "EXPRESS" else "STANDARD")}

    assert codes(faulty) == {code}
    assert codes(corrected) == set()


# Whatever is written

NAMES = sorted({field.name for field in TABLE} | {"Payload.$", "S", "T", "x"})
WORDS = (
    "S T Pass Task Map Choice Parallel Wait Fail JSONata JSONPath DISTRIBUTED $.x $x $$.Task States.ALL States.UUID()"
)
TEXTS = st.sampled_from([*WORDS.split(), "{% $states.input %}", "{% $x", "\u2028", FUNCTION, ACTIVITY])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=6),
    max_leaves=30,
)


def holds_together(root: Json, type: WorkflowType) -> None:
    for finding in lint_text(json.dumps(root, indent=1), type):
        assert finding.line >= 1
        assert finding.column >= 1
        assert finding.message
        assert finding.remedy
        assert finding.location.startswith("/") or not finding.location


@settings(deadline=None)
@given(VALUES, st.sampled_from(["STANDARD", "EXPRESS"]))
def test_any_value_is_judged(root: Json, type: WorkflowType) -> None:
    holds_together(root, type)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.sampled_from(["STANDARD", "EXPRESS"]))
def test_any_fields_of_a_state_are_judged(fields: Json, type: WorkflowType) -> None:
    holds_together(machine({**END, **fields}), type)


def places(value: Json) -> list[tuple[Json, Any]]:
    """Every container in a value with each of its keys."""
    own = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in own] + [place for key in own for place in places(value[key])]


def removed(container: Json, key: Any, _value: Json) -> None:
    del container[key]


def replaced(container: Json, key: Any, value: Json) -> None:
    container[key] = value


def renamed(container: Json, key: Any, value: Json) -> None:
    if isinstance(container, dict):
        container[str(value)] = container.pop(key)


VALID = [root for root, expected in CASES.values() if not expected]
MUTATIONS: list[Callable[[Json, Any, Json], None]] = [removed, replaced, renamed]


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(["STANDARD", "EXPRESS"]))
def test_any_mutation_of_a_valid_definition_is_judged(data: st.DataObject, type: WorkflowType) -> None:
    root = json.loads(json.dumps(data.draw(st.sampled_from(VALID))))
    for _ in range(data.draw(st.integers(1, 4))):
        if here := places(root):
            container, key = data.draw(st.sampled_from(here))
            data.draw(st.sampled_from(MUTATIONS))(container, key, data.draw(VALUES))
    holds_together(root, type)
