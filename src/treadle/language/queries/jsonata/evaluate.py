"""A resolved JSONata tree compiled to closures: the evaluator.

It owns the meaning of every kind of node but the operators, and what a loop costs. A loop is paid for before it runs:
the number of nodes inside times the number of items, so that single nodes need not count. It never looks at the text.
Neighbours: `jsonata/resolve.py` hands it the tree, `jsonata/steps.py` walks paths for it, `jsonata/closures.py` are the
functions it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from treadle.language.queries.jsonata.closures import Chain, Lambda, Partial, Transform, lookup
from treadle.language.queries.jsonata.errors import Fault
from treadle.language.queries.jsonata.operators import OPERATORS
from treadle.language.queries.jsonata.regex import Regex
from treadle.language.queries.jsonata.steps import (
    Group,
    Step,
    all_steps,
    descendants,
    field_of,
    fields,
    keep_index,
    keep_where,
    number_items,
    sort_terms,
    wildcard,
)
from treadle.language.queries.jsonata.syntax import Node
from treadle.language.queries.jsonata.text import Matcher
from treadle.language.queries.jsonata.values import (
    ARRAYS,
    UNDEFINED,
    Constructed,
    Evaluate,
    Frame,
    Function,
    Sequence,
    TailCall,
    apply,
    is_number,
    number,
    settle,
    truth,
)
from treadle.language.scope import Json


class Compiler:
    """Compiles the nodes of one expression. `builtins` are the functions, `bound` the names the expression binds."""

    def __init__(self, builtins: Mapping[str, Function], bound: set[str]) -> None:
        self._builtins = builtins
        self._bound = bound
        self._kinds: dict[str, Callable[[Node], Evaluate]] = {
            "string": self._constant,
            "number": self._constant,
            "value": self._constant,
            "name": lambda node: field_of(str(node.value)),
            "wildcard": lambda node: wildcard,
            "descendants": lambda node: descendants,
            "variable": self._variable,
            "parent": self._parent,
            "regex": self._regex,
            "path": self._path,
            "binary": self._binary,
            "negate": self._negate,
            "array": self._array,
            "object": self._object,
            "block": self._block,
            "bind": self._bind,
            "condition": self._condition,
            "lambda": self._lambda,
            "call": lambda node: self._call(node, _conclusion(node)),
            "partial": self._partial,
            "apply": self._apply,
            "transform": self._transform,
        }
        self.cost = 0
        """How many nodes have been compiled."""

    def compile(self, node: Node) -> Evaluate:
        """The closure that evaluates a node, its predicates and its grouping."""
        self.cost += 1
        evaluate = self._kinds[node.kind](node)
        filters = [self._filter(each) for each in node.predicates]
        group = self._group(node.group) if node.group and node.kind != "path" else None
        keep = node.keep_array
        is_settled = node.kind in _SETTLED or (node.kind == "binary" and node.value != "..")
        if is_settled and not filters and group is None and not keep:
            return evaluate

        def finish(context: Json, frame: Frame) -> Json:
            value = evaluate(context, frame)
            for keep_items in filters:
                value = keep_items(value, frame)
            if group is not None:
                value = group(value, frame)
            if type(value) is Sequence:
                if keep and not value.tuples:
                    value.keep = True
                return settle(value)
            return value

        return finish

    def _measured(self, node: Node) -> tuple[Evaluate, int]:
        before = self.cost
        evaluate = self.compile(node)
        return evaluate, self.cost - before

    def _constant(self, node: Node) -> Evaluate:
        value = node.value
        return lambda context, frame: value

    def _variable(self, node: Node) -> Evaluate:
        name = str(node.value)
        if not name:
            return lambda context, frame: context
        if name == "$":
            # ASL 'Reserved variable': there is no input document, so its root is undefined.
            return lambda context, frame: UNDEFINED
        builtin: Json = self._builtins.get(name, UNDEFINED)
        if name in self._bound:

            def local(context: Json, frame: Frame) -> Json:
                names = frame.names
                value = names[name] if name in names else lookup(frame, name, builtin)
                return settle(value) if type(value) is Sequence else value

            return local
        return lambda context, frame: frame.run.names.get(name, builtin)

    def _parent(self, node: Node) -> Evaluate:
        assert node.slot
        label = node.slot.label
        return lambda context, frame: lookup(frame, label)

    def _regex(self, node: Node) -> Evaluate:
        regex = node.value
        assert isinstance(regex, Regex)
        matcher = Matcher(regex)
        return lambda context, frame: matcher

    def _filter(self, node: Node) -> Callable[[Json, Frame], Json]:
        if node.kind == "index":
            return number_items(str(node.value))
        assert node.right
        if node.right.kind == "number":
            return keep_index(node.right.value)
        return keep_where(*self._measured(node.right))

    def _group(self, node: Node) -> Group:
        before = self.cost
        pairs = [(self.compile(key), self.compile(value)) for key, value in node.pairs]
        return Group(pairs, self.cost - before)

    def _path(self, node: Node) -> Evaluate:
        steps = [self._step(item) for item in node.items]
        group = self._group(node.group) if node.group else None
        names: list[str] = []
        first = node.items[0]
        plain_names = node.items if first.kind == "name" else node.items[1:]
        for item in plain_names:
            if item.kind != "name" or _is_special(item):
                break
            names.append(str(item.value))
        if node.keep_array or node.tuples or group or any(item.tuples for item in node.items):
            return all_steps(steps, first.kind == "variable", node.keep_array, node.tuples, group)
        if first.kind == "name" and names:
            return fields(None, names, steps[len(names) :])
        if first.kind == "variable" and not _is_special(first):
            return fields(self.compile(first), names, steps[1 + len(names) :])
        return all_steps(steps, first.kind == "variable", False, False, None)

    def _step(self, node: Node) -> Step:
        before = self.cost
        stages = [self._filter(each) for each in node.stages]
        sort = None
        evaluate: Evaluate = wildcard
        if node.kind == "sort":
            terms = [self.compile(item) for item in node.items]
            sort = sort_terms(terms, node.descending, self.cost - before + 2)
        else:
            evaluate = self.compile(node)
        return Step(
            evaluate,
            stages,
            sort,
            self.cost - before,
            str(node.value) if node.kind == "name" and not node.predicates and not node.keep_array else None,
            node.kind == "array" and node.constructor,
            node.focus,
            node.index,
            [slot.label for slot in node.ancestors],
            node.tuples,
        )

    def _binary(self, node: Node) -> Evaluate:
        assert node.left and node.right
        sign = str(node.value)
        left, right = self.compile(node.left), self.compile(node.right)
        if sign in ("and", "or"):
            return _logical(sign, left, right)
        operate = OPERATORS[sign]
        return lambda context, frame: operate(left(context, frame), right(context, frame), frame.run)

    def _negate(self, node: Node) -> Evaluate:
        assert node.left
        operand = self.compile(node.left)

        def evaluate(context: Json, frame: Frame) -> Json:
            value = operand(context, frame)
            if value is UNDEFINED:
                return UNDEFINED
            if not is_number(value):
                raise Fault("D1002", value=value)
            return -value if type(value) is int else number(-value)

        return evaluate

    def _array(self, node: Node) -> Evaluate:
        items = [(self.compile(item), item.kind == "array") for item in node.items]
        constructor = node.constructor

        def evaluate(context: Json, frame: Frame) -> Json:
            run = frame.run
            result: list[Json] = []
            for item, is_nested in items:
                value = item(context, frame)
                if type(value) in ARRAYS and not is_nested:
                    run.hold(len(value))
                    result.extend(value)
                elif value is not UNDEFINED:
                    result.append(run.store(value))
            if constructor:
                run.mixed = True
                return Constructed(result)
            return result

        return evaluate

    def _object(self, node: Node) -> Evaluate:
        group = self._group(node)
        return lambda context, frame: group(context, frame)

    def _block(self, node: Node) -> Evaluate:
        items = [self.compile(item) for item in node.items]
        if len(items) == 1 and not self._bound:
            return items[0]

        def evaluate(context: Json, frame: Frame) -> Json:
            inner = frame.child({})
            result: Json = UNDEFINED
            for item in items:
                result = item(context, inner)
            return result

        return evaluate

    def _bind(self, node: Node) -> Evaluate:
        assert node.right
        name, operand = str(node.value), self.compile(node.right)

        def evaluate(context: Json, frame: Frame) -> Json:
            value = operand(context, frame)
            frame.run.keep(value)
            frame.names[name] = value
            return value

        return evaluate

    def _condition(self, node: Node) -> Evaluate:
        assert node.left and node.right
        condition, then = self.compile(node.left), self.compile(node.right)
        otherwise = self.compile(node.other) if node.other else _nothing
        return lambda context, frame: (
            then(context, frame) if truth(condition(context, frame)) else otherwise(context, frame)
        )

    def _lambda(self, node: Node) -> Evaluate:
        assert node.right
        parameters = [str(item.value) for item in node.items]
        body, cost = self._measured(node.right)
        signature = node.signature
        return lambda context, frame: Lambda(parameters, signature, body, cost, context, frame)

    def _procedure(self, node: Node, mistaken: str, missing: str | None) -> tuple[Evaluate, str | None]:
        """The closure for what is called and the name it goes by; a name without its `$` raises `mistaken`."""
        assert node.left
        called = node.left
        evaluate = self.compile(called)
        if called.kind != "path":
            name = str(called.value) if called.kind == "variable" else None
        else:
            name = str(called.items[0].value)

        def procedure(context: Json, frame: Frame) -> Json:
            function = evaluate(context, frame)
            if function is UNDEFINED and called.kind == "path":
                meant = lookup(frame, str(name))
                if meant is not UNDEFINED or name in self._builtins:
                    raise Fault(mistaken, token=name)
            if missing and not isinstance(function, Function):
                raise Fault(missing)
            return function

        return procedure, name

    def _call(self, node: Node, conclude: Callable[[Json], Json], first: Evaluate | None = None) -> Evaluate:
        procedure, name = self._procedure(node, "T1005", None)
        items = [self.compile(item) for item in node.items]
        if first is not None:
            items.insert(0, first)
        are_many = len(items) > _FEW_ARGUMENTS
        if node.tail and first is None:
            return lambda context, frame: TailCall(
                procedure(context, frame), [item(context, frame) for item in items], name
            )

        def evaluate(context: Json, frame: Frame) -> Json:
            function = procedure(context, frame)
            args: list[Json] = []
            for item in items:
                arg = item(context, frame)
                if are_many:
                    frame.run.keep(arg)
                args.append(arg)
            return conclude(apply(frame.run, function, args, context, name))

        return evaluate

    def _partial(self, node: Node) -> Evaluate:
        procedure, _ = self._procedure(node, "T1007", "T1008")
        items = [None if item.kind == "placeholder" else self.compile(item) for item in node.items]
        holes = [index for index, item in enumerate(items) if item is None]

        def evaluate(context: Json, frame: Frame) -> Json:
            args: list[Json] = []
            for item in items:
                args.append(UNDEFINED if item is None else item(context, frame))
            return Partial(procedure(context, frame), args, holes)

        return evaluate

    def _apply(self, node: Node) -> Evaluate:
        assert node.left and node.right
        conclude = _conclusion(node)
        left = self.compile(node.left)
        if node.right.kind == "call":
            return self._call(node.right, conclude, left)
        right = self.compile(node.right)

        def evaluate(context: Json, frame: Frame) -> Json:
            value = left(context, frame)
            function = right(context, frame)
            if not isinstance(function, Function):
                raise Fault("T2006")
            if isinstance(value, Function):
                return Chain(value, function)
            return conclude(apply(frame.run, function, [value], UNDEFINED))

        return evaluate

    def _transform(self, node: Node) -> Evaluate:
        assert node.left and node.right
        pattern, update = self.compile(node.left), self.compile(node.right)
        delete = self.compile(node.other) if node.other else None
        clone = self._variable(Node("variable", "clone"))
        return lambda context, frame: Transform(clone, pattern, update, delete, frame)


# As many arguments as this may be long strings without being counted as kept.
_FEW_ARGUMENTS = 8
# The kinds of node whose value never is a sequence that has yet to be settled.
_SETTLED = frozenset(
    [
        "string",
        "number",
        "value",
        "regex",
        "variable",
        "negate",
        "array",
        "object",
        "block",
        "bind",
        "condition",
        "lambda",
        "partial",
        "transform",
        "call",
        "apply",
    ]
)


def _conclusion(node: Node) -> Callable[[Json], Json]:
    """What to do with the result of a call: settle it, unless its predicates have to see it first."""
    return _as_it_is if node.predicates or node.group or node.keep_array else settle


def _nothing(context: Json, frame: Frame) -> Json:
    return UNDEFINED


def _as_it_is(value: Json) -> Json:
    return value


def _is_special(node: Node) -> bool:
    return bool(
        node.predicates or node.stages or node.group or node.keep_array or node.focus or node.index or node.ancestors
    )


def _logical(sign: str, left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(context: Json, frame: Frame) -> Json:
        value = truth(left(context, frame))
        try:
            if sign == "and":
                return value and truth(right(context, frame))
            return value or truth(right(context, frame))
        except Fault as fault:
            # As in jsonata.js, an error on the right names this operator whatever raised it.
            fault.inserts["token"] = sign
            raise

    return evaluate
