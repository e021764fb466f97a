"""The quotas of a server: AWS's values, each of which can be set.

    Quotas.given(["open-executions=10", "StartExecution=5/1"])

Owns names, defaults and reading them. Who counts: `app` (requests), `polls` (workers), `census` (what there is),
`rates` (calls per second), the machine (payloads, histories).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from treadle.api.model import operation
from treadle.errors import TreadleError
from treadle.machine.limits import Limits
from treadle.runtime.map_runs import OPEN_MAP_RUNS


class QuotaError(TreadleError):
    """A quota that does not exist, or a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls of one operation: `bucket` at once, `refill` more each second."""

    bucket: int
    refill: float


@dataclass(frozen=True, slots=True)
class Quotas:
    """Bounds of a server. AWS 'Service quotas', where AWS has them; the first four are this server's own."""

    request_bytes: int = 3 * 1024 * 1024
    """The longest request: a definition of 1 MiB whose every second character is escaped, and room around it."""
    requests: int = 2_000
    """How many requests may be under way, long polls among them."""
    long_polls: int = 1_500
    """How many of them may be of operations that wait: the rest is for those that end such waits."""
    connections: int = 4_000
    """How many connections may be open, idle ones among them."""
    activity_workers: int = 1_000
    """Workers that wait for the tasks of one activity."""
    open_executions: int = 1_000_000
    """Standard executions that have not ended, children of map runs apart."""
    open_map_runs: int = OPEN_MAP_RUNS
    """Map runs under way; those beyond it wait."""
    state_machines: int = 100_000
    activities: int = 100_000
    versions: int = 1_000
    """Versions of a state machine."""
    aliases: int = 100
    """Aliases of a state machine."""
    payload_bytes: int = 262_144
    """An input or output within an execution, as UTF-8."""
    history_events: int = 25_000
    """Events of a Standard execution."""
    rates: Mapping[str, Rate] = field(default_factory=dict[str, Rate])
    """By operation. None at first: AWS's would be in the way on one's own machine."""

    @property
    def limits(self) -> Limits:
        """The part of them that the machine enforces."""
        return Limits(payload_bytes=self.payload_bytes, history_events=self.history_events)

    @classmethod
    def given(cls, settings: Iterable[str]) -> Quotas:
        """Quotas with some set: `NAME=VALUE`, `OPERATION=BUCKET/REFILL` or `rates=aws`. Raises QuotaError."""
        numbers: dict[str, Any] = {}
        rates: dict[str, Rate] = {}
        for each in settings:
            name, _, value = each.partition("=")
            if name == "rates":
                if value != "aws":
                    raise QuotaError(f"The quota '{each}': rates takes the value aws.")
                rates = {**AWS_RATES, **rates}
            elif name in SETTINGS:
                numbers[name.replace("-", "_")] = _count(each, value)
            elif operation(name) is not None:
                rates[name] = _rate(each, value)
            else:
                known = ", ".join([*SETTINGS, "rates"])
                raise QuotaError(f"There is no quota '{name}': there are {known}, and each operation of the API.")
        return cls(**numbers, rates=rates)


SETTINGS: Final = tuple(each.name.replace("_", "-") for each in dataclasses.fields(Quotas) if each.name != "rates")
"""The names of those that are numbers."""

# AWS 'Quotas related to API action throttling', in the large regions.
AWS_RATES: Final[Mapping[str, Rate]] = {
    "CreateActivity": Rate(100, 1),
    "CreateStateMachine": Rate(100, 1),
    "DescribeExecution": Rate(300, 15),
    "GetActivityTask": Rate(3_000, 500),
    "GetExecutionHistory": Rate(400, 20),
    "ListExecutions": Rate(200, 5),
    "RedriveExecution": Rate(1_300, 300),
    "SendTaskFailure": Rate(3_000, 500),
    "SendTaskHeartbeat": Rate(3_000, 500),
    "SendTaskSuccess": Rate(3_000, 500),
    "StartExecution": Rate(1_300, 300),
    "StopExecution": Rate(1_000, 200),
    "TestState": Rate(50, 10),
    "UpdateStateMachine": Rate(100, 1),
    "ValidateStateMachineDefinition": Rate(100, 1),
}

_MOST: Final = 10**12


def _count(setting: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,13}", value) or not 1 <= int(value) <= _MOST:
        raise QuotaError(f"The quota '{setting}': its value is a whole number from 1.")
    return int(value)


def _rate(setting: str, value: str) -> Rate:
    if not (found := re.fullmatch(r"([1-9][0-9]{0,8})/([0-9]{1,9}(?:\.[0-9]{1,6})?)", value)):
        raise QuotaError(f"The quota '{setting}': the rate of an operation is BUCKET/REFILL, such as 1300/300.")
    return Rate(int(found[1]), float(found[2]))
