"""The functions that an expression makes: lambdas, partial applications, chains and transformations.

It owns how they take their arguments and what they run. It compiles nothing. Neighbours: `jsonata/evaluate.py` makes
them, `apply` in `jsonata/values.py` calls them.
"""

from __future__ import annotations

from treadle.language.queries.jsonata.errors import Fault
from treadle.language.queries.jsonata.signature import Signature, parse_signature
from treadle.language.queries.jsonata.values import (
    ARRAYS,
    OBJECT,
    UNDEFINED,
    Entry,
    Evaluate,
    Frame,
    Function,
    Run,
    TailCall,
    apply,
    settle,
    strings_only,
)
from treadle.language.scope import Json

_TRANSFORM = parse_signature("<(oa):o>")
# What entering a function costs beside the nodes of its body.
_CALL = 8


class Lambda(Function):
    """A function of the expression: its parameters, its body, and where it was made."""

    __slots__ = ("body", "context", "cost", "frame", "parameters", "signature")

    def __init__(
        self,
        parameters: list[str],
        signature: Signature | None,
        body: Evaluate,
        cost: int,
        context: Json,
        frame: Frame,
    ) -> None:
        super().__init__(None, len(parameters))
        self.parameters = parameters
        self.signature = signature
        self.body = body
        self.cost = cost + _CALL
        self.context = context
        self.frame = frame

    def call(self, run: Run, args: list[Json], context: Json) -> Json:
        run.spend(self.cost)
        if self.signature is not None:
            args = self.signature.check(args, context)
        names = dict(zip(self.parameters, args, strict=False))
        for name in self.parameters[len(args) :]:
            names[name] = UNDEFINED
        return Entry(self.body, self.context, Frame(run, self.frame, names))


class Partial(Function):
    """A function with some of its arguments given; `holes` are the places of the others."""

    __slots__ = ("args", "function", "holes")

    def __init__(self, function: Function, args: list[Json], holes: list[int]) -> None:
        super().__init__(function.name, len(holes))
        self.function = function
        self.args = args
        self.holes = holes

    def call(self, run: Run, args: list[Json], context: Json) -> Json:
        filled = list(self.args)
        for hole, arg in zip(self.holes, args, strict=False):
            filled[hole] = arg
        return self.function.call(run, filled, context)


class Chain(Function):
    """Two functions applied one after the other."""

    __slots__ = ("first", "second")

    def __init__(self, first: Function, second: Function) -> None:
        super().__init__(None, 1)
        self.first = first
        self.second = second

    def call(self, run: Run, args: list[Json], context: Json) -> Json:
        between = settle(apply(run, self.first, args[:1] or [UNDEFINED], context))
        return TailCall(self.second, [between], None)


class Transform(Function):
    """The function `|pattern|update,delete|`: a changed copy of its argument."""

    __slots__ = ("clone", "delete", "frame", "pattern", "update")

    def __init__(
        self, clone: Evaluate, pattern: Evaluate, update: Evaluate, delete: Evaluate | None, frame: Frame
    ) -> None:
        super().__init__(None, 1)
        self.clone = clone
        self.pattern = pattern
        self.update = update
        self.delete = delete
        self.frame = frame

    def call(self, run: Run, args: list[Json], context: Json) -> Json:
        (value,) = _TRANSFORM.check(args, context)
        if value is UNDEFINED:
            return UNDEFINED
        clone = self.clone(UNDEFINED, self.frame)
        if not isinstance(clone, Function):
            raise Fault("T2013")
        copy = apply(run, clone, [value], UNDEFINED)
        own = set(_objects(copy))
        matches = self.pattern(copy, self.frame)
        for match in matches if type(matches) in ARRAYS else [] if matches is UNDEFINED else [matches]:
            # Whatever the pattern finds outside the copy is someone else's and stays as it is.
            self._change(match, id(match) in own, run)
        return copy

    def _change(self, match: Json, is_own: bool, run: Run) -> None:
        run.spend(10)
        update = self.update(match, self.frame)
        if update is not UNDEFINED:
            if type(update) is not OBJECT:
                raise Fault("T2011", value=update)
            if is_own:
                match.update(update)
        deletions = self.delete(match, self.frame) if self.delete else UNDEFINED
        if deletions is not UNDEFINED:
            keys: list[Json] = deletions if type(deletions) in ARRAYS else [deletions]
            if not strings_only(keys):
                raise Fault("T2012", value=deletions)
            for key in keys if is_own else ():
                match.pop(key, None)


def _objects(value: Json) -> list[int]:
    """The identities of all objects within a value."""
    if type(value) in ARRAYS:
        return [each for item in value for each in _objects(item)]
    if type(value) is OBJECT:
        return [id(value), *(each for item in value.values() for each in _objects(item))]
    return []


def lookup(frame: Frame | None, name: str, builtin: Json = UNDEFINED) -> Json:
    """The value of a variable: from the frames outwards, the names given to the expression, then the functions."""
    assert frame is not None
    run = frame.run
    while frame is not None:
        if name in frame.names:
            return frame.names[name]
        frame = frame.parent
    return run.names.get(name, builtin)
