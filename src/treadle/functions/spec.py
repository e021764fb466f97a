"""What is known of a function before it runs: its code and its settings.

Plain data. `discovery` finds specs in a folder; `environment` derives what a handler sees of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from treadle.errors import TreadleError

RUNTIMES = ("python", "nodejs")
"""The languages that can be run, as Lambda's runtime identifiers begin."""


class InvalidFunctions(TreadleError):
    """Functions that cannot be run as they are written. `findings` has one sentence each: what, where, what to do."""

    def __init__(self, *findings: str) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A function: `handler` is `module.function` below `folder`, which is also its working folder.

    A published version of a function has a spec of its own: its `name` ends with the version, `function` is the name
    without it.

    `timeout` limits an invocation and `init_timeout` the start of a process, both in seconds. `runtime` is one of
    Lambda's identifiers. Its version is what the handler is told; the interpreter is the one of this machine.
    """

    name: str
    handler: str
    folder: Path
    runtime: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout: float = 3.0
    memory_mb: int = 128
    init_timeout: float = 10.0
    version: str = "$LATEST"
    function: str = ""

    def __post_init__(self) -> None:
        if self.timeout <= 0 or self.init_timeout <= 0 or self.memory_mb <= 0:
            raise InvalidFunctions(f"{self.name}: timeout, init_timeout and memory_mb must be more than 0.")
        if not self.runtime.startswith(RUNTIMES):
            raise InvalidFunctions(
                f"{self.name}: the runtime '{self.runtime}' cannot be run here. Use python3.x or nodejs20.x."
            )

    @property
    def language(self) -> str:
        """`python` or `nodejs`."""
        return next(each for each in RUNTIMES if self.runtime.startswith(each))
