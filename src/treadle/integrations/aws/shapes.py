"""Compiles the shapes of botocore's models into converters: JSON to a request's parameters, an answer to JSON.

A converter is made once per shape, service and dialect. Never calls anything; knows no service by name.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from treadle.integrations.aws.names import Dialect
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object
from treadle.machine.journal import json_text

if TYPE_CHECKING:
    from botocore.model import ListShape, MapShape, Shape, StructureShape

Encode: TypeAlias = Callable[[str, Json], Any]
"""The name of the field and its value to what botocore takes. Raises Misfit."""

Decode: TypeAlias = Callable[[Any], Json]


class Misfit(Exception):
    """A parameter that the action does not take, in AWS's words."""


def _must_be(field: str, kind: str) -> Misfit:
    return Misfit(f"The value for the field '{field}' must be a {kind}")


# ---- requests ----------------------------------------------------------------------------------------------------


def _string(field: str, value: Json) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        # Observed on AWS: JSON given for a text is written as text (Input of StartExecution, Detail of an event).
        return json_text(value)
    raise _must_be(field, "STRING")


def _blob(field: str, value: Json) -> Any:
    return _string(field, value).encode("utf-8", "surrogatepass")


def _json_value(field: str, value: Json) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _integer(field: str, value: Json) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise _must_be(field, "INTEGER")


def _number(field: str, value: Json) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise _must_be(field, "FLOAT")


def _boolean(field: str, value: Json) -> Any:
    if isinstance(value, bool):
        return value
    raise _must_be(field, "BOOLEAN")


def _moment(field: str, value: Json) -> Any:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass  # said below
    raise _must_be(field, "TIMESTAMP")


def _as_it_is(field: str, value: Json) -> Any:
    return value


_ENCODERS: Final[dict[str, Encode]] = {
    "string": _string,
    "character": _string,
    "blob": _blob,
    "integer": _integer,
    "long": _integer,
    "float": _number,
    "double": _number,
    "boolean": _boolean,
    "timestamp": _moment,
}


class Requests:
    """Encoders of one service in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._made: dict[str, Encode] = {}

    def encoder(self, shape: Shape) -> Encode:
        """What turns JSON into this shape."""
        if shape.serialization.get("jsonvalue"):
            return _json_value
        if shape.type_name not in ("structure", "list", "map"):
            return _ENCODERS[shape.type_name]
        if shape.name not in self._made:
            # A shape may contain itself (an item of DynamoDB does), so the name stands before what it means.
            self._made[shape.name] = lambda field, value: self._made[shape.name](field, value)
            self._made[shape.name] = self._make(shape)
        return self._made[shape.name]

    def _make(self, shape: Any) -> Encode:
        if shape.type_name == "list":
            return self._list(shape)
        if shape.type_name == "map":
            return self._map(shape)
        return _as_it_is if shape.is_document_type else self._structure(shape)

    def _list(self, shape: ListShape) -> Encode:
        encode = self.encoder(shape.member)

        def encoded(field: str, value: Json) -> Any:
            if not is_array(value):
                raise _must_be(field, "LIST")
            return [encode(field, item) for item in value]

        return encoded

    def _map(self, shape: MapShape) -> Encode:
        encode = self.encoder(shape.value)

        def encoded(field: str, value: Json) -> Any:
            if not is_object(value):
                raise _must_be(field, "MAP")
            return {key: encode(key, each) for key, each in value.items()}

        return encoded

    def _structure(self, shape: StructureShape) -> Encode:
        members: dict[str, tuple[str, Encode]] = {}
        for name, member in shape.members.items():
            members[self._dialect.member(name)] = name, self.encoder(member)
            if name.isupper():
                # DynamoDB's BOOL is told as Bool; whether AWS takes it only so is not known, so both are taken.
                members[name] = members[self._dialect.member(name)]

        def encoded(field: str, value: Json) -> Any:
            if not is_object(value):
                raise _must_be(field, "STRUCTURE")
            parameters: dict[str, Any] = {}
            for key, each in value.items():
                if key not in members:
                    raise Misfit(f'The field "{key}" is not supported by Step Functions')
                name, encode = members[key]
                if each is not None:
                    # Observed on AWS: null is as good as leaving the field out.
                    parameters[name] = encode(key, each)
            return parameters

        return encoded


# ---- answers -----------------------------------------------------------------------------------------------------


def _given(value: Any) -> Json:
    return value


def _text(value: Any) -> Json:
    """Bytes as text; as base64 where they are none."""
    data = bytes(value)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(data).decode("ascii")


def _float(value: Any) -> Json:
    number = float(value)
    return number if math.isfinite(number) else str(value)


class Answers:
    """Decoders of one service in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._made: dict[str, Decode] = {}

    def decoder(self, shape: Shape) -> Decode:
        """What turns this shape into JSON."""
        match shape.type_name:
            case "structure" | "list" | "map":
                if shape.name not in self._made:
                    self._made[shape.name] = lambda value: self._made[shape.name](value)
                    self._made[shape.name] = self._make(shape)
                return self._made[shape.name]
            case "timestamp":
                return self._dialect.moment
            case "blob":
                return _text
            case "float" | "double":
                return _float
            case _:
                return _given

    def _make(self, shape: Any) -> Decode:
        if shape.type_name == "list":
            item = self.decoder(shape.member)
            return lambda value: [item(each) for each in value]
        if shape.type_name == "map":
            entry = self.decoder(shape.value)
            return lambda value: {str(key): entry(each) for key, each in value.items()}
        if shape.is_document_type:
            return _given
        members = {name: (self._dialect.member(name), self.decoder(member)) for name, member in shape.members.items()}

        def decoded(value: Any) -> Json:
            told: dict[str, Json] = {}
            for name, each in value.items():
                # botocore adds members of its own: ResponseMetadata, and SDK_UNKNOWN_MEMBER of a union.
                if name in members and each is not None:
                    key, decode = members[name]
                    told[key] = decode(each)
            return told

        return decoded
