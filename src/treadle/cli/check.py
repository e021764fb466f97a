"""Whether everything that a definition calls is there, before anything runs.

Owns one rule per kind of resource. What is only known at run time (a function's name that comes from the input) is left
to run time. Neighbour: session.py, which puts together what is asked for here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from treadle.cli.inputs import MachineFolder, Source
from treadle.cli.mock import Script
from treadle.cli.problems import Problem
from treadle.functions import Functions
from treadle.integrations.aws.actions import Unknown, sdk_action
from treadle.integrations.aws.connectors import CONNECTORS
from treadle.integrations.lambda_ import function_name
from treadle.language.lints.outline import Scope, State, outline
from treadle.language.resources import Resource, parse_resource
from treadle.language.scope import Json
from treadle.language.values import is_object
from treadle.machine.journal import Entry, FramePath

_AWS: Final = frozenset((*CONNECTORS, "apigateway"))
"""Services that have optimised integrations here once AWS may be called."""


def check(
    source: Source,
    script: Script,
    functions: Functions | None,
    machines: MachineFolder,
    servers: Collection[str] | None,
    folder: str | None,
    standing: Collection[str] | None = None,
    aws: bool = False,
) -> None:
    """Raise a Problem with a line for every Task that nothing here would serve.

    For an execution that is under way, `standing` has the states that it is in: only what may follow is looked at.
    """
    findings: list[str] = []
    machine = outline(source.definition.root, source.machine.type)
    ahead = None if standing is None else _ahead(machine, standing)
    for state in machine.every_state():
        if ahead is not None and state.name not in ahead:
            continue
        resource = parse_resource(str(state.fields.get("Resource"))) if state.type == "Task" else None
        if resource is None or script.answers(state.name, resource):
            continue
        for what, remedy in _missing(state, resource, functions, machines, servers, folder, aws):
            findings.append(f"{source.place(state.path)}: the state '{state.name}' {what}: {remedy}.")
    if findings:
        raise Problem("\n".join(findings))


def standing_in(journal: Iterable[Entry]) -> set[str]:
    """The states that an execution is in, by its journal."""
    current: dict[FramePath, str] = {}
    for entry in journal:
        if entry.type.endswith("StateEntered"):
            current[entry.frame] = entry.details["name"]
        elif entry.type in _LEFT or entry.type.endswith("StateExited"):
            inner = len(entry.frame) + (entry.type not in _LEFT)
            for path in [path for path in current if len(path) >= inner and path[: len(entry.frame)] == entry.frame]:
                del current[path]
    return set(current.values())


_LEFT: Final = ("BranchSucceeded", "MapIterationSucceeded")


def _ahead(machine: Scope, standing: Collection[str]) -> set[str]:
    """The states that an execution may still come to, those it is in included."""
    states = {state.name: state for state in machine.every_state()}
    found: set[str] = set()
    todo = [name for name in standing if name in states]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            state = states[name]
            todo += [target for _, target in state.targets() if target in states]
            todo += [inner.name for scope in state.scopes for inner in scope.every_state()]
    return found


def _missing(
    state: State,
    resource: Resource,
    functions: Functions | None,
    machines: MachineFolder,
    servers: Collection[str] | None,
    folder: str | None,
    aws: bool,
) -> Iterator[tuple[str, str]]:
    mocked = "or answer for it with --mock"
    match resource.kind, resource.service:
        case "activity", _:
            return
        case "aws-sdk", _ if aws:
            try:
                sdk_action(resource.service, resource.action)
            except Unknown as unknown:
                yield f"calls {resource.arn}", f"{str(unknown).rstrip('.')}. Correct it, {mocked}"
        case "service", service if aws and service in _AWS:
            return
        case "lambda" | "service", "lambda":
            name = _function(state, resource)
            called = f"calls the function '{name}'" if name else "calls a function"
            if functions is None:
                yield called, f"name the folder of the functions with --functions {mocked}"
            elif name and name not in functions.names():
                known = ", ".join(sorted(functions.names())) or "none"
                yield f"{called}, which is not in {folder} ({known} there)", f"add {name}.py {mocked}"
        case _, "states":
            arn = _argument(state, "StateMachineArn")
            if arn and machines.find(arn) is None:
                name = arn.rpartition(":")[2]
                yield (
                    f"starts the state machine '{name}'",
                    f"put {name}.asl.json beside the definition, name its folder with --machines {mocked}",
                )
        case "http", _:
            return
        case "mcp", _:
            server = _argument(state, "Server")
            if servers is None:
                yield "calls an MCP server", f"name the file of the servers with --mcp-servers {mocked}"
            elif server and server not in servers:
                known = ", ".join(sorted(servers)) or "none"
                yield (
                    f"calls the MCP server '{server}'",
                    f"add it to the file of --mcp-servers ({known} there) {mocked}",
                )
        case _:
            # The script knows the plain name as well as the ARN.
            named = f"{resource.service}:{resource.name}"
            waits = ' ({"never": true} lets it wait for an answer)' if resource.pattern == "waitForTaskToken" else ""
            callable = resource.kind == "aws-sdk" or resource.service in _AWS
            elsewhere = ", or set AWS_ENDPOINT_URL, or call AWS itself with --aws" if callable and not aws else ""
            yield (
                f"calls {named}, which nothing here serves",
                f"answer for '{state.name}' or '{named}' with --mock{waits}{elsewhere}",
            )


def _function(state: State, resource: Resource) -> str | None:
    """The name of the function, where the definition has it."""
    if resource.kind == "lambda":
        return function_name(resource.arn)
    named = _argument(state, "FunctionName")
    return function_name(named) if named else None


def _argument(state: State, name: str) -> str | None:
    given: Json = state.fields.get("Arguments" if state.language == "JSONata" else "Parameters")
    value = given.get(name) if is_object(given) else None
    # In JSONata, what is computed stands between {% and %}.
    return value if isinstance(value, str) and not value.startswith("{%") else None
