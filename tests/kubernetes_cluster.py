"""A cluster for tests: the Kubernetes API for jobs, pods and logs, over TLS, for whoever has a token that STS knows."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from http_server import contexts

NAME = "blue"
KEYS = ("AKIDEXAMPLE", "s3cr3t-key-of-nobody")


@dataclass
class Cluster:
    """The cluster at work. `jobs` is by namespace and name; `steps` are statuses that each look at a job moves on."""

    url: str = ""
    authority: str = ""
    jobs: dict[tuple[str, str], Any] = field(default_factory=dict)
    steps: list[Any] = field(default_factory=list)
    logs: dict[tuple[str, str], str] = field(default_factory=dict)
    failing: list[int] = field(default_factory=list)
    """Statuses that the next requests are answered with."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    under_way: int = 0
    sts: str = "sts.us-east-1.amazonaws.com"

    def arguments(self, **more: Any) -> dict[str, Any]:
        return {"ClusterName": NAME, "CertificateAuthority": self.authority, "Endpoint": self.url, **more}


DONE = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
FAILED = {"failed": 1, "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
RUNNING = {"active": 1, "conditions": [{"type": "Complete", "status": "False"}]}


def job(name: str = "pi", **metadata: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "perl"}]
    named = {"name": name} if name else {}
    spec = {"backoffLimit": 0, "template": {"spec": {"containers": containers, "restartPolicy": "Never"}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {**named, **metadata}, "spec": spec}


@asynccontextmanager
async def cluster_at_work(place: Path) -> AsyncGenerator[Cluster]:
    """Serve on a free port of this machine."""
    server, _ = contexts(place)
    cluster = Cluster(authority=base64.b64encode((place / "ca.pem").read_bytes()).decode())
    runner = web.ServerRunner(web.Server(_Api(cluster).serve, handler_cancellation=True))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server).start()
    cluster.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield cluster
    finally:
        await runner.cleanup()


class _Api:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        cluster, body = self.cluster, (await request.read()).decode()
        cluster.asked.append((request.method, request.raw_path, body))
        cluster.under_way += 1
        try:
            if not _is_known(request.headers.get("Authorization", ""), cluster):
                return _status(401, "Unauthorized")
            if cluster.failing:
                return _status(cluster.failing.pop(0), "on purpose")
            return await self.answer(request, request.path.strip("/").split("/"), body)
        finally:
            cluster.under_way -= 1

    async def answer(self, request: web.BaseRequest, path: list[str], body: str) -> web.StreamResponse:
        match request.method, path:
            case _, ["endless"]:
                await asyncio.Event().wait()
                raise AssertionError
            case _, ["huge"]:
                return web.json_response("x" * 300_000)
            case "PATCH", _:
                return web.json_response({"kind": request.headers["Content-Type"], "sent": json.loads(body)})
            case "POST", ["apis", "batch", "v1", "namespaces", namespace, "jobs"]:
                return self.create(namespace, json.loads(body))
            case "GET", ["apis", "batch", "v1", "namespaces", namespace, "jobs"]:
                return web.json_response({"kind": "JobList", "items": self.selected(namespace, request)})
            case "GET", ["apis", "batch", "v1", "namespaces", namespace, "jobs", name]:
                return self.read(namespace, name)
            case "DELETE", ["apis", "batch", "v1", "namespaces", namespace, "jobs", name]:
                found = self.cluster.jobs.pop((namespace, name), None)
                return _status(200, "Success") if found else _status(404, f'jobs.batch "{name}" not found')
            case "GET", ["api", "v1", "namespaces", namespace, "pods"]:
                return self.pods(request)
            case "GET", ["api", "v1", "namespaces", namespace, "pods", pod, "log"]:
                return self.log(pod, request)
            case _:
                return _status(404, "the server could not find the requested resource")

    def create(self, namespace: str, wanted: Any) -> web.Response:
        metadata = wanted["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}{len(self.cluster.jobs)}"
        if (namespace, name) in self.cluster.jobs:
            return _status(409, f'jobs.batch "{name}" already exists')
        made = {**wanted, "metadata": {**metadata, "name": name, "namespace": namespace}, "status": {}}
        self.cluster.jobs[namespace, name] = made
        return web.json_response(made, status=201)

    def read(self, namespace: str, name: str) -> web.Response:
        found = self.cluster.jobs.get((namespace, name))
        if found is None:
            return _status(404, f'jobs.batch "{name}" not found')
        if self.cluster.steps:
            found["status"] = self.cluster.steps.pop(0)
        return web.json_response(found)

    def selected(self, namespace: str, request: web.BaseRequest) -> list[Any]:
        jobs = [each for (place, _), each in self.cluster.jobs.items() if place == namespace]
        key, _, value = request.query.get("labelSelector", "").partition("=")
        return [each for each in jobs if not key or each["metadata"].get("labels", {}).get(key) == value]

    def pods(self, request: web.BaseRequest) -> web.Response:
        """One pod on each page."""
        names = sorted({pod for pod, _ in self.cluster.logs})
        turn = int(request.query.get("continue", "0"))
        items = [
            {
                "metadata": {"name": name},
                "spec": {"containers": [{"name": each} for pod, each in self.cluster.logs if pod == name]},
            }
            for name in names[turn : turn + 1]
        ]
        more = {"continue": str(turn + 1)} if turn + 1 < len(names) else {}
        return web.json_response({"kind": "PodList", "metadata": more, "items": items})

    def log(self, pod: str, request: web.BaseRequest) -> web.Response:
        text = self.cluster.logs[pod, request.query["container"]]
        if text == "lost":
            return _status(400, "the container is waiting to start")
        lines = text.splitlines(keepends=True)[-int(request.query.get("tailLines", "1000")) :]
        return web.Response(text="".join(lines))


def _status(status: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": status, "message": message}, status=status)


def _is_known(authorization: str, cluster: Cluster) -> bool:
    """Whether STS would know who signed the token, and that it is for this cluster."""
    token = authorization.removeprefix("Bearer k8s-aws-v1.")
    url = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    plain = {name: value for name, value in query.items() if name in ("Action", "Version")}
    assert plain == {"Action": "GetCallerIdentity", "Version": "2011-06-15"} and query["X-Amz-Expires"] == "60"
    if urlsplit(url).netloc != cluster.sts or query["X-Amz-SignedHeaders"] != "host;x-k8s-aws-id":
        return False
    again: Any = AWSRequest("GET", url.rpartition("&X-Amz-Signature=")[0], headers={"x-k8s-aws-id": NAME})
    again.context["timestamp"] = query["X-Amz-Date"]
    signer = SigV4QueryAuth(Credentials(*KEYS), "sts", "us-east-1", expires=60)
    text = signer.string_to_sign(again, signer.canonical_request(again))
    return signer.signature(text, again) == query["X-Amz-Signature"]
