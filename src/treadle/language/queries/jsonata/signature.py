"""Function signatures (`<s-nn?:s>`): which arguments a function takes, and what becomes of the ones it is given.

It owns the checks T0410, T0411 and T0412, the context value that stands in for a missing argument, and the array made
of a single value. It never calls the function. Neighbours: the parser (signatures of lambdas), `jsonata/functions.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from treadle.language.queries.jsonata.errors import Fault
from treadle.language.queries.jsonata.values import UNDEFINED, symbol, symbols
from treadle.language.scope import Json

_ARRAYS_OF = {"a": "arrays", "b": "booleans", "f": "functions", "n": "numbers", "o": "objects", "s": "strings"}
_CLASSES = {"a": "[asnblfom]", "x": "[asnblfom]", "f": "f", "j": "[asnblom]"}


class SignatureError(Exception):
    """A signature that cannot be read: `code`, the `value` at fault and its `offset` in the signature."""

    def __init__(self, code: str, value: str, offset: int) -> None:
        super().__init__(code)
        self.code = code
        self.value = value
        self.offset = offset


@dataclass(slots=True)
class _Parameter:
    pattern: str
    kind: str
    many: str = ""
    context: bool = False
    subtype: str | None = None

    @property
    def regex(self) -> str:
        return self.pattern + ("?" if self.context else "") + self.many


class Signature:
    """The parameters of a function, ready to check arguments against."""

    def __init__(self, parameters: list[_Parameter]) -> None:
        self._parameters = parameters
        self._whole = re.compile("".join(f"({each.regex})" for each in parameters))
        self._matches: dict[str, tuple[str, ...] | None] = {}
        self.callables = frozenset(at for at, each in enumerate(parameters) if "f" in each.kind)
        """The places of the parameters that are meant to be functions."""

    def check(self, args: list[Json], context: Json) -> list[Json]:
        """The arguments as the function wants them; raises T0410, T0411 or T0412."""
        supplied = "".join([symbol(arg) for arg in args])
        if supplied not in self._matches:
            match = self._whole.fullmatch(supplied)
            self._matches[supplied] = match.groups() if match else None
        groups = self._matches[supplied]
        if groups is None:
            raise Fault("T0410", index=self._first_mismatch(supplied))
        checked: list[Json] = []
        at = 0
        for parameter, group in zip(self._parameters, groups, strict=True):
            if not group:
                if parameter.context:
                    checked.append(_context(parameter, context, at + 1))
                    continue
                checked.append(args[at] if at < len(args) else UNDEFINED)
                at += 1
            for letter in group:
                checked.append(_array(parameter, args[at], letter, at + 1) if parameter.kind == "a" else args[at])
                at += 1
        return checked

    def _first_mismatch(self, supplied: str) -> int:
        good, pattern = 0, ""
        for parameter in self._parameters:
            pattern += parameter.regex
            match = re.match(pattern, supplied)
            if not match:
                break
            good = match.end()
        return good + 1


def _context(parameter: _Parameter, context: Json, index: int) -> Json:
    if not re.match(parameter.pattern, symbol(context)):
        raise Fault("T0411", index=index)
    return context


def _array(parameter: _Parameter, value: Json, letter: str, index: int) -> Json:
    if letter == "m":
        return UNDEFINED
    if parameter.subtype is not None:
        wanted = {parameter.subtype[0]}
        found = symbols(value) if letter == "a" else {letter}
        if not found <= wanted:
            raise Fault("T0412", index=index, type=_ARRAYS_OF.get(parameter.subtype))
    return value if letter == "a" else [value]


def _closing(text: str, start: int, opening: str, closing: str) -> int:
    depth, at = 1, start
    while depth and at < len(text):
        at += 1
        depth += (text[at : at + 1] == opening) - (text[at : at + 1] == closing)
    return at


@cache
def parse_signature(text: str) -> Signature:
    """The signature written in `text`; raises SignatureError. The return type is read over, as in jsonata.js."""
    parameters: list[_Parameter] = []
    at = 1
    while at < len(text) and text[at] != ":":
        letter = text[at]
        if letter in "snblo":
            parameters.append(_Parameter(f"[{letter}m]", letter))
        elif letter in _CLASSES:
            parameters.append(_Parameter(_CLASSES[letter], letter))
        elif letter == "(":
            end = _closing(text, at, "(", ")")
            choice = text[at + 1 : end]
            if "<" in choice:
                raise SignatureError("S0402", choice, at)
            parameters.append(_Parameter(f"[{re.escape(choice)}m]", f"({choice})"))
            at = end
        elif letter == "-" and parameters:
            parameters[-1].context = True
        elif letter in "?+" and parameters:
            parameters[-1].many += letter
        elif letter == "<":
            if not parameters or parameters[-1].kind not in "af":
                raise SignatureError("S0401", parameters[-1].kind if parameters else "", at)
            end = _closing(text, at, "<", ">")
            parameters[-1].subtype = text[at + 1 : end]
            at = end
        at += 1
    return Signature(parameters)
