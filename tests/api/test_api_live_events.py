"""The stream of live events, and the command that shows it."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

from api_serving import PASS, Served, machine

from treadle.api.host import Host
from treadle.machine.journal import Entry
from treadle.observation.stream import QUEUE, Stream
from treadle.runtime.ports import Commit, Summary
from treadle.stores import MemoryStore


@contextmanager
def reading(served: Served, query: str = "", **headers: str) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(served.endpoint).netloc, timeout=20)
    connection.request("GET", f"/events{query}", headers=headers)
    answer = connection.getresponse()
    try:
        yield answer
    finally:
        answer.close()
        connection.close()


def events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for raw in answer:
        field, _, value = raw.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def test_one_execution_is_told_from_its_beginning_to_its_end(
    served: Served, states: Any, create: Callable[..., str]
) -> None:
    activity = states.create_activity(name="told")["activityArn"]
    arn = states.start_execution(
        stateMachineArn=create(machine(T={"Type": "Task", "Resource": activity})), input='{"a": 1}'
    )["executionArn"]
    token = states.get_activity_task(activityArn=activity)["taskToken"]
    with reading(served, f"?execution={quote(arn)}") as answer:
        live = events(answer)
        before = [next(live) for _ in range(4)]
        states.send_task_success(taskToken=token, output="{}")
        told = before + list(live)
    assert [name for name, _ in told] == ["history"] * (len(told) - 1) + ["end"]
    shown = [data["event"] for name, data in told if name == "history"]
    wanted = states.get_execution_history(executionArn=arn)["events"]
    assert [(each["id"], each["type"]) for each in shown] == [(each["id"], each["type"]) for each in wanted]
    assert shown[0]["executionStartedEventDetails"]["input"] == wanted[0]["executionStartedEventDetails"]["input"]
    assert token not in json.dumps(told)


def test_all_executions_are_told_as_they_go(served: Served, states: Any, create: Callable[..., str]) -> None:
    with reading(served) as answer:
        assert answer.readline().startswith(b": ")
        arn = states.start_execution(stateMachineArn=create(PASS))["executionArn"]
        seen: list[str] = []
        for _, data in events(answer):
            if data["executionArn"] == arn:
                seen.append(data["event"]["type"])
                if data["event"]["type"] == "ExecutionSucceeded":
                    break
    assert seen == ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]


def test_a_web_page_whose_name_leads_here_gets_no_history(served: Served) -> None:
    with reading(served, Host="evil.example:8083") as answer:
        assert answer.status == 403


def test_a_reader_that_does_not_keep_up_is_told_so_and_let_go() -> None:
    sent = asyncio.run(read_slowly())
    assert sum(each.startswith(b"event: history") for each in sent) == QUEUE
    assert sent[-2].startswith(b"event: dropped")


async def read_slowly() -> list[bytes]:
    """What a reader is sent that takes nothing until more waits for it than may."""
    definition, sent = "x" * 64, list[bytes]()
    may_read, begun, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("body", b""))
        begun.set()
        await may_read.wait()

    async def receive() -> MutableMapping[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async with Host(MemoryStore()) as host:
        stream = Stream(host)
        scope = {"headers": [(b"host", b"localhost:1")], "query_string": b""}
        reading = asyncio.create_task(stream.page(scope, receive, send))
        await begun.wait()
        entry = Entry("PassStateEntered", 1, 0, (), 0.0, {"name": "A", "input": {}}, {})
        summary = Summary(
            arn="e", machine_arn="m", name="e", definition=definition, status="RUNNING", started_at=0.0, length=1
        )
        for _ in range(QUEUE + 5):
            stream.committed(Commit(1, [entry], summary))
        may_read.set()
        await reading
    return sent


def test_the_command_prints_lines_as_run_does_or_json(served: Served, states: Any, create: Callable[..., str]) -> None:
    arn = states.start_execution(stateMachineArn=create(machine(Waits={"Type": "Wait", "Seconds": 1})))["executionArn"]
    lines, documents = (
        subprocess.run(
            [sys.executable, "-m", "treadle", "executions", "watch", arn, "--endpoint", served.endpoint, *more],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for more in ([], ["--json"])
    )
    assert "Waits Wait" in lines
    assert "done after 1.0s" in lines
    assert "SUCCEEDED" in lines
    kinds = [json.loads(each)["kind"] for each in documents.splitlines()]
    assert kinds == ["history"] * 4 + ["end"]
