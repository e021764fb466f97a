"""YAML text to JSON values, with the place of every field.

YAML is accepted as another way to write JSON, so that nothing surprises: scalars follow the core schema of YAML 1.2
(`yes`, `2024-01-01` and `12:30` are strings), every key is text, and what JSON cannot express is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Final, cast

import yaml
from yaml import events

from treadle.language.json_text import DEPTH_LIMIT, NUMBER_LENGTH_LIMIT
from treadle.language.places import Places
from treadle.language.scope import Json

VALUE_LIMIT: Final = 200_000
"""How many values a text may mean once its aliases are followed; a few lines could otherwise mean billions."""

# The parser written in C reads the same language a hundred times faster.
_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

_TAG: Final = "tag:yaml.org,2002:"


class YamlSyntaxError(Exception):
    """Text that is no YAML, or YAML that says what JSON cannot."""

    def __init__(self, message: str, offset: int, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.remedy = remedy


def decode(text: str, places: Places) -> Json:
    """The value of a YAML document, as `json_text.decode` gives that of a JSON text; raises YamlSyntaxError."""
    try:
        return _Decoder(text, places).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlSyntaxError(message, mark.index if mark else 0) from None
    except yaml.reader.ReaderError as error:
        raise YamlSyntaxError(f"{error.reason}: character {error.character!r}", error.position) from None


class _Decoder:
    def __init__(self, text: str, places: Places) -> None:
        self.places = places
        self.events = cast("Iterator[yaml.Event]", yaml.parse(text, Loader=_LOADER))  # pyright: ignore[reportUnknownMemberType]
        self.anchors: dict[str, tuple[Json, int]] = {}
        self.count = 0
        self.depth = 0

    def document(self) -> Json:
        event = next(self.events)
        while isinstance(event, events.StreamStartEvent | events.DocumentStartEvent):
            event = next(self.events)
        if isinstance(event, events.StreamEndEvent):
            return None
        value = self.value(event)
        next(self.events)
        following = next(self.events)
        if not isinstance(following, events.StreamEndEvent):
            raise YamlSyntaxError("a definition is one YAML document", following.start_mark.index, "Remove the others.")
        return value

    def value(self, event: yaml.Event) -> Json:
        start = event.start_mark.index
        if isinstance(event, events.AliasEvent):
            return self.alias(event)
        before, self.count = self.count, self.count + 1
        match event:
            case events.ScalarEvent():
                value = _scalar(event)
            case events.MappingStartEvent() | events.SequenceStartEvent():
                value = self.nested(event, start)
            case _:
                raise AssertionError(f"no value begins with {event}")
        if event.anchor:
            self.anchors[event.anchor] = value, self.count - before
        return value

    def alias(self, event: events.AliasEvent) -> Json:
        start = event.start_mark.index
        if event.anchor not in self.anchors:
            raise YamlSyntaxError(f"there is no anchor '{event.anchor}' before this alias", start)
        value, count = self.anchors[event.anchor]
        self.count += count
        if self.count > VALUE_LIMIT:
            raise YamlSyntaxError(f"with its aliases followed, the text means more than {VALUE_LIMIT} values", start)
        return value

    def nested(self, event: events.CollectionStartEvent, start: int) -> Json:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise YamlSyntaxError(f"the text nests deeper than {DEPTH_LIMIT} levels", start)
        _refuse_tag(event.tag, ("map", "seq"), start)
        value = self.mapping() if isinstance(event, events.MappingStartEvent) else self.sequence()
        self.depth -= 1
        return value

    def mapping(self) -> dict[str, Json]:
        value: dict[str, Json] = {}
        self.places.open(value)
        while not isinstance(key := next(self.events), events.MappingEndEvent):
            offset = key.start_mark.index
            if isinstance(key, events.AliasEvent):
                name = self.alias(key)
            else:
                name = key.value if isinstance(key, events.ScalarEvent) else None
            if not isinstance(name, str):
                raise YamlSyntaxError("a key must be text", offset)
            self.places.note(value, name, offset)
            value[name] = self.value(next(self.events))
        return value

    def sequence(self) -> list[Json]:
        value: list[Json] = []
        self.places.open(value)
        while not isinstance(item := next(self.events), events.SequenceEndEvent):
            self.places.note(value, len(value), item.start_mark.index)
            value.append(self.value(item))
        return value


def _refuse_tag(tag: str | None, known: tuple[str, ...], start: int) -> None:
    if tag is None or tag == "!" or tag.removeprefix(_TAG) in known:
        return
    remedy = "Write the value itself: tags are of YAML alone, and AWS Step Functions reads JSON."
    if not tag.startswith(_TAG):
        remedy = (
            "Resolve CloudFormation functions first: write `${Name}` in a string and give the value in "
            "DefinitionSubstitutions, or let `treadle up` read the template."
        )
    raise YamlSyntaxError(f"the tag '{tag.replace(_TAG, '!!')}' has no meaning in a definition", start, remedy)


def _integer(text: str) -> int:
    if len(text) > NUMBER_LENGTH_LIMIT:
        raise ValueError(f"the number has more than {NUMBER_LENGTH_LIMIT} digits")
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("the number is out of range of double")
    return number


def _no_number(text: str) -> Json:
    raise ValueError(f"JSON has no number '{text}'")


# YAML 1.2 '10.3.2 Tag Resolution' of the core schema.
_CORE: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], Json]], ...]] = (
    ("null", re.compile(r"null|Null|NULL|~|"), lambda _text: None),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text[0] in "tT"),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), _integer),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), _float),
    ("float", re.compile(r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"), _no_number),
)


def _scalar(event: events.ScalarEvent) -> Json:
    start, text = event.start_mark.index, event.value
    plain = event.tag is None and event.implicit[0]
    _refuse_tag(event.tag, ("str", *(name for name, _, _ in _CORE)), start)
    for name, pattern, read in _CORE:
        if (plain or event.tag == _TAG + name) and pattern.fullmatch(text):
            try:
                return read(text)
            except ValueError as error:
                raise YamlSyntaxError(str(error), start, "Write it as a string.") from None
    if event.tag not in (None, "!", _TAG + "str"):
        raise YamlSyntaxError(f"'{text}' is no value of the tag '{event.tag.replace(_TAG, '!!')}'", start)
    return text
