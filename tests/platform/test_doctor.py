"""`treadle doctor`, `status` and `down` where things went wrong: every line is true and names the remedy."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from served_up import TREADLE, Up


def treadle(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return subprocess.run(
        [*TREADLE, *words], capture_output=True, text=True, check=False, env=plain | variables, timeout=60
    )


def faults(*words: str, **variables: str) -> list[str]:
    told = treadle("doctor", *words, "--json", **variables)
    found = [each["what"] for each in json.loads(told.stdout) if not each["good"]]
    assert told.returncode == (1 if found else 0)
    return found


def test_a_port_that_is_taken_is_told_with_whose_it_is(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        told = faults("--data", str(tmp_path), "--port", port)
        assert told == [f"port {port} is in use by another program: choose another with `treadle up --port`"]
        refused = treadle("up", "--data", str(tmp_path / "data"), "--port", port)
        assert (refused.returncode, "choose another --port" in refused.stderr) == (2, True)
    up = Up(tmp_path / "one", "--no-cloud")
    port = up.endpoint.rpartition(":")[2]
    assert faults("--data", str(tmp_path / "one"), "--port", port) == []
    (told,) = faults("--data", str(tmp_path / "two"), "--port", port)
    assert f"port {port} is in use by a treadle with another --data" in told
    second = treadle("up", "--data", str(tmp_path / "one"), "--port", "0")
    assert f"Process {up.process.pid} already works on the store" in second.stderr
    assert up.end() == 0


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for command in ("up", "doctor", "status", "down"):
        refused = treadle(command, "--data", str(tmp_path / "file"))
        assert (refused.returncode, "is a file" in refused.stderr) == (2, True), refused.stderr
    # Even root cannot write there.
    (told,) = (each for each in faults("--data", "/proc/none") if "written" in each)
    assert "/proc/none cannot be written" in told
    assert "choose another --data" in told
    assert not any("written" in each for each in faults("--data", str(tmp_path / "not" / "yet")))


def test_another_endpoint_in_the_environment_is_told_with_the_remedy(tmp_path: Path) -> None:
    elsewhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    (told,) = (each for each in faults("--data", str(tmp_path), **elsewhere) if "ENDPOINT" in each)
    assert told.endswith("To send them here: `export AWS_ENDPOINT_URL=http://127.0.0.1:8083`")


def test_after_a_kill_nothing_stands_in_the_way_and_a_cloud_that_hangs_is_ended(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    up = Up(tmp_path / "data")
    up.client("s3").create_bucket(Bucket="kept")
    cloud = int((tmp_path / "data" / "cloud" / "cloud.pid").read_text())
    # A process that is stopped does not notice that its parent is gone.
    os.kill(cloud, signal.SIGSTOP)
    up.process.kill()
    up.process.communicate()
    assert f"process {cloud} of a local cloud was left behind" in " ".join(faults("--data", data))
    assert "the last `treadle up`" in treadle("doctor", "--data", data).stdout
    assert "Nothing is up" in treadle("status", "--data", data).stdout
    ended = treadle("down", "--data", data)
    assert f"Its local cloud, process {cloud}, was left behind and has ended." in ended.stdout
    until = time.monotonic() + 20
    while any("left behind" in each for each in faults("--data", data)):
        assert time.monotonic() < until
    assert treadle("down", "--data", data).stdout == f"Nothing is up on {data}.\n"

    again = Up(tmp_path / "data")
    assert [each["Name"] for each in again.client("s3").list_buckets()["Buckets"]] == ["kept"]
    assert "has ended" in treadle("down", "--data", data).stdout
    again.process.communicate(timeout=20)
    assert again.process.returncode == 0
    (tmp_path / "data" / "mine").write_text("")
    deleted = treadle("down", "--data", data, "--delete").stdout
    assert f"What treadle kept in {data} is deleted; other files there stay." in deleted
    assert {each.name for each in (tmp_path / "data").iterdir()} == {"mine", "errors.txt"}
