"""A compacted journal gives the same state as the whole one, whatever happened."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treadle.local.cloud.journal import Journal, Request
from treadle.local.cloud.living import kept

NAMES = [
    "put", "put", "put tagged", "put if new", "delete", "delete", "copy", "tag", "parts", "empty", "version",
    "item", "item", "item if", "update", "remove", "remove", "batch", "both", "new table",
    "send", "send many", "receive", "receive", "acknowledge", "acknowledge", "acknowledge many", "show again", "purge",
    "secret", "rule", "parameter",
]  # fmt: skip
OPERATION = st.tuples(st.sampled_from(NAMES), st.integers(0, 1), st.integers(0, 2), st.integers(0, 255))


class Trial:
    """The process that plays operations."""

    def __init__(self) -> None:
        script = str(Path(__file__).parent / "compaction_trial.py")
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def play(self, operations: list[Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(operations) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    made = Trial()
    yield made
    made.close()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATION, min_size=5, max_size=60))
def test_the_state_after_a_compacted_repetition_is_that_after_a_full_one(trial: Trial, operations: list[Any]) -> None:
    told = trial.play(operations)
    assert told["whole"] == told["lived"]
    assert told["compacted"] == told["whole"]


def test_what_was_overwritten_consumed_or_deleted_is_dropped(trial: Trial) -> None:
    operations: list[Any] = []
    for number in range(20):
        operations += [("put", 0, 0, 255), ("item", 0, 0, number), ("update", 0, 0, number)]
        operations += [("send many", 1, 0, number), ("receive", 0, 1, 5), ("acknowledge many", 1, 0, 3 * number)]
        operations += [("put", 1, 1, 1), ("delete", 1, 1, 0), ("item", 1, 1, 1), ("remove", 1, 1, 0)]
    told = trial.play(operations)
    assert told["compacted"] == told["whole"] == told["lived"]
    assert told["dropped"] >= 180


def request(number: int, body: bytes = b"") -> Request:
    return Request(float(number), number, {"REQUEST_METHOD": "PUT", "PATH_INFO": f"/{number}"}, {}, body)


def written(folder: Path, *requests: Request) -> None:
    journal = Journal(folder)
    assert list(journal.requests()) == []
    for each in requests:
        journal.sync(journal.append(each))
    journal.close()


def read(folder: Path) -> list[Request]:
    journal = Journal(folder)
    found = list(journal.requests())
    journal.close()
    return found


def test_a_journal_that_is_written_anew_goes_on_and_keeps_no_body_that_nobody_names(tmp_path: Path) -> None:
    large = [request(number, bytes([number]) * 70_000) for number in range(4)]
    written(tmp_path, *large)
    journal = Journal(tmp_path)
    assert journal.compact(lambda _: [3, 1][: len(list(_)) and 2], least=1) == 2
    with pytest.raises(BlockingIOError):
        Journal(tmp_path)
    assert list(journal.requests()) == [large[3], large[1]]
    journal.sync(journal.append(request(9)))
    journal.close()
    assert read(tmp_path) == [large[3], large[1], request(9)]
    assert len(list((tmp_path / "bodies").iterdir())) == 2
    assert (tmp_path / "requests.log").stat().st_mode & 0o077 == 0


def test_a_kill_before_the_new_file_has_its_name_loses_nothing(tmp_path: Path) -> None:
    requests = [request(number) for number in range(3)]
    written(tmp_path, *requests)
    (tmp_path / "requests.new").write_bytes(b"half of a")
    assert read(tmp_path) == requests
    journal = Journal(tmp_path)
    assert journal.compact(lambda given: [len(list(given)) - 1], least=1) == 2
    journal.close()
    assert read(tmp_path) == [requests[2]]


def test_little_that_is_superfluous_is_left_where_it_is(tmp_path: Path) -> None:
    written(tmp_path, *[request(number) for number in range(5)])
    journal = Journal(tmp_path)
    assert journal.compact(lambda given: [len(list(given)) - 1]) == 0
    assert len(list(journal.requests())) == 5
    journal.close()


KILL = """
import os, sys
from pathlib import Path
from treadle.local.cloud.journal import Journal
calls = 0
real = {name: getattr(os, name) for name in ("fsync", "rename", "unlink")}

def count(name):
    def counted(*given, **more):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
        return real[name](*given, **more)
    return counted

journal = Journal(Path(sys.argv[1]))
for name in real:
    setattr(os, name, count(name))
journal.compact(lambda given: [len(list(given)) - 1], least=1)
"""


@pytest.mark.parametrize("moment", range(1, 6))
def test_a_kill_at_any_moment_of_writing_anew_leaves_a_whole_journal(tmp_path: Path, moment: int) -> None:
    requests = [request(number, bytes([number]) * 70_000) for number in range(3)]
    written(tmp_path, *requests)
    subprocess.run([sys.executable, "-c", KILL, str(tmp_path), str(moment)], check=False)
    assert read(tmp_path) in (requests, requests[2:])


def test_requests_for_other_accounts_keep_everything(tmp_path: Path) -> None:
    put = {"REQUEST_METHOD": "PUT", "PATH_INFO": "/b/k", "HTTP_HOST": "127.0.0.1:1", "QUERY_STRING": ""}
    put["HTTP_AUTHORIZATION"] = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request, "
    made = {**put, "PATH_INFO": "/b"}
    plain = [Request(0, 0, made, {}), *[Request(0, 0, put, {}) for _ in range(3)]]
    assert kept(plain) == [0, 3]
    foreign = {**put, "HTTP_X_MOTO_ACCOUNT_ID": "210987654321"}
    assert kept([*plain, Request(0, 0, foreign, {})]) == [0, 1, 2, 3, 4]
