"""From text to a definition, with the place of every field."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.language.definition import SIZE_LIMIT, Definition, location, parse
from treadle.language.json_text import DEPTH_LIMIT, JsonSyntaxError, decode
from treadle.language.places import Places, leaves

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def parsed(text: str) -> Definition:
    definition, findings = parse(text)
    assert definition is not None, findings
    return definition


TEXT = """{
  "StartAt": "Pay",
  "States": {
    "Pay": {"Type": "Task",
            "Catch": [
              {"Next": "Refund"}]}}}
"""
YAML = """
# How to pay
StartAt: Pay
States:
  Pay:
    Type: Task
    Catch:
      - Next: Refund
"""


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        (TEXT, (), (1, 1)),
        (TEXT, ("StartAt",), (2, 3)),
        (TEXT, ("States", "Pay", "Type"), (4, 13)),
        (TEXT, ("States", "Pay", "Catch", 0), (6, 15)),
        (TEXT, ("States", "Pay", "Catch", 0, "Next"), (6, 16)),
        (TEXT, ("States", "Pay", "Resource"), (4, 5)),
        (TEXT, ("States", "Ship", "Resource"), (3, 3)),
        (YAML, ("StartAt",), (3, 1)),
        (YAML, ("States", "Pay", "Type"), (6, 5)),
        (YAML, ("States", "Pay", "Catch", 0), (8, 9)),
        (YAML, ("States", "Pay", "Catch", 0, "Next"), (8, 9)),
        (YAML, ("States", "Pay", "Resource"), (5, 3)),
    ],
)
def test_every_field_has_its_place(text: str, path: tuple[str | int, ...], place: tuple[int, int]) -> None:
    assert parsed(text).place(path) == place


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "/"),
        (("StartAt",), "/StartAt"),
        (("States", "Pay it", "Catch", 0, "Next"), "/States/Pay it/Catch[0]/Next"),
        (("States", "P", "Branches", 1, "States", "Q"), "/States/P/Branches[1]/States/Q"),
    ],
)
def test_a_location_is_written_as_aws_writes_it(path: tuple[str | int, ...], text: str) -> None:
    assert location(path) == text


@settings(deadline=None)
@given(JSON)
def test_json_means_what_it_means_to_the_standard_library(value: object) -> None:
    text = json.dumps(value)
    assert json.dumps(decode(text)) == text
    assert json.dumps(decode(json.dumps(value, indent=2))) == text


@settings(deadline=None)
@given(JSON)
def test_every_place_is_where_the_value_begins(value: object) -> None:
    text = json.dumps(value, indent=1)
    places = Places(text)
    root = decode(text, places)
    for path, _ in leaves(root, ()):
        if path:
            key = json.dumps(path[-1]) if isinstance(path[-1], str) else ""
            assert text.startswith(key, places.offset(root, path))


EXPECTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("not some json", f"Unrecognized token 'not': was expecting {EXPECTED}", (1, 1)),
        ("{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name", (1, 2)),
        ('{"a": 1,}', "Unexpected character ('}' (code 125)): was expecting double-quote to start field name", (1, 9)),
        (
            '{"a" 1}',
            "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value",
            (1, 6),
        ),
        (
            '{"a": 1\n "b": 2}',
            "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries",
            (2, 2),
        ),
        ("[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", (1, 4)),
        ("[1,]", f"Unexpected character (']' (code 93)): expected a valid value {EXPECTED}", (1, 4)),
        ('{"a": tru}', f"Unrecognized token 'tru': was expecting {EXPECTED}", (1, 7)),
        ("[NaN]", f"Unrecognized token 'NaN': was expecting {EXPECTED}", (1, 2)),
        ("{} x", "Unrecognized token 'x': was expecting end-of-input", (1, 4)),
        ("[01]", "Unexpected character ('1' (code 49)) in numeric value", (1, 3)),
        ("[1e999]", "Numeric value (1e999) out of range of double", (1, 2)),
        (f"[{'1' * 1001}]", "Number length (1001) exceeds the maximum length (1000)", (1, 2)),
        ('["a', "Unexpected end-of-input: was expecting closing quote for a string value", (1, 4)),
        ('["\\q"]', "Unrecognized character escape 'q' (code 113)", (1, 3)),
        ('["\\ud800"]', "Invalid surrogate character in string value", (1, 2)),
        (
            '["a\nb"]',
            "Illegal unquoted character ((CTRL-CHAR, code 10)): "
            "has to be escaped using backslash to be included in string value",
            (1, 4),
        ),
        (
            "{",
            "Unexpected end-of-input: expected close marker for Object "
            '(start marker at [Source: (String)"{"; line: 1, column: 1])',
            (1, 2),
        ),
        (
            "[" * (DEPTH_LIMIT + 1),
            f"Document nesting depth exceeds the maximum allowed ({DEPTH_LIMIT})",
            (1, DEPTH_LIMIT + 1),
        ),
    ],
)
def test_text_that_is_no_json_is_refused_in_the_words_of_jackson(
    text: str, message: str, place: tuple[int, int]
) -> None:
    definition, findings = parse(text)
    assert definition is None
    (finding,) = findings
    assert (finding.severity, finding.code, finding.message) == ("ERROR", "INVALID_JSON_DESCRIPTION", message)
    assert (finding.line, finding.column) == place
    assert finding.remedy


def test_the_location_of_a_json_fault_is_where_jackson_stops_reading() -> None:
    _, (finding,) = parse("not some json")
    assert finding.location == '[Source: (String)"not some json"; line: 1, column: 4]'
    _, (finding,) = parse(f"[{' ' * 600}x]")
    assert finding.location == f'[Source: (String)"[{" " * 499}"[truncated 103 chars]; line: 1, column: 603]'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes", {"a": "yes"}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: 2024-01-01T12:00:00Z", {"a": "2024-01-01T12:00:00Z"}),
        ("a: 12:30:45", {"a": "12:30:45"}),
        ("a: 010", {"a": 10}),
        ("a: 0o17", {"a": 15}),
        ("a: 0x1F", {"a": 31}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 1.50", {"a": 1.5}),
        ("a: 1e3", {"a": 1000.0}),
        ("a: '5'", {"a": "5"}),
        ("a: !!str 5", {"a": "5"}),
        ("a: !!float '5'", {"a": 5.0}),
        ("a: [~, null, true, False]", {"a": [None, None, True, False]}),
        ("a:", {"a": None}),
        ("1: a\ntrue: b", {"1": "a", "true": "b"}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("x.$: States.Format('a {}', $.b)", {"x.$": "States.Format('a {}', $.b)"}),
        ("---\na: 1\n...\n", {"a": 1}),
        ('  {"a": 1}', {"a": 1}),
    ],
)
def test_yaml_follows_the_core_schema(text: str, value: object) -> None:
    root = parsed(text).root
    assert root == value
    assert json.dumps(root) == json.dumps(value)


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("a: !Sub '${b}'", "the tag '!Sub' has no meaning in a definition", (1, 4)),
        ("b: 1\na: !GetAtt c.d", "the tag '!GetAtt' has no meaning in a definition", (2, 4)),
        ("a: !!binary aGk=", "the tag '!!binary' has no meaning in a definition", (1, 4)),
        ("a: !!int x", "'x' is no value of the tag '!!int'", (1, 4)),
        ("a: .inf", "JSON has no number '.inf'", (1, 4)),
        ("a: 1e999", "the number is out of range of double", (1, 4)),
        (f"a: {'1' * 1001}", "the number has more than 1000 digits", (1, 4)),
        ("a: *b", "there is no anchor 'b' before this alias", (1, 4)),
        ("a: &b [*b]", "there is no anchor 'b' before this alias", (1, 8)),
        ("a: 1\n---\nb: 2", "a definition is one YAML document", (2, 1)),
        ("a: 1\n? [b]\n: 2", "a key must be text", (2, 3)),
        (f"a: {'[' * DEPTH_LIMIT}", f"the text nests deeper than {DEPTH_LIMIT} levels", (1, 3 + DEPTH_LIMIT)),
    ],
)
def test_yaml_that_json_cannot_say_is_refused(text: str, message: str, place: tuple[int, int]) -> None:
    definition, (finding,) = parse(text)
    assert definition is None
    assert (finding.code, finding.message) == ("INVALID_JSON_DESCRIPTION", f"YAML: {message}")
    assert (finding.line, finding.column) == place
    assert finding.remedy


def test_the_remedy_for_a_cloudformation_tag_names_substitutions() -> None:
    _, (finding,) = parse("a: !Sub '${b}'")
    assert "DefinitionSubstitutions" in finding.remedy


def test_aliases_cannot_multiply_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    _, (finding,) = parse("\n".join(lines))
    assert finding.message == "YAML: with its aliases followed, the text means more than 200000 values"


@pytest.mark.parametrize(
    ("text", "location", "place"),
    [
        ('{"a": 1, "a": 2}', "/a", (1, 10)),
        ('{"a": [{"b": 1,\n "b": 2}]}', "/a[0]/b", (2, 2)),
        ("a: 1\nb: 2\na: 3", "/a", (3, 1)),
        ('{"a": {"b": 1, "b": 2}, "a": 3}', "", (1, 16)),
    ],
)
def test_a_repeated_field_is_a_warning_and_the_last_one_counts(
    text: str, location: str, place: tuple[int, int]
) -> None:
    definition, findings = parse(text)
    assert definition is not None
    finding = findings[0]
    assert (finding.severity, finding.code, finding.location) == ("WARNING", "DUPLICATE_FIELD", location)
    assert (finding.line, finding.column) == place


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_has_no_description(text: str) -> None:
    _, (finding,) = parse(text)
    assert finding.code == "MISSING_DESCRIPTION"


def test_a_definition_has_at_most_a_mebibyte_of_utf8() -> None:
    text = json.dumps({"a": "é" * (SIZE_LIMIT // 2 - 5)}, ensure_ascii=False)
    assert len(text.encode()) == SIZE_LIMIT - 1
    assert parse(text)[0] is not None
    definition, (finding,) = parse(text + "  ")
    assert definition is None
    assert finding.message == f"The definition has {SIZE_LIMIT + 1} bytes; the limit is {SIZE_LIMIT}"


def test_half_a_surrogate_pair_is_refused() -> None:
    _, (finding,) = parse('{"a": "\ud800"}')
    assert finding.message == "The text is not valid Unicode"


@settings(deadline=None)
@given(st.text() | st.text(st.sampled_from("{}[]\",:'a1 \n\\-&*!?|>#.u")))
def test_no_text_makes_the_readers_fail(text: str) -> None:
    definition, findings = parse(text)
    assert (definition is None) == any(each.severity == "ERROR" for each in findings)
    assert all(each.line >= 1 and each.column >= 1 for each in findings)


def test_decoding_alone_raises_with_start_and_end_of_the_fault() -> None:
    with pytest.raises(JsonSyntaxError) as caught:
        decode('{"a": tru}')
    assert (caught.value.start, caught.value.end) == (6, 9)
