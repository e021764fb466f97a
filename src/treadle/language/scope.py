"""What a compiled query may see while it is evaluated: the contract between the compiled definition and the machine.

A compiled slot of a definition is an `Expr`: a function from a `Scope` to a JSON value. It raises `StatesError` when it
fails, keeps nothing between calls, and never changes a value it was given: JSON values are shared freely and therefore
never mutated anywhere in treadle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list[Json] or dict[str, Json]. Treated as immutable."""


class Randomness(Protocol):
    """The random numbers that an evaluation may draw: `random.Random` satisfies it."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """An integer of k random bits."""
        ...


class Scope:
    """What one evaluation sees.

    `root` is JSONPath's `$`; it changes along the data flow of a state. `input`, `result` and `error` are JSONata's
    `$states.input`, `$states.result` and `$states.errorOutput`. `variables` are the workflow variables visible here,
    by name. `context` is the context object (`$$`, `$states.context`). `now` is seconds since the epoch, `random` the
    source of randomness of this step. The context object is built on first use, since few expressions read it.
    """

    __slots__ = ("_context", "_describe", "error", "input", "now", "random", "result", "root", "variables")

    def __init__(
        self,
        root: Json,
        variables: Mapping[str, Json],
        describe: Callable[[], dict[str, Json]],
        now: float,
        random: Randomness,
    ) -> None:
        self.root = root
        self.input = root
        self.result: Json = None
        self.error: Json = None
        self.variables = variables
        self.now = now
        self.random = random
        self._describe = describe
        self._context: dict[str, Json] | None = None

    @property
    def context(self) -> dict[str, Json]:
        """The context object of this moment."""
        if self._context is None:
            self._context = self._describe()
        return self._context


Expr: TypeAlias = Callable[[Scope], Json]
"""A compiled slot of a definition."""
