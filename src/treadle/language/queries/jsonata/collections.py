"""The functions of JSONata on arrays, objects and functions: $map, $filter, $sort, $merge, $keys, and the like.

It owns what they return and raise once their arguments have passed their signatures. Neighbours: `jsonata/functions.py`
names them, `jsonata/values.py` applies the functions they are given.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from treadle.language.queries.jsonata.errors import Fault
from treadle.language.queries.jsonata.steps import field, merge_sort
from treadle.language.queries.jsonata.values import (
    ARRAYS,
    OBJECT,
    UNDEFINED,
    Function,
    Run,
    Sequence,
    apply,
    equal,
    number,
    numbers_only,
    strings_only,
    symbol,
    truth,
)
from treadle.language.scope import Json

_TYPES = {"n": "number", "s": "string", "b": "boolean", "l": "null", "a": "array", "o": "object", "f": "function"}


def _each(run: Run, function: Function, *args: Json) -> Json:
    """Call the function of a higher-order function with as many arguments as it takes, one at least."""
    run.spend(6)
    return apply(run, function, list(args[: max(1, function.arity)]), UNDEFINED)


def total(run: Run, values: Json) -> Json:
    if values is UNDEFINED:
        return UNDEFINED
    result = sum(values)
    # Exact while it is a safe integer; beyond, and with fractions, added one by one as doubles.
    if type(result) is int and abs(result) <= 2**53:
        return result
    added = 0.0
    for value in values:
        added += value
    return number(added)


def count(run: Run, values: Json) -> Json:
    return 0 if values is UNDEFINED else len(values)


def maximum(run: Run, values: Json) -> Json:
    return UNDEFINED if values is UNDEFINED or not values else max(values)


def minimum(run: Run, values: Json) -> Json:
    return UNDEFINED if values is UNDEFINED or not values else min(values)


def average(run: Run, values: Json) -> Json:
    return UNDEFINED if values is UNDEFINED or not values else number(float(total(run, values) / len(values)))


def boolean(run: Run, value: Json) -> Json:
    return value if value is UNDEFINED else truth(value)


def negation(run: Run, value: Json) -> Json:
    return value if value is UNDEFINED else not truth(value)


def exists(run: Run, value: Json) -> Json:
    return value is not UNDEFINED


def kind(run: Run, value: Json) -> Json:
    return value if value is UNDEFINED else _TYPES[symbol(value)]


def map_items(run: Run, values: Json, function: Json) -> Json:
    if values is UNDEFINED:
        return UNDEFINED
    result = Sequence()
    for index, value in enumerate(values):
        found = _each(run, function, value, index, values)
        if found is not UNDEFINED:
            result.append(run.store(found))
    return result


def filter_items(run: Run, values: Json, function: Json) -> Json:
    if values is UNDEFINED:
        return UNDEFINED
    result = Sequence()
    for index, value in enumerate(values):
        if truth(_each(run, function, value, index, values)):
            result.append(value)
    run.array(len(result))
    return result


def single(run: Run, values: Json, function: Json) -> Json:
    if values is UNDEFINED:
        return UNDEFINED
    found: list[Json] = []
    for index, value in enumerate(values):
        if function is UNDEFINED or truth(_each(run, function, value, index, values)):
            found.append(value)
            if len(found) > 1:
                raise Fault("D3138")
    if not found:
        raise Fault("D3139")
    return found[0]


def fold(run: Run, values: Json, function: Json, start: Json) -> Json:
    if values is UNDEFINED:
        return UNDEFINED
    if function.arity < 2:
        raise Fault("D3050")
    first = 1 if start is UNDEFINED and values else 0
    result = values[0] if first else start
    for index in range(first, len(values)):
        result = _each(run, function, result, values[index], index, values)
    return result


def sift(run: Run, value: Json, function: Json) -> Json:
    if type(value) is not OBJECT:
        return UNDEFINED
    kept: dict[str, Json] = {}
    for key, member in value.items():
        if truth(_each(run, function, member, key, value)):
            kept[key] = member
    run.hold(8 * len(kept))
    return kept or UNDEFINED


def each(run: Run, value: Json, function: Json) -> Json:
    result = Sequence()
    for key, member in value.items() if type(value) is OBJECT else ():
        found = _each(run, function, member, key, value)
        if found is not UNDEFINED:
            result.append(run.store(found))
    return result


def keys(run: Run, value: Json) -> Json:
    objects = value if type(value) in ARRAYS else [value]
    found = dict.fromkeys(key for each in objects if type(each) is OBJECT for key in each)
    run.array(len(found))
    return Sequence(found)


def lookup(run: Run, value: Json, key: Json) -> Json:
    return UNDEFINED if key is UNDEFINED else field(value, key)


def append(run: Run, first: Json, second: Json) -> Json:
    if first is UNDEFINED or second is UNDEFINED:
        return second if first is UNDEFINED else first
    joined = [*(first if type(first) in ARRAYS else [first]), *(second if type(second) in ARRAYS else [second])]
    run.array(len(joined))
    if type(second) not in ARRAYS:
        run.keep(second)
    return joined


def spread(run: Run, value: Json) -> Json:
    if type(value) in ARRAYS:
        if not value:
            return Sequence()
        result: list[Json] = []
        for item in value:
            parts = spread(run, item)
            result.extend(parts if type(parts) in ARRAYS else [] if parts is UNDEFINED else [parts])
        return result
    if type(value) is not OBJECT:
        return value
    run.hold(20 * len(value))
    return Sequence([{key: member} for key, member in value.items()])


def merge(run: Run, objects: Json) -> Json:
    if objects is UNDEFINED:
        return UNDEFINED
    merged: dict[str, Json] = {}
    for each in objects:
        merged.update(each)
    run.hold(8 * len(merged))
    return merged


def reverse(run: Run, values: Json) -> Json:
    return values if values is UNDEFINED or len(values) < 2 else values[::-1]


def zip_items(run: Run, *arrays: Json) -> Json:
    if not all(type(each) in ARRAYS for each in arrays):
        return []
    tuples = [list(each) for each in zip(*arrays, strict=False)]
    run.hold(8 * len(tuples) * (1 + len(arrays)))
    return tuples


def distinct(run: Run, values: Json) -> Json:
    if type(values) not in ARRAYS or len(values) < 2:
        return values
    result: list[Json] = Sequence() if type(values) is Sequence else []
    seen: set[tuple[str, Json]] = set()
    for value in values:
        letter = symbol(value)
        if letter in "snbl":
            if (letter, value) in seen:
                continue
            seen.add((letter, value))
        elif _known(value, result, run):
            continue
        result.append(value)
    run.array(len(result))
    return result


def _known(value: Json, values: list[Json], run: Run) -> bool:
    run.spend(6 * len(values))
    return any(equal(value, other, run) for other in values)


def sort(run: Run, values: Json, comparator: Json) -> Json:
    if values is UNDEFINED or len(values) < 2:
        return values
    run.array(len(values))
    if comparator is not UNDEFINED:
        return merge_sort(values, _after(run, comparator), run)
    if not numbers_only(values) and not strings_only(values):
        raise Fault("D3070")
    run.spend(len(values) * len(values).bit_length() >> 2)
    return sorted(values)


def _after(run: Run, comparator: Function) -> Callable[[Json, Json], bool]:
    def after(left: Json, right: Json) -> bool:
        answer = apply(run, comparator, [left, right], UNDEFINED)
        # The answer is truthy in the sense of JavaScript: every array, object and function is.
        return symbol(answer) in "aof" or (answer is not UNDEFINED and bool(answer))

    return after


def shuffle(run: Run, values: Json) -> Json:
    if values is UNDEFINED or len(values) < 2:
        return values
    run.array(len(values))
    result: list[Json] = []
    for index, value in enumerate(values):
        place = math.floor(run.scope.random.random() * (index + 1))
        result.append(value)
        result[index], result[place] = result[place], value
    return result


def clone(run: Run, value: Json) -> Json:
    if type(value) in ARRAYS:
        run.hold(4 + len(value))
        copies: list[Json] = []
        for item in value:
            copies.append(clone(run, item))
        return copies
    if type(value) is OBJECT:
        run.hold(12 + 8 * len(value))
        members: dict[str, Json] = {}
        for key, item in value.items():
            members[key] = clone(run, item)
        return members
    run.spend(1)
    return value


def error(run: Run, message: Json) -> Json:
    raise Fault("D3137", message="$error() function evaluated" if message is UNDEFINED or not message else message)


def check(run: Run, condition: Json, message: Json) -> Json:
    if condition is UNDEFINED or not condition:
        text = "$assert() statement failed" if message is UNDEFINED or not message else message
        raise Fault("D3141", message=text)
    return UNDEFINED
