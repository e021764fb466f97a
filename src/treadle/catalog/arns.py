"""The ARNs of Step Functions, taken apart. Owns their grammar and the names that resources may have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from treadle.errors import ApiError

# AWS 'CreateStateMachine', name: the same for activities and executions.
_NAME: Final = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff\U0010ffff]{1,80}")
_TYPES: Final = frozenset(("stateMachine", "execution", "express", "activity", "mapRun"))


@dataclass(frozen=True, slots=True)
class Arn:
    """An ARN. `tail` are the parts after `name`: a version, an alias, the name of an execution."""

    text: str
    partition: str
    region: str
    account: str
    type: str
    name: str
    tail: tuple[str, ...] = ()

    @property
    def label(self) -> str | None:
        """The label of the distributed Map that a name is qualified with (`orders/Parse`)."""
        return self.name.partition("/")[2] or None

    @property
    def qualifier(self) -> str | None:
        """The version or alias that the ARN of a state machine ends with."""
        return self.tail[0] if self.tail else None

    @property
    def unqualified(self) -> str:
        """The state machine's own ARN: without version, alias or label."""
        name = self.name.partition("/")[0]
        return f"arn:{self.partition}:states:{self.region}:{self.account}:stateMachine:{name}"


def parse_arn(text: str, *types: str) -> Arn:
    """Take an ARN of one of these types apart. Raises ApiError InvalidArn, in AWS's words."""
    parts = text.split(":")
    if len(parts) < 7 or parts[0] != "arn" or parts[2] != "states" or not all(parts[1:7]):
        raise _invalid(f"Invalid ARN prefix: {text}")
    _, partition, _, region, account, type, name, *tail = parts
    if type not in _TYPES or type not in types:
        raise _invalid(f"Resource type not valid in this context: {type}")
    most = {"stateMachine": 1, "activity": 0, "execution": 1, "mapRun": 1, "express": 2}[type]
    if len(tail) > most or not all(tail):
        raise _invalid(f"Invalid ARN: {text}")
    return Arn(text, partition, region, account, type, name, tuple(tail))


def check_name(name: str) -> None:
    """Raises ApiError InvalidName for a name that no state machine, activity or execution may have."""
    if not _NAME.fullmatch(name):
        raise ApiError("InvalidName", f"Invalid Name: '{name}'")


def check_role(arn: str) -> None:
    """Raises ApiError InvalidArn for what is no ARN of a role. Observed on AWS: the words."""
    if not (arn.startswith("arn:") and arn.count(":") >= 5):
        raise ApiError("InvalidArn", f"Invalid Role Arn: '{arn}'")


def _invalid(why: str) -> ApiError:
    return ApiError("InvalidArn", f"Invalid Arn: '{why}'")
