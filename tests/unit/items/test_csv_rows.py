from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import Text, cause, folder, items

from treadle.items import pieces
from treadle.items.csv_rows import csv_blocks

FIRST_ROW = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
GIVEN = {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a", "b", "c"]}


def decoded(text: str, headers: list[str] | None, delimiter: str = ",") -> list[Any]:
    return [item for block in csv_blocks(Text(text.encode()), delimiter, headers) for item in block.items()]


ROWS = {
    "short rows are filled": ("1,2\n3\n", [["1", "2", ""], ["3", "", ""]]),
    "long rows are cut": ("1,2,3,4,5\n", [["1", "2", "3"]]),
    "a row of delimiters is a row": (",,,\n", [["", "", ""]]),
    "blanks are kept": ("   \n 1 ,2 \n", [["   ", "", ""], [" 1 ", "2 ", ""]]),
    "blank lines are none": ("\n1,2,3\n\n\r\n4,5,6\n\n", [["1", "2", "3"], ["4", "5", "6"]]),
    "lines may end in CR LF": ("1,2,3\r\n4,5,6\r\n", [["1", "2", "3"], ["4", "5", "6"]]),
    "the last line may have no end": ("1,2,3\n4,5,6", [["1", "2", "3"], ["4", "5", "6"]]),
    "single quotation marks mean nothing": ("'1,2',3\n", [["'1", "2'", "3"]]),
    "quoted delimiters": ('"1,1",2,"3"\n', [["1,1", "2", "3"]]),
    "quoted line ends": ('"1\n1",2,"3\r\n3"\n', [["1\n1", "2", "3\r\n3"]]),
    "quoted emptiness is a row": ('""\n', [["", "", ""]]),
    "doubled quotation marks": ('"a ""b"" c",2,""""\n', [['a "b" c', "2", '"']]),
    "doubled outside of quotation": ('abc,{""k"":""v""},3\n', [["abc", '{"k":"v"}', "3"]]),
    "a quotation mark within a field": ('5" pipe,2,3\n', [['5" pipe', "2", "3"]]),
    "text after quotation": ('"a"b,2,3\n', [["ab", "2", "3"]]),
    "blanks before quotation": ('1, "2,2",3\n', [["1", "2,2", "3"]]),
    "escaped quotation marks": ('"a \\"b\\" c",2,3\n', [['a "b" c', "2", "3"]]),
    "escaped delimiter": ("1\\,1,2,3\n", [["1,1", "2", "3"]]),
    "escaped backslash": ("C:\\\\Program Files\\\\x.exe,2,3\n", [["C:\\Program Files\\x.exe", "2", "3"]]),
    "a backslash before anything else is dropped": ("a\\bc,\\n,3\n", [["abc", "n", "3"]]),
    "a backslash at the end of a line is dropped": ("1,2,3\\\n4,5,6\\", [["1", "2", "3"], ["4", "5", "6"]]),
    "an escaped backslash before the delimiter": ("1\\\\,2,3\n", [["1\\", "2", "3"]]),
    "other line ends are text": ("1\u20281,2\x0b2,3\n", [["1\u20281", "2\x0b2", "3"]]),
    "a byte order mark is none": ("\ufeff1,2,3\n", [["1", "2", "3"]]),
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("size", [1, 2, 7, 262_144])
def test_rows_are_read_as_aws_reads_them(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", size)
    text, rows = ROWS[name]
    assert decoded(text, ["a", "b", "c"]) == [dict(zip("abc", row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("name", "delimiter"), [("COMMA", ","), ("PIPE", "|"), ("SEMICOLON", ";"), ("SPACE", " "), ("TAB", "\t")]
)
def test_every_delimiter_delimits(name: str, delimiter: str, tmp_path: Path) -> None:
    where = folder(tmp_path, {"file.csv": f'1{delimiter}"2{delimiter}2"{delimiter}3\\{delimiter}3\n'})
    read = items(where, {"Key": "file.csv"}, {**GIVEN, "CSVDelimiter": name})
    assert read == [{"a": "1", "b": f"2{delimiter}2", "c": f"3{delimiter}3"}]


def test_fields_stand_in_the_order_of_a_java_map() -> None:
    assert list(decoded("H1,\n1,2,3\n", None)[0].items()) == [("", "2"), ("H1", "1")]
    assert list(decoded("0,True,{}\n1,2,3\n", None)[0].items()) == [("0", "1"), ("{}", "3"), ("True", "2")]
    many = [f"Column{number}" for number in range(40)]
    assert sorted(decoded(",".join(many) + "\n" + ",".join(many), None)[0].items()) == sorted(
        zip(many, many, strict=True)
    )


FAULTS = {
    "duplicates": ("a,b,a\n1,2,3\n", FIRST_ROW, "CSV headers cannot contain duplicates."),
    "given duplicates": ("1,2,3\n", {**GIVEN, "CSVHeaders": ["a", "a"]}, "CSV headers cannot contain duplicates."),
    "long headers": ("a" * 10_241 + "\n1\n", FIRST_ROW, "The CSV headers are longer than 10240 bytes."),
    "no headers": ("1\n", {**GIVEN, "CSVHeaders": []}, "CSVHeaders must be a list of the columns' names"),
    "unknown place of headers": ("1\n", {**GIVEN, "CSVHeaderLocation": "LAST"}, "must be FIRST_ROW or GIVEN"),
    "unknown delimiter": ("1\n", {**GIVEN, "CSVDelimiter": ","}, "it must be one of COMMA, PIPE"),
    "open quotation": ('1,2,3\n4,"5,6\n7,8,9\n', GIVEN, "file.csv: line 2: a quotation mark is never closed"),
    "not UTF-8": (b"1,2,3\n4,\xff,6\n", GIVEN, "file.csv: line 2: is not UTF-8"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_told_with_its_place(name: str, tmp_path: Path) -> None:
    content, config, told = FAULTS[name]
    where = folder(tmp_path, {"file.csv": content})
    assert told in cause(lambda: items(where, {"Key": "file.csv"}, config))


def test_an_empty_file_has_no_items(tmp_path: Path) -> None:
    where = folder(tmp_path, {"file.csv": "", "headers.csv": "a,b\n"})
    assert items(where, {"Key": "file.csv"}, FIRST_ROW) == items(where, {"Key": "headers.csv"}, FIRST_ROW) == []


def test_a_quotation_that_swallows_the_file_ends_at_the_limit_of_an_item(tmp_path: Path) -> None:
    where = folder(tmp_path, {"file.csv": 'a\n1\n"' + "x" * 9_000_000})
    told = cause(lambda: items(where, {"Key": "file.csv"}, FIRST_ROW))
    assert "file.csv: line 3: the row is longer than 8388608 bytes, or a quotation mark is never closed" in told


def test_a_field_longer_than_the_csv_module_takes(tmp_path: Path) -> None:
    long = "x" * 200_000
    where = folder(tmp_path, {"file.csv": f'"{long}","2,2",3\n"a ""b""","{long}",3\n'})
    read = items(where, {"Key": "file.csv"}, GIVEN)
    assert read == [{"a": long, "b": "2,2", "c": "3"}, {"a": 'a "b"', "b": long, "c": "3"}]


TEXT = st.text(st.sampled_from('ab, "\n\r\t;é\u2028'), max_size=6)


@given(
    st.lists(st.lists(TEXT, min_size=3, max_size=3), max_size=8),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([1, 3, 8, 64]),
)
def test_what_a_csv_writer_writes_comes_back(rows: list[list[str]], quoting: Any, end: str, size: int) -> None:
    if quoting == csv.QUOTE_MINIMAL:
        # The writer leaves CR unquoted where lines end in LF, and no reader could tell.
        rows = [[field.replace("\r", "") for field in row] for row in rows]
    out = io.StringIO()
    csv.writer(out, quoting=quoting, lineterminator=end).writerows(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", size)
        assert decoded(out.getvalue(), ["a", "b", "c"]) == [dict(zip("abc", row, strict=True)) for row in rows]
