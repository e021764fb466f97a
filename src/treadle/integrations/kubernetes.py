"""The Kubernetes API of a cluster of Amazon EKS: `eks:call`, `eks:runJob` and `eks:runJob.sync`.

Owns what AWS 'Call Amazon EKS with Step Functions' describes: the requests, a job from its creation to its logs, and
who is calling (a token that only AWS can have signed). The other actions of `eks` are those of AWS, in `aws.optimised`.
Neighbours: http_service.py, which sends and tells failures; aws/jobs.py, which waits.

A call that was under way when the process died is made again where its method is idempotent. A job is never created
twice: it bears the call's idempotency as a label, and is looked for by that before it is created again.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import quote

import msgspec

from treadle.errors import StatesError
from treadle.integrations.arguments import expect_action, members, one_of, optional_text, required_text, unusable
from treadle.integrations.aws.connectors import CONNECTORS, at
from treadle.integrations.aws.failures import Passing, Voice, telling
from treadle.integrations.aws.jobs import Job, wait
from treadle.integrations.aws.sessions import AwsSessions
from treadle.integrations.http_answers import body_of, output_of
from treadle.integrations.http_client import Answer, Request
from treadle.integrations.http_request import IDEMPOTENT
from treadle.integrations.http_service import HttpService, address_of
from treadle.integrations.kubernetes_logs import LogOptions, logs_of
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object, json_text
from treadle.runtime.ports import LOST, Call, Clock, Redelivery

TIME_LIMIT: Final = 65.0
"""Seconds; a Kubernetes API itself gives up after 60."""

_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH")
_LABEL: Final = "treadle/call"
_EKS: Final = CONNECTORS["eks"]
_VOICE: Final = Voice(_EKS.prefix, _EKS.other, {}, _EKS.v1_service)

# Amazon EKS 'Cluster authentication': a request to STS that says who signed it, and for which cluster.
_WHO: Final = "Action=GetCallerIdentity&Version=2011-06-15"
_FOR_CLUSTER: Final = "x-k8s-aws-id"
_TOKEN: Final = "k8s-aws-v1."  # the form of a token, no secret
_TOKEN_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as a task names it. `context` trusts the cluster's own authority alone."""

    name: str
    endpoint: str
    context: ssl.SSLContext = field(repr=False)


class KubernetesIntegration:
    """Calls the API of clusters, and runs jobs there. Close it after the engine. `time_limit` is in seconds."""

    redelivery: Redelivery = "again"

    def __init__(self, sessions: AwsSessions, clock: Callable[[], Clock], *, time_limit: float = TIME_LIMIT) -> None:
        self._sessions, self._clock = sessions, clock
        self._service = HttpService(_EKS.prefix, time_limit=time_limit)

    async def call(self, call: Call) -> Json:
        """Send the request, or create the job. Raises StatesError EKS.*, States.Runtime."""
        action = expect_action(call, ("call", "runJob"))
        given = members(call.arguments)
        cluster = _cluster(given)
        if action == "runJob":
            return await self._created(call, cluster, given)
        method, path = one_of(given, "Method", _METHODS), required_text(given, "Path")
        if call.again and method not in IDEMPOTENT:
            raise StatesError("States.TaskFailed", LOST)
        body = given.get("RequestBody")
        return output_of(await self._ask(call, cluster, method, path, given.get("QueryParameters"), body))

    async def poll(self, call: Call) -> Json:
        """Wait for the job to end; gives the job, with its logs where they are wanted."""
        given = members(call.arguments)
        cluster, path, options = _cluster(given), _path(call), LogOptions.of(given.get("LogOptions"))

        async def ask(path: str, query: Json = None) -> Json:
            return body_of(await self._ask(call, cluster, "GET", path, query))

        async def describe() -> Json:
            try:
                job = await ask(path)
            except StatesError as error:
                if _passes(error, self._service.unsent):
                    raise Passing(error.name, error.cause) from None
                raise
            if options is None or _verdict(job) is None:
                return job
            return {**job, "logs": await logs_of(ask, _namespace(given), str(at(job, "metadata.name")), options)}

        return await wait(_JOB, describe, call.job, self._clock(), call.idempotency)

    async def cancel(self, call: Call) -> None:
        """Delete the job and its pods. AWS 'Run a Job': best effort."""
        cluster = _cluster(members(call.arguments))
        await self._ask(call, cluster, "DELETE", _path(call), {"propagationPolicy": ["Background"]})

    async def close(self) -> None:
        """Close every connection."""
        await self._service.close()

    async def _created(self, call: Call, cluster: Cluster, given: Mapping[str, Json]) -> Json:
        job, jobs = _marked(given.get("Job"), call.idempotency), _jobs(given)
        LogOptions.of(given.get("LogOptions"))  # what is wrong with them is told before there is a job
        if call.again:
            found = await self._ask(call, cluster, "GET", jobs, {"labelSelector": [f"{_LABEL}={call.idempotency}"]})
            mine = at(body_of(found), "items.0")
            if is_object(mine):
                return {**output_of(found), "ResponseBody": mine}
        created = output_of(await self._ask(call, cluster, "POST", jobs, body=job))
        if not isinstance(at(created, "ResponseBody.metadata.name"), str):
            raise StatesError(self._service.unsent, "The answer of the cluster does not name the job.")
        return created

    async def _ask(
        self, call: Call, cluster: Cluster, method: str, path: str, query: Json = None, body: Json = None
    ) -> Answer:
        try:
            url = address_of(cluster.endpoint, (path,), query)
            content = None if body is None else (body if isinstance(body, str) else json_text(body)).encode()
        except UnicodeEncodeError:
            raise unusable("The request holds half of a surrogate pair, which UTF-8 cannot write") from None
        headers = {"authorization": f"Bearer {await self._token(call, cluster)}", "accept": "application/json, */*"}
        if content is not None:
            headers["content-type"] = _patch(body) if method == "PATCH" else "application/json"
        return await self._service.answer(Request(method, url, headers, body=content, context=cluster.context))

    async def _token(self, call: Call, cluster: Cluster) -> str:
        place = self._sessions.place_of(call, "sts")
        with telling(_VOICE):
            url = await self._sessions.find(
                lambda: self._sessions.presign(place, _WHO, {_FOR_CLUSTER: cluster.name}, _TOKEN_SECONDS)
            )
        return _TOKEN + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


# ---- what a task says ----------------------------------------------------------------------------------------------


def _cluster(given: Mapping[str, Json]) -> Cluster:
    name, endpoint = required_text(given, "ClusterName"), required_text(given, "Endpoint")
    if not _is_header(name):
        raise unusable("The field 'ClusterName' is not the name of a cluster")
    try:
        return Cluster(name, endpoint, _trusting(required_text(given, "CertificateAuthority")))
    except ValueError:
        reason = "is not the Base64-encoded certificate of a cluster, as DescribeCluster gives it"
        raise unusable(f"The field 'CertificateAuthority' {reason}") from None


def _is_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


@lru_cache(maxsize=64)
def _trusting(authority: str) -> ssl.SSLContext:
    """Verifies servers by this authority. Raises ValueError. Kept, since connections are shared by their contexts."""
    text = base64.b64decode(authority, validate=True).decode("ascii")
    if "BEGIN CERTIFICATE" not in text:
        raise ValueError(text)  # without any certificate, the ones of this machine would be trusted
    try:
        context = ssl.create_default_context(cadata=text)
    except ssl.SSLError as error:
        raise ValueError(str(error)) from None
    # Newer versions of Python ask for extensions that the authorities of clusters do not have.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _namespace(given: Mapping[str, Json]) -> str:
    return optional_text(given, "Namespace") or "default"


def _jobs(given: Mapping[str, Json]) -> str:
    return f"/apis/batch/v1/namespaces/{quote(_namespace(given), safe='')}/jobs"


def _path(call: Call) -> str:
    name = at(call.job, "ResponseBody.metadata.name")
    return f"{_jobs(members(call.arguments))}/{quote(str(name), safe='')}"


def _marked(given: Json, idempotency: str) -> Json:
    """The job with a label by which it is known again."""
    if isinstance(given, str):
        try:
            given = msgspec.json.decode(given)
        except (ValueError, RecursionError):
            raise unusable("The field 'Job' is no JSON") from None
    job = members(given, "Job")
    metadata = members(job.get("metadata", {}), "Job.metadata")
    labels = members(metadata.get("labels", {}), "Job.metadata.labels")
    return {**job, "metadata": {**metadata, "labels": {**labels, _LABEL: idempotency}}}


def _patch(body: Json) -> str:
    """The kind of a patch, which the integration has no parameter for. A list is one of operations; a merge is what
    every kind of resource takes."""
    is_list = body.lstrip().startswith("[") if isinstance(body, str) else is_array(body)
    return f"application/{'json' if is_list else 'merge'}-patch+json"


# ---- how a job ends ------------------------------------------------------------------------------------------------


def _verdict(job: Json) -> bool | None:
    """Kubernetes 'Job': the condition that tells that a job will not change any more."""
    conditions = at(job, "status.conditions")
    for each in conditions if is_array(conditions) else []:
        if at(each, "status") == "True" and at(each, "type") in ("Complete", "Failed"):
            return at(each, "type") == "Complete"
    return None


_JOB: Final = Job("ReadNamespacedJob", {}, _verdict)


def _passes(error: StatesError, unsent: str) -> bool:
    status = str(error.name).rpartition(".")[2]
    return error.name == unsent or status == "429" or (status.isdigit() and int(status) >= 500)
