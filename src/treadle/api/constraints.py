"""Checks of requests, compiled from the shapes of a service model.

Owns AWS's words for what is wrong: a value of the wrong kind is a SerializationException, a value that breaks a
constraint of the model a ValidationException that lists every fault at once. Members that the model does not know are
ignored, and so are those that are null, as AWS does. It must never change a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from treadle.errors import ApiError
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object

Check: TypeAlias = Callable[[Json, str, list[str]], None]
"""(value, its path, the faults found so far). Raises ApiError SerializationException."""

Shapes: TypeAlias = Mapping[str, Any]

_ENUM_ORDER: Final = {
    # Observed on AWS: the order of a Java set, which is not the model's.
    "ExecutionStatus": ("SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING"),
}
_INTEGERS: Final = {"integer": 32, "long": 64}
_CLASSES: Final = ((r"\p{ASCII}", r"[\x00-\x7f]"), (r"\p{L}", r"\w"), (r"\p{Z}", r"\s"), (r"\p{N}", r"\d"))
"""Java's names of classes of characters, which `re` does not know."""
_MOST_SHOWN: Final = 10
"""Faults that one answer lists."""


def validate(check: Check, given: Json) -> Mapping[str, Any]:
    """The members of a request, if it may be answered. Raises ApiError SerializationException, ValidationException."""
    faults: list[str] = []
    check(given, "", faults)
    if faults:
        noun = "error" if len(faults) == 1 else "errors"
        told = "; ".join(faults[:_MOST_SHOWN])
        raise ApiError("ValidationException", f"{len(faults)} validation {noun} detected: {told}")
    assert is_object(given)
    return {key: value for key, value in given.items() if value is not None}


def check_of(name: str, shapes: Shapes) -> Check:
    """The check of a shape."""
    shape = shapes[name]
    match shape["type"]:
        case "structure":
            return _structure(shape, shapes)
        case "list":
            return _list(shape, shapes)
        case "string":
            return _string(name, shape)
        case "integer" | "long":
            return _integer(shape)
        case "float" | "double":
            return _number(shape)
        case "boolean":
            return _boolean
        case "map":
            return _map(shape, shapes)
        case "blob":
            return _any
        case other:
            raise AssertionError(f"no request of this service has a {other}")


def _structure(shape: Shapes, shapes: Shapes) -> Check:
    members = {name: check_of(member["shape"], shapes) for name, member in shape["members"].items()}
    required = frozenset(shape.get("required", ()))

    def check(value: Json, path: str, faults: list[str]) -> None:
        if not is_object(value):
            raise _unreadable(value, "a structure")
        for name, inner in members.items():
            member = value.get(name)
            at = f"{path}.{name}" if path else name
            if member is not None:
                inner(member, at, faults)
            elif name in required:
                faults.append(f"Value null at '{at}' failed to satisfy constraint: Member must not be null")

    return check


def _list(shape: Shapes, shapes: Shapes) -> Check:
    item = check_of(shape["member"]["shape"], shapes)
    kind: str = shape["member"]["shape"]
    least, most = shape.get("min"), shape.get("max")

    def check(value: Json, path: str, faults: list[str]) -> None:
        if not is_array(value):
            raise _unreadable(value, "a List")
        if fault := _length(len(value), least, most):
            faults.append(_fault(_java(value, kind), path, fault))
        for number, each in enumerate(value, 1):
            at = f"{path}.{number}.member"
            if each is None:
                faults.append(f"Value null at '{at}' failed to satisfy constraint: Member must not be null")
            else:
                item(each, at, faults)

    return check


def _map(shape: Shapes, shapes: Shapes) -> Check:
    key_of, value_of = check_of(shape["key"]["shape"], shapes), check_of(shape["value"]["shape"], shapes)

    def check(value: Json, path: str, faults: list[str]) -> None:
        if not is_object(value):
            raise _unreadable(value, "a Map")
        for key, each in value.items():
            key_of(key, path, faults)
            value_of(each, f"{path}.{key}", faults)

    return check


def _any(value: Json, path: str, faults: list[str]) -> None:
    """A blob: what travels is text, or the body itself."""


def _string(name: str, shape: Shapes) -> Check:
    least, most = shape.get("min"), shape.get("max")
    bounded = least is not None or most is not None
    enum: list[str] | None = shape.get("enum")
    pattern: str | None = shape.get("pattern")
    matches = re.compile(_of_python(pattern)).fullmatch if pattern else None
    order = _ENUM_ORDER.get(name, enum or ())
    # What may be a secret is not repeated.
    shown: Callable[[str], str | None] = (lambda value: None) if shape.get("sensitive") else str

    def check(value: Json, path: str, faults: list[str]) -> None:
        if not isinstance(value, str):
            raise _unreadable(value, "a String")
        if bounded and (fault := _length(_units(value), least, most)):
            faults.append(_fault(shown(value), path, fault))
            return
        if enum is not None and value not in enum:
            faults.append(_fault(shown(value), path, f"Member must satisfy enum value set: [{', '.join(order)}]"))
        if matches is not None and not matches(value):
            faults.append(_fault(shown(value), path, f"Member must satisfy regular expression pattern: {pattern}"))

    return check


def _of_python(pattern: str) -> str:
    for java, python in _CLASSES:
        pattern = pattern.replace(java, python)
    return pattern


def _integer(shape: Shapes) -> Check:
    bits = _INTEGERS[shape["type"]]
    bounds = _bounds(shape)

    def check(value: Json, path: str, faults: list[str]) -> None:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise _unreadable(value, "an Integer" if bits == 32 else "a Long")
        if fault := bounds(value):
            faults.append(_fault(str(value), path, fault))

    return check


def _number(shape: Shapes) -> Check:
    bounds = _bounds(shape)

    def check(value: Json, path: str, faults: list[str]) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _unreadable(value, "a Float")
        if fault := bounds(value):
            faults.append(_fault(str(float(value)), path, fault))

    return check


def _boolean(value: Json, path: str, faults: list[str]) -> None:
    if not isinstance(value, bool):
        raise _unreadable(value, "a Boolean")


def _bounds(shape: Shapes) -> Callable[[float], str | None]:
    least, most = shape.get("min"), shape.get("max")

    def fault(value: float) -> str | None:
        if most is not None and value > most:
            return f"Member must have value less than or equal to {most}"
        if least is not None and value < least:
            return f"Member must have value greater than or equal to {least}"
        return None

    return fault


def _length(length: int, least: int | None, most: int | None) -> str | None:
    if most is not None and length > most:
        return f"Member must have length less than or equal to {most}"
    if least is not None and length < least:
        return f"Member must have length greater than or equal to {least}"
    return None


def _units(text: str) -> int:
    """Java's length of a text: in units of UTF-16."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _fault(value: str | None, path: str, constraint: str) -> str:
    shown = "Value" if value is None else f"Value '{value}'"
    return f"{shown} at '{path}' failed to satisfy constraint: {constraint}"


def _java(value: Json, kind: str) -> str:
    """A value as Java's toString shows it. Observed on AWS for lists of structures."""
    if is_array(value):
        return f"[{', '.join(_java(each, kind) for each in value)}]"
    if is_object(value):
        return f"{kind}({', '.join(f'{key}={_java(each, kind)}' for key, each in value.items())})"
    return str(value)


_KINDS: Final = ((bool, "BOOLEAN_VALUE"), (int | float, "NUMBER_VALUE"), (str, "STRING_VALUE"))


def _unreadable(value: Json, wanted: str) -> ApiError:
    if is_object(value) or is_array(value):
        told = "Start of structure or map found where not expected."
        return ApiError("SerializationException", told if wanted != "a List" else "Unexpected field type")
    kind = next((name for of, name in _KINDS if isinstance(value, of)), "NULL_VALUE")
    return ApiError("SerializationException", f"{kind} can not be converted to {wanted}")
