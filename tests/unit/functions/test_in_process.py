"""Functions in this process leave it as it was. How they behave otherwise is in tests/functions/test_behaviour.py."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from treadle.functions import (
    FunctionNotFound,
    FunctionsClosed,
    FunctionSpec,
    InProcessFunctions,
    InvalidFunctions,
    Invoked,
)


def invoke(functions: InProcessFunctions, name: str, event: Any = None) -> Invoked:
    return asyncio.run(functions.invoke(name, json.dumps(event).encode()))


def test_plain_callables_are_functions() -> None:
    functions = InProcessFunctions({"charge": lambda event, context: {"by": context.function_name, "total": event}})
    assert list(functions.names()) == ["charge"]
    assert json.loads(invoke(functions, "charge", 7).payload) == {"by": "charge", "total": 7}


def test_a_callable_that_raises_gives_an_error() -> None:
    def charge(event: Any, context: Any) -> None:
        raise LookupError("no such card")

    invoked = invoke(InProcessFunctions({"charge": charge}), "charge")
    error = json.loads(invoked.payload)
    assert (invoked.error, error["errorType"], error["errorMessage"]) == ("Unhandled", "LookupError", "no such card")


def test_a_handler_sees_lambdas_environment_and_we_keep_ours(tmp_path: Path) -> None:
    (tmp_path / "fn.py").write_text(
        "import os, sys\nimport neighbour\n"
        "def handler(event, context):\n"
        "    os.environ['LEFT'] = 'behind'\n"
        "    return [neighbour.__file__, os.environ['AWS_LAMBDA_FUNCTION_NAME']]\n"
    )
    (tmp_path / "neighbour.py").touch()
    before = dict(os.environ), list(sys.path), Path.cwd(), list(logging.getLogger().handlers), sys.stdout
    spec = FunctionSpec("fn", "fn.handler", tmp_path, "python3.11")
    assert json.loads(invoke(InProcessFunctions({"fn": spec}), "fn").payload) == [str(tmp_path / "neighbour.py"), "fn"]
    assert (dict(os.environ), list(sys.path), Path.cwd(), list(logging.getLogger().handlers), sys.stdout) == before
    assert not {"fn", "neighbour"} & sys.modules.keys()


def test_functions_with_modules_of_the_same_name_keep_apart(tmp_path: Path) -> None:
    specs: dict[str, Any] = {}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text("import shared\ndef handler(event, context): return shared.NAME")
        (tmp_path / name / "shared.py").write_text(f"NAME = {name!r}")
        specs[name] = FunctionSpec(name, "app.handler", tmp_path / name, "python3.11")
    functions = InProcessFunctions(specs)
    assert [invoke(functions, name).payload for name in ("one", "two", "one")] == [b'"one"', b'"two"', b'"one"']


def test_only_python_runs_in_this_process(tmp_path: Path) -> None:
    with pytest.raises(InvalidFunctions, match=r"fn: nodejs20.x cannot run in this process. Use ProcessFunctions"):
        InProcessFunctions({"fn": FunctionSpec("fn", "fn.handler", tmp_path, "nodejs20.x")})


def test_what_is_not_there_is_not_found() -> None:
    with pytest.raises(FunctionNotFound) as raised:
        invoke(InProcessFunctions({}), "charge")
    assert (raised.value.code, raised.value.name) == ("ResourceNotFoundException", "charge")


def test_after_closing_nothing_is_called() -> None:
    functions = InProcessFunctions({"charge": lambda event, context: None})
    asyncio.run(functions.close())
    with pytest.raises(FunctionsClosed):
        invoke(functions, "charge")
