"""What an exploration tells of a machine: which paths end badly, what was not reached, and why.

Owns the kinds of findings and their texts; judges runs that are over and makes none.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from treadle.language.lints.outline import State
from treadle.scenarios.exploring.data import state_of
from treadle.scenarios.exploring.failing import Failing, why_never_caught
from treadle.scenarios.exploring.search import LIMITS, Tried

Kind: TypeAlias = Literal["uncaught", "forgotten", "endless", "unreachable", "not-found"]
"""uncaught: an error fails the execution. forgotten: it is caught, and leaves no trace. endless: a loop without an end.
unreachable: nothing can lead there. not-found: no data was found that does."""
BAD: Final[tuple[Kind, ...]] = ("uncaught", "forgotten", "endless", "unreachable")
"""The kinds that are the definition's. What was not found may be there all the same."""

Edge = tuple[str, str]
_CAUSE: Final = 300


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know: its kind, the state that it is about, and a sentence with what to do."""

    kind: Kind
    state: str
    message: str


@dataclass(frozen=True, slots=True)
class Unreached:
    """A transition that no run took, and why."""

    source: str
    target: str
    kind: Kind
    why: str

    @property
    def finding(self) -> Finding:
        """As something to know."""
        return Finding(self.kind, self.source, f"'{self.source}' was not seen to go to '{self.target}': {self.why}.")


def uncaught(state: str, errors: Sequence[str]) -> Finding:
    """A state fails, and so does the execution."""
    told = f"'{state}' fails with {', '.join(errors)}: nothing catches it, and the execution fails."
    return Finding("uncaught", state, f"{told} Add a Catch, or accept it.")


def forgotten(state: str, errors: Sequence[str]) -> Finding:
    """A state fails, and nobody hears of it."""
    told = f"'{state}' fails with {', '.join(errors)}: it is caught and forgotten, and the execution succeeds without a"
    return Finding(
        "forgotten", state, f"{told} trace of it. Keep the error (ResultPath, Output, Assign), or tell somebody."
    )


def endless(ways: Sequence[tuple[str, Tried]]) -> Iterator[Finding]:
    """Runs that did not end, told once for each state at which they go round."""
    rounds: dict[str, list[tuple[str, int]]] = {}
    for name, tried in ways:
        path = [state for run in tried.runs for state in run.path]
        often = max(dict.fromkeys(path), key=path.count)
        rounds.setdefault(often, []).append((name, path.count(often)))
    for state, found in rounds.items():
        name, count = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        told = f"{name}{more}: no end within {LIMITS.history_events} events; '{state}' is entered {count} times."
        yield Finding("endless", state, f"{told} Bound the loop.")


def wanting(name: str, tried: Tried) -> Finding | None:
    """A run that failed because its data was not found."""
    if tried.endless or tried.wanting is None:
        return None
    visit, cause = tried.wanting
    told = f"{name}: '{visit.name}' fails for want of data that was not found: {cause[:_CAUSE]}"
    return Finding("not-found", visit.name, told)


def told_of(tried: Tried, failing: Failing) -> bool:
    """Whether anybody outside could know of a failure: the output, or a later call."""
    state = state_of(failing.key)
    shown = [tried.run.output, *(call.arguments for call in tried.world.calls if call.state != state)]
    text = json.dumps(shown, ensure_ascii=False, default=str)
    return failing.error in text or failing.cause in text


def unreached(
    states: Mapping[str, State],
    missing: Collection[Edge],
    calm: Collection[str],
    reached: Collection[str],
    failures: int,
) -> Iterator[Unreached]:
    """Why transitions were not taken. `calm` are the states that were entered without a failure, `reached` all."""
    for source, target in sorted(missing):
        state = states[source]
        if source not in reached:
            yield Unreached(source, target, "not-found", f"'{source}' was not reached")
            continue
        caught = [each for _, each in state.blocks("Catch") if each.get("Next") == target]
        if caught and state.fields.get("Next") != target:
            if why := why_never_caught(state, target):
                yield Unreached(source, target, "unreachable", why)
                continue
            if source not in calm and failures < 2:
                yield Unreached(source, target, "not-found", f"it takes two failures: '{source}' runs only after one")
                continue
        if state.type == "Choice" and (why := _why_never_chosen(state, target)):
            yield Unreached(source, target, "unreachable", why)
        else:
            yield Unreached(source, target, "not-found", "no data was found for it")


def not_entered(states: Collection[str], reached: Collection[str], edges: Collection[Unreached]) -> Iterator[Finding]:
    """The states that no run entered: for good where nothing leads there, or only what never happens."""
    lost = set(states) - set(reached)
    open_ = {each.target for each in edges if each.kind == "not-found" and each.source not in lost}
    while more := {each.target for each in edges if each.source in open_ and each.target not in open_}:
        open_ |= more
    for name in sorted(lost):
        kind: Kind = "not-found" if name in open_ else "unreachable"
        why = "" if name in open_ else " Nothing can lead to it: remove it, or correct what should."
        yield Finding(kind, name, f"'{name}' was not reached.{why}")


def _why_never_chosen(state: State, target: str) -> str | None:
    """Why no rule of a Choice ever leads to a state: each one that does repeats the condition of an earlier one."""
    earlier: list[dict[str, object]] = []
    leading = 0
    for _, rule in state.blocks("Choices"):
        condition = {name: each for name, each in rule.items() if name not in ("Next", "Output", "Assign", "Comment")}
        if rule.get("Next") == target:
            if condition not in earlier:
                return None
            leading += 1
        earlier.append(condition)
    return "an earlier rule has the same condition" if leading and state.fields.get("Default") != target else None
