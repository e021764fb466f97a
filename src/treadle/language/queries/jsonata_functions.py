"""The functions that an expression finds: their names, their signatures, and where each is implemented.

It owns the table and what it costs to call a row of it: adding a function is adding a row. It computes nothing.
Neighbours: the modules of the implementations (`jsonata_text.py`, `jsonata_numbers.py`, `jsonata_collections.py`,
`jsonata_dates.py`, `jsonata_aws.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from treadle.language.queries import (
    jsonata_aws,
    jsonata_collections,
    jsonata_dates,
    jsonata_integers,
    jsonata_numbers,
    jsonata_text,
)
from treadle.language.queries.jsonata_signature import parse_signature
from treadle.language.queries.jsonata_values import ARRAYS, UNDEFINED, Function, Run
from treadle.language.scope import Json


class Native(Function):
    """A function implemented here: checks its arguments, then calls `compute(run, *args)` with all of them."""

    __slots__ = ("_compute", "_parameters", "_signature")

    def __init__(self, name: str, signature: str, compute: Callable[..., Json], arity: int | None) -> None:
        parameters = 0 if name in _VARIADIC else compute.__code__.co_argcount - 1
        super().__init__(name, parameters if arity is None else arity)
        self._compute = compute
        self._parameters = parameters
        self._signature = parse_signature(signature)

    def call(self, run: Run, args: list[Json], context: Json) -> Json:
        steps = 5
        for place, arg in enumerate(args):
            if type(arg) in ARRAYS:
                steps += len(arg) >> 5
            elif type(arg) is str:
                steps += len(arg) >> 8
            elif isinstance(arg, Function) and place not in self._signature.callables:
                run.mixed = True
        run.spend(steps)
        args = self._signature.check(args, context)
        if len(args) < self._parameters:
            args = args + [UNDEFINED] * (self._parameters - len(args))
        return self._compute(run, *args)


_VARIADIC = frozenset(["zip"])

# Signatures of jsonata.js 2.0.6 and, below, of AWS ('JSONata functions provided by Step Functions').
_TABLE: tuple[tuple[str, str, Callable[..., Json]], ...] = (
    ("sum", "<a<n>:n>", jsonata_collections.total),
    ("count", "<a:n>", jsonata_collections.count),
    ("max", "<a<n>:n>", jsonata_collections.maximum),
    ("min", "<a<n>:n>", jsonata_collections.minimum),
    ("average", "<a<n>:n>", jsonata_collections.average),
    ("string", "<x-b?:s>", jsonata_text.string),
    ("substring", "<s-nn?:s>", jsonata_text.substring),
    ("substringBefore", "<s-s:s>", jsonata_text.substring_before),
    ("substringAfter", "<s-s:s>", jsonata_text.substring_after),
    ("lowercase", "<s-:s>", jsonata_text.lowercase),
    ("uppercase", "<s-:s>", jsonata_text.uppercase),
    ("length", "<s-:n>", jsonata_text.length),
    ("trim", "<s-:s>", jsonata_text.trim),
    ("pad", "<s-ns?:s>", jsonata_text.pad),
    ("match", "<s-f<s:o>n?:a<o>>", jsonata_text.match),
    ("contains", "<s-(sf):b>", jsonata_text.contains),
    ("replace", "<s-(sf)(sf)n?:s>", jsonata_text.replace),
    ("split", "<s-(sf)n?:a<s>>", jsonata_text.split),
    ("join", "<a<s>s?:s>", jsonata_text.join),
    ("base64encode", "<s-:s>", jsonata_text.base64_encode),
    ("base64decode", "<s-:s>", jsonata_text.base64_decode),
    ("encodeUrlComponent", "<s-:s>", jsonata_text.encode_url_component),
    ("encodeUrl", "<s-:s>", jsonata_text.encode_url),
    ("decodeUrlComponent", "<s-:s>", jsonata_text.decode_url_component),
    ("decodeUrl", "<s-:s>", jsonata_text.decode_url),
    ("formatNumber", "<n-so?:s>", jsonata_numbers.format_number),
    ("formatBase", "<n-n?:s>", jsonata_numbers.format_base),
    ("formatInteger", "<n-s:s>", jsonata_integers.format_integer),
    ("parseInteger", "<s-s:n>", jsonata_integers.parse_integer),
    ("number", "<(nsb)-:n>", jsonata_numbers.to_number),
    ("floor", "<n-:n>", jsonata_numbers.floor),
    ("ceil", "<n-:n>", jsonata_numbers.ceil),
    ("round", "<n-n?:n>", jsonata_numbers.round_half_even),
    ("abs", "<n-:n>", jsonata_numbers.absolute),
    ("sqrt", "<n-:n>", jsonata_numbers.square_root),
    ("power", "<n-n:n>", jsonata_numbers.power),
    ("boolean", "<x-:b>", jsonata_collections.boolean),
    ("not", "<x-:b>", jsonata_collections.negation),
    ("map", "<af>", jsonata_collections.map_items),
    ("zip", "<a+>", jsonata_collections.zip_items),
    ("filter", "<af>", jsonata_collections.filter_items),
    ("single", "<af?>", jsonata_collections.single),
    ("reduce", "<afj?:j>", jsonata_collections.fold),
    ("sift", "<o-f?:o>", jsonata_collections.sift),
    ("keys", "<x-:a<s>>", jsonata_collections.keys),
    ("lookup", "<x-s:x>", jsonata_collections.lookup),
    ("append", "<xx:a>", jsonata_collections.append),
    ("exists", "<x:b>", jsonata_collections.exists),
    ("spread", "<x-:a<o>>", jsonata_collections.spread),
    ("merge", "<a<o>:o>", jsonata_collections.merge),
    ("reverse", "<a:a>", jsonata_collections.reverse),
    ("each", "<o-f:a>", jsonata_collections.each),
    ("error", "<s?:x>", jsonata_collections.error),
    ("assert", "<bs?:x>", jsonata_collections.check),
    ("type", "<x:s>", jsonata_collections.kind),
    ("sort", "<af?:a>", jsonata_collections.sort),
    ("shuffle", "<a:a>", jsonata_collections.shuffle),
    ("distinct", "<x:x>", jsonata_collections.distinct),
    ("clone", "<(oa)-:o>", jsonata_collections.clone),
    ("toMillis", "<s-s?:n>", jsonata_dates.to_millis),
    ("fromMillis", "<n-s?s?:s>", jsonata_dates.from_millis),
    ("now", "<s?s?:s>", jsonata_aws.now),
    ("millis", "<:n>", jsonata_aws.millis),
    ("partition", "<an:a>", jsonata_aws.partition),
    ("range", "<nnn:a>", jsonata_aws.span),
    ("hash", "<xs:s>", jsonata_aws.digest),
    ("random", "<n?:n>", jsonata_aws.random),
    ("uuid", "<:s>", jsonata_aws.uuid),
    ("parse", "<s-:x>", jsonata_aws.parse),
)

# $string hands only the value on to its JavaScript implementation when it is mapped over an array.
_ARITIES = {"string": 1}

FUNCTIONS: Final[dict[str, Native]] = {
    name: Native(name, signature, compute, _ARITIES.get(name)) for name, signature, compute in _TABLE
}
