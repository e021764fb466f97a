"""The Kubernetes API of a cluster, over TLS: who calls, what is sent, and jobs from their creation to their logs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubernetes_cluster import DONE, FAILED, KEYS, RUNNING, Cluster, cluster_at_work, job
from treadle.errors import StatesError
from treadle.integrations.assembly import Parts, assembled
from treadle.integrations.aws import AwsSessions, Keys
from treadle.integrations.kubernetes import KubernetesIntegration
from treadle.runtime.clock import VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import LOST, Call
from treadle.stores import MemoryStore
from treadle.testing.integration_contract import call_of

CALL, RUN = "arn:aws:states:::eks:call", "arn:aws:states:::eks:runJob"
PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"


class Tasks:
    """The integration beside a cluster."""

    def __init__(self, cluster: Cluster, integration: KubernetesIntegration) -> None:
        self.cluster, self.integration = cluster, integration

    def call(self, resource: str = CALL, again: bool = False, **more: Any) -> Call:
        return replace(call_of(resource, self.cluster.arguments(**more)), again=again)

    async def ask(self, resource: str = CALL, again: bool = False, **more: Any) -> Any:
        return await self.integration.call(self.call(resource, again, **more))

    async def run(self, **more: Any) -> Any:
        call = self.call(f"{RUN}.sync", **more)
        return await self.integration.poll(replace(call, job=await self.integration.call(call)))

    async def failure(self, work: Awaitable[Any]) -> StatesError:
        with pytest.raises(StatesError) as failed:
            await work
        assert failed.value.cause
        return failed.value


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Tasks], Awaitable[None]]], None]:
    def run(work: Callable[[Tasks], Awaitable[None]], **settings: Any) -> None:
        async def bounded() -> None:
            sessions = AwsSessions(keys=Keys(*KEYS))
            integration = KubernetesIntegration(sessions, lambda: VirtualClock(1.7e9), **settings)
            try:
                async with asyncio.timeout(30), cluster_at_work(tmp_path) as cluster:
                    await work(Tasks(cluster, integration))
            finally:
                await integration.close()
                sessions.close()

        asyncio.run(bounded())

    return run


Run = Callable[..., None]

# ---- eks:call ------------------------------------------------------------------------------------------------------


def test_a_call_says_who_it_is_and_gives_the_answer(run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        tasks.cluster.logs["pi-1", "main"] = "3.14"
        query = {"labelSelector": ["job-name=pi"], "limit": [5]}
        given = await tasks.ask(Method="GET", Path=PODS, QueryParameters=query)
        assert (given["StatusCode"], given["StatusText"]) == (200, "OK")
        assert given["ResponseBody"]["items"][0]["metadata"] == {"name": "pi-1"}
        assert given["Headers"]["Content-Type"] == ["application/json; charset=utf-8"]
        assert tasks.cluster.asked == [("GET", f"{PODS}?labelSelector=job-name%3Dpi&limit=5", "")]

    run(work)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"spec": {"suspend": True}}, "merge"),
        ('{"spec": 1}', "merge"),
        ([{"op": "remove", "path": "/a"}], "json"),
        ('[{"op": "remove", "path": "/a"}]', "json"),
    ],
)
def test_a_patch_is_sent_as_the_kind_that_it_is(body: Any, kind: str, run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        given = await tasks.ask(Method="PATCH", Path=f"{JOBS}/pi", RequestBody=body)
        sent = json.loads(body) if isinstance(body, str) else body
        assert given["ResponseBody"] == {"kind": f"application/{kind}-patch+json", "sent": sent}

    run(work)


def test_a_refusal_is_an_error_by_its_status_with_what_the_cluster_says(run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        failed = await tasks.failure(tasks.ask(Method="GET", Path=f"{JOBS}/none"))
        assert failed.name == "EKS.404" and "not found" in json.loads(failed.cause or "")["message"]
        await tasks.ask(RUN, Job=job())
        assert (await tasks.failure(tasks.ask(RUN, Job=job()))).name == "EKS.409"
        assert (await tasks.failure(tasks.ask(Method="GET", Path=PODS, ClusterName="green"))).name == "EKS.401"

    run(work)


def test_a_server_of_another_authority_is_told_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    async def work(tasks: Tasks) -> None:
        async with cluster_at_work(tmp_path / "other") as other:
            mine = tasks.ask(Method="GET", Path=PODS, CertificateAuthority=other.authority)
            failed = await tasks.failure(mine)
        assert failed.name == "EKS.SdkClientException" and "certificate" in (failed.cause or "")
        assert tasks.cluster.asked == []

    run(work)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"ClusterName": ""}, "ClusterName"),
        ({"ClusterName": "a\r\nb"}, "ClusterName"),
        ({"Endpoint": None}, "Endpoint"),
        ({"Endpoint": "http://example.com"}, "https://"),
        ({"CertificateAuthority": "no base64"}, "CertificateAuthority"),
        ({"CertificateAuthority": ""}, "CertificateAuthority"),
        ({"CertificateAuthority": "bm90IGEgY2VydGlmaWNhdGU="}, "CertificateAuthority"),
        ({"CertificateAuthority": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"}, "CertificateAuthority"),
        ({"Method": "OPTIONS"}, "OPTIONS"),
        ({"Path": ""}, "Path"),
        ({"QueryParameters": {"a": {}}}, "'a'"),
        ({"RequestBody": "\ud800"}, "surrogate"),
    ],
)
def test_what_cannot_be_used_is_named_and_not_sent(more: dict[str, Any], told: str, run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        failed = await tasks.failure(tasks.ask(**{"Method": "GET", "Path": PODS, **more}))
        assert failed.name == "States.Runtime" and told in (failed.cause or "")
        assert tasks.cluster.asked == []

    run(work)


def test_an_answer_that_does_not_come_is_not_waited_for(run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        failed = await tasks.failure(tasks.ask(Method="GET", Path="/endless"))
        assert failed.name == "EKS.SdkClientException" and "0.3 seconds" in (failed.cause or "")

    run(work, time_limit=0.3)


def test_nobody_is_sent_a_token_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    async def work() -> None:
        sessions = AwsSessions()
        integration = KubernetesIntegration(sessions, lambda: VirtualClock(0.0))
        async with cluster_at_work(tmp_path) as cluster:
            tasks = Tasks(cluster, integration)
            failed = await tasks.failure(tasks.ask(Method="GET", Path=PODS))
            assert failed.name == "EKS.SdkClientException" and "credentials" in (failed.cause or "")
            assert cluster.asked == []
        sessions.close()

    asyncio.run(work())


def test_only_a_call_that_may_be_made_twice_is_made_again(run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        assert (await tasks.ask(Method="GET", Path=PODS, again=True))["StatusCode"] == 200
        failed = await tasks.failure(tasks.ask(Method="POST", Path=JOBS, RequestBody=job(), again=True))
        assert (failed.name, failed.cause) == ("States.TaskFailed", LOST)

    run(work)


# ---- eks:runJob ----------------------------------------------------------------------------------------------------


def test_a_job_that_is_not_waited_for_gives_what_the_cluster_answers(run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        given = await tasks.ask(RUN, Namespace="batch", Job=json.dumps(job(labels={"team": "blue"})))
        assert given["StatusCode"] == 201 and given["ResponseBody"]["metadata"]["namespace"] == "batch"
        assert given["ResponseBody"]["metadata"]["labels"] == {"team": "blue", "treadle/call": "00c0ffee"}

    run(work)


def test_a_job_is_waited_for_and_its_logs_are_read(run: Run) -> None:
    logs = {("pi-1", "main"): '{"pi": 3.14}', ("pi-1", "proxy"): "a\nb\nc\n", ("pi-2", "main"): "lost"}

    async def work(tasks: Tasks) -> None:
        tasks.cluster.logs = dict(logs)
        for options, seen in (
            ({"RetrieveLogs": True}, ({"pi": 3.14}, "a\nb\nc\n")),
            ({"RetrieveLogs": True, "RawLogs": True}, ('{"pi": 3.14}', "a\nb\nc\n")),
            ({"RetrieveLogs": True, "LogParameters": {"tailLines": ["2"]}}, ({"pi": 3.14}, "b\nc\n")),
        ):
            tasks.cluster.steps = [{}, RUNNING, RUNNING, DONE]
            told = await tasks.run(Job=job("", generateName="pi-"), LogOptions=options)
            assert told["status"] == DONE and told["kind"] == "Job"
            pods = told["logs"]["pods"]
            assert {name: each["log"] for name, each in pods["pi-1"]["containers"].items()} == {
                "main": seen[0],
                "proxy": seen[1],
            }
            lost = pods["pi-2"]["containers"]["main"]
            assert lost["error"] == "EKS.400" and "waiting to start" in lost["cause"]
        tasks.cluster.steps = [DONE]
        assert "logs" not in await tasks.run(Job=job("plain"))

    run(work)


def test_a_job_that_failed_fails_the_task_with_all_that_is_told_of_it(run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        tasks.cluster.logs["pi-1", "main"] = "no memory"
        tasks.cluster.steps = [RUNNING, FAILED]
        failed = await tasks.failure(tasks.run(Job=job(), LogOptions={"RetrieveLogs": True}))
        told = json.loads(failed.cause or "")
        assert failed.name == "States.TaskFailed" and told["status"] == FAILED
        assert told["logs"]["pods"]["pi-1"]["containers"]["main"] == {"log": "no memory"}

    run(work)


def test_logs_that_are_more_than_a_task_may_give_fail_it(run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        tasks.cluster.logs = {(f"pi-{n}", "main"): "x" * 100_000 for n in range(3)}
        tasks.cluster.steps = [DONE]
        failed = await tasks.failure(tasks.run(Job=job(), LogOptions={"RetrieveLogs": True}))
        assert failed.name == "States.DataLimitExceeded" and "LogParameters" in (failed.cause or "")

    run(work)


def test_a_cluster_that_cannot_be_asked_for_a_while_loses_no_job(run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        tasks.cluster.steps = [DONE]
        call = tasks.call(f"{RUN}.sync", Job=job())
        accepted = await tasks.integration.call(call)
        tasks.cluster.failing = [503, 429, 500]
        assert (await tasks.integration.poll(replace(call, job=accepted)))["status"] == DONE
        tasks.cluster.failing = [403]
        assert (await tasks.failure(tasks.integration.poll(replace(call, job=accepted)))).name == "EKS.403"

    run(work)


@pytest.mark.parametrize("name", ["pi", ""])
def test_a_job_is_created_once_however_often_the_call_is_made(name: str, run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        wanted = job(name) if name else job("", generateName="pi-")
        first = await tasks.ask(RUN, Job=wanted)
        second = await tasks.ask(RUN, again=True, Job=wanted)
        assert first["ResponseBody"]["metadata"] == second["ResponseBody"]["metadata"]
        assert len(tasks.cluster.jobs) == 1
        tasks.cluster.jobs.clear()
        await tasks.ask(RUN, again=True, Job=wanted)
        assert len(tasks.cluster.jobs) == 1, "the first call had not arrived"

    run(work)


@pytest.mark.parametrize(
    "more",
    [
        *({"Job": wanted} for wanted in (None, "no JSON", [], {"metadata": 7}, {"metadata": {"labels": []}})),
        {"Namespace": 7},
        {"LogOptions": "all"},
        {"LogOptions": {"RetrieveLogs": True, "LogParameters": [1]}},
    ],
)
def test_what_is_no_job_is_not_sent(more: Any, run: Run) -> None:
    async def work(tasks: Tasks) -> None:
        assert (await tasks.failure(tasks.ask(f"{RUN}.sync", **{"Job": job(), **more}))).name == "States.Runtime"
        assert tasks.cluster.asked == []

    run(work)


def test_a_job_is_deleted_with_the_execution_that_waits_for_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at_work(tmp_path) as cluster:
            task = {"Type": "Task", "Resource": f"{RUN}.sync", "Parameters": cluster.arguments(Job=job()), "End": True}
            machine = StateMachine(
                arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
                name="m",
                definition=json.dumps({"StartAt": "A", "States": {"A": task}}),
                role_arn="arn:aws:iam::123456789012:role/r",
            )
            engine: Engine
            parts = Parts(engine=lambda: engine, machines={}.get, aws=AwsSessions(keys=Keys(*KEYS)))
            async with asyncio.timeout(30), assembled(parts) as table, (engine := Engine(MemoryStore(), table)):
                started = await engine.start(machine, {}, "one")
                while not any(method == "GET" for method, _, _ in cluster.asked):
                    await asyncio.sleep(0.01)
                await engine.stop(started.arn)
                while cluster.jobs:
                    await asyncio.sleep(0.01)
            assert cluster.asked[-1][:2] == ("DELETE", f"{JOBS}/pi?propagationPolicy=Background")

    asyncio.run(work())
