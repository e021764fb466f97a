"""The functions that an expression finds: their names, their signatures, and where each is implemented.

It owns the table and what it costs to call a row of it: adding a function is adding a row. It computes nothing.
Neighbours: the modules of the implementations (`jsonata/text.py`, `jsonata/numbers.py`, `jsonata/collections.py`,
`jsonata/dates.py`, `jsonata/aws.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from treadle.language.queries.jsonata import aws, collections, dates, integers, numbers, text
from treadle.language.queries.jsonata.signature import parse_signature
from treadle.language.queries.jsonata.values import ARRAYS, UNDEFINED, Function, Run
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
                steps += len(arg) >> 7
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
    ("sum", "<a<n>:n>", collections.total),
    ("count", "<a:n>", collections.count),
    ("max", "<a<n>:n>", collections.maximum),
    ("min", "<a<n>:n>", collections.minimum),
    ("average", "<a<n>:n>", collections.average),
    ("string", "<x-b?:s>", text.string),
    ("substring", "<s-nn?:s>", text.substring),
    ("substringBefore", "<s-s:s>", text.substring_before),
    ("substringAfter", "<s-s:s>", text.substring_after),
    ("lowercase", "<s-:s>", text.lowercase),
    ("uppercase", "<s-:s>", text.uppercase),
    ("length", "<s-:n>", text.length),
    ("trim", "<s-:s>", text.trim),
    ("pad", "<s-ns?:s>", text.pad),
    ("match", "<s-f<s:o>n?:a<o>>", text.match),
    ("contains", "<s-(sf):b>", text.contains),
    ("replace", "<s-(sf)(sf)n?:s>", text.replace),
    ("split", "<s-(sf)n?:a<s>>", text.split),
    ("join", "<a<s>s?:s>", text.join),
    ("base64encode", "<s-:s>", text.base64_encode),
    ("base64decode", "<s-:s>", text.base64_decode),
    ("encodeUrlComponent", "<s-:s>", text.encode_url_component),
    ("encodeUrl", "<s-:s>", text.encode_url),
    ("decodeUrlComponent", "<s-:s>", text.decode_url_component),
    ("decodeUrl", "<s-:s>", text.decode_url),
    ("formatNumber", "<n-so?:s>", numbers.format_number),
    ("formatBase", "<n-n?:s>", numbers.format_base),
    ("formatInteger", "<n-s:s>", integers.format_integer),
    ("parseInteger", "<s-s:n>", integers.parse_integer),
    ("number", "<(nsb)-:n>", numbers.to_number),
    ("floor", "<n-:n>", numbers.floor),
    ("ceil", "<n-:n>", numbers.ceil),
    ("round", "<n-n?:n>", numbers.round_half_even),
    ("abs", "<n-:n>", numbers.absolute),
    ("sqrt", "<n-:n>", numbers.square_root),
    ("power", "<n-n:n>", numbers.power),
    ("boolean", "<x-:b>", collections.boolean),
    ("not", "<x-:b>", collections.negation),
    ("map", "<af>", collections.map_items),
    ("zip", "<a+>", collections.zip_items),
    ("filter", "<af>", collections.filter_items),
    ("single", "<af?>", collections.single),
    ("reduce", "<afj?:j>", collections.fold),
    ("sift", "<o-f?:o>", collections.sift),
    ("keys", "<x-:a<s>>", collections.keys),
    ("lookup", "<x-s:x>", collections.lookup),
    ("append", "<xx:a>", collections.append),
    ("exists", "<x:b>", collections.exists),
    ("spread", "<x-:a<o>>", collections.spread),
    ("merge", "<a<o>:o>", collections.merge),
    ("reverse", "<a:a>", collections.reverse),
    ("each", "<o-f:a>", collections.each),
    ("error", "<s?:x>", collections.error),
    ("assert", "<bs?:x>", collections.check),
    ("type", "<x:s>", collections.kind),
    ("sort", "<af?:a>", collections.sort),
    ("shuffle", "<a:a>", collections.shuffle),
    ("distinct", "<x:x>", collections.distinct),
    ("clone", "<(oa)-:o>", collections.clone),
    ("toMillis", "<s-s?:n>", dates.to_millis),
    ("fromMillis", "<n-s?s?:s>", dates.from_millis),
    ("now", "<s?s?:s>", aws.now),
    ("millis", "<:n>", aws.millis),
    ("partition", "<an:a>", aws.partition),
    ("range", "<nnn:a>", aws.span),
    ("hash", "<xs:s>", aws.digest),
    ("random", "<n?:n>", aws.random),
    ("uuid", "<:s>", aws.uuid),
    ("parse", "<s-:x>", aws.parse),
)

# $string hands only the value on to its JavaScript implementation when it is mapped over an array.
_ARITIES = {"string": 1}

FUNCTIONS: Final[dict[str, Native]] = {
    name: Native(name, signature, compute, _ARITIES.get(name)) for name, signature, compute in _TABLE
}
