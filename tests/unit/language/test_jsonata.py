"""JSONata: what expressions evaluate to, which names they use, and that none of them can harm the process."""

from __future__ import annotations

import copy
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.language.queries.jsonata import (
    UNDEFINED,
    UNSUPPORTED,
    JsonataError,
    JsonataSyntaxError,
    compile_expression,
)
from treadle.language.scope import Scope

DOCUMENT: Any = {
    "order": {
        "id": "o-1",
        "customer": {"name": "Ada", "email": None},
        "items": [
            {"sku": "a", "qty": 2, "price": 3.5, "tags": ["x", "y"]},
            {"sku": "b", "qty": 1, "price": 10, "tags": []},
            {"sku": "c", "qty": 5, "price": 0.2, "tags": ["x"]},
        ],
    },
    "nums": [3, 1, 2],
    "empty": [],
    "one": [7],
    "nested": [[1, 2], [3, [4]]],
    "text": "Hello World",
    "flag": True,
    "nil": None,
    "obj": {"k1": 1, "k2": "two", "k3": [1, 2]},
    "a b": 1,
    "zero": 0,
    "blank": "",
    "noth": {},
    "people": [
        {"n": "Bo", "age": 30, "city": "Rome", "pets": [{"p": "cat"}, {"p": "dog"}]},
        {"n": "Al", "age": 25, "city": "Oslo", "pets": [{"p": "eel"}]},
        {"n": "Cy", "age": 30, "city": "Rome"},
    ],
    "big": 123456789012345,
    "emoji": "a😀b",
    "and": 4,
    "deep": {"x": {"x": {"y": 1}}, "y": 2},
}
VARIABLES: Any = {
    "d": DOCUMENT,
    "s": "str",
    "n": 5,
    "list": [1, 2, 3],
    "o": {"a": {"b": [{"c": 1}, {"c": 2}]}},
    "nul": None,
    "e": [],
    "no": {},
}
NOON = 1_700_000_000.5


def scope(variables: Any = VARIABLES, seed: int = 1) -> Scope:
    context = {"Execution": {"Id": "arn"}, "State": {"Name": "Pay"}}
    return Scope(DOCUMENT, variables, lambda: context, NOON, random.Random(seed))


def outcome(text: str, within: Scope | None = None) -> str:
    """What an expression comes to, in the notation of the case file."""
    try:
        value = compile_expression(text).read(within or scope())
    except JsonataSyntaxError as error:
        return f"syntax {error.position} {error}"
    except JsonataError as error:
        return f"error {error}"
    if value is UNDEFINED:
        return "undefined"
    return "unsupported" if value is UNSUPPORTED else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def cases() -> list[Any]:
    """`expression => outcome` lines under `## heading` lines; outcomes were checked against jsonata.js 2.0.6."""
    found: list[Any] = []
    heading = ""
    for line in (Path(__file__).parent / "jsonata_cases.txt").read_text(encoding="utf-8").split("\n"):
        if line.startswith("## "):
            heading = line[3:]
        elif line:
            expression, _, expected = line.partition(" => ")
            found.append(pytest.param(expression, expected, id=f"{heading}: {expression}"))
    return found


@pytest.mark.parametrize(("expression", "expected"), cases())
def test_an_expression_comes_to_what_jsonata_defines(expression: str, expected: str) -> None:
    before = copy.deepcopy(VARIABLES)
    assert outcome(expression) == expected
    assert before == VARIABLES


# --- What AWS adds and removes ----------------------------------------------------------------------------------------

AWS = {
    "$partition([1,2,3,4,5],2)": "[[1,2],[3,4],[5]]",
    "$partition([1,2,3,4,5],2.9)": "[[1,2],[3,4],[5]]",
    "$partition([1,2],5)": "[1,2]",
    "$partition($nope,2)": "undefined",
    "$partition([1],0)": "error D3137: The second argument of partition function must evaluate to a positive number",
    "$range(1,9,2)": "[1,3,5,7,9]",
    "$range(1,9,3)": "[1,4,7]",
    "$range(1,9,9)": "1",
    "$range(9,1,-4)": "[9,5,1]",
    "$range(1.9,3.9,1.9)": "[1,2,3]",
    "$range(5,1,1)": "undefined",
    "$range(1,5,0)": "error D3137: The third argument of range function must not be zero",
    '$hash("abc","MD5")': '"900150983cd24fb0d6963f7d28e17f72"',
    '$hash("abc","SHA-1")': '"a9993e364706816aba3e25717850c26c9cd0d89d"',
    '$hash("abc","SHA-256")': '"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"',
    '$length($hash({"a":1},"SHA-384"))': "96",
    '$length($hash("","SHA-512"))': "128",
    '$hash("abc","CRC")': "error D3137: The algorithm of hash function must be one of "
    "MD5, SHA-1, SHA-256, SHA-384, SHA-512",
    "$parse('{\"a\":[1,2.0,0.5,null]}')": '{"a":[1,2,0.5,null]}',
    '$parse("[1").x': "error D3137: The argument of parse function must be a valid JSON string",
    '$parse("NaN")': "error D3137: The argument of parse function must be a valid JSON string",
    "$random(7) = $random(7)": "true",
    "$random(42)": "0.7275636800328681",
    "$random(42.9) = $random(42)": "true",
    "$random(7) = $random(8)": "false",
    "$random() = $random()": "false",
    "$random() >= 0 and $random() < 1": "true",
    "$uuid() = $uuid()": "false",
    "$contains($uuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)": "true",
    "$now()": '"2023-11-14T22:13:20.500Z"',
    '$now("[Y]","+0100")': '"2023"',
    "$millis()": "1700000000500",
    '$toMillis("10:30","[H]:[m]") = $toMillis("2023-11-14T10:30:00Z")': "true",
    '$eval("1")': "error T1006: Attempted to invoke a non-function",
}


@pytest.mark.parametrize(("expression", "expected"), AWS.items())
def test_the_functions_of_step_functions(expression: str, expected: str) -> None:
    assert outcome(expression) == expected


def test_random_numbers_come_from_the_scope_alone() -> None:
    draws = [compile_expression("[$random(), $uuid(), $shuffle([1..9])]").read(scope(seed=4)) for _ in range(2)]
    assert draws[0] == draws[1]


def test_states_shows_what_the_moment_has() -> None:
    moment = scope()
    assert compile_expression("$states").read(moment) == {"input": DOCUMENT, "context": moment.context}
    moment.result = 5
    assert compile_expression("$keys($states)").read(moment) == ["input", "context", "result"]
    moment.result, moment.error = None, {"Error": "Oops"}
    assert compile_expression("$keys($states)").read(moment) == ["input", "context", "errorOutput"]
    assert compile_expression("$states.errorOutput.Error").read(moment) == "Oops"
    assert compile_expression("$states.result").read(moment) is None
    assert compile_expression("$states.context.State.Name").read(moment) == "Pay"


def test_the_context_object_is_built_only_when_it_is_read() -> None:
    def describe() -> dict[str, Any]:
        raise AssertionError("nobody asked for it")

    assert compile_expression("$states.input.a").read(Scope({"a": 1}, {}, describe, 0.0, random.Random(1))) == 1


def test_a_workflow_variable_hides_a_function_of_the_same_name() -> None:
    assert outcome("$count", scope({"count": 3})) == "3"


def test_a_value_of_the_input_is_handed_out_as_it_is() -> None:
    assert compile_expression("$states.input.order").read(scope()) is DOCUMENT["order"]


def test_a_result_holds_nothing_but_plain_json() -> None:
    def kinds(value: Any) -> set[type]:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return {type(value)}.union(*map(kinds, inside))

    texts = [
        '{"a":$d.people.n,"b":[$d.people.pets],"c":$d.people.[n,age],"d":$match("abc",/b(x)?/)}',
        "[$map([1..3],function($x){$filter([1..3],function($y){$y=$x})})]",
        "$d.people.{'n':pets.p[]}",
    ]
    for text in texts:
        assert kinds(compile_expression(text).read(scope())) <= {dict, list, str, int, float, type(None)}


@pytest.mark.parametrize("text", ['{"f":$sum}', "[function($x){$x}]", "[[$sum]]", "$append(1,$sum)", "$zip([1],$sum)"])
def test_a_function_anywhere_in_the_result_is_unsupported(text: str) -> None:
    assert outcome(text) == "unsupported"


def test_an_object_of_the_input_survives_a_transformation_that_names_it() -> None:
    before = copy.deepcopy(DOCUMENT)
    outcome('$d.order ~> |$d.obj|{"k1":2},"k2"|')
    assert before == DOCUMENT


# --- Names ------------------------------------------------------------------------------------------------------------

NAMES = {
    "$x + $y.z": {"x", "y"},
    "$sum($x)": {"x"},
    "$d.people.name": {"d"},
    "($a := 1; $a + $b)": {"b"},
    "($a; $a := 1)": {"a"},
    "($a := $a + 1; $a)": {"a"},
    "(($a := 1); $a)": {"a"},
    "$a := 1": set(),
    "function($x){$x + $y}": {"y"},
    "(function($x){$x})($x)": {"x"},
    "($f := function($n){$n = 0 ? 1 : $f($n - 1)}; $f($m))": {"m"},
    "($g := function(){$later}; $later := 1; $g())": set(),
    "$map($list, function($v, $i){$v + $i + $k})": {"list", "k"},
    "$list[$ > $limit]": {"list", "limit"},
    "$p@$q.x.{'a': $q, 'b': $r}": {"p", "r"},
    "$p#$i[$i > $j].x": {"p", "j"},
    "$p^($key)": {"p", "key"},
    "$p{$k: $v}": {"p", "k", "v"},
    "$p ~> |$q|{'a': $r}, $t|": {"p", "q", "r", "t"},
    "$ & $$": set(),
    "$substring(?, $n)": {"n"},
    "'$x' & /$y/": set(),
    "/* $x */ $y": {"y"},
    "$states.input.a": {"states"},
}


@pytest.mark.parametrize(("text", "expected"), NAMES.items())
def test_the_free_variables_of_an_expression(text: str, expected: set[str]) -> None:
    assert compile_expression(text).variables == expected


FIELDS = {
    "$states.input.a.result": {"input"},
    "$states.input.a + $states.result": {"input", "result"},
    "$states.errorOutput.Error": {"errorOutput"},
    "$states.'context'.State": {"context"},
    "$states": {"*"},
    "$states.*": {"*"},
    "$lookup($states, 'input')": {"*"},
    "$states.(input)": {"*"},
    "$map([1], function($i){$states.input[$i]})": {"input"},
    "function($states){$states.input}": set(),
    "$x.states.input": set(),
}


@pytest.mark.parametrize(("text", "expected"), FIELDS.items())
def test_the_fields_an_expression_reads_off_states(text: str, expected: set[str]) -> None:
    assert compile_expression(text).states_fields == expected


def test_the_text_is_shown_without_the_space_around_it() -> None:
    assert compile_expression("  $x + 1 ").text == "$x + 1"


# --- Limits -----------------------------------------------------------------------------------------------------------

TIMEOUT, MEMORY, STACK = (
    "error Expression evaluation timeout",
    "error Expression evaluation memory limit exceeded",
    "error Stack overflow error",
)
DOUBLE = "($f := function($s, $n){$n = 0 ? $s : $f(%s, $n - 1)}; $f(%s, 40))"
LIMITS = {
    "endless recursion": ("($f := function($x){$f($x) + 1}; $f(1))", STACK),
    "endless recursion through map": ("($f := function($x){$map([$x], $f)[0] + 1}; $f(1))", STACK),
    "endless tail recursion": ("($f := function($x){$f($x)}; $f(1))", TIMEOUT),
    "endless mutual recursion": ("($a := function($x){$b($x)}; $b := function($x){$a($x)}; $a(1))", TIMEOUT),
    "a long range": ("[1..10000000]", MEMORY),
    "a range beyond all": (
        "[1..10000001]",
        "error D2014: The size of the sequence allocated by the range operator (..) must not exceed 1e6.  "
        "Attempted to allocate 10000001.",
    ),
    "a long $range": ("$range(1, 1000000000, 1)", MEMORY),
    "a growing string": (DOUBLE % ("$s & $s", "'abcdefgh'"), MEMORY),
    "a growing array": (DOUBLE % ("$append($s, $s)", "[1]"), MEMORY),
    "a growing object": (DOUBLE % ("[$s, $s]", "[1]"), MEMORY),
    "a growing text": ("$string(" + (DOUBLE % ("{'a': [[$s], [$s]]}", "1")).replace("40", "30") + ")", TIMEOUT),
    "a result that shares what it repeats": (DOUBLE % ("[[$s], [$s]]", "1"), MEMORY),
    "a result nested too deeply": (DOUBLE.replace("40", "5000") % ("{'a': $s}", "1"), STACK),
    "long strings in a path": ("[1..19999].($pad('a', 290000))", MEMORY),
    "long strings in arguments": ("$zip(" + ",".join(["[$pad('a', 290000)]"] * 3000) + ")", MEMORY),
    "long strings in variables": ("(" + ";".join(f"$a{i} := $pad('a', 290000)" for i in range(3000)) + ")", MEMORY),
    "a wide pad": ("$pad('a', 1000000000)", MEMORY),
    "a wide replacement": ("$replace($pad('', 100000, 'a'), 'a', $pad('', 100000, 'b'))", MEMORY),
    "many wide pads": ("$map([1..1000], function($i){$pad('a', 900000)})", MEMORY),
    "nested loops": ("$map([1..3000], function($x){$map([1..3000], function($y){$y})})", TIMEOUT),
    "nested paths": ("$count([1..3000].([1..3000].(1)))", TIMEOUT),
    "nested predicates": ("[1..3000][$count([1..3000][$ = 1]) = 0]", TIMEOUT),
    "a slow comparison": ("$sort([1..100000], function($a, $b){$a < $b})", TIMEOUT),
    "quadratic equality": ("$distinct([1..20000].{'a': $})", TIMEOUT),
    "an exponential regex": ("$contains('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', /^(a+)+$/)", TIMEOUT),
    "a polynomial regex": ("$contains($pad('a', 20000, 'a'), /a*a*a*a*b/)", TIMEOUT),
}


@pytest.mark.parametrize(("text", "expected"), LIMITS.values(), ids=LIMITS.keys())
def test_what_takes_too_much_is_stopped(text: str, expected: str) -> None:
    start = time.process_time()
    assert outcome(text) == expected
    assert time.process_time() - start < 5


@pytest.mark.parametrize("text", ["(" * 5000 + "1" + ")" * 5000, "[" * 20000, "1" + "+1" * 20000, "$a" + ".b" * 20000])
def test_what_is_nested_too_deeply_is_no_expression(text: str) -> None:
    assert outcome(text) == "syntax 0 S0500: The expression is nested too deeply"


def test_a_regex_that_is_none_is_a_syntax_error() -> None:
    assert outcome("/a{2,1}/") == (
        "syntax 8 S0500: Invalid regular expression: /a{2,1}/g: numbers out of order in {} quantifier"
    )


ENOUGH = {
    "($f := function($n){$n = 0 ? 0 : 1 + $f($n - 1)}; $f(100))": "100",
    "($f := function($n, $s){$n = 0 ? $s : $f($n - 1, $s + $n)}; $f(50000, 0))": "1250025000",
    "$sum([1..100000])": "5000050000",
    "$length($reduce([1..5000], function($a, $b){$a & 'abcdefghij'}, ''))": "50000",
    "$count($reduce([1..3000], function($a, $b){$append($a, $b)}, []))": "3000",
    "$sort([1..3000], function($a, $b){$a < $b})[0]": "3000",
    "$count($split($pad('', 60000, 'ab\\n'), /\\n/))": "20001",
    "$count($d.people.([1..1000].{'n': $}))": "3000",
}


@pytest.mark.parametrize(("text", "expected"), ENOUGH.items())
def test_what_a_workflow_may_well_do_stays_within_the_limits(text: str, expected: str) -> None:
    assert outcome(text) == expected


def test_an_expression_compiled_in_one_thread_runs_in_any() -> None:
    texts = ["$sum($d.order.items.(qty * price))", "$match($d.text, /(\\w+) (\\w+)/).groups", "$f := $sum($list)"]
    compiled = [compile_expression(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: [each.read(scope()) for each in compiled], range(50)))
    assert results == [[18, ["Hello", "World"], 6]] * 50


def test_a_stopped_evaluation_leaves_the_expression_usable() -> None:
    expression = compile_expression("($f := function($n){$n = 0 ? 'done' : $f($n - 1)}; $f($m))")
    with pytest.raises(JsonataError):
        expression.read(scope({"m": -1}))
    assert expression.read(scope({"m": 3})) == "done"


# --- Properties -------------------------------------------------------------------------------------------------------

NUMBERS = st.integers(-(10**14), 10**14) | st.integers(-(10**6), 10**6).map(lambda number: number / 8)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_text_that_is_parsed_again_is_the_same_value(value: Any) -> None:
    where = scope({"x": value})
    parsed = compile_expression("$parse($string($x))").read(where) if not isinstance(value, str) else value
    assert parsed == value
    assert compile_expression("$x = $parse($string([$x]))").read(scope({"x": [value]})) is True


@given(st.lists(st.integers(-50, 50), max_size=30))
def test_sorting_by_a_function_sorts_as_sorting_does(numbers: list[int]) -> None:
    text = "[$sort($x, function($a, $b){$a > $b})]"
    assert compile_expression(text).read(scope({"x": numbers})) == sorted(numbers)


@given(st.text(alphabet="ab(){}[]|*+?^$.\\d-,1", min_size=1, max_size=12), st.text(alphabet="ab1-", max_size=8))
def test_any_text_between_slashes_matches_or_is_refused(pattern: str, text: str) -> None:
    try:
        expression = compile_expression(f"$contains($x, /{pattern}/)")
    except JsonataSyntaxError:
        return
    try:
        assert expression.read(scope({"x": text})) in (True, False, UNDEFINED)
    except JsonataError as error:
        assert str(error)[:5] in ("T0410", "T2001", "T2002", "T1006", "D1001", "Expre")


@given(st.text(alphabet="$x.[]{}()1\"'ab:;,+-*/%&=<>~|?@#^! \n", max_size=14))
def test_any_text_evaluates_or_fails_in_the_terms_of_jsonata(text: str) -> None:
    try:
        compile_expression(text).read(scope({"x": {"a": [1, {"b": 2}]}}))
    except (JsonataSyntaxError, JsonataError):
        return
