"""A request as an operation sees it, and the small forms of its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from treadle.api.host import Host

Answer: TypeAlias = dict[str, Any]
"""The members of an answer. Of the outermost ones, those that are None are left out."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: its operation, its members (checked against the model), where it is meant for.

    `trace_header` is the HTTP header of X-Ray.
    """

    operation: str
    given: Mapping[str, Any]
    region: str
    account: str
    trace_header: str | None = None

    def arn(self, type: str, name: str = "") -> str:
        """The ARN of something in this account and region; without a name, what all of them begin with."""
        return f"arn:{_partition(self.region)}:states:{self.region}:{self.account}:{type}:{name}"


Handler: TypeAlias = "Callable[[Host, Request], Awaitable[Answer]]"


def present(answer: Answer) -> Answer:
    """An answer, or a part of one, without the members that are None."""
    return {name: value for name, value in answer.items() if value is not None}


def seconds(moment: float) -> float:
    """A moment as AWS gives it: seconds since the epoch, to the millisecond."""
    return round(moment, 3)


def optional_seconds(moment: float | None) -> float | None:
    """A moment that may not have come."""
    return None if moment is None else seconds(moment)


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
