"""The stream of live events, and the command that shows it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from api_serving import PASS, ROLE, Served, machine, until

from treadle.api.host import Host
from treadle.machine.journal import Entry
from treadle.observation import stream
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


def numbered(answer: http.client.HTTPResponse) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Events with their ids."""
    id = name = ""
    for raw in answer:
        field, _, value = raw.decode().rstrip("\n").partition(": ")
        if field == "id":
            id = value
        elif field == "event":
            name = value
        elif field == "data":
            yield id, name, json.loads(value)


def events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    """Events without them."""
    return ((name, data) for _, name, data in numbered(answer))


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
        tried = Stream(host)
        scope = {"headers": [(b"host", b"localhost:1")], "query_string": b""}
        reading = asyncio.create_task(tried.page(scope, receive, send))
        await begun.wait()
        entry = Entry("PassStateEntered", 1, 0, (), 0.0, {"name": "A", "input": {}}, {})
        summary = Summary(
            arn="e", machine_arn="m", name="e", definition=definition, status="RUNNING", started_at=0.0, length=1
        )
        for _ in range(QUEUE + 5):
            tried.committed(Commit(1, [entry], summary))
        may_read.set()
        await reading
    return sent


# ---- coming back -------------------------------------------------------------------------------------------------


def test_who_comes_back_to_an_execution_goes_on_behind_its_last_event_after_a_kill_too(tmp_path: Path) -> None:
    served = Served(tmp_path, "--no-cloud")
    states = served.client()
    activity = states.create_activity(name="a")["activityArn"]
    task = machine(P={"Type": "Pass"}, T={"Type": "Task", "Resource": activity})
    arn = states.create_state_machine(name="m", definition=task, roleArn=ROLE)["stateMachineArn"]
    arn = states.start_execution(stateMachineArn=arn)["executionArn"]
    query = f"?execution={quote(arn)}"
    with reading(served, query) as answer:
        told = numbered(answer)
        first = [next(told) for _ in range(3)]
    served.stop(signal.SIGKILL)
    served.start()
    states = served.client()
    with reading(served, query, **{"Last-Event-ID": first[-1][0]}) as answer:
        told = numbered(answer)
        second = [next(told) for _ in range(2)]
        states.send_task_success(taskToken=states.get_activity_task(activityArn=activity)["taskToken"], output="1")
        second += told
    assert served.stop() == 0
    events = [data["event"]["id"] for _, name, data in first + second if name == "history"]
    assert events == list(range(1, len(events) + 1))
    assert second[-1][1] == "end"


def test_who_comes_back_to_all_executions_gets_what_it_missed_or_is_told_so(
    served: Served, states: Any, create: Callable[..., str]
) -> None:
    with reading(served) as answer:
        arns = [states.start_execution(stateMachineArn=create(PASS))["executionArn"]]
        told = numbered(answer)
        first = [next(told), next(told)]
    arns += [states.start_execution(stateMachineArn=create(PASS))["executionArn"] for _ in range(2)]
    with reading(served, **{"Last-Event-ID": first[-1][0]}) as answer:
        rest = numbered(answer)
        second = [next(rest) for _ in range(10)]
    seen = [(data["executionArn"], data["event"]["id"]) for _, _, data in first + second]
    assert seen == [(arn, id) for arn in arns for id in (1, 2, 3, 4)]
    for strange in ("00000000.1.1", "no id", "1" * 40):
        with reading(served, **{"Last-Event-ID": strange}) as answer:
            assert next(numbered(answer))[1] == "missed"


def test_a_reader_hears_that_the_server_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "KEEP_ALIVE_SECONDS", 0.01)
    assert b": still here\n\n" in asyncio.run(read_nothing())


async def read_nothing() -> list[bytes]:
    """What a reader is sent while nothing happens."""
    sent, heard = list[bytes](), asyncio.Event()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("body", b""))
        if len(sent) > 3:
            heard.set()

    async def receive() -> MutableMapping[str, Any]:
        await heard.wait()
        return {"type": "http.disconnect"}

    async with Host(MemoryStore()) as host:
        await Stream(host).page({"headers": [(b"host", b"localhost:1")], "query_string": b""}, receive, send)
    return sent


def test_a_reader_that_takes_nothing_holds_up_no_execution(tmp_path: Path) -> None:
    served = Served(tmp_path, "--no-cloud")
    states = served.client()
    name = {"roleArn": ROLE, "definition": PASS}
    wide, narrow = (states.create_state_machine(name=each, **name)["stateMachineArn"] for each in ("wide", "narrow"))
    with socket.socket() as reader:
        reader.settimeout(20)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        reader.connect((served.ready["host"], served.ready["port"]))
        reader.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert reader.recv(12) == b"HTTP/1.1 200"
        # More than what fits between the two sides, and then more than may wait.
        for _ in range(20):
            states.start_execution(stateMachineArn=wide, input=json.dumps("x" * 200_000))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: states.start_execution(stateMachineArn=narrow), range(QUEUE + 20)))
        until(lambda: not states.list_executions(stateMachineArn=narrow, statusFilter="RUNNING")["executions"])
        told = b""
        while b"event: dropped" not in told:
            told = told[-100:] + reader.recv(1 << 20)
    assert served.stop() == 0


def test_the_command_goes_on_when_the_server_was_killed_and_came_back(tmp_path: Path) -> None:
    served = Served(tmp_path / ".treadle", "--no-cloud")
    states = served.client()
    activity = states.create_activity(name="a")["activityArn"]
    task = machine(P={"Type": "Pass"}, T={"Type": "Task", "Resource": activity})
    arn = states.create_state_machine(name="m", definition=task, roleArn=ROLE)["stateMachineArn"]
    arn = states.start_execution(stateMachineArn=arn)["executionArn"]
    command = [sys.executable, "-m", "treadle", "executions", "watch", arn, "--json"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as watching:
        assert watching.stdout is not None
        lines = [watching.stdout.readline() for _ in range(5)]
        served.stop(signal.SIGKILL)
        served.start()  # at another port
        states = served.client()
        states.send_task_success(taskToken=states.get_activity_task(activityArn=activity)["taskToken"], output="1")
        rest, noted = watching.communicate(timeout=60)
    assert served.stop() == 0
    assert watching.returncode == 0
    assert "Coming back" in noted
    told = [json.loads(each) for each in (*lines, *rest.splitlines())]
    events = [each["event"]["id"] for each in told if each["kind"] == "history"]
    assert events == list(range(1, len(events) + 1))
    assert told[-1]["kind"] == "end"


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
