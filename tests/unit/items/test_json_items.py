from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import Text, cause, folder, items
from reading import pages as pages_of

from treadle.items import json_items, pieces
from treadle.items.json_items import json_blocks

JSON = {"InputType": "JSON"}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.sampled_from('ab"\\[]{},: \néđ🎉'), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('ab"\\{', max_size=3), inner, max_size=4),
    max_leaves=12,
)


def decoded(text: str, pointer: str | None = None) -> list[Any]:
    found: list[Any] = []
    for block in json_blocks(Text(text.encode()), pointer):
        found += [value for _, value in block.items()] if block.keyed else block.items()
    return found


@given(
    st.lists(VALUES, max_size=8),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
    st.sampled_from([1, 2, 5, 16, 262_144]),
)
def test_the_elements_are_those_that_a_decoder_of_the_whole_finds(
    values: list[Any], indent: Any, plain: bool, size: int
) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", size)
        patch.setattr(json_items, "PIECE", size)
        assert decoded(text) == values


@given(st.lists(VALUES, min_size=1, max_size=6), st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.data())
def test_a_pointer_leads_to_its_target(values: list[Any], around: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.text(st.sampled_from('a/~"\\é '), max_size=3))
    document = {**around, name: [*values, {"x": {"inner": values}}]}
    token = name.replace("~", "~0").replace("/", "~1")
    text = json.dumps(document)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", data.draw(st.sampled_from([1, 3, 64])))
        assert decoded(text, f"/{token}") == document[name]
        assert decoded(text, f"/{token}/{len(values)}/x/inner") == values


@given(st.text(st.sampled_from('[]{},:"\\01a \n'), max_size=12))
def test_what_is_no_json_array_never_passes_for_one(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    try:
        read = decoded(text)
    except json_items.Fault:
        read = None
    assert read == (expected if isinstance(expected, list) else None)


def test_the_members_of_an_object_are_its_values() -> None:
    assert decoded('{"all": {"a": 1, "b": {"c": [2]}, "c": "}"}}', "/all") == [1, {"c": [2]}, "}"]
    assert decoded('{"all": {}, "none": []}', "/all") == decoded('{"all": {}, "none": []}', "/none") == []


def test_the_members_of_an_object_have_their_keys_on_every_page(tmp_path: Path) -> None:
    members = {f"k{number}": number for number in range(2500)}
    where = folder(tmp_path, {"all.json": json.dumps({"all": members, "none": [7]})})
    config = {**JSON, "ItemsPointer": "/all"}
    read = pages_of(where, {"Key": "all.json"}, config)
    assert len(read) > 2
    assert {key: value for page in read for key, value in zip(page.keys or (), page.items, strict=True)} == members
    [rest] = pages_of(where, {"Key": "all.json"}, config, skip=2498)
    assert (rest.keys, rest.items) == (["k2498", "k2499"], [2498, 2499])
    [listed] = pages_of(where, {"Key": "all.json"}, {**JSON, "ItemsPointer": "/none"})
    assert (listed.keys, listed.items) == (None, [7])


def test_a_document_that_is_an_object_is_mapped_over_where_the_pointer_names_it() -> None:
    assert decoded('{"a": 1, "b": 2}', "") == [1, 2]
    with pytest.raises(json_items.Fault, match="non-iterable"):
        decoded('{"a": 1, "b": 2}')


def test_big_numbers_stay_exact() -> None:
    assert decoded("[123456789012345678901234567890, 0.1]") == [123456789012345678901234567890, 0.1]


def test_elements_that_do_not_resemble_each_other_are_found() -> None:
    values = [{"id": i, "all": [{"id": j} for j in range(i % 5)]} if i % 3 else [i, "},{"] for i in range(5000)]
    assert decoded(json.dumps(values)) == values


def test_a_wrong_guess_costs_nothing_but_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 64)
    # What stands between the first two stands within the others, too.
    values = [{"id": 1}, {"id": 2}, *({"id": 3, "all": [{"id": 4}, {"id": 5}, {"id": 6}] * 9} for _ in range(20))]
    assert decoded(json.dumps(values)) == values


FAULTS = {
    "a document that is an object": ('{"Hello": "world"}', None, "Attempting to map over non-iterable node."),
    "a document that is a number": ("12", None, "Attempting to map over non-iterable node."),
    "a target that is a string": ('{"a": "b"}', "/a", "Attempting to map over non-iterable node."),
    "no target": ('{"a": {"b": 1}}', "/a/c", "file.json: ItemsPointer '/a/c' names nothing in it"),
    "no such element": ('{"a": [1]}', "/a/1", "names nothing in it"),
    "a pointer into a number": ('{"a": 1}', "/a/b", "names nothing in it"),
    "no pointer": ("[]", "a", "ItemsPointer 'a' is no JSON Pointer"),
    "a long pointer": ("[]", "/" + "a" * 2000, "ItemsPointer has 2000 characters or more"),
    "nothing": (" \n", None, "file.json: line 2: is empty"),
    "no JSON": ("id,name\n", None, "file.json: line 1: is not JSON"),
    "a word that is none": ('[1,\n{"a": tru}]', None, "file.json: line 2: is not JSON: Unrecognized token 'tru'"),
    "a missing comma": ("[1,\n2\n3]", None, "file.json: line 3: is not JSON"),
    "a missing element": ("[1,,2]", None, "is not JSON"),
    "an element too few": ("[1,]", None, "an element is missing beside a comma"),
    "an end in the middle": ('[{"a": 1},\n{"b"', None, "file.json: line 2: the JSON document ends in its middle"),
    "an end in a string": ('["abc', None, "the JSON document ends in its middle"),
    "another bracket": ("[1}", None, "a bracket is closed that is not open"),
    "something behind": ("[1]\n[2]", None, "file.json: line 2: something follows the end of the JSON document"),
    "a key twice": ('{"a": {"b": 1, "b": 2}}', "/a", "an object has the same key twice"),
    "half a character": ('["\\ud800"]', None, "file.json: line 1: is not JSON: Invalid surrogate"),
    "nested deeply": ("[" * 5000 + "]" * 5000, None, "nested too deeply"),
    "out of range": ("[1e999]", None, "is not JSON: Numeric value (1e999) out of range of double"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_told_with_its_place(name: str, tmp_path: Path) -> None:
    content, pointer, told = FAULTS[name]
    where = folder(tmp_path, {"file.json": content})
    config = JSON if pointer is None else {**JSON, "ItemsPointer": pointer}
    assert told in cause(lambda: items(where, {"Key": "file.json"}, config))


def test_a_fault_late_in_a_large_file_names_its_line(tmp_path: Path) -> None:
    lines = [json.dumps({"id": number, "name": "x" * 40}) for number in range(20_000)]
    lines[15_000] = '{"id": 15000, "name": oops}'
    where = folder(tmp_path, {"file.json": "[" + ",\n".join(lines) + "]"})
    told = cause(lambda: items(where, {"Key": "file.json"}, JSON))
    assert "file.json: line 15001: is not JSON: Unrecognized token 'oops'" in told


def test_an_element_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    where = folder(tmp_path, {"file.json": '[1,\n"' + "x" * 9_500_000 + '"]'})
    assert "file.json: line 2: the item is larger than 8388608 bytes" in cause(
        lambda: items(where, {"Key": "file.json"}, JSON)
    )


def test_a_target_far_into_the_document_is_refused(tmp_path: Path) -> None:
    far = '{"before": [' + ",".join(['"' + "x" * 1000 + '"'] * 17_000) + '], "items": [1]}'
    where = folder(tmp_path, {"file.json": far})
    told = cause(lambda: items(where, {"Key": "file.json"}, {**JSON, "ItemsPointer": "/items"}))
    assert "file.json: the target of ItemsPointer begins after the first 16777216 bytes" in told
