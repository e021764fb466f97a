"""The state machines that are measured, the same for treadle and its peers."""

from __future__ import annotations

from typing import Any

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:noop"


def chain(length: int) -> dict[str, Any]:
    """Pass states in a row."""
    last = length - 1
    return {
        "StartAt": "S0",
        "States": {
            f"S{i}": {"Type": "Pass", **({"Next": f"S{i + 1}"} if i < last else {"End": True})} for i in range(length)
        },
    }


def steps(length: int) -> dict[str, Any]:
    """Calls of a function that does nothing, in a row."""
    last = length - 1
    return {
        "StartAt": "T0",
        "States": {
            f"T{i}": {
                "Type": "Task",
                "Resource": FUNCTION,
                **({"Next": f"T{i + 1}"} if i < last else {"End": True}),
            }
            for i in range(length)
        },
    }


LOOP: dict[str, Any] = {
    "StartAt": "Set",
    "States": {
        "Set": {"Type": "Pass", "Result": {"n": 0}, "Next": "More?"},
        "More?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": 1000, "Next": "Add"}],
            "Default": "Done",
        },
        "Add": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "More?"},
        "Done": {"Type": "Succeed"},
    },
}
MAP: dict[str, Any] = {
    "StartAt": "M",
    "States": {
        "M": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}},
            "End": True,
        }
    },
}
THREE: dict[str, Any] = {
    "StartAt": "Prepare",
    "States": {
        "Prepare": {"Type": "Pass", "Result": {"ready": True}, "Next": "Call"},
        "Call": {"Type": "Task", "Resource": FUNCTION, "Next": "Done"},
        "Done": {"Type": "Succeed"},
    },
}
CALLBACK: dict[str, Any] = {
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "TimeoutSeconds": 31_536_000,
            "Parameters": {"FunctionName": "noop", "Payload": {"token.$": "$$.Task.Token"}},
            "End": True,
        }
    },
}
JSONATA: dict[str, Any] = {
    "QueryLanguage": "JSONata",
    "StartAt": "J",
    "States": {
        "J": {
            "Type": "Pass",
            "Output": "{% $map($states.input, function($i) { {'id': $i.id, 'total': $i.price * $i.count} }) %}",
            "End": True,
        }
    },
}
ORDERS = [{"id": i, "price": i * 1.5, "count": i % 7} for i in range(100)]
ITEMS = list(range(1000))

# Transitions (states entered) of one execution.
CHAIN_TRANSITIONS, LOOP_TRANSITIONS, MAP_TRANSITIONS = 100, 2003, 1001
