"""The number functions of JSONata: rounding, powers, bases, and pictures of numbers ($formatNumber).

It owns what they return and raise once their arguments have passed their signatures. It never reads a clock or a random
source. Neighbours: `jsonata/functions.py` names them, `jsonata/dates.py` formats integers by pictures of another kind.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import reduce
from itertools import pairwise

from treadle.language.queries.jsonata.errors import Fault
from treadle.language.queries.jsonata.values import UNDEFINED, Run, number
from treadle.language.scope import Json

_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([Ee][-+]?[0-9]+)?")
_PREFIXED = re.compile(r"0[xX][0-9A-Fa-f]+|0[oO][0-7]+|0[bB][01]+")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def to_number(run: Run, value: Json) -> Json:
    if value is UNDEFINED or type(value) in (int, float):
        return value
    if type(value) is bool:
        return int(value)
    if type(value) is str:
        run.text(len(value))
        if _DECIMAL.fullmatch(value) and math.isfinite(float(value)):
            whole = value.lstrip("-").isdigit() and len(value) < 400
            return int(value) if whole else number(float(value))
        if _PREFIXED.fullmatch(value):
            return number(float(int(value, 0)))
    raise Fault("D3030", value=value)


def absolute(run: Run, value: Json) -> Json:
    return value if value is UNDEFINED else abs(value)


def floor(run: Run, value: Json) -> Json:
    return value if type(value) is not float else number(float(math.floor(value)))


def ceil(run: Run, value: Json) -> Json:
    return value if type(value) is not float else number(float(math.ceil(value)))


def round_half_even(run: Run, value: Json, precision: Json) -> Json:
    return value if value is UNDEFINED else rounded(value, 0 if precision is UNDEFINED else int(precision))


def rounded(value: float, precision: int) -> Json:
    """A number rounded to a decimal place, halves to even, computed on its decimal digits."""
    if precision == 0:
        return value if type(value) is int else number(float(round(value)))
    if abs(precision) > 400:
        return value if precision > 0 else 0
    try:
        exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-precision), ROUND_HALF_EVEN)
    except InvalidOperation:
        # More digits than a double holds: there is nothing to round.
        return value
    return number(float(exact))


def square_root(run: Run, value: Json) -> Json:
    if value is UNDEFINED:
        return UNDEFINED
    if value < 0:
        raise Fault("D3060", value=value)
    return number(math.sqrt(value))


def power(run: Run, base: Json, exponent: Json) -> Json:
    if base is UNDEFINED or exponent is UNDEFINED:
        return UNDEFINED
    try:
        return number(math.pow(base, exponent))
    except (OverflowError, ValueError, Fault):
        raise Fault("D3061", value=base, exp=exponent) from None


def format_base(run: Run, value: Json, radix: Json) -> Json:
    if value is UNDEFINED:
        return UNDEFINED
    base = 10 if radix is UNDEFINED else round(radix)
    if not 2 <= base <= 36:
        raise Fault("D3100", value=base)
    rest, digits = abs(round(value)), ""
    while rest or not digits:
        rest, digit = divmod(rest, base)
        digits = _DIGITS[digit] + digits
    return "-" + digits if value < 0 and digits != "0" else digits


@dataclass(frozen=True, slots=True)
class _Symbols:
    """The characters of a number picture (XPath F&O 4.7.1), which the caller may replace."""

    decimal: str
    grouping: str
    exponent: str
    minus: str
    percent: str
    per_mille: str
    zero: str
    digit: str
    pattern: str

    @property
    def family(self) -> list[str]:
        return [chr(code) for code in range(ord(self.zero), ord(self.zero) + 10)]

    @property
    def active(self) -> list[str]:
        return [*self.family, self.decimal, self.exponent, self.grouping, self.digit, self.pattern]


_SYMBOLS = {
    "decimal-separator": ".",
    "grouping-separator": ",",
    "exponent-separator": "e",
    "minus-sign": "-",
    "percent": "%",
    "per-mille": "\u2030",
    "zero-digit": "0",
    "digit": "#",
    "pattern-separator": ";",
}


@dataclass(frozen=True, slots=True)
class _Parts:
    picture: str
    prefix: str
    suffix: str
    active: str
    mantissa: str
    exponent: str | None
    integer: str
    fraction: str


def _parts(picture: str, symbols: _Symbols) -> _Parts:
    anchors = [at for at, each in enumerate(picture) if each in symbols.active and each != symbols.exponent]
    if not anchors:
        raise Fault("D3085")
    prefix, suffix = picture[: anchors[0]], picture[anchors[-1] + 1 :]
    active = picture[anchors[0] : anchors[-1] + 1]
    at = picture.find(symbols.exponent, len(prefix))
    if at < 0 or at > len(picture) - len(suffix):
        mantissa, exponent = active, None
    else:
        mantissa, exponent = active[:at], active[at + 1 :]
    integer, point, fraction = mantissa.partition(symbols.decimal)
    return _Parts(picture, prefix, suffix, active, mantissa, exponent, integer, fraction if point else suffix)


def _check(parts: _Parts, symbols: _Symbols) -> None:
    """The rules of F&O 4.7.3; of several broken ones the last is raised, as in jsonata.js."""
    picture, family, comma = parts.picture, symbols.family, symbols.grouping
    point = picture.find(symbols.decimal)
    first_optional = parts.integer.find(symbols.digit)
    last_optional = parts.fraction.rfind(symbols.digit)
    scaled = symbols.percent in picture or symbols.per_mille in picture
    near_point = picture[max(point - 1, 0) : point] == comma or picture[point + 1 : point + 2] == comma
    rules = {
        "D3081": picture.count(symbols.decimal) > 1,
        "D3082": picture.count(symbols.percent) > 1,
        "D3083": picture.count(symbols.per_mille) > 1,
        "D3084": symbols.percent in picture and symbols.per_mille in picture,
        "D3085": not any(each in family or each == symbols.digit for each in parts.mantissa),
        "D3086": any(each not in symbols.active for each in parts.active),
        "D3087": point >= 0 and near_point,
        "D3088": point < 0 and parts.integer.endswith(comma),
        "D3089": comma + comma in picture,
        "D3090": first_optional >= 0 and any(each in family for each in parts.integer[:first_optional]),
        "D3091": last_optional >= 0 and any(each in family for each in parts.fraction[last_optional:]),
        "D3092": bool(parts.exponent) and scaled,
        "D3093": parts.exponent is not None
        and (not parts.exponent or any(each not in family for each in parts.exponent)),
    }
    broken = [code for code, is_broken in rules.items() if is_broken]
    if broken:
        raise Fault(broken[-1])


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a picture asks for (F&O 4.7.4)."""

    picture: str
    prefix: str
    suffix: str
    integer_groups: list[int]
    regular: int
    fraction_groups: list[int]
    scaling: int
    least_integer: int
    least_fraction: int
    most_fraction: int
    least_exponent: int


def regular_interval(positions: list[int]) -> int:
    """The distance at which separators repeat, 0 when they are not evenly spaced."""
    factor = reduce(math.gcd, positions, 0)
    return factor if factor and all(n * factor in positions for n in range(1, len(positions) + 1)) else 0


def _layout(parts: _Parts, symbols: _Symbols) -> _Layout:
    family = symbols.family

    def places(text: str) -> int:
        return sum(each in family or each == symbols.digit for each in text)

    def mandatory(text: str) -> int:
        return sum(each in family for each in text)

    integer_groups = [places(parts.integer[at:]) for at, each in enumerate(parts.integer) if each == symbols.grouping]
    fraction_groups = [
        places(parts.fraction[:at]) for at, each in enumerate(parts.fraction) if each == symbols.grouping
    ]
    least_integer = scaling = mandatory(parts.integer)
    least_fraction, most_fraction = mandatory(parts.fraction), places(parts.fraction)
    if least_integer == 0 and most_fraction == 0:
        if parts.exponent is not None:
            least_fraction = most_fraction = 1
        else:
            least_integer = 1
    if parts.exponent is not None and least_integer == 0 and symbols.digit in parts.integer:
        least_integer = 1
    if least_integer == 0 and least_fraction == 0:
        least_fraction = 1
    return _Layout(
        parts.picture,
        parts.prefix,
        parts.suffix,
        integer_groups,
        regular_interval(integer_groups),
        fraction_groups,
        scaling,
        least_integer,
        least_fraction,
        most_fraction,
        mandatory(parts.exponent or ""),
    )


def format_number(run: Run, value: Json, picture: Json, options: Json) -> Json:
    if value is UNDEFINED or picture is UNDEFINED:
        return UNDEFINED
    chosen: dict[str, Json] = dict(_SYMBOLS)
    chosen.update({} if options is UNDEFINED else options)
    symbols = _Symbols(*(str(chosen[name]) for name in _SYMBOLS))
    pictures = picture.split(symbols.pattern)
    if len(pictures) > 2:
        raise Fault("D3080")
    all_parts = [_parts(each, symbols) for each in pictures]
    for parts in all_parts:
        _check(parts, symbols)
    layouts = [_layout(parts, symbols) for parts in all_parts]
    if len(layouts) == 1:
        layouts.append(replace(layouts[0], prefix=symbols.minus + layouts[0].prefix))
    return _picture(float(value), layouts[0] if value >= 0 else layouts[1], symbols)


def _picture(value: float, layout: _Layout, symbols: _Symbols) -> str:
    if symbols.percent in layout.picture:
        value *= 100
    elif symbols.per_mille in layout.picture:
        value *= 1000
    exponent = None
    if layout.least_exponent:
        value, exponent = _scaled(value, layout.scaling)
    text = _digits(rounded(value, layout.most_fraction), layout.most_fraction, symbols)
    integer, _, fraction = text.partition(".")
    integer = integer.lstrip(symbols.zero).rjust(layout.least_integer, symbols.zero)
    fraction = fraction.rstrip(symbols.zero).ljust(layout.least_fraction, symbols.zero)
    whole = _grouped(integer, layout, symbols.grouping)
    for position in layout.fraction_groups:
        # Each separator shifts the following positions, which are not corrected: so does jsonata.js.
        fraction = fraction[:position] + symbols.grouping + fraction[position:]
    text = whole + symbols.decimal + fraction if symbols.decimal in layout.picture and fraction else whole + fraction
    if exponent is not None:
        digits = _digits(exponent, 0, symbols).rjust(layout.least_exponent, symbols.zero)
        text += symbols.exponent + (symbols.minus if exponent < 0 else "") + digits
    return layout.prefix + text + layout.suffix


def _scaled(value: float, places: int) -> tuple[float, int]:
    """Mantissa and exponent, the mantissa having as many integer places as the picture."""
    exponent = 0
    while value and abs(value) < 10.0 ** (places - 1):
        value *= 10
        exponent -= 1
    while abs(value) > 10.0**places:
        value /= 10
        exponent += 1
    return value, exponent


def _digits(value: float, places: int, symbols: _Symbols) -> str:
    text = f"{abs(value):.{places}f}"
    if symbols.zero == "0":
        return text
    return "".join([symbols.family[int(each)] if each.isdigit() else each for each in text])


def _grouped(integer: str, layout: _Layout, separator: str) -> str:
    length = len(integer)
    positions = range(layout.regular, length, layout.regular) if layout.regular else layout.integer_groups
    cuts = [0, *sorted(length - position for position in positions if position < length), length]
    return separator.join([integer[start:end] for start, end in pairwise(cuts)])
