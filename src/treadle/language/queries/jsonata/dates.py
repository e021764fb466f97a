"""Points in time as JSONata writes and reads them: $fromMillis and $toMillis with their pictures.

It owns the date/time pictures of XPath F&O 9.8 and the calendar arithmetic they need. It never reads a clock: what
"now" is comes with the evaluation. Neighbours: `jsonata/integers.py` writes the numbers, `jsonata/functions.py` names
the functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from treadle.language.queries.jsonata.errors import Fault
from treadle.language.queries.jsonata.integers import IntegerPicture, analyse, pattern_of, read, write
from treadle.language.queries.jsonata.values import UNDEFINED, Run
from treadle.language.scope import Json

_DAY = 86_400_000
_DAYS = ["", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_MONTHS = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
]  # fmt: skip
_DEFAULTS = {
    "Y": "1", "M": "1", "D": "1", "d": "1", "F": "n", "W": "1", "w": "1", "X": "1", "x": "1", "H": "1", "h": "1",
    "P": "n", "m": "01", "s": "01", "f": "1", "Z": "01:01", "z": "01:01", "C": "n", "E": "n",
}  # fmt: skip
_ISO = "[Y0001]-[M01]-[D01]T[H01]:[m01]:[s01].[f001][Z01:01t]"
# jsonata.js 2.0.6 accepts exactly this; Date.parse then has to understand it.
_TIMESTAMP = re.compile(
    r"\d{4}(-[01]\d)*(-[0-3]\d)*(T[0-2]\d:[0-5]\d:[0-5]\d)*(\.\d+)?([+-][0-2]\d:?[0-5]\d|Z)?", re.ASCII
)
_PARSED = re.compile(
    r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?)?(?:Z|([+-])(\d\d):?(\d\d))?", re.ASCII
)


def days_since_epoch(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the proleptic Gregorian calendar; the month may exceed 12, the day its month."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    # The year starts in March, so that the leap day is its last (H. Hinnant's days_from_civil).
    shifted = year - (month <= 2)
    era, of_era = divmod(shifted, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year + day - 719469


def _civil(days: int) -> tuple[int, int, int]:
    era, of_era = divmod(days + 719468, 146097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    month = shifted + (3 if shifted < 10 else -9)
    return era * 400 + year_of_era + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


def _weekday(days: int) -> int:
    return (days + 3) % 7 + 1


def _first_week(year: int, month: int) -> int:
    """The Monday of the first ISO week of a year (its January) or of a month, in days since the epoch."""
    first = days_since_epoch(year, month, 1)
    weekday = _weekday(first)
    return first + 8 - weekday if weekday > 4 else first - weekday + 1


def _week(days: int, this: int, following: int, previous: int, most: int) -> int:
    week = (days - this) // 7 + 1
    if week > most and days >= following:
        return 1
    return (days - previous) // 7 + 1 if week < 1 else week


@dataclass(frozen=True, slots=True)
class _Moment:
    """A point in time, taken apart."""

    days: int
    millis: int

    def component(self, letter: str) -> int:
        year, month, day = _civil(self.days)
        hour = self.millis // 3_600_000
        match letter:
            case "Y":
                return year
            case "M":
                return month
            case "D":
                return day
            case "d":
                return self.days - days_since_epoch(year, 1, 1) + 1
            case "F":
                return _weekday(self.days)
            case "W":
                weeks = (_first_week(year, 1), _first_week(year + 1, 1), _first_week(year - 1, 1))
                return _week(self.days, *weeks, 52)
            case "w":
                weeks = (_first_week(year, month), _first_week(year, month + 1), _first_week(year, month - 1))
                return _week(self.days, *weeks, 4)
            case "X":
                return year - (self.days < _first_week(year, 1)) + (self.days >= _first_week(year + 1, 1))
            case "x":
                before, after = self.days < _first_week(year, month), self.days >= _first_week(year, month + 1)
                return (month - 1 - before + after) % 12 + 1
            case "H":
                return hour
            case "h":
                return hour % 12 or 12
            case "P":
                return int(hour >= 12)
            case "m":
                return self.millis // 60_000 % 60
            case "s":
                return self.millis // 1000 % 60
            case _:
                return self.millis % 1000


def _moment(millis: float) -> _Moment:
    return _Moment(*divmod(int(millis), _DAY))


@dataclass(slots=True)
class _Marker:
    """One `[..]` of a picture; `names` is upper, lower or title where a name is wanted."""

    component: str
    presentation: str
    modifier: str = ""
    names: str | None = None
    least: int | None = None
    most: int | None = None
    digits: int = -1
    integer: IntegerPicture | None = None


def _picture(text: str) -> list[str | _Marker]:
    """The literals and markers of a picture; raises D3132 and D3135."""
    parts: list[str | _Marker] = []
    literal, at = "", 0
    while at < len(text):
        if text.startswith("[[", at):
            literal += "["
            at += 2
        elif text[at] == "[":
            end = text.find("]", at)
            if end < 0:
                raise Fault("D3135")
            if literal:
                parts.append(literal.replace("]]", "]"))
            literal = ""
            parts.append(_marker(re.sub(r"\s+", "", text[at + 1 : end])))
            at = end + 1
        else:
            literal += text[at]
            at += 1
    if literal:
        parts.append(literal.replace("]]", "]"))
    return parts


def _width(text: str) -> int | None:
    found = re.match(r"\d+", text)
    return int(found[0]) if found else None


def _marker(text: str) -> _Marker:
    component, (presentation, comma, width) = text[:1], text[1:].rpartition(",")
    if not comma:
        presentation, width = text[1:], ""
    modifier = ""
    if len(presentation) > 1 and presentation[-1] in "atco":
        presentation, modifier = presentation[:-1], presentation[-1]
    if component not in _DEFAULTS:
        raise Fault("D3132", value=component)
    presentation = presentation or _DEFAULTS[component]
    marker = _Marker(component, presentation, modifier)
    least, dash, most = width.partition("-")
    marker.least, marker.most = _width(least), _width(most) if dash else None
    if presentation[0] == "n":
        marker.names = "lower"
    elif presentation[0] == "N":
        marker.names = "title" if presentation[1:2] == "n" else "upper"
    elif component in "YMDdFWwXxHhmsf":
        _number_marker(marker)
    if component in "Zz":
        marker.integer = analyse(presentation)
    return marker


def _number_marker(marker: _Marker) -> None:
    picture = analyse(marker.presentation + (";" + marker.modifier if marker.modifier else ""))
    marker.integer = picture
    if marker.least is not None:
        picture.mandatory = max(picture.mandatory, marker.least)
    if marker.component in "YMD":
        # F&O 9.8.4.4: the width of a year is the number of its digits that are shown.
        if marker.most is not None:
            marker.digits = picture.mandatory = marker.most
        elif picture.mandatory + picture.optional >= 2:
            marker.digits = picture.mandatory + picture.optional


def _named(marker: _Marker, number: int) -> str:
    if marker.component not in ("M", "x", "F"):
        raise Fault("D3133", value=marker.component)
    name = _DAYS[number] if marker.component == "F" else _MONTHS[number - 1]
    name = {"upper": name.upper(), "lower": name.lower()}.get(marker.names or "", name)
    return name if marker.most is None else name[: marker.most]


def _zone(marker: _Marker, hours: int, minutes: int) -> str:
    """F&O 9.8.4.6: the offset from UTC."""
    picture = marker.integer
    assert picture is not None
    offset = 100 * hours + minutes
    if offset == 0 and marker.modifier == "t":
        return "Z"
    if picture.interval or picture.mandatory in (3, 4):
        text = write(offset, picture)
    elif picture.mandatory in (1, 2):
        text = write(hours, picture) + (":" + write(minutes, analyse("00")) if minutes else "")
    else:
        raise Fault("D3134")
    return ("GMT" if marker.component == "z" else "") + ("+" if offset >= 0 else "") + text


def _text(marker: _Marker, moment: _Moment, hours: int, minutes: int) -> str:
    letter = marker.component
    if letter in "CE":
        return "ISO"
    if letter in "Zz":
        return _zone(marker, hours, minutes)
    number = moment.component(letter)
    if letter == "P":
        text = "pm" if number else "am"
        return text.upper() if marker.names == "upper" else text
    if marker.names and letter != "f":
        return _named(marker, number)
    if letter == "Y" and marker.digits != -1:
        number %= 10**marker.digits
    if marker.integer is None:
        raise Fault("D3133", value=letter)
    return write(number, marker.integer)


def from_millis(run: Run, millis: Json, picture: Json, zone: Json) -> Json:
    if millis is UNDEFINED:
        return UNDEFINED
    hours = minutes = 0
    if zone is not UNDEFINED and (offset := re.match(r"\s*[-+]?\d+", zone)):
        number = int(offset[0])
        # Math.floor for the hours but the sign of the dividend for the minutes: -0430 is -5 hours -30 minutes.
        hours, minutes = number // 100, abs(number) % 100 * (-1 if number < 0 else 1)
    moment = _moment(millis + (60 * hours + minutes) * 60_000)
    parts = _picture(_ISO if picture is UNDEFINED else picture)
    return "".join([part if isinstance(part, str) else _text(part, moment, hours, minutes) for part in parts])


def to_millis(run: Run, text: Json, picture: Json) -> Json:
    if text is UNDEFINED:
        return UNDEFINED
    return _from_iso(text) if picture is UNDEFINED else _from_picture(run, text, picture)


def _from_iso(text: str) -> Json:
    found = _PARSED.fullmatch(text) if _TIMESTAMP.fullmatch(text) else None
    if found is None:
        raise Fault("D3110", value=text)
    year, month, day, hour, minute, second = (
        int(each or least) for each, least in zip(found.groups()[:6], "011000", strict=True)
    )
    days = days_since_epoch(year, month, day)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 24):
        raise Fault("D3110", value=text)
    fraction, sign, zone_hours, zone_minutes = found.groups()[6:]
    offset = (int(zone_hours) * 60 + int(zone_minutes)) * (-1 if sign == "-" else 1) if sign else 0
    millis = int((fraction or "0").ljust(3, "0")[:3])
    return days * _DAY + ((hour * 60 + minute - offset) * 60 + second) * 1000 + millis


def _reader(marker: _Marker) -> tuple[str, Callable[[str], Json]]:
    """The regex of a marker, and what a match of it means."""
    letter, picture = marker.component, marker.integer
    if letter in "Zz":
        return _zone_reader(marker)
    if picture is not None:
        return pattern_of(picture, marker.digits), lambda text: read(text, picture)
    names: dict[str, int] = {}
    if letter in "Mx":
        names = {name[: marker.most]: number for number, name in enumerate(_MONTHS, 1)}
    elif letter == "F":
        names = {name[: marker.most]: number for number, name in enumerate(_DAYS) if name}
    elif letter == "P":
        names = {"am": 0, "AM": 0, "pm": 1, "PM": 1}
    else:
        raise Fault("D3133", value=letter)
    return "[a-zA-Z]+", lambda text: names.get(text, UNDEFINED)


def _zone_reader(marker: _Marker) -> tuple[str, Callable[[str], Json]]:
    assert marker.integer is not None
    prefix = "GMT" if marker.component == "z" else ""
    separator = marker.integer.separators[0][1] if marker.integer.interval else ""

    def minutes(text: str) -> int:
        digits = text[len(prefix) :]
        if separator:
            hour, _, minute = digits.partition(separator)
            return int(hour) * 60 + int(minute)
        return int(digits) * 60 if len(digits) <= 3 else int(digits[:3]) * 60 + int(digits[3:])

    return prefix + "[-+][0-9]+" + (re.escape(separator) + "[0-9]+" if separator else ""), minutes


# Which components make a date or a time, as (mask of those that may appear, all of them from the largest on).
_DATES = (("YMD", "YMD"), ("Yd", "YD"), ("Xxw", "XxwF"), ("XW", "XWF"))
_LONGEST_TEXT = 1000


def _from_picture(run: Run, text: str, picture: str) -> Json:
    parts = _picture(picture)
    readers = [_reader(part) if isinstance(part, _Marker) else (re.escape(part), None) for part in parts]
    run.spend(len(text) * 10)
    if len(text) > _LONGEST_TEXT:
        # No timestamp is that long; Python's matcher, which cannot be stopped, is not asked.
        return UNDEFINED
    found = re.fullmatch("".join(f"({pattern})" for pattern, _ in readers), text, re.IGNORECASE | re.ASCII)
    if found is None:
        return UNDEFINED
    values: dict[str, Json] = {}
    for part, (_, meaning), piece in zip(parts, readers, found.groups(), strict=True):
        if isinstance(part, _Marker) and meaning:
            values[part.component] = meaning(piece)
    return _assemble(values, _moment(run.scope.now * 1000)) if values else UNDEFINED


def _fits(values: dict[str, Json], letters: str, allowed: str) -> bool:
    # A component that reads as zero counts as absent here, as in jsonata.js.
    given = {letter for letter in letters if values.get(letter, UNDEFINED) not in (UNDEFINED, 0)}
    return bool(given) and given <= set(allowed)


def _assemble(values: dict[str, Json], now: _Moment) -> Json:
    """Milliseconds since the epoch from components: what is larger than the given ones is taken from now, what is
    smaller is zero, and a gap between them is an error (D3136)."""
    date = next((order for allowed, order in _DATES if _fits(values, "YXMxWwdD", allowed)), "YMD")
    is_half_day = not _fits(values, "PHhmsf", "Hmsf") and _fits(values, "PHhmsf", "Phmsf")
    started = ended = False
    for letter in date + ("Phmsf" if is_half_day else "Hmsf"):
        if values.get(letter, UNDEFINED) is not UNDEFINED:
            started = True
            if ended:
                raise Fault("D3136")
        elif started:
            values[letter] = 1 if letter in "MDd" else 0
            ended = True
        else:
            values[letter] = now.component(letter)
    if "X" in date:
        raise Fault("D3136")
    month = values.get("M", UNDEFINED)
    month = month if month is not UNDEFINED and month > 0 else 1
    days = (
        days_since_epoch(values["Y"], 1, values["d"])
        if date == "YD"
        else days_since_epoch(values["Y"], month, values["D"])
    )
    hour = values["h"] % 12 + 12 * values["P"] if is_half_day else values["H"]
    zone = values.get("Z") or values.get("z") or 0
    return days * _DAY + ((hour * 60 + values["m"] - zone) * 60 + values["s"]) * 1000 + values["f"]
