"""The values of a template's parameters: given, or their defaults, checked as CloudFormation checks them.

Owns types and constraints. Values of `AWS::SSM::Parameter::Value<...>` are asked of whoever resolves the template.
Source: CloudFormation 'Parameters'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, cast

from treadle.language.scope import Json
from treadle.local.errors import TemplateError
from treadle.local.template.document import Document

Lookup: TypeAlias = Callable[[str], str | None]
"""The value of a parameter of Systems Manager, by its name; None where there is none."""

_SSM: Final = re.compile(r"AWS::SSM::Parameter::Value<(.+)>")


def parameter_values(document: Document, given: Mapping[str, str], lookup: Lookup) -> dict[str, Json]:
    """Each parameter's value. Raises TemplateError with everything that is wrong with them at once."""
    declared = cast("dict[str, dict[str, Json]]", document.value.get("Parameters") or {})
    findings = [
        f"{document.path}: there is no parameter '{name}'"
        + (f": there are {', '.join(declared)}." if declared else ".")
        for name in given
        if name not in declared
    ]
    values: dict[str, Json] = {}
    for name, declaration in declared.items():
        place = document.place("Parameters", name)
        text = given.get(name, declaration.get("Default"))
        if text is None:
            findings.append(f"{place}: the parameter has no Default: give its value with --parameter {name}=VALUE.")
            continue
        try:
            values[name] = _value(declaration, _text(text), lookup)
        except ValueError as error:
            shown = "its value" if str(declaration.get("NoEcho")).lower() == "true" else f"'{_text(text)}'"
            findings.append(f"{place}: {shown} {error}: give another with --parameter {name}=VALUE.")
    if findings:
        raise TemplateError(*findings)
    return values


def _text(value: Json) -> str:
    if isinstance(value, list):
        return ",".join(_text(each) for each in cast("list[Json]", value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(declaration: Mapping[str, Json], text: str, lookup: Lookup) -> Json:
    kind = str(declaration.get("Type", "String"))
    if found := _SSM.fullmatch(kind):
        kept = lookup(text)
        if kept is None:
            raise ValueError("names a parameter of Systems Manager that does not exist")
        kind, text = found[1], kept
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        parts = [part.strip() for part in text.split(",")] if text else []
        for part in parts:
            _check(declaration, "Number" if kind == "List<Number>" else "String", part)
        return parts
    _check(declaration, kind, text)
    return text


def _check(declaration: Mapping[str, Json], kind: str, text: str) -> None:
    """Raises ValueError, whose message goes on after the value."""
    allowed = declaration.get("AllowedValues")
    if allowed is not None and text not in (choices := [_text(each) for each in allowed]):
        raise ValueError(f"is none of {', '.join(choices)}")
    pattern = declaration.get("AllowedPattern")
    if pattern is not None and not _matches(str(pattern), text):
        raise ValueError(str(declaration.get("ConstraintDescription") or f"does not match {pattern}"))
    if kind == "Number":
        _range(declaration, "MinValue", "MaxValue", _number(text), "")
    else:
        _range(declaration, "MinLength", "MaxLength", len(text), " characters")


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error as error:
        raise ValueError(f"cannot be checked, since AllowedPattern '{pattern}' is no expression ({error})") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("is no number") from None


def _range(declaration: Mapping[str, Json], least: str, most: str, value: float, unit: str) -> None:
    if least in declaration and value < float(declaration[least]):
        raise ValueError(f"is below the {least} of {declaration[least]}{unit}")
    if most in declaration and value > float(declaration[most]):
        raise ValueError(f"is above the {most} of {declaration[most]}{unit}")
