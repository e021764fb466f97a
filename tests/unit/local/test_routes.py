import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from treadle.functions import FunctionSpec, ProcessFunctions
from treadle.local.register import LocalRegister
from treadle.local.routes.payload import Asked, answer_of, event_of
from treadle.local.routes.reading import Route, find_route, read_routes
from treadle.local.routes.serving import Apis
from treadle.local.template.reading import read_template
from treadle.local.template.resolve import Surrounding

ROUTES = [
    Route("GET", "/orders/{id}", "one"),
    Route("ANY", "/orders/{id}", "any"),
    Route("GET", "/orders/new", "new"),
    Route("GET", "/files/{path+}", "greedy"),
    Route("ANY", "$default", "default"),
]


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("GET", "/orders/7", "one", {"id": "7"}),
        ("GET", "/orders/a%20b", "one", {"id": "a b"}),
        ("PUT", "/orders/7", "any", {"id": "7"}),
        ("GET", "/orders/new", "new", {}),
        ("GET", "/files/a/b/c", "greedy", {"path": "a/b/c"}),
        ("GET", "/orders/7/items", "default", {}),
        ("POST", "/", "default", {}),
    ],
)
def test_the_closest_route_answers(method: str, path: str, function: str, parameters: dict[str, str]) -> None:
    found = find_route(ROUTES, method, path)
    assert found is not None
    assert (found[0].function, found[1]) == (function, parameters)


def asked(**more: Any) -> Asked:
    given = {"method": "POST", "path": "/orders/7", "query": "a=1&a=2&b=", "body": b'{"x":1}', "api": "abc"}
    headers = [("host", "h"), ("content-type", "application/json"), ("x-a", "1"), ("x-a", "2"), ("cookie", "c=1; d=2")]
    return Asked(
        **{**given, "headers": headers, "stage": "$default", "request_id": "r", "parameters": {"id": "7"}, **more}
    )


def test_an_event_of_format_2_0() -> None:
    event = event_of(asked(), ROUTES[0], "2.0")
    assert (event["routeKey"], event["rawPath"], event["rawQueryString"]) == (
        "GET /orders/{id}",
        "/orders/7",
        "a=1&a=2&b=",
    )
    assert event["headers"] == {"host": "h", "content-type": "application/json", "x-a": "1,2"}
    assert event["cookies"] == ["c=1", "d=2"]
    assert event["queryStringParameters"] == {"a": "1,2", "b": ""}
    assert event["pathParameters"] == {"id": "7"}
    assert (event["body"], event["isBase64Encoded"]) == ('{"x":1}', False)
    assert event["requestContext"]["http"]["method"] == "POST"
    assert "pathParameters" not in event_of(asked(parameters={}), ROUTES[4], "2.0")


def test_an_event_of_format_1_0() -> None:
    event = event_of(asked(stage="Prod", body=b"\xff\x00"), ROUTES[0], "1.0")
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/orders/{id}", "/orders/7", "POST")
    assert event["queryStringParameters"] == {"a": "2", "b": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""]}
    assert event["multiValueHeaders"]["x-a"] == ["1", "2"]
    assert event["requestContext"]["path"] == "/Prod/orders/7"
    assert event["isBase64Encoded"] is True


@pytest.mark.parametrize(
    ("result", "version", "meant"),
    [
        ({"statusCode": 201, "body": "x"}, "2.0", (201, [("content-type", "application/json")], b"x")),
        ({"statusCode": "404", "headers": {"Content-Type": "a/b"}}, "1.0", (404, [("content-type", "a/b")], b"")),
        (
            {"statusCode": 200, "body": "AP8=", "isBase64Encoded": True, "cookies": ["a=1"]},
            "2.0",
            (200, [("set-cookie", "a=1"), ("content-type", "application/json")], b"\x00\xff"),
        ),
        ({"hello": 1}, "2.0", (200, [("content-type", "application/json")], b'{"hello": 1}')),
        ("text", "2.0", (200, [("content-type", "application/json")], b"text")),
        ({"hello": 1}, "1.0", None),
        ({"statusCode": 99}, "2.0", None),
        (None, "1.0", None),
    ],
)
def test_what_a_function_gives_becomes_an_answer(result: Any, version: str, meant: Any) -> None:
    found = answer_of(json.dumps(result).encode(), version)
    assert (None if found is None else (found.status, list(found.headers), found.body)) == meant


HANDLER = """
def handler(event, context):
    context = event["requestContext"]
    return {"statusCode": 200, "body": event["routeKey"] + str(context.get("authorizer", {}).get("lambda"))}

def check(event, context):
    return {"isAuthorized": event["headers"]["authorization"] == "right", "context": {"who": "me"}}
"""

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Runtime: python3.11, CodeUri: code}}
Resources:
  Check: {Type: AWS::Serverless::Function, Properties: {Handler: app.check, FunctionName: check}}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      CorsConfiguration: {AllowOrigins: ['http://localhost:3000'], AllowMethods: [GET], AllowHeaders: [x-a]}
      Auth:
        Authorizers:
          Asked:
            FunctionArn: !GetAtt Check.Arn
            EnableSimpleResponses: true
            AuthorizerPayloadFormatVersion: '2.0'
            Identity: {Headers: [Authorization]}
          Signed:
            JwtConfiguration: {issuer: 'https://i', audience: [a]}
            IdentitySource: $request.header.Authorization
  F:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      FunctionName: served
      Events:
        Open: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: '/open/{id}', Method: get}}
        Asked: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /asked, Method: get, Auth: {Authorizer: Asked}}}
        Signed: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /signed, Method: get, Auth: {Authorizer: Signed}}}
"""


class Names:
    """Resources that are named as SAM's own references want them."""

    def ref(self, name: str) -> str:
        return {"Check": "check", "F": "served"}.get(name, name)

    def attribute(self, name: str, attribute: str) -> str:
        return f"arn:aws:lambda:us-east-1:123456789012:function:{self.ref(name)}"


async def call(apis: Apis, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    sent: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": named}
    await apis(scope, receive, send)
    return sent[0]["status"], {key.decode(): value.decode() for key, value in sent[0]["headers"]}, sent[1]["body"]


async def served(folder: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text(HANDLER)
    path = folder / "template.yaml"
    path.write_text(TEMPLATE)
    template = read_template(path, Surrounding("app"))
    functions, register = ProcessFunctions({}), LocalRegister()
    for each in template.resources:
        properties = template.properties(each, Names())
        if each.type == "AWS::Lambda::Function":
            name, handler = properties["FunctionName"], properties["Handler"]
            functions.put(FunctionSpec(name, handler, folder / "code", "python3.11"))
        elif each.type == "AWS::ApiGatewayV2::Api":
            register.put("http-api", "api", {**properties, "__id__": "abc", "__name__": "api"})

    async def operate(name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AssertionError("no route leads here")

    apis = Apis(register, functions, operate)
    try:
        await asyncio.sleep(0)
        status, _, body = await call(apis, "GET", "/_api/abc/open/7")
        assert (status, body) == (200, b"GET /open/{id}None")
        assert (await call(apis, "GET", "/_api/abc/asked"))[0] == 401
        assert (await call(apis, "GET", "/_api/abc/asked", authorization="wrong"))[0] == 403
        allowed = await call(apis, "GET", "/_api/abc/asked", authorization="right")
        assert (allowed[0], allowed[2]) == (200, b"GET /asked{'who': 'me'}")
        assert (await call(apis, "GET", "/_api/abc/signed", authorization="any"))[0] == 501
        assert (await call(apis, "GET", "/_api/abc/nothing"))[0] == 404
        assert (await call(apis, "GET", "/_api/other/open/7"))[0] == 404
        origin = "http://localhost:3000"
        status, headers, _ = await call(
            apis, "OPTIONS", "/_api/abc/open/7", origin=origin, access_control_request_method="GET"
        )
        assert (status, headers["access-control-allow-origin"], headers["access-control-allow-headers"]) == (
            204,
            origin,
            "x-a",
        )
        assert apis.admits("/_api/abc/open/7", origin)
        for path, other in (("/_api/abc/open/7", "http://other"), ("/_api/other/open/7", origin), ("/abc", origin)):
            assert not apis.admits(path, other)
        _, headers, _ = await call(apis, "GET", "/_api/abc/open/7", origin="http://other")
        assert "access-control-allow-origin" not in headers
    finally:
        await functions.close()


def test_an_api_of_a_template_is_served_with_its_authorizer_and_cors(tmp_path: Path) -> None:
    asyncio.run(served(tmp_path))


def test_a_rest_api_that_starts_executions_and_an_authorizer_that_cannot_be_checked() -> None:
    integration = {
        "type": "aws",
        "uri": "arn:aws:apigateway:us-east-1:states:action/StartExecution",
        "requestTemplates": {"application/json": '{"input": "$util.escapeJavaScript($input.json(\'$\'))"}'},
    }
    operation = {"x-amazon-apigateway-integration": integration, "security": [{"Key": []}]}
    api = {
        "__id__": "abc",
        "Body": {
            "swagger": "2.0",
            "paths": {"/start": {"post": operation}},
            "securityDefinitions": {"Key": {"type": "apiKey"}},
        },
    }
    (route,) = read_routes(api, {})
    assert route.action["operation"] == "StartExecution"
    assert "'Key' of type 'apiKey' cannot be checked here" in route.fault
