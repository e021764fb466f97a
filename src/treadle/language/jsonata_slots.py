"""The slots of a plan, from the fields of a JSONata state.

Owns how JSONata fields become expressions, and AWS's words when one fails. The twin of jsonpath_slots.py.
"""

from __future__ import annotations

from treadle.errors import StatesError
from treadle.language.plan import Assign, Catcher, Dataflow, Rule
from treadle.language.queries.jsonata import UNDEFINED, UNSUPPORTED, JsonataError, compile_expression
from treadle.language.scope import Expr, Json, Scope
from treadle.language.slots import Check, Fields
from treadle.language.timestamps import parse_timestamp
from treadle.language.values import is_array, is_object, json_text
from treadle.language.waits import until_moment


def is_expression(value: Json) -> bool:
    """AWS 'Transforming data with JSONata': exactly `{% ... %}`, no blanks around."""
    return isinstance(value, str) and len(value) >= 4 and value.startswith("{%") and value.endswith("%}")


def _failure(cause: str, location: str | None) -> StatesError:
    return StatesError("States.QueryEvaluationError", cause, location)


def _said(text: str, location: str, complaint: str) -> StatesError:
    return _failure(f"The JSONata expression '{text}' specified for the field '{location}' {complaint}", location)


def _evaluation(source: str, location: str) -> Expr:
    """One `{% ... %}`. Observed on AWS: the texts."""
    expression = compile_expression(source[2:-2])
    read, text = expression.read, expression.text

    def evaluate(scope: Scope) -> Json:
        try:
            value = read(scope)
        except JsonataError as error:
            raise _said(text, location, f"threw an error during evaluation. {error}") from None
        if value is UNDEFINED:
            raise _said(text, location, "returned nothing (undefined).")
        if value is UNSUPPORTED:
            raise _said(text, location, "returned an unsupported result type.")
        return value

    return evaluate


def _template(value: Json, location: str) -> Expr | None:
    """A value with expressions at any depth; None where there is none."""
    if is_expression(value):
        return _evaluation(value, location)
    if is_array(value):
        elements = [(each, _template(each, f"{location}[{index}]")) for index, each in enumerate(value)]
        if all(compiled is None for _, compiled in elements):
            return None
        return lambda scope: [each if compiled is None else compiled(scope) for each, compiled in elements]
    if not is_object(value):
        return None
    members = [(key, _template(each, f"{location}/{key}")) for key, each in value.items()]
    dynamic = tuple((key, compiled) for key, compiled in members if compiled is not None)
    if not dynamic:
        return None

    def evaluate(scope: Scope) -> Json:
        answer = dict(value)
        for key, compiled in dynamic:
            answer[key] = compiled(scope)
        return answer

    return evaluate


def _field(fields: Fields, name: str, within: str = "") -> Expr | None:
    if name not in fields:
        return None
    value = fields[name]
    return _template(value, within + name) or (lambda scope: value)


def _typed(fields: Fields, name: str, kinds: tuple[type, ...], noun: str, within: str = "") -> Expr | None:
    """A field whose expression must give a certain type."""
    evaluate = _field(fields, name, within)
    if evaluate is None or not is_expression(fields[name]):
        return evaluate
    text = compile_expression(fields[name][2:-2]).text

    def typed(scope: Scope) -> Json:
        value = evaluate(scope)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise _said(
                text,
                within + name,
                f"returned an unexpected result type. Expected '{noun}', but was '{_kind(value)}' "
                f"for value: {json_text(value)}",
            )
        return value

    return typed


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


# ---- what compile.py asks for ------------------------------------------------------------------------------------


def dataflow(fields: Fields) -> Dataflow:
    """The data flow of a state."""
    return Dataflow(arguments=_field(fields, "Arguments"), output=_field(fields, "Output"), assign=assign(fields))


def assign(fields: Fields, within: str = "") -> Assign | None:
    """Assign, of a state, a rule or a catcher."""
    return _field(fields, "Assign", within) if fields.get("Assign") else None


def catcher(fields: Fields, within: str) -> Catcher:
    """One element of Catch."""
    output = _field(fields, "Output", within)
    return Catcher(frozenset(fields["ErrorEquals"]), fields["Next"], None, output, assign(fields, within))


def rule(fields: Fields, state: Fields, within: str) -> Rule:
    """One element of Choices."""
    holds = _typed(fields, "Condition", (bool,), "boolean", within)
    assert holds is not None
    return Rule(holds, fields["Next"], _field(fields, "Output", within), assign(fields, within))


def text(fields: Fields, name: str) -> Expr | None:
    """Error and Cause of a Fail."""
    return _typed(fields, name, (str,), "string")


def seconds(fields: Fields, name: str) -> Expr | None:
    """TimeoutSeconds and HeartbeatSeconds."""
    evaluate = _typed(fields, name, (int, float), "number")
    if evaluate is None or not is_expression(fields[name]):
        return evaluate

    def positive(scope: Scope) -> Json:
        value = evaluate(scope)
        if value != int(value) or value <= 0:
            raise _failure(f"The {name} field must be a positive integer but was: {json_text(value)}", name)
        return int(value)

    return positive


def until(fields: Fields) -> Expr:
    """The moment at which a Wait ends."""
    if "Seconds" in fields:
        span = _typed(fields, "Seconds", (int, float), "number")
        assert span is not None

        def by_seconds(scope: Scope) -> Json:
            value = span(scope)
            if value != int(value) or value < 0:
                raise _failure(
                    f"The Seconds field must be a non-negative integer but was: {json_text(value)}", "Seconds"
                )
            return until_moment(scope, scope.now + int(value))

        return by_seconds
    moment = _typed(fields, "Timestamp", (str,), "string")
    assert moment is not None, "lint wants Seconds or Timestamp"

    def by_timestamp(scope: Scope) -> Json:
        value = moment(scope)
        parsed = parse_timestamp(value)
        if parsed is None:
            raise _failure(
                f"The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: {value}",
                "Timestamp",
            )
        return until_moment(scope, parsed[0])

    return by_timestamp


def items(fields: Fields, distributed: bool) -> Expr:
    """The items of a Map."""
    # Observed on AWS: an inline Map refuses an object, which a distributed one maps over.
    kinds: tuple[type, ...] = (list, dict) if distributed else (list,)
    given = _typed(fields, "Items", kinds, "array")

    def evaluate(scope: Scope) -> Json:
        value: Json = scope.input if given is None else given(scope)
        if not (is_array(value) or (distributed and is_object(value))):
            raise _failure(f"Map state input must be an array but was: {json_text(value)}", None)
        return value

    return evaluate


def selector(fields: Fields) -> Expr | None:
    """ItemSelector."""
    return _field(fields, "ItemSelector")


def number(fields: Fields, name: str, kind: type = int, check: Check | None = None, within: str = "") -> Expr | None:
    """A number of a Map. `check` gives the complaint about a value out of range."""
    evaluate = _typed(fields, name, (int, float), "number", within)
    if evaluate is None or not is_expression(fields[name]):
        return evaluate
    location = within + name

    def checked(scope: Scope) -> Json:
        value = evaluate(scope)
        noun = "integer" if kind is int else "float"
        if kind is int and value != int(value):
            raise _failure(f"The {name} field must be an integer but was: {json_text(value)}", location)
        if check is not None and (complaint := check(value)):
            raise _failure(complaint.format(name=name, value=value, path=name, noun=noun), location)
        return kind(value)

    return checked


def template_field(fields: Fields, name: str, within: str) -> Expr | None:
    """A value with expressions that stands in a field: Arguments of a reader, BatchInput, Credentials."""
    return _field(fields, name, within)


ARGUMENTS = "Arguments"
"""What the arguments of ItemReader and ResultWriter are called."""
