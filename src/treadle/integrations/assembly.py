"""Puts the integrations of a host together: one table of everything that its Tasks may call.

Owns which name serves what, and that all that was opened is closed. What an integration needs arrives in `Parts`; a
heavy library is imported when an integration first uses it, never here. Neighbours: `runtime.calls`, which looks
names up, and the hosts (`cli.session`, a server) that hold the table open beside their engine.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from treadle.functions import Functions
from treadle.integrations.api_gateway import ApiGatewayIntegration
from treadle.integrations.aws import AwsSdkIntegration, AwsSessions, OptimisedIntegration
from treadle.integrations.aws.connectors import CONNECTORS
from treadle.integrations.connections import Connections
from treadle.integrations.http import HttpIntegration
from treadle.integrations.kubernetes import KubernetesIntegration
from treadle.integrations.lambda_ import LambdaIntegration
from treadle.integrations.lambda_endpoint import LambdaEndpoint
from treadle.integrations.mcp import McpIntegration
from treadle.integrations.mcp_servers import McpServer
from treadle.integrations.mcp_sessions import Sessions
from treadle.integrations.states import Machines, StatesIntegration
from treadle.runtime.engine import Engine
from treadle.runtime.express import Express
from treadle.runtime.ports import Integration


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a host has for its integrations. `functions`, `lambda_endpoint` and `aws` are closed with the table."""

    engine: Callable[[], Engine]
    machines: Machines
    express: Callable[[], Express] | None = None
    functions: Functions | None = None
    lambda_endpoint: LambdaEndpoint | None = None
    connections: Connections | None = None
    mcp_servers: Mapping[str, McpServer] | None = None
    aws: AwsSessions | None = None


@asynccontextmanager
async def assembled(parts: Parts) -> AsyncGenerator[dict[str, Integration]]:
    """The integrations by the names that `runtime.calls` looks up: a service, or a kind of resource.

    Enter it before the engine, so that calls under way have ended when it closes.
    """
    async with AsyncExitStack() as stack:
        table: dict[str, Integration] = {"states": StatesIntegration(parts.engine, parts.machines, parts.express)}
        if parts.functions is not None:
            stack.push_async_callback(parts.functions.close)
        if parts.lambda_endpoint is not None:
            stack.push_async_callback(parts.lambda_endpoint.close)
        if parts.functions is not None or parts.lambda_endpoint is not None:
            table["lambda"] = LambdaIntegration(parts.functions, parts.lambda_endpoint)
        if parts.connections is not None:
            table["http"] = http = HttpIntegration(parts.connections)
            stack.push_async_callback(http.close)
        if parts.mcp_servers is not None:
            table["mcp"] = mcp = McpIntegration(Sessions(parts.mcp_servers))
            stack.push_async_callback(mcp.close)
        if parts.aws is not None:
            stack.callback(parts.aws.close)
            optimised = OptimisedIntegration(parts.aws, lambda: parts.engine().clock)
            table |= {"aws-sdk": AwsSdkIntegration(parts.aws), **dict.fromkeys(CONNECTORS, optimised)}
            table["apigateway"] = gateway = ApiGatewayIntegration(parts.aws)
            stack.push_async_callback(gateway.close)
            table["eks:call"] = table["eks:runJob"] = kubernetes = KubernetesIntegration(
                parts.aws, lambda: parts.engine().clock
            )
            stack.push_async_callback(kubernetes.close)
        yield table
