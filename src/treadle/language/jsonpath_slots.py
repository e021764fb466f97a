"""The slots of a plan, from the fields of a JSONPath state.

Owns how JSONPath fields become expressions, and AWS's words when one fails. Its twin is jsonata_slots.py; compile.py
chooses between them and knows nothing else of query languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from treadle.errors import StatesError
from treadle.language.choices import condition
from treadle.language.intrinsics import IntrinsicError, compile_intrinsic, is_intrinsic
from treadle.language.plan import Assign, Catcher, Dataflow, Place, Rule
from treadle.language.queries.jsonpath import PathError, Query, compile_path, compile_query, place
from treadle.language.scope import Expr, Json, Scope
from treadle.language.slots import Check, Fields
from treadle.language.timestamps import parse_timestamp
from treadle.language.values import is_array, is_object, json_text
from treadle.language.waits import until_moment

_NUMBER: Final = {
    int: re.compile(r"[+-]?\d+", re.ASCII),
    float: re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII),
}


def _runtime(cause: str) -> StatesError:
    return StatesError("States.Runtime", cause)


# ---- single paths ------------------------------------------------------------------------------------------------


def _filter(fields: Fields, name: str) -> Expr | None:
    """InputPath and OutputPath."""
    if name not in fields or fields[name] == "$":
        return None
    if fields[name] is None:
        return lambda scope: {}
    return _whole(compile_query(fields[name]))


def _whole(query: Query) -> Expr:
    read = query.read

    def evaluate(scope: Scope) -> Json:
        try:
            return read(scope)
        except PathError as error:
            raise _runtime(f"Invalid path '{query.text}' : {error}") from None

    return evaluate


def result_path(fields: Fields) -> Place | None:
    """ResultPath, of a state or a catcher; None when the result replaces the input."""
    text = fields.get("ResultPath", "$")
    if text is None:
        return lambda document, value: document
    if text == "$":
        return None
    put = place(compile_path(text))

    def evaluate(document: Json, value: Json) -> Json:
        try:
            return put(document, value)
        except PathError as error:
            raise StatesError("States.ResultPathMatchFailure", str(error)) from None

    return evaluate


def _referenced(fields: Fields, name: str) -> tuple[str, Callable[[Scope], Json]] | None:
    """The text of a `...Path` field and what it refers to; None where the field is absent."""
    if name not in fields:
        return None
    query = compile_query(fields[name])

    def evaluate(scope: Scope) -> Json:
        try:
            return query.read(scope)
        except PathError:
            raise _runtime(f"The {name} parameter does not reference an input value: {query.text}") from None

    return query.text, evaluate


# ---- payload templates -------------------------------------------------------------------------------------------


def template(value: Json) -> Expr:
    """A payload template: members whose key ends with `.$` are evaluated, all else stands for itself."""
    compiled = _template(value)
    if compiled is None:
        return lambda scope: value
    return compiled


def _template(value: Json) -> Expr | None:
    """None where nothing in the value is to be evaluated."""
    if is_array(value):
        elements = [(each, _template(each)) for each in value]
        if all(compiled is None for _, compiled in elements):
            return None
        return lambda scope: [each if compiled is None else compiled(scope) for each, compiled in elements]
    if not is_object(value):
        return None
    constant: dict[str, Json] = {}
    evaluated: list[tuple[str, Expr]] = []
    for key, each in value.items():
        if key.endswith(".$"):
            name, compiled = key[:-2], _dynamic(each, key)
        else:
            name, compiled = key, _template(each)
        # A place for every member keeps them in the order of the definition.
        constant[name] = each
        if compiled is not None:
            evaluated.append((name, compiled))
    if not evaluated:
        return None
    members = tuple(evaluated)

    def evaluate(scope: Scope) -> Json:
        answer = constant.copy()
        for name, compiled in members:
            answer[name] = compiled(scope)
        return answer

    return evaluate


def _dynamic(text: str, field: str) -> Expr:
    """A path or intrinsic function, as the value of `field`."""
    if is_intrinsic(text):
        return _intrinsic(text)
    query = compile_query(text)
    read = query.read

    def evaluate(scope: Scope) -> Json:
        try:
            return read(scope)
        except PathError:
            raise _runtime(
                f"The JSONPath '{text}' specified for the field '{field}' could not be found in the input "
                f"'{json_text(_document(query, scope))}'"
            ) from None

    return evaluate


def _document(query: Query, scope: Scope) -> Json:
    match query.root:
        case "input":
            return scope.root
        case "context":
            return scope.context
        case "variable":
            return scope.variables.get(query.variable or "")


def _intrinsic(text: str) -> Expr:
    read = compile_intrinsic(text).read

    def evaluate(scope: Scope) -> Json:
        try:
            return read(scope)
        except IntrinsicError as error:
            raise StatesError(
                "States.IntrinsicFailure", f"The function '{text}' had the following error: {error}"
            ) from None
        except PathError as error:
            raise _runtime(
                f"The function '{text}' had the following error: The JsonPath argument for the field "
                f"'{error.path}' could not be found in the input '{json_text(scope.root)}'"
            ) from None

    return evaluate


# ---- what compile.py asks for ------------------------------------------------------------------------------------


def dataflow(fields: Fields) -> Dataflow:
    """The data flow of a state."""
    # A Map's Parameters is the older name of ItemSelector.
    with_parameters = "Parameters" in fields and fields["Type"] != "Map"
    return Dataflow(
        take=_filter(fields, "InputPath"),
        arguments=template(fields["Parameters"]) if with_parameters else None,
        keep=template(fields["ResultSelector"]) if "ResultSelector" in fields else None,
        place=result_path(fields),
        output=_filter(fields, "OutputPath"),
        assign=assign(fields),
    )


def assign(fields: Fields) -> Assign | None:
    """Assign, of a state, a rule or a catcher."""
    return template(fields["Assign"]) if fields.get("Assign") else None


def catcher(fields: Fields, within: str) -> Catcher:
    """One element of Catch."""
    return Catcher(frozenset(fields["ErrorEquals"]), fields["Next"], result_path(fields), None, assign(fields))


def rule(fields: Fields, state: Fields, within: str) -> Rule:
    """One element of Choices. The state's OutputPath applies whatever rule holds."""
    return Rule(condition(fields), fields["Next"], _filter(state, "OutputPath"), assign(fields))


def text(fields: Fields, name: str) -> Expr | None:
    """Error and Cause of a Fail: literal, or by path or intrinsic function."""
    if name in fields:
        literal = fields[name]
        return lambda scope: literal
    path = f"{name}Path"
    if path not in fields:
        return None
    source = fields[path]
    read = _intrinsic(source) if is_intrinsic(source) else _whole(compile_query(source))

    def evaluate(scope: Scope) -> Json:
        value = read(scope)
        # ASL 'Fail State': what it resolves to must be a string. How AWS words it was not observed.
        if not isinstance(value, str):
            raise _runtime(f"The {path} parameter does not reference a string: {source} == {json_text(value)}")
        return value

    return evaluate


def seconds(fields: Fields, name: str) -> Expr | None:
    """TimeoutSeconds and HeartbeatSeconds."""
    if name in fields:
        literal = fields[name]
        return lambda scope: literal
    referenced = _referenced(fields, f"{name}Path")
    if referenced is None:
        return None
    path, read = referenced

    def evaluate(scope: Scope) -> Json:
        value = read(scope)
        span = _parsed(value, int)
        if span is None:
            raise _runtime(f"The {name}Path parameter cannot be parsed as a long value: {path} == {_shown(value)}")
        if span <= 0:
            raise _runtime(f"The {name}Path parameter references a non-positive value: {path} == {span}")
        return span

    return evaluate


def _shown(value: Json) -> str:
    return value if isinstance(value, str) else json_text(value)


def _parsed(value: Json, kind: type) -> Any:
    """Observed on AWS: a path may lead to a number or to a string that holds one; None when it leads to neither."""
    text = _shown(value)
    return kind(text) if _NUMBER[kind].fullmatch(text) else None


def until(fields: Fields) -> Expr:
    """The moment at which a Wait ends. Observed on AWS: the texts."""
    if "Seconds" in fields:
        span = fields["Seconds"]
        return lambda scope: scope.now + span
    if "Timestamp" in fields:
        literal = parse_timestamp(fields["Timestamp"])
        assert literal is not None, "lint refuses other timestamps"
        return lambda scope: until_moment(scope, literal[0])
    if referenced := _referenced(fields, "SecondsPath"):
        path, read = referenced

        def by_seconds(scope: Scope) -> Json:
            value = read(scope)
            span = _parsed(value, int)
            if span is None:
                raise _runtime(f"The SecondsPath parameter cannot be parsed as a long value: {path} == {_shown(value)}")
            if span < 0:
                raise _runtime(f"The SecondsPath parameter references a negative value: {path} == {span}")
            return until_moment(scope, scope.now + span)

        return by_seconds
    referenced = _referenced(fields, "TimestampPath")
    assert referenced is not None, "lint wants one of the four"
    path, read = referenced

    def by_timestamp(scope: Scope) -> Json:
        value = read(scope)
        moment = parse_timestamp(value)
        if moment is None:
            raise _runtime(
                "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format "
                f"string: {path} == {_shown(value)}"
            )
        return until_moment(scope, moment[0])

    return by_timestamp


def items(fields: Fields, distributed: bool) -> Expr:
    """The items of a Map."""
    query = compile_query(fields.get("ItemsPath", "$"))
    read = _whole(query)

    def evaluate(scope: Scope) -> Json:
        value: Json = read(scope)
        # Observed on AWS: an inline Map refuses an object, which a distributed one maps over.
        if not (is_array(value) or (distributed and is_object(value))):
            raise _runtime(f'Reference path "{query.text}" must point to array.')
        return value

    return evaluate


def selector(fields: Fields) -> Expr | None:
    """ItemSelector, or Parameters, its older name."""
    name = "ItemSelector" if "ItemSelector" in fields else "Parameters"
    return template(fields[name]) if name in fields else None


def number(fields: Fields, name: str, kind: type = int, check: Check | None = None, within: str = "") -> Expr | None:
    """A number of a Map, literal or by path. `check` gives the complaint about a value out of range."""
    if name in fields:
        literal = fields[name]
        return lambda scope: literal
    if f"{name}Path" not in fields:
        return None
    query = compile_query(fields[f"{name}Path"])
    noun = "integer" if kind is int else "float"
    read = _whole(query)

    def evaluate(scope: Scope) -> Json:
        value = read(scope)
        number = _parsed(value, kind)
        if number is None:
            raise _runtime(
                f'The {name}Path field refers to value "{_shown(value)}" which is not a valid {noun}: {query.text}'
            )
        if check is not None and (complaint := check(number)):
            raise _runtime(complaint.format(name=name, value=number, path=query.text, noun=noun))
        return number

    return evaluate


def template_field(fields: Fields, name: str, within: str) -> Expr | None:
    """A payload template that stands in a field: Parameters of a reader, BatchInput, Credentials."""
    return template(fields[name]) if name in fields else None


ARGUMENTS = "Parameters"
"""What the arguments of ItemReader and ResultWriter are called."""
