"""The compiled definition: all that the machine ever sees.

Plain frozen data plus compiled expressions (`Expr`). Nothing here knows JSON text, JSONPath or JSONata: both query
languages have become the same slots. Built by `compile`, read by `treadle.machine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from treadle.language.resources import Resource
from treadle.language.scope import Expr, Json

Assign: TypeAlias = Callable[..., dict[str, Json]]
"""Scope -> the variables to assign, by name."""

Place: TypeAlias = Callable[[Json, Json], Json]
"""(raw input, result) -> the input with the result put in. JSONPath's ResultPath."""


@dataclass(frozen=True, slots=True)
class Dataflow:
    """How data passes through a state. A slot that is None does nothing.

    JSONPath fills all of them: InputPath, Parameters, ResultSelector, ResultPath, OutputPath, Assign. JSONata fills
    `arguments`, `output` and `assign`.
    """

    take: Expr | None = None
    arguments: Expr | None = None
    keep: Expr | None = None
    place: Place | None = None
    output: Expr | None = None
    assign: Assign | None = None

    @property
    def plain(self) -> bool:
        """Whether data passes through untouched."""
        return not (self.take or self.arguments or self.keep or self.place or self.output or self.assign)


@dataclass(frozen=True, slots=True)
class Retrier:
    """ASL 'Retrier Fields', with the defaults filled in. Seconds throughout."""

    errors: frozenset[str]
    interval: float = 1
    attempts: int = 3
    rate: float = 2.0
    longest: float | None = None
    jitter: bool = False

    def delay(self, attempt: int) -> float:
        """Seconds to wait before retry number `attempt` (0 for the first), before jitter."""
        longest = self.longest if self.longest is not None else 99_999_999.0
        try:
            return min(self.interval * self.rate**attempt, longest)
        except OverflowError:
            return longest


@dataclass(frozen=True, slots=True)
class Catcher:
    """ASL 'Catcher Fields'. `place` is its ResultPath; `output` and `assign` see the error as `$states.errorOutput`."""

    errors: frozenset[str]
    next: str
    place: Place | None = None
    output: Expr | None = None
    assign: Assign | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePlan:
    """What every state has. `next` is None at the end of its scope."""

    type: ClassVar[str]

    name: str
    next: str | None = None
    flow: Dataflow = field(default_factory=Dataflow)
    plain: bool = True
    retriers: tuple[Retrier, ...] = ()
    catchers: tuple[Catcher, ...] = ()

    @property
    def scopes(self) -> tuple[Plan, ...]:
        """The scopes inside this state: branches of a Parallel, the processor of a Map."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PassPlan(StatePlan):
    """A Pass state. `result` is a tuple of one where the field Result is present: it may be null."""

    type: ClassVar[str] = "Pass"
    result: tuple[Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceedPlan(StatePlan):
    """A Succeed state."""

    type: ClassVar[str] = "Succeed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailPlan(StatePlan):
    """A Fail state. Both expressions are None where the field is absent."""

    type: ClassVar[str] = "Fail"
    error: Expr | None = None
    cause: Expr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitPlan(StatePlan):
    """A Wait state. `until` gives the moment, in seconds since the epoch, at which the state ends."""

    type: ClassVar[str] = "Wait"
    until: Expr


@dataclass(frozen=True, slots=True)
class Rule:
    """One choice of a Choice state."""

    condition: Callable[..., bool]
    next: str
    output: Expr | None = None
    assign: Assign | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoicePlan(StatePlan):
    """A Choice state. `next` is its Default."""

    type: ClassVar[str] = "Choice"
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlan(StatePlan):
    """A Task state. `timeout` and `heartbeat` give seconds."""

    type: ClassVar[str] = "Task"
    resource: Resource
    timeout: Expr | None = None
    heartbeat: Expr | None = None
    credentials: Expr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelPlan(StatePlan):
    """A Parallel state."""

    type: ClassVar[str] = "Parallel"
    branches: tuple[Plan, ...]

    @property
    def scopes(self) -> tuple[Plan, ...]:
        """The branches."""
        return self.branches


@dataclass(frozen=True, slots=True)
class Reader:
    """ASL 'ItemReader': `resource` reads, `arguments` and `config` say what and how; `max_items` limits."""

    resource: Resource
    arguments: Expr | None = None
    config: Expr | None = None
    max_items: Expr | None = None


@dataclass(frozen=True, slots=True)
class Batcher:
    """ASL 'ItemBatcher': how many items, or bytes of JSON, go into one child; `input` is BatchInput."""

    max_items: Expr | None = None
    max_bytes: Expr | None = None
    input: Expr | None = None


@dataclass(frozen=True, slots=True)
class Writer:
    """ASL 'ResultWriter'. `resource` is None when results stay in the state's output (WriterConfig alone)."""

    resource: Resource | None = None
    arguments: Expr | None = None
    output_type: Literal["JSON", "JSONL"] = "JSON"
    transformation: Literal["NONE", "COMPACT", "FLATTEN"] = "NONE"


@dataclass(frozen=True, slots=True)
class Distribution:
    """What only a Map in DISTRIBUTED mode has."""

    execution_type: Literal["STANDARD", "EXPRESS"]
    label: str
    reader: Reader | None = None
    batcher: Batcher | None = None
    writer: Writer | None = None
    tolerated_count: Expr | None = None
    tolerated_percentage: Expr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPlan(StatePlan):
    """A Map state. `items` is None where a reader gives the items; `distribution` is None for INLINE."""

    type: ClassVar[str] = "Map"
    processor: Plan
    items: Expr | None = None
    selector: Expr | None = None
    max_concurrency: Expr | None = None
    distribution: Distribution | None = None

    @property
    def scopes(self) -> tuple[Plan, ...]:
        """The processor."""
        return (self.processor,)


@dataclass(frozen=True, slots=True)
class Plan:
    """One scope of states: the whole machine, a Parallel branch, a Map processor.

    `timeout` is the machine's TimeoutSeconds; only the outermost plan has one.
    """

    start_at: str
    states: Mapping[str, StatePlan]
    timeout: float | None = None

    def every_state(self) -> Iterator[StatePlan]:
        """All states, those of inner scopes included."""
        open_plans: list[Plan] = [self]
        while open_plans:
            for state in open_plans.pop().states.values():
                yield state
                open_plans.extend(state.scopes)

    def state(self, name: str) -> StatePlan:
        """The state of this name, in whichever scope: names are unique across the whole machine."""
        return next(state for state in self.every_state() if state.name == name)
