"""What the terminal shows: consoles, tables, times, and foreign text made harmless.

Owns how things look. Colours only on a terminal, and none where NO_COLOR is set.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from treadle.language.scope import Json

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

STATUS_STYLES: Final = {
    "RUNNING": "yellow",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "ABORTED": "yellow",
}


def console(err: bool = False) -> Console:
    """A console on the standard output, or on the standard error."""
    stream = sys.stderr if err else sys.stdout
    plain = not stream.isatty()
    return Console(
        file=stream, highlight=False, markup=False, emoji=False, no_color=plain or "NO_COLOR" in os.environ or None
    )


def clean(text: str) -> str:
    """Text from outside: what would steer a terminal, or break the line, is shown as an escape."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def short(text: str, length: int = 200) -> str:
    """The beginning of a text, clean."""
    text = clean(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def moment(seconds: float | None) -> str:
    """A moment in UTC, to the second; a dash for none."""
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def lasting(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
    return " ".join(f"{number}{unit}" for number, unit in parts if number)


def write(text: str | Text, out: Console) -> None:
    """One line, or several, never wrapped or cut."""
    out.print(text, soft_wrap=True)


def write_json(value: Json) -> None:
    """A JSON document on the standard output."""
    click.echo(json_text(value))


def json_text(value: Json) -> str:
    """Indented JSON that any terminal and any encoding can take: what is no character stays an escape."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def table(headings: Sequence[str], rows: Sequence[Sequence[str | Text]], out: Console) -> None:
    """Rows in columns, as wide as what stands in them."""
    cells = [[each if isinstance(each, Text) else Text(clean(each)) for each in row] for row in rows]
    widths = [
        max(len(heading), *(row[column].cell_len for row in cells)) if cells else len(heading)
        for column, heading in enumerate(headings)
    ]
    lines = [[Text(heading.upper(), "dim") for heading in headings], *cells]
    for line in lines:
        shown = Text()
        for cell, width in zip(line[:-1], widths[:-1], strict=True):
            shown += cell + Text(" " * (width - cell.cell_len + 2))
        write(shown + line[-1], out)


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text().append(status, STATUS_STYLES.get(status, ""))
