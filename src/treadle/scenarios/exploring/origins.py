"""Where a value that a state reads came from: followed back through a run to its input and to answers.

Owns the way back through each field that moves data. It goes by what the definition says and what the run entered, and
evaluates nothing: of an expression that computes, everything it reads counts as an origin. Neighbours: reads.py finds
what is read, data.py holds what is found here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

from treadle.language.lints.outline import State
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object
from treadle.machine.journal import Entry
from treadle.scenarios.exploring.data import INPUT, Source
from treadle.scenarios.exploring.reads import AS_JSON, GIVES, Keys, Root, reads_in, steps_of
from treadle.testing.world import Run

_STEPS: Final = 4000
_PLACES: Final = 8
_CALLED: Final = ("TaskScheduled", "LambdaFunctionScheduled", "ActivityScheduled")

Place: TypeAlias = tuple[Source, Keys]


@dataclass(frozen=True, eq=False)
class Visit:
    """One entering of a state. `before` is the visit that led here, `around` that of the Map or Parallel outside."""

    name: str
    run: Run
    number: int
    entry: Entry
    before: Visit | None
    around: Visit | None

    @property
    def index(self) -> int:
        """Of which branch or item it is a part."""
        return self.entry.frame[-1] if self.entry.frame else 0


@dataclass(frozen=True)
class _Wanted:
    """A read to follow: from the scope of this visit."""

    visit: Visit
    root: Root
    path: Keys
    variable: str = ""
    item: int = 0


_Found: TypeAlias = "_Wanted | Place"


class Origins:
    """The visits of a run and of its children, and where what they read came from."""

    def __init__(self, states: Mapping[str, State], runs: list[Run]) -> None:
        self._states, self._runs = states, runs
        self._parents = {
            id(child): (run, name, index)
            for run in runs
            for name, children in run.children.items()
            for index, child in enumerate(children)
        }

    @cached_property
    def visits(self) -> list[Visit]:
        """Every entering of a state, run by run."""
        return [visit for run in self._runs for visit in _visits(run)]

    def of(self, visit: Visit, root: Root, path: Keys, variable: str = "") -> list[Place]:
        """The places in the data where a value that this visit reads comes from, the likeliest first."""
        found: dict[Place, None] = {}
        todo: list[_Found] = [_Wanted(visit, root, path, variable)]
        for _ in range(_STEPS):
            if not todo or len(found) == _PLACES:
                break
            each = todo.pop()
            if isinstance(each, _Wanted):
                todo += reversed(list(self._back(each)))
            else:
                found[each] = None
        return list(found)

    def _back(self, wanted: _Wanted) -> Iterator[_Found]:
        visit, path = wanted.visit, wanted.path
        match wanted.root:
            case "input":
                yield from self._entered(visit, path)
            case "placed":
                yield from self._placed(visit, path)
            case "execution":
                yield from self._run_input(visit.run, path)
            case "result":
                yield from self._result(visit, path)
            case "item":
                yield from self._mapped(visit, wanted.item, path)
            case "variable":
                yield from self._variable(visit, wanted.variable, path)

    def _is_map(self, visit: Visit) -> bool:
        return self._states[visit.name].type == "Map"

    # ---- what comes in ----

    def _entered(self, visit: Visit, path: Keys) -> Iterator[_Found]:
        if visit.before is not None:
            yield from self._left(visit.before, path)
        elif visit.around is None:
            yield from self._run_input(visit.run, path)
        elif self._is_map(visit.around):
            yield from self._selected_item(visit.around, visit.index, path)
        else:
            yield from self._arguments(visit.around, path)

    def _run_input(self, run: Run, path: Keys) -> Iterator[_Found]:
        parent = self._parent(run)
        if parent is None:
            yield INPUT, path
            return
        owner, index = parent
        batcher = self._states[owner.name].fields.get("ItemBatcher")
        if not is_object(batcher):
            yield from self._selected_item(owner, index, path)
        elif path[:1] == ("Items",):
            most = batcher.get("MaxItemsPerBatch")
            first = index * most if isinstance(most, int) else 0
            at, rest = (path[1], path[2:]) if len(path) > 1 and isinstance(path[1], int) else (0, path[1:])
            assert isinstance(at, int)
            yield from self._selected_item(owner, first + at, rest)
        elif path[:1] == ("BatchInput",):
            yield from self._template(owner, "ItemBatcher", batcher.get("BatchInput"), path[1:])

    def _selected_item(self, owner: Visit, index: int, path: Keys) -> Iterator[_Found]:
        fields = self._states[owner.name].fields
        for field in ("ItemSelector", "Parameters"):
            if field in fields:
                for each in self._template(owner, field, fields[field], path):
                    yield (
                        _Wanted(each.visit, each.root, each.path, each.variable, index)
                        if isinstance(each, _Wanted)
                        else each
                    )
                return
        yield from self._item(owner, index, path)

    def _mapped(self, visit: Visit, index: int, path: Keys) -> Iterator[_Found]:
        """What `Map.Item.Value` is: of the Map itself for its ItemSelector, else of the Map around."""
        inner: Visit | None = visit
        while inner is not None and not self._is_map(inner):
            index, inner = inner.index, inner.around
        if inner is not None:
            yield from self._item(inner, index, path)
        elif (parent := self._parent(visit.run)) is not None:
            yield from self._item(*parent, path)

    def _parent(self, run: Run) -> tuple[Visit, int] | None:
        """The distributed Map whose child a run is, and which one."""
        if id(run) not in self._parents:
            return None
        of, name, index = self._parents[id(run)]
        owner = next((each for each in self.visits if each.run is of and each.name == name), None)
        return None if owner is None else (owner, index)

    def _item(self, owner: Visit, index: int, path: Keys) -> Iterator[_Found]:
        state = self._states[owner.name]
        if "ItemReader" in state.fields:
            yield (f"{owner.name}.ItemReader", 0), (index, *path)
        elif "Items" in state.fields:
            yield from self._template(owner, "Items", state.fields["Items"], (index, *path))
        else:
            taken = steps_of(state.fields.get("InputPath"))
            yield _Wanted(owner, "input", (*taken, *steps_of(state.fields.get("ItemsPath")), index, *path))

    def _arguments(self, visit: Visit, path: Keys) -> Iterator[_Found]:
        fields = self._states[visit.name].fields
        for field in ("Parameters", "Arguments"):
            if field in fields:
                yield from self._template(visit, field, fields[field], path)
                return
        yield _Wanted(visit, "input", (*steps_of(fields.get("InputPath")), *path))

    # ---- what goes out ----

    def _left(self, visit: Visit, path: Keys) -> Iterator[_Found]:
        state = self._states[visit.name]
        caught = self._caught(visit)
        if state.language == "JSONata":
            output = (caught or state.fields).get("Output", self._told_by_rule(state))
            if output is not None:
                yield from self._template(visit, "Output", output, path)
            elif caught is None:
                yield _Wanted(visit, "result" if state.type in GIVES else "input", path)
            return
        if caught is not None:
            placed = caught.get("ResultPath", "$")
            if placed is None or path[: len(steps_of(placed))] != steps_of(placed):
                yield _Wanted(visit, "input", path)
            return
        if state.fields.get("OutputPath", "$") is None:
            return
        yield from self._placed(visit, (*steps_of(state.fields.get("OutputPath")), *path))

    def _placed(self, visit: Visit, path: Keys) -> Iterator[_Found]:
        """What JSONPath's OutputPath chooses from."""
        state = self._states[visit.name]
        placed = state.fields.get("ResultPath", "$")
        if state.type not in (*GIVES, "Pass"):
            yield _Wanted(visit, "input", (*steps_of(state.fields.get("InputPath")), *path))
        elif placed is None or path[: len(steps_of(placed))] != steps_of(placed):
            yield _Wanted(visit, "input", path)
        else:
            yield from self._kept(visit, state, path[len(steps_of(placed)) :])

    def _kept(self, visit: Visit, state: State, path: Keys) -> Iterator[_Found]:
        if state.type in GIVES:
            if "ResultSelector" in state.fields:
                yield from self._template(visit, "ResultSelector", state.fields["ResultSelector"], path)
            else:
                yield _Wanted(visit, "result", path)
        elif "Result" not in state.fields:
            yield from self._arguments(visit, path)

    def _caught(self, visit: Visit) -> dict[str, Json] | None:
        """The catcher through which this visit was left."""
        target = next((each.name for each in self.visits if each.before is visit), None)
        state = self._states[visit.name]
        if target is None or state.fields.get("Next") == target:
            return None
        return next((each for _, each in state.blocks("Catch") if each.get("Next") == target), None)

    def _told_by_rule(self, state: State) -> Json:
        return next((rule["Output"] for _, rule in state.blocks("Choices") if "Output" in rule), None)

    def _result(self, visit: Visit, path: Keys) -> Iterator[_Found]:
        state = self._states[visit.name]
        if state.type == "Task":
            yield (visit.name, self._turn(visit)), path
        elif state.type in GIVES:
            index, rest = (path[0], path[1:]) if path and isinstance(path[0], int) else (0, path)
            inner = [each for each in self.visits if each.around is visit and each.index == index]
            children = visit.run.children.get(visit.name, [])
            if not inner and index < len(children):
                inner = [each for each in self.visits if each.run is children[index] and each.around is None]
            if inner:
                yield from self._left(inner[-1], rest)

    def _turn(self, visit: Visit) -> int:
        """Which call of its state the last one of this visit is."""
        called, own = -1, 0
        for run in self._runs:
            current: dict[tuple[int, ...], str] = {}
            for number, entry in enumerate(run.journal):
                mine = run is visit.run and entry.frame == visit.entry.frame and number > visit.number
                if entry.type.endswith("StateEntered"):
                    if mine:
                        return own
                    current[entry.frame] = entry.details["name"]
                elif entry.type in _CALLED and current.get(entry.frame) == visit.name:
                    called += 1
                    own = called if mine else own
            if run is visit.run:
                break
        return own

    def _variable(self, visit: Visit, name: str, path: Keys) -> Iterator[_Found]:
        earlier = [each for each in self.visits if each.run is visit.run and each.number < visit.number]
        for each in reversed(earlier):
            frame = each.entry.frame
            if visit.entry.frame[: len(frame)] == frame:
                state = self._states[each.name]
                blocks = [state.fields, *(rule for list_ in ("Choices", "Catch") for _, rule in state.blocks(list_))]
                for block in blocks:
                    given = block.get("Assign")
                    for key in (name, f"{name}.$"):
                        if is_object(given) and key in given:
                            yield from self._template(each, "Assign", {key: given[key]}, (name, *path))
                            return

    # ---- what is put together ----

    def _template(self, visit: Visit, field: str, value: Json, path: Keys) -> Iterator[_Found]:
        """What a template puts at a path."""
        state = self._states[visit.name]
        if is_object(value):
            for name, each in value.items():
                plain = name.removesuffix(".$")
                if path and plain != path[0]:
                    continue
                if plain != name and isinstance(each, str):
                    yield from self._computed(visit, state, field, name, each, path[1:])
                else:
                    yield from self._template(visit, field, each, path[1:])
        elif is_array(value):
            index, rest = (path[0], path[1:]) if path and isinstance(path[0], int) else (0, path)
            if index < len(value):
                yield from self._template(visit, field, value[index], rest)
        elif isinstance(value, str) and value.lstrip().startswith("{%"):
            yield from self._computed(visit, state, field, "", value, path)

    def _computed(self, visit: Visit, state: State, field: str, key: str, text: str, path: Keys) -> Iterator[_Found]:
        for read in reads_in(state, text, field, key):
            inside = (AS_JSON,) if read.is_text and path else ()
            yield _Wanted(visit, read.root, (*read.path, *inside, *path), read.variable)


def _visits(run: Run) -> Iterator[Visit]:
    current: dict[tuple[int, ...], Visit] = {}
    for number, entry in enumerate(run.journal):
        if not entry.type.endswith("StateEntered"):
            continue
        frame = entry.frame
        before = current.get(frame)
        # What was inside an earlier visit is over.
        current = {path: each for path, each in current.items() if path[: len(frame)] != frame}
        around = current.get(frame[:-1]) if frame else None
        current[frame] = visit = Visit(entry.details["name"], run, number, entry, before, around)
        yield visit
