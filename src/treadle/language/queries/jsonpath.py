"""JSONPath as AWS Step Functions runs it: Jayway's definite and indefinite paths, compiled once and cached.

Owns reading a path, writing a value at a Reference Path, and queries over a scope (`$...`, `$$...`, `$name...`). Must
never recurse over a document or over the steps of a path, nor change a value it was given, nor name the field an
expression stands in: the compiler of definitions does that. Neighbours: jsonpath_syntax.py parses, jsonpath_filters.py
gives filters and functions their meaning, intrinsics.py uses the queries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import chain, islice
from operator import getitem
from typing import Literal, TypeAlias

from treadle.language.queries.jsonpath_filters import PathError, Read, call, predicate
from treadle.language.queries.jsonpath_syntax import (
    Call,
    Children,
    Descend,
    Elements,
    Every,
    PathSyntaxError,
    Span,
    Step,
    Subpath,
    Where,
    is_definite,
    parse,
)
from treadle.language.scope import Expr, Json, Scope
from treadle.language.values import is_array, is_object, java_text, json_text

__all__ = ["Path", "PathError", "PathSyntaxError", "Query", "compile_path", "compile_query", "place"]

_CACHE_SIZE = 4096
_NODE_LIMIT = 1_000_000
"""Nodes that one step may find: repeated `..` would otherwise fill the memory with a small document."""

_Key: TypeAlias = str | int
_Select: TypeAlias = Callable[[Json, Json], Iterable[Json]]


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path that begins with `$`.

    A `definite` path gives one node, any other a list, possibly empty. `reference` says that it is a Reference Path of
    ASL. `read` raises PathError where a definite path finds nothing.
    """

    text: str
    definite: bool
    reference: bool
    steps: tuple[Step, ...]
    read: Callable[[Json], Json]


@dataclass(frozen=True, slots=True)
class Query:
    """A path and where it starts: the state's data (`$`), the context object (`$$`) or a workflow variable (`$name`).

    `variable` is the variable's name, None for the other two. `path` is the path from there on. `read` raises PathError
    that names this query's text as its `path`.
    """

    text: str
    root: Literal["input", "context", "variable"]
    variable: str | None
    path: Path
    read: Expr


@lru_cache(_CACHE_SIZE)
def compile_path(text: str) -> Path:
    """Compile a path that begins with `$`. Raises PathSyntaxError."""
    steps, plain = parse(text)
    keys = _keys(steps)
    read = _reader(steps)
    return Path(
        text=text,
        definite=is_definite(steps),
        reference=plain and keys is not None,
        steps=steps,
        read=(lambda document: document) if not steps else _of_document(keys, read),
    )


def place(path: Path) -> Callable[[Json, Json], Json]:
    """ResultPath: a function (document, value) -> a copy of the document with the value at the path.

    Objects on the way are made where they are missing; an index may only name an existing element, else PathError.
    Raises PathSyntaxError when the path is no Reference Path.
    """
    keys = _keys(path.steps)
    if keys is None or not path.reference:
        raise PathSyntaxError(f"'{path.text}' is not a Reference Path", 0)

    def put(document: Json, value: Json) -> Json:
        holders: list[Json] = []
        node = document
        for key in keys:
            # A missing object on the way is as good as an empty one; only a missing value may become an object.
            holder: Json = {} if node is _ABSENT else node
            if not (is_object(holder) if isinstance(key, str) else is_array(holder)):
                raise _unplaceable(path, document)
            holders.append(holder)
            node = _held(holder, key)
            if node is _ABSENT and isinstance(key, int):
                raise _unplaceable(path, document)
        for key, holder in zip(reversed(keys), reversed(holders), strict=True):
            changed: Json = holder.copy()
            changed[key] = value
            value = changed
        return value

    return put


_ABSENT: Json = object()


def _held(holder: Json, key: _Key) -> Json:
    try:
        return holder[key]
    except (KeyError, IndexError):
        return _ABSENT


def _unplaceable(path: Path, document: Json) -> PathError:
    return PathError(f"Unable to apply ReferencePath {path.text} to input {json_text(document)}")


_VARIABLE = re.compile(r"\$([^\s.\[$@*?(]+)")


@lru_cache(_CACHE_SIZE)
def compile_query(text: str) -> Query:
    """Compile a path over a scope: `$...`, `$$...` or `$name...`. Raises PathSyntaxError."""
    if text.startswith("$$"):
        path = _path_after(text, 1)
        return Query(text, "context", None, path, _named(text, lambda scope: path.read(scope.context)))
    if variable := _VARIABLE.match(text):
        name = variable.group(1)
        if not name.isidentifier():
            raise PathSyntaxError(f"'{name}' is no variable name", 1)
        path = _path_after(text, len(name))
        return Query(text, "variable", name, path, _named(text, _of_variable(name, path.read)))
    path = compile_path(text)
    return Query(text, "input", None, path, _named(text, lambda scope: path.read(scope.root)))


def _path_after(text: str, skipped: int) -> Path:
    """The path that follows the context's second `$` or a variable's name."""
    try:
        return compile_path("$" + text[1 + skipped :])
    except PathSyntaxError as error:
        raise PathSyntaxError(error.message, error.position + skipped) from error


def _of_variable(name: str, read: Callable[[Json], Json]) -> Expr:
    def query(scope: Scope) -> Json:
        try:
            value = scope.variables[name]
        except KeyError:
            raise PathError(f"The variable '{name}' has not been assigned") from None
        return read(value)

    return query


def _named(text: str, read: Expr) -> Expr:
    def query(scope: Scope) -> Json:
        try:
            return read(scope)
        except PathError as error:
            error.path = text
            raise

    return query


def _keys(steps: tuple[Step, ...]) -> tuple[_Key, ...] | None:
    """The steps as plain keys and indices; None when there is anything else among them."""
    keys: list[_Key] = []
    for step in steps:
        match step:
            case Children((name,)):
                keys.append(name)
            case Elements((index,)):
                keys.append(index)
            case _:
                return None
    return tuple(keys)


def _of_document(keys: tuple[_Key, ...] | None, read: Read) -> Callable[[Json], Json]:
    """A path read from its document: plain keys the fast way; what fails is read again by `read`, which explains."""

    def slow(document: Json) -> Json:
        return read(document, document)

    match keys:
        case None:
            return slow
        case (str(only),):
            return _one_name(only, slow)
        case (str(first), str(second)):
            return _two_names(first, second, slow)
        case (str(first), str(second), str(third)):
            return _three_names(first, second, third, slow)
        case _:
            return _many_keys(keys, slow)


def _one_name(only: str, slow: Callable[[Json], Json]) -> Callable[[Json], Json]:
    def read(document: Json) -> Json:
        try:
            return document[only]
        except (KeyError, TypeError):
            return slow(document)

    return read


def _two_names(first: str, second: str, slow: Callable[[Json], Json]) -> Callable[[Json], Json]:
    def read(document: Json) -> Json:
        try:
            return document[first][second]
        except (KeyError, TypeError):
            return slow(document)

    return read


def _three_names(first: str, second: str, third: str, slow: Callable[[Json], Json]) -> Callable[[Json], Json]:
    def read(document: Json) -> Json:
        try:
            return document[first][second][third]
        except (KeyError, TypeError):
            return slow(document)

    return read


def _many_keys(keys: tuple[_Key, ...], slow: Callable[[Json], Json]) -> Callable[[Json], Json]:
    def read(document: Json) -> Json:
        try:
            found = reduce(getitem, keys, document)
        except (KeyError, TypeError, IndexError):
            return slow(document)
        # Python indexes texts too, which JSONPath does not; that always ends in a text of one character.
        return slow(document) if found.__class__ is str and len(found) == 1 else found

    return read


def _reader(steps: tuple[Step, ...]) -> Read:
    selects = [_select(steps, position) for position in range(len(steps))]
    definite = is_definite(steps)

    def read(node: Json, document: Json) -> Json:
        nodes = [node]
        for position, select in enumerate(selects):
            found = list(islice(chain.from_iterable(select(each, document) for each in nodes), _NODE_LIMIT + 1))
            if len(found) > _NODE_LIMIT:
                raise PathError(f"The path finds more than {_NODE_LIMIT} nodes")
            if not found:
                if definite:
                    raise _missing(steps, position, nodes[0])
                return found
            nodes = found
        return nodes[0] if definite else nodes

    return read


def _subpath(subpath: Subpath) -> Read:
    read = _reader(subpath.steps)
    if subpath.absolute:
        return lambda _node, document: read(document, document)
    return read


def _missing(steps: tuple[Step, ...], position: int, node: Json) -> PathError:
    """Why a definite path found nothing at one of its steps, in Jayway's words."""
    step = steps[position]
    here = "$" + "".join(map(str, steps[:position]))
    if isinstance(step, Children):
        if not is_object(node):
            return PathError(
                f"Expected to find an object with property {step} in path {here} but found '{_java_class(node)}'. "
                "This is not a json object according to the JsonProvider: "
                "'com.jayway.jsonpath.spi.json.JacksonJsonProvider'."
            )
        if position < len(steps) - 1:
            return PathError(f"Missing property in path {here}{step}")
    elif node is None:
        return PathError(f"The path {here} is null")
    elif not is_array(node):
        return PathError(f"Filter: {step} can only be applied to arrays. Current context is: {java_text(node)}")
    return PathError("No results for path: $" + "".join(map(str, steps)))


def _java_class(node: Json) -> str:
    match node:
        case None:
            return "null"
        case bool():
            return "java.lang.Boolean"
        case int():
            return "java.lang.Integer" if -(2**31) <= node < 2**31 else "java.lang.Long"
        case float():
            return "java.lang.Double"
        case str():
            return "java.lang.String"
        case _:
            return "java.util.ArrayList"


def _select(steps: tuple[Step, ...], position: int) -> _Select:
    """One step as a function (node, document) -> the nodes it leads to, none where it does not apply."""
    match steps[position]:
        case Children((name,)):
            return _child(name)
        case Children(names) if position < len(steps) - 1:
            return _children(names)
        case Children(names):
            return _members(names, needs_all=position > 0 and isinstance(steps[position - 1], Descend))
        case Elements(indices):
            return _elements(indices)
        case Span(start, stop, stride):
            window = slice(start, stop, stride)
            return lambda node, _document: node[window] if is_array(node) else ()
        case Every():
            return lambda node, _document: _inside(node)
        case Descend():
            return lambda node, _document: _descendants(node)
        case Where(condition):
            return _where(predicate(condition, _subpath))
        case Call() as step:
            apply = call(step, _subpath)
            return lambda node, document: (apply(node, document),)


def _child(name: str) -> _Select:
    def select(node: Json, _document: Json) -> Iterable[Json]:
        return (node[name],) if is_object(node) and name in node else ()

    return select


def _children(names: tuple[str, ...]) -> _Select:
    def select(node: Json, _document: Json) -> Iterable[Json]:
        return [node[name] for name in names if name in node] if is_object(node) else ()

    return select


def _members(names: tuple[str, ...], needs_all: bool) -> _Select:
    """Jayway: one object with the members named that are there; below `..` only where they all are."""

    def select(node: Json, _document: Json) -> Iterable[Json]:
        if not is_object(node) or (needs_all and not all(name in node for name in names)):
            return ()
        return ({name: node[name] for name in names if name in node},)

    return select


def _elements(indices: tuple[int, ...]) -> _Select:
    def select(node: Json, _document: Json) -> Iterable[Json]:
        return [node[at] for at in indices if -len(node) <= at < len(node)] if is_array(node) else ()

    return select


def _where(holds: Callable[[Json, Json], bool]) -> _Select:
    def select(node: Json, document: Json) -> Iterable[Json]:
        if is_array(node):
            return [each for each in node if holds(each, document)]
        # Jayway asks an object itself, not its members.
        return (node,) if is_object(node) and holds(node, document) else ()

    return select


def _inside(node: Json) -> Iterable[Json]:
    if is_object(node):
        return node.values()
    return node if is_array(node) else ()


def _descendants(node: Json) -> Iterable[Json]:
    """The node and all below it, each before what is inside it."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed([*_inside(current)]))
