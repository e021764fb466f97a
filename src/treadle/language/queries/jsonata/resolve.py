"""From the raw tree of a JSONata expression to the tree that is evaluated: paths, predicates, tail calls, parents.

It owns what jsonata.js calls the post-parse stage, with its syntax errors, and the answer to which variables an
expression leaves free. It evaluates nothing. Neighbours: `jsonata/syntax.py` hands it the raw tree,
`jsonata/evaluate.py` takes the resolved one, in which `map`, `predicate`, `group` and `order` nodes have become steps
of `path` nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from treadle.language.queries.jsonata.syntax import Node, Slot, syntax_error


class _Resolver:
    """Resolves one expression. A `%` becomes a slot: the step it denotes binds its value under the slot's label."""

    def __init__(self) -> None:
        self.labels = 0

    def resolve(self, node: Node) -> Node:
        keep_array = node.keep_array
        result = self._resolve(node)
        if keep_array:
            result.keep_array = True
        return result

    def _resolve(self, node: Node) -> Node:
        match node.kind:
            case "map":
                return self._map(node)
            case "predicate":
                return self._predicate(node)
            case "group":
                return self._group(node)
            case "order":
                return self._order(node)
            case "@" | "#":
                return self._binding(node)
            case "bind":
                return self._bind(node)
            case "name":
                return Node("path", position=node.position, items=[node], keep_array=node.keep_array)
            case "operator":
                # The keywords are names wherever an operand is expected.
                return self._resolve(Node("name", node.value, node.position, keep_array=node.keep_array))
            case "parent":
                slot = Slot(f"!{self.labels}")
                self.labels += 1
                return Node("parent", position=node.position, slot=slot, seeking=[slot])
            case "lambda":
                assert node.right is not None
                node.right = _with_tail_calls(self.resolve(node.right))
                return node
            case "transform":
                self._children(node)
                node.seeking = []
                return node
            case "negate":
                return self._negate(node)
            case "(end)":
                raise syntax_error("S0207", node.position, token=node.value)
            case _:
                self._children(node)
                return node

    def _children(self, node: Node) -> None:
        """Resolve every part of a node that is evaluated in the node's own context."""
        for name in ("left", "right", "other"):
            child = getattr(node, name)
            if child is not None:
                resolved = self.resolve(child)
                setattr(node, name, resolved)
                # The procedure of a call and the sides of `~>` are no place to look for a parent from.
                if not (node.kind in ("call", "partial") or node.kind == "apply"):
                    _seek_further(node, resolved)
        node.items = [self.resolve(item) for item in node.items]
        node.pairs = [(self.resolve(key), self.resolve(value)) for key, value in node.pairs]
        for child in (*node.items, *(each for pair in node.pairs for each in pair)):
            _seek_further(node, child)
        if node.kind == "block":
            node.constructor = any(
                item.constructor or (item.kind == "path" and item.items[0].constructor) for item in node.items
            )
        if node.kind == "apply":
            assert node.left and node.right
            node.keep_array = node.left.keep_array or node.right.keep_array

    def _negate(self, node: Node) -> Node:
        self._children(node)
        operand = node.left
        assert operand is not None
        if operand.kind == "number":
            operand.value = -operand.value
            return operand
        return node

    def _bind(self, node: Node) -> Node:
        assert node.left and node.right
        node.value = node.left.value
        node.left = None
        node.right = self.resolve(node.right)
        _seek_further(node, node.right)
        return node

    def _map(self, node: Node) -> Node:
        assert node.left and node.right
        path = _as_path(self.resolve(node.left))
        rest = self.resolve(node.right)
        if rest.kind == "path":
            path.items += rest.items
        else:
            if rest.predicates:
                rest.stages, rest.predicates = rest.predicates, []
            path.items.append(rest)
        for step in path.items:
            if step.kind in ("number", "value"):
                raise syntax_error("S0213", step.position, value=step.value)
            if step.kind == "string":
                step.kind = "name"
            if step.keep_array:
                path.keep_array = True
        for edge in (path.items[0], path.items[-1]):
            if edge.kind == "array":
                edge.constructor = True
        _look_for_parents(path)
        return path

    def _predicate(self, node: Node) -> Node:
        assert node.left and node.right
        result = self.resolve(node.left)
        step = result.items[-1] if result.kind == "path" else result
        if step.group is not None:
            raise syntax_error("S0209", node.position)
        predicate = self.resolve(node.right)
        for slot in predicate.seeking:
            if slot.level == 1:
                _seek(step, slot)
            else:
                slot.level -= 1
        step.seeking += [slot for slot in predicate.seeking if slot.level > 0]
        (step.stages if result.kind == "path" else step.predicates).append(
            Node("filter", position=node.position, right=predicate)
        )
        return result

    def _group(self, node: Node) -> Node:
        assert node.left and node.right
        result = self.resolve(node.left)
        if result.group is not None:
            raise syntax_error("S0210", node.position)
        pairs = [(self.resolve(key), self.resolve(value)) for key, value in node.right.pairs]
        result.group = Node("object", position=node.position, pairs=pairs)
        return result

    def _order(self, node: Node) -> Node:
        assert node.left
        path = _as_path(self.resolve(node.left))
        sort = Node("sort", position=node.position, descending=node.descending)
        for term in node.items:
            resolved = self.resolve(term)
            _seek_further(sort, resolved)
            sort.items.append(resolved)
        path.items.append(sort)
        _look_for_parents(path)
        return path

    def _binding(self, node: Node) -> Node:
        assert node.left and node.right
        result = self.resolve(node.left)
        if node.kind == "#" and result.kind != "path":
            result.stages, result.predicates = result.predicates, []
            result = _as_path(result)
        step = result.items[-1] if result.kind == "path" else result
        name = str(node.right.value)
        if node.kind == "@":
            if step.stages or step.predicates:
                raise syntax_error("S0215", node.position)
            if step.kind == "sort":
                raise syntax_error("S0216", node.position)
            step.keep_array = step.keep_array or node.keep_array
            step.focus = name
        elif step.stages:
            step.stages.append(Node("index", name, node.position))
        else:
            step.index = name
        step.tuples = True
        return result


def _as_path(node: Node) -> Node:
    if node.kind == "path":
        return node
    path = Node("path", position=node.position, items=[node])
    if node.kind == "parent":
        path.seeking = list(node.seeking)
    return path


def _seek_further(node: Node, child: Node) -> None:
    """A parent that was not found inside a part of a node is looked for outside the node."""
    node.seeking += child.seeking


def _look_for_parents(path: Node) -> None:
    index = len(path.items) - 1
    waiting = path.items[index].seeking
    for slot in waiting:
        at = index - 1
        while slot.level > 0:
            if at < 0:
                path.seeking.append(slot)
                break
            step = path.items[at]
            at -= 1
            # Steps that only bind the context stand for one.
            while at >= 0 and step.focus and path.items[at].focus:
                step = path.items[at]
                at -= 1
            _seek(step, slot)


def _seek(node: Node, slot: Slot) -> None:
    match node.kind:
        case "name" | "wildcard":
            slot.level -= 1
            if slot.level == 0:
                node.ancestors.append(slot)
                node.tuples = True
        case "parent":
            slot.level += 1
        case "block":
            if node.items:
                node.tuples = True
                _seek(node.items[-1], slot)
        case "path":
            node.tuples = True
            for step in reversed(node.items):
                _seek(step, slot)
                if slot.level == 0:
                    break
        case _:
            raise syntax_error("S0217", node.position, token=node.kind)


def _with_tail_calls(node: Node) -> Node:
    match node.kind:
        case "call" if not node.predicates:
            # A tail call is made elsewhere, where its grouping is not seen; jsonata.js does the same.
            node.tail, node.group = True, None
        case "condition":
            assert node.right
            node.right = _with_tail_calls(node.right)
            node.other = _with_tail_calls(node.other) if node.other else None
        case "block" if node.items:
            node.items[-1] = _with_tail_calls(node.items[-1])
        case _:
            return node
    return node


def resolve(tree: Node) -> Node:
    """The tree to evaluate; raises JsonataSyntaxError. The raw tree is used up."""
    result = _Resolver().resolve(tree)
    if result.kind == "parent" or result.seeking:
        raise syntax_error("S0217", result.position, token=result.kind)
    return result


@dataclass(slots=True)
class Usage:
    """Which names an expression uses: variables it does not bind, all names it binds, fields it reads off $states."""

    free: set[str] = field(default_factory=lambda: set())
    bound: set[str] = field(default_factory=lambda: set())
    states_fields: set[str] = field(default_factory=lambda: set())


def usage(tree: Node) -> Usage:
    """Which variables a resolved tree leaves free and which it binds."""
    found = Usage()
    _Walk(found).visit(tree, set(_assigned([tree])), set())
    return found


def _assigned(nodes: Iterable[Node]) -> Iterable[str]:
    """The names assigned in the frame these nodes run in, at whatever time."""
    for node in nodes:
        if node.kind == "bind":
            yield str(node.value)
        if node.kind not in ("block", "lambda"):
            yield from _assigned(_parts(node))


def _parts(node: Node) -> Iterable[Node]:
    yield from (child for child in (node.left, node.right, node.other, node.group) if child is not None)
    yield from node.items
    yield from (each for pair in node.pairs for each in pair)
    yield from node.predicates
    yield from node.stages


class _Walk:
    """Walks a tree in the order of evaluation. `now` are the names bound so far; `later` those bound once a function
    defined here may be called."""

    def __init__(self, found: Usage) -> None:
        self.found = found

    def visit(self, node: Node, later: set[str], now: set[str]) -> None:
        match node.kind:
            case "variable":
                self._use(str(node.value), now, "*")
                self._rest(node, later, now)
            case "bind":
                self._rest(node, later, now)
                self.found.bound.add(str(node.value))
                now.add(str(node.value))
            case "block":
                inner = set(now)
                within = later | set(_assigned(node.items))
                for item in node.items:
                    self.visit(item, within, inner)
                self._attachments(node, later, now)
            case "lambda":
                assert node.right
                names = {str(parameter.value) for parameter in node.items}
                self.found.bound |= names
                within = later | now | names
                self.visit(node.right, within | set(_assigned([node.right])), set(within))
                self._attachments(node, later, now)
            case "path":
                self._path(node, later, now)
            case _:
                self._rest(node, later, now)

    def _use(self, name: str, now: set[str], states_field: str) -> None:
        if name and name != "$" and name not in now:
            self.found.free.add(name)
            if name == "states":
                self.found.states_fields.add(states_field)

    def _rest(self, node: Node, later: set[str], now: set[str]) -> None:
        for part in _parts(node):
            self.visit(part, later, now)

    def _attachments(self, node: Node, later: set[str], now: set[str]) -> None:
        for part in (*node.predicates, *node.stages, *([node.group] if node.group else [])):
            self.visit(part, later, now)

    def _path(self, node: Node, later: set[str], now: set[str]) -> None:
        inner, bindings = set(now), set[str]()
        for step, following in zip(node.items, [*node.items[1:], None], strict=True):
            names = {step.focus, step.index, *(str(each.value) for each in step.stages if each.kind == "index")}
            bindings |= {name for name in names if name}
            inner |= bindings
            if step.kind == "variable" and following is not None and following.kind == "name":
                self._use(str(step.value), inner, str(following.value))
                self._attachments(step, later | inner, inner)
            else:
                self.visit(step, later | inner, inner)
        self._attachments(node, later | inner, inner)
        self.found.bound |= bindings
        now |= inner - bindings
