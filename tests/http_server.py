"""An HTTP API for tests, over TLS with a certificate authority of its own. Each path misbehaves in its own way."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CLIENT = {"client_id": "treadle", "client_secret": "s3cret"}


@dataclass
class Api:
    """The API at work: where it is, what it was asked, and which token it accepts."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    under_way: int = 0
    tokens: int = 0
    expires_in: Any = 3600
    accepted: str = ""
    token_status: int = 200
    failures: int = 0
    """How many requests to /failing are still to fail."""


API = web.AppKey("api", Api)


@asynccontextmanager
async def api_at_work(context: ssl.SSLContext | None = None) -> AsyncGenerator[Api]:
    """Serve on a free port of this machine; over TLS with a context."""
    api = Api()
    app = web.Application(client_max_size=1 << 24)
    app[API] = api
    for path, handler in (
        ("/echo", _echo),
        ("/status/{status}", _status),
        ("/slow", _slow),
        ("/huge", _huge),
        ("/reset", _reset),
        ("/cut", _cut),
        ("/typed", _typed),
        ("/redirect", _redirect),
        ("/cookie", _cookie),
        ("/token", _token),
        ("/guarded", _guarded),
        ("/failing", _failing),
    ):
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    host, port = runner.addresses[0][:2]
    api.url = f"{'https' if context else 'http'}://{host}:{port}"
    try:
        yield api
    finally:
        await runner.cleanup()


def _note(request: web.Request, body: bytes) -> dict[str, Any]:
    noted = {
        "method": request.method,
        "path": request.path,
        "query": [[key, value] for key, value in request.query.items()],
        "headers": dict(request.headers),
        "body": body.decode("utf-8", "replace"),
    }
    request.app[API].asked.append(noted)
    return noted


async def _echo(request: web.Request) -> web.Response:
    return web.json_response(_note(request, await request.read()))


async def _status(request: web.Request) -> web.Response:
    _note(request, await request.read())
    return web.Response(status=int(request.match_info["status"]), text="a secret of the API")


async def _slow(request: web.Request) -> web.Response:
    api: Api = request.app[API]
    api.under_way += 1
    try:
        await asyncio.sleep(3600)
    finally:
        api.under_way -= 1
    raise AssertionError


async def _huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    for _ in range(10_000):
        await response.write(b"x" * 65_536)
    return response


async def _reset(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _cut(request: web.Request) -> web.StreamResponse:
    """Promises more than it sends."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"begun": ')
    assert request.transport is not None
    request.transport.abort()
    return response


async def _typed(request: web.Request) -> web.Response:
    """What it was sent, in the content type that it was asked for."""
    return web.Response(body=await request.read(), headers={"Content-Type": request.query["type"]})


async def _redirect(request: web.Request) -> web.Response:
    raise web.HTTPFound("/echo")


async def _cookie(request: web.Request) -> web.Response:
    _note(request, b"")
    return web.Response(headers={"Set-Cookie": "session=1", "X-One": "1"})


async def _token(request: web.Request) -> web.Response:
    api: Api = request.app[API]
    body = await request.read()
    _note(request, body)
    form = dict(await request.post()) or dict(request.query)
    if api.token_status != 200 or not CLIENT.items() <= form.items():
        return web.Response(status=api.token_status if api.token_status != 200 else 401)
    api.tokens += 1
    api.accepted = f"token-{api.tokens}"
    return web.json_response({"access_token": api.accepted, "token_type": "Bearer", "expires_in": api.expires_in})


async def _guarded(request: web.Request) -> web.Response:
    noted = _note(request, await request.read())
    if request.headers.get("Authorization") != f"Bearer {request.app[API].accepted}":
        return web.Response(status=401)
    return web.json_response(noted)


async def _failing(request: web.Request) -> web.Response:
    api: Api = request.app[API]
    _note(request, await request.read())
    if api.failures > 0:
        api.failures -= 1
        return web.Response(status=429)
    return web.json_response({"ok": True})


# ---- a certificate authority ---------------------------------------------------------------------------------------


@cache
def contexts(place: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For the server and for a client that trusts it; the files are made in the folder."""
    key, authority = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test authority")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test server")])
    top = (
        _certificate(root, root, authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        .sign(authority, hashes.SHA256())
    )
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = (
        _certificate(name, root, key)
        .add_extension(local, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    chain, secret, ca = place / "server.pem", place / "server.key", place / "ca.pem"
    chain.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    ca.write_bytes(top.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, secret)
    return server, ssl.create_default_context(cafile=str(ca))


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
