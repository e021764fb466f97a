"""JSONata as AWS Step Functions runs it (interim engine; the contract below is final)."""

# pyright: basic
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final

import jsonata
from jsonata.jexception import JException

from treadle.language.scope import Json, Scope


class JsonataSyntaxError(Exception):
    def __init__(self, code: str, message: str, position: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.position = position


class JsonataError(Exception):
    pass


class Nothing(Enum):
    UNDEFINED = "undefined"
    UNSUPPORTED = "unsupported"


UNDEFINED: Final = Nothing.UNDEFINED
UNSUPPORTED: Final = Nothing.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Expression:
    text: str
    variables: frozenset[str]
    states_fields: frozenset[str]
    read: Callable[[Scope], Json]


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Expression:
    text = text.strip()
    try:
        jsonata.Jsonata(text)
    except JException as error:
        raise JsonataSyntaxError(error.error, str(error), error.location) from None
    code = re.sub(r'"[^"]*"|\'[^\']*\'', "''", text)
    names = set(re.findall(r"\$([A-Za-z_]\w*)(?!\w*\s*\()", code)) - set(re.findall(r"\$([A-Za-z_]\w*)\s*:=", code))
    for parameters in re.findall(r"function\s*\(([^)]*)\)", code):
        names -= set(re.findall(r"\$(\w+)", parameters))
    fields = set(re.findall(r"\$states\.(\w+)", code))
    if re.search(r"\$states(?!\w|\.\w)", code):
        fields.add("*")

    def read(scope: Scope) -> Json:
        bindings: dict[str, Any] = {name: scope.variables[name] for name in names if name in scope.variables}
        bindings["states"] = {
            "input": scope.input,
            "result": scope.result,
            "errorOutput": scope.error,
            "context": scope.context,
        }
        engine = jsonata.Jsonata(f'{{"r":({text})}}')
        frame = engine.create_frame()
        for name, value in bindings.items():
            frame.bind(name, value)
        try:
            answer = engine.evaluate(None, frame)
        except JException as error:
            raise JsonataError(f"{error.error}: {error}") from None
        if not isinstance(answer, dict) or "r" not in answer:
            return UNDEFINED
        value = answer["r"]
        return value if value is None or isinstance(value, str | int | float | list | dict | bool) else UNSUPPORTED

    return Expression(text, frozenset(names), frozenset(fields), read)
