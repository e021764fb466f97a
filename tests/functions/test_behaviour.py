"""What callers and handlers see, as on AWS Lambda: one table, in processes and in this process alike."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from treadle.functions import FunctionSpec, InProcessFunctions, ProcessFunctions, Surroundings
from treadle.functions.contract import RESPONSE_LIMIT

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:fn"
HOME = Surroundings(region="eu-west-1", environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:8083"})


@dataclass(frozen=True)
class Case:
    """A handler and what becomes of an invocation. `<id>` stands for the request's id, `<folder>` for the folder."""

    id: str
    code: str
    expected: Any
    event: Any = None
    error: str | None = None
    log: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


def fault(type: str, message: str, **more: Any) -> dict[str, Any]:
    return {"errorType": type, "errorMessage": message, **more}


def reported(type: str, message: str, *trace: str, request_id: str = "<id>") -> dict[str, Any]:
    return fault(type, message, requestId=request_id, stackTrace=list(trace))


def exited(way: str) -> dict[str, Any]:
    return fault("Runtime.ExitError", f"RequestId: <id> Error: Runtime exited {way}")


RETURNS = [
    Case("the result is the handler's", "def handler(event, context): return event", {"a": [1, "é"]}, {"a": [1, "é"]}),
    Case("no result is null", "def handler(event, context): pass", None, {}),
    Case("bytes are a result as they are", "def handler(event, context): return b'{\"raw\": 1}'", {"raw": 1}),
    Case(
        "a decimal keeps its digits",
        "from decimal import Decimal\ndef handler(event, context): return Decimal('1.10')",
        1.1,
    ),
    Case(
        "the context names the invocation and the function",
        """
        def handler(event, context):
            names = ("aws_request_id", "function_name", "function_version", "invoked_function_arn",
                     "memory_limit_in_mb", "log_group_name", "client_context", "tenant_id")
            return [getattr(context, name) for name in names]
        """,
        ["<id>", "fn", "$LATEST", ARN, "256", "/aws/lambda/fn", None, None],
        settings={"memory_mb": 256},
    ),
    Case(
        "the log stream has a date, the version and an id of its own",
        """
        import re
        def handler(event, context):
            return bool(re.fullmatch(r"\\d{4}/\\d\\d/\\d\\d/\\[\\$LATEST\\][0-9a-f]{32}", context.log_stream_name))
        """,
        True,
    ),
    Case(
        "the remaining time is what the time limit leaves",
        "def handler(event, context): return 29000 < context.get_remaining_time_in_millis() <= 30000",
        True,
        settings={"timeout": 30},
    ),
    Case(
        "the environment is Lambda's and the function's own",
        """
        import os
        def handler(event, context):
            return [os.environ.get(name) for name in event]
        """,
        [
            *("fn.handler", "fn", "128", "$LATEST", "on-demand", "AWS_Lambda_python3.11", "eu-west-1", "eu-west-1"),
            *("<folder>", "http://127.0.0.1:8083", "blue", None),
        ],
        event=[
            *("_HANDLER", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
            *("AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_EXECUTION_ENV", "AWS_REGION"),
            *("AWS_DEFAULT_REGION", "LAMBDA_TASK_ROOT", "AWS_ENDPOINT_URL", "COLOUR", "TREADLE_TEST_SECRET"),
        ],
        settings={"environment": {"COLOUR": "blue", "AWS_REGION": "not yours to set"}},
    ),
    Case(
        "the working folder is the function's",
        "import os\ndef handler(event, context): return [os.getcwd(), 'fn.py' in os.listdir()]",
        ["<folder>", True],
    ),
]

RAISES = [
    Case(
        "an exception is reported with its trace",
        """
        def charge(order):
            raise ValueError("no money")

        def handler(event, context):
            charge(event)
        """,
        reported(
            "ValueError",
            "no money",
            '  File "<folder>/fn.py", line 6, in handler\n    charge(event)\n',
            '  File "<folder>/fn.py", line 3, in charge\n    raise ValueError("no money")\n',
        ),
        error="Unhandled",
        log='[ERROR] ValueError: no money\rTraceback (most recent call last):\r\xa0\xa0File "<folder>/fn.py", line 6',
    ),
    Case(
        "an exception without a message has an empty one",
        "class Broken(Exception): pass\ndef handler(event, context): raise Broken",
        reported(
            "Broken", "", '  File "<folder>/fn.py", line 2, in handler\n    def handler(event, context): raise Broken\n'
        ),
        error="Unhandled",
    ),
    Case(
        "a result without JSON is an error",
        "def handler(event, context): return {1, 2}",
        reported("Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable"),
        error="Unhandled",
    ),
    Case(
        "a result of more than 6 MB is an error",
        f"def handler(event, context): return 'x' * ({RESPONSE_LIMIT} - 1)",
        fault(
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        ),
        error="Unhandled",
    ),
    Case(
        "a handler that exits takes its process along",
        "import sys\ndef handler(event, context): sys.exit(7)",
        exited("with error: exit status 7"),
        error="Unhandled",
        log="RequestId: <id> Error: Runtime exited with error: exit status 7\nRuntime.ExitError\n",
    ),
    Case(
        "an exit without a status gives no reason",
        "import sys\ndef handler(event, context): sys.exit()",
        exited("without providing a reason"),
        error="Unhandled",
    ),
    Case(
        "an exit with a message is status 1, and the message is in the log",
        "import sys\ndef handler(event, context): sys.exit('bye')",
        exited("with error: exit status 1"),
        error="Unhandled",
        log="bye\n",
    ),
    Case(
        "a handler that takes too long is timed out",
        """
        import threading
        def handler(event, context): threading.Event().wait(0.5)
        """,
        fault("Sandbox.Timedout", "RequestId: <id> Error: Task timed out after 0.25 seconds"),
        error="Unhandled",
        log=" <id> Task timed out after 0.25 seconds\n\n",
        settings={"timeout": 0.25},
    ),
]

FAILS_TO_START = [
    Case(
        "an import that fails",
        "import not_there\ndef handler(event, context): pass",
        reported(
            "Runtime.ImportModuleError", "Unable to import module 'fn': No module named 'not_there'", request_id=""
        ),
        error="Unhandled",
        log="[ERROR] Runtime.ImportModuleError: Unable to import module 'fn': No module named 'not_there'",
    ),
    Case(
        "a module that is not there",
        "",
        reported("Runtime.ImportModuleError", "Unable to import module 'nope': No module named 'nope'", request_id=""),
        error="Unhandled",
        settings={"handler": "nope.handler"},
    ),
    Case(
        "a handler that is not there",
        "def other(event, context): pass",
        reported("Runtime.HandlerNotFound", "Handler 'handler' missing on module 'fn'", request_id=""),
        error="Unhandled",
    ),
    Case(
        "a handler without a module",
        "",
        reported(
            "Runtime.MalformedHandlerName",
            "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
            request_id="",
        ),
        error="Unhandled",
        settings={"handler": "handler"},
    ),
    Case(
        "a syntax error",
        "def handler(event, context) return 1",
        reported(
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'fn': expected ':' (fn.py, line 1)",
            '  File "<folder>/fn.py" Line 1\n    def handler(event, context) return 1',
            request_id="",
        ),
        error="Unhandled",
    ),
    Case(
        "a module that exits",
        "import sys\nsys.exit(3)",
        exited("with error: exit status 3"),
        error="Unhandled",
    ),
]

LOGS = [
    Case(
        "stdout and stderr are in the log, in their order",
        """
        import sys
        def handler(event, context):
            print("one"); print("two", file=sys.stderr); print("three")
        """,
        None,
        log="one\ntwo\nthree\n",
    ),
    Case(
        "what a module prints belongs to the request that had it loaded",
        "print('loaded')\ndef handler(event, context): print('called')",
        None,
        log="loaded\ncalled\n",
    ),
    Case(
        "a log record has its level, time and request",
        "import logging\ndef handler(event, context): logging.getLogger('x').error('careful')",
        None,
        log="Z\t<id>\tcareful\n",
    ),
]

CASES = RETURNS + RAISES + FAILS_TO_START + LOGS


@pytest.fixture(autouse=True)
def a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_TEST_SECRET", "hunter2")


Make = Callable[[FunctionSpec], ProcessFunctions | InProcessFunctions]

MODES: dict[str, Make] = {
    "processes": lambda spec: ProcessFunctions({"fn": spec}, surroundings=HOME),
    "in process": lambda spec: InProcessFunctions({spec.name: spec}, surroundings=HOME),
}


@pytest.fixture(params=MODES.values(), ids=MODES.keys())
def functions(request: pytest.FixtureRequest, run: Any) -> Iterator[Make]:
    made: list[ProcessFunctions | InProcessFunctions] = []

    def make(spec: FunctionSpec) -> ProcessFunctions | InProcessFunctions:
        made.append(request.param(spec))
        return made[-1]

    yield make
    for each in made:
        run(each.close())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_function_behaves_as_on_lambda(case: Case, functions: Make, write: Any, run: Any) -> None:
    spec = write(case.code, **case.settings)
    invoked = run(functions(spec).invoke("fn", json.dumps(case.event).encode()))

    def neutral(text: str) -> str:
        return text.replace(invoked.request_id, "<id>").replace(str(spec.folder), "<folder>")

    assert json.loads(neutral(invoked.payload.decode())) == case.expected
    assert invoked.error == case.error
    assert case.log in neutral(invoked.log)
    assert invoked.version == "$LATEST"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", invoked.request_id)


def test_an_error_while_a_module_loads_is_reported_with_its_place(functions: Make, write: Any, run: Any) -> None:
    spec = write("TOTAL = 1 / 0\ndef handler(event, context): pass")
    invoked = run(functions(spec).invoke("fn", b"{}"))
    error = json.loads(invoked.payload)
    assert (error["errorType"], error["errorMessage"], error["requestId"]) == (
        "ZeroDivisionError",
        "division by zero",
        "",
    )
    assert "importlib/__init__.py" in error["stackTrace"][0]
    assert error["stackTrace"][-1] == f'  File "{spec.folder}/fn.py", line 1, in <module>\n    TOTAL = 1 / 0\n'


def test_a_function_that_could_not_start_is_tried_again(functions: Make, write: Any, run: Any) -> None:
    spec = write("import not_there")
    made = functions(spec)
    assert run(made.invoke("fn", b"{}")).error == "Unhandled"
    write("def handler(event, context): return 'there'")
    assert run(made.invoke("fn", b"{}")).payload == b'"there"'


def test_the_client_context_reaches_the_handler(functions: Make, write: Any, run: Any) -> None:
    code = """
    def handler(event, context):
        seen = context.client_context
        return [seen.custom, seen.env, seen.client.app_title]
    """
    given = json.dumps({"custom": {"k": "é\n"}, "env": {"locale": "de"}, "client": {"app_title": "shop"}}, indent=1)
    invoked = run(functions(write(code)).invoke("fn", b"{}", client_context=given.encode()))
    assert json.loads(invoked.payload) == [{"k": "é\n"}, {"locale": "de"}, "shop"]


def test_the_trace_id_reaches_the_handler(functions: Make, write: Any, run: Any) -> None:
    made = functions(write("import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']"))
    assert run(made.invoke("fn", b"{}", trace_id="Root=1-2-3")).payload == b'"Root=1-2-3"'
    assert run(made.invoke("fn", b"{}")).payload.startswith(b'"Root=1-')


def test_a_payload_that_is_no_json_is_an_error_of_the_function(functions: Make, write: Any, run: Any) -> None:
    invoked = run(functions(write("def handler(event, context): return 1")).invoke("fn", b"{"))
    assert (json.loads(invoked.payload)["errorType"], invoked.error) == ("Runtime.UnmarshalError", "Unhandled")


def test_no_payload_is_an_empty_object(functions: Make, write: Any, run: Any) -> None:
    assert run(functions(write("def handler(event, context): return event")).invoke("fn", b"")).payload == b"{}"


def test_a_handler_may_be_in_a_package_and_import_its_neighbours(functions: Make, write: Any, run: Any) -> None:
    write("PRICE = 7", file="shop/prices.py")
    write("import late_neighbour", file="late.py")
    write("", file="late_neighbour.py")
    spec = write(
        """
        from shop import prices
        def handler(event, context):
            import late
            return [prices.PRICE, __name__]
        """,
        file="shop/till.py",
        handler="shop/till.handler",
    )
    assert json.loads(run(functions(spec).invoke("fn", b"{}")).payload) == [7, "shop.till"]


def test_state_of_a_module_lives_on_between_invocations(functions: Make, write: Any, run: Any) -> None:
    made = functions(write("calls = []\ndef handler(event, context): calls.append(event); return len(calls)"))
    assert [run(made.invoke("fn", b"{}")).payload for _ in range(3)] == [b"1", b"2", b"3"]


def test_each_log_belongs_to_its_request(functions: Make, write: Any, run: Any) -> None:
    made = functions(write("def handler(event, context): print(event)"))
    assert [run(made.invoke("fn", b"%d" % number)).log for number in range(3)] == ["0\n", "1\n", "2\n"]
