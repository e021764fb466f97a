"""A graph as a Mermaid flowchart. Owns Mermaid's syntax and its escapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from treadle.graph.model import Edge, Graph, Node
from treadle.graph.text import visible, wrapped

_SHAPES: Final = {
    "Start": ('(("', '"))'),
    "End": ('((("', '")))'),
    "Choice": ('{"', '"}'),
    "Wait": ('(["', '"])'),
    "Succeed": ('(["', '"])'),
    "Fail": ('(["', '"])'),
}
_ARROWS: Final = {"next": "-->", "choice": "-->", "default": "-->", "catch": "-.->"}
_ESCAPES: Final = {character: f"#{ord(character)};" for character in '"#<>&`[]{}()|;\\'}


def mermaid(graph: Graph) -> str:
    """The whole flowchart, from top to bottom."""
    return "\n".join(["flowchart TD", *_body(graph, "  ")]) + "\n"


def _body(graph: Graph, indent: str) -> Iterator[str]:
    for node in graph.nodes:
        yield from _node(node, indent)
    for edge in graph.edges:
        yield f"{indent}{_edge(edge)}"


def _node(node: Node, indent: str) -> Iterator[str]:
    if not node.inner:
        opening, closing = _SHAPES.get(node.type, ('["', '"]'))
        yield f"{indent}{node.id}{opening}{_label(node)}{closing}"
        return
    yield f'{indent}subgraph {node.id}["{_label(node)}"]'
    for inner in node.inner:
        if inner.title:
            yield f'{indent}  subgraph {inner.id}["{_escaped(inner.title)}"]'
            yield from _body(inner, indent + "    ")
            yield f"{indent}  end"
        else:
            yield from _body(inner, indent + "  ")
    yield f"{indent}end"


def _edge(edge: Edge) -> str:
    label = "<br/>".join(_escaped(line) for line in wrapped(edge.label, 40, 3)) if edge.label else ""
    return f"{edge.source} {_ARROWS[edge.kind]}" + (f'|"{label}"|' if label else "") + f" {edge.target}"


def _label(node: Node) -> str:
    if node.type in ("Start", "End"):
        return node.name
    second = f"{node.type} · {node.detail}" if node.detail else node.type
    return f"{_escaped(node.name)}<br/>{_escaped(second)}"


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in visible(text))
