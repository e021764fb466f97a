"""What the fields of a state read: paths into its input, its result, variables. Found in the text, not by evaluation.

Owns the patterns. What they miss is found no data for; what they find too much is data that nobody needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from treadle.language.lints.outline import State
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object

Root: TypeAlias = Literal["input", "result", "placed", "execution", "item", "variable"]
"""What a path starts from; `placed` is what OutputPath chooses from."""
Keys: TypeAlias = tuple[str | int, ...]

GIVES: Final = ("Task", "Map", "Parallel")
"""The types of states that have a result of their own."""
AS_JSON: Final = "\0json"
"""A step into the document that a text holds as JSON."""


@dataclass(frozen=True, slots=True)
class Read:
    """One path. `variable` is the variable that it starts from; `guess` is a value that may fit.

    `is_text` says that the value is text with JSON in it, which the state reads on in.
    """

    root: Root
    path: Keys
    guess: Json
    variable: str = ""
    is_text: bool = False


_STEP: Final = r"(?:\.[\w-]+|\.`[^`]+`|\[(?:'[^']*'|\"[^\"]*\"|-?\d+|\*)\])"
_PATH: Final = re.compile(rf"(\$\$?)(\w*)({_STEP}*)")
_STEPS: Final = re.compile(r"\.([\w-]+)|\.`([^`]+)`|\[(?:'([^']*)'|\"([^\"]*)\"|(-?\d+)|(\*))\]")
_ELSEWHERE: Final = ("Branches", "ItemProcessor", "Iterator", "Comment", "ResultPath", "Next", "Catch", "Retry")
_SINKS: Final = ("Parameters", "Arguments")
_CONTEXT: Final[dict[Keys, Root]] = {("Execution", "Input"): "execution", ("Map", "Item", "Value"): "item"}
_LISTS: Final = re.compile(
    r"States\.Array(?:Length|GetItem|Contains|Partition|Unique)\(\s*$|\$(?:count|map|filter|reduce|sum|each)\(\s*$"
)
_JSON_TEXT: Final = re.compile(r"(?:StringToJson|\$parse|\$eval)\(\s*$")
_SPLIT: Final = re.compile(r"(?:StringSplit|\$split)\(\s*$")
_SEPARATOR: Final = re.compile(r"\s*,\s*(?:'([^']+)'|\"([^\"]+)\")")
_PIECES: Final = 9
_NUMBERS: Final = re.compile(r"MathAdd\([^)]*$|MathRandom\([^)]*$|ArrayRange\([^)]*$|[-+*/<>]=?\s*$")


def reads_of(state: State) -> list[Read]:
    """What the fields of a state read, in the order of the text."""
    found: list[Read] = []
    for name, value in state.fields.items():
        if name not in _ELSEWHERE:
            for key, text in _texts(name, value):
                found += _in_text(state, name, key, text)
    if state.type == "Map" and not {"Items", "ItemsPath", "ItemReader"} & state.fields.keys():
        found.append(Read("input", steps_of(state.fields.get("InputPath")), [{}]))
    return found


def reads_in(state: State, text: str, field: str = "Choices", key: str = "") -> list[Read]:
    """What an expression or path in a field of a state reads."""
    return [*_in_text(state, field, key, text)]


def _texts(key: str, value: Json) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if key.endswith((".$", "Path", "Variable")) or value.lstrip().startswith("{%"):
            yield key, value
    elif is_object(value):
        for name, each in value.items():
            yield from _texts(name, each)
    elif is_array(value):
        for each in value:
            yield from _texts(key, each)


def _in_text(state: State, field: str, key: str, text: str) -> Iterator[Read]:
    for match in _PATH.finditer(text):
        dollars, name, steps = match.groups()
        path = _steps(steps)
        before_it, after_it = text[: match.start()], text[match.end() :]
        guess = _guess(key or field, before_it, after_it)
        is_text = _JSON_TEXT.search(before_it) is not None
        # What goes on to other states may have members there, so it is an object until something wants text.
        if guess == "text" and state.type != "Fail" and not (state.type == "Task" and field in _SINKS):
            guess = {}
        if state.language == "JSONata" and name == "states" and path:
            root, path = path[0], path[1:]
            if root in ("input", "result"):
                yield Read("input" if root == "input" else "result", path, guess, "", is_text)
            elif root == "context":
                yield from _of_context(path, guess, is_text)
        elif dollars == "$$":
            yield from _of_context(path, guess, is_text)
        elif name:
            if path or not after_it.startswith("("):
                yield Read("variable", path, guess, name, is_text)
        elif state.language == "JSONPath":
            if field == "OutputPath":
                yield Read("placed", path, guess, "", is_text)
            elif field in ("ResultSelector", "Assign") and state.type in GIVES:
                yield Read("result", path, guess, "", is_text)
            else:
                before = steps_of(state.fields.get("InputPath")) if field != "InputPath" else ()
                yield Read("input", before + path, guess, "", is_text)


def _of_context(path: Keys, guess: Json, is_text: bool) -> Iterator[Read]:
    for start, root in _CONTEXT.items():
        if path[: len(start)] == start:
            yield Read(root, path[len(start) :], guess, "", is_text)


def steps_of(path: Json) -> Keys:
    """The steps of a path from `$`; none of what is no such path."""
    return _steps(path[1:]) if isinstance(path, str) and path[1:2] in (".", "[") else ()


def _steps(text: str) -> Keys:
    steps: list[str | int] = []
    for match in _STEPS.finditer(text):
        name = match[1] or match[2] or match[3] or match[4]
        steps.append(name if name is not None else 0 if match[6] else max(0, int(match[5])))
    return tuple(steps)


def _guess(key: str, before: str, after: str) -> Json:
    if key in ("ItemsPath", "Items") or _LISTS.search(before):
        return [{}]
    if key in ("TimestampPath", "Timestamp"):
        return "2026-01-01T00:00:00Z"
    if "Seconds" in key or key.startswith(("MaxConcurrency", "Tolerated", "MaxItems")) or _NUMBERS.search(before):
        return 1
    if _JSON_TEXT.search(before):
        return "{}"
    if _SPLIT.search(before) and (separator := _SEPARATOR.match(after)):
        return (separator[1] or separator[2]).join(["text"] * _PIECES)
    return 1 if re.match(r"\s*[-+*/<>]", after) else "text"
