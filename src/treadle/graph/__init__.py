"""A definition as a picture: Mermaid, Graphviz or SVG. Pure: a parsed definition in, text out, the same every time."""

from treadle.graph.dot import dot
from treadle.graph.mermaid import mermaid
from treadle.graph.model import Edge, Graph, Node, graph_of
from treadle.graph.svg import svg

__all__ = ["Edge", "Graph", "Node", "dot", "graph_of", "mermaid", "svg"]
