"""JSONata as AWS Step Functions runs it: the text between `{%` and `%}` compiled to a reader of the scope.

It owns what an expression may see ($states and the workflow variables, no input document) and what its outcome is
turned into. It never checks where an expression may stand: that is lint's. Neighbours: `jsonata/syntax.py` ->
`jsonata/resolve.py` -> `jsonata/evaluate.py` is the way of an expression. Why there is an engine here, see
docs/decisions/jsonata-engine.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from treadle.language.queries.jsonata.errors import (
    MEMORY,
    STACK,
    Fault,
    JsonataError,
    JsonataSyntaxError,
    LimitExceeded,
    describe,
)
from treadle.language.queries.jsonata.evaluate import Compiler
from treadle.language.queries.jsonata.functions import FUNCTIONS
from treadle.language.queries.jsonata.resolve import resolve, usage
from treadle.language.queries.jsonata.syntax import parse
from treadle.language.queries.jsonata.values import (
    ARRAYS,
    OBJECT,
    UNDEFINED,
    UNITS,
    UNSUPPORTED,
    Evaluate,
    Frame,
    Function,
    Run,
    Sequence,
    plain,
    to_json,
    weigh,
)
from treadle.language.scope import Json, Scope

__all__ = [
    "UNDEFINED",
    "UNSUPPORTED",
    "Expression",
    "JsonataError",
    "JsonataSyntaxError",
    "compile_expression",
]


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    `text` is the source without delimiters, stripped. `variables` are the names it leaves free, `states` among them,
    built-in functions not. `states_fields` are the fields it reads off $states, `*` where it uses all of it. `read`
    evaluates it: a JSON value, UNDEFINED or UNSUPPORTED; it raises JsonataError.
    """

    text: str
    variables: frozenset[str]
    states_fields: frozenset[str]
    read: Callable[[Scope], Json]


_STATES: dict[str, Callable[[Scope], Json]] = {
    "input": lambda scope: scope.input,
    "context": lambda scope: scope.context,
    "result": lambda scope: scope.result,
    "errorOutput": lambda scope: scope.error,
}
# Present whenever $states is; the others only where there is a result or an error.
_ALWAYS = frozenset(["input", "context"])


def _states(scope: Scope, fields: frozenset[str]) -> dict[str, Json]:
    whole = "*" in fields
    found: dict[str, Json] = {}
    for name, field in _STATES.items():
        if whole or name in fields:
            value = field(scope)
            if value is not None or name in _ALWAYS or not whole:
                found[name] = value
    return found


# What an expression has to keep before its result can be much larger than what it was made from.
_FEW_UNITS = 60


def _reader(evaluate: Evaluate, names: frozenset[str], fields: frozenset[str]) -> Callable[[Scope], Json]:
    uses_states = "states" in names
    others = tuple(names - {"states"})

    def read(scope: Scope) -> Json:
        bound: dict[str, Json] = {name: scope.variables[name] for name in others if name in scope.variables}
        if uses_states:
            bound["states"] = _states(scope, fields)
        run = Run(scope, bound)
        try:
            value = evaluate(UNDEFINED, Frame(run, None, {}))
            return _outcome(value, run)
        except Fault as fault:
            raise JsonataError(_message(fault, run)) from None
        except LimitExceeded as limit:
            raise JsonataError(str(limit)) from None
        except RecursionError:
            raise JsonataError(STACK) from None

    return read


def _outcome(value: Json, run: Run) -> Json:
    if isinstance(value, Function):
        return UNSUPPORTED
    # A few nested arrays can stand for a value too large to be written, when each holds the same one twice.
    is_made_here = run.units < UNITS - _FEW_UNITS
    if is_made_here and (type(value) in ARRAYS or type(value) is OBJECT) and weigh(value, {}) > UNITS:
        raise LimitExceeded(MEMORY)
    if run.mixed:
        return plain(value)
    return list(value) if type(value) is Sequence else value


def _message(fault: Fault, run: Run) -> str:
    return f"{fault.code}: {describe(fault.code, fault.inserts, lambda value: to_json(value, run))}"


@lru_cache(maxsize=10_000)
def compile_expression(text: str) -> Expression:
    """The compiled form of the text between `{%` and `%}`; raises JsonataSyntaxError."""
    stripped = text.strip()
    try:
        tree = resolve(parse(stripped))
        found = usage(tree)
        evaluate = Compiler(FUNCTIONS, found.bound).compile(tree)
    except RecursionError:
        raise JsonataSyntaxError("S0500", "The expression is nested too deeply", 0) from None
    names = frozenset(found.free)
    fields = frozenset(found.states_fields)
    variables = frozenset(name for name in names if name not in FUNCTIONS)
    return Expression(stripped, variables, fields, _reader(evaluate, names, fields))
