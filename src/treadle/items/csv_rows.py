"""CSV as Step Functions reads it, piece by piece: rows, then items.

Most files hold neither quotation marks nor backslashes, or hold them as RFC 4180 has them; both are read by compiled
code. The rest is read by AWS's own rules ('How Step Functions parses input CSV files'), character run by character run.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from operator import itemgetter
from typing import Final

from treadle.items.blocks import Block
from treadle.items.objects import Fault, Object
from treadle.items.pieces import ITEM_LIMIT, pieces
from treadle.language.scope import Json

HEADER_LIMIT: Final = 10 * 1024
"""AWS quota: the size of all headers, in bytes."""

DELIMITERS: Final = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}

Row = list[str]

_BEYOND_THE_STANDARD: Final = ("\\", '""', ' "', '\t"')
"""Where one of these stands in a text with quotation marks, AWS may read it otherwise than the csv module does."""

_SENTINEL: Final = "end"


def csv_blocks(object: Object, delimiter: str, headers: Sequence[str] | None) -> Iterator[Block]:
    """The rows as items, one block per piece. `headers` is None where the first row has them. Raises Fault."""
    batches = _Rows(object.source, delimiter).batches(pieces(object))
    first: list[Row] = []
    if headers is None:
        first = next(batches, first)
        if not first:
            return
        headers, first = first[0], first[1:]
    item = _item(headers, delimiter)
    if first:
        yield Block(object.source, len(first), partial(map, item, first))
    for rows in batches:
        yield Block(object.source, len(rows), partial(map, item, rows))


def _item(headers: Sequence[str], delimiter: str) -> Callable[[Row], Json]:
    """What makes an item of a row: short rows are filled with "", what is too much is left out."""
    if len(delimiter.join(headers).encode()) > HEADER_LIMIT:
        raise Fault(f"The CSV headers are longer than {HEADER_LIMIT} bytes.")
    if max(Counter(headers).values(), default=0) > 1:
        raise Fault("CSV headers cannot contain duplicates.")
    width = len(headers)
    order = _order(headers)
    if order == list(range(width)):
        names = tuple(headers)

        def plain(row: Row) -> Json:
            return dict(zip(names, row if len(row) >= width else row + [""] * (width - len(row)), strict=False))

        return plain
    names = tuple(headers[index] for index in order)
    pick = itemgetter(*order)

    def ordered(row: Row) -> Json:
        return dict(zip(names, pick(row if len(row) >= width else row + [""] * (width - len(row))), strict=True))

    return ordered


def _order(headers: Sequence[str]) -> list[int]:
    """The order of an item's fields. Observed on AWS: that of Java's HashMap, so `a,` gives {"": .., "a": ..}."""
    capacity = 16
    while len(headers) > capacity * 0.75:
        capacity *= 2
    return sorted(range(len(headers)), key=lambda index: _slot(headers[index], capacity))


def _slot(text: str, capacity: int) -> int:
    hash = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(units), 2):
        hash = (hash * 31 + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    return (hash ^ hash >> 16) & (capacity - 1)


class _Rows:
    """Text to rows, remembering the line that it stands at."""

    def __init__(self, source: str, delimiter: str) -> None:
        self._source = source
        self._delimiter = delimiter
        self._line = 1
        d = re.escape(delimiter)
        quoted = rf'"[^"\\]*+(?:""[^"\\]*+)*+"(?=[{d}\r\n])'
        field = rf'(?:{quoted}|[^"\\{d}\r\n]*+)'
        self._regular = re.compile(rf"(?:{field}(?:{d}{field})*+\r?\n)*+")
        self._run = re.compile(rf'[^"\\{d}\n]+')
        self._field = re.compile(rf"((?:[^\\{d}]++|\\.?)*+){d}")
        self._escape = re.compile(rf'\\([\\"{d}])|\\')
        self._quoted_run = re.compile(r'[^"\\]+')

    def batches(self, read: Iterator[bytes]) -> Iterator[list[Row]]:
        """The rows of one piece after the other; a row that ends in a later piece comes with that one."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        text = ""
        for piece in read:
            text += self._decoded(decoder, piece, final=False, before=text)
            rows, text = self._split(text, final=False)
            if len(text) > ITEM_LIMIT:
                raise self._fault(f"the row is longer than {ITEM_LIMIT} bytes, or a quotation mark is never closed")
            if rows:
                yield rows
        text += self._decoded(decoder, b"", final=True, before=text)
        rows, _ = self._split(text, final=True)
        if rows:
            yield rows

    def _decoded(self, decoder: codecs.IncrementalDecoder, piece: bytes, *, final: bool, before: str) -> str:
        try:
            return decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            self._line += before.count("\n") + error.object[: error.start].count(b"\n")
            raise self._fault(f"is not UTF-8: {error.reason}") from None

    def _split(self, text: str, *, final: bool) -> tuple[list[Row], str]:
        """All rows that are complete, and the text after them."""
        rows: list[Row] = []
        end = len(text) if final else text.rfind("\n") + 1
        if '"' not in text:
            return self._plain(text[:end]), text[end:]
        if not any(mark in text for mark in _BEYOND_THE_STANDARD):
            # A field longer than the module takes is left to the slower ways.
            with suppress(csv.Error):
                standard, complete = self._standard(text[:end])
                if complete == len(text) or not final:
                    self._line += text.count("\n", 0, complete)
                    return standard, text[complete:]
        at = 0
        while at < len(text):
            match = self._regular.match(text, at)
            end = at if match is None else match.end()
            if end > at:
                rows += self._quoted(text[at:end], final=final)
                at = end
            if at < len(text):
                found = self._irregular(text, at, final=final)
                if found is None:
                    break
                row, end = found
                if row:
                    rows.append(row)
                self._line += text.count("\n", at, end)
                at = end
        return rows, text[at:]

    def _plain(self, text: str) -> list[Row]:
        """Rows without any quotation mark: each line is one."""
        self._line += text.count("\n")
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        delimiter = self._delimiter
        if "\\" not in text:
            return [line.split(delimiter) for line in text.split("\n") if line]
        escaped = self._escaped
        return [line.split(delimiter) if "\\" not in line else escaped(line) for line in text.split("\n") if line]

    def _escaped(self, line: str) -> Row:
        if (len(line) - len(line.rstrip("\\"))) % 2:
            line = line[:-1]
        return [self._escape.sub(r"\1", field) for field in self._field.findall(f"{line}{self._delimiter}")]

    def _standard(self, text: str) -> tuple[list[Row], int]:
        """Rows as the csv module reads them, where it reads them as AWS does, and the end of the last complete one."""
        lines = [*io.StringIO(text, newline="\n"), _SENTINEL]
        reader = csv.reader(lines, delimiter=self._delimiter)
        rows: list[Row] = []
        ends = [0]
        for row in reader:
            rows.append(row)
            ends.append(reader.line_num)
        # The sentinel is a row of its own, or, where a quotation mark is open, a part of the row that is not complete.
        return [row for row in rows[:-1] if row], sum(map(len, lines[: ends[-2]]))

    def _quoted(self, text: str, *, final: bool) -> list[Row]:
        """Rows that RFC 4180 knows."""
        if '"' not in text:
            return self._plain(text)
        try:
            rows = [row for row in csv.reader(io.StringIO(text, newline="\n"), delimiter=self._delimiter) if row]
        except csv.Error:
            # A field longer than the csv module takes.
            rows = list[Row]()
            at = 0
            while at < len(text):
                found = self._irregular(text, at, final=final)
                assert found is not None
                if found[0]:
                    rows.append(found[0])
                at = found[1]
        self._line += text.count("\n")
        return rows

    def _irregular(self, text: str, at: int, *, final: bool) -> tuple[Row, int] | None:
        """The row that begins at `at` and where the next begins; None when it is not complete. A blank row is empty.

        Where AWS is silent: a quotation mark within a field that does not begin with one stands for itself, and what
        follows a closing one belongs to the field.
        """
        row: Row = []
        field: list[str] = []
        inside = closed = False
        delimiter = self._delimiter
        while True:
            character = text[at : at + 1]
            following = text[at + 1 : at + 2]
            if not following and not final and character in ("", '"', "\\", "\r"):
                return None
            match character:
                case "":
                    if inside:
                        raise self._fault("a quotation mark is never closed")
                    return self._ended(row, field, closed), at
                case "\\":
                    # AWS: escapes itself, the quotation mark and the delimiter; before anything else it is dropped.
                    if following in ("\\", '"', delimiter) and following:
                        field.append(following)
                        at += 1
                    at += 1
                case '"' if following == '"' and (inside or (field and not closed)):
                    field.append('"')
                    at += 2
                case '"' if inside:
                    inside, closed = False, True
                    at += 1
                case '"':
                    if closed or "".join(field).strip(" \t"):
                        field.append('"')
                    else:
                        field, inside = [], True
                    at += 1
                case "\n" if not inside:
                    return self._ended(row, field, closed), at + 1
                case _ if character == delimiter and not inside:
                    row.append("".join(field))
                    field, closed = [], False
                    at += 1
                case _:
                    run = (self._quoted_run if inside else self._run).match(text, at)
                    if run is None:
                        field.append(character)
                        at += 1
                    else:
                        field.append(run.group())
                        at = run.end()

    def _ended(self, row: Row, field: list[str], closed: bool) -> Row:
        last = "".join(field).removesuffix("\r")
        return [*row, last] if row or last or closed else []

    def _fault(self, told: str) -> Fault:
        return Fault(f"{self._source}: line {self._line}: {told}")
