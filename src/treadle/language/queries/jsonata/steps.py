"""The steps of a JSONata path: how a sequence flows from one to the next, is filtered, sorted, grouped and bound.

It owns the rules by which sequences flatten, and tuple streams: sequences whose items carry the bindings of `@$x`,
`#$i` and `%` beside their value, under the key VALUE. It compiles no node. Neighbour: `jsonata/evaluate.py` makes the
steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from treadle.language.queries.jsonata.errors import Fault
from treadle.language.queries.jsonata.values import (
    ARRAYS,
    OBJECT,
    UNDEFINED,
    Constructed,
    Evaluate,
    Frame,
    Run,
    Sequence,
    is_number,
    numbers_only,
    symbol,
    truth,
)
from treadle.language.scope import Json

VALUE = "@"
Filter = Callable[[Json, Frame], Json]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path, compiled; `name` is set when it only reads a field, `sort` when it is an order-by clause."""

    evaluate: Evaluate
    stages: list[Filter]
    sort: Filter | None
    cost: int
    name: str | None
    is_array: bool
    focus: str | None
    index: str | None
    labels: list[str]
    tuples: bool


def field(value: Json, name: str) -> Json:
    """The field of an object, or of each object in an array; undefined where there is none."""
    if type(value) is OBJECT:
        return value.get(name, UNDEFINED)
    if type(value) in ARRAYS:
        found = Sequence()
        for item in value:
            member = item.get(name, UNDEFINED) if type(item) is OBJECT else field(item, name)
            if type(member) in ARRAYS:
                found.extend(member)
            elif member is not UNDEFINED:
                found.append(member)
        return found
    return UNDEFINED


def field_of(name: str) -> Evaluate:
    """A field of the context item."""
    return lambda context, frame: field(context, name)


def wildcard(context: Json, frame: Frame) -> Json:
    """The `*` step: the values of all fields, arrays flattened; no sequence but an array when one was flattened."""
    found = Sequence()
    has_array = False
    values = context.values() if type(context) is OBJECT else context if type(context) in ARRAYS else ()
    for value in values:
        if type(value) in ARRAYS:
            has_array = True
            _flatten(value, found)
        else:
            found.append(value)
    frame.run.spend(len(found))
    frame.run.array(len(found))
    return list(found) if has_array else found


def _flatten(values: list[Json], found: Sequence) -> None:
    for value in values:
        if type(value) in ARRAYS:
            _flatten(value, found)
        else:
            found.append(value)


def descendants(context: Json, frame: Frame) -> Json:
    """The `**` step: the value itself and everything inside it, arrays left out."""
    found = Sequence()
    if context is not UNDEFINED:
        _descend(context, found, frame.run)
    frame.run.array(len(found))
    return found


def _descend(value: Json, found: Sequence, run: Run) -> None:
    run.spend(2)
    if type(value) in ARRAYS:
        for item in value:
            _descend(item, found, run)
        return
    found.append(value)
    if type(value) is OBJECT:
        for item in value.values():
            _descend(item, found, run)


def fields(first: Evaluate | None, names: list[str], rest: list[Step]) -> Evaluate:
    """A path that begins with plain field names: `first` is the variable it starts from, else the context item."""

    def evaluate(context: Json, frame: Frame) -> Json:
        value = context if first is None else first(context, frame)
        for index, name in enumerate(names):
            if type(value) is OBJECT:
                value = value.get(name, UNDEFINED)
                if value is UNDEFINED:
                    return UNDEFINED
            elif type(value) in ARRAYS:
                # From here on there is more than one item.
                whole = type(value) is Constructed and not (first is None and index == 0)
                items = [value] if whole else value
                return _walk([*_reading(names[index:]), *rest], items, frame)
            else:
                return UNDEFINED
        if value is UNDEFINED:
            return UNDEFINED
        if rest:
            many = type(value) in ARRAYS and type(value) is not Constructed
            return _walk(rest, value if many else [value], frame)
        return Sequence(value) if type(value) is Sequence else value

    return evaluate


def _reading(names: list[str]) -> list[Step]:
    return [Step(field_of(name), [], None, 1, name, False, None, None, [], False) for name in names]


def _walk(steps: list[Step], items: list[Json], frame: Frame) -> Json:
    """The result of steps that bind nothing."""
    last = len(steps) - 1
    result: Json = items
    for index, step in enumerate(steps):
        result = _advance(step, result, frame, index == last)
        if not result:
            break
    return result


def _advance(step: Step, items: list[Json], frame: Frame, is_last: bool) -> Json:
    if step.sort is not None:
        result = step.sort(items, frame)
        for stage in step.stages:
            result = stage(result, frame)
        return result
    run, evaluate, name = frame.run, step.evaluate, step.name
    run.spend(step.cost * len(items))
    found: list[Json] = []
    for item in items:
        is_field = name is not None and type(item) is OBJECT
        value = item.get(name, UNDEFINED) if is_field else evaluate(item, frame)
        for stage in step.stages:
            value = stage(value, frame)
        if value is not UNDEFINED:
            found.append(value)
            if name is None:
                run.keep(value)
    if is_last and len(found) == 1 and type(found[0]) in (list, Constructed):
        return found[0]
    result = Sequence()
    for value in found:
        # What an array constructor made stays in one piece.
        if type(value) in ARRAYS and type(value) is not Constructed:
            result.extend(value)
        else:
            result.append(value)
    run.array(len(result))
    return result


def all_steps(steps: list[Step], absolute: bool, keep: bool, as_tuples: bool, group: Group | None) -> Evaluate:
    """A path of any steps. `absolute`: it starts from a variable; `keep`: a single result stays an array;
    `as_tuples`: it is part of a path that needs its bindings."""
    last = len(steps) - 1

    def evaluate(context: Json, frame: Frame) -> Json:
        items: list[Json] = context if type(context) in ARRAYS and not absolute else [context]
        result: Json = UNDEFINED
        tuples: Sequence | None = None
        for index, step in enumerate(steps):
            if index == 0 and step.is_array:
                result = step.evaluate(items, frame)
            elif tuples is not None or step.tuples:
                tuples = _advance_tuples(step, items, tuples, frame)
                continue
            else:
                result = _advance(step, items, frame, index == last)
            if type(result) not in ARRAYS or not result:
                break
            items = result
        if tuples is not None:
            result = tuples if as_tuples else Sequence([each[VALUE] for each in tuples])
        if keep and type(result) in ARRAYS:
            if type(result) is Constructed:
                result = Sequence([result])
            if type(result) is Sequence:
                result.keep = True
        return result if group is None else group(result if tuples is None else tuples, frame)

    return evaluate


def _advance_tuples(step: Step, items: list[Json], tuples: Sequence | None, frame: Frame) -> Sequence:
    if step.sort is not None:
        result = _sorted_tuples(step, items, tuples, frame)
    else:
        result = _bound(step, [{VALUE: item} for item in items] if tuples is None else tuples, frame)
    result.tuples = True
    for stage in step.stages:
        result = stage(result, frame)
    return result


def _sorted_tuples(step: Step, items: list[Json], tuples: Sequence | None, frame: Frame) -> Sequence:
    assert step.sort
    if tuples is not None:
        return step.sort(tuples, frame)
    result = Sequence()
    for position, item in enumerate(step.sort(items, frame)):
        result.append({VALUE: item, str(step.index): position})
    return result


def _bound(step: Step, tuples: list[Json], frame: Frame) -> Sequence:
    run = frame.run
    run.spend((step.cost + 4) * len(tuples))
    result = Sequence()
    for binding in tuples:
        found = step.evaluate(binding[VALUE], frame.child(dict(binding)))
        if found is UNDEFINED:
            continue
        inner = type(found) is Sequence and found.tuples
        run.hold(20 * (len(found) if type(found) in ARRAYS else 1))
        for position, value in enumerate(found if type(found) in ARRAYS else [found]):
            if inner:
                result.append({**binding, **value})
                continue
            run.keep(value)
            entry = {**binding, **dict.fromkeys(step.labels, binding[VALUE])}
            if step.index is not None:
                entry[step.index] = position
            if step.focus is None:
                entry[VALUE] = value
            else:
                entry[step.focus] = value
            result.append(entry)
    return result


def keep_index(literal: float) -> Filter:
    """The predicate that is a number: the item at that place, from the end when negative."""
    position = math.floor(literal)

    def keep(value: Json, frame: Frame) -> Json:
        items: list[Json] = value if type(value) in ARRAYS else [value]
        result = _like(value)
        if -len(items) <= position < len(items):
            item = items[position]
            if type(item) in ARRAYS:
                return item
            if item is not UNDEFINED:
                result.append(item)
        return result

    return keep


def keep_where(predicate: Evaluate, cost: int) -> Filter:
    """The predicate that is an expression: true, or the place of the item among the places it evaluates to."""

    def keep(value: Json, frame: Frame) -> Json:
        items: list[Json] = value if type(value) in ARRAYS else [value]
        result = _like(value)
        is_tuples = result.tuples
        frame.run.spend(cost * len(items))
        if value is UNDEFINED:
            # As in jsonata.js, undefined is an item like any other here; in a result it is written as null.
            frame.run.mixed = True
        for index, item in enumerate(items):
            answer = predicate(item[VALUE], frame.child(dict(item))) if is_tuples else predicate(item, frame)
            if answer is True:
                result.append(item)
            elif answer is False:
                continue
            elif is_number(answer):
                if _place(answer, len(items)) == index:
                    result.append(item)
            elif type(answer) in ARRAYS and numbers_only(answer):
                frame.run.spend(len(answer))
                result.extend([item for place in answer if _place(place, len(items)) == index])
            elif truth(answer):
                result.append(item)
        return result

    return keep


def _place(number: float, length: int) -> int:
    place = math.floor(number)
    return length + place if place < 0 else place


def _like(value: Json) -> Sequence:
    result = Sequence()
    result.tuples = type(value) is Sequence and value.tuples
    return result


def number_items(name: str) -> Filter:
    """The stage `#$name` after a predicate: binds each tuple's place."""

    def bind(tuples: Json, frame: Frame) -> Json:
        for place, binding in enumerate(tuples):
            binding[name] = place
        return tuples

    return bind


def sort_terms(terms: list[Evaluate], descending: list[bool], cost: int) -> Filter:
    """An order-by clause: sorts by each term in turn, stable, undefined last."""

    def sort(items: Json, frame: Frame) -> Json:
        is_tuples = type(items) is Sequence and items.tuples

        def keys(item: Json) -> list[Json]:
            frame.run.spend(cost)
            context, inner = (item[VALUE], frame.child(dict(item))) if is_tuples else (item, frame)
            found = [term(context, inner) for term in terms]
            for key in found:
                frame.run.keep(key)
            return found

        def after(left: list[Json], right: list[Json]) -> bool:
            return _order(left, right, descending) > 0

        if len(items) < 2:
            return items if is_tuples else Sequence(items)
        keyed = [(keys(item), item) for item in items]
        merged = merge_sort(keyed, lambda left, right: after(left[0], right[0]), frame.run)
        result = Sequence([item for _, item in merged])
        result.tuples = is_tuples
        return result

    return sort


def _order(left: list[Json], right: list[Json], descending: list[bool]) -> int:
    for one, other, is_descending in zip(left, right, descending, strict=True):
        if one is UNDEFINED or other is UNDEFINED:
            if one is not other:
                return 1 if one is UNDEFINED else -1
            continue
        kinds = symbol(one) + symbol(other)
        if kinds[0] not in "ns" or kinds[1] not in "ns":
            raise Fault("T2008")
        if kinds[0] != kinds[1]:
            raise Fault("T2007", value=one, value2=other)
        if one != other:
            return 1 if (one > other) is not is_descending else -1
    return 0


def merge_sort(items: list[Json], after: Callable[[Json, Json], bool], run: Run) -> list[Json]:
    """The items in order: a stable merge sort, so that a comparison function is asked about the same pairs as in
    jsonata.js; `after` says whether its first argument comes after its second."""
    if len(items) < 2:
        return items
    middle = len(items) // 2
    left, right = merge_sort(items[:middle], after, run), merge_sort(items[middle:], after, run)
    run.spend(2 * len(items))
    merged: list[Json] = []
    a = b = 0
    while a < len(left) and b < len(right):
        if after(left[a], right[b]):
            merged.append(right[b])
            b += 1
        else:
            merged.append(left[a])
            a += 1
    return merged + left[a:] + right[b:]


class Group:
    """An object constructor: evaluates its pairs for a sequence, one object for all of it."""

    __slots__ = ("_cost", "_pairs")

    def __init__(self, pairs: list[tuple[Evaluate, Evaluate]], cost: int) -> None:
        self._pairs = pairs
        self._cost = cost

    def __call__(self, value: Json, frame: Frame) -> Json:
        run = frame.run
        is_tuples = type(value) is Sequence and value.tuples
        items: list[Json] = value if type(value) in ARRAYS and value else [] if type(value) in ARRAYS else [value]
        if not items:
            items, is_tuples = [UNDEFINED], False
        if len(items) > 1:
            run.spend(self._cost * len(items))
        groups: dict[str, tuple[int, list[Json]]] = {}
        for item in items:
            context, inner = (item[VALUE], frame.child(dict(item))) if is_tuples else (item, frame)
            for index, (key_of, _) in enumerate(self._pairs):
                key = key_of(context, inner)
                if type(key) is not str:
                    if key is UNDEFINED:
                        continue
                    raise Fault("T1003", value=key)
                if key not in groups:
                    run.keep(key)
                    groups[key] = (index, [item])
                elif groups[key][0] != index:
                    raise Fault("D1009", value=key)
                else:
                    groups[key][1].append(item)
        run.hold(12 + 8 * len(groups))
        result: dict[str, Json] = {}
        for key, (index, members) in groups.items():
            member = self._pairs[index][1]
            if is_tuples:
                binding = _merged(members)
                found = member(binding.pop(VALUE), frame.child(binding))
            else:
                found = member(members[0] if len(members) == 1 else _joined(members), frame)
            if found is not UNDEFINED:
                result[key] = run.store(found)
        return result


def _joined(values: list[Json]) -> list[Json]:
    """Values appended to each other, as $append does."""
    joined: list[Json] = []
    for value in values:
        if type(value) in ARRAYS:
            joined.extend(value)
        else:
            joined.append(value)
    return joined


def _merged(tuples: list[dict[str, Json]]) -> dict[str, Json]:
    """One tuple for all tuples of a group: each binding has the values of all."""
    if len(tuples) == 1:
        return dict(tuples[0])
    names = dict.fromkeys(name for each in tuples for name in each)
    return {name: _joined([each[name] for each in tuples if name in each]) for name in names}
