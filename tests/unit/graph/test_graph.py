"""Definitions as pictures: the edges there are, the escapes, and a layout in which nothing overlaps."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.graph import Graph, dot, graph_of, mermaid, svg
from treadle.graph.layout import Box, Line, arrange
from treadle.graph.model import condition_text
from treadle.graph.text import wrapped
from treadle.language.definition import parse

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "definitions").glob("*.yaml"))

MACHINE: dict[str, Any] = {
    "StartAt": "Choose",
    "States": {
        "Choose": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.x", "NumericGreaterThan": 1, "Next": "Both"}],
            "Default": "No",
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Left", "States": {"Left": {"Type": "Pass", "End": True}}},
                {"StartAt": "Right", "States": {"Right": {"Type": "Succeed"}}},
            ],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "No"}],
            "Next": "Choose",
        },
        "No": {"Type": "Fail"},
    },
}


def named(graph: Graph) -> set[tuple[str, str, str, str]]:
    names = {node.id: node.name for node in graph.nodes}
    return {(names[edge.source], names[edge.target], edge.kind, edge.label) for edge in graph.edges}


def test_edges_are_what_may_follow() -> None:
    assert named(graph_of(MACHINE)) == {
        ("Start", "Choose", "next", ""),
        ("Choose", "Both", "choice", "$.x > 1"),
        ("Choose", "No", "default", "otherwise"),
        ("Both", "Choose", "next", ""),
        ("Both", "No", "catch", "States.ALL"),
    }


def test_scopes_within_a_state_are_graphs_of_their_own() -> None:
    both = next(node for node in graph_of(MACHINE).nodes if node.name == "Both")
    assert [inner.title for inner in both.inner] == ["branch 0", "branch 1"]
    assert named(both.inner[0]) == {("Start", "Left", "next", ""), ("Left", "End", "next", "")}


CONDITIONS: list[tuple[dict[str, Any], str]] = [
    ({"Variable": "$.a", "StringEquals": "x"}, '$.a == "x"'),
    ({"Variable": "$.a", "NumericLessThanEqualsPath": "$.b"}, "$.a <= $.b"),
    ({"Variable": "$.a", "IsPresent": True}, "$.a is present"),
    ({"Variable": "$.a", "IsNull": False}, "$.a is not null"),
    ({"Variable": "$.a", "StringMatches": "a*"}, '$.a matches "a*"'),
    ({"Not": {"Variable": "$.a", "BooleanEquals": True}}, "not ($.a == true)"),
    (
        {"And": [{"Variable": "$.a", "IsNull": True}, {"Or": [{"Variable": "$.b", "IsNull": True}]}]},
        "$.a is null and ($.b is null)",
    ),
    ({"Condition": "{% $x > 1 %}"}, "$x > 1"),
    ({}, ""),
]


@pytest.mark.parametrize(("rule", "text"), CONDITIONS, ids=[text or "nothing" for _, text in CONDITIONS])
def test_a_condition_reads_as_people_write_it(rule: dict[str, Any], text: str) -> None:
    assert condition_text({**rule, "Next": "X"}) == text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_can_be_drawn(path: Path) -> None:
    definition, _ = parse(path.read_text())
    assert definition is not None
    graph = graph_of(definition.root)
    assert mermaid(graph) == mermaid(graph_of(definition.root))
    assert dot(graph).count("{") == dot(graph).count("}")
    ElementTree.fromstring(svg(graph))


NAMES = st.text(st.characters(exclude_categories=()), min_size=1, max_size=40)


@given(NAMES, NAMES)
def test_any_name_is_escaped(name: str, condition: str) -> None:
    choice = {"Type": "Choice", "Choices": [{"Condition": condition, "Next": name}], "QueryLanguage": "JSONata"}
    graph = graph_of({"StartAt": name, "States": {name: choice}})
    ElementTree.fromstring(svg(graph, name))
    for line in mermaid(graph).splitlines():
        assert re.fullmatch(r'[^"]*|[^"]*"[^"]*"[^"]*', line), line
    for line in dot(graph).splitlines():
        assert len(re.findall(r'(?<!\\)(?:\\\\)*"', line)) % 2 == 0, line


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["StartAt", "States", "Type", "Next", "Choices", "Catch", "Branches", "End", "A", "Map", "Parallel"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_what_is_no_state_machine_is_drawn_as_far_as_it_goes(value: Any) -> None:
    graph = graph_of({"StartAt": "A", "States": {"A": value}, "X": value})
    assert all(draw(graph) for draw in (mermaid, dot, svg))


# ---- layout ------------------------------------------------------------------------------------------------------


@st.composite
def drawings(draw: st.DrawFn) -> tuple[list[Box], list[Line]]:
    number = draw(st.integers(1, 12))
    size = st.floats(10, 200)
    boxes = [Box(draw(size), draw(size)) for _ in range(number)]
    place = st.integers(0, number - 1)
    label = st.none() | st.builds(Box, size, st.floats(10, 40))
    lines = [Line(draw(place), draw(place), draw(label)) for _ in range(draw(st.integers(0, 20)))]
    return boxes, lines


@given(drawings())
def test_boxes_and_labels_never_overlap_and_lie_within_the_picture(drawing: tuple[list[Box], list[Line]]) -> None:
    boxes, lines = drawing
    wide, high = arrange(boxes, lines)
    placed = [*boxes, *(line.label for line in lines if line.label is not None and line.source != line.target)]
    for one, other in combinations(placed, 2):
        apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2 - 0.01
        apart_y = abs(one.y - other.y) >= (one.height + other.height) / 2 - 0.01
        assert apart_x or apart_y
    for box in placed:
        assert box.x - box.width / 2 >= -0.01
        assert box.x + box.width / 2 <= wide + 0.01
        assert box.y - box.height / 2 >= -0.01
        assert box.y + box.height / 2 <= high + 0.01


@given(drawings())
def test_lines_begin_and_end_at_their_boxes(drawing: tuple[list[Box], list[Line]]) -> None:
    boxes, lines = drawing
    arrange(boxes, lines)
    for line in lines:
        for (x, y), box in ((line.points[0], boxes[line.source]), (line.points[-1], boxes[line.target])):
            assert abs(x - box.x) <= box.width / 2 + 0.01
            assert abs(y - box.y) <= box.height / 2 + 0.01


@given(st.text(max_size=200), st.integers(1, 30), st.integers(1, 4))
def test_wrapped_text_keeps_to_its_size(text: str, width: int, lines: int) -> None:
    found = wrapped(text, width, lines)
    assert 1 <= len(found) <= lines
    assert all(len(line) <= width for line in found)


def test_a_large_machine_is_drawn_in_no_time() -> None:
    states: dict[str, Any] = {
        f"s{i}": {
            "Type": "Task",
            "Resource": "arn:aws:lambda:r:1:function:f",
            "Next": f"s{i + 1}",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": f"s{(i * 7) % 200}"}],
        }
        for i in range(200)
    }
    states["s200"] = {"Type": "Succeed"}
    ElementTree.fromstring(svg(graph_of(json.loads(json.dumps({"StartAt": "s0", "States": states})))))
