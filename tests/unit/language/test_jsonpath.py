from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from treadle.language.queries.jsonpath import (
    PathError,
    PathSyntaxError,
    compile_path,
    compile_query,
    place,
)
from treadle.language.scope import Scope

STORE = {
    "store": {
        "book": [
            {"title": "Sayings", "author": "Rees", "price": 8.95, "tags": ["a", "b"]},
            {"title": "Sword", "author": "Waugh", "price": 12, "tags": []},
            {"title": "Moby", "author": "Melville", "price": 8.99, "isbn": "0-553"},
            {"title": "Rings", "author": "Tolkien", "price": 22.99, "isbn": "0-395", "tags": ["a"]},
        ],
        "bicycle": {"color": "red", "price": 19.95},
    },
    "limit": 10,
    "odd keys": {"it's": 1, 'say "hi"': 2, "dotted.name": 3, "straße": 4, "a-b": 5, "é": 6, "tab\t": 7},
    "list": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    "matrix": [[1, 2], [3, 4]],
    "text": "abc",
    "nothing": None,
}


DEFINITE = [
    ("$", STORE),
    ("$.limit", 10),
    ("$.limit  ", 10),
    ("$.nothing", None),
    ("$.store.bicycle.color", "red"),
    ("$['store']['bicycle'][\"color\"]", "red"),
    ("$.['store'].bicycle", {"color": "red", "price": 19.95}),
    ("$[ 'store' ].book[ 0 ].title", "Sayings"),
    ("$.store.book[0].title", "Sayings"),
    ("$.store.book[-1].title", "Rings"),
    ("$.matrix[1][0]", 3),
    ("$.store.book[0].tags[0]", "a"),
    ("$['odd keys']['it\\'s']", 1),
    ("$['odd keys'][\"it's\"]", 1),
    ("$['odd keys']['say \"hi\"']", 2),
    ("$['odd keys']['dotted.name']", 3),
    ("$['odd keys'].dotted\\.name", 3),
    ("$['odd keys'].straße", 4),
    ("$['odd keys'].a-b", 5),
    ("$['odd keys']['\\u00e9']", 6),
    ("$['odd keys']['tab\\t']", 7),
    ("$.store.bicycle['color','price']", {"color": "red", "price": 19.95}),
    ("$.store.bicycle['color','absent']", {"color": "red"}),
    ("$.list.length()", 10),
    ("$.store.bicycle.length()", 2),
    ("$.text.length()", None),
    ("$..book.length()", 4),
    ("$.length($.list)", 10),
    ("$.length($.absent)", 0),
    ("$.list.min()", 0.0),
    ("$.list.max()", 9.0),
    ("$.list.avg()", 4.5),
    ("$.list.sum()", 45.0),
    ("$.list.sum(5, $.limit)", 60.0),
    ("$.sum($.matrix[0], 4)", 7.0),
    ("$..price.max()", 22.99),
    ("$.matrix[0].stddev()", 0.5),
    ("$.store.keys()", ["book", "bicycle"]),
    ("$.list.keys()", None),
    ("$.store.book[0].tags.concat()", "ab"),
    ("$.store.book[0].tags.concat('-', $.text)", "ab-abc"),
    ("$.matrix[0].append(3, 'x', [4], {\"k\": null})", [1, 2, 3, "x", [4], {"k": None}]),
    ("$.text.append(3)", "abc"),
    ("$.list.first()", 0),
    ("$.list.last()", 9),
    ("$.list.index(2)", 2),
    ("$.list.index(-2)", 8),
    ("$.store.book.last().title", "Rings"),
]


@pytest.mark.parametrize(("text", "expected"), DEFINITE, ids=[text for text, _ in DEFINITE])
def test_a_definite_path_gives_one_node(text: str, expected: Any) -> None:
    path = compile_path(text)
    assert path.definite
    assert path.read(STORE) == expected


INDEFINITE = [
    ("$.list[*]", STORE["list"]),
    ("$.store.bicycle.*", ["red", 19.95]),
    ("$.text[*]", []),
    ("$.list[0,2,-1,99]", [0, 2, 9]),
    ("$.list[2:4]", [2, 3]),
    ("$.list[:-8]", [0, 1]),
    ("$.list[7:]", [7, 8, 9]),
    ("$.list[-2:]", [8, 9]),
    ("$.list[::3]", [0, 3, 6, 9]),
    ("$.list[::-4]", [9, 5, 1]),
    ("$.list[:]", STORE["list"]),
    ("$.store.book[*].title", ["Sayings", "Sword", "Moby", "Rings"]),
    ("$.store.book[*].isbn", ["0-553", "0-395"]),
    ("$.store.book[:2].tags[0]", ["a"]),
    ("$.matrix[*][1]", [2, 4]),
    ("$.matrix[*].length()", [2, 2]),
    ("$.matrix[*].sum()", [3.0, 7.0]),
    ("$.store['book','bicycle'].price", [19.95]),
    (
        "$.store.book[*]['title','isbn']",
        [
            {"title": "Sayings"},
            {"title": "Sword"},
            *({"title": book["title"], "isbn": book["isbn"]} for book in STORE["store"]["book"][2:]),
        ],
    ),
    ("$..['title','isbn']", [{"title": "Moby", "isbn": "0-553"}, {"title": "Rings", "isbn": "0-395"}]),
    ("$..price", [8.95, 12, 8.99, 22.99, 19.95]),
    ("$..book[0].title", ["Sayings"]),
    ("$..[1]", [STORE["store"]["book"][1], "b", 1, [3, 4], 2, 4]),
    ("$.matrix..*", [[1, 2], [3, 4], 1, 2, 3, 4]),
    ("$.matrix..[*]", [[1, 2], [3, 4], 1, 2, 3, 4]),
    # A missing prefix of an indefinite path is no error.
    ("$.absent[*]", []),
    ("$.absent.deeper[1:5].value", []),
    ("$.nothing[*].x", []),
    ("$.text[:1].x", []),
]


@pytest.mark.parametrize(("text", "expected"), INDEFINITE, ids=[text for text, _ in INDEFINITE])
def test_an_indefinite_path_gives_a_list(text: str, expected: Any) -> None:
    path = compile_path(text)
    assert not path.definite
    assert path.read(STORE) == expected


ROWS = [
    {"id": 1, "n": 1, "s": "abc", "l": ["a", "b"], "o": {"k": 1}, "t": True, "z": None},
    {"id": 2, "n": 2.5, "s": "", "l": [], "o": {}, "t": False, "e": "x"},
    {"id": 3, "n": "2", "s": "Äpfel 7", "l": ["b", 3]},
]

FILTERS = [
    ("@.n == 1", [1]),
    ("@.n == 1.0", [1]),
    ("1 == @.n", [1]),
    ("@.n == '1'", [1]),  # a number equals the text that reads as it
    ("@.n == 'x'", []),
    ("@.n == 2", [3]),
    ("@.n == 2.0", []),  # a text on the left is compared with the number's text
    ("@.s == 'abc'", [1]),
    ('@.s == "abc"', [1]),
    ("@.t == true", [1]),
    ("@.t == 1", []),
    ("@.z == null", [1]),
    ("@.l == ['a', 'b']", [1]),
    ('@.o == {"k": 1}', [1]),
    ("@.absent == @.absent", []),
    ("@.n === '1'", []),
    ("@.n === 1", [1]),
    ("@.n !== '1'", [1, 2, 3]),
    ("@.n != 1", [2, 3]),
    ("@.absent != 1", [1, 2, 3]),
    ("@.n < 2", [1]),
    ("@.n <= 2.5", [1, 2]),
    ("@.n > 1", [2]),
    ("@.n >= 1", [1, 2]),
    ("@.n > '1'", [3]),
    ("@.s < 'b'", [1, 2]),
    ("@.s > 'b'", [3]),
    ("@.t < 2", []),
    ("@.s =~ /a.c/", [1]),
    ("@.s =~ /A.C/i", [1]),
    ("@.s =~ /b/", []),  # the whole text must match
    (r"@.s =~ /Äpfel \d/", [3]),
    ("@.s =~ /äpfel ./i", []),  # without u only ASCII letters lose their case
    ("@.s =~ /äpfel ./iu", [3]),
    ("@.n =~ /[12].*/", [1, 2, 3]),
    ("@.l =~ /a/", [1]),
    ("/a.c/ =~ @.s", [1]),
    ("@.s =~ 'abc'", []),
    ("@.s =~ /(?<first>a)bc\\z/", [1]),
    ("@.id in [1, 3]", [1, 3]),
    ("@.id IN [1, 3]", [1, 3]),
    ("'b' in @.l", [1, 3]),
    ("@.id in 1", []),
    ("@.id nin [1, 3]", [2]),
    ("@.l subsetof ['a', 'b', 'c']", [1, 2]),
    ("@.l anyof ['a', 3]", [1, 3]),
    ("@.l noneof ['a']", [2, 3]),
    ("@.l all ['b']", [1, 3]),
    ("@.id subsetof [1]", []),
    ("@.l size 2", [1, 3]),
    ("@.s size 0", [2]),
    ("@.o size 1", []),
    ("@.l empty true", [2]),
    ("@.l empty false", [1, 3]),
    ("@.o empty true", [2]),
    ("@.s empty true", [2]),
    ("@.id empty true", []),
    ("@.l contains 'a'", [1]),
    ("@.l contains 3", [3]),
    ("@.s contains 'pf'", [3]),
    ("@.id contains 1", []),
    ("@.z", [1]),  # null is there
    ("!@.z", [2, 3]),
    ("!(@.z)", [2, 3]),
    ("!!@.z", [1]),
    ("@", [1, 2, 3]),
    ("@['e']", [2]),
    ("@.o.k", [1]),
    ("@.l[1]", [1, 3]),
    ("@.l[*]", [1, 3]),
    ("@.l[?(@ == 3)]", [3]),
    ("@.l.length() == 2", [1, 3]),
    ("@.l[0] == $[2].l[0]", [3]),
    ("@.id == $.length()", [3]),
    ("@.n > 1 && @.l empty true", [2]),
    ("@.id == 1 || @.id == 3", [1, 3]),
    ("@.id == 1||@.id == 2&&@.t == true", [1]),
    ("(@.id == 1 || @.id == 2) && !(@.t == true)", [2]),
    ("@.id>1&&@.id<3", [2]),
]


@pytest.mark.parametrize(("condition", "ids"), FILTERS, ids=[condition for condition, _ in FILTERS])
def test_a_filter_keeps_the_elements_for_which_its_condition_holds(condition: str, ids: list[int]) -> None:
    assert compile_path(f"$[?({condition})].id").read(ROWS) == ids


def test_a_filter_on_an_object_asks_the_object_itself() -> None:
    assert compile_path("$.a[?(@.b > 1)].b").read({"a": {"b": 2}}) == [2]
    assert compile_path("$.a[?(@.b > 2)].b").read({"a": {"b": 2}}) == []


def test_texts_are_ordered_by_their_utf_16_units() -> None:
    assert compile_path("$[?(@ < '\uff5e')]").read(["\U0001f600"]) == ["\U0001f600"]


MISSING = [
    ("$.a", {}, "No results for path: $['a']"),
    ("$['x']", {}, "No results for path: $['x']"),
    ("$.a.b", {}, "Missing property in path $['a']"),
    ("$.a.b", {"a": {}}, "No results for path: $['a']['b']"),
    ("$.a.b.c.d", {"a": {"b": {}}}, "Missing property in path $['a']['b']['c']"),
    ("$.a[5].b", {"a": [1]}, "No results for path: $['a'][5]['b']"),
    ("$.a[-2]", {"a": [1]}, "No results for path: $['a'][-2]"),
    ("$.a[0]", {"a": None}, "The path $['a'] is null"),
    ("$.a[0]", {"a": {"b": [1.5]}}, "Filter: [0] can only be applied to arrays. Current context is: {b=[1.5]}"),
    ("$.a[0][0]", {"a": ["text"]}, "Filter: [0] can only be applied to arrays. Current context is: text"),
    ("$.a[0]", {"a": "text"}, "Filter: [0] can only be applied to arrays. Current context is: text"),
    ("$.a.length().b", {"a": [1]}, "Expected to find an object with property ['b'] in path $['a'].length()"),
    ("$.a.b", {"a": "text"}, "Expected to find an object with property ['b'] in path $['a'] but found 'java.lang.Str"),
    ("$.a.b", {"a": None}, "Expected to find an object with property ['b'] in path $['a'] but found 'null'"),
    ("$.a.b", {"a": True}, "but found 'java.lang.Boolean'"),
    ("$.a.b", {"a": 1}, "but found 'java.lang.Integer'"),
    ("$.a.b", {"a": 2**40}, "but found 'java.lang.Long'"),
    ("$.a.b", {"a": 1.5}, "but found 'java.lang.Double'"),
    ("$.a.b", {"a": []}, "but found 'java.util.ArrayList'"),
    ("$.a['b','c']", {"a": 1}, "Expected to find an object with property ['b','c']"),
    ("$.a.sum()", {"a": []}, "Aggregation function attempted to calculate value using empty array"),
    ("$.a.sum()", {"a": [1e308, 1e308]}, "beyond the range of a double"),
    ("$.a.sum()", {"a": [10**400]}, "beyond the range of a double"),
    ("$.a.first()", {"a": []}, "Aggregation function attempted to calculate value using empty array"),
    ("$.a.index(3)", {"a": [1]}, "Target index:3 larger than object count:1"),
    ("$.a.index('x')", {"a": [1]}, "index() needs a number"),
]


@pytest.mark.parametrize(("text", "document", "expected"), MISSING)
def test_a_definite_path_that_finds_nothing_says_so_in_jayways_words(text: str, document: Any, expected: str) -> None:
    with pytest.raises(PathError) as caught:
        compile_path(text).read(document)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        *((text, True) for text in ("$", "$.a", "$.a.b[0]", "$['a']", "$['a:b']['c?']", "$.a[-1]", "$.a\\@b", "$.ä-b")),
        *((text, False) for text in ("$.*", "$..a", "$[*]", "$.a[0,1]", "$['a','b']", "$.a[0:1]", "$.a[?(@.b)]")),
        *((text, False) for text in ("$.a:b", "$.a@b", "$.a?", "$.a,b", "$.x*", "$.a\\\\@b", "$.a.length()")),
    ],
)
def test_a_reference_path_has_no_operators(text: str, reference: bool) -> None:
    assert compile_path(text).reference is reference


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("a", 0),
        ("@.a", 0),
        ("$a", 1),
        ("$.", 2),
        ("$..", 3),
        ("$...a", 3),
        ("$.a b", 3),
        ("$.a.", 4),
        ("$[", 2),
        ("$[]", 2),
        ("$[a]", 2),
        ("$['a'", 5),
        ("$['a", 2),
        ("$['a',]", 6),
        ("$['\\ud800']", 10),
        ("$[1", 3),
        ("$[1,]", 4),
        ("$[1,'a']", 4),
        ("$[::0]", 5),
        ("$[1:2:3:4]", 7),
        ("$[99999999999999999]", 17),
        ("$[?]", 3),
        ("$[?(]", 4),
        ("$[?(@.a]", 7),
        ("$[?(@.a > )]", 10),
        ("$[?(@.a > 1]", 11),
        ("$[?(@.a ~ 1)]", 8),
        ("$[?(1)]", 5),
        ("$[?(true)]", 8),
        ("$[?(@.a == 'x)]", 11),
        ("$[?(@.a && )]", 11),
        ("$[?(@.a in [1)]", 13),
        ("$[?(@.a == {'k'})]", 15),
        ("$[?(@.a =~ /x)]", 11),
        ("$[?(@.a =~ /(/)]", 11),
        ("$[?(@.a =~ /x/q)]", 11),
        ("$[?(@.a =~ /[a&&b]/)]", 11),
        ("$[?(@.a =~ /[a[b]]/)]", 11),
        ("$[?(@.a =~ /\\p{Alpha}/)]", 11),
        ("$.a.median()", 11),
        ("$.a.sum(", 8),
        ("$.a.sum(1", 9),
    ],
)
def test_a_text_that_is_no_path_is_refused_with_the_place(text: str, position: int) -> None:
    with pytest.raises(PathSyntaxError) as caught:
        compile_path(text)
    assert caught.value.position == position
    assert caught.value.message


PLACED = [
    ("$", {"a": 1}, 5, 5),
    ("$.a", {}, 5, {"a": 5}),
    ("$.a", {"a": 1, "b": 2}, 5, {"a": 5, "b": 2}),
    ("$.a.b.c", {}, 5, {"a": {"b": {"c": 5}}}),
    ("$.a.b", {"a": {"x": 1}}, 5, {"a": {"x": 1, "b": 5}}),
    ("$.a[1]", {"a": [1, 2]}, 5, {"a": [1, 5]}),
    ("$.a[-1].b", {"a": [1, {}]}, 5, {"a": [1, {"b": 5}]}),
    ("$[0]", [1], None, [None]),
]


@pytest.mark.parametrize(("text", "document", "value", "expected"), PLACED)
def test_a_value_is_placed_in_a_copy(text: str, document: Any, value: Any, expected: Any) -> None:
    before = copy.deepcopy(document)
    assert place(compile_path(text))(document, value) == expected
    assert document == before


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("$.a", "text"),
        ("$.a", None),
        ("$.a", []),
        ("$.a.b", {"a": 1}),
        ("$.a.b", {"a": None}),
        ("$.a[0]", {}),
        ("$.a[0]", {"a": {}}),
        ("$.a[1]", {"a": [1]}),
        ("$[0]", {}),
    ],
)
def test_a_value_cannot_be_placed_where_there_is_no_room(text: str, document: Any) -> None:
    with pytest.raises(PathError, match=r"^Unable to apply ReferencePath "):
        place(compile_path(text))(document, 1)


def test_the_error_of_placing_shows_the_path_and_the_input() -> None:
    with pytest.raises(PathError) as caught:
        place(compile_path("$.result"))("input1", 1)
    assert str(caught.value) == 'Unable to apply ReferencePath $.result to input "input1"'


@pytest.mark.parametrize("text", ["$.*", "$.a:b", "$['a','b']", "$.length()"])
def test_only_a_reference_path_can_be_placed_at(text: str) -> None:
    with pytest.raises(PathSyntaxError):
        place(compile_path(text))


def scope() -> Scope:
    variables = {"order": {"lines": [{"sku": "x"}]}, "größe": 3}
    return Scope({"a": {"b": 1}}, variables, lambda: {"Execution": {"Name": "run"}}, 0.0, random.Random(0))


@pytest.mark.parametrize(
    ("text", "root", "variable", "expected"),
    [
        ("$", "input", None, {"a": {"b": 1}}),
        ("$.a.b", "input", None, 1),
        ("$['a']", "input", None, {"b": 1}),
        ("$..b", "input", None, [1]),
        ("$$", "context", None, {"Execution": {"Name": "run"}}),
        ("$$.Execution.Name", "context", None, "run"),
        ("$$['Execution'].Name", "context", None, "run"),
        ("$order", "variable", "order", {"lines": [{"sku": "x"}]}),
        ("$order.lines[0].sku", "variable", "order", "x"),
        ("$order['lines'][*].sku", "variable", "order", ["x"]),
        ("$größe", "variable", "größe", 3),
    ],
)
def test_a_query_reads_the_input_the_context_or_a_variable(
    text: str, root: str, variable: str | None, expected: Any
) -> None:
    query = compile_query(text)
    assert (query.root, query.variable) == (root, variable)
    assert query.read(scope()) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$.x", "No results for path: $['x']"),
        ("$$.Task.Token", "Missing property in path $['Task']"),
        ("$order.total", "No results for path: $['total']"),
        ("$unset.x", "The variable 'unset' has not been assigned"),
    ],
)
def test_a_query_that_finds_nothing_names_itself(text: str, message: str) -> None:
    with pytest.raises(PathError) as caught:
        compile_query(text).read(scope())
    assert str(caught.value) == message
    assert caught.value.path == text


@pytest.mark.parametrize(
    ("text", "position"), [("$1a", 1), ("$a-b", 1), ("$a b", 2), ("$$a", 2), ("$$.", 3), ("$x.", 3)]
)
def test_a_query_that_is_none_is_refused_with_the_place(text: str, position: int) -> None:
    with pytest.raises(PathSyntaxError) as caught:
        compile_query(text)
    assert caught.value.position == position


def nested(depth: int, leaf: Any = 1) -> Any:
    value = leaf
    for _ in range(depth):
        value = {"a": [value]}
    return value


def test_a_document_of_any_depth_can_be_read() -> None:
    deep = nested(10_000)
    assert len(compile_path("$..a").read(deep)) == 10_000
    assert compile_path("$" + ".a[0]" * 10_000).read(deep) == 1
    assert compile_path("$[?(@.a == $.a)]").read([deep]) == []
    assert len(compile_path("$.l[?(@ in $.l)]").read({"l": [deep, nested(10_000)]})) == 2
    with pytest.raises(PathError):
        compile_path("$.a[0].a.b").read(deep)
    with pytest.raises(PathError):
        compile_path("$.a[0].a[0][0]").read(deep)


def test_a_path_of_any_length_can_be_placed_at() -> None:
    text = "$" + ".a" * 5_000
    assert compile_path(text).read(place(compile_path(text))({}, 7)) == 7


def test_a_path_cannot_fill_the_memory() -> None:
    with pytest.raises(PathError, match="more than 1000000 nodes"):
        compile_path("$..*..*..*").read(nested(1_000))


@pytest.mark.parametrize("opening", ["[?(", "[?((", "[?(!", "[?(@.a[?(", "[?(@ in [", '[?(@ == {"a":', ".sum($"])
def test_nesting_beyond_the_limit_is_a_syntax_error(opening: str) -> None:
    unit = opening[3:] if opening.startswith("[?(") and len(opening) > 3 else opening
    with pytest.raises(PathSyntaxError):
        compile_path("$" + opening + unit * 5_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
STEPS = st.sampled_from(
    [".a", ".b", "['c']", "[0]", "[-1]", "[0,1]", "['a','b']", "[1:]", ".*", "..a", "..*", "[?(@.a)]", "[?(@ == 1)]",
     "[?(@.b < $.a || !(@.c in [1, 'x']))]", ".length()", ".first()", ".append(1)", ".sum()", ".keys()", ".concat()"]
)  # fmt: skip
ANY_PATH = st.lists(STEPS, max_size=4).map(lambda steps: "$" + "".join(steps))
NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4), min_size=1, max_size=4)


@given(JSON, ANY_PATH)
def test_reading_gives_a_value_or_a_path_error_and_changes_nothing(document: Any, text: str) -> None:
    before = copy.deepcopy(document)
    path = compile_path(text)
    try:
        value = path.read(document)
    except PathError:
        pass
    else:
        assert path.definite or isinstance(value, list)
    assert document == before


@given(NAMES, st.dictionaries(st.text(max_size=2), st.integers(), max_size=3), JSON)
def test_what_is_placed_is_read_back(names: list[str], document: dict[str, Any], value: Any) -> None:
    quoted = (name.replace("\\", "\\\\").replace("'", "\\'") for name in names)
    path = compile_path("$" + "".join(f"['{name}']" for name in quoted))
    before = copy.deepcopy(document)
    try:
        placed = place(path)(document, value)
    except PathError:
        assert isinstance(document.get(names[0]), int)
    else:
        assert path.read(placed) == value
    assert document == before


BOUNDS = st.none() | st.integers(-12, 12)


@given(BOUNDS, BOUNDS, BOUNDS.filter(lambda step: step != 0), st.lists(st.integers(), max_size=10))
def test_a_slice_is_that_of_python(start: int | None, stop: int | None, step: int | None, array: list[int]) -> None:
    def shown(bound: int | None) -> str:
        return "" if bound is None else str(bound)

    text = f"$[{shown(start)}:{shown(stop)}:{shown(step)}]"
    assert compile_path(text).read(array) == array[start:stop:step]


PIECES = st.sampled_from(
    ["$", "@", ".", "..", "[", "]", "(", ")", "?(", "*", "'", '"', "\\", "a", "b", "0", "-1", ":", ",", " ", "!", "&&",
     "||", "==", "=~", "/", "in", "{", "}", "true", "length()", "é", "\n", "\\u12", "[?(@.a", "(?<x>", "{9999999999}"]
)  # fmt: skip


@given(st.text(max_size=20) | st.lists(PIECES, max_size=14).map("".join))
@example("[0&&")
@example("[]&&")
def test_any_text_is_a_path_or_a_syntax_error(text: str) -> None:
    for candidate in (text, f"${text}", f"$[?(@.a {text})]", f"$[?(@ =~ /{text}/)]"):
        for compiled in (compile_path, compile_query):
            try:
                compiled(candidate)
            except PathSyntaxError as error:
                assert 0 <= error.position <= len(candidate)
