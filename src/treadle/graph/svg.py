"""A graph as SVG: laid out here, self-contained, readable on light and dark pages.

Owns how things look. Scopes within a state are drawn within its box, so the layout of one scope never depends on
another. Neighbour: layout.py, which places boxes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final
from xml.sax.saxutils import escape

from treadle.graph.layout import Box, Line, arrange
from treadle.graph.model import Edge, Graph, Node
from treadle.graph.text import visible, width, wrapped

_MARGIN: Final = 16.0
_PAD: Final = 12.0
_NAME, _SMALL = 13.0, 10.5
_LINE_NAME, _LINE_SMALL = 17.0, 14.0

_COLOURS: Final = {
    "page": ("#ffffff", "#14171d"),
    "text": ("#1f2430", "#e8ebf1"),
    "dim": ("#5c6472", "#a0a8b6"),
    "line": ("#7b8494", "#7f8a9c"),
    "box": ("#f5f7fa", "#222730"),
    "inner": ("#fbfcfe", "#1a1e26"),
    "good": ("#1a7f4b", "#58c08a"),
    "bad": ("#b3362b", "#f0877c"),
    "choice": ("#8a5a00", "#e0b25c"),
}
"""By role, on a light page and on a dark one."""

_PAINTED: Final = (
    (".page", "fill", "page"),
    ("text", "fill", "text"),
    (".type, .label", "fill", "dim"),
    (".label", "stroke", "page"),
    (".label", "stroke", "page"),
    (".label.caught", "fill", "bad"),
    (".state rect", "fill", "box"),
    (".state rect", "stroke", "line"),
    (".Choice rect", "stroke", "choice"),
    (".Succeed rect", "stroke", "good"),
    (".Fail rect", "stroke", "bad"),
    (".scope", "fill", "inner"),
    (".scope", "stroke", "line"),
    (".mark", "fill", "text"),
    (".ring", "stroke", "text"),
    (".edge", "stroke", "line"),
    (".edge.catch", "stroke", "bad"),
    (".head", "fill", "line"),
    (".head.bad", "fill", "bad"),
)

_SHAPED: Final = """\
text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; text-anchor: middle; }
.name { font-size: 13px; font-weight: 600; }
.type, .label { font-size: 10.5px; }
.label { paint-order: stroke; stroke-width: 4px; stroke-linejoin: round; }
.label { paint-order: stroke; stroke-width: 4px; stroke-linejoin: round; }
.state rect { stroke-width: 1.2; }
.Wait rect { stroke-dasharray: 2 3; }
.scope { stroke-width: 0.8; stroke-dasharray: 5 4; }
.ring { fill: none; stroke-width: 1.2; }
.edge { fill: none; stroke-width: 1.3; }
.catch { stroke-dasharray: 5 4; }
"""


def _painted(page: int) -> str:
    # Plain values and no variables: many programs that show SVG know nothing newer than CSS 2.
    return "\n".join(f"{selector} {{ {name}: {_COLOURS[role][page]}; }}" for selector, name, role in _PAINTED)


_STYLE: Final = f"{_SHAPED}{_painted(0)}\n@media (prefers-color-scheme: dark) {{\n{_painted(1)}\n}}"

_MARKERS: Final = "".join(
    f'<marker id="{id}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path class="{classes}" d="M0 0 8 4 0 8z"/></marker>'
    for id, classes in (("to", "head"), ("caught", "head bad"))
)


def svg(graph: Graph, title: str = "") -> str:
    """The whole picture. `title` is what screen readers call it."""
    drawing = _Drawing(graph)
    wide, high = drawing.width + 2 * _MARGIN, drawing.height + 2 * _MARGIN
    parts: list[str] = []
    drawing.draw(_MARGIN, _MARGIN, parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(wide)}" height="{_n(high)}" '
        f'viewBox="0 0 {_n(wide)} {_n(high)}" role="img">\n'
        f"<title>{escape(visible(title or 'State machine'))}</title>\n"
        f"<style>\n{_STYLE}\n</style>\n<defs>{_MARKERS}</defs>\n"
        f'<rect class="page" width="100%" height="100%" rx="6"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


@dataclass(slots=True)
class _Shape:
    """A node with its box, its lines of text and the drawings inside it."""

    node: Node
    box: Box
    name: list[str] = field(default_factory=list[str])
    second: list[str] = field(default_factory=list[str])
    inner: list[_Drawing] = field(default_factory=list["_Drawing"])


class _Drawing:
    """One scope, laid out."""

    def __init__(self, graph: Graph) -> None:
        self.title = graph.title
        self.shapes = [_shape(node) for node in graph.nodes]
        index = {shape.node.id: number for number, shape in enumerate(self.shapes)}
        self.edges = graph.edges
        self.labels = [wrapped(edge.label, 30, 3) if edge.label else [] for edge in graph.edges]
        self.lines = [
            Line(index[edge.source], index[edge.target], _label_box(label))
            for edge, label in zip(self.edges, self.labels, strict=True)
        ]
        self.width, self.height = arrange([shape.box for shape in self.shapes], self.lines)

    def draw(self, x: float, y: float, out: list[str]) -> None:
        for edge, line in zip(self.edges, self.lines, strict=True):
            out.append(_path(edge, line, x, y))
        for shape in self.shapes:
            _draw_shape(shape, x, y, out)
        for edge, line, label in zip(self.edges, self.lines, self.labels, strict=True):
            if line.label is not None:
                caught = " caught" if edge.kind == "catch" else ""
                top = y + line.label.y - _LINE_SMALL * len(label) / 2 + _SMALL
                out.extend(_text(label, f"label{caught}", x + line.label.x, top, _LINE_SMALL))


def _label_box(lines: list[str]) -> Box | None:
    if not lines:
        return None
    return Box(max(width(line, _SMALL) for line in lines) + 8, _LINE_SMALL * len(lines) + 4)


def _shape(node: Node) -> _Shape:
    if node.type in ("Start", "End"):
        return _Shape(node, Box(16, 16))
    name = wrapped(node.name, 26, 4)
    second = wrapped(f"{node.type} · {node.detail}" if node.detail else node.type, 34, 2)
    texts = [*(width(line, _NAME) for line in name), *(width(line, _SMALL) for line in second)]
    wide = max(max(texts) + 2 * _PAD, 90.0)
    high = _head_height(name, second) + _PAD
    inner = [_Drawing(graph) for graph in node.inner]
    if inner:
        scopes = sum(each.width + 2 * _PAD for each in inner) + _PAD * (len(inner) - 1)
        wide = max(wide, scopes + 2 * _PAD)
        high += max(_scope_height(each) for each in inner) + _PAD
    return _Shape(node, Box(wide, high), name, second, inner)


def _head_height(name: list[str], second: list[str]) -> float:
    return _PAD / 2 + _LINE_NAME * len(name) + _LINE_SMALL * len(second)


def _scope_height(drawing: _Drawing) -> float:
    return drawing.height + 2 * _PAD + (_LINE_SMALL if drawing.title else 0)


def _draw_shape(shape: _Shape, x: float, y: float, out: list[str]) -> None:
    node, box = shape.node, shape.box
    cx, cy = x + box.x, y + box.y
    if node.type in ("Start", "End"):
        if node.type == "End":
            out.append(f'<circle class="ring" cx="{_n(cx)}" cy="{_n(cy)}" r="7.5"/>')
        out.append(f'<circle class="mark" cx="{_n(cx)}" cy="{_n(cy)}" r="{5 if node.type == "End" else 7}"/>')
        return
    left, top = cx - box.width / 2, cy - box.height / 2
    kind = node.type if node.type.isalpha() else "unknown"
    out.append(
        f'<g class="state {kind}"><title>{escape(visible(node.name))}</title>'
        f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(box.width)}" height="{_n(box.height)}" rx="8"/></g>'
    )
    baseline = top + _PAD / 2 + _NAME
    out.extend(_text(shape.name, "name", cx, baseline, _LINE_NAME))
    out.extend(_text(shape.second, "type", cx, baseline + _LINE_NAME * len(shape.name) - 2, _LINE_SMALL))
    if shape.inner:
        _draw_inner(shape, left, top + _head_height(shape.name, shape.second) + _PAD / 2, out)


def _draw_inner(shape: _Shape, left: float, top: float, out: list[str]) -> None:
    wide = sum(each.width + 2 * _PAD for each in shape.inner) + _PAD * (len(shape.inner) - 1)
    x = left + (shape.box.width - wide) / 2
    high = max(_scope_height(each) for each in shape.inner)
    for each in shape.inner:
        across = each.width + 2 * _PAD
        out.append(f'<rect class="scope" x="{_n(x)}" y="{_n(top)}" width="{_n(across)}" height="{_n(high)}" rx="6"/>')
        inside = top + _PAD
        if each.title:
            out.extend(_text([each.title], "type", x + across / 2, top + _LINE_SMALL, _LINE_SMALL))
            inside += _LINE_SMALL
        each.draw(x + _PAD, inside, out)
        x += across + _PAD


def _text(lines: list[str], classes: str, x: float, y: float, step: float) -> list[str]:
    return [
        f'<text class="{classes}" x="{_n(x)}" y="{_n(y + step * number)}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]


def _path(edge: Edge, line: Line, x: float, y: float) -> str:
    points = [(x + px, y + py) for px, py in line.points]
    path = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for (ax, ay), (bx, by) in pairwise(points):
        if ax == bx or edge.source == edge.target:
            path += f"L{_n(bx)} {_n(by)}"
        else:
            # Leaves and arrives vertically.
            path += f"C{_n(ax)} {_n((ay + by) / 2)} {_n(bx)} {_n((ay + by) / 2)} {_n(bx)} {_n(by)}"
    classes, marker = ("edge catch", "caught") if edge.kind == "catch" else ("edge", "to")
    return f'<path class="{classes}" d="{path}" marker-end="url(#{marker})"/>'


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
