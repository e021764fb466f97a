"""What processes add: limits that are enforced, processes kept warm, bounded in number, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from serving import serving

from treadle.functions import (
    CannotStart,
    FunctionBusy,
    FunctionNotFound,
    FunctionsClosed,
    FunctionSpec,
    RequestTooLarge,
)
from treadle.functions.contract import REQUEST_LIMIT

ECHO = "def handler(event, context): return event"
PID = "import os\ndef handler(event, context): return os.getpid()"
# Says that it runs, and which process it is, by writing a file; then it never ends by itself.
FOREVER = """
import os, pathlib, threading
def handler(event, context):
    pathlib.Path(event["tell"] + ".new").write_text(str(os.getpid()))
    os.rename(event["tell"] + ".new", event["tell"])
    threading.Event().wait()
"""

Write = Callable[..., FunctionSpec]
Run = Callable[[Any], Any]


async def told(path: Any) -> int:
    """The process that a handler has written down."""
    while not path.exists():
        await asyncio.sleep(0)
    return int(path.read_text())


def error_of(payload: bytes) -> tuple[str, str]:
    error = json.loads(payload)
    return error["errorType"], error["errorMessage"]


# ---- limits ----


@pytest.mark.parametrize(
    ("ending", "way_out"),
    [
        ("os._exit(1)", "with error: exit status 1"),
        ("os._exit(0)", "without providing a reason"),
        ("os.kill(os.getpid(), 9)", "with error: signal: killed"),
        ("os.kill(os.getpid(), 11)", "with error: signal: segmentation fault"),
    ],
)
def test_a_process_that_dies_is_an_exit_error_and_is_replaced(
    ending: str, way_out: str, write: Write, run: Run
) -> None:
    spec = write(f"import os\ndef handler(event, context):\n    if event: {ending}\n    return 'well'")

    async def scenario() -> None:
        async with serving([spec]) as functions:
            invoked = await functions.invoke("fn", b"1")
            message = f"RequestId: {invoked.request_id} Error: Runtime exited {way_out}"
            assert json.loads(invoked.payload) == {"errorType": "Runtime.ExitError", "errorMessage": message}
            assert invoked.log.endswith(f"{message}\nRuntime.ExitError\n")
            assert (await functions.invoke("fn", b"0")).payload == b'"well"'

    run(scenario())


def test_a_function_that_uses_too_much_memory_is_killed(write: Write, run: Run) -> None:
    code = """
    import threading
    def handler(event, context):
        held = bytearray(200_000_000)
        threading.Event().wait()
    """

    async def scenario() -> None:
        async with serving([write(code, timeout=15)]) as functions:
            invoked = await functions.invoke("fn", b"{}")
            message = f"RequestId: {invoked.request_id} Error: Runtime exited with error: signal: killed"
            assert error_of(invoked.payload) == ("Runtime.OutOfMemory", message)
            assert invoked.memory_used_mb > 128

    run(scenario())


def test_memory_of_what_a_handler_starts_counts(write: Write, run: Run) -> None:
    code = """
    import subprocess, sys
    def handler(event, context):
        hold = "import threading; held = bytearray(200_000_000); threading.Event().wait()"
        subprocess.run([sys.executable, "-c", hold])
    """

    async def scenario() -> None:
        async with serving([write(code, timeout=15)]) as functions:
            assert error_of((await functions.invoke("fn", b"{}")).payload)[0] == "Runtime.OutOfMemory"

    run(scenario())


def test_a_time_limit_kills_what_the_handler_started_too(write: Write, run: Run, ends: Any) -> None:
    code = """
    import subprocess, sys, threading
    def handler(event, context):
        child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
        print(child.pid)
        threading.Event().wait()
    """

    async def scenario() -> int:
        async with serving([write(code, timeout=0.5)]) as functions:
            invoked = await functions.invoke("fn", b"{}")
            assert error_of(invoked.payload)[0] == "Sandbox.Timedout"
            return int(invoked.log.split()[0])

    assert ends(run(scenario()))


def test_a_start_that_takes_too_long_is_timed_out(write: Write, run: Run) -> None:
    async def scenario() -> None:
        spec = write("import threading\nthreading.Event().wait()", init_timeout=0.3)
        async with serving([spec]) as functions:
            invoked = await functions.invoke("fn", b"{}")
            message = f"RequestId: {invoked.request_id} Error: Task timed out after 0.30 seconds"
            assert error_of(invoked.payload) == ("Sandbox.Timedout", message)

    run(scenario())


def test_a_payload_of_6_mb_goes_there_and_back(write: Write, run: Run) -> None:
    async def scenario() -> None:
        async with serving([write(ECHO)]) as functions:
            payload = b'"' + b"x" * (REQUEST_LIMIT - 2) + b'"'
            assert (await functions.invoke("fn", payload)).payload == payload
            with pytest.raises(RequestTooLarge, match="6291457 byte payload is too large"):
                await functions.invoke("fn", payload + b" ")

    run(scenario())


def test_a_process_survives_a_result_that_was_too_large(write: Write, run: Run) -> None:
    spec = write("import os\ndef handler(event, context):\n    print(os.getpid())\n    return 'x' * event")

    async def scenario() -> None:
        async with serving([spec]) as functions:
            too_large = await functions.invoke("fn", b"7000000")
            assert too_large.error == "Unhandled"
            assert (await functions.invoke("fn", b"1")).log == too_large.log

    run(scenario())


# ---- isolation ----


def test_a_handler_has_none_of_our_files_and_nothing_to_read(write: Write, run: Run, tmp_path: Any) -> None:
    code = """
    import os, sys
    def handler(event, context):
        files = []
        for number in os.listdir("/proc/self/fd"):
            try: files.append(os.readlink(f"/proc/self/fd/{number}"))
            except OSError: pass
        return [sys.stdin.read(), files]
    """
    secret = tmp_path / "secret"
    with secret.open("w") as held:
        os.set_inheritable(held.fileno(), True)

        async def scenario() -> list[Any]:
            async with serving([write(code)]) as functions:
                return json.loads((await functions.invoke("fn", b"{}")).payload)

        stdin, files = run(scenario())
    assert stdin == ""
    assert str(secret) not in files


# ---- warm processes ----


def test_the_process_used_last_is_used_next(write: Write, run: Run) -> None:
    async def scenario() -> None:
        async with serving([write(PID)]) as functions:
            together = await asyncio.gather(*(functions.invoke("fn", b"{}") for _ in range(3)))
            assert len({each.payload for each in together}) == 3
            one_by_one = [(await functions.invoke("fn", b"{}")).payload for _ in range(5)]
            assert len(set(one_by_one)) == 1

    run(scenario())


def test_an_idle_process_that_died_is_replaced(write: Write, run: Run) -> None:
    async def scenario() -> None:
        async with serving([write(PID)]) as functions:
            first = int((await functions.invoke("fn", b"{}")).payload)
            # Noticed before the next invocation, that one goes to another process; while it is on its way, it fails.
            os.kill(first, signal.SIGKILL)
            invoked = await functions.invoke("fn", b"{}")
            assert invoked.error is not None or int(invoked.payload) != first
            assert (await functions.invoke("fn", b"{}")).error is None

    run(scenario())


def test_an_idle_process_is_let_go_after_a_while(write: Write, run: Run, ends: Any) -> None:
    async def scenario() -> int:
        async with serving([write(PID)], idle_seconds=0.05) as functions:
            process = int((await functions.invoke("fn", b"{}")).payload)
            assert await asyncio.to_thread(ends, process)
            return process != int((await functions.invoke("fn", b"{}")).payload)

    assert run(scenario())


def test_a_function_that_is_put_again_runs_its_new_code(write: Write, run: Run) -> None:
    async def scenario() -> None:
        async with serving([write("def handler(event, context): return 1")]) as functions:
            assert (await functions.invoke("fn", b"{}")).payload == b"1"
            functions.put(write("def handler(event, context): return 22"))
            assert (await functions.invoke("fn", b"{}")).payload == b"22"
            functions.put(write("def handler(event, context): return 333", name="another"))
            assert sorted(functions.names()) == ["another", "fn"]
            functions.remove("fn")
            with pytest.raises(FunctionNotFound):
                await functions.invoke("fn", b"{}")

    run(scenario())


# ---- how many ----


def test_200_invocations_at_once_are_all_answered(write: Write, run: Run) -> None:
    async def scenario() -> None:
        async with serving([write(PID + " and [event, os.getpid()]")], processes=4) as functions:
            answers = await asyncio.gather(*(functions.invoke("fn", b"%d" % number) for number in range(200)))
        pairs = [json.loads(each.payload) for each in answers]
        assert [number for number, _ in pairs] == list(range(200))
        assert 1 <= len({process for _, process in pairs}) <= 4

    run(scenario())


def test_a_function_gets_the_place_of_another_one_that_is_idle(write: Write, run: Run) -> None:
    async def scenario() -> None:
        specs = [write(PID, name=name) for name in ("one", "two")]
        async with serving(specs, processes=1) as functions:
            names = ["one", "two"] * 3
            answers = await asyncio.gather(*(functions.invoke(name, b"{}") for name in names))
            assert [each.error for each in answers] == [None] * 6

    run(scenario())


def test_an_invocation_beyond_the_bound_is_refused(write: Write, run: Run, tmp_path: Any) -> None:
    async def scenario() -> None:
        async with serving([write(FOREVER)], concurrency=1) as functions:
            event = json.dumps({"tell": str(tmp_path / "told")}).encode()
            running = asyncio.create_task(functions.invoke("fn", event))
            await told(tmp_path / "told")
            with pytest.raises(FunctionBusy) as refusal:
                await functions.invoke("fn", event)
            assert refusal.value.code == "TooManyRequestsException"
            running.cancel()

    run(scenario())


# ---- the end ----


def test_a_cancelled_invocation_ends_its_process_and_frees_the_place(
    write: Write, run: Run, tmp_path: Any, ends: Any
) -> None:
    async def scenario() -> int:
        specs = [write(FOREVER, timeout=60), write(ECHO, name="echo", file="echo.py")]
        async with serving(specs, processes=1) as functions:
            event = json.dumps({"tell": str(tmp_path / "told")}).encode()
            running = asyncio.create_task(functions.invoke("fn", event))
            waiting = asyncio.create_task(functions.invoke("fn", event))
            process = await told(tmp_path / "told")
            waiting.cancel()
            running.cancel()
            for each in (running, waiting):
                with pytest.raises(asyncio.CancelledError):
                    await each
            assert (await functions.invoke("echo", b"1")).payload == b"1"
            return process

    assert ends(run(scenario()))


def test_a_start_that_is_cancelled_leaves_no_process(write: Write, run: Run, tmp_path: Any, ends: Any) -> None:
    async def scenario() -> int:
        code = f"""
        import os, pathlib, threading
        pathlib.Path({str(tmp_path / "new")!r}).write_text(str(os.getpid()))
        os.rename({str(tmp_path / "new")!r}, {str(tmp_path / "told")!r})
        threading.Event().wait()
        """
        async with serving([write(code)]) as functions:
            starting = asyncio.create_task(functions.invoke("fn", b"{}"))
            process = await told(tmp_path / "told")
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            return process

    assert ends(run(scenario()))


def test_closing_ends_every_process_and_says_so_to_those_who_wait(
    write: Write, run: Run, tmp_path: Any, ends: Any
) -> None:
    async def scenario() -> list[int]:
        specs = [write(FOREVER, timeout=60), write(PID, name="idle", file="idle.py")]
        functions = serving(specs, processes=2)
        idle = int((await functions.invoke("idle", b"{}")).payload)
        event = json.dumps({"tell": str(tmp_path / "told")}).encode()
        running = asyncio.create_task(functions.invoke("fn", event))
        busy = await told(tmp_path / "told")
        places = [asyncio.create_task(functions.invoke("fn", event)) for _ in range(3)]
        await asyncio.sleep(0)
        await functions.close()
        for each in (running, *places):
            with pytest.raises(FunctionsClosed):
                await each
        with pytest.raises(FunctionsClosed):
            await functions.invoke("idle", b"{}")
        return [idle, busy]

    assert all(map(ends, run(scenario())))


def test_a_folder_that_is_gone_is_an_error_of_the_caller(write: Write, run: Run, tmp_path: Any) -> None:
    async def scenario() -> None:
        spec = FunctionSpec("fn", "fn.handler", tmp_path / "gone", "python3.11")
        async with serving([spec], processes=1) as functions:
            for _ in range(2):
                with pytest.raises(CannotStart, match=r"'fn' cannot be started.*gone"):
                    await functions.invoke("fn", b"{}")

    run(scenario())
