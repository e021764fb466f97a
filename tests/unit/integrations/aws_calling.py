"""How tests call the AWS integrations: a call of a task, its answer or its error."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from treadle.errors import StatesError
from treadle.runtime.ports import Call, Integration

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:m:e"


def call_of(action: str, arguments: Any = None, **fields: Any) -> Call:
    """A call of `aws-sdk:s3:getObject` or `sqs:sendMessage`."""
    call = Call(EXECUTION, 3, f"arn:aws:states:::{action}", arguments, None, None, 0, "key")
    return replace(call, **fields)


def answer(integration: Integration, action: str, arguments: Any = None, **fields: Any) -> Any:
    """What the task gives."""
    return asyncio.run(integration.call(call_of(action, arguments, **fields)))


def refusal(integration: Integration, action: str, arguments: Any = None, **fields: Any) -> StatesError:
    """What the task fails with."""
    try:
        given = answer(integration, action, arguments, **fields)
    except StatesError as error:
        return error
    raise AssertionError(f"{action} gives {given!r}")
