from __future__ import annotations

import base64
import json
import random
import re
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.language.intrinsics import (
    FUNCTIONS,
    IntrinsicError,
    IntrinsicSyntaxError,
    compile_intrinsic,
    is_intrinsic,
)
from treadle.language.queries.jsonpath import PathError
from treadle.language.scope import Scope


def scope(root: Any = None, seed: int = 0) -> Scope:
    return Scope(root, {"name": "Ann"}, lambda: {"State": {"Name": "S"}}, 0.0, random.Random(seed))


def run(text: str, root: Any = None) -> Any:
    return compile_intrinsic(text).read(scope(root))


def call(function: str, *arguments: Any) -> Any:
    """The function applied to values that come from the input."""
    paths = ", ".join(f"$[{index}]" for index in range(len(arguments)))
    return run(f"States.{function}({paths})", list(arguments))


VALUES: list[tuple[str, tuple[Any, ...], Any]] = [
    ("Format", ("no placeholder",), "no placeholder"),
    ("Format", ("{}",), IntrinsicError),
    ("Format", ("{} {}", "a"), IntrinsicError),
    ("Format", ("{}", "a", "b"), IntrinsicError),
    ("Format", ("{}-{}", "it's {}", 1), "it's {}-1"),
    ("Format", ("{} {} {} {}", 1.5, True, False, None), "1.5 true false null"),
    ("Format", ("{}", {"Arg1": 1, "Arg2": []}), "{Arg1=1, Arg2=[]}"),
    ("Format", ("{}", [{"a": None, "b": [True, "x", 1.0]}, {}]), "[{a=null, b=[true, x, 1.0]}, {}]"),
    ("Format", ("{} {} {}", 12345678.5, 1e-7, -1e21), "1.23456785E7 1.0E-7 -1.0E21"),
    ("Format", ("{} {} {}", 0.0, 9999999.5, 0.001), "0.0 9999999.5 0.001"),
    ("Format", ("{}", 12345678901234567890), "12345678901234567890"),
    ("Format", (r"\{\} \'\\ {}", 1), r"{} '\ 1"),
    ("Format", ("{", ), IntrinsicError),
    ("Format", ("}", ), IntrinsicError),
    ("Format", ("{x}", 1), IntrinsicError),
    ("Format", ("dangling \\",), IntrinsicError),
    ("Format", (r"\n",), IntrinsicError),
    ("Format", (1,), IntrinsicError),
    ("StringToJson", ("",), None),
    ("StringToJson", (" \n",), None),
    ("StringToJson", ("null",), None),
    ("StringToJson", ("-0",), 0),
    ("StringToJson", ("1.1",), 1.1),
    ("StringToJson", ('"text"',), "text"),
    ("StringToJson", (' {"a": [1, true]} ',), {"a": [1, True]}),
    ("StringToJson", ("{",), IntrinsicError),
    ("StringToJson", ("NaN",), IntrinsicError),
    ("StringToJson", ("[" * 100_000,), IntrinsicError),
    ("StringToJson", ("9" * 5_000,), IntrinsicError),
    ("StringToJson", (1,), IntrinsicError),
    ("JsonToString", ({"Arg1": 1, "Arg2": []},), '{"Arg1":1,"Arg2":[]}'),
    ("JsonToString", ("é\"\n",), '"é\\"\\n"'),
    ("JsonToString", (None,), "null"),
    ("JsonToString", ([True, 1.5, {}, [[]]],), "[true,1.5,{},[[]]]"),
    ("Array", (), []),
    ("Array", (None, [1], {"a": 1}, "x", 1.1), [None, [1], {"a": 1}, "x", 1.1]),
    ("ArrayPartition", ([1, 2, 3, 4, 5], 2), [[1, 2], [3, 4], [5]]),
    ("ArrayPartition", ([1, 2], 5), [[1, 2]]),
    ("ArrayPartition", ([1, 2, 3], 1.5), [[1, 2], [3]]),
    ("ArrayPartition", ([], 3), []),
    ("ArrayPartition", ([1], 0), IntrinsicError),
    ("ArrayPartition", ([1], 0.4), IntrinsicError),
    ("ArrayPartition", ([1], -1), IntrinsicError),
    ("ArrayPartition", ("a", 1), IntrinsicError),
    ("ArrayPartition", ([1], "1"), IntrinsicError),
    ("ArrayPartition", ([1], True), IntrinsicError),
    ("ArrayContains", ([[1, 2], {"a": 1, "b": []}], {"b": [], "a": 1}), True),
    ("ArrayContains", ([[1, 2]], [2, 1]), False),
    ("ArrayContains", ([1], 1.0), True),
    ("ArrayContains", ([1, "true"], True), False),
    ("ArrayContains", ([], None), False),
    ("ArrayContains", ([None], None), True),
    ("ArrayContains", ("abc", "a"), IntrinsicError),
    ("ArrayRange", (1, 9, 2), [1, 3, 5, 7, 9]),
    ("ArrayRange", (0, 10, 3), [0, 3, 6, 9]),
    ("ArrayRange", (1, 9, 9), [1]),
    ("ArrayRange", (3, 1, -1), [3, 2, 1]),
    ("ArrayRange", (1, 3, -1), []),
    ("ArrayRange", (0.5, 2.4, 0.6), [1, 2]),
    ("ArrayRange", (1, 1000, 1), list(range(1, 1001))),
    ("ArrayRange", (0, 1000, 1), IntrinsicError),
    ("ArrayRange", (0, 1e300, 1), IntrinsicError),
    ("ArrayRange", (0, float("inf"), 1), IntrinsicError),
    ("ArrayRange", (1, 9, 0), IntrinsicError),
    ("ArrayRange", (1, "9", 1), IntrinsicError),
    ("ArrayGetItem", ([5, 6, 7], 2), 7),
    ("ArrayGetItem", ([5], 1), IntrinsicError),
    ("ArrayGetItem", ([5], -1), IntrinsicError),
    ("ArrayGetItem", ({"a": 1}, 0), IntrinsicError),
    ("ArrayLength", ([1, [2, 3]],), 2),
    ("ArrayLength", ("abc",), IntrinsicError),
    (
        "ArrayUnique",
        ([None, None, True, 1, 1, 1.1, 0, False, "1", [], [], [None], {"a": 1, "b": 2}, {"b": 2, "a": 1}],),
        [None, True, 1, 1.1, 0, False, "1", [], [None], {"a": 1, "b": 2}],
    ),
    ("ArrayUnique", (None,), IntrinsicError),
    ("Base64Encode", ("Data to encode",), "RGF0YSB0byBlbmNvZGU="),
    ("Base64Encode", ("",), ""),
    ("Base64Encode", ("ü",), "w7w="),
    ("Base64Encode", ("a" * 10_001,), IntrinsicError),
    ("Base64Encode", (1,), IntrinsicError),
    ("Base64Decode", ("RGF0YSB0byBlbmNvZGU=",), "Data to encode"),
    ("Base64Decode", ("RGF0YSB0byBlbmNvZGU",), "Data to encode"),
    ("Base64Decode", ("",), ""),
    ("Base64Decode", ("/w==",), "�"),
    ("Base64Decode", ("not base64!",), IntrinsicError),
    ("Base64Decode", ("é",), IntrinsicError),
    ("Base64Decode", ("A" * 10_004,), IntrinsicError),
    ("Hash", ("input data", "MD5"), "812f45842bc6d66ee14572ce20db8e86"),
    ("Hash", ("input data", "SHA-1"), "aaff4a450a104cd177d28d18d74485e8cae074b7"),
    ("Hash", ("", "SHA-256"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("Hash", ([1], "MD5"), "35dba5d75538a9bbe0b4da4422759a0e"),
    ("Hash", ("a", "SHA-3"), IntrinsicError),
    ("Hash", ("a" * 10_001, "MD5"), IntrinsicError),
    ("JsonMerge", ({"a": {"x": 1}, "b": 1}, {"a": {"y": 2}}, False), {"a": {"y": 2}, "b": 1}),
    ("JsonMerge", ({}, {}, True), IntrinsicError),
    ("JsonMerge", ({}, {}, 0), IntrinsicError),
    ("JsonMerge", ({}, [], False), IntrinsicError),
    ("MathAdd", (-9, 3), -6),
    ("MathAdd", (1.5, 0), 2),
    ("MathAdd", (2.5, 0), 3),
    ("MathAdd", (-0.5, 0), 0),
    ("MathAdd", (-1.5, 0), -1),
    ("MathAdd", (-1.51, 1.49), -1),
    ("MathAdd", (0.49999999999999994, 0), 0),
    ("MathAdd", (2**31 - 1, 0), 2**31 - 1),
    ("MathAdd", (2**31 - 1, 1), IntrinsicError),
    ("MathAdd", (2**31, -1), IntrinsicError),
    ("MathAdd", ("1", 1), IntrinsicError),
    ("MathAdd", (True, 1), IntrinsicError),
    ("MathRandom", (5, 6), 5),
    ("MathRandom", (5, 5), IntrinsicError),
    ("MathRandom", (6, 5), IntrinsicError),
    ("MathRandom", (0, 2**31), IntrinsicError),
    ("MathRandom", (0, "1"), IntrinsicError),
    ("StringSplit", ("1,2,3", ","), ["1", "2", "3"]),
    ("StringSplit", ("This.is+a,test=string", ".+,="), ["This", "is", "a", "test", "string"]),
    ("StringSplit", ("a-]b^c\\d[e", "-]^\\["), ["a", "b", "c", "d", "e"]),
    ("StringSplit", (",,,,", ","), []),
    ("StringSplit", (", , ,", ","), [" ", " "]),
    ("StringSplit", ("ab", ""), ["ab"]),
    ("StringSplit", ("", ","), []),
    ("StringSplit", (1, ","), IntrinsicError),
]  # fmt: skip


@pytest.mark.parametrize(("function", "arguments", "expected"), VALUES)
def test_a_function_gives_its_value_or_says_why_it_cannot(
    function: str, arguments: tuple[Any, ...], expected: Any
) -> None:
    if expected is IntrinsicError:
        with pytest.raises(IntrinsicError, match=rf"^States\.{function}: \w"):
            call(function, *arguments)
        return
    result = call(function, *arguments)
    assert (json.dumps(result), type(result)) == (json.dumps(expected), type(expected))


def test_every_function_of_the_table_has_a_case() -> None:
    tested = {f"States.{function}" for function, _, _ in VALUES}
    assert set(FUNCTIONS) - tested == {"States.UUID"}
    assert len(FUNCTIONS) == 18


WRITTEN = [
    ("States.Array()", []),
    ("States.Array( )", []),
    ("States.Array(1, -2.5, 1e2, true, false, null, '')", [1, -2.5, 100.0, True, False, None, ""]),
    ("States.Array ( 'a' ,'b' ) ", ["a", "b"]),
    (r"States.Array('it\'s', '\\', '\{\}', '{\"}')".replace('\\"', '"'), ["it's", "\\", "{}", '{"}']),
    ("States.Array('line\nbreak', ',)')", ["line\nbreak", ",)"]),
    ("States.Array($, $.a, $['a'] , $$.State.Name, $name)", [{"a": [1, 2]}, [1, 2], [1, 2], "S", "Ann"]),
    ("States.Array($.a[?(@ > 1 && (@ in [1, 2]))], $.a.length(), $.a[0,1])", [[2], 2, [1, 2]]),
    ("States.Array($[?(@.x != ')]' && @.y =~ /[)(]/)])", [[]]),
    ("States.Format('{}: {}', $name, States.ArrayGetItem($.a, States.MathAdd(0, 1)))", "Ann: 2"),
    (r"States.Format('\{{}\} \'{}\' \\', 1, 2)", r"{1} '2' \ ".strip()),
    (r"States.Format(States.Format('\{\}'))", IntrinsicError),
    ("""States.StringToJson('{"a": {"b": 1}}')""", {"a": {"b": 1}}),
    ("States.StringSplit('Hello\nWorld', '\n')", ["Hello", "World"]),
]


@pytest.mark.parametrize(("text", "expected"), WRITTEN)
def test_arguments_are_literals_paths_and_functions(text: str, expected: Any) -> None:
    if expected is IntrinsicError:
        with pytest.raises(IntrinsicError):
            run(text, {"a": [1, 2]})
    else:
        assert run(text, {"a": [1, 2]}) == expected


def test_a_compiled_intrinsic_tells_its_functions_and_queries() -> None:
    intrinsic = compile_intrinsic("States.Format('{}{}', $.a, States.ArrayGetItem($items, States.MathAdd($.a, 1)))")
    assert intrinsic.functions == {"States.Format", "States.ArrayGetItem", "States.MathAdd"}
    assert [(query.text, query.variable) for query in intrinsic.queries] == [
        ("$.a", None),
        ("$items", "items"),
        ("$.a", None),
    ]


def test_a_path_that_finds_nothing_stays_a_path_error() -> None:
    with pytest.raises(PathError) as caught:
        run("States.Format('{}', $.a.b)", {})
    assert caught.value.path == "$.a.b"


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("$.a", 0),
        ("States", 0),
        ("States.Format", 0),
        ("States.Unknown()", 0),
        ("States.format('')", 0),
        ("States.Array(", 13),
        ("States.Array(,)", 13),
        ("States.Array(1,)", 15),
        ("States.Array(1 2)", 15),
        ("States.Array(01)", 13),
        ("States.Array(1.)", 13),
        ("States.Array(yes)", 13),
        ('States.Array("a")', 13),
        ("States.Array('a)", 13),
        ("States.Array('a\\')", 13),
        ("States.Array($.)", 15),
        ("States.Array($.a[)", 17),
        ("States.Array() x", 15),
        ("States.Array())", 14),
        ("States.Array('\\n')", 14),
        # Observed on AWS: an escaped double quote is refused when the state machine is created.
        ("""States.StringToJson('{"text":"\\"quoted\\""}')""", 30),
        ("States.Format()", 0),
        ("States.UUID(1)", 0),
        ("States.MathAdd(1)", 0),
        ("States.MathAdd(1,2,3)", 0),
        ("States.MathRandom(1)", 0),
        ("States.MathRandom(1,2,3,4)", 0),
        ("States.JsonMerge($.a,$.b)", 0),
        ("States.Array(States.Hash('a'))", 13),
    ],
)
def test_a_text_that_is_no_intrinsic_is_refused_with_the_place(text: str, position: int) -> None:
    with pytest.raises(IntrinsicSyntaxError) as caught:
        compile_intrinsic(text)
    assert caught.value.position == position
    assert caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("States.UUID()", True), ("States.", True), ("$.a", False), ("$States.x", False), ("", False)],
)
def test_an_intrinsic_is_told_from_a_path_by_its_prefix(text: str, expected: bool) -> None:
    assert is_intrinsic(text) is expected


def nested_calls(depth: int) -> str:
    return "States.Array(" * depth + ")" * depth


def test_functions_may_be_nested_ten_deep() -> None:
    assert run(nested_calls(10)) == [[[[[[[[[[]]]]]]]]]]
    with pytest.raises(IntrinsicSyntaxError, match="nested 10 deep"):
        compile_intrinsic(nested_calls(11))


def test_a_uuid_is_of_version_4_and_drawn_from_the_scope() -> None:
    intrinsic = compile_intrinsic("States.UUID()")
    drawn = [intrinsic.read(scope(seed=seed)) for seed in range(50)]
    assert len(set(drawn)) == 50
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each) for each in drawn)
    assert {(uuid.UUID(each).version, uuid.UUID(each).variant) for each in drawn} == {(4, uuid.RFC_4122)}
    assert intrinsic.read(scope(seed=7)) == intrinsic.read(scope(seed=7))


def test_a_seeded_random_number_is_that_of_java() -> None:
    assert run("States.MathRandom(10, 20, 42)") == 10
    assert run("States.MathRandom(-5, 5, 42.4)") == -5


def test_a_random_number_without_a_seed_is_drawn_from_the_scope() -> None:
    intrinsic = compile_intrinsic("States.MathRandom(-3, 3)")
    assert {intrinsic.read(scope(seed=seed)) for seed in range(200)} == {-3, -2, -1, 0, 1, 2}


def test_a_deep_value_breaks_no_function() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = {"a": [deep]}
    assert run("States.JsonToString($)", deep).startswith('{"a":[{"a":[')
    assert run("States.Format('{}', $)", deep).startswith("{a=[{a=[")
    assert run("States.ArrayContains($, $[0])", [deep, deep])
    assert len(run("States.ArrayUnique($)", [deep, deep])) == 1
    assert run("States.ArrayContains($, 1)", [deep]) is False
    with pytest.raises(IntrinsicError, match=r"must be a string, but is .*\.\.\.$"):
        run("States.StringToJson($)", deep)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS)
def test_a_literal_is_the_text_that_was_escaped(text: str) -> None:
    escaped = re.sub(r"(['{}\\])", r"\\\1", text)
    assert run(f"States.Array('{escaped}')") == [text]
    assert run(f"States.Format('{escaped}')") == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_base64_goes_both_ways(text: str) -> None:
    assert run("States.Base64Decode(States.Base64Encode($))", text) == text
    assert call("Base64Encode", text) == base64.b64encode(text.encode()).decode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_json_written_is_json_read(value: Any) -> None:
    text = call("JsonToString", value)
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert call("StringToJson", text) == value


PIECES = st.sampled_from(
    ["States.", "Array", "Format", "UUID", "MathAdd", "(", ")", ",", "'", "\\", "{}", "$", "$$", ".a", "[?(", "]", "1",
     "-", "1.5", "true", " ", "'a'", "$.a", "States.Array(", "States.Format('{}',", "é", "[['", '"']
)  # fmt: skip


@given(st.text(max_size=20) | st.lists(PIECES, max_size=14).map("".join))
def test_any_text_is_an_intrinsic_or_a_syntax_error(text: str) -> None:
    for candidate in (text, f"States.Array({text})", f"States.Format({text}"):
        try:
            compile_intrinsic(candidate)
        except IntrinsicSyntaxError as error:
            assert 0 <= error.position <= len(candidate)


@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(JSON, max_size=3))
def test_any_arguments_give_a_value_or_an_intrinsic_error(name: str, arguments: list[Any]) -> None:
    paths = ", ".join(f"$[{index}]" for index in range(len(arguments)))
    try:
        intrinsic = compile_intrinsic(f"{name}({paths})")
    except IntrinsicSyntaxError:
        return
    try:
        json.dumps(intrinsic.read(scope(arguments)))
    except IntrinsicError as error:
        assert str(error).startswith(f"{name}: ")
