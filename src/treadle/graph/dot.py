"""A graph in Graphviz's language. Owns its syntax and its escapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from treadle.graph.model import Edge, Graph, Node
from treadle.graph.text import visible, wrapped

_SHAPES: Final = {
    "Start": 'shape=circle width=0.2 label="" style=filled fillcolor=black',
    "End": 'shape=doublecircle width=0.15 label="" style=filled fillcolor=black',
    "Choice": "shape=diamond",
    "Wait": 'style="rounded,dashed"',
    "Succeed": "color=darkgreen",
    "Fail": "color=firebrick",
}
_STYLES: Final = {"catch": " style=dashed color=firebrick fontcolor=firebrick", "default": " style=bold"}


def dot(graph: Graph) -> str:
    """The whole digraph."""
    lines = [
        "digraph workflow {",
        "  compound=true;",
        '  node [shape=box style=rounded fontname="sans-serif" fontsize=11];',
        '  edge [fontname="sans-serif" fontsize=9];',
        '  graph [fontname="sans-serif" fontsize=11];',
        *_body(graph, "  "),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _body(graph: Graph, indent: str) -> Iterator[str]:
    nodes = {node.id: node for node in graph.nodes}
    for node in graph.nodes:
        yield from _node(node, indent)
    for edge in graph.edges:
        yield f"{indent}{_edge(edge, nodes)};"


def _node(node: Node, indent: str) -> Iterator[str]:
    if not node.inner:
        shape = _SHAPES.get(node.type, "")
        label = "" if node.type in ("Start", "End") else f"label={_label(node)} "
        yield f"{indent}{node.id} [{label}{shape}];"
        return
    yield f"{indent}subgraph cluster_{node.id} {{"
    yield f"{indent}  label={_label(node)}; style=rounded;"
    # An edge ends at a node; compound edges are cut off at the border of the cluster around it.
    yield f"{indent}  {node.id} [shape=point style=invis width=0.01];"
    for inner in node.inner:
        yield f"{indent}  subgraph cluster_{inner.id} {{"
        yield f"{indent}    label={_quoted(inner.title)}; style=dotted;"
        yield from _body(inner, indent + "    ")
        yield f"{indent}  }}"
    yield f"{indent}}}"


def _edge(edge: Edge, nodes: dict[str, Node]) -> str:
    ends = "".join(
        f" {name}=cluster_{id}" for name, id in (("ltail", edge.source), ("lhead", edge.target)) if nodes[id].inner
    )
    label = f"label={_lines(wrapped(edge.label, 40, 3))}" if edge.label else ""
    attributes = f"{label}{_STYLES.get(edge.kind, '')}{ends}".strip()
    return f"{edge.source} -> {edge.target}" + (f" [{attributes}]" if attributes else "")


def _label(node: Node) -> str:
    return _lines([node.name, f"{node.type} · {node.detail}" if node.detail else node.type])


def _lines(lines: list[str]) -> str:
    return '"' + "\\n".join(_escaped(line) for line in lines) + '"'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace('"', '\\"')
