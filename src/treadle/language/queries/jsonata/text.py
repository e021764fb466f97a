"""The string functions of JSONata: parts of strings, matching, replacing, encoding.

It owns what they return and raise once their arguments have passed their signatures. It never sees a node of the tree.
Neighbours: `jsonata/functions.py` names them, `jsonata/regex.py` matches.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from treadle.language.queries.jsonata.errors import Fault
from treadle.language.queries.jsonata.regex import Regex
from treadle.language.queries.jsonata.values import (
    ARRAYS,
    OBJECT,
    UNDEFINED,
    Function,
    Run,
    Sequence,
    apply,
    is_number,
    to_json,
    to_text,
    truth,
)
from treadle.language.scope import Json

# What encodeURIComponent and encodeURI leave as it is (ECMA-262 'URI Handling Functions').
_COMPONENT_SAFE = "-_.!~*'()"
_RESERVED = ";/?:@&=+$,#"


class Matcher(Function):
    """A regular expression as a function: from a string to its first match, which leads to the next one."""

    __slots__ = ("regex",)

    def __init__(self, regex: Regex) -> None:
        super().__init__(None, 2)
        self.regex = regex

    def call(self, run: Run, args: list[Json], context: Json) -> Json:
        text = args[0] if args and type(args[0]) is str else to_text(args[0] if args else UNDEFINED, run)
        return self.match(run, text, 0)

    def match(self, run: Run, text: str, start: int) -> Json:
        """The match object at or after `start`, undefined when there is none."""
        found = self.regex.search(text, start, run)
        if found is None:
            return UNDEFINED
        run.mixed = True
        return {
            "match": text[found.start : found.end],
            "start": found.start,
            "end": found.end,
            "groups": [UNDEFINED if group is None else group for group in found.groups],
            "next": _Next(self, text, found.end),
        }


class _Next(Function):
    """The `next` of a match object."""

    __slots__ = ("at", "matcher", "text")

    def __init__(self, matcher: Matcher, text: str, at: int) -> None:
        super().__init__(None, 0)
        self.matcher = matcher
        self.text = text
        self.at = at

    def call(self, run: Run, args: list[Json], context: Json) -> Json:
        if self.at >= len(self.text):
            return UNDEFINED
        found = self.matcher.match(run, self.text, self.at)
        if found is not UNDEFINED and found["match"] == "":
            raise Fault("D1004", value=self.matcher.regex.source)
        return found


def _matches(run: Run, matcher: Json, text: str) -> Iterator[dict[str, Any]]:
    """The match objects of a regex or of a function of the expression that stands in for one."""
    found = apply(run, matcher, [text], UNDEFINED)
    while truth(found):
        run.spend(10)
        if type(found) is not OBJECT or not (
            is_number(found.get("start"))
            or is_number(found.get("end"))
            or type(found.get("groups")) in ARRAYS
            or isinstance(found.get("next"), Function)
        ):
            raise Fault("T1010")
        yield found
        found = apply(run, found.get("next", UNDEFINED), [], UNDEFINED)


def string(run: Run, value: Json, prettify: Json) -> Json:
    if value is UNDEFINED or type(value) is str:
        return value
    if isinstance(value, Function):
        return ""
    return to_json(value, run, prettify is True)


def length(run: Run, text: Json) -> Json:
    return text if text is UNDEFINED else len(text)


def substring(run: Run, text: Json, start: Json, count: Json) -> Json:
    if text is UNDEFINED:
        return UNDEFINED
    first = 0 if start is UNDEFINED or len(text) + start < 0 else start
    if count is UNDEFINED:
        return text[int(first) :]
    if count <= 0:
        return ""
    # Array.prototype.slice cuts both bounds to integers, but only after adding them.
    end = int(first + count if first >= 0 else len(text) + first + count)
    return text[int(first) : end]


def substring_before(run: Run, text: Json, mark: Json) -> Json:
    return text if text is UNDEFINED or mark is UNDEFINED else text.partition(mark)[0] if mark else ""


def substring_after(run: Run, text: Json, mark: Json) -> Json:
    if text is UNDEFINED or mark is UNDEFINED or mark not in text:
        return text
    return text[text.index(mark) + len(mark) :]


def lowercase(run: Run, text: Json) -> Json:
    return text if text is UNDEFINED else text.lower()


def uppercase(run: Run, text: Json) -> Json:
    return text if text is UNDEFINED else text.upper()


def trim(run: Run, text: Json) -> Json:
    return text if text is UNDEFINED else re.sub(r"[ \t\n\r]+", " ", text).strip(" ")


def pad(run: Run, text: Json, width: Json, fill: Json) -> Json:
    if text is UNDEFINED or width is UNDEFINED:
        return text
    size = int(abs(width)) - len(text)
    if size <= 0:
        return text
    run.text(size)
    unit = " " if fill is UNDEFINED or not fill else fill
    padding = (unit * (size // len(unit) + 1))[:size]
    return text + padding if width > 0 else padding + text


def contains(run: Run, text: Json, token: Json) -> Json:
    if text is UNDEFINED:
        return UNDEFINED
    if token is UNDEFINED:
        return False
    return token in text if type(token) is str else next(_matches(run, token, text), None) is not None


def split(run: Run, text: Json, separator: Json, limit: Json) -> Json:
    if text is UNDEFINED:
        return UNDEFINED
    if limit is not UNDEFINED and limit < 0:
        raise Fault("D3020")
    most = None if limit is UNDEFINED else int(limit)
    if type(separator) is str:
        parts = text.split(separator) if separator else list(text)
        run.hold(len(parts) * 8 + (len(text) >> 3))
        return parts[:most]
    parts, start, complete = list[str](), 0, True
    for found in _matches(run, separator, text) if separator is not UNDEFINED else ():
        if limit is not UNDEFINED and len(parts) >= limit:
            complete = False
            break
        parts.append(text[start : found["start"]])
        start = found["end"]
    if complete and (limit is UNDEFINED or len(parts) < limit):
        parts.append(text[start:])
    run.hold(len(parts) * 8 + (len(text) >> 3))
    return parts


def join(run: Run, parts: Json, separator: Json) -> Json:
    if parts is UNDEFINED:
        return UNDEFINED
    between = "" if separator is UNDEFINED else separator
    run.text(sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


def match(run: Run, text: Json, pattern: Json, limit: Json) -> Json:
    if text is UNDEFINED:
        return UNDEFINED
    if limit is not UNDEFINED and limit < 0:
        raise Fault("D3040")
    result = Sequence()
    if limit is not UNDEFINED and limit == 0:
        return result
    for found in _matches(run, pattern, text):
        run.hold(60 + (len(found["match"]) >> 3 if type(found.get("match")) is str else 0))
        result.append({"match": found.get("match"), "index": found.get("start"), "groups": found.get("groups")})
        if limit is not UNDEFINED and len(result) >= limit:
            break
    return result


def replace(run: Run, text: Json, pattern: Json, replacement: Json, limit: Json) -> Json:
    if text is UNDEFINED:
        return UNDEFINED
    if pattern == "":
        raise Fault("D3010")
    if limit is not UNDEFINED and limit < 0:
        raise Fault("D3011")
    if pattern is UNDEFINED or (limit is not UNDEFINED and limit == 0):
        return text
    if type(pattern) is str:
        if type(replacement) is not str:
            replacement = to_text(replacement, run)
        count = -1 if limit is UNDEFINED else int(limit)
        run.text(len(text) + text.count(pattern) * len(replacement))
        return text.replace(pattern, replacement, count)
    parts: list[str] = []
    at = size = 0
    for count, found in enumerate(_matches(run, pattern, text), 1):
        new = _expand(replacement, found) if type(replacement) is str else apply(run, replacement, [found], UNDEFINED)
        if type(new) is not str:
            raise Fault("D3012")
        size += len(new)
        run.text(size)
        parts += [text[at : found["start"]], new]
        at = found["start"] + len(found["match"])
        if limit is not UNDEFINED and count >= limit:
            break
    return "".join([*parts, text[at:]])


def _expand(template: str, found: dict[str, Any]) -> str:
    """The replacement text of a match: `$1` is a group, `$0` the match, `$$` a dollar sign."""
    groups: list[Json] = found["groups"]
    parts: list[str] = []
    at = 0
    while (dollar := template.find("$", at)) >= 0:
        parts.append(template[at:dollar])
        at = dollar + 1
        sign = template[at : at + 1]
        if sign in ("$", "0"):
            parts.append("$" if sign == "$" else found["match"])
            at += 1
            continue
        # As many digits as the highest group number has; one less when that names no group.
        most = len(str(len(groups))) if groups else 1
        digits = re.match(r"\d*", template[at : at + most], re.ASCII)
        number = digits[0] if digits else ""
        if most > 1 and number and int(number) > len(groups):
            number = number[: most - 1]
        if not number:
            parts.append("$")
            continue
        index = int(number)
        if 0 < index <= len(groups) and groups[index - 1] is not UNDEFINED:
            parts.append(groups[index - 1])
        at += len(str(index))
    return "".join([*parts, template[at:]])


def base64_encode(run: Run, text: Json) -> Json:
    # Each character is one byte, as in Buffer.from(text, 'binary').
    return text if text is UNDEFINED else base64.b64encode(bytes([ord(each) & 255 for each in text])).decode()


def base64_decode(run: Run, text: Json) -> Json:
    if text is UNDEFINED:
        return UNDEFINED
    letters = re.sub(r"[^A-Za-z0-9+/]", "", text.replace("-", "+").replace("_", "/").partition("=")[0])
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return base64.b64decode(letters + "=" * (-len(letters) % 4)).decode("latin-1")


def _encode(name: str, text: Json, safe: str) -> Json:
    if text is UNDEFINED:
        return UNDEFINED

    def encode(characters: re.Match[str]) -> str:
        return "".join([f"%{byte:02X}" for byte in characters[0].encode()])

    try:
        return re.sub(f"[^A-Za-z0-9{re.escape(safe)}]+", encode, text)
    except UnicodeEncodeError:
        raise Fault("D3140", functionName=name, value=text) from None


def encode_url_component(run: Run, text: Json) -> Json:
    return _encode("encodeUrlComponent", text, _COMPONENT_SAFE)


def encode_url(run: Run, text: Json) -> Json:
    return _encode("encodeUrl", text, _COMPONENT_SAFE + _RESERVED)


def _decode(name: str, text: Json, kept: str) -> Json:
    """Percent-decoding: a run of escapes is UTF-8, of which the `kept` characters stay escaped."""
    if text is UNDEFINED:
        return UNDEFINED

    def decode(escapes: re.Match[str]) -> str:
        decoded = bytes.fromhex(escapes[0].replace("%", "")).decode()
        return "".join([f"%{ord(each):02X}" if each in kept else each for each in decoded])

    try:
        if re.search(r"%(?![0-9A-Fa-f]{2})", text):
            raise ValueError(text)
        return re.sub(r"(?:%[0-9A-Fa-f]{2})+", decode, text)
    except ValueError:
        raise Fault("D3140", functionName=name, value=text) from None


def decode_url_component(run: Run, text: Json) -> Json:
    return _decode("decodeUrlComponent", text, "")


def decode_url(run: Run, text: Json) -> Json:
    return _decode("decodeUrl", text, _RESERVED)
