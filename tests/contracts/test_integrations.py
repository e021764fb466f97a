"""Every integration passes the contract. One subject each: the integration at a real service, and calls of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import mcp_rogue
from faulty_aws import Exchange, faulty
from http_answers import Answers
from http_server import Api, api_at_work
from kubernetes_cluster import KEYS, Cluster, cluster_at_work
from treadle.functions import ProcessFunctions, discover
from treadle.integrations.api_gateway import ApiGatewayIntegration
from treadle.integrations.aws import AwsSdkIntegration, AwsSessions, Keys, OptimisedIntegration
from treadle.integrations.connections import Connections, read_parameters
from treadle.integrations.http import HttpIntegration
from treadle.integrations.kubernetes import KubernetesIntegration
from treadle.integrations.lambda_ import LambdaIntegration
from treadle.integrations.lambda_endpoint import LambdaEndpoint
from treadle.integrations.mcp import McpIntegration
from treadle.integrations.mcp_servers import McpServer
from treadle.integrations.mcp_sessions import Sessions
from treadle.integrations.sealing import Sealer
from treadle.integrations.states import StatesIntegration
from treadle.runtime.clock import RealClock
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Integration
from treadle.stores import MemoryStore
from treadle.testing.integration_contract import RULES, Failing, Rule, Subject, call_of, name

# ---- functions ---------------------------------------------------------------------------------------------------

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
INVOKE = "arn:aws:states:::lambda:invoke"
HANDLERS = {
    "echo": "def handler(event, context):\n    return event\n",
    "broken": "class Broken(Exception): pass\ndef handler(event, context):\n    raise Broken('no')\n",
    "huge": "def handler(event, context):\n    return 'x' * 300000\n",
    "endless": "import time\ndef handler(event, context):\n    time.sleep(3600)\n",
}


@asynccontextmanager
async def lambda_functions(place: Path) -> AsyncGenerator[Subject]:
    for function, text in HANDLERS.items():
        (place / f"{function}.py").write_text(text)
    functions = ProcessFunctions(discover(place))
    try:
        yield Subject(
            integration=LambdaIntegration(functions),
            works=[call_of(LAMBDA + "echo", {"n": 1}), call_of(INVOKE, {"FunctionName": "echo", "Payload": {"n": 1}})],
            fails=[
                Failing("Broken", call_of(LAMBDA + "broken", {})),
                Failing("Lambda.ResourceNotFoundException", call_of(INVOKE, {"FunctionName": "gone"})),
                Failing("States.Runtime", call_of(INVOKE, {})),
            ],
            unknown=call_of("arn:aws:states:::lambda:listFunctions", {}),
            huge=Failing("States.DataLimitExceeded", call_of(LAMBDA + "huge", {})),
            lasting=call_of(LAMBDA + "endless", {}),
            under_way=lambda: 0,
            repeats="Lambda itself promises at least once",
        )
    finally:
        await functions.close()


# ---- functions of elsewhere ----------------------------------------------------------------------------------------


@asynccontextmanager
async def lambda_elsewhere(place: Path) -> AsyncGenerator[Subject]:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        name = request.raw_path.partition("%3Afunction%3A")[2].partition("/")[0]
        match name:
            case "echo":
                return web.Response(body=await request.read())
            case "broken":
                told = {"errorType": "Broken", "errorMessage": "no"}
                return web.json_response(told, headers={"X-Amz-Function-Error": "Unhandled"})
            case "huge":
                return web.json_response("x" * 300_000)
            case "endless":
                await asyncio.Event().wait()
        return web.json_response({}, status=404, headers={"x-amzn-ErrorType": "ResourceNotFoundException"})

    async with Answers(answer).running() as server, LambdaEndpoint(server.url, longest=0.5) as endpoint:
        yield Subject(
            integration=LambdaIntegration(None, endpoint),
            works=[call_of(LAMBDA + "echo", {"n": 1}), call_of(INVOKE, {"FunctionName": "echo", "Payload": {"n": 1}})],
            fails=[
                Failing("Broken", call_of(LAMBDA + "broken", {})),
                Failing("Lambda.ResourceNotFoundException", call_of(INVOKE, {"FunctionName": "gone"})),
            ],
            unknown=call_of("arn:aws:states:::lambda:listFunctions", {}),
            huge=Failing("States.DataLimitExceeded", call_of(LAMBDA + "huge", {})),
            lasting=call_of(LAMBDA + "endless", {}),
            late=Failing("Lambda.ClientExecutionTimeoutException", call_of(LAMBDA + "endless", {})),
            under_way=lambda: server.under_way,
            repeats="Lambda itself promises at least once",
        )


# ---- nested executions -------------------------------------------------------------------------------------------

START = "arn:aws:states:::states:startExecution"


def machine(label: str, **state: Any) -> StateMachine:
    arn = f"arn:aws:states:us-east-1:123456789012:stateMachine:{label}"
    ending = {} if state["Type"] == "Fail" else {"End": True}
    definition = json.dumps({"StartAt": "A", "States": {"A": {**state, **ending}}})
    return StateMachine(arn=arn, name=label, definition=definition, role_arn="arn:aws:iam::1:role/r")


MACHINES = {
    each.arn: each
    for each in (
        machine("echo", Type="Pass"),
        machine("fails", Type="Fail", Error="Mine", Cause="because"),
        machine("waits", Type="Wait", Seconds=100_000),
    )
}


async def _machine(arn: str) -> StateMachine | None:
    return MACHINES.get(arn)


@asynccontextmanager
async def nested_executions(place: Path) -> AsyncGenerator[Subject]:
    def start(label: str, pattern: str = "", **more: Any) -> Any:
        arn = f"arn:aws:states:us-east-1:123456789012:stateMachine:{label}"
        return call_of(START + pattern, {"StateMachineArn": arn, **more})

    async with Engine(MemoryStore(), {}, clock=RealClock()) as engine:
        yield Subject(
            integration=StatesIntegration(lambda: engine, _machine),
            works=[start("echo"), start("echo", ".sync:2")],
            fails=[
                Failing("States.TaskFailed", start("fails", ".sync:2")),
                Failing("StepFunctions.StateMachineDoesNotExistException", start("gone")),
                Failing("States.Runtime", call_of(START, {})),
            ],
            unknown=call_of("arn:aws:states:::states:stopExecution", {}),
            # An input of the largest size, and what `.sync` tells around it.
            huge=Failing("States.DataLimitExceeded", start("echo", ".sync:2", Input='"' + "x" * 262_000 + '"')),
            lasting=start("waits", ".sync:2"),
            under_way=lambda: 0,
            repeats="a child that remembers the wait as its parent is the one that was started",
        )


# ---- AWS services ------------------------------------------------------------------------------------------------

SECRET = "arn:aws:states:::aws-sdk:secretsmanager:createSecret"
ITEM = "arn:aws:states:::dynamodb:getItem"
MISSING = {"__type": "ResourceNotFoundException", "message": "none"}


def _service(exchange: Exchange) -> None:
    """Secrets Manager and DynamoDB, as far as the contract needs them."""
    given = exchange.json
    name = given.get("Name") or given.get("TableName")
    if name == "gone":
        exchange.answer(MISSING, 400)
    elif name == "endless":
        exchange.hang()
    else:
        exchange.answer({"Name": "x" * 300_000 if name == "huge" else "n"})


def _aws_subject(
    integration: Integration, seen: list[Exchange], resource: str, argument: str, more: Any, missing: str
) -> Subject:
    def call(name: str) -> Any:
        return call_of(resource, {argument: name, **more})

    return Subject(
        integration=integration,
        works=[call("n")],
        fails=[Failing(missing, call("gone")), Failing("States.Runtime", call_of(resource, {"Wrong": 1}))],
        unknown=call_of(resource.rpartition(":")[0] + ":flyAway", {}),
        huge=Failing("States.DataLimitExceeded", call("huge")),
        lasting=call("endless"),
        under_way=lambda: 0,
        tokens=None if argument == "TableName" else lambda: [each.json["ClientRequestToken"] for each in seen],
        repeats="reading changes nothing",
    )


@asynccontextmanager
async def aws_sdk(place: Path) -> AsyncGenerator[Subject]:
    with faulty(_service) as aws:
        sessions = AwsSessions(endpoint_url=aws.url, keys=Keys("testing", "testing"))
        missing = "SecretsManager.ResourceNotFoundException"
        yield _aws_subject(AwsSdkIntegration(sessions), aws.seen, SECRET, "Name", {}, missing)
        sessions.close()


@asynccontextmanager
async def optimised_aws(place: Path) -> AsyncGenerator[Subject]:
    def answer(exchange: Exchange) -> None:
        if exchange.json["TableName"] == "huge":
            exchange.answer({"Item": {"id": {"S": "x" * 300_000}}})
        else:
            _service(exchange)

    with faulty(answer) as aws:
        sessions = AwsSessions(endpoint_url=aws.url, keys=Keys("testing", "testing"))
        integration, key = OptimisedIntegration(sessions, RealClock), {"Key": {"id": {"S": "1"}}}
        missing = "DynamoDB.ResourceNotFoundException"
        yield _aws_subject(integration, aws.seen, ITEM, "TableName", key, missing)
        sessions.close()


# ---- APIs of API Gateway -----------------------------------------------------------------------------------------

GATEWAY = "arn:aws:states:::apigateway:invoke"


@asynccontextmanager
async def api_gateway(place: Path) -> AsyncGenerator[Subject]:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        match request.raw_path.rpartition("/")[2]:
            case "gone":
                return web.json_response({"message": "Not Found"}, status=404)
            case "huge":
                return web.json_response("x" * 300_000)
            case "endless":
                await asyncio.Event().wait()
        return web.json_response({"method": request.method})

    async with Answers(answer).running() as server:
        sessions = AwsSessions(endpoint_url=server.url, keys=Keys("testing", "testing"))
        integration = ApiGatewayIntegration(sessions, time_limit=1.5)

        def ask(path: str, method: str = "GET", **more: Any) -> Any:
            host = "abc123.execute-api.us-east-1.amazonaws.com"
            return call_of(GATEWAY, {"ApiEndpoint": host, "Method": method, "Path": path, **more})

        try:
            yield Subject(
                integration=integration,
                works=[ask("bills"), ask("bills", "POST", RequestBody={"n": 1}, AuthType="IAM_ROLE")],
                fails=[Failing("ApiGateway.404", ask("gone")), Failing("States.Runtime", call_of(GATEWAY, {}))],
                unknown=call_of("arn:aws:states:::apigateway:listApis", {}),
                huge=Failing("States.DataLimitExceeded", ask("huge")),
                lasting=ask("endless", "POST"),
                late=Failing("ApiGateway.SdkClientException", ask("endless")),
                under_way=lambda: server.under_way,
                repeats="only what HTTP calls idempotent is sent again",
            )
        finally:
            await integration.close()
            sessions.close()


# ---- the Kubernetes API of a cluster -----------------------------------------------------------------------------

EKS = "arn:aws:states:::eks:"


@asynccontextmanager
async def kubernetes(place: Path) -> AsyncGenerator[Subject]:
    sessions = AwsSessions(keys=Keys(*KEYS))
    integration = KubernetesIntegration(sessions, RealClock, time_limit=1.5)

    def ask(cluster: Cluster, path: str, method: str = "GET", **more: Any) -> Any:
        return call_of(f"{EKS}call", cluster.arguments(Method=method, Path=path, **more))

    async with cluster_at_work(place) as cluster:
        jobs = "/apis/batch/v1/namespaces/default/jobs"
        try:
            yield Subject(
                integration=integration,
                works=[ask(cluster, jobs), ask(cluster, jobs, "PATCH", RequestBody={"n": 1})],
                fails=[
                    Failing("EKS.404", ask(cluster, f"{jobs}/gone")),
                    Failing("States.Runtime", call_of(f"{EKS}call", {})),
                ],
                unknown=call_of(f"{EKS}listClusters", {}),
                huge=Failing("States.DataLimitExceeded", ask(cluster, "/huge")),
                lasting=ask(cluster, "/endless", "POST"),
                late=Failing("EKS.SdkClientException", ask(cluster, "/endless")),
                under_way=lambda: cluster.under_way,
                repeats="only what HTTP calls idempotent is sent again, and a job is known by its label",
            )
        finally:
            await integration.close()
            sessions.close()


# ---- HTTP APIs ---------------------------------------------------------------------------------------------------

HTTP = "arn:aws:states:::http:invoke"


@asynccontextmanager
async def http_apis(place: Path) -> AsyncGenerator[Subject]:
    store = MemoryStore()
    await store.open()
    connections = Connections(store, Sealer(None, {}))
    basic = read_parameters(json.dumps({"BasicAuthParameters": {"Username": "ann", "Password": "secret"}}))
    arn = await connections.put("partner", basic)
    http = HttpIntegration(connections)

    def ask(api: Api, path: str, method: str = "GET", **more: Any) -> Any:
        given = {"ApiEndpoint": api.url + path, "Method": method, "InvocationConfig": {"ConnectionArn": arn}}
        return call_of(HTTP, {**given, **more})

    async with api_at_work() as api:
        try:
            yield Subject(
                integration=http,
                works=[ask(api, "/echo"), ask(api, "/echo", "POST", RequestBody={"n": 1}, Headers={"X-Mine": "1"})],
                fails=[
                    Failing("States.Http.StatusCode.404", ask(api, "/status/404")),
                    Failing("States.Http.Socket", ask(api, "/reset", "POST")),
                    Failing("States.Runtime", call_of(HTTP, {})),
                ],
                unknown=call_of("arn:aws:states:::http:fetch", {}),
                huge=Failing("States.DataLimitExceeded", ask(api, "/huge")),
                lasting=ask(api, "/slow", "POST"),
                under_way=lambda: api.under_way,
                repeats="only what HTTP calls idempotent is sent again",
            )
        finally:
            await http.close()


# ---- tools of MCP servers ----------------------------------------------------------------------------------------

TOOL = "arn:aws:states:::mcp:callTool"


@asynccontextmanager
async def mcp_tools(place: Path) -> AsyncGenerator[Subject]:
    variables = {name: place / name.lower() for name in ("TOLD", "WAITS")}
    env = {name: str(path) for name, path in variables.items()}
    program = mcp_rogue.__file__
    honest = McpServer(command=sys.executable, args=(program, "honest"), env=env, cwd=str(place))
    silent = McpServer(command=sys.executable, args=(program, "silent"), time_limit=1.5)
    servers = {"tools": honest, "silent": silent}
    integration = McpIntegration(Sessions(servers))

    def ask(tool: str, server: str = "tools", **arguments: Any) -> Any:
        return call_of(TOOL, {"Server": server, "Tool": tool, "Arguments": arguments})

    def waiting() -> int:
        lines = variables["WAITS"].read_text().splitlines() if variables["WAITS"].exists() else []
        begun, over = (
            {line.partition(" ")[2] for line in lines if line.startswith(kind)} for kind in ("begun", "over")
        )
        return len(begun - over)

    try:
        yield Subject(
            integration=integration,
            works=[ask("add", a=1, b=2), call_of("arn:aws:states:::mcp:listTools", {"Server": "tools"})],
            fails=[Failing("MCP.ToolError", ask("fail")), Failing("States.Runtime", call_of(TOOL, {}))],
            unknown=call_of("arn:aws:states:::mcp:readResource", {"Server": "tools"}),
            huge=Failing("States.DataLimitExceeded", ask("huge")),
            lasting=ask("wait"),
            late=Failing("MCP.Timeout", ask("add", "silent")),
            under_way=waiting,
            tokens=lambda: variables["TOLD"].read_text().split(),
        )
    finally:
        await integration.close()


SUBJECTS: list[Callable[[Path], AbstractAsyncContextManager[Subject]]] = [
    lambda_functions,
    lambda_elsewhere,
    nested_executions,
    aws_sdk,
    optimised_aws,
    api_gateway,
    kubernetes,
    http_apis,
    mcp_tools,
]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.__name__)
@pytest.mark.parametrize("rule", RULES, ids=name)
def test_integrations_keep_the_contract(
    rule: Rule, subject: Callable[[Path], AbstractAsyncContextManager[Subject]], tmp_path: Path
) -> None:
    asyncio.run(rule(lambda: subject(tmp_path)))
