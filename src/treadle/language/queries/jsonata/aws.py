"""The functions that AWS Step Functions adds to JSONata, and those that need the surroundings of the evaluation.

It owns $partition, $range, $hash, $random, $uuid and $parse, and the clock functions $now and $millis, which tell the
moment of the scope. It never reads a clock or a random source itself. Neighbour: `jsonata/functions.py` names them.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, NoReturn

from treadle.language.prng import JavaRandom
from treadle.language.queries.jsonata.dates import from_millis
from treadle.language.queries.jsonata.errors import MEMORY, Fault, LimitExceeded
from treadle.language.queries.jsonata.values import UNDEFINED, Run, Sequence, number, to_text
from treadle.language.scope import Json

_ALGORITHMS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}


def _refuse(message: str) -> NoReturn:
    raise Fault("D3137", message=message)


def partition(run: Run, values: Json, size: Json) -> Json:
    if values is UNDEFINED or size is UNDEFINED:
        return UNDEFINED
    # ASL 'JSONata functions': parameters that need an integer are rounded down.
    step = math.floor(size)
    if step < 1:
        _refuse("The second argument of partition function must evaluate to a positive number")
    chunks = [list(values[start : start + step]) for start in range(0, len(values), step)]
    run.hold(len(values) + 8 * len(chunks))
    return Sequence(chunks)


def span(run: Run, start: Json, end: Json, step: Json) -> Json:
    if start is UNDEFINED or end is UNDEFINED or step is UNDEFINED:
        return UNDEFINED
    first, last, delta = math.floor(start), math.floor(end), math.floor(step)
    if delta == 0:
        _refuse("The third argument of range function must not be zero")
    places = range(first, last + (1 if delta > 0 else -1), delta)
    # len() of a range has an upper bound, so ask for the last place instead.
    size = max(0, (last - first) // delta + 1)
    if size > 10_000_000:
        raise LimitExceeded(MEMORY)
    run.hold(5 * size)
    return Sequence(places)


def digest(run: Run, value: Json, algorithm: Json) -> Json:
    if value is UNDEFINED or algorithm is UNDEFINED:
        return UNDEFINED
    if algorithm not in _ALGORITHMS:
        _refuse(f"The algorithm of hash function must be one of {', '.join(_ALGORITHMS)}")
    content = to_text(value, run).encode("utf-8", "surrogatepass")
    return hashlib.new(_ALGORITHMS[algorithm], content, usedforsecurity=False).hexdigest()


def random(run: Run, seed: Json) -> Json:
    if seed is UNDEFINED:
        return run.scope.random.random()
    # Step Functions runs on Java, whose seeded generator the rest of treadle repeats as well: nextDouble().
    generator = JavaRandom(math.floor(seed))
    return ((generator.bits(26) << 27) + generator.bits(27)) / 2**53


def uuid(run: Run) -> Json:
    # RFC 9562: version 4, variant 10.
    bits = run.scope.random.getrandbits(128)
    bits = bits & ~(0xF << 76) | 0x4 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    digits = f"{bits:032x}"
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _decimal(text: str) -> Any:
    return number(float(text))


_decoder = json.JSONDecoder(parse_constant=_no_constant, parse_float=_decimal)


def parse(run: Run, text: Json) -> Json:
    if text is UNDEFINED:
        return UNDEFINED
    run.text(len(text))
    run.hold(len(text))
    try:
        return _decoder.decode(text)
    except ValueError:
        _refuse("The argument of parse function must be a valid JSON string")


def now(run: Run, picture: Json, zone: Json) -> Json:
    return from_millis(run, millis(run), picture, zone)


def millis(run: Run) -> Json:
    return round(run.scope.now * 1000)
