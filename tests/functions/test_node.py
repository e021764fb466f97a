"""Node.js functions behave as on AWS Lambda."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from serving import serving

from treadle import functions
from treadle.functions import CannotStart, Surroundings

RUNTIME = Path(functions.__file__).parent / "bootstrap" / "node.mjs"


@pytest.fixture(scope="module", autouse=True)
def node() -> None:
    if shutil.which("node") is None:
        pytest.fail("These tests need Node.js 18 or newer: there is no `node` on the PATH.")


@dataclass(frozen=True)
class Case:
    """A handler and what becomes of an invocation; without a `trace`, that of an error is not compared."""

    id: str
    code: str
    expected: Any
    event: Any = None
    log: str = ""
    file: str = "fn.mjs"
    settings: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


def fails(id: str, code: str, type: str, message: str, **more: Any) -> Case:
    return Case(id, code, {"errorType": type, "errorMessage": message}, error="Unhandled", **more)


CASES = [
    Case("an async handler", "export const handler = async (event) => event", {"a": "é"}, {"a": "é"}),
    Case("a handler that returns a promise", "export const handler = (event) => Promise.resolve(event)", 1, 1),
    Case("no result is null", "export const handler = async () => {}", None),
    Case("a CommonJS file", "exports.handler = async () => __filename.endsWith('fn.js')", True, file="fn.js"),
    Case("a .cjs file", "exports.handler = async () => 1", 1, file="fn.cjs"),
    Case(
        "a handler deep in a module",
        "export const api = { orders: { get: async () => 'found' } }",
        "found",
        settings={"handler": "fn.api.orders.get"},
    ),
    Case(
        "the callback ends an invocation once nothing is left to do",
        """
        let late = false;
        export const handler = (event, context, callback) => {
          callback(null, { get late() { return late; } });
          setTimeout(() => { late = true; }, 20);
        };
        """,
        {"late": True},
    ),
    Case(
        "the callback ends an invocation at once if the handler says so",
        """
        export const handler = (event, context, callback) => {
          context.callbackWaitsForEmptyEventLoop = false;
          setInterval(() => {}, 1000);
          callback(null, 'at once');
        };
        """,
        "at once",
    ),
    Case(
        "only the first call of the callback counts",
        "export const handler = (event, context, callback) => { callback(null, 1); callback('two'); }",
        1,
    ),
    Case("a callback that is never called is null", "export const handler = (event, context, callback) => 7", None),
    Case("the context can end an invocation", "export const handler = (e, context) => context.succeed('done')", "done"),
    Case(
        "the context names the invocation and the function",
        """
        export const handler = async (event, context) => [
          context.awsRequestId, context.functionName, context.functionVersion, context.memoryLimitInMB,
          context.logGroupName, context.invokedFunctionArn, context.clientContext.custom,
          context.getRemainingTimeInMillis() > 0, process.env._X_AMZN_TRACE_ID, process.env.COLOUR, process.cwd(),
        ];
        """,
        [
            *("<id>", "fn", "$LATEST", "128", "/aws/lambda/fn", "arn:aws:lambda:us-east-1:123456789012:function:fn"),
            *({"k": "é"}, True, "Root=1-2-3", "blue", "<folder>"),
        ],
        settings={"environment": {"COLOUR": "blue"}},
    ),
    Case(
        "log lines have a time, the request and a level",
        "export const handler = async () => { console.log('one', { two: 2 }); console.warn('a\\nb'); }",
        None,
        log="Z\t<id>\tINFO\tone { two: 2 }\n",
    ),
    Case(
        "stdout and stderr are in the log",
        "export const handler = async () => { process.stdout.write('out '); process.stderr.write('err\\n'); }",
        None,
        log="out err\n",
    ),
    fails(
        "an error is reported and logged",
        "export const handler = async () => { throw new TypeError('no money'); }",
        *("TypeError", "no money"),
        log='Z\t<id>\tERROR\tInvoke Error \t{"errorType":"TypeError","errorMessage":"no money","stack":["TypeError:',
    ),
    fails("an error thrown at once", "export const handler = () => { throw new Error('x'); }", "Error", "x"),
    fails(
        "an error of one's own",
        "class Broken extends Error { name = 'Broken' }\nexport const handler = async () => { throw new Broken('b'); }",
        *("Broken", "b"),
    ),
    fails("what is thrown may be text", "export const handler = async () => { throw 'text'; }", "string", "text"),
    fails(
        "an error by callback", "export const handler = (e, c, callback) => callback(new Error('cb'))", "Error", "cb"
    ),
    fails("an error by the context", "export const handler = (e, context) => context.fail('no')", "string", "no"),
    fails(
        "a result without JSON",
        "export const handler = async () => { const loop = {}; loop.loop = loop; return loop; }",
        *("Error", "Unable to stringify response body"),
    ),
    fails(
        "a promise that can never settle",
        "export const handler = async () => { await new Promise(() => {}); }",
        "Runtime.NodeJsExit",
        "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise "
        "that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes",
    ),
    fails(
        "an exception that nobody catches",
        "export const handler = () => { setTimeout(() => { throw new Error('late'); }, 1); }",
        *("Error", "late"),
        log="ERROR\tUncaught Exception \t",
    ),
    fails(
        "a rejection that nobody handles",
        "export const handler = () => { Promise.reject(new Error('lost')); setInterval(() => {}, 1000); }",
        *("Runtime.UnhandledPromiseRejection", "Error: lost"),
        log="ERROR\tUnhandled Promise Rejection \t",
    ),
    fails(
        "a process that exits",
        "export const handler = async () => { process.exit(3); }",
        *("Runtime.ExitError", "RequestId: <id> Error: Runtime exited with error: exit status 3"),
    ),
    fails(
        "a handler that never lets go",
        "export const handler = async () => { for (;;); }",
        *("Sandbox.Timedout", "RequestId: <id> Error: Task timed out after 0.30 seconds"),
        settings={"timeout": 0.3},
    ),
    fails(
        "a module that is not there",
        "export const handler = 1",
        "Runtime.ImportModuleError",
        "Error: Cannot find module 'nope'\nRequire stack:\n- <runtime>",
        settings={"handler": "nope.handler"},
    ),
    fails(
        "an import that fails",
        "const gone = require('gone'); exports.handler = async () => 1;",
        *(
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'gone'\nRequire stack:\n- <folder>/fn.js\n- <runtime>",
        ),
        file="fn.js",
    ),
    fails(
        "a handler that is not there",
        "export const other = 1",
        *("Runtime.HandlerNotFound", "fn.handler is undefined or not exported"),
    ),
    fails(
        "a handler that is no function",
        "export const handler = 1",
        *("Runtime.HandlerNotFound", "fn.handler is not a function"),
    ),
    fails(
        "a syntax error",
        "export const handler = async ( => 1",
        *("Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token '=>'"),
    ),
    fails(
        "an error while the module loads",
        "throw new RangeError('early')",
        *("RangeError", "early"),
        log="ERROR\tUncaught Exception \t",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_node_function_behaves_as_on_lambda(case: Case, write: Any, run: Any) -> None:
    spec = write(case.code, file=case.file, **case.settings)

    async def scenario() -> Any:
        async with serving([spec]) as running:
            event = json.dumps(case.event).encode()
            context = '{"custom": {"k": "é"}}'.encode()
            return await running.invoke("fn", event, trace_id="Root=1-2-3", client_context=context)

    invoked = run(scenario())

    def neutral(text: str) -> str:
        text = text.replace(invoked.request_id, "<id>").replace(str(spec.folder), "<folder>")
        return text.replace(str(RUNTIME), "<runtime>")

    payload = json.loads(neutral(invoked.payload.decode()))
    if case.error is not None and not payload["errorType"].startswith(("Runtime.ExitError", "Sandbox.")):
        trace = payload.pop("trace")
        assert payload["errorType"] == "string" or payload["errorMessage"].splitlines()[0] in "\n".join(trace)
    assert payload == case.expected
    assert invoked.error == case.error
    assert case.log in neutral(invoked.log)


def test_a_package_may_say_that_its_scripts_are_modules(write: Any, run: Any, tmp_path: Any) -> None:
    (tmp_path / "package.json").write_text('{"type": "module"}')

    async def scenario() -> Any:
        async with serving([write("export const handler = async () => 1", file="fn.js")]) as running:
            return await running.invoke("fn", b"{}")

    assert run(scenario()).payload == b"1"


def test_a_node_process_stays_warm_and_keeps_its_logs_apart(write: Any, run: Any) -> None:
    code = "let calls = 0; export const handler = async (event) => { console.log(event); return ++calls; }"

    async def scenario() -> None:
        async with serving([write(code, file="fn.mjs")]) as running:
            answers = [await running.invoke("fn", b"%d" % number) for number in range(3)]
            assert [each.payload for each in answers] == [b"1", b"2", b"3"]
            for number, each in enumerate(answers):
                assert re.fullmatch(rf"\S+Z\t{each.request_id}\tINFO\t{number}\n", each.log)

    run(scenario())


def test_a_process_that_reports_an_error_and_ends_serves_nobody_else(write: Any, run: Any) -> None:
    code = "export const handler = (event) => { if (event) setTimeout(() => { throw new Error('x'); }, 0); }"

    async def scenario() -> None:
        async with serving([write(code, file="fn.mjs")], processes=1) as running:
            answers = await asyncio.gather(*(running.invoke("fn", b"%d" % (n % 2)) for n in range(6)))
            assert [each.error for each in answers] == [None, "Unhandled"] * 3

    run(scenario())


def test_the_second_sdk_keeps_to_the_endpoint(write: Any, run: Any) -> None:
    write(
        "const settings = {}; exports.config = { update: (given) => Object.assign(settings, given), settings };",
        file="node_modules/aws-sdk/index.js",
    )
    code = "const sdk = require('aws-sdk'); exports.handler = async () => sdk.config.settings;"

    async def scenario() -> Any:
        surroundings = Surroundings(environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:8083"})
        async with serving([write(code, file="fn.js")], surroundings=surroundings) as running:
            return await running.invoke("fn", b"{}")

    assert json.loads(run(scenario()).payload) == {"endpoint": "http://127.0.0.1:8083", "s3ForcePathStyle": True}


@pytest.mark.parametrize(
    ("endpoint", "name"), [("http://127.0.0.1:1", "sync-127.0.0.1"), ("http://localhost:1", "a.localhost")]
)
def test_host_prefixes_of_the_sdks_lead_to_the_endpoint(endpoint: str, name: str, write: Any, run: Any) -> None:
    code = f"""
    import dns from 'node:dns';
    const lookup = (resolve) => dns.lookup('{name}', {{ family: 4 }}, (error, address) => resolve(address));
    export const handler = () => new Promise(lookup);
    """

    async def scenario() -> Any:
        surroundings = Surroundings(environment={"AWS_ENDPOINT_URL": endpoint})
        async with serving([write(code, file="fn.mjs")], surroundings=surroundings) as running:
            return await running.invoke("fn", b"{}")

    assert run(scenario()).payload == b'"127.0.0.1"'


def test_without_node_the_error_says_what_to_install(
    write: Any, run: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    async def scenario() -> None:
        async with serving([write("", file="fn.mjs")]) as running:
            with pytest.raises(CannotStart, match=r"'fn' needs Node.js \(nodejs20.x\).*Install Node.js 18 or newer"):
                await running.invoke("fn", b"{}")

    run(scenario())
